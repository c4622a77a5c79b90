"""Writes Python source for the instructions of a block: operands become expressions, results become writes.

`w` in that source is what NumPy's `where=` takes, `m` the Lanes that run the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygan_kernels.emulator.errors import UnsupportedInstruction
from tinygan_kernels.emulator.execute.access import Site
from tinygan_kernels.emulator.syntax import ptx
from tinygan_kernels.emulator.syntax.cfg import Block, callee_of
from tinygan_kernels.emulator.syntax.ptx import Function, Immediate, Instruction, Not, Register, Special, Symbol, Vector

if TYPE_CHECKING:
    from .program import Program, Step

BUILTIN = ("vprintf", "__assertfail")
SPECIAL_64 = ("%clock64", "%globaltimer", "%gridid")
SPECIAL = (
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%clock",
    "%clock_hi",
    "%dynamic_smem_size",
    "%total_smem_size",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%globaltimer_lo",
    "%globaltimer_hi",
    *(f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"),
    *SPECIAL_64,
)


def code_of(kind: str) -> str:
    """NumPy's letter and bytes for a PTX type: s32 -> i4; bits, bf16 and packed halves are unsigned integers."""
    if kind == "pred":
        return "b1"
    size = ptx.WIDTH[kind]
    if kind[0] == "s":
        return f"i{size}"
    return f"f{size}" if kind in ("f16", "f32", "f64") else f"u{size}"


class Emitter:
    """Writes the Python source of one block. `w` in that source is what NumPy's `where=` takes, `m` the Lanes."""

    def __init__(self, program: Program, function: Function):
        self.program, self.function = program, function
        self.lines: list[str] = []
        self.extra: list[str] = []
        self.ins: Instruction | None = None
        self.lanes = "m"

    def line(self, text: str) -> None:
        self.lines.append("    " + text)

    def unsupported(self, why: str) -> UnsupportedInstruction:
        return UnsupportedInstruction(
            f"{self.ins.name} at PTX line {self.ins.ptx_line} of kernel {self.program.title} "
            f"({self.program.source_name(self.ins.source)}): {why}"
        )

    def instruction(self, ins: Instruction, table: dict) -> None:
        self.ins = ins
        lower = table.get(ins.opcode)
        if lower is None:
            raise self.unsupported(f"no such instruction in the emulator; supported: {', '.join(sorted(table))}")
        if ins.guard is None:
            lower(self, ins)
            return
        self.lanes = "g"
        self.line(f"g = m.only({self.guard(ins)})")
        self.line(f"guarded({self.program.bind(ins)}, m, g)")
        self.line("if g.count:")
        mark = len(self.lines)
        self.line("w = g.where")
        lower(self, ins)
        self.lines[mark:] = ["    " + text for text in self.lines[mark:]]
        self.line("w = m.where")
        self.lanes = "m"

    def guard(self, ins: Instruction) -> str:
        name = self.read(ins.guard, "pred")
        return f"~{name}" if ins.guard_negated else name

    # -- operands ---------------------------------------------------------------------------------------------
    def read(self, operand, kind: str) -> str:
        """Source text for the value of an operand as a vector (or scalar) of a type."""
        code = code_of(kind)
        if isinstance(operand, Register):
            return self._read_register(operand, kind, code)
        if isinstance(operand, Not):
            return f"~{self.read(operand.register, kind)}"
        if isinstance(operand, Immediate):
            return self.constant(operand, kind)
        if isinstance(operand, Special):
            return self._read_special(operand, code)
        if isinstance(operand, Symbol):
            return self.program.bind(
                np.int64(self.address_of(operand)).astype(code), ("address", operand, code, self.function.name)
            )
        raise self.unsupported("an operand of this kind is not supported here")

    def _read_register(self, register: Register, kind: str, code: str) -> str:
        have, want = ptx.WIDTH[register.type], ptx.WIDTH[kind]
        if register.type == "pred" and kind != "pred":
            raise self.unsupported("a predicate where a number is expected")
        if have == want:
            return self.program.register(self.function, register.name, code)
        if have < want:
            raise self.unsupported(f"register {register.name} is narrower than .{kind}")
        return self.cast(self.program.register(self.function, register.name, f"u{have}"), code)

    def _read_special(self, special: Special, code: str) -> str:
        if special.name not in SPECIAL:
            raise self.unsupported(
                f"special register {special.name} is not supported; supported: {', '.join(sorted(SPECIAL))}"
            )
        self.program.specials.add(special.name)
        name = "s_" + special.name[1:].replace(".", "_")
        if special.name in ("%clock", "%clock64", "%clock_hi", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"):
            name = f"clock({special.name!r})"
        own = "u8" if special.name in SPECIAL_64 else "u4"
        return name if own == code else self.cast(name, code)

    def cast(self, text: str, code: str) -> str:
        """Source text for the values of `text` in another NumPy type."""
        return f"{text}.astype({self.program.bind(np.dtype(code), ('dtype', code))})"

    def constant(self, operand: Immediate, kind: str) -> str:
        """Source text for a literal of a type."""
        if kind == "pred":
            return "True" if operand.value else "False"
        raw, code = operand.encode(kind), code_of(kind)
        return self.program.bind(np.frombuffer(raw, code)[0], ("constant", raw, code))

    def address_of(self, symbol: Symbol) -> int:
        """The address of a variable in its own state space (generic for global and constant memory)."""
        name, program = symbol.name, self.program
        for owner in (self.function.name, ""):
            if (owner, name) in program.offsets:
                return program.offsets[owner, name] + symbol.offset
        if name in program.addresses:
            return program.addresses[name] + symbol.offset
        if self.function is program.entry and name in program.params:
            return program.param_buffer.ctypes.data + program.params[name] + symbol.offset
        raise self.unsupported(f"{name} is not a variable of this module")

    def lane_param(self, name: str, function: Function | None = None) -> tuple[str, int]:
        """The per-lane bytes of a call parameter: (name in the generated source, size)."""
        function = function or self.function
        variables = {v.name: v for v in (*function.params, *function.returns, *function.variables.values())}
        size = variables[name].size
        number, _ = self.program.lane_params.setdefault((function.name, name), (len(self.program.lane_params), size))
        return f"q{number}", size

    def is_lane_param(self, name: str) -> bool:
        function = self.function
        formal = () if function.is_entry else (*function.params, *function.returns)
        own = function.variables.get(name)
        return (own is not None and own.space == "param") or any(v.name == name for v in formal)

    def address(self, operand: ptx.Address) -> str:
        """Source text for an address operand, as int64."""
        if isinstance(operand.base, Register):
            size = ptx.WIDTH[operand.base.type]
            name = self.program.register(self.function, operand.base.name, "i8" if size == 8 else "u4")
            return f"widen({name}, {operand.offset})" if size == 4 or operand.offset else name
        base = self.address_of(operand.base) if operand.base else 0
        return self.program.bind(np.int64(base + operand.offset), ("at", base + operand.offset))

    # -- results ----------------------------------------------------------------------------------------------
    def target(self, operand, kind: str) -> str:
        """The vector a result of this type goes into: a wider register takes it extended by the type's sign."""
        if not isinstance(operand, Register):
            raise self.unsupported("the destination is not a register")
        have, want, code = ptx.WIDTH[operand.type], ptx.WIDTH[kind], code_of(kind)
        if (operand.type == "pred") != (kind == "pred") or have < want:
            raise self.unsupported(f"register {operand.name} cannot take a .{kind}")
        return self.program.register(self.function, operand.name, code if have == want else f"{code[0]}{have}")

    def write(self, operand, kind: str, value: str) -> None:
        if operand is not None:
            self.line(f"copyto({self.target(operand, kind)}, {value}, where=w)")

    def apply(self, operand, kind: str, function, *arguments: str) -> None:
        """operand = function(*arguments): a ufunc writes in place, any other function's result is copied."""
        name = self.program.bind(function)
        if isinstance(function, np.ufunc):
            self.line(f"{name}({', '.join(arguments)}, out={self.target(operand, kind)}, where=w)")
        else:
            self.write(operand, kind, f"{name}({', '.join(arguments)})")

    def call(self, function, *arguments: str) -> str:
        return f"{self.program.bind(function)}({', '.join(arguments)})"

    def site_of(self, ins: Instruction, space: str = "", code: str = "u1", size: int = 1, count: int = 1) -> Site:
        site = Site(
            ins.name,
            ins.ptx_line,
            self.program.source_name(ins.source),
            ins.source,
            space,
            code,
            size,
            count,
            len(self.program.sites),
        )
        self.program.sites.append(site)
        return site

    # -- the end of a block -----------------------------------------------------------------------------------
    def finish(self, step: Step, block: Block) -> None:
        """Return (guard, payload) from the block's function, for the scheduler to act on."""
        ins, payload = block.terminator, "None"
        if ins is None:
            self.line("return None, None")
            return
        self.ins = ins
        if block.end == "switch":
            payload = self.read(ins.operands[0], "u32")
        elif block.end == "barrier":
            payload = self._barrier(step, ins)
        elif block.end == "call":
            self._call(step, ins)
        if ins.opcode == "trap":
            step.site = self.site_of(ins)
            step.end = "trap"
        guard = "None" if ins.guard is None else self.guard(ins)
        self.line(f"return {guard}, {payload}")

    def _barrier(self, step: Step, ins: Instruction) -> str:
        step.site = self.site_of(ins)
        step.arrives_only = "arrive" in ins.modifiers
        step.aligned = ins.opcode == "bar" or "aligned" in ins.modifiers
        operands = list(ins.operands)
        if "red" in ins.modifiers:
            result, *operands = operands
            predicate = self.read(operands.pop(), "pred")
            operation = next(o for o in ("popc", "and", "or") if o in ins.modifiers)
            kind = "u32" if operation == "popc" else "pred"
            step.reduction = (operation, self.target(result, kind))
        else:
            predicate = "None"
        number = self.read(operands[0], "u32") if operands else "0"
        threads = self.read(operands[1], "u32") if len(operands) > 1 else "None"
        return f"({number}, {threads}, {predicate})"

    def _call(self, step: Step, ins: Instruction) -> None:
        name = callee_of(ins)
        vectors = [o for o in ins.operands if isinstance(o, Vector)]
        before = ins.operands.index(next(o for o in ins.operands if isinstance(o, Symbol)))
        returns = ins.operands[0].items if before else ()
        arguments = vectors[-1].items if len(vectors) > (1 if before else 0) else ()
        if name in BUILTIN:
            step.end = "fall"
            self._call_builtin(name, ins, arguments)
            return
        callee = self.program.defined(name)
        step.callee = self.program.start[name]
        if ins.guard is not None:
            raise self.unsupported("a call with a guard is not supported")
        for formal, actual in zip(callee.params, arguments, strict=True):
            self._copy_parameter(self.lines, self.lane_param(formal.name, callee), self.lane_param(actual.name))
        self.extra.append(f"def returned_{step.number}(m):")
        for formal, actual in zip(callee.returns, returns, strict=True):
            self._copy_parameter(self.extra, self.lane_param(actual.name), self.lane_param(formal.name, callee))
        self.extra.append("    return")

    @staticmethod
    def _copy_parameter(lines: list[str], to: tuple[str, int], source: tuple[str, int]) -> None:
        size = min(to[1], source[1])
        lines.append(f"    copyto({to[0]}_u1[:, :{size}], {source[0]}_u1[:, :{size}], where=m.column)")

    def _call_builtin(self, name: str, ins: Instruction, arguments) -> None:
        site = self.program.bind(self.site_of(ins))
        lanes = "m" if ins.guard is None else f"m.only({self.guard(ins)})"
        values = ", ".join(f"{self.lane_param(a.name)[0]}_u1" for a in arguments)
        self.line(f"{name.strip('_')}({site}, {lanes}, {values})")

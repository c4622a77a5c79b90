"""One kernel ready to run: all its functions' blocks in one list, where its variables lie, and Python source for every block.

Each basic block becomes a Python function of a set of lanes, one NumPy statement or two an instruction. Registers are vectors over
all lanes, in place: `add(r1_i4, r2_i4, out=r3_i4, where=w)`. The source is made once a kernel; `machine` binds the names in it to
vectors of the width that a launch needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import cfg, ptx
from .access import Site
from .errors import EmulatorError, UnsupportedInstruction
from .memory import LOCAL, SHARED
from .ptx import Function, Immediate, Instruction, Module, Not, Register, Special, Symbol, Vector

BUILTIN = ("vprintf", "__assertfail")
SPECIAL_64 = ("%clock64", "%globaltimer", "%gridid")
SPECIAL = ("%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid", "%clock", "%clock_hi", "%dynamic_smem_size", "%total_smem_size",
           "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%globaltimer_lo", "%globaltimer_hi",
           *(f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"), *SPECIAL_64)


def code_of(kind: str) -> str:
    """NumPy's letter and bytes for a PTX type: s32 -> i4; bits, bf16 and packed halves are unsigned integers."""
    if kind == "pred":
        return "b1"
    size = ptx.WIDTH[kind]
    if kind[0] == "s":
        return f"i{size}"
    return f"f{size}" if kind in ("f16", "f32", "f64") else f"u{size}"


@dataclass
class Step:
    """A block in the list of all blocks of a program. What `end` means stands at cfg.Block."""
    number: int
    end: str
    after: int
    targets: tuple[int, ...]
    callee: int = -1
    site: Site | None = None
    meets: str = ""                 # name of the function that gives the member mask of a collective, "" if none
    arrives_only: bool = False      # bar.arrive
    aligned: bool = True
    reduction: tuple = ()           # (operation, name of the register) of bar.red
    instructions: list[Instruction] = field(default_factory=list)


class Program:
    """The translation of one kernel of a module."""

    def __init__(self, module: Module, name: str, addresses: dict[str, int], title: str = ""):
        if name not in module.functions or not module.functions[name].is_entry:
            known = ", ".join(n for n, f in module.functions.items() if f.is_entry) or "none"
            raise EmulatorError(f"no kernel named {name!r} in the module; its kernels: {known}")
        self.module, self.name, self.title, self.addresses = module, name, title or name, addresses
        self.entry = module.functions[name]
        self.steps: list[Step] = []
        self.sites: list[Site] = []
        self.lines: list[str] = []
        self.constants: dict[str, object] = {}
        self.views: set[tuple[str, str]] = set()            # (register name, code)
        self.numbers: dict[str, int] = {}                   # register -> number in its Python name
        self.lane_params: dict[tuple[str, str], tuple[int, int]] = {}   # (function, variable) -> (number, bytes)
        self.specials: set[str] = set()
        self._names: dict = {}
        self._lay_out_parameters()
        self._lay_out_memory()
        self._translate()
        self.bytecode = compile("\n".join(self.lines), f"<PTX of {name}>", "exec")

    # -- layout -----------------------------------------------------------------------------------------------
    def _lay_out_parameters(self) -> None:
        self.params, at = {}, 0
        for variable in self.entry.params:
            at = -(-at // variable.align) * variable.align
            self.params[variable.name] = at
            at += variable.size
        self.param_bytes = at
        self.param_buffer = np.zeros(max(16, -(-at // 16) * 16), np.uint8)

    def _lay_out_memory(self) -> None:
        self.functions = self._reachable()
        self.offsets: dict[tuple[str, str], int] = {}       # (function or "", variable) -> offset in shared or local memory
        self.static_shared = self._place("shared")
        self.local_bytes = self._place("local")

    def _reachable(self) -> list[Function]:
        found, work = [], [(self.entry, ())]
        while work:
            function, callers = work.pop(0)
            if function.name in callers:
                raise EmulatorError(f"not supported: recursive device function {function.name}")
            if function not in found:
                found.append(function)
            for callee in _callees(function):
                if callee not in BUILTIN:
                    work.append((self._defined(callee), (*callers, function.name)))
        return found

    def _defined(self, name: str) -> Function:
        function = self.module.functions.get(name)
        if function is None or not function.has_body:
            raise EmulatorError(f"kernel {self.title} calls {name}, which the module does not define; of the built-in functions "
                                f"{' and '.join(BUILTIN)} are supported")
        return function

    def _place(self, space: str) -> int:
        at = 0
        owners = [("", self.module.variables), *((f.name, f.variables) for f in self.functions)]
        dynamic = []
        for owner, variables in owners:
            for variable in variables.values():
                if variable.space != space:
                    continue
                if variable.size == 0:
                    dynamic.append((owner, variable))
                    continue
                at = -(-at // variable.align) * variable.align
                self.offsets[owner, variable.name] = at
                at += variable.size
        if dynamic:
            at = -(-at // 16) * 16
        self.offsets.update({(owner, v.name): at for owner, v in dynamic})
        return at

    # -- translation ------------------------------------------------------------------------------------------
    def _translate(self) -> None:
        blocks = {f.name: cfg.blocks_of(f) for f in self.functions}
        self.start, at = {}, 0
        for name, own in blocks.items():
            self.start[name], at = at, at + len(own)
        for function in self.functions:
            for i, block in enumerate(blocks[function.name]):
                self._translate_block(function, block, self.start[function.name], i)

    def _translate_block(self, function: Function, block: cfg.Block, base: int, i: int) -> None:
        from . import lowering
        place = lambda b: base + b if b >= 0 else -1        # noqa: E731
        step = Step(base + i, block.end, place(block.after), tuple(place(t) for t in block.targets))
        step.instructions = list(block.instructions)
        emit = Emitter(self, function)
        emit.lines.append(f"def block_{step.number}(m):")
        emit.line("w = m.where")
        for instruction in block.instructions:
            emit.instruction(instruction, lowering.LOWER)
        if block.meets:
            step.meets = lowering.members(emit, block.meets, step.number)
            step.site = emit.site_of(block.meets)
        emit.finish(step, block)
        if block.terminator:
            step.instructions.append(block.terminator)
        self.steps.append(step)
        self.lines += emit.lines + emit.extra

    # -- names in the generated source ------------------------------------------------------------------------
    def bind(self, value, key=None) -> str:
        """A name for a constant or function in the generated source."""
        key = key if key is not None else id(value)
        if key not in self._names:
            self._names[key] = f"k{len(self._names)}"
            self.constants[self._names[key]] = value
        return self._names[key]

    def register(self, function: Function, name: str, code: str) -> str:
        full = f"{function.name}/{name}"
        number = self.numbers.setdefault(full, len(self.numbers))
        self.views.add((full, code))
        return f"r{number}_{code}"

    def source_name(self, location: tuple[int, int]) -> str:
        file, line = location
        name = self.module.files.get(file, "")
        return f"{name.rsplit('/', 1)[-1]}:{line}" if name and line else "no source line"


def _callees(function: Function) -> list[str]:
    return [_callee(i) for i in function.body if isinstance(i, Instruction) and i.opcode == "call"]


def _callee(instruction: Instruction) -> str:
    for operand in instruction.operands:
        if isinstance(operand, Symbol):
            return operand.name
        if isinstance(operand, Register):
            break
    raise UnsupportedInstruction(f"indirect call at PTX line {instruction.ptx_line}: calls through function pointers are not supported")


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
        return UnsupportedInstruction(f"{self.ins.name} at PTX line {self.ins.ptx_line} of kernel {self.program.title} "
                                      f"({self.program.source_name(self.ins.source)}): {why}")

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
            return self.program.bind(np.int64(self.address_of(operand)).astype(code), ("address", operand, code, self.function.name))
        raise self.unsupported("an operand of this kind is not supported here")

    def _read_register(self, register: Register, kind: str, code: str) -> str:
        have, want = ptx.WIDTH[register.type], ptx.WIDTH[kind]
        if register.type == "pred" and kind != "pred":
            raise self.unsupported("a predicate where a number is expected")
        if have == want:
            return self.program.register(self.function, register.name, code)
        if have < want:
            raise self.unsupported(f"register {register.name} is narrower than .{kind}")
        return f"{self.program.register(self.function, register.name, f'u{have}')}.astype({self.program.bind(np.dtype(code), ('dtype', code))})"

    def _read_special(self, special: Special, code: str) -> str:
        if special.name not in SPECIAL:
            raise self.unsupported(f"special register {special.name} is not supported; supported: {', '.join(sorted(SPECIAL))}")
        self.program.specials.add(special.name)
        name = "s_" + special.name[1:].replace(".", "_")
        if special.name in ("%clock", "%clock64", "%clock_hi", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"):
            name = f"clock({special.name!r})"
        own = "u8" if special.name in SPECIAL_64 else "u4"
        return name if own == code else f"{name}.astype({self.program.bind(np.dtype(code), ('dtype', code))})"

    def constant(self, operand: Immediate, kind: str) -> str:
        code = code_of(kind)
        size = ptx.WIDTH[kind]
        if kind == "pred":
            return "True" if operand.value else "False"
        if operand.bits is not None and code[0] != "f":
            value = np.array(operand.bits & (1 << 8 * size) - 1, f"u{size}").view(code)[()]
        elif code[0] == "f":
            value = np.array(operand.value, code)[()]
        else:
            value = np.array(int(operand.value) & (1 << 8 * size) - 1, f"u{size}").view(code)[()]
        return self.program.bind(value, ("constant", value.tobytes(), code))

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
        site = Site(ins.name, ins.ptx_line, self.program.source_name(ins.source), ins.source, space, code, size, count,
                    len(self.program.sites))
        self.program.sites.append(site)
        return site

    # -- the end of a block -----------------------------------------------------------------------------------
    def finish(self, step: Step, block: cfg.Block) -> None:
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
        name = _callee(ins)
        vectors = [o for o in ins.operands if isinstance(o, Vector)]
        before = ins.operands.index(next(o for o in ins.operands if isinstance(o, Symbol)))
        returns = ins.operands[0].items if before else ()
        arguments = vectors[-1].items if len(vectors) > (1 if before else 0) else ()
        if name in BUILTIN:
            step.end = "fall"
            self._call_builtin(name, ins, arguments)
            return
        callee = self.program._defined(name)
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


SHARED_BASE, LOCAL_BASE = SHARED, LOCAL

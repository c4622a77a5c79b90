"""The Emitter writes Python source for the instructions of a block: operands become expressions, results become writes.

`w` in that source is what NumPy's `where=` takes, `m` the Lanes that run the block (`g`: those for which the guard of an
instruction holds).
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from tinygan_kernels.emulator.errors import UnsupportedInstruction
from tinygan_kernels.emulator.syntax import ptx
from tinygan_kernels.emulator.syntax.ptx import Function, Immediate, Instruction, Not, Register, Special, Symbol

from .kernel import PythonLine, Site
from .layout import Layout
from .names import Names
from .types import code_of, types_of

RESERVED_SHARED = "%reserved_smem_offset_1"
"""Where the shared memory begins that no variable takes, and groups of several warps meet in (cooperative_groups)."""
RESERVED_BYTES = 512
"""How much of it there is, more than the 288 bytes that cooperative_groups wants."""
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
    RESERVED_SHARED,
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%envreg1",
    "%envreg2",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%is_explicit_cluster",
    *(f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"),
    *(f"%{name}.{axis}" for name in ("clusterid", "nclusterid", "cluster_ctaid", "cluster_nctaid") for axis in "xyz"),
    *SPECIAL_64,
)


class Emitter:
    """The writer of one block's Python source. Lowering functions get it as their first argument, `e`.

    names, layout: shared by all blocks of the kernel; function: the one that the block belongs to; read: names of its
    registers that some instruction reads; held: those that products of a warpgroup hold.
    """

    def __init__(self, names: Names, layout: Layout, function: Function, read: set[str], held: frozenset[str] = frozenset()):
        self.names, self.layout, self.function, self.read_somewhere, self.held = names, layout, function, read, held
        self.lines: list[PythonLine] = []  # the block's function
        self.extra: list[PythonLine] = []  # further functions that belong to the block
        self.ins: Instruction | None = None
        self.lanes = "m"
        self.indent = ""
        self.seen: set[str] = set()  # registers that the instruction at hand reads
        self.written: set[str] = set()  # ... and those that it writes

    # -- lines ------------------------------------------------------------------------------------------------
    def open_block(self, number: int) -> None:
        """Begin the function of a basic block."""
        self.line(f"def block_{number}(m):")
        self.indent = "    "
        self.line("w = m.where")

    def line(self, text: str) -> None:
        """Add a line to the block's function."""
        self.lines.append(PythonLine(self.indent + text, self.ins))

    def after(self, *texts: str) -> None:
        """Add lines, as they are, after the block's function."""
        self.extra += [PythonLine(text, self.ins) for text in texts]

    def begin(self, ins: Instruction | None) -> None:
        """Attribute the lines written from here on to this instruction."""
        self.ins = ins
        self.seen.clear()
        self.written.clear()

    def unsupported(self, why: str) -> UnsupportedInstruction:
        """Make the error, to be raised, that says what of the instruction at hand is not supported."""
        return UnsupportedInstruction(
            f"{self.ins.name} at PTX line {self.ins.ptx_line} of kernel {self.names.title} "
            f"({self.names.files.describe(self.ins.source)}): {why}"
        )

    @contextmanager
    def under_guard(self, ins: Instruction):
        """Write what the `with` block adds so that only lanes for which the instruction's guard holds do it."""
        if ins.guard is None:
            yield
            return
        self.line(f"g = m.only({self.guard(ins)})")
        self.line(f"guarded({self.bind(ins)}, m, g)")
        self.line("if g.count:")
        self.indent, self.lanes = self.indent + "    ", "g"
        self.line("w = g.where")
        yield
        self.indent, self.lanes = self.indent[:-4], "m"
        self.line("w = m.where")

    # -- names ------------------------------------------------------------------------------------------------
    def bind(self, value, key=None) -> str:
        """Return the name of a constant or function in the generated source."""
        return self.names.bind(value, key, self.ins)

    def register(self, name: str, code: str) -> str:
        """Return the name of one of the function's registers, seen as the NumPy type `code`."""
        return self.names.register(self.function, name, code)

    def lane_param(self, name: str, function: Function | None = None) -> tuple[str, int]:
        """Return (name in the source, bytes per lane) of a call parameter, of this function or of another one."""
        return self.names.lane_param(function or self.function, name)

    def is_lane_param(self, name: str) -> bool:
        """Check whether a name is a call parameter (bytes of its own for every lane), not one of the kernel's."""
        function = self.function
        formal = () if function.is_entry else (*function.params, *function.returns)
        own = function.variables.get(name)
        return (own is not None and own.space == "param") or any(v.name == name for v in formal)

    def site_of(self, ins: Instruction, space: str = "", code: str = "u1", size: int = 1, count: int = 1) -> Site:
        """Make the Site by which reports name an instruction that moves `count` elements of `size` bytes."""
        return self.names.site(ins, space, code, size, count)

    def guard(self, ins: Instruction) -> str:
        """Return source text for the predicate under which a guarded instruction is executed."""
        name = self.read(ins.guard, "pred")
        return f"~{name}" if ins.guard_negated else name

    def kind_of(self, ins: Instruction) -> str:
        """Return the type that an instruction works on: the last that it names."""
        kinds = types_of(ins)
        if not kinds:
            raise self.unsupported("no type in the instruction")
        return kinds[-1]

    # -- operands ---------------------------------------------------------------------------------------------
    def read(self, operand, kind: str) -> str:
        """Return source text for the value of an operand as a vector (or scalar) of a PTX type."""
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
            if self._in_frame(operand):
                return self.cast(self._framed(operand, 0), code)
            address = np.int64(self._address_of(operand)).astype(code)
            return self.bind(address, ("address", operand, code, self.function.name))
        raise self.unsupported("an operand of this kind is not supported here")

    def _read_register(self, register: Register, kind: str, code: str) -> str:
        self.seen.add(register.name)
        have, want = ptx.WIDTH[register.type], ptx.WIDTH[kind]
        if have == 16:
            raise self.unsupported("registers of 128 bits are not supported")
        if register.type == "pred" and kind != "pred":
            raise self.unsupported("a predicate where a number is expected")
        if have == want:
            return self.register(register.name, code)
        if have < want:
            raise self.unsupported(f"register {register.name} is narrower than .{kind}")
        return self.cast(self.register(register.name, f"u{have}"), code)

    def _read_special(self, special: Special, code: str) -> str:
        if special.name not in SPECIAL:
            raise self.unsupported(
                f"special register {special.name} is not supported; supported: {', '.join(sorted(SPECIAL))}"
            )
        self.names.specials.add(special.name)
        name = "s_" + special.name[1:].replace(".", "_")
        if special.name in ("%clock", "%clock64", "%clock_hi", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi"):
            name = f"clock({special.name!r})"
        own = "u8" if special.name in SPECIAL_64 else "u4"
        return name if own == code else self.cast(name, code)

    def cast(self, text: str, code: str) -> str:
        """Return source text for the values of `text` in another NumPy type."""
        return f"{text}.astype({self.bind(np.dtype(code), ('dtype', code))})"

    def constant(self, operand: Immediate, kind: str) -> str:
        """Return source text for a literal of a PTX type."""
        if kind == "pred":
            return "True" if operand.value else "False"
        raw, code = operand.encode(kind), code_of(kind)
        return self.bind(np.frombuffer(raw, code)[0], ("constant", raw, code))

    def address(self, operand: ptx.Address) -> str:
        """Return source text for an address operand, as int64."""
        if isinstance(operand.base, Register):
            size = ptx.WIDTH[operand.base.type]
            name = self.register(operand.base.name, "i8" if size == 8 else "u4")
            return f"widen({name}, {operand.offset})" if size == 4 or operand.offset else name
        if operand.base and self._in_frame(operand.base):
            return self._framed(operand.base, operand.offset)
        base = self._address_of(operand.base) if operand.base else 0
        return self.bind(np.int64(base + operand.offset), ("at", base + operand.offset))

    def _in_frame(self, symbol: Symbol) -> bool:
        """Check whether a name is a variable in local memory of a function that recurs, of which each call has its own."""
        variable = self.function.variables.get(symbol.name)
        return variable is not None and variable.space == "local" and self.function.name in self.layout.cycles

    def _framed(self, symbol: Symbol, offset: int) -> str:
        """Return source text for the address of such a variable: the beginning of the lane's frame and the offset in it."""
        at = self.layout.offsets[self.function.name, symbol.name] + symbol.offset + offset
        return f"({self.names.frame(self.function)} + {at})"

    def _address_of(self, symbol: Symbol) -> int:
        variable = self.layout.module.variables.get(symbol.name)
        if variable is not None and variable.refused and symbol.name not in self.function.variables:
            raise self.unsupported(variable.refused)
        address = self.layout.address_of(self.function, symbol)
        if address is None:
            raise self.unsupported(f"{symbol.name} is not a variable of this module")
        return address

    # -- results ----------------------------------------------------------------------------------------------
    def target(self, operand, kind: str) -> str:
        """Return the vector that a result of a PTX type goes into; a wider register takes it extended by the type's sign."""
        if not isinstance(operand, Register):
            raise self.unsupported("the destination is not a register")
        have, want, code = ptx.WIDTH[operand.type], ptx.WIDTH[kind], code_of(kind)
        if have == 16:
            raise self.unsupported("registers of 128 bits are not supported")
        if (operand.type == "pred") != (kind == "pred") or have < want:
            raise self.unsupported(f"register {operand.name} cannot take a .{kind}")
        self.written.add(operand.name)
        return self.register(operand.name, code if have == want else f"{code[0]}{have}")

    def write(self, operand, kind: str, value: str) -> None:
        """Add the line that writes a value, given as source text, into a register; None (`_` in PTX) takes nothing."""
        if operand is not None:
            self.line(f"copyto({self.target(operand, kind)}, {value}, where=w)")

    def apply(self, operand, kind: str, function, *arguments: str) -> None:
        """Add the line `operand = function(*arguments)`: a ufunc writes in place, any other function's result is copied."""
        name = self.bind(function)
        if isinstance(function, np.ufunc):
            self.line(f"{name}({', '.join(arguments)}, out={self.target(operand, kind)}, where=w)")
        else:
            self.write(operand, kind, f"{name}({', '.join(arguments)})")

    def call(self, function, *arguments: str) -> str:
        """Return source text for a call of a Python function."""
        return f"{self.bind(function)}({', '.join(arguments)})"

"""One kernel ready to run: all its functions' blocks in one list, where its variables lie, and Python source for
every block.

Each basic block becomes a Python function of a set of lanes, one NumPy statement or two an instruction. Registers are
vectors over all lanes, in place: `add(r1_i4, r2_i4, out=r3_i4, where=w)`. The source is made once a kernel; `machine`
binds the names in it to vectors of the width that a launch needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.access import Site
from tinygan_kernels.emulator.syntax import cfg
from tinygan_kernels.emulator.syntax.ptx import Function, Instruction, Module, Symbol, Variable, names_in
from tinygan_kernels.emulator.translate import opcodes

from .emitter import BUILTIN, Emitter
from .warp import members


@dataclass
class Step:
    """A block in the list of all blocks of a program. What `end` means stands at cfg.Block."""

    number: int
    end: str
    after: int
    targets: tuple[int, ...]
    callee: int = -1
    site: Site | None = None
    meets: str = ""  # name of the function that gives the member mask of a collective, "" if none
    arrives_only: bool = False  # bar.arrive
    aligned: bool = True
    reduction: tuple = ()  # (operation, name of the register) of bar.red
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
        self.views: set[tuple[str, str]] = set()  # (register name, code)
        self.numbers: dict[str, int] = {}  # register -> number in its Python name
        self.lane_params: dict[tuple[str, str], tuple[int, int]] = {}  # (function, variable) -> (number, bytes)
        self.specials: set[str] = set()
        self._names: dict = {}
        located = (i.source[0] for i in self.entry.body if isinstance(i, Instruction) and i.source[0])
        self.main_file = next(located, 0)
        self._lay_out_parameters()
        self._lay_out_memory()
        self._translate()
        self.registers = self._register_tables()
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
        self.offsets: dict[tuple[str, str], int] = {}  # (function or "", variable) -> offset in shared or local memory
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
            for call in (i for i in function.body if isinstance(i, Instruction) and i.opcode == "call"):
                callee = cfg.callee_of(call)
                if callee not in BUILTIN:
                    work.append((self.defined(callee), (*callers, function.name)))
        return found

    def defined(self, name: str) -> Function:
        function = self.module.functions.get(name)
        if function is None or not function.has_body:
            raise EmulatorError(
                f"kernel {self.title} calls {name}, which the module does not define; of the built-in functions "
                f"{' and '.join(BUILTIN)} are supported"
            )
        return function

    def _place(self, space: str) -> int:
        """Offsets for the variables of a space, the dynamic ones (of no size) at the end; the bytes of all others."""
        at = 0
        owners = [("", self._used_module_variables()), *((f.name, f.variables) for f in self.functions)]
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

    def _used_module_variables(self) -> dict[str, Variable]:
        used: set[str] = set()
        for function in self.functions:
            for instruction in function.body:
                if isinstance(instruction, Instruction):
                    used.update(names_in(instruction.operands, Symbol))
        return {name: variable for name, variable in self.module.variables.items() if name in used}

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
        place = lambda b: base + b if b >= 0 else -1  # noqa: E731
        step = Step(base + i, block.end, place(block.after), tuple(place(t) for t in block.targets))
        step.instructions = list(block.instructions)
        emit = Emitter(self, function)
        emit.lines.append(f"def block_{step.number}(m):")
        emit.line("w = m.where")
        for instruction in block.instructions:
            emit.instruction(instruction, opcodes.LOWER)
        if block.meets:
            step.meets = members(emit, block.meets, step.number)
            step.site = emit.site_of(block.meets)
        emit.finish(step, block)
        if block.terminator:
            step.instructions.append(block.terminator)
        self.steps.append(step)
        self.lines += emit.lines + emit.extra

    def _register_tables(self) -> dict[str, list[list[tuple[str, str]]]]:
        """{"u4": [[(name in the source, code), ...] for each register of 4 bytes], ...}"""
        views: dict[str, list] = {}
        for full, code in sorted(self.views):
            views.setdefault(full, []).append((f"r{self.numbers[full]}_{code}", code))
        tables: dict[str, list] = {}
        for named in views.values():
            code = named[0][1]
            tables.setdefault("b1" if code == "b1" else f"u{code[1]}", []).append(named)
        return tables

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

    def own_line(self, location: tuple[int, int]) -> int:
        """The line in the file that the kernel stands in, 0 for code from elsewhere."""
        file, line = location
        return line if file == self.main_file else 0

    def source_name(self, location: tuple[int, int]) -> str:
        file, line = location
        name = self.module.files.get(file, "")
        return f"{name.rsplit('/', 1)[-1]}:{line}" if name and line else "no source line"

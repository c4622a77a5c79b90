"""The result of a translation: the record of one kernel, which `execute` runs and `sanitizer`, `counters` and reports
refer to. Nothing here translates or runs anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.emulator.syntax.ptx import Function, Instruction, Module


@dataclass(eq=False)
class Site:
    """An instruction that reports can name (a memory access, a barrier, a collective): where it stands, what it moves."""

    name: str
    ptx_line: int
    source: str  # "file.cu:12"
    line: tuple[int, int]  # (file number, line)
    space: str  # global, shared, local, const, param, generic
    code: str  # element type in memory: u1, i2, ...
    size: int  # bytes of an element
    count: int = 1  # elements: 1, 2, 4
    number: int = 0  # position among the sites of the kernel

    @property
    def bytes(self) -> int:
        return self.size * self.count

    @property
    def shift(self) -> int:
        """log2 of `size`."""
        return self.size.bit_length() - 1


@dataclass(frozen=True)
class CallTo:
    """One function that a call may reach, where calls need more than to copy arguments and results.

    first: its first block; passed, taken, returned: names of the functions that copy the arguments, fetch the results, and hand the
    fetched results on; saved: the function whose vectors the call must not change, as it may come back to it, "" if it cannot;
    frame: name of the vector of frames of the callee, "" if it has none, and their bytes.
    """

    first: int
    passed: str
    taken: str
    returned: str
    saved: str
    frame: str
    frame_bytes: int


@dataclass
class TranslatedBlock:
    """A basic block in the list of all blocks of a kernel and of the functions it calls, as the scheduler needs it.

    `end` says how lanes leave the block; its values and what `targets` and `after` then mean stand at `cfg.BasicBlock`.
    """

    number: int
    end: str
    after: int
    targets: tuple[int, ...]
    callee: int = -1
    callees: dict[int, CallTo] = field(default_factory=dict)  # of a call through a pointer or into a recursion: by function address
    function: str = ""
    site: Any = None  # the Site of its barrier, collective or trap; None for a block without one
    meets_warpgroup: bool = False  # whether the four warps of a warpgroup meet, in place of the lanes of a warp
    meets: str = ""  # name of the function that gives the member mask of a collective, "" if none
    offers: str = ""  # name of the function that gives its operand, where lanes at different places may execute it together
    arrives_only: bool = False  # bar.arrive
    aligned: bool = True
    reduction: tuple = ()  # (operation, name of the register) of bar.red
    instructions: list[Instruction] = field(default_factory=list)


class PythonLine(NamedTuple):
    """One line of the generated source, and the PTX instruction that it was written for (None: the block's frame)."""

    text: str
    instruction: Instruction | None


class SourceFiles:
    """The CUDA source files that a module's `.loc` directives refer to, from the point of view of one kernel."""

    def __init__(self, module: Module, entry: Function):
        self.names = module.files
        located = (i.source[0] for i in entry.body if isinstance(i, Instruction) and i.source[0])
        self.main = next(located, 0)

    def own_line(self, location: tuple[int, int]) -> int:
        """Return the line in the file that the kernel stands in, 0 for code from another file."""
        file, line = location
        return line if file == self.main else 0

    def describe(self, location: tuple[int, int]) -> str:
        """Return a location as "file.cu:12"."""
        file, line = location
        name = self.names.get(file, "")
        return f"{name.rsplit('/', 1)[-1]}:{line}" if name and line else "no source line"


@dataclass(eq=False)
class TranslatedKernel:
    """One kernel, ready to run: its blocks, its Python source compiled, and where its variables lie.

    The source is made once per kernel. `execute.machine` binds the names in it to vectors of the width that a launch needs.
    """

    name: str
    title: str  # what reports call the kernel
    entry: Function
    module: Module
    files: SourceFiles
    basic_blocks: list[TranslatedBlock]
    lines: list[PythonLine]
    bytecode: CodeType
    sites: list[Site]
    constants: dict[str, object]  # name in the source -> constant or function
    registers: dict[str, list[list[tuple[str, str]]]]  # storage type -> for each register its (name in the source, type)
    register_names: dict[str, str]  # "r7" -> "%f3", or "function/%f3" outside of the kernel itself
    specials: set[str]  # special registers that are read: "%tid.x"
    lane_params: dict[tuple[str, str], tuple[int, int]]  # (function, call parameter) -> (number, bytes per lane)
    params: dict[str, int]  # kernel parameter -> offset in param_buffer
    param_buffer: np.ndarray
    offsets: dict[tuple[str, str], int]  # (function or "", variable) -> offset in shared or local memory
    static_shared: int  # bytes per block
    reserved_shared: int  # bytes per block besides, behind the dynamic ones, of which groups of several warps make use
    local_bytes: int  # bytes per thread
    stack_start: int  # the first of them that frames take, of functions that recur
    held: int  # registers that products of a warpgroup hold
    frames: dict[str, str]  # function that recurs -> name of the vector of where its frames begin
    states: dict[str, list[str]]  # function that recurs -> names of all its vectors

"""The names in the generated Python source of one kernel, and what each stands for.

    k3      a constant, a function or a Site           r7_f4   register number 7, seen as float32
    q0_u4   the bytes of a call parameter, per lane    p_u4    the bytes of the kernel's own parameters
    s_tid_x a special register (here %tid.x)           m, g    the Lanes of the block, of a guarded instruction; w: `where=`

All blocks of a kernel share one `Names`; the Emitter of each block asks it for names, `translate` reads it out.
"""

from __future__ import annotations

from tinygan_kernels.emulator.syntax.ptx import Function, Instruction

from .kernel import Site, SourceFiles


class Names:
    """The bindings of one kernel's generated source, filled while its blocks are translated."""

    def __init__(self, title: str, files: SourceFiles):
        self.title, self.files = title, files
        self.constants: dict[str, object] = {}
        self.sites: list[Site] = []
        self.specials: set[str] = set()
        self.lane_params: dict[tuple[str, str], tuple[int, int]] = {}
        self._bound: dict = {}
        self._numbers: dict[tuple[str, str], int] = {}  # (function, register) -> its number
        self._views: set[tuple[tuple[str, str], str]] = set()  # ((function, register), NumPy type it is seen as)

    def bind(self, value, key=None) -> str:
        """Return the name of a constant or function. Values with equal keys (by default: one object) share a name."""
        key = key if key is not None else id(value)
        if key not in self._bound:
            self._bound[key] = f"k{len(self._bound)}"
            self.constants[self._bound[key]] = value
        return self._bound[key]

    def register(self, function: Function, name: str, code: str) -> str:
        """Return the name of a register's vector, seen as the NumPy type `code`."""
        full = (function.name, name)
        number = self._numbers.setdefault(full, len(self._numbers))
        self._views.add((full, code))
        return f"r{number}_{code}"

    def lane_param(self, function: Function, name: str) -> tuple[str, int]:
        """Return (name in the source, bytes a lane) of a call parameter of a device function."""
        variables = {v.name: v for v in (*function.params, *function.returns, *function.variables.values())}
        size = variables[name].size
        number, _ = self.lane_params.setdefault((function.name, name), (len(self.lane_params), size))
        return f"q{number}", size

    def site(self, ins: Instruction, space: str, code: str, size: int, count: int) -> Site:
        """Make the Site of an instruction that moves `count` elements of `size` bytes in a state space."""
        source = self.files.describe(ins.source)
        site = Site(ins.name, ins.ptx_line, source, ins.source, space, code, size, count, len(self.sites))
        self.sites.append(site)
        return site

    def register_tables(self) -> dict[str, list[list[tuple[str, str]]]]:
        """Return {"u4": [[(name in the source, code), ...] for each register of 4 bytes], ...}."""
        views: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for full, code in sorted(self._views):
            views.setdefault(full, []).append((f"r{self._numbers[full]}_{code}", code))
        tables: dict[str, list[list[tuple[str, str]]]] = {}
        for named in views.values():
            code = named[0][1]
            tables.setdefault("b1" if code == "b1" else f"u{code[1]}", []).append(named)
        return tables

    def register_names(self, entry: Function) -> dict[str, str]:
        """Return {"r7": "%f3"}: the PTX registers behind the numbers, with their function's name outside of `entry`."""
        return {
            f"r{number}": name if function == entry.name else f"{function}/{name}"
            for (function, name), number in self._numbers.items()
        }

"""The names in the generated Python source of one kernel, and what each stands for.

    r7_f4    register number 7, seen as float32         s_tid_x  a special register (here %tid.x)
    q0_u4    the bytes of a call parameter, per lane    p_u4     the bytes of the kernel's own parameters
    k3       a constant                                 site5    a Site, the sixth of the kernel
    np_add   NumPy's function                           integers_popc  a function of semantics/integers.py
    ptx_cvt_rn_f32_s32  a function made for one instruction
    frame2   where the variables in local memory of a function that recurs begin, per lane
    m, g     the Lanes that run the block, and those for which the guard of an instruction holds; w is what `where=` takes

All blocks of a kernel share one `Names`; the Emitter of each block asks it for names, `translate` reads it out.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

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
        self.frames: dict[str, str] = {}  # function that recurs -> name of the vector of where its frames begin
        self.held: dict[tuple[str, str], int] = {}  # (function, register) that products of a warpgroup hold -> its number
        self._bound: dict = {}
        self._repeats: Counter[str] = Counter()
        self._numbers: dict[tuple[str, str], int] = {}  # (function, register) -> its number
        self._views: set[tuple[tuple[str, str], str]] = set()  # ((function, register), NumPy type it is seen as)

    def bind(self, value, key=None, ins: Instruction | None = None) -> str:
        """Return the name of a constant or function. Values with equal keys (by default: one object) share a name.

        ins: the instruction that is translated, by which a function without a name of its own is called.
        """
        key = key if key is not None else id(value)
        if key not in self._bound:
            name = first = self._name_for(value, ins)
            while name in self.constants:
                self._repeats[first] += 1
                name = f"{first}_{self._repeats[first] + 1}"
            self._bound[key] = name
            self.constants[name] = value
        return self._bound[key]

    def _name_for(self, value, ins: Instruction | None) -> str:
        """Choose a name that tells what the value is, and that nothing which `execute.machine` binds can have."""
        if isinstance(value, Site):
            return f"site{value.number}"
        if isinstance(value, np.ufunc):
            return f"np_{value.__name__}"
        if not callable(value) or isinstance(value, type):
            return f"k{len(self.constants)}"
        if "<" in value.__qualname__:  # a lambda, or a function defined inside of another
            return "ptx_" + re.sub(r"\W", "_", ins.name if ins else "function")
        return f"{value.__module__.rsplit('.', 1)[-1]}_{value.__name__}"

    def register(self, function: Function, name: str, code: str) -> str:
        """Return the name of a register's vector, seen as the NumPy type `code`."""
        full = (function.name, name)
        number = self._numbers.setdefault(full, len(self._numbers))
        self._views.add((full, code))
        return f"r{number}_{code}"

    def frame(self, function: Function) -> str:
        """Return the name of the vector that holds where a function's variables in local memory begin, per lane."""
        return self.frames.setdefault(function.name, f"frame{len(self.frames)}")

    def state_of(self, function: str) -> list[str]:
        """Return the names of all vectors that belong to a function, which a call of it may not share with another call of it."""
        views: dict[int, str] = {}
        for full, code in sorted(self._views):
            if full[0] == function:
                views.setdefault(self._numbers[full], f"r{self._numbers[full]}_{code}")
        parameters = [f"q{number}_u1" for (owner, _), (number, _) in self.lane_params.items() if owner == function]
        return [*views.values(), *parameters, *(name for owner, name in self.frames.items() if owner == function)]

    def lane_param(self, function: Function, name: str) -> tuple[str, int]:
        """Return (name in the source, bytes per lane) of a call parameter of a device function."""
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

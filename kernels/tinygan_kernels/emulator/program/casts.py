"""dynamic_cast in host code: __dynamic_cast of the Itanium C++ ABI (2.9.7), over the tables of virtual functions in the PTX.

NVRTC writes those tables and calls, and not the descriptions of classes by which they are answered. So the bases of classes are
read in the source. Where a class's parts lie follows from the tables: each part that has a table of its own, in the order of the
bases, says how far it is from the beginning of the object (ABI 2.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import NamedTuple

from tinygan_kernels.emulator.syntax.ptx import Immediate, Module

from .classes import Base, Described, described
from .process import HostFault, Process
from .sources import program_headers

_TABLE, _CLASS = "_ZTV", "_ZTI"
_POINTER = 8
_UNCLEAR = "of which the source does not say plainly what its bases are"


class _Part(NamedTuple):
    """A part of an object: its number, its class, how far it is from the beginning, and the numbers of the parts in which it is by
    public bases alone, itself among them. The whole object is number 0.
    """

    number: int
    name: str
    at: int
    inside: tuple[int, ...]


@cache
def exceptions_of_std() -> dict[str, Described]:
    """Return the classes of <stdexcept> and <future>, by their names with std::, as the emulator's headers have them."""
    headers, made = program_headers(), {"std::exception": Described((), True)}
    for name, base in re.findall(r"^HOST_EXCEPTION\((\w+), (\w+|\")", headers["stdexcept"], re.MULTILINE):
        made[f"std::{name}"] = Described((Base(f"std::{'exception' if base == chr(34) else base}", True, False),), True)
    return made | {"std::future_error": Described((Base("std::logic_error", True, False),), True)}


class DynamicCasts:
    """The casts of one run.

    module: the host's PTX; addresses: where its variables lie; declarations: the source, without comments and texts.
    """

    def __init__(self, process: Process, module: Module, addresses: dict[str, int], declarations: str):
        self.process, self.module, self.addresses, self.declarations = process, module, addresses, declarations
        self.classes: dict[str, Described | None] = {}

    def functions(self) -> dict[str, int]:
        """Return {name: address} of the function."""
        return {"__dynamic_cast": self.process.callback(self.cast, "pppl", "p")}

    def cast(self, part: int, static: int, wanted: int, _hint: int) -> int:
        """Return the address of the part of an object that is of another class, 0 where it has none, or more than one.

        part: the address of a part, of the class that `static` describes; wanted: that of the other class's description. Raises
        HostFault for a class that is not understood.
        """
        if not self.classes:
            self.classes.update({**described(self.declarations), **exceptions_of_std()})
        table = int(self.process.load(part, "u8"))
        whole = part + int(self.process.load(table - 2 * _POINTER, "i8"))
        owner = self._variable(_TABLE, table)
        own, other = (self._class(self._variable(_CLASS, at), _CLASS) for at in (static, wanted))
        parts = self._all_parts(self._class(owner, _TABLE), self._distances(owner))
        sources = [p for p in parts if p.name == own and p.at == part - whole]
        around = {p.at for p in parts if p.name == other and any(p.number in source.inside for source in sources)}
        beside = {p.at for p in parts if p.name == other and 0 in p.inside}
        visible = any(0 in source.inside for source in sources)
        found = around or (beside if visible else set())  # (C++ standard, [expr.dynamic.cast])
        return whole + found.pop() if len(found) == 1 else 0

    def _variable(self, prefix: str, address: int) -> str:
        """Return the variable with a prefix that holds an address. Raises HostFault where there is none."""
        for name, variable in self.module.variables.items():
            if name.startswith(prefix) and name in self.addresses and 0 <= address - self.addresses[name] < variable.size:
                return name
        raise HostFault(f"host code: dynamic_cast of what is no object of a class with virtual functions; {self.process.place()}")

    def _class(self, variable: str, prefix: str) -> str:
        """Return the name of a class, without namespaces, of a variable's name. Raises HostFault for a template's."""
        rest, name = variable.removeprefix(prefix).removeprefix("N").removesuffix("E"), ""
        space, rest = ("std::", rest[2:]) if rest.startswith("St") else ("", rest)
        while number := re.match(r"\d+", rest):
            name, rest = rest[number.end() : number.end() + int(number[0])], rest[number.end() + int(number[0]) :]
        if rest or self.classes.get(space + name) is None:
            raise self._refused(f"{space}{name or variable}, {_UNCLEAR}")
        return space + name

    def _refused(self, what: str) -> HostFault:
        how = "give the base class a virtual function that says what an object is"
        return HostFault(f"host code: dynamic_cast with the class {what}: {how}; {self.process.place()}")

    def _distances(self, table: str) -> list[int]:
        """Return how far from the beginning of an object its parts lie that have a table of their own, but the first."""
        values = [v.value if isinstance(v, Immediate) else None for v in self.module.variables[table].initial]
        places = [i for i in range(1, len(values) - 1) if values[i] not in (0, None) and values[i + 1] == 0]
        return [-(int(values[i] or 0) - (1 << 64 if int(values[i] or 0) >> 63 else 0)) for i in places]

    def _all_parts(self, name: str, distances: list[int]) -> list[_Part]:
        """Return the parts of an object of a class. Raises HostFault unless the source says of as many as there are tables."""
        left = iter(distances)
        parts = list(self._parts(name, 0, (), left, count()))
        if next(left, None) is not None:
            raise self._refused(f"{name}, {_UNCLEAR}")
        return parts

    def _parts(
        self, name: str, at: int, around: tuple[int, ...], distances: Iterator[int], numbers: Iterator[int]
    ) -> Iterator[_Part]:
        """Give a class and its bases with virtual functions, in the order of its tables. around: what it is a public base of."""
        number = next(numbers)
        yield _Part(number, name, at, (*around, number))
        first, known = True, self.classes.get(name)
        for base in known.bases if known else ():
            if base.virtual:
                raise self._refused(f"{name}, which has a virtual base")
            if self._has_table(base.name):
                begins = at if first else next(distances, None)
                if begins is None:
                    raise self._refused(f"{name}, {_UNCLEAR}")
                yield from self._parts(base.name, begins, (*around, number) if base.public else (), distances, numbers)
                first = False

    def _has_table(self, name: str) -> bool:
        """Return whether a class has virtual functions. Raises HostFault where the source does not say."""
        known = self.classes.get(name)
        if known is not None:
            return known.virtual or any(self._has_table(base.name) for base in known.bases)
        raise self._refused(f"{name}, {_UNCLEAR}")

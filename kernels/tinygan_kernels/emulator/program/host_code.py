"""The host code of a program, compiled once and loaded for each run of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tinygan_kernels.emulator.syntax.ptx import Instruction, Module

from .late_objects import BEFORE_MAIN
from .lowering import Lowering
from .machine_code import loaded, machine_code
from .symbols import Symbols
from .unwinding import Unwinding


@dataclass(frozen=True)
class HostCode:
    """Machine code that `main` and all that it reaches have become.

    object_file: it, with names in the place of addresses (`symbols.Symbols`); names: these; functions: those that it has; first:
    those of them that run before `main`; sites: the places of its accesses, as `Lowering.sites` has them.
    """

    object_file: bytes
    names: frozenset[str]
    functions: tuple[str, ...]
    first: tuple[str, ...]
    sites: list[tuple[Instruction, int, bool]]

    def load(self, cells: dict[str, int], externs: dict[str, int], addresses: dict[str, int]) -> dict[str, int]:
        """Load the code for a run; return {function: address}.

        cells: `Process.cells()`; externs: the functions of the process; addresses: where variables and kernels lie.
        """
        known = cells | {f"extern.{n}": a for n, a in externs.items()} | {f"at.{n}": a for n, a in addresses.items()}
        engine = loaded(self.object_file, {name: known[name] for name in sorted(self.names)})
        return {name: engine.get_function_address(name) for name in self.functions}


def compiled(
    module: Module, known: Collection[str], externs: Collection[str], place: Callable[[tuple[int, int]], str], catches: bool,
    own_files: set[int],
) -> HostCode:
    """Compile the host code of a program.

    module: its PTX; known, externs, place: as `Lowering` takes them; catches: whether it catches exceptions; own_files: then the
    files whose calls are noted. Raises EmulatorError where it does what host code cannot do here.
    """
    symbols = Symbols()
    made = Lowering(module, known, externs, place, symbols, Unwinding(module, symbols) if catches else None)
    made.own_files = own_files
    first = (BEFORE_MAIN,) if BEFORE_MAIN in module.functions else ()
    code = machine_code(made.ir("main", *first))
    return HostCode(code, frozenset(symbols.names), tuple(f.name for f in made.functions), first, made.sites)

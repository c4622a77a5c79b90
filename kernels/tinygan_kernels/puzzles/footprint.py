"""What one launch did to memory, as the limits of puzzles ask for it: numbers moved, requests, and what a copy overlaps with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.syntax.ptx import Instruction as PtxInstruction
from tinygan_kernels.emulator.translate.kernel import Site, TranslatedKernel
from tinygan_kernels.own.accesses import Instruction, Recorder, merged

NUMBER = 4  # bytes of a float32


@dataclass
class Footprint:
    """The footprint of a launch.

    outputs: how many numbers the launch has to write, and terms: how many multiply-adds it has to carry out (0 where it is no
    product). moved: {(space, operation): how many float32 numbers its threads moved}, operation ld, st, atom or red. warps: how
    many were launched. instructions: executed by warps. copies: cp.async instructions. overlapped: loads from shared memory that
    were executed while a cp.async was under way. found: {instruction: its requests and worst request}.
    """

    outputs: int
    terms: int = 0
    moved: dict[tuple[str, str], float] = field(default_factory=dict)
    warps: int = 0
    instructions: int = 0
    copies: int = 0
    overlapped: int = 0
    found: dict[Any, Instruction] = field(default_factory=dict)
    partings: dict[Any, Any] = field(default_factory=dict)

    def numbers(self, space: str, *operations: str) -> float:
        """Return how many numbers were moved to or from a space by these operations."""
        return sum(self.moved.get((space, operation), 0.0) for operation in operations)

    def accesses(self, space: str) -> list[Instruction]:
        """Return the memory instructions on a space, those of an unrolled loop taken together, the one with most to gain first."""
        return sorted((i for i in merged(self.found.values()) if i.space == space), key=lambda i: -i.excess)


class FootprintObserver(Recorder):
    """Observes a launch and keeps its footprint."""

    def __init__(self, kernel: TranslatedKernel, footprint: Footprint) -> None:
        super().__init__(kernel, footprint.found, footprint.partings)
        self.footprint = footprint
        self._open = False  # whether copies were issued that no group holds yet
        self._groups: list[bool] = []  # groups that nobody has waited for, the oldest first: whether there are copies in them

    def launched(self, shape_warps: int) -> None:
        super().launched(shape_warps)
        self.footprint.warps += shape_warps

    def block(self, number: int, lanes: Lanes) -> None:
        super().block(number, lanes)
        instructions = self.kernel.basic_blocks[number].instructions
        self.footprint.instructions += lanes.warps * len(instructions)
        for instruction in instructions:
            if instruction.opcode == "cp":
                self._copy(instruction)
            elif instruction.opcode == "ld" and "shared" in instruction.modifiers and (self._open or any(self._groups)):
                self.footprint.overlapped += 1

    def _copy(self, instruction: PtxInstruction) -> None:
        """Follow a copy, the end of a group of copies, or a wait for all groups but some."""
        if "commit_group" in instruction.modifiers:
            self._groups, self._open = [*self._groups, self._open], False
        elif "wait_all" in instruction.modifiers:
            self._groups, self._open = [], False
        elif "wait_group" in instruction.modifiers:
            running = int(getattr(instruction.operands[0], "value", 0))
            self._groups = self._groups[-running:] if running else []
        else:
            self.footprint.copies += 1
            self._open = True

    def access(self, site: Site, space: str, address: np.ndarray, lanes: Lanes, operation: str) -> None:
        super().access(site, space, address, lanes, operation)
        moved, key = self.footprint.moved, (space, operation)
        moved[key] = moved.get(key, 0.0) + lanes.count * site.bytes / NUMBER

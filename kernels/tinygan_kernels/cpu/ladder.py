"""A ladder: all the ways that the CPU backend has to compute one kernel, each a rung, and the choice of one for a launch.

Rungs are numbered from the one that takes every shape to the more special ones. Where no version is forced, a launch takes the
highest rung that suits its shapes and pays; a forced version takes that rung, or raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tinygan_kernels.cpu.runtime.stages import Pipeline
from tinygan_kernels.shapes import ContractError


class Problem(Protocol):
    """A launch of a kernel that has a ladder. version: the number of the rung that is forced, or None."""

    version: int | None

    def __str__(self) -> str:
        """Return the kernel and the shapes, for messages."""


@dataclass(frozen=True)
class Rung:
    """One way to compute a kernel.

    suits(problem): whether this way can compute it at all. pays(problem): whether it is taken, where it suits and no version is
    forced, before the rungs below it. bind(problem): the computation, prepared. rule: the bound that judges it, as
    `verification.bounds` names it (for a convolution without the kernel's name before it); "" for the kernel's own bound.
    lacks: what the processor does not have and this way needs, so that it suits nothing; "" where it has all.
    """

    number: int
    title: str
    suits: Callable[[Any], bool]
    pays: Callable[[Any], bool]
    bind: Callable[[Any], Pipeline]
    rule: str = ""
    lacks: str = ""


def choose(rungs: Sequence[Rung], problem: Problem) -> Rung:
    """Return the rung that a launch takes. rungs: in the order of their numbers; the first one suits everything and pays.

    Raises ContractError where the version that `problem` forces does not suit it. There is no falling back to another rung: whoever
    forces a version wants to see that code run, and would measure or verify another one without being told.
    """
    if problem.version is None:
        return next(rung for rung in reversed(rungs) if rung.pays(problem) and rung.suits(problem))
    wanted = rungs[problem.version - 1]
    if not wanted.suits(problem):
        able = ", ".join(str(rung.number) for rung in rungs if rung.suits(problem))
        raise ContractError(
            f"cpu: version {wanted.number} ({wanted.title}) does not suit {problem}; versions that do: {able}; "
            "without a forced version the backend chooses by itself"
        )
    return wanted

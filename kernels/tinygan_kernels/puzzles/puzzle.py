"""What a puzzle is: its task, skeletons to start from, a picture, hints, and by what an answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import Kernel
from tinygan_kernels.own.host import Sizes
from tinygan_kernels.verification.bounds import bound
from tinygan_kernels.verification.cases import Case

from .limits import Limit
from .picture import Picture

Arrays = Sequence[np.ndarray]
Formula = Callable[..., Any]  # of inputs and states in float64, and the parameters by name; an array, or a tuple of them
Bound = Callable[..., Arrays]  # of (inputs and states, expected outputs), and the parameters: the allowed error of each element


@dataclass(frozen=True)
class Verdict:
    """A judgement: whether a puzzle is solved, and sentences that say what was seen, or what is wrong and where to look.

    printed: the end of what the file printed while it was judged.
    """

    passed: bool
    message: str
    printed: str = ""

    def __str__(self) -> str:
        return f"{'solved.' if self.passed else 'not yet.'} {self.message}"

    __repr__ = __str__


@dataclass(frozen=True)
class Mistake:
    """A usual mistake that is known by its numbers. outputs: what it gives; told: what is said to it.

    slack: how far from these numbers a kernel may be besides its bound, where the mistake loses digits. partly: whether a NaN of
    these numbers stands for what cannot be known.
    """

    outputs: Formula
    told: str
    slack: float = 0.0
    partly: bool = False


@dataclass(frozen=True, kw_only=True)
class Puzzle:
    """One puzzle.

    name: as the command line takes it. title: the task in a line. task: the formula and what is asked for, in a few sentences.
    kernel: what is asked for, a kernel of the contract or one like it; fixed: values of its parameters; sizes: what a launch line
    may name, where the contract does not say. skeletons: by suffix, .cu and .py, the file to begin with, which compiles and is
    wrong. hints: from a nudge to nearly the solution. cases(): the calls on which values are judged, with the sanitizer: small
    ones, at the edges of tiles. measured(): the call whose cost the limits are about, and terms: how many multiply-adds it has.
    formula, allowed: the meaning and the bound where the contract has neither. mistakes: those that are known by their numbers.
    derivative: for a kernel that computes one, the loss whose slope it is. praise: what a solution has shown.
    """

    name: str
    title: str
    task: str
    kernel: Kernel
    skeletons: Mapping[str, str]
    picture: Picture
    hints: tuple[str, ...]
    cases: Callable[[], Sequence[Case]]
    measured: Callable[[], Case]
    limits: tuple[Limit, ...]
    mistakes: tuple[Mistake, ...]
    praise: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    sizes: Sizes | None = None
    formula: Formula | None = None
    allowed: Bound | None = None
    derivative: Derivative | None = None
    terms: int = 0

    def expected(self, case: Case) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return (what is right, how far from it an output may be) for each output of a call, in float64."""
        exact = [np.array(a, np.float64) for a in (*case.inputs, *case.states)]
        with np.errstate(all="ignore"):
            right = as_list((self.formula or getattr(reference, self.kernel.name))(*exact, **case.params))
            limits = (self.allowed(exact, right, **case.params) if self.allowed
                      else bound(self.kernel.name, exact, right, np.float32, **case.params))  # fmt: skip
        return right, [np.asarray(limit) for limit in limits]


@dataclass(frozen=True)
class Derivative:
    """How a kernel that computes a derivative is compared with differences of the loss.

    loss(*inputs, **params): a number, of the inputs in float64. of: the place of the input in which the kernel's only output is the
    slope. case(): the call, of inputs at which the loss has a slope. what: what the kernel is to compute, such as "d loss / d s".
    """

    loss: Callable[..., float]
    of: int
    case: Callable[[], Case]
    what: str


def as_list(values: Any) -> list[np.ndarray]:
    """Return an array, a number or a tuple of them as a list of arrays."""
    return [np.asarray(v) for v in (values if isinstance(values, tuple) else (values,))]


def bound_like(name: str) -> Bound:
    """Return the bound of a kernel of the contract, for a puzzle's kernel that computes the same under other names."""
    return lambda exact, right, **params: bound(name, exact, right, np.float32, **params)

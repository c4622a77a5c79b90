"""What an exercise is: its task, a skeleton to start from, and a judge of what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """A judgement: whether the exercise is solved, and a sentence that says why, or what is wrong.

    printed: the end of what the file printed while it was judged, warnings included.
    """

    passed: bool
    message: str
    printed: str = ""

    def __str__(self) -> str:
        return f"{'solved.' if self.passed else 'not yet.'} {self.message}"

    __repr__ = __str__


class Wrong(Exception):
    """What was written is wrong; the message says in a sentence what is, and where to look."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    name: as the command line takes it. title: the task in a line. function: the name that the file has to define. skeleton: the
    file to start from. judge(given): looks at what the file defines under that name, and raises Wrong. praise: what a solution has
    shown.
    """

    name: str
    title: str
    function: str
    skeleton: str
    judge: Callable[[Any], None]
    praise: str

    def verdict(self, given: Any) -> Verdict:
        """Judge a function, or a value, of one's own. What the function raises goes on, but for NotImplementedError."""
        try:
            self.judge(given)
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        except NotImplementedError:
            return Verdict(False, f"{self.function} is not written yet: it raises NotImplementedError")
        return Verdict(True, self.praise)


Usual = Sequence[tuple[Callable[..., Any], str]]  # usual mistakes: a function that makes it, and the sentence that answers it


def compare(
    given: Callable[..., Any], right: Callable[..., Any], usual: Usual, draws: Sequence[Sequence[Any]], names: Sequence[str] = (),
    rtol: float = 1e-6,
) -> None:
    """Compare a function with the right one on several draws of its arguments. Raises Wrong, with the usual mistake's sentence.

    right and the mistakes return an array, a number, or a tuple of them. names: what the parts of the tuple are called. A mistake
    is recognised where it gives the same numbers on every draw.
    """
    answers = [_parts(given(*_copies(draw)), right(*draw), names) for draw in draws]
    truths = [_listed(right(*draw)) for draw in draws]
    if all(_same(a, b, rtol) for a, b in zip(answers, truths, strict=True)):
        return
    for mistake, sentence in usual:
        with np.errstate(all="ignore"):
            made = [_listed(mistake(*draw)) for draw in draws]
        if all(_same(a, b, rtol) for a, b in zip(answers, made, strict=True)):
            raise Wrong(sentence)
    raise Wrong(_where(answers, truths, names, rtol))


def _copies(draw: Sequence[Any]) -> list[Any]:
    """Return arguments that may be changed in place without changing those that are compared."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in draw]


def _listed(values: Any) -> list[np.ndarray]:
    """Return a number, an array, or a tuple of them as a list of float64 arrays. Raises TypeError, ValueError for other kinds."""
    arrays = [np.asarray(v) for v in (values if isinstance(values, tuple) else (values,))]
    if any(a.dtype.kind not in "biuf" for a in arrays):
        raise TypeError("complex numbers, text and objects are no real numbers")
    return [a.astype(np.float64) for a in arrays]


def _parts(given: Any, right: Any, names: Sequence[str]) -> list[np.ndarray]:
    """Return what a function gave as a list of arrays. Raises Wrong where it is of another kind than what is right."""
    count = len(right) if isinstance(right, tuple) else 1
    if given is None:
        raise Wrong("it returns None: is there a return?")
    if count > 1 and not (isinstance(given, (tuple, list)) and len(given) == count):
        raise Wrong(f"it has to return {count} results ({', '.join(names)}), and returns {_described(given)}")
    try:
        return _listed(tuple(given) if count > 1 else given)
    except (TypeError, ValueError) as error:
        raise Wrong(f"it returns {_described(given)}, where numbers are wanted") from error


def _described(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"one array of shape {given.shape}{'' if given.dtype.kind in 'biuf' else f' and dtype {given.dtype}'}"
    return f"{len(given)} results" if isinstance(given, (tuple, list)) else f"a {type(given).__name__}"


def _same(a: Sequence[np.ndarray], b: Sequence[np.ndarray], rtol: float) -> bool:
    return all(x.shape == y.shape and np.allclose(x, y, rtol=rtol, atol=1e-9, equal_nan=True) for x, y in zip(a, b, strict=True))


Arrays = Sequence[Sequence[np.ndarray]]


def _where(answers: Arrays, truths: Arrays, names: Sequence[str], rtol: float) -> str:
    """Say where an answer differs first from what is right, and by how much."""
    for answer, truth in zip(answers, truths, strict=True):
        for i, (a, b) in enumerate(zip(answer, truth, strict=True)):
            what = names[i] if names else "the result"
            if a.shape != b.shape:
                return f"{what} has shape {a.shape}, it has to be {b.shape}"
            if not np.allclose(a, b, rtol=rtol, atol=1e-9):
                off = np.abs(a - b) / np.maximum(np.abs(b), 1e-9)
                at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(off), np.inf, off))), a.shape)
                place = f"[{', '.join(str(int(n)) for n in at)}]" if at else ""
                return f"{what}{place} is {a[at]:.6g}, numerically it is {b[at]:.6g}; no usual mistake gives these numbers"
    return "the results differ"


def numeric(f: Callable[..., float], arguments: Sequence[np.ndarray], place: int, h: float = 1e-5) -> np.ndarray:
    """Return df/d(argument `place`) by central differences of fourth order, in float64."""
    given = [np.array(a, np.float64) for a in arguments]
    x = given[place]
    slopes = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept, values = x[index], {}
        for n in (-2, -1, 1, 2):
            x[index] = kept + n * h
            values[n] = f(*given)
        x[index] = kept
        slopes[index] = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    return slopes


def options(given: Any, known: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return a dictionary of numbers as it is, each within its limits. Raises Wrong."""
    if not isinstance(given, dict) or set(given) - set(known):
        odd = f"unknown: {', '.join(map(str, set(given) - set(known)))}" if isinstance(given, dict) else f"a {type(given).__name__}"
        raise Wrong(f"it has to be a dictionary with {', '.join(known)}; {odd}")
    for name, value in given.items():
        low, high = known[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise Wrong(f"{name} is {value!r}, it has to be a number between {low:g} and {high:g}")
    return {name: float(value) for name, value in given.items()}

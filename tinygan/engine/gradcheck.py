"""The gradient checker: analytic derivatives against numeric ones, with a report that names the worst element.

f's output is contracted with a random cotangent u (an all-ones one cannot see a permutation), L = <u, f(x)>, and L is
differentiated by central differences at two step sizes, which also see a kink (see differences.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tinygan_kernels.writes import span

from tinygan.engine import ops

from .conversion import described, whole_number
from .differences import POINTS, at_shorter_steps, slopes
from .elsewhere import answers_keywords
from .randomness import generator_of
from .tensor import Tensor, gradients

Moves = Sequence[tuple[Tensor, Any, Any]]  # (tensor, index, direction) of what is moved together
STEP = 2e-4  # of max(|x|, 0.1): truncation and rounding are then both near 1e-12 of the values that are differenced
RTOL = 1e-6  # a VJP that is wrong by 0.1 % is a thousand times out
MAX_ELEMENTS = 24  # of each input, unless told otherwise; larger ones are sampled


class KinkError(ValueError):
    """The function has no derivative near the point that was given, so there is nothing to compare with."""


@dataclass(frozen=True)
class GradcheckComparison:
    """One derivative, analytic and numeric: in an element of an input, or along a random direction in all of them."""

    where: str
    analytic: float
    numeric: float
    allowed: float

    @property
    def error(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def passed(self) -> bool:
        return math.isfinite(self.analytic) and self.error <= self.allowed  # NaN is not, nor is infinity for its infinite scale

    @property
    def share(self) -> float:
        """The error as a share of what is allowed; NaN and infinity count as infinitely wrong."""
        return self.error / self.allowed if math.isfinite(self.error) else math.inf


@dataclass(frozen=True)
class GradcheckReport:
    """The result of gradcheck: whether it `passed`, the `worst` comparison, and all of them. `str` gives it on one line."""

    name: str
    order: int
    comparisons: list[GradcheckComparison] = field(repr=False)

    @property
    def worst(self) -> GradcheckComparison:
        return max(self.comparisons, key=lambda c: c.share)

    @property
    def flat(self) -> bool:
        """True if every derivative is zero, where the check would also pass a VJP that returns nothing."""
        return all(c.analytic == 0 and abs(c.numeric) <= c.allowed for c in self.comparisons)

    @property
    def passed(self) -> bool:
        return bool(self.comparisons) and not self.flat and all(c.passed for c in self.comparisons)

    def __str__(self) -> str:
        head = f"{self.name}, order {self.order}: {'passed' if self.passed else 'FAILED'}, {len(self.comparisons)} derivatives"
        if not self.comparisons:
            return f"{head}; the inputs have no elements, nothing was checked"
        if self.flat:
            return f"{head}; all are zero here, which checks nothing: choose a point where f changes"
        w = self.worst
        return (
            f"{head}; worst at {w.where}: analytic {w.analytic:.12g}, numeric {w.numeric:.12g}, "
            f"difference {w.error:.2e}, allowed {w.allowed:.2e}"
        )


@answers_keywords
def gradcheck(
    f: Callable[..., Tensor], *inputs: Any, order: int = 1, rng: np.random.Generator | int | None = None, name: str = "",
    elements: int = MAX_ELEMENTS,
) -> GradcheckReport:
    """Compare the derivatives of f(*inputs) with numeric ones.

    inputs: float64 tensors, perturbed in place and restored; f may also reach them from elsewhere, as a network does its
    parameters. Numbers, lists and arrays become float64 tensors of the backend `cpu`, or of a tensor's beside them. order 2
    checks the VJP itself as a function of inputs and cotangent. rng draws cotangent and directions or is their seed (default:
    0). elements: how many of each input are checked one by one; a random direction covers the rest.
    Raises KinkError at a kink. Raises ValueError for inputs that are not float64, that were computed from others, that are
    read-only or share memory, and for an f that gives two values for one input. Raises TypeError for what is no tensor and cannot
    become one.
    """
    if isinstance(f, Tensor) or not callable(f):
        raise TypeError(f"gradcheck: f is {described(f)}, it has to be a function that returns a Tensor: gradcheck(f, x)")
    rng, elements = generator_of(0 if rng is None else rng, "gradcheck"), whole_number(elements, "gradcheck: elements", 0)
    inputs = _tensors(inputs)
    _check_inputs(inputs)
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is {order}, it has to be 1 or 2")
    name = name or getattr(f, "__name__", "f")
    _check_function(f, inputs)
    with _requiring_gradients(inputs):
        if order == 1:
            return GradcheckReport(name, 1, _compare(f, inputs, rng, elements))
        vjp, cotangent = _vjp_of(f, inputs, rng)
        with _requiring_gradients([cotangent]):
            return GradcheckReport(name, 2, _compare(vjp, (*inputs, cotangent), rng, elements))


def _tensors(inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """Return the inputs with plain data as float64 tensors of their own; tensors stay what they are. Raises TypeError."""
    backend = next((x.backend for x in inputs if isinstance(x, Tensor)), "cpu")
    return tuple(x if isinstance(x, Tensor) else _tensor(x, i, backend) for i, x in enumerate(inputs))


def _tensor(data: Any, i: int, backend: Any) -> Tensor:
    """Return input i, plain data, as a tensor with memory of its own. Raises TypeError, ValueError, with the input's number."""
    if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
        raise TypeError(f"gradcheck: input {i} is a {type(data).__name__} of tensors; pass each as an argument of its own: "
                        "gradcheck(f, *inputs)")
    try:
        return Tensor(data, backend, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"gradcheck: input {i}: {error}") from None


def _check_inputs(inputs: Sequence[Tensor]) -> None:
    """Refuse inputs of which one element cannot be moved while all others stay. Raises TypeError, ValueError."""
    if not inputs:
        raise TypeError("gradcheck: there are no inputs to differentiate f in; pass them after f: gradcheck(f, x, y)")
    for i, x in enumerate(inputs):
        if x.dtype != np.float64:
            raise ValueError(f"gradcheck: input {i} is {x.dtype}; differences need float64: Tensor(array, dtype=np.float64)")
        if x.parents:
            raise ValueError(f"gradcheck: input {i} was computed from other tensors, which do not move with it; take stop(input)")
        if x.size and (not getattr(x.array.flags, "writeable", True) or _repeats(x.array)):
            raise ValueError(f"gradcheck: input {i} is a read-only or repeated view, whose elements cannot be moved one by one; "
                             "pass a copy: Tensor(x.numpy(), x.backend)")
        for j, other in enumerate(inputs[:i]):
            if x is other or _overlap(x, other):
                raise ValueError(f"gradcheck: inputs {j} and {i} share memory, so one moves with the other; pass copies, or one "
                                 "input that f uses twice")


def _repeats(array: Any) -> bool:
    """Return whether an array has the same memory in several places, as one that was broadcast."""
    return any(n > 1 and stride == 0 for n, stride in zip(array.shape, array.strides, strict=True))


def _overlap(x: Tensor, other: Tensor) -> bool:
    (a, b), (c, d) = span(x.array), span(other.array)
    if not (a < d and c < b):
        return False
    both = isinstance(x.array, np.ndarray) and isinstance(other.array, np.ndarray)
    return bool(np.shares_memory(x.array, other.array)) if both else True  # interleaved views may meet nowhere


def _check_function(f: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
    """Refuse an f that returns no tensor, or two values for one input. Raises TypeError, ValueError."""
    first, second = f(*inputs), f(*inputs)
    if not isinstance(first, Tensor):
        several = "; join several results by ops.concat" if isinstance(first, (list, tuple, dict)) else ""
        raise TypeError(f"gradcheck: f returned a {type(first).__name__}, it has to return one Tensor{several}")
    if first.dtype != np.float64:
        raise ValueError(f"gradcheck: f returned {first.dtype}; differences need float64 throughout")
    if not np.array_equal(first.numpy(), second.numpy(), equal_nan=True):
        raise ValueError("gradcheck: f gives different values for the same input, so it has no derivative to compare with; fix "
                         "the seed of what f draws inside f, or draw it outside; put a layer with a state into eval mode")


@contextmanager
def _requiring_gradients(inputs: Sequence[Tensor]) -> Iterator[None]:
    """Make the inputs require gradients within the `with`."""
    before = [x.requires_grad for x in inputs]
    for x in inputs:
        x.requires_grad = True
    try:
        yield
    finally:
        for x, flag in zip(inputs, before, strict=True):
            x.requires_grad = flag


def _random_like(y: Tensor, rng: np.random.Generator) -> Tensor:
    return ops.as_tensor(rng.standard_normal(y.shape), y)


def _vjp_of(f: Callable[..., Tensor], inputs: Sequence[Tensor], rng: np.random.Generator) -> tuple[Callable[..., Tensor], Tensor]:
    """Return the function (x..., u) -> J(x)^T u, all of it in one vector, and a random u."""

    def vjp(*args: Tensor) -> Tensor:
        *xs, u = args
        parts = gradients(f(*xs), xs, u, create_graph=True, unused="zeros")
        return ops.concat([ops.reshape(part, (part.size,)) for part in parts])

    return vjp, _random_like(f(*inputs), rng)


def _compare(
    f: Callable[..., Tensor], inputs: Sequence[Tensor], rng: np.random.Generator, elements: int
) -> list[GradcheckComparison]:
    """Compare the derivatives of <u, f> with numeric ones, element by element and along one random direction."""
    y = f(*inputs)
    u = _random_like(y, rng)
    # A VJP may be one fused kernel where nobody differentiates it again and ops where somebody does: both have to be right.
    # An input that f does not use has zeros; the numeric derivative shows whether that is so.
    forms = [[g.numpy() for g in gradients(y, inputs, u, create_graph, unused="zeros")] for create_graph in (False, True)]
    weights = u.numpy()
    # rounding of L: every term of <u, f> may be off by an ulp or so, and the differences divide that by h
    noise = 100 * np.finfo(np.float64).eps * max(float(np.abs(weights * y.numpy()).sum()), 1e-30)

    def loss() -> float:
        return float((weights * f(*inputs).numpy()).sum())

    comparisons = []
    for i, (x, *both) in enumerate(zip(inputs, *forms, strict=True)):
        for flat in _elements(x.size, elements, rng):
            index = np.unravel_index(flat, x.shape)
            step = STEP * max(abs(float(x.numpy()[index])), 0.1)
            where = f"input {i}[{', '.join(str(int(k)) for k in index)}]"
            comparisons.append(_derivative(loss, [(x, index, 1.0)], step, [float(g[index]) for g in both], noise, where))
    directions = [(x, ..., rng.standard_normal(x.shape)) for x in inputs if x.size]
    if directions:
        along = [_along(directions, [g for g in form if g.size]) for form in forms]
        comparisons.append(_derivative(loss, directions, STEP * 0.1, along, noise, "a random direction"))
    return comparisons


def _along(directions: Moves, gradient: list[np.ndarray]) -> float:
    with np.errstate(invalid="ignore"):  # infinities of both signs add up to NaN, which does not pass
        return float(sum((g * d).sum() for g, (_, _, d) in zip(gradient, directions, strict=True)))


def _elements(size: int, at_most: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(size) if size <= at_most else np.sort(rng.choice(size, at_most, replace=False))


def _derivative(
    loss: Callable[[], float], moves: Moves, h: float, analytic: Sequence[float], noise: float, where: str
) -> GradcheckComparison:
    """Return the worst comparison of `analytic` with the numeric derivative of L along `moves` ((tensor, index, direction), ...).

    Raises KinkError.
    """
    before = [x.array[index].copy() for x, index, _ in moves]  # elements too: on a GPU they are views

    def at(t: float) -> float:
        for (x, index, direction), value in zip(moves, before, strict=True):
            x.array[index] = value + t * x.backend.asarray(direction)
        return loss()

    try:
        seen, h = at_shorter_steps(lambda step: slopes([at(t * step) for t in POINTS], step), h, noise)
    finally:
        for (x, index, _), value in zip(moves, before, strict=True):
            x.array[index] = value
    numeric, rounding = seen.numeric, noise / h
    if seen.kink(rounding):
        steps = f"slopes {seen.wide:.6g} and {seen.narrow:.6g} at h and h/2"
        raise KinkError(f"gradcheck: f has a kink within {h:.1e} of {where} ({steps}); move the point away from it")
    found = [GradcheckComparison(where, a, numeric, RTOL * max(abs(numeric), abs(a)) + rounding) for a in analytic]
    return max(found, key=lambda c: c.share)

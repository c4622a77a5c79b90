"""Beyond the VJP: a claimed forward derivative, and the derivative of the VJP itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from tinygan.engine.differences import POINTS, Slopes, slopes
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.tensor import Tensor

from .calls import Calls, DerivationInputError, positional_names
from .frameworks import Framework
from .judgement import Judged
from .numeric import Precision, at_steps
from .verdict import RIGHT, UNDECIDED, WRONG, InputVerdict, worst


def forward(judged: Judged, jvp: Callable[..., Any], rng: np.random.Generator) -> InputVerdict:
    """Judge a claimed forward derivative, jvp(*inputs, *tangents), or jvp(inputs, tangents): along a random tangent.

    It is compared with differences of f along the tangent; where the VJP is right, this is also <u, J t> = <J^T u, t>.
    """
    calls = judged.calls
    precision = Precision.of(calls.single)
    tangents = [rng.standard_normal(calls.arrays[i].shape) for i in calls.floats]

    def along(step: float) -> Slopes:
        rows = []
        for t in POINTS:
            point = list(calls.arrays)
            for i, d in zip(calls.floats, tangents, strict=True):
                point[i] = calls.arrays[i] + t * step * d
            rows.append(calls.value(point))
        return slopes(rows, step)

    noise = 100 * precision.eps * np.maximum(np.abs(calls.value(calls.arrays)), 1e-30)
    seen, h = at_steps(along, 0.1 * precision.step, noise, precision)
    noise = noise / h
    inputs, handed = calls.framework.wrapped([a.copy() for a in calls.arrays]), calls.framework.wrapped(tangents)
    names = positional_names(jvp)
    two = names is not None and len(names) == 2 and len(inputs) > 1
    arguments = [tuple(inputs), tuple(handed)] if two else [*inputs, *handed]
    try:
        with np.errstate(all="ignore"):
            given = jvp(*arguments)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise DerivationInputError(
            f"check_derivation: jvp raises {type(error).__name__} when it is called as "
            f"jvp({'inputs, tangents' if two else '*inputs, *tangents'}): {error}"
        ) from error
    parts = list(given) if isinstance(given, (tuple, list)) else [given]
    claimed = np.concatenate([np.asarray(calls.framework.unwrapped(part), np.float64).reshape(-1) for part in parts])
    if claimed.shape != seen.numeric.shape:
        return InputVerdict(
            "jvp",
            WRONG,
            claimed,
            seen.numeric,
            np.zeros(0),
            np.inf,
            None,
            f"jvp returned {claimed.size} numbers, f returns {seen.numeric.size}",
        )
    kinked = seen.kink(noise)
    if kinked.all():
        return InputVerdict(
            "jvp", UNDECIDED, claimed, seen.numeric, np.zeros(0), 0.0, None, "f has a kink on the way along the tangent"
        )
    off = np.abs(claimed - seen.numeric)
    share, where = worst(off, precision.rtol * np.maximum(np.abs(claimed), np.abs(seen.numeric)) + noise, ~kinked)
    return InputVerdict("jvp", RIGHT if share <= 1 else WRONG, claimed, seen.numeric, off, share, where)


def second_order(
    judged: Judged, second: Callable[..., Any] | None, rng: np.random.Generator
) -> tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]:
    """Return the claimed VJP as a function of inputs and cotangent, its claimed VJP, and the arrays to check them at.

    Raises DerivationInputError where there is no second derivative to judge, or the VJP is constant.
    """
    calls = judged.calls
    own = calls.vjp is None and type(calls.framework).own_second is not Framework.own_second
    if second is None and not own:
        raise DerivationInputError(
            "check_derivation: order 2 judges the derivative of the VJP, so it needs one: second=function(*inputs, g, "
            "*directions), the gradient of <directions, vjp> in the inputs and in g; for functions of tinygan, PyTorch and JAX "
            "pass no vjp, and the framework's own is judged"
        )
    if len(calls.floats) != len(calls.arrays):
        raise DerivationInputError("check_derivation: order 2 takes inputs of floats only")
    m = sum(int(np.prod(s)) for s in calls.out_shapes)
    shape = calls.out_shapes[0] if len(calls.out_shapes) == 1 else (m,)
    arrays = [*calls.arrays, rng.standard_normal(shape)]

    def pulled(*given: np.ndarray) -> tuple[np.ndarray, ...]:
        found = calls.claim(list(given[:-1]), np.asarray(given[-1]).reshape(-1))
        return tuple(np.zeros_like(x) if g is None else g for g, x in zip(found, given, strict=False))

    names = [*calls.names, calls.cotangent_name]
    pulled.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])  # type: ignore[attr-defined]
    moved = [a * 1.3 + 0.1 for a in calls.arrays]
    here, there = pulled(*arrays), pulled(*moved, arrays[-1])
    if all(np.array_equal(a, b) for a, b in zip(here, there, strict=True)):
        raise DerivationInputError(
            "check_derivation: the VJP does not depend on the inputs: f is linear in them, so its second derivative is "
            "zero, and order 2 would check nothing; check order 1"
        )

    def claimed(g: Any, *given: np.ndarray) -> Any:
        directions = list(g) if isinstance(g, (tuple, list)) else [g]
        return second(*given, *directions) if second else own_second(given, directions)

    def own_second(given: Sequence[np.ndarray], directions: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        u = calls.cotangents(calls.arrays, np.asarray(given[-1]).reshape(-1))
        found = calls.framework.own_second(calls.f, [x.copy() for x in given[:-1]], u, directions)
        parts = [np.asarray(calls.framework.unwrapped(part)) for part in found or ()]
        in_g = np.concatenate([part.reshape(-1) for part in parts[len(given) - 1 :]])
        return (*parts[: len(given) - 1], in_g.reshape(shape))

    return pulled, claimed, arrays


def second_of_tinygan(calls: Calls, rng: np.random.Generator) -> InputVerdict:
    """Judge the engine's own second derivative of a function of tensors, by gradcheck."""
    backend = calls.framework.wrapped(calls.arrays)[calls.floats[0]].backend
    tensors = [Tensor(calls.arrays[i], backend) for i in calls.floats]

    def of_floats(*xs: Tensor) -> Tensor:
        given: list[Any] = list(calls.arrays)
        for i, x in zip(calls.floats, xs, strict=True):
            given[i] = x
        found: Tensor = calls.f(*given)
        return found

    report = gradcheck(of_floats, *tensors, order=2, rng=rng)
    w = report.worst
    verdict = RIGHT if report.passed else UNDECIDED if report.flat else WRONG
    why = "the VJP does not depend on the inputs: f is linear in them, and its second derivative zero" if report.flat else w.where
    return InputVerdict("order 2", verdict, np.array(w.analytic), np.array(w.numeric), np.array(w.error), w.share, (), why)

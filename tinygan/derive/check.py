"""check_derivation: a function and its claimed gradient, judged, and the mistake named."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygan.engine.conversion import described, whole_number
from tinygan.engine.elsewhere import answers_keywords
from tinygan.engine.randomness import generator_of

from .beyond import forward, second_of_tinygan, second_order
from .calls import CACHES, Calls, DerivationInputError, positional_names, styles_of
from .frameworks import framework_of
from .judgement import Judged, judge
from .report import DerivationReport
from .symbolic import require_sympy, witness
from .verdict import WRONG, InputVerdict

ELEMENTS = 4096  # of each input, up to which every derivative is measured


@answers_keywords
def check_derivation(
    f: Callable[..., Any],
    vjp: Any = None,
    *arrays: Any,
    order: int = 1,
    second: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    cotangent: str | None = None,
    steps: Any = None,
    make: Callable[..., Any] | None = None,
    rng: np.random.Generator | int | None = None,
    elements: int = ELEMENTS,
    name: str = "",
    diagnose: bool = True,
    symbolic: bool = False,
) -> DerivationReport:
    """Judge the claimed gradient of f at the given arrays, input by input, and name the mistake if it is wrong.

    f: a function of the arrays that returns one array or number, or several in a tuple, list or dictionary; of NumPy, tinygan,
    PyTorch or JAX, a class of torch.autograd.Function, a layer.
    vjp: the claimed gradient, vjp(g, *arrays) or vjp(*arrays, g), where g is the
    cotangent dL/df, of f's shape (a tuple for several outputs); or the gradient of an f that returns one number, vjp(*arrays); or
    vjp(g), vjp(g, cache), vjp(g, y, *arrays). It returns one gradient for each input, None for what has none. Which of these it is,
    is told from how many parameters it has and what they are called; `cotangent` ("first", "last", "none", "only", "cache",
    "output") says it. None: the framework's own derivative of f is judged.
    arrays: NumPy arrays, numbers, or tensors of the framework; integers (labels) have no gradient. They are copied.
    order 2: `second(*arrays, g, *directions)`, the claimed derivative of <d, vjp> in the arrays and in g, is judged too; without it
    the framework's own. jvp: a claimed forward derivative, jvp(*arrays, *tangents), which is judged and compared with vjp.
    steps: f's steps, as (name, function) pairs whose parameters are inputs and earlier steps; the mistake is looked for in them.
    make: a function of a Generator that returns inputs of other values or shapes; f is judged at three of them too.
    rng: draws the cotangents, or is their seed (default: 0). elements: of each input, at most this many are measured one by one.
    diagnose: whether to look for the mistake. symbolic: whether to show, for a wrong gradient of a small function of NumPy
    arrays, the right and the claimed derivative in the worst element as formulas, by SymPy (of the extra [derive]).

    Raises TypeError for what is no function, for complex numbers, and for results that are no arrays; DerivationInputError (a
    ValueError) for an f that gives two values for the same input, that fails, or whose gradients are too few or too many;
    ModuleNotFoundError for symbolic=True without SymPy.
    """
    began = time.perf_counter()
    if vjp is not None and not callable(vjp):
        vjp, arrays = None, (vjp, *arrays)
    if not callable(f):
        raise TypeError(f"check_derivation: f is {described(f)}, it has to be a function: check_derivation(f, vjp, x)")
    if order not in (1, 2):
        raise ValueError(f"check_derivation: order is {order!r}, it has to be 1 or 2")
    if symbolic:
        require_sympy()
    rng, elements = (
        generator_of(0 if rng is None else rng, "check_derivation"),
        whole_number(elements, "check_derivation: elements", 0),
    )
    if make is not None and not arrays:
        arrays = _made(make, rng)
    calls, style = _calls(f, vjp, arrays, cotangent)
    name = name or getattr(f, "__name__", type(f).__name__)
    judged = _judged(calls, style, rng, elements, steps, diagnose)
    report = _reported(judged, name, symbolic)
    if make is not None:
        for _ in range(3):
            if report.passed:
                calls, _ = _calls(f, vjp, _made(make, rng), cotangent)
                calls.style = judged.calls.style
                report = _reported(judge(calls, rng, elements, steps, diagnose), name, symbolic)
    if jvp is not None:
        report.checks.append(forward(judged, jvp, rng))
    if order == 2:
        report.checks.extend(_second(judged, second, rng, elements))
    return DerivationReport(report.name, report.inputs, report.checks, report.notes, order, time.perf_counter() - began)


def _reported(judged: Judged, name: str, symbolic: bool) -> DerivationReport:
    """Return the report, with formulas beside each wrong gradient if asked."""
    if symbolic:
        judged.verdicts = [
            replace(v, witness=witness(judged, k)) if v.verdict == WRONG else v for k, v in enumerate(judged.verdicts)
        ]
    return judged.report(name)


def assert_gradients(f: Callable[..., Any], vjp: Any = None, *arrays: Any, **options: Any) -> None:
    """Assert that f's claimed gradient is right, for tests. Takes what check_derivation takes.

    Raises AssertionError with the report, its mistake named; and what check_derivation raises.
    """
    __tracebackhide__ = True  # pytest shows the caller's line instead of this one
    report = check_derivation(f, vjp, *arrays, **options)
    if not report.passed:
        raise AssertionError(str(report))


def _second(judged: Judged, second: Callable[..., Any] | None, rng: np.random.Generator, elements: int) -> list[InputVerdict]:
    """Judge the derivative of the claimed VJP, as a function of the inputs and of the cotangent."""
    calls = judged.calls
    if second is None and calls.framework.name == "tinygan" and calls.vjp is None:
        return [second_of_tinygan(calls, rng)]
    function, claimed, arrays = second_order(judged, second, rng)
    inner = check_derivation(function, claimed, *arrays, rng=rng, elements=elements, cotangent="first")
    return [replace(v, name=f"order 2, {v.name}") for v in inner.inputs]


def _made(make: Callable[..., Any], rng: np.random.Generator) -> tuple[Any, ...]:
    made = make(rng)
    return tuple(made) if isinstance(made, (tuple, list)) else (made,)


def _calls(f: Any, vjp: Any, arguments: Sequence[Any], cotangent: str | None) -> tuple[Calls, list[str]]:
    """Return f and vjp as functions of arrays, and the ways in which vjp may have to be called."""
    if not arguments:
        raise TypeError(
            "check_derivation: there are no inputs to differentiate f in; pass them after the gradient: "
            "check_derivation(f, vjp, x, y)"
        )
    framework, function = framework_of(f, vjp, arguments)
    if vjp is None and type(framework).__name__ == "Framework":
        raise TypeError("check_derivation: the claimed gradient is missing; pass it after f: check_derivation(f, vjp, x)")
    arrays = [_input(framework.unwrapped(x), i) for i, x in enumerate(arguments)]
    calls = Calls(function, vjp, framework, arrays)
    if not calls.floats:
        raise TypeError("check_derivation: all inputs are integers, which have no gradient; pass floats: x.astype(float)")
    names = positional_names(vjp)
    if cotangent == "cache" or (names is not None and len(names) == 2 and names[1].lower() in CACHES):
        calls.style = "cache"  # f returns (output, cache)
    _cast(calls)
    _compare_twice(calls)
    if cotangent is not None:
        if cotangent not in ("first", "last", "none", "only", "cache", "output", "spread", "first-floats"):
            raise ValueError(
                f"check_derivation: cotangent is {cotangent!r}; it says where vjp takes g: 'first', 'last', 'none', 'only', "
                "'cache', 'output', 'spread' or 'first-floats'"
            )
        return calls, [cotangent]
    styles = ["first"] if vjp is None else styles_of(vjp, f, len(arrays), len(calls.floats), len(calls.out_shapes))
    if positional_names(vjp) is None and len(calls.out_shapes) == 1 and calls.out_shapes[0] == ():
        styles.append("none")
    return calls, styles


def _input(value: Any, i: int) -> np.ndarray:
    array = np.array(value)
    if array.dtype.kind == "c":
        raise TypeError(
            f"check_derivation: input {i} is complex ({array.dtype}); only real functions are checked: pass real and "
            "imaginary part as two inputs"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"check_derivation: input {i} is {described(value)}, it has to be an array of numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DerivationInputError(f"check_derivation: input {i} holds NaN or infinity, where f has no derivative")
    return array


def _cast(calls: Calls) -> None:
    """Turn float32 inputs into float64, which differences want, unless f does not take them or computes in float32 anyway."""
    if all(calls.arrays[i].dtype == np.float64 for i in calls.floats):
        calls.value(calls.arrays)
        if calls.single:
            calls.note(
                "the numbers are float32: f returns float32, so the tolerances are those of float32; cast to float64 inside f "
                "for a sharper check"
            )
        return
    before = calls.arrays
    calls.arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in before]
    try:
        calls.value(calls.arrays)
        wide = not calls.single
    except (DerivationInputError, TypeError):
        wide = False
    if wide:
        calls.note(
            "the numbers are float32: they were cast to float64 for the check; cast them where you compute differences yourself"
        )
        return
    calls.arrays, calls.single = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in before], True
    calls.note(
        "the numbers are float32: f does not compute in float64, so the tolerances are those of float32; cast to float64 for a "
        "sharper check"
    )


def _compare_twice(calls: Calls) -> None:
    first, second = calls.value(calls.arrays), calls.value(calls.arrays)
    if first.shape != second.shape or not np.array_equal(first, second, equal_nan=True):
        raise DerivationInputError(
            "check_derivation: f gives different values for the same input, so it has no derivative to compare with: fix its seed, "
            "np.random.default_rng(0) inside f, or draw the numbers outside and pass them as an input"
        )
    if not first.size:
        raise DerivationInputError("check_derivation: f returned no elements, so there is nothing to differentiate")
    if not np.isfinite(first).all():
        raise DerivationInputError(
            "check_derivation: f is NaN or infinite at this point, where it has no derivative; choose another point"
        )
    if not calls.single and _looks_single(first):
        calls.single = True
        calls.note(
            "the numbers are float32: f rounds to float32 inside, so the tolerances are those of float32; cast to float64 for a "
            "sharper check"
        )


def _looks_single(y: np.ndarray) -> bool:
    """Return whether all of f's values are float32 numbers, and none a short one such as 1.5, which every function may give."""
    return bool(np.array_equal(y.astype(np.float32), y) and np.any(y * 2.0**12 != np.rint(y * 2.0**12)) and y.size > 2)


def _judged(calls: Calls, styles: list[str], rng: np.random.Generator, elements: int, steps: Any, diagnose: bool) -> Judged:
    """Judge with the first way of calling vjp; where that fails or is wrong, with the others, as a right gradient stays right."""
    found: Judged | None = None
    failed: Exception | None = None
    for style in styles:
        calls.style, calls.misshapen = style, {}
        if style == "none" and (len(calls.out_shapes) != 1 or np.prod(calls.out_shapes[0]) != 1):
            failed = failed or DerivationInputError(
                f"check_derivation: vjp takes {len(calls.arrays)} arguments, so it would be the gradient of a single number, and f "
                f"returns shape {calls.out_shapes[0]}; write vjp(g, {', '.join(calls.names)}) with the cotangent g"
            )
            continue
        try:
            judged = judge(calls, rng, elements, steps, False)
        except (DerivationInputError, TypeError) as error:
            failed = failed or error
            continue
        if judged.passed:
            return judged
        found = found or judged
    if found is None:
        assert failed is not None
        raise failed
    calls.style = found.style
    if not diagnose:
        return found
    return judge(calls, rng, elements, steps, True)

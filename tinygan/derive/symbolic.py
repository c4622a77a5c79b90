"""The right and the claimed derivative in one element as formulas, by SymPy: a witness that one can check with a pencil.

The recorded steps of f are replayed with symbols instead of numbers, and SymPy differentiates the result. The claimed formula is
what vjp computes from the same symbols. Both are then evaluated at the point: the right formula has to give the measured
derivative, the claimed one the number that vjp returned; otherwise it is not shown.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from tinygan_kernels.extras import install

from .calls import Calls
from .graph import Node
from .trace import Tape, Traced, Untraceable, filled, noted, trace

if TYPE_CHECKING:
    from .judgement import Judged

MOST_ELEMENTS = 64  # of all inputs together
MOST_OPERATIONS = 400  # of a formula that is shown
SIMPLIFIED = 80  # operations up to which a formula is simplified, which takes long for long ones
TOLERANCE = 1e-5  # between a formula and its number, as a share of the largest element of the gradient


class NoFormula(Exception):
    """A function or its gradient has no formula that one could read; the message says why."""


def require_sympy() -> None:
    """Raise ModuleNotFoundError, which says what to install, where SymPy is missing."""
    if importlib.util.find_spec("sympy") is None:
        raise ModuleNotFoundError(f"check_derivation: symbolic=True needs SymPy; run: {install('derive')}")


def witness(judged: Judged, k: int) -> tuple[str, ...]:
    """Return lines with the right and the claimed derivative in the worst element of input number k, as formulas.

    If no formula can be given, a single line says why.
    """
    verdict = judged.verdicts[k]
    if verdict.where is None or judged.claimed[k] is None:
        return ("no formula: the claimed gradient has no element to compare",)
    try:
        return _witness(judged, k, verdict.where)
    except NoFormula as why:
        return (f"no formula: {why}",)


def _witness(judged: Judged, k: int, where: tuple[int, ...]) -> tuple[str, ...]:
    import sympy

    calls = judged.calls
    if sum(a.size for a in calls.arrays) > MOST_ELEMENTS:
        raise NoFormula(f"the inputs have more than {MOST_ELEMENTS} elements; pass smaller ones")
    symbols = [_symbols(name, a) for name, a in zip(calls.names, calls.arrays, strict=True)]
    one = calls.style == "none"
    cotangents = [np.full(s, sympy.Integer(1), object) if one else _symbols(_cotangent(calls, i), np.zeros(s))
                  for i, s in enumerate(calls.out_shapes)]  # fmt: skip
    outputs = _of_f(calls, symbols)
    place = symbols[calls.floats[k]][where]
    pairs = [(g, y) for gs, ys in zip(cotangents, outputs, strict=True) for g, y in zip(gs.flat, ys.flat, strict=True)]
    right = _simple(sum((g * sympy.diff(y, place) for g, y in pairs if place in y.free_symbols), sympy.Integer(0)))
    _check(right, judged, k, where, symbols, cotangents, judged.numeric.gradients[k])
    lines = [f"right:   dL/d{place} = {_told(right)}"]
    try:
        claimed = _simple(_claimed(calls, symbols, cotangents, k)[where])
        _check(claimed, judged, k, where, symbols, cotangents, np.asarray(judged.claimed[k]))
        lines.append(f"claimed: dL/d{place} = {_told(claimed)}")
    except NoFormula as why:
        return (*lines, f"no formula of the claimed derivative: {why}")
    ratio, wrong = _simple(claimed / right) if right != 0 else None, _simple(claimed - right)
    if ratio is not None and not ratio.free_symbols and ratio != 0:
        return (*lines, f"claimed = {ratio} times right")
    return (*lines, f"claimed - right = {_told(wrong)}") if wrong.count_ops() <= claimed.count_ops() else tuple(lines)


def _symbols(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of symbols named after their places, such as x[0, 1]. An array that holds no floats is returned as it is."""
    import sympy

    if array.dtype.kind != "f":
        return array
    found = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        found[index] = sympy.Symbol(f"{name}[{', '.join(map(str, index))}]" if index else name, real=True)
    return found


def _cotangent(calls: Calls, i: int) -> str:
    return calls.cotangent_name if len(calls.out_shapes) == 1 else f"{calls.cotangent_name}{i}"


# ---- f and vjp with symbols -----------------------------------------------------------------------------------------------------


def _of_f(calls: Calls, symbols: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of f as arrays of expressions. Raises NoFormula."""
    if calls.framework.name != "NumPy":
        raise NoFormula(f"f works on arrays of {calls.framework.name}, and formulas are made of NumPy's functions only")
    graph = _quietly(lambda: trace(calls.f, calls.arrays, calls.floats, calls.names))
    values = _computed(graph.nodes, {at: symbols[i] for at, i in zip(graph.inputs, calls.floats, strict=True)})
    return [values[at] for at in graph.outputs]


def _claimed(calls: Calls, symbols: Sequence[np.ndarray], cotangents: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Return what vjp gives for input number k, as an array of expressions. Raises NoFormula."""
    if calls.vjp is None or calls.style not in ("first", "last", "none", "first-floats", "spread"):
        raise NoFormula("vjp takes other arguments than the inputs and g" if calls.vjp else "the framework computes it")
    tape = Tape()
    leaves: dict[int, np.ndarray] = {}

    def leaf(symbol: np.ndarray, value: np.ndarray) -> Any:
        if symbol.dtype != object:
            return value.copy()
        made = tape.leaf(value.copy(), "input", "")
        leaves[made.at] = symbol
        return made

    inputs = [leaf(s, a) for s, a in zip(symbols, calls.arrays, strict=True)]
    rng = np.random.default_rng(0)  # these values only choose between branches
    g = [] if calls.style == "none" else [leaf(s, rng.standard_normal(s.shape)) for s in cotangents]
    one: Any = (tuple(g) if calls.several else g[0]) if g else None
    handed = {
        "first": [one, *inputs],
        "last": [*inputs, one],
        "spread": [*g, *inputs],
        "none": inputs,
        "first-floats": [one, *(inputs[i] for i in calls.floats)],
    }[calls.style]
    part = _quietly(lambda: calls.one_for_each(noted(calls.vjp, tape)(*handed))[k])
    return _computed(tape.nodes, leaves)[part.at] if isinstance(part, Traced) else _exact(np.asarray(part, np.float64))


def _quietly(noting: Callable[[], Any]) -> Any:
    """Return the result of a function that notes steps. Raises NoFormula for whatever goes wrong."""
    try:
        with np.errstate(all="ignore"):
            return noting()
    except Untraceable as error:
        raise NoFormula(str(error)) from error
    except Exception as error:  # the functions are the user's, and arrays of another class may end them in any error
        raise NoFormula(f"the function cannot be recorded step by step ({type(error).__name__})") from error


def _computed(nodes: Sequence[Node], leaves: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Return the values of noted steps as arrays of expressions. leaves: the symbols of each input, by the number of its node."""
    smooth, branching = _smooth(), _branching()
    values: list[np.ndarray] = []
    for i, node in enumerate(nodes):
        if i in leaves or node.call is None:
            values.append(leaves[i] if i in leaves else _exact(node.value))
            continue
        function = node.about.get("function")
        if function is None:
            raise NoFormula(f"{node} returns several arrays, of which no formulas are made")
        parents, numbers = [values[p] for p in node.parents], [nodes[p].value for p in node.parents]
        try:
            args, named = _exact_in(filled(node.about["args"], parents)), filled(node.about["named"], parents)
            if node.about["name"] in branching:
                pairs = zip(args, filled(node.about["args"], numbers), strict=True)
                values_of = filled(node.about["named"], numbers)
                found = branching[node.about["name"]](*pairs, **{key: (_exact_in(named[key]), values_of[key]) for key in named})
            else:
                found = smooth.get(node.about["name"], function)(*args, **named)
        except Exception as error:  # NumPy's functions fail on expressions in many ways
            raise NoFormula(f"{node} has no formula here") from error
        values.append(np.asarray(found, object))
    return values


def _exact_in(given: Any) -> Any:
    """Return arguments with exact numbers in the place of floats."""
    if type(given) in (tuple, list):
        return type(given)(_exact_in(part) for part in given)
    if isinstance(given, (float, np.floating)) or (isinstance(given, np.ndarray) and given.dtype.kind == "f"):
        made = _exact(np.asarray(given))
        return made[()] if made.ndim == 0 else made
    return given


def _exact(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as SymPy's: short fractions exactly, the others as decimals."""
    import sympy

    found = np.empty(numbers.shape, object)
    for index in np.ndindex(numbers.shape):
        number = float(numbers[index])
        short = Fraction(number).limit_denominator(1000) if math.isfinite(number) else None
        exact = short is not None and float(short) == number
        found[index] = sympy.Rational(short.numerator, short.denominator) if short is not None and exact else sympy.Float(number)
    return found


def _smooth() -> dict[str, Callable[..., Any]]:
    """Return SymPy's versions of NumPy functions that do not work on expressions, by NumPy's name."""
    import sympy

    same = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt")
    others = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"}
    log, exp, two = sympy.log, sympy.exp, sympy.Integer(2)
    composed = {"log1p": lambda x: log(1 + x), "expm1": lambda x: exp(x) - 1, "log2": lambda x: log(x) / log(2),
                "log10": lambda x: log(x) / log(10), "exp2": lambda x: two**x, "square": lambda x: x**2}  # fmt: skip
    made = composed | {name: getattr(sympy, name) for name in same} | {name: getattr(sympy, of) for name, of in others.items()}
    found: dict[str, Callable[..., Any]] = {name: np.frompyfunc(function, 1, 1) for name, function in made.items()}
    found["logaddexp"] = np.frompyfunc(lambda a, b: log(exp(a) + exp(b)), 2, 1)
    return found | {"var": _variance, "std": lambda *given, **named: found["sqrt"](_variance(*given, **named))}


def _variance(x: np.ndarray, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    import sympy

    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    count = math.prod(x.shape[a] for a in axes)
    off = x - np.asarray(np.sum(x, axis=axes, keepdims=True)) / sympy.Integer(count)
    return np.sum(off * off, axis=axes, keepdims=keepdims) / sympy.Integer(count - ddof)


def _branching() -> dict[str, Callable[..., Any]]:
    """Return functions that choose, by name. Each argument is a pair (expressions, numbers); the numbers decide what is taken."""

    def larger(a: Any, b: Any) -> Any:
        return np.where(a[1] >= b[1], a[0], b[0])

    def smaller(a: Any, b: Any) -> Any:
        return np.where(a[1] <= b[1], a[0], b[0])

    def clip(x: Any, low: Any = (None, None), high: Any = (None, None), **named: Any) -> Any:
        low, high = named.get("a_min", named.get("min", low)), named.get("a_max", named.get("max", high))
        x = x if low[0] is None else (larger(x, low), np.maximum(x[1], low[1]))
        return x[0] if high[0] is None else smaller(x, high)

    def size(x: Any) -> Any:
        return np.where(x[1] >= 0, x[0], -x[0])

    def largest(x: Any, axis: Any = (None, None), keepdims: Any = (False, False)) -> Any:
        return _extreme(np.argmax, x, axis[1], keepdims[1])

    def smallest(x: Any, axis: Any = (None, None), keepdims: Any = (False, False)) -> Any:
        return _extreme(np.argmin, x, axis[1], keepdims[1])

    return {
        "maximum": larger, "fmax": larger, "minimum": smaller, "fmin": smaller, "clip": clip, "absolute": size, "fabs": size,
        "sign": lambda x: _exact(np.sign(x[1])), "max": largest, "amax": largest, "min": smallest, "amin": smallest,
    }  # fmt: skip


def _extreme(which: Callable[..., Any], x: tuple[np.ndarray, np.ndarray], axis: Any, keepdims: bool) -> np.ndarray:
    """Return the expressions of the elements that `which`, argmax or argmin, chooses along an axis, along several, or along all."""
    axes = tuple(range(x[0].ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(a % x[0].ndim for a in axes)
    rest = [a for a in range(x[0].ndim) if a not in axes]
    expressions, numbers = (np.transpose(a, (*rest, *axes)).reshape(*(a.shape[r] for r in rest), -1) for a in x)
    taken = np.take_along_axis(expressions, np.expand_dims(which(numbers, axis=-1), -1), -1)[..., 0]
    return np.expand_dims(taken, axes) if keepdims else taken


# ---- what is shown --------------------------------------------------------------------------------------------------------------


def _check(
    formula: Any, judged: Judged, k: int, where: tuple[int, ...], symbols: Sequence[np.ndarray], cotangents: Sequence[np.ndarray],
    expected: np.ndarray,
) -> None:
    """Raise NoFormula unless the formula gives expected[i][where] for each random cotangent i. expected: (cotangents, ...)."""
    if formula.count_ops() > 20 * MOST_OPERATIONS:
        raise NoFormula("the formula is too long")
    scale = float(np.abs(expected).max())
    for draw, u in enumerate(judged.numeric.cotangents):
        numbers = dict(zip(_flat(symbols), _numbers(judged.calls.arrays), strict=True))
        if judged.calls.style != "none":
            numbers |= dict(zip(_flat(cotangents), u.tolist(), strict=True))
        factor = float(u[0]) if judged.calls.style == "none" else 1.0
        try:
            value = factor * float(formula.subs(numbers))
        except (TypeError, ValueError) as error:
            raise NoFormula("the formula has no value at this point") from error
        if not abs(value - expected[draw][where]) <= TOLERANCE * scale:
            raise NoFormula("the formula does not give the computed number; perhaps the code branches on its inputs")


def _flat(arrays: Sequence[np.ndarray]) -> list[Any]:
    return [symbol for a in arrays if a.dtype == object for symbol in a.flat]


def _numbers(arrays: Sequence[np.ndarray]) -> list[float]:
    return [float(number) for a in arrays if a.dtype.kind == "f" for number in a.flat]


def _simple(formula: Any) -> Any:
    """Return a formula simplified, if it is short enough for that."""
    import sympy

    return sympy.simplify(formula) if formula.count_ops() <= SIMPLIFIED else formula


def _told(formula: Any) -> str:
    """Return a formula as text; parts that a long one repeats get names after the word "where". Raises NoFormula."""
    import sympy

    used = {symbol.name for symbol in formula.free_symbols}
    fresh = (symbol for symbol in sympy.numbered_symbols("t") if symbol.name not in used)
    parts, (short,) = sympy.cse(formula, fresh) if formula.count_ops() > SIMPLIFIED // 2 else ([], [formula])
    if sum(part.count_ops() for _, part in parts) + short.count_ops() > MOST_OPERATIONS:
        raise NoFormula(f"the formula has more than {MOST_OPERATIONS} operations; pass smaller inputs")
    named = ", ".join(f"{name} = {part}" for name, part in parts)
    return f"{short}{f', where {named}' if named else ''}"

"""Extremes: infinities, NaN, the largest, smallest normal and subnormal numbers and signed zeros, for every kernel.

What is right there is judged by `extreme_judges`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS
from tinygan_kernels.shapes import ACTIVATIONS

from .cases import Case

Arrays = tuple[np.ndarray, ...]
Made = Iterator[tuple[str, Sequence[Any], Sequence[Any], dict[str, Any]]]  # label, inputs, states, parameters


def values(dtype: Any) -> np.ndarray:
    """Return the extremes of a dtype with either sign, numbers at which functions overflow, a few ordinary ones, and a NaN."""
    info = np.finfo(dtype)
    tiny, small, most = float(info.tiny), float(info.smallest_subnormal), float(info.max)
    over = [0.0, small, 3 * small, tiny / 2, tiny, 1.5 * tiny, most / 4, most / 2, most, np.inf]
    usual = [1e-30, 1e-20, 1e-8, 0.3, 0.5, 1, 1.5, 2, 3, 10, 20, 87, 88, 89, 104, 709, 710, 746, 1e4, 1e19, 1e30]
    positive = np.array([*over, *usual], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def extreme_cases(kernel: str, dtype: Any = np.float32, large: bool = False) -> Iterator[Case]:
    """Yield the cases of a kernel at the extremes of a dtype, then those that move the same numbers to other places.

    A kernel that is not elementwise has none until _MAKERS has a function for it.
    large: also arrays of the size that versions made for large ones need.
    """
    maker = _MAKERS.get(kernel, _elementwise if KERNELS[kernel].elementwise else None)
    if maker is None:
        return
    dtype = np.dtype(dtype)
    made = [*maker(kernel, dtype), *(_LARGE[kernel](kernel, dtype) if large and kernel in _LARGE else ())]
    for label, inputs, states, params in made:
        arrays = tuple(tuple(np.asarray(a, dtype) for a in group) for group in (inputs, states))
        yield Case(kernel, f"extremes, {label}", *arrays, params, "extremes")
        if kernel in MOVABLE:
            yield Case(kernel, f"other places, {label}", *arrays, params, "places")


# ---- elementwise, reductions and moves ----------------------------------------------------------------------------------------

_PARAMS: dict[str, list[dict[str, Any]]] = {
    "power": [{"exponent": e} for e in (2, 0.5, -1, -0.5, -2, 3, -3, 0, 1, 1 / 3, 2.5)],
    "leaky_relu": [{"slope": s} for s in (0.0, 0.2, 1.0, -0.5)],
    "leaky_relu_grad": [{"slope": s} for s in (0.0, 0.2, 1.0)],
}
_BETWEEN = {"tanh_grad": (-1, 1), "sigmoid_grad": (0, 1)}  # what the second input may be: values of tanh and of sigmoid


def _elementwise(kernel: str, dtype: np.dtype) -> Made:
    inputs = _together(*[_allowed(kernel, at, dtype) for at in range(len(KERNELS[kernel].inputs))])
    for params in _PARAMS.get(kernel, [{}]):
        yield "every value" + "".join(f", {name} {value:.3g}" for name, value in params.items()), inputs, (), params


def _allowed(kernel: str, at: int, dtype: np.dtype) -> np.ndarray:
    """Return the extremes that an input may be; for the last of three inputs only some."""
    found = values(dtype)
    if kernel in _BETWEEN and at == 1:
        low, high = _BETWEEN[kernel]
        return found[~((found < low) | (found > high))]
    return found if at < 2 else found[::7]


def _together(*each: np.ndarray) -> list[np.ndarray]:
    """Return arrays in which every element of one meets every element of the others."""
    return [a.reshape(-1) for a in np.meshgrid(*each, indexing="ij")]


def _reduction(kernel: str, dtype: np.dtype) -> Made:
    """Yield rows of ordinary numbers with one extreme each, at every place in turn, and rows of two that cancel or overflow."""
    rng, found = np.random.default_rng(1), values(dtype)
    x = rng.standard_normal((len(found), 37)).astype(dtype)
    x[np.arange(len(found)), np.arange(len(found)) % 37] = found
    most, last = np.finfo(dtype).max, np.zeros((4, 37), dtype)
    last[0, [3, 20]], last[1, [5, 36]], last[2, [0, 1]], last[3] = (np.inf, -np.inf), (most, most), (most, -most), -0.0
    x = np.concatenate([x, last])
    yield "along rows", (x,), (), {"axes": (1,)}
    yield "down columns", (x.T.copy(),), (), {"axes": (0,)}
    yield "of a view", (x[:, ::-1],), (), {"axes": (1,)}
    for at in (0, 17, 36):
        for value in (np.inf, -np.inf, np.nan, most):
            alone = rng.standard_normal(37).astype(dtype)
            alone[at] = value
            yield f"of all numbers, {value:.3g} at {at}", (alone,), (), {"axes": (0,)}


def _fill(kernel: str, dtype: np.dtype) -> Made:
    for value in values(dtype)[::3]:
        yield f"{value:.3g}", (), (np.zeros(37, dtype),), {"value": float(value)}
    yield "nan", (), (np.zeros(37, dtype),), {"value": float("nan")}


# ---- products -----------------------------------------------------------------------------------------------------------------


def _spoilt(a: np.ndarray, *at: tuple[int, float]) -> np.ndarray:
    """Return a copy with these values at these places, counted along the flat array, modulo its size."""
    made = a.copy()
    for place, value in at:
        made.flat[place % a.size] = value
    return made


def _pairs(a: np.ndarray, b: np.ndarray, padded: bool = False) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield factors of a product at the extremes. padded: a is padded with zeros, which may not meet an infinity of b."""
    info = np.finfo(a.dtype)
    infinite = _spoilt(a, (7, np.inf), (a.size // 2, np.nan), (a.size - 2, -np.inf), (a.size // 3, 0.0))
    yield "infinities and NaN in the first factor", infinite, b
    if not padded:
        spoilt = _spoilt(b, (5, np.inf), (b.size // 2, np.nan), (b.size - 3, -np.inf))
        yield "in the second", a, spoilt
        yield "in both", infinite, spoilt
        yield "an infinity that meets zeros", np.zeros_like(a), _spoilt(b, (b.size // 3, np.inf))
    most, some = info.max, (np.arange(a.size) % 3 == 0).reshape(a.shape)
    yield "the largest numbers", np.where(some, np.copysign(most, a), a), b
    yield "sums near the largest", (a / np.abs(a).max(initial=1) * most / 64).astype(a.dtype), np.sign(b) / 8
    yield "subnormal times large", (a / 8 * info.tiny).astype(a.dtype), (b * (1e-3 / float(info.tiny))).astype(b.dtype)
    yield "products that underflow", (a * info.tiny * 8).astype(a.dtype), (b / 64).astype(b.dtype)
    yield "signed zeros", np.copysign(np.zeros_like(a), a), b


def _products(sizes: Sequence[tuple[int, int, int]]) -> Callable[[str, np.dtype], Made]:
    def made(kernel: str, dtype: np.dtype) -> Made:
        rng = np.random.default_rng(2)
        for at, (m, n, k) in enumerate(sizes):
            trans_a, trans_b = bool(at & 1), bool(at & 2)
            a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
            a = np.where(rng.random(a.shape) < 0.3, a, dtype.type(0)) if m * n * k > 1 << 20 else a
            for label, one, two in islice(_pairs(a, b), 3 if a.size > 1 << 14 else None):
                factors = (one.T if trans_a else one).copy(), (two.T if trans_b else two).copy()
                yield f"{m}x{k} @ {k}x{n}, {label}", factors, (), {"trans_a": trans_a, "trans_b": trans_b}

    return made


# images, height, width, c_in, c_out, filter, stride, pad
_CONVOLUTIONS = ((1, 5, 6, 3, 5, 3, 1, 1), (2, 6, 4, 17, 16, 2, 2, 0), (1, 8, 8, 2, 19, 4, 2, 1), (2, 4, 4, 3, 5, 4, 1, 0))
_LARGE_CONVOLUTIONS = ((17, 16, 17, 33, 32, 4, 2, 1),)


def _convolutions(forms: Sequence[tuple[int, ...]]) -> Callable[[str, np.dtype], Made]:
    def made(kernel: str, dtype: np.dtype) -> Made:
        rng = np.random.default_rng(3)
        for form in forms:
            n, height, width, c_in, c_out, side, stride, pad = form
            oh, ow = ((size + 2 * pad - side) // stride + 1 for size in (height, width))
            x, w, g = (rng.standard_normal(s).astype(dtype) for s in (
                (n, height, width, c_in), (side, side, c_in, c_out), (n, oh, ow, c_out)))
            window: dict[str, Any] = {"stride": stride, "pad": pad}
            first, second, more = {
                "conv2d": (x, w, {}), "conv2d_dx": (g, w, {"height": height, "width": width}),
                "conv2d_dw": (x, g, {"kh": side, "kw": side}),
            }[kernel]
            found = _pairs(first, second, padded=pad > 0 or kernel == "conv2d_dx")
            for label, one, two in islice(found, 3 if x.size > 1 << 14 else None):
                yield f"{n}x{height}x{width}x{c_in} to {c_out}, {label}", (one, two), (), window | more

    return made


# ---- loss and normalisation ---------------------------------------------------------------------------------------------------


def _bce_logits(kernel: str, dtype: np.dtype) -> Made:
    s, t = _together(values(dtype), np.array([0.0, 0.5, 1.0, np.finfo(dtype).tiny], dtype))
    yield "every logit", (s, t), (), {}
    for value in values(dtype):
        for label in (0.0, 0.25, 1.0):
            yield f"one logit of {value:.3g}, label {label}", (np.array([0.3, value, -2.0], dtype), np.full(3, label)), (), {}


def _columns(dtype: np.dtype, rows: int = 19) -> np.ndarray:
    """Return ordinary numbers (rows, values), with one extreme in each column, at every row in turn."""
    found = values(dtype)
    x = np.random.default_rng(4).standard_normal((rows, len(found))).astype(dtype)
    x[np.arange(len(found)) % rows, np.arange(len(found))] = found
    return x


def _batch_norm(kernel: str, dtype: np.dtype) -> Made:
    x = _columns(dtype)
    one = np.ones(x.shape[1], dtype)
    yield "one in each channel", (x, one * 2, one / 4), (), {"eps": 1e-5}
    yield "channels of one value", (np.broadcast_to(values(dtype), x.shape).copy(), one, one), (), {"eps": 1e-5}
    yield "scales and shifts", (np.random.default_rng(5).standard_normal(x.shape), values(dtype), one), (), {"eps": 1e-5}
    yield "shifts", (np.random.default_rng(6).standard_normal(x.shape), one, values(dtype)), (), {"eps": 1e-5}


def _batch_norm_grad(kernel: str, dtype: np.dtype) -> Made:
    rng, g = np.random.default_rng(7), _columns(dtype)
    x, one = rng.standard_normal(g.shape), np.ones(g.shape[1], dtype)
    yield "gradients", (g, x, one, one / 8, one / 2), (), {}
    yield "numbers", (x, g, one, one / 8, one / 2), (), {}
    yield "scales", (x, x + 1, values(dtype), one / 8, one / 2), (), {}


# ---- fused bias and activation ------------------------------------------------------------------------------------------------

_ACTS = [(act, slope) for act in ACTIVATIONS for slope in ((0.0, 0.2) if act == "leaky_relu" else (0.0,))]


def _bias_act(kernel: str, dtype: np.dtype) -> Made:
    found = values(dtype)
    for act, slope in _ACTS:
        x, params = np.broadcast_to(found[:, None], (len(found), 31)).copy(), {"act": act, "slope": slope}
        yield f"{act} {slope}, every value and bias", (x, found[::2][:31].copy()), (), params


def _bias_act_grad(kernel: str, dtype: np.dtype) -> Made:
    g = _columns(dtype)
    for act, slope in _ACTS:
        y = np.random.default_rng(8).uniform(0 if act == "sigmoid" else -1, 1, g.shape).astype(dtype)
        params = {"act": act, "slope": slope}
        yield f"{act} {slope}, gradients", (g, y), (), params
        ends = _columns(dtype)
        ends = np.where((ends < (0 if act == "sigmoid" else -1)) | (ends > 1), np.sign(ends), ends)
        ends = np.maximum(ends, 0) if act == "sigmoid" else ends
        yield f"{act} {slope}, outputs", (y + 1, ends), (), params


# ---- updates ------------------------------------------------------------------------------------------------------------------


def _sgd(kernel: str, dtype: np.dtype) -> Made:
    g, theta = _together(values(dtype), values(dtype)[::3])
    for rate, sign in product((1e-3, 0.0, float(np.finfo(dtype).max)), (1, -1)):
        yield f"rate {rate:.3g}, sign {sign:+}", (g, np.array(rate)), (theta,), {"sign": sign}


def _momentum(kernel: str, dtype: np.dtype) -> Made:
    g, velocity, theta = _together(values(dtype), values(dtype)[::5], values(dtype)[::9])
    for rate, mu in ((1e-3, 0.9), (0.5, 0.0), (1e-3, 1.0)):
        yield f"rate {rate}, mu {mu}", (g, np.array(rate)), (theta, velocity), {"sign": -1, "mu": mu}


def _adam(kernel: str, dtype: np.dtype) -> Made:
    found, info = values(dtype), np.finfo(dtype)
    squares = np.array([0.0, info.smallest_subnormal, info.tiny, 1e-30, 0.01, 1e30, info.max, np.inf, np.nan], dtype)
    means = np.array([0.0, -0.0, info.tiny, -0.3, 1e30, info.max, -np.inf, np.nan], dtype)
    g, m, v = _together(found, means, squares)
    theta = np.full(g.shape, 0.25, dtype)
    theta[::11] = np.resize(found, theta[::11].shape)
    for (beta1, beta2), eps, steps in product(((0.5, 0.999), (0.0, 0.9), (0.9, 0.0)), (1e-8, 0.0, 1e-20, 1e38), (0, 7)):
        params = {"sign": -1, "beta1": beta1, "beta2": beta2, "eps": eps}
        yield f"betas {beta1}, {beta2}, eps {eps}, {steps} steps", (g, np.array(1e-3)), (theta, m, v, np.array(steps)), params


def _ema(kernel: str, dtype: np.dtype) -> Made:
    x, average = _together(values(dtype), values(dtype))
    for decay in (0.999, 0.0, 1.0):
        yield f"decay {decay}", (x,), (average,), {"decay": decay}


# ---- the table ----------------------------------------------------------------------------------------------------------------

_MAKERS: dict[str, Callable[[str, np.dtype], Made]] = {
    "sum": _reduction, "max": _reduction, "fill": _fill,
    "matmul": _products(((17, 19, 18), (5, 33, 7), (16, 16, 16), (9, 20, 3))),
    **dict.fromkeys(("conv2d", "conv2d_dx", "conv2d_dw"), _convolutions(_CONVOLUTIONS)),
    "bce_logits": _bce_logits, "batch_norm": _batch_norm, "batch_norm_grad": _batch_norm_grad,
    "bias_act": _bias_act, "bias_act_grad": _bias_act_grad,
    "sgd": _sgd, "momentum": _momentum, "adam": _adam, "ema": _ema,
}  # fmt: skip
# of large arrays only the pairs that a version made for them could get wrong in a way of its own
_LARGE: dict[str, Callable[[str, np.dtype], Made]] = {
    "matmul": _products(((130, 270, 300),)),
    **dict.fromkeys(("conv2d", "conv2d_dx", "conv2d_dw"), _convolutions(_LARGE_CONVOLUTIONS)),
}
_FUSED_ROWS = ("bias_act",)  # rows are moved, not single numbers
MOVABLE = (
    *(name for name, kernel in KERNELS.items() if kernel.elementwise), "sgd", "momentum", "adam", "ema", *_FUSED_ROWS,
)  # the kernels whose elements may lie anywhere

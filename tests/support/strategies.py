"""Hypothesis strategies for launches: sizes, memory layouts and values at which kernels go wrong, for every kernel of the contract.

Sizes come from {0, 1, tile-1, tile, tile+1, 2 tile+3}: a kernel that forgets a ragged edge fails on most of them. Strided kernels
get views with permuted, negative, gapped and zero strides, the gaps filled with NaN. Hypothesis draws the structure, which
shrinks; a generator with a drawn seed fills in the numbers. A kernel without a form of its own here draws among its hard cases
(verification/cases.py), so a new kernel needs no line in this file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from tinygan_kernels import KERNELS, reference
from tinygan_kernels.shapes import ACTIVATIONS, conv_size
from tinygan_kernels.verification.cases import cases

TILE = 16
IMAGE_TILE = 4  # images have four sides to multiply
DTYPES = (np.float32, np.float64)
LAYOUTS = ("contiguous", "permuted", "reversed", "gaps", "zero")
MARGIN = 0.1  # how far from a kink "smooth" values stay


class Case(NamedTuple):
    """A launch: inputs in the order of the contract, old values of what is updated in place, parameters."""

    inputs: tuple[np.ndarray, ...]
    states: tuple[np.ndarray, ...]
    params: dict[str, Any]


# ---- structure ----------------------------------------------------------------------------------------------------------------


def sizes(tile: int = TILE, least: int = 0) -> st.SearchStrategy[int]:
    """Draw a side of an array, of at least `least`, at which a loop over tiles of that side goes wrong."""
    return st.sampled_from([n for n in (1, 0, tile - 1, tile, tile + 1, 2 * tile + 3) if n >= least])


def shapes(least_ndim: int = 0, most_ndim: int = 3, least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a shape whose sides are `sizes`."""
    return st.lists(sizes(least=least), min_size=least_ndim, max_size=most_ndim).map(tuple)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Draw a random generator."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def arranged(array: np.ndarray, layout: str) -> np.ndarray:
    """Return the values of `array` in another memory layout; for "zero", each row is its first number, seen many times."""
    if array.ndim == 0 or layout == "contiguous":
        return array.copy()
    if layout == "permuted":
        return np.ascontiguousarray(array.T).T
    if layout == "reversed":
        return np.flip(np.flip(array).copy())
    if layout == "zero":
        return np.broadcast_to(array[..., :1].copy(), array.shape)
    gapped = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), np.nan, array.dtype)
    gapped[..., 1::2] = array
    return gapped[..., 1::2]


@st.composite
def broadcasting_pairs(draw):
    """Draw two shapes that broadcast against each other; either may be the smaller one."""
    whole = draw(shapes())
    part = [draw(st.sampled_from((n, 1))) for n in whole][draw(st.integers(0, len(whole))) :]
    return draw(st.permutations((whole, tuple(part))))


# ---- values -------------------------------------------------------------------------------------------------------------------


def normal(rng, shape, dtype=np.float64, scale=1.0) -> np.ndarray:
    """Return numbers from N(0, scale^2)."""
    return np.asarray(rng.normal(size=shape) * scale, dtype)


def off_zero(x: np.ndarray) -> np.ndarray:
    """Move each value away from 0 by MARGIN, on its own side."""
    return np.asarray(x + np.where(x < 0, -MARGIN, MARGIN), x.dtype)


def with_zeros(rng, x: np.ndarray) -> np.ndarray:
    """Return x with about a fifth of its numbers set to 0, where rectifiers have their kink."""
    return np.where(rng.random(x.shape) < 0.2, np.zeros((), x.dtype), x)


def distinct(rng, shape, dtype) -> np.ndarray:
    """Return values of normal scale, any two at least MARGIN / 10 apart: no ties for a maximum to break."""
    n = int(np.prod(shape))
    return np.asarray((rng.permutation(n).reshape(shape) - n / 2) * (MARGIN / 10), dtype)


def _ranged(kernel, rng, shape, dtype, scale, smooth) -> np.ndarray:
    """Return values on which `kernel` is defined; unless `smooth`, some lie at its kinks and some far out."""
    x = normal(rng, shape, dtype, 1.0 if smooth else scale)
    if kernel in ("log", "sqrt"):
        return np.exp(np.clip(x, -60, 60)) + (x.dtype.type(MARGIN) if smooth else 0)
    if kernel == "exp":
        return np.clip(x, -85, 85)
    if kernel in ("abs", "sign", "leaky_relu"):
        return off_zero(x) if smooth else with_zeros(rng, x)
    return x


# ---- cases, one function for each form of kernel ------------------------------------------------------------------------------


def _scale(draw) -> float:
    return draw(st.sampled_from((1.0, 1e-3, 30.0)))


def _unary(draw, kernel, rng, dtype, smooth):
    x = _ranged(kernel, rng, draw(shapes()), dtype, _scale(draw), smooth)
    return Case((x,), (), {"slope": draw(st.sampled_from((0.0, 0.2, 1.0)))} if kernel == "leaky_relu" else {})


def _power(draw, kernel, rng, dtype, smooth):
    """Whole exponents take negative numbers too; all keep x away from 0, where x^-1 ends."""
    exponent = draw(st.sampled_from((2, -1, -0.5, 0, 1, 3, -2, 0.5, 1.7, 1 / 3)))
    x = off_zero(normal(rng, draw(shapes()), dtype, 1.0 if smooth else _scale(draw)))
    return Case((x if exponent == int(exponent) else np.abs(x),), (), {"exponent": exponent})


def _binary(draw, kernel, rng, dtype, smooth):
    a, b = (normal(rng, shape, dtype, _scale(draw)) for shape in draw(broadcasting_pairs()))
    if kernel == "leaky_relu_grad":
        b = off_zero(b) if smooth else with_zeros(rng, b)
        return Case((a, b), (), {"slope": draw(st.sampled_from((0.0, 0.2, 1.0)))})
    if kernel in ("maximum", "equal"):  # half whole numbers, so that there are ties, or none at all
        a, b = (np.round(a * 2), np.round(b * 2)) if not smooth else (np.round(a), np.round(b) + a.dtype.type(0.5))
    if kernel == "div":
        b = off_zero(b)
    if kernel == "tanh_grad":
        b = np.tanh(b)
    if kernel == "sigmoid_grad":
        b = reference.sigmoid(b)
    return Case((a, b), (), {})


def _sum(draw, kernel, rng, dtype, smooth):
    shape = draw(shapes())
    axes = draw(st.sets(st.sampled_from(range(len(shape))))) if shape else ()
    if kernel == "max":
        axes = [axis for axis in axes if shape[axis] > 0]
    x = distinct(rng, shape, dtype) if smooth and kernel == "max" else normal(rng, shape, dtype, _scale(draw))
    signed = tuple(draw(st.sampled_from((axis, axis - len(shape)))) for axis in axes)
    return Case((x,), (), {"axes": signed, "keepdims": draw(st.booleans())})


def _copy(draw, kernel, rng, dtype, smooth):
    return Case((normal(rng, draw(shapes()), dtype),), (), {})


def _fill(draw, kernel, rng, dtype, smooth):
    return Case((), (np.full(draw(shapes()), np.nan, dtype),), {"value": draw(st.sampled_from((0.0, 1.0, -2.5)))})


def _matmul(draw, kernel, rng, dtype, smooth):
    m, n, k = draw(sizes()), draw(sizes()), draw(sizes())
    trans_a, trans_b = draw(st.booleans()), draw(st.booleans())
    a = normal(rng, (k, m) if trans_a else (m, k), dtype)
    b = normal(rng, (n, k) if trans_b else (k, n), dtype)
    return Case((a, b), (), {"trans_a": trans_a, "trans_b": trans_b})


@st.composite
def convolutions(draw, least=0):
    """Draw (x shape, w shape, y shape, stride, pad). The filter fits; strides often leave pixels at the edge that nothing reads."""
    n, c_in, c_out = (draw(sizes(IMAGE_TILE, least)) for _ in range(3))
    kh, kw, pad = draw(st.sampled_from((1, 2, 3, 5))), draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((0, 1, 2)))
    height, width = (max(draw(sizes(IMAGE_TILE, least)), k - 2 * pad, 0) for k in (kh, kw))
    stride = draw(st.sampled_from((1, 2, 3)))
    y = (n, conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad), c_out)
    return (n, height, width, c_in), (kh, kw, c_in, c_out), y, stride, pad


def _conv(draw, kernel, rng, dtype, smooth):
    x, w, y, stride, pad = draw(convolutions())
    form = {
        "conv2d": ((x, w), {}),
        "conv2d_dx": ((y, w), {"height": x[1], "width": x[2]}),
        "conv2d_dw": ((x, y), {"kh": w[0], "kw": w[1]}),
    }
    pair, params = form[kernel]
    return Case(tuple(normal(rng, shape, dtype) for shape in pair), (), {"stride": stride, "pad": pad, **params})


def _bce(draw, kernel, rng, dtype, smooth):
    shape = draw(shapes(least=1))
    s = normal(rng, shape, dtype, 1.0 if smooth else draw(st.sampled_from((1.0, 30.0, 1e4))))
    labels = {"hard": rng.integers(0, 2, shape), "smoothed": np.full(shape, 0.9), "soft": rng.random(shape)}
    return Case((s, np.asarray(labels[draw(st.sampled_from(sorted(labels)))], dtype)), (), {})


def _batch_norm(draw, kernel, rng, dtype, smooth):
    shape = (*draw(shapes(1, 2, least=2 if smooth else 1)), draw(sizes()))
    x = normal(rng, shape, dtype) + np.asarray(draw(st.sampled_from((0.0, 3.0))), dtype)
    scale, shift = normal(rng, shape[-1], dtype), normal(rng, shape[-1], dtype)
    if kernel == "batch_norm":
        return Case((x, scale, shift), (), {"eps": 1e-5})
    _, mean, inv_std = reference.batch_norm(x, scale, shift, 1e-5)
    return Case((normal(rng, shape, dtype), x, scale, mean, inv_std), (), {})


def _bias_act(draw, kernel, rng, dtype, smooth):
    shape = draw(shapes(1, 3))
    act, slope = draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from((0.0, 0.2, 1.0)))
    x, b = normal(rng, shape, dtype, 1.0 if smooth else _scale(draw)), normal(rng, shape[-1:], dtype)
    if smooth:
        x = off_zero(x + b) - b
    if kernel == "bias_act":
        return Case((x, b), (), {"act": act, "slope": slope})
    return Case((normal(rng, shape, dtype), reference.bias_act(x, b, act, slope)), (), {"act": act, "slope": slope})


def _update(draw, kernel, rng, dtype, smooth):
    shape = draw(shapes(most_ndim=2))
    g, theta, first, second = (normal(rng, shape, dtype) for _ in range(4))
    if kernel == "ema":
        return Case((g,), (theta,), {"decay": draw(st.sampled_from((0.0, 0.999, 1.0)))})
    rate, sign = np.asarray(draw(st.sampled_from((1e-3, 0.2))), dtype), draw(st.sampled_from((1, -1)))
    if kernel == "adam":
        steps = np.asarray(draw(st.sampled_from((0, 1, 1000))), dtype)
        constants = {"beta1": draw(st.sampled_from((0.0, 0.5, 0.9))), "beta2": draw(st.sampled_from((0.99, 0.999))), "eps": 1e-8}
        return Case((g, rate), (theta, first, second * second, steps), {"sign": sign, **constants})
    if kernel == "momentum":
        return Case((g, rate), (theta, first), {"sign": sign, "mu": draw(st.sampled_from((0.0, 0.9)))})
    return Case((g, rate), (theta,), {"sign": sign})


def _hard_case(draw, kernel, rng, dtype, smooth):
    """One of the kernel's hard cases (verification/cases.py), with numbers from a drawn seed: for kernels without a form below."""
    if smooth:
        raise LookupError(f"tests/support/strategies.py: _FORMS has no values of {kernel} that stay away from kinks")
    case = draw(st.sampled_from(list(cases(kernel, dtype, (TILE,), seed=int(rng.integers(2**31))))))
    return Case(case.inputs, case.states, case.params)


_FORMS = {
    **dict.fromkeys(("add", "mul", "div", "maximum", "equal", "leaky_relu_grad", "tanh_grad", "sigmoid_grad"), _binary),
    **dict.fromkeys(("neg", "exp", "log", "sqrt", "abs", "sign", "tanh", "sigmoid", "softplus", "leaky_relu"), _unary),
    **dict.fromkeys(("conv2d", "conv2d_dx", "conv2d_dw"), _conv),
    **dict.fromkeys(("batch_norm", "batch_norm_grad"), _batch_norm),
    **dict.fromkeys(("bias_act", "bias_act_grad"), _bias_act),
    **dict.fromkeys(("sgd", "momentum", "adam", "ema"), _update),
    "power": _power, "sum": _sum, "max": _sum, "copy": _copy, "fill": _fill, "matmul": _matmul, "bce_logits": _bce,
}


@st.composite
def inputs_for(draw, kernel: str, dtype: Any = np.float32, smooth: bool = False, layouts: tuple[str, ...] = LAYOUTS) -> Case:
    """Draw a launch of `kernel`. smooth: values of normal scale and away from kinks, fit for numeric derivatives.

    layouts: what the inputs of strided kernels may look like in memory; the others are always C-contiguous.
    """
    case = _FORMS.get(kernel, _hard_case)(draw, kernel, draw(generators()), np.dtype(dtype), smooth)
    # in NumPy 1, arithmetic on 0-d arrays of float32 and Python's numbers gives float64
    case = Case(*(tuple(np.asarray(a, dtype, order="C") for a in arrays) for arrays in case[:2]), case.params)
    if not KERNELS[kernel].strided:
        return case
    views = LAYOUTS[:-1] if smooth and kernel == "max" else LAYOUTS  # zero strides would bring back the ties
    chosen = st.sampled_from([layout for layout in views if layout in layouts])
    return case._replace(inputs=tuple(arranged(a, draw(chosen)) for a in case.inputs))

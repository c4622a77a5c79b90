"""Error bounds: how far a kernel may be from the reference in every output element, derived, not guessed.

The model is the standard one, fl(a op b) = (a op b)(1 + d) with |d| <= u, u = eps/2 (Higham 2002, section 2.2). A sum of n
products in any order, with or without fused multiply-add, is off by at most gamma_n sum |a_i b_i|, gamma_n = n u / (1 - n u)
(there, section 3.1), so no blocking, unrolling or threading that a kernel chooses can break its bound, and a wrong index does.
Functions of the C library and of CUDA are within a few ulp (CUDA C Programming Guide, "Mathematical Functions": at most 4 ulp
for those used here); FUNCTION rounding errors are allowed for them, and for every elementwise kernel without a rule below.

An implementation that takes other sums than the definition's, or rounds its inputs, is held to a bound of its own, named by `rule`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygan_kernels import reference, winograd_formulas
from tinygan_kernels.contract import KERNELS

FUNCTION = 16  # rounding errors u that an elementary function may make: 8 ulp


def gamma(n: float, dtype: Any) -> float:
    """Return gamma_n = n u / (1 - n u). Raises ValueError where n u >= 1, as no digit is left to compare."""
    nu = n * np.finfo(dtype).eps / 2
    if nu >= 1:
        raise ValueError(f"{n} roundings in {np.dtype(dtype)} leave no correct digit")
    return nu / (1 - nu)


def bound(
    kernel: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], dtype: Any, *, rule: str = "", **params: Any
) -> tuple:
    """Return the allowed absolute error of every output element, one array for each output.

    inputs and outputs: float64 or longer, the exact inputs and what the reference made of them (for updates in place, inputs
    are followed by the old values). dtype: the precision that the kernel under test computes in. rule: the name of another
    bound than the kernel's own (Version.rule). Raises ValueError where there is none of that name, LookupError where a kernel that
    is not elementwise has none.
    """
    if rule and rule not in _RULES:
        raise ValueError(f"there is no bound named {rule!r}; besides the kernels' own there are {', '.join(_OTHERS)}")
    limits = _RULES.get(rule or kernel) or _default(kernel)
    # One underflow of each operation may cost as much as the smallest normal number; GPUs and SIMD units flush subnormals.
    floor = float(np.finfo(dtype).tiny) * 4
    return tuple(np.asarray(b) + floor for b in limits(inputs, outputs, dtype, **params))


def _default(kernel: str) -> Callable[..., list]:
    if not KERNELS[kernel].elementwise:
        raise LookupError(f"verification/bounds.py: _RULES has no bound for {kernel}; only elementwise kernels have a default")
    return _function


def share(actual: np.ndarray, expected: np.ndarray, allowed: np.ndarray) -> float:
    """Return the largest error as a share of its bound: at most 1 is right. An unexpected NaN or infinity gives inf."""
    actual, expected = np.asarray(actual, np.longdouble), np.asarray(expected, np.longdouble)
    if actual.shape != expected.shape:
        return float("inf")
    if not actual.size:
        return 0.0
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    finite = np.isfinite(actual) & np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        ratios = np.where(same, 0.0, np.where(finite, np.abs(actual - expected) / allowed, np.inf))
    worst = float(ratios.max())
    return worst if worst == worst else float("inf")


def verify(
    implementation, kernel: str, inputs: Sequence[np.ndarray], states: Sequence[np.ndarray] = (), *, rule: str = "", **params: Any
) -> float:
    """Run `implementation(*inputs, *outputs, **params)` on outputs full of NaN; return its worst error as a share of the bound.

    An implementation that writes into its inputs is wrong: it gets inf. states: for updates in place, what the outputs hold before.
    rule: as for `bound`. The reference runs on the same values in a wider type: float64, or the platform's long double. Where that
    is no wider than float64, the reference may err as much as the kernel, so twice the bound is allowed.
    """
    dtype = (*inputs, *states)[0].dtype
    wide = np.float64 if dtype == np.float32 else np.longdouble
    exact = [np.array(a, wide) for a in (*inputs, *states)]
    with np.errstate(all="ignore"):
        expected = getattr(reference, kernel)(*exact, **params)
    expected = [np.asarray(e) for e in (expected if isinstance(expected, tuple) else (expected,))]
    outputs = [s.copy() for s in states] or [np.full(e.shape, np.nan, dtype) for e in expected]
    implementation(*inputs, *outputs, **params)
    if not all(np.array_equal(a, before, equal_nan=True) for a, before in zip(inputs, exact, strict=False)):
        return float("inf")
    allowed = bound(kernel, exact, expected, dtype, rule=rule, **params)
    slack = 1 if np.finfo(wide).eps < np.finfo(dtype).eps else 2
    return max(share(o, e, slack * b) for o, e, b in zip(outputs, expected, allowed, strict=True))


# ---- rules: (inputs, outputs, dtype, **params) -> a bound for each output --------------------------------------------------------


def _exact(inputs, outputs, dtype, **_):
    return [np.zeros(o.shape) for o in outputs]


def _rounded(roundings):
    """Return a rule relative to the result, for kernels that round `roundings` times and add no terms of opposite signs."""

    def rule(inputs, outputs, dtype, **_):
        return [gamma(roundings, dtype) * np.abs(o) for o in outputs]

    return rule


_function = _rounded(FUNCTION)


def _power(inputs, outputs, dtype, exponent):
    """x^p = e^(p ln x): the rounding of p moves the result by |p ln x| roundings; whole and half exponents are exact."""
    (x,) = inputs
    with np.errstate(divide="ignore", invalid="ignore"):
        swing = 0 if float(2 * exponent).is_integer() else np.abs(exponent * np.log(x))
    return [(gamma(FUNCTION, dtype) + swing * np.finfo(dtype).eps) * np.abs(outputs[0])]


def _pow(inputs, outputs, dtype):
    """|a^b| = e^(b ln |a|): a rounding of the exponent moves the result by |b ln |a|| roundings."""
    a, b = inputs
    with np.errstate(divide="ignore", invalid="ignore"):
        swing = np.where(a == 0, 0, np.abs(b * np.log(np.abs(a))))
    return [(gamma(FUNCTION, dtype) + swing * np.finfo(dtype).eps) * np.abs(outputs[0])]


def _sum(inputs, outputs, dtype, axes, keepdims=False):
    (x,) = inputs
    terms = int(np.prod([x.shape[a] for a in axes])) if axes else 1
    return [gamma(max(terms, 1), dtype) * reference.sum(np.abs(x), axes, keepdims)]


def _matmul(inputs, outputs, dtype, **trans):
    a, b = inputs
    k = a.shape[0 if trans.get("trans_a") else 1]
    return [gamma(k + 1, dtype) * reference.matmul(np.abs(a), np.abs(b), **trans)]


def _matmul_tf32(inputs, outputs, dtype, **trans):
    """Allow for factors rounded to TF32's 11 significant bits (u = 2^-11), and float32 sums that tensor cores truncate (2 u)."""
    a, b = inputs
    k = a.shape[0 if trans.get("trans_a") else 1]
    u = 2.0**-11
    terms = (2 * u + u * u + gamma(2 * (k + 1), dtype)) * reference.matmul(np.abs(a), np.abs(b), **trans)
    # a subnormal factor is rounded to a multiple of the smallest TF32 number, tiny 2^-10
    coarse, ones = float(np.finfo(dtype).tiny) * u, (np.ones_like(a), np.ones_like(b))
    both = reference.matmul(ones[0], np.abs(b), **trans) + reference.matmul(np.abs(a), ones[1], **trans)
    return [terms + coarse * both]


def _conv2d(inputs, outputs, dtype, **params):
    x, w = inputs
    return [gamma(w[..., 0].size + 1 if w.size else 1, dtype) * reference.conv2d(np.abs(x), np.abs(w), **params)]


def _conv2d_dx(inputs, outputs, dtype, **params):
    g, w = inputs
    terms = w.shape[0] * w.shape[1] * w.shape[3]
    return [gamma(terms + 1, dtype) * reference.conv2d_dx(np.abs(g), np.abs(w), **params)]


def _conv2d_dw(inputs, outputs, dtype, **params):
    x, g = inputs
    terms = g.shape[0] * g.shape[1] * g.shape[2]
    return [gamma(terms + 1, dtype) * reference.conv2d_dw(np.abs(x), np.abs(g), **params)]


# Winograd's algorithm makes sums of sums. Errors in each stage are relative to the magnitudes that enter it, and stages multiply:
# (1 + gamma_a)(1 + gamma_b) <= 1 + gamma_(a+b) (Higham 2002, lemma 3.3). So the bound is gamma of all roundings on the longest path
# through it, times the same three transforms with every entry replaced by its magnitude (winograd_formulas.magnitudes):
#
#     |y' - y| <= gamma_t |A^T| [(|G| |w| |G^T|) . (|B^T| |d| |B|)] |A|          and likewise for the two adjoints
#
# A pass of a transform sums at most five products, 5 roundings in any order. The entries of A and G, and the products of two of
# G's, are small whole numbers, so exact; those of B^T are rounded to float64 and to the working precision. Each transform is two
# passes, but for G's, which is one. Where neighbouring tiles overlap, which at most two do in a pass, one more rounding adds them.
_FILTER_TRANSFORM, _FILTER_ADJOINT, _OUTPUT_TRANSFORM = 5, 2 * 5, 2 * 5
_IMAGE_TRANSFORM, _IMAGE_ADJOINT = 2 * (5 + 2), 2 * (5 + 2 + 1)


def _magnitudes(m):
    return winograd_formulas.magnitudes(winograd_formulas.transforms(m))


def _winograd_conv2d(inputs, outputs, dtype, stride, pad):
    (x, w), (n, oh, ow, _) = map(np.abs, inputs), outputs[0].shape
    _check_phases(w.shape[:2], stride)
    maps = _magnitudes(winograd_formulas.best_tile(n, oh, ow, *w.shape[2:]))
    roundings = 4 * w.shape[2] + _FILTER_TRANSFORM + _IMAGE_TRANSFORM + _OUTPUT_TRANSFORM
    return [gamma(roundings, dtype) * winograd_formulas.conv2d(x, w, pad, oh, ow, maps)]


def _winograd_conv2d_dx(inputs, outputs, dtype, stride, pad, height, width):
    g, w = map(np.abs, inputs)
    _check_phases(w.shape[:2], stride)
    maps = _magnitudes(winograd_formulas.best_tile(*g.shape[:3], *w.shape[2:]))
    roundings = w.shape[3] + _FILTER_TRANSFORM + _OUTPUT_TRANSFORM + _IMAGE_ADJOINT
    return [gamma(roundings, dtype) * winograd_formulas.conv2d_dx(g, w, pad, height, width, maps)]


def _winograd_conv2d_dw(inputs, outputs, dtype, stride, pad, kh, kw):
    x, g = map(np.abs, inputs)
    _check_phases((kh, kw), stride)
    n, oh, ow, c_out = g.shape
    m = winograd_formulas.best_tile(n, oh, ow, x.shape[3], c_out)
    tiles = n * -(-oh // m) * -(-ow // m)
    roundings = tiles + _IMAGE_TRANSFORM + _OUTPUT_TRANSFORM + _FILTER_ADJOINT
    return [gamma(roundings, dtype) * winograd_formulas.conv2d_dw(x, g, pad, _magnitudes(m))]


def _check_phases(filters, stride):
    if (*filters, stride) != (4, 4, 2):
        raise ValueError(f"the bound of Winograd's sums is for 4x4 filters of stride 2, not {filters[0]}x{filters[1]} of {stride}")


def _sigmoid_grad(inputs, outputs, dtype):
    """1 - p cancels no digits of p that are there: its one rounding is relative to 1 - p, so three products of exact terms."""
    return [gamma(4, dtype) * np.abs(outputs[0])]


def _tanh_grad(inputs, outputs, dtype):
    """1 - t^2 with t^2 rounded: the rounding is relative to t^2, not to the difference."""
    g, t = inputs
    return [gamma(4, dtype) * np.abs(g) * (1 + t * t)]


def _bce_logits(inputs, outputs, dtype):
    s, t = inputs
    slopes = ((1 - t) * reference.sigmoid(s) + t * reference.sigmoid(-s)) / s.size
    terms = np.abs(t) * reference.softplus(-s) + np.abs(1 - t) * reference.softplus(s)
    return [gamma(s.size + FUNCTION + 4, dtype) * terms.mean(), gamma(FUNCTION + 4, dtype) * np.abs(slopes)]


def _batch_norm(inputs, outputs, dtype, eps):
    """Bound to first order in the errors of mean and variance, doubled for the orders that are left out."""
    (x, scale, shift), (_, mean, inv_std) = inputs, outputs
    axes, n = tuple(range(x.ndim - 1)), x[..., 0].size if x.size else 1
    d_mean = gamma(n + 1, dtype) * np.abs(x).mean(axis=axes)
    deviation = np.abs(x - mean)
    d_deviation = d_mean + gamma(1, dtype) * deviation
    d_var = (2 * deviation * d_deviation + d_deviation**2).mean(axis=axes) + gamma(n + 3, dtype) * (deviation**2).mean(axis=axes)
    d_inv = inv_std * (0.5 * d_var * inv_std**2 + gamma(FUNCTION, dtype))
    d_y = np.abs(scale) * (inv_std * d_deviation + deviation * d_inv) + gamma(5, dtype) * (
        np.abs(scale) * deviation * inv_std + np.abs(shift)
    )
    return [2 * d_y, d_mean, 2 * d_inv]


def _batch_norm_grad(inputs, outputs, dtype):
    g, x, scale, mean, inv_std = inputs
    axes, n = tuple(range(x.ndim - 1)), x[..., 0].size if x.size else 1
    h = np.abs(x - mean) * inv_std
    sum_g, sum_gh = np.abs(g).sum(axis=axes), np.abs(g * h).sum(axis=axes)
    d_x = gamma(n + 12, dtype) * np.abs(scale) * inv_std * (np.abs(g) + sum_g / n + h * sum_gh / n)
    return [d_x, gamma(n + 6, dtype) * sum_gh, gamma(n, dtype) * sum_g]


def _bias_act(inputs, outputs, dtype, act, slope=0.0):
    """x + b is rounded, and all four activations have slope at most 1; then the activation's own rounding, relative to y."""
    x, b = inputs
    return [gamma(1, dtype) * np.abs(x + b) + gamma(FUNCTION, dtype) * np.abs(outputs[0])]


def _bias_act_grad(inputs, outputs, dtype, act, slope=0.0):
    g, y = inputs
    d_x = gamma(4, dtype) * np.abs(g) * (1 + y * y if act == "tanh" else 1)
    axes, n = tuple(range(g.ndim - 1)), g[..., 0].size if g.size else 1
    return [d_x, (d_x + gamma(n, dtype) * np.abs(outputs[0])).sum(axis=axes)]


def _sgd(inputs, outputs, dtype, sign):
    g, rate, theta = inputs
    return [gamma(3, dtype) * (np.abs(theta) + np.abs(rate * g))]


def _momentum(inputs, outputs, dtype, sign, mu):
    g, rate, theta, velocity = inputs
    size = np.abs(mu * velocity) + np.abs(g)
    return [gamma(5, dtype) * (np.abs(theta) + np.abs(rate) * size), gamma(4, dtype) * size]


def _adam(inputs, outputs, dtype, sign, beta1, beta2, eps):
    """Allow for beta and 1 - beta, which are rounded too, and for rate / (1 - beta^t), which the host or a thread rounds."""
    g, rate, theta, m, _, t = inputs
    new_v, steps = outputs[2], float(t) + 1
    m_size = beta1 * np.abs(m) + (1 - beta1) * np.abs(g)
    step = np.abs(rate) * m_size / (1 - beta1**steps) / (np.sqrt(new_v / (1 - beta2**steps)) + eps)
    return [
        gamma(2, dtype) * np.abs(theta) + gamma(FUNCTION + 8, dtype) * step,
        gamma(4, dtype) * m_size,
        gamma(5, dtype) * new_v,
        np.zeros(()),
    ]


def _ema(inputs, outputs, dtype, decay):
    x, average = inputs
    return [gamma(4, dtype) * (decay * np.abs(average) + (1 - decay) * np.abs(x))]


_EXACT = ("maximum", "equal", "neg", "abs", "sign", "max", "copy", "fill")
_RULES = {
    **dict.fromkeys(_EXACT, _exact),
    "add": _rounded(1),
    "mul": _rounded(1),
    "div": _rounded(1),
    "sqrt": _rounded(2),
    "power": _power, "pow": _pow, "where": _exact,
    "leaky_relu": _rounded(2),
    "leaky_relu_grad": _rounded(2),
    "tanh_grad": _tanh_grad,
    "sigmoid_grad": _sigmoid_grad,
    "sum": _sum,
    "matmul": _matmul,
    "matmul_tf32": _matmul_tf32,
    "conv2d": _conv2d,
    "conv2d_dx": _conv2d_dx,
    "conv2d_dw": _conv2d_dw,
    "conv2d_winograd": _winograd_conv2d,
    "conv2d_dx_winograd": _winograd_conv2d_dx,
    "conv2d_dw_winograd": _winograd_conv2d_dw,
    "bce_logits": _bce_logits,
    "batch_norm": _batch_norm,
    "batch_norm_grad": _batch_norm_grad,
    "bias_act": _bias_act,
    "bias_act_grad": _bias_act_grad,
    "sgd": _sgd,
    "momentum": _momentum,
    "adam": _adam,
    "ema": _ema,
}
_OTHERS = ("matmul_tf32", "conv2d_winograd", "conv2d_dx_winograd", "conv2d_dw_winograd")
assert set(_RULES) - set(_OTHERS) <= set(KERNELS), "a rule for a kernel that the contract does not have"

"""Formulas applied along rows of numbers in vector code, for loops of `elementwise`, `bias_act`, `batch_norm` and `updates`.

Each formula reads and writes some rows of equal length, given by their addresses, a register at a time, and the numbers that do not
fill a register one by one. A row may be both read and written, which LLVM's loop vectoriser would first have to rule out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygan_kernels.cpu.runtime.jit import njit_inner
from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted

Formula = Callable[[Vectors, Sequence[ir.Value], Sequence[ir.Value]], None]


@njit_inner
def address_of(array):
    """Return the address of an array's first element as a signed integer: Numba adds an offset to an unsigned one in floating
    point.
    """
    return np.int64(array.ctypes.data)


def along_rows(formula: Formula):
    """Return an intrinsic run(like, addresses, count, numbers) that applies the formula all along rows of `count` numbers.

    like: an array of the dtype. addresses: a tuple with the address of each row. numbers: a tuple of numbers of the dtype. The
    formula is called as formula(v, addresses, values), with the addresses of one register in each row, and each number as a vector.
    """

    @intrinsic
    def run(typing_context, like, addresses, count, numbers):
        def generate(context, builder, signature, arguments):
            _, at, length, given = arguments
            places, values = cgutils.unpack_tuple(builder, at), cgutils.unpack_tuple(builder, given)
            for lanes in (None, 1):
                v = Vectors(builder, context.get_value_type(like.dtype), lanes)
                places, length = _go_along(v, formula, places, length, values)
            return context.get_dummy_value()

        return types.void(like, addresses, types.int64, numbers), generate

    return run


def _go_along(v: Vectors, formula: Formula, places: Sequence[ir.Value], length: ir.Value, values: Sequence[ir.Value]):
    """Apply the formula to all whole vectors in `length` numbers. Returns (the addresses behind them, how many numbers are left).
    """
    builder, spread = v.builder, [v.splat(value) for value in values]
    whole = builder.udiv(length, ir.Constant(WORD, v.lanes))

    def each(at):
        formula(v, at, spread)
        return [v.at(place, v.bytes) for place in at]

    with builder.if_then(builder.icmp_signed(">", whole, ir.Constant(WORD, 0))):
        counted(builder, whole, list(places), each)
    done = builder.mul(whole, ir.Constant(WORD, v.bytes))
    return [v.at(place, done) for place in places], builder.urem(length, ir.Constant(WORD, v.lanes))


# ---- formulas -------------------------------------------------------------------------------------------------------------------


def leaky_vector(v: Vectors, x: ir.Value, slope: ir.Value) -> ir.Value:
    """Return leaky_relu(x), as `leaky` does for a number."""
    b, zero = v.builder, v.constant(0.0)
    cut = b.and_(b.fcmp_ordered("==", slope, zero), b.fcmp_ordered("ord", x, x))
    return b.select(b.fcmp_ordered(">", x, zero), x, b.select(cut, slope, b.fmul(slope, x)))


def _leaky_grad_vector(v: Vectors, g: ir.Value, x: ir.Value, slope: ir.Value) -> ir.Value:
    """Return g times the derivative of leaky_relu at x, as `leaky_grad` does for numbers."""
    b, zero = v.builder, v.constant(0.0)
    below = b.select(b.fcmp_ordered("==", slope, zero), slope, b.fmul(slope, g))
    return b.select(b.fcmp_ordered(">", x, zero), g, below)


@njit_inner
def leaky(x, slope):
    """Return x where it is positive, else slope x; with slope 0 that is 0 for x = -inf too, and NaN only where x is NaN."""
    if x > 0:
        return x
    return slope if slope == 0 and x == x else slope * x  # NaN differs from itself


@njit_inner
def leaky_grad(g, x, slope):
    """Return g where x is positive, else slope g; with slope 0 that is 0, whatever g is."""
    if x > 0:
        return g
    return slope if slope == 0 else slope * g


def _bias_leaky_relu(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    """Write y = leaky_relu(x + b), at (x, b, y)."""
    x, b, y = at
    total = v.builder.fadd(v.load(x), v.load(b))
    v.store(leaky_vector(v, total, numbers[0]), y)


def _leaky_relu(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    """Write y = leaky_relu(x), at (x, y)."""
    x, y = at
    value = v.load(x)
    v.store(leaky_vector(v, value, numbers[0]), y)


def _leaky_relu_grad(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    """Write dx = g where x is positive, else slope g, at (g, x, dx)."""
    g, x, dx = at
    v.store(_leaky_grad_vector(v, v.load(g), v.load(x), numbers[0]), dx)


def _normalise_grad(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    """Write dx of batch normalisation, whose formula stands at `normalise_grad` below."""
    g, y, x, dx, *statistics = at
    (mean, inv_std, gamma, mean_g, mean_gh), b = map(v.load, statistics), v.builder
    d = b.fsub(_leaky_grad_vector(v, v.load(g), v.load(y), numbers[0]), mean_g)
    h = b.fmul(b.fsub(v.load(x), mean), inv_std)
    v.store(b.fmul(b.fmul(gamma, inv_std), b.fsub(d, b.fmul(h, mean_gh))), dx)


def _grad_sum(v: Vectors, at: Sequence[ir.Value], d: ir.Value) -> None:
    """Store a gradient d, and add it to a total. at: the addresses (g, y, dx, total)."""
    _, _, dx, total = at
    v.store(d, dx)
    v.store(v.builder.fadd(v.load(total), d), total)


def _leaky_relu_grad_sum(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    _grad_sum(v, at, _leaky_grad_vector(v, v.load(at[0]), v.load(at[1]), numbers[0]))


def _tanh_grad_sum(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    y, b = v.load(at[1]), v.builder
    _grad_sum(v, at, b.fmul(v.load(at[0]), b.fsub(v.constant(1.0), b.fmul(y, y))))


def _sigmoid_grad_sum(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    y, b = v.load(at[1]), v.builder
    _grad_sum(v, at, b.fmul(v.load(at[0]), b.fmul(y, b.fsub(v.constant(1.0), y))))


def _adam(v: Vectors, at: Sequence[ir.Value], numbers: Sequence[ir.Value]) -> None:
    """Update m, v and theta, at (g, theta, m, v). numbers: those of `adam_numbers`."""
    g, theta, m, v_at = at
    (b1, rest1, b2, rest2, step, root, small), b = numbers, v.builder
    d = v.load(g)
    first = b.fadd(b.fmul(b1, v.load(m)), b.fmul(rest1, d))
    second = b.fadd(b.fmul(b2, v.load(v_at)), b.fmul(b.fmul(rest2, d), d))
    v.store(first, m)
    v.store(second, v_at)
    v.store(b.fadd(v.load(theta), v.over_root(b.fmul(step, first), b.fmul(second, root), small)), theta)


# rows (g, y, dx, total): dx = g act'(y) and total += dx
leaky_relu_grad_sum, tanh_grad_sum, sigmoid_grad_sum = map(along_rows, (_leaky_relu_grad_sum, _tanh_grad_sum, _sigmoid_grad_sum))
bias_leaky_relu = along_rows(_bias_leaky_relu)  # rows (x, b, y): y = x + b where that is positive, else slope (x + b)
leaky_relu = along_rows(_leaky_relu)  # rows (x, y): y = x where that is positive, else slope x
leaky_relu_grad = along_rows(_leaky_relu_grad)  # rows (g, x, dx): dx = g where x is positive, else slope g
# rows (g, y, x, dx, mean, inv_std, gamma, mean_g, mean_gh): dx = gamma inv_std (g' - mean_g - h mean_gh), where
# g' = g where y is positive, else slope g, and h = (x - mean) inv_std
normalise_grad = along_rows(_normalise_grad)
adam = along_rows(_adam)  # rows (g, theta, m, v), with the numbers of adam_numbers

CURVES = {"leaky_relu": 0, "linear": 0, "tanh": 1, "sigmoid": 2}  # linear is a leaky ReLU of slope 1


@njit_inner
def act_grad_sum(like, curve, at, count, slope):
    """dx = g act'(y), total += dx along rows of `count` numbers. at: the addresses (g, y, dx, total). curve: act's number in
    CURVES.
    """
    if curve == 0:
        leaky_relu_grad_sum(like, at, count, (slope,))
    elif curve == 1:
        tanh_grad_sum(like, at, count, (slope,))
    else:
        sigmoid_grad_sum(like, at, count, (slope,))


@njit_inner
def adam_numbers(like, rate, sign, beta1, beta2, eps, steps):
    """Return (beta1, 1 - beta1, beta2, 1 - beta2, step, root, eps) in the dtype of `like`: theta += step m / (sqrt(root v) + eps).

    The arguments are float64, and each result is rounded to the dtype once: the corrections of both averages' bias (Kingma and Ba
    2015, algorithm 1) are computed in float64, once for all elements. steps: how many steps there were, this one included.
    """
    real = like.dtype.type
    step, root = real(sign * rate / (1 - beta1**steps)), real(1 / (1 - beta2**steps))
    return real(beta1), real(1 - beta1), real(beta2), real(1 - beta2), step, root, real(eps)

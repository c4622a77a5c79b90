"""Arithmetic and activations, element by element, broadcast like NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygan.engine.conversion import is_number, real_array, real_number
from tinygan.engine.tensor import Tensor, filled, record, stop, wrap

from .door import as_tensor, launch, pair
from .reductions import unbroadcast

# ---- arithmetic ---------------------------------------------------------------------------------------------------------------


def add(a: Any, b: Any) -> Tensor:
    """y = a + b, broadcast.    da = g   db = g"""
    a, b = pair(a, b)
    return record(launch("add", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g, a.shape),
        lambda g, y, a, b: unbroadcast(g, b.shape),
    ))


def mul(a: Any, b: Any) -> Tensor:
    """y = a b, elementwise, broadcast.    da = g b   db = g a"""
    a, b = pair(a, b)
    return record(launch("mul", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g * b, a.shape),
        lambda g, y, a, b: unbroadcast(g * a, b.shape),
    ))


def neg(x: Tensor) -> Tensor:
    """y = -x    dx = -g"""
    return record(launch("neg", x), (x,), (lambda g, y, x: -g,))


def sub(a: Any, b: Any) -> Tensor:
    """y = a - b = a + (-b)"""
    a, b = pair(a, b)
    return add(a, neg(b))


def div(a: Any, b: Any) -> Tensor:
    """y = a / b, broadcast.    da = g / b   db = -g y / b, which unlike -g a / b^2 does not overflow before its value does"""
    a, b = pair(a, b)
    return record(launch("div", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g / b, a.shape),
        lambda g, y, a, b: unbroadcast(-(g * y / b), b.shape),
    ))


def power(x: Any, exponent: Any) -> Tensor:
    """y = x^p, broadcast.    dx = p g x^(p-1)   dp = g y ln x

    A negative x has a power where p is whole, and NaN elsewhere; so its dp, which is asked for only where p is a tensor that wants
    a gradient, is NaN. At x = 0, dp is 0 for p >= 0 and dx is 0 for p = 0: x^0 = 1 there too.
    """
    if not isinstance(exponent, Tensor):
        if not isinstance(x, Tensor):
            x = Tensor(x)
        if type(exponent) is not float and type(exponent) is not int:
            exponent = _one_exponent(exponent, x)
    if isinstance(exponent, Tensor):
        return _power_of_tensors(*pair(x, exponent))
    if exponent == 0:  # x^0 = 1 also at x = 0, where p x^(p-1) would be 0 * inf
        return record(filled(x, 1.0).array, (x,), (None,))
    return record(launch("power", x, exponent=exponent), (x,), (
        lambda g, y, x: g * (exponent * power(x, exponent - 1)),
    ))


def _one_exponent(exponent: Any, x: Tensor) -> float | Tensor:
    """Return an exponent that is no plain number as a float where it is one number, else as a tensor like x. Raises TypeError."""
    if is_number(exponent):
        return real_number(exponent, x.dtype, "power: the exponent")
    values = real_array(exponent, "power: the exponent", x.dtype)
    # an array of equal numbers is one number, unless y has its shape rather than x's
    if values.size and np.broadcast_shapes(x.shape, values.shape) == x.shape and bool((values == values.flat[0]).all()):
        return float(values.flat[0])
    return as_tensor(values, x)


def _power_of_tensors(x: Tensor, p: Tensor) -> Tensor:
    """y = x^p, the exponents a tensor of their own.    dx = p g x^(p-1)   dp = g y ln x, and both as `power` says at x = 0"""
    return record(launch("pow", x, p), (x, p), (
        lambda g, y, x, p: unbroadcast(g * _slope_in_x(x, p), x.shape),
        lambda g, y, x, p: unbroadcast(g * (y * log(where(_is(x, 0.0), 1.0, x))), p.shape),
    ))


def _slope_in_x(x: Tensor, p: Tensor) -> Tensor:
    """Return p x^(p-1), and 0 where x = p = 0. The base is 1 there, so that 0 * inf is not computed for what is not chosen."""
    at_zero = _is(x, 0.0) * _is(p, 0.0)
    return where(at_zero, 0.0, p * _power_of_tensors(where(at_zero, 1.0, x), p - 1.0))


def _is(x: Tensor, value: Any) -> Tensor:
    """Return the constant that is 1 where x is the value, else 0."""
    return wrap(launch("equal", x, as_tensor(value, x)), x.backend)


def square(x: Tensor) -> Tensor:
    """y = x^2    dx = 2 g x"""
    return power(x, 2)


def exp(x: Tensor) -> Tensor:
    """y = e^x    dx = g y"""
    return record(launch("exp", x), (x,), (lambda g, y, x: g * y,))


def log(x: Tensor) -> Tensor:
    """y = ln x    dx = g / x"""
    return record(launch("log", x), (x,), (lambda g, y, x: g / x,))


def sqrt(x: Tensor) -> Tensor:
    """y = sqrt(x)    dx = g / (2 y)"""
    return record(launch("sqrt", x), (x,), (lambda g, y, x: g * (0.5 * power(y, -1)),))


def abs(x: Tensor) -> Tensor:
    """y = |x|    dx = g sign(x), 0 at the kink"""
    return record(launch("abs", x), (x,), (lambda g, y, x: g * sign(x),))


def sin(x: Tensor) -> Tensor:
    """y = sin x, x in radians    dx = g cos x"""
    return record(launch("sin", x), (x,), (lambda g, y, x: g * cos(x),))


def cos(x: Tensor) -> Tensor:
    """y = cos x, x in radians    dx = -g sin x"""
    return record(launch("cos", x), (x,), (lambda g, y, x: -(g * sin(x)),))


def sign(x: Tensor) -> Tensor:
    """y = -1, 0 or 1    dx = 0"""
    return record(launch("sign", x), (x,), (None,))


def maximum(a: Any, b: Any) -> Tensor:
    """y = max(a, b), broadcast.    da = g where a > b, g/2 where a = b; db = the rest of g"""
    a, b = pair(a, b)
    return record(launch("maximum", a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(g * _share_of_the_larger(a, b, y), a.shape),
        lambda g, y, a, b: unbroadcast(g * _share_of_the_larger(b, a, y), b.shape),
    ))


def _share_of_the_larger(a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """Return the constant that is 1 where a > b, 1/2 where a = b, else 0, given y = max(a, b). An infinity equals itself.

    The sign of a - b would do, but for infinities, whose difference is NaN.
    """
    is_a, is_b = (wrap(launch("equal", t, y), t.backend) for t in (a, b))
    return 0.5 + 0.5 * (is_a - is_b)


def minimum(a: Any, b: Any) -> Tensor:
    """y = min(a, b) = -max(-a, -b), broadcast; where a = b the gradient is shared equally"""
    a, b = pair(a, b)
    return neg(maximum(neg(a), neg(b)))


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """y = a where the condition holds, else b; all three broadcast.    da = g where it holds, else 0; db = the rest of g

    condition: an array of bools such as x > 0, or numbers, of which 0 is False; no gradient flows through it. What is not chosen
    has no part in y nor in the gradient, be it NaN. To keep NaN out of an op before it, choose first: log(where(x > 0, x, 1)).
    A step that is recorded for replay cannot read values: there the condition is an input, or a tensor that ops computed.
    """
    tensors = [t for t in (a, b, condition) if isinstance(t, Tensor)]
    a, b = pair(a, b) if not tensors else (as_tensor(a, tensors[0]), as_tensor(b, tensors[0]))
    chosen = stop(as_tensor(condition, a))
    return record(launch("where", chosen, a, b), (a, b), (
        lambda g, y, a, b: unbroadcast(where(chosen, g, 0.0), a.shape),
        lambda g, y, a, b: unbroadcast(where(chosen, 0.0, g), b.shape),
    ))


def clip(x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """y = x, but low where x < low and high where x > high    dx = g where low <= x <= high (so at the borders: g), else 0

    low, high: numbers or arrays that broadcast, constants; None for no border. Where low > high in arrays, y is high, as in NumPy.
    Raises ValueError for two numbers of which low is the larger, and for NaN.
    """
    numbers = [float(border) for border in (low, high) if is_number(border)]
    if any(border != border for border in numbers) or (len(numbers) == 2 and numbers[0] > numbers[1]):
        raise ValueError(f"clip: low is {low} and high {high}; low has to be at most high, or every y would be the same")
    borders = [stop(as_tensor(border, x)) for border in (low, high) if border is not None]
    if not borders:
        raise ValueError("clip: give low, high or both")
    above = stop(x) if low is None else maximum(stop(x), borders[0])
    y = above if high is None else minimum(above, borders[-1])
    if not x.tracked:
        return y
    kept = wrap(launch("equal", x, y), x.backend)
    return record(y.array, (x,), (lambda g, y, x: unbroadcast(where(kept, g, 0.0), x.shape),))


# ---- activations --------------------------------------------------------------------------------------------------------------


def tanh(x: Tensor) -> Tensor:
    """t = tanh x    dx = g (1 - t^2)"""
    return record(launch("tanh", x), (x,), (lambda g, t, x: tanh_grad(g, t),))


def tanh_grad(u: Tensor, t: Tensor) -> Tensor:
    """y = u (1 - t^2)    du = g (1 - t^2)   dt = -2 g u t"""
    return record(launch("tanh_grad", u, t), (u, t), (
        lambda g, y, u, t: tanh_grad(g, t),
        lambda g, y, u, t: g * u * t * -2.0,
    ))


def sigmoid(x: Tensor) -> Tensor:
    """p = 1 / (1 + e^-x)    dx = g p (1 - p)"""
    return record(launch("sigmoid", x), (x,), (lambda g, p, x: sigmoid_grad(g, p),))


def sigmoid_grad(u: Tensor, p: Tensor) -> Tensor:
    """y = u p (1 - p)    du = g p (1 - p)   dp = g u (1 - 2 p)"""
    return record(launch("sigmoid_grad", u, p), (u, p), (
        lambda g, y, u, p: sigmoid_grad(g, p),
        lambda g, y, u, p: g * u * (1.0 - 2.0 * p),
    ))


def softplus(x: Tensor) -> Tensor:
    """y = ln(1 + e^x)    dx = g sigmoid(x)"""
    return record(launch("softplus", x), (x,), (lambda g, y, x: g * sigmoid(x),))


def log_sigmoid(x: Tensor) -> Tensor:
    """ln sigmoid(x) = -softplus(-x): finite for every finite x, where ln(1 / (1 + e^-x)) is not"""
    return neg(softplus(neg(x)))


def leaky_relu(x: Tensor, slope: float = 0.2) -> Tensor:
    """y = x where x > 0, else slope x    dx = g where x > 0, else slope g (so at the kink: slope g)

    Unless slope is negative y is positive where x is, and the gradient is read off y, so that x need not be kept.
    """
    return record(launch("leaky_relu", x, slope=slope), (x,), (
        lambda g, y, x: leaky_relu_grad(g, y if slope >= 0 else x, slope),
    ))


def leaky_relu_grad(u: Tensor, x: Tensor, slope: float = 0.2) -> Tensor:
    """y = u where x > 0, else slope u    du = the same of g   dx = 0: the slope is constant on either side"""
    return record(launch("leaky_relu_grad", u, x, slope=slope), (u, x), (
        lambda g, y, u, x: leaky_relu_grad(g, x, slope),
        None,
    ))


def relu(x: Tensor) -> Tensor:
    """y = max(x, 0): leaky_relu with slope 0    dx = g where x > 0, else 0 (so at the kink: 0)"""
    return leaky_relu(x, 0.0)

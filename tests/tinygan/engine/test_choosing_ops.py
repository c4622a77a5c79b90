"""Ops that choose, pick and scale: where, clip, take, x[labels], softmax, prod, norm, powers. Values against NumPy's and SciPy's on
both CPU backends; extremes; and what each says of input that it cannot take."""

import numpy as np
import pytest
from engine_parts import constant, leaf
from scipy import special
from tinygan_kernels import load

from tinygan import Tensor, gradients
from tinygan.engine import Replayed, ops

BACKENDS = {"reference": load("reference"), "cpu": load("cpu")}
RNG = np.random.default_rng(0)
INF, NAN = np.inf, np.nan

both = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)


def slope(y: Tensor, *inputs: Tensor) -> list[np.ndarray]:
    return [g.numpy() for g in gradients(ops.sum(y), inputs)]


# ---- values ---------------------------------------------------------------------------------------------------------------------

X = RNG.standard_normal((3, 4, 2))[::-1]
WHOLE = np.array([[3.0, -2.0, 0.0, 1.0]]).T
VALUES = {
    "softmax": (lambda x: ops.softmax(x), special.softmax(X, -1)), "softmax of 0": (lambda x: x.softmax(0), special.softmax(X, 0)),
    "log_softmax": (lambda x: x.log_softmax(axis=1), special.log_softmax(X, 1)),
    "logsumexp": (lambda x: x.logsumexp((0, 2), keepdims=True), special.logsumexp(X, (0, 2), keepdims=True)),
    "min": (lambda x: x.min(1), X.min(1)), "prod": (lambda x: x.prod((0, 1)), X.prod((0, 1))), "sin": (ops.sin, np.sin(X)),
    "prod, kept": (lambda x: x.prod(1, keepdims=True), X.prod(1, keepdims=True)), "cos": (ops.cos, np.cos(X)),
    "norm": (lambda x: x.norm((0, -1)), np.sqrt((X * X).sum((0, 2)))), "norm, all": (ops.norm, np.linalg.norm(X.reshape(-1))),
    "square": (ops.square, X * X), "minimum": (lambda x: ops.minimum(x, x[0] * 2), np.minimum(X, X[0] * 2)),
    "where": (lambda x: ops.where(X > 0, x, x[:1] * 9), np.where(X > 0, X, X[:1] * 9)),
    "clip": (lambda x: x.clip(-0.5, X[0, 0] ** 2), np.clip(X, -0.5, X[0, 0] ** 2)),
    "clip high": (lambda x: x.clip(high=0.1), X.clip(None, 0.1)),
    "stack": (lambda x: ops.stack([x, x * 2], 1), np.stack([X, X * 2], 1)),
    "stack -1": (lambda x: ops.stack([x], -1), X[..., None]),
    "take": (lambda x: x.take([[3, 0], [0, -1]], 1), X.take([[3, 0], [0, -1]], 1)),
    "take, flat": (lambda x: x.take([7, 7, 1]), X.take([7, 7, 1])),
    "power of an array": (lambda x: x**WHOLE, X**WHOLE), "number ** array": (lambda x: 2 ** (x * 3), 2 ** (X * 3)),
    "power of a tensor": (lambda x: abs(x) ** x, np.abs(X) ** X),
    "equal exponents, a larger shape": (lambda x: x[0] ** (X * 0 + 2), X[0] ** (X * 0 + 2)),
    "x[list]": (lambda x: x[[2, 0, 2]], X[[2, 0, 2]]), "x[pairs]": (lambda x: x[range(3), [3, 0, 3]], X[range(3), [3, 0, 3]]),
    "x[:, list]": (lambda x: x[:, [[1, 0]], ::-1], X[:, [[1, 0]], ::-1]), "x[mask]": (lambda x: x[X > 0], X[X > 0]),
    "x[mask of rows]": (lambda x: x[X[..., 0] > 0], X[X[..., 0] > 0]),
    "x[..., list]": (lambda x: x[..., [1, 1, 0]], X[..., [1, 1, 0]]),
    "x[int, list]": (lambda x: x[-1, np.array([1, 2])], X[-1, np.array([1, 2])]), "x[[]]": (lambda x: x[[]], X[[]]),
    "np.where": (lambda x: np.where(X > 0, x, 0.0), np.where(X > 0, X, 0)), "np.clip": (lambda x: np.clip(x, 0, 1), X.clip(0, 1)),
    "np.stack": (lambda x: np.stack([x, x]), np.stack([X, X])), "np.min": (lambda x: np.min(x, 0), X.min(0)),
    "np.prod": (lambda x: np.prod(x, axis=2), X.prod(2)), "np.sin": (np.sin, np.sin(X)),
    "np.take": (lambda x: np.take(x, [1], 1), X[:, [1]]),
    "np.minimum": (lambda x: np.minimum(x, 0.1), np.minimum(X, 0.1)),
}


@both
@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_numpy_and_scipy(name, backend):
    f, expected = VALUES[name]
    y = f(leaf(X, backend))
    assert isinstance(y, Tensor) and y.shape == expected.shape and y.tracked
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(f(constant(X, backend)).numpy(), y.numpy())


def test_every_spelling_is_there():
    for name in ("square", "abs", "sin", "cos", "clip", "min", "prod", "norm", "softmax", "log_softmax", "logsumexp", "take"):
        assert callable(getattr(Tensor, name)) and name in ops.__all__


# ---- extremes -------------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("x", "p"), [
    ([1e4, 0.0, -1e4], [1.0, 0.0, 0.0]), ([INF, 0.0, 5.0], [1.0, 0.0, 0.0]), ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
    ([INF, INF, 1.0], [0.5, 0.5, 0.0]), ([-INF, -INF], [0.5, 0.5]), ([INF, -INF], [1.0, 0.0]), ([3.0], [1.0]),
])
def test_softmax_at_extremes(x, p, dtype, backend):
    t = Tensor(np.array(x, dtype), backend, requires_grad=True)
    np.testing.assert_array_equal(ops.softmax(t).numpy(), np.array(p, dtype))
    np.testing.assert_array_equal(slope(ops.logsumexp(t), t)[0], np.array(p, dtype))
    assert float(ops.logsumexp(t)) == special.logsumexp(np.array(x)).astype(dtype)
    with np.errstate(divide="ignore"):
        logarithms = special.log_softmax(x) if x == [1e4, 0.0, -1e4] else np.log(p)
    np.testing.assert_allclose(ops.log_softmax(t).numpy(), logarithms, rtol=1e-6)
    first = gradients(ops.sum(ops.softmax(t) * Tensor(np.arange(len(x)).astype(dtype), backend)), [t], create_graph=True)[0]
    assert np.isfinite(first.numpy()).all() and np.isfinite(slope(first * first, t)[0]).all()


def test_log_softmax_has_digits_where_softmax_has_run_out_of_numbers():
    x = leaf([0.0, 40.0, -800.0])
    y = ops.log_softmax(x).numpy()
    # ln(1 + e^-40) is below the rounding of 1: the second is -4e-18 in exact arithmetic
    np.testing.assert_allclose(y, [-40.0, 0.0, -840.0], rtol=1e-15, atol=1e-17)
    np.testing.assert_allclose(slope(ops.log_softmax(x)[0], x)[0], [1.0, -1.0, 0.0], rtol=1e-15, atol=1e-17)


@both
def test_what_is_not_chosen_has_no_part_in_the_gradient(backend):
    a, b = leaf([1.0, 2.0, NAN], backend), leaf([NAN, INF, 3.0], backend)
    y = ops.where([True, True, False], a, b)
    first = gradients(ops.sum(y * y), [a, b], create_graph=True)
    assert [g.tolist() for g in first] == [[2.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    assert [g.tolist() for g in slope(first[0] + first[1], a, b)] == [[2.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    x = leaf([-1.0, 0.0, 4.0], backend)
    safe = ops.log(ops.where(x > 0, x, 1.0))
    assert slope(safe, x)[0].tolist() == [0.0, 0.0, 0.25]
    plain = leaf([NAN, 1.0], backend)
    assert slope(ops.where([False, True], plain, 0.0), plain)[0].tolist() == [0.0, 1.0]
    assert slope(ops.clip(leaf([NAN], backend) * 1.0, 0, 1) * 0.0 + plain[1:], plain)[0].tolist() == [0.0, 1.0]


def test_borders_of_clip_belong_to_the_inside():
    x = leaf([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert slope(ops.clip(x, -1, 1), x)[0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert slope(ops.clip(x, np.ones(5), -1), x)[0].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]  # as NumPy: high wins


def test_the_smallest_share_the_gradient_when_they_tie():
    x = leaf([[1.0, 1.0, 3.0], [5.0, 4.0, -INF]])
    (g,) = gradients(ops.min(x, 1), [x], constant([1.0, 10.0]))
    assert g.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 10.0]]
    a, b = leaf([2.0, INF]), leaf([2.0, INF])
    assert [g.tolist() for g in slope(ops.minimum(a, b), a, b)] == [[0.5, 0.5], [0.5, 0.5]]


def test_a_product_with_zeros_has_the_products_of_the_others():
    x = leaf([[2.0, 0.0, 3.0, 5.0, 7.0], [0.0, 2.0, 0.0, 5.0, 1.0]])
    assert slope(ops.prod(x, 1), x)[0].tolist() == [[0.0, 210.0, 0.0, 0.0, 0.0], [0.0] * 5]
    nothing = leaf(np.empty((0, 2)))
    assert ops.prod(nothing, 0).tolist() == [1.0, 1.0] and ops.prod(nothing, 1).shape == (0,)
    assert gradients(ops.prod(nothing), [nothing])[0].shape == (0, 2)


@both
@pytest.mark.parametrize(("dtype", "scale"), [
    (np.float32, 1e-44), (np.float32, 1e38), (np.float64, 1e-310), (np.float64, 4e307), (np.float64, 1.0),
])
def test_a_norm_neither_overflows_nor_underflows(dtype, scale, backend):
    x = Tensor(np.array([3.0, -4.0], dtype) / 5 * dtype(scale), backend, requires_grad=True)
    y = ops.norm(x)
    expected = np.sqrt((x.numpy().astype(np.longdouble) ** 2).sum())
    rtol, atol = 1e-6 if dtype == np.float32 else 1e-15, 2 * float(np.finfo(dtype).smallest_subnormal)
    np.testing.assert_allclose(float(y), float(expected), rtol=rtol, atol=atol)
    unit = (x.numpy().astype(np.longdouble) / expected).astype(float)
    np.testing.assert_allclose(slope(y, x)[0], unit, rtol=0.2 if scale < 1e-40 else 1e-6)


@both
def test_a_norm_has_gradient_zero_at_the_origin(backend):
    x = leaf([[0.0, 0.0], [3.0, 4.0]], backend)
    first = gradients(ops.sum(ops.norm(x, 1)), [x], create_graph=True)[0]
    assert first.tolist() == [[0.0, 0.0], [0.6, 0.8]]
    assert np.isfinite(slope(first * first, x)[0]).all()
    assert float(ops.norm(leaf([INF, 1.0], backend))) == INF and ops.norm(leaf(np.empty((0, 3)), backend), 0).tolist() == [0.0] * 3


@both
def test_powers_of_tensors_at_their_edges(backend):
    x, p = leaf([-2.0, -3.0, 0.0, 0.0, 2.0, 0.0], backend), np.array([3.0, -2.0, 0.0, 2.0, 0.5, 1.0])
    np.testing.assert_allclose(slope(x**p, x)[0], [12.0, 2 / 27, 0.0, 0.0, 0.5 * 2**-0.5, 1.0], rtol=1e-15)
    second = gradients(ops.sum(gradients(ops.sum(x**p), [x], create_graph=True)[0]), [x])[0].numpy()
    np.testing.assert_allclose(second, [-12.0, 6 / 81, 0.0, 2.0, -0.25 * 2**-1.5, 0.0], rtol=1e-14)
    base, exponent = leaf([2.0, 0.0, 0.0], backend), leaf([3.0, 2.0, 0.0], backend)
    np.testing.assert_allclose(slope(base**exponent, exponent)[0], [8 * np.log(2), 0.0, 0.0], rtol=1e-15)
    large = leaf([1000.0], backend)
    assert float(ops.power(3.0, large * 0 + 600)) == 3.0**600  # e^(600 ln 3) is off by 1e-14


@both
def test_repeated_picks_add_their_gradients_up(backend):
    x, u = leaf(RNG.standard_normal((3, 4)), backend), RNG.standard_normal((5, 4))
    at, expected = [2, 0, 2, 2, 0], np.zeros((3, 4))
    np.add.at(expected, at, u)
    np.testing.assert_allclose(gradients(x[at], [x], constant(u, backend))[0].numpy(), expected, rtol=1e-14)
    rows, columns, v = [0, 1, 0], [3, 2, 3], RNG.standard_normal(3)
    expected = np.zeros((3, 4))
    np.add.at(expected, (rows, columns), v)
    np.testing.assert_allclose(gradients(x[rows, columns], [x], constant(v, backend))[0].numpy(), expected, rtol=1e-14)


def test_a_recorded_step_chooses_and_picks_anew():
    def step(x, c):
        w = x * 2.0
        return [ops.where(c, w[[1, 1, 0]], ops.softmax(w[range(3), [0, 0, 1]])), ops.clip(x, -1, 1), ops.norm(x, 1)]

    replayed, backend = Replayed(step, BACKENDS["cpu"]), BACKENDS["cpu"]
    for _ in range(3):
        x, c = RNG.standard_normal((3, 3)), RNG.integers(0, 2, 3).astype(float)
        eager = [y.numpy().copy() for y in step(constant(x, backend), constant(c, backend))]
        for one, other in zip(replayed(x, c), eager, strict=True):
            np.testing.assert_array_equal(one.numpy(), other)


# ---- refusals -------------------------------------------------------------------------------------------------------------------

T = constant(np.ones((2, 3)))
REFUSED = {
    "an index too large": (lambda: T.take([0, 2], 0), IndexError, "index 2 is out of range for an axis of 2"),
    "an index too small": (lambda: T[[-3]], IndexError, "index -3 is out of range"),
    "floats as indices": (lambda: T[[0.0, 1.0]], TypeError, "they have to be whole numbers"),
    "text as indices": (lambda: T.take(["a"], 0), TypeError, "they have to be whole numbers"),
    "an axis too many": (lambda: T.take([0], 2), ValueError, "axis 2 is out of range"),
    "arrays apart": (lambda: constant(np.ones((2, 2, 2)))[[0], :, [0]], IndexError, "side by side"),
    "a new axis beside arrays": (lambda: T[None, [0]], IndexError, "reshape the result"),
    "arrays that do not broadcast": (lambda: T[[0, 1], [0, 1, 2]], IndexError, "do not broadcast"),
    "too many arrays": (lambda: T[[0], [0], [0]], IndexError, "too many indices"),
    "a mask of another shape": (lambda: T[np.ones((3, 2), bool)], IndexError, "a mask of shape"),
    "a mask of the last axis": (lambda: T[np.ones(3, bool)], IndexError, r"mask of shape \(3,\) does not fit its axes from 0"),
    "clip: swapped borders": (lambda: T.clip(1, 0), ValueError, "low is 1 and high 0; low has to be at most high"),
    "clip: NaN": (lambda: T.clip(float("nan"), 1), ValueError, "low is nan"),
    "pad: a number": (lambda: ops.pad(T, 1), TypeError, r"pad: widths is 1, .* a pair \(before, after\) for each axis"),
    "pad: one pair": (lambda: ops.pad(T, (1, 1)), TypeError, "a pair"),
    "broadcast_to": (lambda: ops.broadcast_to(T, (7, 9)), ValueError, r"broadcast_to: x has shape .* broadcast to \(7, 9\)"),
    "clip to nothing": (lambda: T.clip(), ValueError, "give low, high or both"),
    "stack of odd shapes": (lambda: ops.stack([T, T[0]]), ValueError, "have to be the same; concat"),
    "stack along too far an axis": (lambda: ops.stack([T], 3), ValueError, "axis 3 is out of range"),
    "stack of nothing": (lambda: ops.stack([]), ValueError, "no tensors"),
    "min of nothing": (lambda: constant(np.ones((2, 0))).min(1), ValueError, "min: x has shape"),
    "softmax of nothing": (lambda: constant(np.ones((2, 0))).softmax(), ValueError, "no softmax of no elements"),
    "where of odd shapes": (lambda: ops.where([True, False], T, 0.0), ValueError, "do not broadcast"),
    "where of text": (lambda: ops.where("x", T, 0.0), TypeError, "text"),
    "an exponent of text": (lambda: T ** "2", TypeError, "text|unsupported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

"""The reference against definitions that share no code with it: loops over the formula, the C library through `math`,
scipy.signal, adjoint identities, and numbers known in closed form."""

import inspect
import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from strategies import convolutions, generators, inputs_for, normal, shapes
from tinygan_kernels import KERNELS, reference

CALM = settings(max_examples=40, deadline=None)


def cases(kernel, **options):
    return inputs_for(kernel, np.float64, **options)


def whole(rng, shape):
    """Whole numbers: sums and products of them are exact, so that results can be compared bit for bit."""
    return rng.integers(-5, 6, shape).astype(np.float64)


def derivative(f, x, direction, h=1e-6):
    """Central difference of f at x along direction; off by O(h^2) and by rounding over h: some 1e-9 here."""
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"

# ---- the list -----------------------------------------------------------------------------------------------------------------


def public_functions():
    members = inspect.getmembers(reference, inspect.isfunction)
    here = {name: f for name, f in members if f.__module__ == reference.__name__ and not name.startswith("_")}
    return {name: f for name, f in here.items() if name not in ("backend", "writing")}


def test_contract_and_reference_have_the_same_kernels():
    assert set(public_functions()) == set(KERNELS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_arguments_have_the_names_of_the_contract(kernel):
    entry, names = KERNELS[kernel], list(inspect.signature(public_functions()[kernel]).parameters)
    arrays = [*entry.inputs, *(entry.outputs if entry.in_place else ())]
    assert names[: len(arrays)] == arrays or names[: len(arrays)] == [*entry.inputs, "y"]
    assert entry.name == kernel and entry.formula


# ---- elementwise --------------------------------------------------------------------------------------------------------------

BY_DEFINITION = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "maximum": lambda a, b: a if a > b else b,
    "equal": lambda a, b: 1.0 if a == b else 0.0,
    "pow": math.pow,
    "where": lambda c, a, b: a if c else b,
    "neg": lambda x: -x,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": math.fabs,
    "sin": math.sin,
    "cos": math.cos,
    "sign": lambda x: (x > 0) - (x < 0),
    "power": lambda x, exponent: math.pow(x, exponent),
    "tanh": math.tanh,
    "sigmoid": lambda x: math.exp(x) / (1 + math.exp(x)) if x < 0 else 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)) if x < 30 else x + math.exp(-x),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "leaky_relu_grad": lambda g, x, slope: g if x > 0 else slope * g,
    "tanh_grad": lambda g, t: g * (1 - t) * (1 + t),
    "sigmoid_grad": lambda g, p: g * p * (1 - p),
}


@pytest.mark.parametrize("kernel", BY_DEFINITION)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_elementwise_kernels_against_the_c_library(kernel, data):
    inputs, _, params = data.draw(cases(kernel))
    y = getattr(reference, kernel)(*inputs, **params)
    elements = zip(*(a.flat for a in np.broadcast_arrays(*inputs)), strict=True)
    expected = [BY_DEFINITION[kernel](*map(float, element), **params) for element in itertools.islice(elements, 200)]
    assert y.shape == np.broadcast_shapes(*(a.shape for a in inputs)) and y.dtype == np.float64
    # atol: 1 - t^2 near |t| = 1 is off by rounding of t^2
    np.testing.assert_allclose(y.reshape(-1)[:200], expected, rtol=2e-15, atol=1e-13 if kernel == "tanh_grad" else 0)


def test_every_elementwise_kernel_is_defined_above():
    missing = {name for name, kernel in KERNELS.items() if kernel.elementwise} - set(BY_DEFINITION) - {"copy"}
    assert not missing, f"tests/tinygan_kernels/test_reference.py: BY_DEFINITION has no line for {sorted(missing)}"


def test_sigmoid_and_softplus_at_any_logit():
    """Limits: sigmoid(-x) = e^-x and softplus(-x) = e^-x for large x, softplus(x) = x; no warnings, which are errors."""
    x = np.array([1e4, 800.0, 40.0])
    np.testing.assert_array_equal(reference.sigmoid(x), 1)
    np.testing.assert_array_equal(reference.softplus(x), x)
    np.testing.assert_allclose(reference.sigmoid(-x), np.exp(-x), rtol=1e-15)
    np.testing.assert_allclose(reference.softplus(-x), np.exp(-x), rtol=1e-15)
    assert reference.sigmoid(np.zeros(())) == 0.5 and reference.softplus(np.zeros(())) == math.log(2)


@pytest.mark.parametrize("function,slope", [
    (reference.tanh, lambda g, x: reference.tanh_grad(g, np.tanh(x))),
    (reference.sigmoid, lambda g, x: reference.sigmoid_grad(g, reference.sigmoid(x))),
    (lambda x: reference.leaky_relu(x, 0.2), lambda g, x: reference.leaky_relu_grad(g, x, 0.2)),
    (reference.softplus, lambda g, x: g * reference.sigmoid(x)),
])
@CALM
@given(rng=generators())
def test_gradient_kernels_are_derivatives(rng, function, slope):
    x, g = (normal(rng, (7,)) for _ in range(2))
    x += np.where(x > 0, 0.1, -0.1)
    np.testing.assert_allclose(slope(g, x), g * derivative(function, x, np.ones(7)), rtol=0, atol=1e-7)


def test_the_kinks_belong_to_the_lower_side():
    zero, one = np.zeros(1), np.ones(1)
    assert reference.leaky_relu_grad(one, zero, 0.2) == 0.2 and reference.sign(zero) == 0


# ---- reductions and moves -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel,of", [("sum", math.fsum), ("max", max)])
@CALM
@given(data=st.data())
def test_reductions_by_their_definition(kernel, of, data):
    (x,), _, params = data.draw(cases(kernel))
    axes, kept = [axis % x.ndim for axis in params["axes"]], params["keepdims"]
    groups = {}
    for index, value in np.ndenumerate(x):
        groups.setdefault(tuple(0 if i in axes else at for i, at in enumerate(index)), []).append(value)
    expected = np.zeros([1 if i in axes else n for i, n in enumerate(x.shape)])
    for index, values in groups.items():
        expected[index] = of(values)
    if not kept:
        expected = expected.reshape([n for i, n in enumerate(x.shape) if i not in axes])
    y = np.asarray(getattr(reference, kernel)(x, **params))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-11 * np.abs(x).max(initial=1) if kernel == "sum" else 0)


def test_copy_and_fill():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(reference.copy(x), x)
    np.testing.assert_array_equal(reference.fill(x, 2.5), np.full((2, 3), 2.5))


# ---- the closed family --------------------------------------------------------------------------------------------------------


@CALM
@given(sizes=st.tuples(*[st.integers(0, 4)] * 3), trans=st.tuples(st.booleans(), st.booleans()), rng=generators())
def test_matmul_by_its_definition(sizes, trans, rng):
    m, n, k = sizes
    a, b = whole(rng, (k, m) if trans[0] else (m, k)), whole(rng, (n, k) if trans[1] else (k, n))
    c = reference.matmul(a, b, *trans)
    assert c.shape == (m, n)
    for i, j in np.ndindex(m, n):
        assert c[i, j] == sum((a[l, i] if trans[0] else a[i, l]) * (b[j, l] if trans[1] else b[l, j]) for l in range(k))


def pixel(x, n, i, j, c):
    inside = 0 <= i < x.shape[1] and 0 <= j < x.shape[2]
    return x[n, i, j, c] if inside else 0.0


@CALM
@given(form=convolutions(), rng=generators())
def test_conv2d_by_the_formula_of_the_contract(form, rng):
    """y[n,i,j,o] = sum x[n, i s + u - p, j s + v - p, c] w[u,v,c,o], at up to 30 places."""
    x_shape, w_shape, y_shape, s, p = form
    x, w = whole(rng, x_shape), whole(rng, w_shape)
    y = reference.conv2d(x, w, s, p)
    assert y.shape == y_shape
    for flat in rng.permutation(y.size)[:30]:
        n, i, j, o = np.unravel_index(flat, y.shape)
        taps = np.ndindex(w_shape[:3])
        assert y[n, i, j, o] == sum(pixel(x, n, i * s + u - p, j * s + v - p, c) * w[u, v, c, o] for u, v, c in taps)


def planes(x, w, product):
    """Sum over input channels of `product` of two planes, for every image and filter: (N, H, W, C_in), (KH, KW, C_in, C_out)."""
    return np.stack([
        np.stack([sum(product(x[n, :, :, c], w[:, :, c, o]) for c in range(x.shape[3])) for o in range(w.shape[3])], axis=-1)
        for n in range(x.shape[0])
    ])


@pytest.mark.parametrize("stride,pad,kernel", [(1, 0, (3, 2)), (2, 1, (3, 3)), (3, 2, (5, 1)), (2, 0, (1, 4))])
def test_convolutions_against_scipy(stride, pad, kernel):
    rng = np.random.default_rng(stride)
    x, w = whole(rng, (2, 9, 8, 3)), whole(rng, (*kernel, 3, 4))
    framed = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    y = planes(framed, w, lambda a, b: signal.correlate2d(a, b, "valid"))[:, ::stride, ::stride]
    np.testing.assert_array_equal(reference.conv2d(x, w, stride, pad), y)
    # the adjoint: cotangents spread out by the stride, then a full convolution with the filter, then the frame cut off
    g = whole(rng, y.shape)
    spread = np.zeros((2, framed.shape[1] - kernel[0] + 1, framed.shape[2] - kernel[1] + 1, 4))
    spread[:, ::stride, ::stride] = g
    dx = planes(spread, w.transpose(0, 1, 3, 2), lambda a, b: signal.convolve2d(a, b, "full"))
    np.testing.assert_array_equal(reference.conv2d_dx(g, w, stride, pad, 9, 8), dx[:, pad : pad + 9, pad : pad + 8])
    # the filter's: every image's pixels correlated with its spread-out cotangents
    dw = planes(framed.transpose(3, 1, 2, 0), spread.transpose(1, 2, 0, 3), lambda a, b: signal.correlate2d(a, b, "valid"))
    np.testing.assert_array_equal(reference.conv2d_dw(x, g, stride, pad, *kernel), dw.transpose(1, 2, 0, 3))


@CALM
@given(form=convolutions(), rng=generators())
def test_the_three_convolutions_are_each_other_s_adjoints(form, rng):
    """<conv(x, w), g> = <x, conv_dx(g, w)> = <w, conv_dw(x, g)>, exactly, as all numbers are whole."""
    x_shape, w_shape, y_shape, stride, pad = form
    x, w, g = (whole(rng, shape) for shape in (x_shape, w_shape, y_shape))
    inner = np.vdot(reference.conv2d(x, w, stride, pad), g)
    dx = reference.conv2d_dx(g, w, stride, pad, x_shape[1], x_shape[2])
    dw = reference.conv2d_dw(x, g, stride, pad, *w_shape[:2])
    assert dx.shape == x_shape and dw.shape == w_shape
    assert inner == np.vdot(x, dx) == np.vdot(w, dw)


def test_adjoint_identities_in_real_numbers():
    rng = np.random.default_rng(0)
    x, w, g = (normal(rng, shape) for shape in ((3, 8, 7, 4), (4, 4, 4, 6), (3, 4, 3, 6)))
    inner = np.vdot(reference.conv2d(x, w, 2, 1), g)
    np.testing.assert_allclose(np.vdot(x, reference.conv2d_dx(g, w, 2, 1, 8, 7)), inner, rtol=1e-12)
    np.testing.assert_allclose(np.vdot(w, reference.conv2d_dw(x, g, 2, 1, 4, 4)), inner, rtol=1e-12)


def test_one_pixel_one_tap():
    """A single one at (2, 1) and a filter with its one at tap (0, 2): the answer can be seen by eye."""
    x, w = np.zeros((1, 4, 4, 1)), np.zeros((3, 3, 1, 1))
    x[0, 2, 1, 0] = w[0, 2, 0, 0] = 1
    y = reference.conv2d(x, w, 1, 1)  # i + 0 - 1 = 2 and j + 2 - 1 = 1
    assert np.argwhere(y).tolist() == [[0, 3, 0, 0]]


# ---- the game's loss ----------------------------------------------------------------------------------------------------------

LOG4 = 1.3862943611198906  # Goodfellow et al. 2014, Theorem 1


@pytest.mark.parametrize("s,t,loss,slope", [
    (1e4, 1.0, 0.0, 0.0),
    (1e4, 0.0, 1e4, 1.0),
    (-1e4, 1.0, 1e4, -1.0),
    (-1e4, 0.0, 0.0, 0.0),
    (1e4, 0.5, 5e3, 0.5),
    (0.0, 1.0, math.log(2), -0.5),
    (0.0, 0.0, math.log(2), 0.5),
    (40.0, 1.0, math.exp(-40), -math.exp(-40)),
    (-40.0, 0.0, math.exp(-40), math.exp(-40)),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_at_extreme_logits(s, t, loss, slope, dtype):
    mean, ds = reference.bce_logits(np.full(4, s, dtype), np.full(4, t, dtype))
    assert mean.dtype == ds.dtype == dtype
    np.testing.assert_allclose(mean, loss, rtol=3 * np.finfo(dtype).eps, atol=0)
    np.testing.assert_allclose(ds, slope / 4, rtol=3 * np.finfo(dtype).eps, atol=0)


def test_v_is_minus_log_4_where_d_is_one_half():
    s = np.zeros((8, 1))
    real, fake = reference.bce_logits(s, np.ones_like(s))[0], reference.bce_logits(s, np.zeros_like(s))[0]
    assert -(real + fake) == pytest.approx(-LOG4, abs=1e-15)


@CALM
@given(s=st.lists(st.floats(-30, 30), min_size=1, max_size=9), real=st.booleans())
def test_dv_dlogit(s, real):
    """V gains log D on real samples and log(1 - D) on fake ones: dV/ds = sigma(-s)/m and -sigma(s)/m."""
    logits, m = np.array(s), len(s)
    loss, ds = reference.bce_logits(logits, np.full(m, float(real)))
    d = [1 / (1 + math.exp(-v)) for v in s]
    by_formula = [1 / (1 + math.exp(v)) / m if real else -p / m for v, p in zip(s, d, strict=True)]
    np.testing.assert_allclose(-ds, by_formula, rtol=1e-14)
    terms = [math.log(p) if real else -math.log1p(math.exp(v)) for v, p in zip(s, d, strict=True)]
    assert -loss == pytest.approx(math.fsum(terms) / m, rel=1e-12, abs=1e-15)


@CALM
@given(case=cases("bce_logits", smooth=True), rng=generators())
def test_the_gradient_of_bce_is_its_derivative(case, rng):
    (s, t), _, _ = case
    direction = normal(rng, s.shape)
    slope = derivative(lambda s: reference.bce_logits(s, t)[0], s, direction)
    np.testing.assert_allclose(np.vdot(reference.bce_logits(s, t)[1], direction), slope, rtol=1e-7, atol=1e-9)


# ---- normalisation, fused kernels ---------------------------------------------------------------------------------------------


@CALM
@given(case=cases("batch_norm"))
def test_batch_norm_by_its_definition(case):
    (x, scale, shift), _, params = case
    y, mean, inv_std = reference.batch_norm(x, scale, shift, **params)
    assert y.shape == x.shape and mean.shape == inv_std.shape == x.shape[-1:]
    for c in range(x.shape[-1]):
        values = x[..., c].reshape(-1).tolist()
        centre = statistics.fmean(values)
        spread = math.sqrt(statistics.pvariance(values, centre) + params["eps"])
        assert mean[c] == pytest.approx(centre, abs=1e-13) and inv_std[c] == pytest.approx(1 / spread, rel=1e-10)
        expected = [scale[c] * (v - centre) / spread + shift[c] for v in values]
        np.testing.assert_allclose(y[..., c].reshape(-1), expected, rtol=1e-10, atol=1e-10)


@CALM
@given(shape=shapes(1, 2, least=1), rng=generators())
def test_batch_norm_grad_by_complex_steps(shape, rng):
    """d/dh at i h, with h far below rounding, is exact for analytic functions (Squire and Trapp 1998): no difference is taken."""
    x, scale, shift, g = (normal(rng, s) for s in ((*shape, 4), 4, 4, (*shape, 4)))
    _, mean, inv_std = reference.batch_norm(x, scale, shift, 0.1)
    gradients = reference.batch_norm_grad(g, x, scale, mean, inv_std)
    for i, (argument, gradient) in enumerate(zip((x, scale, shift), gradients, strict=True)):
        direction = normal(rng, argument.shape)
        moved = [a + 1e-30j * direction if j == i else a.astype(complex) for j, a in enumerate((x, scale, shift))]
        slope = np.vdot(g, reference.batch_norm(*moved, 0.1)[0]).imag / 1e-30
        np.testing.assert_allclose(np.vdot(gradient, direction), slope, rtol=1e-9, atol=1e-9)


@CALM
@given(case=cases("bias_act"))
def test_bias_act_is_the_bias_and_then_the_activation(case):
    (x, b), _, params = case
    s = np.array([x[index] + b[index[-1]] for index in np.ndindex(x.shape)]).reshape(x.shape)
    activation = {
        "linear": lambda v: v, "tanh": np.tanh, "sigmoid": reference.sigmoid,
        "leaky_relu": lambda v: np.maximum(v, 0) + params["slope"] * np.minimum(v, 0),
    }
    np.testing.assert_array_equal(reference.bias_act(x, b, **params), activation[params["act"]](s))


@CALM
@given(case=cases("bias_act", smooth=True), rng=generators())
def test_bias_act_grad_is_the_derivative_of_bias_act(case, rng):
    (x, b), _, params = case
    g, across, along = normal(rng, x.shape), normal(rng, x.shape), normal(rng, b.shape)
    dx, db = reference.bias_act_grad(g, reference.bias_act(x, b, **params), **params)
    slope = derivative(lambda x: np.vdot(g, reference.bias_act(x, b, **params)), x, across)
    np.testing.assert_allclose(np.vdot(dx, across), slope, rtol=1e-6, atol=1e-5)
    # b moves by less than the values' distance from the kink
    slope = derivative(lambda b: np.vdot(g, reference.bias_act(x, b, **params)), b, along)
    np.testing.assert_allclose(np.vdot(db, along), slope, rtol=1e-6, atol=1e-5)


# ---- updates ------------------------------------------------------------------------------------------------------------------


def test_sgd_ascends_and_descends():
    g, theta = np.array([1.0, -2.0]), np.array([0.5, 0.5])
    assert reference.sgd(g, np.asarray(0.1), theta, sign=1)[0].tolist() == [0.6, 0.3]
    assert reference.sgd(g, np.asarray(0.1), theta, sign=-1)[0].tolist() == [0.4, 0.7]


@pytest.mark.parametrize("sign", [1, -1])
def test_momentum_by_hand(sign):
    """A constant gradient g: the velocity is g (1 + mu + mu^2 + ...)."""
    theta, velocity = np.zeros(1), np.zeros(1)
    for velocity_then, theta_then in ((3.0, 0.3), (4.5, 0.75), (5.25, 1.275)):
        theta, velocity = reference.momentum(np.full(1, 3.0), np.asarray(0.1), theta, velocity, sign=sign, mu=0.5)
        assert velocity[0] == velocity_then and theta[0] == pytest.approx(sign * theta_then, rel=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("beta1,beta2", [(0.9, 0.999), (0.0, 0.99)])
def test_adam_by_hand(sign, beta1, beta2):
    """Kingma and Ba 2015, Algorithm 1, one number at a time, the bias corrections as sums of the weights given so far."""
    gradients, rate, eps = (0.5, -2.0, 0.1), 0.01, 1e-8
    state = [np.array([1.0]), np.zeros(1), np.zeros(1), np.asarray(0.0)]
    theta = 1.0
    for t in (1, 2, 3):
        weights = [[(1 - b) * b ** (t - 1 - i) for i in range(t)] for b in (beta1, beta2)]
        first, second = (
            sum(w * g**p for w, g in zip(ws, gradients, strict=False)) for p, ws in zip((1, 2), weights, strict=True)
        )
        theta += sign * rate * (first / sum(weights[0])) / (math.sqrt(second / sum(weights[1])) + eps)
        state = reference.adam(np.array([gradients[t - 1]]), np.asarray(rate), *state, sign=sign, beta1=beta1, beta2=beta2, eps=eps)
        np.testing.assert_allclose([float(s.item()) for s in state], [theta, first, second, t], rtol=1e-12)


def test_adam_s_first_step_is_the_rate_whatever_the_gradient():
    for g in (1e-3, 7.0, -1e5):
        state = (np.zeros(1), np.zeros(1), np.zeros(1), np.asarray(0.0))
        theta, *_ = reference.adam(np.array([g]), np.asarray(0.01), *state, sign=-1, beta1=0.9, beta2=0.999, eps=1e-12)
        assert theta[0] == pytest.approx(-0.01 * np.sign(g), rel=1e-6)


def test_ema_forgets_at_its_rate():
    average, x = np.full(1, 8.0), np.full(1, 2.0)
    for n in range(1, 6):
        (average,) = reference.ema(x, average, decay=0.75)
        assert average[0] == pytest.approx(2 + 6 * 0.75**n, rel=1e-15)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_the_reference_stays_in_the_precision_it_is_given(kernel, dtype, data):
    inputs, states, params = data.draw(inputs_for(kernel, dtype))
    values = getattr(reference, kernel)(*inputs, *states, **params)
    for value in values if isinstance(values, tuple) else (values,):
        # NumPy 1 computes with scalars of float32 and Python's numbers in float64; the backend rounds them into its outputs
        assert value.dtype == dtype or (NUMPY_1 and value.ndim == 0 and value.dtype == np.float64)

"""The bounds on trial: wrong kernels, planted one by one, exceed their bound; right ones stay inside, and not by miles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, inputs_for, normal
from tinygan_kernels import KERNELS, reference
from tinygan_kernels.verification import bounds
from tinygan_kernels.verification.cases import cases

SEED = 20140610


def numbers(shape, dtype, spread=1.0, seed=SEED):
    return normal(np.random.default_rng(seed), shape, dtype, spread)


def typical(kernel, dtype):
    """(inputs, states, params) of usual size, with no symmetry, zero or tie that could hide a mistake.

    A kernel that is not listed is judged on the largest of its hard cases, ties and all.
    """
    a, b, c, d = (numbers((17, 5), dtype, seed=i) for i in range(4))
    rate = np.asarray(0.2, dtype)
    image, filters = numbers((3, 7, 6, 4), dtype), numbers((3, 2, 4, 5), dtype, seed=1)
    window = {"stride": 2, "pad": 1}
    listed = {
        "log": ((np.exp(a),), (), {}), "sqrt": ((np.exp(a),), (), {}), "power": ((np.abs(a),), (), {"exponent": 1.7}),
        "equal": ((np.round(a), np.round(b)), (), {}), "fill": ((), (a,), {"value": 2.0}),
        "leaky_relu": ((a,), (), {"slope": 0.2}), "leaky_relu_grad": ((a, b), (), {"slope": 0.2}),
        "tanh_grad": ((a, np.tanh(b)), (), {}), "sigmoid_grad": ((a, reference.sigmoid(b)), (), {}),
        "sign": ((np.round(a),), (), {}), "sum": ((a,), (), {"axes": (0,)}),
        "max": ((np.concatenate([a, np.array([[9, -9, 0, 0, 0]], dtype)]),), (), {"axes": (0,)}),
        "matmul": ((numbers((17, 17), dtype), numbers((17, 17), dtype, seed=1)), (), {}),
        "conv2d": ((image, filters), (), window),
        "conv2d_dx": ((numbers((3, 4, 4, 5), dtype), filters), (), {**window, "height": 7, "width": 6}),
        "conv2d_dw": ((image, numbers((3, 4, 4, 5), dtype)), (), {**window, "kh": 3, "kw": 2}),
        "bce_logits": ((a * 3, reference.sigmoid(b)), (), {}),
        "batch_norm": ((a + 1, c[0], d[0]), (), {"eps": 1e-2}),
        "batch_norm_grad": ((b, a, c[0], *reference.batch_norm(a, c[0], d[0], 1e-2)[1:]), (), {}),
        "bias_act": ((a, b[0]), (), {"act": "leaky_relu", "slope": 0.2}),
        "bias_act_grad": ((a, np.tanh(b)), (), {"act": "tanh"}),
        "sgd": ((a, rate), (b,), {"sign": -1}), "momentum": ((a, rate), (b, c), {"sign": -1, "mu": 0.9}),
        "adam": ((a, rate), (b, c, d * d, np.asarray(2, dtype)), {"sign": -1, "beta1": 0.5, "beta2": 0.99, "eps": 1e-2}),
        "ema": ((a,), (b,), {"decay": 0.9}),
    }
    plain = ("add", "mul", "maximum", "neg", "exp", "abs", "tanh", "sigmoid", "softplus", "copy")
    listed |= {name: ((a, b)[: len(KERNELS[name].inputs)], (), {}) for name in plain}
    if kernel in listed:
        return listed[kernel]
    case = max(cases(kernel, dtype), key=lambda case: case.size)
    return case.inputs, case.states, case.params


RIGHT = reference.backend().implementations


def judge(kernel, implementation, dtype, case=None) -> float:
    inputs, states, params = case or typical(kernel, dtype)
    with np.errstate(all="ignore"):
        return bounds.verify(implementation, kernel, inputs, states, **params)


def outputs_of(kernel, arrays):
    return arrays[len(KERNELS[kernel].inputs) :]


# ---- mistakes that every kernel could make ------------------------------------------------------------------------------------


def _one_nan(y):
    y.flat[-1] = np.nan


def _infinite(y):
    y.flat[0] = np.inf


def _zero(y):
    y[...] = 0


def _one_percent(y):
    y *= np.asarray(1.01, y.dtype)


def _one_element(y):
    """One element in a thousandth: the mean error would not show it."""
    at = np.abs(y).argmax()
    y.flat[at] *= np.asarray(1.001, y.dtype)


def _rolled(y):
    """Shift the output by one element, in place: a planted index that is off by one."""
    y[...] = np.roll(y.reshape(-1), 1).reshape(y.shape)


OUTPUTS = [(kernel, i) for kernel in KERNELS for i in range(len(KERNELS[kernel].outputs))]
SPOILERS = [(kernel, i, spoil) for kernel, i in OUTPUTS for spoil in (_one_nan, _infinite, _zero, _one_percent, _one_element)]
# one number, or equal ones, cannot be out of order
SPOILERS += [(kernel, i, _rolled) for kernel, i in OUTPUTS if (kernel, i) not in (("bce_logits", 0), ("adam", 3), ("fill", 0))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel,i,spoil", SPOILERS)
def test_a_spoilt_output_is_caught(kernel, i, spoil, dtype):
    def wrong(*arrays, **params):
        RIGHT[kernel](*arrays, **params)
        spoil(outputs_of(kernel, arrays)[i])

    assert judge(kernel, wrong, dtype) > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel,i", OUTPUTS)
def test_an_output_that_is_not_written_is_caught(kernel, i, dtype):
    def wrong(*arrays, **params):
        kept = outputs_of(kernel, arrays)[i].copy()
        RIGHT[kernel](*arrays, **params)
        outputs_of(kernel, arrays)[i][...] = kept

    assert judge(kernel, wrong, dtype) > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in ("equal", "sign", "fill")])
def test_half_the_precision_is_caught(kernel, dtype):
    """A kernel that computes in float16 (for float32) or in float32 (for float64) somewhere on its way."""
    less = {np.float32: np.float16, np.float64: np.float32}[dtype]

    def wrong(*arrays, **params):
        coarse = [a.astype(less) for a in arrays]
        RIGHT[kernel](*coarse, **params)
        for y, value in zip(outputs_of(kernel, arrays), outputs_of(kernel, coarse), strict=True):
            y[...] = value

    assert judge(kernel, wrong, dtype) > 1


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "fill"])
def test_writing_into_an_input_is_caught(kernel):
    def wrong(*arrays, **params):
        RIGHT[kernel](*arrays, **params)
        arrays[0].flat[0] += 1

    assert judge(kernel, wrong, np.float32) == np.inf


UNLIKE = ("leaky_relu_grad", "tanh_grad", "sigmoid_grad", "matmul", "conv2d_dw", "bias_act_grad", "bce_logits")


@pytest.mark.parametrize("kernel", UNLIKE)
def test_swapped_inputs_are_caught(kernel):
    def wrong(a, b, *rest, **params):
        RIGHT[kernel](b, a, *rest, **params)

    case = None
    if kernel == "conv2d_dw":  # a 1x1 filter: both may stand in either place
        pair = (numbers((3, 4, 4, 5), np.float64), numbers((3, 4, 4, 5), np.float64, seed=1))
        case = (pair, (), {"stride": 1, "pad": 0, "kh": 1, "kw": 1})
    assert judge(kernel, wrong, np.float64, case) > 1


# ---- mistakes of their own ----------------------------------------------------------------------------------------------------


def _tap(w):
    w = w.copy()
    w[-1, 0] = 0
    return w


def _only(state, new):
    """`state` of momentum or Adam as `new`, the rest as it should be."""
    return lambda right: tuple(new if i == state else value for i, value in enumerate(right))


def _adam(g, rate, theta, m, v, t, correct=True, root=True, sign=-1, beta1=0.5, beta2=0.99, eps=1e-2):
    t = float(t) + 1
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = (m / (1 - beta1**t), v / (1 - beta2**t)) if correct else (m, v)
    return theta + sign * rate * m_hat / (np.sqrt(v_hat) + eps if root else np.sqrt(v_hat + eps)), m, v, t


def _unbiased_norm(x, scale, shift, eps):
    y, mean, _ = reference.batch_norm(x, scale, shift, eps)
    return y, mean, 1 / np.sqrt(x.var(axis=0, ddof=1) + eps)


def _dw_of_some(x, g, keep, **params):
    return reference.conv2d_dw(x[keep], g[keep], **params)


def _moved(x, rows, columns):
    return np.roll(x, (rows, columns), (1, 2))


R = reference
WRONG = [
    ("add", "minus", lambda a, b: a - b),
    ("mul", "squared", lambda a, b: a * a),
    ("div", "upside down", lambda a, b: b / a),
    ("maximum", "minimum", np.minimum),
    ("equal", "close", lambda a, b: (np.abs(a - b) < 1.5).astype(a.dtype)),
    ("pow", "a whole exponent", lambda a, b: a ** np.floor(b)),
    ("where", "sides exchanged", lambda c, a, b: np.where(c != 0, b, a)),
    ("where", "where c is positive", lambda c, a, b: np.where(c > 0, a, b)),
    ("where", "a sum", lambda c, a, b: a * (c != 0) + b * c),
    ("neg", "kept", lambda x: x),
    ("exp", "short series", lambda x: 1 + x + x**2 / 2 + x**3 / 6 + x**4 / 24),
    ("log", "base two", np.log2),
    ("sqrt", "one Newton step", lambda x: (1 + x) / 2),
    ("abs", "kept", lambda x: x),
    ("sin", "short series", lambda x: x - x**3 / 6 + x**5 / 120),
    ("cos", "of degrees", lambda x: np.cos(x / 180 * np.pi)),
    ("sign", "never zero", lambda x: np.where(x < 0, -1, 1)),
    ("power", "whole", lambda x, exponent: x ** int(exponent)),
    ("tanh", "sigmoid", R.sigmoid),
    ("sigmoid", "of twice x", lambda x: R.sigmoid(2 * x)),
    ("sigmoid", "hard", lambda x: np.clip(0.25 * x + 0.5, 0, 1)),
    ("softplus", "relu", lambda x: np.maximum(x, 0)),
    ("leaky_relu", "slope everywhere", lambda x, slope: slope * x),
    ("leaky_relu", "relu", lambda x, slope: np.maximum(x, 0)),
    ("leaky_relu_grad", "sides exchanged", lambda g, x, slope: np.where(x > 0, slope * g, g)),
    ("tanh_grad", "1 - t", lambda g, t: g * (1 - t)),
    ("tanh_grad", "of x, not of t", lambda g, t: g * (1 - np.tanh(t) ** 2)),
    ("sigmoid_grad", "g lost", lambda g, p: p * (1 - p)),
    ("sum", "last term dropped", lambda x, axes: x[:-1].sum(axis=0)),
    ("sum", "first term twice", lambda x, axes: x.sum(axis=0) + x[0]),
    ("sum", "mean", lambda x, axes: x.mean(axis=0)),
    ("max", "last term dropped", lambda x, axes: x[:-1].max(axis=0)),
    ("max", "largest size", lambda x, axes: np.abs(x).max(axis=0)),
    ("matmul", "last k dropped", lambda a, b: a[:, :-1] @ b[:-1]),
    ("matmul", "a transposed", lambda a, b: a.T @ b),
    ("matmul", "b transposed", lambda a, b: a @ b.T),
    ("matmul", "c transposed", lambda a, b: (a @ b).T),
    ("conv2d", "filter turned round", lambda x, w, **p: R.conv2d(x, w[::-1, ::-1], **p)),
    ("conv2d", "missing tap", lambda x, w, **p: R.conv2d(x, _tap(w), **p)),
    ("conv2d", "last channel dropped", lambda x, w, **p: R.conv2d(x[..., :-1], w[:, :, :-1], **p)),
    ("conv2d", "one row off", lambda x, w, **p: R.conv2d(_moved(x, 1, 0), w, **p)),
    ("conv2d", "one column off", lambda x, w, **p: R.conv2d(_moved(x, 0, 1), w, **p)),
    ("conv2d", "stride one", lambda x, w, stride, pad: R.conv2d(x, w, 1, pad)[:, :4, :4]),
    ("conv2d", "no padding", lambda x, w, stride, pad: np.pad(R.conv2d(x, w, 2, 0), ((0, 0), (0, 1), (0, 1), (0, 0)))),
    ("conv2d", "edge padding", lambda x, w, **p: R.conv2d(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge"), w, 2, 0)),
    ("conv2d_dx", "filter turned round", lambda g, w, **p: R.conv2d_dx(g, w[::-1, ::-1], **p)),
    ("conv2d_dx", "missing tap", lambda g, w, **p: R.conv2d_dx(g, _tap(w), **p)),
    ("conv2d_dx", "one row off", lambda g, w, **p: _moved(R.conv2d_dx(g, w, **p), 1, 0)),
    ("conv2d_dx", "last filter dropped", lambda g, w, **p: R.conv2d_dx(g[..., :-1], w[..., :-1], **p)),
    ("conv2d_dw", "filter turned round", lambda x, g, **p: R.conv2d_dw(x, g, **p)[::-1, ::-1]),
    ("conv2d_dw", "last image dropped", lambda x, g, **p: _dw_of_some(x, g, slice(-1), **p)),
    ("conv2d_dw", "mean over images", lambda x, g, **p: R.conv2d_dw(x, g, **p) / len(x)),
    ("conv2d_dw", "last row dropped", lambda x, g, **p: R.conv2d_dw(x, g * (np.arange(4) < 3)[:, None, None], **p)),
    ("bce_logits", "sums", lambda s, t: tuple(s.size * y for y in R.bce_logits(s, t))),
    ("bce_logits", "one too few", lambda s, t: tuple(y * s.size / (s.size - 1) for y in R.bce_logits(s, t))),
    ("bce_logits", "labels exchanged", lambda s, t: R.bce_logits(s, 1 - t)),
    ("bce_logits", "gradient turned round", lambda s, t: (R.bce_logits(s, t)[0], -R.bce_logits(s, t)[1])),
    ("bce_logits", "epsilon in the logarithm", lambda s, t: (
        -np.mean(t * np.log(R.sigmoid(s) + 1e-5) + (1 - t) * np.log(1 - R.sigmoid(s) + 1e-5)), R.bce_logits(s, t)[1])),
    ("batch_norm", "unbiased variance", _unbiased_norm),
    ("batch_norm", "epsilon outside the root", lambda x, s, b, eps: (
        R.batch_norm(x, s, b, eps)[0], x.mean(0), 1 / (x.std(0) + eps))),
    ("batch_norm", "no scale", lambda x, s, b, eps: R.batch_norm(x, s * 0 + 1, b, eps)),
    ("batch_norm", "no shift", lambda x, s, b, eps: R.batch_norm(x, s, 0 * b, eps)),
    ("batch_norm_grad", "mean held fixed", lambda g, x, s, m, i: (
        s * i * (g - (x - m) * i * np.mean(g * (x - m) * i, 0)), *R.batch_norm_grad(g, x, s, m, i)[1:])),
    ("batch_norm_grad", "variance held fixed", lambda g, x, s, m, i: (
        s * i * (g - g.mean(0)), *R.batch_norm_grad(g, x, s, m, i)[1:])),
    ("batch_norm_grad", "gradients exchanged", lambda *a: tuple(R.batch_norm_grad(*a)[i] for i in (0, 2, 1))),
    ("bias_act", "bias lost", lambda x, b, **p: R.bias_act(x, 0 * b, **p)),
    ("bias_act", "bias after", lambda x, b, act, slope: R.leaky_relu(x, slope) + b),
    ("bias_act_grad", "slope of y, not of x", lambda g, y, act: R.bias_act_grad(g, np.tanh(y), act)),
    ("bias_act_grad", "last row dropped", lambda g, y, act: (R.tanh_grad(g, y), R.tanh_grad(g, y)[:-1].sum(0))),
    ("sgd", "ascends", lambda g, rate, theta, sign: (theta + rate * g,)),
    ("momentum", "ascends", lambda *a, sign, mu: R.momentum(*a, sign=1, mu=mu)),
    ("momentum", "moves first", lambda g, rate, theta, v, sign, mu: (theta + sign * rate * v, mu * v + g)),
    ("momentum", "looks ahead", lambda g, r, th, v, sign, mu: (th + sign * r * (mu * (mu * v + g) + g), mu * v + g)),
    ("momentum", "averages", lambda g, rate, theta, v, sign, mu: R.momentum((1 - mu) * g, rate, theta, v, sign=sign, mu=mu)),
    ("adam", "ascends", lambda *a, **p: _adam(*a, sign=1)),
    ("adam", "no bias correction", lambda *a, **p: _adam(*a, correct=False)),
    ("adam", "epsilon under the root", lambda *a, **p: _adam(*a, root=False)),
    ("adam", "betas exchanged", lambda *a, **p: _adam(*a, beta1=0.99, beta2=0.5)),
    ("adam", "t not counted", lambda *a, **p: _only(3, a[5])(_adam(*a))),
    ("adam", "t counted late", lambda *a, **p: _only(3, a[5] + 1)(_adam(*a[:5], a[5] - 1))),
    ("ema", "decay turned round", lambda x, average, decay: (decay * x + (1 - decay) * average,)),
    ("ema", "x lost", lambda x, average, decay: (decay * average,)),
    ("copy", "reversed", lambda x: x[::-1]),
    ("fill", "one", lambda y, value: np.ones_like(y)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel,mistake,function", WRONG, ids=[f"{kernel}: {mistake}" for kernel, mistake, _ in WRONG])
def test_a_planted_mistake_is_caught(kernel, mistake, function, dtype):
    wrong = reference.writing(function, KERNELS[kernel])
    assert judge(kernel, wrong, dtype) > 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_with_no_mistake_planted_is_right(dtype):
    assert judge("adam", R.writing(lambda *a, **p: _adam(*a), KERNELS["adam"]), dtype) <= 1


def test_every_kernel_has_a_planted_mistake():
    missing = set(KERNELS) - {kernel for kernel, _, _ in WRONG}
    assert not missing, f"tests/tinygan_kernels/verification/test_bounds.py: WRONG has no planted mistake for {sorted(missing)}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel,far,function", [
    ("softplus", -30.0, lambda x: np.log(1 + np.exp(x))),
    ("sigmoid", -30.0, lambda x: 1 - 1 / (1 + np.exp(x))),
    ("tanh", 1e-6, lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    ("bce_logits", 40.0, lambda s, t: (R.bce_logits(s, t)[0], (R.sigmoid(s) - t) / s.size)),
    ("bce_logits", 40.0, lambda s, t: (
        np.mean(t * np.log(1 + np.exp(-s)) + (1 - t) * np.log(1 + np.exp(s))), R.bce_logits(s, t)[1])),
])
def test_formulas_that_lose_their_digits_far_out_are_caught(kernel, far, function, dtype):
    x = np.full(5, far, dtype)
    inputs = (x, np.ones(5, dtype)) if kernel == "bce_logits" else (x,)
    wrong = reference.writing(function, KERNELS[kernel])
    assert judge(kernel, wrong, dtype, (inputs, (), {})) > 1


def test_a_variance_from_the_mean_square_is_caught():
    """E x^2 - (E x)^2 cancels where the mean is large; the bound is wide there, but not as wide as that."""
    x = numbers((64, 3), np.float32) + np.float32(3000)

    def wrong(x, scale, shift, y, mean, inv_std, eps):
        mean[...] = x.mean(axis=0)
        inv_std[...] = 1 / np.sqrt(np.abs((x * x).mean(axis=0) - mean * mean) + np.float32(eps))
        y[...] = scale * (x - mean) * inv_std + shift

    case = ((x, np.ones(3, np.float32), np.zeros(3, np.float32)), (), {"eps": 1e-5})
    assert judge("batch_norm", wrong, np.float32, case) > 1
    assert judge("batch_norm", RIGHT["batch_norm"], np.float32, case) <= 1


# ---- right kernels stay inside, and not by miles ------------------------------------------------------------------------------

EXACT = {"maximum", "equal", "where", "neg", "abs", "sign", "max", "copy", "fill"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_float32_uses_a_fair_share_of_its_bound(kernel):
    worst = judge(kernel, RIGHT[kernel], np.float32)
    assert worst == 0 if kernel in EXACT else 1e-3 < worst <= 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_reference_in_working_precision_is_right(kernel, dtype, data):
    inputs, states, params = data.draw(inputs_for(kernel, dtype))
    assert bounds.verify(RIGHT[kernel], kernel, inputs, states, **params) <= 1


@pytest.mark.parametrize("order", ["forward", "backward", "by size"])
def test_any_order_of_summation_is_right(order):
    """Terms of very different size that cancel, added one at a time: the worst that a kernel may do."""
    x = (numbers(3000, np.float32) * np.exp(numbers(3000, np.float32, 4, seed=1)))
    x = np.concatenate([x, -x[::-1]])

    def one_by_one(x, y, axes):
        chosen = {"forward": x, "backward": x[::-1], "by size": x[np.argsort(-np.abs(x))]}[order]
        y[...] = np.cumsum(chosen, dtype=np.float32)[-1]

    assert judge("sum", one_by_one, np.float32, ((x,), (), {"axes": (0,)})) <= 1
    assert judge("matmul", lambda a, b, c: one_by_one(a[0], c, (0,)), np.float32,
                 ((x[None], np.ones((len(x), 1), np.float32)), (), {})) <= 1


def test_a_rounded_exponent_is_right():
    """float32(1.7) is not 1.7; far from x = 1 that alone is more than the rounding of a function."""
    x = np.exp(np.linspace(-45, 45, 301)).astype(np.float32)
    for exponent in (1.7, 1 / 3, -1.3):
        rounded = np.float64(np.float32(exponent))
        assert judge("power", lambda x, y, exponent, p=rounded: np.copyto(y, (x.astype(np.float64) ** p).astype(np.float32)),
                     np.float32, ((x,), (), {"exponent": exponent})) <= 1


def test_subnormal_results_may_be_flushed_and_others_not():
    x = np.float32([2e-38, 1e-37]) * np.float32(0.5)
    flush = lambda x, y: np.copyto(y, np.where(np.abs(x) < np.finfo(np.float32).tiny, 0, x))  # noqa: E731
    assert judge("copy", flush, np.float32, ((x,), (), {})) <= 1
    assert judge("copy", lambda x, y: y.fill(0), np.float32, ((x,), (), {})) > 1


# ---- share and gamma ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actual,expected,wanted", [
    ([1.0, 2.5], [1.0, 2.0], 0.5),
    ([1.5, 2.0], [1.0, 2.0], 0.5),
    ([np.nan], [1.0], np.inf),
    ([1.0], [np.nan], np.inf),
    ([np.inf], [1e300], np.inf),
    ([1e300], [np.inf], np.inf),
    ([-np.inf], [np.inf], np.inf),
    ([np.inf, np.nan], [np.inf, np.nan], 0.0),
    ([1.0, 2.0], [[1.0, 2.0]], np.inf),
    ([1.0], [1.0, 1.0], np.inf),
    ([], [], 0.0),
])
def test_share(actual, expected, wanted):
    assert bounds.share(np.array(actual), np.array(expected), np.asarray(1.0)) == wanted


def test_share_with_a_bound_of_zero_or_nan():
    one, two = np.ones(1), np.full(1, 2.0)
    with np.errstate(divide="ignore"):
        assert bounds.share(one, one, np.zeros(1)) == 0 and bounds.share(one, two, np.zeros(1)) == np.inf
    assert bounds.share(one, two, np.full(1, np.nan)) == np.inf


def test_gamma_is_higham_s_and_ends_where_no_digit_is_left():
    u = 2.0**-24
    assert bounds.gamma(1, np.float32) == u / (1 - u) and bounds.gamma(1000, np.float32) == 1000 * u / (1 - 1000 * u)
    assert bounds.gamma(3, np.float64) == pytest.approx(3 * 2.0**-53)
    with pytest.raises(ValueError, match="leave no correct digit"):
        bounds.gamma(2**24, np.float32)


@pytest.mark.parametrize("kernel", KERNELS)
def test_bounds_are_positive_and_fit_their_outputs(kernel):
    inputs, states, params = typical(kernel, np.float64)
    values = getattr(reference, kernel)(*inputs, *states, **params)
    values = values if isinstance(values, tuple) else (values,)
    limits = bounds.bound(kernel, (*inputs, *states), values, np.float32, **params)
    assert len(limits) == len(KERNELS[kernel].outputs)
    for allowed, value in zip(limits, values, strict=True):
        assert np.broadcast_shapes(allowed.shape, np.shape(value)) == np.shape(value)
        assert (allowed > 0).all() and np.isfinite(allowed).all()

"""The values of each op, against NumPy, SciPy or the formula written out, on shapes and strides that hypothesis makes hard."""

import math

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from tinygan import gradients
from tinygan.engine import ops

on_hard_arrays = settings(deadline=None, max_examples=60)

numbers = st.floats(-4, 4, width=32).map(lambda v: v + 0.01)  # nowhere a whole number, never 0
seeds = st.integers(0, 2**32 - 1)


@st.composite
def arrays(draw, shape=None):
    """Draw arrays of up to four axes of 0 to 4 elements, the axes permuted and some walked backwards or by twos."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)) if shape is None else shape
    steps = [draw(st.sampled_from([1, 1, -1, 2, -2])) for _ in shape]
    order = draw(st.permutations(range(len(shape))))
    whole = np.random.default_rng(draw(seeds)).standard_normal([shape[axis] * abs(steps[axis]) for axis in order])
    turned = whole.transpose([order.index(axis) for axis in range(len(shape))])
    return turned[tuple(slice(None, None, step) for step in steps)]


@st.composite
def broadcasting(draw, count=2):
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)).input_shapes
    return [draw(arrays(shape)) for shape in shapes]


def held(*values):
    """Return the arrays as tensors that keep their strides."""
    return [ops.as_tensor(v, constant(0.0)) for v in values]


def close(actual, expected, rtol=1e-12):
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=rtol, atol=1e-13)


# ---- elementwise ----------------------------------------------------------------------------------------------------------------

UNARY = {
    "neg": np.negative, "exp": np.exp, "abs": np.abs, "sign": np.sign, "tanh": np.tanh, "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x), "log_sigmoid": special.log_expit, "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x), "contiguous": np.array,
}


@pytest.mark.parametrize("name", UNARY)
@on_hard_arrays
@given(x=arrays())
def test_functions_of_one_tensor(name, x):
    close(getattr(ops, name)(*held(x)), UNARY[name](x))


@on_hard_arrays
@given(x=arrays())
def test_logarithm_and_root(x):
    close(ops.log(*held(x * x + 0.1)), np.log(x * x + 0.1))
    close(ops.sqrt(*held(x * x)), np.abs(x))


@on_hard_arrays
@given(ab=broadcasting())
def test_arithmetic_broadcasts_as_numpy_does(ab):
    a, b = ab
    x, y = held(a, b)
    close(x + y, a + b)
    close(x - y, a - b)
    close(x * y, a * b)
    close(x / y, a / b)
    close(ops.maximum(x, y), np.maximum(a, b))
    close(abs(x) ** y, np.abs(a) ** b)


@on_hard_arrays
@given(ab=broadcasting(), u=seeds)
def test_gradients_of_broadcast_operands_have_the_operands_shapes(ab, u):
    a, b = ab
    x, y = leaf(a), leaf(b)
    z = x * y
    g = np.random.default_rng(u).standard_normal(z.shape)
    gx, gy = gradients(z, [x, y], constant(g))
    # what repeats an element adds its copies up: contract g b with the map that broadcasts
    for got, factor, values in ((gx, b, a), (gy, a, b)):
        index = np.broadcast_to(np.arange(values.size).reshape(values.shape), z.shape)
        expected = np.bincount(index.ravel(), (g * factor).ravel(), values.size).reshape(values.shape)
        close(got, expected)


@on_hard_arrays
@given(x=arrays(), number=numbers)
def test_numbers_stand_on_either_side(x, number):
    (t,) = held(x)
    close(number + t, number + x)
    close(number - t, number - x)
    close(t - number, x - number)
    close(number * t, number * x)
    close(number / t, number / x)
    close(t / number, x / number)
    close(abs(number) ** t, abs(number) ** x)
    close(-t, -x)


@on_hard_arrays
@given(x=arrays(), exponent=st.sampled_from([-3, -2, -1, 0, 1, 2, 3]))
def test_whole_powers_of_either_sign(x, exponent):
    close(held(x)[0] ** exponent, x ** float(exponent))


@on_hard_arrays
@given(ab=broadcasting())
def test_the_gradient_kernels_of_activations(ab):
    u, x = ab
    g, t = held(u, x)
    close(ops.tanh_grad(g, t), u * (1 - x**2))
    close(ops.sigmoid_grad(g, t), u * x * (1 - x))
    close(ops.leaky_relu_grad(g, t, 0.3), np.where(x > 0, u, 0.3 * u))


# ---- reductions and shape -------------------------------------------------------------------------------------------------------


@st.composite
def arrays_and_axes(draw):
    x = draw(arrays())
    axes = draw(st.sets(st.integers(0, x.ndim - 1))) if x.ndim else set()
    signed = tuple(axis - x.ndim if draw(st.booleans()) else axis for axis in axes)
    return x, draw(st.sampled_from([None, signed])), draw(st.booleans())


@on_hard_arrays
@given(case=arrays_and_axes())
def test_reductions(case):
    x, axis, keepdims = case
    (t,) = held(x)
    close(ops.sum(t, axis, keepdims), np.sum(x, axis, keepdims=keepdims))
    if math.prod(x.shape if axis is None else [x.shape[a] for a in axis]):
        close(ops.mean(t, axis, keepdims), np.mean(x, axis, keepdims=keepdims))
        close(ops.var(t, axis, keepdims), np.var(x, axis, keepdims=keepdims))
        close(ops.max(t, axis, keepdims), np.max(x, axis, keepdims=keepdims))


@on_hard_arrays
@given(x=arrays(), data=st.data())
def test_transpose_and_reshape(x, data):
    (t,) = held(x)
    order = data.draw(st.permutations(range(x.ndim)))
    close(ops.transpose(t, order), x.transpose(order))
    close(t.T, x.T)
    close(ops.reshape(t, (-1, 1)) if x.size else ops.reshape(t, (0, 3)), x.reshape(-1, 1) if x.size else np.empty((0, 3)))


@on_hard_arrays
@given(x=arrays(), data=st.data())
def test_slices_and_their_adjoint(x, data):
    index = data.draw(hnp.basic_indices(x.shape, allow_newaxis=False, allow_ellipsis=True))
    t = leaf(x)
    y = t[index]
    close(y, x[index])
    g = np.random.default_rng(0).standard_normal(y.shape)
    expected = np.zeros(x.shape)
    expected[index] = g
    close(gradients(y, [t], constant(g))[0], expected)
    close(ops.embed(*held(g), x.shape, index), expected)


@on_hard_arrays
@given(x=arrays(), data=st.data())
def test_pad(x, data):
    widths = [data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in x.shape]
    close(ops.pad(*held(x), widths), np.pad(x, widths) if x.ndim else x)


@on_hard_arrays
@given(x=arrays(), lead=hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2))
def test_broadcast_to(x, lead):
    close(ops.broadcast_to(*held(x), (*lead, *x.shape)), np.broadcast_to(x, (*lead, *x.shape)))


@on_hard_arrays
@given(data=st.data())
def test_concat(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = []
    for length in lengths:
        part = list(shape)
        part[axis] = length
        parts.append(data.draw(arrays(tuple(part))))
    close(ops.concat(held(*parts), axis), np.concatenate(parts, axis))


# ---- products and convolutions --------------------------------------------------------------------------------------------------


@on_hard_arrays
@given(m=st.integers(0, 4), k=st.integers(0, 4), n=st.integers(0, 4), ta=st.booleans(), tb=st.booleans(), data=st.data())
def test_matmul(m, k, n, ta, tb, data):
    a, b = data.draw(arrays((k, m) if ta else (m, k))), data.draw(arrays((n, k) if tb else (k, n)))
    close(ops.matmul(*held(a, b), ta, tb), (a.T if ta else a) @ (b.T if tb else b))


@st.composite
def convolutions(draw):
    """Draw (x, w, u, stride, pad): an image, filters that fit it, and a cotangent of their convolution."""
    kh, kw, stride, pad = (draw(st.integers(low, high)) for low, high in ((1, 4), (1, 4), (1, 3), (0, 2)))
    height, width = (draw(st.integers(max(1, k - 2 * pad), 6)) for k in (kh, kw))
    n, c_in, c_out = (draw(st.integers(low, 3)) for low in (0, 1, 1))
    size = tuple((side + 2 * pad - k) // stride + 1 for side, k in ((height, kh), (width, kw)))
    shapes = ((n, height, width, c_in), (kh, kw, c_in, c_out), (n, *size, c_out))
    return *(draw(arrays(shape)) for shape in shapes), stride, pad


def convolved(x, w, stride, pad):
    """Compute a convolution by definition: each output is the filter's product with the window at (i stride, j stride)."""
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nijcuv,uvco->nijo", windows, w)


@on_hard_arrays
@given(case=convolutions())
def test_conv2d_and_its_two_adjoints(case):
    x, w, u, stride, pad = case
    tx, tw, tu = held(x, w, u)
    y = ops.conv2d(tx, tw, stride, pad)
    close(y, convolved(x, w, stride, pad))
    dx = ops.conv2d_dx(tu, tw, stride, pad, *x.shape[1:3])
    dw = ops.conv2d_dw(tx, tu, stride, pad, *w.shape[:2])
    assert dx.shape == x.shape and dw.shape == w.shape
    product, scale = float((y.numpy() * u).sum()), float(np.abs(x).sum() * np.abs(w).sum() * np.abs(u).sum() + 1)
    assert abs(product - float((x * dx.numpy()).sum())) <= 1e-14 * scale
    assert abs(product - float((w * dw.numpy()).sum())) <= 1e-14 * scale
    # element by element, too: an inner product sees one number
    probe = np.zeros(x.shape)
    if x.size:
        where = np.unravel_index(x.size // 2, x.shape)
        probe[where] = 1.0
        np.testing.assert_allclose(dx.numpy()[where], (convolved(probe, w, stride, pad) * u).sum(), rtol=1e-10, atol=1e-12)


@on_hard_arrays
@given(case=convolutions())
def test_conv_transpose2d_grows_an_image_by_stamping_the_filter(case):
    _, w, u, stride, pad = case
    (n, h, width, _), (kh, kw) = u.shape, w.shape[:2]
    if (h - 1) * stride + kh <= 2 * pad or (width - 1) * stride + kw <= 2 * pad:
        return  # padding that eats the whole image is refused, see below
    canvas = np.zeros((n, (h - 1) * stride + kh, (width - 1) * stride + kw, w.shape[2]))
    for i in range(h):
        for j in range(width):
            canvas[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += np.einsum("nc,uvoc->nuvo", u[:, i, j], w)
    expected = canvas[:, pad : canvas.shape[1] - pad, pad : canvas.shape[2] - pad]
    close(ops.conv_transpose2d(*held(u, w), stride, pad), expected)


def test_conv_transpose2d_refuses_padding_that_eats_the_image():
    with pytest.raises(ValueError):
        ops.conv_transpose2d(constant(np.ones((1, 1, 1, 1))), constant(np.ones((2, 2, 1, 1))), 1, 2)


# ---- fused ops ------------------------------------------------------------------------------------------------------------------

ACTS = {
    "linear": lambda x: x, "leaky_relu": lambda x: np.where(x > 0, x, 0.25 * x), "tanh": np.tanh, "sigmoid": special.expit,
}


@pytest.mark.parametrize("act", ACTS)
@on_hard_arrays
@given(m=st.integers(0, 3), k=st.integers(0, 3), n=st.integers(1, 3), data=st.data())
def test_linear_and_bias_act(act, m, k, n, data):
    x, w, b = (data.draw(arrays(shape)) for shape in ((m, k), (k, n), (n,)))
    close(ops.linear(*held(x, w, b), act, 0.25), ACTS[act](x @ w + b))
    x = data.draw(arrays((m, k, n)))
    close(ops.bias_act(*held(x, b), act, 0.25), ACTS[act](x + b))


@on_hard_arrays
@given(lead=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), c=st.integers(1, 3), data=st.data())
def test_batch_norm(lead, c, data):
    assume(math.prod(lead) > 1)
    x, gamma, beta = (data.draw(arrays(shape)) for shape in ((*lead, c), (c,), (c,)))
    y, mean, inv_std = ops.batch_norm(*held(x, gamma, beta), eps=0.1)
    axes = tuple(range(len(lead)))
    close(mean, x.mean(axes))
    close(inv_std, 1 / np.sqrt(x.var(axes) + 0.1))
    close(y, gamma * (x - x.mean(axes)) / np.sqrt(x.var(axes) + 0.1) + beta)
    assert not mean.tracked and not inv_std.tracked


@on_hard_arrays
@given(data=st.data(), label=st.sampled_from(["array", 0.0, 1.0, 0.9]), scale=st.sampled_from([1.0, 30.0, 1000.0]))
def test_bce_logits(data, label, scale):
    s = data.draw(arrays(data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)))) * scale
    t = np.random.default_rng(1).uniform(0, 1, s.shape) if label == "array" else label
    expected = -(t * special.log_expit(s) + (1 - t) * special.log_expit(-s)).mean()
    close(ops.bce_logits(*held(s), t), expected)
    x = leaf(s)
    close(gradients(ops.bce_logits(x, t), [x])[0], ((1 - t) * special.expit(s) - t * special.expit(-s)) / s.size)


def test_the_backend_travels_with_the_results():
    x = leaf([1.0])
    assert ops.tanh(x * 2.0 + 1.0).backend is REFERENCE is ops.as_tensor([1.0], x).backend

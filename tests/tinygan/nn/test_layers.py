"""Layers: shapes, initialisation by its papers' formulas, batch normalisation by hand, and parameters as one flat buffer."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, names
from scipy import stats
from tinygan_kernels import load

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.flat import Flat
from tinygan.nn.init import INITS, dcgan_normal, glorot_uniform, he_normal, lecun_uniform
from tinygan.nn.layers import (
    Activation,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    count_parameters,
)


def made(seed=0, **options):
    return {"backend": REFERENCE, "rng": np.random.default_rng(seed), "dtype": np.float64, **options}


def images(*shape):
    return constant(np.random.default_rng(1).standard_normal(shape))


# ---- initialisation -------------------------------------------------------------------------------------------------------------

FAN_IN, FAN_OUT = 300, 100


@pytest.mark.parametrize(("init", "law"), [
    (he_normal, stats.norm(0, np.sqrt(2 / FAN_IN))),
    (glorot_uniform, stats.uniform(-np.sqrt(6 / (FAN_IN + FAN_OUT)), 2 * np.sqrt(6 / (FAN_IN + FAN_OUT)))),
    (lecun_uniform, stats.uniform(-1 / np.sqrt(FAN_IN), 2 / np.sqrt(FAN_IN))),
    (dcgan_normal, stats.norm(0, 0.02)),
])
def test_initial_weights_follow_the_law_of_their_paper(init, law):
    values = init(np.random.default_rng(0), (FAN_IN, FAN_OUT), FAN_IN, FAN_OUT)
    assert values.shape == (FAN_IN, FAN_OUT)
    assert stats.kstest(values.ravel(), law.cdf).pvalue > 0.01  # a scale that is 2 % off gives 1e-4
    assert INITS[init.__name__] is init


@pytest.mark.parametrize(("layer", "fan_in", "fan_out"), [
    (lambda init: Linear(7, 5, **made(init=init)), 7, 5),
    (lambda init: Conv2d(3, 5, 4, **made(init=init)), 4 * 4 * 3, 4 * 4 * 5),
    (lambda init: ConvTranspose2d(3, 5, 4, **made(init=init)), 4 * 4 * 3, 4 * 4 * 5),
])
def test_layers_hand_the_right_fans_to_their_initialisation(layer, fan_in, fan_out):
    seen = []
    layer(lambda rng, shape, *fans: seen.append(fans) or np.zeros(shape))
    assert seen == [(fan_in, fan_out)]


def test_biases_start_at_zero_scales_at_one_and_weights_are_reproducible():
    network = Sequential(Conv2d(1, 2, 3, **made()), BatchNorm(2, backend=REFERENCE, dtype=np.float64))
    values = {name: t.numpy() for name, t in network.parameters().items()}
    np.testing.assert_array_equal(values["0.b"], [0.0, 0.0])
    np.testing.assert_array_equal(values["1.gamma"], [1.0, 1.0])
    np.testing.assert_array_equal(values["1.beta"], [0.0, 0.0])
    again = Conv2d(1, 2, 3, **made())
    np.testing.assert_array_equal(values["0.w"], again.w.numpy())
    assert (Conv2d(1, 2, 3, **made(seed=1)).w.numpy() != again.w.numpy()).all()


# ---- shapes and values ----------------------------------------------------------------------------------------------------------

LAYERS = {
    "linear": (lambda: Linear(4, 3, **made()), (5, 4), (5, 3)),
    "conv": (lambda: Conv2d(2, 3, 3, 2, 1, **made()), (5, 7, 6, 2), (5, 4, 3, 3)),
    "conv without bias": (lambda: Conv2d(2, 3, 4, 2, 1, bias=False, act="tanh", **made()), (1, 8, 8, 2), (1, 4, 4, 3)),
    "transposed conv": (lambda: ConvTranspose2d(3, 2, 4, 2, 1, **made()), (5, 4, 3, 3), (5, 8, 6, 2)),
    "transposed conv without bias": (lambda: ConvTranspose2d(3, 2, 3, bias=False, **made()), (1, 1, 1, 3), (1, 3, 3, 2)),
    "batch norm": (lambda: BatchNorm(3, backend=REFERENCE, dtype=np.float64), (5, 2, 2, 3), (5, 2, 2, 3)),
    "reshape": (lambda: Reshape(2, 3, 1), (5, 6), (5, 2, 3, 1)),
    "flatten": (Flatten, (5, 2, 3, 1), (5, 6)),
    "flatten nothing": (Flatten, (0, 2, 3), (0, 6)),
    "activation": (lambda: Activation("tanh"), (5, 2), (5, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_the_shapes_they_document(name):
    layer, given, expected = LAYERS[name]
    assert layer()(images(*given)).shape == expected


def test_layers_compute_what_their_ops_do():
    x = images(2, 5, 5, 2)
    conv, up = Conv2d(2, 3, 3, 2, 1, act="leaky_relu", slope=0.2, **made()), ConvTranspose2d(2, 3, 4, 2, 1, act="sigmoid", **made())
    conv.b.array[...], up.b.array[...] = [1.0, -2.0, 0.5], [0.5, 1.0, -1.0]
    y = ops.conv2d(x, conv.w, 2, 1).numpy() + conv.b.numpy()
    np.testing.assert_allclose(conv(x).numpy(), np.where(y > 0, y, 0.2 * y), rtol=1e-12)
    assert up.w.shape == (4, 4, 3, 2)
    y = ops.conv_transpose2d(x, up.w, 2, 1).numpy() + up.b.numpy()
    np.testing.assert_allclose(up(x).numpy(), 1 / (1 + np.exp(-y)), rtol=1e-12)


def test_activations_by_name():
    x = images(3, 4)
    v = x.numpy()
    for layer, expected in (
        (ReLU(), np.maximum(v, 0)), (LeakyReLU(0.1), np.where(v > 0, v, 0.1 * v)), (LeakyReLU(), np.where(v > 0, v, 0.2 * v)),
        (Tanh(), np.tanh(v)), (Sigmoid(), 1 / (1 + np.exp(-v))), (Activation("linear"), v),
    ):
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)


# ---- batch normalisation, by hand -----------------------------------------------------------------------------------------------


def test_running_statistics_follow_the_batch_with_the_unbiased_variance():
    norm = BatchNorm(2, backend=REFERENCE, dtype=np.float64, momentum=0.25)
    mean, var = np.zeros(2), np.ones(2)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal([1.0, -2.0], [0.5, 3.0], (2, 2, 1, 2))
        y = norm(constant(x))
        flat = x.reshape(-1, 2)
        normalised = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)  # by the biased variance of 4 values
        np.testing.assert_allclose(y.numpy().reshape(-1, 2), normalised, rtol=1e-12)
        mean = 0.75 * mean + 0.25 * flat.mean(0)
        var = 0.75 * var + 0.25 * flat.var(0, ddof=1)  # 4/3 of the biased one
    np.testing.assert_allclose(norm.mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(norm.var.numpy(), var, rtol=1e-9)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3), (3,), (1, 1)])
def test_one_value_a_channel_cannot_be_normalised(shape, backend):
    """Less its own mean it is 0, so the layer would give its shift, and no gradient, whatever it was."""
    backend = load(backend)
    layer, x = BatchNorm(shape[-1], backend=backend), Tensor(np.ones(shape, np.float32), backend)
    with pytest.raises(ValueError, match="one value for each channel; less its own mean each is 0"):
        layer(x)
    with pytest.raises(ValueError, match="one value for each channel"):
        Sequential(Linear(2, 3, **made(backend=backend, dtype=np.float32)), BatchNorm(3, backend=backend))(
            Tensor(np.ones((1, 2), np.float32), backend))
    np.testing.assert_array_equal(layer.mean.numpy(), 0)
    assert layer.eval()(x).shape == shape
    assert layer.train()(Tensor(np.ones((2, *shape), np.float32), backend)).shape == (2, *shape)


@pytest.mark.parametrize(("options", "message"), [
    ({"eps": 0.0}, "eps is 0.0"), ({"eps": -1e-5}, "eps is -1e-05"), ({"eps": float("nan")}, "eps is nan"),
    ({"momentum": 1.5}, "momentum is 1.5"), ({"momentum": -0.1}, "momentum is -0.1"),
])
def test_options_of_batch_normalisation_out_of_range(options, message):
    with pytest.raises(ValueError, match=f"BatchNorm: {message}"):
        BatchNorm(3, backend=REFERENCE, **options)


def test_eval_normalises_by_the_running_statistics_and_leaves_them():
    norm = BatchNorm(2, backend=REFERENCE, dtype=np.float64, act="leaky_relu", slope=0.2)
    for tensor, values in ((norm.mean, [1.0, 2.0]), (norm.var, [4.0, 0.25]), (norm.gamma, [3.0, -1.0]), (norm.beta, [0.5, 0.0])):
        tensor.array[...] = values
    x = np.array([[1.0, 3.0], [5.0, -4.0]])
    h = (x - [1.0, 2.0]) / np.sqrt(np.array([4.0, 0.25]) + 1e-5) * [3.0, -1.0] + [0.5, 0.0]
    norm.eval()
    np.testing.assert_allclose(norm(constant(x)).numpy(), np.where(h > 0, h, 0.2 * h), rtol=1e-12)
    one = norm(constant(x[:1])).numpy()
    np.testing.assert_array_equal(one, norm(constant(x)).numpy()[:1])  # a sample does not depend on its batch
    np.testing.assert_array_equal(norm.mean.numpy(), [1.0, 2.0])
    norm.train()
    assert not np.allclose(norm(constant(x)).numpy(), np.where(h > 0, h, 0.2 * h))


def test_train_and_eval_reach_every_layer():
    inner = BatchNorm(2, backend=REFERENCE)
    network = Sequential(Sequential(inner), Flatten())
    assert network.eval() is network and not inner.training and not network.training
    assert network.train() is network and inner.training and network.training


def test_buffers_are_kept_apart_from_what_is_learnt():
    network = Sequential(Linear(2, 2, **made()), BatchNorm(2, backend=REFERENCE, dtype=np.float64))
    assert list(network.buffers()) == ["1.mean", "1.var"]
    assert not any(t.requires_grad for t in network.buffers().values())
    assert all(t.requires_grad for t in network.parameters().values())


# ---- names and flat buffers -----------------------------------------------------------------------------------------------------


def test_names_tell_the_position_and_stay_the_same():
    inner = Sequential(BatchNorm(2, backend=REFERENCE), Flatten())
    network = Sequential(Conv2d(1, 2, 3, **made()), ReLU(), inner, Linear(2, 1, **made()))
    assert list(network.parameters()) == ["0.w", "0.b", "2.0.gamma", "2.0.beta", "3.w", "3.b"]
    assert all(a is b for a, b in zip(network.parameters().values(), network.parameters().values(), strict=True))
    assert count_parameters(network) == 9 * 2 + 2 + 2 + 2 + 2 + 1
    assert [type(layer) for layer in network] == [Conv2d, ReLU, Sequential, Linear]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_parameters_become_views_of_one_buffer_with_their_values_kept(backend):
    place = load(backend)
    layer = Sequential(Linear(3, 2, **made(backend=place)), Linear(2, 4, **made(backend=place)))
    before = {name: t.numpy().copy() for name, t in layer.parameters().items()}
    parameters = layer.parameters()
    flat = Flat(parameters)
    for name, t in flat.parameters.items():
        np.testing.assert_array_equal(t.numpy(), before[name])
        assert np.shares_memory(t.numpy(), flat.theta) and t is parameters[name]
    np.testing.assert_array_equal(flat.theta, np.concatenate([before[name].ravel() for name in flat.parameters]))
    flat.theta[...] = np.arange(flat.theta.size)
    start = 0
    for t in flat.parameters.values():
        np.testing.assert_array_equal(t.numpy(), start + np.arange(t.size).reshape(t.shape))
        start += t.size
    np.testing.assert_array_equal(layer.layers[0].b.numpy(), [6.0, 7.0])


def test_gather_lays_gradients_out_like_the_parameters():
    w, b = (Tensor(np.ones(shape), REFERENCE, requires_grad=True) for shape in ((2, 3), (3,)))
    flat = Flat({"w": w, "b": b})
    g = np.arange(6.0).reshape(3, 2)
    gathered = flat.gather([ops.transpose(constant(g)), constant([7.0, 8.0, 9.0])])
    np.testing.assert_array_equal(gathered.numpy(), [*g.T.ravel(), 7.0, 8.0, 9.0])
    with launches() as seen:
        again = flat.gather([constant(g.T), constant([1.0, 2.0, 3.0])])
    assert again.array is gathered.array and names(seen) == ["copy", "copy"]


def test_flat_says_what_it_cannot_take():
    one = Tensor(np.ones(2), REFERENCE, requires_grad=True)
    with pytest.raises(ValueError, match="without parameters has nothing to train"):
        Flat({})
    with pytest.raises(ValueError, match="b is float32, a is float64"):
        Flat({"a": one, "b": Tensor(np.ones(2, np.float32), REFERENCE)})
    with pytest.raises(ValueError, match="b lives on another backend than a"):
        Flat({"a": one, "b": Tensor(np.ones(2), load("reference"))})
    flat = Flat({"a": one})
    with pytest.raises(ValueError, match="2 gradients for 1 parameters"):
        flat.gather([constant([1.0, 2.0]), constant([1.0, 2.0])])
    with pytest.raises(ValueError, match="gradient of a"):
        flat.gather([constant([[1.0, 2.0]])])


# ---- the networks made of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [
    Architecture(arch="mlp", sample=(2,), bounded=False, z=3, hidden=(5, 4)),
    Architecture(arch="mlp", sample=(4, 6, 1), bounded=True, z=3, hidden=(5,)),
    Architecture(arch="dcgan", sample=(8, 8, 1), bounded=True, z=3, width=2),
    Architecture(arch="dcgan", sample=(28, 20, 3), bounded=True, z=3, width=2),
    Architecture(arch="dcgan", sample=(32, 32, 1), bounded=False, z=3, width=2),
], ids=str)
def test_g_makes_samples_and_d_makes_logits(architecture):
    G, D = generator(architecture, **made()), discriminator(architecture, **made())
    fake = G(images(4, 3))
    assert fake.shape == (4, *architecture.sample)
    assert D(fake).shape == (4, 1)
    reached = gradients(ops.sum(D(G(images(4, 3))) ** 2), [*G.parameters().values(), *D.parameters().values()])
    # every parameter plays a part; biases that batch normalisation would cancel are not there to begin with
    assert all(np.abs(g.numpy()).max() > 1e-12 for g in reached)
    if architecture.bounded:
        assert np.abs(fake.numpy()).max() <= 1

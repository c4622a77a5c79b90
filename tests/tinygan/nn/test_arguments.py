"""What layers and optimisers may be made from and called with, and the sentences that refuse the rest where they are made."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf
from tinygan_kernels import ContractError, shared

from tinygan import Tensor, gradients, nn, ops, optim
from tinygan.engine import Draws


def made(seed=0, **options):
    return {"backend": "reference", "rng": seed, "dtype": np.float64, **options}


def network() -> nn.Sequential:
    norm = nn.BatchNorm(3, backend="reference", dtype=float)
    return nn.Sequential(nn.Linear(2, 3, act="relu", **made()), norm, nn.Linear(3, 1, **made()))


# ---- layers ---------------------------------------------------------------------------------------------------------------------


MAKERS = [nn.Linear, lambda *n, **made: nn.Conv2d(*n, 3, **made), lambda *n, **made: nn.Maxout(*n, 2, **made)]


@pytest.mark.parametrize("layer", MAKERS)
def test_a_seed_is_a_generator_of_the_layers_own_and_a_backend_may_be_named(layer):
    one, same = layer(2, 3, **made(7)), layer(2, 3, **made(np.random.default_rng(7), backend=shared("reference")))
    for a, b in zip(one.parameters().values(), same.parameters().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.backend is b.backend is shared("reference")
    assert next(iter(layer(2, 3, rng=np.int64(7)).parameters().values())).backend is shared("cpu")


@pytest.mark.parametrize("rng", [None, True, "0", 1.5, np.random, object()], ids=lambda rng: type(rng).__name__)
def test_what_is_no_generator_is_refused_by_everything_that_draws(rng):
    for make in (
        lambda: nn.Linear(2, 3, rng=rng), lambda: nn.Conv2d(2, 3, 1, rng=rng), lambda: nn.Maxout(2, 3, 2, rng=rng),
        lambda: nn.SpectralNorm(nn.Linear(2, 3, **made()), rng), lambda: nn.Dropout(0.5, rng), lambda: Draws(rng),
        lambda: nn.generator(nn.Architecture(sample=(2,), bounded=False), "reference", rng),
        lambda: nn.discriminator(nn.Architecture(sample=(2,), bounded=False), "reference", rng),
    ):
        with pytest.raises(TypeError, match=r"default_rng\(0\)"):
            make()
    with pytest.raises(ValueError, match="seed is -1"):
        nn.Linear(2, 3, rng=-1)


def test_networks_by_a_seed_are_those_of_its_generator():
    a = nn.Architecture(sample=(2,), bounded=False, dropout=0.5)
    for build in (nn.generator, nn.discriminator):
        one, other = build(a, "reference", 3), build(a, REFERENCE, np.random.default_rng(3))
        for p, q in zip(one.parameters().values(), other.parameters().values(), strict=True):
            np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_relu_is_leaky_relu_with_slope_0_wherever_an_activation_is_named():
    x = constant([[-1.0, 2.0]])
    w = np.eye(2)
    for layer in (nn.Linear(2, 2, act="relu", **made()), nn.Conv2d(2, 2, 1, act="relu", **made()), nn.Activation("relu"), nn.ReLU(),
                  nn.BatchNorm(2, backend=REFERENCE, dtype=float, act="relu"), nn.ConvTranspose2d(2, 2, 1, act="relu", **made())):
        assert (layer.act, layer.slope) == ("leaky_relu", 0.0)
    layer = nn.Linear(2, 2, act="relu", **made(backend=REFERENCE))
    layer.w.array[...] = w
    np.testing.assert_array_equal(layer(x).numpy(), [[0.0, 2.0]])
    with pytest.raises(ValueError, match="leaky_relu"):
        nn.Linear(2, 2, act="relu", slope=0.1, **made())


REFUSED = {
    "act: unknown": (lambda: nn.Linear(2, 3, act="swish", **made()), ValueError, "act is 'swish'.*relu, linear, leaky_relu"),
    "act: misspelt": (lambda: nn.Conv2d(2, 3, 3, act="leakyrelu", **made()), ValueError, "did you mean 'leaky_relu'"),
    "act: a function": (lambda: nn.Linear(2, 3, act=ops.tanh, **made()), ValueError, "act is a function"),
    "act: None": (lambda: nn.Linear(2, 3, act=None, **made()), ValueError, "act is None"),
    "act: of a layer": (lambda: nn.Activation("gelu"), ValueError, "Activation: act is 'gelu'"),
    "act: of BatchNorm": (lambda: nn.BatchNorm(3, act="gelu"), ValueError, "BatchNorm: act is 'gelu'"),
    "slope: beyond 1": (lambda: nn.Linear(2, 3, act="leaky_relu", slope=2.0, **made()), ValueError, "slope is 2"),
    "slope: text": (lambda: nn.LeakyReLU("0.2"), TypeError, "slope is '0.2'"),
    "slope: NaN": (lambda: nn.LeakyReLU(float("nan")), TypeError, "slope is nan"),
    "n_in: none": (lambda: nn.Linear(0, 3, **made()), ValueError, "n_in is 0"),
    "n_in: a float": (lambda: nn.Linear(2.5, 3, **made()), TypeError, "n_in is 2.5"),
    "n_out: text": (lambda: nn.Linear(2, "3", **made()), TypeError, "n_out is '3'"),
    "n_out: a bool": (lambda: nn.Linear(2, True, **made()), TypeError, "n_out is True"),
    "k: a pair": (lambda: nn.Conv2d(1, 2, (3, 3), **made()), TypeError, "one number serves all sides"),
    "stride: 0": (lambda: nn.Conv2d(1, 2, 3, 0, **made()), ValueError, "Conv2d: stride is 0"),
    "pad: -1": (lambda: nn.ConvTranspose2d(1, 2, 3, 1, -1, **made()), ValueError, "ConvTranspose2d: pad is -1"),
    "pad: text": (lambda: nn.Conv2d(1, 2, 3, 1, "same", **made()), TypeError, "pad is 'same'"),
    "dtype: int": (lambda: nn.Linear(2, 3, **made(dtype=int)), TypeError, "float32 or float64"),
    "dtype: half": (lambda: nn.BatchNorm(2, dtype="float16"), TypeError, "float32 or float64"),
    "momentum": (lambda: nn.BatchNorm(2, momentum=1.5), ValueError, "momentum is 1.5"),
    "eps": (lambda: nn.BatchNorm(2, eps=0), ValueError, "eps is 0"),
    "p: text": (lambda: nn.Dropout("0.5", 0), TypeError, "p is '0.5'"),
    "a side": (lambda: nn.Reshape(2, 1.5), TypeError, "a side is 1.5"),
    "inner": (lambda: nn.SpectralNorm(nn.ReLU(), 0), TypeError, "weight w"),
    "keyword: torch": (lambda: nn.Linear(in_features=2, out_features=3, rng=0), TypeError, "takes no in_features; write n_in"),
    "keyword: torch conv": (lambda: nn.Conv2d(1, 2, 3, padding=1, rng=0), TypeError, "write pad"),
    "keyword: transposed": (lambda: nn.ConvTranspose2d(1, 2, kernel_size=3), TypeError, "ConvTranspose2d takes no .*; write k"),
    "keyword: misspelt": (lambda: nn.Linear(2, 3, rng=0, slop=0.1), TypeError, "did you mean slope"),
    "keyword: bias": (lambda: nn.Linear(2, 3, rng=0, bias=False), TypeError, "takes no bias; it takes n_in"),
    "Sequential: a class": (lambda: nn.Sequential(nn.ReLU), TypeError, r"class ReLU; make one of it: ReLU\("),
    "Sequential: text": (lambda: nn.Sequential([nn.ReLU(), "tanh"]), TypeError, "layer 1 is 'tanh'"),
    "Sequential: None": (lambda: nn.Sequential(None), TypeError, "layers is None"),
    "Sequential: a dict": (lambda: nn.Sequential({"a": nn.ReLU()}), TypeError, "list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_where_the_layer_is_made(name):
    make, error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        make()


def test_a_layer_of_ones_own_that_takes_any_keyword_is_left_alone():
    class Own(nn.Layer):
        def __init__(self, **options):
            self.options = options

    assert Own(anything=1).options == {"anything": 1}


def test_sequential_takes_layers_or_one_iterable_of_them():
    layers = [nn.Linear(2, 3, **made()), lambda x: x * 2.0, nn.ReLU()]
    generator = (layer for layer in layers)
    for built in (nn.Sequential(*layers), nn.Sequential(layers), nn.Sequential(tuple(layers)), nn.Sequential(generator)):
        assert list(built) == layers and len(built) == 3 and built[0] is layers[0] and built[-1] is layers[2]
        assert list(built[:2]) == layers[:2] and isinstance(built[:2], nn.Sequential)
    inner = nn.Sequential(nn.ReLU())
    assert list(nn.Sequential(inner)) == [inner] and len(nn.Sequential()) == 0 and nn.Sequential()


class Residual(nn.Layer):
    """x + f(x)."""

    def __init__(self, f: nn.Layer) -> None:
        self.f = f

    def __call__(self, x):
        return x + self.f(x)


CALLED = {
    "Linear": lambda: nn.Linear(4, 3, **made()), "Maxout": lambda: nn.Maxout(4, 3, 2, **made()), "ReLU": nn.ReLU,
    "BatchNorm": lambda: nn.BatchNorm(4, backend="reference", dtype=float), "Dropout": lambda: nn.Dropout(0.5, 0),
    "SpectralNorm": lambda: nn.SpectralNorm(nn.Linear(4, 3, **made()), 0),
    "FourierFeatures": lambda: nn.FourierFeatures(4, 3, 9.0, **made()), "Signs": lambda: nn.Signs(2),
    "Reshape": lambda: nn.Reshape((2, 2)), "Flatten": nn.Flatten,
    "a network": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2, **made()), nn.Tanh()), "nothing": nn.Sequential,
    "one's own": lambda: Residual(nn.Linear(4, 4, **made())),
}


PLAIN = [np.ones((2, 4)), np.ones((2, 4), np.float32), np.arange(8).reshape(2, 4), [[1, 2, 3, 4], [5, 6, 7, 8]]]


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize("data", PLAIN)
def test_layers_are_called_with_plain_data(name, data):
    if name == "one's own" and isinstance(data, list):
        pytest.skip("what x + ... does with a list is up to the layer")
    layer = CALLED[name]().eval()
    values = Tensor(np.asarray(data, float), "reference")
    found = layer(data)
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.numpy(), layer(values).numpy(), rtol=1e-12)


def test_images_with_channels_first_are_recognised():
    conv, up = nn.Conv2d(1, 2, 3, **made()), nn.ConvTranspose2d(3, 2, 2, **made())
    for shape in ((4, 1, 28, 28), (4, 1, 8, 8), (4, 1, 2, 2)):
        with pytest.raises(ContractError, match=r"NCHW, images here are NHWC: pass x\.transpose\(0, 2, 3, 1\)"):
            conv(np.ones(shape))
    assert conv(Tensor(np.ones((4, 1, 28, 28)), "reference").transpose(0, 2, 3, 1)).shape == (4, 26, 26, 2)
    with pytest.raises(ContractError, match="NHWC"):
        up(np.ones((4, 3, 8, 8)))
    with pytest.raises(ContractError, match=r"filters here are .*w\.transpose\(2, 3, 1, 0\)"):
        ops.conv2d(np.ones((4, 8, 8, 3)), np.ones((16, 3, 5, 5)))
    w = constant(np.ones((16, 3, 5, 5)))
    assert ops.conv2d(constant(np.ones((4, 8, 8, 3))), w.transpose(2, 3, 1, 0)).shape == (4, 4, 4, 16)
    with pytest.raises(ContractError, match=r"x\[None\]"):
        conv(np.ones((28, 28, 1)))
    with pytest.raises(ContractError, match=r"channels \(last axis of \(4, 8, 8, 5\)\), w wants 1 \(third axis of \(.*\)\)$"):
        conv(np.ones((4, 8, 8, 5)))
    linear = nn.Linear(2, 3, **made())
    for x, said in ((np.ones(2), r"x\[None\]"), (np.ones((4, 2, 1)), r"x\.reshape\(len\(x\), -1\)")):
        with pytest.raises(ContractError, match=said):
            linear(x)


LABELS = [((4, 1), (4,)), ((4,), (4, 1)), ((4, 4), (4,)), ((4, 1), (4, 4)), ((2, 2), (3, 2)), ((4, 1), (2,))]


@pytest.mark.parametrize(("s", "t"), LABELS)
def test_labels_of_another_shape_are_refused(s, t):
    with pytest.raises(ValueError, match="bce_logits: the labels t have shape"):
        ops.bce_logits(constant(np.zeros(s)), np.ones(t))


@pytest.mark.parametrize("t", [1, 1.0, np.float32(1), np.array(1), [[1], [1]], np.ones((2, 1)), np.ones((1, 1))], ids=repr)
def test_labels_are_one_number_or_as_many_as_the_logits(t):
    assert ops.bce_logits(constant([[0.0], [0.0]]), t).tolist() == pytest.approx(np.log(2))


# ---- optimisers -----------------------------------------------------------------------------------------------------------------


def test_an_optimiser_takes_parameters_in_every_form():
    expected = None
    for given in (lambda G: G.parameters(), lambda G: G, lambda G: list(G.parameters().values()), lambda G: G.parameters().values(),
                  lambda G: (p for p in G.parameters().values()), lambda G: G.parameters().items()):
        G = network()
        optimiser = optim.Adam(given(G), 0.1)
        loss = (G(np.array([[1.0, 2.0], [0.5, -1.0]])) ** 2).sum()
        optimiser.descend(gradients(loss, optimiser.parameters))
        after = [p.numpy().copy() for p in G.parameters().values()]
        expected = expected or after
        for a, b in zip(after, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    p = leaf([1.0])
    optimiser = optim.SGD(p, 0.5)
    optimiser.descend(gradients((p * p).sum(), [p]))
    assert p.tolist() == [0.0] and optim.Adam([leaf([1.0])]).rate == 0.001


UNTRAINABLE = {
    "names": (lambda: list(network().parameters()), TypeError, r"holds the name '0\.w'.*G\.parameters\(\)"),
    "a list of networks": (lambda: [network(), network()], TypeError, "one optimiser for each network"),
    "groups": (lambda: [{"params": []}], TypeError, "one optimiser for each"),
    "an array": (lambda: np.ones(2), TypeError, "list of tensors"),
    "arrays": (lambda: [np.ones(2)], TypeError, "has to be a Tensor"), "None": (lambda: None, TypeError, "parameters is None"),
    "a constant": (lambda: [constant([1.0])], ValueError, "parameter 0 does not require a gradient"),
    "computed": (lambda: {"y": leaf([1.0]) * 2.0}, ValueError, "parameter y does not require"),
    "none": (list, ValueError, "nothing to train"),
    "twice": (lambda: [p := leaf([1.0]), p], ValueError, "twice"), "a layer without any": (nn.ReLU, ValueError, "nothing to train"),
}


@pytest.mark.parametrize("name", UNTRAINABLE)
def test_what_cannot_be_trained_is_refused(name):
    given, error, said = UNTRAINABLE[name]
    for make in (optim.SGD, optim.Momentum, optim.Adam):
        with pytest.raises(error, match=said):
            make(given(), 0.1)


@pytest.mark.parametrize(("options", "error", "said"), [
    ({"lr": 0.1}, TypeError, "Adam takes no lr; write rate"),
    ({"rate": 0.1, "betas": (0.5, 0.9)}, TypeError, "write beta1 and beta2"),
    ({"rate": "0.1"}, TypeError, "learning rate is '0.1'"), ({"rate": None}, TypeError, "learning rate is None"),
    ({"rate": float("inf")}, ValueError, "positive"), ({"rate": 0.1, "weight_decay": 0.1}, TypeError, "no weight decay"),
    ({"rate": 0.1, "beta": 0.1}, TypeError, "did you mean beta1|did you mean beta2"),
])
def test_arguments_of_an_optimiser_are_answered(options, error, said):
    with pytest.raises(error, match=said):
        optim.Adam(network(), **options)


def test_gradients_that_do_not_fit_are_answered():
    G = network()
    optimiser = optim.SGD(G, 0.1)
    with pytest.raises(TypeError, match=r"one gradient for each parameter: gradients\(loss"):
        optimiser.descend(G(np.ones((2, 2))).sum())
    with pytest.raises(ValueError, match=r"gradient of 0\.w is None; call backward"):
        optimiser.descend([p.grad for p in optimiser.parameters])


@pytest.mark.parametrize(("of", "name", "said"), [
    (network, "forward", r"write G\(x\)"), (network, "state_dict", "parameters"), (network, "trian", "did you mean 'train'"),
    (network, "nonsense", "has no attribute 'nonsense'$"), (lambda: network()[0], "weight", r"write layer\.w"),
    (lambda: optim.SGD(network(), 0.1), "step", r"write optimiser\.descend"),
    (lambda: optim.SGD(network(), 0.1), "lr", r"optimiser\.rate"),
    (lambda: nn, "Module", r"write nn\.Layer"), (lambda: nn, "Liner", "did you mean 'Linear'"),
    (lambda: optim, "AdamW", r"optim\.Adam"),
])
def test_names_of_other_libraries_are_answered(of, name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(of(), name)

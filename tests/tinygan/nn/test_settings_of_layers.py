"""What is set on a layer or an optimiser after it was made is checked as it was when it was made, and changes what it computes."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant

from tinygan import Tensor, nn, optim
from tinygan.engine import Draws


def made():
    return {"backend": REFERENCE, "rng": 0, "dtype": np.float64}


LAYERS = {
    "Linear": lambda: nn.Linear(3, 2, **made()), "Conv2d": lambda: nn.Conv2d(1, 2, 3, **made()),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(1, 2, 3, **made()), "BatchNorm": lambda: nn.BatchNorm(3, backend=REFERENCE),
    "LeakyReLU": lambda: nn.LeakyReLU(0.2), "Dropout": lambda: nn.Dropout(0.5, 0), "Reshape": lambda: nn.Reshape(3, 1),
    "Sequential": lambda: nn.Sequential(nn.ReLU()), "Maxout": lambda: nn.Maxout(3, 2, 2, **made()),
    "FourierFeatures": lambda: nn.FourierFeatures(3, 2, 9.0, **made()), "Signs": lambda: nn.Signs(2),
}
REFUSED = [
    ("Linear", "act", "swish", ValueError, "Linear: act is 'swish'"), ("Linear", "act", "relu", ValueError, "'leaky_relu', 0.0"),
    ("Linear", "act", None, ValueError, "act is None"), ("Linear", "slope", -1, ValueError, "between 0 and 1"),
    ("Linear", "slope", "a", TypeError, "slope is 'a'"),
    ("Linear", "w", np.ones((3, 2)), TypeError, r"layer.w.array\[...\] = values"),
    ("Linear", "w", None, TypeError, "Linear.w is None, it has to be a Tensor"), ("Linear", "b", 0, TypeError, "Linear.b is 0"),
    ("Linear", "w", constant(np.ones((2, 3))), ValueError, r"Linear.w has shape \(2, 3\), and had \(3, 2\)"),
    ("Linear", "n_in", 4, AttributeError, "'n_in'; write layer.w.shape"),
    ("Linear", "dtype", np.float64, AttributeError, "layer.w.dtype"),
    ("Linear", "backend", "cpu", AttributeError, "layer.w.backend"),
    ("Conv2d", "stride", 0, ValueError, "stride is 0, .* at least 1"),
    ("Conv2d", "stride", (2, 2), TypeError, "one number serves all sides"), ("Conv2d", "pad", -1, ValueError, "pad is -1"),
    ("Conv2d", "k", 5, AttributeError, "'k'; write layer.w.shape"),
    ("ConvTranspose2d", "stride", 1.5, TypeError, "ConvTranspose2d: stride"),
    ("BatchNorm", "momentum", 2, ValueError, "momentum is 2"), ("BatchNorm", "eps", -1, ValueError, "eps is -1"),
    ("BatchNorm", "eps", float("inf"), ValueError, "eps is inf"), ("BatchNorm", "gamma", 3, TypeError, "BatchNorm.gamma is 3"),
    ("BatchNorm", "mean", np.zeros(3), TypeError, "BatchNorm.mean is array"),
    ("LeakyReLU", "slope", float("nan"), TypeError, "finite"),
    ("LeakyReLU", "act", 3, ValueError, "act is 3"), ("Dropout", "p", 2.0, ValueError, "probability is 2.0"),
    ("Dropout", "p", "x", TypeError, "p is 'x'"), ("Dropout", "draws", None, TypeError, "rng is None"),
    ("Reshape", "shape", "a", TypeError, "a side is 'a'"), ("Reshape", "shape", (-1, -1), ValueError, "only one side may be -1"),
    ("Sequential", "layers", 3, TypeError, "layers is 3"),
    ("Sequential", "layers", [nn.ReLU(), None], TypeError, "layer 1 is None"),
    ("Maxout", "pieces", 3, AttributeError, "pieces of Maxout stays what it was made with"),
    ("Maxout", "n_out", 3, AttributeError, "n_out"),
    ("FourierFeatures", "n", 3, AttributeError, "n of FourierFeatures stays what it was made with"),
    ("FourierFeatures", "w", np.ones((3, 2)), TypeError, "FourierFeatures.w"),
    ("Signs", "n", 3, AttributeError, "n of Signs stays what it was made with"),
    ("Linear", "training", "eval", TypeError, r"training is 'eval' \(str\), it has to be True or False"),
    ("Dropout", "training", 3, TypeError, "training is 3"),
]


@pytest.mark.parametrize(("layer", "name", "value", "error", "said"), REFUSED)
def test_what_a_layer_cannot_be_set_to_is_refused_and_changes_nothing(layer, name, value, error, said):
    layer = LAYERS[layer]()
    before = dict(vars(layer))
    with pytest.raises(error, match=said):
        setattr(layer, name, value)
    assert vars(layer) == before


def test_what_a_layer_can_be_set_to_counts():
    x = np.array([[-1.0, 2.0, -3.0]])
    layer = LAYERS["LeakyReLU"]()
    layer.slope = 0.5
    assert layer(constant(x)).tolist() == [[-0.5, 2.0, -1.5]]
    layer.act = "linear"
    assert layer(constant(x)).tolist() == x.tolist()
    layer = LAYERS["Sequential"]()
    layer.layers = [nn.Reshape(3, 1), nn.Reshape((1, 3))]
    assert layer(constant(x)).shape == (1, 1, 3) and len(layer) == 2
    layer[1].shape = [3]
    assert layer(constant(x)).shape == (1, 3)
    layer = LAYERS["Dropout"]()
    layer.p, layer.draws = 0.0, 7
    assert isinstance(layer.draws, Draws) and layer(constant(x)).tolist() == x.tolist()
    layer = LAYERS["Conv2d"]()
    layer.stride, layer.pad = np.int64(2), 1
    assert layer(constant(np.ones((1, 4, 4, 1)))).shape == (1, 2, 2, 2)
    layer.w = Tensor(np.zeros(layer.w.shape), REFERENCE, requires_grad=True)
    assert not layer(constant(np.ones((1, 4, 4, 1)))).numpy().any()


def test_a_layer_of_ones_own_is_set_as_it_likes():
    class Mine(nn.Layer):
        pass

    layer = Mine()
    layer.w = constant([1.0])
    layer.w, layer.k, layer.p, layer.act = None, 5, 2.0, "swish"
    assert (layer.w, layer.k, layer.p, layer.act) == (None, 5, 2.0, "swish")
    with pytest.raises(TypeError, match="training is 'eval'"):
        layer.train("eval")


def test_flatten_of_a_number_is_answered():
    with pytest.raises(ValueError, match="Flatten: x is a single number"):
        nn.Flatten()(3.0)


# ---- optimisers -----------------------------------------------------------------------------------------------------------------

CONSTANTS = [
    ("Adam", {"beta1": 2.0}, ValueError, "Adam: beta1 is 2.0, it has to be at least 0 and below 1"),
    ("Adam", {"beta2": 1}, ValueError, "beta2"),
    ("Adam", {"beta1": "a"}, TypeError, "beta1 is 'a'"), ("Adam", {"eps": -1}, ValueError, "eps is -1, .* at least 0"),
    ("Adam", {"beta2": float("nan")}, ValueError, "beta2 is nan"), ("Adam", {"rate": True}, TypeError, "learning rate is True"),
    ("Momentum", {"mu": 1.5}, ValueError, "mu is 1.5, it has to lie between -1 and 1"),
    ("Momentum", {"mu": None}, TypeError, "mu is None"),
]


@pytest.mark.parametrize(("kind", "constants", "error", "said"), CONSTANTS)
def test_constants_that_no_step_can_be_taken_with_are_refused_at_once(kind, constants, error, said):
    with pytest.raises(error, match=said):
        getattr(optim, kind)(LAYERS["Linear"](), **{"rate": 0.1} | constants)


def test_momentum_may_be_negative():
    """Gidel et al. 2019: it steadies games."""
    assert optim.Momentum(LAYERS["Linear"](), 0.1, mu=-0.5).constants == {"mu": -0.5}


@pytest.mark.parametrize(("name", "value", "error", "said"), [
    ("rate", -1, ValueError, "at least 0"), ("rate", float("nan"), ValueError, "rate is nan"),
    ("rate", "a", TypeError, "rate is 'a'"),
    ("rate", True, TypeError, "rate is True"), ("rates", 0.1, AttributeError, "did you mean 'rate'"),
    ("parameters", [], AttributeError, "are not exchanged; make a new optimiser"),
    ("states", {}, AttributeError, r"states\['m'\]\[...\]"),
    ("flat", None, AttributeError, "are not exchanged"), ("beta1", 0.3, AttributeError, "stays what it was made with"),
])
def test_what_an_optimiser_cannot_be_set_to_is_refused(name, value, error, said):
    adam = optim.Adam(LAYERS["Linear"](), 0.1)
    with pytest.raises(error, match=said):
        setattr(adam, name, value)
    assert adam.rate == 0.1 and set(adam.states) == {"m", "v", "t"}
    adam.rate, adam.note = 0.0, "mine"
    assert (adam.rate, adam.note) == (0.0, "mine")

"""Layers that hold layers: everything inside is found, named, trained, unrolled and switched, once each, and nothing by hand."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.engine.randomness import Draws
from tinygan.game.moves import Game
from tinygan.game.remedies import Remedies
from tinygan.game.unrolled import at
from tinygan.nn import tree
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.layers import BatchNorm, Layer, LeakyReLU, Linear, Sequential
from tinygan.optim import SGD, Adam


def linear(n_in, n_out, seed=0, **options):
    return Linear(n_in, n_out, backend=REFERENCE, rng=np.random.default_rng(seed), dtype=np.float64, **options)


class Residual(Layer):
    """y = x + second(tanh(first(x))): two layers in attributes, and nothing else is said about them."""

    def __init__(self, width, seed=0):
        self.first, self.second = linear(width, width, seed, act="tanh"), linear(width, width, seed + 1)

    def __call__(self, x):
        return x + self.second(self.first(x))


class Holder(Layer):
    """Layers and tensors in a list, a tuple, a dictionary and a list of lists, beside things that are neither."""

    def __init__(self):
        self.name, self.sizes, self.nothing = "holder", [1, 2], None
        self.listed = [linear(2, 2), "between", linear(2, 2)]
        self.fixed = (BatchNorm(2, backend=REFERENCE, dtype=np.float64), 3)
        self.named = {"head": linear(2, 1), "scale": leaf([2.0])}
        self.nested = [[leaf([1.0])], {"offset": constant([0.5])}]


def networks():
    G = Sequential(linear(2, 3, 3), Residual(3, 4))
    D = Sequential(linear(3, 4, 7), Residual(4, 8), Residual(4, 10), linear(4, 1, 12))
    return D, G


def values(layer):
    return {name: t.numpy().copy() for name, t in layer.parameters().items()}


def drawn(*shape, seed=1):
    return constant(np.random.default_rng(seed).standard_normal(shape))


# ---- what is found, and its name ------------------------------------------------------------------------------------------------


def test_parameters_of_layers_inside_a_layer_are_found_and_named_by_their_path():
    D, G = networks()
    assert list(G.parameters()) == ["0.w", "0.b", "1.first.w", "1.first.b", "1.second.w", "1.second.b"]
    assert G.parameters()["1.second.w"] is G.layers[1].second.w
    assert len(D.parameters()) == 2 + 4 + 4 + 2


def test_lists_tuples_and_dictionaries_are_searched_and_everything_else_is_passed_over():
    holder = Holder()
    assert list(holder.parameters()) == [
        "listed.0.w", "listed.0.b", "listed.2.w", "listed.2.b", "fixed.0.gamma", "fixed.0.beta", "named.head.w", "named.head.b",
        "named.scale", "nested.0.0",
    ]
    assert list(holder.buffers()) == ["fixed.0.mean", "fixed.0.var", "nested.1.offset"]
    assert holder.couples and not Sequential(linear(2, 2)).couples


def test_a_result_that_a_layer_keeps_is_neither_learnt_nor_saved():
    layer = linear(2, 2)
    layer.last = layer(drawn(3, 2))
    assert list(layer.parameters()) == ["w", "b"] and layer.buffers() == {}


def test_a_layer_that_is_used_twice_counts_once():
    shared = linear(2, 2)
    network = Sequential(shared, LeakyReLU(), shared)
    assert list(network.parameters()) == ["0.w", "0.b"]
    before = values(network)
    rule = SGD(network.parameters(), 0.1)
    x = drawn(4, 2)
    expected = gradients(ops.sum(network(x)), list(network.parameters().values()))
    rule.descend(gradients(ops.sum(network(x)), rule.parameters))
    for (name, t), g in zip(network.parameters().items(), expected, strict=True):
        np.testing.assert_allclose(t.numpy(), before[name] - 0.1 * g.numpy(), rtol=1e-13)


def test_two_tensors_of_one_name_are_refused():
    class Clash(Layer):
        inlined = ("inner",)

        def __init__(self):
            self.inner, self.w = linear(2, 2), leaf([1.0])

    with pytest.raises(ValueError, match="two tensors of the layer have the name 'w'"):
        Clash().parameters()
    tied = Clash()
    tied.w = tied.inner.w  # one tensor may have one name twice
    assert list(tied.parameters()) == ["w", "b"]


# What older checkpoints and the layout of Adam's buffers rest on: the names of every kind of network, in their order
NAMES = {
    "mlp": (
        {}, "0.w 0.b 1.w 1.b", "", "0.w 0.b 1.w 1.b", "",
    ),
    "mlp, batch norm, maxout, dropout": (
        {"batch_norm": True, "maxout": 2, "dropout": 0.1},
        "0.w 0.b 1.gamma 1.beta 2.w 2.b", "1.mean 1.var", "0.w 0.b 2.w 2.b", "",
    ),
    "mlp, spectral": ({"spectral": True}, "0.w 0.b 1.w 1.b", "", "0.w 0.b 1.w 1.b", "0.u 1.u"),
    "mlp of images": ({"sample": (4, 4, 1)}, "0.w 0.b 1.w 1.b", "", "1.w 1.b 2.w 2.b", ""),
    "dcgan": (
        {"arch": "dcgan", "sample": (16, 16, 1)},
        "0.w 0.b 2.gamma 2.beta 3.w 4.gamma 4.beta 5.w 5.b", "2.mean 2.var 4.mean 4.var",
        "0.w 0.b 1.w 2.gamma 2.beta 4.w 4.b", "2.mean 2.var",
    ),
    "dcgan, spectral": (
        {"arch": "dcgan", "sample": (16, 16, 1), "spectral": True},
        "0.w 0.b 2.gamma 2.beta 3.w 4.gamma 4.beta 5.w 5.b", "2.mean 2.var 4.mean 4.var",
        "0.w 0.b 1.w 1.b 3.w 3.b", "0.u 1.u 3.u",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_network_are_those_that_checkpoints_have(name):
    options, *expected = NAMES[name]
    a = Architecture(**{"arch": "mlp", "sample": (3,), "bounded": True, "z": 2, "hidden": (4,), "width": 2, **options})
    rng = np.random.default_rng(0)
    G, D = generator(a, REFERENCE, rng), discriminator(a, REFERENCE, rng, draws=Draws(rng))
    found = (" ".join(named) for network in (G, D) for named in (network.parameters(), network.buffers()))
    assert list(found) == expected


# ---- what happens to what is found ----------------------------------------------------------------------------------------------


def test_a_residual_layer_in_a_game_trains():
    D, G = networks()
    game = Game(D, G, Adam(D.parameters(), 1e-2), Adam(G.parameters(), 1e-2), r1=0.1)
    before = values(D) | {f"G.{name}": v for name, v in values(G).items()}
    game.alternating_step(lambda: drawn(4, 3), lambda: drawn(4, 2))
    after = values(D) | {f"G.{name}": v for name, v in values(G).items()}
    assert all((after[name] != v).any() for name, v in before.items()), "everything moves"


def test_a_player_need_not_be_a_sequential():
    D, G = Residual(1), Residual(1, 5)
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), ema=0.5, average=Residual(1, 5))
    game.alternating_step(lambda: drawn(4, 1), lambda: drawn(4, 1))
    game.simultaneous_step(drawn(4, 1), drawn(4, 1))
    assert (values(game.average)["first.w"] != values(G)["first.w"]).any()


def test_a_residual_layer_unrolls():
    """G's step against the same step with D's look ahead played out by SGD and numeric derivatives in one of G's weights."""
    D, G = networks()
    x, z = drawn(5, 3), drawn(5, 2)
    unroll = Remedies(unroll=1, unroll_rate=0.5)
    game = Game(D, G, SGD(D.parameters(), 0.5), SGD(G.parameters(), 1.0), remedies=unroll)
    start, w, h = values(D), G.layers[1].first.w, 1e-6

    def loss(moved):
        before = w.numpy().copy()
        w.array[0, 0] += moved
        game.ascend_d(x, z)
        found = float(ops.bce_logits(D(G(z)), 1.0))
        w.array[...] = before
        for name, t in D.parameters().items():
            t.array[...] = start[name]
        return found

    slope, at_first = (loss(h) - loss(-h)) / (2 * h), w.numpy()[0, 0]
    game.descend_g(z, x)
    assert at_first - w.numpy()[0, 0] == pytest.approx(slope, rel=1e-6)
    for name, v in values(D).items():
        np.testing.assert_array_equal(v, start[name])


class Renamed(Residual):
    def parameters(self):
        return {f"mine.{name}": t for name, t in super().parameters().items()}


class Enclosed(Layer):
    """Its layer is in a function, where nobody finds it."""

    def __init__(self, layer):
        self.compute, self.given = lambda x: layer(x), lambda: layer.parameters()

    def __call__(self, x):
        return self.compute(x)

    def parameters(self):
        return self.given()


def test_a_layer_that_names_its_parameters_itself_trains_and_unrolls_like_one_that_does_not():
    moved = []
    for made_of in (Residual, Renamed):
        D, G = made_of(1, seed=1), made_of(1, seed=2)
        game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=Remedies(unroll=2))
        before = list(values(D).values())
        game.alternating_step(lambda: drawn(4, 1), lambda: drawn(4, 1))
        moved.append([*values(D).values(), *values(G).values()])
        assert all((new != old).any() for new, old in zip(values(D).values(), before, strict=True))
    for one, other in zip(*moved, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_that_no_attribute_holds_train_but_cannot_be_exchanged():
    D, G = Enclosed(Residual(1, seed=1)), Residual(1, seed=2)
    plain = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1))
    plain.alternating_step(lambda: drawn(4, 1), lambda: drawn(4, 1))
    unrolling = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=Remedies(unroll=1))
    with pytest.raises(ValueError, match=r"parameter 'first\.w', which no attribute of a layer inside it holds; hold layers"):
        unrolling.alternating_step(lambda: drawn(4, 1), lambda: drawn(4, 1))


def test_a_player_that_is_no_layer_is_refused_in_a_sentence():
    G = Residual(1)
    with pytest.raises(TypeError, match=r"D is a function, it has to be a Layer: derive its class from nn\.Layer"):
        Game(lambda x: x, G, SGD(Residual(1).parameters(), 0.1), SGD(G.parameters(), 0.1))


def test_a_layer_that_is_held_but_never_called_is_named():
    class Forgetful(Residual):
        def __call__(self, x):
            return self.first(x)

    D, G = Forgetful(1), Residual(1)
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1))
    with pytest.raises(ValueError, match=r"D's parameter second\.w, float64 of shape .* has no part in what D plays for"):
        game.ascend_d(drawn(4, 1), drawn(4, 1))


def test_train_and_eval_reach_layers_wherever_they_are():
    holder = Holder()
    inside = [holder, *holder.inner_layers()]
    assert len(inside) == 5
    holder.eval()
    assert not any(layer.training for layer in inside)
    Sequential(holder).train()
    assert all(layer.training for layer in inside)


def test_other_parameters_go_to_every_place_that_holds_the_tensor_and_come_back():
    """Two layers tied by one weight, one of the two in a dictionary."""
    first, second = linear(2, 2), linear(2, 2)
    second.w = first.w
    network = Sequential(first, second)
    network.tied = {"w": first.w}
    zeros = constant(np.zeros((2, 2)))
    with at(network, {"0.w": zeros}):
        assert first.w is second.w is network.tied["w"] is zeros
    assert first.w is second.w is network.tied["w"] is not zeros


def test_what_cannot_be_exchanged_says_so():
    layer = Residual(2)
    layer.pair = (leaf([1.0]), leaf([2.0]))
    own = layer.first.w
    with pytest.raises(TypeError, match=r"pair\.1 is in a tuple, where it cannot be exchanged"), \
            at(layer, {"first.w": constant(np.ones((2, 2))), "pair.1": constant([3.0])}):
        pass
    assert layer.first.w is own
    with pytest.raises(ValueError, match=r"its parameter 'third\.w', which it has not: it has first"), at(layer, {"third.w": own}):
        pass


# ---- what would be forgotten in silence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [set, frozenset])
@pytest.mark.parametrize("content", [lambda: linear(2, 2), lambda: leaf([1.0])], ids=["layer", "tensor"])
def test_a_layer_in_a_set_is_refused(kind, content):
    layer = Residual(2)
    layer.names = kind({"not", "a", "layer"})
    assert len(layer.parameters()) == 4
    layer.held = {"inner": [kind({content()})]}
    with pytest.raises(TypeError, match=r"held\.inner\.0 is a set that holds a layer or a tensor"):
        layer.parameters()


@pytest.mark.parametrize("content", [lambda: linear(2, 2), lambda: leaf([1.0])], ids=["layer", "tensor"])
def test_a_layer_that_belongs_to_a_class_is_refused(content):
    with pytest.raises(TypeError, match=r"Shared\.body belongs to the class, so all instances would share it"):
        class Shared(Layer):
            body = content()


def test_layers_that_hold_one_another_are_walked_once():
    """A layer inside knows the one around it: no walk goes round in a circle."""
    network = Sequential(Residual(2), BatchNorm(2, backend=REFERENCE, dtype=np.float64))
    network.layers[0].around = network
    assert list(network.parameters()) == ["0.first.w", "0.first.b", "0.second.w", "0.second.b", "1.gamma", "1.beta"]
    assert network.couples and network.layers[0].couples
    assert not any(layer.training for layer in (network.eval(), *network.layers, network.layers[0].second))
    assert network.layers[0].train() is network.layers[0] and network.training and network.layers[1].training


def test_a_layer_may_answer_for_what_is_inside_it():
    """`couples` in a class settles it for the layers inside; an answer that asks further with super() reaches them."""
    class Apart(Sequential):
        couples = False

    class Asks(Sequential):
        @property
        def couples(self):
            return super().couples

    norm = BatchNorm(2, backend=REFERENCE, dtype=np.float64)
    assert not Sequential(Apart(norm)).couples
    assert Asks(norm).couples and Sequential(Asks(norm)).couples and not Sequential(Asks(Apart(norm))).couples


# ---- planted faults -------------------------------------------------------------------------------------------------------------


def test_a_walk_that_passes_over_lists_is_noticed(monkeypatch):
    whole = tree._inside

    def shallow(path, owner, key, value):
        return iter(()) if isinstance(value, (list, tuple, dict)) else whole(path, owner, key, value)

    monkeypatch.setattr(tree, "_inside", shallow)
    with pytest.raises(AssertionError):
        test_lists_tuples_and_dictionaries_are_searched_and_everything_else_is_passed_over()
    with pytest.raises(ValueError, match="without parameters has nothing to train"):
        test_a_residual_layer_in_a_game_trains()  # Sequential keeps its layers in a tuple


@pytest.mark.parametrize(("name", "said"), [("weight", "write layer.w"), ("bias", "write layer.b"),
                                            ("requires_grad", "p.requires_grad = False for each")])
def test_what_a_layer_would_not_read_is_not_set(name, said):
    layer = Linear(2, 3, backend=REFERENCE, rng=np.random.default_rng(0))
    with pytest.raises(AttributeError, match=said):
        setattr(layer, name, False)
    assert name not in vars(layer)


def test_a_layer_of_the_users_own_names_its_tensors_as_it_likes():
    class Mine(Layer):
        def __init__(self):
            self.weight = Tensor(np.ones(2), REFERENCE, True)

    assert list(Mine().parameters()) == ["weight"]

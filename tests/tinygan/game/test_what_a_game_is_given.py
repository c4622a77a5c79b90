"""What a game is made of and called with: arrays are batches, and what would fail later or train nothing is refused."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant

from tinygan import nn, optim, stop
from tinygan.engine import Draws
from tinygan.game.moves import Game
from tinygan.game.penalties import R1
from tinygan.game.remedies import Remedies

MADE = {"backend": REFERENCE, "dtype": np.float64}
X, Z = (np.random.default_rng(seed).normal(size=(6, 2)) for seed in (0, 1))


def net(n_out, seed):
    return nn.Sequential(nn.Linear(2, 4, act="tanh", rng=seed, **MADE), nn.Linear(4, n_out, rng=seed, **MADE))


def new_game(D=None, G=None, **options):
    D, G = D or net(1, 0), G or net(2, 1)
    movers = (optim.SGD(one if isinstance(one, nn.Layer) else net(1, 2), 0.1) for one in (D, G))
    return Game(D, G, **dict(zip(("optim_d", "optim_g"), movers, strict=True)) | options)


MOVES = {
    "ascend_d": lambda game, x, z: game.ascend_d(x, z), "descend_g": lambda game, x, z: game.descend_g(z, x)[1:],
    "simultaneous_step": lambda game, x, z: game.simultaneous_step(x, z).tensors, "play": lambda game, x, z: game.play(x, z, z),
    "alternating_step": lambda game, x, z: game.alternating_step(lambda: x, lambda: z, k=np.int64(2)).tensors,
}


@pytest.mark.parametrize("move", MOVES)
def test_arrays_and_lists_are_batches_like_tensors(move):
    wanted = [t.numpy() for t in MOVES[move](new_game(), constant(X), constant(Z))]
    for x, z in ((X, Z), (X.tolist(), constant(Z)), (constant(X), Z.astype(np.float32).astype(float).tolist())):
        found = [t.numpy() for t in MOVES[move](new_game(), x, z)]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


class TakesTensors(nn.Layer):
    """A layer of a user's own that calls what only tensors have."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, x):
        return self.inner(x) if x.tracked is not None else None


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("options", [{"objective": "relativistic"}, {"remedies": Remedies(unroll=1)}, {}], ids=str)
def test_a_layer_of_ones_own_is_called_with_tensors(move, options):
    """Also in G's step of a game of pairs, and where D looks ahead: the only steps of G that look at data."""
    if "remedies" in options and move == "simultaneous_step":
        pytest.skip("simultaneous players do not look ahead")
    MOVES[move](new_game(D=TakesTensors(net(1, 0)), G=TakesTensors(net(2, 1)), **options), X, Z)


class Cut(nn.Layer):
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, x):
        return stop(self.inner(x))


class Unused(Cut):
    def __init__(self, inner):
        super().__init__(inner)
        self.more = nn.Linear(2, 3, rng=0, **MADE)

    def __call__(self, x):
        return self.inner(x)


@pytest.mark.parametrize(("make", "move", "said"), [
    (lambda: new_game(D=Cut(net(1, 0))), "ascend_d", r"D's parameter inner\.0\.w, float64 of shape \(2, 4\), has no part"),
    (lambda: new_game(D=Unused(net(1, 0))), "ascend_d", r"D's parameter more\.w, float64 of shape \(2, 3\)"),
    (lambda: new_game(D=Unused(net(1, 0))), "simultaneous_step", r"D's parameter more\.w"),
    (lambda: new_game(G=Cut(net(2, 0))), "descend_g", r"G's parameter inner\.0\.w.*stop\(\), numpy\(\)"),
    (lambda: new_game(G=Cut(net(2, 0))), "simultaneous_step", r"G's parameter inner\.0\.w"),
    (lambda: new_game(G=Cut(net(2, 0)), objective="minimax"), "simultaneous_step", r"G's parameter inner\.0\.w"),
    (lambda: new_game(D=Unused(net(1, 0)), objective="minimax"), "simultaneous_step", r"D's parameter more\.w"),
])
def test_a_parameter_that_would_never_be_trained_is_named_as_the_players_own(make, move, said):
    game = make()
    before = [t.numpy().copy() for t in (game.D.parameters() | game.G.parameters()).values()]
    with pytest.raises(ValueError, match=said):
        MOVES[move](game, X, Z)
    for one, other in zip(before, (game.D.parameters() | game.G.parameters()).values(), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


REFUSED = {
    "a rate for an optimiser": ({"optim_d": 1e-3}, TypeError, r"optim_d is 0.001 \(float\), it has to be an optimiser of D"),
    "D": ({"D": 3}, TypeError, "^D is a int, it has to be a Layer"), "G": ({"G": 3}, TypeError, "^G is a int, it has to be a La"),
    "infinite R1": ({"r1": float("inf")}, ValueError, r"r1 to be at least 0, they are 0\.0 and inf"),
    "NaN as R1": ({"r1": float("nan")}, ValueError, "r1 to be at least 0"),
    "a function as a penalty": ({"penalties": [abs]}, TypeError, r"penalties holds .* it has to hold penalties on D's slope"),
    "a class": ({"optim_g": optim.SGD}, TypeError, "optim_g is the type SGD, it has to be an optimiser of G"),
    "r1": ({"r1": "a"}, TypeError, r"'a' .* have to be numbers"), "average": ({"average": 3}, TypeError, "average is a int"),
    "remedies": ({"remedies": {"noise": 0.1}}, TypeError, r"remedies is .*Remedies\(noise=0.1\)"),
    "draws": ({"draws": "a"}, TypeError, "rng is 'a'"), "one penalty": ({"penalties": R1(1.0)}, TypeError, "a list of penalties"),
    "a weight as a penalty": ({"penalties": [3]}, TypeError, "penalties holds 3"),
    "a class of penalties": ({"penalties": [R1]}, TypeError, "penalties holds the type R1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_part_of_a_game_is_refused(case):
    options, error, said = REFUSED[case]
    with pytest.raises(error, match=said):
        new_game(**options)


def test_a_seed_serves_for_draws():
    one, other = (new_game(draws=draws, remedies=Remedies(noise=0.5)).ascend_d(X, Z)[0] for draws in (3, Draws(3)))
    np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_players_that_are_swapped_are_noticed_by_their_samples():
    with pytest.raises(ValueError, match=r"G makes samples of shape \(1,\), and those of the data have \(2,\).*swapped"):
        new_game(D=net(2, 0), G=net(1, 1)).ascend_d(X, Z)


def test_batches_that_are_no_functions_and_counts_that_are_no_numbers_are_answered():
    for x, z in ((X, Z), (lambda: X, Z), (X, lambda: Z)):
        with pytest.raises(TypeError, match=r"batch and noise are functions.*alternating_step\(lambda: x, lambda: z\)"):
            new_game().alternating_step(x, z)
    with pytest.raises(TypeError, match=r"k, .* is 1\.5"):
        new_game().alternating_step(lambda: X, lambda: Z, k=1.5)
    for k in (0, -3):
        with pytest.raises(ValueError, match=f"k, D's steps for each of G's, is {k}, it has to be at least 1"):
            new_game().alternating_step(lambda: X, lambda: Z, k=k)


@pytest.mark.parametrize(("name", "said"), [("step", r"game\.ascend_d\(x, z\)"), ("train", r"fit\(G, D, data\)"),
                                            ("ascend", "did you mean 'ascend_d'")])
def test_names_of_other_libraries_are_answered(name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(new_game(), name)

"""`explain`: the step that is told is the real one, bit for bit, and its numbers are those of NumPy and of their formulas."""

import itertools

import numpy as np
import pytest
from tiny_runs import start
from tinygan_kernels import load

from tinygan import Tensor, explain
from tinygan.engine.randomness import Draws
from tinygan.game import OBJECTIVES, R1, R2, Game, Remedies
from tinygan.nn import BatchNorm, Conv2d, Dropout, Flatten, Linear, Reshape, Sequential, SpectralNorm
from tinygan.optim import SGD, Adam, Momentum
from tinygan.walkthrough import by_hand
from tinygan.walkthrough.runs import explain_next

CPU = load("reference")
PARTS = {
    "plain": {}, "r1": {"r1": 0.7}, "r2": {"remedies": Remedies(r2=0.5)}, "gp": {"remedies": Remedies(gp=2.0)},
    "smooth": {"remedies": Remedies(smooth=0.1)}, "noise": {"remedies": Remedies(noise=0.3)},
    "pack": {"remedies": Remedies(pack=2)},
    "unroll": {"remedies": Remedies(unroll=2)}, "own": {"penalties": [R1(0.2), R2(0.1)]},
}


def game(objective="nonsaturating", optimiser=SGD, layers=None, dtype=np.float64, act="tanh", average=False, seed=0, **parts):
    made = {"backend": CPU, "rng": np.random.default_rng(seed), "dtype": dtype}
    judged = 2 * (parts["remedies"].pack if "remedies" in parts else 1)
    G = Sequential(Linear(3, 5, act=act, slope=0.1 if act == "leaky_relu" else 0.0, **made), Linear(5, 2, **made))
    D = Sequential(*(layers(made) if layers else [Linear(judged, 6, act="leaky_relu", slope=0.2, **made)]),
                   Linear(6, 5, act=act, **made), Linear(5, 1, **made))
    if average:
        parts |= {"ema": 0.9, "average": Sequential(Linear(3, 5, **made), Linear(5, 2, **made))}
    return Game(D, G, optimiser(D, 0.05), optimiser(G, 0.02), objective, draws=Draws(7), **parts)


def batches(n_x=1, n_z=2, m=8, seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return ([Tensor(rng.normal(size=(m, 2)), CPU, dtype=dtype) for _ in range(n_x)],
            [Tensor(rng.normal(size=(m, 3)), CPU, dtype=dtype) for _ in range(n_z)])


def everything(played):
    """Return all that a step changes, as bytes."""
    networks = [n for n in (played.D, played.G, played.average) if n is not None]
    arrays = [t.numpy() for n in networks for t in (*n.parameters().values(), *n.buffers().values())]
    arrays += [np.asarray(a) for o in (played.optim_d, played.optim_g) for a in o.states.values()]
    return [a.tobytes() for a in arrays], str(played.draws.rng.bit_generator.state)


def fits(objective, part):
    return part != "smooth" or OBJECTIVES[objective].ascends_v


@pytest.mark.parametrize(("objective", "part"), [p for p in itertools.product(OBJECTIVES, PARTS) if fits(*p)])
def test_the_step_is_the_games_own_bit_for_bit_and_is_put_back(objective, part):
    """The true step and the explained one begin alike; kept they end alike to the last bit, otherwise nothing has changed."""
    true, told = game(objective, average=True, **PARTS[part]), game(objective, average=True, **PARTS[part])
    xs, zs = batches(2 + true.g_needs_data, 3)
    before = everything(told)
    account = explain(told, xs, zs, k=2)
    assert everything(told) == before
    kept = explain(told, xs, zs, k=2, keep=True)
    of_x, of_z = iter(xs), iter(zs)
    logits = true.alternating_step(lambda: next(of_x), lambda: next(of_z), k=2)
    assert everything(told) == everything(true) != before
    assert str(account) == str(kept)
    read = logits.read(objective)
    sums = account.move("add up")
    assert [sums[key] for key in ("v", "loss of D", "loss of G")] == [read.v, read.d_loss, read.g_loss]


@pytest.mark.parametrize("part", ["plain", "r1", "r2", "noise"])
@pytest.mark.parametrize("objective", ["minimax", "relativistic", "hinge"])
def test_a_simultaneous_step_is_the_games_own_too(objective, part):
    true, told = game(objective, Adam, **PARTS[part]), game(objective, Adam, **PARTS[part])
    (x,), (z,) = batches(1, 1)
    explain(told, x, z, simultaneous=True, keep=True)
    true.simultaneous_step(x, z)
    assert everything(told) == everything(true)


class Halved(Game):
    """A user's own game, which halves every gradient."""

    def slopes(self, goal, *players):
        return [0.5 * g for g in super().slopes(goal, *players)]


@pytest.mark.parametrize("simultaneous", [False, True])
def test_a_game_of_a_class_of_ones_own_makes_its_own_moves(simultaneous):
    x, z = batches()
    own, explained, plain = game(), game(), game()
    own.__class__ = explained.__class__ = Halved
    for played in (own, plain):
        if simultaneous:
            played.simultaneous_step(x[0], z[0])
        else:
            played.alternating_step(lambda: x[0], iter(z).__next__)
    explain(explained, x[0], z[0] if simultaneous else z, simultaneous=simultaneous, keep=True)
    assert type(explained) is Halved and everything(explained) == everything(own) != everything(plain)


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_numpy_alone_gets_the_same_numbers(objective, simultaneous):
    """In every game, with penalties whose gradient is a second derivative, k = 2, each optimiser, from the second step on."""
    for optimiser, act in ((SGD, "tanh"), (Momentum, "sigmoid"), (Adam, "leaky_relu")):
        smooth = {"remedies": Remedies(smooth=0.1)} if OBJECTIVES[objective].ascends_v else {}
        played = game(objective, optimiser, act=act, r1=0.3, penalties=[R2(0.2)], **smooth)
        k = 1 if simultaneous else 2
        xs, zs = batches(k + (played.g_needs_data and not simultaneous), 1 if simultaneous else k + 1)
        explain(played, xs, zs, k=k, simultaneous=simultaneous, keep=True)  # so that the optimiser remembers something
        account = explain(played, xs, zs, k=k, simultaneous=simultaneous, by_hand=True)
        assert not account.why_not_by_hand and len(account.differences) >= 20
        for move, line in account.differences:
            assert line.difference <= 1e-9 * max(abs(line.value), 1e-3), (move.title, line.key)


def test_numpy_alone_follows_penalties_that_have_fallen():
    falling = game(r1=0.3, remedies=Remedies(r2=0.2, penalty_fall=10))
    falling.penalty_share = 0.25
    account = explain(falling, *batches(), by_hand=True)
    less = explain(game(r1=0.075, remedies=Remedies(r2=0.05)), *batches(), by_hand=True)
    assert not account.why_not_by_hand and "weight 0.075" in str(account) and "weight 0.05" in str(account)
    for move, line in account.differences:
        assert line.difference <= 1e-9 * max(abs(line.value), 1e-3), (move.title, line.key)
    for found, wanted in zip(account.moves, less.moves, strict=True):
        assert [line.value for line in found.lines] == pytest.approx([line.value for line in wanted.lines], rel=1e-9), found.title


def test_by_hand_sees_a_wrong_gradient(monkeypatch):
    """A factor in one slope of the engine's, or in the formula by hand, is seen in more than one line."""
    played, (xs, zs) = game(), batches()
    right = by_hand.Dense.first
    monkeypatch.setattr(by_hand.Dense, "first", lambda layer, u: right(layer, u) * 1.001)
    assert explain(played, xs, zs, by_hand=True).worst > 1e-5
    monkeypatch.undo()
    assert explain(played, xs, zs, by_hand=True).worst < 1e-12
    slopes = Game.slopes
    monkeypatch.setattr(Game, "slopes", lambda self, goal, *players: [g * 1.001 for g in slopes(self, goal, *players)])
    assert explain(played, xs, zs, by_hand=True).worst > 1e-5


def test_along_is_the_derivative_of_a_directional_derivative():
    """Against central differences in NumPy, for each activation: the formula of penalties by hand."""
    rng = np.random.default_rng(3)
    for act in ("tanh", "sigmoid", "leaky_relu", "linear"):
        net = [by_hand.Dense(rng.normal(size=(2, 4)), rng.normal(size=4), act, 0.2),
               by_hand.Dense(rng.normal(size=(4, 1)), np.zeros(1), "linear", 0.0)]
        x, v, weights = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.uniform(1, 2, (5, 1))

        def value(x=x, v=v, weights=weights, net=net):
            slope = by_hand.backward(net, x, np.ones((5, 1)))[1]
            return float((weights[:, 0] * (slope * v).sum(axis=1)).sum())

        for layer, found in zip(net, by_hand.along(net, x, v, weights), strict=True):
            for array, slope in zip((layer.w, layer.b), found, strict=True):
                for index in np.ndindex(array.shape):
                    ends = []
                    for move in (1e-5, -1e-5):
                        array[index] += move
                        ends.append(value())
                        array[index] -= move
                    assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8), act


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: game(layers=lambda m: [Reshape(1, 1, 2), Conv2d(2, 6, 1, **m), Flatten()]), "the layer Conv2d"),
        (lambda: game(layers=lambda m: [Linear(2, 6, **m), BatchNorm(6, backend=CPU, dtype=np.float64)]), "the layer BatchNorm"),
        (lambda: game(layers=lambda m: [Linear(2, 6, **m), Dropout(0.5, Draws(1))]), "the layer Dropout"),
        (lambda: game(layers=lambda m: [SpectralNorm(Linear(2, 6, **m), m["rng"])]), "the layer SpectralNorm"),
        (lambda: game(**PARTS["gp"]), "the penalty between real and fake"), (lambda: game(**PARTS["unroll"]), "unrolled steps"),
        (lambda: game(**PARTS["noise"]), "instance noise"), (lambda: game(**PARTS["pack"]), "packing"),
    ],
    ids=["conv", "batchnorm", "dropout", "spectral", "gp", "unroll", "noise", "pack"],
)
def test_what_numpy_cannot_follow_is_said_in_one_line_and_the_account_is_whole(make, why):
    played = make()
    account = explain(played, *batches(1 + played.g_needs_data), by_hand=True)
    assert why in account.why_not_by_hand and not account.differences and len(account.moves) == 7
    assert str(account).splitlines()[-1] == f"not by hand: {account.why_not_by_hand}"
    assert "by hand" not in str(explain(played, *batches(1 + played.g_needs_data)))


def test_buffers_and_generators_are_put_back_and_looking_after_leaves_no_trace():
    layers = lambda m: [SpectralNorm(Linear(2, 6, **m), m["rng"]), BatchNorm(6, backend=CPU, dtype=np.float64), Dropout(0.3, drawn)]  # noqa: E731
    games = []
    for _ in range(2):
        drawn = Draws(5)
        games.append((game(layers=layers, r1=0.2), drawn))
    (true, of_true), (told, of_told) = games
    xs, zs = batches()
    before = everything(told), of_told.rng.bit_generator.state
    explain(told, xs, zs)
    assert (everything(told), of_told.rng.bit_generator.state) == before
    explain(told, xs, zs, keep=True)
    of_z = iter(zs)
    true.alternating_step(lambda: xs[0], lambda: next(of_z))
    assert (everything(told), of_told.rng.bit_generator.state) == (everything(true), of_true.rng.bit_generator.state)


def test_the_numbers_follow_from_those_above_them():
    """What a reader can do with a pocket calculator: sums, the one element that is followed, first order."""
    account = explain(game(r1=0.5, optimiser=SGD), *batches())
    judged, up, down = account.move("judges"), account.move("moves up"), account.move("moves down")
    assert judged["goal"] == pytest.approx(judged["value"] - judged["R1"], rel=1e-14)
    for move, sign, rate in ((up, 1, 0.05), (down, -1, 0.02)):
        (where,) = [line.key.removeprefix("g of ") for line in move.lines if line.key.startswith("g of ")]
        expected = move[f"theta of {where}"] + sign * rate * move[f"g of {where}"]
        assert move[f"theta' of {where}"] == pytest.approx(expected, rel=1e-14)
        assert move["first order"] == pytest.approx(sign * rate * move["|g|"] ** 2, rel=1e-12)
    assert up["rise"] == up["goal after"] - judged["goal"] > 0 and down["fall"] == down["loss after"] - down["loss"] < 0
    sums = account.move("add up")
    assert sums["loss of D"] == -judged["goal"] and sums["sum"] == sums["loss of D"] + sums["loss of G"]
    with pytest.raises(KeyError, match="has no number 'nix'"):
        sums["nix"]
    with pytest.raises(LookupError, match="no move is called 'nix'"):
        account.move("nix")


def test_the_lines_of_code_named_are_the_moves():
    account = explain(game(), *batches())
    names = [move.code.rpartition(", ")[2] for move in account.moves]
    assert names[1] == "Sequential.__call__" and names[3:] == ["Game.judged", "Game.ascend_d", "Game.descend_g", "Logits.read"]


def test_the_step_of_a_run_is_the_one_that_training_makes():
    told, trained = (start(None, "ring", hidden=(7,), noise=0.2, k=2, decay=0.5) for _ in range(2))
    for run in (told, trained):
        run.make_step()
        run.step += 1
    account = explain_next(told)
    trained.make_step()
    trained.step += 1
    assert told.step == trained.step == 2 and not told.eager and "ascent 2 of 2" in str(account)
    mine, theirs = told.saved_arrays(), trained.saved_arrays()
    assert all(np.array_equal(mine[name], theirs[name]) for name in theirs) and told.course() == trained.course()
    told.make_step(), trained.make_step()
    assert all(np.array_equal(told.saved_arrays()[name], trained.saved_arrays()[name]) for name in theirs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: explain(3, 1, 2), TypeError, "game is 3"),
        (lambda: explain(game(), 3, batches()[1]), TypeError, "x is 3"),
        (lambda: explain(game(), *batches(), k=2), ValueError, "x has 1 batches, and this step takes 2"),
        (lambda: explain(game(), *batches(), k=0), ValueError, "k"),
        (lambda: explain(game(), *batches(), k=2, simultaneous=True), ValueError, "one step each"),
    ],
)
def test_what_cannot_be_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_batch_serves_every_move_and_the_account_says_so():
    (x,), (z, _) = batches()
    assert "the same z again" in str(explain(game(), x, z)) and "the same z again" not in str(explain(game(), x, [z, z * 2.0]))
    assert str(explain(game(), x.numpy(), z.numpy())) == str(explain(game(), x, z))

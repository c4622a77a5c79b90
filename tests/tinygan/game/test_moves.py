"""V and the objectives are what their names say, and each step moves the right player the right way by the right amount."""

from dataclasses import replace

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, leaf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import stop
from tinygan.game.moves import Game
from tinygan.game.objectives import LOG4, OBJECTIVES, V, minimax, nonsaturating, total_loss, value
from tinygan.game.packing import packed
from tinygan.game.penalties import R1, R2, gradient_penalty
from tinygan.game.readings import Logits
from tinygan.game.remedies import Remedies
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.gan_layers import SpectralNorm
from tinygan.nn.layers import BatchNorm, Layer, Linear, Sequential, Tanh
from tinygan.optim import SGD, Adam

MLP = Architecture(arch="mlp", sample=(3,), bounded=False, z=2, hidden=(5, 4))
logits = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=6), elements=st.floats(-30, 30))


def players(seed=0, architecture=MLP, backend=REFERENCE):
    rng = np.random.default_rng(seed)
    return discriminator(architecture, backend, rng, np.float64), generator(architecture, backend, rng, np.float64)


def new_game(seed=0, rate=0.05, **options):
    D, G = players(seed)
    return Game(D, G, SGD(D.parameters(), rate), SGD(G.parameters(), rate), **options)


def drawn(*shape, seed=1):
    return constant(np.random.default_rng(seed).standard_normal(shape))


def theta(network):
    return np.concatenate([t.numpy().ravel() for t in network.parameters().values()])


# ---- V and the objectives -------------------------------------------------------------------------------------------------------


def test_v_is_minus_log_4_where_d_cannot_tell():
    """Goodfellow et al. 2014, Theorem 1."""
    zeros = constant(np.zeros((7, 1)))
    assert float(value(zeros, constant(np.zeros((3, 1))))) == pytest.approx(-1.386294, abs=5e-7)
    assert pytest.approx(np.log(4), rel=1e-15) == LOG4
    assert float(minimax(zeros)) == pytest.approx(-0.693147, abs=5e-7)
    assert float(nonsaturating(zeros)) == pytest.approx(0.693147, abs=5e-7)
    assert float(total_loss(zeros, zeros)) == pytest.approx(1.386294 + 0.693147, abs=1e-6)


@settings(deadline=None)
@given(real=logits, fake=logits)
def test_v_and_the_objectives_are_their_definitions(real, fake):
    s_real, s_fake = constant(real), constant(fake)
    log_d_real, log_d_fake, log_not_d_fake = special.log_expit(real), special.log_expit(fake), special.log_expit(-fake)
    same = lambda got, expected: np.testing.assert_allclose(float(got), expected, rtol=1e-12, atol=1e-14)  # noqa: E731
    same(value(s_real, s_fake), log_d_real.mean() + log_not_d_fake.mean())
    same(minimax(s_fake), log_not_d_fake.mean())
    same(nonsaturating(s_fake), -log_d_fake.mean())
    same(total_loss(s_real, s_fake), float(nonsaturating(s_fake)) - float(value(s_real, s_fake)))
    assert float(value(s_real, s_fake)) <= 0 <= float(total_loss(s_real, s_fake))


def test_objectives_go_by_the_names_of_the_paper():
    s_real, s_fake = drawn(5, 1), drawn(5, 1, seed=2)
    for name, loss in (("minimax", minimax), ("nonsaturating", nonsaturating)):
        assert float(OBJECTIVES[name].loss(s_real, s_fake)) == float(loss(s_fake)) and OBJECTIVES[name].goal is value


@pytest.mark.parametrize("m", [1, 4])
def test_the_slopes_of_v_in_the_logits(m):
    """dV/ds is sigma(-s)/m for a real sample and -sigma(s)/m for a fake one."""
    s = np.linspace(-3, 2, m).reshape(m, 1)
    real, fake = leaf(s), leaf(s)
    up, down = gradients(value(real, fake), [real, fake])
    np.testing.assert_allclose(up.numpy(), special.expit(-s) / m, rtol=1e-13)
    np.testing.assert_allclose(down.numpy(), -special.expit(s) / m, rtol=1e-13)


def test_minimax_saturates_where_nonsaturating_does_not():
    """Section 3: G gets no gradient from minimax once D rejects its samples with confidence."""
    s = leaf([-20.0])
    assert abs(gradients(minimax(s), [s])[0].numpy()[0]) < 3e-9
    np.testing.assert_allclose(gradients(nonsaturating(s), [s])[0].numpy(), [-1.0], rtol=1e-8)
    assert gradients(minimax(leaf([1.0])), [s], unused="zeros")[0].numpy()[0] == 0.0


def test_descending_minimax_descends_v():
    """As functions of G's parameters the two differ by a constant."""
    D, G = players()
    x, z = drawn(6, 3), drawn(6, 2)
    of_v = gradients(V(D, G, x, z), list(G.parameters().values()))
    of_objective = gradients(minimax(D(G(z))), list(G.parameters().values()))
    for a, b in zip(of_v, of_objective, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    assert any(np.abs(a.numpy()).max() > 1e-3 for a in of_v)


def test_v_of_networks_is_v_of_their_logits():
    D, G = players()
    x, z = drawn(6, 3), drawn(4, 2)
    assert float(V(D, G, x, z)) == float(value(D(x), D(G(z))))


# ---- single steps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_d_raises_v_and_moves_only_d(objective):
    game = new_game(objective=objective)
    x, z = drawn(16, 3), drawn(16, 2)
    before, of_d, of_g = float(V(game.D, game.G, x, z)), theta(game.D), theta(game.G)
    _, _, s_fake = game.ascend_d(x, z)
    assert float(V(game.D, game.G, x, z)) > before + 1e-3
    to_g = gradients(s_fake, game.optim_g.parameters, constant(np.ones((16, 1))), unused="zeros")
    assert not any(g.numpy().any() for g in to_g), "the fakes of D's step are held: no way leads from them to G"
    assert (theta(game.D) != of_d).mean() > 0.5
    np.testing.assert_array_equal(theta(game.G), of_g)


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_g_lowers_its_objective_and_v_and_moves_only_g(objective):
    game = new_game(objective=objective)
    x, z = drawn(16, 3), drawn(16, 2)
    loss = lambda: float(OBJECTIVES[objective].loss(game.D(x), game.D(game.G(z))))  # noqa: E731
    before, v, of_d, of_g = loss(), float(V(game.D, game.G, x, z)), theta(game.D), theta(game.G)
    game.descend_g(z)
    assert loss() < before - 1e-3
    assert float(V(game.D, game.G, x, z)) < v, "D is wrong more often now, whichever objective G descends"
    assert (theta(game.G) != of_g).mean() > 0.5
    np.testing.assert_array_equal(theta(game.D), of_d)


def test_the_steps_are_the_rate_times_the_gradient_with_its_sign():
    game = new_game(objective="minimax")
    x, z = drawn(8, 3), drawn(8, 2)
    of_d, of_g = theta(game.D), theta(game.G)
    up = gradients(V(game.D, game.G, x, z), game.optim_d.parameters)
    game.ascend_d(x, z)
    np.testing.assert_allclose(theta(game.D), of_d + 0.05 * np.concatenate([g.numpy().ravel() for g in up]), rtol=1e-13)
    down = gradients(V(game.D, game.G, x, z), game.optim_g.parameters)  # against the D that has moved: alternating
    game.descend_g(z)
    np.testing.assert_allclose(theta(game.G), of_g - 0.05 * np.concatenate([g.numpy().ravel() for g in down]), rtol=1e-13)


def products(seen):
    return sum(launch.kernel.name == "matmul" for launch in seen)


def test_the_d_step_does_no_work_for_the_gradient_of_g():
    game = new_game()
    with launches() as seen:
        game.ascend_d(drawn(4, 3), drawn(4, 2))
    layers = 3
    # G forward, D forward on both batches at once, dw of D's layers, dx of all but the first; of G nothing
    assert products(seen) == layers + layers + layers + (layers - 1)


def test_the_g_step_computes_no_gradient_of_d_s_weights():
    game = new_game()
    with launches() as seen:
        game.descend_g(drawn(4, 2))
    assert products(seen) == 3 + 3 + 3 + (3 + 2)  # G and D forward, dx through all of D, dw and dx of G


# ---- whole steps ----------------------------------------------------------------------------------------------------------------


def updates(seen, optimiser):
    return sum(launch.kernel.in_place and launch.outputs[0] is optimiser.flat.theta for launch in seen)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_algorithm_1_takes_k_fresh_steps_of_d_and_one_of_g(k):
    game = new_game()
    order, seeds = [], iter(range(100))

    def batch():
        order.append("x")
        return drawn(4, 3, seed=next(seeds))

    def noise():
        order.append("z")
        return drawn(4, 2, seed=next(seeds))

    with launches() as seen:
        game.alternating_step(batch, noise, k)
    assert order == ["x", "z"] * k + ["z"]
    assert updates(seen, game.optim_d) == k and updates(seen, game.optim_g) == 1
    moved = [launch.outputs[0] is game.optim_g.flat.theta for launch in seen if launch.kernel.name == "sgd"]
    assert moved == [False] * k + [True], "D first"
    assert [launch.params["sign"] for launch in seen if launch.kernel.name == "sgd"] == [1] * k + [-1]


def test_algorithm_1_is_its_steps_one_after_the_other():
    one, other = new_game(), new_game()
    x, z, fresh = drawn(4, 3), drawn(4, 2), drawn(4, 2, seed=9)
    zs = iter([z, fresh])
    logits = one.alternating_step(lambda: x, lambda: next(zs))
    _, s_real, s_fake = other.ascend_d(x, z)
    _, s_of_g = other.descend_g(fresh)
    np.testing.assert_array_equal(theta(one.D), theta(other.D))
    np.testing.assert_array_equal(theta(one.G), theta(other.G))
    for got, expected in zip((logits.real, logits.fake, logits.fake_of_g), (s_real, s_fake, s_of_g), strict=True):
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("k", [0, -1])
def test_d_has_to_move(k):
    with pytest.raises(ValueError, match=f"k, D's steps for each of G's, is {k}, it has to be at least 1"):
        new_game().alternating_step(lambda: drawn(4, 3), lambda: drawn(4, 2), k)


class Counting(Layer):
    """A network that counts how often it is run, and on how many samples."""

    def __init__(self, network):
        self.network, self.runs, self.samples = network, 0, 0

    def __call__(self, x):
        self.runs, self.samples = self.runs + 1, self.samples + x.shape[0]
        return self.network(x)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("remedies", [{}, {"r2": 0.4}, {"gp": 2.0}, {"smooth": 0.1}], ids=str)
@pytest.mark.parametrize("r1", [0.0, 0.3])
def test_the_simultaneous_step_in_every_game(objective, remedies, r1):
    """G descends its own loss, whatever is added to D's goal."""
    if remedies.get("smooth") and not OBJECTIVES[objective].ascends_v:
        pytest.skip("labels are smoothed where D is a probability")
    game = new_game(objective=objective, r1=r1, remedies=Remedies(**remedies), draws=Draws(np.random.default_rng(4)))
    x, z = drawn(8, 3), drawn(8, 2)
    of_d, of_g = theta(game.D), theta(game.G)
    up = gradients(game.judged(x, game.G(z)).goal, game.optim_d.parameters)
    down = gradients(OBJECTIVES[objective].loss(game.D(x), game.D(game.G(z))), game.optim_g.parameters)
    game.draws = Draws(np.random.default_rng(4))
    game.simultaneous_step(x, z)
    np.testing.assert_allclose(theta(game.D), of_d + 0.05 * np.concatenate([g.numpy().ravel() for g in up]), rtol=1e-12)
    np.testing.assert_allclose(theta(game.G), of_g - 0.05 * np.concatenate([g.numpy().ravel() for g in down]), rtol=1e-12)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_one_sweep_gives_both_gradients_in_games_of_sum_zero(objective):
    """Games that are not zero-sum need a second sweep back through D, which costs one more product for each of its layers."""
    products = {}
    for name in (objective, "nonsaturating"):
        game = new_game(objective=name)
        with launches() as seen:
            game.simultaneous_step(drawn(8, 3), drawn(8, 2))
        products[name] = sum(launch.kernel.name == "matmul" for launch in seen)
    saved = 2 if OBJECTIVES[objective].zero_sum else 0
    assert products[objective] == products["nonsaturating"] - saved


@pytest.mark.parametrize("options", [{"r1": 0.3}, {"penalties": [R1(0.3)]}, {"remedies": Remedies(r2=0.3)}], ids=str)
def test_one_sweep_gives_both_gradients_where_penalties_are_at_the_data_alone(options):
    """A penalty at the data cannot move G, so the sweep serves both; one at the fakes is not for G to descend."""
    products = {}
    for name in ("minimax", "nonsaturating"):
        game = new_game(objective=name, **options)
        with launches() as seen:
            game.simultaneous_step(drawn(8, 3), drawn(8, 2))
        products[name] = sum(launch.kernel.name == "matmul" for launch in seen)
    assert products["minimax"] == products["nonsaturating"] - (0 if "remedies" in options else 2)


R2_TOO = Remedies(r2=0.3)


@pytest.mark.parametrize("options", [{}, {"r1": 0.3}, {"remedies": R2_TOO}, {"r1": 0.3, "remedies": R2_TOO}], ids=str)
def test_no_sample_is_judged_twice_for_a_penalty_in_a_step_of_d(options):
    """The batch at which a penalty takes the slope is a variable before D judges it: the logits that V has computed serve."""
    game = new_game(**options)
    game.D = Counting(game.D)
    game.ascend_d(drawn(4, 3), drawn(4, 2))
    assert game.D.samples == 8


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_several_penalties_are_all_subtracted(objective):
    """D's goal is V less the sum of them; the first, one in the middle and the last each change it."""
    x, z = drawn(4, 3), drawn(4, 2)
    game = new_game(objective=objective, r1=0.7, remedies=Remedies(r2=0.4), penalties=[R1(0.2), R2(0.1)])
    fake = stop(game.G(z))
    wanted = value(game.D(x), game.D(fake)) - gradient_penalty(game.D, x, 0.7 + 0.2) - gradient_penalty(game.D, fake, 0.4 + 0.1)
    seen = game.judged(x, fake)
    assert float(seen.goal) == pytest.approx(float(wanted), rel=1e-12)
    assert float(seen.value) == float(value(game.D(x), game.D(fake)))
    assert [penalty for penalty, _ in seen.penalties] == [R1(0.7), R2(0.4), R1(0.2), R2(0.1)]
    assert sum(float(each) for _, each in seen.penalties) == pytest.approx(float(seen.value - seen.goal), rel=1e-12)


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_the_simultaneous_step_is_both_gradients_at_one_point_from_one_sampling_of_g(objective):
    game = new_game(objective=objective)
    game.D, game.G = Counting(game.D), Counting(game.G)
    x, z = drawn(8, 3), drawn(8, 2)
    of_d, of_g = theta(game.D), theta(game.G)
    up = gradients(V(game.D, game.G, x, z), game.optim_d.parameters)
    down = gradients(OBJECTIVES[objective].loss(game.D(x), game.D(game.G(z))), game.optim_g.parameters)
    game.D.runs = game.G.runs = 0
    with launches() as seen:
        game.simultaneous_step(x, z)
    np.testing.assert_allclose(theta(game.D), of_d + 0.05 * np.concatenate([g.numpy().ravel() for g in up]), rtol=1e-13)
    np.testing.assert_allclose(theta(game.G), of_g - 0.05 * np.concatenate([g.numpy().ravel() for g in down]), rtol=1e-13)
    assert (game.G.runs, game.D.runs) == (1, 2)
    game.alternating_step(lambda: x, lambda: z)
    assert (game.G.runs, game.D.runs) == (3, 4), "apart, G is sampled twice, and D runs on real and fake at once and on G's fakes"
    assert updates(seen, game.optim_d) == updates(seen, game.optim_g) == 1


# ---- R1 and the average of G ----------------------------------------------------------------------------------------------------


def smooth_discriminator(seed=0):
    made = {"backend": REFERENCE, "rng": np.random.default_rng(seed), "dtype": np.float64}
    return Sequential(Linear(3, 4, act="tanh", **made), Linear(4, 1, **made))


def test_r1_is_half_gamma_times_the_mean_squared_slope_at_the_data():
    """Mescheder et al. 2018, eq. 9; the slopes by central differences."""
    D, x = smooth_discriminator(), np.random.default_rng(2).standard_normal((5, 3))
    slopes, h = np.empty(x.shape), 1e-5
    for i in range(3):
        step = np.eye(3)[i] * h
        slopes[:, i] = (D(constant(x + step)).numpy() - D(constant(x - step)).numpy())[:, 0] / (2 * h)
    expected = 0.5 * 0.7 * (slopes**2).sum(axis=1).mean()
    penalty = gradient_penalty(D, constant(x), 0.7)
    assert float(penalty) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("order", [1, 2])
def test_r1_has_a_gradient_in_theta_d(order):
    D, x = smooth_discriminator(), drawn(4, 3)
    weights = [t for name, t in D.parameters().items() if name != "1.b"]  # a shift of the logit has no slope
    report = gradcheck(lambda *_: gradient_penalty(D, x, 0.7), *weights, order=order, elements=4)
    assert report.passed, str(report)


def test_d_ascends_v_less_the_penalty():
    game = new_game(r1=0.7)
    x, z, of_d = drawn(8, 3), drawn(8, 2), theta(game.D)
    goal = V(game.D, game.G, x, z) - gradient_penalty(game.D, x, 0.7)
    up = gradients(goal, game.optim_d.parameters)
    game.D = Counting(game.D)
    game.ascend_d(x, z)
    np.testing.assert_allclose(theta(game.D), of_d + 0.05 * np.concatenate([g.numpy().ravel() for g in up]), rtol=1e-12)
    assert game.D.runs == 2, "the penalty takes its slope from the logits that V has computed"
    assert not x.requires_grad and x.grad is None


def test_the_average_of_g_follows_it_with_its_decay():
    D, G = players(0)
    average = players(5)[1]
    game = Game(D, G, SGD(D.parameters(), 0.05), SGD(G.parameters(), 0.05), ema=0.75, average=average)
    np.testing.assert_array_equal(theta(average), theta(G))  # it starts where G does
    expected = theta(G)
    for seed in range(3):
        game.alternating_step(lambda s=seed: drawn(4, 3, seed=s), lambda s=seed: drawn(4, 2, seed=s))
        expected = 0.75 * expected + 0.25 * theta(G)
        np.testing.assert_allclose(theta(average), expected, rtol=1e-13)
    game.simultaneous_step(drawn(4, 3), drawn(4, 2))
    np.testing.assert_allclose(theta(average), 0.75 * expected + 0.25 * theta(G), rtol=1e-13)
    assert (theta(average) != theta(G)).any()
    game.ascend_d(drawn(4, 3), drawn(4, 2))
    np.testing.assert_allclose(theta(average), 0.75 * expected + 0.25 * theta(G), rtol=1e-13)


def test_the_average_takes_over_running_statistics_as_they_are():
    made = {"backend": REFERENCE, "dtype": np.float64}

    def with_norm():
        return Sequential(Linear(2, 3, rng=np.random.default_rng(0), **made), BatchNorm(3, **made), Tanh())

    D, G, average = players()[0], with_norm(), with_norm()
    game = Game(D, G, SGD(D.parameters(), 0.05), SGD(G.parameters(), 0.05), ema=0.9, average=average)
    game.alternating_step(lambda: drawn(4, 3), lambda: drawn(4, 2))
    for mine, theirs in zip(average.buffers().values(), G.buffers().values(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
        assert not np.shares_memory(mine.numpy(), theirs.numpy())
    assert np.abs(average.buffers()["1.mean"].numpy()).max() > 1e-3


class LastSeen(Layer):
    """A network that keeps its last batch in a buffer, whatever its size."""

    def __init__(self, network, m):
        self.network, self.seen = network, constant(np.zeros((m, 2)))

    def __call__(self, z):
        if self.seen.shape != z.shape:
            self.seen = constant(np.zeros(z.shape))
        self.seen.array[...] = z.array
        return self.network(z)


def test_the_average_takes_over_a_buffer_of_another_shape():
    """A copy of its own: what the average has is not changed by the next step of G before the average is updated."""
    D, G = players()
    G, average = LastSeen(G, 4), LastSeen(players()[1], 9)
    game = Game(D, G, SGD(D.parameters(), 0.05), SGD(G.parameters(), 0.05), ema=0.9, average=average)
    assert average.seen.shape == (4, 2)
    for m in (4, 6):
        game.descend_g(drawn(m, 2, seed=m))
        np.testing.assert_array_equal(average.seen.numpy(), drawn(m, 2, seed=m).numpy())
        assert not np.shares_memory(average.seen.numpy(), G.seen.numpy())


@pytest.mark.parametrize("part", ["parameters", "buffers"])
def test_an_average_with_other_parts_than_g_is_refused(part):
    """It would be a mean of some of G, or of parameters that do not belong together."""
    (D, G), other = players(), players()[1]
    more = {"parameters": Linear(3, 3, backend=REFERENCE, rng=0, dtype=np.float64), "buffers": SpectralNorm(other[-2], 0)}[part]
    longer = Sequential(*other, more) if part == "parameters" else Sequential(*other[:-2], more, other[-1])
    for one, average in ((G, longer), (longer, G)):
        with pytest.raises(ValueError, match=r"average holds .*, and G .*; it has to be a second G, built as the first one is"):
            Game(D, one, SGD(D.parameters(), 0.05), SGD(one.parameters(), 0.05), ema=0.9, average=average)


# ---- what a game refuses, and what it reads -------------------------------------------------------------------------------------


def test_players_that_share_a_parameter_are_refused():
    D, G = players()
    shared = D.parameters() | {"stolen": next(iter(G.parameters().values()))}
    with pytest.raises(ValueError, match="theta_d and theta_g share parameters"):
        Game(D, G, SGD(shared, 0.1), SGD(G.parameters(), 0.1))


def test_optimisers_that_were_swapped_are_refused():
    """Both players would stand still, as neither goal depends on the parameters that it is differentiated in."""
    D, G = players()
    with pytest.raises(ValueError, match="optim_d moves parameters of the other player"):
        Game(D, G, SGD(G.parameters(), 0.1), SGD(D.parameters(), 0.1))
    some = dict(list(D.parameters().items())[:1])
    Game(D, G, SGD(some, 0.1), SGD(G.parameters(), 0.1))  # a part of D may be all that moves
    with pytest.raises(ValueError, match="optim_g moves parameters of the other player"):
        Game(D, G, SGD(some, 0.1), SGD(dict(list(D.parameters().items())[1:]), 0.1))


def test_simultaneous_players_do_not_look_ahead():
    game = new_game(remedies=Remedies(unroll=2))
    with pytest.raises(ValueError, match="unroll is 2, but simultaneous players do not wait"):
        game.simultaneous_step(drawn(4, 3), drawn(4, 2))


def test_the_noise_of_a_game_is_that_of_its_remedies():
    with pytest.raises(TypeError, match="noise"):
        new_game(noise=0.5)  # would be without effect
    assert new_game(remedies=Remedies(noise=0.5), draws=Draws(np.random.default_rng(0))).noise == 0.5


@pytest.mark.parametrize(("options", "message"), [
    ({"objective": "saturating"}, "there is no objective 'saturating'; tinygan has minimax, nonsaturating"),
    ({"ema": 0.5}, "there is no average to follow G"),
    ({"ema": 1.0}, "ema has to lie in"), ({"ema": -0.1}, "ema has to lie in"), ({"r1": -1.0}, "r1 to be at least 0"),
])
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        new_game(**options)


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_readings_are_the_step_s_numbers(objective):
    real, fake, of_g = np.array([[1.0], [-0.5]]), np.array([[0.25], [2.0]]), np.array([[-3.0], [0.5]])
    goal = value(leaf(real), leaf(fake)) - 0.25  # of which a penalty is a part
    readings = Logits(leaf(real), leaf(fake), leaf(of_g), goal).read(objective)
    d = special.expit
    assert readings.v == pytest.approx(np.log(d(real)).mean() + np.log(1 - d(fake)).mean(), rel=1e-12)
    assert readings.d_loss == pytest.approx(0.25 - readings.v, rel=1e-15)
    assert readings.d_real == pytest.approx(d(real).mean()) and readings.d_fake == pytest.approx(d(fake).mean())
    expected = {"minimax": np.log(1 - d(of_g)).mean(), "nonsaturating": -np.log(d(of_g)).mean()}[objective]
    assert readings.g_loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("options", [{"r1": 0.3}, {"remedies": Remedies(smooth=0.1)}, {"remedies": Remedies(r2=0.2)}, {}], ids=str)
def test_the_loss_of_d_is_what_d_descended(options, simultaneous):
    """V with smoothed labels, less the penalties, recomputed from D as it was before its step."""
    game, (x, z) = new_game(**options), (drawn(4, 3), drawn(4, 2))
    fake = stop(game.G(z))
    real = game.D(x)
    v = -(ops.bce_logits(real, 1 - game.remedies.smooth) + ops.bce_logits(game.D(fake), 0.0))
    wanted = -float(v)
    for weight, points in ((game.r1, x), (game.remedies.r2, fake)):
        wanted += float(gradient_penalty(game.D, points, weight)) if weight else 0.0
    logits = game.simultaneous_step(x, z) if simultaneous else game.alternating_step(lambda: x, lambda: z)
    readings = logits.read(game.objective)
    assert readings.d_loss == pytest.approx(wanted, rel=1e-12)
    assert (readings.d_loss == -readings.v) == (not options)


@pytest.mark.parametrize("remedies", [Remedies(), Remedies(penalty_fall=10)], ids=["plain", "penalties that fall"])
def test_a_game_of_float32_stays_float32(remedies):
    rng = np.random.default_rng(0)
    D, G = discriminator(MLP, REFERENCE, rng), generator(MLP, REFERENCE, rng)
    average = generator(MLP, REFERENCE, rng)
    game = Game(D, G, Adam(D.parameters(), 1e-3), Adam(G.parameters(), 1e-3), r1=0.3, ema=0.9, average=average,
                remedies=remedies)
    x, z = (Tensor(np.ones(shape, np.float32), REFERENCE) for shape in ((4, 3), (4, 2)))
    with launches() as seen:
        game.alternating_step(lambda: x, lambda: z)
        game.simultaneous_step(x, z)
    assert {str(a.dtype) for launch in seen for a in (*launch.inputs, *launch.outputs)} == {"float32"}


# ---- games of pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"r1": 0.3}, {"remedies": Remedies(pack=2)}, {"remedies": Remedies(unroll=1)}], ids=str)
def test_g_compares_its_fakes_with_data_where_its_loss_does(options):
    """The relativistic game: D's step, then G's, written out."""
    D, G = discriminator(replace(MLP, pack=2), REFERENCE, np.random.default_rng(0), np.float64), players()[1]
    if options.get("remedies", Remedies()).pack == 1:
        D = players()[0]
    game = Game(D, G, SGD(D.parameters(), 0.05), SGD(G.parameters(), 0.05), "relativistic", **options)
    (x, z), (x_g, z_g) = (drawn(8, 3), drawn(8, 2)), (drawn(8, 3, seed=4), drawn(8, 2, seed=5))
    shown = lambda points: packed(points, game.remedies.pack)  # noqa: E731
    theta_d, theta_g = theta(D), theta(G)
    goal = -ops.mean(ops.softplus(-(D(shown(x)) - D(shown(G(z))))))
    goal = goal - gradient_penalty(D, x, 0.3) if options.get("r1") else goal
    up = gradients(goal, game.optim_d.parameters)
    goal, s_real, s_fake = game.ascend_d(x, z)
    np.testing.assert_allclose(theta(D), theta_d + 0.05 * np.concatenate([g.numpy().ravel() for g in up]), rtol=1e-12, atol=1e-15)
    if not game.remedies.unroll:
        down = gradients(ops.mean(ops.softplus(D(shown(x_g)) - D(shown(G(z_g))))), game.optim_g.parameters)
        expected = theta_g - 0.05 * np.concatenate([g.numpy().ravel() for g in down])
    assert game.g_needs_data
    real_of_g, fake_of_g = game.descend_g(z_g, x_g)
    if not game.remedies.unroll:
        np.testing.assert_allclose(theta(G), expected, rtol=1e-12, atol=1e-15)
    readings = Logits(s_real, s_fake, fake_of_g, goal, real_of_g).read("relativistic")
    assert readings.v == pytest.approx(-special.log1p(np.exp(s_fake.numpy() - s_real.numpy())).mean(), rel=1e-12)
    assert readings.d_loss == pytest.approx(-float(goal), rel=1e-15)
    assert readings.d_real == s_real.numpy().mean() and readings.d_fake == s_fake.numpy().mean()
    assert readings.g_loss == pytest.approx(special.log1p(np.exp(real_of_g.numpy() - fake_of_g.numpy())).mean(), rel=1e-12)


def test_players_of_a_game_of_pairs_that_move_at_once_compare_the_same_data():
    x, z = drawn(4, 3), drawn(4, 2)
    logits = new_game(objective="relativistic").simultaneous_step(x, z)
    assert logits.real_of_g is None
    assert logits.read("relativistic").g_loss == pytest.approx(
        special.log1p(np.exp(logits.real.numpy() - logits.fake.numpy())).mean(), rel=1e-12)


def test_a_step_of_g_without_the_data_that_it_needs_is_refused_before_anything_moves():
    game = new_game(objective="relativistic")
    before = theta(game.G)
    with pytest.raises(ValueError, match="needs data, as it compares pairs"):
        game.descend_g(drawn(4, 2))
    np.testing.assert_array_equal(theta(game.G), before)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_batches_are_asked_for_only_where_they_are_looked_at(objective):
    game, batches = new_game(objective=objective), []
    logits = game.alternating_step(lambda: batches.append(drawn(4, 3)) or batches[-1], lambda: drawn(4, 2), k=2)
    assert len(batches) == 2 + OBJECTIVES[objective].pairs
    assert len(logits.tensors) == 4 + OBJECTIVES[objective].pairs and Logits(*logits.tensors) == logits


def test_smoothing_is_refused_in_a_game_without_labels():
    with pytest.raises(ValueError, match=r"smooth is 0\.1, but the game 'hinge' has no labels"):
        new_game(objective="hinge", remedies=Remedies(smooth=0.1))


# ---- when one pass of D serves both batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "passes"), [
    ({}, 1), ({"r1": 0.3}, 2), ({"remedies": Remedies(r2=0.3)}, 2), ({"remedies": Remedies(smooth=0.1)}, 1),
    ({"objective": "relativistic"}, 1),
], ids=str)
def test_d_runs_once_on_both_batches_unless_a_slope_is_wanted_in_one(options, passes):
    game = new_game(**options)
    game.D = Counting(game.D)
    game.ascend_d(drawn(4, 3), drawn(4, 2))
    assert game.D.runs == passes


def test_d_runs_on_each_batch_alone_where_its_samples_affect_each_other():
    game = new_game()
    game.D = Counting(Sequential(BatchNorm(3, backend=REFERENCE, dtype=np.float64), *game.D))
    x, z = drawn(4, 3), drawn(4, 2)
    alone = game.D(x).numpy()
    game.D.runs = 0
    _, s_real, _ = game.ascend_d(x, z)
    assert game.D.runs == 2
    np.testing.assert_array_equal(s_real.numpy(), alone)

"""Penalties, packing, noise and unrolled steps: against formulas written by hand, their derivatives against numeric ones."""

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.engine import ops
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.randomness import Draws, dropout_mask, uniform
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor, gradients, stop
from tinygan.game.moves import Game
from tinygan.game.objectives import goal_of_d, value
from tinygan.game.packing import packed
from tinygan.game.penalties import gradient_penalty, wgan_gp
from tinygan.game.remedies import Remedies
from tinygan.game.unrolled import at, kept_buffers, unrolled
from tinygan.nn.init import glorot_uniform
from tinygan.nn.layers import BatchNorm, Layer, Linear, Sequential
from tinygan.optim import SGD

CPU = load("cpu")


def _constant(values):
    return Tensor(np.asarray(values, np.float64), CPU)


def _networks(seed=0, noise=2, data=3, pack=1):
    rng = np.random.default_rng(seed)
    made = {"backend": CPU, "rng": rng, "dtype": np.float64, "init": glorot_uniform}
    G = Sequential(Linear(noise, 5, act="tanh", **made), Linear(5, data, **made))
    D = Sequential(Linear(data * pack, 6, act="tanh", **made), Linear(6, 1, **made))
    return G, D, rng


def _slopes_by_hand(D, x):
    """Compute grad_x s = C (w (1 - h^2)) for s = tanh(x C + c) w + d."""
    (C, c, w, _) = (t.numpy() for t in D.parameters().values())
    h = np.tanh(x @ C + c)
    return ((1 - h**2) * w.T) @ C.T


def test_penalty_is_half_gamma_times_the_mean_squared_slope():
    _, D, rng = _networks()
    x = rng.standard_normal((4, 3))
    expected = 0.35 * (_slopes_by_hand(D, x) ** 2).sum(axis=1).mean()
    assert float(gradient_penalty(D, _constant(x), 0.7)) == pytest.approx(expected, rel=1e-12)


def test_penalty_gradient_in_theta_d():
    _, D, rng = _networks()
    x = _constant(rng.standard_normal((4, 3)))
    report = gradcheck(lambda *_: gradient_penalty(D, x, 0.7), *list(D.parameters().values())[:3], name="R1")
    assert report.passed, report


def test_wgan_gp_between_the_points():
    _, D, rng = _networks(1)
    x, fake = rng.standard_normal((6, 3)), 2 + rng.standard_normal((6, 3))
    e = np.random.default_rng(9).random((6, 1))
    norms = np.linalg.norm(_slopes_by_hand(D, e * x + (1 - e) * fake), axis=1)
    found = wgan_gp(D, _constant(x), _constant(fake), 10.0, Draws(np.random.default_rng(9)))
    assert float(found) == pytest.approx(10 * ((norms - 1) ** 2).mean(), rel=1e-9)


def test_wgan_gp_gradient_in_theta_d():
    _, D, rng = _networks(1)
    x, fake = (_constant(rng.standard_normal((4, 3))) for _ in range(2))
    report = gradcheck(lambda *_: wgan_gp(D, x, fake, 10.0, Draws(np.random.default_rng(9))),
                       *list(D.parameters().values())[:3], name="WGAN-GP")
    assert report.passed, report


def test_wgan_gp_where_d_is_flat():
    """Where D is flat its slope has no direction; the gradient of the penalty must stay finite."""
    _, D, rng = _networks()
    for t in D.parameters().values():
        t.array[...] = 0
    x = _constant(rng.standard_normal((4, 3)))
    penalty = wgan_gp(D, x, x, 1.0, Draws(rng))
    assert float(penalty) == pytest.approx(1, abs=1e-5)
    assert all(np.isfinite(g.numpy()).all() for g in gradients(penalty, D.parameters(), unused="zeros"))


@pytest.mark.parametrize("remedy", ["r1", "r2", "gp"])
@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_d_ascends_its_goal_less_the_penalty(remedy, update):
    """One SGD step of D from the game against the same step written out: goal - penalty, with the plus of an ascent."""
    G, D, rng = _networks(2)
    x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
    fake = stop(G(z))
    penalty = {
        "r1": lambda: gradient_penalty(D, x, 0.8),
        "r2": lambda: gradient_penalty(D, fake, 0.8),
        "gp": lambda: wgan_gp(D, x, fake, 0.8, Draws(np.random.default_rng(4))),
    }[remedy]()
    theta = list(D.parameters().values())
    up = gradients(value(D(x), D(fake)) - penalty, theta)
    expected = [t.numpy() + 0.1 * g.numpy() for t, g in zip(theta, up, strict=True)]
    chosen = Remedies(**({} if remedy == "r1" else {remedy: 0.8}))
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), "nonsaturating", 0.8 if remedy == "r1" else 0.0,
                remedies=chosen, draws=Draws(np.random.default_rng(4)))
    if update == "alternating":
        game.ascend_d(x, z)
    else:
        game.simultaneous_step(x, z)
    for t, e in zip(D.parameters().values(), expected, strict=True):
        np.testing.assert_allclose(t.numpy(), e, rtol=1e-12, atol=1e-14)


def test_penalties_do_not_move_g():
    """In a simultaneous step the penalties on fakes are D's business: G descends its own loss alone."""
    moved = []
    for remedies in (Remedies(), Remedies(r2=5.0, gp=5.0)):
        G, D, rng = _networks(3)
        draws = Draws(np.random.default_rng(1))
        game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=remedies, draws=draws)
        game.simultaneous_step(_constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2))))
        moved.append(np.concatenate([t.numpy().ravel() for t in G.parameters().values()]))
    np.testing.assert_array_equal(*moved)


# ---- packing and noise --------------------------------------------------------------------------------------------------------


def test_packing_puts_whole_samples_side_by_side():
    x = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(packed(_constant(x), 3).numpy(), [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])


def test_packing_of_images_joins_channels():
    x = np.random.default_rng(0).standard_normal((4, 2, 3, 2))
    found = packed(_constant(x), 2).numpy()
    assert found.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(found[1], np.concatenate([x[2], x[3]], axis=-1))


def test_packing_is_differentiable_and_refuses_a_remainder():
    x = _constant(np.random.default_rng(0).standard_normal((4, 2, 1, 2)))
    assert gradcheck(lambda x: packed(x, 2) ** 3, x).passed
    with pytest.raises(ValueError, match="batch of 4 samples cannot be packed by 3"):
        packed(x, 3)


def test_d_sees_noise_on_both_and_g_learns_through_it():
    G, D, rng = _networks(4)
    x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
    game = Game(D, G, SGD(D.parameters(), 1e-12), SGD(G.parameters(), 1e-12), remedies=Remedies(noise=0.5),
                draws=Draws(np.random.default_rng(8)))
    _, s_real, s_fake = game.ascend_d(x, z)
    drawn = np.random.default_rng(8)
    np.testing.assert_allclose(s_real.numpy(), D(_constant(x.numpy() + 0.5 * drawn.standard_normal((4, 3)))).numpy(), atol=1e-9)
    np.testing.assert_allclose(s_fake.numpy(), D(_constant(G(z).numpy() + 0.5 * drawn.standard_normal((4, 3)))).numpy(), atol=1e-9)
    game.noise = 0.0
    np.testing.assert_allclose(game.descend_g(z)[1].numpy(), D(G(z)).numpy(), atol=1e-9)


@pytest.mark.parametrize("unroll", [0, 2])
def test_g_and_the_d_that_looks_ahead_see_instance_noise(unroll):
    """One after the other, data and fakes for the look ahead, then the fakes that G is judged by, written out."""
    G, D, rng = _networks(4)
    x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), draws=Draws(np.random.default_rng(8)),
                remedies=Remedies(noise=0.5, unroll=unroll, unroll_rate=0.3))
    drawn, theta = np.random.default_rng(8), list(G.parameters().values())
    noisy = lambda points: points + _constant(0.5 * drawn.standard_normal(points.shape))  # noqa: E731
    fake = G(z)
    real, shown = (noisy(x), noisy(fake)) if unroll else (x, fake)
    with at(D, unrolled(D, lambda: value(D(real), D(shown)), D.parameters(), unroll, 0.3)):
        s_fake = D(noisy(fake))
        down = gradients(ops.bce_logits(s_fake, 1.0), theta)
    expected = [t.numpy() - 0.1 * g.numpy() for t, g in zip(theta, down, strict=True)]
    np.testing.assert_allclose(game.descend_g(z, x)[1].numpy(), s_fake.numpy(), rtol=1e-12)
    for t, e in zip(theta, expected, strict=True):
        np.testing.assert_allclose(t.numpy(), e, rtol=1e-12, atol=1e-14)


OWN_GOALS = [("minimax", 0.3), ("nonsaturating", 0.3), ("hinge", 0.0), ("least-squares", 0.0)]


@pytest.mark.parametrize(("objective", "smooth"), OWN_GOALS)
def test_the_d_that_looks_ahead_climbs_the_games_own_goal(objective, smooth):
    """With smoothed labels, where it has labels: its ascents are those that D will make."""
    G, D, rng = _networks(4)
    x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), objective, remedies=Remedies(smooth=smooth, unroll=2))
    fake = G(z)
    with at(D, unrolled(D, lambda: goal_of_d(objective, D(x), D(fake), smooth), D.parameters(), 2, 0.1)):
        expected = D(fake).numpy()
    np.testing.assert_allclose(game.descend_g(z, x)[1].numpy(), expected, rtol=1e-12)


def test_a_game_without_draws_says_what_it_needs():
    G, D, _ = _networks()
    for remedies in (Remedies(noise=0.1), Remedies(gp=0.1)):
        with pytest.raises(ValueError, match="hand the game its draws"):
            Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=remedies)
    assert not any(remedies.needs_draws for remedies in (Remedies(), Remedies(r2=1.0, smooth=0.1, pack=2, unroll=1)))


def test_each_remedy_is_off_by_default():
    off = {"r2": 0, "gp": 0, "penalty_fall": 1, "smooth": 0, "noise": 0, "pack": 1, "unroll": 0, "unroll_rate": 0.1}
    assert Remedies().values(Remedies) == off
    assert not Remedies().falling_penalties


def test_penalties_fall_geometrically_between_two_shares_of_the_run():
    rem = Remedies(penalty_fall=100)
    shares = [rem.penalty_share(done) for done in (0, 0.3, 0.425, 0.55, 0.675, 0.8, 1)]
    np.testing.assert_allclose(shares, [1, 1, 10**-0.5, 0.1, 10**-1.5, 0.01, 0.01], rtol=1e-12)
    assert [Remedies().penalty_share(done) for done in (0, 0.6, 1)] == [1, 1, 1]


def _falling(fall):
    G, D, rng = _networks()
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), r1=0.7, draws=Draws(np.random.default_rng(1)),
                remedies=Remedies(r2=0.4, gp=2, penalty_fall=fall))
    return game, _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))


def test_every_penalty_counts_by_its_share():
    game, x, z = _falling(10)
    fake = stop(game.G(z))
    game.draws.rng = np.random.default_rng(1)
    full = game.judged(x, fake)
    game.penalty_share = 0.25
    game.draws.rng = np.random.default_rng(1)
    less = game.judged(x, fake)
    assert len(full.penalties) == 3 and game.penalty_share == 0.25
    for (_, before), (_, after) in zip(full.penalties, less.penalties, strict=True):
        assert float(after) == pytest.approx(float(before) / 4, rel=1e-12) and float(before) > 0
    assert float(less.goal) == pytest.approx(float(less.value) - sum(float(p) for _, p in less.penalties), rel=1e-12)


def test_a_replayed_step_reads_the_share_of_the_moment():
    def course(replayed):
        G, D, rng = _networks()
        game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), r1=0.7, remedies=Remedies(r2=0.4, penalty_fall=10))
        x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
        step = Replayed(lambda x, z: game.play(x, z, z), CPU) if replayed else lambda x, z: game.play(*map(_constant, (x, z, z)))
        for share in (1.0, 0.5, 0.01):
            game.penalty_share = share
            step(x.numpy(), z.numpy())
            yield [t.numpy().copy() for t in D.parameters().values()]

    ends = list(course(True))
    for wanted, found in zip(course(False), ends, strict=True):
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_share_is_for_games_whose_penalties_fall():
    game, *_ = _falling(1)
    with pytest.raises(ValueError, match=r"give it remedies=Remedies\(penalty_fall=10\)"):
        game.penalty_share = 0.5
    game, *_ = _falling(10)
    for wrong in (-0.1, float("nan"), float("inf"), "a"):
        with pytest.raises(ValueError, match="penalty_share is"):
            game.penalty_share = wrong


@pytest.mark.parametrize("wrong", [
    {"r2": -1}, {"gp": float("nan")}, {"penalty_fall": 0.5}, {"smooth": 0.5}, {"pack": 0}, {"unroll": -1}, {"noise": -0.1},
])
def test_remedies_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Remedies(**wrong)


# ---- unrolled steps -----------------------------------------------------------------------------------------------------------


def test_unrolled_parameters_are_plain_ascent():
    _, D, rng = _networks(5)
    x, fake = (_constant(rng.standard_normal((4, 3))) for _ in range(2))
    before = {name: t.numpy().copy() for name, t in D.parameters().items()}
    ahead = unrolled(D, lambda: value(D(x), D(fake)), D.parameters(), 3, 0.2)
    for name, t in D.parameters().items():
        np.testing.assert_array_equal(t.numpy(), before[name])  # looking ahead moves nothing
    optimiser = SGD(D.parameters(), 0.2)
    for _ in range(3):
        optimiser.ascend(gradients(value(D(x), D(fake)), optimiser.parameters))
    for name, t in D.parameters().items():
        np.testing.assert_allclose(ahead[name].numpy(), t.numpy(), rtol=1e-12, atol=1e-14)


def test_gradient_through_unrolled_steps():
    """d/dtheta_g of G's loss at the D that answers to G: numeric derivatives see both paths, so the engine has to."""
    G, D, rng = _networks(6)
    x, z = _constant(rng.standard_normal((3, 3))), _constant(rng.standard_normal((3, 2)))

    def loss(*_):
        fake = G(z)
        with at(D, unrolled(D, lambda: goal_of_d("nonsaturating", D(x), D(fake)), D.parameters(), 2, 0.5)):
            return ops.bce_logits(D(fake), 1.0)

    report = gradcheck(loss, *G.parameters().values(), name="unrolled")
    assert report.passed, report
    theta = list(G.parameters().values())
    through = gradients(loss(), theta)
    fixed = gradients(ops.bce_logits(D(G(z)), 1.0), theta)
    assert max(np.abs(a.numpy() - b.numpy()).max() for a, b in zip(through, fixed, strict=True)) > 1e-3  # the look ahead matters


def test_unrolled_descent_in_the_game():
    G, D, rng = _networks(7)
    x, z = _constant(rng.standard_normal((4, 3))), _constant(rng.standard_normal((4, 2)))
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=Remedies(unroll=2, unroll_rate=0.5))
    theta = list(G.parameters().values())
    fake = G(z)
    with at(D, unrolled(D, lambda: value(D(x), D(fake)), D.parameters(), 2, 0.5)):
        down = gradients(ops.bce_logits(D(fake), 1.0), theta)
    expected = [t.numpy() - 0.1 * g.numpy() for t, g in zip(theta, down, strict=True)]
    theta_d = [t.numpy().copy() for t in D.parameters().values()]
    game.descend_g(z, x)
    for t, e in zip(G.parameters().values(), expected, strict=True):
        np.testing.assert_allclose(t.numpy(), e, rtol=1e-12, atol=1e-14)
    for t, e in zip(D.parameters().values(), theta_d, strict=True):
        np.testing.assert_array_equal(t.numpy(), e)
    with pytest.raises(ValueError, match="needs data"):
        game.descend_g(z)


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("unroll", [1, 3])
def test_looking_ahead_leaves_the_running_statistics_of_d(unroll, replayed):
    """In Metz et al. 2017 a copy of D looks ahead. After several whole steps, D's running statistics are those of its own ascents
    alone, to the bit; G's steps move G's.
    """

    def new_game():
        rng = np.random.default_rng(8)
        made = {"backend": CPU, "rng": rng, "dtype": np.float64}
        norm = {"backend": CPU, "dtype": np.float64}
        G = Sequential(Linear(2, 5, **made), BatchNorm(5, **norm), Linear(5, 3, **made))
        D = Sequential(Linear(3, 6, **made), BatchNorm(6, act="tanh", **norm), Linear(6, 1, **made))
        return Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), remedies=Remedies(unroll=unroll, unroll_rate=0.5))

    played, rng = new_game(), np.random.default_rng(9)
    step = Replayed(played.play, CPU) if replayed else lambda *batch: played.play(*map(_constant, batch))
    moved = set()
    for _ in range(4):
        batch = [rng.standard_normal((4, n)) for n in (3, 2, 2)]
        alone = new_game()  # D and G as they are now, and a step of D by itself
        for mine, theirs in zip((alone.D, alone.G), (played.D, played.G), strict=True):
            for name, tensor in (theirs.parameters() | theirs.buffers()).items():
                (mine.parameters() | mine.buffers())[name].array[...] = tensor.array
        alone.ascend_d(_constant(batch[0]), _constant(batch[1]))
        step(*batch)
        for name, tensor in played.D.buffers().items():
            np.testing.assert_array_equal(tensor.numpy(), alone.D.buffers()[name].numpy(), err_msg=name)
            moved.add(tensor.numpy().tobytes())
        assert any((t.numpy() != alone.G.buffers()[name].numpy()).any() for name, t in played.G.buffers().items())
    assert len(moved) == 8  # mean and variance, new in each of the four steps


def test_running_statistics_are_back_after_an_error():
    norm = BatchNorm(3, backend=CPU, dtype=np.float64)
    before = {name: t.numpy().copy() for name, t in norm.buffers().items()}
    with pytest.raises(RuntimeError), kept_buffers(norm):
        norm(_constant(np.random.default_rng(0).standard_normal((4, 3))))
        assert (norm.mean.numpy() != before["mean"]).any()
        raise RuntimeError
    for name, t in norm.buffers().items():
        np.testing.assert_array_equal(t.numpy(), before[name])


class Twice(Layer):
    """One layer in two attributes, as tied weights are."""

    def __init__(self, layer):
        self.first = self.second = layer
        self.w, self.v = layer.w, [layer.w]

    def __call__(self, x):
        return self.second(self.first(x)) @ self.w @ self.v[0]


def test_a_parameter_in_several_places_is_exchanged_in_all_of_them():
    D = Twice(Linear(2, 2, backend=CPU, rng=0, dtype=np.float64))
    x, own, other = _constant([[1.0, 2.0]]), D.w, _constant([[0.5, 0.0], [0.0, 2.0]])
    name = next(iter(name for name, t in D.parameters().items() if t is own))
    with at(D, {name: other}):
        assert D.first.w is D.second.w is D.w is D.v[0] is other
        wanted = (x.numpy() @ other.numpy() + D.first.b.numpy()) @ other.numpy() + D.first.b.numpy()
        np.testing.assert_allclose(D(x).numpy(), wanted @ other.numpy() @ other.numpy(), rtol=1e-14)
    assert D.first.w is D.second.w is D.w is D.v[0] is own


def test_parameters_are_back_after_an_error():
    _, D, _ = _networks()
    own = D.layers[0].w
    with pytest.raises(RuntimeError), at(D, {"0.w": _constant(np.zeros(own.shape))}):
        raise RuntimeError
    assert D.layers[0].w is own


# ---- draws --------------------------------------------------------------------------------------------------------------------


def test_refilled_draws_are_those_of_an_eager_step():
    """What a recorder needs: refilling gives the very values that drawing again would have given, in the same arrays."""
    like = _constant(np.zeros((3, 2)))
    eager, recorded = Draws(np.random.default_rng(5)), Draws(np.random.default_rng(5))
    recorded.recorded = []
    first = [recorded(uniform, like), recorded(dropout_mask(0.5), like, (4,))]
    for t, e in zip(first, [eager(uniform, like), eager(dropout_mask(0.5), like, (4,))], strict=True):
        np.testing.assert_array_equal(t.numpy(), e.numpy())
    recorded.refill()
    for t, e in zip(first, [eager(uniform, like), eager(dropout_mask(0.5), like, (4,))], strict=True):
        np.testing.assert_array_equal(t.numpy(), e.numpy())

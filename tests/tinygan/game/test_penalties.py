"""Penalties as objects: they are their formulas, take logits that are there already, never move G, and others can be added."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches

from tinygan import gradients, stop
from tinygan.engine import ops
from tinygan.engine.randomness import Draws
from tinygan.game.moves import Game
from tinygan.game.objectives import value
from tinygan.game.penalties import R1, R2, Judged, WassersteinPenalty, gradient_penalty, variable, wgan_gp
from tinygan.game.remedies import Remedies
from tinygan.nn.layers import Linear, Sequential
from tinygan.optim import SGD


def players(seed=0):
    made = {"backend": REFERENCE, "rng": np.random.default_rng(seed), "dtype": np.float64}
    G = Sequential(Linear(2, 4, act="tanh", **made), Linear(4, 3, **made))
    return Sequential(Linear(3, 4, act="tanh", **made), Linear(4, 1, **made)), G


def drawn(*shape, seed=1):
    return constant(np.random.default_rng(seed).standard_normal(shape))


def judged(D, x):
    return Judged(x, D(x))


def draws():
    return Draws(np.random.default_rng(3))


PENALTIES = {
    "R1": (lambda: R1(0.7), lambda D, x, fake: gradient_penalty(D, x, 0.7)),
    "R2": (lambda: R2(0.7), lambda D, x, fake: gradient_penalty(D, fake, 0.7)),
    "WGAN-GP": (lambda: WassersteinPenalty(0.7, draws()), lambda D, x, fake: wgan_gp(D, x, fake, 0.7, draws())),
}


@pytest.mark.parametrize("held", [True, False], ids=["variables", "as they come"])
@pytest.mark.parametrize("name", PENALTIES)
def test_each_penalty_is_its_formula_at_its_own_batch(name, held):
    (D, _), (penalty, formula) = players(), PENALTIES[name]
    x, fake = drawn(4, 3), drawn(4, 3, seed=2)
    real, made = (judged(D, variable(points) if held else points) for points in (x, fake))
    assert float(penalty()(D, real, made)) == float(formula(D, x, fake))
    assert penalty().weight == 0.7


@pytest.mark.parametrize(("penalty", "at"), [(R1(1.0), 0), (R2(1.0), 1)])
def test_slopes_are_taken_from_logits_that_are_there(penalty, at):
    """A variable's logits are used again; for points that are none D has to run once more, a product for each of its layers."""
    D, _ = players()
    products = []
    for points in (variable(drawn(4, 3)), drawn(4, 3)):
        batches = [judged(D, drawn(4, 3, seed=5))] * 2
        batches[at] = judged(D, points)
        with launches() as seen:
            penalty(D, *batches)
        products.append(sum(launch.kernel.name == "matmul" for launch in seen))
    assert products[1] == products[0] + 2


@pytest.mark.parametrize("name", PENALTIES)
def test_no_penalty_has_a_gradient_in_theta_g(name):
    D, G = players()
    theta_g = list(G.parameters().values())
    penalty = PENALTIES[name][0]()(D, judged(D, drawn(4, 3)), judged(D, G(drawn(4, 2))))
    assert not any(g.numpy().any() for g in gradients(penalty, theta_g, unused="zeros"))
    assert any(g.numpy().any() for g in gradients(penalty, D.parameters(), unused="zeros"))


def test_a_slope_taken_at_fakes_that_are_not_held_would_move_g():
    """The planted fault: R2 from the logits that G's samples have already, as if they were a variable."""
    D, G = players()
    fake = judged(D, G(drawn(4, 2)))
    (slope,) = gradients(ops.sum(fake.s), [fake.x], create_graph=True)
    assert any(g.numpy().any() for g in gradients(ops.sum(slope**2), list(G.parameters().values())))


class Drift:
    """weight E s(x)^2 at real and at fake samples: keeps D's outputs near 0. Karras et al. 2018, appendix A.1."""

    weight, at = 0.3, "between"

    def __call__(self, D, real, fake):
        return (ops.mean(real.s**2) + ops.mean(fake.s**2)) * self.weight


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_a_penalty_of_one_s_own(update, objective):
    """It is subtracted from D's goal, and G descends its loss alone even in a game of sum zero."""
    D, G = players()
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), objective, penalties=[Drift()])
    x, z = drawn(4, 3), drawn(4, 2)
    s_real, s_fake = D(x), D(stop(G(z)))
    goal = value(s_real, s_fake) - Drift()(D, Judged(x, s_real), Judged(x, s_fake))
    theta_d, theta_g = list(D.parameters().values()), list(G.parameters().values())
    up = gradients(goal, theta_d)
    down = gradients(-ops.bce_logits(D(G(z)), 0.0) if objective == "minimax" else ops.bce_logits(D(G(z)), 1.0), theta_g)
    expected_d = [t.numpy() + 0.1 * g.numpy() for t, g in zip(theta_d, up, strict=True)]
    expected_g = [t.numpy() - 0.1 * g.numpy() for t, g in zip(theta_g, down, strict=True)]
    if update == "alternating":
        game.ascend_d(x, z)
    else:
        game.simultaneous_step(x, z)
        for t, e in zip(theta_g, expected_g, strict=True):
            np.testing.assert_allclose(t.numpy(), e, rtol=1e-12)
    for t, e in zip(theta_d, expected_d, strict=True):
        np.testing.assert_allclose(t.numpy(), e, rtol=1e-12)


def test_a_penalty_at_no_known_place_is_refused():
    """A penalty at an unknown place is refused: its batch would not become a variable, and its slope there would be 0."""
    (D, G), misspelt = players(), Drift()
    misspelt.at = "fakes"
    with pytest.raises(ValueError, match="a penalty is at 'fakes'; it has to be at 'real', 'fake' or 'between'"):
        Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), penalties=[misspelt])


def test_points_between_batches_that_form_no_pairs_are_refused():
    """Batches of different sizes form no pairs: a batch of one would be repeated, with one random share for all."""
    D, _ = players()
    with pytest.raises(ValueError, match=r"wgan_gp: x \(1, 3\) and fake \(4, 3\) do not form pairs"):
        wgan_gp(D, drawn(1, 3), drawn(4, 3), 1.0, draws())


def test_penalties_from_a_generator_count_in_every_step():
    (D, G), own = players(), Drift()
    game = Game(D, G, SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1), penalties=(penalty for penalty in [own]))
    assert game.all_penalties() == game.all_penalties() == [own]


def test_options_become_penalties_in_a_fixed_order():
    D, G = players()
    optimisers, own = (SGD(D.parameters(), 0.1), SGD(G.parameters(), 0.1)), Drift()
    game = Game(D, G, *optimisers, r1=0.2, remedies=Remedies(r2=0.3, gp=4.0), draws=draws(), penalties=[own])
    assert game.all_penalties() == [R1(0.2), R2(0.3), WassersteinPenalty(4.0, game.draws), own]
    assert Game(D, G, *optimisers).all_penalties() == []


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_negative_penalty_is_refused_as_it_would_be_a_reward(weight):
    D, _ = players()
    x = drawn(4, 3)
    makers = {"R1": R1, "R2": R2, "WassersteinPenalty": lambda w: WassersteinPenalty(w, Draws(np.random.default_rng(0))),
              "gradient_penalty": lambda w: gradient_penalty(D, x, w),
              "wgan_gp": lambda w: wgan_gp(D, x, x, w, Draws(np.random.default_rng(0)))}
    for name, make in makers.items():
        with pytest.raises(ValueError, match=f"^{name}: the weight is {weight}, it has to be at least 0 and finite"):
            make(weight)


def test_a_penalty_of_weight_0_is_no_penalty():
    D, _ = players()
    x = judged(D, variable(drawn(4, 3)))
    assert [float(penalty(D, x, x)) for penalty in (R1(0.0), R2(0), WassersteinPenalty(0.0, draws()))] == [0, 0, 0]

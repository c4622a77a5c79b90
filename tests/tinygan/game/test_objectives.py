"""Each objective against its paper's formula written out in NumPy, its gradient against numeric ones, and its signs."""

from dataclasses import replace

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.engine import ops
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives
from tinygan.game.objectives import OBJECTIVES, Level, goal_of_d, levels
from tinygan.nn.layers import Linear, Sequential

CPU = load("cpu")


def _tensor(values):
    return Tensor(np.asarray(values, np.float64), CPU, requires_grad=True)


def _logits(seed=0, m=9):
    """Draw logits on both sides of 0 and of the hinge's corners at +-1, and never within 0.05 of either."""
    s = 3 * np.random.default_rng(seed).standard_normal((m, 1))
    for corner in (-1, 0, 1):
        near = np.abs(s - corner) < 0.05
        s[near] += 0.2
    return s


def _sigmoid(s):
    return 1 / (1 + np.exp(-s))


def _v(r, f):
    return np.log(_sigmoid(r)).mean() + np.log(1 - _sigmoid(f)).mean()


def _softplus(t):
    return np.log(1 + np.exp(t))


# Each objective by name: (what D ascends, what G descends), as functions of the logits of real samples r and of fakes f in NumPy
FORMULAS = {
    "minimax": (_v, lambda r, f: np.log(1 - _sigmoid(f)).mean()),
    "nonsaturating": (_v, lambda r, f: -np.log(_sigmoid(f)).mean()),
    "hinge": (lambda r, f: np.minimum(0, r - 1).mean() + np.minimum(0, -f - 1).mean(), lambda r, f: -f.mean()),
    "least-squares": (lambda r, f: -0.5 * ((r - 1) ** 2).mean() - 0.5 * (f**2).mean(), lambda r, f: 0.5 * ((f - 1) ** 2).mean()),
    "wasserstein": (lambda r, f: r.mean() - f.mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: -_softplus(f - r).mean(), lambda r, f: _softplus(r - f).mean()),
}


def check_formulas(table, formulas):
    """Compare every objective in `table` with its formula. Raises AssertionError, which names what differs or where to add it."""
    missing = [name for name in table if name not in formulas]
    assert not missing, f"{missing} has no formula: add what D ascends and what G descends to FORMULAS in {__file__}"
    assert not set(formulas) - set(table), f"FORMULAS in {__file__} has names that tinygan/game/objectives.py does not have"
    for name, objective in table.items():
        r, f = _logits(1), _logits(2)
        goal, loss = formulas[name]
        assert float(objective.goal(_tensor(r), _tensor(f))) == pytest.approx(goal(r, f), rel=1e-12), f"{name}: what D ascends"
        assert float(objective.loss(_tensor(r), _tensor(f))) == pytest.approx(loss(r, f), rel=1e-12), f"{name}: what G descends"


def test_every_objective_is_the_formula_of_its_paper():
    check_formulas(OBJECTIVES, FORMULAS)


@pytest.mark.parametrize(("changed", "message"), [
    ({"log-cosh": OBJECTIVES["hinge"]}, r"\['log-cosh'\] has no formula: .* to FORMULAS in .*test_objectives\.py"),
    ({"hinge": OBJECTIVES["wasserstein"]}, "hinge: what D ascends"),
    ({"hinge": replace(OBJECTIVES["hinge"], loss=OBJECTIVES["nonsaturating"].loss)}, "hinge: what G descends"),
    ({"relativistic": replace(OBJECTIVES["relativistic"], loss=lambda r, f: objectives.relativistic(f, r))}, "what G descends"),
])
def test_an_objective_without_its_formula_is_found(changed, message):
    with pytest.raises(AssertionError, match=message):
        check_formulas({**{name: OBJECTIVES[name] for name in FORMULAS}, **changed}, FORMULAS)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_of_both_players(name):
    r, f = _tensor(_logits(3)), _tensor(_logits(4))
    of_both = OBJECTIVES[name].loss if OBJECTIVES[name].pairs else lambda f: OBJECTIVES[name].loss(r, f)
    report = gradcheck(OBJECTIVES[name].goal, r, f, name=name)
    assert report.passed, report
    report = gradcheck(of_both, *([r, f] if OBJECTIVES[name].pairs else [f]), name=name)
    assert report.passed, report


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_flags_of_an_objective_are_true(name):
    """pairs: loss depends on real logits. zero_sum: loss and goal have the same slope in the fakes'. ascends_v: goal is V."""
    objective, r, f = OBJECTIVES[name], _tensor(_logits(5)), _tensor(_logits(6))
    to_real, to_fake = (g.numpy() for g in gradients(objective.loss(r, f), [r, f], unused="zeros"))
    of_goal = gradients(objective.goal(r, f), [f])[0].numpy()
    assert to_real.any() == objective.pairs
    assert np.allclose(to_fake, of_goal, rtol=1e-12) == objective.zero_sum
    assert (float(objective.goal(r, f)) == float(objectives.value(r, f))) == objective.ascends_v


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_players_pull_in_opposite_directions(name):
    """D's ascent lowers the logits of fakes and raises those of data, G's descent raises the fakes'; logits between the labels."""
    r, f = _tensor([[0.3], [-0.2]]), _tensor([[0.2], [0.6]])
    up_real, up_fake = (g.numpy() for g in gradients(goal_of_d(name, r, f), [r, f]))
    down = gradients(OBJECTIVES[name].loss(r, f), [f])[0].numpy()
    assert (up_real > 0).all() and (up_fake < 0).all() and (-down > 0).all()


def test_relativistic_players_compare_pairs_and_nothing_else():
    """A shift of all logits changes nothing, and where no pair can be told apart both lose log 2."""
    r, f = _logits(1), _logits(2)
    relativistic = OBJECTIVES["relativistic"]
    for of_player in (relativistic.goal, relativistic.loss):
        moved = float(of_player(_tensor(r + 5), _tensor(f + 5)))
        assert float(of_player(_tensor(r), _tensor(f))) == pytest.approx(moved, rel=1e-12)
    assert float(relativistic.goal(_tensor(r), _tensor(r))) == pytest.approx(-np.log(2), rel=1e-14)
    assert float(relativistic.loss(_tensor(r), _tensor(r))) == pytest.approx(np.log(2), rel=1e-14)
    with pytest.raises(ValueError, match="do not form pairs; make the batches equal"):
        relativistic.loss(_tensor(r), _tensor(f[:1]))


@pytest.mark.parametrize("name", [name for name, objective in OBJECTIVES.items() if not objective.ascends_v])
def test_labels_are_not_smoothed_where_there_are_none(name):
    with pytest.raises(ValueError, match="no labels to smooth"):
        goal_of_d(name, _tensor([[0.0]]), _tensor([[0.0]]), smooth=0.1)


def test_smoothing_is_one_sided():
    r, f = _logits(5), _logits(6)
    p, q = _sigmoid(r), _sigmoid(f)
    expected = (0.9 * np.log(p) + 0.1 * np.log(1 - p)).mean() + np.log(1 - q).mean()
    assert float(goal_of_d("nonsaturating", _tensor(r), _tensor(f), smooth=0.1)) == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda a, b: goal_of_d("minimax", a, b, 0.1), _tensor(r), _tensor(f)).passed


def test_smoothed_optimum_is_below_one():
    """Its best D on data alone is 1 - smooth, where the plain one is 1 and runs off to infinity."""
    s = _tensor([[np.log(0.9 / 0.1)]])
    (slope,) = gradients(goal_of_d("minimax", s, _tensor([[0.0]]), smooth=0.1), [s])
    assert abs(float(slope)) < 1e-15


def test_least_squares_optimum_is_the_share_of_data():
    """At a point with densities 3 : 1 of data to fakes the best s is 3/4: the derivative of the weighted goal vanishes there."""
    s = _tensor([[0.75]])
    (on_data,) = gradients(goal_of_d("least-squares", s, _tensor([[0.0]])), [s])
    (on_fakes,) = gradients(goal_of_d("least-squares", _tensor([[0.0]]), s), [s])
    assert 3 * float(on_data) + float(on_fakes) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_finite_at_extreme_logits(name):
    far = _tensor([[1e4], [-1e4]])
    assert np.isfinite(float(goal_of_d(name, far, far)))
    assert np.isfinite(gradients(OBJECTIVES[name].loss(far, far), [far])[0].numpy()).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_reach_both_networks(name):
    rng = np.random.default_rng(7)
    made = {"backend": CPU, "rng": rng, "dtype": np.float64}
    G, D = Sequential(Linear(2, 3, **made)), Sequential(Linear(3, 4, act="tanh", **made), Linear(4, 1, **made))
    x, z = Tensor(rng.standard_normal((5, 3)), CPU), Tensor(rng.standard_normal((5, 2)), CPU)
    report = gradcheck(lambda *_: goal_of_d(name, D(x), D(G(z))) + OBJECTIVES[name].loss(D(x), D(G(z))),
                       *G.parameters().values(), *D.parameters().values(), name=name)
    assert report.passed, report


PLANTS = {
    "wrong sign": lambda s: -ops.bce_logits(s, 1.0),
    "twice as much": lambda s: 2.0 * ops.bce_logits(s, 1.0),
    "sigmoid(2x)": lambda s: ops.bce_logits(2.0 * s, 1.0),
    "label of data swapped": lambda s: ops.bce_logits(s, 0.0),
    "saturating under the other's name": objectives.minimax,
    "a sum for a mean": lambda s: ops.bce_logits(s, 1.0) * float(s.size),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_seen(plant):
    """The comparison that the formulas above go through rejects each of these as -E log D."""
    f = _logits(8)
    assert float(PLANTS[plant](_tensor(f))) != pytest.approx(FORMULAS["nonsaturating"][1](None, f), rel=1e-6)


# ---- the equilibrium ------------------------------------------------------------------------------------------------------------

CONSTANTS, REFERENCE = np.linspace(-3, 3, 601), load("reference")


def leaf(values):
    return Tensor(values, REFERENCE)


@pytest.mark.parametrize("smooth", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_levels_are_those_of_the_best_constant_d(name, smooth):
    """Where p_g = p_data the best D is a constant. The goal of every constant is computed, and the best ones are looked at."""
    game, at = OBJECTIVES[name], levels(name, smooth)
    if smooth and not game.ascends_v:
        return
    column = [leaf(np.full((3, 1), s)) for s in CONSTANTS]
    goals = np.array([float(goal_of_d(name, s, s, smooth)) for s in column])
    best = np.flatnonzero(goals >= goals.max() - 1e-9)
    exact = 5e-5 if smooth else 1e-12  # the optimal constant lies between two of those tried
    assert -goals.max() == pytest.approx(at["d_loss"].value, abs=exact)
    plain = [float(game.goal(column[i], column[i])) for i in best]
    assert plain == pytest.approx([at["v"].value] * len(best), abs=5e-3 if smooth else 1e-12)
    losses, outputs = ([made(column[i]) for i in best] for made in (
        lambda s: float(game.loss(s, s)), lambda s: float(game.d_of(s).numpy()[0, 0]),
    ))
    for reading, values in (("g_loss", losses), ("d", outputs)):
        if reading in at:
            assert values == pytest.approx([at[reading].value] * len(best), abs=5e-3 if smooth else 1e-12)
        else:
            assert np.ptp(values) > 1  # the game leaves it open


@pytest.mark.parametrize("name", OBJECTIVES)
def test_labels_of_levels_say_their_values(name):
    words = {"log 4": np.log(4), "log 2": np.log(2), "1/2": 0.5, "1/4": 0.25, "1/8": 0.125, "2": 2.0, "1": 1.0, "0": 0.0}
    for level in levels(name).values():
        sign, label = (-1, level.label[1:]) if level.label.startswith("-") else (1, level.label)
        assert level.value == pytest.approx(sign * words[label], rel=1e-15)


def test_labels_of_levels_without_a_sign_and_with_smoothed_labels(monkeypatch):
    """The goals are 0, one above it, and numbers that no fraction names."""
    at_0 = levels("wasserstein")
    assert (str(at_0["v"].value), at_0["v"].label) == (str(at_0["d_loss"].value), at_0["d_loss"].label) == ("0.0", "0")
    for value, label in ((0.5, "1/2"), (3.0, "3")):
        monkeypatch.setitem(OBJECTIVES, "above", replace(OBJECTIVES["hinge"], goal_at_rest=Level(value, label)))
        assert levels("above")["d_loss"] == (-value, f"-{label}") and levels("above")["v"] == (value, label)
    for level in levels("nonsaturating", 0.1).values():
        assert float(level.label) == pytest.approx(level.value, rel=5e-3)
    assert levels("nonsaturating", 0.1)["d"].label == "0.45"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_d_that_is_always_right_comes_near_the_bound_of_its_goal(name):
    game = OBJECTIVES[name]
    reached = [float(game.goal(leaf(np.full((2, 1), s)), leaf(np.full((2, 1), -s)))) for s in (0.5, 1.0, 2.0, 20.0)]
    if game.sure is None:
        assert reached == sorted(reached) and reached[-1] > 10
    elif name == "least-squares":  # its best D says 1 and 0
        assert float(game.goal(leaf(np.ones((2, 1))), leaf(np.zeros((2, 1))))) == game.sure
    else:
        assert max(reached) <= game.sure and reached[-1] == pytest.approx(game.sure, abs=1e-8)

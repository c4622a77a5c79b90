"""The table of claims: every claim holds here, and each of many planted mistakes makes some claim fail."""

import dataclasses
import json

import numpy as np
import pytest
from tinygan_kernels import load, reference

import tinygan.theory.dirac
import tinygan.theory.optimal_d
from tinygan.cli.main import run
from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives
from tinygan.game.moves import Game
from tinygan.measure.densities import grid, jsd, mixture_density, normal_density, optimal
from tinygan.theory.all import claims, judge
from tinygan.theory.claim import Claim, Measured, Verdict
from tinygan.theory.vector_field import jacobian, velocity

CPU = load("cpu")
BY_NAME = {claim.name: claim for claim in claims()}


LONG = ("collapse-cures", "k-steps")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in BY_NAME])
def test_claim(name):
    (verdict,) = judge([BY_NAME[name]], CPU)
    assert verdict.passed, [m for m in verdict.measured if not m.passed] or verdict.error


def test_every_subject_has_a_claim_with_a_source():
    assert sorted({c.number for c in BY_NAME.values()}) == list(range(1, 12))
    assert len(BY_NAME) == len(claims())
    assert all(c.source and c.because and c.statement for c in BY_NAME.values())


# ---- planted mistakes -----------------------------------------------------------------------------------------------------------


def _fails(names, backend=CPU):
    """Return the names of those claims that fail."""
    return {v.claim.name for v in judge([BY_NAME[name] for name in names], backend) if not v.passed}


def _with_kernel(name, wrong):
    return dataclasses.replace(CPU, implementations={**CPU.implementations, name: wrong}, watchers=[])


def _bce(change):
    """Return a bce_logits kernel whose loss and slope are changed before they are written."""

    def wrong(s, t, loss, ds):
        loss[...], ds[...] = change(s, t)

    return wrong


def _twice(s, t):
    loss, ds = reference.bce_logits(s, t)
    return 2 * loss, 2 * ds


def _of_2s(s, t):
    """sigmoid(2x): a consistent loss, of the wrong logits."""
    loss, ds = reference.bce_logits(2 * s, t)
    return loss, 2 * ds


def _slope_sign(s, t):
    loss, ds = reference.bce_logits(s, t)
    return loss, -ds


def _slope_permille(s, t):
    loss, ds = reference.bce_logits(s, t)
    return loss, 1.001 * ds


def _labels_swapped(s, t):
    return reference.bce_logits(s, 1 - t)


@pytest.mark.parametrize("change", [_twice, _of_2s, _slope_sign, _slope_permille, _labels_swapped])
def test_a_wrong_bce_kernel_is_caught(change):
    assert _fails(["value", "gradients", "zero-sum"], _with_kernel("bce_logits", _bce(change))) >= {"value", "gradients"}


def test_sigmoid_of_2x_is_caught():
    """log_sigmoid's slope and D's read-out both go through the sigmoid: a D trained with the wrong one is not D*."""
    def wrong(x, y):
        y[...] = 1 / (1 + np.exp(-2 * x))

    assert _fails(["optimal-d-1d"], _with_kernel("sigmoid", wrong)) == {"optimal-d-1d"}


def _swapped_signs(monkeypatch):
    monkeypatch.setattr(objectives, "minimax", lambda s: ops.bce_logits(s, 0.0))


def _saturating_in_disguise(monkeypatch):
    monkeypatch.setattr(objectives, "nonsaturating", lambda s: -ops.bce_logits(s, 0.0))


def _half_sum(monkeypatch):
    plain = objectives.value
    monkeypatch.setattr(objectives, "value", lambda r, f: 0.5 * plain(r, f))


def _minus_v(monkeypatch):
    plain = objectives.value
    monkeypatch.setattr(objectives, "value", lambda r, f: -plain(r, f))


def _total_with_saturating(monkeypatch):
    monkeypatch.setattr(objectives, "total_loss", lambda r, f: objectives.minimax(f) - objectives.value(r, f))


@pytest.mark.parametrize(("plant", "caught_by"), [
    (_swapped_signs, {"saturation", "directions", "total-loss", "zero-sum"}),
    (_saturating_in_disguise, {"saturation", "directions", "zero-sum"}),
    (_half_sum, {"value", "zero-sum", "eigenvalues"}),
    (_minus_v, {"value", "zero-sum", "eigenvalues"}),
    (_total_with_saturating, {"total-loss"}),
])
def test_a_wrong_objective_is_caught(plant, caught_by, monkeypatch):
    plant(monkeypatch)
    assert _fails(caught_by) == caught_by


def test_r1_without_its_half_is_caught(monkeypatch):
    from tinygan.game import penalties
    from tinygan.theory import dirac

    plain = penalties.squared_slope
    for module in (penalties, dirac):
        monkeypatch.setattr(module, "squared_slope", lambda s, x, weight: 2.0 * plain(s, x, weight))
    assert _fails(["dirac-r1", "eigenvalues"]) == {"dirac-r1", "eigenvalues"}


def test_updates_in_the_wrong_order_are_caught(monkeypatch):
    simultaneous, alternating = Game.simultaneous_step, Game.alternating_step
    monkeypatch.setattr(Game, "simultaneous_step", lambda game, x, z: alternating(game, lambda: x, lambda: z))
    monkeypatch.setattr(Game, "alternating_step", lambda game, batch, noise, k=1: simultaneous(game, batch(), noise()))
    assert _fails(["dirac-simultaneous", "dirac-alternating"]) == {"dirac-simultaneous", "dirac-alternating"}


def test_a_g_that_ascends_is_caught(monkeypatch):
    from tinygan.optim import SGD

    monkeypatch.setattr(SGD, "descend", SGD.ascend)
    assert "dirac-simultaneous" in _fails(["dirac-simultaneous"])


@pytest.mark.parametrize("wrong", [
    lambda p, q: q / (p + q + 1e-300),
    lambda p, q: p**2 / (p**2 + q**2 + 1e-300),  # sigmoid(2 x) in another dress
    lambda p, q: np.full(p.shape, 0.5),
])
def test_a_wrong_d_star_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(tinygan.theory.optimal_d, "optimal", wrong)
    monkeypatch.setattr(tinygan.theory.optimal_d, "trained", _d_star_itself)
    assert _fails(["optimal-d-1d"]) == {"optimal-d-1d"}


def _d_star_itself(fixed, backend):
    """Stands in for the training, which the claim above runs: here only the yardstick is on trial."""
    return -np.log(4) + 2 * fixed.jsd, optimal(fixed.p, fixed.q)


def test_a_missing_transpose_in_the_derivation_is_caught(monkeypatch):
    import tinygan.theory.value as subject

    plain = subject.gradients_by_hand

    def wrong(*args):
        of_g, of_d = plain(*args)
        return [of_g[0] * 1.001, *of_g[1:]], of_d

    monkeypatch.setattr(subject, "gradients_by_hand", wrong)
    assert _fails(["gradients"]) == {"gradients"}


# ---- margins and controls: an order that chance could give, an alarm that always goes off ---------------------------------------


def test_a_k_that_changes_nothing_is_caught(monkeypatch):
    """Distances that do not depend on k, and on the seed by a tenth: some order always comes out."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(tinygan.theory.optimal_d, "distance_along", lambda *_: 0.1 * np.exp(0.1 * rng.standard_normal()))
    assert _fails(["k-steps"]) == {"k-steps"}


def test_distances_follow_from_the_seed():
    from tinygan.theory.optimal_d import distance_along

    found = [distance_along(2, CPU, seed, steps=5) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_a_v_that_another_g_brings_down_is_caught(monkeypatch):
    plain = tinygan.theory.optimal_d.trained
    low = {"left": 4}  # the fourth G that is tried

    def trained(fixed, backend, iterations=500):
        low["left"] -= 1
        return (-np.log(4) - 1e-3, plain(fixed, backend, 1)[1]) if not low["left"] else plain(fixed, backend, iterations)

    monkeypatch.setattr(tinygan.theory.optimal_d, "trained", trained)
    (verdict,) = judge([BY_NAME["equilibrium"]], CPU)
    assert [m.what[:9] for m in verdict.measured if not m.passed] == ["p_g = N(1", "the least"]


@pytest.mark.parametrize(("collapses", "caught"), [
    ({"plain": True, "balanced": False}, False),
    ({"plain": True, "balanced": True}, True),
    ({"plain": False, "balanced": False}, True),
])
def test_the_balanced_control_judges_the_alarm(collapses, caught, monkeypatch):
    """An alarm that always goes off passes on the collapsed runs, and a G that never collapses passes as its control."""
    from tinygan.data.named import ring_centres
    from tinygan.measure.metrics import CollapseSigns, mixture_coverage
    from tinygan.theory import collapse

    real = mixture_coverage(ring_centres(), ring_centres(), 0.1)

    def play(setting, backend, seed):
        fallen = collapses["balanced" if setting == collapse.BALANCED else "plain"]
        modes, kl, missed = (3, 1.2, 0.6) if fallen else (8, 0.03, 0.05)
        coverage = dataclasses.replace(real, modes=modes, reverse_kl=kl)
        return collapse.Outcome(coverage, CollapseSigns(0.9, 0.8, missed, 1.0))

    monkeypatch.setattr(collapse, "play", play)
    assert bool(_fails(["collapse"])) == caught


# ---- verdicts -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", ["=", "<=", ">="])
def test_nan_confirms_nothing(relation):
    assert not Measured("", float("nan"), 0, 1, relation).passed
    assert not Measured("", 0, float("nan"), 1, relation).passed


def test_relations():
    assert Measured("", 1.05, 1, 0.1).passed and not Measured("", 1.2, 1, 0.1).passed and not Measured("", 0.8, 1, 0.1).passed
    assert Measured("", 1, 2, relation="<=").passed and not Measured("", 2.1, 2, relation="<=").passed
    assert Measured("", 2, 1, relation=">=").passed and not Measured("", 0.9, 1, relation=">=").passed


def test_nothing_measured_or_an_error_is_a_failure():
    claim = Claim("empty", 1, "s", "s", "s", lambda backend: [])
    assert not next(judge([claim], CPU)).passed

    def broken(backend):
        raise FloatingPointError("NaN in s")

    verdict = next(judge([dataclasses.replace(claim, measure=broken)], CPU))
    assert not verdict.passed and "NaN in s" in verdict.error
    assert not Verdict(claim, [Measured("", 0, 0), Measured("", 1, 0)], 0.0).passed


def test_command_line(capsys, monkeypatch):
    assert run(["theory", "--only", "zero"]) == 0
    assert "1 of 1 claims confirmed" in capsys.readouterr().out
    assert run(["theory", "--only", "zero-sum", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["passed"] and record["measured"][0]["what"] == "costs under V: -V + V"
    assert run(["theory", "--only", "nonsense"]) == 2
    assert "there are value, finite-logits" in capsys.readouterr().err
    monkeypatch.setattr(objectives, "minimax", lambda s: ops.bce_logits(s, 0.0))
    assert run(["theory", "--only", "zero"]) == 1
    assert "FAILED" in capsys.readouterr().out


# ---- what the claims stand on ---------------------------------------------------------------------------------------------------


def test_jsd_of_known_distributions():
    assert jsd([1, 0], [0, 1]) == pytest.approx(np.log(2), rel=1e-15)
    assert jsd([0.3, 0.7], [0.3, 0.7]) == 0
    expected = 0.5 * (0.5 * np.log(0.5 / 0.75)) + 0.5 * (0.5 * np.log(0.5 / 0.25)) + 0.5 * np.log(1 / 0.75)
    assert jsd([0.5, 0.5], [1, 0]) == pytest.approx(expected, rel=1e-14)
    for wrong in ([0.5, 0.4], [1.5, -0.5], [float("nan"), 1]):
        with pytest.raises(ValueError, match="no distribution"):
            jsd(wrong, [0.5, 0.5])


def test_optimal_d_is_half_where_nothing_is():
    np.testing.assert_array_equal(optimal(np.array([1.0, 0.0, 0.0, 3.0]), np.array([1.0, 0.0, 2.0, 1.0])), [0.5, 0.5, 0.0, 0.75])


def test_densities_sum_to_one():
    x = grid(-6, 6, 120, 2)
    cell = 0.1**2
    assert mixture_density(x, np.array([[1.0, 0.0], [-1.0, 2.0]]), 0.4).sum() * cell == pytest.approx(1, abs=1e-6)
    assert normal_density(x, np.array([0.5, 0.0]), np.array([[1.0, 0.5], [0.0, 0.7]])).sum() * cell == pytest.approx(1, abs=1e-6)


def test_normal_density_is_that_of_the_pushed_noise():
    """Covariance of z A is A^T A, and not A A^T: moments of the density against those of the samples that G would draw."""
    factor, mean = np.array([[1.0, 0.8], [0.0, 0.5]]), np.array([0.2, -0.1])
    x = grid(-8, 8, 160, 2)
    w = normal_density(x, mean, factor)
    w /= w.sum()
    np.testing.assert_allclose(w @ x, mean, atol=1e-6)
    np.testing.assert_allclose((x - mean).T @ ((x - mean) * w[:, None]), factor.T @ factor, atol=1e-5)


def test_jacobian_of_a_whole_game_against_differences():
    """Row i is the gradient of v_i: a transpose would pass on the symmetric part alone, so compare every element."""
    from tinygan.theory.value import two_layer_players

    rng = np.random.default_rng(0)
    G, D = two_layer_players(CPU, rng)
    x, z = (Tensor(rng.standard_normal((4, n)), CPU) for n in (2, 3))
    theta_d, theta_g = list(D.parameters().values())[:2], list(G.parameters().values())[2:]
    theta = [*theta_d, *theta_g]

    def v():
        value = objectives.value(D(x), D(G(z)))
        return velocity(value, objectives.nonsaturating(D(G(z))), theta_d, theta_g)

    found, column = jacobian(v(), theta), 0
    for t in theta:
        for index in np.ndindex(t.shape):
            here, h = t.array[index], 1e-5
            t.array[index] = here + h
            up = v().numpy().copy()
            t.array[index] = here - h
            down = v().numpy().copy()
            t.array[index] = here
            np.testing.assert_allclose(found[:, column], (up - down) / (2 * h), atol=1e-8)
            column += 1
    assert column == len(found)


def test_velocity_points_up_for_d_and_down_for_g():
    D, G = tinygan.theory.dirac.LineD(-1.0, CPU), tinygan.theory.dirac.PointG(1.0, CPU)
    zero = Tensor(np.zeros((1, 1)), CPU)
    s_fake = D(G(zero))
    goal, loss = objectives.value(D(zero), s_fake), objectives.minimax(s_fake)
    found = velocity(goal, loss, [D.psi], [G.theta]).numpy()
    p = 1 / (1 + np.exp(1.0))  # D(G(z)) at s = psi theta = -1
    np.testing.assert_allclose(found, [-p * 1.0, p * -1.0], rtol=1e-14)  # dV/dpsi = -p theta;  -dV/dtheta = p psi
    assert float(gradients(objectives.value(D(zero), D(G(zero))), [D.psi])[0]) == pytest.approx(-p)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("relation", ["=", "<=", ">="])
def test_numbers_of_every_type_are_json(kind, relation):
    """`tinygan theory --json` ended in a traceback, after all its work, where a claim had measured with NumPy's numbers."""
    found = Measured("x", kind(1.0), kind(1.0), kind(0.5), relation)
    verdict = Verdict(claims()[0], [found, Measured("y", kind("nan"), kind("-inf"))], 0.1)
    first, second = json.loads(json.dumps(verdict.to_json(), allow_nan=False))["measured"]
    assert first["passed"] is True and (first["value"], first["expected"], first["tolerance"]) == (1.0, 1.0, 0.5)
    assert second["passed"] is False and (second["value"], second["expected"]) == ("nan", "-inf")

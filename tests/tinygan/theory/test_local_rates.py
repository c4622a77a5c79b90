"""Rates near an equilibrium: maps against the game's own moves, and claims that fail under planted mistakes."""

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.engine.tensor import Tensor
from tinygan.game import penalties
from tinygan.game.moves import Game
from tinygan.game.remedies import Remedies
from tinygan.optim import SGD
from tinygan.theory import local_rates, mlp_game, update_maps
from tinygan.theory.all import claims, judge
from tinygan.theory.update_maps import Field, alternating, consensus, derivative, extragradient, leading_eigenvalues, simultaneous
from tinygan.theory.value import two_layer_players

CPU = load("cpu")
BY_NAME = {claim.name: claim for claim in claims()}


def failing(name):
    """Return what a claim measures and finds wrong."""
    (verdict,) = judge([BY_NAME[name]], CPU)
    return [m.what for m in verdict.measured if not m.passed] or ([verdict.error] if verdict.error else [])


# ---- maps are the game's moves --------------------------------------------------------------------------------------------------


def players(objective="nonsaturating", r1=0.7, r2=0.4, h=0.3):
    """Return a game of two layers each, its field, and its batches."""
    rng = np.random.default_rng(0)
    G, D = two_layer_players(CPU, rng)
    x, z = (Tensor(rng.standard_normal((5, n)), CPU) for n in (2, 3))
    game = Game(D, G, SGD(D.parameters(), h), SGD(G.parameters(), h), objective, r1, remedies=Remedies(r2=r2))
    return game, Field(D, G, x, z, objective, r1, r2), x, z


@pytest.mark.parametrize("objective", ["minimax", "relativistic"])
def test_maps_are_the_moves_of_the_game(objective):
    game, field, x, z = players(objective)
    expected = simultaneous(field, 0.3)(field.theta()).numpy()
    game.simultaneous_step(x, z)
    np.testing.assert_allclose(field.theta().numpy(), expected, rtol=1e-12, atol=1e-14)
    expected = alternating(field, 0.3, 2)(field.theta()).numpy()
    game.alternating_step(lambda: x, lambda: z, 2)
    np.testing.assert_allclose(field.theta().numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("way", [alternating, lambda v, h: consensus(v, h, 0.5)], ids=["alternating", "consensus"])
def test_derivatives_of_maps_against_differences(way):
    """With R2, whose points move with G: a penalty at held points would miss a part of the matrix."""
    _, field, _, _ = players()
    step, theta = way(field, 0.3), field.theta()
    direction = np.random.default_rng(1).standard_normal(theta.size)
    ahead, behind = (step(Tensor(theta.numpy() + t * direction, CPU)).numpy() for t in (1e-5, -1e-5))
    np.testing.assert_allclose(derivative(step, theta) @ direction, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7)


def test_consensus_and_extragradient_by_hand_on_a_linear_field():
    """v = A theta: extragradient is I + h A + h^2 A^2, consensus I + h (A - w A^T A)."""
    A = np.array([[0.1, -1.0], [0.7, -0.3]])
    v = lambda theta: (theta.reshape(1, 2) @ Tensor(A.T, CPU)).reshape(2)  # noqa: E731
    theta = Tensor(np.array([1.0, -2.0]), CPU)
    np.testing.assert_allclose(derivative(extragradient(v, 0.3), theta), np.eye(2) + 0.3 * A + 0.09 * A @ A, atol=1e-15)
    np.testing.assert_allclose(derivative(consensus(v, 0.3, 2.0), theta), np.eye(2) + 0.3 * (A - 2 * A.T @ A), atol=1e-15)


def test_arnoldi_finds_the_leading_eigenvalues_and_leaves_held_directions_out():
    game = mlp_game.mlp_game(CPU, 0.1)
    step, theta = simultaneous(game.field, 0.5), game.field.theta()
    kept = game.free.astype(bool)
    whole = np.linalg.eigvals(derivative(step, theta))
    assert np.sum(np.abs(whole - 1) < 1e-12) >= 12  # the hidden weights of D
    expected = np.abs(np.linalg.eigvals(derivative(step, theta)[np.ix_(kept, kept)]))
    np.testing.assert_allclose(np.abs(leading_eigenvalues(step, theta, game.free)), np.sort(expected)[::-1][:4], rtol=1e-8)


# ---- planted mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r1-critical-step", "r3gan"])
def test_r1_without_its_half_is_caught(name, monkeypatch):
    plain = penalties.squared_slope
    for module in (penalties, update_maps):
        monkeypatch.setattr(module, "squared_slope", lambda s, x, weight: 2.0 * plain(s, x, weight))
    assert failing(name)


def test_simultaneous_steps_in_the_place_of_alternating_ones_are_caught(monkeypatch):
    """Simultaneous steps have no root where alternating ones have theirs. Which player is first does not change the eigenvalues."""
    monkeypatch.setattr(local_rates, "alternating", simultaneous)
    assert failing("r1-critical-step")


def test_an_extragradient_without_its_look_ahead_is_caught(monkeypatch):
    monkeypatch.setattr(local_rates, "extragradient", simultaneous)
    found = failing("solvers")
    assert len(found) == 4 and all("extragradient" in what for what in found)


def test_a_consensus_of_the_wrong_sign_is_caught(monkeypatch):
    monkeypatch.setattr(local_rates, "consensus", lambda v, h, weight: consensus(v, h, -weight))
    assert len(failing("solvers")) == 3


def test_r2_that_is_left_out_is_caught(monkeypatch):
    monkeypatch.setattr(Remedies, "penalties", lambda self, draws: iter(()))
    assert any("played against" in what for what in failing("r3gan"))


@pytest.mark.parametrize("name", ["mlp-rate", "mlp-critical-step"])
def test_a_play_with_another_step_is_caught(name, monkeypatch):
    """Five percent more of the step size in play than in the matrix."""
    plain = mlp_game.SGD
    monkeypatch.setattr(mlp_game, "SGD", lambda parameters, h: plain(parameters, 1.05 * h))
    assert failing(name)

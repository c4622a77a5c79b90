"""Claims past first order: each fails under a planted mistake, and the Dirac-GAN refuses turns that do not exist."""

import dataclasses

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.game import moves, objectives
from tinygan.game.moves import Game
from tinygan.theory import dirac, long_run, value
from tinygan.theory.all import claims, judge
from tinygan.theory.dirac import dirac_path, recursion

CPU = load("cpu")
BY_NAME = {claim.name: claim for claim in claims()}


@pytest.fixture(autouse=True)
def no_cached_runs():
    """Forget the long runs, before and after: those made under a planted mistake are wrong."""
    long_run.long_radii.cache_clear()
    yield
    long_run.long_radii.cache_clear()


def failing(name):
    """Return what a claim measures and finds wrong."""
    (verdict,) = judge([BY_NAME[name]], CPU)
    return [m.what for m in verdict.measured if not m.passed] or ([verdict.error] if verdict.error else [])


def shorter(monkeypatch):
    """Let the claims that do not look at the long runs skip most of them."""
    monkeypatch.setattr(long_run, "long_radii", lambda *_, **__: np.ones(1_000_001))
    monkeypatch.setattr(long_run, "_gain", lambda _: 1.0)


def test_k_that_is_ignored_is_caught(monkeypatch):
    plain = Game.alternating_step
    monkeypatch.setattr(Game, "alternating_step", lambda game, batch, noise, k=1: plain(game, batch, noise))
    shorter(monkeypatch)
    assert any("against the recursion" in what for what in failing("dirac-drift"))


def test_a_first_player_that_is_ignored_is_caught(monkeypatch):
    monkeypatch.setattr(long_run, "dirac_path", lambda *a, **named: dirac_path(*a, **{**named, "first": "D"}))
    shorter(monkeypatch)
    assert any("against the recursion" in what for what in failing("dirac-drift"))


def test_a_saturating_loss_in_disguise_is_caught(monkeypatch):
    table = objectives.OBJECTIVES
    disguised = dataclasses.replace(table["nonsaturating"], loss=table["minimax"].loss)
    monkeypatch.setitem(table, "nonsaturating", disguised)
    assert moves.OBJECTIVES is table
    shorter(monkeypatch)
    assert any("against the recursion" in what for what in failing("dirac-nonsaturating"))


@pytest.mark.parametrize("name", ["dirac-drift", "dirac-nonsaturating", "dirac-circle"])
def test_a_recursion_of_a_larger_step_is_caught(name, monkeypatch):
    """A step that is five percent too large moves every radius: the laws hold the size of the step."""
    monkeypatch.setattr(long_run, "recursion", lambda *a, **named: recursion(*a, **{**named, "h": 1.05 * named.get("h", 0.2)}))
    monkeypatch.setattr(long_run, "_engine_against_recursion", lambda *_: long_run.Measured("left out", 0, 0))
    assert failing(name)


def test_a_recursion_of_the_other_game_is_caught(monkeypatch):
    other = {"minimax": "nonsaturating", "nonsaturating": "minimax"}
    monkeypatch.setattr(long_run, "recursion",
                        lambda alternating, objective="minimax", **named: recursion(alternating, other[objective], **named))
    monkeypatch.setattr(long_run, "_engine_against_recursion", lambda *_: long_run.Measured("left out", 0, 0))
    assert "radius after 200,000 steps" in failing("dirac-nonsaturating")


def test_steps_that_are_not_area_preserving_are_caught(monkeypatch):
    from tinygan.theory.update_maps import simultaneous

    monkeypatch.setattr(long_run, "alternating", lambda v, h, k: simultaneous(v, h))
    shorter(monkeypatch)
    assert sum("to first order" in what for what in failing("dirac-drift")) == 2


@pytest.mark.parametrize("way", [
    lambda s: -np.logaddexp(0, -s),  # what does not overflow at all
    lambda s: np.log(np.clip(1 / (1 + np.exp(-s)), 1e-300, None)),
])
def test_a_way_that_stays_finite_is_caught(way, monkeypatch):
    plain = value._first_infinite
    monkeypatch.setattr(value, "_first_infinite", lambda _, sign, dtype: plain(way, sign, dtype))
    with pytest.raises(IndexError):
        BY_NAME["finite-logits"].measure(CPU)


def test_v_that_overflows_is_caught(monkeypatch):
    from tinygan.engine import ops

    def two_steps(s_real, s_fake):
        return ops.mean(ops.log(ops.sigmoid(s_real))) + ops.mean(ops.log(1.0 - ops.sigmoid(s_fake)))

    monkeypatch.setattr(objectives, "value", two_steps)
    with np.errstate(all="ignore"):
        assert failing("finite-logits")


@pytest.mark.parametrize("play", [lambda **named: dirac_path(CPU, **named), recursion], ids=["engine", "recursion"])
def test_turns_that_do_not_exist_are_refused(play):
    with pytest.raises(ValueError, match="first is 'g', it has to be 'D' or 'G'"):
        play(alternating=True, first="g", steps=1)
    with pytest.raises(ValueError, match="k is 0; D has to take at least one step"):
        play(alternating=True, k=0, steps=1)
    for turns in ({"k": 2}, {"first": "G"}):
        with pytest.raises(ValueError, match="simultaneous players move once each"):
            play(alternating=False, steps=1, **turns)
    with pytest.raises(ValueError, match="objective"):
        play(alternating=True, objective="wasserstien", steps=1)


def test_g_first_is_g_then_d():
    """By hand from (1, -1): u = -1; theta moves by h sigma(-1) psi, then psi by -h sigma(u') theta'."""
    sigma = lambda s: 1 / (1 + np.exp(-s))  # noqa: E731
    theta = 1 - 0.2 * sigma(-1.0)
    psi = -1 - 0.2 * sigma(-theta) * theta
    np.testing.assert_allclose(dirac_path(CPU, True, steps=1, first="G")[1], [theta, psi], rtol=1e-14)
    twice = psi - 0.2 * sigma(psi * theta) * theta
    np.testing.assert_allclose(recursion(True, steps=1, first="G", k=2)[1], [theta, twice], rtol=1e-14)
    assert dirac.radii(np.array([[3.0, 4.0]])) == [5.0]

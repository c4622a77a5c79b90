"""What a run does where nothing is said, and how its rates and its noise fall: the numbers that pages and help texts state."""

from dataclasses import asdict

import numpy as np
import pytest
from tiny_runs import start

from tinygan.game.penalties import R1, R2
from tinygan.options import OptionError
from tinygan.training.config import Config

# Whoever changes one of these changes what `tinygan train` does, and with it the results that were measured with it.
DEFAULTS = {
    "steps": 10_000, "batch": 128, "seed": 0, "backend": "cpu", "emulate": False, "save_every": 500, "snapshots": 0,
    "objective": "nonsaturating", "k": 1, "update": "alternating", "r1": 0.3, "ema": 0.999,
    "r2": 0.0, "gp": 0.0, "smooth": 0.0, "noise": 0.0, "pack": 1, "unroll": 0, "unroll_rate": 0.1,
    "lr_d": 5e-4, "lr_g": 5e-4, "beta1": 0.0, "beta2": 0.99, "decay": 0.0, "decay_power": 1.0, "penalty_fall": 1.0,
    "fourier": 0, "frequency": 60.0, "signs": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_that_are_stated(name):
    assert asdict(Config(data="ring"))[name] == DEFAULTS[name]


def test_packs_divide_a_batch():
    assert Config(data="ring", batch=6, pack=3).pack == 3
    for pack in (4, 5, 7, 12):
        with pytest.raises(OptionError, match=f"batch is 6, (--)?pack {pack} has to divide it"):
            Config(data="ring", batch=6, pack=pack)


def test_instance_noise_falls_from_its_start_to_nothing(tmp_path):
    """At step i of n it is (1 - i / n) of what was asked for, with a game that starts at all of it."""
    run, seen = start(tmp_path, noise=0.4, steps=8), []
    assert run.game.noise == 0.4
    play = run.make_step

    def make_step():
        logits = play()
        seen.append(run.game.noise)
        return logits

    run.train(make_step=make_step)
    np.testing.assert_allclose(seen, 0.4 * (1 - np.arange(8) / 8), rtol=1e-15)


@pytest.mark.parametrize("power", [1.0, 2.5])
def test_each_player_has_its_own_falling_rate(tmp_path, power):
    """Both rates are those of the step at hand, from the first to the last: all of it until the fall begins."""
    run, seen = start(tmp_path, lr_d=0.04, lr_g=0.01, decay=0.5, decay_power=power, steps=8), []
    play = run.make_step

    def make_step():
        logits = play()
        seen.append((run.game.optim_d.rate, run.game.optim_g.rate))
        return logits

    run.train(make_step=make_step)
    share = np.minimum(1, (1 - np.arange(8) / 8) / 0.5) ** power
    np.testing.assert_allclose(seen, share[:, None] * [0.04, 0.01], rtol=1e-6)


def test_a_run_plays_with_the_remedies_that_are_asked_for(tmp_path):
    run = start(tmp_path, r1=0.2, r2=0.3, gp=0.5, smooth=0.1)
    assert [(type(p).__name__, p.weight) for p in run.game.all_penalties()] == [
        ("R1", 0.2), ("R2", 0.3), ("WassersteinPenalty", 0.5)]  # fmt: skip
    assert (run.game.remedies.smooth, run.game.objective, run.game.ema) == (0.1, "nonsaturating", 0.9)
    assert run.game.all_penalties()[:2] == [R1(0.2), R2(0.3)]

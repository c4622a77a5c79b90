"""Runs that older code began go on, and options that were added since are neutral in them.

tests/support/run_of_0_1_0/ holds step 7 of 12 of the run below, saved by the code of commit 10f0943 (tinygan 0.1.0).
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import backend, dataset, refusal

from tinygan.options import NOTHING, options_of
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.config import Config, read_config
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

OLDER = Path(__file__).parents[2] / "support" / "run_of_0_1_0"
BEGUN = {
    "steps": 12, "batch": 6, "hidden": (7, 5), "z": 3, "width": 2, "save_every": 5, "backend": "reference", "ema": 0.9, "seed": 3,
    "hidden_d": (6,), "r1": 0.1, "r2": 0.1, "gp": 1.0, "smooth": 0.1, "noise": 0.2, "pack": 2, "unroll": 1, "dropout": 0.2,
    "maxout": 2, "batch_norm": True, "k": 2,
}


@pytest.fixture
def older(tmp_path):
    return Path(shutil.copytree(OLDER, tmp_path / "older"))


# Batch normalisation takes out the bias before it, so the gradient of that bias is 0 but for rounding. Adam makes whole steps of
# it: another NumPy or BLAS moves such a bias elsewhere, and with it the running mean behind it. Nothing else depends on it.
UNDECIDED = {f"{net}.{name}" for net in ("G", "average") for name in ("0.b", "1.mean", "2.b", "3.mean")}


def test_an_older_run_goes_on_to_where_it_would_have_come(older, tmp_path):
    """The generators end in the same states, the weights within rounding (another machine's BLAS may round otherwise)."""
    whole = Run(Config(data="ring", **BEGUN), dataset("ring"), backend("reference"), tmp_path / "whole")
    whole.train()
    resumed = Run.resume(dataset("ring"), backend("reference"), older, {})
    assert resumed.step == 7 and resumed.config == whole.config
    resumed.train()
    assert {n: g.bit_generator.state for n, g in resumed.rngs.items()} == {n: g.bit_generator.state for n, g in whole.rngs.items()}
    assert set(whole.live_arrays()) > UNDECIDED
    for name, array in whole.live_arrays().items():
        if name in UNDECIDED:
            continue
        np.testing.assert_allclose(resumed.live_arrays()[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_samples_of_an_older_run(older):
    assert load_generator(older, backend("reference")).encoded(5, np.random.default_rng(0)).shape == (5, 2)


def test_every_option_since_is_neutral_in_an_older_run():
    """An option that was added without a neutral value would make every checkpoint unreadable: it fails here, by name."""
    recorded = checkpoint.load(OLDER / CHECKPOINT)[1]["config"]
    known = options_of(Config)
    for name in set(known) - set(recorded):
        assert known[name].neutral is not NOTHING, f"{name}: give it neutral=... in {known[name].owner.__name__}"
    config = read_config(OLDER)
    for name, declared in known.items():
        assert getattr(config, name) == (declared.from_json(recorded[name]) if name in recorded else declared.neutral)


def rewrite(out, without=(), **options):
    """Change the configuration in a checkpoint."""
    arrays, state = checkpoint.load(out / CHECKPOINT)
    state["config"] = {name: value for name, value in {**state["config"], **options}.items() if name not in without}
    checkpoint.save(out / CHECKPOINT, arrays, state)


def test_a_run_from_before_an_option_gets_its_neutral_value(older):
    rewrite(older, without=("gp", "noise"))
    config = Run.resume(dataset("ring"), backend("reference"), older, {}).config
    assert (config.gp, config.noise, config.r2) == (0.0, 0.0, 0.1)


def test_a_run_of_newer_code_is_refused_by_name(older):
    rewrite(older, warmup=5)
    assert "the option 'warmup'" in refusal(Run.resume, dataset("ring"), backend("reference"), older, {})
    assert "the option 'warmup'" in refusal(load_generator, older, backend("reference"))
    rewrite(older, without=("warmup", "k"))
    assert "lacks the option 'k'" in refusal(read_config, older)

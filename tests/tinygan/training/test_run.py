"""Runs from their first step to their samples: every option does what its name says, and earlier runs are kept."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import assert_same_runs, backend, dataset, everything, refusal, start
from tinygan_kernels import normals

from tinygan.engine.tensor import wrap
from tinygan.options import OptionError
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.config import Config, defaults, with_defaults
from tinygan.training.folder import METRICS, set_aside
from tinygan.training.folder_lock import FolderLock
from tinygan.training.samples import load_generator

# ---- what the options do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("r1", [0.0, 0.5])
def test_readings(tmp_path, r1):
    """D's loss is -V, to the bit, and more than that where a penalty is part of it."""
    readings = []
    start(tmp_path, steps=34, r1=r1).train(on_reading=readings.append)
    assert [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()] == readings
    assert [r["step"] for r in readings] == [10, 20, 30, 34]
    for r in readings:
        assert set(r) == {"step", "v", "d_real", "d_fake", "d_loss", "g_loss"}
        assert (r["d_loss"] > -r["v"] if r1 else r["d_loss"] == -r["v"]) and -r["v"] > 0
        assert 0 < r["d_real"] < 1 and 0 < r["d_fake"] < 1


def moved(tmp_path, **options):
    """Train a run; return it and its metrics. Every array of both players has to have moved."""
    run = start(tmp_path, **options)
    before = {name: array.copy() for name, array in run.saved_arrays().items()}
    run.train()
    after = run.saved_arrays()
    for name in (n for n in after if n.startswith(("D.", "G."))):
        assert (after[name] != before[name]).any(), f"{name} has not moved"
    return run, [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
@pytest.mark.parametrize(("update", "k"), [("alternating", 1), ("alternating", 3), ("simultaneous", 1)])
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_steps_of_both_players(tmp_path, arch, update, k, objective):
    """An alternating step takes k batches and k + 1 draws of noise, a simultaneous one takes one of each; each player moves as
    often as it should.
    """
    run, metrics = moved(tmp_path, arch=arch, update=update, k=k, objective=objective)
    c = run.config
    sampler, arrays = run.sampler.state(), run.saved_arrays()
    assert (sampler["epoch"] - 1) * 20 + sampler["position"] == c.steps * k * c.batch
    assert (arrays["D.adam.t"], arrays["G.adam.t"]) == (k * c.steps, c.steps)
    noise = np.random.default_rng(np.random.SeedSequence(c.seed).spawn(3)[2])
    draws = normals(np.empty((1 if update == "simultaneous" else k + 1, c.batch, c.z), np.float32))
    for _ in range(c.steps):
        draws(noise)
    assert run.rngs["noise"].bit_generator.state == noise.bit_generator.state
    assert all((r["g_loss"] < 0) == (objective == "minimax") for r in metrics)


@pytest.mark.parametrize("option", [{"objective": "minimax"}, {"r1": 0.0}, {"k": 2}, {"update": "simultaneous"}, {"lr_d": 1e-3},
                                    {"lr_g": 1e-3}, {"beta1": 0.5}, {"beta2": 0.9}, {"decay": 1.0}, {"seed": 1}, {"batch": 7}],
                         ids=lambda o: next(iter(o)))
def test_every_option_changes_the_run(tmp_path, option):
    start(tmp_path / "a").train()
    start(tmp_path / "b", **option).train()
    a, b = (everything(tmp_path / name)[0] for name in "ab")
    assert a["G.2.w"] != b["G.2.w"] and a["D.1.w"] != b["D.1.w"]


def test_ema_changes_the_average_alone(tmp_path):
    start(tmp_path / "a", ema=0.5).train()
    start(tmp_path / "b", ema=0.9).train()
    start(tmp_path / "none", ema=0.0).train()
    a, b, none = (everything(tmp_path / name)[0] for name in ("a", "b", "none"))
    assert {name for name in a if a[name] != b[name]} == {name for name in a if name.startswith("average.")} != set()
    assert none == {name: array for name, array in a.items() if not name.startswith("average.")}


def test_same_seed_same_run(tmp_path):
    for name in "ab":
        start(tmp_path / name, seed=5, backend="cpu").train()
    assert_same_runs(tmp_path / "a", tmp_path / "b")


def test_rates_fall_linearly_over_the_last_share():
    c = Config(data="ring", steps=100, decay=0.5)
    assert [c.rate(2.0, step) for step in (0, 49, 50)] == [2.0, 2.0, 2.0]
    np.testing.assert_allclose([c.rate(2.0, step) for step in (51, 75, 99)], [1.96, 1.0, 0.04])
    assert [replace(c, decay=0.0).rate(2.0, step) for step in (0, 99)] == [2.0, 2.0]


@given(st.integers(1, 500), st.floats(0, 1))
def test_rates_stay_positive_and_never_rise(steps, decay):
    c = Config(data="ring", steps=steps, decay=decay)
    rates = [c.rate(1.0, step) for step in range(steps)]
    assert rates[0] == 1.0 and rates[-1] > 0 and all(b <= a for a, b in pairwise(rates))


def test_the_optimisers_get_the_falling_rates(tmp_path):
    run = start(tmp_path, decay=1.0, lr_d=3e-4, lr_g=7e-4, steps=4)
    run.train()
    np.testing.assert_allclose((run.game.optim_d.rate, run.game.optim_g.rate), (3e-4 / 4, 7e-4 / 4), rtol=1e-6)


WRONG = [{"steps": -1}, {"batch": 0}, {"k": 0}, {"z": 0}, {"seed": -1}, {"save_every": 0}, {"lr_d": 0.0}, {"lr_d": -1.0},
         {"lr_g": float("nan")}, {"lr_g": float("inf")}, {"ema": 1.0}, {"ema": -0.1}, {"ema": float("nan")}, {"beta1": 1.0},
         {"beta2": -1.0}, {"r1": -0.1}, {"r1": float("nan")}, {"r1": float("inf")}, {"decay": -0.1}, {"decay": 1.1},
         {"decay": float("nan")}, {"objective": "wgan"}, {"update": "both"}, {"k": 2, "update": "simultaneous"}, {"arch": "vit"}]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_options_out_of_range(tmp_path, options):
    message = refusal(start, tmp_path / "run", error=OptionError, **options)
    option = next(iter(options))
    assert option in message.split() or option == "arch"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"steps": 0}, {"ema": 0.0}, {"r1": 0.0}, {"decay": 1.0}, {"batch": 1}, {"z": 1},
                                     {"batch": 99}], ids=str)
def test_options_at_the_edge_of_their_range(tmp_path, options):
    assert start(tmp_path, **options).train()
    assert load_generator(tmp_path, backend("reference")).encoded(2, np.random.default_rng(0)).shape == (2, 12, 12, 1)


@pytest.mark.parametrize("data", ["ring", "digits", "pictures"])
def test_defaults_make_a_configuration(data):
    for arch in (None, "mlp", "dcgan"):
        Config(data=data, **defaults(dataset(data), arch))
    assert defaults(dataset(data), "dcgan")["beta1"] == 0.5


def test_a_folder_that_is_called_as_a_mixture_gets_the_defaults_of_pictures():
    pictures = defaults(dataset("pictures"), None)
    assert defaults(replace(dataset("pictures"), name="grid"), None) == pictures
    assert defaults(dataset("grid"), None) != pictures != defaults(dataset("digits"), None)


def test_widths_given_for_g_hold_for_d_too():
    """The grid's D differs from its G by default; --hidden alone means both, --hidden-d still comes on top."""
    grid = dataset("grid")
    assert with_defaults(grid, {})["hidden_d"] == (128, 128, 128)
    assert "hidden_d" not in with_defaults(grid, {"hidden": (8, 8)})
    assert with_defaults(grid, {"hidden": (8,), "hidden_d": (9,)})["hidden_d"] == (9,)


# ---- earlier runs ----------------------------------------------------------------------------------------------------


def test_earlier_runs_are_kept(tmp_path):
    out, runs = tmp_path / "a.b", []
    for seed in range(3):
        with FolderLock(out) as lock:
            kept = set_aside(lock)
        assert kept == (tmp_path / f"a.b.{seed}" if seed else None)
        start(out, seed=seed).train()
        runs.append(everything(out))
    assert [everything(tmp_path / name) for name in ("a.b.1", "a.b.2", "a.b")] == runs


def test_a_folder_without_a_run_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with FolderLock(tmp_path) as lock:
        assert set_aside(lock) is None and (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("place", [".", "..", "../run", "../../top"])
def test_the_working_folder_is_not_moved(tmp_path, monkeypatch, place):
    here = tmp_path / "top" / "run"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    start((here / place).resolve()).train()
    before = everything(here / place)
    with FolderLock(Path(place)) as lock:
        assert "where you are" in refusal(set_aside, lock)
    assert everything(here / place) == before


# ---- samples ---------------------------------------------------------------------------------------------------------


def sample(out, n=5, seed=0):
    return load_generator(out, backend("reference")).encoded(n, np.random.default_rng(seed))


def rewrite(out, change):
    arrays, state = checkpoint.load(out / CHECKPOINT)
    checkpoint.save(out / CHECKPOINT, {name: new for name, a in arrays.items() if (new := change(name, a)) is not None}, state)


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
@pytest.mark.parametrize(("ema", "source"), [(0.9, "average."), (0.0, "G.")])
def test_samples_need_one_generator_alone(tmp_path, arch, ema, source):
    """A run is sampled without its data, D and optimisers; and with a moving average, even without G itself."""
    start(tmp_path, arch=arch, ema=ema).train()
    wanted = sample(tmp_path)
    assert wanted.shape == (5, 12, 12, 1) and wanted.dtype == np.float32 and np.abs(wanted).max() <= 1
    rewrite(tmp_path, lambda name, a: a if name.startswith(source) else None)
    np.testing.assert_array_equal(sample(tmp_path), wanted)
    rewrite(tmp_path, lambda name, a: a * 1.5 + 0.25)
    assert (sample(tmp_path) != wanted).any()
    rewrite(tmp_path, lambda name, a: None if name.endswith("0.w") else a)
    assert f"{source}0.w" in refusal(sample, tmp_path)


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
def test_samples_by_seed_and_one_by_one(tmp_path, arch):
    """A seed gives the same samples, however many are drawn with them, and whichever part of 256 they are made in."""
    start(tmp_path, arch=arch).train()
    many = sample(tmp_path, 600)
    assert many.shape == (600, 12, 12, 1)
    np.testing.assert_array_equal(sample(tmp_path, 600), many)
    # a G this small has a few z that leave none of its ReLUs on: those give the same sample, whatever the seed
    assert (sample(tmp_path, 600, seed=1) != many).any(axis=(1, 2, 3)).mean() > 0.95
    for n in (1, 7, 257):
        np.testing.assert_allclose(sample(tmp_path, n), many[:n], atol=1e-5)


def test_the_average_is_what_the_game_has_averaged(tmp_path):
    run = start(tmp_path, ema=0.9)
    run.train()
    z = np.random.default_rng(0).standard_normal((5, run.config.z), np.float32)
    last, average = (G(wrap(z, run.backend)).numpy() for G in (run.game.G, run.game.average))
    np.testing.assert_allclose(sample(tmp_path), average, atol=1e-6)
    assert np.abs(last - average).max() > 1e-3

"""Presets are valid and do what they say; options are refused in one line; a run with every remedy resumes bit for bit."""

import json
from dataclasses import asdict, replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from quick_endings import end_quickly
from tinygan_kernels import load

from benchmarks.quality import presets
from benchmarks.quality.presets import TABLES, measure, run_row, summary
from tinygan.cli.main import run
from tinygan.data.datasets import load as load_data
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.gan_layers import FourierFeatures, Maxout, Signs, SpectralNorm
from tinygan.options import OptionError
from tinygan.training.config import Config, defaults
from tinygan.training.moment import Moment
from tinygan.training.presets import PRESETS, PresetError, options_of_preset
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

CPU = load("cpu")
EVERYTHING = {
    "steps": 20, "batch": 12, "z": 3, "hidden": (8, 8), "hidden_d": (6,), "r1": 0.1, "r2": 0.1, "gp": 1.0, "smooth": 0.1,
    "noise": 0.2, "pack": 2, "unroll": 1, "dropout": 0.2, "maxout": 2, "batch_norm": True, "k": 2, "ema": 0.9,
    "fourier": 5, "frequency": 9.0, "signs": 2, "penalty_fall": 30.0,
}


@pytest.mark.parametrize(("data", "name"), [*product(("ring", "digits"), PRESETS), ("grid", "density")])
def test_every_preset_makes_a_run(name, data, tmp_path):
    preset, dataset = PRESETS[name], load_data(data)
    if preset.data and data not in preset.data:
        with pytest.raises(PresetError, match=f"is for {preset.data[0]}"):
            options_of_preset(name, data)
        return
    config = Config(data=data, **{**defaults(dataset, None), **options_of_preset(name, data)})
    wanted = {**preset.options, **preset.by_data.get(data, {})}
    assert {key: getattr(config, key) for key in wanted} == wanted  # nothing is lost on the way
    assert Config.from_json(json.loads(json.dumps(asdict(config)))) == config
    job = Run(config, dataset, CPU, tmp_path)
    assert (job.game.r1 == 0) == (config.r1 == 0) and job.game.remedies.pack == config.pack


# What each preset of a single remedy changes, and the numbers of its paper; R1 is off in all of them.
REMEDIES = {
    "vanilla": {"ema": 0.0}, "minimax": {"objective": "minimax"}, "r2": {"r2": 0.1}, "noise": {"noise": 0.1},
    "smooth": {"smooth": 0.1},
    "wgan-gp": {"objective": "wasserstein", "gp": 10.0, "k": 5}, "sngan": {"objective": "hinge", "spectral": True},
    "lsgan": {"objective": "least-squares"}, "pack": {"pack": 2}, "unroll": {"unroll": 3, "unroll_rate": 0.01},
    "ttur": {"lr_d": 2e-3, "lr_g": 5e-4},
}  # fmt: skip


@pytest.mark.parametrize("name", REMEDIES)
def test_a_preset_of_a_remedy_changes_that_alone(name):
    assert PRESETS[name].options == {"r1": 0.0, **REMEDIES[name]} and PRESETS[name].data == ()


def test_presets_of_pacgan_differ_in_their_packs():
    """100 packs a batch, whatever a pack holds. Lin et al. 2018, appendix B."""
    assert set(PRESETS) == {"best", "density", *REMEDIES, "pacgan-gan", "pacgan2", "pacgan4"} and PRESETS["best"].options == {}
    alone = PRESETS["pacgan-gan"].options
    assert (alone["batch"], alone["r1"], alone["ema"], alone["update"]) == (100, 0.0, 0.0, "simultaneous")
    assert (alone["lr_d"], alone["lr_g"], alone["beta1"], alone["beta2"]) == (1e-4, 1e-4, 0.8, 0.999)
    for pack in (2, 4):
        assert PRESETS[f"pacgan{pack}"].options == {**alone, "pack": pack, "batch": 100 * pack}
        assert PRESETS[f"pacgan{pack}"].by_data == PRESETS["pacgan-gan"].by_data


def test_pacgan_sees_the_grid_in_its_own_units(tmp_path, monkeypatch, capsys):
    """As its published code does; --scale on top of the preset counts, and the run remembers what it had."""
    (row,) = (row for row in TABLES["pacgan"] if row.name == "grid pacgan4")
    assert row.dataset().codec.std == (1.0, 1.0) and presets.options_of(row, None)["scale"] == 1.0
    monkeypatch.chdir(tmp_path)
    end_quickly(monkeypatch)
    small = ["--steps", "2", "--hidden", "8", "--hidden-d", "8", "--batch", "4"]
    for more, scale in (([], 1.0), (["--scale", "2"], 2.0)):
        assert run(["train", "grid", "--preset", "pacgan-gan", *small, *more]) == 0
        assert json.loads((tmp_path / "runs/grid/config.json").read_text())["scale"] == scale
        assert load_generator("runs/grid", CPU).codec.std == (scale, scale)
    assert run(["train", "grid", "--resume", "--steps", "3", "--scale", "1"]) == 2
    assert "--scale is 1.0, but the run in runs/grid has 2.0" in capsys.readouterr().err
    assert run(["train", "grid", "--resume", "--steps", "3"]) == 0 and load_generator("runs/grid", CPU).codec.std == (2.0, 2.0)


def test_presets_build_the_networks_of_their_papers():
    dataset = load_data("ring")
    job = Run(Config(data="ring", **{**defaults(dataset, None), **options_of_preset("pacgan2", "ring")}), dataset, CPU, ".")
    widths = [t.shape for name, t in job.game.D.parameters().items() if name.endswith("w")]
    assert widths == [(4, 1000), (200, 1000), (200, 1000), (200, 1)]  # three maxout layers of 200 units with 5 pieces, packs of 2
    assert sum(isinstance(layer, Maxout) for layer in job.game.D) == 3
    assert [t.shape for name, t in job.game.G.parameters().items() if name.endswith("w")] == [
        (2, 400), (400, 400), (400, 400), (400, 400), (400, 2)]
    assert sum(name.endswith("gamma") for name in job.game.G.parameters()) == 4
    for network in (job.game.G, job.game.D):  # all weights N(0, 0.02^2)
        for name, t in network.parameters().items():
            assert not name.endswith("w") or 0.9 * 0.02 < t.numpy().std() < 1.1 * 0.02 or t.size < 1000, name
    spectral = Run(Config(data="ring", **{**defaults(dataset, None), **options_of_preset("sngan", "ring")}), dataset, CPU, ".")
    assert all(isinstance(layer, SpectralNorm) for layer in spectral.game.D)


def test_resume_with_every_remedy_is_bit_for_bit(tmp_path):
    """Masks, instance noise and interpolation points come from a generator whose state is in the checkpoint."""
    dataset = load_data("ring")
    whole = Run(Config(data="ring", **EVERYTHING), dataset, CPU, tmp_path / "whole")
    whole.train()
    parts = Run(Config(data="ring", **EVERYTHING), dataset, CPU, tmp_path / "parts")
    count = iter(range(100))
    assert not parts.train(stopping=lambda: next(count) == 8)
    parts = Run.resume(dataset, CPU, tmp_path / "parts", {})
    assert parts.step == 9
    parts.train()
    for name, array in whole.live_arrays().items():
        np.testing.assert_array_equal(array, parts.live_arrays()[name], err_msg=name)


def test_the_weights_of_penalties_fall_in_a_run():
    options = {**EVERYTHING, "gp": 0.0, "noise": 0.0, "dropout": 0.0, "steps": 10}
    job = Run(Config(data="ring", **options), load_data("ring"), CPU, None)
    shares = []
    while job.step < 10:
        job.make_step()
        shares.append(job.game.penalty_share)
        job.step += 1
    expected = [30 ** -min(max((step / 10 - 0.3) / 0.5, 0), 1) for step in range(10)]
    np.testing.assert_allclose(shares, expected, rtol=1e-6)


def test_a_run_that_is_taken_back_has_the_penalties_and_rates_of_its_step():
    """Who looks at the game before its next step, as the page of `tinygan play` does, sees what counts there."""
    options = {"steps": 10, "hidden": (4,), "z": 2, "batch": 4, "r1": 0.1, "penalty_fall": 30.0, "decay": 0.5, "decay_power": 2.0}
    job = Run(Config(data="ring", **options), load_data("ring"), CPU, None)
    early = Moment(job)
    for _ in range(9):
        job.make_step()
        job.step += 1
    late = Moment(job)
    job.make_step()
    assert job.game.penalty_share == pytest.approx(1 / 30) and job.game.optim_d.rate == pytest.approx(job.config.lr_d * 0.04)
    early.restore(job)
    assert job.game.penalty_share == 1 and job.game.optim_d.rate == pytest.approx(job.config.lr_d)
    other = Run(job.config, load_data("ring"), CPU, None)
    late.restore(other)
    assert other.game.penalty_share == pytest.approx(1 / 30) and other.game.optim_g.rate == pytest.approx(job.config.lr_g * 0.04)


def test_a_preset_may_have_options_for_one_data_set_alone():
    ring, grid = options_of_preset("density", "ring"), options_of_preset("density", "grid")
    assert (ring["fourier"], ring["lr_g"]) == (64, 1e-3) and (grid["fourier"], grid["lr_g"]) == (128, 5e-4)
    assert {name for name in grid if ring[name] != grid[name]} == set(PRESETS["density"].by_data["grid"])
    assert grid["r1"] / grid["penalty_fall"] == pytest.approx(ring["r1"] / ring["penalty_fall"]), "gamma ends at the same value"
    grid["signs"] = 0
    assert options_of_preset("density", "grid")["signs"] == 12, "who changes what was returned does not change the preset"


def test_the_preset_of_densities_builds_what_it_says():
    dataset = load_data("grid")
    config = Config(data="grid", **{**defaults(dataset, None), **options_of_preset("density", "grid")})
    job = Run(config, dataset, CPU, None)
    features, signs = job.game.D.layers[0], job.game.G.layers[0]
    assert isinstance(features, FourierFeatures) and features.w.shape == (2, config.fourier) and config.fourier > 0
    lengths = np.linalg.norm(features.w.numpy(), axis=0)
    assert 1 <= lengths.min() < 5 and config.frequency / 2 < lengths.max() <= config.frequency * (1 + 1e-6)
    assert isinstance(signs, Signs) and signs.n == config.signs > 0 and job.game.average.layers[0].n == config.signs
    assert list(job.game.D.parameters()) == [f"{i}.{part}" for i in range(1, 5) for part in "wb"]  # features are not learnt
    assert {"0.w", "0.b"} <= set(job.game.D.buffers())


@pytest.mark.parametrize(("arch", "data"), [("mlp", "ring"), ("mlp", "digits"), ("dcgan", "digits")])
def test_weights_start_as_told(arch, data):
    """Without --init each layer has its own initialisation: he_normal, and N(0, 0.02^2) in a DCGAN."""
    sample = load_data(data).codec.shape
    for init in ("", "lecun_uniform", "dcgan_normal"):
        a = Architecture(arch=arch, sample=sample, bounded=True, z=4, init=init)
        for w in (t.numpy() for build in (generator, discriminator) for name, t in
                  build(a, CPU, np.random.default_rng(0)).parameters().items() if name.endswith("w") and t.size > 1000):
            small = init == "dcgan_normal" or (not init and arch == "dcgan")
            uniform = init == "lecun_uniform"
            assert (np.abs(w).max() < 1.8 * w.std()) == uniform  # whose reach is sqrt(3) std
            assert uniform or (0.018 < w.std() < 0.022) == small


def test_spectral_norm_resumes_too(tmp_path):
    dataset, options = load_data("ring"), {"steps": 10, "batch": 8, "z": 3, "hidden": (8,), "spectral": True, "objective": "hinge"}
    whole = Run(Config(data="ring", **options), dataset, CPU, tmp_path / "whole")
    whole.train()
    parts = Run(Config(data="ring", **options), dataset, CPU, tmp_path / "parts")
    count = iter(range(100))
    parts.train(stopping=lambda: next(count) == 4)
    parts = Run.resume(dataset, CPU, tmp_path / "parts", {})
    parts.train()
    assert any(name.endswith(".u") for name in whole.live_arrays())
    for name, array in whole.live_arrays().items():
        np.testing.assert_array_equal(array, parts.live_arrays()[name], err_msg=name)


@pytest.mark.parametrize(("options", "message"), [
    ({"pack": 3, "batch": 128}, "batch is 128, pack 3 has to divide it"),
    ({"batch": 1, "batch_norm": True}, "batch is 1, but batch_norm normalises over a batch"),
    ({"smooth": 0.1, "objective": "hinge"}, "smooth is for objectives with labels"),
    ({"unroll": 1, "update": "simultaneous"}, "unroll looks ahead"),
    ({"smooth": 0.7}, "smooth is 0.7"),
    ({"noise": -1.0}, "noise is -1.0"),
    ({"unroll_rate": -1.0}, "unroll_rate is -1.0"),
])
def test_options_that_do_not_fit(options, message):
    with pytest.raises(OptionError, match=message):
        Config(data="ring", **options)


@pytest.mark.parametrize(("arguments", "message"), [
    (["ring", "--preset", "nope"], "--preset is 'nope', it has to be one of best"),
    (["digits", "--preset", "pacgan2"], "--preset pacgan2 is for ring and grid, not for digits"),
    (["ring", "--hidden", "8,x"], "'8,x' is no list of widths"),
    (["ring", "--pack", "0"], "--pack is 0, it has to be between 1 and 1,000"),
    (["ring", "--init", "nope"], "--init is 'nope', it has to be one of he_normal"),
    (["ring", "--maxout", "1"], "at least 2 pieces"),
    (["ring", "--batch", "1", "--batch-norm"], "--batch is 1, but --batch-norm normalises over a batch"),
    (["ring", "--arch", "dcgan"], "dcgan wants images"),
])
def test_the_command_line_refuses_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_options_come_on_top_of_a_preset(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    end_quickly(monkeypatch)
    small = ["--steps", "5", "--hidden", "8", "--batch", "8"]
    assert run(["train", "ring", "--preset", "sngan", "--objective", "least-squares", *small]) == 0
    config = json.loads((tmp_path / "runs/ring/config.json").read_text())
    assert (config["objective"], config["spectral"], config["hidden"]) == ("least-squares", True, [8])
    assert run(["train", "ring", "--resume", "--steps", "8", "--preset", "pack"]) == 2  # the run was another one
    assert "--pack is 2" in capsys.readouterr().err
    assert run(["presets"]) == 0
    assert "pacgan4" in capsys.readouterr().out


# ---- the script that measures them ----------------------------------------------------------------------------------------------


def test_tables_name_presets_that_there_are():
    for rows in TABLES.values():
        for row in rows:
            options_of_preset(row.preset, row.data)
    assert {row.preset for row in TABLES["remedies"]} == set(PRESETS) - {"density", "pacgan-gan", "pacgan2", "pacgan4"}


def test_a_row_is_trained_and_measured():
    row = run_row(TABLES["results"][0], seeds=1, steps=20)
    (numbers,) = row["runs"]
    assert {"modes", "hq", "reverse_kl", "jsd", "seconds", "steps", "alarm_collapse"} <= set(numbers)
    assert numbers["steps"] == 20 and 0 < numbers["jsd"] <= np.log(2)


def test_seeds_that_run_at_a_time_are_measured_as_one_after_another(monkeypatch):
    """In order, with those that diverge in their place, and going on from the seeds that there are."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that it is as before afterwards
    small = (("hidden", (8,)), ("hidden_d", (8,)), ("z", 4), ("batch", 8))
    sound, diverging = (presets.SetUp("ring", "vanilla", (*small, *more)) for more in ((), (("lr_d", 1e30), ("lr_g", 1e30))))
    (*_, row) = presets.growing_row(sound, 3, 20, timed=False)
    assert [run["seed"] for run in row["runs"]] == [0, 1, 2] and row["runs"][0]["jsd"] != row["runs"][1]["jsd"]
    begun = {**row, "runs": row["runs"][:1], "stamps": [{**row["stamps"][0], "seeds": 1}]}
    grown = list(presets.growing_row(sound, 3, 20, begun, timed=False, jobs=2))
    assert [len(one["runs"]) for one in grown] == [1, 2, 3] and grown[-1] == row
    (*_, none) = presets.growing_row(diverging, 2, 20, timed=False, jobs=2)
    assert (none["runs"], none["diverged"]) == ([], 2)


def test_a_row_that_holds_digits_out_is_trained_without_them_and_measured_against_them(monkeypatch):
    monkeypatch.setattr(presets, "DRAWS", 1)  # of z, to be quick
    monkeypatch.setattr(presets, "WIDER", (1.2,))
    (row, *_) = TABLES["held-out"]
    assert row.options == (("held_out", 0.2),) and len(row.dataset().x) == 1797 - 359
    found = run_row(replace(row, options=(*row.options, ("hidden", (8,)), ("z", 4), ("batch", 8))), seeds=1, steps=1)
    (numbers,) = found["runs"]
    assert found["options"]["held_out"] == 0.2 and numbers["held_out_recall"] < 0.1 and numbers["real_recall"] > 0.9
    assert numbers["z1.2_held_out_recall"] < 0.1 and 0 <= numbers["z1.2_held_out_precision"] <= 1


def test_wider_noise_is_as_wide_as_told(monkeypatch):
    """A G that gives its noise away shows how wide it is."""
    stds = []

    def quality(dataset, draw, rng, draws):
        stds.append(float(draw(5000).std()))
        return SimpleNamespace(numbers=lambda: {"held_out_precision": 0.0, "held_out_recall": 1.0, "frechet": 2.0})

    monkeypatch.setattr(presets, "samples_of", lambda G, z, backend, rng: z)
    monkeypatch.setattr(presets, "sample_quality", quality)
    trained = SimpleNamespace(config=SimpleNamespace(z=3), G=None, backend=None)
    numbers = presets.of_wider_noise(None, trained, np.random.default_rng(0))
    assert stds == pytest.approx(list(presets.WIDER), rel=0.02) and set(numbers.values()) == {0.0, 1.0}
    assert list(numbers)[-2:] == ["z1.3_held_out_precision", "z1.3_held_out_recall"]


def test_digits_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "DRAWS", 1)  # of z, to be quick
    dataset = load_data("digits")
    Run(Config(data="digits", steps=1, hidden=(8,), z=4, batch=8), dataset, CPU, tmp_path).train()
    numbers = measure(dataset, load_generator(tmp_path, CPU), seed=0)
    assert numbers["recall"] < 0.1 and numbers["frechet"] > 1  # one step makes no digits, and the numbers say so


def test_summary():
    found = summary([{"a": 1.0}, {"a": 2.0}, {"a": 6.0}])
    assert found["a"] == (3.0, pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3)))

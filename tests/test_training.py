"""Runs: stopped anywhere and resumed they end as if never stopped; every option does what its name says; nothing is lost."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinygan_kernels import load as load_backend

from tinygan import checkpoint, game, training
from tinygan.checkpoint import CheckpointError
from tinygan.codec import DataError
from tinygan.data import load
from tinygan.training import CHECKPOINT, METRICS, Config, ConfigError, Run, load_generator, set_aside

TINY = {"steps": 12, "batch": 6, "hidden": (7, 5), "z": 3, "width": 2, "save_every": 5, "backend": "reference", "ema": 0.9}
BACKENDS = {name: load_backend(name) for name in ("reference", "cpu")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """20 pictures of 12x12, which a DCGAN halves twice: an epoch is no whole number of batches of 6."""
    path = tmp_path_factory.mktemp("pictures") / "p.npy"
    np.save(path, np.random.default_rng(7).integers(0, 256, (20, 12, 12, 1), dtype=np.uint8))
    return load(path)


@pytest.fixture(scope="module")
def sets(pictures):
    return {"ring": load("ring"), "digits": load("digits"), "pictures": pictures}


def start(sets, out, data="pictures", **options) -> Run:
    config = Config(data=data, **{**TINY, **options})
    return Run(config, sets[data], BACKENDS[config.backend], out)


def resume(sets, out, data="pictures", **given) -> Run:
    return Run.resume(sets[data], BACKENDS[training.read_config(out).backend], out, given)


def after(step):
    """A `stopping` for Run.train that says so once, after this many more steps."""
    steps = iter(range(step - 1, -1, -1))
    return lambda: next(steps) == 0


def everything(out):
    """All that a run leaves behind, as bytes: arrays, state, metrics, configuration."""
    arrays, state = checkpoint.load(out / CHECKPOINT)
    packed = {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}
    return packed, state, (out / METRICS).read_bytes(), (out / "config.json").read_bytes()


def assert_same_runs(out, other):
    for found, wanted in zip(everything(out), everything(other), strict=True):
        assert found == wanted


# ---- stopped and resumed ----------------------------------------------------------------------------------------------

KINDS = {
    "digits, R1 and EMA": {"data": "digits", "r1": 0.3, "backend": "cpu", "batch": 700},
    "dcgan, batch norm": {"arch": "dcgan", "backend": "cpu", "r1": 0.0, "beta1": 0.5},
    "ring, decay": {"data": "ring", "decay": 0.7, "backend": "cpu"},
    "three steps of D": {"k": 3, "objective": "minimax"},
    "simultaneous, no EMA": {"update": "simultaneous", "ema": 0.0, "arch": "dcgan"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_after_every_single_step(tmp_path, sets, kind):
    """At each step of an epoch and of the pause between checkpoints; and a run may be resumed any number of times."""
    options = KINDS[kind]
    data = options.get("data", "pictures")
    assert start(sets, tmp_path / "whole", **options).train()
    run = start(sets, tmp_path / "parts", **options)
    for step in range(1, run.config.steps + 1):
        assert not run.train(stopping=after(1))
        assert run.step == step
        run = resume(sets, tmp_path / "parts", data)
    assert run.train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 5, 7, 11, 12])
def test_stopped_once(tmp_path, sets, step):
    start(sets, tmp_path / "whole").train()
    assert not start(sets, tmp_path / "parts").train(stopping=after(step))
    assert resume(sets, tmp_path / "parts").train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


def touched(value):
    """Something else of the same type and shape."""
    if isinstance(value, dict):
        return {name: touched(v) if name in ("state", "inc") else v for name, v in value.items()}
    if isinstance(value, np.ndarray):
        return value[::-1].copy() if value.dtype.kind in "iu" else (value * 1.5 + 0.25).astype(value.dtype)
    return value ^ 2


PARTS = ["D.0.w", "D.2.gamma", "G.3.w", "G.2.mean", "D.adam.m", "D.adam.v", "G.adam.m", "G.adam.t", "average.0.w",
         "sampler.order", "sampler/position", "rngs/data", "rngs/noise"]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_checkpoint_matters(tmp_path, sets, part):
    """The comparisons above would be blind to a part that resuming ignores: each one, changed, has to change the end."""
    run = start(sets, tmp_path / "whole", arch="dcgan", beta1=0.5)
    run.train(stopping=after(5))
    shutil.copytree(tmp_path / "whole", tmp_path / "changed")
    arrays, state = checkpoint.load(tmp_path / "changed" / CHECKPOINT)
    if part in arrays:
        arrays[part] = touched(arrays[part])
    else:
        owner, name = part.split("/")
        state[owner][name] = touched(state[owner][name])
    checkpoint.save(tmp_path / "changed" / CHECKPOINT, arrays, state)
    for name in ("whole", "changed"):
        resume(sets, tmp_path / name).train()
    assert everything(tmp_path / "whole")[0] != everything(tmp_path / "changed")[0]


def test_a_finished_run_goes_on_to_more_steps(tmp_path, sets):
    start(sets, tmp_path / "whole", steps=17).train()
    start(sets, tmp_path / "parts").train()
    assert resume(sets, tmp_path / "parts", steps=17).train()
    # the reading at the end of the shorter run has no counterpart in the longer one
    for found, wanted in zip(everything(tmp_path / "parts")[:2], everything(tmp_path / "whole")[:2], strict=True):
        assert found == wanted


def test_a_finished_run_resumed_as_it_is_stays_as_it_is(tmp_path, sets):
    start(sets, tmp_path / "run").train()
    before = everything(tmp_path / "run")
    assert resume(sets, tmp_path / "run").train()
    assert everything(tmp_path / "run") == before


# ---- metrics ------------------------------------------------------------------------------------------------------------

LATER = b'{"step": 11, "v": 0, "d_real": 0, "d_fake": 0, "d_loss": 0, "g_loss": 0}\n'


@pytest.mark.parametrize("tail", [LATER, LATER[:20], b"\xff\xfe\x00", b"[]\n", b'{"step": "3"}\n', b'{"step": 3}\n', b"3\n", b"\n"])
def test_lines_that_the_checkpoint_does_not_know_are_taken_off(tmp_path, sets, tail):
    start(sets, tmp_path / "whole", steps=30).train()
    start(sets, tmp_path / "parts", steps=30).train(stopping=after(10))
    with open(tmp_path / "parts" / METRICS, "ab") as file:
        file.write(tail)
    resume(sets, tmp_path / "parts").train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


def test_readings(tmp_path, sets):
    readings = []
    start(sets, tmp_path, steps=34).train(on_reading=readings.append)
    assert [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()] == readings
    assert [r["step"] for r in readings] == [10, 20, 30, 34]
    for r in readings:
        assert set(r) == {"step", "v", "d_real", "d_fake", "d_loss", "g_loss"}
        assert r["d_loss"] == -r["v"] > 0 and 0 < r["d_real"] < 1 and 0 < r["d_fake"] < 1


# ---- what the options do --------------------------------------------------------------------------------------------------


def moved(tmp_path, sets, **options):
    """(run, its metrics) after training."""
    run = start(sets, tmp_path, **options)
    before = {name: array.copy() for name, array in run._arrays().items()}
    run.train()
    after = run._arrays()
    for name in (n for n in after if n.startswith(("D.", "G."))):
        assert (after[name] != before[name]).any(), f"{name} has not moved"
    return run, [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
@pytest.mark.parametrize(("update", "k"), [("alternating", 1), ("alternating", 3), ("simultaneous", 1)])
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_steps_of_both_players(tmp_path, sets, arch, update, k, objective):
    """k batches and k + 1 draws of noise a step, or one of each; as many moves of each player; G's loss by its name."""
    run, metrics = moved(tmp_path, sets, arch=arch, update=update, k=k, objective=objective)
    c = run.config
    sampler, arrays = run.sampler.state(), run._arrays()
    assert (sampler["epoch"] - 1) * 20 + sampler["position"] == c.steps * k * c.batch
    assert (arrays["D.adam.t"], arrays["G.adam.t"]) == (k * c.steps, c.steps)
    noise = np.random.default_rng(np.random.SeedSequence(c.seed).spawn(3)[2])
    for _ in range(c.steps * (1 if update == "simultaneous" else k + 1)):
        noise.standard_normal((c.batch, c.z), np.float32)
    assert run.rngs["noise"].bit_generator.state == noise.bit_generator.state
    assert all((r["g_loss"] < 0) == (objective == "minimax") for r in metrics)


@pytest.mark.parametrize("option", [{"objective": "minimax"}, {"r1": 0.0}, {"k": 2}, {"update": "simultaneous"}, {"lr_d": 1e-3},
                                    {"lr_g": 1e-3}, {"beta1": 0.5}, {"beta2": 0.9}, {"decay": 1.0}, {"seed": 1}, {"batch": 7}],
                         ids=lambda o: next(iter(o)))
def test_every_option_changes_the_run(tmp_path, sets, option):
    start(sets, tmp_path / "a").train()
    start(sets, tmp_path / "b", **option).train()
    a, b = (everything(tmp_path / name)[0] for name in "ab")
    assert a["G.2.w"] != b["G.2.w"] and a["D.1.w"] != b["D.1.w"]


def test_ema_changes_the_average_alone(tmp_path, sets):
    start(sets, tmp_path / "a", ema=0.5).train()
    start(sets, tmp_path / "b", ema=0.9).train()
    start(sets, tmp_path / "none", ema=0.0).train()
    a, b, none = (everything(tmp_path / name)[0] for name in ("a", "b", "none"))
    assert {name for name in a if a[name] != b[name]} == {name for name in a if name.startswith("average.")} != set()
    assert none == {name: array for name, array in a.items() if not name.startswith("average.")}


def test_same_seed_same_run(tmp_path, sets):
    for name in "ab":
        start(sets, tmp_path / name, seed=5, backend="cpu").train()
    assert_same_runs(tmp_path / "a", tmp_path / "b")


def test_rates_fall_linearly_over_the_last_share():
    c = Config(data="ring", steps=100, decay=0.5)
    assert [c.rate(2.0, step) for step in (0, 49, 50)] == [2.0, 2.0, 2.0]
    np.testing.assert_allclose([c.rate(2.0, step) for step in (51, 75, 99)], [1.96, 1.0, 0.04])
    assert [replace(c, decay=0.0).rate(2.0, step) for step in (0, 99)] == [2.0, 2.0]


@given(st.integers(1, 500), st.floats(0, 1))
def test_rates_stay_positive_and_never_rise(steps, decay):
    rates = [Config(data="ring", steps=steps, decay=decay).rate(1.0, step) for step in range(steps)]
    assert rates[0] == 1.0 and rates[-1] > 0 and all(b <= a for a, b in zip(rates, rates[1:], strict=False))


def test_the_optimisers_get_the_falling_rates(tmp_path, sets):
    run = start(sets, tmp_path, decay=1.0, lr_d=3e-4, lr_g=7e-4, steps=4)
    run.train()
    np.testing.assert_allclose((run.game.optim_d.rate, run.game.optim_g.rate), (3e-4 / 4, 7e-4 / 4), rtol=1e-6)


WRONG = [{"steps": -1}, {"batch": 0}, {"k": 0}, {"z": 0}, {"seed": -1}, {"save_every": 0}, {"lr_d": 0.0}, {"lr_d": -1.0},
         {"lr_g": float("nan")}, {"lr_g": float("inf")}, {"ema": 1.0}, {"ema": -0.1}, {"ema": float("nan")}, {"beta1": 1.0},
         {"beta2": -1.0}, {"r1": -0.1}, {"r1": float("nan")}, {"r1": float("inf")}, {"decay": -0.1}, {"decay": 1.1},
         {"decay": float("nan")}, {"objective": "wgan"}, {"update": "both"}, {"k": 2, "update": "simultaneous"}, {"arch": "vit"}]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_options_out_of_range(tmp_path, sets, options):
    message = refusal(start, sets, tmp_path / "run", error=ConfigError, **options)
    option = next(iter(options))
    assert f"--{option.replace('_', '-')}" in message or option == "arch"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"steps": 0}, {"ema": 0.0}, {"r1": 0.0}, {"decay": 1.0}, {"batch": 1}, {"z": 1}, {"batch": 99}])
def test_options_at_the_edge_of_their_range(tmp_path, sets, options):
    assert start(sets, tmp_path, **options).train()
    assert load_generator(tmp_path, BACKENDS["reference"]).sample(2, np.random.default_rng(0)).shape == (2, 12, 12, 1)


@pytest.mark.parametrize("data", ["ring", "digits", "pictures"])
def test_defaults_make_a_configuration(sets, data):
    for arch in (None, "mlp", "dcgan"):
        Config(data=data, **training.defaults(sets[data], arch))
    assert training.defaults(sets[data], "dcgan")["beta1"] == 0.5


# ---- what cannot be resumed -------------------------------------------------------------------------------------------------


def refusal(call, *args, error=CheckpointError, **options) -> str:
    """The message of the error that `call` raises, checked to be one line."""
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert str(caught.value) and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def stopped(tmp_path, sets):
    """A run at step 7 of 12; whatever a test does, it has to be resumable afterwards."""
    start(sets, tmp_path / "run").train(stopping=after(7))
    before = everything(tmp_path / "run")
    yield tmp_path / "run"
    assert everything(tmp_path / "run") == before
    assert resume(sets, tmp_path / "run").train()


@pytest.mark.parametrize("given", [{"arch": "dcgan"}, {"z": 5}, {"batch": 7}, {"objective": "minimax"}, {"seed": 3},
                                   {"lr_d": 1.0}, {"ema": 0.0}, {"backend": "cpu"}, {"size": 8}, {"window": 8}], ids=str)
def test_other_options(stopped, sets, given):
    message = refusal(resume, sets, stopped, error=ConfigError, **given)
    assert f"--{next(iter(given)).replace('_', '-')} is" in message and str(stopped) in message


def test_fewer_steps_than_done(stopped, sets):
    assert "at step 7 already" in refusal(resume, sets, stopped, error=ConfigError, steps=6)


@pytest.mark.parametrize("data", ["ring", "digits"])
def test_other_data(stopped, sets, data):
    assert "differ" in refusal(Run.resume, sets[data], BACKENDS["reference"], stopped, {"data": data}, error=ConfigError)


def test_changed_data_of_the_same_shape(stopped, sets):
    x = sets["pictures"].x.copy()
    x[3, 4, 5] *= -1
    changed = replace(sets["pictures"], x=x)
    assert "contents differ" in refusal(Run.resume, changed, BACKENDS["reference"], stopped, {}, error=ConfigError)


def test_the_same_data_from_elsewhere(tmp_path, sets):
    start(sets, tmp_path / "whole").train()
    start(sets, tmp_path / "parts").train(stopping=after(7))
    assert resume(sets, tmp_path / "parts", data="pictures").train()
    assert everything(tmp_path / "parts")[0] == everything(tmp_path / "whole")[0]
    assert training.read_config(tmp_path / "parts").data == "pictures"
    Run.resume(sets["pictures"], BACKENDS["reference"], tmp_path / "parts", {"data": "/elsewhere/p.npy"}).train()
    assert training.read_config(tmp_path / "parts").data == "/elsewhere/p.npy"


def test_no_run(tmp_path, sets):
    for place in (tmp_path, tmp_path / "none"):
        assert "there is no run" in refusal(resume, sets, place)
        assert "there is no run" in refusal(load_generator, place, BACKENDS["reference"])


@pytest.mark.parametrize("part", ["D.0.w", "G.adam.t", "sampler.order"])
def test_a_checkpoint_with_a_part_missing(tmp_path, sets, part):
    start(sets, tmp_path, arch="dcgan").train()
    arrays, state = checkpoint.load(tmp_path / CHECKPOINT)
    del arrays[part]
    checkpoint.save(tmp_path / CHECKPOINT, arrays, state)
    with pytest.raises((CheckpointError, DataError)):
        resume(sets, tmp_path)


def test_a_configuration_of_another_version():
    record = asdict(Config(data="ring"))
    assert Config.from_json(json.loads(json.dumps(record))) == Config(data="ring")
    for other in ({**record, "new": 1}, {k: v for k, v in record.items() if k != "k"}, None, []):
        assert "another version" in refusal(Config.from_json, other)


# ---- runs that fail -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [{"lr_d": 1e30, "lr_g": 1e30}, {"lr_d": 1e38}, {"lr_g": 1e38}], ids=str)
@pytest.mark.parametrize("save_every", [1, 5, 500])
def test_a_diverging_run_keeps_a_sound_checkpoint(tmp_path, sets, rates, save_every):
    message = refusal(start(sets, tmp_path, save_every=save_every, steps=40, **rates).train, error=FloatingPointError)
    assert "diverged" in message and "earlier step" in message
    arrays, state = checkpoint.load(tmp_path / CHECKPOINT)
    assert all(np.isfinite(array).all() for array in arrays.values()) and state["step"] < 40
    assert all(json.loads(line)["step"] <= state["step"] for line in (tmp_path / METRICS).read_text().splitlines())
    load_generator(tmp_path, BACKENDS["reference"])


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6, 7])
def test_a_disk_that_fills_up_costs_no_checkpoint(tmp_path, sets, monkeypatch, function, call):
    start(sets, tmp_path / "whole").train()
    calls, real = iter(range(1, 99)), getattr(training.os, function)

    def full(*args):
        if next(calls) >= call:
            raise OSError(28, "No space left on device")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training.os, function, full)
        run = start(sets, tmp_path / "run")
        if function == "replace" and call > 4:  # config, step 0, step 5, step 10, the end: more renames than there are
            pytest.skip("more renames than the run makes")
        assert "No space left" in refusal(run.train)
    assert not list((tmp_path / "run").glob("*.tmp"))
    if (tmp_path / "run" / CHECKPOINT).exists():
        assert resume(sets, tmp_path / "run").train()
        assert_same_runs(tmp_path / "run", tmp_path / "whole")


def test_metrics_that_cannot_be_written(tmp_path, sets):
    run = start(sets, tmp_path)
    run.train(stopping=after(3))
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).mkdir()
    before = (tmp_path / CHECKPOINT).read_bytes()
    assert "untouched" in refusal(run.save)
    refusal(resume(sets, tmp_path).train)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path, sets):
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        message = refusal(start(sets, place).train)
        assert "cannot write" in message and "--out" in message
    assert (tmp_path / "file").read_text() == "kept"


# ---- earlier runs ---------------------------------------------------------------------------------------------------------------


def test_earlier_runs_are_kept(tmp_path, sets):
    out, runs = tmp_path / "a.b", []
    assert set_aside(out) is None
    for seed in range(3):
        kept = set_aside(out)
        assert kept == (tmp_path / f"a.b.{seed}" if seed else None)
        start(sets, out, seed=seed).train()
        runs.append(everything(out))
    assert [everything(tmp_path / name) for name in ("a.b.1", "a.b.2", "a.b")] == runs


def test_a_folder_without_a_run_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert set_aside(tmp_path) is None and (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("place", [".", "..", "../run", "../../top"])
def test_the_working_folder_is_not_moved(tmp_path, sets, monkeypatch, place):
    here = tmp_path / "top" / "run"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    start(sets, (here / place).resolve()).train()
    before = everything(here / place)
    assert "where you are" in refusal(set_aside, place)
    assert everything(here / place) == before


# ---- samples --------------------------------------------------------------------------------------------------------------------


def sample(out, n=5, seed=0):
    return load_generator(out, BACKENDS["reference"]).sample(n, np.random.default_rng(seed))


def rewrite(out, change):
    arrays, state = checkpoint.load(out / CHECKPOINT)
    checkpoint.save(out / CHECKPOINT, {name: new for name, a in arrays.items() if (new := change(name, a)) is not None}, state)


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
@pytest.mark.parametrize(("ema", "source"), [(0.9, "average."), (0.0, "G.")])
def test_samples_need_one_generator_alone(tmp_path, sets, arch, ema, source):
    """Neither data nor D nor optimisers; and with a moving average, not even G itself."""
    start(sets, tmp_path, arch=arch, ema=ema).train()
    wanted = sample(tmp_path)
    assert wanted.shape == (5, 12, 12, 1) and wanted.dtype == np.float32 and np.abs(wanted).max() <= 1
    rewrite(tmp_path, lambda name, a: a if name.startswith(source) else None)
    np.testing.assert_array_equal(sample(tmp_path), wanted)
    rewrite(tmp_path, lambda name, a: touched(a))
    assert (sample(tmp_path) != wanted).any()
    rewrite(tmp_path, lambda name, a: None if name.endswith("0.w") else a)
    assert f"{source}0.w" in refusal(sample, tmp_path)


@pytest.mark.parametrize("arch", ["mlp", "dcgan"])
def test_samples_by_seed_and_one_by_one(tmp_path, sets, arch):
    """Also across the parts that samples are made in, and whatever samples are drawn beside."""
    start(sets, tmp_path, arch=arch).train()
    many = sample(tmp_path, 600)
    assert many.shape == (600, 12, 12, 1)
    np.testing.assert_array_equal(sample(tmp_path, 600), many)
    assert (sample(tmp_path, 600, seed=1) != many).any(axis=(1, 2, 3)).all()
    for n in (1, 7, 257):
        np.testing.assert_allclose(sample(tmp_path, n), many[:n], atol=1e-5)


def test_the_average_is_what_the_game_has_averaged(tmp_path, sets):
    run = start(sets, tmp_path, ema=0.9)
    run.train()
    z = np.random.default_rng(0).standard_normal((5, run.config.z), np.float32)
    by = {name: network(game.wrap(z, run.backend)).numpy() for name, network in (("G", run.game.G), ("average", run.game.average))}
    np.testing.assert_allclose(sample(tmp_path), by["average"], atol=1e-6)
    assert np.abs(by["G"] - by["average"]).max() > 1e-3

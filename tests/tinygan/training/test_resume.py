"""Runs that are stopped, killed by a full disk, or wrecked by their own rates: resumed, they end as if nothing had been."""

import json
import os
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from tiny_runs import after, assert_same_runs, backend, dataset, everything, refusal, resume, start

from tinygan.data.units import DataError
from tinygan.options import OptionError
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT, CheckpointError
from tinygan.training.config import Config, read_config
from tinygan.training.folder import METRICS
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

# ---- stopped and resumed ---------------------------------------------------------------------------------------------

KINDS = {
    "digits, R1 and EMA": {"data": "digits", "r1": 0.3, "backend": "cpu", "batch": 700},
    "dcgan, batch norm": {"arch": "dcgan", "backend": "cpu", "r1": 0.0, "beta1": 0.5},
    "ring, decay": {"data": "ring", "decay": 0.7, "backend": "cpu"},
    "three steps of D": {"k": 3, "objective": "minimax"},
    "simultaneous, no EMA": {"update": "simultaneous", "ema": 0.0, "arch": "dcgan"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_after_every_single_step(tmp_path, kind):
    """A run is stopped after each step of an epoch and of the interval between checkpoints, and resumed, any number of times."""
    options = KINDS[kind]
    data = options.get("data", "pictures")
    assert start(tmp_path / "whole", **options).train()
    run = start(tmp_path / "parts", **options)
    for step in range(1, run.config.steps + 1):
        assert not run.train(stopping=after(1))
        assert run.step == step
        run = resume(tmp_path / "parts", data)
    assert run.train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 5, 7, 11, 12])
def test_stopped_once(tmp_path, step):
    start(tmp_path / "whole").train()
    assert not start(tmp_path / "parts").train(stopping=after(step))
    assert resume(tmp_path / "parts").train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


def touched(value):
    """Return something else of the same type and shape."""
    if isinstance(value, dict):
        return {name: touched(v) if name in ("state", "inc") else v for name, v in value.items()}
    if isinstance(value, np.ndarray):
        return value[::-1].copy() if value.dtype.kind in "iu" else (value * 1.5 + 0.25).astype(value.dtype)
    return value ^ 2


PARTS = ["D.0.w", "D.2.gamma", "G.3.w", "G.2.mean", "D.adam.m", "D.adam.v", "G.adam.m", "G.adam.t", "average.0.w",
         "sampler.order", "sampler/position", "rngs/data", "rngs/noise"]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_checkpoint_matters(tmp_path, part):
    """The comparisons above would be blind to a part that resuming ignores: each one, changed, has to change the end."""
    run = start(tmp_path / "whole", arch="dcgan", beta1=0.5)
    run.train(stopping=after(5))
    shutil.copytree(tmp_path / "whole", tmp_path / "changed")
    arrays, state = checkpoint.load(tmp_path / "changed" / CHECKPOINT)
    if part in arrays:
        count = part.endswith(".t")  # Adam's, of steps; NumPy 1 makes float64 of an array without dimensions and a number
        arrays[part] = (arrays[part] + 3).astype(arrays[part].dtype) if count else touched(arrays[part])
    else:
        owner, name = part.split("/")
        state[owner][name] = touched(state[owner][name])
    checkpoint.save(tmp_path / "changed" / CHECKPOINT, arrays, state)
    for name in ("whole", "changed"):
        resume(tmp_path / name).train()
    assert everything(tmp_path / "whole")[0] != everything(tmp_path / "changed")[0]


def test_a_finished_run_goes_on_to_more_steps(tmp_path):
    start(tmp_path / "whole", steps=17).train()
    start(tmp_path / "parts").train()
    assert resume(tmp_path / "parts", steps=17).train()
    # the reading at the end of the shorter run has no counterpart in the longer one
    for found, wanted in zip(everything(tmp_path / "parts")[:2], everything(tmp_path / "whole")[:2], strict=True):
        assert found == wanted


def test_a_finished_run_resumed_as_it_is_stays_as_it_is(tmp_path):
    start(tmp_path / "run").train()
    before = everything(tmp_path / "run")
    assert resume(tmp_path / "run").train()
    assert everything(tmp_path / "run") == before


# ---- metrics ---------------------------------------------------------------------------------------------------------

LATER = b'{"step": 11, "v": 0, "d_real": 0, "d_fake": 0, "d_loss": 0, "g_loss": 0}\n'


# lines of a step that the checkpoint knows, with what no reading holds: a text, a NaN, true, a step and a half, depth, length
VALUES = (b'"x"', b"NaN", b"true", b"[[0]]", b"0" + b" " * 20_000)
ODD = [LATER.replace(b"11", b"10").replace(b'"v": 0', b'"v": ' + odd) for odd in VALUES]
ODD += [b"[" * 30_000, LATER.replace(b"11", b"9.5"), LATER.replace(b'"v": 0', b'"v": 1e999'), LATER.replace(b"11", b"1" * 5000)]


@pytest.mark.parametrize("tail", ODD, ids=lambda tail: str(tail[:30]))
def test_a_line_of_metrics_that_is_no_reading_is_taken_off(tmp_path, tail):
    start(tmp_path / "run", steps=20).train(stopping=after(10))
    whole = (tmp_path / "run" / METRICS).read_bytes()
    with open(tmp_path / "run" / METRICS, "ab") as file:
        file.write(tail)
    run = resume(tmp_path / "run")
    assert [reading["step"] for reading in run.folder.readings(10)] == [10]
    run.folder.claim(run.config, run.step)
    assert (tmp_path / "run" / METRICS).read_bytes() == whole


@pytest.mark.parametrize("tail", [LATER, LATER[:20], b"\xff\xfe\x00", b"[]\n", b'{"step": "3"}\n', b'{"step": 3}\n', b"3\n", b"\n"])
def test_lines_that_the_checkpoint_does_not_know_are_taken_off(tmp_path, tail):
    start(tmp_path / "whole", steps=30).train()
    start(tmp_path / "parts", steps=30).train(stopping=after(10))
    with open(tmp_path / "parts" / METRICS, "ab") as file:
        file.write(tail)
    resume(tmp_path / "parts").train()
    assert_same_runs(tmp_path / "parts", tmp_path / "whole")


# ---- what cannot be resumed ------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path):
    """Return the folder of a run at step 7 of 12, and check after the test that it is unchanged and can be resumed."""
    start(tmp_path / "run").train(stopping=after(7))
    before = everything(tmp_path / "run")
    yield tmp_path / "run"
    assert everything(tmp_path / "run") == before
    assert resume(tmp_path / "run").train()


@pytest.mark.parametrize("given", [{"arch": "dcgan"}, {"z": 5}, {"batch": 7}, {"objective": "minimax"}, {"seed": 3},
                                   {"lr_d": 1.0}, {"ema": 0.0}, {"backend": "cpu"}, {"size": 8}, {"window": 8}], ids=str)
def test_other_options(stopped, given):
    message = refusal(resume, stopped, error=OptionError, **given)
    assert message.startswith(f"{next(iter(given))} is ") and str(stopped) in message


def test_fewer_steps_than_done(stopped):
    assert "at step 7 already" in refusal(resume, stopped, error=OptionError, steps=6)


@pytest.mark.parametrize("data", ["ring", "digits"])
def test_other_data(stopped, data):
    assert "differ" in refusal(Run.resume, dataset(data), backend("reference"), stopped, {"data": data}, error=OptionError)


def test_changed_data_of_the_same_shape(stopped):
    x = dataset("pictures").x.copy()
    x[3, 4, 5] *= -1
    changed = replace(dataset("pictures"), x=x)
    assert "contents differ" in refusal(Run.resume, changed, backend("reference"), stopped, {}, error=OptionError)


def test_the_same_data_from_elsewhere(tmp_path):
    start(tmp_path / "whole").train()
    start(tmp_path / "parts").train(stopping=after(7))
    assert resume(tmp_path / "parts", data="pictures").train()
    assert everything(tmp_path / "parts")[0] == everything(tmp_path / "whole")[0]
    assert read_config(tmp_path / "parts").data == "pictures"
    Run.resume(dataset("pictures"), backend("reference"), tmp_path / "parts", {"data": "/elsewhere/p.npy"}).train()
    assert read_config(tmp_path / "parts").data == "/elsewhere/p.npy"


def test_no_run(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        assert "there is no run" in refusal(resume, place)
        assert "there is no run" in refusal(load_generator, place, backend("reference"))


@pytest.mark.parametrize("part", ["D.0.w", "G.adam.t", "sampler.order"])
def test_a_checkpoint_with_a_part_missing(tmp_path, part):
    start(tmp_path, arch="dcgan").train()
    arrays, state = checkpoint.load(tmp_path / CHECKPOINT)
    del arrays[part]
    checkpoint.save(tmp_path / CHECKPOINT, arrays, state)
    with pytest.raises((CheckpointError, DataError)):
        resume(tmp_path)


def test_a_configuration_of_another_version():
    record = asdict(Config(data="ring"))
    assert Config.from_json(json.loads(json.dumps(record))) == Config(data="ring")
    for other in ({**record, "new": 1}, {k: v for k, v in record.items() if k != "k"}, None, []):
        assert "another version" in refusal(Config.from_json, other)


# ---- runs that fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [{"lr_d": 1e30, "lr_g": 1e30}, {"lr_d": 1e38}, {"lr_g": 1e38}], ids=str)
@pytest.mark.parametrize("save_every", [1, 5, 500])
def test_a_diverging_run_keeps_a_sound_checkpoint(tmp_path, rates, save_every):
    message = refusal(start(tmp_path, save_every=save_every, steps=40, **rates).train, error=FloatingPointError)
    assert "diverged" in message and "earlier step" in message
    arrays, state = checkpoint.load(tmp_path / CHECKPOINT)
    assert all(np.isfinite(array).all() for array in arrays.values()) and state["step"] < 40
    assert all(json.loads(line)["step"] <= state["step"] for line in (tmp_path / METRICS).read_text().splitlines())
    load_generator(tmp_path, backend("reference"))


# of the config, of steps 0, 5, 10 and the end; each is one rename, and flushes a file and its folder
@pytest.mark.parametrize(("function", "call"), [("replace", n) for n in range(1, 6)] + [("fsync", n) for n in range(1, 11)])
def test_a_disk_that_fills_up_costs_no_checkpoint(tmp_path, monkeypatch, function, call):
    start(tmp_path / "whole").train()
    calls, real = iter(range(1, 99)), getattr(os, function)

    def full(*args):
        if next(calls) >= call:
            raise OSError(28, "No space left on device")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        run = start(tmp_path / "run")
        assert "No space left" in refusal(run.train)
    assert not list((tmp_path / "run").glob("*.tmp"))
    if (tmp_path / "run" / CHECKPOINT).exists():
        assert resume(tmp_path / "run").train()
        assert_same_runs(tmp_path / "run", tmp_path / "whole")


def test_metrics_that_cannot_be_written(tmp_path):
    run = start(tmp_path)
    run.train(stopping=after(3))
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).mkdir()
    before = (tmp_path / CHECKPOINT).read_bytes()
    assert "untouched" in refusal(run.save)
    refusal(resume(tmp_path).train)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        message = refusal(start(place).train)
        assert "cannot write" in message and "another out" in message
    assert (tmp_path / "file").read_text() == "kept"

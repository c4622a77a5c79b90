"""Checkpoints that somebody changed: their bytes, or what they say, signed anew. Each is refused in a line, or is taken as it is.

`attack` tries changes of every kind in turn. A checkpoint that is accepted has to be taken over to the letter, so that nothing is
repaired, rounded or left out in silence; then a step is made, and samples are drawn.
"""

import atexit
import copy
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from signed import contents, sign
from tiny_runs import backend

from tinygan import fit
from tinygan.cli.main import USER_ERRORS
from tinygan.data import Dataset
from tinygan.data.kinds import Table
from tinygan.nn import BatchNorm, Linear, Sequential
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.config import Config
from tinygan.training.run import Run
from tinygan.training.samples import load_generator
from tinygan.training.state import RunState

JUNK = [
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, 2**64, 10**12, -(10**12), 10**60, 10**400, 0.0, -0.0, 0.5, 1.5, -1e-9,
    1e38, 1e308, float("nan"), float("inf"), "", "x", "x" * 500, "0", "PCG64", "\ud800", "a\nb\x00", [], {}, [[]], [1], [-1],
    [1.5, "x"], {"a": 1}, {"": {}},
    json.loads("[" * 90 + "]" * 90), list(range(100)), [2**20] * 3, {"layer": "Linear", "known": True, "state": {}},
    {"tensor": [10**6, 10**6], "dtype": "float32", "learnt": True}, {"same": 0}, "digits", "images", "reference", "wasserstein",
]  # fmt: skip
DTYPES = ["<f4", "<f8", "<f2", "<i4", "<i8", "<u1", "?", "<c8"]


@cache
def dataset() -> Dataset:
    return Table.of_rows(Path("t.csv"), np.random.default_rng(5).normal(size=(11, 2)) * [1, 100], ("a", "b"))


@cache
def kept() -> Path:
    """A folder with two runs: one of the options alone, one with networks of a user's own. It goes when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    options = {"steps": 4, "batch": 3, "save_every": 2, "ema": 0.9, "seed": 1}
    config = Config(data="t", hidden=(3,), z=2, backend="reference", **options)
    Run(config, dataset(), backend("reference"), folder / "own").train(stopping=lambda: True)
    made = {"backend": backend("reference"), "rng": 0}
    G = Sequential(Linear(2, 3, act="tanh", **made), BatchNorm(3, backend=made["backend"]), Linear(3, 2, **made))
    fit(G, Sequential(Linear(2, 1, **made)), dataset(), out=folder / "fit", progress=False, decay=0, **options)
    return folder


# ---- changes: each returns what the case is, for the message --------------------------------------------------------------------


def change_bytes(rng, run):
    """Flip, cut, double or insert bytes, most of them in the header."""
    whole = bytearray((run / CHECKPOINT).read_bytes())
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(header if rng.random() < 0.7 else len(whole)))
        way, length = rng.integers(5), int(rng.integers(1, 9))
        if way == 0:
            whole[at] ^= 1 << rng.integers(8)
        elif way == 1:
            del whole[at : at + length]
        elif way == 2:
            whole[at:at] = rng.bytes(length)
        elif way == 3:
            whole[at:at] = whole[at : at + length]
        else:
            del whole[at:]
            break
    (run / CHECKPOINT).write_bytes(whole)
    return "bytes"


def places(value, path=()):
    """Yield the path to every part of nested records and lists."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def change_state(rng, run):
    """Put junk at a place of the state, take it away, move another part there, or add a key."""
    arrays, state = contents(run)
    told = []
    for _ in range(1 + (rng.random() < 0.2)):
        every = list(places(state))[1:]
        by_part = {}
        for path in every:
            by_part.setdefault(path[0], []).append(path)
        chosen = by_part[list(by_part)[rng.integers(len(by_part))]]  # by parts, as most places are in generators and blueprints
        *path, last = chosen[rng.integers(len(chosen))]
        owner = state
        for key in path:
            owner = owner[key]
        way, junk = rng.random(), copy.deepcopy(JUNK[rng.integers(len(JUNK))])
        told.append(f"{[*path, last]} <- {str(junk)[:60]} ({way:.2f})")
        if way < 0.15:
            del owner[last]
        elif way < 0.25 and isinstance(owner, dict):
            owner[f"{last}_"] = junk
        elif way < 0.35 and isinstance(owner[last], (int, float)) and not isinstance(owner[last], bool):
            owner[last] += [1, -1, 0.5, 10**9][rng.integers(4)]
        else:
            owner[last] = junk
    sign(run, arrays, json.dumps(state))
    return " and ".join(told)


def change_arrays(rng, run):
    """Change the type, the shape or the numbers of an array, take it away or add one."""
    arrays, state = contents(run)
    name = list(arrays)[rng.integers(len(arrays))]
    array, way = arrays[name], int(rng.integers(6))
    if way == 0:
        arrays[name] = array.astype(DTYPES[rng.integers(len(DTYPES))])
    elif way == 1:
        arrays[name] = np.resize(array, rng.integers(0, 4, rng.integers(4)))
    elif way == 2 and array.size:
        arrays[name] = array.copy()
        arrays[name].reshape(-1)[rng.integers(array.size)] = [-1, 0, 99, np.float32("nan"), np.float32("inf")][
            rng.integers(5 if array.dtype.kind == "f" else 3)]
    elif way == 3:
        del arrays[name]
    elif way == 4:
        arrays[f"{name}{rng.integers(9)}"] = array
    else:
        arrays[name] = np.ascontiguousarray(array[::-1]) if array.ndim else np.asarray(-array)
    sign(run, arrays, state)
    return f"array {name}, way {way}"


def change_text(rng, run):
    """Sign a text that is no record: cut, too deep, or something else."""
    arrays, state = contents(run)
    text = json.dumps(state)
    junk = json.dumps(JUNK[rng.integers(len(JUNK))])
    texts = ["[" * int(rng.integers(1, 30_000)), text[: rng.integers(len(text))], junk, text + " 1",
             '{"step":' * 5000, text.replace("{", '{"a":' + "[" * 300 + "]" * 300 + ",", 1)]  # fmt: skip
    sign(run, arrays, texts[rng.integers(len(texts))], ["tinygan-1", "tinygan-2", "x"][int(rng.choice(3, p=[0.8, 0.1, 0.1]))])
    return "text"


CHANGES = (change_bytes, change_state, change_state, change_state, change_arrays, change_text)


# ---- what has to hold -----------------------------------------------------------------------------------------------------------


def tried(call):
    """Return what a call returns, or None where it raises a stated error of one line."""
    try:
        return call()
    except (*USER_ERRORS, MemoryError) as error:
        message = str(error)
        assert message and len(message.splitlines()) == 1 and len(message) < 1500, f"no line that one can read: {message[:300]!r}"
        return None


def assert_taken_to_the_letter(run: Run, folder: Path) -> None:
    """Check that a run that goes on is what the file says, and that it makes a step and samples where that is quick."""
    arrays, state = contents(folder)
    saved = run.saved_arrays()
    assert saved.keys() == arrays.keys() and all(saved[n].tobytes() == a.tobytes() for n, a in arrays.items())
    now = json.loads(json.dumps(run.state()))
    for part in now:  # a part, an option or a unit that the file lacks has its default; of a course, True is not 1
        told = state.get(part)
        assert {**now[part], **told} == now[part] if part in ("config", "codec") else told == now[part], part
    assert json.dumps({name: state[name] for name in run.course()}, sort_keys=True) == json.dumps(run.course(), sort_keys=True)
    c = run.config
    if c.batch * (c.k + 1) * (c.unroll + 1) < 200 and run.step < c.steps:
        tried(lambda: run.train(stopping=lambda: True))


def attack(rng: np.random.Generator, count: int) -> int:
    """Try `count` changed checkpoints; return how many were tried. Raises AssertionError, which names the case."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name = "own" if rng.random() < 0.6 else "fit"
            run, seed = Path(folder) / "run", int(rng.integers(2**31))
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(kept() / name, run)
            before, of_case = contents(run), np.random.default_rng(seed)
            change = CHANGES[number % len(CHANGES)]
            case = "not changed yet"
            try:
                case = change(of_case, run)
                one(run, before, changed_bytes=change is change_bytes)
            except Exception as error:
                raise AssertionError(f"{name}, {change.__name__}, seed {seed}, {case}: {type(error).__name__}: {error}") from error
    return count


def one(run: Path, before, changed_bytes: bool) -> None:
    """Read one checkpoint in every way that there is."""
    if changed_bytes and (read := tried(lambda: checkpoint.load(run / CHECKPOINT))):
        assert all(read[0][n].tobytes() == a.tobytes() for n, a in before[0].items()) and read[1] == before[1]
    trained = tried(lambda: load_generator(run, backend("reference")))
    if trained is not None:
        tried(lambda: trained.sample(2))
    resumed = tried(lambda: Run.resume(dataset(), backend("reference"), run, {}))
    if resumed is not None:
        assert_taken_to_the_letter(resumed, run)


# ---- bounded, in every run of the tests -----------------------------------------------------------------------------------------


def test_changed_checkpoints_are_refused_in_a_line_or_taken_as_they_are():
    assert attack(np.random.default_rng(20), 240) == 240


def test_the_attack_would_see_a_traceback_and_a_silent_repair(monkeypatch):
    """Planted: a check that fails with an error of Python's, one that lets a wrong step through, and one that mends it."""
    checks = RunState.__dataclass_fields__["step"]
    for planted, words in (("traceback", "RuntimeError"), (lambda value: value, "seed"), (lambda value: 1, "seed")):
        with monkeypatch.context() as patch, pytest.raises(AssertionError, match=words):
            patch.setattr(checks, "metadata", {"check": planted if callable(planted) else failing})
            attack(np.random.default_rng(20), 240)


def failing(value):
    raise RuntimeError("a traceback")

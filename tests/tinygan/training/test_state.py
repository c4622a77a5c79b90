"""What a checkpoint says is checked, part by part: a file with a right checksum may still say anything."""

import copy
import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from signed import contents, sign
from tiny_runs import after, backend, dataset, refusal, resume, start

from tinygan import Tensor
from tinygan.data import Dataset
from tinygan.data.kinds import Table
from tinygan.nn import BatchNorm, Layer, Linear, Sequential, SpectralNorm
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT, CheckpointError
from tinygan.training.config import Config
from tinygan.training.run import Run
from tinygan.training.samples import load_generator
from tinygan.training.state import GENERATORS, RunState, set_generator, state_of_generator

OLDER = Path(__file__).parents[2] / "support" / "run_of_format_1"  # step 3 of 6, saved by the code that named the format first


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The folder of a run at step 7 of 12, which no test changes."""
    out = tmp_path_factory.mktemp("begun") / "run"
    start(out).train(stopping=after(7))
    return out


@pytest.fixture
def run(begun, tmp_path):
    return Path(shutil.copytree(begun, tmp_path / "run"))


def put(value, place, new):
    """Set the part of nested records that `place` names, as "rngs/noise/state"; new: a function makes it of the part before."""
    *path, last = place.split("/")
    for name in path:
        value = value[name]
    value[last] = new(value[last]) if callable(new) else new


# Each is a place in the state, what is put there, and the words by which the refusal names it.
WRONG = [
    ("step", -5, "step is -5"), ("step", None, "step is None"), ("step", 3.0, "step is 3.0"), ("step", True, "step is True"),
    ("step", 13, "step is 13, which lies past the 12"), ("step", 10**60, "more than 40 digits"), ("step", "7", "step is '7'"),
    ("rngs", [], "rngs is a list"), ("rngs/noise", None, "rngs: noise is None"), ("rngs/noise/bit_generator", "PCG128", "'PCG128'"),
    ("rngs/noise/bit_generator", ["PCG64"], "rngs: noise"), ("rngs/noise/state/state", -1, "rngs: noise"),
    ("rngs/noise/state/state", 2**128, "rngs: noise"), ("rngs/noise/state/inc", "1", "rngs: noise"),
    ("rngs/noise/has_uint32", 7.0, "rngs: noise"), ("rngs/noise/uinteger", 2**40, "rngs: noise"),
    ("rngs", lambda rngs: {"noise": rngs["noise"]}, "other random numbers"), ("rngs/more", {}, "rngs: more"),
    ("sampler", None, "sampler is None"), ("sampler/position", -1, "sampler: position is -1"), ("sampler/epoch", 1.5, "epoch"),
    ("sampler/position", 10**6, "not an order"), ("sampler", {}, "sampler"), ("sampler/colour", 3, "sampler"),
    ("config", 3, "configuration is no record"), ("config/steps", None, "steps is None"),
    ("config/unroll", 10**12, "unroll is 1000000000000"),
    ("config/hidden", [7, "5"], "hidden is"), ("config/hidden", [[7]], "hidden is"), ("config/batch", 6.0, "batch is 6.0"),
    ("config/hidden", [1] * 1000, "hidden has 1,000 numbers"), ("config/ema", "0.9", "ema is '0.9'"), ("config/k", [1], "k is [1]"),
    ("config/hidden", [2**20, 2**20], "weights"), ("config/z", 10**6, "weights"), ("config/arch", "vit", "arch is 'vit'"),
    ("config/seed", -1, "seed is -1"), ("config/lr_d", 1e300, "lr_d is 1e+300"), ("config/lr_d", float("nan"), "lr_d is nan"),
    ("config/warmup", 3, "the option 'warmup'"),
    ("config", lambda c: {n: v for n, v in c.items() if n != "k"}, "lacks the option 'k'"),
    ("codec", [], "codec"), ("codec/kind", "video", "'video'"), ("codec/shape", [12, 12], "shape"),
    ("codec/shape", [12, 12, 10**9], ""),
    ("codec/bounded", 1, "bounded"), ("codec/rate", 8000, "rate"), ("codec/more", 1, "codec"),
    ("data", -1, "data is -1"), ("data", 2**32, "data is"), ("data", "x", "data is 'x'"), ("networks", {}, "networks"),
    ("networks", {"reason": "x", "reason of D": "y", "optimisers": [{"kind": "adam"}] * 3}, "optimisers"),
    ("networks", {"G": {"layer": "Linear", "known": True, "state": 3}, "reason of D": "", "optimisers": []}, "description"),
    ("networks", {"reason": 3}, "networks"), ("colour", 3, "'colour'"),
]  # fmt: skip
PLACES = [f"{place}={str(new)[:30] if not callable(new) else 'a part'}" for place, new, _ in WRONG]


@pytest.mark.parametrize(("place", "new", "words"), WRONG, ids=PLACES)
def test_each_part_of_the_state_is_checked_and_named(run, place, new, words):
    arrays, state = contents(run)
    put(state, place, new)
    sign(run, arrays, state)
    with pytest.raises(ValueError) as caught:
        resume(run)
    message = str(caught.value)
    assert words in message and len(message.splitlines()) == 1 and len(message) < 700


def test_every_part_of_the_state_has_a_wrong_value_above():
    assert {place.split("/")[0] for place, *_ in WRONG} - {"colour"} == {f.name for f in fields(RunState)}


@pytest.mark.parametrize("part", ["step", "rngs", "sampler", "config", "codec", "data"])
def test_a_part_that_is_missing_is_named(run, part):
    arrays, state = contents(run)
    del state[part]
    sign(run, arrays, state)
    for call in (lambda: resume(run), lambda: load_generator(run, backend("reference"))):
        assert part if part == "config" else f"lacks {part!r}" in refusal(call)


ARRAYS = {
    "complex": ("D.1.w", lambda a: a.astype(np.complex64), "D.1.w is complex64, it has to be float32"),
    "whole": ("D.1.w", lambda a: a.astype(np.int32), "D.1.w is int32"),
    "float64": ("G.0.w", lambda a: a.astype(np.float64), "float64"),
    "NaN": ("average.0.w", lambda a: a * np.float32("nan"), "average.0.w holds numbers that are not finite"),
    "transposed": ("D.1.w", lambda a: np.ascontiguousarray(a.T), "D.1.w differs"),
    "0-d": ("G.adam.t", lambda a: a.reshape(1), "G.adam.t"),
    "negative count": ("G.adam.t", lambda a: np.asarray(a - 99, a.dtype), "G.adam.t holds negative"),
    "negative square": ("D.adam.v", lambda a: a - 1, "D.adam.v holds negative"),
    "half a step": ("D.adam.t", lambda a: np.asarray(a + np.float32(0.5)), "D.adam.t holds 7.5, and it counts steps"),
    "missing": ("G.0.b", None, "G.0.b differs"), "order of floats": ("sampler.order", lambda a: a.astype(np.float64), "order"),
    "order of bytes": ("sampler.order", lambda a: a.astype(np.uint8), "sampler is not"),
    "order twice": ("sampler.order", lambda a: a * 0, "order"), "no order": ("sampler.order", None, "sampler"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_are_checked_against_the_networks(run, case):
    name, change, words = ARRAYS[case]
    arrays, state = contents(run)
    array = arrays.pop(name)
    sign(run, arrays | ({} if change is None else {name: change(array)}), state)
    assert words in refusal(resume, run)
    if name.startswith("average"):
        assert name in refusal(load_generator, run, backend("reference"))


@pytest.fixture(scope="module")
def with_buffers(tmp_path_factory):
    """The folder of a finished run whose G has batch normalisation, and whose D has spectral normalisation."""
    from tinygan import fit

    out, made = tmp_path_factory.mktemp("buffers") / "run", {"backend": backend("reference"), "rng": 0}
    G = Sequential(Linear(2, 3, **made), BatchNorm(3, backend=made["backend"]), SpectralNorm(Linear(3, 2, **made), rng=0))
    D = Sequential(SpectralNorm(Linear(2, 1, **made), rng=0))
    fit(G, D, np.random.default_rng(0).normal(size=(9, 2)), out=out, steps=3, batch=4, ema=0.9, progress=False)
    return out, G, D


BUFFERS = {
    "negative variance": ("1.var", lambda a: a - 2, "holds a negative variance"),
    "one of three": ("1.var", lambda a: np.array([1, -1e-6, 1], np.float32), "holds a negative variance"),
    "infinite variance": ("1.var", lambda a: a + np.float32("inf"), "not finite"),
    "infinite mean": ("1.mean", lambda a: a - np.float32("inf"), "not finite"),
    "no direction": ("2.u", lambda a: a * 0, "has the length 0, and a direction has the length 1"),
    "a long direction": ("2.u", lambda a: a * 2, "has the length 2, and"),
}  # fmt: skip


@pytest.mark.parametrize("player", ["G", "average"])
@pytest.mark.parametrize("case", BUFFERS)
def test_buffers_hold_what_their_layer_can_have_in_them(with_buffers, tmp_path, case, player):
    """A negative variance would make samples NaN, and so would a direction of length 0."""
    begun, G, D = with_buffers
    run, (name, change, words) = Path(shutil.copytree(begun, tmp_path / "run")), BUFFERS[case]
    arrays, state = contents(run)
    sign(run, arrays | {f"{player}.{name}": change(arrays[f"{player}.{name}"])}, state)
    message = refusal(resumed_fit, G, D, run)
    assert f"{player}.{name}" in message and words in message
    if player == "average":
        for given in (None, G):
            assert words in refusal(load_generator, run, backend("reference"), G=given)


def resumed_fit(G, D, out, **options):
    from tinygan import fit

    points = np.random.default_rng(0).normal(size=(9, 2))
    return fit(G, D, points, out=out, steps=5, batch=4, resume=True, progress=False, say=lambda line: None, **options)


def test_buffers_at_the_end_of_their_range_are_taken(with_buffers, tmp_path):
    """Rounding leaves the variance 0 of a constant channel just below 0; a tiny weight leaves a short direction."""
    begun, G, D = with_buffers
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    arrays, state = contents(run)
    var, u = np.array([0, -1e-10, 1e30], np.float32), arrays["average.2.u"] / 100
    sign(run, arrays | {"average.1.var": var, "average.2.u": u}, state)
    assert np.isfinite(load_generator(run, backend("reference")).sample(3)).all()
    assert resumed_fit(G, D, run).step == 5


class Listed(Layer):
    """A layer of a user's own that holds its tensors in a list, which states no ranges."""

    def __init__(self):
        self.parts = [Tensor(np.eye(2, dtype=np.float32), backend("reference"), requires_grad=True)]

    def __call__(self, z):
        return z @ self.parts[0]


def test_tensors_in_a_list_have_any_range(tmp_path):
    G, D = Listed(), Sequential(Linear(2, 1, backend=backend("reference"), rng=0))
    from tinygan import fit

    points = np.random.default_rng(0).normal(size=(9, 2))
    fit(G, D, points, out=tmp_path, steps=2, batch=4, z=2, progress=False, say=lambda line: None)
    assert resumed_fit(G, D, tmp_path, z=2).step == 5
    assert load_generator(tmp_path, backend("reference"), classes=[Listed]).sample(3).shape == (3, 2)


def test_the_running_variance_of_a_constant_channel_can_be_saved_and_read():
    """What training itself leaves has to lie in the range that is stated, whatever the channel's mean is."""
    for dtype in (np.float32, np.float64):
        layer = BatchNorm(7, backend=backend("reference"), momentum=1.0, dtype=dtype)
        layer(Tensor(np.full((5, 7), [0, 1e-3, 0.1, 1, 3.3, 1e4, 1e9], dtype), backend("reference")))
        assert BatchNorm.ranges["var"](layer, layer.var.numpy()) is None and (layer.var.numpy() < 1).any()


def test_an_array_more_is_refused(run):
    arrays, state = contents(run)
    for name in ("D.9.w", "other", "sampler.more"):
        sign(run, {**arrays, name: np.ones(3, np.float32)}, state)
        assert "sampler" in refusal(resume, run) if "sampler" in name else name in refusal(resume, run)


# ---- size and depth, before anything is parsed -------------------------------------------------------------------------------

DEEP = ["[" * 20_000, '{"a":' * 20_000, "[" * 20_000 + "]" * 20_000, '{"step":' + "[" * 201 + "]" * 201 + "}"]


@pytest.mark.parametrize("text", DEEP, ids=lambda text: f"{text[:9]} {len(text)}")
def test_depth_is_limited(run, text):
    sign(run, contents(run)[0], text)
    assert "nested more than 200 levels deep" in refusal(resume, run)


NO_RECORD = ["", "nul", "{", "[]", "3", '"x"', "{}", '{"step": ' + "9" * 6000 + "}", "\x00", "{'a': 1}"]


@pytest.mark.parametrize("text", NO_RECORD, ids=lambda text: repr(text)[:20])
def test_what_is_no_record_is_refused(run, text):
    sign(run, contents(run)[0], text)
    refusal(resume, run)


def test_size_is_limited_when_it_is_read_and_when_it_is_written(run, tmp_path, monkeypatch):
    arrays, state = contents(run)
    monkeypatch.setattr(checkpoint, "MOST_TEXT", len(json.dumps(state)) - 1)
    assert "at most" in refusal(resume, run)
    assert "cannot write" in refusal(checkpoint.save, tmp_path / "c", arrays, state)
    assert not (tmp_path / "c").exists()


DEPTHS = [([], 1), (3, 0), ({"a": [[], {}]}, 3), ("[[[", 0), (['"[', "\\[[", "\\\"[["], 1)]


@pytest.mark.parametrize(("value", "depth"), DEPTHS, ids=str)
def test_depth_is_that_of_brackets_outside_strings(value, depth):
    assert checkpoint.depth_of(json.dumps(value)) == depth


def test_the_deepest_state_that_may_be_written_can_be_read(tmp_path):
    state = {"a": json.loads("[" * (checkpoint.MOST_DEPTH - 1) + "]" * (checkpoint.MOST_DEPTH - 1))}
    checkpoint.save(tmp_path / "c", {}, state)
    assert checkpoint.load(tmp_path / "c")[1] == state
    with pytest.raises(CheckpointError, match="200 levels"):
        checkpoint.save(tmp_path / "c", {}, {"b": state})


# ---- equal state, equal bytes ------------------------------------------------------------------------------------------------


def bytes_of(run):
    return (run / CHECKPOINT).read_bytes()


def test_equal_runs_have_equal_bytes(tmp_path):
    """Two runs of a seed, and one that was interrupted and resumed, have one and the same checkpoint; another seed's differs."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert start(tmp_path / name, seed=seed).train()
    start(tmp_path / "parts").train(stopping=after(7))
    assert resume(tmp_path / "parts").train()
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b") == bytes_of(tmp_path / "parts") != bytes_of(tmp_path / "c")
    for _ in range(3):
        Run.resume(dataset("pictures"), backend("reference"), tmp_path / "b", {}).save()
        assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_the_order_of_dictionaries_and_whole_numbers_for_floats_change_no_byte(tmp_path):
    arrays = {f"a{i}": np.full(i, i, "<f4") for i in range(9)}
    state = {"b": 1, "a": {"y": 2, "x": [1.5]}}
    checkpoint.save(tmp_path / "one", arrays, state)
    backwards = {name: array.astype(">f4") for name, array in reversed(arrays.items())}
    checkpoint.save(tmp_path / "two", backwards, {"a": {"x": [1.5], "y": 2}, "b": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    for name, zero, one in (("a", 0, 1), ("b", 0.0, 1.0)):
        assert start(tmp_path / name, r1=zero, noise=one, steps=1).train()
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_the_library_alone_would_not_give_equal_bytes(tmp_path):
    """The order in which safetensors writes metadata is one of chance, so the test above could fail."""
    seen = set()
    for _ in range(60):
        sign(tmp_path, {}, {})
        header = (tmp_path / CHECKPOINT).read_bytes()
        seen.add(tuple(re.findall(rb'"(format|state|sha256)"', header)))
    assert len(seen) > 1


# ---- versions ----------------------------------------------------------------------------------------------------------------


def table() -> Dataset:
    rows = np.random.default_rng(5).normal(size=(11, 2)) * [1, 100]
    return Table.of_rows(Path("t.csv"), rows, ("a", "b"))


def started(out) -> Run:
    """Return the run whose step 3 is kept, at its start."""
    options = {"steps": 6, "hidden": (3,), "z": 2, "batch": 5, "save_every": 3, "backend": "reference", "ema": 0.9, "seed": 1}
    return Run(Config(data="t.csv", **options), table(), backend("reference"), out)


def test_a_checkpoint_of_this_format_resumes_and_samples_later(tmp_path):
    """The file was written once and is kept: what it holds has to go on, to the steps and the numbers of a run of today."""
    older = Path(shutil.copytree(OLDER, tmp_path / "older"))
    assert load_generator(older, backend("reference")).sample(4).shape == (4, 2)
    resumed = Run.resume(table(), backend("reference"), older, {})
    assert resumed.step == 3 and resumed.train()
    whole = started(tmp_path / "whole")
    assert whole.train() and whole.config == resumed.config
    for name, array in whole.live_arrays().items():  # another machine's BLAS may round otherwise
        np.testing.assert_allclose(resumed.live_arrays()[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    assert {n: g.bit_generator.state for n, g in resumed.rngs.items()} == {n: g.bit_generator.state for n, g in whole.rngs.items()}


def test_what_is_written_today_has_the_parts_of_the_kept_file(tmp_path):
    """Whoever changes what is written sees here that the format changed: a part has to be added with a default, or not at all."""
    started(tmp_path / "run").train(stopping=after(3))
    (was, was_state), (now, now_state) = contents(OLDER), contents(tmp_path / "run")
    assert {n: (a.shape, a.dtype) for n, a in was.items()} == {n: (a.shape, a.dtype) for n, a in now.items()}
    assert set(was_state) <= set(now_state)
    older = RunState.from_json(was_state)
    assert all(getattr(older, f.name) is f.default for f in fields(RunState) if f.name not in was_state)


def test_a_newer_format_is_refused_in_a_line(run):
    arrays, state = contents(run)
    for form, words in (("tinygan-2", "newer version of tinygan: its format is 2"), ("tinygan-99999", "its format is 99999"),
                        ("tinygan-0", "not a checkpoint of tinygan"), ("tinygan-", "not a"), ("tinygan--1", "not a"),
                        ("tinygan-1.5", "not a"), ("tinygan-" + "9" * 5000, "not a"), ("pt", "not a"), ("", "not a")):
        sign(run, arrays, state, form)
        assert words in refusal(resume, run) and words in refusal(load_generator, run, backend("reference"))


def test_a_field_that_was_added_since_has_its_default(run):
    """An option by its neutral value (test_older_runs.py), a unit of the data and a part of the state by its default."""
    arrays, state = contents(run)
    del state["codec"]["rate"], state["codec"]["columns"]
    assert "networks" not in state
    sign(run, arrays, state)
    assert resume(run).train()


# ---- a checkpoint file is a run ----------------------------------------------------------------------------------------------


def test_a_checkpoint_file_stands_for_its_run(run, tmp_path):
    wanted = load_generator(run, backend("reference")).sample(3)
    copied = Path(shutil.copy(run / CHECKPOINT, tmp_path / "kept.safetensors"))
    for file in (run / CHECKPOINT, copied, str(copied)):
        np.testing.assert_array_equal(load_generator(file, backend("reference")).sample(3), wanted)
    resumed = Run.resume(dataset("pictures"), backend("reference"), run / CHECKPOINT, {})
    assert resumed.out == run and resumed.train()
    assert "a run goes on in a folder" in refusal(Run.resume, dataset("pictures"), backend("reference"), copied, {})


# ---- generators --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_kind_of_generator_comes_back_from_json(kind):
    one, other = (np.random.Generator(getattr(np.random, kind)(seed)) for seed in (1, 2))
    one.integers(10, size=3, dtype=np.int32), one.standard_normal(3)
    set_generator(other.bit_generator, json.loads(json.dumps(state_of_generator(one.bit_generator))))
    assert (one.integers(2**60, size=99) == other.integers(2**60, size=99)).all()


# ---- networks of a user's own ------------------------------------------------------------------------------------------------


class Noisy(Layer):
    """A layer with a generator of its own, of a kind whose state holds arrays."""

    def __init__(self, kind):
        self.rng, self.inner = np.random.Generator(getattr(np.random, kind)(3)), Linear(2, 2, backend=backend("reference"), rng=0)

    def __call__(self, x):
        return self.inner(x) * float(1 + self.rng.integers(2))


@pytest.mark.parametrize("kind", ["MT19937", "Philox", "PCG64"])
def test_a_run_whose_layer_draws_from_any_kind_of_generator_goes_on(tmp_path, kind):
    from tinygan import fit

    def trained(out, steps, **more):
        made = {"backend": backend("reference"), "rng": 0}
        G, D = Sequential(Linear(2, 2, **made), Noisy(kind)), Sequential(Linear(2, 1, **made))
        return fit(G, D, points, out=out, steps=steps, batch=4, decay=0, progress=False, say=lambda line: None, **more)

    points = np.random.default_rng(0).normal(size=(9, 2))
    trained(tmp_path / "whole", 8)
    trained(tmp_path / "parts", 5)
    trained(tmp_path / "parts", 8, resume=True)
    assert contents(tmp_path / "whole")[1]["rngs"] == contents(tmp_path / "parts")[1]["rngs"]


def test_a_blueprint_that_does_not_work_is_refused(tmp_path):
    from tinygan import fit

    made = {"backend": backend("reference"), "rng": 0}
    G, D = Sequential(Linear(2, 3, act="tanh", **made), Linear(3, 2, **made)), Sequential(Linear(2, 1, **made))
    fit(G, D, np.random.default_rng(0).normal(size=(9, 2)), out=tmp_path, steps=2, batch=4, progress=False)
    arrays, state = contents(tmp_path)
    load_generator(tmp_path, backend("reference")).sample(2)
    huge = {"tensor": [10**9, 10**9], "dtype": "float32", "learnt": True}
    for change in ({"act": "no such"}, {"act": 3},
                   {"slope": None}, {"b": None}, {"w": huge}, {"w": {"same": 99}}, {"w": {"op": "exp"}},
                   {"w": {"odd": 1}}, {"w": 3}):  # fmt: skip
        wrong = copy.deepcopy(state)
        wrong["networks"]["G"]["state"]["layers"]["tuple"][0]["state"].update(change)
        sign(tmp_path, arrays, wrong)
        refusal(load_generator, tmp_path, backend("reference"))
    wrong = copy.deepcopy(state)
    wrong["networks"]["G"]["state"]["layers"]["tuple"][0]["layer"] = "a\nb"
    sign(tmp_path, arrays, wrong)
    refusal(load_generator, tmp_path, backend("reference"))

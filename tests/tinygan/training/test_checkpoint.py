"""Checkpoints: what is saved comes back; what was damaged, or could not be written, is said in one line and costs nothing."""

import ast
import errno
import json
import os
import pickle
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

import tinygan
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CheckpointError

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"]
RNG = np.random.default_rng(7)
ARRAYS = {
    "G.0.w": RNG.standard_normal((5, 3)).astype(np.float32), "G.adam.t": np.float32(7).reshape(()),
    "sampler.order": RNG.permutation(11), "nothing": np.zeros((0, 4), np.float64),
}
STATE = {"step": 3, "rngs": {"noise": {"state": 2**127 + 1}}, "rate": 0.1, "codec": [1.5, None, "ä\n"]}


def refusal(call, *args) -> str:
    """Return the message of the CheckpointError that `call` raises, checked to be one line."""
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert message and len(message.splitlines()) == 1
    return message


def assert_same(found, wanted):
    """Check that arrays are equal to the last bit, NaN payloads and the sign of zero included."""
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype.newbyteorder("="), array.shape), name
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes(), name


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run" / "c.safetensors"
    path.parent.mkdir()
    checkpoint.save(path, ARRAYS, STATE)
    return path


# ---- round trip -----------------------------------------------------------------------------------------


def test_arrays_and_state_come_back(saved):
    arrays, state = checkpoint.load(saved)
    assert_same(arrays, ARRAYS)
    assert state == STATE
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4)], ids=str)
def test_every_dtype_and_shape(tmp_path, dtype, shape):
    raw = RNG.integers(0, 256, int(np.prod(shape)) * np.dtype(dtype).itemsize, dtype=np.uint8)
    raw = raw % 2 if dtype == "?" else raw
    array = np.frombuffer(raw.tobytes(), dtype).reshape(shape)
    checkpoint.save(tmp_path / "c", {"a": array}, {})
    assert_same(checkpoint.load(tmp_path / "c")[0], {"a": array})


@pytest.mark.parametrize("array", [
    np.arange(12.0).reshape(3, 4).T, np.arange(12.0)[::-2], np.broadcast_to(np.float32(2), (3, 2)),
    np.asfortranarray(np.eye(3)[:2]),
    np.arange(6).astype(">i4"), np.arange(6.0).astype(">f8").reshape(2, 3)[:, ::2], np.array([np.nan, -np.nan, -0.0, np.inf]),
], ids=["transposed", "backwards", "broadcast", "Fortran", "foreign bytes", "foreign and strided", "special values"])
def test_every_layout(tmp_path, array):
    checkpoint.save(tmp_path / "c", {"a": array}, {})
    assert_same(checkpoint.load(tmp_path / "c")[0], {"a": array})


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
                    hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)), max_size=4),
    st.dictionaries(st.text(max_size=8), st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3), max_leaves=5), max_size=4),
)
def test_any_names_and_values(tmp_path, arrays, state):
    checkpoint.save(tmp_path / "c", arrays, state)
    found, found_state = checkpoint.load(tmp_path / "c")
    assert_same(found, arrays)
    assert found_state == state


def test_a_generator_goes_on_where_its_saved_state_was(tmp_path):
    rng = np.random.default_rng(3)
    rng.standard_normal(5)
    rng.integers(10, size=3, dtype=np.int32)  # leaves half a draw behind, which is part of the state
    checkpoint.save(tmp_path / "c", {}, {"rng": rng.bit_generator.state})
    other = np.random.default_rng(0)
    other.bit_generator.state = checkpoint.load(tmp_path / "c")[1]["rng"]
    assert (other.integers(10, size=9, dtype=np.int32) == rng.integers(10, size=9, dtype=np.int32)).all()
    assert (other.standard_normal(9) == rng.standard_normal(9)).all()


def test_the_bytes_of_a_file_are_those_that_are_described(tmp_path):
    """Its header in order, compact and in UTF-8, filled with blanks to the next multiple of 8: files of today's and of later code
    have equal bytes.
    """
    for name in ("a", "ab", "ä", "abcdefgh"):
        checkpoint.save(tmp_path / "c", {name: np.zeros(1, "f4")}, {"b": 1, "a": [2]})
        raw, text = (tmp_path / "c").read_bytes(), '{"a": [2], "b": 1}'
        size = int.from_bytes(raw[:8], "little")
        sha = checkpoint.digest({name: np.zeros(1, "f4")}, text)
        metadata = {"format": "tinygan-1", "sha256": sha, "state": text}
        header = {"__metadata__": metadata, name: {"data_offsets": [0, 4], "dtype": "F32", "shape": [1]}}
        wanted = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert raw[8 : 8 + size] == wanted + b" " * (-len(wanted) % 8) and raw[8 + size :] == bytes(4)
        assert size % 8 == 0 and size - len(wanted) < 8


# ---- damage ---------------------------------------------------------------------------------------------


def test_truncated_anywhere(saved):
    whole = saved.read_bytes()
    for length in {*range(0, len(whole), 7), *range(12), len(whole) - 1}:
        saved.write_bytes(whole[:length])
        refusal(checkpoint.load, saved)


@pytest.mark.parametrize("tail", [b"\0", b"x" * 100], ids=["one byte", "many"])
def test_longer_than_it_was(saved, tail):
    saved.write_bytes(saved.read_bytes() + tail)
    refusal(checkpoint.load, saved)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_bytes_never_pass_for_another_run(saved, data):
    """A checkpoint with mutated bytes is refused, or every array and the state are unchanged (a space in its header)."""
    whole = saved.read_bytes()
    raw = bytearray(whole)
    places = st.one_of(st.integers(0, len(raw) - 1), st.integers(0, 16))
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        raw[at] = value
    saved.write_bytes(raw)
    try:
        arrays, state = checkpoint.load(saved)
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert_same(arrays, ARRAYS)
        assert state == STATE
    saved.write_bytes(whole)


def test_every_flipped_bit_of_an_array_is_found(saved):
    whole = saved.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    assert len(whole) - begin == sum(a.nbytes for a in ARRAYS.values())
    for at in range(begin, len(whole)):
        raw = bytearray(whole)
        raw[at] ^= 1 << (at % 8)
        saved.write_bytes(raw)
        assert "checksum" in refusal(checkpoint.load, saved)


def test_a_changed_state_is_found(saved):
    raw = saved.read_bytes()
    assert raw.count(rb"\"step\": 3") == 1
    saved.write_bytes(raw.replace(rb"\"step\": 3", rb"\"step\": 4"))
    assert "checksum" in refusal(checkpoint.load, saved)


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"w": np.ones(3, np.float32)}, path)
    assert "not a checkpoint of tinygan" in refusal(checkpoint.load, path)
    save_file({"w": np.ones(3, np.float32)}, path, metadata={"format": "pt"})
    assert "not a checkpoint of tinygan" in refusal(checkpoint.load, path)
    save_file({"w": np.ones(3, np.float32)}, path, metadata={"format": checkpoint.FORMAT})
    assert "not a checkpoint of tinygan" in refusal(checkpoint.load, path)


def test_a_dtype_that_numpy_lacks(tmp_path):
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "c").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    refusal(checkpoint.load, tmp_path / "c")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    Path("c.safetensors").write_bytes(pickle.dumps(Bomb(), protocol))
    refusal(checkpoint.load, Path("c.safetensors"))
    np.save("c.npy", np.array([Bomb()], object), allow_pickle=True)
    refusal(checkpoint.load, Path("c.npy"))
    assert not Path("exploded").exists()


def test_missing_and_folder(tmp_path):
    assert "no checkpoint" in refusal(checkpoint.load, tmp_path / "none")
    assert "no checkpoint" in refusal(checkpoint.load, tmp_path)


# ---- writing that fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=errno.errorcode.get)
def test_a_failed_write_leaves_the_earlier_checkpoint(saved, monkeypatch, function, code):
    before = saved.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        message = refusal(checkpoint.save, saved, {"a": np.zeros(3)}, {})
    assert os.strerror(code) in message and "untouched" in message
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]
    checkpoint.save(saved, {"a": np.zeros(3)}, {})  # and the next one succeeds
    assert list(checkpoint.load(saved)[0]) == ["a"]


def test_an_interrupted_write_leaves_the_earlier_checkpoint(saved, monkeypatch):
    before = saved.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", interrupt)
        checkpoint.save(saved, {"a": np.zeros(3)}, {})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "c", tmp_path / "missing" / "c", tmp_path / "folder"):
        refusal(checkpoint.save, path, ARRAYS, STATE)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and not os.listdir(tmp_path / "folder")


def test_flushed_before_it_is_renamed_and_its_folder_after(saved, monkeypatch):
    """The order that makes a power cut harmless: contents, then name, then the folder that holds the name."""
    calls, fsync, replace = [], os.fsync, os.replace
    kind = {True: "folder", False: "file"}
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(kind[stat.S_ISDIR(os.fstat(fd).st_mode)]), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    checkpoint.save(saved, ARRAYS, STATE)
    assert calls == ["file", "rename", "folder"]


# ---- nothing is unpickled -------------------------------------------------------------------------------

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Most files have none of these words, and need not be parsed, which takes seconds for all. Python takes other letters for the same
# ones in some alphabets, so only in ASCII is a name written as it is.
SAID = re.compile("|".join([*UNPICKLERS, "allow_pickle"]))


def unpickling(source: str) -> list[str]:
    """Return every way into an unpickler that a source names: imports of one, and allow_pickle that is not False."""
    if source.isascii() and not SAID.search(source):
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in imported if name.split(".")[0] in UNPICKLERS]
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True) is not False:
            found.append("allow_pickle")
    return found


def test_no_module_can_unpickle():
    sources = sorted(Path(tinygan.__file__).parent.rglob("*.py"))
    assert len(sources) > 10
    assert {path.name: found for path in sources if (found := unpickling(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("source", ["import pickle", "import joblib.memory as m", "from _pickle import loads", "import \uff50ickle",
                                    "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=x)"])
def test_the_source_check_sees_unpicklers(source):
    assert unpickling(source)

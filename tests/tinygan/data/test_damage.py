"""Truncated, mutated and foreign files of every format: a sound set or one line, never a traceback."""

import gzip
import io
import os

import numpy as np
import pytest
from data_files import PIXELS, error_of, idx, save, shown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile

from tinygan.data import DataError, load

RNG = np.random.default_rng(7)


def buffer_of(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


WHOLE = {
    "a.idx": idx(),
    "a.gz": gzip.compress(idx(), mtime=0),
    "a.npy": buffer_of(lambda f: np.save(f, PIXELS)),
    "a.npz": buffer_of(lambda f: np.savez_compressed(f, PIXELS)),
    "a.wav": buffer_of(lambda f: wavfile.write(f, 8000, (np.sin(np.arange(2000) * 0.05) * 2**14).astype(np.int16))),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_load(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert len(load(tmp_path / name).x) >= 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_truncated_files_never_load(tmp_path, name, data):
    length = data.draw(st.one_of(st.integers(0, len(WHOLE[name]) - 1), st.integers(0, 64)))
    (tmp_path / name).write_bytes(WHOLE[name][:length])
    error_of(load, tmp_path / name)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_mutated_files_load_or_give_one_line(tmp_path, name, data):
    raw = bytearray(WHOLE[name])
    ends = st.one_of(st.integers(0, min(len(raw), 130) - 1), st.integers(0, len(raw) - 1))
    for at, value in data.draw(st.lists(st.tuples(ends, st.integers(0, 255)), min_size=1, max_size=4)):
        raw[at] = value
    (tmp_path / name).write_bytes(raw)
    try:
        shown(load(tmp_path / name))
    except DataError as error:
        assert len(str(error).splitlines()) == 1


COLOURS = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8))
PICTURES = {name: buffer_of(lambda f, n=name: COLOURS.save(f, n)) for name in ("png", "jpeg", "gif", "bmp", "tiff")}


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_mutated_pictures_are_read_or_left_out(tmp_path, suffix, data):
    raw = bytearray(PICTURES[suffix])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=4)):
        raw[at] = value
    for i in range(2):
        save(PIXELS[0], tmp_path / f"whole{i}.png")
    (tmp_path / f"a.{suffix}").write_bytes(raw[:data.draw(st.integers(0, len(raw)))])
    loaded = load(tmp_path, size=8)
    unread = sum("unreadable" in note for note in loaded.notes)
    assert shown(loaded).shape[:3] == (3 - unread, 8, 8)
    (tmp_path / f"a.{suffix}").unlink()


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="1203456789.,;-+eE\t\n\r\"ax \0_", max_size=40))
def test_any_text_as_csv_loads_or_gives_one_line(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    try:
        shown(load(tmp_path / "t.csv"))
    except DataError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.csv.zip"])
def test_unknown_formats_list_the_known(tmp_path, name):
    (tmp_path / name).write_text("1,2\n3,4\n")
    assert ".npz, .csv, .tsv, (.gz), .wav" in error_of(load, tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    assert "neither a file nor a folder" in error_of(load, tmp_path / "a.csv")

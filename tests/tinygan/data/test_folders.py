"""Folders as people have them: hidden and linked ones, further pages, sound, and what tinygan itself left there."""

import os
import shutil

import numpy as np
import pytest
from data_files import refusal_of, save, shown
from PIL import Image, PngImagePlugin
from scipy.io import wavfile

from tinygan.cli.main import run as command
from tinygan.data import load
from tinygan.data.kinds import Images, Sound
from tinygan.data.readers import folders
from tinygan.training.checkpoint import CHECKPOINT

RNG = np.random.default_rng(5)


def picture(path, shape=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    save(RNG.integers(0, 256, shape, dtype=np.uint8), path, **options)


# ---- which files ---------------------------------------------------------------------------------------------------------------

def test_hidden_folders_and_files_are_left_out_and_told(tmp_path):
    for name in ("a.png", "b.png", ".ipynb_checkpoints/a-checkpoint.png", "._a.png", ".DS_Store"):
        picture(tmp_path / name, format="PNG")
    data = load(tmp_path)
    assert len(data.x) == 2 and data.notes == ("._a.png, .ipynb_checkpoints: hidden, left out",)


def test_linked_folders_are_read_and_circles_end(tmp_path):
    for name in ("main/a.png", "main/b.png", "other/c.png"):
        picture(tmp_path / name)
    os.symlink(tmp_path / "other", tmp_path / "main" / "more")
    os.symlink(tmp_path / "main", tmp_path / "other" / "back")
    os.symlink(tmp_path / "nowhere.png", tmp_path / "main" / "gone.png")
    os.symlink(tmp_path / "other" / "c.png", tmp_path / "main" / "d.png")
    data = load(tmp_path / "main")
    assert len(data.x) == 3  # a, b, and the linked folder's c, which d is too
    assert data.notes == ("gone.png: a link that leads nowhere", "more/back: linked to a folder that is read already",
                          "d.png: linked to a file that is read already")
    os.symlink(tmp_path / "main", tmp_path / "whole")
    np.testing.assert_array_equal(load(tmp_path / "whole").x, data.x)


def test_of_a_folder_and_a_link_to_it_the_link_is_left_out(tmp_path):
    """Whichever comes first by its name; so it is with files."""
    for name in ("m/a.png", "m/b.png", "c.png"):
        picture(tmp_path / name)
    for link, target in (("l", "m"), ("n", "m"), ("self", "."), ("b.png", "c.png"), ("d.png", "c.png")):
        os.symlink(tmp_path / target, tmp_path / link)
    found = folders.list_folder(tmp_path, (".png",))
    assert [str(path.relative_to(tmp_path)) for path in found.files] == ["c.png", "m/a.png", "m/b.png"]
    assert found.notes == ("l, n, self: linked to a folder that is read already",
                           "b.png, d.png: linked to a file that is read already")


def test_a_folder_that_two_links_lead_to_is_read_once(tmp_path):
    picture(tmp_path / "main" / "a.png")
    for name in ("b.png", "c.png"):
        picture(tmp_path / "other" / name)
    for name in ("one", "two"):
        os.symlink(tmp_path / "other", tmp_path / "main" / name)
    assert len(load(tmp_path / "main").x) == 3


def test_further_pages_and_frames_are_left_out_and_told(tmp_path):
    frames = [Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(3)]
    for name in ("a.tif", "b.gif", "c.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.tif")
    data = load(tmp_path)
    assert len(data.x) == 4
    assert data.notes[-1].startswith("a.tif, b.gif, c.png: of several pages or frames the first alone was read")
    for i in range(3):
        np.testing.assert_array_equal(shown(data)[i], shown(data)[3])


@pytest.mark.parametrize(("name", "options"), [("d.webp", {"lossless": True}), ("e.jpg", {"format": "MPO"}),
                                               ("f.tiff", {"compression": "tiff_deflate"})])
def test_further_frames_of_other_formats_are_told_too(tmp_path, name, options):
    """Two frames: Pillow 10.0.0 writes MPO files of three that it cannot read."""
    frames = [Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(2)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    frames[0].save(tmp_path / "one.png")
    data = load(tmp_path)
    assert data.notes == (f"{name}: of several pages or frames the first alone was read; save each as a picture to use all",)
    if "MPO" not in options.values():
        np.testing.assert_array_equal(shown(data)[0], shown(data)[1])


def test_a_file_of_several_pages_is_no_folder(tmp_path):
    frames = [Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    assert "pages or frames of one file are not read; save each as a picture" in refusal_of(load, tmp_path / "stack.tif")
    frames[0].save(tmp_path / "one.tif")
    assert "give the folder with all of them" in refusal_of(load, tmp_path / "one.tif")
    (tmp_path / "no.tif").write_text("no picture")
    assert "its content is no picture" in refusal_of(load, tmp_path / "no.tif")


def test_a_folder_without_data_tells_what_is_in_it(tmp_path):
    assert "it needs at least 2 pictures" in refusal_of(load, tmp_path) and ".wav" in refusal_of(load, tmp_path)
    for name in ("a.heic", "b.HEIC", "notes"):
        (tmp_path / name).write_text("x")
    assert "Its files are 2 .heic, 1 without a suffix." in refusal_of(load, tmp_path)


# ---- what tinygan wrote ---------------------------------------------------------------------------------------------------------

def test_a_run_in_the_folder_of_its_data_does_not_learn_from_its_own_pictures(tmp_path, monkeypatch, capsys):
    """`cd photos; tinygan train .; tinygan sample runs/data -o samples.png; cp runs/data/curves.png .; tinygan train .`"""
    for i in range(6):
        picture(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    quick = ["--steps", "1", "--hidden", "4", "--z", "2", "--batch", "2", "--backend", "reference"]
    assert command(["train", ".", *quick]) == 0
    assert (tmp_path / "runs" / "data" / "samples.png").exists()
    assert command(["sample", "runs/data", "-n", "4", "-o", "samples.png", "--backend", "reference"]) == 0
    shutil.copy("runs/data/curves.png", "curves.png")
    capsys.readouterr()
    data = load(".")
    assert len(data.x) == 6 and data.codec == Images((8, 8, 1))
    notes = " ".join(data.notes)
    assert "runs/data: the folder of a tinygan run" in notes and "curves.png, samples.png: made by tinygan" in notes


def test_the_pictures_of_a_run_by_their_mark_wherever_they_lie(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png")
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", "tinygan")
    picture(tmp_path / "sheet.png", pnginfo=mark)
    picture(tmp_path / "run.gif", comment=b"tinygan")
    other = PngImagePlugin.PngInfo()
    other.add_text("Software", "gimp")
    picture(tmp_path / "photo.png", pnginfo=other)
    data = load(tmp_path)
    assert len(data.x) == 4 and data.notes == ("run.gif, sheet.png: made by tinygan, left out",)


def test_pictures_of_runs_before_there_were_marks(tmp_path):
    for name in ("a.png", "b.png", "samples.png", "curves.png"):
        picture(tmp_path / name)
    assert len(load(tmp_path).x) == 4, "without a checkpoint beside them they are pictures like others"
    (tmp_path / CHECKPOINT).write_bytes(b"")
    data = load(tmp_path)
    assert len(data.x) == 2 and "curves.png, samples.png: drawn by a tinygan run, left out" in data.notes


def test_the_name_of_a_checkpoint_is_the_same_here():
    assert folders.CHECKPOINT == CHECKPOINT


# ---- sizes ----------------------------------------------------------------------------------------------------------------------

def test_the_size_chosen_for_mixed_pictures_is_said_and_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, shape in (("a", (10, 30)), ("b", (12, 12)), ("c", (30, 10))):
        picture(tmp_path / "p" / f"{name}.png", shape)
    data = load("p")
    assert data.chosen == {"size": 64} and data.defaults()["size"] == 64
    assert "pictures of 3 sizes, 12x12 to 30x10 pixels, were cropped to their central squares and resized to 64x64" in data.notes[0]
    assert load("p", size=8).notes == () and load("p", size=8).chosen == {}
    assert command(["train", "p", "--steps", "0", "--hidden", "4", "--backend", "reference", "--out", "r"]) == 0
    assert '"size": 64' in (tmp_path / "r" / "config.json").read_text()
    picture(tmp_path / "p" / "d.png", (9, 9))
    other = ["train", "p", "--resume", "--steps", "1", "--backend", "reference", "--out", "r"]
    assert command(other) == 2, "other pictures are other data"


def test_oblong_pictures_of_one_size(tmp_path):
    for i in range(2):
        picture(tmp_path / f"{i}.png", (10, 30))
    assert load(tmp_path).notes[0].startswith("pictures of 30x10 pixels were cropped to their central squares")


# ---- reasons --------------------------------------------------------------------------------------------------------------------

def test_reasons_are_true_and_no_wrong_cure_follows(tmp_path):
    for i in range(2):
        save(np.ones((4, 4), np.float32), tmp_path / f"{i}.tiff")
    message = refusal_of(load, tmp_path)
    assert "32-bit floats" in message and "save it as 8 or 16 bit" in message and "damaged" not in message
    for i in range(2):
        (tmp_path / f"{i}.tiff").write_text("no picture")
    message = refusal_of(load, tmp_path)
    assert "its content is no picture" in message and "damaged" not in message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_picture_without_permission(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png")
    (tmp_path / "0.png").chmod(0)
    assert "cannot be read (Permission denied)" in load(tmp_path).notes[0]


def test_a_folder_of_tables_names_one(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    assert "It has a.csv, which can be read as a file" in refusal_of(load, tmp_path)


# ---- sound ----------------------------------------------------------------------------------------------------------------------

def wave(path, length=3000, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = (RNG.standard_normal(length) * 3000).astype(np.int16)
    wavfile.write(path, rate, sound)
    return sound


def test_a_folder_of_sound(tmp_path):
    second, first = wave(tmp_path / "b" / "b.WAV", 1024), wave(tmp_path / "a.wav", 2048)
    data = load(tmp_path)
    assert data.codec == Sound((1024,), rate=8000) and data.notes == () and data.chosen == {"window": 1024}
    windows = [first[:1024], first[512:1536], first[1024:], second]
    np.testing.assert_array_equal(shown(data), windows)  # no window across two files
    assert data.summary == f"{tmp_path.name}: 4 windows of 1,024 samples (0.128 s each) at 8,000 Hz"


def test_what_of_a_folder_of_sound_is_left_out(tmp_path):
    for name, length, rate in (("a", 3000, 8000), ("b", 3000, 8000), ("c", 3000, 44100), ("d", 700, 8000)):
        wave(tmp_path / f"{name}.wav", length, rate)
    (tmp_path / "e.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("x")
    Sound((1024,), rate=8000).write(tmp_path / "made.wav", np.zeros((3, 1024)))
    data = load(tmp_path)
    assert len(data.x) == 8
    notes = " | ".join(data.notes)
    for words in ("1 file(s) that are no sound", "1 unreadable file(s) of sound", "made.wav: made by tinygan", "c.wav (44,100 Hz)",
                  "1 file(s) shorter than a window"):
        assert words in notes, words


def test_sound_of_another_rate_is_not_measured_as_if_it_had_that_of_the_run(tmp_path):
    wave(tmp_path / "a.wav", rate=8000)
    wave(tmp_path / "b.wav", rate=44100)
    run, other = load(tmp_path / "a.wav"), load(tmp_path / "b.wav")
    assert "its samples have the rate 44100, and those of the run 8000" in refusal_of(other.in_units_of, run.codec)
    np.testing.assert_array_equal(run.in_units_of(run.codec).x, run.x)


def test_the_commoner_of_pictures_and_sound(tmp_path):
    for i in range(3):
        wave(tmp_path / f"{i}.wav")
    picture(tmp_path / "cover.png")
    assert load(tmp_path).codec.kind == "sound" and "1 file(s) that are no sound" in load(tmp_path).notes[0]
    for i in range(4):
        picture(tmp_path / f"{i}.png")
    assert load(tmp_path).codec.kind == "images" and "3 file(s) that are not pictures" in load(tmp_path).notes[0]


def test_what_was_changed_in_sounds_is_told_once_for_each_kind_of_change(tmp_path):
    for name in "abc":
        wavfile.write(tmp_path / f"{name}.wav", 8000, (RNG.standard_normal((3000, 2)) * 3000).astype(np.int16))
    loud = RNG.standard_normal(3000)
    wavfile.write(tmp_path / "d.wav", 8000, (loud / np.abs(loud).max() * 5).astype(np.float32))
    wavfile.write(tmp_path / "e.wav", 8000, (loud / np.abs(loud).max() * 7).astype(np.float32))
    wavfile.write(tmp_path / "f.wav", 8000, np.zeros(3000, np.int16))
    sides = (RNG.standard_normal(3000) * 3000).astype(np.int16)
    wavfile.write(tmp_path / "g.wav", 8000, np.stack([sides, -sides], 1))
    assert load(tmp_path).notes == (
        "a.wav: its 2 channels were averaged to one; 3 more file(s) likewise",
        "d.wav: its peak of 5 was scaled to 1; 1 more file(s) likewise",
        "f.wav: it is silent throughout; 1 more file(s) likewise")


@pytest.mark.parametrize("lengths", [(), (0,), (1024,), (1023, 1023)])
def test_too_little_sound(tmp_path, lengths):
    for i, length in enumerate(lengths):
        wave(tmp_path / f"{i}.wav", length)
    assert ("no sound" if not lengths else "two windows of 1024") in refusal_of(load, tmp_path)

"""`tinygan evaluate`: which data it measures against, and one line for data that cannot be measured."""

import shutil

import numpy as np
import pytest
from quick_endings import end_quickly
from told import told

from tinygan.cli import run
from tinygan.data import DataError, load
from tinygan.measure.report import quality_report
from tinygan.training.checkpoint import CHECKPOINT

FAST = ("--steps", "2", "--batch", "4", "--hidden", "4", "--z", "2", "--backend", "reference")


def write(path, rows, columns, seed=0, scale=1.0, shift=0.0):
    values = shift + scale * np.random.default_rng(seed).normal(size=(rows, len(columns)))
    np.savetxt(path, values, delimiter=",", header=",".join(columns), comments="")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with tables, and runs on some of them."""
    here = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        end_quickly(patch)
        write("t.csv", 30, "abc")
        write("few.csv", 5, "abc")
        write("six.csv", 6, "abc")
        write("two.csv", 2, "ab")
        write("held.csv", 20, "abc", seed=5, scale=3.0, shift=7.0)
        write("four.csv", 30, "abcd")
        write("other.csv", 30, "xyz")
        for name in ("t", "few", "six", "two"):
            assert run(["train", f"{name}.csv", *FAST]) == 0
        assert run(["train", "ring", *FAST]) == 0
        assert run(["train", "ring", "--scale", "2", "--out", "runs/scaled", *FAST]) == 0
        assert run(["train", "t.csv", "--columns", "a,b", "--out", "runs/columns", *FAST]) == 0
    return here


@pytest.fixture
def evaluate(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    end_quickly(monkeypatch)

    def call(*words):
        capsys.readouterr()
        code = run(["evaluate", *map(str, words), "--backend", "reference"])
        stdout, stderr = capsys.readouterr()
        return code, stdout.splitlines(), told(stderr)

    return call


@pytest.mark.parametrize(("words", "told"), [
    ("runs/scaled --data two.csv", "the kind table"), ("runs/columns --data digits", "the kind images, and those of the run table"),
    ("runs/few", "few.csv has 5 samples, too few"), ("runs/two", "two.csv has 2 samples, too few"),
    ("runs/t --data few.csv", "few.csv has 5 samples, too few"), ("runs/t --data four.csv", "has d besides, unlike"),
    ("runs/t --data other.csv", "lacks the columns a, b, c and has x, y, z besides"), ("runs/t --data ring", "the kind points"),
    ("runs/t --data digits", "the kind images"), ("runs/t --data no.csv", "unknown data 'no.csv'"), ("runs/t --data runs", "runs"),
    ("runs/ring --data t.csv", "the kind table"), ("runs/t --data ''", "unknown data"), ("no", "there is no run in no"),
    ("t.csv", "t.csv is not a checkpoint"),
])  # fmt: skip
def test_data_that_cannot_be_measured_are_told_in_a_line(evaluate, words, told):
    code, stdout, stderr = evaluate(*words.replace("''", "\t").split(" "))
    assert (code, stdout, len(stderr)) == (2, [], 1) and told in stderr[0]


def test_six_samples_are_enough(evaluate):
    code, stdout, stderr = evaluate("runs/six", "--parzen")
    assert (code, stderr) == (0, []) and len([line for line in stdout if line.strip()]) >= 6


@pytest.mark.parametrize("change", ["other numbers", "one column more", "a row less", "gone"])
def test_data_that_changed_since_are_refused(evaluate, place, tmp_path, change):
    kept = tmp_path / "t.csv"
    shutil.move(place / "t.csv", kept)
    try:
        if change != "gone":
            write(place / "t.csv", 30 - (change == "a row less"), "abcd" if change == "one column more" else "abc", shift=1000.0)
        code, stdout, stderr = evaluate("runs/t")
        assert (code, stdout, len(stderr)) == (2, [], 1)
        assert ("unknown data" if change == "gone" else "is not what the run in runs/t was trained on") in stderr[0]
        assert ("--data" in stderr[0]) == (change != "gone")
    finally:
        shutil.copy(kept, place / "t.csv")
    assert evaluate("runs/t")[0] == 0


def test_other_data_are_measured_in_the_units_of_the_run(evaluate, place):
    """The table's own file by --data gives what it gives without; a copy in other units of the network gives other numbers."""
    code, wanted, _ = evaluate("runs/t")
    assert code == 0 and evaluate("runs/t", "--data", "t.csv") == (0, wanted, ["t.csv: 30 rows of 3 columns: a, b, c"])
    code, found, stderr = evaluate("runs/t", "--data", "held.csv")
    assert (code, stderr) == (0, ["held.csv: 20 rows of 3 columns: a, b, c"]) and found != wanted
    assert evaluate("runs/ring", "--data", "grid")[0] == 0
    held, own = load(place / "held.csv"), load(place / "t.csv")
    moved = held.in_units_of(own.codec)
    np.testing.assert_allclose(own.codec.decode(moved.x), held.codec.decode(held.x), rtol=1e-5)
    assert abs(moved.x.mean() - 7) < 2 and abs(held.x.mean()) < 1e-5


def test_notes_on_the_data_are_said(evaluate, place):
    """The data are the run's own, and others, which are scaled as the run's were."""
    masks = np.random.default_rng(1).integers(0, 2, (12, 4, 4))
    np.save(place / "masks.npy", masks)
    np.save(place / "bools.npy", masks.astype(bool))
    for name, other in (("masks", "bools"), ("bools", "masks")):
        if not (place / "runs" / name).exists():
            assert run(["train", f"{name}.npy", *FAST]) == 0
        code, wanted, told = evaluate(f"runs/{name}")
        note = "pixels are whole numbers from 0 to 1; 1 is taken for white"
        assert (code, told) == (0, [note] if name == "masks" else [])
        summary = f"{other}.npy: 12 images of 4x4 pixels, grey"
        assert evaluate(f"runs/{name}", "--data", f"{other}.npy") == (0, wanted, [summary, *([note] if other == "masks" else [])])


def test_the_library_refuses_data_in_other_units(place):
    from tinygan.training.samples import load_generator

    trained = load_generator(place / "runs" / "t", "reference")
    with pytest.raises(DataError, match="in_units_of"):
        quality_report(load(place / "held.csv"), trained, np.random.default_rng(0))


def test_a_checkpoint_file_is_evaluated_as_its_folder_is(evaluate):
    wanted = evaluate("runs/t")
    assert wanted[0] == 0 and evaluate(f"runs/t/{CHECKPOINT}") == wanted

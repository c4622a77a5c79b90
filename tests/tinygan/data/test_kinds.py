"""Every kind of data from a file to the picture that ends a run; and a planted kind, known by its class and its line alone."""

import csv
import io
import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
from data_files import error_of
from scipy.io import wavfile
from tinygan_kernels import load as load_backend

from tinygan.cli.main import run as command
from tinygan.data import datasets, kinds, known_data, known_outputs, load
from tinygan.data.kinds import KINDS, Table, codec_from_json
from tinygan.data.units import Codec, DataError
from tinygan.measure.pictures import draw_samples
from tinygan.measure.report import quality_report
from tinygan.options import Options, option
from tinygan.training.config import Config, with_defaults
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

RNG = np.random.default_rng(3)


@dataclass(frozen=True, kw_only=True)
class DigitStringOptions(Options):
    title = "Data"
    first: int | None = option(None, help="Use the first digits alone, so many.", at_least=1)


@dataclass(frozen=True)
class DigitStrings(Codec):
    """Planted: lines of decimal digits, all of one length; its codec has a field of its own, its option leaves characters out."""

    blank: str = "0"

    kind, rank, bounded = "digit-strings", 1, True
    formats = suffixes = (".digits",)
    options = DigitStringOptions
    writes = (".digits",)
    defaults = {"steps": 3, "batch": 4, "hidden": (8,), "z": 2, "save_every": 2}  # noqa: RUF012
    drawn = 5

    @classmethod
    def read(cls, path, first=None):
        lines = [line[:first] for line in path.read_text().split()]
        if len({len(line) for line in lines}) != 1:
            raise DataError(f"{path}: lines of different lengths")
        codec = cls((len(lines[0]),), blank=lines[0][0])
        return datasets.Dataset(path.name, codec, codec.encode([[int(c) for c in line] for line in lines]))

    def to_network(self, user):
        return user / 4.5 - 1

    def to_user(self, x):
        return np.clip(np.rint((x + 1) * 4.5), 0, 9).astype(np.int64)

    def file_bytes(self, suffix, user):
        return "".join("".join(map(str, row)) + "\n" for row in user).encode()

    def draw(self, pair):
        figure, left, right = pair.two_panels()
        for axes, rows in ((left, pair.real), (right, pair.fake)):
            axes.text(0, 0, self.file_bytes(".digits", rows).decode())
        return figure


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", (*KINDS, DigitStrings))


# ---- every kind -----------------------------------------------------------------------------------------------------

def sound_file(folder):
    wavfile.write(folder / "a.wav", 8000, (RNG.standard_normal(4000) * 3000).astype(np.int16))
    return folder / "a.wav"


def array_file(folder):
    np.save(folder / "a.npy", RNG.integers(0, 256, (20, 6, 6), dtype=np.uint8))
    return folder / "a.npy"


def table_file(folder):
    (folder / "a.csv").write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(20)))
    return folder / "a.csv"


def digits_file(folder):
    (folder / "a.digits").write_text("".join(f"{i % 10}{i * i % 10}7\n" for i in range(20)))
    return folder / "a.digits"


# What `load` is given for each kind, made in a folder.
EXAMPLES = {"images": array_file, "points": lambda folder: "ring", "table": table_file, "sound": sound_file,
            "digit-strings": digits_file}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_from_a_file_to_the_picture_that_ends_a_run(kind, tmp_path, planted):
    """load -> Run -> checkpoint -> samples -> file -> measures -> picture, none of which names the kind."""
    spec = EXAMPLES[kind](tmp_path)
    dataset, backend = load(spec), load_backend("reference")
    assert dataset.codec.kind == kind
    config = Config(data=str(spec), **with_defaults(dataset, {"steps": 3, "hidden": (8,), "z": 2, "batch": 4}))
    Run(config, dataset, backend, tmp_path / "run").train()
    trained, rng = load_generator(tmp_path / "run", backend), np.random.default_rng(0)
    assert trained.codec == dataset.codec
    fake = trained.sample(10, rng)
    for suffix in trained.codec.written():
        trained.codec.write(tmp_path / f"s{suffix}", fake)
        assert (tmp_path / f"s{suffix}").stat().st_size > 0
    rows = quality_report(dataset, trained, rng)
    assert len(rows) >= 4 and all(row.name and row.value and row.meaning for row in rows)
    draw_samples(dataset, fake, "generated", tmp_path / "s.png", rng)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_every_kind_has_an_example_here():
    missing = {kind.kind for kind in KINDS} - set(EXAMPLES)
    assert not missing, f"tests/tinygan/data/test_kinds.py: EXAMPLES has no file of {sorted(missing)}"


@pytest.mark.parametrize("kind", [*KINDS, DigitStrings], ids=lambda kind: kind.kind)
def test_a_kind_states_all_that_it_has_to(kind):
    where = f"the class {kind.__name__} ({kind.__module__})"
    for name in ("kind", "rank", "bounded"):
        assert hasattr(kind, name), f"{where} does not state `{name}`"
    assert not kind.__abstractmethods__, f"{where} does not define {sorted(kind.__abstractmethods__)}"
    assert kind.defaults, f"{where} has no `defaults` for a run"
    options = {field.name for field in fields(Config)}
    for defaults in (kind.defaults, *kind.defaults_by_arch.values()):
        assert set(defaults) <= options, f"{where}: `defaults` names no option of a run: {sorted(set(defaults) - options)}"
        Config(data="x", **defaults)
    if kind.suffixes:
        assert kind.read.__func__ is not Codec.read.__func__, f"{where} lists suffixes, but has no `read`"
    assert bool(kind.suffixes or kind.arrays) == bool(kind.formats), f"{where}: `formats` has to say in words what is read"
    if kind in KINDS:  # Config was made before the test planted its kind
        assert set(kind.options_taken()) <= options, f"{where}: an option of its is none of a run"
    for declared in kind.options_taken().values():
        assert declared.default is None, f"{where}: --{declared.name} has to be None where it is not given"


def clashes(listed):
    """Names and suffixes that more than one of the kinds has."""
    every = [name for kind in listed for name in (kind.kind, *kind.suffixes)]
    return sorted({name for name in every if every.count(name) > 1})


def test_no_two_kinds_share_a_name_or_a_suffix():
    assert not clashes(KINDS)
    assert clashes((*KINDS, type("Again", (Table,), {"kind": "sound"}))) == [".csv", "sound"]


# ---- the planted kind -----------------------------------------------------------------------------------------------

def test_a_planted_kind_is_known_wherever_kinds_are_listed(planted, tmp_path):
    assert ".digits" in known_data() and "digit-strings: .digits or .npy" in known_outputs()
    (tmp_path / "a.xyz").write_text("1")
    assert ".wav, .digits" in error_of(load, tmp_path / "a.xyz")
    assert "digit-strings" in error_of(codec_from_json, {**Table((1,), (0.0,), (1.0,), ("a",)).to_json(), "kind": "video"})


def test_its_own_option_and_its_refusals(planted, tmp_path):
    assert load(digits_file(tmp_path), first=2).codec.shape == (2,)
    assert "--first is for digit-strings, this is points" in error_of(load, "ring", first=2)
    assert "--first is for digit-strings, this is table" in error_of(load, table_file(tmp_path), first=2)
    assert "--size is for images, this is digit-strings" in error_of(load, digits_file(tmp_path), size=8)
    assert "--first is 0, it has to be at least 1" in error_of(load, digits_file(tmp_path), first=0)
    with pytest.raises(TypeError, match="no kind of data has an option 'second'"):
        load("ring", second=1)


def test_its_codec_survives_json_and_other_kinds_are_as_they_were(planted):
    codec = DigitStrings((3,), blank="7")
    record = json.loads(json.dumps(codec.to_json()))
    assert codec_from_json(record) == codec and record["blank"] == "7"
    assert "expected the fields" in error_of(codec_from_json, {name: v for name, v in record.items() if name != "blank"})
    assert "rate" in error_of(DigitStrings, (3,), rate=8000) and "3 positive" not in error_of(DigitStrings, (3, 3))


def test_the_command_line_takes_a_planted_kind(planted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(["train", str(digits_file(tmp_path)), "--backend", "reference", "--out", "run"]) == 0
    assert "step 3" in capsys.readouterr().out  # the kind's own defaults
    assert command(["sample", "run", "-n", "6", "-o", "s.digits", "--backend", "reference"]) == 0
    lines = (tmp_path / "s.digits").read_text().split()
    assert len(lines) == 6 and all(len(line) == 3 and line.isdecimal() for line in lines)
    assert command(["evaluate", "run", "--backend", "reference"]) == 0
    assert "coverage" in capsys.readouterr().out
    assert command(["sample", "run", "-o", "s.wav", "--backend", "reference"]) == 2
    assert ".digits or .npy only" in capsys.readouterr().err


# ---- what checkpoints hold ------------------------------------------------------------------------------------------

RECORDS = {
    "images": {"kind": "images", "shape": [8, 8, 1], "bounded": True, "mean": [], "std": [], "columns": [], "rate": None},
    "points": {"kind": "points", "shape": [2], "bounded": False, "mean": [0.0, 0.0], "std": [4.0, 4.0], "columns": ["x", "y"],
               "rate": None},
    "table": {"kind": "table", "shape": [1], "bounded": False, "mean": [1.5], "std": [0.3], "columns": ["a"], "rate": None},
    "sound": {"kind": "sound", "shape": [64], "bounded": True, "mean": [], "std": [], "columns": [], "rate": 8000},
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_of_older_checkpoints_are_read_and_written_as_they_were(name):
    """Written by the first version; a checkpoint that holds one has to stay readable, and a resumed run compares them."""
    codec = codec_from_json(RECORDS[name])
    assert codec.kind == name and codec.to_json() == RECORDS[name]


def test_csv_of_a_table_reads_back(tmp_path):
    table = load(table_file(tmp_path))
    rows = list(csv.reader(io.StringIO(table.codec.file_bytes(".csv", table.codec.decode(table.x)).decode())))
    assert rows[0] == ["a", "b"] and len(rows) == 21

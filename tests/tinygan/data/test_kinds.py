"""Every kind of data from a file to the picture that ends a run; and a planted kind, known by its class and its line alone."""

import csv
import importlib
import io
import json
import pkgutil
from dataclasses import dataclass, fields

import numpy as np
import pytest
from data_files import error_of
from scipy.io import wavfile
from tinygan_kernels import load as load_backend

from tinygan.cli.main import run as command
from tinygan.data import datasets, kinds, known_data, known_outputs, load
from tinygan.data.kinds import KINDS, DataOptions, Table, codec_from_json
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
    """A planted kind: lines of decimal digits, all of one length. Its codec has a field of its own, and it takes an option."""

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


def text_file(path, text):
    path.write_text(text)
    return path


def table_file(folder):
    return text_file(folder / "a.csv", "a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(20)))


def digits_file(folder):
    return text_file(folder / "a.digits", "".join(f"{i % 10}{i * i % 10}7\n" for i in range(20)))


# What `load` is given for each kind, made in a folder.
EXAMPLES = {
    "images": array_file,
    "points": lambda folder: "ring",
    "table": table_file,
    "sound": sound_file,
    "digit-strings": digits_file,
}


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
    fake = trained.encoded(10, rng)
    for suffix in trained.codec.written():
        trained.codec.write(tmp_path / f"s{suffix}", fake)
        assert (tmp_path / f"s{suffix}").stat().st_size > 0
    rows = quality_report(dataset, trained, rng)
    assert len(rows) >= 4 and all(row.name and row.value and row.meaning for row in rows)
    draw_samples(dataset, fake, "generated", tmp_path / "s.png", rng)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


# ---- what fails when something was forgotten ------------------------------------------------------------------------

def forgotten(kind):
    """Return what the class of a kind lacks, a line each."""
    where = f"{kind.__module__.replace('.', '/')}.py: the class {kind.__name__}"
    lacking = [f"does not state `{name}`" for name in ("kind", "rank", "bounded") if not hasattr(kind, name)]
    lacking += [f"does not define `{name}`" for name in sorted(kind.__abstractmethods__)]
    if not kind.defaults:
        lacking.append("has no `defaults` for a run")
    options = {field.name for field in fields(Config)}
    if unknown := {name for found in (kind.defaults, *kind.defaults_by_arch.values()) for name in found} - options:
        lacking.append(f"has `defaults` that are no options of a run: {sorted(unknown)}")
    for stated, method in (("suffixes", Codec.read), ("arrays", Codec.from_array), ("writes", Codec.file_bytes)):
        own = getattr(kind, method.__name__)
        if getattr(kind, stated) and getattr(own, "__func__", own) is getattr(method, "__func__", method):
            lacking.append(f"states `{stated}`, but does not define `{method.__name__}`")
    if bool(kind.suffixes or kind.arrays) != bool(kind.formats):
        lacking.append("has to say in words, in `formats`, what it reads")
    with_default = [name for name, declared in kind.options_taken().items() if declared.default is not None]
    lacking += [f"has an option --{name} whose default is not None" for name in with_default]
    return [f"{where} {line}" for line in lacking]


SHAPES = [(9,), (9, 4), (9, 8, 8), (9, 8, 8, 3), (9, 3, 8, 8), (9, 8, 8, 8), (9, 2, 8, 8, 3)]


def clashes(listed):
    """Return names, suffixes, options, shapes of arrays and "a folder", where more than one of the kinds claims them."""
    every = [name for kind in listed for name in (kind.kind, *kind.suffixes, *(f"--{o}" for o in kind.options_taken()))]
    every += [str(shape) for kind in listed for shape in SHAPES if kind.takes_array(shape)]
    every += [f"a folder of {suffix}" for kind in listed for suffix in set(kind.in_folders)]
    return sorted({name for name in every if every.count(name) > 1})


def all_kinds(root=Codec):
    """Return every class of a kind that has been imported, whether it is in a list or not."""
    return {kind for child in root.__subclasses__() for kind in (child, *all_kinds(child)) if hasattr(kind, "kind")}


def without_example(listed):
    return [f"tests/tinygan/data/test_kinds.py: EXAMPLES has no {kind.kind}" for kind in listed if kind.kind not in EXAMPLES]


@pytest.mark.parametrize("kind", [*KINDS, DigitStrings], ids=lambda kind: kind.kind)
def test_a_kind_has_all_that_it_needs(kind):
    assert forgotten(kind) == []
    for defaults in (kind.defaults, *kind.defaults_by_arch.values()):
        Config(data="x", **defaults)


def test_the_list_of_kinds_is_whole():
    for module in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}."):
        importlib.import_module(module.name)
    unlisted = {kind for kind in all_kinds() if kind.__module__.startswith("tinygan.")} - set(KINDS)
    assert not unlisted, f"tinygan/data/kinds/__init__.py: KINDS lacks {sorted(kind.__name__ for kind in unlisted)}"
    assert DigitStrings in all_kinds() and set(KINDS) <= all_kinds()
    assert without_example(KINDS) == [] and clashes(KINDS) == []
    every = {name for kind in KINDS for name in kind.options_taken()}
    assert set(DataOptions.__dataclass_fields__) == {"max_memory", "held_out", *every}


def test_what_is_forgotten_is_named():
    class Half(Codec):
        kind, rank = "half", 1
        suffixes = writes = (".half",)
        arrays = "(n, 7) for halves"
        defaults = {"setps": 3}  # noqa: RUF012

    lines = " ".join(forgotten(Half))
    assert f"{__name__.replace('.', '/')}.py: the class Half does not state `bounded`" in lines
    for lack in ("`draw`", "`to_network`", "`to_user`", "`read`", "`from_array`", "`file_bytes`", "['setps']", "`formats`"):
        assert lack in lines, lack
    again = type("Again", (Half, Table), {"kind": "sound", "suffixes": (".csv",), "in_folders": (".png",), "options": None})
    assert clashes((*KINDS, Half, again)) == ["(9, 4)", ".csv", "a folder of .png", "sound"]
    assert without_example([*KINDS, Half]) == ["tests/tinygan/data/test_kinds.py: EXAMPLES has no half"]
    with pytest.raises(TypeError, match="abstract"):
        Half((3,))


# ---- the planted kind -----------------------------------------------------------------------------------------------

def test_a_planted_kind_is_known_wherever_kinds_are_listed(planted, tmp_path):
    assert ".digits" in known_data() and "digit-strings: .digits or .npy" in known_outputs()
    (tmp_path / "a.xyz").write_text("1")
    assert ".wav, .digits" in error_of(load, tmp_path / "a.xyz")
    assert "digit-strings" in error_of(codec_from_json, {**Table((1,), (0.0,), (1.0,), ("a",)).to_json(), "kind": "video"})


def test_its_own_option_and_its_refusals(planted, tmp_path):
    assert load(digits_file(tmp_path), first=2).codec.shape == (2,)
    assert "first is for digit-strings, this is points" in error_of(load, "ring", first=2)
    assert "first is for digit-strings, this is table" in error_of(load, table_file(tmp_path), first=2)
    assert "size is for images, this is digit-strings" in error_of(load, digits_file(tmp_path), size=8)
    assert "first is 0, it has to be at least 1" in error_of(load, digits_file(tmp_path), first=0)
    with pytest.raises(TypeError, match="no kind of data has an option 'second'"):
        load("ring", second=1)


def test_its_codec_survives_json_and_other_kinds_are_as_they_were(planted):
    codec = DigitStrings((3,), blank="7")
    record = json.loads(json.dumps(codec.to_json()))
    assert codec_from_json(record) == codec and record["blank"] == "7"
    older = {name: v for name, v in record.items() if name != "blank"}
    assert codec_from_json(older) == DigitStrings((3,))  # a field that the kind got since has its default
    assert "expected the fields" in error_of(codec_from_json, {**record, "colour": 1})
    assert "expected the fields" in error_of(codec_from_json, {name: v for name, v in record.items() if name != "shape"})
    assert DigitStrings((3,)).to_json() == older, "and is not written where it has it"
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


def test_tuples_in_tuples_survive_json():
    """A resumed run compares its data's codec with the one from the checkpoint."""
    @dataclass(frozen=True)
    class Pairs(DigitStrings):
        kind = "pairs"
        pairs: tuple[tuple[str, int], ...] = ()

    codec = Pairs((3,), pairs=(("a", 1), ("b", 2)))
    record = json.loads(json.dumps(codec.to_json()))
    assert record == codec.to_json()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "KINDS", (*KINDS, Pairs))
        assert codec_from_json(record) == codec


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

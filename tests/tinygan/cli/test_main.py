"""The command line: what it makes of every kind of data, and one line with exit code 2 for everything that is wrong."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import typer
from data_files import PIXELS, idx, save
from PIL import Image
from quick_endings import end_quickly, measure_less
from rich.console import Console
from scipy.io import wavfile
from tiny_runs import backend
from told import told

from tinygan.cli import main, train
from tinygan.data.kinds.images import contact_sheet
from tinygan.engine.ops import elementwise
from tinygan.play.densities import OF_THE_PLANE
from tinygan.training import checkpoint, config, run
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.samples import Trained, load_generator

RNG = np.random.default_rng(7)
FAST = ("--batch", "4", "--steps", "3", "--backend", "reference")
LEFT = [CHECKPOINT, "config.json", "curves.png", "metrics.jsonl", "samples.png"]


def contents(folder):
    """Return the contents of every file below a folder, by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def caller(capsys):
    """Return a function that runs a command and returns (exit code, lines on stdout, lines on stderr but for progress)."""

    def call(*arguments):
        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        stdout, stderr = capsys.readouterr()
        return code, stdout.splitlines(), told(stderr)

    return call


@pytest.fixture
def tinygan(capsys, monkeypatch):
    """Return a `caller`, whose runs end quickly: what they end with is measured and drawn elsewhere."""
    end_quickly(monkeypatch)
    return caller(capsys)


# ---- every kind of data -------------------------------------------------------------------------------------------------


def _folder(path):
    path.mkdir()
    for i in range(3):
        save(RNG.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8), path / f"{i}.png")


DATA = {
    "a.idx": lambda path: path.write_bytes(idx()),
    "a-idx3-ubyte.gz": lambda path: path.write_bytes(gzip.compress(idx())),
    "photos": _folder,
    "grey.npy": lambda path: np.save(path, PIXELS),
    "rgb.npz": lambda path: np.savez(path, RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)),
    "table.npy": lambda path: np.save(path, RNG.standard_normal((30, 3)) * [1, 100, 1e-3]),
    "one column.csv": lambda path: path.write_text("height\n" + "\n".join(map(str, range(9)))),
    "t[bold]:smile:.csv": lambda path: path.write_text("a,b\n1,2\n3,4\n5,7\n"),
    "tone.wav": lambda path: wavfile.write(path, 8000, (np.sin(np.arange(900) * 0.1) * 9000).astype(np.int16)),
}
OPTIONS = {"photos": ("--size", "8", "--arch", "dcgan"), "tone.wav": ("--window", "64"), "rgb.npz": ("--arch", "dcgan")}
SUFFIXES = {"images": (".png", ".npy"), "table": (".csv", ".npy"), "points": (".csv", ".npy"), "sound": (".wav", ".npy")}


def read_back(path, codec):
    """Return what a file of samples holds, as an array."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".wav":
        rate, sound = wavfile.read(path)
        assert rate == codec.rate
        return sound.reshape(-1, *codec.shape)
    if path.suffix == ".csv":
        head, *rows = csv.reader(path.read_text().splitlines())
        assert tuple(head) == codec.columns
        return np.array(rows, float)
    with Image.open(path) as image:
        return np.asarray(image).reshape(contact_sheet(np.zeros((7, *codec.shape), np.uint8)).shape)


@pytest.mark.parametrize("name", [*DATA, "ring", "digits"])
def test_trains_and_samples(tmp_path, monkeypatch, capsys, name):
    """The pictures of every kind of data are drawn in full."""
    measure_less(monkeypatch)
    tinygan = caller(capsys)
    monkeypatch.chdir(tmp_path)
    if name in DATA:
        DATA[name](tmp_path / name)
    code, stdout, stderr = tinygan("train", name, *FAST, *OPTIONS.get(name, ()))
    assert code == 0 and stdout[0].startswith(f"{name}: step 3")
    quality = ["an exact sampler's" in line for line in stdout[1:]]  # how near it is, where the density is known
    assert quality == [True] * (name == "ring")
    assert [line.split(":")[0] for line in stderr] == [name.split(":")[0]] * (name in DATA), "a line that says what was understood"
    out = tmp_path / "runs" / name.split(".")[0]
    of_mixtures = ["optimum.png"] if name == "ring" else []  # D against D*, where the density is known
    assert sorted(os.listdir(out)) == sorted([*LEFT, *of_mixtures])
    trained = load_generator(out, backend("reference"))
    wanted = trained.codec.decode(trained.encoded(7, np.random.default_rng(3)))
    for suffix in SUFFIXES[trained.codec.kind]:
        file = tmp_path / f"s{suffix}"
        code, stdout, stderr = tinygan("sample", out, "-n", 7, "--seed", 3, "-o", file, "--backend", "reference")
        assert (code, stderr) == (0, []) and str(file) in stdout[0]
        np.testing.assert_array_equal(read_back(file, trained.codec), contact_sheet(wanted) if suffix == ".png" else wanted)


def test_options_reach_the_run(tmp_path, tinygan):
    given = {"steps": 4, "batch": 5, "k": 2, "objective": "minimax", "r1": 0.7, "ema": 0.5, "update": "alternating",
             "arch": "dcgan", "z": 6,
             "lr_d": 0.01, "lr_g": 0.02, "beta1": 0.4, "beta2": 0.8, "decay": 0.25, "seed": 9, "backend": "reference",
             "size": 8, "save_every": 3}
    np.save(tmp_path / "p.npy", PIXELS)
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert tinygan("train", tmp_path / "p.npy", "--out", tmp_path / "run", *words)[0] == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {name: record[name] for name in given} == given


def test_an_earlier_run_is_moved_aside(tmp_path, tinygan):
    out = tmp_path / "run"
    tinygan("train", "ring", *FAST, "--out", out)
    before = contents(out)
    code, _, stderr = tinygan("train", "ring", *FAST, "--seed", 1, "--out", out)
    assert code == 0 and stderr == [f"the earlier run in {out} is now in {out}.1"]
    assert contents(tmp_path / "run.1") == before and contents(out) != before


def test_resume(tmp_path, tinygan):
    tinygan("train", "ring", *FAST, "--out", tmp_path / "run")
    code, stdout, stderr = tinygan("train", "ring", "--steps", 8, "--out", tmp_path / "run", "--resume")
    assert (code, stderr) == (0, []) and "step 8" in stdout[0]
    assert checkpoint.load(tmp_path / "run" / CHECKPOINT)[1]["step"] == 8
    assert sorted(os.listdir(tmp_path)) == ["run"]


@pytest.mark.parametrize(("command", "advice"), [
    ("train", "tinygan train ring --out {run} --resume"), ("step", "tinygan step ring"),
])
def test_a_run_in_the_place_of_data_is_told_what_to_type(tmp_path, tinygan, command, advice):
    run = tmp_path / "run"
    assert tinygan("train", "ring", "--out", str(run), *FAST)[0] == 0
    code, _, stderr = tinygan(command, str(run))
    assert code == 2 and "is the folder of a run" in " ".join(stderr) and advice.format(run=run) in " ".join(stderr)


def test_a_finished_run_that_goes_on_says_that_it_is_finished(tmp_path, tinygan):
    """It is named by its folder or by the checkpoint file in it; with more steps it goes on, and says nothing of the kind."""
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,5\n4,4\n6,1\n2,2\n7,3\n")
    out = tmp_path / "run"
    tinygan("train", tmp_path / "t.csv", *FAST, "--out", out)
    before = contents(out)
    for place in (out, out / CHECKPOINT):
        code, stdout, stderr = tinygan("train", tmp_path / "t.csv", "--out", place, "--resume")
        assert code == 0 and "step 3" in stdout[0]
        assert f"the run in {out} is finished: all its 3 steps are made; to go on with it, give a larger --steps" in stderr
        assert contents(out)[CHECKPOINT] == before[CHECKPOINT]
    code, stdout, stderr = tinygan("train", tmp_path / "t.csv", "--out", out / CHECKPOINT, "--resume", "--steps", 5)
    assert code == 0 and "step 5" in stdout[0] and not any("finished" in line for line in stderr)
    copied = tmp_path / "copy.safetensors"
    copied.write_bytes((out / CHECKPOINT).read_bytes())
    for place in (copied, out / CHECKPOINT, out):
        assert tinygan("sample", place, "-o", tmp_path / "s.npy", "--backend", "reference")[0] == 0
    code, _, stderr = tinygan("train", tmp_path / "t.csv", "--out", copied, "--resume")
    assert code == 2 and len(stderr) == 1 and "a run goes on in a folder" in stderr[0]


# ---- what is wrong ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with runs and with files of every wrong kind; no command below may change anything in it."""
    here = tmp_path_factory.mktemp("place")
    for folder in ("empty", "one", "torn", "pickle", "a" * 8):
        (here / folder).mkdir()
    (here / "nan.csv").write_text("a,b\n1,2\n3,nan\n")
    (here / "t.csv").write_text("a,b\n1,2\n3,5\n")
    (here / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00 and no more")
    (here / "file").write_text("mine")
    save(PIXELS[0], here / "one" / "only.png")
    np.save(here / "odd.npy", np.concatenate([PIXELS, PIXELS], axis=2))
    with pytest.MonkeyPatch.context() as patch:
        end_quickly(patch)
        assert main.run(["train", "ring", *FAST, "--out", str(here / "run")]) == 0
    (here / "torn" / CHECKPOINT).write_bytes((here / "run" / CHECKPOINT).read_bytes()[:-100])
    (here / "pickle" / CHECKPOINT).write_bytes(b"\x80\x05cos\nsystem\n.")
    return here


WRONG = {
    "train rnig": "did you mean 'ring'",
    "train nowhere/x.npy": "unknown data 'nowhere/x.npy'",
    "train broken.npy": "broken.npy",
    "train empty": "empty",
    "train one": "at least 2 are needed",
    "train one/only.png": "one picture is not a data set",
    "train nan.csv": "line 3, column 2 (b)",
    "train t.csv --size 8": "--size is for images, this is table",
    "train t.csv --window 8": "--window is for sound, this is table",
    "train t.csv --arch dcgan": "dcgan wants images",
    "train odd.npy --size 7 --arch dcgan": "even sides",
    "train ring --frequency 20": "--frequency has no effect without --fourier; leave it out",
    "train ring --unroll-rate 0.2": "--unroll-rate has no effect without --unroll; leave it out",
    "train ring --decay 0 --decay-power 2": "--decay-power has no effect without --decay; leave it out",
    "train ring --preset density --decay 0 --decay-power 2": "--decay-power has no effect without --decay; leave it out",
    "train ring --penalty-fall 2 --r1 0": "--penalty-fall has no effect without --r1 or --r2 or --gp; leave it out",
    "train ring --width 8": "--width has no effect without --arch dcgan; leave it out",
    "train ring --arch dcgan --hidden 8": "--hidden has no effect without --arch mlp; leave it out",
    "train ring --arch dcgan --hidden-d 8": "--hidden-d has no effect without --arch mlp; leave it out",
    "play ring --frequency 20": "--frequency has no effect without --fourier; leave it out",
    "step ring --frequency 20": "--frequency has no effect without --fourier; leave it out",
    "train ring --arch vit": "--arch is 'vit', it has to be mlp or dcgan",
    "train ring --steps -1": "--steps is -1",
    "train ring --steps many": "--steps",
    "train ring --batch 0": "--batch is 0",
    "train ring --lr-d 0": "--lr-d is 0.0",
    "train ring --ema 1": "--ema is 1.0",
    "train ring --objective wgan": "minimax, nonsaturating",
    "train ring --update both": "alternating or simultaneous",
    "train ring --update simultaneous --k 2": "leave --k at 1",
    "train ring --backend tpu": "no backend 'tpu'",
    "train ring --sptes 3": "--sptes",
    "train ring --out file": "cannot write to file",
    "train ring --out file/run": "cannot write to file/run",
    f"train ring --out {'a' * 300}": "File name too long",
    "train": "Missing argument",
    "trian ring": "trian",
    "train ring extra": "extra",
    "train ring --resume --out run --arch dcgan": "--arch is dcgan, but the run in run has mlp",
    "train ring --resume --out run --z 3": "--z is 3, but the run in run has 16",
    "train ring --resume --out run --scale 2": "--scale is 2.0, but the run in run was begun without it",
    "train ring --resume --out run --backend cpu": "--backend is cpu, but",
    "train ring --resume --out run --steps 2": "at step 3 already",
    "train t.csv --resume --out run": "t.csv is not what the run in run began with (ring)",
    "train rnig --resume --out run": "did you mean 'ring'",
    "train ring --resume --out nowhere": "there is no run in nowhere",
    "train ring --resume --out file": "file is not a checkpoint",
    "train ring --resume": "there is no run in runs/ring",
    "train ring --resume --out torn": "not a checkpoint, or a damaged one",
    "train ring --resume --out pickle": "not a checkpoint, or a damaged one",
    "sample run -n 0": "-n",
    "sample run -n -3": "-n",
    "sample run --seed -1": "--seed",
    "sample run -o x.png": ".csv or .npy",
    "sample run -o x": ".csv or .npy",
    "sample run -o file/x.csv": "cannot be written",
    "sample run -o nowhere/x.csv": "cannot be written",
    "sample run --backend tpu": "no backend 'tpu'",
    "sample empty": "there is no run in empty",
    "sample nowhere": "there is no run in nowhere",
    "sample file": "file is not a checkpoint",
    "sample torn": "not a checkpoint, or a damaged one",
    "sample pickle": "not a checkpoint, or a damaged one",
    f"sample {'a' * 300}": "File name too long",
    "sample": "Missing argument",
    "gradcheck --only conv9d": "no check has 'conv9d'",
    "gradcheck --backend tpu": "no backend 'tpu'",
    "kernels show": "show",
}


@pytest.mark.parametrize("words", WRONG, ids=lambda words: words[:60])
def test_wrong_input_gives_one_line_and_loses_nothing(place, monkeypatch, tinygan, words):
    monkeypatch.chdir(place)
    before = contents(place)
    code, stdout, stderr = tinygan(*words.split())
    assert (code, stdout, len(stderr)) == (2, [], 1), stderr
    assert stderr[0].startswith("tinygan: ") and WRONG[words] in stderr[0]
    assert contents(place) == before


@pytest.mark.parametrize("words", [
    "train ring --out file", "train ring --out file/run", f"train ring --out {'a' * 300}",
    "sample run -o x.png", "sample run -o file/x.csv", "sample run -o nowhere/x.csv",
], ids=lambda words: words[:60])  # fmt: skip
def test_a_place_that_takes_no_files_is_told_before_anything_is_compiled(place, monkeypatch, tinygan, words):
    """A run, and samples, would compile kernels where the cache is cold: that takes a while, and a line on stderr says so."""
    monkeypatch.chdir(place)
    for method in ("__init__", "make_step"):
        monkeypatch.setattr(run.Run, method, lambda *_, **__: pytest.fail("the run began"))
    monkeypatch.setattr(Trained, "encoded", lambda *_: pytest.fail("samples were drawn"))
    code, _, stderr = tinygan(*words.split())
    assert code == 2 and len(stderr) == 1 and WRONG[words] in stderr[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_is_read_only(place, monkeypatch, tinygan):
    monkeypatch.chdir(place)
    (place / "shut").mkdir(mode=0o500)
    for words in ("train ring --out shut", "train ring --out shut/run", "sample run -o shut/x.csv"):
        code, _, stderr = tinygan(*words.split())
        assert code == 2 and len(stderr) == 1 and "Permission denied" in stderr[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable to root")
def test_unreadable_files(tmp_path, tinygan):
    (tmp_path / "t.csv").write_text("a\n1\n2\n")
    (tmp_path / "t.csv").chmod(0)
    code, _, stderr = tinygan("train", tmp_path / "t.csv", "--out", tmp_path / "run")
    assert code == 2 and len(stderr) == 1 and "cannot be read" in stderr[0]


def test_a_diverging_run(tmp_path, tinygan):
    """A diverging run ends in one line without further warnings, and the files written before are kept."""
    rates = ("--lr-d", 1e30, "--lr-g", 1e30)
    code, stdout, stderr = tinygan("train", "ring", *FAST, "--steps", 50, *rates, "--out", tmp_path / "run")
    assert (code, stdout, len(stderr)) == (2, [], 1) and "diverged" in stderr[0]
    assert tinygan("sample", tmp_path / "run", "-o", tmp_path / "s.csv", "--backend", "reference")[0] == 0


@pytest.mark.parametrize("error", [MemoryError("of 7 TiB"), OSError(5, "Input/output error", "x")], ids=["memory", "system"])
def test_the_machine_fails(tmp_path, monkeypatch, tinygan, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(run.Run, "make_step", fail)
    code, _, stderr = tinygan("train", "ring", *FAST, "--out", tmp_path / "run")
    assert code == 2 and len(stderr) == 1 and str(error.args[-1]) in stderr[0]


def test_ctrl_c_before_the_first_step(tmp_path, monkeypatch, tinygan):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "with_defaults", interrupt)
    assert tinygan("train", "ring", "--out", tmp_path / "run") == (130, [], [])


# ---- as a process -------------------------------------------------------------------------------------------------------


def process(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "tinygan", *arguments], capture_output=True, text=True, timeout=3600, check=False,
                          **options)


def test_a_disk_that_is_full(tmp_path, tinygan):
    """A limit on the size of files stands in for the disk: smaller than the checkpoint, larger than anything before it."""
    resource = pytest.importorskip("resource", reason="this system has no limits on the size of files")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,5\n4,4\n6,1\n2,2\n7,3\n")
    words = ("train", tmp_path / "t.csv", "--out", tmp_path / "run")
    assert tinygan(*words, *FAST)[0] == 0
    before = contents(tmp_path / "run")
    limit = (len(before[CHECKPOINT]) // 2,) * 2
    done = process(*words, "--steps", "9", "--resume", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    of_the_data, complaint = done.stderr.splitlines()
    assert (done.returncode, done.stdout, of_the_data) == (2, "", "t.csv: 6 rows of 2 columns: a, b")
    assert complaint.startswith("tinygan: ") and "the checkpoint before it is untouched" in complaint
    after = contents(tmp_path / "run")
    assert {name for name in after if after[name] != before.get(name)} <= {"config.json", "metrics.jsonl"}
    code, stdout, _ = tinygan(*words, "--resume", "--steps", 9)
    assert code == 0 and "step 9" in stdout[0]


def test_python_m(tmp_path):
    done = process("--version")
    assert (done.returncode, done.stderr) == (0, "") and re.fullmatch(r"tinygan \d+\.\d+\.\d+\n", done.stdout)
    done = process("train", "rnig")
    assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1


# ---- help, and what a terminal shows ------------------------------------------------------------------------------------


def test_help_lists_the_commands(tinygan):
    code, stdout, stderr = tinygan("--help")
    text = " ".join(stdout)
    assert (code, stderr) == (0, []) and "Examples" in text
    assert all(command in text for command in ("train", "sample", "gradcheck", "kernels"))
    code, shown, stderr = tinygan()
    assert [line for line in shown if line.strip()] == [line for line in stdout if line.strip()] and stderr == []
    assert tinygan("kernels")[2] == []


@pytest.mark.parametrize("command", ["train", "sample", "gradcheck", "kernels list"])
def test_help_of_a_command_has_examples(tinygan, command):
    code, stdout, stderr = tinygan(*command.split(), "--help")
    text = " ".join(line.strip(" │") for line in stdout)
    assert (code, stderr) == (0, []) and "Examples:" in text and f"tinygan {command}" in text


@pytest.mark.parametrize("command", ["train", "play", "evaluate", "sample"])
def test_help_says_the_default_of_every_option(command):
    """In the help's own words, or shown by the parser."""
    for option in typer.main.get_command(main.app).commands[command].params:
        shown = option.show_default and option.default is not None and not isinstance(option.default, bool)
        told = re.search(r"[Dd]efault: \S|; if not given, \S|; otherwise \S|runs/<data> if not given", option.help or "")
        assert shown or told or option.required or "--help" in option.opts, (option.opts, option.help)


def test_help_of_play_says_what_the_page_begins_with(tinygan):
    text = " ".join(" ".join(tinygan("play", "--help")[1]).replace("│", " ").split())
    for name, value in OF_THE_PLANE.items():
        flag = "--" + name.replace("_", "-")
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        # up to the next option; an older Typer writes INTEGER where a newer one writes <int>
        assert re.search(rf"{flag} +(?:<\w+>|[A-Z]+) (?:(?! --\w).)*Default: {re.escape(shown)}[. ]", text), flag


def test_help_of_train_lists_every_option(tinygan):
    text = " ".join(tinygan("train", "--help")[1])
    for option in ("steps", "batch", "k", "objective", "r1", "ema", "update", "arch", "lr-d", "lr-g", "backend", "seed", "out",
                   "resume", "size", "window", "z", "beta1", "beta2", "decay", "save-every"):
        assert f"--{option} " in text
    assert "DATA" in text


@pytest.fixture
def terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(train, "err", Console(file=screen, force_terminal=True, width=120))
    return screen


def test_a_terminal_sees_progress(tmp_path, terminal, tinygan):
    assert tinygan("train", "ring", *FAST, "--steps", 30, "--out", tmp_path / "run")[0] == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"step 30/30.*V [+-]\d\.\d{3}  D\(x\) 0\.\d\d  D\(G\(z\)\) 0\.\d\d.*\d+ steps/s.*\d:\d\d", shown)


# ---- gradcheck and kernels ----------------------------------------------------------------------------------------------


def test_gradcheck(tinygan):
    code, stdout, stderr = tinygan("gradcheck", "--only", "tanh", "--backend", "reference")
    assert (code, stderr) == (0, [])
    passed, total = map(int, re.fullmatch(r"(\d+) of (\d+) checks passed", stdout[-1]).groups())
    assert passed == total >= 6 and sum("ok tanh " in line for line in stdout) == 2


@pytest.mark.parametrize("wrong", [lambda g, t: g * (1.001 - t * t), lambda g, t: g * 0.0, lambda g, t: g])
def test_gradcheck_finds_a_wrong_derivative(monkeypatch, tinygan, wrong):
    monkeypatch.setattr(elementwise, "tanh_grad", wrong)
    code, stdout, _ = tinygan("gradcheck", "--only", "tanh: (3, 4)", "--backend", "reference")
    assert code == 1 and any("WRONG tanh" in line for line in stdout)
    assert any(line.startswith("tanh: (3, 4), order 1: FAILED") for line in stdout)
    assert not re.fullmatch(r"(\d+) of \1 checks passed", stdout[-1])


def test_gradcheck_of_the_game(tinygan):
    code, stdout, _ = tinygan("gradcheck", "--only", "mlp", "--backend", "reference")
    assert code == 0 and {"dV / dtheta_d: mlp", "dV / dtheta_g: mlp"} <= {line[4:22] for line in stdout}


def test_kernels_list(tinygan):
    from tinygan_kernels import KERNELS, names

    code, stdout, stderr = tinygan("kernels", "list")
    assert (code, stderr) == (0, [])
    first = {line.split()[0] for line in stdout if line.strip()}
    assert {f"{name}:" for name in (*KERNELS, *names())} <= first

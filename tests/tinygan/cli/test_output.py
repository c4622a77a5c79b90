"""Where output cannot go, or a name cannot be printed, the run's result is there all the same, and no traceback is."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from quick_endings import PNG, draw_one_pixel

from tinygan.cli import console, main, run
from tinygan.data.comparison import shortened
from tinygan.training.checkpoint import CHECKPOINT

FAST = ("--steps", "2", "--batch", "4", "--hidden", "4", "--z", "2", "--backend", "reference")
ASCII = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
LEFT = {CHECKPOINT, "config.json", "curves.png", "metrics.jsonl", "samples.png"}
TABLE = "a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(12))


def process(*arguments, cwd, variables=(), **options):
    """Run the command line as a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment, words = {**os.environ, **dict(variables)}, [sys.executable, "-m", "tinygan", *arguments]
    return subprocess.run(words, cwd=cwd, env=environment, timeout=120, check=False, **options)


def assert_right(done, code=0, lines=1):
    """Check the exit code, that stdout has so many lines, and that stderr says nothing of a traceback."""
    assert done.returncode == code, done.stderr
    assert len((done.stdout or b"").splitlines()) == lines
    assert b"Traceback" not in (done.stderr or b"") and b"Exception ignored" not in (done.stderr or b""), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text are those of Linux's file systems")
def test_names_that_are_not_utf_8_on_a_terminal_of_ascii(tmp_path):
    folder = os.fsencode(tmp_path) + b"/f\xff\xe9"
    os.mkdir(folder)
    Path(os.fsdecode(folder + b"/t\xfc\xe2\x82\xac.csv")).write_text(TABLE)
    done = process("train", b"t\xfc\xe2\x82\xac.csv", "--out", b"r\xff", *FAST, cwd=folder, variables=ASCII.items())
    assert_right(done)
    assert set(os.listdir(os.fsdecode(folder + b"/r\xff"))) == LEFT
    assert b"r\\udcff" in done.stdout
    done = process("sample", b"r\xff", "-o", b"s\xff.csv", "--backend", "reference", cwd=folder, variables=ASCII.items())
    assert_right(done)
    assert os.path.getsize(folder + b"/s\xff.csv") > 100
    done = process("evaluate", b"r\xff/no", "--backend", "reference", cwd=folder, variables=ASCII.items())
    assert_right(done, 2, 0)
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here, which is a disk that is always full")
def test_output_to_a_full_disk(table):
    """The run is complete; a lost result is told by a line and the exit code, lost remarks are not."""
    with open("/dev/full", "w") as full:
        done = process("train", "t.csv", "--out", "a", *FAST, cwd=table, stdout=full)
        assert_right(done, 2, 0)
        complaints = [line for line in done.stderr.decode().splitlines() if line.startswith("tinygan: ")]
        assert complaints == ["tinygan: the standard output: No space left on device"]
        assert_right(process("train", "t.csv", "--out", "b", *FAST, cwd=table, stderr=full))
    assert set(os.listdir(table / "a")) == set(os.listdir(table / "b")) == LEFT


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes the streams")
def test_closed_streams_and_a_reader_that_has_gone(table):
    command = f"{sys.executable} -m tinygan"
    words = " ".join(("train", "t.csv", "--out", "c", *FAST))
    done = subprocess.run(f"{command} {words} >&- 2>&-", shell=True, cwd=table, check=False, timeout=120)
    assert done.returncode == 0 and set(os.listdir(table / "c")) == LEFT
    done = subprocess.run(f"({command} kernels list; echo $? >code) | true", shell=True, cwd=table, check=False, timeout=120,
                          stderr=subprocess.PIPE)
    assert (done.stderr, (table / "code").read_text().strip()) == (b"", str(main.READER_GONE))


NAMES = ["photos\n", "a\tb", "$x_1$ \\frac", "<b>[red]", "\u200f\u202e", "\ud800", "\x1b[31m", "日本", "é" * 60]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_picture_can_show_any_name(table, monkeypatch, capsys, recwarn, name):
    """The picture of samples has the name in it; that of the curves has none, and is not drawn."""
    monkeypatch.chdir(table)
    monkeypatch.setattr("tinygan.measure.pictures.draw_curves", lambda metrics, path, config, samples: path.write_bytes(PNG))
    file = f"{name}.csv"
    try:
        Path(file).write_text(TABLE)
    except (UnicodeEncodeError, OSError):
        file = "t.csv"  # no file can be called so here; a data set and a column may
    shown = shortened(name)
    assert len(shown) <= 40 and shown.isprintable() and shown.encode()
    assert run(["train", file, "--out", "run", *FAST]) == 0
    assert set(os.listdir(table / "run")) >= LEFT and "Traceback" not in capsys.readouterr().err
    assert not [w for w in recwarn if "Glyph" not in str(w.message)]


def test_a_stream_that_cannot_be_written_to_loses_remarks_alone(monkeypatch, capsys):
    class Full:
        encoding, errors = "utf-8", "strict"

        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            raise OSError(28, "No space left on device")

        def isatty(self):
            return False

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Full())
        console.tell(console.err, "lost")
        assert run(["train", "nothing"]) == 2
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(sys, "stdout", Full())
        console.tell(console.out, "a result")
    console.tell(console.out, "now")
    console.tell(console.err, "and here")
    assert capsys.readouterr() == ("now\n", "and here\n")


def test_streams_are_left_as_they_were(capfd):
    before = [stream.errors for stream in (sys.stdout, sys.stderr)]
    assert run(["train", "\udcff"]) == 2
    assert [stream.errors for stream in (sys.stdout, sys.stderr)] == before
    assert "\\udcff" in capfd.readouterr().err


def test_in_a_thread(table, monkeypatch):
    monkeypatch.chdir(table)
    codes = []

    def train(out):
        codes.append(run(["train", "t.csv", "--out", out, *FAST]))

    threads = [threading.Thread(target=train, args=(out,)) for out in ("run0", "run1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0] and (table / "run0" / CHECKPOINT).read_bytes() == (table / "run1" / CHECKPOINT).read_bytes()


@pytest.mark.parametrize("variable", ["NUMBA_DISABLE_JIT=1", "NUMBA_NUM_THREADS=0", "NUMBA_NUM_THREADS=-2"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_settings_of_numba_that_keep_it_from_compiling(table, variable, backend):
    if (variable, backend) == ("NUMBA_NUM_THREADS=-2", "reference"):
        return  # the message is that of 0
    done = process("train", "t.csv", "--out", "run", *FAST[:-1], backend, cwd=table, variables=[variable.split("=")])
    assert_right(done, 2, 0)
    assert len(done.stderr.splitlines()) == 1 and variable.split("=")[0] in done.stderr.decode()
    assert os.listdir(table) == ["t.csv"]


LONG = "x" * 255


def test_the_longest_names_that_there_can_be(table, monkeypatch, capsys):
    """A name of 255 bytes is written and read; one that is longer is refused before anything is trained."""
    monkeypatch.chdir(table)
    draw_one_pixel(monkeypatch)
    data = f"{LONG[:251]}.csv"
    Path(data).write_text(TABLE)
    assert run(["train", data, "--out", LONG, *FAST]) == 0
    assert set(os.listdir(LONG)) == LEFT
    capsys.readouterr()
    assert run(["train", data, "--out", LONG, *FAST]) == 2  # the earlier run would be moved to a name that is too long
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1 and "File name too long" in said.err and set(os.listdir(LONG)) == LEFT

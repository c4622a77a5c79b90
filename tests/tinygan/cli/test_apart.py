"""Commands on Python files in a process of their own: limits, Ctrl-C, what is printed, and files that end or hang their process."""

import os
import signal
import subprocess
import sys
import time

import pytest
import typer
from tinygan_kernels import why_unavailable
from tinygan_kernels.child_process import python_command

from tinygan.cli import apart
from tinygan.cli.main import run

FILE = """
from numba import cuda
print("é is printed by the file")

# launch: double[(n + 63) // 64, 64](x, y)
@cuda.jit
def double(x, y):
    i = cuda.grid(1)
    if i < y.size:
        y[i] = 2 * x[i]
"""
COUNTS = "import itertools\nsum(itertools.count())\n"  # a loop in C, which Python cannot interrupt
needs_emulator = pytest.mark.skipif(
    why_unavailable("cupy", emulate=True) is not None, reason="needs Numba CUDA: pip install -e '.[emulator]'"
)


@pytest.fixture
def tinygan(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        code = run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@needs_emulator
def test_what_is_printed_and_the_exit_code_are_those_of_the_command(tinygan, tmp_path):
    (tmp_path / "k.py").write_text(FILE, encoding="utf-8")
    code, out, err = tinygan("kernels", "verify", "k.py", "--as", "neg")
    assert (code, err) == (1, "") and "is printed by the file" in out and "WRONG k.py:double as neg" in out
    assert "y: " in out


@pytest.mark.parametrize("command", ["verify", "profile", "explain", "trace", "bench"])
def test_every_command_on_a_file_goes_through_the_limit(tinygan, monkeypatch, command):
    """Their limits are looked at here, and what a limit does in the tests below."""
    asked = []
    monkeypatch.setattr(f"tinygan.cli.{'kernels' if command in ('verify', 'profile') else 'own_kernels'}.in_time",
                        lambda file, seconds: asked.append((file, seconds)) or 7)  # fmt: skip
    assert tinygan("kernels", command, "k.py:double", "--as", "neg", "--seconds", "3")[0] == 7
    assert tinygan("kernels", command, "k.py")[0] == 7
    assert asked == [("k.py:double", 3.0), ("k.py", None)]


@needs_emulator
@pytest.mark.parametrize(("text", "seconds", "said"), [
    (COUNTS, "0.5", "k.py: it was not done after 0.5 seconds, and was ended; is there an endless loop? --seconds 1 gives it"),
    ("import os\nos._exit(0)\n", "0", "k.py: its process ended before the command was done (exit code 0)"),
])
def test_a_file_that_hangs_or_ends_its_process_is_said_in_one_line(tinygan, tmp_path, text, seconds, said):
    """An exit code of 0 is none of the command's."""
    (tmp_path / "k.py").write_text(text)
    code, out, err = tinygan("kernels", "verify", "k.py", "--as", "neg", "--seconds", seconds)
    assert (code, out) == (2, "") and err.startswith(f"tinygan: {said}") and err.count("\n") == 1


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "1e9"])
def test_other_limits_are_refused(tinygan, seconds):
    code, out, err = tinygan("kernels", "verify", "k.py", "--as", "neg", f"--seconds={seconds}")
    assert (code, out) == (2, "") and "--seconds: " in err and "is not between 0, for no limit, and 1000000" in err


def test_a_process_of_its_own_is_for_python_files_and_where_a_limit_is_given(monkeypatch):
    commands = []

    def ended(command, streams, limit, folder):
        commands.append((command[-3:], limit))
        (folder / "code").write_text("1")
        return 1

    monkeypatch.setattr(apart, "_ended", ended)
    token = apart.typed.set(("kernels", "verify"))
    try:
        assert [apart.in_time(name, None) for name in ("k.cu", "k.ptx:f", "matmul", "")] == [None] * 4 and not commands
        assert [apart.in_time("k.py:f", None), apart.in_time("k.cu", 5.0), apart.in_time("k.py", 0.0)] == [1, 1, 1]
        assert commands == [([f"{limit:g}", "kernels", "verify"], limit) for limit in (300.0, 5.0, 0.0)]
        monkeypatch.setattr(apart, "_marks", ["folder"])
        assert apart.in_time("k.py", 5.0) is None, "this is the other process"
        with pytest.raises(typer.BadParameter):
            apart.in_time("k.py", float("nan"))
    finally:
        apart.typed.reset(token)


def test_the_limit_is_for_the_users_code_and_not_for_the_user(tmp_path):
    """Once the file has been executed a command waits for its user as long as that takes."""
    streams = {"stdin": subprocess.DEVNULL}
    endless = python_command("import time\nwhile True: time.sleep(1)")
    assert apart._ended(endless, streams, 0.01, tmp_path) is None
    (tmp_path / "executed").touch()
    assert apart._ended(python_command("import sys; sys.exit(7)"), streams, 0.001, tmp_path) == 7


@needs_emulator
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_ends_a_file_that_no_signal_can_interrupt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ignoring = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    mark = tmp_path / "pid"
    note = f"open({str(mark) + '.new'!r}, 'w').write(str(os.getpid()))\nos.rename({str(mark) + '.new'!r}, {str(mark)!r})\n"
    (tmp_path / "k.py").write_text(ignoring + note + COUNTS)
    begin = "import sys; from tinygan.cli.main import main; sys.argv[0] = 'tinygan'; main()"
    command = python_command(begin, ["kernels", "verify", "k.py", "--as", "neg"])
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not mark.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        assert (process.communicate(timeout=120)[1], process.returncode) == (b"", 130)
    finally:
        process.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_replaced_streams_get_what_the_process_prints(monkeypatch, capsys):
    with apart._streams() as (streams, relay):
        assert not isinstance(streams["stdout"], int)
        subprocess.run(python_command("import sys\nprint('to one')\nprint('to the other', file=sys.stderr)"), check=True, **streams)
        relay()
    assert capsys.readouterr() == ("to one\n", "to the other\n")
    monkeypatch.setattr(sys, "stdin", None)
    with apart._streams() as (streams, _):
        assert streams["stdin"] == subprocess.DEVNULL


def test_what_is_typed_is_forgotten_after_a_command(tinygan):
    assert tinygan("kernels", "verify", "no-such-kernel")[0] == 2
    assert apart.typed.get() == ()
    assert apart.in_time("k.py", None) is None, "nothing was typed: a function was called"

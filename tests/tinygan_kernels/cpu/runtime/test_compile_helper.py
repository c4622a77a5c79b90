"""Compiling with a helper: who can be named to it, and that what it compiles is found on disk by the others."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tinygan_kernels.child_process import NoChildError, python_command
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.matmul import jobs, skinny
from tinygan_kernels.cpu.runtime import compile_helper
from tinygan_kernels.cpu.runtime.stages import ParallelLoop


def test_loops_of_the_package_can_be_named_and_others_cannot():
    assert all(compile_helper.named(loop) for loop in (elementwise.add, skinny.dots, jobs.run_job))
    assert not compile_helper.named(ParallelLoop(lambda y, part, parts: None))


def test_what_the_helper_compiles_is_found_on_disk(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    names = elementwise.add.stage(1, *[np.zeros(4, np.float32)] * 3).names
    wanted = json.dumps([["tinygan_kernels.cpu.elementwise", "add", names]])
    command = python_command("from tinygan_kernels.cpu.runtime.compile_helper import main; main()")
    done = subprocess.run(command, input=wanted, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    script = "from tinygan_kernels.cpu import elementwise\n"
    script += f"print([loop.compile({names!r}) for loop in (elementwise.add, elementwise.mul)])"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, True]"


def test_a_helper_is_started_where_much_has_to_be_compiled_and_ends_with_it(monkeypatch):
    started, killed = [], []

    class Helper:
        def kill(self):
            killed.append(self)

        def wait(self):
            pass

        def poll(self):
            return None

    class Fake:
        def __init__(self, found):
            self.function, self.found, self.compiled = test_loops_of_the_package_can_be_named_and_others_cannot, found, []

        def compile(self, names):
            self.compiled.append(names)
            return not self.found

    monkeypatch.setattr(compile_helper.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(compile_helper, "_helper", lambda wanted: started.append(wanted) or Helper())
    for found, count, expected in ((True, 20, 0), (False, compile_helper.MANY, 0), (False, compile_helper.MANY + 1, 1)):
        loop = Fake(found)
        compile_helper.compile_all([(loop, str(i)) for i in range(count)])
        assert loop.compiled == [str(i) for i in range(count)]
        assert len(started) == len(killed) == expected


# ---- where no helper can be had --------------------------------------------------------------------------------------------------


@pytest.fixture
def loops(monkeypatch):
    """Return many loops that have to be compiled, in a process that has said nothing yet, and has a second core."""

    class Fake:
        function, compiled = test_loops_of_the_package_can_be_named_and_others_cannot, 0

        def compile(self, names):
            self.compiled += 1
            return True

    monkeypatch.setattr(compile_helper.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(compile_helper, "_SAID", [])
    return [(Fake(), str(i)) for i in range(3 * compile_helper.MANY)]


def refused(*args, **options):
    raise BlockingIOError(11, "Resource temporarily unavailable")


@pytest.mark.parametrize("kind", ["fork", "no executable", "an empty one", "frozen", "inside a program"])
def test_everything_is_compiled_alone_with_one_line(monkeypatch, loops, kind):
    """fork refused, as by RLIMIT_NPROC or a sandbox; no interpreter to start, as in one that is embedded or frozen."""
    if kind == "fork":
        monkeypatch.setattr(compile_helper.subprocess, "Popen", refused)
    elif kind == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        executable = {"no executable": None, "an empty one": "", "inside a program": "/bin/blender"}[kind]
        monkeypatch.setattr(sys, "executable", executable)
    with pytest.warns(RuntimeWarning) as said:
        compile_helper.compile_all(loops)
        compile_helper.compile_all(loops)
    assert [loop.compiled for loop, _ in loops] == [2] * len(loops)
    assert len(said) == 1 and str(said[0].message).startswith("kernels are compiled without a second process")
    assert len(str(said[0].message).splitlines()) == 1


def test_a_helper_that_ends_at_once_is_done_without_in_one_line(monkeypatch, loops):
    """Such as one that a sandbox kills as it begins; it does not even read what it is to compile."""
    real, started = subprocess.Popen, []

    def popen(command, **options):
        started.append(real([sys.executable, "-I", "-c", "raise SystemExit(7)"], **options))
        started[0].wait()
        return started[0]

    monkeypatch.setattr(compile_helper.subprocess, "Popen", popen)
    with pytest.warns(RuntimeWarning, match="exit code 7"):
        compile_helper.compile_all(loops)
    assert len(started) == 1 and [loop.compiled for loop, _ in loops] == [1] * len(loops)


def test_a_program_that_holds_an_interpreter_is_not_started_in_its_place(monkeypatch):
    for name in ("/usr/bin/blender", "C:/uwsgi.exe", "/opt/app/tinygan"):
        monkeypatch.setattr(sys, "executable", name)
        with pytest.raises(NoChildError, match="no Python to start"):
            python_command("")
    for name in ("/usr/bin/python3", "/usr/bin/python3.14t", "C:/Python/python.exe", "C:/Python/PythonW.exe", "/opt/pypy3.10"):
        monkeypatch.setattr(sys, "executable", name)
        assert python_command("")[:2] == [name, "-I"]

"""Compiling with a helper: who can be named to it, and that what it compiles is found on disk by the others."""

import json
import os
import subprocess
import sys

import numpy as np
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
    command = [sys.executable, "-m", "tinygan_kernels.cpu.runtime.compile_helper"]
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

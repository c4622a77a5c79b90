"""Numba's kernels on the emulator and on Numba's simulator: results are right, the sides take turns, and no failure passes."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import emulator

from benchmarks.docs import speed_tables
from benchmarks.speed import numba_sides
from benchmarks.speed.emulator import beside_the_simulator

posix = pytest.mark.skipif(sys.platform == "win32", reason="a side's program is a shell script here")


def test_all_kernels_are_right_on_the_emulator_and_a_wrong_result_is_not_timed():
    given = numba_sides.problems(np.random.default_rng(1))
    assert given.keys() == numba_sides.KERNELS.keys() == numba_sides.WHAT.keys()
    with emulator.numba():
        for name, problem in given.items():
            problem.arguments[-1][...] = 77  # of an earlier launch
            assert numba_sides.launch(numba_sides.KERNELS[name], problem) > 0
        for wrong in (problem.right + 0.1, np.full_like(problem.right, np.nan)):
            with pytest.raises(ArithmeticError, match="the largest error is"):
                numba_sides.launch(numba_sides.KERNELS[name], problem._replace(right=wrong))


def test_the_simulator_runs_in_a_process_of_its_own():
    with numba_sides.process(simulated=True) as seconds:
        assert seconds("histogram", False) > 0
        with pytest.raises(RuntimeError, match="no such kernel on the simulator has ended"):
            seconds("no such kernel", False)


@posix
@pytest.mark.parametrize("answer, words", [
    ('{"wrong": "the largest error is 3"}', r"histogram on the emulator is wrong \(the largest error is 3\)"),
    ('{"seconds": 1, "simulated": true}', "histogram on the emulator was not run there"),
    ("", "the process that runs histogram on the emulator has ended"),
])  # fmt: skip
def test_a_side_that_is_wrong_or_ends_is_no_time(monkeypatch, tmp_path, answer, words):
    program = tmp_path / "side"
    program.write_text(f"#!/bin/sh\nread asked\necho '{answer}'\n" if answer else "#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(numba_sides.sys, "executable", str(program))
    with numba_sides.process(simulated=False) as seconds, pytest.raises(RuntimeError, match=words):
        seconds("histogram", True)


def test_the_sides_take_turns_and_the_best_of_each_counts(monkeypatch):
    asked = []

    @contextmanager
    def process(simulated):
        def seconds(kernel, checks):
            asked.append((simulated, checks))
            return 10.0 - len(asked)

        yield seconds

    monkeypatch.setattr(numba_sides, "process", process)
    (row,) = numba_sides.compared(["histogram"], turns=2)
    assert asked == [(False, False), (False, True), (True, False)] * 2
    assert row["seconds"] == {"emulator": 6.0, "emulator, sanitizer on": 5.0, "simulator": 4.0}
    section = speed_tables._beside_the_simulator([row])
    assert "| kernel, Numba | emulator | emulator, sanitizer on | simulator | simulator / emulator, sanitizer on |" in section[1]
    assert "| atomic additions into 16 bins, 2,048 threads | 6,000 ms | 5,000 ms | 4,000 ms | 1 |" in section[1], section
    assert speed_tables._beside_the_simulator([]) == []


def test_the_command_ends_in_one_line_where_a_side_is_wrong(monkeypatch):
    def compared(names):
        raise RuntimeError("histogram is wrong")
        yield

    monkeypatch.setattr(numba_sides, "compared", compared)
    with pytest.raises(SystemExit, match="histogram is wrong"):
        list(beside_the_simulator())

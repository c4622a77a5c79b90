"""The benchmark of the busy machine: its loops run and end, its sides answer, and what it makes of them."""

import math
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.speed import busy


def test_loops_use_cpu_time_while_they_are_wanted():
    with busy.busy_loops(2) as loops:
        assert len(loops) == 2 and all(loop.poll() is None for loop in loops)
    assert all(loop.poll() is not None for loop in loops)


def test_loops_end_with_whoever_started_them():
    """The script may be killed: then nobody tells the loops."""
    code = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])"
    # whoever waits for the output waits until the loop, which has it too, has ended
    subprocess.run([sys.executable, "-c", code, busy.LOOP], stdout=subprocess.PIPE, check=True, timeout=3600)


def test_steps_are_counted(monkeypatch):
    """On a clock of its own: a step takes 32 ms, 8 of them on a core."""
    clock = SimpleNamespace(steps=0)
    clock.perf_counter, clock.process_time = lambda: clock.steps / 32, lambda: clock.steps / 128
    monkeypatch.setattr(busy, "time", clock)

    def step():
        clock.steps += 1

    assert busy.timed(step, 0.1, settle=False) == busy.Block(1000 / 32, 1000 / 128) and clock.steps == 4
    assert busy.timed(step, 0.0, settle=False).ms == 1000 / 32 and clock.steps == 5
    busy.timed(step, 0.1, settle=True)
    assert clock.steps == 5 + math.ceil(32 * busy.SETTLE) + 4, "steps that only warm up come before those that count"


def test_a_side_is_measured_in_every_condition(monkeypatch):
    asked = []

    class Pretended:
        def __init__(self, side, name):
            self.side = side

        def __enter__(self):
            return None if self.side.kind == "eager" else lambda seconds: asked.append(seconds) or busy.Block(len(asked), 1.0)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(busy, "started", Pretended)
    monkeypatch.setattr(busy, "CONDITIONS", {"idle": 0, "busy": 0})
    sides = {"tinygan": busy.Side("tinygan", {}), "PyTorch": busy.Side("eager", {}), "once": busy.Side("tinygan", {}, ("busy",))}
    found = busy.measure("ring", sides, 0.5, 3)
    assert found == {"tinygan": {"idle": {"ms": 4.0, "cpu_ms": 1.0}, "busy": {"ms": 5.0, "cpu_ms": 1.0}},
                     "once": {"busy": {"ms": 6.0, "cpu_ms": 1.0}}}
    assert asked == [0.5] * 9


def test_the_process_of_a_side_answers():
    with busy.started(busy.Side("tinygan", {"NUMBA_NUM_THREADS": "1"}), "ring") as block:
        made = block(0.05)
    assert made.ms > 0 and made.cpu_ms > 0


def test_a_peer_that_is_missing_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError):
        busy.step_of("eager", "ring")


def test_sides_and_verdicts():
    assert "PyTorch, channels_last" in busy.sides_of("dcgan28") and "PyTorch, channels_last" not in busy.sides_of("ring")
    by = {"idle": {"ms": 2.0}, "busy": {"ms": 5.0}}
    others = {"tinygan, one thread": 4.0, "PyTorch": 9.0, "PyTorch, x": 8.0}
    found = {"tinygan": by, **{title: {"busy": {"ms": ms}} for title, ms in others.items()}}
    assert busy.verdicts(found) == {"busy / idle": 2.5, "one thread / all, busy": 0.8, "best PyTorch / tinygan, busy": 1.6}

"""The notice that others use the cores: once, only where it is so, and with a number that is right."""

import ctypes
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from quick_endings import end_quickly
from tinygan_kernels import load
from tinygan_kernels.cpu.runtime import waiting, workers

from tinygan import nn
from tinygan.cli import main
from tinygan.fitting.front import fit
from tinygan.training.crowd import CrowdNotice


class Machine:
    """A clock and a backend whose threads run and want to run as a test says."""

    def __init__(self):
        self.now, self.ran, self.wanted, self.said = 100.0, 50.0, 70.0, []
        self.backend = replace(load("reference"), shares=lambda: (self.ran, self.wanted))
        self.notice = CrowdNotice(self.backend, self.said.append, lambda: self.now)

    def pass_by(self, seconds, ran, wanted):
        self.now, self.ran, self.wanted = self.now + seconds, self.ran + ran, self.wanted + wanted
        self.notice()
        return len(self.said)


def test_it_is_said_once_and_with_the_right_number():
    machine = Machine()
    assert machine.pass_by(10.0, ran=2.0, wanted=3.0) == 1 and "2.5 times as long" in machine.said[0]
    assert "NUMBA_NUM_THREADS=1" in machine.said[0] and "\n" not in machine.said[0]
    assert machine.pass_by(10.0, ran=2.0, wanted=6.0) == 1


@pytest.mark.parametrize(("seconds", "ran", "wanted"), [(10.0, 2.0, 0.9), (10.0, 4.0, 0.0), (10.0, 0.0, 0.0), (9.9, 2.0, 9.0)])
def test_it_is_not_said_without_reason(seconds, ran, wanted):
    """What was before the run does not count, nor a moment, nor a backend that measures nothing."""
    assert Machine().pass_by(seconds, ran, wanted) == 0


def test_a_crowd_later_on_is_noticed():
    machine = Machine()
    for _ in range(100):
        assert machine.pass_by(10.0, ran=2.0, wanted=0.1) == 0
    assert machine.pass_by(10.0, ran=1.0, wanted=1.0) == 1


def test_the_cpu_backend_tells_the_shares_of_its_team(monkeypatch):
    team = workers.Team(2, workers=False)
    monkeypatch.setattr(workers, "_TEAM", [])
    assert load("cpu").shares() == (0.0, 0.0)
    monkeypatch.setattr(workers, "_TEAM", [team])
    for me, (used, taken) in enumerate([(2 * 10**9, 10**9), (10**9, 4 * 10**9)]):
        for word, value in ((waiting.USED, used), (waiting.TAKEN, taken)):
            ctypes.c_int64.from_address(team.address + waiting.THREADS + me * waiting.LINE + word).value = value
    np.testing.assert_allclose(load("cpu").shares(), (3.0, 5.0))


@pytest.fixture
def crowded(monkeypatch):
    """Let the CPU backend's threads want three times what they get, and let a run look at once."""
    asked = count()
    monkeypatch.setattr("tinygan_kernels.cpu.backend.shares", lambda: (float(n := next(asked)), 2.0 * n))
    monkeypatch.setattr("tinygan.training.crowd.EVERY", 0.0)


def test_the_command_line_says_it_once(crowded, tmp_path, capsys, monkeypatch):
    end_quickly(monkeypatch)
    assert main.run(["train", "ring", "--hidden", "8", "--steps", "20", "--out", str(tmp_path / "run")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "other programs use the cores" in line]
    assert len(lines) == 1 and "3.0 times as long" in lines[0]


def test_fit_says_it_once(crowded):
    cpu, rng, told = load("cpu"), np.random.default_rng(0), []
    G, D = (nn.Sequential(nn.Linear(a, b, backend=cpu, rng=rng)) for a, b in ((4, 2), (2, 1)))
    fit(G, D, rng.standard_normal((30, 2)), steps=40, batch=8, progress=False, say=told.append)
    assert sum("other programs use the cores: steps take about 3.0 times" in line for line in told) == 1

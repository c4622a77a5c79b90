"""Profiles of a step: every launch is timed once a step, counts are profiling/work.py's, and the plan is left as it was."""

import re

import numpy as np
import pytest
from quick_endings import end_quickly
from tiny_runs import backend, start
from tinygan_kernels.profiling import work

from tinygan.cli import main
from tinygan.engine import ops, profiling
from tinygan.engine.profiling import profile
from tinygan.engine.replay import Replayed
from tinygan.training.checkpoint import CHECKPOINT


class Clock:
    """A clock that advances only when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(profiling.time, "perf_counter", lambda: self.now)

    def spend(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


ONES = np.ones((2, 4, 4), np.float32)


def recorded():
    """Return a recorded step of two products, an exponential and an addition."""
    replayed = Replayed(lambda a, b: (ops.exp(a @ b) + a @ a,), backend("cpu"))
    replayed(*ONES)
    return replayed


def test_times_are_summed_up_by_kernel(clock):
    """Seconds by kernel and launch are given, so the sums are known; medians pass over a step that was held up."""
    plan = recorded().plan
    price = {"matmul": 2.0, "exp": 1.0, "add": 0.5}
    held_up = iter([0.0, 0.0, 100.0, 0.0, 0.0])
    plan.calls = [lambda s=price[launch.kernel.name]: clock.spend(s) for launch in plan.launches]
    calls = plan.calls

    def step():
        clock.spend(0.25 + next(held_up))
        plan.run(ONES)

    found = profile(plan, step, 5)
    assert plan.calls is calls
    counts = {row.kernel: row.launches for row in found.rows}
    assert {row.kernel: row.seconds for row in found.rows} == {name: counts[name] * price[name] for name in counts}
    assert (found.rest, found.steps) == (0.25, 5)
    assert found.seconds == 0.25 + sum(price[launch.kernel.name] for launch in plan.launches)
    assert [row.seconds for row in found.rows] == sorted((row.seconds for row in found.rows), reverse=True)


def test_rates_are_those_of_cost(clock):
    plan = recorded().plan
    products = [launch for launch in plan.launches if launch.kernel.name == "matmul"]
    plan.calls = [lambda: clock.spend(1e-6)] * len(plan.launches)
    rows = {row.kernel: row for row in profile(plan, lambda: plan.run(ONES), 3).rows}
    row = rows["matmul"]
    assert row.flops == len(products) * 2 * 4**3 and row.moved == sum(map(work.moved, products)) == len(products) * 3 * 64
    assert row.gflops == pytest.approx(0.128) and row.gigabytes == pytest.approx(0.192)
    assert rows["exp"].gflops == 0


def test_a_device_is_waited_for_after_every_launch(clock):
    """A launch that only hands work over takes as long as the work."""
    plan, queue = recorded().plan, []
    plan.calls = [lambda: queue.append(3.0)] * len(plan.launches)

    def wait():
        clock.spend(sum(queue))
        queue.clear()

    found = profile(plan, lambda: plan.run(ONES), 2, wait)
    assert sum(row.seconds for row in found.rows) == 3.0 * len(plan.launches) and found.rest == 0


def test_a_step_that_fails_leaves_the_plan_as_it_was():
    plan = recorded().plan
    calls = plan.calls
    with pytest.raises(ZeroDivisionError):
        profile(plan, lambda: 1 / 0, 2)
    with pytest.raises(ValueError, match="at least one"):
        profile(plan, lambda: plan.run(ONES), 0)
    assert plan.calls is calls


def test_a_profile_of_a_run_adds_up_and_is_not_saved(tmp_path):
    run = start(tmp_path, backend="cpu")
    assert run.profile(3) is None
    run.train()
    before = (tmp_path / CHECKPOINT).read_bytes()
    found, plan = run.profile(3), run._replayed.plan
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert sum(row.launches for row in found.rows) == len(plan.calls) < len(plan.launches)
    assert {row.kernel for row in found.rows} >= {"matmul + bias_act", "bce_logits", "adam"}
    assert sum(row.flops for row in found.rows) == sum(map(work.flops, plan.launches)) > 0
    assert all(row.seconds > 0 for row in found.rows) and found.rest > 0


def test_the_command_prints_it(tmp_path, capsys, monkeypatch):
    """Shares add up to 100 %, the steps of the run are as many as were asked for, and samples are those without it."""
    end_quickly(monkeypatch)
    small = ["train", "ring", "--batch", "8", "--hidden", "8", "--z", "3"]
    assert main.run([*small, "--steps", "4", "--profile", "--out", str(tmp_path / "a")]) == 0
    shown = capsys.readouterr().out
    assert main.run([*small, "--steps", "4", "--out", str(tmp_path / "b")]) == 0
    assert "kernel" not in capsys.readouterr().out
    assert (tmp_path / "a" / "metrics.jsonl").read_bytes() == (tmp_path / "b" / "metrics.jsonl").read_bytes()
    shares = [float(share) for share in re.findall(r"([0-9.]+)%", shown)]
    assert len(shares) > 5 and sum(shares) == pytest.approx(100, abs=0.05 * len(shares) + 1e-6)
    assert re.search(r"matmul +\d+ +[\d.]+ +[\d.]+% +[\d.]+ +[\d.]+", shown) and "between launches" in shown
    assert main.run([*small, "--steps", "0", "--profile", "--out", str(tmp_path / "c")]) == 0
    assert "none to profile" in capsys.readouterr().err

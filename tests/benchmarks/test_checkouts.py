"""The comparison of two checkouts: it tells the faster side, and sees one bit that differs."""

import pytest

from benchmarks.speed import checkouts

WORKLOADS = """
import time
import numpy as np

now = [0.0]
time.perf_counter = lambda: now[0]  # so that no busy machine makes both sides alike

class Trial:
    def step(self):
        now[0] += {seconds}
        return 0.5, {loss}

    def params(self):
        return [np.array([1.0, {parameter}])]

def build(name, backend):
    return Trial()
"""


@pytest.fixture
def pretended(tmp_path):
    """Make a folder that passes for a checkout whose steps take so long and give such numbers; its process, killed afterwards."""
    running = []

    def make(name, seconds=0.002, loss=0.25, parameter=2.0, package="benchmarks/speed"):
        folder = tmp_path / name
        for package_folder in ("tinygan", package, "kernels/tinygan_kernels"):
            (folder / package_folder).mkdir(parents=True)
        (folder / package / "workloads.py").write_text(WORKLOADS.format(seconds=seconds, loss=loss, parameter=parameter))
        (folder / "kernels" / "tinygan_kernels" / "__init__.py").write_text("load = str\n")
        running.append(checkouts.started(folder))
        return running[-1]

    yield make
    for process in running:
        checkouts.ended(process)


def test_the_slower_side_is_told_and_bits_are_compared(pretended):
    this, slow = pretended("this"), pretended("slow", seconds=0.04)
    found = checkouts.compare("ring", this, slow, seconds=0.2)
    assert (found.this, found.other, found.ratio) == pytest.approx((2, 40, 20))
    assert found.same_bits
    for number, change in enumerate(({"loss": 0.25 + 2**-54}, {"parameter": 2 + 2**-51})):
        assert not checkouts.compare("ring", this, pretended(f"other{number}", **change), seconds=0.1).same_bits


def test_a_checkout_from_before_there_were_rooms(pretended):
    old = pretended("old", package="benchmarks")
    assert checkouts.compare("ring", pretended("this"), old, seconds=0.1).same_bits


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="is no checkout of tinygan"):
        checkouts.started(tmp_path)


def test_a_process_that_ends_is_said(pretended):
    process = pretended("ends")
    process.kill()
    process.wait()
    with pytest.raises(SystemExit, match="ended while it timed ring"):
        checkouts.asked(process, "ring", 1)

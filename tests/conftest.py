"""What holds for all tests: no test fails because the machine is slow or busy, so Hypothesis has no deadline for an example."""

import gc
import os
import sys
from collections.abc import Generator

import hypothesis
import pytest

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Tests start hundreds of Python processes. Each would compile all of tinygan anew, most of a second, where the environment forbids
# Python to keep what it has compiled, as images of containers do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# NumPy's and SciPy's products of small matrices would share themselves out among as many threads as there are cores, in each of the
# processes that tests run in, and the threads of one would wait for those of the other by keeping the cores busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collectstart() -> None:
    """Stop Python's collector while tests are collected: it would look again and again through what all stays."""
    gc.disable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have every second process of pytest-xdist (gw1, gw3 and so on) collect the files from the other end.

    Each process collects all tests. The first one that comes to a file rewrites its assertions and keeps on disk what Python has
    compiled of it, and so with every module that tests import. From two ends, each process finds half of that done.
    """
    report = yield
    own = getattr(collector.config, "workerinput", {"workerid": "gw0"})["workerid"]
    if isinstance(collector, pytest.Directory) and int(own.removeprefix("gw")) % 2:
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests that are marked as long first: a process that begins one at the very end would leave the other one idle.

    Processes of pytest-xdist put files in the order of their names, as all of them have to have the same order.
    """
    named = hasattr(config, "workerinput")
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, str(item.path) if named else ""))


def pytest_collection_finish() -> None:
    """Start the collector, and have it leave out what collecting the tests made.

    These are millions of objects, which cost time at every collection. The emulator, too, looks through the collector's objects
    for arrays whose address a kernel was given.
    """
    gc.enable()
    gc.collect()
    gc.freeze()

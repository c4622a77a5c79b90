"""A plugin of pytest for a child process: tests run inside `emulator.numba()`, and what comes of each is logged at once.

The log is a file of JSON lines, named by the environment variable NUMBA_SUITE_LOG: {"collected": [ids]}, then for each test
{"begun": id} and {"test": id, "outcome": "passed", "failed" or "skipped", "why": text, "seconds": s}. So the parent process knows
which test a child died in, and the next child leaves out the tests that have an outcome already.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tinygan_kernels import emulator

from .runner import read

WHY = 2000
"""Characters kept of the end of a failure's traceback."""
_stack = ExitStack()
_began: dict[str, float] = {}
_worst: dict[str, tuple[str, str]] = {}
"""The worst outcome so far of the test that runs, and why."""
_ORDER = {"passed": 0, "skipped": 1, "failed": 2}


def _write(line: dict) -> None:
    with open(os.environ["NUMBA_SUITE_LOG"], "a") as log:
        log.write(json.dumps(line) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Put the emulator in before the test files are imported: their decorators ask for the device."""
    _stack.enter_context(emulator.numba())


def pytest_unconfigure(config: pytest.Config) -> None:
    _stack.close()


@pytest.fixture
def initialize_from_pytest_config(request: pytest.FixtureRequest) -> None:
    """Set what the conftest.py of Numba CUDA's repository sets, which is not installed with the tests."""
    request.cls._dump_failed_filechecks = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write down all tests, and leave out those that have an outcome. (`--deselect` leaves out what begins with a name, too.)"""
    ended = {outcome.test for outcome in read(Path(os.environ["NUMBA_SUITE_LOG"]))[1]}
    _write({"collected": [item.nodeid for item in items]})
    items[:] = [item for item in items if item.nodeid not in ended]


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Write down a file whose import failed or that skips itself whole."""
    if report.outcome != "passed":
        why = _skipped(report.longrepr) if report.skipped else str(report.longrepr)
        _write({"test": report.nodeid or "?", "outcome": report.outcome, "why": why[-WHY:], "seconds": 0})


def pytest_runtest_logstart(nodeid: str, location: tuple) -> None:
    _began[nodeid] = time.perf_counter()
    _worst[nodeid] = ("passed", "")
    _write({"begun": nodeid})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst outcome of a test's set-up, call, subtests and tear-down."""
    outcome, why = report.outcome, ""
    if outcome == "skipped":
        why = report.wasxfail if hasattr(report, "wasxfail") else _skipped(report.longrepr)
        outcome = "passed" if hasattr(report, "wasxfail") else outcome  # a failure that the test expects is its success
    elif outcome == "failed":
        why = str(report.longrepr)[-WHY:]
    if _ORDER[outcome] > _ORDER[_worst[report.nodeid][0]]:
        _worst[report.nodeid] = (outcome, why)


def pytest_runtest_logfinish(nodeid: str, location: tuple) -> None:
    outcome, why = _worst.pop(nodeid)
    _write({"test": nodeid, "outcome": outcome, "why": why, "seconds": round(time.perf_counter() - _began.pop(nodeid), 2)})
    sys.stdout.flush()


def _skipped(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")

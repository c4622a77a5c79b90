"""What pytest does in a process that tests one mutant: the conftest.py of the copy in which `mutation.py` changes the code.

Such a process is forked from one that has run all tests with the unchanged code, and keeps what that has found: a function that
remembers its results would give those of the unchanged code, whatever the mutant does. So whatever the changed modules remember is
forgotten first. The quickest tests come first, as the first failure ends the process; and a test that a mutant makes endless ends
it too, long before the time limit for all tests together.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import pytest

CHANGED = "MUTATED_MODULES"  # of the environment: names of the modules that are changed, with commas between them
TIMES = Path("mutmut-stats.json")  # seconds of each test, which mutmut has measured, in the folder where tests are run
TIMES_LONGER, SECONDS_MORE = 10, 10  # a test may take so many times as long as without a mutant, and so many seconds besides


def pytest_sessionstart() -> None:
    """Forget what the changed modules remember."""
    names = os.environ[CHANGED].split(",")
    forget(sys.modules[name] for name in names if name in sys.modules)


def forget(modules: Iterable[ModuleType]) -> None:
    """Empty the caches of functions of these modules, and what the modules keep with objects as long as these live."""
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, WeakKeyDictionary):
                value.clear()
            elif callable(clear := getattr(value, "cache_clear", None)):
                clear()


def measured() -> dict[str, float]:
    """Return the seconds that each test took without a mutant, by its name; none before mutmut has measured them."""
    seconds: dict[str, float] = json.loads(TIMES.read_text())["duration_by_test"] if TIMES.exists() else {}
    return seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the quickest tests first, once it is known how long they take."""
    seconds = measured()
    items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let the system end the process where a test takes much longer than without a mutant, in the processor's time.

    The signal is SIGXCPU, which mutmut calls a timeout. Time on the clock would say how busy the machine is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    seconds = measured().get(item.nodeid)
    if seconds is not None:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = math.ceil(used + TIMES_LONGER * seconds + SECONDS_MORE)
        known = [each for each in (limit, soft, hard) if each != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_CPU, (min(known), hard))
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))

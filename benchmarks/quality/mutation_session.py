"""What pytest does in a process that tests one mutant: the conftest.py of the copy in which `mutation.py` changes the code.

Such a process is forked from one that has run all tests with the unchanged code, and keeps what that has found: a function that
remembers its results would give those of the unchanged code, whatever the mutant does. So whatever the changed modules remember is
forgotten first. The quickest tests come first, as the first failure ends the process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

import pytest

CHANGED = "MUTATED_MODULES"  # of the environment: names of the modules that are changed, with commas between them
TIMES = Path("mutmut-stats.json")  # seconds of each test, which mutmut has measured, in the folder where tests are run


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the quickest tests first, once it is known how long they take."""
    seconds = json.loads(TIMES.read_text())["duration_by_test"] if TIMES.exists() else {}
    items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))

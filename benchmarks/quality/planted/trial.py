"""Run tests in a process of their own, forked from one that has loaded the libraries, until one of them fails."""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

# What takes longest to load, and is the same for every fault. Nothing of this project, which is loaded with the fault in it, and no
# plugin of pytest, which it wants to load itself.
LIBRARIES = ("numpy", "numba", "scipy.special", "scipy.stats", "scipy.optimize", "sklearn.cluster", "sklearn.linear_model",
             "pytest", "safetensors.numpy", "matplotlib.figure", "rich.progress", "typer")
PACKAGES = ("tinygan", "tinygan_kernels")
ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def load_libraries() -> None:
    """Load LIBRARIES, with one thread each. Raises RuntimeError if the project has been loaded, as no fault could show then."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    for name in LIBRARIES:
        importlib.import_module(name)
    if loaded := [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        raise RuntimeError(f"{loaded[0]} was loaded already")


def first_failure(tests: tuple[str, ...], folder: Path, seconds: float) -> str | None:
    """Run tests of the project in `folder` until one fails, and return its name; None where all pass.

    Returns "the time limit" for tests that take longer than `seconds`, and the signal by which their process ended where there was
    one. Raises RuntimeError where the tests cannot even be collected.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _run_and_leave(tests, folder, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read() if select.select([pipe], [], [], seconds)[0] else b"the time limit"
    if said == b"the time limit":
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and not said:
        return f"signal {os.WTERMSIG(status)}"
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) > 1:
        raise RuntimeError(f"the tests do not run in {folder}: {said.decode()}")
    return said.decode() or None


class _FirstFailure:
    """A plugin of pytest that keeps the name of the first test that failed, or what kept tests from being collected."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = f"{report.nodeid}: {report.longreprtext[-1000:]}"


def _run_and_leave(tests: tuple[str, ...], folder: Path, writing: int) -> NoReturn:
    """Run tests in this process, say what failed through a pipe, and end the process: 0, 1, or more if they could not be run."""
    code = 2
    try:
        code, name = _run(tests, folder)
        os.write(writing, name.encode())
    except BaseException as error:  # the process that was forked is not to go on with what its parent does
        os.write(writing, repr(error).encode())
    finally:
        os._exit(code)


def _run(tests: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Run tests file by file until one fails. Returns pytest's exit status and the name of the test."""
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join((str(folder), str(folder / "kernels")))
    others = (path for path in sys.path if not any((Path(path) / name).exists() for name in PACKAGES))
    sys.path[:] = [str(folder), str(folder / "kernels"), *others]
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
    import pytest

    for test in tests:
        seen = _FirstFailure()
        if code := pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", test], plugins=[seen]):
            return int(code), seen.name
    return 0, ""

"""Tests that compile CUDA C++ are skipped where no compiler is installed, with the words in which the emulator says so."""

import gc
from collections.abc import Generator
from importlib.util import find_spec

import pytest

HAS_COMPILER = find_spec("numba_cuda") is not None
SAID = "the emulator needs numba-cuda with NVRTC"


def said_by(error: BaseException | None) -> str:
    """Return the emulator's words in an error, or in one that it came from, as where a test expected other words; "" without."""
    while error is not None:
        if str(error).startswith(SAID):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""


def skipped_without_a_compiler() -> Generator[None, object, object]:
    try:
        return (yield)
    except BaseException as error:  # pytest's own outcomes are no Exceptions
        if not HAS_COMPILER and (words := said_by(error)):
            pytest.skip(words)
        raise


@pytest.fixture(autouse=True, scope="module")
def without_what_earlier_tests_made() -> None:
    """Have Python's collector leave out what earlier tests have made and keep, such as the code that Numba has compiled for them.

    A launch that meets an unknown address looks through the collector's objects for an array there: for seconds, if they are many.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from skipped_without_a_compiler())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from skipped_without_a_compiler())

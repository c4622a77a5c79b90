"""Functions that only compiled functions call: machine code is made of the caller alone, and what such a function may not do."""

import ctypes

import numba
import pytest
from numba.core import codegen
from tinygan_kernels.cpu.runtime import disk_cache, inner_code, jit


@pytest.fixture
def machine_codes(tmp_path, monkeypatch):
    """Compile with an empty cache, and collect the names of what machine code is made of."""
    made, real = [], codegen.JITCodeLibrary._finalize_specific

    def finalize(library):
        made.append(library.name)
        real(library)

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(disk_cache, "_SAID", set())
    monkeypatch.setattr(codegen.JITCodeLibrary, "_finalize_specific", finalize)
    return made


def nested():
    """Return a function whose inner ones call each other twice each: 4 (x + 1) + 3 for x."""

    @jit.njit_inner
    def first(x):
        return x + 1

    @jit.njit_inner
    def second(x):
        return first(x) + first(x) + 1

    def outer(x):
        return second(x) + second(x) + 1

    return outer


def called(function, x, on_disk=False):
    address, found = jit.code_of(function, "int64(int64)")
    assert found == on_disk
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(x)


def test_machine_code_is_made_of_the_caller_alone(machine_codes):
    assert called(nested(), 5) == 4 * 6 + 3
    assert [name for name in machine_codes if "first" in name or "second" in name or "inner" in name] == []
    assert sum("outer" in name for name in machine_codes) == 1


def test_what_is_found_on_disk_computes_the_same(machine_codes):
    """The cache holds the machine code of the whole, with nothing left to be found in functions that have none."""
    function = nested()
    assert called(function, 5) == 27
    assert called(function, -1, on_disk=True) == 3


def test_an_error_in_an_inner_function_is_raised_through_its_callers():
    @jit.njit_inner
    def refuses(x):
        if x < 0:
            raise ValueError("x is negative")
        return x

    @numba.njit
    def outer(x):
        return refuses(x) + 1

    assert outer(1) == 2
    with pytest.raises(ValueError, match="x is negative"):
        outer(-1)


@pytest.mark.filterwarnings("ignore:Code running in object mode")
def test_a_function_that_uses_python_objects_ends_in_an_error():
    """Its environment, where Numba keeps them, has no place without machine code. Numba says so, and reads nothing else."""

    @jit.njit_inner
    def prints(x):
        with numba.objmode():
            print(x)
        return x

    @numba.njit
    def outer(x):
        return prints(x)

    with pytest.raises(RuntimeError, match="missing Environment"):
        outer(1)


@pytest.mark.parametrize("name", inner_code.NEEDED)
def test_with_a_numba_that_looks_otherwise_inside_all_is_compiled_as_usual(name, machine_codes, monkeypatch):
    before = inner_code.compiler_of_inner_functions()
    other = type("JITCodeLibrary", (), {needed: None for needed in inner_code.NEEDED if needed != name})
    with monkeypatch.context() as patch:
        patch.setattr(inner_code.codegen, "JITCodeLibrary", other)
        inner_code.compiler_of_inner_functions.cache_clear()
        assert inner_code.compiler_of_inner_functions() is None
        function = nested()
    inner_code.compiler_of_inner_functions.cache_clear()
    assert inner_code.compiler_of_inner_functions() is not None and before is not None
    if name == inner_code.NEEDED[0]:
        assert called(function, 5) == 27 and len(machine_codes) >= 3

"""Machine code of host code: compiled once, kept on disk, and loaded with other addresses by each run."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="needs llvmlite, which Numba brings")

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.program import machine_code
from tinygan_kernels.emulator.program.symbols import Symbols
from tinygan_kernels.emulator.program.writer import pointer


def text(more: int) -> str:
    """A function that returns the number at an address plus `more`."""
    symbols = Symbols()
    load = f"load i64, {symbols.at('at.the number', offset=8)}"
    return f"{symbols.declarations()}\ndefine i64 @f() {{\n  %x = {load}\n  %y = add i64 %x, {more}\n  ret i64 %y\n}}\n"


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """A list that grows by one with each compilation; what is kept lies in a folder of its own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    done, real = [], machine_code._compiled
    monkeypatch.setattr(machine_code, "_compiled", lambda text: done.append(text) or real(text))
    return done


def test_one_compilation_serves_all_runs_each_with_addresses_of_its_own(compilations):
    numbers = np.arange(6, dtype=np.int64)
    for start in (0, 2, 4):
        engine = machine_code.loaded(machine_code.machine_code(text(100)), {"at.the number": numbers[start:].ctypes.data})
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(engine.get_function_address("f"))() == 100 + start + 1
    assert len(compilations) == 1


def test_other_code_another_processor_and_a_damaged_file_are_compiled_anew(compilations, tmp_path, monkeypatch):
    machine_code.machine_code(text(1))
    machine_code.machine_code(text(2))
    assert len(compilations) == 2
    monkeypatch.setattr(machine_code, "OPTIMISATION", 2)
    machine_code.machine_code(text(2))
    cpu, features = machine_code._processor()
    monkeypatch.setattr(machine_code, "_processor", lambda: (cpu, features + ",-sse3"))
    machine_code.machine_code(text(2))
    assert len(compilations) == 4
    for path in (tmp_path / "ptx").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    machine_code.machine_code(text(2))
    assert len(compilations) == 5


def test_ir_that_is_wrong_is_refused_in_a_line(compilations):
    with pytest.raises(EmulatorError, match=r"host code cannot be compiled to machine code: .*undefined value"):
        machine_code.machine_code(f"define i64 @f() {{\n  %x = load i64, {pointer('i64')} @nowhere\n  ret i64 %x\n}}\n")

"""What emulator.numba() replaces in Numba is put back, also where it cannot replace all of it."""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.host import numba_context, numba_device
from tinygan_kernels.emulator.host.numba_code import LoadedCode

OTHER = "this numba-cuda has other internals than those that emulator.numba() replaces"
pytestmark = pytest.mark.skipif(not numba_context.numba_is_replaceable(), reason=OTHER)


@cuda.jit
def double(x):
    x[cuda.grid(1)] *= 2


def test_numba_is_as_it_was_where_something_cannot_be_replaced(monkeypatch):
    """As with another version of numba-cuda: then it is an error of one line, and the next block works."""
    monkeypatch.setattr(numba_context._Device, "_of_finalizers", lambda self: [(Path, "of_another_version", None)])
    for _ in range(2):
        with pytest.raises(EmulatorError, match="of_another_version"), emulator.numba():
            pass
    monkeypatch.undo()
    x = np.ones(4, np.float32)
    with emulator.numba():
        double[1, 4](x)
    np.testing.assert_array_equal(x, 2)


def test_older_packages_find_what_they_ask_a_kernel_and_an_event_for():
    """cuda.core before 1.0 has a kernel's attributes as methods, 0.5 its handle as `_handle`; numba-cuda 0.26 wraps events."""
    ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() .maxntid 64, 1, 1 { .shared .b8 s[12]; ret; }"
    kernel = LoadedCode(ptx, "k", 7, {}).get_kernel("k")
    assert kernel._handle == kernel.handle == 7
    assert kernel.attributes.shared_size_bytes() == kernel.attributes.shared_size_bytes == 12
    assert kernel.attributes.max_threads_per_block() == kernel.attributes.max_threads_per_block == 64
    host = numba_device.HostDriver(cuda.cudadrv.driver.binding)
    started, ended = (host.cuEventCreate(0) for _ in range(2))
    host.cuEventRecord(ctypes.c_void_p(int(started)), None)
    host.cuEventRecord(ended, None)
    assert host.cuEventElapsedTime(started, ctypes.c_void_p(int(ended))) >= 0
    host.cuEventDestroy(ctypes.c_void_p(int(ended)))
    host.cuEventDestroy(started)
    assert host.events == {}


def test_a_driver_that_does_not_start_or_is_disabled_is_numbas_error(monkeypatch):
    from numba.cuda.cudadrv.driver import CudaAPIError, CudaSupportError, config, driver

    def raising(_flags):
        raise CudaAPIError(999, "CUDA_ERROR_UNKNOWN")

    device = numba_context._Device(numba_context._parts())
    device.enter()
    try:
        monkeypatch.setattr(driver, "cuInit", raising, raising=False)
        with pytest.raises(CudaSupportError, match=r"Error at driver init: CUDA_ERROR_UNKNOWN \(999\)"):
            cuda.device_array(1)
        assert cuda.cuda_error() == "CUDA_ERROR_UNKNOWN (999)"
    finally:
        monkeypatch.undo()
        device.leave()
    monkeypatch.setattr(config, "DISABLE_CUDA", 1)
    monkeypatch.setattr(driver, "initialization_error", "CUDA is disabled")
    device = numba_context._Device(numba_context._parts())
    device.enter()
    try:
        with pytest.raises(CudaSupportError, match="CUDA is disabled"):
            cuda.device_array(1)
    finally:
        device.leave()
    monkeypatch.undo()
    with emulator.numba():
        assert cuda.device_array(1).size == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_may_not_use_what_its_parent_has_begun_to():
    """As on a GPU. One that was begun outside of the block has a device of its own."""

    def use():
        with emulator.numba():
            return cuda.to_device(np.arange(3)).copy_to_host().sum() == 3

    with emulator.numba():
        assert cuda.to_device(np.zeros(1)).size == 1
        assert "CUDA initialized before forking" in _said_by_child(use)
        assert use()
    assert _said_by_child(use) == "True"


def _said_by_child(function) -> str:
    """Return what a function returns or raises in the child of a fork."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(function())
        except BaseException as error:  # none may leave: the child would go on with the parent's tests
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as pipe:
        return pipe.read().decode()

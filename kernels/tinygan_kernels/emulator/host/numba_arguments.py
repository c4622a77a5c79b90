"""How arguments of Numba programs reach a kernel: host arrays where they are, foreign arrays, scalars of their size."""

from __future__ import annotations

import ctypes
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import array_over, bytes_at

from .host_arrays import HostArray
from .numba_device import number_of


class Arguments:
    """The arguments of the launch that a thread is preparing. parts: the modules of Numba CUDA."""

    def __init__(self, parts: SimpleNamespace):
        self.parts = parts
        self.preparing = threading.local()  # .passed: [(address, host array)], .copies: [(host array, its aligned copy)]
        self.begin()

    def begin(self, given: tuple = ()) -> None:
        """Forget the arguments of this thread's last launch. given: those of the next one."""
        self.preparing.passed, self.preparing.copies = [], []
        self.preparing.given, self.preparing.waits = given, False

    def taken(self) -> tuple[list[Any], list[Any], tuple, bool]:
        """Return (passed, copies, given, waits) of this thread's launch, which are then forgotten.

        waits: whether an array of the host is copied back by a copy that Numba waits for, or one to memory that is not pinned.
        """
        if not hasattr(self.preparing, "waits"):
            self.begin()
        found = self.preparing.passed, self.preparing.copies, self.preparing.given, self.preparing.waits
        self.begin()
        return found

    def view(self, given: Any, stream: Any = 0, copy: Any = None, user_explicit: bool = False) -> tuple[Any, bool]:
        """Return (what describes an argument's memory, False); it takes the place of Numba's copy of host arrays to the device.

        copy: given for arguments that a kernel may write, which are used where they are; cuda.In has it not, and gets a copy. An
        array that is not aligned is copied too, and written back after the launch, as a GPU's copy would be aligned.
        """
        if self.parts.driver.is_device_memory(given):
            return given._strided_memory_view_shim, False
        if isinstance(given, np.void):
            interface = given.__array_interface__
            array: Any = bytes_at(interface["data"][0], given.dtype.itemsize)
            shape: Any = ()
            strides: Any = ()
            dtype, size = given.dtype, 1
        else:
            array = _foreign(given) if hasattr(given, "__cuda_array_interface__") else np.asanyarray(given)
            shape, strides, dtype, size = array.shape, array.strides, array.dtype, array.size
            self._warn_of_copy(given, copy is not False and not user_explicit)
        if copy is None or not array.flags.aligned:
            original, array = array, array.copy(order="K" if array.flags.forc else "C")
            strides = array.strides if not isinstance(given, np.void) else ()
            if copy is not None:
                self.preparing.copies.append((original, array))
        address = array.__array_interface__["data"][0] if size else 0
        if size:
            self.preparing.passed.append((address, array))
            waited_for = not isinstance(given, HostArray) or not number_of(getattr(stream, "handle", stream))
            self.preparing.waits |= copy is not None and isinstance(given, np.ndarray) and waited_for
        layout = self.parts.devicearray._StridedLayoutShim(
            strides_in_bytes=strides, is_contiguous_c=array.flags.c_contiguous, is_contiguous_f=array.flags.f_contiguous,
            is_contiguous_any=array.flags.forc,
        )  # fmt: skip
        make = self.parts.devicearray._StridedMemoryViewShim
        return make(ptr=address, shape=shape, dtype=dtype, size=size, _layout=layout), False

    def _warn_of_copy(self, given: Any, copied: bool) -> None:
        """Warn of a host array as Numba does where a program has asked for it inside of `numba`, which begins without."""
        config = self.parts.driver.config
        wanted = config.CUDA_WARN_ON_IMPLICIT_COPY and not config.DISABLE_PERFORMANCE_WARNINGS
        if wanted and copied and isinstance(given, np.ndarray):
            what = "Host array used in CUDA kernel will incur copy overhead to/from device."
            warnings.warn(self.parts.devicearray.NumbaPerformanceWarning(what), stacklevel=2)


def scalar(value: Any) -> np.generic:
    """Return an argument of Numba's calling convention as a NumPy scalar of its size. Raises TypeError for None, as on a GPU."""
    if value is None:
        raise TypeError("an argument is a view of a mapped or managed array, which Numba gives no address on the device; pass the "
                        "whole array, or numpy.asarray(the view), which is copied")
    if isinstance(value, (bool, np.bool_)):
        return np.uint8(value)
    if isinstance(value, ctypes._SimpleCData):
        return np.frombuffer(bytes(value), np.dtype(type(value)))[0]
    if isinstance(value, np.generic):
        return value
    return np.int64(int(value)) if int(value) < 1 << 63 else np.uint64(int(value)).view(np.int64)


def described(array: Any) -> str:
    """Return what a finding calls an array."""
    return f"{array.dtype} {array.shape}"


def _foreign(given: Any) -> Any:
    """Return the memory behind __cuda_array_interface__ as an array, after what its stream does."""
    import numba.cuda

    settings: Any = vars(numba.cuda)["config"]
    interface = given.__cuda_array_interface__
    if interface.get("stream") is not None and settings.CUDA_ARRAY_INTERFACE_SYNC:
        numba.cuda.external_stream(interface["stream"]).synchronize()
    return array_over(interface, given)

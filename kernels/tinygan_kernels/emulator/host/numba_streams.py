"""What Numba does in streams: the arrays of the host that it returns and pins, callbacks, and what a launch touches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, LEGACY, Use

from .host_arrays import METHODS, HostArray
from .numba_device import HostDriver, number_of
from .script_order import ORDER


def replacements(parts: SimpleNamespace, host: HostDriver) -> list[tuple]:
    """Return what is replaced of Numba's streams and arrays of the host: (owner, name, replacement).

    parts: the modules of Numba CUDA.
    """
    import numba.cuda
    from numba.cuda import api

    devicearray = parts.devicearray
    real_copy, real_pinned = devicearray.DeviceNDArrayBase.copy_to_host, api.pinned_array

    def copy_to_host(array: Any, ary: Any = None, stream: Any = 0) -> Any:
        """Copy as Numba does. A copy in the stream that the array is bound to, which the call does not name, may be waited for."""
        found = real_copy(array, ary, stream)
        if not stream and array.stream:
            ORDER.host_waits(host.own(number_of(parts.driver._stream_handle(array.stream))))
        if not stream or ary is not None or not checking():
            return found
        of = host.own(number_of(parts.driver._stream_handle(stream)))
        if of in (DEFAULT, LEGACY):
            return found
        watched = found.view(HostArray)
        ORDER.touched(of, "copy_to_host", writes=[watched])
        return watched

    def pinned_array(*args: Any, **options: Any) -> Any:
        made = real_pinned(*args, **options)
        return made.view(HostArray) if checking() else made

    def add_callback(stream: Any, callback: Any, arg: Any = None) -> None:
        ORDER.host_waits(host.own(number_of(stream.handle)))  # the callback may tell anybody of the host that it was called
        callback(stream, 0, arg)

    classes = (devicearray.MappedNDArray, devicearray.ManagedNDArray)
    return [
        (devicearray.DeviceNDArrayBase, "copy_to_host", copy_to_host),
        (api, "pinned_array", pinned_array),
        (numba.cuda, "pinned_array", pinned_array),
        (parts.driver.Stream, "add_callback", add_callback),
        *((devicearray, kind.__name__, type(kind.__name__, (kind,), dict(METHODS))) for kind in classes),
    ]


class NumbaLaunch:
    """What one launch of Numba's touches, for the order between streams.

    Raises EmulatorError where its stream is captured by CuPy's names, as Numba's kernels are not captured.
    """

    def __init__(self, host: HostDriver, stream: Any, title: str, given: tuple):
        self.host, self.title, self.given = host, title, given
        self.stream = host.own(number_of(stream.handle))
        if ORDER.captured(self.stream):
            raise EmulatorError(
                f"kernel {title} of Numba is launched in a stream that is being captured: a graph takes kernels of CuPy's "
                "here, and none of Numba's; launch it before begin_capture or after end_capture"
            )
        self.wanted = ORDER.wanted(self.stream)
        self.used, self.owners = list[Use](), list[np.ndarray]()

    def touched(self, ranges: list[Memory]) -> None:
        """Note the ranges of memory that the launch has touched."""
        found, owners = ORDER.of_launch(ranges, list(self.host.allocations.arrays.values()))
        self.used += self.host.uses(found, self.stream)
        self.owners += owners

    def ended(self, waits: bool) -> None:
        """Compare with other streams. waits: whether Numba copies arrays of the host back, which are not pinned.

        Such a copy may have ended when the launch returns. Raises SanitizerError for a race.
        """
        for use in self.used:
            use.name = self._name(use.start)
        if self.used:
            ORDER.work(self.stream, f"kernel {self.title}", self.used, self.owners)
        if waits:
            ORDER.host_waits(self.stream)

    def _name(self, address: int) -> str:
        """Return which argument holds an address."""
        for i, argument in enumerate(self.given):
            interface = getattr(argument, "__cuda_array_interface__", None)
            if interface is not None:
                start = interface["data"][0]
                if start <= address < start + int(getattr(argument, "nbytes", 0)):
                    return f"argument {i}"
        return "memory of the device"

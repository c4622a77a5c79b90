"""`cupy.cuda` of `emulator.cupy`: streams, events, a device, textures.

All work is done at once and in order, so streams and events do nothing.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from . import texture


class Stream:
    """A stream, on which everything has happened by the time that it is asked for."""

    null: Stream
    done = True

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False):
        self.ptr = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_error) -> None: ...

    def use(self) -> Stream:
        return self

    def synchronize(self) -> None: ...

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None: ...


Stream.null = Stream(null=True)


class Event:
    """An event: the time at which it was recorded, as the emulator ran."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.time = 0.0

    def record(self, stream: Stream | None = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None: ...


def get_elapsed_time(start: Event, end: Event) -> float:
    """Return the milliseconds between two events. They are the emulator's, and say nothing about a GPU."""
    return 1e3 * (end.time - start.time)


class Device:
    """The device, number 0, of compute capability 8.0."""

    id, compute_capability = 0, "80"

    def __init__(self, device: int = 0): ...

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_error) -> None: ...

    def use(self) -> None: ...

    def synchronize(self) -> None: ...


def get_current_stream() -> Stream:
    return Stream.null


runtime = SimpleNamespace(
    deviceSynchronize=lambda: None, getDeviceCount=lambda: 1, getDevice=lambda: 0, setDevice=lambda _: None, **texture.CONSTANTS
)  # fmt: skip
stream = SimpleNamespace(get_current_stream=get_current_stream, Stream=Stream)


def submodules() -> dict[str, Any]:
    """Return what scripts may import as modules: {"cupy.cuda.texture": ...}."""
    return {"cupy.cuda.texture": texture, "cupy.cuda.runtime": runtime, "cupy.cuda.stream": stream}

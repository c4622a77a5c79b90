"""`cupy.cuda` of `emulator.cupy`: streams, events, a device, memory, textures.

All work is done at once and in order, so streams and events do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from tinygan_kernels.emulator.errors import CompilationError
from tinygan_kernels.emulator.host.numba_device import ATTRIBUTES

from . import memory, runtime, texture
from .memory import (
    MemoryAsyncPool,
    MemoryPointer,
    MemoryPool,
    PinnedMemoryPool,
    UnownedMemory,
    alloc,
    alloc_pinned_memory,
    get_allocator,
    malloc_managed,
    set_allocator,
    set_pinned_memory_allocator,
    using_allocator,
)

__all__ = [
    "Device", "Event", "ExternalStream", "MemoryAsyncPool", "MemoryPointer", "MemoryPool", "PinnedMemoryPool", "Stream",
    "UnownedMemory", "alloc", "alloc_pinned_memory", "get_allocator", "get_current_stream", "get_device_id", "get_elapsed_time",
    "is_available", "malloc_managed", "memory", "profile", "runtime", "set_allocator", "set_pinned_memory_allocator", "stream",
    "texture", "using_allocator",
]  # fmt: skip


class Stream:
    """A stream, on which everything has happened by the time that it is asked for."""

    null: Stream
    ptds: Stream
    done, device_id = True, 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None):
        self.ptr = 0 if null else id(self)
        self.non_blocking, self.priority = non_blocking, priority or 0

    def __enter__(self) -> Stream:
        _current.append(self)
        return self

    def __exit__(self, *_error) -> None:
        _current.pop()

    def use(self) -> Stream:
        """Make this stream the current one."""
        _current[-1] = self
        return self

    def synchronize(self) -> None: ...

    def record(self, event: Event | None = None) -> Event:
        """Record an event, a new one if none is given, and return it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None: ...

    def launch_host_func(self, callback: Callable[[Any], Any], arg: Any) -> None:
        """Call a function of the host, which is at once."""
        callback(arg)

    def add_callback(self, callback: Callable[[Stream, int, Any], Any], arg: Any) -> None:
        """Call a function of the host with the stream, 0 for no error, and `arg`."""
        callback(self, 0, arg)

    def begin_capture(self, mode: int | None = None) -> None:
        """Raise NotImplementedError, as there are no graphs."""
        raise NotImplementedError("emulator.cupy captures no graphs: call what is to be captured; a .cu program can capture them")

    def is_capturing(self) -> bool:
        return False


class ExternalStream(Stream):
    """A stream that somebody else made, by its pointer."""

    def __init__(self, ptr: int, device_id: int = -1):
        super().__init__()
        self.ptr = int(ptr)


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)
_current = [Stream.null]


class Event:
    """An event: the time at which it was recorded, as the emulator ran."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.time: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Record the time."""
        self.time = time.perf_counter()

    def synchronize(self) -> None: ...


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events. They are the emulator's, and say nothing about a GPU.

    Raises runtime.CUDARuntimeError for an event that was not recorded.
    """
    if start_event.time is None or end_event.time is None:
        raise runtime.CUDARuntimeError(400, "cudaErrorInvalidResourceHandle: invalid resource handle")
    return 1e3 * (end_event.time - start_event.time)


class Device:
    """The device, number 0, of compute capability 8.0. Raises runtime.CUDARuntimeError, when it is used, for another number."""

    compute_capability, pci_bus_id = "80", "0000:00:00.0"

    def __init__(self, device: int | Device = 0):
        self.id = int(device.id if isinstance(device, Device) else device)

    def __enter__(self) -> Device:
        self.use()
        return self

    def __exit__(self, *_error) -> None: ...

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        """Make the device the current one."""
        runtime.setDevice(self.id)

    def synchronize(self) -> None: ...

    @property
    def attributes(self) -> dict[str, int]:
        """What the device says of itself, under CuPy's names: MaxThreadsPerBlock, WarpSize and so on."""
        names = {name: "".join(word.capitalize() for word in name.split("_")) for name in ATTRIBUTES}
        names |= {"MULTIPROCESSOR_COUNT": "MultiProcessorCount", "MAX_THREADS_PER_MULTIPROCESSOR": "MaxThreadsPerMultiProcessor"}
        return {names[name]: value for name, value in ATTRIBUTES.items()}

    @property
    def mem_info(self) -> tuple[int, int]:
        """The bytes that the device has free, and that it has in all."""
        return runtime.memGetInfo()


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the stream whose `with` is running, else the null stream."""
    return _current[-1]


def get_device_id() -> int:
    return 0


def is_available() -> bool:
    return True


def profile():
    """Return a `with` that does nothing, as no profiler looks on."""
    return nullcontext()


nvtx = SimpleNamespace(
    RangePush=lambda message, id_color=-1: None, RangePop=lambda: None, RangePushC=lambda message, color=0: None,
    Mark=lambda message, id_color=-1: None, MarkC=lambda message, color=0: None,
)  # fmt: skip
profiler = SimpleNamespace(start=lambda: None, stop=lambda: None, initialize=lambda *_: None)
stream = SimpleNamespace(
    get_current_stream=get_current_stream, Stream=Stream, Event=Event, ExternalStream=ExternalStream,
    get_elapsed_time=get_elapsed_time,
)  # fmt: skip
device = SimpleNamespace(Device=Device, get_device_id=get_device_id, get_compute_capability=lambda: Device.compute_capability)
compiler = SimpleNamespace(CompileException=CompilationError)
pinned_memory = SimpleNamespace(
    PinnedMemoryPool=PinnedMemoryPool, PinnedMemory=memory.PinnedMemory, alloc_pinned_memory=alloc_pinned_memory,
    set_pinned_memory_allocator=set_pinned_memory_allocator,
)  # fmt: skip


def __getattr__(name: str):
    raise AttributeError(f"emulator.cupy.cuda has no {name}: it has streams, events, the device, memory, runtime and texture")


def submodules() -> dict[str, Any]:
    """Return what scripts may import as modules: {"cupy.cuda.texture": ...}."""
    named = {"texture": texture, "runtime": runtime, "stream": stream, "memory": memory, "device": device, "nvtx": nvtx,
             "profiler": profiler, "compiler": compiler, "pinned_memory": pinned_memory}  # fmt: skip
    return {f"cupy.cuda.{name}": module for name, module in named.items()}

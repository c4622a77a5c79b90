"""`cupy.cuda` of `emulator.cupy`: streams, events, graphs, a device, memory, textures.

All work is done at once; what a GPU could do in another order is found by the sanitizer. A captured stream does its work later.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
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
from .streams import Event, ExternalStream, Graph, Stream, get_current_stream, get_elapsed_time

__all__ = [
    "Device", "Event", "ExternalStream", "Graph", "MemoryAsyncPool", "MemoryPointer", "MemoryPool", "PinnedMemoryPool", "Stream",
    "UnownedMemory", "alloc", "alloc_pinned_memory", "get_allocator", "get_current_stream", "get_device_id", "get_elapsed_time",
    "is_available", "malloc_managed", "memory", "profile", "runtime", "set_allocator", "set_pinned_memory_allocator", "stream",
    "texture", "using_allocator",
]  # fmt: skip


class Device:
    """The device, number 0, of compute capability 8.0. Raises runtime.CUDARuntimeError, when it is used, for another number."""

    compute_capability, pci_bus_id = "80", "0000:00:00.0"

    def __init__(self, device: int | Device = 0):
        self.id: int = int(device.id if isinstance(device, Device) else device)

    def __enter__(self) -> Device:
        self.use()
        return self

    def __exit__(self, *_error: object) -> None: ...

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

    def synchronize(self) -> None:
        """Let the host wait for all streams. Raises CUDARuntimeError while a stream is captured."""
        runtime.deviceSynchronize()

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


def get_device_id() -> int:
    return 0


def is_available() -> bool:
    return True


def profile() -> AbstractContextManager[None]:
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
graph = SimpleNamespace(Graph=Graph)
device = SimpleNamespace(Device=Device, get_device_id=get_device_id, get_compute_capability=lambda: Device.compute_capability)
compiler = SimpleNamespace(CompileException=CompilationError)
pinned_memory = SimpleNamespace(
    PinnedMemoryPool=PinnedMemoryPool, PinnedMemory=memory.PinnedMemory, alloc_pinned_memory=alloc_pinned_memory,
    set_pinned_memory_allocator=set_pinned_memory_allocator,
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise AttributeError(f"emulator.cupy.cuda has no {name}: it has streams, graphs, the device, memory, runtime and texture")


def submodules() -> dict[str, Any]:
    """Return what scripts may import as modules: {"cupy.cuda.texture": ...}."""
    named = {"texture": texture, "runtime": runtime, "stream": stream, "memory": memory, "device": device, "nvtx": nvtx,
             "graph": graph, "profiler": profiler, "compiler": compiler, "pinned_memory": pinned_memory}  # fmt: skip
    return {f"cupy.cuda.{name}": module for name, module in named.items()}

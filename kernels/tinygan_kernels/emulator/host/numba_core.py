"""What stands in for cuda.core's Device and Stream, which Numba makes of its own: neither can be had without a driver."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .numba_device import CAPABILITY, number_of
from .script_order import ORDER


class CoreDevice:
    """The device; `of` makes the class of one that has a context."""

    context: Any = None
    device_id, compute_capability, name, uuid = 0, CAPABILITY, "emulated GPU", "-".join("0" * n for n in (8, 4, 4, 4, 12))

    def __init__(self, _number: int = 0): ...

    @classmethod
    def of(cls, context: Any) -> type:
        handle = SimpleNamespace(handle=context, _handle=context)
        return type("CoreDevice", (cls,), {"context": handle})

    def set_current(self) -> None: ...


class CoreStream:
    """A stream that a launch is given. handle: its number in the driver, 0 of the default one."""

    def __init__(self, handle: int):
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle

    def sync(self) -> None:
        ORDER.host_waits(self.handle)


def core_stream(streams: type) -> Callable[[Any], CoreStream]:
    """Return what takes the place of Numba's `_to_core_stream`. streams: Numba's class of streams."""

    def to_core_stream(given: Any) -> CoreStream:
        """Return the stream that a launch is given: 0, one of Numba's, or one of these. Raises TypeError for all else."""
        if isinstance(given, CoreStream):
            return given
        handle: Any = getattr(given, "handle", 0)
        if isinstance(given, streams):
            return CoreStream(number_of(handle or 0))
        if not given:
            return CoreStream(0)
        raise TypeError(f"a kernel's stream is one of Numba's, such as cuda.stream(), or 0, not {type(given).__name__}")

    return to_core_stream

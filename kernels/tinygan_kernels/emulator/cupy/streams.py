"""Streams, events and graphs of `emulator.cupy`.

All work is done at once, and what a GPU could do in another order is found by `host.script_order`. Where a stream is captured,
what it is given is noted, and a graph carries it out later, as often as it is launched. Every thread has a current stream of its
own, at first the default stream, or with the environment variable CUPY_CUDA_PER_THREAD_DEFAULT_STREAM=1 that of the thread.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygan_kernels.emulator.host.script_order import ORDER
from tinygan_kernels.emulator.program.cuda_errors import ERRORS, CudaError
from tinygan_kernels.emulator.program.graphs import CHILD, HOST_CALL, KERNEL, Capture, Graphs
from tinygan_kernels.emulator.program.graphs import Graph as Nodes
from tinygan_kernels.emulator.sanitizer.streams import OF_THREAD

from .errors import CUDARuntimeError

GLOBAL, THREAD_LOCAL, RELAXED = range(3)
"""The modes of a capture, CUDA's cudaStreamCaptureMode."""
_graphs = Graphs(lambda: next(ORDER.handles), lambda: 0)


@contextmanager
def _raised_as_cupy_does() -> Iterator[None]:
    """Let an error of the runtime be one of CuPy's class, with CUDA's name and text for it, and why."""
    try:
        yield
    except CudaError as error:
        name, text = ERRORS[error.code]
        raise CUDARuntimeError(error.code, f"{name}: {text}: {error}") from None


class Stream:
    """A stream, on which everything has happened by the time that it is asked for.

    `with stream:` and `use` make it the current one of the thread. What it is given between `begin_capture` and `end_capture` is
    not done: it becomes a Graph.
    """

    null: Stream
    ptds: Stream
    device_id = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None):
        self.non_blocking, self.priority = non_blocking, priority or 0
        self.ptr = 0 if null else OF_THREAD if ptds else ORDER.made(non_blocking)
        if self.ptr > OF_THREAD:
            weakref.finalize(self, ORDER.ended, self.ptr).atexit = False

    def __cuda_stream__(self) -> tuple[int, int]:
        """Return the version of CUDA's stream protocol, and the stream's pointer."""
        return 0, self.ptr

    def __enter__(self) -> Stream:
        _current.streams.append(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _current.streams.pop()

    def use(self) -> Stream:
        """Make this stream the current one."""
        _current.streams[-1] = self
        return self

    @property
    def done(self) -> bool:
        """Whether all work of the stream has ended: True. Raises CUDARuntimeError while it is captured."""
        refuse("cudaStreamQuery", self)
        ORDER.host_waits(self.ptr)
        return True

    def synchronize(self) -> None:
        """Let the host wait for the stream. Raises CUDARuntimeError while it is captured."""
        refuse("cudaStreamSynchronize", self)
        ORDER.host_waits(self.ptr)

    def record(self, event: Event | None = None) -> Event:
        """Record an event, a new one if none is given, and return it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let the stream wait for an event. It joins the capture in which the event was recorded."""
        _graphs.waits(self.ptr, event.ptr)
        if _graphs.of_stream(self.ptr) is None:
            ORDER.waits(self.ptr, event.ptr)

    def launch_host_func(self, callback: Callable[[Any], Any], arg: Any) -> None:
        """Call a function of the host, which is at once, or note it where the stream is captured."""
        in_stream(lambda: _called(lambda: callback(arg)), self, HOST_CALL)

    def add_callback(self, callback: Callable[[Stream, int, Any], Any], arg: Any) -> None:
        """Call a function of the host with the stream, 0 for no error, and `arg`. Graphs take launch_host_func instead."""
        refuse("cudaStreamAddCallback", self)
        with self:
            _called(lambda: callback(self, 0, arg))

    # -- capture ----------------------------------------------------------------------------------------------------------------
    def begin_capture(self, mode: int | None = None) -> None:
        """Note what the stream is given from here on, in place of doing it. mode: CUDA's, by default streamCaptureModeRelaxed.

        A capture is given up where its stream is no more. Raises CUDARuntimeError for the default stream, and for one that is
        captured already.
        """
        if mode not in (None, GLOBAL, THREAD_LOCAL, RELAXED):
            raise CUDARuntimeError(1, f"cudaErrorInvalidValue: invalid argument: {mode!r} is no mode of a capture")
        with _raised_as_cupy_does():
            _graphs.begin(self.ptr, relaxed=mode in (None, RELAXED))
        _captured[self.ptr] = self.non_blocking
        if not isinstance(self, ExternalStream):  # whose stream is somebody else's, and goes on without it
            weakref.finalize(self, _forget, self.ptr).atexit = False

    def end_capture(self) -> Graph:
        """Return what the stream was given since `begin_capture`, as a graph.

        Raises CUDARuntimeError where the capture did not begin in this stream, where a call came between that cannot be captured,
        and where another stream joined the capture that this one has not waited for.
        """
        capture = _graphs.of_stream(self.ptr)
        try:
            with _raised_as_cupy_does():
                return Graph(_graphs.graphs.pop(_graphs.end(self.ptr)))
        finally:
            if capture is not None and capture not in _graphs.captures:
                _forget(capture.origin)

    def is_capturing(self) -> bool:
        return _graphs.of_stream(self.ptr) is not None


class ExternalStream(Stream):
    """A stream that somebody else made, by its pointer."""

    def __init__(self, ptr: int, device_id: int = -1):
        super().__init__(null=True)
        self.ptr = int(ptr)


class _Current(threading.local):
    """The current streams of a thread, the innermost `with` last."""

    def __init__(self) -> None:
        per_thread = os.environ.get("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "0") not in ("", "0")
        self.streams = [Stream.ptds if per_thread else Stream.null]


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)
_current = _Current()
_captured: dict[int, bool] = {}
"""The pointers of the streams in which a capture began, and whether they are non_blocking."""


def _forget(origin: int) -> None:
    """Let nothing be left of the capture that began in a stream."""
    _captured.pop(origin, None)
    _graphs.captures = [c for c in _graphs.captures if c.origin != origin]


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the stream whose `with` is running in this thread, else the null stream."""
    return _current.streams[-1]


class Graph:
    """What a stream was given while it was captured. Arrays and arguments are those of then: their memory is read and written."""

    def __init__(self, nodes: Nodes):
        self._nodes = nodes.ordered()

    def launch(self, stream: Stream | None = None) -> None:
        """Carry it all out, in a stream (None: the current one). Where that is captured, it becomes a part of another graph."""
        in_stream(self._carry_out, stream, CHILD)

    def upload(self, stream: Stream | None = None) -> None:
        """Do nothing: on a GPU the first launch is faster after it."""

    def _carry_out(self) -> None:
        for node in self._nodes:
            node.action(0)


# -- what streams are given -----------------------------------------------------------------------------------------------------


def capturing(stream: Stream | None = None) -> Capture | None:
    """Return the capture that a stream (None: the current one) takes part in, None where there is none."""
    return _graphs.of_stream((stream or get_current_stream()).ptr) if _captured else None


def in_stream(work: Callable[[], Any], stream: Stream | None = None, kind: int = KERNEL) -> None:
    """Do work in a stream (None: the current one), which is at once, or note it where the stream is captured.

    Raises CUDARuntimeError for the null stream while another is captured that waits for it.
    """
    of = stream or get_current_stream()
    if _captured and (of.ptr > 1 or not all(_captured.values())):
        with _raised_as_cupy_does():
            if _graphs.taken(of.ptr, kind, lambda _stream: work()):
                return
    with of:  # so that the work is given to no other stream, which may be captured
        work()


def _launched(work: Callable[[], Any], stream: Any) -> None:
    """Do what a RawKernel is to do. stream: as the kernel was given it, a stream of any library, its pointer, or None."""
    if not isinstance(stream, (Stream, int, type(None))):
        stream = stream.__cuda_stream__()[1] if hasattr(stream, "__cuda_stream__") else None
    in_stream(work, ExternalStream(stream) if isinstance(stream, int) else stream)


def _called(function: Callable[[], Any]) -> None:
    """Call a function of the host in the current stream. It sees what was done before, and may tell others of the host."""
    ORDER.host_waits(get_current_stream().ptr)
    function()


ORDER.current = lambda: get_current_stream().ptr
ORDER.taker = _launched
ORDER.captured = lambda handle: bool(_captured) and _graphs.of_stream(handle) is not None


def refuse(call: str, stream: Stream | None = None, event: Event | None = None) -> None:
    """Raise CUDARuntimeError where something is called that waits for a stream which is captured, and end that capture.

    stream, event: what is waited for; without both, the whole device.
    """
    if _captured:
        with _raised_as_cupy_does():
            _graphs.refuse(call, (stream.ptr,) if stream else (), of_event=event.ptr if event else 0)


class Event:
    """An event: the time at which it was recorded, as the emulator ran."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.time: float | None = None
        self.ptr = next(ORDER.handles)
        weakref.finalize(self, ORDER.ended, self.ptr).atexit = False

    @property
    def done(self) -> bool:
        """Whether what came before the event has ended: True. Raises CUDARuntimeError for an event of a capture."""
        refuse("cudaEventQuery", event=self)
        ORDER.host_waits(event=self.ptr)
        return True

    def record(self, stream: Stream | None = None) -> None:
        """Record the time, or, where the stream is captured, what the stream was given before."""
        if not _graphs.recorded(self.ptr, (stream or get_current_stream()).ptr):
            self.time = time.perf_counter()
            ORDER.recorded(self.ptr, (stream or get_current_stream()).ptr)

    def synchronize(self) -> None:
        """Let the host wait for the event. Raises CUDARuntimeError for one of a capture."""
        refuse("cudaEventSynchronize", event=self)
        ORDER.host_waits(event=self.ptr)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds between two events. They are the emulator's, and say nothing about a GPU.

    Raises CUDARuntimeError for an event that was not recorded.
    """
    if start_event.time is None or end_event.time is None:
        raise CUDARuntimeError(400, "cudaErrorInvalidResourceHandle: invalid resource handle")
    return 1e3 * (end_event.time - start_event.time)

"""The order between the streams of a Python script, whoever made them: CuPy's names and Numba's stand for one device.

`sanitizer.streams` says who is ordered before whom. Here is what is a script's own: which stream work is given to, what a stream
is called in a finding, at which line of the script something happened, and how long memory lives. All streams and events have
handles of one kind, so that a stream of one library can be handed to the other.

What is not known to be out of order is taken to be in order. All threads of the host count as one, a stream of another library
as one that waits for the default stream, and what the default stream was given before a stream was made as done for that stream.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer.findings import StreamFinding, checking, deliver
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, HOST, LEGACY, OF_THREAD, Streams, Use, use_of, uses_of

from .lifetimes import Lifetimes
from .pool_blocks import PoolBlocks
from .script_places import place, variable_of

Given = Callable[[Callable[[], None], Any], None]


class ScriptOrder:
    """The streams of this process, and what work of theirs touches.

    current: gives the handle of the stream that this thread gives work to; taker: what a launch is handed to, with the stream that
    it was given; captured: says whether a stream is captured; finders: give the array that holds an address, or None.
    """

    def __init__(self) -> None:
        self.streams, self.lifetimes, self.blocks = Streams(), Lifetimes(), PoolBlocks()
        self.lock = threading.RLock()
        self.endings: deque[int] = deque()  # streams and events that are gone, which may happen in the middle of anything
        self.handles = itertools.count(0x1000, 16)
        self.places: dict[int, str] = {}  # of streams, where they were made
        self.alive: set[int] = set()  # streams that a script has made and not destroyed
        self.numbers, self.thread = itertools.count(2), threading.local()
        self.current: Callable[[], int] = lambda: DEFAULT
        self.taker: Given | None = None
        self.captured: Callable[[int], bool] = lambda _handle: False
        self.finders: list[Callable[[int], np.ndarray | None]] = []

    # -- streams and events -----------------------------------------------------------------------------------------------------
    def made(self, apart: bool) -> int:
        """Return the handle of a new stream. apart: whether it is independent of the default stream (cudaStreamNonBlocking)."""
        where = place()
        with self.lock:
            self._tidy()
            handle = next(self.handles)
            self.places[handle] = where
            self.alive.add(handle)
            self.streams.made(handle, apart)
            self.streams.known[handle] |= self.streams.known[DEFAULT]
        return handle

    def ended(self, handle: int) -> None:
        """Note that a stream or an event is destroyed."""
        self.endings.append(handle)

    def recorded(self, event: int, stream: int) -> None:
        """Note that an event is recorded in a stream."""
        with self.lock:
            self.streams.recorded(event, self._own(stream))

    def waits(self, stream: int, event: int) -> None:
        """Let a stream wait for an event."""
        with self.lock:
            self.streams.waits(self._own(stream), event)

    def host_waits(self, stream: int | None = None, event: int | None = None) -> None:
        """Let the host wait for a stream or an event; for everything if neither is given."""
        with self.lock:
            self._tidy()
            self.streams.host_waits(None if stream is None else self._own(stream), event)

    def _own(self, stream: int) -> int:
        """Return the handle of a stream, of this thread's own where it is cudaStreamPerThread."""
        if stream != OF_THREAD:
            return DEFAULT if stream == LEGACY else stream
        if not hasattr(self.thread, "handle"):
            self.thread.handle = -next(self.numbers)
        return self.thread.handle

    # -- what work touches ------------------------------------------------------------------------------------------------------
    def wanted(self, stream: int) -> bool:
        """Say whether what a stream is given is looked at: with the sanitizer on, and more streams than the default one."""
        if self.endings:
            with self.lock:
                self._tidy()
        return checking() and (bool(self.alive) or stream not in (DEFAULT, LEGACY))

    def touched(
        self, stream: int, what: str, reads: Iterable[np.ndarray] = (), writes: Iterable[np.ndarray] = (), name: str = "",
    ) -> None:  # fmt: skip
        """Note what work of a stream does with all elements of some arrays, called `name`. Raises SanitizerError for a race."""
        if self.wanted(stream):
            sides = [(a, w) for arrays, w in ((reads, False), (writes, True)) for a in arrays if a.size and not a.dtype.hasobject]
            self.work(stream, what, [u for a, w in sides if (u := use_of(a, w, name or described(a)))], [a for a, _ in sides])

    def work(self, stream: int, what: str, used: Iterable[Use], arrays: Iterable[np.ndarray]) -> None:
        """Note what work of a stream touches, in memory that lives as long as the arrays. Raises SanitizerError for a race."""
        by, used = f"{what} at {place()}", list(used)
        with self.lock:
            for array in arrays:
                self.lifetimes.watch(array)
            self._tidy()
            own = self.streams.begin(self._own(stream))
            met = self.streams.meeting(own, by, used)
            if met is None:
                return
            new, old = met
            new = next((use for use in used if use.writes and use.meets(old)), new)  # what it writes is rather told
            self.streams.settle(own, old)
        mine, other = self._names(own, old.stream)
        self._found(
            f"{what} {new.does} {new.name} in {mine}, which {old.by} {old.does} in {other}, with nothing that orders the two: let "
            f"{mine} wait for an event that is recorded in {other} after that", what,
        )  # fmt: skip

    def of_launch(self, ranges: list[Memory], arrays: list[np.ndarray]) -> tuple[list[Use], list[np.ndarray]]:
        """Return what a launch has touched in ranges of memory whose lifetime is known, and the arrays that it hangs on.

        arrays: among which those of the ranges are looked for, before all others.
        """
        found, owners = list[Memory](), list[np.ndarray]()
        for memory in ranges:
            inside = (a for a in arrays if memory.base <= a.__array_interface__["data"][0] < memory.end)
            owner = next(inside, None)
            owner = self.array_at(memory.base) if owner is None else owner
            if owner is not None:
                found.append(memory)
                owners.append(owner)
        return uses_of(found), owners

    def array_at(self, address: int) -> np.ndarray | None:
        """Return the array that holds an address, of the device's memory or pinned; None where none is known."""
        return next((a for find in self.finders if (a := find(address)) is not None), None)

    def allocated(self, array: np.ndarray, stream: int) -> None:
        """Note that an array is given a block of CuPy's memory pool, of those that the pool keeps for this stream."""
        with self.lock:
            self._tidy()
            self.lifetimes.watch(array)
            known, uses = self.streams.known, self.blocks.taken(self.lifetimes.span(array), self._own(stream))
            self.streams.uses += [use for use in uses if use.stream in known and known[HOST].get(use.stream, 0) < use.time]

    def given_back(self, stream: int | None) -> None:
        """Note that the memory pool gives its free blocks to CUDA, of a stream or of all. cudaFree waits for the whole device."""
        with self.lock:
            self._tidy()
            if self.blocks.given_back(None if stream is None else self._own(stream)):
                self.streams.host_waits()

    def _tidy(self) -> None:
        """Drop streams that are gone, and the uses of memory that was freed. What may still go on there hangs on to its block."""
        while self.endings:
            handle = self.endings.popleft()
            self.alive.discard(handle)
            self.streams.ended(handle)
        for start, end in self.lifetimes.gone():
            own = self.blocks.arena_of(start)
            if own is not None:
                known = self.streams.known.get(own, {})
                inside = [u for u in self.streams.uses if start <= u.start and u.end <= end]
                self.blocks.freed(start, end, [u for u in inside if known.get(u.stream, 0) < u.time])
            self.streams.forget(start, end)

    # -- the host ---------------------------------------------------------------------------------------------------------------
    def host_touches(self, use: Use) -> None:
        """Note that the host reads or writes memory. Raises SanitizerError where work of a stream may not have ended there."""
        if not self.streams.uses or not checking():
            return
        with self.lock:
            self._tidy()
            met = self.streams.met_by(use)
            if met is None:
                return
            self.streams.host_waits(met.stream)
        name, _ = self._names(met.stream, met.stream)
        self._found(
            f"the host {use.does} {use.name}, which {met.by} {met.does} in {name}, and has not waited for it: synchronize {name}, "
            "or an event that is recorded in it after that", "",
        )  # fmt: skip

    # -- findings ---------------------------------------------------------------------------------------------------------------
    def _found(self, message: str, what: str) -> None:
        deliver([StreamFinding("racecheck", message, what, place(), 0, (0, 0, 0), (0, 0, 0))])

    def _names(self, one: int, other: int) -> tuple[str, str]:
        """Return what two streams are called: by the script's variable, else by where they were made."""
        names = [self._name(handle) for handle in (one, other)]
        if one != other and names[0] == names[1]:
            names = [f"the {'later' if handle == max(one, other) else 'earlier'} {names[0]}" for handle in (one, other)]
        return names[0], names[1]

    def _name(self, handle: int) -> str:
        if handle == DEFAULT:
            return "the default stream"
        if handle < 0:
            return f"{'this' if handle == getattr(self.thread, 'handle', 0) else 'another'} thread's default stream"
        variable, where = variable_of(handle), self.places.get(handle)
        return f"stream {variable}{' ' * bool(variable)}({f'made at {where}' if where else 'of another library'})"


def described(array: np.ndarray) -> str:
    """Return what a finding calls an array."""
    return f"an array of {array.dtype} {array.shape}"


ORDER = ScriptOrder()
"""The order of this process."""

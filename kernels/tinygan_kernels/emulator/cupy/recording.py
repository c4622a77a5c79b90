"""What functions of arrays do where the current stream is captured: the call is noted for the graph.

What a function returns has to be there at once, with its shape and dtype. So a function that makes arrays is called, on what its
inputs hold now, and called again by each launch of the graph, into the same arrays. What is written in place (`out=`, `x += 1`,
`x[0] = y`, `copyto`) is left alone until then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from tinygan_kernels.emulator.host.script_order import ORDER

from .effects import OF_METADATA, TO_HOST, arrays_in, effects, needs_values, output, overwrites, writes_in_place
from .memory import uses_the_pool
from .streams import capturing, get_current_stream, in_stream, refuse


def recorded(name: str, function: Callable[..., Any], args: tuple, options: dict[str, Any], method: bool = False,
             plain: bool = False) -> Any:  # fmt: skip
    """Call a function of arrays, or note the call where the current stream is captured.

    name: NumPy's; method: whether it is an array's; plain: whether arrays of the device are NumPy's own among the arguments. Raises
    CUDARuntimeError in a capture for what would have to wait for a GPU, and SanitizerError for a race between streams.
    """
    if _here.inside or name in OF_METADATA:
        return function(*args, **options)
    if capturing() is None:
        return _done(_Call(name, function, args, options, method, plain))
    if _to_host(name, args):
        refuse(f"{name}, which waits for its values,")
    # lists are copied, as they may be changed before the graph is launched
    call = _Call(name, function, tuple(list(a) if isinstance(a, list) else a for a in args), options, method, plain)
    if call.out is not None or call.in_place:
        in_stream(lambda: _done(call))
        return call.out
    with np.errstate(all="ignore"):  # of values that the graph computes later
        result = _plainly(function, args, options)
    taken, returned = list(_views_in((args, options))), list(_views_in(result))
    if any(not any(np.may_share_memory(a, b) for b in taken) for a in returned):
        in_stream(lambda: _again(call, result))
    elif taken and not returned:
        refuse(f"{name}, which returns a {type(result).__name__} to the host,")
    return result


def _to_host(name: str, args: tuple) -> bool:
    """Return whether a call waits for values."""
    return name in TO_HOST or name.startswith("random.") or (name == "__getitem__" and needs_values(args[1]))


class _Call:
    """A call of an array function, and where it writes: out, which it returns, or in place, its first argument."""

    def __init__(self, name: str, function: Callable[..., Any], args: tuple, options: dict, method: bool, plain: bool):
        self.name, self.function, self.args, self.options = name, function, args, options
        self.method, self.plain = method, plain

    @cached_property
    def out(self) -> Any:
        if overwrites(self.name, self.args, self.options):
            return self.args[0]
        if self.plain:  # of a ufunc, whose outputs have been made options
            given = self.options.get("out")
            return given[0] if isinstance(given, tuple) and len(given) == 1 else given
        return output(self.name, self.function, self.args, self.options, self.method)

    @property
    def in_place(self) -> bool:
        return writes_in_place(self.name, self.method)

    def note(self, result: Any, made: bool) -> None:
        """Note what the call touched in the current stream. made: whether arrays that it returns are new."""
        stream = get_current_stream().ptr
        if ORDER.wanted(stream):
            done = effects(self.name, self.args, self.options, self.out, self.in_place, result, self.plain)
            for array in done.made if made and uses_the_pool() else ():
                ORDER.allocated(array, stream)
            if done.reads or done.writes:
                ORDER.touched(stream, f"cupy.{self.name.strip('_')}", done.reads, done.writes)
        if ORDER.streams.several and not self.name.startswith("random.") and _to_host(self.name, self.args):
            ORDER.host_waits(stream)


def _done(call: _Call) -> Any:
    """Make a call, and note what it touched."""
    stream = get_current_stream().ptr
    if not ORDER.wanted(stream):
        result = call.function(*call.args, **call.options)
    else:
        result = _plainly(call.function, call.args, call.options)
    call.note(result, made=True)
    return result


class _Here(threading.local):
    """A thread's note of whether it is inside a call that `recorded` made or that a graph repeats.

    NumPy's functions call one another. Such inner calls are a part of the outer one, and are not recorded again.
    """

    inside = False


_here = _Here()


def _plainly(function: Callable[..., Any], args: tuple, options: dict[str, Any]) -> Any:
    """Call a function whose own calls are not recorded."""
    before, _here.inside = _here.inside, True
    try:
        return function(*args, **options)
    finally:
        _here.inside = before


def _again(call: _Call, result: Any) -> None:
    """Make a call anew, and write what it returns into the arrays that it returned before."""
    for old, new in zip(_views_in(result), _views_in(_plainly(call.function, call.args, call.options)), strict=True):
        if old.shape != new.shape:
            raise ValueError(f"a graph computes an array of shape {new.shape}, which had the shape {old.shape} in its capture")
        old[...] = new
    call.note(result, made=False)


def _views_in(value: Any) -> Iterator[np.ndarray]:
    """Give the arrays in a value as NumPy's own."""
    return (np.ndarray.view(array, np.ndarray) for array in arrays_in(value))

"""Notes of the ops that a function calls: with which arguments, from which line, inside which layers, in whose VJP.

A tensor keeps its parents and its VJPs, and no more. The rest is read off Python's own stack while a `Trace` is active, in a guard
that `record` calls (see engine/tensor.py). Without one active nothing is noted, so training pays nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import Any

import tinygan.engine
from tinygan.engine.tensor import Tensor, Vjps, guards, pull_back
from tinygan.nn.tree import Layer

ENGINE = str(Path(tinygan.engine.__file__).parent)


@dataclass(frozen=True)
class Call:
    """One call of an op.

    function: the op's function, or None where it cannot be found by its name. arguments: its arguments by name, as they stood when
    its result was recorded. file, line: where the call came from, outside of the engine. layers: the calls of layers that it came
    from, the outermost first, each as (a number that tells calls apart, the layer). derivative_of: the tensor in whose VJP it was
    made, or None.
    """

    function: Callable[..., Any] | None
    arguments: Mapping[str, Any]
    file: str
    line: int
    layers: tuple[tuple[int, Layer], ...] = ()
    derivative_of: Tensor | None = None


@dataclass
class Trace:
    """The calls that were noted while `active`, found again by the tensors that they made."""

    _calls: dict[int, tuple[Vjps, Call]] = field(default_factory=dict)  # by the id of a tensor's VJPs, which are held
    _frames: dict[int, tuple[FrameType, int]] = field(default_factory=dict)  # of layers' calls, held: ids stay theirs

    def of(self, tensor: Tensor) -> Call | None:
        """Return the call that made a tensor; None for a leaf, and for what was made while nothing was noted."""
        held = self._calls.get(id(tensor.vjps))
        return held[1] if held and held[0] is tensor.vjps else None

    @contextmanager
    def active(self) -> Iterator[Trace]:
        """Note all ops of this thread within the `with`."""
        thread = get_ident()

        def note(array: Any, parents: tuple[Tensor, ...], vjps: Vjps) -> Vjps:
            if get_ident() != thread:
                return vjps
            kept: Vjps = vjps if callable(vjps) else list(vjps)  # a list of its own, as constants of Python's are shared
            self._calls[id(kept)] = kept, self._call(sys._getframe(2))
            return kept

        guards.append(note)
        try:
            yield self
        finally:
            guards.remove(note)
            self._frames.clear()

    def _call(self, op: FrameType) -> Call:
        """Read a call off the stack, whose top is the op's own frame."""
        code = op.f_code
        found = op.f_globals.get(code.co_name)
        found = getattr(found, "__wrapped__", found)
        function = found if getattr(found, "__code__", None) is code else None
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        arguments = {name: op.f_locals[name] for name in names if name in op.f_locals}
        where, layers, derivative_of = None, [], None
        frame = op.f_back
        while frame is not None:
            if where is None and not frame.f_code.co_filename.startswith(ENGINE):
                where = frame.f_code.co_filename, frame.f_lineno
            if frame.f_code is pull_back.__code__ and derivative_of is None:
                derivative_of = frame.f_locals["tensor"]
            if frame.f_code.co_name == "__call__" and isinstance(layer := frame.f_locals.get("self"), Layer):
                layers.append((self._number(frame), layer))
            frame = frame.f_back
        return Call(function, arguments, *(where or (code.co_filename, op.f_lineno)), tuple(reversed(layers)), derivative_of)

    def _number(self, frame: FrameType) -> int:
        """Return the number of a layer's call, of which `frame` is the frame."""
        if id(frame) not in self._frames:
            self._frames[id(frame)] = frame, len(self._frames)
        return self._frames[id(frame)][1]

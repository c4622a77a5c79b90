"""The checking mode: a checksum of every array that an op is recorded with, so that no change in place goes unnoticed.

tinygan notes its own writes, and those of `x.array = ...` and `x.array += ...`, always and at no cost. A write past it, such as
`x.array[0] = 1`, nobody notes; within `detect_changes` the sweep compares checksums instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .tensor import Tensor, ValuesNotThere, Vjps, changed, guards, op_name


@contextmanager
def detect_changes() -> Iterator[None]:
    """Make the sweep through whatever is computed within the `with` raise ChangedArray for any array that was changed since.

    Each op then costs a pass over its arrays more, when it runs and when it is differentiated; a recorded step is replayed without.
    """
    guards.append(_guarded)
    try:
        yield
    finally:
        guards.remove(_guarded)


def _guarded(array: Any, parents: tuple[Tensor, ...], vjps: Vjps) -> Vjps:
    """Return VJPs that compare the arrays of an op, its result's last, with those of now before they compute."""
    to_numpy = parents[0].backend.to_numpy
    try:
        before = [_checksum(to_numpy(a)) for a in (*(parent.array for parent in parents), array)]
    except ValuesNotThere:  # a step is being recorded
        return vjps

    def vjp(needed: list[bool], g: Tensor, y: Tensor, *seen: Tensor) -> list[Tensor | None]:
        for place, (tensor, checksum) in enumerate(zip((*seen, y), before, strict=True)):
            if _checksum(to_numpy(tensor.array)) != checksum:
                raise changed(vjps, place if place < len(seen) else "its result", tensor.array)
        if callable(vjps):
            return list(vjps(needed, g, y, *seen))
        return [one(g, y, *seen) if need and one else None for need, one in zip(needed, vjps, strict=True)]

    vjp.__qualname__ = f"{op_name(vjps)}.<locals>.vjp"
    return vjp


def _checksum(values: Any) -> tuple[Any, ...]:
    return values.shape, values.dtype.str, zlib.crc32(values.tobytes())

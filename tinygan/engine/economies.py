"""Economies of a recorded step: fewer launches, less memory, and not a bit of the result changed.

Each is a function from launches to launches that do the same:

    unchanging       finds launches that depend on nothing that changes: they are run once
    without_repeats  leaves out a launch that an earlier one made needless, by doing the same to the same numbers
    without_copies   a copy that is the last to touch its source disappears: its source is made at the destination
    in_place         a kernel that may overwrite its input does so where it is the last to read it
    share_memory     intermediate buffers whose lifetimes do not meet share memory, so that more of it stays in the cache

A buffer is known by `memory_id`, the id of the array that owns its memory. "Private" buffers are those that nobody outside of the
step looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tinygan_kernels import KERNELS, Backend, Launch
from tinygan_kernels.writes import owner_of

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register

# ---- memory: which launches touch which buffer ---------------------------------------------------------------------------------


def memory_id(array: Any) -> int:
    """Return the id of the buffer that an array is a view of: all views of one buffer have the same."""
    return id(owner_of(array))


def _written(launch: Launch) -> set[int]:
    return {memory_id(a) for a in launch.outputs}


def _touched(launch: Launch) -> set[int]:
    return {memory_id(a) for a in (*launch.inputs, *launch.outputs)}


def _overwrites(launch: Launch) -> bool:
    """Return whether a launch ignores its outputs' old values. Among kernels that work in place, only `fill` does."""
    return not launch.kernel.in_place or launch.kernel.name == "fill"


def _overlap(array: Any, launch: Launch) -> bool:
    return any(np.may_share_memory(array, other) for other in (*launch.inputs, *launch.outputs))


# ---- the economies -------------------------------------------------------------------------------------------------------------


def unchanging(launches: Sequence[Launch], allocated: set[int]) -> tuple[set[int], set[int]]:
    """Find the launches that do the same every time. Returns their indices, and the ids of the buffers that hold their results."""
    writers: dict[int, set[int]] = {}
    for i, launch in enumerate(launches):
        for key in _written(launch):
            writers.setdefault(key, set()).add(i)
    constant: set[int] = set()
    buffers: set[int] = set()
    for i, launch in enumerate(launches):
        sole = all(key in allocated and writers[key] == {i} for key in _written(launch))
        if sole and _overwrites(launch) and all(memory_id(a) in buffers for a in launch.inputs):
            constant.add(i)
            buffers |= _written(launch)
    return constant, buffers


def without_repeats(launches: Sequence[Launch], allocated: set[int]) -> tuple[list[Launch], dict[int, Any]]:
    """Leave out launches that repeat an earlier one: the same kernel on the same arrays, which nothing wrote to since.

    Returns the launches that are left, and for each buffer that is gone, by its id, the array that holds its values instead. Only a
    buffer that is written once, as a whole, may go.
    """
    writes = Counter(key for launch in launches for key in _written(launch))
    written_at: dict[int, int] = {}
    seen: dict[tuple, tuple[int, tuple[Any, ...]]] = {}
    instead: dict[int, Any] = {}
    kept: list[Launch] = []
    for i, launch in enumerate(launches):
        launch = replace(launch, inputs=tuple(_moved(a, instead) for a in launch.inputs))
        outputs = launch.outputs
        once = all(memory_id(a) in allocated and writes[memory_id(a)] == 1 and a.size == owner_of(a).size for a in outputs)
        if once and _overwrites(launch):
            sizes = [(a.shape, a.strides, a.dtype.str) for a in outputs]
            work = (launch.kernel.name, repr(sorted(launch.params.items())), str(sizes), *map(_place, launch.inputs))
            at, earlier = seen.get(work, (i, outputs))
            if at < i and all(written_at.get(memory_id(a), -1) < at for a in launch.inputs):
                instead |= {memory_id(mine): theirs for mine, theirs in zip(outputs, earlier, strict=True)}
                continue
            seen[work] = (i, outputs)
        written_at |= dict.fromkeys(_written(launch), i)
        kept.append(launch)
    return kept, instead


def _place(array: Any) -> tuple[Any, ...]:
    """Return where an array lies and how it is read: address, shape, strides and dtype."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _moved(array: Any, homes: Mapping[int, Any]) -> Any:
    """Return the same view of the memory that takes the place of the array's own, or the array itself where none does.

    homes: the new memory by the id of the old.
    """
    root = owner_of(array)
    if id(root) not in homes:
        return array
    inner = _place(array)[0] - _place(root)[0]
    home = homes[id(root)]
    return np.ndarray(array.shape, array.dtype, home.reshape(-1).view(np.uint8), inner, array.strides)


def arrival_of(inputs: tuple[Any, ...]) -> Launch:
    """Return a launch that does nothing, and stands for the arrival of the inputs: they are written before the first launch."""
    return Launch(KERNELS["fill"], lambda *arrays: None, (), inputs, {})


def without_copies(launches: Sequence[Launch], private: set[int]) -> list[Launch]:
    """Leave out each copy that is the last to touch its source, where the source can lie at its destination from the beginning."""
    kept, at = list(launches), 0
    while at < len(kept):
        if kept[at].kernel.name == "copy" and may_move(kept, at, private):
            launch = kept.pop(at)
            kept = [_rehomed(other, {memory_id(launch.inputs[0]): launch.outputs[0]}) for other in kept]
        else:
            at += 1
    return kept


def may_move(launches: Sequence[Launch], at: int, private: set[int]) -> bool:
    """Check that the source of the copy at index `at` could be its destination: nobody else uses that while the source lives."""
    source, destination = launches[at].inputs[0], launches[at].outputs[0]
    key = memory_id(source)
    whole = source.size == owner_of(source).size and source.flags.c_contiguous and destination.flags.c_contiguous
    alike = source.shape == destination.shape and source.dtype == destination.dtype
    if key not in private or key == memory_id(destination) or not (whole and alike):
        return False
    touching = [i for i, launch in enumerate(launches) if key in _touched(launch)]
    return touching[-1] == at and not any(_overlap(destination, launch) for launch in launches[touching[0] : at])


def _rehomed(launch: Launch, homes: Mapping[int, Any]) -> Launch:
    """Return the launch on arrays moved to where `homes` says."""
    inputs, outputs = (tuple(_moved(a, homes) for a in arrays) for arrays in (launch.inputs, launch.outputs))
    return replace(launch, inputs=inputs, outputs=outputs)


def in_place(launches: Sequence[Launch], private: set[int]) -> list[Launch]:
    """Put the output of a launch in the place of its first input, where its kernel allows that.

    Both have to be private and whole buffers, the output not used before this launch and the input not after it.
    """
    kept = list(launches)
    uses: dict[int, list[int]] = {}
    for i, launch in enumerate(launches):
        for key in _touched(launch):
            uses.setdefault(key, []).append(i)
    for i in range(len(kept)):
        if not kept[i].kernel.overwrites:
            continue
        x, y = kept[i].inputs[0], kept[i].outputs[0]
        old, new = memory_id(x), memory_id(y)
        whole = x.shape == y.shape and all(a.size == owner_of(a).size and a.flags.c_contiguous for a in (x, y))
        alone = sum(memory_id(a) == old for a in (*kept[i].inputs, *kept[i].outputs)) == 1
        if whole and alone and old != new and {old, new} <= private and uses[old][-1] == i == uses[new][0]:
            homes = {new: owner_of(x)}
            for k in uses[new]:
                kept[k] = _rehomed(kept[k], homes)
            uses[old] += uses.pop(new)[1:]
    return kept


def share_memory(launches: Sequence[Launch], private: set[int], backend: Backend) -> tuple[list[Launch], int]:
    """Move every private buffer into one pool, where buffers lie on top of each other if their lifetimes do not meet.

    The largest comes first, each at the lowest place that is free while it lives. Returns the launches, and the pool's bytes.
    """
    lives: dict[int, list[int]] = {}
    roots: dict[int, Any] = {}
    for i, launch in enumerate(launches):
        for array in (*launch.inputs, *launch.outputs):
            if memory_id(array) in private:
                lives.setdefault(memory_id(array), []).append(i)
                roots[memory_id(array)] = owner_of(array)
    placed: list[tuple[int, int, int, int]] = []  # start, end (bytes), first, last (launch)
    offsets: dict[int, int] = {}
    for key in sorted(roots, key=lambda k: -roots[k].nbytes):
        size, first, last = -(-roots[key].nbytes // ALIGNMENT) * ALIGNMENT, lives[key][0], lives[key][-1]
        start = 0
        for low, high, born, died in sorted(placed):
            if born <= last and first <= died and low < start + size and start < high:
                start = high
        placed.append((start, start + size, first, last))
        offsets[key] = start
    pool = _aligned(max((end for _, end, _, _ in placed), default=0), backend)
    homes = {key: pool[start : start + roots[key].nbytes] for key, start in offsets.items()}
    return [_rehomed(launch, homes) for launch in launches], pool.size


def _aligned(size: int, backend: Backend) -> Any:
    """Allocate `size` bytes that begin at a multiple of ALIGNMENT."""
    raw = backend.empty((size + ALIGNMENT,), np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]

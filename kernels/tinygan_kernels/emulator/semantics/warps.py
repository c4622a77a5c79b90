"""The instructions in which lanes of a warp exchange values: shfl, vote, match, redux. (PTX ISA, 9.7.9, 9.7.13)

Arguments are vectors over all lanes; `active` marks those that execute. Reshaped to (-1, 32), each row is a warp.
"""

from __future__ import annotations

import numpy as np

from . import floats

WARP = 32
"""Lanes of a warp."""
_LANE = np.arange(WARP, dtype="i4")


def by_warp(a, width: int):
    """Return a vector or scalar over `width` lanes as (warps, 32)."""
    return np.broadcast_to(a, (width,)).reshape(-1, WARP)


def shuffle(mode: str, values, b, c, width: int):
    """Return (values from the source lanes, whether the source lane is in range) for shfl.sync.{up, down, bfly, idx}."""
    source, inside = sources(mode, b, c, width)
    return np.take_along_axis(by_warp(values, width), source, axis=1).ravel(), inside.ravel()


def sources(mode: str, b, c, width: int):
    """Return, each (warps, 32), the lane that each lane of shfl.sync reads from, and whether the lane that it names is in range."""
    b, c = by_warp(b, width).astype("i4") & 31, by_warp(c, width).astype("i4")
    clamp, segment = c & 31, c >> 8 & 31
    top = (_LANE & segment) | (clamp & ~segment)
    bottom = _LANE & segment
    source = {"up": _LANE - b, "down": _LANE + b, "bfly": _LANE ^ b, "idx": bottom | (b & ~segment)}[mode]
    inside = source >= top if mode == "up" else source <= top
    return np.where(inside, source, _LANE) & 31, inside


def ballot(predicate, members, active):
    """Return, for every lane, the bits of the lanes of its warp that execute, are among its `members`, and hold the predicate."""
    width = active.size
    return np.repeat(_pack(by_warp(predicate & active, width)), WARP) & members


def _pack(bits):
    """Return (warps, 32) booleans as one uint32 a warp."""
    return np.packbits(bits, axis=1, bitorder="little").view("<u4").ravel()


def vote(mode: str, predicate, members, active):
    """Compute vote.sync.{all, any, uni, ballot}."""
    members = np.broadcast_to(members, active.shape)
    present = ballot(np.ones(active.shape, bool), members, active)
    yes = ballot(np.broadcast_to(predicate, active.shape), members, active)
    return {"ballot": yes, "any": yes != 0, "all": yes == present, "uni": (yes == present) | (yes == 0)}[mode]


def elect(members, active):
    """Compute elect.sync: (number of the elected lane, whether a lane is it), of those named and executing the lowest."""
    named = ballot(np.ones(active.shape, bool), np.broadcast_to(members, active.shape), active)
    lowest = named & (~named + np.uint32(1))
    leader = (np.frexp(lowest.astype("f8"))[1] - 1).astype("u4")
    return leader, np.arange(active.size) % WARP == leader


def match(mode: str, values, members, active):
    """Compute match.any: the bits of the lanes with the same value; or match.all: (the members if all agree, else 0; whether)."""
    width = active.size
    values = by_warp(values, width)
    members = np.broadcast_to(members, (width,))
    named = (members.reshape(-1, WARP)[:, :, None] >> _LANE.astype("u4") & np.uint32(1)).astype(bool)
    same = (values[:, :, None] == values[:, None, :]) & active.reshape(-1, WARP)[:, None, :] & named
    bits = np.packbits(same, axis=2, bitorder="little").view("<u4").reshape(-1)
    if mode == "any":
        return bits
    everyone = ballot(np.ones(width, bool), members, active)
    agree = bits == everyone
    return np.where(agree, everyone, np.uint32(0)), agree


def reduce(operation: str, values, members, active):
    """Compute redux.sync: the reduction over the named lanes, given to each of them. A warp may hold several such sets."""
    width = active.size
    if np.asarray(values).dtype == np.float32:
        return _reduce_floats(operation, values, members, active)
    function, neutral = REDUCTIONS[operation]
    values, members = np.broadcast_to(values, (width,)), np.broadcast_to(members, (width,))
    result = np.zeros(width, values.dtype)
    for mask in np.unique(members[active]):
        chosen = active & (members == mask)
        start = neutral(values.dtype)
        totals = function.reduce(np.where(chosen, values, start).reshape(-1, WARP), axis=1, dtype=values.dtype)
        result = np.where(chosen, np.repeat(totals, WARP), result)
    return result


def _reduce_floats(operation: str, values, members, active):
    """Compute redux.sync.{min, max}{.abs}{.NaN}.f32. A NaN is left aside, unless all are or .NaN asks for it; -0 < +0."""
    values, members = np.broadcast_to(values, active.shape), np.broadcast_to(members, active.shape)
    pick = floats.extremum(operation[:3], "f32", ".NaN" in operation)
    values = np.abs(values) if ".abs" in operation else values
    result = np.zeros(active.size, "f4")
    for mask in np.unique(members[active]):
        chosen = active & (members == mask)
        rows, taken = values.reshape(-1, WARP), chosen.reshape(-1, WARP)
        total = np.full(len(rows), np.nan, "f4")
        started = np.zeros(len(rows), bool)
        for lane in range(WARP):
            here = taken[:, lane]
            total = np.where(here, np.where(started, pick(total, rows[:, lane]), rows[:, lane]), total)
            started |= here
        total = np.where(np.isnan(total), np.uint32(0x7FFFFFFF).view("f4"), total)
        result = np.where(chosen, np.repeat(total, WARP), result)
    return result.astype("f4")


REDUCTIONS = {
    "add": (np.add, lambda d: d.type(0)),
    "min": (np.minimum, lambda d: d.type(np.iinfo(d).max)),
    "max": (np.maximum, lambda d: d.type(np.iinfo(d).min)),
    "and": (np.bitwise_and, lambda d: np.array(-1, "i8").astype(d)),
    "or": (np.bitwise_or, lambda d: d.type(0)),
    "xor": (np.bitwise_xor, lambda d: d.type(0)),
}


def all_met(members: np.ndarray, present: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Mark the lanes, of those `present`, whose members, but for lanes that have exited, are present with the same members."""
    rows, here = members.reshape(-1, WARP), present.reshape(-1, WARP)
    same = (rows[:, :, None] == rows[:, None, :]) & here[:, None, :]
    alike = np.packbits(same, axis=2, bitorder="little").view("<u4").reshape(-1)
    return present & ((members & _pack(live.reshape(-1, WARP)).repeat(WARP) & ~alike) == 0)


def named_and_absent(members: np.ndarray, active: np.ndarray, exists: np.ndarray) -> np.ndarray:
    """Mark the executing lanes whose `members` name a lane of their warp that exists, and does not execute with them."""
    members = np.broadcast_to(members, active.shape)
    present = _pack(active.reshape(-1, WARP)).repeat(WARP)
    real = _pack(exists.reshape(-1, WARP)).repeat(WARP)
    return active & ((members & real & ~present) != 0)

"""The execution of wmma.load and wmma.store: each lane moves the elements of its fragment, a register or an element at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygan_kernels.emulator.semantics.fragments import Transfer
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes


def load_fragment(
    access: Access, site: Site, moved: Transfer, targets: Sequence[np.ndarray], address: np.ndarray, stride: np.ndarray | int,
    lanes: Lanes,
) -> None:  # fmt: skip
    """Load a fragment into the registers `targets`, of which those beyond its elements repeat the first ones.

    site: of one piece; address, stride: of the matrix, one value a lane; stride in elements.
    """
    address = np.broadcast_to(np.asarray(address, "i8"), lanes.mask.shape)
    lanes = _aligned(access, site, moved, address, stride, lanes, "ld")
    pieces = moved.addresses(address, stride)
    elements = len(pieces) * moved.run // moved.held  # registers that hold something of their own
    if moved.run >= moved.held:
        each = moved.run // moved.held
        for i, place in enumerate(pieces):
            access.load(site, targets[each * i : each * (i + 1)], place, lanes)
    else:
        for r in range(elements):
            word = np.zeros(lanes.mask.size, "u4")
            for i in range(moved.held):
                part = np.zeros(lanes.mask.size, site.code)
                access.load(site, (part,), pieces[r * moved.held + i], lanes)
                word |= part.astype("u4") << np.uint32(i * moved.bits)
            np.copyto(targets[r], word, where=lanes.where)
    for r in range(elements, len(targets)):
        np.copyto(targets[r], targets[r % elements], where=lanes.where)


def store_fragment(
    access: Access, site: Site, moved: Transfer, values: Sequence[np.ndarray], address: np.ndarray, stride: np.ndarray | int,
    lanes: Lanes,
) -> None:  # fmt: skip
    """Store the registers `values` of a fragment. The other arguments are as in `load_fragment`."""
    address = np.broadcast_to(np.asarray(address, "i8"), lanes.mask.shape)
    lanes = _aligned(access, site, moved, address, stride, lanes, "st")
    pieces = moved.addresses(address, stride)
    if moved.run >= moved.held:
        each = moved.run // moved.held
        for i, place in enumerate(pieces):
            access.store(site, values[each * i : each * (i + 1)], place, lanes)
        return
    for i, place in enumerate(pieces):
        part = values[i // moved.held] >> np.uint32(i % moved.held * moved.bits)
        access.store(site, (part.astype(site.code),), place, lanes)


def _aligned(
    access: Access, site: Site, moved: Transfer, address: np.ndarray, stride: np.ndarray | int, lanes: Lanes, operation: str
) -> Lanes:
    """Return the lanes for whose matrices every row (or column) is aligned as it has to be; report the others."""
    step = np.broadcast_to(stride, lanes.mask.shape).astype("i8") * moved.bits  # in bits: rows of s4 may end inside of a byte
    wrong = lanes.only((8 * address | step) & (8 * moved.alignment - 1) != 0)
    if wrong.count:
        whole = Site(site.name, site.ptx_line, site.source, site.line, site.space, "u1", 1, moved.alignment, site.number)
        access.fault(whole, site.space, "misaligned", address[wrong.mask], wrong, operation)
        return lanes.without(wrong)
    return lanes

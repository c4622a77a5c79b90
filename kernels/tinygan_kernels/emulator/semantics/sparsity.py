"""The sparse A of mma.sp and wgmma.mma_async.sp: half of each row is stored, and metadata say where it stands. (PTX ISA, 9.7.14.6
and 9.7.15.6, "Sparse matrix storage")

A row is cut into chunks: 4 elements of 16 or 8 bits, of which 2 are stored; 2 of tf32, of which 1 is; 8 of 4 bits, of which 2 pairs
are. A chunk has a code of four bits, two indices of two bits. PTX shows in pictures which lane holds which code: lane 4 g + t knows
of the rows g and g + 8. Where elements have 16 bits or more, a word of metadata has four chunks of row g and, above them, the same
four of row g + 8. Where they have fewer, a word has eight chunks of one row: lanes of an even t have row g, those of an odd one row
g + 8. (CUTLASS states the latter as the ELayout of the products in cute/atom/mma_traits_sm120_sparse.hpp.)
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .block_scales import BYTES
from .fragments import BITS
from .warps import WARP

ROWS = 16
"""Rows of A of which the lanes of a warp hold metadata."""
FORMS = {
    "f16": (16, 32), "bf16": (16, 32), "tf32": (8, 16), "s8": (32, 64), "u8": (32, 64), "s4": (64, 128), "u4": (64, 128),
    "e4m3": (64,), "e5m2": (64,),
}  # fmt: skip
"""The k of the shapes m16n8k of mma.sp, by the type of A."""
_ORDERED_ALWAYS = (*BYTES, "e2m1")


def chunk(kind: str) -> int:
    """Return how many neighbours in a row of A share a code."""
    return {"tf32": 2, "s4": 8, "u4": 8, "e2m1": 8}.get(kind, 4)


def selectors(kind: str, depth: int) -> int:
    """Return how many values the sparsity selector has: that many sets of lanes, of the four of a group, can hold the metadata."""
    return 16 // (depth // chunk(kind))  # the four lanes of a group have 32 codes, of two rows


@cache
def _holders(kind: str, depth: int, selector: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (lane, lowest bit), each (rows, chunks), of the code of every chunk."""
    row, number = np.arange(ROWS)[:, None], np.arange(depth // chunk(kind))[None, :]
    if BITS[kind] >= 16:
        lanes = number.size // 4
        return 4 * (row % 8) + selector * lanes + number // 4, 16 * (row // 8) + 4 * (number % 4)
    return 4 * (row % 8) + 2 * selector + row // 8 + 2 * (number // 8), 4 * (number % 8) + 0 * row


def codes(words: np.ndarray, kind: str, depth: int, selector: int) -> np.ndarray:
    """Return the codes (warps, 16, chunks) that the metadata of all lanes hold. words: unsigned 32-bit integers; depth: the k."""
    lane, bit = _holders(kind, depth, selector)
    return (words.reshape(-1, WARP)[:, lane] >> bit.astype("u4") & np.uint32(15)).astype("u1")


def wrong(found: np.ndarray, kind: str, ordered: bool) -> np.ndarray:
    """Mark the codes that PTX leaves undefined. ordered: whether it is `.sp::ordered_metadata`, whose indices ascend."""
    first, second = found & 3, found >> 2
    if kind == "tf32":
        return np.asarray((found != 0b0100) & (found != 0b1110))
    return first >= second if ordered or kind in _ORDERED_ALWAYS else first == second


def expanded(stored: np.ndarray, found: np.ndarray, kind: str) -> np.ndarray:
    """Return the (matrices, rows, k) of which half is stored, (matrices, rows, k / 2), with zeros elsewhere. found: their codes."""
    count, rows, half = stored.shape
    indices = np.stack([found & 3, found >> 2], axis=3).astype("i8")  # of parts of a chunk: there are four of which two are stored
    if kind == "tf32":
        indices, parts = indices[..., :1] // 2, 2
    else:
        parts = 4
    kept = indices.shape[3]
    dense = np.zeros((count, rows, found.shape[2], parts, chunk(kind) // parts))
    values = stored.reshape(count, rows, found.shape[2], kept, chunk(kind) // parts)
    np.put_along_axis(dense, indices[..., None], values, axis=3)
    return dense.reshape(count, rows, 2 * half)

"""mma.m8n8k4 of half precision, Volta's, which computes four products at once. (PTX ISA, 9.7.14.5.1)

Product q is that of the lanes 4 q to 4 q + 3 and 16 + 4 q to 16 + 4 q + 3; the latter, the high group, have the second half of the
rows of A, C and D and of the columns of B. A and B may each be row- or column-major.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from .fragments import pack, unpack
from .warps import WARP

SHAPE = (8, 8, 4)
REGISTERS = {"a": 2, "b": 2, "f16": 4, "f32": 8}
"""Registers of a lane: of A and B, and of C or D by their type."""


@cache
def _places(which: str, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, columns), each (32, elements), of what every lane holds. which: a, b or c; form: the layout, of C its type."""
    lane, i = np.arange(WARP)[:, None], np.arange(8 if which == "c" else 4)[None, :]
    high, own = 4 * (lane // 16), lane % 4
    if which == "c" and form == "f32":
        row, column = (lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)
    elif which == "c" or (which == "a") == (form == "row"):  # a lane has a row (of B, a column)
        row, column = own + high, i
    else:
        row, column = i + high, own
    row, column = np.broadcast_arrays(row, column)
    return (column, row) if which == "b" else (row, column)


def multiply(
    kinds: tuple[str, str, str, str], layouts: tuple[str, str], a: Sequence[np.ndarray], b: Sequence[np.ndarray],
    c: Sequence[np.ndarray],
) -> list[np.ndarray]:  # fmt: skip
    """Compute D = A B + C and return D's registers. kinds: types of D, A, B, C; layouts: row or col, of A and of B."""
    left, right = _matrices("a", layouts[0], a, "f16", (8, 4)), _matrices("b", layouts[1], b, "f16", (4, 8))
    total = left @ right + _matrices("c", kinds[3], c, kinds[3], (8, 8))
    rows, columns = _places("c", kinds[0])
    return pack(total[:, (np.arange(WARP) % 16 // 4)[:, None], rows, columns], kinds[0])


def _matrices(which: str, form: str, registers: Sequence[np.ndarray], kind: str, size: tuple[int, int]) -> np.ndarray:
    """Return the matrices (warps, 4, rows, columns) that the registers of all lanes hold."""
    rows, columns = _places(which, form)
    values = unpack(registers, kind)
    found = np.empty((len(values), 4, *size))
    found[:, (np.arange(WARP) % 16 // 4)[:, None], rows, columns] = values
    return found

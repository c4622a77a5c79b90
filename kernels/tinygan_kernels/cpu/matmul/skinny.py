"""Matrix products with a side too thin for register tiles: a few rows, a few columns, or sums of a few terms.

    C (M, N) = A (M, K) B (K, N), or C += A B

They read or write one large matrix once, so memory decides how long they take, and a plain loop along what is contiguous in it is
as fast as anything. Few rows of C: multiples of B's rows are added up, or, where B's columns are contiguous, those are multiplied
with A's rows. Few columns of C: likewise with A. Few terms: multiples of B's rows again.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu.row_formulas import leaky
from tinygan_kernels.cpu.runtime.simd import lanes
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, parts_for_elements, share

# `python -m benchmarks.speed.tune` times both ways on both sides of this value.
FEW_TERMS = 6  # terms of a sum up to which a tile takes longer to begin and to end than to multiply


@ParallelLoop
def scale_rows(a, b, c, add, part, parts):
    """C = A B, or C += A B with `add`, row by row of C: multiples of rows of b (K, N) are added up.

    a (M, K) in any layout. Parts are runs of columns.
    """
    left, right = share(c.shape[1], parts, part)
    for i in range(c.shape[0]):
        out = c[i, left:right]
        if not add:
            out[:] = 0
        for k in range(a.shape[1]):
            weight, row = a[i, k], b[k, left:right]
            for j in range(out.size):
                out[j] += weight * row[j]


@ParallelLoop
def scale_columns(a, b, c, add, part, parts):
    """C = A^T B, or C += A^T B with `add`, column by column of C: multiples of rows of a (K, M) are added up.

    b (K, N) in any layout. Parts are rows of C.
    """
    top, bottom = share(c.shape[0], parts, part)
    total = np.empty(bottom - top, c.dtype)
    for j in range(c.shape[1]):
        for i in range(total.size):
            total[i] = c[top + i, j] if add else 0
        for k in range(a.shape[0]):
            weight, row = b[k, j], a[k, top:bottom]
            for i in range(total.size):
                total[i] += weight * row[i]
        for i in range(total.size):
            c[top + i, j] = total[i]


def dots(a, b, c, add, by_columns, part, parts):
    """C = A B^T, or C += A B^T with `add`: products of rows of a (M, K) with rows of b (N, K).

    Rows that are not contiguous are copied into one piece first. Parts are runs of columns of C, or of rows. The compiler chooses
    the order of each sum, the same one for every number of threads.
    """
    top, bottom = (0, c.shape[0]) if by_columns else share(c.shape[0], parts, part)
    left, right = share(c.shape[1], parts, part) if by_columns else (0, c.shape[1])
    rows, columns = np.ascontiguousarray(a[top:bottom]), np.ascontiguousarray(b[left:right])
    for i in range(bottom - top):
        row = rows[i]
        for j in range(right - left):
            column, total = columns[j], c.dtype.type(0)
            for k in range(row.size):
                total += row[k] * column[k]
            c[top + i, left + j] = c[top + i, left + j] + total if add else total


dots = ParallelLoop(dots, fastmath={"reassoc", "contract", "nsz"})


@ParallelLoop
def add_terms(a, b, c, terms, add, bias, slope, biased, part, parts):
    """C = A B, or C += A B with `add`, row by row, for as few terms as the tuple `terms` is long.

    a (M, K) and b (K, N) in any layout. Where the tuple `biased` is not empty, C becomes v = A B + bias where that is positive,
    slope v elsewhere. Parts are rows of C.
    """
    top, bottom = share(c.shape[0], parts, part)
    rows = np.ascontiguousarray(b)
    for i in range(top, bottom):
        weights, out = a[i], c[i]
        for j in range(out.size):
            total = out[j] if add else out.dtype.type(0)
            for k in range(len(terms)):
                total += weights[k] * rows[k, j]
            if len(biased):
                total += bias[j]
                total = leaky(total, slope)
            out[j] = total


def few_terms_suit(n: int, k: int, item: int) -> bool:
    """Return whether `few_terms_product` takes sums of k terms and rows of n numbers of `item` bytes, which have to fill a
    register.
    """
    return 0 < k <= FEW_TERMS and n >= lanes(item)


def few_terms_product(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    bias: np.ndarray | None = None, slope: float = 1.0,
) -> Pipeline:
    """Bind C = A B or C += A B, with A or B transposed on request, for sums of a few terms (`few_terms_suit`).

    With a bias (N,), C = v where v = A B + bias is positive, slope v elsewhere.
    """
    a, b = a.T if trans_a else a, b.T if trans_b else b
    shift, biased = (np.empty(0, c.dtype), ()) if bias is None else (bias, (0,))
    return Pipeline([add_terms.over(c.size, a, b, c, (0,) * a.shape[1], add, shift, c.dtype.type(slope), biased)])


def skinny_product(a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool, trans_b: bool, add: bool) -> Pipeline:
    """Bind C = A B or C += A B, with A or B transposed on request. It is right for any shape, and fast for thin ones."""
    m, n = c.shape
    k = a.shape[0 if trans_a else 1]
    size = m * n * k
    parts = parts_for_elements(size)
    if n <= m and trans_a:
        return Pipeline([scale_columns.stage(parts, a, b.T if trans_b else b, c, add, size=size)])
    if n > m and not trans_b:
        return Pipeline([scale_rows.stage(parts, a.T if trans_a else a, b, c, add, size=size)])
    return Pipeline([dots.stage(parts, a.T if trans_a else a, b if trans_b else b.T, c, add, n > m, size=size)])

"""Matrix products by BLAS, for what tiles do not fit, called from inside compiled loops: one pool of threads for everything.

NumPy's BLAS brings threads of its own. They spin for a while after each product, Numba's spin after each loop, and two pools that
spin on the same cores cost each other up to a time slice at every change from one to the other. So products are cut into parts,
Numba's threads take a part each, and BLAS (the one that SciPy ships) works on a part in the thread that called it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import get_cython_function_address, intrinsic

from .compiled import njit, njit_parallel

WORTH_SPLITTING = 500_000  # multiplications below which a second thread costs more than it brings


@lru_cache
def address(dtype: np.dtype) -> int:
    """Where BLAS's gemm for float32 or float64 lies in memory; from the first call on, that BLAS keeps to one thread a call."""
    from scipy.linalg import cython_blas  # noqa: F401  loads the library that is limited below
    from threadpoolctl import ThreadpoolController

    libraries = [c for c in ThreadpoolController().lib_controllers if c.user_api == "blas"]
    ours = [c for c in libraries if "scipy.libs" in c.filepath] or libraries  # elsewhere NumPy and SciPy share one
    for library in ours:
        library.set_num_threads(1)
    return get_cython_function_address("scipy.linalg.cython_blas", "sgemm" if dtype == np.float32 else "dgemm")


@intrinsic
def _call(typing_context, function, pointers):
    """function(*pointers): a C function, given by its address, that takes 13 pointers.

    An address is a number and not a constant of the program, so what calls it can be kept in Numba's disk cache.
    """
    signature = types.void(types.intp, types.UniTuple(types.intp, 13))

    def generate(context, builder, signature, arguments):
        word = ir.IntType(64)
        target = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [word] * 13).as_pointer())
        builder.call(target, [builder.extract_value(arguments[1], i) for i in range(13)])
        return context.get_dummy_value()

    return signature, generate


@njit
def _at(array):
    """The address of an array's first element, signed: with an unsigned one, adding an offset would give a float."""
    return np.int64(array.ctypes.data)


@njit
def gemm(function, like, trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
    """C = A B + beta C on row-major memory at the addresses a, b, c; `like` is any array of the dtype.

    BLAS counts in columns, to which a row-major matrix is its transpose: C^T = B^T A^T.
    """
    sizes = np.array([n, m, k, ldb, lda, ldc], np.int32)
    scales = np.empty(2, like.dtype)
    scales[0], scales[1] = 1, beta
    letters = np.empty(2, np.uint8)
    letters[0], letters[1] = 84 if trans_b else 78, 84 if trans_a else 78  # "T" or "N"
    s, f, t = _at(sizes), _at(scales), _at(letters)
    one = f + scales.itemsize
    _call(function, (t, t + 1, s, s + 4, s + 8, f, b, s + 12, a, s + 16, one, c, s + 20))
    # the arrays have to outlive the call
    return sizes[0] + letters[0] + scales[0]


@njit
def span(n, parts, p):
    """The p-th of `parts` nearly equal runs of 0..n, cut at multiples of 16: (start, stop)."""
    blocks = (n + 15) // 16
    return min(n, p * blocks // parts * 16), min(n, (p + 1) * blocks // parts * 16)


@njit
def _part(function, a, b, c, trans_a, trans_b, beta, parts, p):
    """The p-th part of C = A B + beta C: a run of rows, or of columns where C is wider than high."""
    m, n = c.shape
    k, item = a.shape[0] if trans_a else a.shape[1], c.itemsize
    lda, ldb = a.shape[1], b.shape[1]
    start, stop = span(m if m >= n else n, parts, p)
    if start == stop:
        return
    at_a, at_b, at_c = _at(a), _at(b), _at(c)
    if m >= n:
        at_a, at_c, m = at_a + start * (1 if trans_a else lda) * item, at_c + start * n * item, stop - start
    else:
        at_b, at_c, n = at_b + start * (ldb if trans_b else 1) * item, at_c + start * item, stop - start
    gemm(function, c, trans_a, trans_b, m, n, k, at_a, lda, at_b, ldb, beta, at_c, c.shape[1])


@njit
def _whole(function, a, b, c, trans_a, trans_b, beta):
    _part(function, a, b, c, trans_a, trans_b, beta, 1, 0)


@njit_parallel
def _in_parts(function, a, b, c, trans_a, trans_b, beta, parts):
    for p in numba.prange(parts):
        _part(function, a, b, c, trans_a, trans_b, beta, parts, p)


@njit
def _few_terms(a, b, c, trans_a, trans_b):
    """C = A B with inner length k of at most 4: BLAS packs its operands first, which costs more than such a product itself."""
    rows = b.T.copy() if trans_b else b
    for i in range(c.shape[0]):
        out = c[i]
        for t in range(rows.shape[0]):
            weight, row = a[t, i] if trans_a else a[i, t], rows[t]
            if t == 0:
                for j in range(out.size):
                    out[j] = weight * row[j]
            else:
                for j in range(out.size):
                    out[j] += weight * row[j]


def bound_product(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, beta: float = 0.0
) -> Callable[[], None]:
    """C = A B + beta C, with A or B transposed on request, as a call without arguments: what the shapes decide is decided now.

    C-contiguous, (M, K) (K, N) (M, N); any of them may be empty.
    """
    m, n = c.shape
    k = a.shape[0] if trans_a else a.shape[1]
    if not c.size or k == 0:
        return partial(np.multiply, c, beta, c) if beta else partial(c.fill, 0)
    if k <= 4 and not beta:
        return partial(_few_terms, a, b, c, trans_a, trans_b)
    if m * n * k < WORTH_SPLITTING:
        return partial(_whole, address(c.dtype), a, b, c, trans_a, trans_b, beta)
    return partial(_in_parts, address(c.dtype), a, b, c, trans_a, trans_b, beta, numba.get_num_threads())


@njit_parallel
def _all(function, a, b, c, trans_a, trans_b, beta, parts):
    for i in numba.prange(len(c) * parts):
        _part(function, a[i // parts], b[i // parts], c[i // parts], trans_a, trans_b, beta, parts, i % parts)


def products(a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, beta: float = 0.0) -> None:
    """C[p] = A[p] B[p] + beta C[p] for a stack of matrices, none of them empty, shared out among the threads."""
    threads = numba.get_num_threads()
    _all(address(c.dtype), a, b, c, trans_a, trans_b, beta, 1 if len(c) >= 4 * threads else threads)

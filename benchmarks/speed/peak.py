"""Measure the machine's peak rate of float32 multiply-adds: the most FLOP/s that any code that stays in registers can reach.

`fma_rate()` runs a loop that does nothing but multiply-adds, on the widest vector registers, in all of Numba's threads. Enough of
them are independent that the latency of one is hidden behind the others. BLAS comes near this rate in large matrix products, and
a share of it says more than a share of BLAS's own rate: code that leaves out multiplications (Winograd's convolutions, products
with zeros) may seem to exceed it, code that does them all cannot.
"""

from __future__ import annotations

import time

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from tinygan_kernels.cpu.runtime.jit import njit, njit_parallel
from tinygan_kernels.cpu.runtime.simd import Vectors, counted, lanes, registers

LATENCY_HIDDEN = 12  # independent multiply-adds: two units with a latency of 4 to 5 cycles need 8 to 10


@intrinsic
def _multiply_adds(typing_context, turns, factor, term):
    """Run `turns` rounds of LATENCY_HIDDEN multiply-adds on vectors of float32; return a number that depends on all of them."""

    def generate(context, builder, signature, arguments):
        count, a, b = arguments
        v = Vectors(builder, ir.FloatType())
        factors, terms = v.splat(a), v.splat(b)
        start = [v.builder.fmul(factors, v.constant(float(i))) for i in range(LATENCY_HIDDEN)]
        values = counted(builder, count, start, lambda each: [v.multiply_add(x, factors, terms) for x in each])
        total = values[0]
        for value in values[1:]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.int64, types.float32, types.float32), generate


@njit
def _alone(turns, factor, term):
    return _multiply_adds(turns, factor, term)


@njit_parallel
def _in_all_threads(turns, factor, term, results):
    for i in numba.prange(results.size):
        results[i] = _multiply_adds(turns, factor, term)


def flops_of(turns: int, threads: int) -> int:
    """Return the floating-point operations (two a multiply-add) of `turns` rounds in each of the threads."""
    return 2 * LATENCY_HIDDEN * lanes(4) * turns * threads


def fma_rate(turns: int = 4_000_000, calls: int = 7) -> float:
    """Return the peak FLOP/s of float32 multiply-adds in all threads, best of `calls` calls of some milliseconds.

    Raises RuntimeError where the target has fewer registers than the loop needs, as it would measure memory then.
    """
    if registers() < LATENCY_HIDDEN + 2:
        raise RuntimeError(f"the loop needs {LATENCY_HIDDEN + 2} vector registers, the target has {registers()}")
    threads = numba.get_num_threads()
    factor, term, results = np.float32(0.999), np.float32(1e-3), np.zeros(threads, np.float32)
    _in_all_threads(1, factor, term, results)
    taken = []
    for _ in range(calls):
        begun = time.perf_counter()
        _in_all_threads(turns, factor, term, results)
        taken.append(time.perf_counter() - begun)
    return flops_of(turns, threads) / min(taken)

"""The team of threads that goes through a list of stages together and shares out the parts of each by atomic counters.

A `table` is an array of records, one for each stage: the address of its compiled loop, the address of its arguments, its parts.
"""

from __future__ import annotations

import ctypes
import sys

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import njit, njit_inner, njit_parallel
from .simd import WORD

MOST_THREADS = numba.config.NUMBA_NUM_THREADS  # the most threads of this process: each has its scratch memory beforehand
LINE = 8  # words of a cache line: counters of different threads keep that far from each other
SPINS = 1000  # looks at a counter, some 40 nanoseconds each, after which a waiting thread offers its core to others


def sched_yield_address() -> int:
    """Return the address of the C function by which a thread offers its core to others; 0 where there is none."""
    function = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "sched_yield", None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else 0


# ---- running them ---------------------------------------------------------------------------------------------------------------


@intrinsic
def call_address(typing_context, function, numbers):
    """Call the C function at address `function` with a tuple of 64-bit numbers.

    The address is an argument and not a constant of the program, so the caller can be kept in Numba's disk cache.
    """

    def generate(context, builder, signature, arguments):
        words = [builder.extract_value(arguments[1], i) for i in range(signature.args[1].count)]
        target = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [WORD] * len(words)).as_pointer())
        builder.call(target, words)
        return context.get_dummy_value()

    return types.void(types.int64, numbers), generate


@intrinsic
def atomic_add(typing_context, address, by):
    """Add `by` to the counter at an address and return what it was before. Whoever sees the new value sees all that this thread
    wrote.
    """

    def generate(context, builder, signature, arguments):
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], WORD.as_pointer()), arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def atomic_load(typing_context, address):
    """Return the counter at an address as it is now."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], WORD.as_pointer()), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def pause(typing_context):
    """Tell the core that this thread is waiting."""

    def generate(context, builder, signature, arguments):
        triple, number = binding.get_process_triple(), ir.IntType(32)
        if triple.startswith("x86_64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        elif triple.startswith(("aarch64", "arm64")):
            hint = ir.FunctionType(ir.VoidType(), [number])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(), generate


@njit
def run_alone(table):
    """Do all stages in the calling thread."""
    for s in range(len(table)):
        for part in range(table[s].parts):
            call_address(table[s].code, (table[s].block, part, table[s].parts, 0))


@njit_parallel
def run_together(table, counters, yielding):
    """Do all stages with a team of threads.

    counters (stages, threads + 1, LINE): for each stage the parts taken of each thread's share, and last the parts that are done.
    yielding: the address of `sched_yield`, or 0.
    """
    threads = counters.shape[1] - 1
    counters[:] = 0
    for thread in numba.prange(threads):
        run_all_stages(table, counters, threads, thread, yielding)


@njit_inner
def run_all_stages(table, counters, threads, thread, yielding):
    """Go through the stages as one thread of the team, waiting after each until all of its parts are done."""
    first, line, spins = np.int64(counters.ctypes.data), LINE * 8, 0
    for s in range(len(table)):
        row = first + s * (threads + 1) * line
        done = row + threads * line
        mine = take_parts(table[s].code, table[s].block, table[s].parts, row, threads, thread, line)
        if mine:
            atomic_add(done, mine)
        while atomic_load(done) < table[s].parts:
            pause()
            spins += 1
            if spins % SPINS == 0 and yielding:
                call_address(yielding, ())


@njit_inner
def take_parts(code, block, parts, row, threads, thread, line):
    """Do parts of a stage until none is left, first of this thread's own share, then of the others'. Returns how many it did."""
    mine = 0
    for turn in range(threads):
        owner = (thread + turn) % threads
        start, stop, taken = owner * parts // threads, (owner + 1) * parts // threads, row + owner * line
        while atomic_load(taken) < stop - start:
            part = start + atomic_add(taken, 1)
            if part >= stop:
                break
            call_address(code, (block, part, parts, thread))
            mine += 1
    return mine

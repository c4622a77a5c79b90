"""The team of threads that goes through a list of stages together, sharing out the parts of each by atomic counters."""

from __future__ import annotations

import ctypes
import sys

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import njit, njit_parallel, piece
from .simd import WORD

MOST_THREADS = numba.config.NUMBA_NUM_THREADS  # that there can be in this process: memory for each is there beforehand
LINE = 8  # words of a cache line: counters of different threads keep that far from each other
SPINS = 1000  # looks at a counter, some 40 nanoseconds each, after which a waiting thread lets others have its core


def _yielding() -> int:
    """The address of the C function by which a thread offers its core to others; 0 where there is none."""
    function = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "sched_yield", None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else 0


# ---- running them ---------------------------------------------------------------------------------------------------------------


@intrinsic
def _call(typing_context, function, numbers):
    """function(*numbers): a C function of 64-bit numbers, given by its address.

    An address is a number and not a constant of the program, so what calls it can be kept in Numba's disk cache.
    """

    def generate(context, builder, signature, arguments):
        words = [builder.extract_value(arguments[1], i) for i in range(signature.args[1].count)]
        target = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [WORD] * len(words)).as_pointer())
        builder.call(target, words)
        return context.get_dummy_value()

    return types.void(types.int64, numbers), generate


@intrinsic
def _raised(typing_context, address, by):
    """Adds to the counter at an address; what it was before. All that this thread wrote is seen by who sees the counter raised."""

    def generate(context, builder, signature, arguments):
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], WORD.as_pointer()), arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _seen(typing_context, address):
    """The counter at an address, as it is now."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], WORD.as_pointer()), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def _breathe(typing_context):
    """Tells the core that this thread is waiting."""

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
def _alone(table):
    for s in range(len(table)):
        for part in range(table[s].parts):
            _call(table[s].code, (table[s].block, part, table[s].parts, 0))


@njit_parallel
def _together(table, counters, yielding):
    """counters (stages, threads + 1, LINE): of the parts taken from each thread's share, and last of the parts that are done."""
    threads = counters.shape[1] - 1
    counters[:] = 0
    for thread in numba.prange(threads):
        _all_stages(table, counters, threads, thread, yielding)


@piece
def _all_stages(table, counters, threads, thread, yielding):
    first, line, spins = np.int64(counters.ctypes.data), LINE * 8, 0
    for s in range(len(table)):
        row = first + s * (threads + 1) * line
        done = row + threads * line
        mine = _parts_taken(table[s].code, table[s].block, table[s].parts, row, threads, thread, line)
        if mine:
            _raised(done, mine)
        while _seen(done) < table[s].parts:
            _breathe()
            spins += 1
            if spins % SPINS == 0 and yielding:
                _call(yielding, ())


@piece
def _parts_taken(code, block, parts, row, threads, thread, line):
    """Do parts of a stage until none is left: first of this thread's own share, then of the others'. How many it did."""
    mine = 0
    for turn in range(threads):
        owner = (thread + turn) % threads
        start, stop, taken = owner * parts // threads, (owner + 1) * parts // threads, row + owner * line
        while _seen(taken) < stop - start:
            part = start + _raised(taken, 1)
            if part >= stop:
                break
            _call(code, (block, part, parts, thread))
            mine += 1
    return mine

"""Intrinsics by which threads share counters in memory, call C functions by address, and say that they wait.

A counter is a 64-bit word, given by its address. `atomic_add`, `atomic_load` and `compare_and_swap` are sequentially consistent:
if each of two threads adds to a word of its own and then reads the other's, at least one of them sees what the other wrote.
Sleeping and waking in `waiting` rest on that. `atomic_store` promises less, and says what.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd import WORD

ORDER = "seq_cst"


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


def _word(builder, address):
    return builder.inttoptr(address, WORD.as_pointer())


@intrinsic
def atomic_add(typing_context, address, by):
    """Add `by` to the counter at an address and return what it was before. Whoever sees the new value sees all that this thread
    wrote.
    """

    def generate(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _word(builder, arguments[0]), arguments[1], ORDER)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def atomic_load(typing_context, address):
    """Return the counter at an address as it is now."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(_word(builder, arguments[0]), ORDER, 8)

    return types.int64(types.int64), generate


@intrinsic
def atomic_store(typing_context, address, value):
    """Set the counter at an address. Whoever sees the new value sees all that this thread wrote before.

    The order is that of release, which costs nothing on x86. What has to be seen before a later load of another word is written by
    `atomic_add`.
    """

    def generate(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], _word(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def compare_and_swap(typing_context, address, expected, wanted):
    """Set the counter at an address to `wanted` if it is `expected`. Returns what it was: `expected`, if it was set."""

    def generate(context, builder, signature, arguments):
        found = builder.cmpxchg(_word(builder, arguments[0]), arguments[1], arguments[2], ORDER, ORDER)
        return builder.extract_value(found, 0)

    return types.int64(types.int64, types.int64, types.int64), generate


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

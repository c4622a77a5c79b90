"""Small pieces of LLVM IR that several intrinsics need."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from .simd import Vectors


def vectors(builder: ir.IRBuilder, context, like: types.Array) -> Vectors:
    """Return a writer of vector code for the dtype of the array `like`."""
    return Vectors(builder, context.get_value_type(like.dtype))


def check_words(*tuples: types.Type) -> None:
    """Check that every member of these tuple types is a 64-bit signed integer, as addresses and steps are. Raises TypingError."""
    for kind in tuples:
        if not isinstance(kind, types.BaseTuple) or any(member != types.int64 for member in kind):
            raise TypingError(f"addresses and steps are tuples of int64, not {kind}")


def unpacked(builder: ir.IRBuilder, value: ir.Value) -> list[ir.Value]:
    """Return the members of a tuple."""
    return [builder.extract_value(value, i) for i in range(len(value.type.elements))]


def either(builder: ir.IRBuilder, condition: ir.Value, yes: Callable, no: Callable) -> list[ir.Value]:
    """Return the values that `yes()` makes where the condition holds, else those of `no()`: an if with an else."""
    made = []
    with builder.if_else(condition) as branches:
        for branch, make in zip(branches, (yes, no), strict=True):
            with branch:
                made.append((make(), builder.basic_block))
    merged = [builder.phi(value.type) for value in made[0][0]]
    for values, block in made:
        for phi, value in zip(merged, values, strict=True):
            phi.add_incoming(value, block)
    return merged

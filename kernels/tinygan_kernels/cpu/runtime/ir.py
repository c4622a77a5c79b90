"""Small pieces of LLVM IR that several intrinsics need."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from .simd import Vectors


def vectors(builder: ir.IRBuilder, context, like: types.Array) -> Vectors:
    return Vectors(builder, context.get_value_type(like.dtype))


def unpacked(builder: ir.IRBuilder, value: ir.Value) -> list[ir.Value]:
    return [builder.extract_value(value, i) for i in range(len(value.type.elements))]


def either(builder: ir.IRBuilder, condition: ir.Value, yes, no) -> list[ir.Value]:
    """The values that `yes()` makes where the condition holds, else those of `no()`."""
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

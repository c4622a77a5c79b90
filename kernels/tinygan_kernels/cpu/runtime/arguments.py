"""The arguments of a compiled loop as words in memory, and the compiled code that reads them from there."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .simd import WORD


def record_name(dtype: np.dtype) -> str:
    """Return the name of a record's dtype: its fields, "{x=<i8;y=<f8}". Raises TypeError for records that have gaps or nested
    fields.

    `dtype.str` alone would be "|V16" for every record of 16 bytes.
    """
    fields = [(name, dtype[name].str) for name in dtype.names]
    if np.dtype(fields) != dtype:
        raise TypeError(f"a loop's records have plain fields without gaps, not {dtype}")
    return "{" + ";".join(f"{name}={kind}" for name, kind in fields) + "}"


def record_type(name: str) -> np.dtype:
    """Return the dtype that `record_name` named: any process can rebuild it from the name."""
    return np.dtype([tuple(field.split("=", 1)) for field in name.strip("{}").split(";")])


@cache
def _array_name(dtype: np.dtype, ndim: int, contiguous: bool) -> str:
    """Return the name of an array's type: "<f42C" for C-contiguous float32 matrices."""
    return f"{record_name(dtype) if dtype.names else dtype.str}{ndim}{'C' if contiguous else 'A'}"


@cache
def type_of(name: str) -> types.Type:
    """Return the type that a name stands for: "i8", "f8" and "f4" are numbers, "t3" is a tuple of three, the others are arrays."""
    if name in ("i8", "f8", "f4"):
        return {"i8": types.int64, "f8": types.float64, "f4": types.float32}[name]
    if name.startswith("t"):
        return types.UniTuple(types.int64, int(name[1:]))
    dtype, ndim, layout = name[:-2], int(name[-2]), name[-1]
    return types.Array(numba.from_dtype(record_type(dtype) if dtype.startswith("{") else np.dtype(dtype)), ndim, layout)


def describe(argument: Any) -> tuple[str, list[int]]:
    """Return (the name of an argument's type, its words): an array's address, shape and strides; a number; nothing for a tuple."""
    if isinstance(argument, np.ndarray):
        name = _array_name(argument.dtype, argument.ndim, argument.flags.c_contiguous)
        return name, [argument.ctypes.data, *argument.shape, *argument.strides]
    if isinstance(argument, tuple):
        return f"t{len(argument)}", []
    if isinstance(argument, (float, np.floating)):
        return "f4" if isinstance(argument, np.float32) else "f8", [int(np.float64(argument).view(np.int64))]
    return "i8", [int(argument)]


@intrinsic(prefer_literal=True)
def load_arguments(typing_context, block, part, parts, thread, names):
    """Return a tuple of the arguments whose words lie at address `block`, followed by part, parts and, where it is wanted, thread.

    names: the names of their types, as `describe` gives them, and a last one, which is "thread" where the thread is wanted.
    """
    *found, threaded = names.literal_value.split()
    wanted = [type_of(name) for name in found]
    last = (part, parts, thread) if threaded == "thread" else (part, parts)

    def generate(context, builder, signature, arguments):
        at = [0]

        def word():
            place = builder.add(arguments[0], ir.Constant(WORD, 8 * at[0]))
            at[0] += 1
            return builder.load(builder.inttoptr(place, WORD.as_pointer()))

        def value(kind):
            if isinstance(kind, types.Array):
                array, number = context.make_array(kind)(context, builder), context.get_data_type(kind.dtype)
                data, *sizes = [word() for _ in range(1 + 2 * kind.ndim)]
                populate_array(
                    array, data=builder.inttoptr(data, number.as_pointer()), shape=sizes[: kind.ndim], strides=sizes[kind.ndim :],
                    itemsize=ir.Constant(WORD, context.get_abi_sizeof(number)), meminfo=None,
                )
                return array._getvalue()
            if isinstance(kind, types.UniTuple):
                return context.make_tuple(builder, kind, [ir.Constant(WORD, 0)] * kind.count)
            if isinstance(kind, types.Float):
                number = builder.bitcast(word(), ir.DoubleType())
                return builder.fptrunc(number, ir.FloatType()) if kind is types.float32 else number
            return word()

        values = [value(kind) for kind in wanted] + list(arguments[1 : 1 + len(last)])
        return context.make_tuple(builder, signature.return_type, values)

    return types.Tuple([*wanted, *last])(block, part, parts, thread, names), generate

"""tensor_map: the descriptor of an array by which kernels copy boxes of it, in the place of cuTensorMapEncodeTiled."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np

from tinygan_kernels.emulator.semantics import tensor_maps as maps
from tinygan_kernels.emulator.semantics.tensor_maps import TensorMap

_KINDS = {"u1": "u8", "u2": "u16", "u4": "u32", "i4": "s32", "u8": "u64", "i8": "s64", "f2": "f16", "f4": "f32", "f8": "f64"}


class TensorMapArgument:
    """A tensor map as an argument of a kernel, for a parameter `const __grid_constant__ CUtensorMap`.

    array: what it describes; map: its fields; raw: its 128 bytes, for tables of maps in global memory.
    """

    def __init__(self, array: np.ndarray, made: TensorMap):
        self.array, self.map, self.raw = array, made, made.encoded()

    def __repr__(self) -> str:
        return f"<tensor map of {self.map.kind} {self.map.sizes[::-1]}, boxes of {self.map.box[::-1]}>"


def tensor_map(
    array: np.ndarray, box: Sequence[int], *, kind: str | None = None, element_strides: Sequence[int] | None = None,
    swizzle: int = 0, fill: str = "zeros",
) -> TensorMapArgument:  # fmt: skip
    """Return a tensor map of an array, as cuTensorMapEncodeTiled makes one: pass it where a kernel takes a CUtensorMap.

    array: of 1 to 5 dimensions, whose last one is contiguous; box: elements that a copy goes over along each dimension, in the
    order of array.shape (so the reverse of CUDA's boxDim); kind: the type of the elements where it is not the array's ("bf16" for
    uint16, "tf32" for float32); element_strides: steps along each dimension, 1 if not given; swizzle: 0, 32, 64 or 128 bytes;
    fill: "zeros" or "nan", for what lies outside of the array.

    Raises TypeError for what is no array of a type that maps have, or no integers, ValueError for sizes that
    cuTensorMapEncodeTiled refuses.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array is a {type(array).__name__}: give a NumPy array")
    if kind is None:
        if (code := array.dtype.str[1:]) not in _KINDS or not array.dtype.isnative:
            raise TypeError(f"array has elements of type {array.dtype}: tensor maps have {', '.join(maps.KINDS)} (see kind=)")
        kind = _KINDS[code]
    if kind not in maps.KINDS:
        raise ValueError(f"kind is {kind!r}: it has to be one of {', '.join(maps.KINDS)}")
    if maps.SIZES[kind] != array.itemsize:
        raise ValueError(f"kind {kind!r} has elements of {maps.SIZES[kind]} bytes, the array of {array.itemsize}")
    if fill not in ("zeros", "nan"):
        raise ValueError(f"fill is {fill!r}: it has to be 'zeros' or 'nan'")
    if array.ndim and array.strides[-1] != array.itemsize:
        raise ValueError("the last dimension of the array has to be contiguous")
    steps = None if element_strides is None else _integers(element_strides, "element_strides")[::-1]
    made = maps.tiled(
        kind, array.__array_interface__["data"][0], array.shape[::-1], array.strides[-2::-1] if array.ndim > 1 else (),
        _integers(box, "box")[::-1], steps, swizzle, fill == "nan",
    )  # fmt: skip
    return TensorMapArgument(array, made)


def _integers(given: Sequence[int], name: str) -> tuple[int, ...]:
    """Return the integers of an argument. Raises TypeError for other things."""
    try:
        return tuple(index(n) for n in given)
    except TypeError:
        raise TypeError(f"{name} is {given!r}: give one integer for each dimension of the array") from None

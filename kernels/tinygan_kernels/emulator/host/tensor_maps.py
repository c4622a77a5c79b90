"""tensor_map and im2col_map: descriptors of arrays by which kernels copy boxes, or columns of pixels, in the place of
cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col."""

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
    kind = _kind_of(array, kind, fill)
    steps = None if element_strides is None else _integers(element_strides, "element_strides")[::-1]
    made = maps.tiled(*_tensor(array, kind), _integers(box, "box")[::-1], steps, swizzle, fill == "nan")
    return TensorMapArgument(array, made)


def im2col_map(
    array: np.ndarray, lower: Sequence[int], upper: Sequence[int], channels: int, pixels: int, *, kind: str | None = None,
    element_strides: Sequence[int] | None = None, swizzle: int = 0, fill: str = "zeros",
) -> TensorMapArgument:  # fmt: skip
    """Return a tensor map of columns of pixels, as cuTensorMapEncodeIm2col makes one: pass it where a kernel takes a CUtensorMap.

    array: (N, W, C), (N, H, W, C) or (N, D, H, W, C), whose last dimension is contiguous; lower, upper: by how much the box of
    pixels that copies go through begins and ends beside the array's, along D, H and W (so the reverse of CUDA's corners): -p and
    p - q for a padding of p and a filter whose last element is q after its first; channels, pixels: what one copy moves. The others
    are those of `tensor_map`; a step along a spatial dimension is a convolution's stride.

    Raises TypeError for what is no array of a type that maps have, or no integers, ValueError for sizes that
    cuTensorMapEncodeIm2col refuses.
    """
    kind = _kind_of(array, kind, fill)
    steps = None if element_strides is None else _integers(element_strides, "element_strides")[::-1]
    first, last = _integers(lower, "lower")[::-1], _integers(upper, "upper")[::-1]
    many, columns = _integer(channels, "channels"), _integer(pixels, "pixels")
    made = maps.im2col(*_tensor(array, kind), first, last, many, columns, steps, swizzle, fill == "nan")
    return TensorMapArgument(array, made)


def _tensor(array: np.ndarray, kind: str) -> tuple[str, int, tuple[int, ...], tuple[int, ...]]:
    """Return the type, the address, the sizes and the strides of an array, innermost dimension first."""
    strides = array.strides[-2::-1] if array.ndim > 1 else ()
    return kind, array.__array_interface__["data"][0], array.shape[::-1], strides


def _kind_of(array: np.ndarray, kind: str | None, fill: str) -> str:
    """Return the type of a map's elements. Raises TypeError and ValueError for arrays, types and fills that maps do not have."""
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
    return kind


def _integer(given: int, name: str) -> int:
    """Return an argument that is an integer. Raises TypeError for another thing."""
    try:
        return index(given)
    except TypeError:
        raise TypeError(f"{name} is {given!r}: give an integer") from None


def _integers(given: Sequence[int], name: str) -> tuple[int, ...]:
    """Return the integers of an argument. Raises TypeError for other things."""
    try:
        return tuple(index(n) for n in given)
    except TypeError:
        raise TypeError(f"{name} is {given!r}: give one integer for each dimension of the array") from None

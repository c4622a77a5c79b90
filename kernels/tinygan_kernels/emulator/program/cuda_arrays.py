"""The functions of the CUDA runtime for CUDA arrays, textures and surfaces.

include/host_textures.h takes the descriptions apart into tables of numbers, whose order it says. All raise CudaError for what the
runtime refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.execute.memory import unwritten_bytes
from tinygan_kernels.emulator.execute.texture_objects import (
    Bindless,
    CudaArray,
    Description,
    LinearMemory,
    MipmappedArray,
    Surface,
    Texture,
)
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.semantics.texels import format_of

from .cuda_errors import INVALID_DIRECTION, INVALID_HANDLE, INVALID_PITCH, INVALID_VALUE, NOT_SUPPORTED, CudaError
from .memory import Region
from .process import HostFault, Process

SIDES = {0: (False, False), 1: (False, True), 2: (True, False), 3: (True, True), 4: (None, None)}
"""{cudaMemcpyKind: (whether the source is on the device, whether the destination is)}; None where the address decides."""
_ARRAYS, _PYRAMIDS = 0x0E7D << 48, 0x0E7C << 48  # handles of CUDA arrays are no addresses of memory
Side = Callable[[int, int, "bool | None", bool, str], np.ndarray]
Rows = list[tuple[int, int]]
"""Runs of bytes of memory: the address and the size of each."""


class Box(NamedTuple):
    """One side of a copy: its bytes and their marks, (depth, height, width)."""

    data: np.ndarray
    marks: np.ndarray | None


class CudaArrays:
    """The functions, over a process.

    side: returns bytes of memory, CudaRuntime's; region: returns the region of an address. ordered: does a copy, or notes it where
    its stream is being captured; given are the copy, which returns the rows of memory that it has written, its kind, its stream,
    whether it waits.
    """

    def __init__(
        self, process: Process, side: Side, region: Callable[[int, int, str], Region],
        ordered: Callable[[Callable[[], Rows], int, int, int], None],
    ):  # fmt: skip
        self.process, self.side, self.region, self.ordered = process, side, region, ordered
        self.arrays: dict[int, CudaArray] = {}
        self.pyramids: dict[int, MipmappedArray] = {}
        self.objects: dict[int, Bindless] = {}
        self.numbers = count(1)

    def functions(self) -> dict[str, tuple[Callable[..., None], str]]:
        """Return {name: (function, letters of its arguments)}, as CudaRuntime.functions has them."""
        return {
            "cudaMallocArray": (self.malloc, "pppppi"),
            "cudaFreeArray": (self.free, "p"),
            "cudaArrayInfo": (self.info, "pp"),
            "cudaCopyBox": (self.copy_box, "ppi"),
            "cudaCopyRun": (self.copy_run, "pppppiipi"),
            "cudaCreateTexture": (self.create_texture, "pppp"),
            "cudaCreateSurface": (self.create_surface, "pp"),
            "cudaDestroyBindless": (self.destroy, "pi"),
            "cudaMallocMipmapped": (self.malloc_mipmapped, "pppppii"),
            "cudaMipmappedLevel": (self.level, "ppi"),
            "cudaFreeMipmapped": (self.free_mipmapped, "p"),
        }

    def _numbers(self, address: int, many: int, code: str = "i8") -> list:
        return self.process.bytes(address, many * np.dtype(code).itemsize).view(code).tolist()

    # -- arrays ---------------------------------------------------------------------------------------------------------------
    def malloc(self, pointer: int, bits: int, width: int, height: int, depth: int, flags: int) -> None:
        name = f"the CUDA array of {width} x {height} x {depth} elements made at {self.process.place()}"
        try:
            array = CudaArray(format_of(*self._numbers(bits, 5, "i4")), width, height, depth, flags, name)
        except ValueError as error:
            raise CudaError(INVALID_VALUE, str(error)) from None
        handle = _ARRAYS + 16 * next(self.numbers)
        self.arrays[handle] = array
        self.process.store(pointer, "u8", handle)

    def _array(self, handle: int) -> CudaArray:
        array = self.arrays.get(handle)
        if array is None:
            raise CudaError(INVALID_HANDLE, f"{handle:#x} is no CUDA array")
        if array.freed:
            raise CudaError(INVALID_HANDLE, f"{array.name} was freed at {array.freed}")
        return array

    def free(self, handle: int) -> None:
        if not handle:
            return
        array = self._array(handle)
        if any(array in pyramid.levels for pyramid in self.pyramids.values()):
            raise CudaError(INVALID_HANDLE, f"{array.name} is given back with cudaFreeMipmappedArray, not by itself")
        array.free(self.process.place())

    def info(self, handle: int, result: int) -> None:
        array = self._array(handle)
        channels = [array.texel.bits if i < array.texel.channels else 0 for i in range(4)]
        values = [*channels, array.texel.kind, array.width, array.height, array.depth, array.flags]
        self.process.bytes(result, 72, writes=True)[...] = np.array(values, "i8").view(np.uint8)

    # -- mipmapped arrays -----------------------------------------------------------------------------------------------------
    def malloc_mipmapped(self, pointer: int, bits: int, width: int, height: int, depth: int, levels: int, flags: int) -> None:
        name = f"the mipmapped array of {width} x {height} x {depth} elements made at {self.process.place()}"
        try:
            pyramid = MipmappedArray(format_of(*self._numbers(bits, 5, "i4")), width, height, depth, flags, levels, name)
        except ValueError as error:
            raise CudaError(INVALID_VALUE, str(error)) from None
        handle = _PYRAMIDS + 16 * next(self.numbers)
        self.pyramids[handle] = pyramid
        self.process.store(pointer, "u8", handle)

    def _pyramid(self, handle: int) -> MipmappedArray:
        pyramid = self.pyramids.get(handle)
        if pyramid is None:
            raise CudaError(INVALID_HANDLE, f"{handle:#x} is no mipmapped array")
        if pyramid.freed:
            raise CudaError(INVALID_HANDLE, f"{pyramid.name} was freed at {pyramid.freed}")
        return pyramid

    def level(self, pointer: int, handle: int, number: int) -> None:
        """Give a level of a mipmapped array as a CUDA array: cudaGetMipmappedArrayLevel."""
        pyramid = self._pyramid(handle)
        if not 0 <= number < len(pyramid.levels):
            raise CudaError(INVALID_VALUE, f"level {number} of {pyramid.name}, which has {len(pyramid.levels)}")
        found = next((h for h, array in self.arrays.items() if array is pyramid.levels[number]), None)
        if found is None:
            found = _ARRAYS + 16 * next(self.numbers)
            self.arrays[found] = pyramid.levels[number]
        self.process.store(pointer, "u8", found)

    def free_mipmapped(self, handle: int) -> None:
        if handle:
            self._pyramid(handle).free(self.process.place())

    # -- copies ---------------------------------------------------------------------------------------------------------------
    def copy_box(self, table: int, stream: int, waits: int) -> None:
        """Copy a box of bytes between memory and arrays: cudaMemcpy3D and the two-dimensional copies."""
        numbers = self._numbers(table, 19)
        self.ordered(lambda: self._copy_box(numbers), numbers[17], stream, waits)

    def _copy_box(self, numbers: list[int]) -> Rows:
        *ends, width, height, depth, kind, elements = numbers
        source, target = ends[:7], ends[7:]
        sizes = {self._array(end[0]).texel.size for end in (source, target) if end[0]}
        if len(sizes) > 1:
            raise CudaError(INVALID_VALUE, "the elements of the two CUDA arrays have different sizes")
        unit = sizes.pop() if sizes and elements else 1
        if kind not in SIDES:
            raise CudaError(INVALID_DIRECTION, f"{kind} is no cudaMemcpyKind")
        if 0 in (width, height, depth):
            return []
        shape, on_device = (depth, height, width * unit), SIDES[kind]
        taken = self._box(source, shape, unit, on_device[0], False, "the source")
        given = self._box(target, shape, unit, on_device[1], True, "the destination")
        self._move(taken, given, target[0] == 0 and on_device[1] is not True)
        return [] if target[0] else _rows(target, shape)

    def _box(self, end: list[int], shape: tuple[int, int, int], unit: int, on_device: bool | None, writes: bool, what: str) -> Box:
        handle, address, pitch, rows, x, y, z = end
        depth, height, width = shape
        if handle:
            return self._box_of_array(handle, (x * unit, y, z), shape, on_device, what)
        if pitch < x + width and (height > 1 or depth > 1):
            raise CudaError(INVALID_PITCH, f"{width} bytes of a row, from byte {x} on, are more than the pitch of {what}, {pitch}")
        if rows < y + height and (depth > 1 or z):
            text = f"{height} rows of a slice, from row {y} on, are more than {what} has in each, {rows} (its ysize)"
            raise CudaError(INVALID_VALUE, text)
        start = address + (z * rows + y) * pitch + x
        strides = (rows * pitch, pitch, 1)
        size = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
        data = self.side(start, size, on_device, writes, what)
        marks = unwritten_bytes(data)
        return Box(_strided(data, shape, strides), None if marks is None else _strided(marks, shape, strides))

    def _box_of_array(self, handle: int, at: tuple[int, int, int], shape: tuple, on_device: bool | None, what: str) -> Box:
        array = self._array(handle)
        if on_device is False:
            raise CudaError(INVALID_VALUE, f"{what} should be memory of the host, it is {array.name}")
        x, y, z = at
        ends = (z + shape[0], y + shape[1], x + shape[2])
        if min(at) < 0 or any(e > m for e, m in zip(ends, array.data.shape, strict=True)):
            raise CudaError(INVALID_VALUE, f"{shape} slices, rows and bytes from {(z, y, x)} on are not all in {array.name}")
        part = tuple(slice(first, end) for first, end in zip((z, y, x), ends, strict=True))
        return Box(array.data.view(np.ndarray)[part], array.marks.reshape(array.data.shape)[part])

    def copy_run(
        self, handle: int, x: int, y: int, address: int, size: int, to_array: int, kind: int, stream: int, waits: int
    ) -> None:  # fmt: skip
        """Copy bytes one after the other, from row to row: cudaMemcpyToArray and cudaMemcpyFromArray."""
        self.ordered(lambda: self._copy_run(handle, x, y, address, size, to_array, kind), kind, stream, waits)

    def _copy_run(self, handle: int, x: int, y: int, address: int, size: int, to_array: int, kind: int) -> Rows:
        array = self._array(handle)
        start = y * array.row + x
        if start + size > array.data.size:
            raise CudaError(INVALID_VALUE, f"{size} bytes from byte {x} of row {y} on are not all in {array.name}")
        if kind not in SIDES:
            raise CudaError(INVALID_DIRECTION, f"{kind} is no cudaMemcpyKind")
        if size == 0:
            return []
        flat = Box(array.data.view(np.ndarray).reshape(-1)[start : start + size], array.marks[start : start + size])
        on_device = SIDES[kind][0 if to_array else 1]
        data = self.side(address, size, on_device, not to_array, "the memory")
        memory = Box(data.view(np.ndarray), unwritten_bytes(data))
        self._move(*((memory, flat) if to_array else (flat, memory)), not to_array and on_device is not True)
        return [] if to_array else [(address, size)]

    def _move(self, taken: Box, given: Box, to_host: bool) -> None:
        """Copy bytes with their marks. Raises HostFault where the host would get bytes that nothing has written."""
        if to_host and taken.marks is not None and taken.marks.all() and checking():
            raise HostFault(f"initcheck: a copy reads memory of the device that nothing has written; {self.process.place()}")
        given.data[...] = taken.data.copy()
        if given.marks is not None:
            given.marks[...] = False if taken.marks is None else taken.marks.copy()

    # -- objects --------------------------------------------------------------------------------------------------------------
    def _resource(self, table: int) -> CudaArray | MipmappedArray | LinearMemory:
        kind, address, *bits, width, height, pitch = self._numbers(table, 10)
        if kind == 0:
            return self._array(address)
        if kind == 1:
            return self._pyramid(address)
        if kind not in (2, 3):
            raise CudaError(INVALID_VALUE, f"{kind} is no cudaResourceType")
        texel = format_of(*bits)
        if kind == 2:
            width //= texel.size
        size = pitch * (height - 1) + width * texel.size if kind == 3 else width * texel.size
        region = self.region(address, max(size, 1), "the memory of the texture")
        if kind == 3 and height < 1:
            raise CudaError(INVALID_VALUE, "pitched memory has a height of 1 or more")
        return LinearMemory(address, texel, width, height if kind == 3 else 0, pitch, aligned_to=region.base, name=region.name)

    def create_texture(self, pointer: int, resource: int, modes: int, border: int) -> None:
        *address, filtering, read, srgb, is_normalized, anisotropy, seamless, view, between = self._numbers(modes, 11)
        if view:
            raise CudaError(NOT_SUPPORTED, "resource views of another format are not supported")
        r, g, b, a, bias, least, most = self._numbers(border, 7, "f4")
        along = (address[0], address[1], address[2])
        how = Description(
            along, filtering, read, bool(srgb), (r, g, b, a), bool(is_normalized), anisotropy, bool(seamless), between,
            bias, least, most,
        )  # fmt: skip
        self._create(pointer, lambda: Texture(self._resource(resource), how))

    def create_surface(self, pointer: int, resource: int) -> None:
        self._create(pointer, lambda: Surface(self._of_one_level(self._resource(resource))))

    def _of_one_level(self, resource: CudaArray | MipmappedArray | LinearMemory) -> CudaArray | LinearMemory:
        """Return the resource of a surface. Raises CudaError for a mipmapped array, whose levels are surfaces."""
        if isinstance(resource, MipmappedArray):
            raise CudaError(INVALID_VALUE, "a surface is one of a level of a mipmapped array (cudaGetMipmappedArrayLevel)")
        return resource

    def _create(self, pointer: int, make: Callable[[], Bindless]) -> None:
        try:
            made = make()
        except ValueError as error:
            raise CudaError(INVALID_VALUE, str(error)) from None
        self.objects[made.ptr] = made
        self.process.store(pointer, "u8", made.ptr)

    def destroy(self, handle: int, of_texture: int) -> None:
        found, kind = self.objects.get(handle), Texture if of_texture else Surface
        if not isinstance(found, kind):
            raise CudaError(INVALID_VALUE, f"{handle:#x} is no handle of a {kind.what} object")
        del self.objects[handle]
        found.destroy()


def _rows(end: list[int], shape: tuple[int, int, int]) -> Rows:
    """Return the rows of a box in memory. end: its numbers, as `_box` takes them; shape: in bytes."""
    _, address, pitch, rows, x, y, z = end
    depth, height, width = shape
    first = address + (z * rows + y) * pitch + x
    return [(first + (k * rows + j) * pitch, width) for k in range(depth) for j in range(height)]


def _strided(data: np.ndarray, shape: tuple[int, int, int], strides: tuple[int, int, int]) -> np.ndarray:
    """Return the box of bytes with these strides in a run of bytes."""
    return np.lib.stride_tricks.as_strided(data.view(np.ndarray), shape, strides)

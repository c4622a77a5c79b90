"""CUDA arrays, texture objects and surface objects, which live between launches, and the handles that kernels know them by.

What may be combined follows the CUDA Runtime API (cudaResourceDesc, cudaTextureDesc, cudaMalloc3DArray); limits are those of the
CUDA C++ Programming Guide, table of technical specifications, for compute capability 8.0.
"""

from __future__ import annotations

from copy import copy
from itertools import count
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from tinygan_kernels.emulator.semantics import texels
from tinygan_kernels.emulator.semantics.sampling import BORDER, effective_mode
from tinygan_kernels.emulator.semantics.texels import Format

from .memory import GlobalMemory, empty, unwritten_bytes

LAYERED, SURFACE, CUBEMAP, GATHER = 1, 2, 4, 8
"""Flags of a CUDA array: cudaArrayLayered, cudaArraySurfaceLoadStore, cudaArrayCubemap, cudaArrayTextureGather."""
POINT, LINEAR = 0, 1
"""Filter modes: the values of cudaTextureFilterMode."""
ELEMENT, NORMALIZED = 0, 1
"""Read modes: the values of cudaTextureReadMode."""
BASE_ALIGNMENT, PITCH_ALIGNMENT = 512, 32
"""cudaDeviceProp's textureAlignment and texturePitchAlignment, in bytes."""
MOST_LINEAR = 1 << 28
MOST = {
    "1d": (131072,), "2d": (131072, 65536), "3d": (16384, 16384, 16384), "a1d": (32768, 2048), "a2d": (32768, 32768, 2048),
    "cube": (32768, 32768, 6), "acube": (32768, 32768, 2046),
}  # fmt: skip
"""The most elements of a CUDA array along each axis, by its geometry as PTX names it."""


class CudaArray:
    """A CUDA array: elements that only textures, surfaces and copies can reach.

    width, height, depth: in elements; height 0 for one dimension, depth 0 for two; with LAYERED depth is the number of layers, with
    CUBEMAP six faces, or six times the layers. name: what reports call it. marks: of each byte, whether it is unwritten. Raises
    ValueError for sizes and flags that do not go together.
    """

    def __init__(self, texel: Format, width: int, height: int = 0, depth: int = 0, flags: int = 0, name: str = "the CUDA array"):
        self.texel, self.width, self.height, self.depth, self.flags, self.name = texel, width, height, depth, flags, name
        if flags & ~(LAYERED | SURFACE | CUBEMAP | GATHER):
            raise ValueError(f"flags {flags:#x} of a CUDA array are not supported: layered, surface, cubemap and gather are")
        self._check_sizes()
        self.data = empty((max(depth, 1), max(height, 1), width * texel.size), np.uint8)
        self.base = int(self.data.__array_interface__["data"][0])
        marks = unwritten_bytes(self.data)
        assert marks is not None, "empty() marks its bytes"
        self.marks: np.ndarray = marks
        self.freed = ""  # where it was freed

    @property
    def geometry(self) -> str:
        """The geometry as PTX names it: 1d, 2d, 3d, a1d, a2d, cube or acube."""
        if self.flags & CUBEMAP:
            return "acube" if self.flags & LAYERED else "cube"
        if self.flags & LAYERED:
            return "a2d" if self.height else "a1d"
        return "3d" if self.depth else "2d" if self.height else "1d"

    def _check_sizes(self) -> None:
        sizes = [self.width, self.height, self.depth]
        geometry, shown = self.geometry, f"a CUDA array of {self.width} x {self.height} x {self.depth} elements"
        if self.width < 1 or min(sizes) < 0 or (self.depth and not self.height and geometry != "a1d"):
            raise ValueError(f"{shown}: width is at least 1, and what has a depth has a height")
        if geometry in ("a1d", "a2d") and not self.depth:
            raise ValueError(f"{shown} has no layers: their number is the depth")
        if geometry in ("cube", "acube") and (self.width != self.height or self.depth % 6 or not self.depth):
            raise ValueError(f"{shown} is no cubemap: width and height are equal, the depth is 6 faces, or 6 for each layer")
        given = [s for s in sizes if s]
        most = MOST[geometry]
        if len(given) > len(most) or any(s > m for s, m in zip(given, most, strict=False)):
            raise ValueError(f"{shown} is too large: at most {' x '.join(map(str, most))} are possible")

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return self.width * self.texel.size

    @property
    def rows(self) -> int:
        return max(self.height, 1)

    @property
    def planes(self) -> int:
        """How many slices, layers or faces it has."""
        return max(self.depth, 1)

    @property
    def pitch(self) -> int:
        """Bytes from a row to the next."""
        return self.row

    def elements(self) -> np.ndarray:
        """Return the elements as an array of shape (planes, rows, width * channels), which shares their bytes."""
        return self.data.view(np.ndarray).view(self.texel.code)

    def free(self, where: str) -> None:
        """Give the memory back. where: the place that reports of a later use name."""
        self.freed, self.data, self.marks = where, self.data[:0].copy(), self.marks[:0].copy()

    def attach(self, memory: GlobalMemory) -> None:
        """Add the bytes to what a launch may touch."""
        if not self.freed and memory.find(self.base) is None:
            memory.add(self.data, self.name, self.marks)
            memory.kept.append(self.data)


class MipmappedArray:
    """A pyramid of CUDA arrays, each with half the width, height and (without layers) depth of the one before, at least 1.

    The parameters are those of CudaArray; levels: how many are asked for. There is at least 1, and at most as many as it takes to
    come to one element, as with cudaMallocMipmappedArray. Raises ValueError for sizes and flags that do not go together.
    """

    def __init__(
        self, texel: Format, width: int, height: int = 0, depth: int = 0, flags: int = 0, levels: int = 1,
        name: str = "the mipmapped array",
    ):  # fmt: skip
        layers = bool(flags & (LAYERED | CUBEMAP))  # which all levels have
        most = max(width, height, 0 if layers else depth, 1).bit_length()
        self.name, self.freed = name, ""

        def level(n: int) -> CudaArray:
            smaller = [max(size >> n, 1) if size else 0 for size in (width, height, 0 if layers else depth)]
            return CudaArray(texel, smaller[0], smaller[1], depth if layers else smaller[2], flags, f"level {n} of {name}")

        self.levels = tuple(level(n) for n in range(min(max(levels, 1), most)))

    def free(self, where: str) -> None:
        """Give the memory of all levels back. where: the place that reports of a later use name."""
        self.freed = where
        for level in self.levels:
            level.free(where)


class LinearMemory:
    """Memory of the device that a texture reads. height 0: one-dimensional, for tex1Dfetch(); else rows of `pitch` bytes.

    array: the NumPy array that has the bytes, if that is known; aligned_to: the address that the allocation begins at. Raises
    ValueError for what CUDA would refuse.
    """

    flags, depth, planes, freed = 0, 0, 1, ""

    def __init__(
        self, address: int, texel: Format, width: int, height: int = 0, pitch: int = 0, *, aligned_to: int,
        array: np.ndarray | None = None, name: str = "linear memory",
    ):  # fmt: skip
        self.base, self.texel, self.width, self.height, self.pitch = address, texel, width, height, pitch
        self.array, self.name = array, name
        if width < 1 or width > (MOST["2d"][0] if height else MOST_LINEAR) or height > MOST["2d"][1]:
            most = " x ".join(map(str, MOST["2d"] if height else (MOST_LINEAR,)))
            raise ValueError(f"a texture over {width} x {height} elements of memory: 1 to {most} are possible")
        if (address - aligned_to) % BASE_ALIGNMENT or address % (texel.bits // 8):
            raise ValueError(f"the memory of a texture has to begin at a multiple of {BASE_ALIGNMENT} bytes (textureAlignment)")
        if height and (pitch % PITCH_ALIGNMENT or pitch < width * texel.size):
            rows = f"a pitch of {pitch} bytes for rows of {width * texel.size}"
            raise ValueError(f"{rows}: it has to be a multiple of {PITCH_ALIGNMENT} that is not less")

    @property
    def geometry(self) -> str:
        return "2d" if self.height else "1d"

    @property
    def rows(self) -> int:
        return max(self.height, 1)

    def attach(self, memory: GlobalMemory) -> None:
        """Add the array to what a launch may touch, if it is known."""
        if self.array is not None:
            memory.add(self.array, self.name, unwritten_bytes(self.array))
            memory.kept.append(self.array)


class Bindless:
    """What a kernel reaches by a 64-bit handle. ptr: the handle; resource: what it reads or writes."""

    what = "object"

    def __init__(self, resource: CudaArray | LinearMemory):
        self.resource = resource
        self.ptr = _FIRST + next(_NUMBERS)
        _LIVE[self.ptr] = self

    def attach(self, memory: GlobalMemory) -> None:
        """Add what it reads or writes to what a launch may touch."""
        self.resource.attach(memory)

    def destroy(self) -> None:
        """Let the handle name nothing any more."""
        _LIVE.pop(self.ptr, None)


class Surface(Bindless):
    """A surface object over a CUDA array. Raises ValueError for an array without SURFACE, and for linear memory."""

    what = "surface"

    def __init__(self, resource: CudaArray | LinearMemory):
        if not isinstance(resource, CudaArray):
            raise ValueError("a surface is one of a CUDA array, not of linear memory")
        if not resource.flags & SURFACE:
            raise ValueError(f"{resource.name} has to be made with the flag cudaArraySurfaceLoadStore for a surface")
        self.array = resource
        super().__init__(resource)


class Description(NamedTuple):
    """How a texture is read: what cudaTextureDesc says, with its values. between: the filter between levels (mipmapFilterMode);
    bias, least, most: mipmapLevelBias, minMipmapLevelClamp, maxMipmapLevelClamp."""

    address: tuple[int, int, int] = (0, 0, 0)
    filter: int = POINT
    read: int = ELEMENT
    srgb: bool = False
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    normalized: bool = False
    anisotropy: int = 0
    seamless: bool = False
    between: int = POINT
    bias: float = 0.0
    least: float = 0.0
    most: float = 0.0


class Texture(Bindless):
    """A texture object. Raises ValueError for a description that CUDA refuses, or that the emulator cannot carry out.

    resource: of a mipmapped array, its largest level.
    """

    what = "texture"

    def __init__(self, resource: CudaArray | MipmappedArray | LinearMemory, how: Description):
        pyramid = resource.levels if isinstance(resource, MipmappedArray) else ()
        resource = pyramid[0] if pyramid else resource
        assert not isinstance(resource, MipmappedArray), "its first level stands for it"
        self.how, texel = how, resource.texel
        if any(not 0 <= mode <= 3 for mode in how.address) or how.filter not in (0, 1) or how.read not in (0, 1):
            raise ValueError("address modes are 0 to 3, the filter mode and the read mode 0 or 1 (cudaTextureDesc)")
        self.cube = "cube" in resource.geometry
        self.normalized = how.normalized or self.cube
        self.fetched = isinstance(resource, LinearMemory) and not resource.height  # by tex1Dfetch alone, which has no modes
        modes = (BORDER,) * 3 if self.fetched else how.address
        self.modes = tuple(effective_mode(mode, self.normalized) for mode in modes)
        self.linear = how.filter == LINEAR and not self.fetched
        self.promoted = how.read == NORMALIZED and texel.kind != texels.FLOAT and texel.bits < 32
        self.as_float = self.promoted or texel.kind == texels.FLOAT
        if self.linear and not self.as_float:
            floats = "cudaReadModeNormalizedFloat makes floats of integers of 8 and 16 bits"
            raise ValueError(f"linear filtering is for elements that are read as floats, not for {texel} ({floats})")
        if how.srgb and not (self.promoted and texel.bits == 8 and texel.kind == texels.UNSIGNED):
            raise ValueError(f"sRGB is for 8-bit unsigned integers that are read as normalized floats, not for {texel}")
        if any(how.border) and not self.as_float and BORDER in self.modes and not self.fetched:
            raise ValueError("a border colour other than 0 is supported for elements that are read as floats")
        if how.anisotropy > 1 or (how.seamless and self.linear and self.cube):
            raise ValueError("anisotropic filtering and seamless cubemaps are not supported")
        if pyramid and not self.normalized:
            raise ValueError("coordinates of a mipmapped array are normalized, as each of its levels has another size")
        if pyramid and (how.between not in (POINT, LINEAR) or (how.between == LINEAR and not self.as_float)):
            raise ValueError("mipmapFilterMode is 0 or 1, and 1 (linear) is for elements that are read as floats")
        super().__init__(resource)
        self._pyramid = tuple(self._of_level(array) for array in pyramid)

    @property
    def levels(self) -> tuple[Texture, ...]:
        """A texture for each level of a mipmapped array; else this one alone."""
        return self._pyramid or (self,)

    def _of_level(self, array: CudaArray) -> Texture:
        """Return a texture, without a handle of its own, that reads one level in the same way."""
        level = copy(self)
        level.resource, level._pyramid = array, ()
        return level

    def attach(self, memory: GlobalMemory) -> None:
        """Add all levels to what a launch may touch."""
        for level in self.levels:
            level.resource.attach(memory)


Kind = TypeVar("Kind", bound=Bindless)
_FIRST = 0x0E7E << 48  # above every address of memory, below those of shared memory
_NUMBERS = count(1)
_LIVE: WeakValueDictionary[int, Bindless] = WeakValueDictionary()


def named_by(handle: int, kind: type[Kind]) -> Kind | str:
    """Return the object of a kind that a handle names, or what is wrong with the handle."""
    found = _LIVE.get(handle)
    if isinstance(found, kind):
        return found
    if found is not None:
        return f"the handle is that of a {found.what} object, not of a {kind.what} object"
    if _FIRST < handle < _FIRST + (1 << 40):
        return f"the {kind.what} object of this handle was destroyed"
    return f"{handle:#x} is no handle of a {kind.what} object"


def attach_all(memory: GlobalMemory) -> None:
    """Add what live textures and surfaces read and write to the memory of a launch, which keeps it alive until it ends."""
    for thing in list(_LIVE.values()):
        thing.attach(memory)

"""`cupy.cuda.texture` of `emulator.cupy`: CUDA arrays, and the textures and surfaces that kernels read and write them by.

The interface is that of CuPy's documentation ("Texture and surface memory"). Where CuPy raises a CUDARuntimeError for what CUDA
refuses, a ValueError says here what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygan_kernels.emulator.execute.memory import unwritten_bytes
from tinygan_kernels.emulator.execute.texture_objects import CudaArray, Description, LinearMemory, Surface, Texture
from tinygan_kernels.emulator.semantics.texels import format_of

CONSTANTS = {
    "cudaChannelFormatKindSigned": 0, "cudaChannelFormatKindUnsigned": 1, "cudaChannelFormatKindFloat": 2,
    "cudaChannelFormatKindNone": 3,
    "cudaResourceTypeArray": 0, "cudaResourceTypeMipmappedArray": 1, "cudaResourceTypeLinear": 2, "cudaResourceTypePitch2D": 3,
    "cudaAddressModeWrap": 0, "cudaAddressModeClamp": 1, "cudaAddressModeMirror": 2, "cudaAddressModeBorder": 3,
    "cudaFilterModePoint": 0, "cudaFilterModeLinear": 1,
    "cudaReadModeElementType": 0, "cudaReadModeNormalizedFloat": 1,
    "cudaArrayDefault": 0, "cudaArrayLayered": 1, "cudaArraySurfaceLoadStore": 2, "cudaArrayCubemap": 4,
    "cudaArrayTextureGather": 8,
}  # fmt: skip
"""What `cupy.cuda.runtime` has for textures, with CUDA's values."""
ARRAY, MIPMAPPED, LINEAR, PITCHED = range(4)


class ChannelFormatDescriptor:
    """The format of an element: the bits of its channels x, y, z, w (0 for one that it lacks), and their kind f.

    Raises ValueError for a format that textures do not have.
    """

    def __init__(self, x: int, y: int, z: int, w: int, f: int):
        self._given = {"x": int(x), "y": int(y), "z": int(z), "w": int(w), "f": int(f)}
        self.texel = format_of(x, y, z, w, f)

    def get_channel_format(self) -> dict[str, int]:
        """Return the arguments as a dict."""
        return dict(self._given)


class CUDAarray:
    """Memory for textures and surfaces, in elements of `desc`; height 0 makes it 1-D, depth 0 2-D.

    flags: a sum of `cupy.cuda.runtime.cudaArray...`; with cudaArrayLayered the depth is the number of layers. Raises ValueError for
    sizes and flags that CUDA does not allow.
    """

    def __init__(self, desc: ChannelFormatDescriptor, width: int, height: int = 0, depth: int = 0, flags: int = 0):
        _need(desc, ChannelFormatDescriptor, "desc")
        self.array = CudaArray(desc.texel, int(width), int(height), int(depth), int(flags))
        self.desc, self.width, self.height, self.depth, self.flags = desc, int(width), int(height), int(depth), int(flags)
        self.ndim = 3 if depth else 2 if height else 1
        self.ptr = self.array.base

    def copy_from(self, in_arr: np.ndarray, stream: object = None) -> None:
        """Copy an array into this one: (channels * width,), (height, channels * width) or (depth, height, channels * width).

        Raises ValueError for another shape or dtype. stream: taken, and without effect, as all is done in order. Bytes that nothing
        has written stay so for the sanitizer, where the array is in C order.
        """
        self._check(in_arr)
        self.array.elements()[...] = np.asarray(in_arr).reshape(self.array.elements().shape)
        marks = unwritten_bytes(in_arr) if in_arr.flags.c_contiguous else None
        self.array.marks[...] = False if marks is None else marks

    def copy_to(self, out_arr: np.ndarray, stream: object = None) -> None:
        """Copy this array into one of the shape that `copy_from` takes, in C order. Raises ValueError for another."""
        self._check(out_arr)
        if not out_arr.flags.c_contiguous:
            raise ValueError("copy_to takes an array in C order")
        out_arr[...] = self.array.elements().reshape(out_arr.shape)
        marks = unwritten_bytes(out_arr)
        if marks is not None:
            marks[...] = self.array.marks

    def _check(self, array: np.ndarray) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"an array is copied from or to, not a {type(array).__name__}")
        texel = self.desc.texel
        shape = (*(n for n in (self.depth, self.height) if n), texel.channels * self.width)
        if array.shape != shape:
            raise ValueError(f"an array of shape {shape} is copied from or to, not {array.shape}")
        if array.dtype != np.dtype(texel.code):
            raise ValueError(f"an array of dtype {np.dtype(texel.code)} is copied from or to, not {array.dtype}")


class ResourceDescriptor:
    """What a texture or surface object reads: a CUDAarray (cuArr), or an array in memory (arr), with the format chDesc.

    restype: cudaResourceTypeArray; cudaResourceTypeLinear, with sizeInBytes; cudaResourceTypePitch2D, with width and height in
    elements and the bytes between rows, pitchInBytes. Raises NotImplementedError for mipmapped arrays, TypeError for an argument
    that is missing, ValueError for another type.
    """

    def __init__(
        self, restype: int, cuArr: CUDAarray | None = None, arr: np.ndarray | None = None,
        chDesc: ChannelFormatDescriptor | None = None,
        sizeInBytes: int = 0, width: int = 0, height: int = 0, pitchInBytes: int = 0,
    ):  # fmt: skip
        if restype == MIPMAPPED:
            raise NotImplementedError("cudaResourceTypeMipmappedArray is not supported")
        if restype not in (ARRAY, LINEAR, PITCHED):
            raise ValueError(f"restype is one of cudaResourceTypeArray, ...Linear and ...Pitch2D, not {restype}")
        if restype == ARRAY:
            _need(cuArr, CUDAarray, "cuArr")
        else:
            _need(arr, np.ndarray, "arr")
            _need(chDesc, ChannelFormatDescriptor, "chDesc")
        self.restype, self.cuArr, self.arr, self.chDesc = int(restype), cuArr, arr, chDesc
        self.sizeInBytes, self.width, self.height, self.pitchInBytes = int(sizeInBytes), int(width), int(height), int(pitchInBytes)

    def resource(self) -> CudaArray | LinearMemory:
        """Return what is described. Raises ValueError for memory that a texture cannot have."""
        if self.cuArr is not None and self.restype == ARRAY:
            return self.cuArr.array
        assert self.arr is not None and self.chDesc is not None, "the constructor has looked"
        address = int(self.arr.__array_interface__["data"][0])
        texel, start = self.chDesc.texel, _allocation(self.arr)
        if self.restype == LINEAR:
            width, height, name = self.sizeInBytes // texel.size, 0, "the linear memory of a texture"
        else:
            width, height, name = self.width, self.height, "the pitched memory of a texture"
            if height < 1:
                raise ValueError("pitched memory has a height of 1 or more")
        return LinearMemory(address, texel, width, height, self.pitchInBytes, aligned_to=start, array=self.arr, name=name)

    def get_resource_desc(self) -> dict[str, object]:
        """Return the description as a dict."""
        if self.cuArr is not None and self.restype == ARRAY:
            return {"resType": self.restype, "array": {"array": self.cuArr.ptr}}
        assert self.arr is not None and self.chDesc is not None, "the constructor has looked"
        address = int(self.arr.__array_interface__["data"][0])
        memory: dict[str, object] = {"devPtr": address, "desc": self.chDesc.get_channel_format()}
        if self.restype == LINEAR:
            return {"resType": self.restype, "linear": memory | {"sizeInBytes": self.sizeInBytes}}
        sizes = {"width": self.width, "height": self.height, "pitchInBytes": self.pitchInBytes}
        return {"resType": self.restype, "pitch2D": memory | sizes}


class TextureDescriptor:
    """How a texture is read: the address mode of each axis (wrap where none is given), the filter mode, the read mode, sRGB,
    the colour outside (cudaAddressModeBorder), and whether coordinates are normalized.

    Raises ValueError for more than three address modes or four colours. What does not go together, the TextureObject refuses.
    """

    def __init__(
        self, addressModes: Sequence[int] | None = None, filterMode: int = 0, readMode: int = 0, sRGB: int | None = None,
        borderColors: Sequence[float] | None = None, normalizedCoords: int | None = None, maxAnisotropy: int | None = None,
    ):  # fmt: skip
        modes, colours = (() if given is None else tuple(given) for given in (addressModes, borderColors))
        if len(modes) > 3 or len(colours) > 4:
            raise ValueError("there are at most three addressModes and four borderColors")
        x, y, z = (int(m) for m in (*modes, 0, 0, 0)[:3])
        r, g, b, a = (float(np.float32(c)) for c in (*colours, 0, 0, 0, 0)[:4])
        self.how = Description(
            address=(x, y, z), filter=int(filterMode), read=int(readMode), srgb=bool(sRGB), border=(r, g, b, a),
            normalized=bool(normalizedCoords), anisotropy=int(maxAnisotropy or 0),
        )  # fmt: skip

    def get_texture_desc(self) -> dict[str, object]:
        """Return the description as a dict."""
        how = self.how
        return {
            "addressMode": how.address, "filterMode": how.filter, "readMode": how.read, "sRGB": int(how.srgb),
            "borderColor": how.border, "normalizedCoords": int(how.normalized), "maxAnisotropy": how.anisotropy,
        }  # fmt: skip


class TextureObject(Texture):
    """A texture object, which a RawKernel or an ElementwiseKernel takes as an argument. `ptr` is its handle.

    Raises ValueError where CUDA refuses the two descriptions together, and for what is not supported.
    """

    def __init__(self, ResDesc: ResourceDescriptor, TexDesc: TextureDescriptor):
        _need(ResDesc, ResourceDescriptor, "ResDesc")
        _need(TexDesc, TextureDescriptor, "TexDesc")
        super().__init__(ResDesc.resource(), TexDesc.how)
        self.ResDesc, self.TexDesc = ResDesc, TexDesc


class SurfaceObject(Surface):
    """A surface object over a CUDAarray with the flag cudaArraySurfaceLoadStore, which a RawKernel takes as an argument.

    Raises ValueError for an array without the flag, and for memory that is no CUDAarray.
    """

    def __init__(self, ResDesc: ResourceDescriptor):
        _need(ResDesc, ResourceDescriptor, "ResDesc")
        super().__init__(ResDesc.resource())
        self.ResDesc = ResDesc


def _need(value: object, kind: type, name: str) -> None:
    """Raise TypeError for an argument that is not of its class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is a {kind.__name__}, not a {type(value).__name__}")


def _allocation(array: np.ndarray) -> int:
    """Return the address at which the memory of an array begins, of which it may be a part."""
    marks = getattr(array, "marks", None)
    if marks is not None:  # of emulator.empty, which takes more bytes than it needs, for the alignment
        return int(marks[0])
    while isinstance(array.base, np.ndarray):
        array = array.base
    return int(array.__array_interface__["data"][0])


__all__ = [
    "CUDAarray", "ChannelFormatDescriptor", "ResourceDescriptor", "SurfaceObject", "TextureDescriptor", "TextureObject",
]  # fmt: skip

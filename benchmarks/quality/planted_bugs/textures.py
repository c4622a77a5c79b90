"""The textures and surfaces that planted bugs of them have besides x, y and n."""

from __future__ import annotations

import numpy as np
from tinygan_kernels.emulator.cupy.cuda import runtime
from tinygan_kernels.emulator.cupy.texture import (
    ChannelFormatDescriptor,
    CUDAarray,
    ResourceDescriptor,
    SurfaceObject,
    TextureDescriptor,
    TextureObject,
)

PARAMETERS = (
    "cudaTextureObject_t tex, cudaTextureObject_t bytes, cudaTextureObject_t fresh, cudaTextureObject_t layers, "
    "cudaTextureObject_t linear, cudaTextureObject_t canvas, cudaSurfaceObject_t surf"
)
SIZE, LAYERS = 8, 3


def objects(y: np.ndarray) -> tuple[TextureObject | SurfaceObject, ...]:
    """Return the arguments for PARAMETERS.

    tex: 8 x 8 floats; bytes: 8 x 8 unsigned bytes; fresh: 8 x 8 floats that nothing has written; layers: three of 8 x 8 floats;
    linear: the integers of y; surf and canvas: a surface and a texture over the same 8 x 8 floats.
    """
    floats, bytes_ = ChannelFormatDescriptor(32, 0, 0, 0, 2), ChannelFormatDescriptor(8, 0, 0, 0, 1)
    whole = ChannelFormatDescriptor(32, 0, 0, 0, 0)
    plane = CUDAarray(floats, SIZE, SIZE)
    plane.copy_from(np.arange(SIZE * SIZE, dtype="f4").reshape(SIZE, SIZE))
    small = CUDAarray(bytes_, SIZE, SIZE)
    small.copy_from(np.zeros((SIZE, SIZE), "u1"))
    stack = CUDAarray(floats, SIZE, SIZE, LAYERS, runtime.cudaArrayLayered)
    stack.copy_from(np.zeros((LAYERS, SIZE, SIZE), "f4"))
    painted = CUDAarray(floats, SIZE, SIZE, 0, runtime.cudaArraySurfaceLoadStore)
    painted.copy_from(np.zeros((SIZE, SIZE), "f4"))
    how = TextureDescriptor((runtime.cudaAddressModeClamp,) * 3)
    arrays = (plane, small, CUDAarray(floats, SIZE, SIZE), stack)
    textures = [TextureObject(ResourceDescriptor(0, cuArr=array), how) for array in arrays]
    linear = TextureObject(ResourceDescriptor(2, arr=y, chDesc=whole, sizeInBytes=y.nbytes), how)
    canvas = ResourceDescriptor(0, cuArr=painted)
    return (*textures, linear, TextureObject(canvas, how), SurfaceObject(canvas))

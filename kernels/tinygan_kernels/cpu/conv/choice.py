"""The ladder of convolutions on the CPU: the ways to compute conv2d, conv2d_dx and conv2d_dw, and the choice of one.

RUNGS is the table, the same for the three kernels. `tinygan kernels list` prints it, `load("cpu", versions={"conv2d": 3})` forces
one of its rows, and both `tinygan kernels verify` and the tests run every row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS
from tinygan_kernels.cpu.ladder import Rung, choose
from tinygan_kernels.cpu.matmul.choice import bind_product
from tinygan_kernels.cpu.matmul.jobs import TakeScratch, fresh_scratch
from tinygan_kernels.cpu.runtime.stages import Pipeline

from . import direct, im2col, winograd


@dataclass(eq=False)
class Convolution:
    """One launch of conv2d (x, w -> y), conv2d_dx (g, w -> dx) or conv2d_dw (x, g -> dw).

    All arrays are C-contiguous: images x and dx (N, H, W, C_in), outputs y and g (N, OH, OW, C_out), filters w and dw
    (KH, KW, C_in, C_out). Whatever the kernel, `image`, `filters` and `pixels` are the three arrays by their role.
    take: a function that lends scratch memory. version: the number of the rung that is forced, or None.
    """

    kernel: str
    first: np.ndarray
    second: np.ndarray
    out: np.ndarray
    stride: int
    pad: int
    take: TakeScratch = fresh_scratch
    version: int | None = None

    def __post_init__(self) -> None:
        first, second, out = self.first, self.second, self.out
        self.image, self.filters, self.pixels = {
            "conv2d": (first, second, out), "conv2d_dx": (out, second, first), "conv2d_dw": (first, out, second),
        }[self.kernel]

    def __str__(self) -> str:
        inputs = " and ".join(f"{n} {a.shape}" for n, a in zip(KERNELS[self.kernel].inputs, (self.first, self.second), strict=True))
        return f"{self.kernel} of {inputs}, stride {self.stride}, pad {self.pad}, in {self.out.dtype}"


def _always(launch: Convolution) -> bool:
    return True


def _bind_im2col(c: Convolution) -> Pipeline:
    return Pipeline(getattr(im2col, c.kernel)(c.first, c.second, c.out, c.stride, c.pad, c.take))


def _direct_suits(c: Convolution) -> bool:
    return direct.suits(c.kernel, c.filters.shape, c.pixels.shape, c.image.itemsize)


def _direct_pays(c: Convolution) -> bool:
    return direct.pays(c.filters.shape, c.image.itemsize)


def _bind_direct(c: Convolution) -> Pipeline:
    return getattr(direct.DirectConvolution(c.take), c.kernel)(c.first, c.second, c.out, c.stride, c.pad)


def _winograd_suits(c: Convolution) -> bool:
    return winograd.suits(c.filters.shape, c.stride, c.pixels.shape, c.image.dtype)


def _winograd_pays(c: Convolution) -> bool:
    return winograd.pays(c.filters.shape, c.pixels.shape, c.image.dtype)


def _bind_winograd(c: Convolution) -> Pipeline:
    return getattr(winograd.WinogradConvolution(c.take), c.kernel)(c.first, c.second, c.out, c.pad)


def _is_one_product(c: Convolution) -> bool:
    return c.pad == 0 and c.pixels.shape[1:3] == (1, 1) and c.image.shape[1:3] == c.filters.shape[:2]


def _bind_one_product(c: Convolution) -> Pipeline:
    """Bind one matrix product. Each image is one patch, as in the first layer of a DCGAN's G and the last of its D, so that im2col
    would have nothing to copy.

    The product does not look for zeros in its left factor: in those layers it is noise, D's features or gradients, which hold few.
    """
    n, c_out = c.pixels.shape[0], c.pixels.shape[3]
    patch = math.prod(c.filters.shape[:3])
    x, w, y = c.image.reshape(n, patch), c.filters.reshape(patch, c_out), c.pixels.reshape(n, c_out)
    operands, flags = {
        "conv2d": ((x, w, y), {}), "conv2d_dx": ((y, w, x), {"trans_b": True}), "conv2d_dw": ((x, y, w), {"trans_a": True}),
    }[c.kernel]
    return bind_product(*operands, **flags, take=c.take, look_for_zeros=False)


RUNGS = (
    Rung(1, "im2col and a matrix product", _always, _always, _bind_im2col),
    Rung(2, "direct: register tiles over the padded image", _direct_suits, _direct_pays, _bind_direct),
    Rung(3, "Winograd F(m, 2), for 4x4 filters of stride 2", _winograd_suits, _winograd_pays, _bind_winograd, "winograd"),
    Rung(4, "one matrix product, for filters as large as the image", _is_one_product, _always, _bind_one_product),
)


def suits(
    kernel: str, number: int, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any], dtype: Any
) -> bool:
    """Return whether rung `number` can compute `kernel` for inputs of these shapes. params: those that contract.py lists."""
    (out,) = KERNELS[kernel].shapes(*shapes, **params)
    first, second, made = (np.empty(shape, dtype) for shape in (*shapes, out))  # allocated, never read or written
    launch = Convolution(kernel, first, second, made, params["stride"], params["pad"], version=number)
    return RUNGS[number - 1].suits(launch)


def bind_convolution(
    kernel: str, first: np.ndarray, second: np.ndarray, out: np.ndarray, stride: int, pad: int, take: TakeScratch = fresh_scratch,
    version: int | None = None, **_sizes: int,
) -> Pipeline:
    """Bind a launch of conv2d, conv2d_dx or conv2d_dw.

    version: the rung that is forced; its shapes must suit it, else ContractError is raised. None: the highest rung that suits and
    pays. `_sizes` are the parameters of conv2d_dx and conv2d_dw that the shape of `out` says already.
    """
    launch = Convolution(kernel, first, second, out, stride, pad, take, version)
    return choose(RUNGS, launch).bind(launch)

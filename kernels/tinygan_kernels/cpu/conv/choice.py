"""The ladder of convolutions on the CPU: the ways to compute conv2d, conv2d_dx and conv2d_dw, and the choice of one.

RUNGS is the table, the same for the three kernels. `tinygan kernels list` prints it, `load("cpu", versions={"conv2d": 3})` forces
one of its rows, and `verify` and the tests enter every row.
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
    """One launch of conv2d (x, w, y), conv2d_dx (g, w, dx) or conv2d_dw (x, g, dw), C-contiguous NHWC arrays.

    take: scratch memory. version: the rung that is forced.
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
    """Bind one matrix product, for images that are their own only patch, as at both ends of a DCGAN: nothing is unrolled.

    No zeros are looked for, as the left factor is noise or D's last features there, which have hardly any.
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
    """Return whether a rung can compute `kernel` of inputs of these shapes, with the parameters of the contract."""
    (out,) = KERNELS[kernel].shapes(*shapes, **params)
    first, second, made = (np.empty(shape, dtype) for shape in (*shapes, out))  # memory that is never touched
    launch = Convolution(kernel, first, second, made, params["stride"], params["pad"], version=number)
    return RUNGS[number - 1].suits(launch)


def bind_convolution(
    kernel: str, first: np.ndarray, second: np.ndarray, out: np.ndarray, stride: int, pad: int, take: TakeScratch = fresh_scratch,
    version: int | None = None, **_sizes: int,
) -> Pipeline:
    """Bind a launch of conv2d, conv2d_dx or conv2d_dw. version: the rung to take; the best one if None.

    Raises ContractError where that rung does not suit the shapes.
    """
    launch = Convolution(kernel, first, second, out, stride, pad, take, version)
    return choose(RUNGS, launch).bind(launch)

"""The calls of kernels that can be profiled: how a list of sizes, as one types it, stands for the arrays of a call.

`call("matmul", (512, 512, 512))` gives the shapes of inputs and outputs, the parameters, and the arithmetic that they ask for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS
from tinygan_kernels.shapes import ContractError, Shape, conv_size

ITEM = 4  # bytes of a float32: what is profiled


@dataclass(frozen=True)
class KernelCall:
    """A call of a kernel in float32: shapes of inputs and outputs, and parameters."""

    kernel: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    params: Mapping[str, Any]

    @property
    def flops(self) -> int | None:
        """The floating-point operations that the mathematics asks for, 2 for a multiply-add, as the contract counts them.

        None for elementwise work, which the contract does not count: the count of what was executed has to serve.
        """
        count = KERNELS[self.kernel].flops
        return count(*self.inputs, *self.outputs, **self.params) if count else None

    @property
    def bytes(self) -> int:
        """The bytes that have to be moved at least: every input read once, every output written once."""
        return ITEM * sum(math.prod(shape) for shape in (*self.inputs, *self.outputs))

    @property
    def work(self) -> float:
        """The effort of emulating the call, in multiply-adds; an element of elementwise work counts as 8."""
        return self.flops / 2 if self.flops is not None else 8 * max(math.prod(shape) for shape in (*self.inputs, *self.outputs))

    def with_params(self, params: Mapping[str, Any]) -> KernelCall:
        """Return the call with other values of these parameters, whose outputs have the shapes that they ask for.

        Raises ContractError for parameters that the inputs do not fit.
        """
        every = {**self.params, **params}
        outputs = KERNELS[self.kernel].shapes(*self.inputs, **every) if self.inputs else self.outputs
        return KernelCall(self.kernel, self.inputs, outputs, every)

    def zeros(self) -> tuple[np.ndarray, ...]:
        """Return its arrays, inputs then outputs, of np.zeros: they take no memory as long as they are not touched.

        Raises ContractError where an array is larger than the machine can address.
        """
        try:
            return tuple(np.zeros(shape, np.float32) for shape in (*self.inputs, *self.outputs))
        except (ValueError, MemoryError):
            shapes = " and ".join(map(str, (*self.inputs, *self.outputs)))
            message = f"{self.kernel} on arrays {shapes} is too large for this machine's memory; give smaller sizes"
            raise ContractError(message) from None


# ---- from sizes to (shapes of the inputs, parameters); the contract tells the outputs --------------------------------------------

Arguments = tuple[tuple[Shape, ...], dict[str, Any]]


def _matmul(m: int, n: int, k: int) -> Arguments:
    return ((m, k), (k, n)), {}


def _convolution(kernel: str, images, height, width, c_in, c_out, side, stride, pad) -> Arguments:
    sizes = {"conv2d": {}, "conv2d_dx": {"height": height, "width": width}, "conv2d_dw": {"kh": side, "kw": side}}
    params = KERNELS[kernel].checked({"stride": stride, "pad": pad, **sizes[kernel]})  # first, as a stride of 0 divides by 0 below
    x, w = (images, height, width, c_in), (side, side, c_in, c_out)
    y = (images, conv_size(height, side, stride, pad), conv_size(width, side, stride, pad), c_out)
    return {"conv2d": (x, w), "conv2d_dx": (y, w), "conv2d_dw": (x, y)}[kernel], dict(params)


def _bce_logits(n: int) -> Arguments:
    return ((n,), (n,)), {}


def _bias_act(rows: int, channels: int) -> Arguments:
    return ((rows, channels), (channels,)), {"act": "leaky_relu", "slope": 0.2}


def _bias_act_grad(rows: int, channels: int) -> Arguments:
    return ((rows, channels), (rows, channels)), {"act": "leaky_relu", "slope": 0.2}


def _adam(n: int) -> Arguments:
    return ((n,), ()), {"sign": -1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}


def _flat(kernel: str, params: Mapping[str, Any], n: int) -> Arguments:
    """Return the arguments of a kernel on arrays of n numbers; a rate is one number."""
    return tuple(() if name == "rate" else (n,) for name in KERNELS[kernel].inputs), dict(params)


def _reduction(rows: int, columns: int) -> Arguments:
    return ((rows, columns),), {"axes": (0, 1)}


def _batch_norm(rows: int, channels: int) -> Arguments:
    return ((rows, channels), (channels,), (channels,)), {"eps": 1e-5}


def _batch_norm_grad(rows: int, channels: int) -> Arguments:
    return ((rows, channels), (rows, channels), (channels,), (channels,), (channels,)), {}


# ---- the table -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profiled:
    """How the calls of a kernel are given: the names of its sizes, an example, and what the sizes stand for.

    arguments(*sizes): the shapes of the inputs, and the parameters. small: the sizes at which targets.py measures, small enough
    to be counted themselves. period(*sizes): {index of a size: after how many more of it the work of a block repeats}. A size that
    it leaves out is never made smaller for counting.
    """

    sizes: tuple[str, ...]
    example: tuple[int, ...]
    small: tuple[int, ...]
    arguments: Callable[..., Arguments]
    period: Callable[..., dict[int, int]]


def _whole_tiles(images, height, width, c_in, c_out, side, stride, pad) -> dict[int, int]:
    """Return {0: the number of images whose pixels, in and out, are whole tiles of 128 rows}."""
    pixels = conv_size(height, side, stride, pad) * conv_size(width, side, stride, pad)
    return {0: math.lcm(128 // math.gcd(128, max(1, pixels)), 128 // math.gcd(128, height * width))}


_CONVOLUTION = ("images", "height", "width", "C_in", "C_out", "filter", "stride", "pad")
_LAYER, _SMALL_LAYER = (64, 16, 16, 32, 64, 4, 2, 1), (1, 16, 16, 64, 64, 3, 1, 1)
PROFILED: dict[str, Profiled] = {
    "matmul": Profiled(("M", "N", "K"), (512, 512, 512), (256, 256, 128), _matmul, lambda *_: {0: 128, 1: 128, 2: 64}),
    **{
        kernel: Profiled(_CONVOLUTION, _LAYER, _SMALL_LAYER, functools.partial(_convolution, kernel), _whole_tiles)
        for kernel in ("conv2d", "conv2d_dx", "conv2d_dw")
    },
    "bce_logits": Profiled(("n",), (256,), (4096,), _bce_logits, lambda *_: {0: 1 << 18}),
    "bias_act": Profiled(("rows", "channels"), (4096, 256), (512, 64), _bias_act, lambda *_: {0: 1024}),
    "bias_act_grad": Profiled(("rows", "channels"), (4096, 256), (512, 64), _bias_act_grad, lambda *_: {0: 1024}),
    "adam": Profiled(("n",), (1 << 16,), (8192,), _adam, lambda *_: {0: 1024}),
}


_PARAMS: dict[str, dict[str, Any]] = {
    "power": {"exponent": 2.0}, "leaky_relu": {"slope": 0.2}, "leaky_relu_grad": {"slope": 0.2}, "fill": {"value": 1.0},
    "sgd": {"sign": -1}, "momentum": {"sign": -1, "mu": 0.9}, "ema": {"decay": 0.99},
}  # fmt: skip
OWN_ALONE: dict[str, Profiled] = {
    "sum": Profiled(("rows", "columns"), (512, 512), (64, 64), _reduction, lambda *_: {}),
    "max": Profiled(("rows", "columns"), (512, 512), (64, 64), _reduction, lambda *_: {}),
    "batch_norm": Profiled(("rows", "channels"), (1024, 64), (64, 64), _batch_norm, lambda *_: {}),
    "batch_norm_grad": Profiled(("rows", "channels"), (1024, 64), (64, 64), _batch_norm_grad, lambda *_: {}),
}
"""The kernels of the contract that only a kernel of one's own can be profiled as: the project leaves them to array functions."""
OWN_ALONE |= {
    name: Profiled(("n",), (1 << 16,), (256,), functools.partial(_flat, name, _PARAMS.get(name, {})), lambda *_: {0: 1024})
    for name in KERNELS if name not in PROFILED and name not in OWN_ALONE
}  # fmt: skip


def form_of(kernel: str) -> Profiled:
    """Return how the calls of a kernel are given. Raises ContractError where there is no such kernel."""
    if kernel not in KERNELS:
        raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
    return PROFILED[kernel] if kernel in PROFILED else OWN_ALONE[kernel]


def require_ladder(kernel: str) -> None:
    """Raise ContractError for a kernel of which the project has no CUDA kernels."""
    form_of(kernel)
    if kernel not in PROFILED:
        raise ContractError(f"{kernel} is left to array functions; there are kernels to profile for {', '.join(PROFILED)}")


def call(kernel: str, shape: Sequence[int] | None = None) -> KernelCall:
    """Return the call that a list of sizes stands for. Raises ContractError saying what the sizes of the kernel are."""
    form = form_of(kernel)
    shape = form.example if shape is None else tuple(shape)
    if len(shape) != len(form.sizes) or min(shape, default=0) < 0:
        numbers = f"{len(form.sizes)} number{'s' if len(form.sizes) > 1 else ''}"
        raise ContractError(f"the shape of {kernel} is {numbers}: {' '.join(form.sizes)}, such as {spaced(form.example)}")
    inputs, params = form.arguments(*shape)
    outputs = KERNELS[kernel].shapes(*inputs, **params) if inputs else (tuple(shape),)
    return KernelCall(kernel, inputs, outputs, params)


def spaced(numbers: Iterable[int]) -> str:
    """Return the numbers with blanks between them, as one types them."""
    return " ".join(map(str, numbers))

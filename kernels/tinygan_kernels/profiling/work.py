"""The work of a launch: floating-point operations of products, and bytes of arrays.

FLOPs are the multiplications and additions of matrix products and convolutions, which grow with the cube of the sizes. They are
those of the direct algorithm, so one that needs fewer (Winograd's, or one that skips zeros) may show a rate above the machine's
peak. Bytes are those of all inputs and outputs, each once: what a launch moves if none of it is in a cache and nothing is moved
twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygan_kernels.backend import Launch


def flops(launch: Launch) -> int:
    """Return the floating-point operations of a product, as the contract counts them (`Kernel.flops`); 0 for all other kernels."""
    count = launch.kernel.flops
    return count(*(a.shape for a in (*launch.inputs, *launch.outputs)), **launch.params) if count else 0


def moved(launch: Launch) -> int:
    """Return the bytes of all inputs and outputs. A broadcast input counts as stored, an output that is updated in place twice."""
    read = sum(_stored(a) for a in launch.inputs)
    written = sum(a.nbytes for a in launch.outputs)
    return read + written * (2 if launch.kernel.in_place and launch.inputs else 1)


def moved_together(launches: Sequence[Launch]) -> int:
    """Return the bytes of launches that run as one call: what one of them leaves to the next does not go through memory."""
    inner = {a.__array_interface__["data"][0] for launch in launches[:-1] for a in launch.outputs}
    between = [a for launch in launches[1:] for a in launch.inputs if a.__array_interface__["data"][0] in inner]
    return sum(map(moved, launches)) - 2 * sum(map(_stored, between))


def _stored(array: Any) -> int:
    """Return the bytes that an array takes in memory: an axis of stride 0, which broadcasting makes, is stored once."""
    size = array.itemsize
    for n, stride in zip(array.shape, array.strides, strict=True):
        size *= n if stride else min(n, 1)
    return size

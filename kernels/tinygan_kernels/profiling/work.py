"""What a launch has to do: floating-point operations of its products, bytes of its arrays.

FLOPs count multiplications and additions of the matrix products and convolutions, the part that grows with the cube of the sizes; a
direct algorithm is meant, so what does with less (Winograd, zeros left out) shows as a rate above the machine's. Bytes are those of
all inputs and outputs, each once: what a launch moves if nothing of it is in a cache, and nothing is moved twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygan_kernels.backend import Launch


def flops(launch: Launch) -> int:
    """Return the floating-point operations of a product, as the contract counts them (`Kernel.flops`); 0 for all other kernels."""
    count = launch.kernel.flops
    return count(*(a.shape for a in (*launch.inputs, *launch.outputs)), **launch.params) if count else 0


def moved(launch: Launch) -> int:
    """Bytes of all inputs and outputs; broadcast inputs count once, outputs that are read as well (updates in place) twice."""
    read = sum(_stored(a) for a in launch.inputs)
    written = sum(a.nbytes for a in launch.outputs)
    return read + written * (2 if launch.kernel.in_place and launch.inputs else 1)


def moved_together(launches: Sequence[Launch]) -> int:
    """Bytes of launches that run as one: what one leaves to the next does not go to memory in between."""
    inner = {a.__array_interface__["data"][0] for launch in launches[:-1] for a in launch.outputs}
    between = [a for launch in launches[1:] for a in launch.inputs if a.__array_interface__["data"][0] in inner]
    return sum(map(moved, launches)) - 2 * sum(map(_stored, between))


def _stored(array) -> int:
    size = array.itemsize
    for n, stride in zip(array.shape, array.strides, strict=True):
        size *= n if stride else min(n, 1)
    return size

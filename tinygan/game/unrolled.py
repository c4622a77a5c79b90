"""Unrolled steps of D: G looks ahead at how D will answer, and differentiates through it (Metz et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tinygan.engine.tensor import Tensor, gradients
from tinygan.nn.tree import Layer, slots


def unrolled(D: Layer, goal: Callable[[], Tensor], parameters: dict[str, Tensor], steps: int, rate: float) -> dict[str, Tensor]:
    """Return theta_d after `steps` plain ascents on goal(), as tensors that remember what they depend on. Metz et al. 2017, eq. 10.

    theta^(k+1) = theta^k + rate d goal / d theta^k: the derivative of what follows goes through these updates, so G sees how D
    will answer. D's own parameters stay as they are; goal is evaluated with D at theta^k.
    """
    theta = dict(parameters)
    for _ in range(steps):
        with at(D, theta):
            slopes = gradients(goal(), list(theta.values()), create_graph=True)
        theta = {name: t + rate * g for (name, t), g in zip(theta.items(), slopes, strict=True)}
    return theta


@contextmanager
def kept_buffers(network: Layer) -> Iterator[None]:
    """Let the network's running statistics move within the `with`, and give them the values from before afterwards, bit for bit.

    In Metz et al. 2017, section 2.2, the discriminator that looks ahead is a copy, thrown away after G's step. Its parameters are
    tensors of their own here (`unrolled`), but batch normalisation updates its statistics in place. The copies are launches, so a
    replayed step makes them too.
    """
    own = list(network.buffers().values())
    before = []
    for tensor in own:
        copy = tensor.backend.empty(tensor.shape, tensor.dtype)
        tensor.backend.launch("copy", (tensor.array,), out=copy)
        before.append(copy)
    try:
        yield
    finally:
        for tensor, copy in zip(own, before, strict=True):
            tensor.backend.launch("copy", (copy,), out=tensor.array)


@contextmanager
def at(network: Layer, parameters: dict[str, Tensor]) -> Iterator[None]:
    """Evaluate the network at other parameters, by name, within the `with`; its own are back afterwards.

    A parameter that the network holds in several places is exchanged in all of them. Raises ValueError for a name that is none of
    the network's.
    """
    own, held = network.parameters(), list(slots(network))
    instead = {}
    for name, tensor in parameters.items():
        if name not in own or not any(slot.tensor is own[name] for slot in held):
            where = "which no attribute of a layer inside it holds" if name in own else f"which it has not: it has {', '.join(own)}"
            raise ValueError(f"the network cannot be put at its parameter {name!r}, {where}; hold layers and tensors in attributes")
        instead[id(own[name])] = tensor
    places = [(slot, slot.tensor) for slot in held if id(slot.tensor) in instead]
    try:
        for slot, tensor in places:
            slot.put(instead[id(tensor)])
        yield
    finally:
        for slot, tensor in places:
            if slot.tensor is not tensor:
                slot.put(tensor)

"""Unrolled steps of D: G looks ahead at how D will answer, and differentiates through it (Metz et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tinygan.engine.tensor import Tensor, gradients
from tinygan.nn.layers import Layer, Sequential


def unrolled(
    D: Sequential, goal: Callable[[], Tensor], parameters: dict[str, Tensor], steps: int, rate: float
) -> dict[str, Tensor]:
    """theta_d after `steps` plain ascents on goal(), as tensors that remember what they depend on. Metz et al. 2017, eq. 10.

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
def at(network: Sequential, parameters: dict[str, Tensor]) -> Iterator[None]:
    """The network evaluated at other parameters, by name; its own are back afterwards."""
    places = [(*_owner(network, name), tensor) for name, tensor in parameters.items()]
    own = [getattr(layer, attribute) for layer, attribute, _ in places]
    try:
        for layer, attribute, tensor in places:
            setattr(layer, attribute, tensor)
        yield
    finally:
        for (layer, attribute, _), tensor in zip(places, own, strict=True):
            setattr(layer, attribute, tensor)


def _owner(layer: Layer, name: str) -> tuple[Layer, str]:
    """The layer whose attribute a parameter is: "3.w" is `w` of layer 3, or of what layer 3 wraps."""
    if isinstance(layer, Sequential):
        position, _, rest = name.partition(".")
        return _owner(layer.layers[int(position)], rest)
    inner: Sequence[str] = [a for a in ("inner", "product") if hasattr(layer, a)]
    return _owner(getattr(layer, inner[0]), name) if inner else (layer, name)

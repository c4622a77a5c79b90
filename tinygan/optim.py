"""Optimisers: SGD, momentum and Adam. The sign of a step is the method's name, so nothing is negated out of sight.

    optimiser.ascend(gradients)     theta <- theta + rate * direction      D, on V(D, G)
    optimiser.descend(gradients)    theta <- theta - rate * direction      G, on V(D, G) or on its own objective

Each optimiser owns one network's parameters as a flat buffer, and updates it by one launch. Its numbers that change (rate, step
count) live in arrays, so that recorded launches read them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygan.engine.tensor import Tensor
from tinygan.nn.flat import Flat


class Optimiser:
    """The base of all optimisers: theta <- theta +- rate * direction. A subclass names its kernel, its states and its constants.

    parameters: those of one network, by name; they become views of one buffer. Raises ValueError for a rate that is not positive.
    """

    kernel: str
    state_names: tuple[str, ...] = ()

    def __init__(self, parameters: dict[str, Tensor], rate: float, **constants: float) -> None:
        if not rate > 0:
            raise ValueError(f"the learning rate is {rate}, it has to be positive")
        self.flat = Flat(parameters)
        self.constants = constants
        backend, theta = self.flat.backend, self.flat.theta
        self._rate = backend.asarray(np.asarray(rate, theta.dtype))
        self.states = {name: self._zeros(() if name == "t" else theta.shape) for name in self.state_names}

    def _zeros(self, shape: tuple[int, ...]) -> Any:
        array = self.flat.backend.empty(shape, self.flat.theta.dtype)
        self.flat.backend.launch("fill", (), out=array, fresh=True, value=0.0)
        return array

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters in the order in which gradients are expected."""
        return list(self.flat.parameters.values())

    @property
    def rate(self) -> float:
        """The learning rate; setting it takes effect in replayed steps too."""
        return float(self._rate)

    @rate.setter
    def rate(self, value: float) -> None:
        self._rate[...] = value

    def ascend(self, gradients: Sequence[Tensor]) -> None:
        """Go up along the gradients, one for each parameter in order: theta <- theta + rate * direction."""
        self._step(gradients, sign=+1)

    def descend(self, gradients: Sequence[Tensor]) -> None:
        """Go down along the gradients, one for each parameter in order: theta <- theta - rate * direction."""
        self._step(gradients, sign=-1)

    def _step(self, gradients: Sequence[Tensor], sign: int) -> None:
        g = self.flat.gather(list(gradients))
        out = (self.flat.theta, *self.states.values())
        self.flat.backend.launch(self.kernel, (g.array, self._rate), out=out, sign=sign, **self.constants)


class SGD(Optimiser):
    """Plain gradient steps: direction = g."""

    kernel = "sgd"

    def __init__(self, parameters: dict[str, Tensor], rate: float) -> None:
        super().__init__(parameters, rate)


class Momentum(Optimiser):
    """Momentum: velocity = mu velocity + g, direction = velocity (Polyak 1964; Sutskever et al. 2013)."""

    kernel = "momentum"
    state_names = ("velocity",)

    def __init__(self, parameters: dict[str, Tensor], rate: float, mu: float = 0.9) -> None:
        super().__init__(parameters, rate, mu=mu)


class Adam(Optimiser):
    """Adam: direction = m_hat / (sqrt(v_hat) + eps), with bias-corrected running moments of g and g^2.

    Kingma and Ba 2015, Algorithm 1.
    """

    kernel = "adam"
    state_names = ("m", "v", "t")

    def __init__(
        self, parameters: dict[str, Tensor], rate: float, beta1: float = 0.5, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, rate, beta1=beta1, beta2=beta2, eps=eps)


def assert_disjoint(d: Optimiser, g: Optimiser) -> None:
    """Check that the two players share no parameter, as each would undo what the other did. Raises ValueError where they do."""
    if {id(t) for t in d.parameters} & {id(t) for t in g.parameters} or np.may_share_memory(
        d.flat.backend.to_numpy(d.flat.theta), g.flat.backend.to_numpy(g.flat.theta)
    ):
        raise ValueError("theta_d and theta_g share parameters; each player has to have its own")

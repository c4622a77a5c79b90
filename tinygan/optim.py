"""Optimisers: SGD, momentum and Adam. The sign of a step is the method's name, so nothing is negated out of sight.

    optimiser.ascend(gradients)     theta <- theta + rate * direction      D, on V(D, G)
    optimiser.descend(gradients)    theta <- theta - rate * direction      G, on V(D, G) or on its own objective

Each optimiser owns one network's parameters as a flat buffer, and updates it by one launch. Its numbers that change (rate, step
count) live in arrays, so that recorded launches read them anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygan.engine.conversion import described, is_number
from tinygan.engine.elsewhere import MODULE, OPTIMISER, check_keywords, missing_attribute, nearest
from tinygan.engine.tensor import Tensor
from tinygan.nn.flat import Flat
from tinygan.nn.tree import Layer

Parameters = Layer | Mapping[str, Tensor] | Iterable[Tensor] | Tensor


class Optimiser:
    """The base of all optimisers: theta <- theta +- rate * direction. A subclass names its kernel, its states and its constants.

    parameters: those of one network; they become views of one buffer. They are G.parameters(), a layer whose parameters count, or a
    list of tensors. Raises ValueError for a rate that is not positive and for tensors that are not to be trained, TypeError.
    """

    kernel: str
    state_names: tuple[str, ...] = ()
    never_negative: tuple[str, ...] = ()  # the states that hold counts, or means of squares
    counts: tuple[str, ...] = ()  # the states that hold whole numbers

    def __new__(cls, *given: Any, **named: Any) -> Any:
        check_keywords(cls, named)
        return super().__new__(cls)

    def __init__(self, parameters: Parameters, rate: float, **constants: float) -> None:
        if not _is_plain_number(rate):
            raise TypeError(f"{type(self).__name__}: the learning rate is {described(rate)}, it has to be a number")
        if not 0 < rate < math.inf:
            raise ValueError(f"the learning rate is {rate}, it has to be positive")
        for name, value in constants.items():
            _check_constant(type(self).__name__, name, value)
        self.flat = Flat(named_parameters(parameters, type(self).__name__))
        self.constants: dict[str, Any] = dict(constants)
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
        if not _is_plain_number(value):
            raise TypeError(f"the learning rate is {described(value)}, it has to be a number")
        if not 0 <= value < math.inf:
            raise ValueError(f"the learning rate is {value}, it has to be at least 0; the sign of a step is its method's")
        self._rate[...] = value

    def ascend(self, gradients: Sequence[Tensor]) -> None:
        """Go up along the gradients, one for each parameter in order: theta <- theta + rate * direction."""
        self._step(gradients, sign=+1)

    def descend(self, gradients: Sequence[Tensor]) -> None:
        """Go down along the gradients, one for each parameter in order: theta <- theta - rate * direction."""
        self._step(gradients, sign=-1)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(missing_attribute(type(self).__name__, name, [*dir(type(self)), *vars(self)], OPTIMISER))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Refuse other libraries' names of settings, and constants: nothing would read what was set there."""
        if name in OPTIMISER:
            raise AttributeError(missing_attribute(type(self).__name__, name, (), OPTIMISER))
        if name in vars(self).get("constants", ()):
            raise AttributeError(f"{name} of {type(self).__name__} stays what it was made with; make a new optimiser for another")
        if name == "parameters" or (name in ("flat", "states", "constants") and name in vars(self)):
            raise AttributeError(f"{name} of {type(self).__name__} are not exchanged; make a new optimiser, and copy values by "
                                 "optimiser.states['m'][...] = values")
        if not (name.startswith("_") or name in vars(self) or hasattr(type(self), name)) and (near := nearest(name, ("rate",))):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; did you mean {near!r}?")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        constants = "".join(f", {name}={value}" for name, value in self.constants.items())
        return f"{type(self).__name__}({self.flat.theta.size:,} parameters, rate={self.rate:g}{constants})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not copied or pickled, as its parameters are views of its buffer, which a copy "
                        "would lose; make a new one of the copied network's parameters and copy `states` into its own")

    def _step(self, gradients: Sequence[Tensor], sign: int) -> None:
        self.flat.rejoin()
        if not isinstance(gradients, Iterable):
            raise TypeError(f"gradients is {described(gradients)}, it has to be a list of tensors, one for each parameter: "
                            "gradients(loss, optimiser.parameters)")
        g = self.flat.gather(gradients if isinstance(gradients, Tensor) else list(gradients))
        out = (self.flat.theta, *self.states.values())
        self.flat.backend.launch(self.kernel, (g.array, self._rate), out=out, sign=sign, **self.constants)


class SGD(Optimiser):
    """Plain gradient steps: direction = g."""

    kernel = "sgd"

    def __init__(self, parameters: Parameters, rate: float) -> None:
        super().__init__(parameters, rate)


class Momentum(Optimiser):
    """Momentum: velocity = mu velocity + g, direction = velocity (Polyak 1964; Sutskever et al. 2013)."""

    kernel = "momentum"
    state_names = ("velocity",)

    def __init__(self, parameters: Parameters, rate: float, mu: float = 0.9) -> None:
        super().__init__(parameters, rate, mu=mu)


class Adam(Optimiser):
    """Adam: direction = m_hat / (sqrt(v_hat) + eps), with bias-corrected running moments of g and g^2.

    Kingma and Ba 2015, Algorithm 1, with their rate of 0.001 unless another is given, and the beta1 of Radford et al. 2016.
    """

    kernel = "adam"
    state_names = ("m", "v", "t")
    never_negative = ("v", "t")
    counts = ("t",)

    def __init__(
        self, parameters: Parameters, rate: float = 0.001, beta1: float = 0.5, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, rate, beta1=beta1, beta2=beta2, eps=eps)


def _is_plain_number(value: Any) -> bool:
    return is_number(value) and not isinstance(value, (bool, np.bool_))


def _check_constant(what: str, name: str, value: Any) -> None:
    """Raise TypeError, ValueError for a constant of an optimiser that no step could be taken with.

    A decay of a running mean lies in [0, 1): at 1 it would forget nothing and learn nothing. A momentum that shrinks may also be
    negative (Gidel et al. 2019).
    """
    if not _is_plain_number(value):
        raise TypeError(f"{what}: {name} is {described(value)}, it has to be a number")
    if name == "eps" and not 0 <= value < math.inf:
        raise ValueError(f"{what}: eps is {value}, it has to be a number of at least 0")
    if name in ("beta1", "beta2") and not 0 <= value < 1:
        raise ValueError(f"{what}: {name} is {value}, it has to be at least 0 and below 1")
    if name == "mu" and not -1 < value < 1:
        raise ValueError(f"{what}: mu is {value}, it has to lie between -1 and 1")


def named_parameters(given: Parameters, what: str) -> dict[str, Tensor]:
    """Return the parameters by name: of a layer, a dictionary, one tensor, or an iterable of tensors or of (name, tensor) pairs.

    Tensors without names are called by their position. Raises TypeError for what is no tensor, ValueError for what does not require
    a gradient and for a tensor given twice.
    """
    if isinstance(given, Layer):
        found = given.parameters()
    elif isinstance(given, Mapping):
        found = dict(given)
    elif isinstance(given, Tensor):
        found = {"0": given}
    elif isinstance(given, Iterable) and not isinstance(given, (str, np.ndarray)):
        found = dict(pair if isinstance(pair, tuple) and len(pair) == 2 else (str(i), pair) for i, pair in enumerate(given))
    else:
        raise TypeError(f"{what}: parameters is {described(given)}, it has to be G.parameters() or a list of tensors")
    for name, tensor in found.items():
        _check_parameter(what, name, tensor)
    if len({id(tensor) for tensor in found.values()}) < len(found):
        raise ValueError(f"{what}: one tensor is twice among the parameters; an optimiser updates each once")
    return found


def _check_parameter(what: str, name: str, tensor: Any) -> None:
    """Refuse what an optimiser cannot train, and say what was probably meant."""
    if isinstance(tensor, str):
        raise TypeError(f"{what}: parameters holds the name {tensor!r}; write G.parameters() or list(G.parameters().values())")
    if isinstance(tensor, (Layer, dict)):
        raise TypeError(f"{what}: parameters holds {described(tensor)}; make one optimiser for each network or group")
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{what}: the parameter {name} is {described(tensor)}, it has to be a Tensor")
    if not tensor.requires_grad:
        raise ValueError(f"{what}: the parameter {name} does not require a gradient; make it by Tensor(values, requires_grad=True)")


def assert_disjoint(d: Optimiser, g: Optimiser) -> None:
    """Check that the two players share no parameter, as each would undo what the other did. Raises ValueError where they do."""
    if {id(t) for t in d.parameters} & {id(t) for t in g.parameters} or np.may_share_memory(
        d.flat.backend.to_numpy(d.flat.theta), g.flat.backend.to_numpy(g.flat.theta)
    ):
        raise ValueError("theta_d and theta_g share parameters; each player has to have its own")


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(missing_attribute(__name__, name, ("Optimiser", "SGD", "Momentum", "Adam", "assert_disjoint"), MODULE))

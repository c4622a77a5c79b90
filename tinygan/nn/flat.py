"""Flat: all parameters of a network in one contiguous buffer, so that one launch updates or saves the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygan_kernels import Backend

from tinygan.engine.conversion import described
from tinygan.engine.replay import is_recorded
from tinygan.engine.tensor import NotReplayable, Tensor, move, wrap


class Flat:
    """All parameters of a network in one contiguous buffer, `theta` (P,): each parameter becomes a view of its part.

    One launch then updates a whole network, and one copy saves it. `gather` lays gradients out in the same order.
    Raises ValueError where there are no parameters, or where they differ in dtype or backend.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        if not parameters:
            raise ValueError("a network without parameters has nothing to train")
        self.parameters = parameters
        first = _check_alike(parameters)
        self.backend: Backend = first.backend
        size = sum(t.size for t in parameters.values())
        self.theta = self.backend.empty((size,), first.dtype)
        self._gradient = self.backend.empty((size,), first.dtype)
        self._parts = self._views(self._gradient)
        self._homes = list(zip(parameters.values(), self._views(self.theta), strict=True))
        for tensor, part in self._homes:
            self.backend.launch("copy", (tensor.array,), out=part, fresh=True)
            move(tensor, part)

    def rejoin(self) -> None:
        """Bring parameters home whose values are elsewhere: after `p.array = values`, or in the buffer of a later optimiser.

        Otherwise a step would move a buffer that no parameter is a view of any more, and the network would stay as it is.
        Raises ValueError where the values have another shape, dtype or backend than the parameter had.
        """
        for tensor, part in self._homes:
            if tensor.array is not part:
                self._bring_home(tensor, part)

    def _bring_home(self, tensor: Tensor, part: Any) -> None:
        array = tensor.array
        if (array.shape, array.dtype) != (part.shape, part.dtype) or tensor.backend is not self.backend:
            name = next(name for name, t in self.parameters.items() if t is tensor)
            raise ValueError(f"the parameter {name} is {array.dtype} of shape {array.shape} now, and was {part.dtype} of shape "
                             f"{part.shape} when its optimiser was made; make a new optimiser")
        if is_recorded(self.backend):
            name = next(name for name, t in self.parameters.items() if t is tensor)
            raise NotReplayable(f"the parameter {name} was given another array after its optimiser was made, and the step that is "
                                f"recorded reads it there; write p.array[...] = values, or call optimiser.flat.rejoin() first")
        part[...] = array  # no launch, which a recording would repeat in every step
        move(tensor, part)
        self.backend.writes.note((part,))

    def _views(self, buffer: Any) -> list[Any]:
        views, start = [], 0
        for tensor in self.parameters.values():
            views.append(buffer[start : start + tensor.size].reshape(tensor.shape))
            start += tensor.size
        return views

    def gather(self, gradients: Sequence[Tensor] | Tensor) -> Tensor:
        """Lay the gradients, one for each parameter in order, end to end.

        Returns one vector (P,), which the next call overwrites. Raises ValueError where a gradient is missing or has another shape.
        """
        if isinstance(gradients, Tensor):
            raise TypeError("gradients is one tensor; pass one gradient for each parameter: gradients(loss, optimiser.parameters)")
        odd = next((g for g in gradients if not (g is None or isinstance(g, Tensor))), None)
        if odd is not None:
            raise TypeError(f"the gradients hold {described(odd)}; pass a list of tensors, one for each parameter in order: "
                            f"gradients(loss, optimiser.parameters)")
        if len(gradients) != len(self._parts):
            raise ValueError(f"{len(gradients)} gradients for {len(self._parts)} parameters; there has to be one for each")
        for (name, tensor), g in zip(self.parameters.items(), gradients, strict=True):
            if g is None:
                raise ValueError(f"the gradient of {name} is None; call backward() on a loss that depends on it first")
            if g.shape != tensor.shape:
                raise ValueError(f"the gradient of {name} has shape {g.shape}, the parameter {tensor.shape}")
        for g, part in zip(gradients, self._parts, strict=True):
            self.backend.launch("copy", (g.array,), out=part, fresh=True)
        self.backend.writes.note((self._gradient,))  # once for all parts
        return wrap(self._gradient, self.backend)


def _check_alike(parameters: dict[str, Tensor]) -> Tensor:
    """Return the first parameter if all others can share a buffer with it. Raises ValueError where one cannot."""
    (first_name, first), *others = parameters.items()
    for name, tensor in others:
        if tensor.dtype != first.dtype:
            raise ValueError(f"{name} is {tensor.dtype}, {first_name} is {first.dtype}; one network has one dtype")
        if tensor.backend is not first.backend:
            raise ValueError(f"{name} lives on another backend than {first_name}; one network lives on one")
    return first

"""What `gradients` is asked to differentiate in: the tensors of `wrt`, by name, and whether output was computed from each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .values import Values

Node = Any  # a Tensor, which is defined a floor above; every one is a Values, and nothing else is


class NoPartInOutput(ValueError):
    """A tensor that output was not computed from. name: how it is called in wrt."""

    def __init__(self, name: Any, message: str) -> None:
        super().__init__(message)
        self.name = name


def listed(wrt: Any) -> tuple[list[Node], Sequence[Any]]:
    """Return the tensors of wrt, and the name of each within it: its key or its number. Raises TypeError, ValueError."""
    if isinstance(wrt, Values):
        wrt = [wrt]
    if isinstance(wrt, (str, bytes, set, frozenset, np.ndarray)) or not isinstance(wrt, Iterable) or hasattr(wrt, "parameters"):
        say = " (a layer's are layer.parameters())" if hasattr(wrt, "parameters") else ""
        raise TypeError(f"gradients: wrt is a {type(wrt).__name__}, it has to be a list of tensors{say}")
    tensors = list(wrt.values()) if isinstance(wrt, Mapping) else list(wrt)
    names: Sequence[Any] = list(wrt) if isinstance(wrt, Mapping) else range(len(tensors))
    for name, w in zip(names, tensors, strict=True):
        if not isinstance(w, Values):
            raise TypeError(f"gradients: wrt[{name!r}] is a {type(w).__name__}, it has to be a Tensor")
        if not w.tracked:
            raise ValueError(f"gradients: {_described(name, w)} does not require a gradient, so no way back to it was kept; "
                             "make it with requires_grad=True before output is computed from it")
    return tensors, names


def check_wrt(wrt: list[Node], names: Sequence[Any], order: list[Node], unused: str) -> None:
    """Raise ValueError for a w that output was not computed from, or that came to require a gradient after it had been used.

    order: all tensors with a gradient that output was computed from. unused: "error", or "zeros" where the first is no fault.
    """
    used = {id(tensor) for tensor in order}
    oldest = min((tensor.stamp for tensor in order if tensor.parents), default=0)
    for name, w in zip(names, wrt, strict=True):
        if unused == "error" and id(w) not in used:
            what = "it was not computed from this tensor" if order else "it was computed from no tensor that requires a gradient"
            raise NoPartInOutput(name, f"gradients: {_described(name, w)} has no part in output: {what}, or the way was cut by "
                                       "stop(), numpy(), float(), np.array() or the like; pass unused='zeros' if its gradient is "
                                       "to be zeros")
        if not w.parents and w.stamp > oldest:
            _check_flag(name, w, order)


def _check_flag(name: Any, w: Node, order: list[Node]) -> None:
    """Raise ValueError where a leaf came to require a gradient after output had been computed from it: only in part would count."""
    for tensor in order:
        if tensor.stamp < w.stamp and any(parent is w for parent in tensor.parents):
            raise ValueError(f"gradients: {_described(name, w)} was made to require a gradient after output had been computed "
                             "from it; compute output again")


def _described(name: Any, w: Node) -> str:
    return f"wrt[{name!r}], {w.dtype} of shape {w.shape},"

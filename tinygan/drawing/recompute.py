"""Run the op that made a tensor again: to see which kernels it launches, and to compare its VJP with numeric derivatives.

A tensor remembers its parents and VJPs, not the op's other arguments. They come from the trace where there is one; else from what
the VJPs enclose and the op's defaults, which may be wrong. So such a guess counts only if it gives the tensor's values again.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tinygan_kernels import Launch

from tinygan.engine import ops
from tinygan.engine.gradcheck import GradcheckReport, gradcheck
from tinygan.engine.tensor import Tensor, as_it_is, op_name, stop

from .trace import Call

Op = Callable[..., Tensor]  # the parents in their order -> the op's result


class CannotRecompute(ValueError):
    """An op's other arguments are not known, so it cannot be run again from the graph alone."""


def vjp_functions(tensor: Tensor) -> list[Callable[..., Any]]:
    """Return the VJPs of a tensor, each once."""
    each = [tensor.vjps] if callable(tensor.vjps) else [vjp for vjp in tensor.vjps if vjp]
    return list({id(vjp): vjp for vjp in each}.values())


def function_of(tensor: Tensor, call: Call | None) -> Callable[..., Any] | None:
    """Return the function of the op that made a tensor; None for a leaf and for an op that cannot be found by its name."""
    if call is not None and call.function is not None:
        return call.function
    for vjp in vjp_functions(tensor):
        *around, _ = getattr(vjp, "__qualname__", "").split(".<locals>.")
        found = getattr(sys.modules.get(vjp.__module__), around[0], None) if len(around) == 1 else None
        if inspect.isfunction(found):
            return getattr(found, "__wrapped__", found)
    return None


def name_of(tensor: Tensor, call: Call | None) -> str:
    """Return the name of the op that made a tensor."""
    name = call.function.__name__ if call is not None and call.function is not None else op_name(tensor.vjps)
    names = {"as_it_is": "identity", "_function_of": "identity", "_apart": "copy", "contiguous": "copy", "derivative": "identity"}
    return names.get(name, name.lstrip("_"))


def op_of(tensor: Tensor, call: Call | None) -> Op:
    """Return the op that made a tensor as a function of the tensor's parents alone. Raises CannotRecompute."""
    function = function_of(tensor, call)
    if function is None or any(vjp is as_it_is for vjp in vjp_functions(tensor)):
        if vjp_functions(tensor) == [as_it_is]:
            return lambda *parents: parents[0] * 1.0
        raise CannotRecompute(f"the function of the op {name_of(tensor, call)} is not found by its name")
    if function.__name__ == "_bce_slope":  # it is handed what the forward pass has computed: here from its formula
        return lambda s, t: (ops.sigmoid(s) - t) * (1.0 / s.size)
    if function.__name__ == "contiguous":
        return lambda x: x * 1.0
    arguments = dict(call.arguments) if call is not None else _enclosed(function, tensor)
    parents = tensor.parents

    def run(*given: Tensor) -> Tensor:
        places = {id(parent): new for parent, new in zip(parents, given, strict=True)}
        return _first(function(**{name: _exchanged(value, places, given[0]) for name, value in arguments.items()}))

    return run


def _enclosed(function: Callable[..., Any], tensor: Tensor) -> dict[str, Any]:
    """Return arguments for an op: its parents in order, then what the VJPs enclose under an argument's name, and defaults."""
    held: dict[str, Any] = {}
    for vjp in vjp_functions(tensor):
        held |= inspect.getclosurevars(vjp).nonlocals if inspect.isfunction(vjp) else {}
    held |= {"axis": held["axes"]} if "axes" in held else {}
    arguments: dict[str, Any] = {}
    waiting = list(tensor.parents)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = str(parameter.annotation)
        if "Iterable[Tensor]" in kind:
            arguments[name], waiting = list(waiting), []
        elif waiting and (kind in ("Tensor", "Any", "Tensor | Number") and name not in held):
            arguments[name] = waiting.pop(0)
        elif name in held:
            arguments[name] = held[name]
            waiting = [parent for parent in waiting if parent is not held[name]]
        elif parameter.default is parameter.empty:
            if name != "shape":
                raise CannotRecompute(f"its argument {name} is not known")
            arguments[name] = tensor.shape
    return arguments


def _exchanged(value: Any, places: Mapping[int, Tensor], like: Tensor) -> Any:
    """Return an argument with new tensors for the op's parents, in lists too, and constants in the dtype of `like`."""
    if isinstance(value, Tensor):
        if id(value) in places:
            return places[id(value)]
        return value if value.dtype == like.dtype else Tensor(value.numpy(), like.backend, dtype=like.dtype)
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return [_exchanged(part, places, like) for part in value]
    return value


def _first(result: Any) -> Tensor:
    return result[0] if isinstance(result, tuple) else result  # batch_norm also gives its statistics


def launches_of(tensor: Tensor, call: Call | None) -> list[Launch]:
    """Run the op of a tensor again, on its parents' values, and return what it launches. Raises CannotRecompute."""
    op, seen = op_of(tensor, call), []
    if name_of(tensor, call) == "identity":
        return []

    def note(launch: Launch, proceed: Callable[[], None]) -> None:
        seen.append(launch)
        proceed()

    with tensor.backend.watch(note):
        _checked(op, tensor)
    return seen


def _checked(op: Op, tensor: Tensor) -> None:
    """Run an op on the tensor's parents. Raises CannotRecompute where the result is another one than the tensor."""
    try:
        again = op(*map(stop, tensor.parents))
    except Exception as error:  # an op may refuse wrong arguments in any way, and they were a guess
        raise CannotRecompute(f"its other arguments are not known ({error})") from error
    if again.shape != tensor.shape or not np.array_equal(again.numpy(), tensor.numpy(), equal_nan=True):
        raise CannotRecompute("its other arguments are not known, or an array was changed since")


def check(tensor: Tensor, call: Call | None, order: int, name: str) -> GradcheckReport:
    """Compare the VJP of a tensor's op with numeric derivatives, at the values of its parents, in float64.

    Only parents that a gradient flows to are moved. Raises CannotRecompute; KinkError where the op has a kink at these values.
    """
    op = op_of(tensor, call)
    if call is None:
        _checked(op, tensor)
    exact = [Tensor(parent.numpy(), parent.backend, dtype=np.float64) for parent in tensor.parents]
    moved = [i for i, parent in enumerate(tensor.parents) if parent.tracked and (callable(tensor.vjps) or tensor.vjps[i])]

    def f(*points: Tensor) -> Tensor:
        given: list[Tensor] = list(exact)
        for i, point in zip(moved, points, strict=True):
            given[i] = point
        return op(*given)

    if not moved:
        raise CannotRecompute("no gradient flows to any of its parents, so there is nothing to compare")
    return gradcheck(f, *(exact[i] for i in moved), order=order, name=name)


def defined_at(function: Callable[..., Any]) -> tuple[str, int]:
    """Return the file and the line where a function is defined."""
    code = inspect.unwrap(function).__code__
    return code.co_filename, code.co_firstlineno


def formula_of(function: Callable[..., Any]) -> str:
    """Return what the docstring of an op states first: its formula, and that of its derivative where it stands beside it."""
    lines = (inspect.getdoc(function) or "").splitlines()
    taken = lines[:1] + ([lines[1]] if len(lines) > 1 and lines[1].startswith("given") else [])
    return "   ".join(" ".join(line.split("    ")).strip() for line in taken)


def kernels_in(launches: Sequence[Launch]) -> list[str]:
    """Return a line for each launch: the kernel, and the shapes that it took and gave."""
    return [f"{launch.kernel.name} {' '.join(str(a.shape) for a in launch.inputs)} -> "
            f"{' '.join(str(a.shape) for a in launch.outputs)}" for launch in launches]

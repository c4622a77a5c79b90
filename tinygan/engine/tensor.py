"""Tensor and the reverse sweep. This file knows no op: an op is whatever called `record`.

A Tensor is an array, the backend that holds it, and, if it was computed from tensors that want gradients, its parents and its
VJP (vector-Jacobian product). A VJP is written in ops: given the cotangent g = dL/dy it computes dL/dx for a parent x with the
very functions that users call. So the sweep can leave a graph behind, and a gradient can be differentiated again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from tinygan_kernels import Backend
from tinygan_kernels.writes import owner_of

from .conversion import backend_of, described, real_array, real_dtype
from .elsewhere import answers_keywords, check_keywords
from .operations import Operations
from .settings import settable
from .values import Values
from .wrt import check_wrt, listed

# One VJP for each parent, called as vjp(g, y, *parents) and giving the parent's cotangent; None where it is zero everywhere.
# Or one function for all of them, called as vjp(needed, g, y, *parents) with a bool for each parent, giving a sequence.
Vjps = Sequence[Callable[..., "Tensor"] | None] | Callable[..., Sequence["Tensor | None"]]


class BackendMismatch(ValueError):
    """Two tensors of different backends in one computation."""


class ChangedArray(RuntimeError):
    """An array was changed between the forward pass, which computed with it, and the sweep, which needs it as it was."""


class NotReplayable(RuntimeError):
    """A step that is recorded for replay does what a replay, which runs no Python, would not do again."""


class ValuesNotThere(NotReplayable):
    """Code asked for the values of a tensor while a step is recorded for replay: its launches are noted and have not run yet."""


# Each is called for every op that is recorded, guard(array, parents, vjps), and returns the VJPs to keep. See changes.py.
guards: list[Callable[[Any, tuple[Tensor, ...], Vjps], Vjps]] = []


class _Fields(Operations, Values):
    """The fields of a Tensor, without the notes that a Tensor takes where one of them is set."""

    # stamp: the number of the latest write (see tinygan_kernels.writes) when an op's result was recorded; of a leaf, the number of
    # the event by which it came to require a gradient
    __slots__ = ("__weakref__", "array", "backend", "grad", "parents", "requires_grad", "stamp", "vjps")

    grad: Tensor | None
    parents: tuple[Tensor, ...]
    stamp: int
    vjps: Vjps


class Tensor(_Fields):
    """An array on a backend, and how it was computed.

    data: an array, nested lists or a number, of which the tensor has a copy. float32 and float64 arrays keep their dtype;
    everything else becomes float32 (see conversion.py), or the `dtype` that is given. backend: one from
    `load`, or the name of one; without it the tensor lives on `cpu`. requires_grad: `backward` writes `.grad` here.
    A constant Tensor as data is taken with its values and, unless another is given, its backend; a name always stands for the same
    backend, while each `load` makes another. Raises TypeError, ValueError.

    array: the values in the backend's memory. `x.array = values` and `x.array += 1` are noted, and a sweep through what was
    computed from x before raises ChangedArray. `x.array[0] = 1` goes past the tensor: only `detect_changes` finds it.
    """

    __slots__ = ()

    def __new__(cls, *given: Any, **named: Any) -> Any:
        if named:
            check_keywords(cls, named)
        return super().__new__(cls)

    def __init__(
        self, data: Any, backend: Backend | str | None = None, requires_grad: bool = False, *, dtype: Any = None
    ) -> None:
        if requires_grad is not True and requires_grad is not False:
            raise TypeError(f"Tensor: requires_grad is {described(requires_grad)}, it has to be True or False")
        if isinstance(data, Tensor):
            data, backend = _constant_values(data, backend)
        backend = backend_of(backend)
        array = backend.xp.array(real_array(data, "Tensor: data", dtype if dtype is None else real_dtype(dtype, "dtype")))
        fields = {"array": array, "backend": backend, "requires_grad": requires_grad, "grad": None, "parents": (), "vjps": ()}
        for name, value in (fields | {"stamp": backend.writes.now}).items():
            super().__setattr__(name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field. A new array is noted as a write; what is to require a gradient does so from now on.

        Raises TypeError, ValueError for what the field cannot be, AttributeError for what is no field or stays as it was made.
        """
        value = settable(self, name, value)
        if name == "requires_grad" and value and not (self.requires_grad or self.parents):
            super().__setattr__("stamp", self.backend.writes.tick())
        super().__setattr__(name, value)
        if name == "array":
            self.backend.writes.note((value,))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def tracked(self) -> bool:
        """True if a gradient can flow through here: to a leaf that requires one, or to what was computed from such a leaf."""
        return self.requires_grad or bool(self.parents)

    @answers_keywords
    def numpy(self) -> np.ndarray:
        """Return the values as a NumPy array. On the CPU it shares this tensor's memory, and is read-only: change a copy of it."""
        values = self.backend.to_numpy(self.array).view()
        values.flags.writeable = False
        return values

    def item(self) -> float:
        """Return the single number of a tensor of one element. Raises ValueError for any other tensor."""
        if self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} is not one number; take sum() or mean() first")
        return float(self.backend.to_numpy(self.array).reshape(()))

    def __float__(self) -> float:
        if self.size != 1:  # TypeError, as for NumPy's arrays: Matplotlib asks for it, to tell a vector from a number
            raise TypeError(f"a tensor of shape {self.shape} is not one number; take sum() or mean() first")
        return self.item()

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), precision=4, threshold=20, prefix="Tensor(")
        return f"Tensor({values}, {self.dtype}, {self.backend.name}{', requires_grad' if self.requires_grad else ''})"

    @answers_keywords
    def backward(self, cotangent: Tensor | np.ndarray | None = None) -> None:
        """Write dL/dleaf into `.grad` of every leaf that requires a gradient and that this tensor L was computed from.

        `.grad` is replaced, never added to: a second call, from here or from another tensor, forgets the first. To add
        gradients up, add the tensors up. Each `.grad` has an array of its own. L has to be a single number unless its cotangent is
        given. Raises ValueError, and ChangedArray where an array was changed since L was computed from it.
        """
        leaves = [t for t in topological_order(self) if t.requires_grad]
        if not leaves:
            raise ValueError("nothing to differentiate: no leaf with requires_grad=True leads to this tensor")
        for leaf, g in zip(leaves, gradients(self, leaves, cotangent), strict=True):
            leaf.grad = g


def _constant_values(x: Tensor, backend: Backend | str | None) -> tuple[Any, Backend | str]:
    """Return the values of a tensor that becomes the data of another one, and the backend of that."""
    if x.tracked:
        raise TypeError("Tensor: data is a tensor that gradients flow through, and a new one would be cut from them; use it as it "
                        "is, or stop(x) for its values as a constant")
    return (x.array, x.backend) if backend is None or backend_of(backend) is x.backend else (x.numpy(), backend)


_new = _Fields.__new__


def stop(x: Tensor) -> Tensor:
    """Return the same values, held constant: no gradient flows through. D's step holds its fakes so, as it must not reach G.

    Raises TypeError for what is no tensor.
    """
    try:
        return wrap(x.array, x.backend)
    except AttributeError:
        raise TypeError(f"stop: x is {described(x)}, it has to be a Tensor; each of a list: [stop(t) for t in x]") from None


def wrap(array: Any, backend: Backend) -> Tensor:
    """Return an array that is on the backend already as a constant Tensor, which shares its memory."""
    tensor: Any = _new(_Fields)
    tensor.array, tensor.backend, tensor.requires_grad, tensor.grad = array, backend, False, None
    tensor.parents, tensor.vjps, tensor.stamp = (), (), 0
    tensor.__class__ = Tensor  # only now, as a Tensor takes notes of what is set
    return tensor


def record(array: Any, parents: tuple[Tensor, ...], vjps: Vjps) -> Tensor:
    """Return the result of an op as a Tensor, which every op ends with; if a parent is tracked, it keeps the way back.

    vjps: one for each parent, or one function for all (see Vjps).
    """
    for parent in parents:
        if parent.requires_grad or parent.parents:
            break
    else:
        return wrap(array, parents[0].backend)
    for guard in guards:
        vjps = guard(array, parents, vjps)
    result: Any = _new(_Fields)
    result.array, result.backend, result.requires_grad, result.grad = array, parents[0].backend, False, None
    result.parents, result.vjps, result.stamp = parents, vjps, result.backend.writes.now
    result.__class__ = Tensor
    return result


def move(tensor: Tensor, array: Any) -> None:
    """Let a tensor hold its values in another array, where they are already. What was computed from it stays valid."""
    object.__setattr__(tensor, "array", array)


@answers_keywords
def gradients(
    output: Tensor, wrt: Tensor | Iterable[Tensor] | Mapping[Any, Tensor], cotangent: Tensor | np.ndarray | None = None,
    create_graph: bool = False, unused: Literal["error", "zeros"] = "error",
) -> list[Tensor]:
    """Compute d output / d w for every w in wrt, weighted by the cotangent (1 if output is a single number).

    wrt: tensors in a list or another iterable, a dictionary of them (its values count), or a single one; the gradients are a list
    in the same order, each in an array of its own. Only what lies between wrt and output is computed, so parameters that are not
    asked for cost nothing. create_graph: the gradients are tensors that can be differentiated again. unused: what a w gets that
    output was not computed from, an error or zeros.

    Raises ValueError for a w that does not require a gradient or, unless unused is "zeros", has no part in output; for an output of
    several numbers without a cotangent, and a cotangent that does not fit. Raises ChangedArray where an array was changed in place
    since output was computed from it. Raises TypeError for what is no tensor.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"gradients: output is a {type(output).__name__}, it has to be a Tensor that was computed from wrt"
                        f"{_how_it_became(output)}")
    if unused not in ("error", "zeros"):
        raise ValueError(f"gradients: unused is {unused!r}, it has to be 'error' or 'zeros'")
    if cotangent is None and output.size != 1:
        raise ValueError(f"output has shape {output.shape}; pass the cotangent, or reduce it to one number with sum() or mean()")
    wrt, names = listed(wrt)
    seed = filled(output, 1.0) if cotangent is None else _checked_cotangent(cotangent, output)
    order = topological_order(output)
    needed = _leading_to(wrt, order)
    check_wrt(wrt, names, order, unused)
    cotangents = _sweep(order, needed, seed if create_graph else stop(seed), create_graph)
    found = _apart([cotangents[id(w)] if id(w) in cotangents else filled(w, 0.0) for w in wrt], seed)
    return [_function_of(w, g) for g, w in zip(found, wrt, strict=True)] if create_graph else found


def _how_it_became(output: Any) -> str:
    """Say of what is no tensor how it was probably made, and what to write."""
    if isinstance(output, (list, tuple)):
        return "; add several outputs up, a + b, as their gradients would be"
    if isinstance(output, (float, np.generic, np.ndarray)):
        return "; float(t), t.numpy() and NumPy's functions of a list, such as np.exp([a, b]), give values: join by ops.stack"
    return ""


def _function_of(w: Tensor, g: Tensor) -> Tensor:
    """Return g as a function of w, if only a constant one: differentiated again in w it is 0 there, and no error."""
    declared = record(g.array, (g, w), (as_it_is, None))
    declared.stamp = sys.maxsize  # the VJP reads no values, so whatever is written to them later
    return declared


def as_it_is(g: Tensor, *_: Tensor) -> Tensor:
    """Return the cotangent itself: the VJP of what hands its input on."""
    return g


def filled(like: Tensor, value: float) -> Tensor:
    """Return a constant tensor of the shape, dtype and backend of `like`, every element of which is `value`."""
    array = like.backend.empty(like.shape, like.dtype)
    like.backend.launch("fill", (), out=array, fresh=True, value=value)
    return wrap(array, like.backend)


def _checked_cotangent(u: Any, output: Tensor) -> Tensor:
    """Return the cotangent as a tensor like output. Raises TypeError, ValueError or BackendMismatch where it cannot be one."""
    if not isinstance(u, Tensor):
        u = wrap(output.backend.xp.array(real_array(u, "the cotangent", output.dtype)), output.backend)
    if (u.shape, u.dtype) != (output.shape, output.dtype):
        sides = f"the cotangent is {u.dtype} of shape {u.shape}, output is {output.dtype} of shape {output.shape}"
        raise ValueError(f"{sides}; they have to be the same")
    if u.backend is not output.backend:
        raise BackendMismatch(f"cotangent and output live on different backends, {u.backend!r} and {output.backend!r}")
    return u


def _apart(found: list[Tensor], seed: Tensor) -> list[Tensor]:
    """Return the gradients, each in memory of its own that can be written: where one shares the seed's or another's, a copy."""
    taken = {id(owner_of(seed.array))}
    for i, g in enumerate(found):
        owner = id(owner_of(g.array))
        if owner in taken or not getattr(g.array.flags, "writeable", True) or 0 in g.array.strides:
            found[i] = g = record(g.backend.launch("copy", (g.array,)), (g,), (as_it_is,))
            owner = id(g.array)
        taken.add(owner)
    return found


# ---- the sweep ----------------------------------------------------------------------------------------------------------------


def topological_order(output: Tensor) -> list[Tensor]:
    """Return every tracked tensor that output depends on, parents before children. A loop with a stack, as graphs may be deep."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(output, False)]
    while stack:
        tensor, parents_done = stack.pop()
        if parents_done:
            order.append(tensor)
        elif id(tensor) not in seen and tensor.tracked:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((parent, False) for parent in tensor.parents)
    return order


def _leading_to(wrt: Sequence[Tensor], order: list[Tensor]) -> set[int]:
    """Return the ids of the tensors in `order` that are in wrt or were computed from one that is."""
    needed = {id(w) for w in wrt}
    for tensor in order:
        if any(id(parent) in needed for parent in tensor.parents):
            needed.add(id(tensor))
    return needed


def _sweep(order: list[Tensor], needed: set[int], seed: Tensor, create_graph: bool) -> dict[int, Tensor]:
    """Hand every tensor's cotangent through its VJPs, children before parents, adding up where paths meet. Returns them by id."""
    cotangents = {id(order[-1]): seed} if order and id(order[-1]) in needed else {}
    for tensor in reversed(order):
        # every child has been handled, so this cotangent is complete
        g = cotangents.get(id(tensor))
        if g is None or not tensor.parents:
            continue
        for parent, cotangent in pull_back(tensor, g, needed, create_graph):
            held = cotangents.get(id(parent))
            cotangents[id(parent)] = cotangent if held is None else held + cotangent
    return cotangents


def pull_back(tensor: Tensor, g: Tensor, needed: set[int], create_graph: bool) -> list[tuple[Tensor, Tensor]]:
    """Return (parent, its share of the cotangent) for each needed parent of one tensor.

    Without create_graph the VJP sees the parents as constants, so what it computes leaves no graph behind.
    """
    parents = tensor.parents
    wanted = [id(parent) in needed for parent in parents]
    if not any(wanted):
        return []
    if tensor.stamp < tensor.backend.writes.latest:
        _check_unchanged(tensor)
    y, seen = (tensor, parents) if create_graph else (stop(tensor), [stop(parent) for parent in parents])
    if callable(tensor.vjps):
        shares = tensor.vjps(wanted, g, y, *seen)
    else:
        shares = [vjp(g, y, *seen) if want and vjp else None for want, vjp in zip(wanted, tensor.vjps, strict=True)]
    return [(parent, share) for parent, want, share in zip(parents, wanted, shares, strict=True) if want and share is not None]


def _check_unchanged(result: Tensor) -> None:
    """Raise ChangedArray where what an op computed with, or its result, was written to since."""
    places: list[tuple[int | str, Tensor]] = [*enumerate(result.parents), ("its result", result)]
    for place, tensor in places:
        if tensor.backend.writes.since(tensor.array, result.stamp):
            raise changed(result.vjps, place, tensor.array)


def op_name(vjps: Vjps) -> str:
    """Return the name of the function in which an op's VJPs stand: the op's."""
    vjp = vjps if callable(vjps) else next((vjp for vjp in vjps if vjp), None)
    *around, name = getattr(vjp, "__qualname__", "an op").split(".<locals>.")
    return (around[-1] if around else name).split(".")[-1]


def changed(vjps: Vjps, place: int | str, array: Any) -> ChangedArray:
    """Return the error that says which array of which op was changed. place: the number of an input, or "its result"."""
    what = f"input {place}" if isinstance(place, int) else place
    return ChangedArray(f"{op_name(vjps)}: {what}, {array.dtype} of shape {array.shape}, was changed in place after the op ran, "
                        "and its derivative needs the values as they were; compute output again after it, or change a copy")

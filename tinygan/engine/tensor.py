"""Tensor and the reverse sweep. This file knows no op: an op is whatever called `record`.

A Tensor is an array, the backend that holds it, and, if it was computed from tensors that want gradients, its parents and its
VJP (vector-Jacobian product). A VJP is written in ops: given the cotangent g = dL/dy it computes dL/dx for a parent x with the
very functions that users call. So the sweep can leave a graph behind, and a gradient can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from .conversion import backend_of, described, real_array, real_dtype
from .elsewhere import unknown_keyword
from .values import Values

# One VJP for each parent, called as vjp(g, y, *parents) and giving the parent's cotangent; None where it is zero everywhere.
# Or one function for all of them, called as vjp(needed, g, y, *parents) with a bool for each parent, giving a sequence.
Vjps = Sequence[Callable[..., "Tensor"] | None] | Callable[..., Sequence["Tensor | None"]]


class BackendMismatch(ValueError):
    """Two tensors of different backends in one computation."""


class Tensor(Values):
    """An array on a backend, and how it was computed.

    data: an array, nested lists or a number. float32 and float64 arrays keep their dtype and are not copied where the backend
    can use them as they are; everything else becomes float32 (see conversion.py), or the `dtype` that is given. backend: one from
    `load`, or the name of one; without it the tensor lives on `cpu`. requires_grad: `backward` writes `.grad` here.
    A constant Tensor as data is taken with its values and, unless another is given, its backend; a name always stands for the same
    backend, while each `load` makes another. Raises TypeError, ValueError.
    """

    __slots__ = ("__weakref__", "array", "backend", "grad", "parents", "requires_grad", "vjps")

    def __init__(
        self, data: Any, backend: Backend | str | None = None, requires_grad: bool = False, *, dtype: Any = None
    ) -> None:
        if requires_grad is not True and requires_grad is not False:
            raise TypeError(f"Tensor: requires_grad is {described(requires_grad)}, it has to be True or False")
        if isinstance(data, Tensor):
            data, backend = _constant_values(data, backend)
        self.backend = backend_of(backend)
        self.array = self.backend.asarray(real_array(data, "Tensor: data", dtype if dtype is None else real_dtype(dtype, "dtype")))
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.parents: tuple[Tensor, ...] = ()
        self.vjps: Vjps = ()

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

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array; on the CPU it shares this tensor's memory."""
        return self.backend.to_numpy(self.array)

    def __float__(self) -> float:
        if self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} is not one number; take sum() or mean() first")
        return float(self.numpy().reshape(()))

    item = __float__

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), precision=4, threshold=20, prefix="Tensor(")
        return f"Tensor({values}, {self.dtype}, {self.backend.name}{', requires_grad' if self.requires_grad else ''})"

    def backward(self, cotangent: Tensor | None = None, **unknown: Any) -> None:
        """Write dL/dleaf into `.grad` of every leaf that requires a gradient and that this tensor L was computed from.

        `.grad` is replaced, never added to: a second call, from here or from another tensor, forgets the first. To add
        gradients up, add the tensors up. L has to be a single number unless its cotangent is given. Raises ValueError.
        """
        if unknown:
            raise TypeError(unknown_keyword("backward", next(iter(unknown)), ("cotangent",)))
        leaves = [t for t in _topological_order(self) if t.requires_grad]
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


def stop(x: Tensor) -> Tensor:
    """Return the same values, held constant: no gradient flows through. D's step holds its fakes so, as it must not reach G."""
    return wrap(x.array, x.backend)


def wrap(array: Any, backend: Backend) -> Tensor:
    """Return an array that is on the backend already as a constant Tensor."""
    tensor = Tensor.__new__(Tensor)
    tensor.array, tensor.backend, tensor.requires_grad, tensor.grad = array, backend, False, None
    tensor.parents, tensor.vjps = (), ()
    return tensor


def record(array: Any, parents: tuple[Tensor, ...], vjps: Vjps) -> Tensor:
    """Return the result of an op as a Tensor, which every op ends with; if a parent is tracked, it keeps the way back.

    vjps: one for each parent, or one function for all (see Vjps).
    """
    result = wrap(array, parents[0].backend)
    for parent in parents:
        if parent.requires_grad or parent.parents:
            result.parents, result.vjps = parents, vjps
            break
    return result


def gradients(
    output: Tensor, wrt: Sequence[Tensor], cotangent: Tensor | None = None, create_graph: bool = False
) -> list[Tensor]:
    """Compute d output / d w for every w in wrt, weighted by the cotangent (1 if output is a single number).

    Only what lies between wrt and output is computed, so parameters that are not asked for cost nothing. A w that output
    does not depend on gets zeros. create_graph: the gradients are tensors that can be differentiated again. Raises ValueError for
    an output of several numbers without a cotangent, and for a cotangent that does not fit.
    """
    if cotangent is None and output.size != 1:
        raise ValueError(f"output has shape {output.shape}; pass the cotangent, or reduce it to one number with sum() or mean()")
    if cotangent is not None:
        _check_cotangent(cotangent, output)
    seed = filled(output, 1.0) if cotangent is None else cotangent
    order = _topological_order(output)
    needed = _leading_to(wrt, order)
    cotangents = _sweep(order, needed, seed if create_graph else stop(seed), create_graph)
    return [cotangents[id(w)] if id(w) in cotangents else filled(w, 0.0) for w in wrt]


def _check_cotangent(u: Tensor, output: Tensor) -> None:
    if (u.shape, u.dtype) != (output.shape, output.dtype):
        sides = f"the cotangent is {u.dtype} of shape {u.shape}, output is {output.dtype} of shape {output.shape}"
        raise ValueError(f"{sides}; they have to be the same")
    if u.backend is not output.backend:
        raise BackendMismatch(f"cotangent and output live on different backends, {u.backend!r} and {output.backend!r}")


def grad(f: Callable[..., Tensor], argnum: int = 0) -> Callable[..., Tensor]:
    """Return the function that computes df/d(argument `argnum`), for an f that returns a single number. `grad(grad(f))` works."""

    def derivative(*args: Any) -> Tensor:
        x = _argument(args, argnum)
        # a node of its own, so that an outer grad sees x and an inner one does not see past it
        own = record(x.array, (x,), (lambda g, y, x: g,)) if x.tracked else wrap(x.array, x.backend)
        own.requires_grad = not x.tracked
        output = f(*args[:argnum], own, *args[argnum + 1 :])
        return gradients(output, [own], create_graph=True)[0]

    return derivative


def _argument(args: Sequence[Any], argnum: int) -> Tensor:
    """Return the argument that f is differentiated in; a number or an array becomes a tensor like the first one beside it."""
    if not -len(args) <= argnum < len(args):
        raise TypeError(f"grad: there is no argument {argnum} among the {len(args)} that f was called with")
    x, others = args[argnum], [a for a in args if isinstance(a, Tensor)]
    if isinstance(x, Tensor):
        return x
    return Tensor(x, others[0].backend, dtype=others[0].dtype) if others else Tensor(x)


def filled(like: Tensor, value: float) -> Tensor:
    """Return a constant tensor of the shape, dtype and backend of `like`, every element of which is `value`."""
    array = like.backend.empty(like.shape, like.dtype)
    like.backend.launch("fill", (), out=array, value=value)
    return wrap(array, like.backend)


# ---- the sweep ----------------------------------------------------------------------------------------------------------------


def _topological_order(output: Tensor) -> list[Tensor]:
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
        for parent, cotangent in _pull_back(tensor, g, needed, create_graph):
            held = cotangents.get(id(parent))
            cotangents[id(parent)] = cotangent if held is None else held + cotangent
    return cotangents


def _pull_back(tensor: Tensor, g: Tensor, needed: set[int], create_graph: bool) -> list[tuple[Tensor, Tensor]]:
    """Return (parent, its share of the cotangent) for each needed parent of one tensor.

    Without create_graph the VJP sees the parents as constants, so what it computes leaves no graph behind.
    """
    parents = tensor.parents
    wanted = [id(parent) in needed for parent in parents]
    if not any(wanted):
        return []
    y, seen = (tensor, parents) if create_graph else (stop(tensor), [stop(parent) for parent in parents])
    if callable(tensor.vjps):
        shares = tensor.vjps(wanted, g, y, *seen)
    else:
        shares = [vjp(g, y, *seen) if want and vjp else None for want, vjp in zip(wanted, tensor.vjps, strict=True)]
    return [(parent, share) for parent, want, share in zip(parents, wanted, shares, strict=True) if want and share is not None]

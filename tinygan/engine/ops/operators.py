"""The operators and methods of Tensor: x + y, x @ w, x[0], x.sum() are ops under another spelling, bound when this is imported."""

from __future__ import annotations

from typing import Any

from tinygan.engine.tensor import Tensor

from . import composed, elementwise, indexing, reductions
from .door import as_tensor
from .elementwise import add, div, mul, neg, power, sub
from .front import front
from .indexing import index
from .products import matmul
from .shapes import reshape, transpose

OPERATORS = {
    "__add__": add, "__radd__": lambda a, b: add(b, a), "__mul__": mul, "__rmul__": lambda a, b: mul(b, a),
    "__sub__": sub, "__rsub__": lambda a, b: sub(b, a), "__truediv__": div, "__rtruediv__": lambda a, b: div(b, a),
    "__pow__": power, "__rpow__": lambda a, b: power(as_tensor(b, a), a), "__neg__": neg, "__abs__": elementwise.abs,
    "__pos__": lambda x: x,
    "__matmul__": lambda a, b: matmul(a, as_tensor(b, a)), "__rmatmul__": lambda a, b: matmul(as_tensor(b, a), a),
    "__getitem__": index, "T": property(transpose),
}
METHODS = tuple(getattr(module, name) for module, names in {
    elementwise: "exp log sqrt square abs sin cos tanh sigmoid softplus log_sigmoid relu leaky_relu clip",
    reductions: "sum mean var max", composed: "min prod norm softmax log_softmax logsumexp", indexing: "take",
}.items() for name in names.split())


def _reshape(x: Tensor, *sides: Any, shape: Any = None) -> Tensor:
    """Return x in another shape: x.reshape((3, 4)) or x.reshape(3, 4)."""
    return reshape(x, shape if shape is not None else sides[0] if len(sides) == 1 else sides)


def _transpose(x: Tensor, *order: Any, axes: Any = None) -> Tensor:
    """Return x with its axes in another order: x.transpose((0, 2, 1)) or x.transpose(0, 2, 1); reversed without one."""
    return transpose(x, axes if axes is not None or not order else order[0] if len(order) == 1 else order)


for _name, _function in {**OPERATORS, "reshape": _reshape, "transpose": _transpose}.items():
    setattr(Tensor, _name, _function)
for _function in METHODS:
    setattr(Tensor, _function.__name__, front(_function))

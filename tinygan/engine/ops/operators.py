"""The operators and methods of Tensor: x + y, x @ w, x[0], x.sum() are ops under another spelling, bound when this is imported."""

from __future__ import annotations

from tinygan.engine.tensor import Tensor

from .door import as_tensor
from .elementwise import abs, add, div, exp, leaky_relu, log, log_sigmoid, mul, neg, power, relu, sigmoid, softplus, sqrt, sub, tanh
from .products import matmul
from .reductions import max, mean, sum, var
from .shapes import reshape, slice, transpose

OPERATORS = {
    "__add__": add, "__radd__": lambda a, b: add(b, a), "__mul__": mul, "__rmul__": lambda a, b: mul(b, a),
    "__sub__": sub, "__rsub__": lambda a, b: sub(b, a), "__truediv__": div, "__rtruediv__": lambda a, b: div(b, a),
    "__pow__": power, "__rpow__": lambda a, b: power(as_tensor(b, a), a), "__matmul__": matmul, "__neg__": neg, "__abs__": abs,
    "__getitem__": slice, "T": property(transpose),
}
METHODS = (exp, log, sqrt, tanh, sigmoid, softplus, log_sigmoid, relu, leaky_relu, sum, mean, var, max, reshape, transpose)

for _name, _function in OPERATORS.items():
    setattr(Tensor, _name, _function)
for _function in METHODS:
    setattr(Tensor, _function.__name__, _function)

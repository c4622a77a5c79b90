"""Every op: its forward over its VJP, both on one screen, both in ops.

    shapes       views of the same memory, and what has to be moved
    indexing     elements that arrays of whole numbers pick
    reductions   sums, means, maxima; broadcasting, which a sum undoes
    elementwise  arithmetic and activations
    composed     reductions made of arithmetic: softmax, norm, prod
    products     matmul and the convolutions, each other's derivatives
    fused        what layers and losses need, in one pass over memory
    door         how an op reaches a kernel
    operators    +, *, @, [] and the methods of Tensor
    numpy_calls  np.exp(t), np.mean(t): NumPy's functions on tensors
    front        what users call: ops that also take numbers and arrays

Shapes first, then the derivative, in the letters of the code: g is the cotangent dL/dy, y the result. A VJP is a lambda for each
input, (g, y, *inputs) -> dL/dinput. What can be derived is derived (a - b = a + (-b)): fewer derivatives to verify.

Each function without a leading underscore in the first seven modules is an op. It is public here without being listed, and
needs a case in tinygan/theory/gradient_cases.py. Type checkers read __init__.pyi, which `python -m benchmarks.docs.stubs` writes.
Users call an op through `front`, which turns numbers and arrays into tensors; VJPs call it as it stands.
"""

import inspect
from typing import Any

from tinygan.engine.elsewhere import MODULE, TENSOR, missing_attribute
from tinygan.engine.tensor import BackendMismatch

from . import composed, elementwise, fused, indexing, numpy_calls, operators, products, reductions, shapes  # noqa: F401  two bind
from .door import as_tensor, launch
from .front import front

__all__ = ["BackendMismatch", "as_tensor", "launch"]
for _module in (shapes, indexing, reductions, elementwise, composed, products, fused):
    for _name, _op in vars(_module).items():
        if inspect.isfunction(_op) and _op.__module__ == _module.__name__ and not _name.startswith("_"):
            globals()[_name] = front(_op)
            __all__ += [_name]


def __getattr__(name: str) -> Any:  # checkers read __init__.pyi, where a name that does not exist is an error
    raise AttributeError(missing_attribute("tinygan.ops", name, __all__, TENSOR | MODULE))

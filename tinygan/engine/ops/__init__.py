"""Every op: its forward over its VJP, both on one screen, both in ops.

    shapes       views of the same memory, and what has to be moved
    reductions   sums, means, maxima; broadcasting, which a sum undoes
    elementwise  arithmetic and activations
    products     matmul and the convolutions, each other's derivatives
    fused        what layers and losses need, in one pass over memory
    door         how an op reaches a kernel
    operators    +, *, @, [] and the methods of Tensor

Shapes first, then the derivative, in the letters of the code: g is the cotangent dL/dy, y the result. A VJP is a lambda for each
input, (g, y, *inputs) -> dL/dinput. What can be derived is derived (a - b = a + (-b)): fewer derivatives to verify.

Each function without a leading underscore in the first five modules is an op. It is public here without being listed, and
needs a case in tinygan/theory/gradient_cases.py.
"""

import inspect

from tinygan.engine.tensor import BackendMismatch

from . import elementwise, fused, operators, products, reductions, shapes  # noqa: F401  operators binds what it defines
from .door import as_tensor, launch
from .elementwise import *  # noqa: F403
from .fused import *  # noqa: F403
from .products import *  # noqa: F403
from .reductions import *  # noqa: F403
from .shapes import *  # noqa: F403

__all__ = ["BackendMismatch", "as_tensor", "launch"]
for _module in (shapes, reductions, elementwise, products, fused):
    __all__ += [name for name, op in vars(_module).items()
                if inspect.isfunction(op) and op.__module__ == _module.__name__ and not name.startswith("_")]

"""The contract: which kernels there are, and what each takes and gives. This file is the table; `backend.py` checks and launches.

Everything is row-major. Images are NHWC (batch, height, width, channels) and filters are (KH, KW, C_in, C_out). All arrays of a
launch share one dtype, float32 or float64. A kernel writes into output arrays that it is handed; nothing is returned by value,
so a launch can be recorded and run again on the same buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import shapes
from .parameters import REQUIRED, Parameter, any_number, axes, described, flag, number, one_of, plain, sign, whole
from .shapes import ACTIVATIONS, DTYPES, ContractError, Shape


@dataclass(frozen=True)
class Kernel:
    """One entry of the contract."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rule: Callable[..., tuple[Shape, ...]]  # a rule of shapes.py
    formula: str
    params: tuple[Parameter, ...] = ()
    flops: Callable[..., int] | None = None  # flops(*input_shapes, *output_shapes, **params); None if no product
    elementwise: bool = False  # every output element depends on one element of each input, after broadcasting
    strided: bool = False  # elementwise kernels and reductions take views; the others want C-contiguous arrays
    overwrites: bool = False  # an output may be the very array of the first input
    in_place: bool = False  # the outputs are read as well as written (parameter updates), so the caller has to give them

    def shapes(self, *inputs: Shape, **params: Any) -> tuple[Shape, ...]:
        """Return the shape of every output. Raises ContractError where the inputs or the parameters do not fit."""
        return self.rule(*inputs, **self.checked(params))

    def checked(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Check the parameters of a launch and return them, with NumPy's scalars turned into Python's and nothing filled in.

        Raises ContractError, in one sentence that names kernel and parameter, for one that is unknown, wrong or missing.
        """
        known = self._params
        for name, value in given.items():
            parameter = known.get(name)
            if parameter is None:
                raise ContractError(f"{self.name} has no parameter {name!r}; it takes {' and '.join(known) or 'none'}")
            if not parameter.accepts(value):
                converted = plain(value)
                if not parameter.accepts(converted):
                    raise ContractError(f"{self.name}: {name} is {described(value)}, it has to be {parameter.wants}")
                given = {**given, name: converted}
        if len(given) < len(known):
            for name in self._required:
                if name not in given:
                    raise ContractError(f"{self.name}: {name} is missing, it has to be {known[name].wants}")
        return given

    @cached_property
    def _params(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.params}

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.params if parameter.default is REQUIRED)


@dataclass(frozen=True)
class Version:
    """A row of a ladder: one implementation of a kernel. Tests, benchmarks and `tinygan kernels list` are made from these rows.

    rule: the name of the bound of verification/bounds.py that judges it; "" for the kernel's own. A CUDA version with a rule of its
    own runs only if it is asked for. suits(input shapes, params, dtype): whether the version can compute a launch at all.
    lacks: what this machine does not have and the version needs, so that it suits no launch; "" where it has all.
    """

    kernel: str
    number: int
    title: str
    dtypes: tuple[str, ...] = DTYPES
    rule: str = ""
    suits: Callable[[Sequence[Shape], Mapping[str, Any], Any], bool] = field(
        default=lambda shapes, params, dtype: True, compare=False, repr=False
    )
    lacks: str = field(default="", compare=False)


# ---- parameters and work that several kernels share -----------------------------------------------------------------------------

SLOPE = number("slope")
# bias_act_grad reads the sign of x off y, which a negative slope would turn round
ACTIVATION = (
    one_of("act", ACTIVATIONS),
    number("slope", "a number between 0 and 1", lambda value: 0 <= value <= 1, default=0.0),
)
WINDOW = (whole("stride", 1), whole("pad", 0))
REDUCTION = (axes("axes"), flag("keepdims", default=False))
BETA = "a number of at least 0 and below 1"


def product_flops(a: Shape, b: Shape, c: Shape, trans_a: bool = False, trans_b: bool = False) -> int:
    """Return the FLOPs of a matrix product, 2 M N K: a multiplication and an addition for each term of each element."""
    return 2 * math.prod(c) * a[0 if trans_a else 1]


def convolution_flops(y: Shape, w: Shape) -> int:
    """Return the FLOPs of a convolution or one of its adjoints, as a matrix product: 2 (N OH OW C_out) (KH KW C_in)."""
    return 2 * math.prod(y) * math.prod(w[:-1])


# ---- the table ----------------------------------------------------------------------------------------------------------------


def _table(*kernels: Kernel) -> dict[str, Kernel]:
    return {kernel.name: kernel for kernel in kernels}


def _elementwise(name: str, inputs: tuple[str, ...], formula: str, *params: Parameter, overwrites: bool = False) -> Kernel:
    rule = shapes.elementwise(name, inputs)
    return Kernel(name, inputs, ("y",), rule, formula, params, elementwise=True, strided=True, overwrites=overwrites)


def _unary(name: str, formula: str, *params: Parameter, overwrites: bool = False) -> Kernel:
    return _elementwise(name, ("x",), formula, *params, overwrites=overwrites)


def _binary(name: str, formula: str) -> Kernel:
    return _elementwise(name, ("a", "b"), formula)


# The contract: every kernel by its name.
KERNELS: dict[str, Kernel] = _table(
    # elementwise, with NumPy's broadcasting
    _binary("add", "y = a + b"),
    _binary("mul", "y = a b"),
    _binary("div", "y = a / b, correctly rounded"),
    _binary("maximum", "y = max(a, b)"),
    _binary("equal", "y = 1 where a = b, else 0"),
    _binary("pow", "y = a^b, element by element"),
    _elementwise("where", ("c", "a", "b"), "y = a where c is not 0, else b"),
    _unary("neg", "y = -x"),
    _unary("exp", "y = e^x"),
    _unary("log", "y = ln x"),
    _unary("sqrt", "y = sqrt(x)"),
    _unary("abs", "y = |x|"),
    _unary("sin", "y = sin x, x in radians"),
    _unary("cos", "y = cos x, x in radians"),
    _unary("sign", "y = -1, 0 or 1"),
    _unary("power", "y = x^exponent, the exponent a Python number", number("exponent")),
    _unary("tanh", "y = tanh x"),
    _unary("sigmoid", "y = 1 / (1 + e^-x)"),
    _unary("softplus", "y = ln(1 + e^x)"),
    _unary("leaky_relu", "y = x where x > 0, else slope x, or 0 if slope is 0", SLOPE, overwrites=True),
    _elementwise("leaky_relu_grad", ("g", "x"), "y = g where x > 0, else slope g, or 0 if slope is 0", SLOPE, overwrites=True),
    _elementwise("tanh_grad", ("g", "t"), "y = g (1 - t^2), t = tanh x"),
    _elementwise("sigmoid_grad", ("g", "p"), "y = g p (1 - p), p = sigmoid x"),
    # reductions and moves
    Kernel("sum", ("x",), ("y",), shapes.sum, "y = sum of x over axes", REDUCTION, strided=True),
    Kernel("max", ("x",), ("y",), shapes.max, "y = largest of x over axes", REDUCTION, strided=True),
    Kernel("copy", ("x",), ("y",), shapes.same, "y = x", elementwise=True, strided=True),
    Kernel("fill", (), ("y",), shapes.any_shape, "y = value everywhere", (any_number("value"),), strided=True, in_place=True),
    # the closed family: each one's derivatives are the others
    Kernel("matmul", ("a", "b"), ("c",), shapes.matmul, "C = A B, either operand transposed on request",
           (flag("trans_a", default=False), flag("trans_b", default=False)), flops=product_flops),
    Kernel("conv2d", ("x", "w"), ("y",), shapes.conv2d, "y[n,i,j,o] = sum x[n, i s + u - p, j s + v - p, c] w[u,v,c,o]",
           WINDOW, flops=lambda x, w, y, **_: convolution_flops(y, w)),
    Kernel("conv2d_dx", ("g", "w"), ("dx",), shapes.conv2d_dx, "the x that <conv2d(x, w), g> = <x, dx> asks for",
           (*WINDOW, whole("height", 0), whole("width", 0)), flops=lambda g, w, dx, **_: convolution_flops(g, w)),
    Kernel("conv2d_dw", ("x", "g"), ("dw",), shapes.conv2d_dw, "the w that <conv2d(x, w), g> = <w, dw> asks for",
           (*WINDOW, whole("kh", 1), whole("kw", 1)), flops=lambda x, g, dw, **_: convolution_flops(g, dw)),
    # the game's loss, and normalisation
    Kernel("bce_logits", ("s", "t"), ("loss", "ds"), shapes.bce_logits,
           "loss = mean of t softplus(-s) + (1-t) softplus(s);  ds = ((1-t) sigmoid(s) - t sigmoid(-s)) / size"),
    Kernel("batch_norm", ("x", "gamma", "beta"), ("y", "mean", "inv_std"), shapes.batch_norm,
           "y = gamma (x - mean) inv_std + beta, mean and biased variance over all axes but the last",
           (number("eps", "a positive number", lambda value: value > 0),)),
    Kernel("batch_norm_grad", ("g", "x", "gamma", "mean", "inv_std"), ("dx", "dgamma", "dbeta"), shapes.batch_norm_grad,
           "dx = gamma inv_std (g - mean(g) - h mean(g h)), h = (x - mean) inv_std; dgamma = sum g h; dbeta = sum g",
           overwrites=True),
    # fused: bias and activation over the last axis, and their gradient from the output alone
    Kernel("bias_act", ("x", "b"), ("y",), shapes.bias_act, "y = act(x + b), act one of " + ", ".join(ACTIVATIONS),
           ACTIVATION, overwrites=True),
    Kernel("bias_act_grad", ("g", "y"), ("dx", "db"), shapes.bias_act_grad,
           "dx = g act'(x + b), read off y; db = sum of dx over all axes but the last", ACTIVATION, overwrites=True),
    # updates in place; sign = +1 ascends, -1 descends
    Kernel("sgd", ("g", "rate"), ("theta",), shapes.update("sgd", 0), "theta += sign rate g", (sign("sign"),), in_place=True),
    Kernel("momentum", ("g", "rate"), ("theta", "velocity"), shapes.update("momentum", 1),
           "velocity = mu velocity + g; theta += sign rate velocity", (sign("sign"), number("mu")), in_place=True),
    Kernel("adam", ("g", "rate"), ("theta", "m", "v", "t"), shapes.update("adam", 2, counts=True),
           "t += 1; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
           "theta += sign rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)",
           (sign("sign"), number("beta1", BETA, lambda value: 0 <= value < 1), number("beta2", BETA, lambda value: 0 <= value < 1),
            number("eps", "a number of at least 0", lambda value: value >= 0)), in_place=True),
    Kernel("ema", ("x",), ("average",), shapes.same, "average = decay average + (1 - decay) x",
           (number("decay", "a number between 0 and 1", lambda value: 0 <= value <= 1),), in_place=True),
)

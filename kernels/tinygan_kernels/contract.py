"""The contract: which kernels there are, what each takes and gives, and the one door through which all of them are launched.

Everything is row-major. Images are NHWC (batch, height, width, channels) and filters are (KH, KW, C_in, C_out). All arrays of a
launch share one dtype, float32 or float64. A kernel writes into output arrays that it is handed; nothing is returned by value,
so a launch can be recorded and run again on the same buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .shapes import (
    ACTIVATIONS,
    DTYPES,
    Shape,
    _batch_norm,
    _batch_norm_grad,
    _bce_logits,
    _bias_act,
    _bias_act_grad,
    _conv2d,
    _conv2d_dw,
    _conv2d_dx,
    _copy,
    _elementwise,
    _fill,
    _matmul,
    _max,
    _reduce,
    _update,
)


@dataclass(frozen=True)
class Kernel:
    """One entry of the contract.

    `shapes(*input_shapes, **params)` returns the shape of every output, and raises ContractError where the inputs do not fit.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Callable[..., tuple[Shape, ...]]
    formula: str
    strided: bool = False  # elementwise kernels and reductions take views; the others want C-contiguous arrays
    overwrites: bool = False  # an output may be the very array of the first input
    in_place: bool = False  # the outputs are read as well as written (parameter updates), so the caller has to give them


@dataclass(frozen=True)
class Version:
    """A row of a ladder: one implementation of a kernel. Tests, benchmarks and `tinygan kernels list` are made from these rows.

    rule: which bound of tolerance.py judges it, where that is not the kernel's own; such a version runs only if it is asked for.
    """

    kernel: str
    number: int
    title: str
    dtypes: tuple[str, ...] = DTYPES
    rule: str = ""


# ---- the table ----------------------------------------------------------------------------------------------------------------


def _table(*kernels: Kernel) -> dict[str, Kernel]:
    return {kernel.name: kernel for kernel in kernels}


def _unary(name: str, formula: str, *numbers: str, overwrites: bool = False) -> Kernel:
    return Kernel(name, ("x",), ("y",), _elementwise(name, ("x",), numbers), formula, strided=True, overwrites=overwrites)


def _binary(
    name: str, formula: str, inputs: tuple[str, str] = ("a", "b"), *numbers: str, overwrites: bool = False
) -> Kernel:
    return Kernel(name, inputs, ("y",), _elementwise(name, inputs, numbers), formula, strided=True, overwrites=overwrites)


KERNELS: dict[str, Kernel] = _table(
    # elementwise, with NumPy's broadcasting
    _binary("add", "y = a + b"),
    _binary("mul", "y = a b"),
    _binary("maximum", "y = max(a, b)"),
    _binary("equal", "y = 1 where a = b, else 0"),
    _unary("neg", "y = -x"),
    _unary("exp", "y = e^x"),
    _unary("log", "y = ln x"),
    _unary("sqrt", "y = sqrt(x)"),
    _unary("abs", "y = |x|"),
    _unary("sign", "y = -1, 0 or 1"),
    _unary("power", "y = x^exponent, the exponent a Python number", "exponent"),
    _unary("tanh", "y = tanh x"),
    _unary("sigmoid", "y = 1 / (1 + e^-x)"),
    _unary("softplus", "y = ln(1 + e^x)"),
    _unary("leaky_relu", "y = x where x > 0, else slope x", "slope", overwrites=True),
    _binary("leaky_relu_grad", "y = g where x > 0, else slope g", ("g", "x"), "slope", overwrites=True),
    _binary("tanh_grad", "y = g (1 - t^2), t = tanh x", ("g", "t")),
    _binary("sigmoid_grad", "y = g p (1 - p), p = sigmoid x", ("g", "p")),
    # reductions and moves
    Kernel("sum", ("x",), ("y",), _reduce, "y = sum of x over axes", strided=True),
    Kernel("max", ("x",), ("y",), _max, "y = largest of x over axes", strided=True),
    Kernel("copy", ("x",), ("y",), _copy, "y = x", strided=True),
    Kernel("fill", (), ("y",), _fill, "y = value everywhere", strided=True, in_place=True),
    # the closed family: each one's derivatives are the others
    Kernel("matmul", ("a", "b"), ("c",), _matmul, "C = A B, either operand transposed on request"),
    Kernel("conv2d", ("x", "w"), ("y",), _conv2d, "y[n,i,j,o] = sum x[n, i s + u - p, j s + v - p, c] w[u,v,c,o]"),
    Kernel("conv2d_dx", ("g", "w"), ("dx",), _conv2d_dx, "the x that <conv2d(x, w), g> = <x, dx> asks for"),
    Kernel("conv2d_dw", ("x", "g"), ("dw",), _conv2d_dw, "the w that <conv2d(x, w), g> = <w, dw> asks for"),
    # the game's loss, and normalisation
    Kernel("bce_logits", ("s", "t"), ("loss", "ds"), _bce_logits,
           "loss = mean of t softplus(-s) + (1-t) softplus(s);  ds = ((1-t) sigmoid(s) - t sigmoid(-s)) / size"),
    Kernel("batch_norm", ("x", "gamma", "beta"), ("y", "mean", "inv_std"), _batch_norm,
           "y = gamma (x - mean) inv_std + beta, mean and biased variance over all axes but the last"),
    Kernel("batch_norm_grad", ("g", "x", "gamma", "mean", "inv_std"), ("dx", "dgamma", "dbeta"), _batch_norm_grad,
           "dx = gamma inv_std (g - mean(g) - h mean(g h)), h = (x - mean) inv_std; dgamma = sum g h; dbeta = sum g",
           overwrites=True),
    # fused: bias and activation over the last axis, and their gradient from the output alone
    Kernel("bias_act", ("x", "b"), ("y",), _bias_act, "y = act(x + b), act one of " + ", ".join(ACTIVATIONS), overwrites=True),
    Kernel("bias_act_grad", ("g", "y"), ("dx", "db"), _bias_act_grad,
           "dx = g act'(x + b), read off y; db = sum of dx over all axes but the last", overwrites=True),
    # updates in place; sign = +1 ascends, -1 descends
    Kernel("sgd", ("g", "rate"), ("theta",), _update("sgd", 0), "theta += sign rate g", in_place=True),
    Kernel("momentum", ("g", "rate"), ("theta", "velocity"), _update("momentum", 1),
           "velocity = mu velocity + g; theta += sign rate velocity", in_place=True),
    Kernel("adam", ("g", "rate"), ("theta", "m", "v", "t"), _update("adam", 2),
           "t += 1; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
           "theta += sign rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)", in_place=True),
    Kernel("ema", ("x",), ("average",), _copy, "average = decay average + (1 - decay) x", in_place=True),
)

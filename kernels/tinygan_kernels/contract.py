"""The contract: which kernels there are, what each takes and gives, and the one door through which all of them are launched.

Everything is row-major. Images are NHWC (batch, height, width, channels) and filters are (KH, KW, C_in, C_out). All arrays of a
launch share one dtype, float32 or float64. A kernel writes into output arrays that it is handed; nothing is returned by value,
so a launch can be recorded and run again on the same buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DTYPES = ("float32", "float64")
Shape = tuple[int, ...]


class ContractError(ValueError):
    """A launch that the contract does not allow. The message is one sentence and names the argument at fault."""


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


@dataclass(frozen=True)
class Launch:
    """A kernel bound to its arrays. `run` may be called again: the arrays are the same, their contents are read anew."""

    kernel: Kernel
    implementation: Callable[..., None]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    params: Mapping[str, Any]

    def run(self) -> None:
        self.implementation(*self.inputs, *self.outputs, **self.params)


Call = Callable[[], None]
Watcher = Callable[[Launch, Call], None]
BindRefill = Callable[[Any], tuple[Call, Callable[[Any], None]]]


@dataclass(eq=False)
class Backend:
    """A place where kernels run: a name, an implementation of every kernel, and the array module (`xp`) of its memory.

    A backend is a value that is handed around; there is no current backend. `implementations[name]` is called as
    `f(*inputs, *outputs, **params)`.
    """

    name: str
    implementations: Mapping[str, Callable[..., None]]
    xp: Any = np
    versions: Sequence[Version] = ()
    to_numpy: Callable[[Any], np.ndarray] = np.asarray
    bind: Callable[[Launch], Call] = lambda launch: launch.run  # for launches that will run many times
    bind_pair: Callable[[Launch, Launch], Call | None] = lambda first, second: None  # the same for two in a row that can be one
    join: Callable[[Sequence[Call]], Sequence[Call]] = lambda calls: calls  # bound calls in a row, as fewer that do the same
    bind_refill: BindRefill | None = None  # for an array: a call that copies to it, and a function to be told from where
    emulated: bool = False  # CUDA kernels executed on the CPU
    watchers: list[Watcher] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.allocate: Callable[[Shape, Any], Any] = self.xp.empty  # a recorder may stand in between

    def launch(self, name: str, inputs: Sequence[Any], out: Any = None, **params: Any) -> Any:
        """Run one kernel; the one door for all array work.

        inputs: arrays of this backend, in the order of the contract. out: the output array (a tuple where the kernel has several);
        without it, new ones are allocated. Returns the outputs in the same form. Raises ContractError.
        """
        kernel = KERNELS.get(name)
        if kernel is None:
            raise ContractError(f"there is no kernel {name!r}; the contract has {', '.join(KERNELS)}")
        inputs = tuple(inputs)
        _check_inputs(kernel, inputs)
        shapes = kernel.shapes(*[a.shape for a in inputs], **params)
        outputs = self._allocate(kernel, shapes, inputs) if out is None else _given_outputs(kernel, shapes, inputs, out)
        self._run(Launch(kernel, self.implementations[name], inputs, outputs, params), 0)
        return outputs[0] if len(outputs) == 1 else outputs

    def _allocate(self, kernel: Kernel, shapes: tuple[Shape, ...], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if kernel.in_place or not inputs:
            raise ContractError(f"{kernel.name} works in place: pass out=({', '.join(kernel.outputs)})")
        return tuple(self.allocate(shape, inputs[0].dtype) for shape in shapes)

    def _run(self, launch: Launch, depth: int) -> None:
        if depth == len(self.watchers):
            launch.run()
        else:
            self.watchers[depth](launch, lambda: self._run(launch, depth + 1))

    @contextmanager
    def watch(self, watcher: Watcher) -> Iterator[None]:
        """Hand every launch inside the `with` to `watcher(launch, proceed)`, which calls `proceed()` to run it.

        Recorders, profilers and the NaN trap are watchers; the first one installed is the outermost.
        """
        self.watchers.append(watcher)
        try:
            yield
        finally:
            self.watchers.remove(watcher)

    def bind_all(self, launches: Sequence[Launch]) -> list[tuple[Call, tuple[Launch, ...]]]:
        """Launches that will run many times in this order: calls without arguments, each with the one or two that it is."""
        calls: list[tuple[Call, tuple[Launch, ...]]] = []
        waiting = list(reversed(launches))
        while waiting:
            group = (waiting.pop(),)
            both = self.bind_pair(group[0], waiting[-1]) if waiting else None
            if both:
                group = (*group, waiting.pop())
            calls.append((both or self.bind(group[0]), group))
        return calls

    def empty(self, shape: Shape, dtype: Any) -> Any:
        return self.allocate(shape, dtype)

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """`values` in this backend's memory, copied only where it has to be."""
        return self.xp.asarray(values, dtype=dtype)

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"


def nan_trap(launch: Launch, proceed: Callable[[], None]) -> None:
    """A watcher that stops at the first kernel whose output has a NaN while its inputs had none. Raises FloatingPointError."""
    read = launch.inputs + (launch.outputs if launch.kernel.in_place else ())
    clean = not any(bool((a != a).any()) for a in read)
    proceed()
    for label, array in zip(launch.kernel.outputs, launch.outputs, strict=True):
        if clean and bool((array != array).any()):
            shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(launch.kernel.inputs, launch.inputs, strict=True))
            raise FloatingPointError(f"{launch.kernel.name} turned inputs without NaN ({shapes}) into NaN in {label}")


# ---- checks at the door -------------------------------------------------------------------------------------------------------


def check(name: str, arrays: Sequence[Any], params: Mapping[str, Any]) -> None:
    """The door's checks for who calls an implementation directly. arrays: inputs, then outputs. Raises ContractError."""
    kernel = KERNELS[name]
    labels, count = (*kernel.inputs, *kernel.outputs), len(kernel.inputs)
    if len(arrays) != len(labels):
        raise ContractError(f"{name} takes {len(labels)} arrays ({', '.join(labels)}), got {len(arrays)}")
    inputs, outputs = tuple(arrays[:count]), tuple(arrays[count:])
    _check_inputs(kernel, inputs)
    _given_outputs(kernel, kernel.shapes(*[a.shape for a in inputs], **params), inputs, outputs)


def _check_inputs(kernel: Kernel, inputs: tuple[Any, ...]) -> None:
    if len(inputs) != len(kernel.inputs):
        raise ContractError(f"{kernel.name} takes {len(kernel.inputs)} arrays ({', '.join(kernel.inputs)}), got {len(inputs)}")
    for label, array in zip(kernel.inputs, inputs, strict=True):
        _check_array(kernel, label, array, inputs[0])
        if not kernel.strided and not array.flags.c_contiguous:
            raise ContractError(
                f"{kernel.name}: {label} has strides {array.strides}, this kernel wants a C-contiguous array; copy it first"
            )


def _check_array(kernel: Kernel, label: str, array: Any, first: Any) -> None:
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        raise ContractError(f"{kernel.name}: {label} is a {type(array).__name__}, it has to be an array")
    if dtype.name not in DTYPES or not dtype.isnative:
        raise ContractError(f"{kernel.name}: {label} is {dtype}, it has to be float32 or float64")
    if dtype != first.dtype:
        raise ContractError(f"{kernel.name}: {label} is {dtype}, but {kernel.inputs[0]} is {first.dtype}; convert one of them")


def _given_outputs(kernel: Kernel, shapes: tuple[Shape, ...], inputs: tuple[Any, ...], out: Any) -> tuple[Any, ...]:
    outputs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    if len(outputs) != len(shapes):
        raise ContractError(f"{kernel.name} gives {len(shapes)} arrays ({', '.join(kernel.outputs)}), out has {len(outputs)}")
    for label, array, shape in zip(kernel.outputs, outputs, shapes, strict=True):
        _check_array(kernel, f"out {label}", array, inputs[0] if inputs else array)
        if array.shape != shape and shape != ANY_SHAPE:
            raise ContractError(f"{kernel.name}: out {label} has shape {array.shape}, it has to be {shape}")
        if not kernel.strided and not array.flags.c_contiguous:
            raise ContractError(f"{kernel.name}: out {label} has strides {array.strides}, it has to be C-contiguous")
        if not getattr(array.flags, "writeable", True):  # CuPy's arrays always are, and do not say so
            raise ContractError(f"{kernel.name}: out {label} is read-only; pass an array that can be written")
    if not kernel.strided:
        _refuse_overlap(kernel, outputs, inputs)
    return outputs


def _refuse_overlap(kernel: Kernel, outputs: tuple[Any, ...], inputs: tuple[Any, ...]) -> None:
    """A product written over one of its factors reads its own output. Bounds are compared, which is cheap and never wrong here."""
    arrays = dict(zip(kernel.inputs, inputs, strict=True))
    for label, array in zip(kernel.outputs, outputs, strict=True):
        for name, other in arrays.items():
            if isinstance(array, np.ndarray) and np.may_share_memory(array, other):
                same = array.ctypes.data == other.ctypes.data and array.shape == other.shape
                if not (kernel.overwrites and same and name == kernel.inputs[0]):
                    raise ContractError(f"{kernel.name}: out {label} overlaps {name}; give it memory of its own")
        arrays[f"out {label}"] = array


# ---- shapes: one function for each form of kernel -----------------------------------------------------------------------------

ANY_SHAPE: Shape = (-1,)


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise ContractError(sentence)


def _elementwise(kernel: str, labels: tuple[str, ...], numbers: tuple[str, ...]) -> Callable[..., tuple[Shape, ...]]:
    def shapes(*given: Shape, **params: Any) -> tuple[Shape, ...]:
        _need(tuple(params) == numbers, f"{kernel} takes the parameters ({', '.join(numbers)}), got ({', '.join(params)})")
        try:
            return (np.broadcast_shapes(*given),)
        except ValueError:
            pairs = " and ".join(f"{label} {shape}" for label, shape in zip(labels, given, strict=True))
            raise ContractError(f"{kernel}: the shapes of {pairs} do not broadcast") from None

    return shapes


def _copy(x: Shape, **_: Any) -> tuple[Shape, ...]:
    return (x,)


def _fill(value: float) -> tuple[Shape, ...]:
    return (ANY_SHAPE,)


def normal_axes(axes: Sequence[int] | int | None, ndim: int, kernel: str = "sum") -> tuple[int, ...]:
    """`axes` (None means all) as a sorted tuple of non-negative ints. Raises ContractError."""
    if axes is None:
        return tuple(range(ndim))
    listed = [axes] if isinstance(axes, int) else list(axes)
    for axis in listed:
        _need(-ndim <= axis < ndim, f"{kernel}: axis {axis} is out of range for {ndim} dimensions")
    normal = tuple(sorted(axis % ndim for axis in listed))
    _need(len(set(normal)) == len(normal), f"{kernel}: axes {tuple(listed)} name a dimension twice")
    return normal


def _reduce(x: Shape, axes: tuple[int, ...], keepdims: bool = False, kernel: str = "sum") -> tuple[Shape, ...]:
    _need(isinstance(axes, tuple), f"{kernel}: axes is {axes!r}, it has to be a tuple of whole numbers")
    axes = normal_axes(axes, len(x), kernel)
    if keepdims:
        return (tuple(1 if i in axes else n for i, n in enumerate(x)),)
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _max(x: Shape, axes: tuple[int, ...], keepdims: bool = False) -> tuple[Shape, ...]:
    y = _reduce(x, axes, keepdims, "max")
    reduced = math.prod(x[axis] for axis in axes)
    _need(reduced > 0, f"max: x has shape {x}; there is no largest of no elements along axes {axes}")
    return y


def _matmul(a: Shape, b: Shape, trans_a: bool = False, trans_b: bool = False) -> tuple[Shape, ...]:
    for label, shape in (("a", a), ("b", b)):
        _need(len(shape) == 2, f"matmul: {label} has shape {shape}, it has to have two dimensions")
    (m, k), (k_b, n) = (a[::-1] if trans_a else a), (b[::-1] if trans_b else b)
    sides = f"a {a}{' transposed' if trans_a else ''} and b {b}{' transposed' if trans_b else ''}"
    _need(k == k_b, f"matmul: the inner lengths of {sides} differ, {k} and {k_b}")
    return ((m, n),)


def conv_size(size: int, k: int, stride: int, pad: int) -> int:
    """Output length of a convolution along one side: floor((size + 2 pad - k) / stride) + 1 (Dumoulin and Visin 2016, eq. 6)."""
    return (size + 2 * pad - k) // stride + 1


def _check_window(kernel: str, stride: int, pad: int, kh: int, kw: int, height: int, width: int) -> None:
    _need(isinstance(stride, int) and stride >= 1, f"{kernel}: stride is {stride!r}, it has to be a whole number of at least 1")
    _need(isinstance(pad, int) and pad >= 0, f"{kernel}: pad is {pad!r}, it has to be a whole number of at least 0")
    _need(kh >= 1 and kw >= 1, f"{kernel}: the filter is {kh}x{kw}, both sides have to be at least 1")
    _need(height >= 0 and width >= 0, f"{kernel}: the image is {height}x{width}, neither side can be negative")
    fits = height + 2 * pad >= kh and width + 2 * pad >= kw
    _need(fits, f"{kernel}: a {kh}x{kw} filter does not fit a {height}x{width} image padded by {pad}")


def _images(kernel: str, **shapes: Shape) -> None:
    for label, shape in shapes.items():
        _need(len(shape) == 4, f"{kernel}: {label} has shape {shape}, it has to have four dimensions")


def _conv2d(x: Shape, w: Shape, stride: int, pad: int) -> tuple[Shape, ...]:
    _images("conv2d", x=x, w=w)
    (n, height, width, c), (kh, kw, c_in, c_out) = x, w
    _check_window("conv2d", stride, pad, kh, kw, height, width)
    _need(c == c_in, f"conv2d: x has {c} channels (last axis of {x}), w wants {c_in} (third axis of {w})")
    return ((n, conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad), c_out),)


def _conv2d_dx(g: Shape, w: Shape, stride: int, pad: int, height: int, width: int) -> tuple[Shape, ...]:
    _images("conv2d_dx", g=g, w=w)
    (n, oh, ow, c), (kh, kw, c_in, c_out) = g, w
    _check_window("conv2d_dx", stride, pad, kh, kw, height, width)
    _need(c == c_out, f"conv2d_dx: g has {c} channels (last axis of {g}), w gives {c_out} (last axis of {w})")
    expected = (conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad))
    _need((oh, ow) == expected, f"conv2d_dx: g is {oh}x{ow}, but a {height}x{width} image gives {expected[0]}x{expected[1]}")
    return ((n, height, width, c_in),)


def _conv2d_dw(x: Shape, g: Shape, stride: int, pad: int, kh: int, kw: int) -> tuple[Shape, ...]:
    _images("conv2d_dw", x=x, g=g)
    (n, height, width, c_in), (n_g, oh, ow, c_out) = x, g
    _check_window("conv2d_dw", stride, pad, kh, kw, height, width)
    _need(n == n_g, f"conv2d_dw: x holds {n} images and g {n_g}")
    expected = (conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad))
    _need((oh, ow) == expected, f"conv2d_dw: g is {oh}x{ow}, but a {height}x{width} image gives {expected[0]}x{expected[1]}")
    return ((kh, kw, c_in, c_out),)


def _bce_logits(s: Shape, t: Shape) -> tuple[Shape, ...]:
    _need(s == t, f"bce_logits: s has shape {s} and t {t}; they have to be the same")
    _need(math.prod(s) > 0, f"bce_logits: s has shape {s}; the mean over no elements has no value")
    return (), s


def _batch_norm(x: Shape, gamma: Shape, beta: Shape, eps: float) -> tuple[Shape, ...]:
    _need(len(x) >= 2, f"batch_norm: x has shape {x}, it has to have a batch axis and, last, a channel axis")
    _need(math.prod(x[:-1]) > 0, f"batch_norm: x has shape {x}; the mean over no elements has no value")
    for label, shape in (("gamma", gamma), ("beta", beta)):
        _need(shape == x[-1:], f"batch_norm: {label} has shape {shape}, it has to be {x[-1:]} as x has shape {x}")
    _need(eps > 0, f"batch_norm: eps is {eps}, it has to be positive")
    return x, x[-1:], x[-1:]


def _batch_norm_grad(g: Shape, x: Shape, gamma: Shape, mean: Shape, inv_std: Shape) -> tuple[Shape, ...]:
    _need(g == x, f"batch_norm_grad: g has shape {g} and x {x}; they have to be the same")
    for label, shape in (("gamma", gamma), ("mean", mean), ("inv_std", inv_std)):
        _need(shape == x[-1:], f"batch_norm_grad: {label} has shape {shape}, it has to be {x[-1:]}")
    return x, x[-1:], x[-1:]


ACTIVATIONS = ("linear", "leaky_relu", "tanh", "sigmoid")  # relu is leaky_relu with slope 0


def _check_activation(kernel: str, act: str, slope: float) -> None:
    _need(act in ACTIVATIONS, f"{kernel}: act is {act!r}, it has to be one of {', '.join(ACTIVATIONS)}")
    # the gradient reads the sign of x off y, which a negative slope would turn round
    _need(0 <= slope <= 1, f"{kernel}: slope is {slope}, it has to lie between 0 and 1")


def _bias_act(x: Shape, b: Shape, act: str, slope: float = 0.0) -> tuple[Shape, ...]:
    _check_activation("bias_act", act, slope)
    _need(len(x) >= 1 and b == x[-1:], f"bias_act: b has shape {b}, it has to be the last axis of x {x}")
    return (x,)


def _bias_act_grad(g: Shape, y: Shape, act: str, slope: float = 0.0) -> tuple[Shape, ...]:
    _check_activation("bias_act_grad", act, slope)
    _need(len(y) >= 1 and g == y, f"bias_act_grad: g has shape {g} and y {y}; they have to be the same, with a channel axis")
    return y, y[-1:]


def _update(kernel: str, states: int) -> Callable[..., tuple[Shape, ...]]:
    """Shapes of an in-place parameter update: theta and its states are as large as g; rate is a 0-d array."""

    def shapes(g: Shape, rate: Shape, *, sign: int, **params: float) -> tuple[Shape, ...]:
        _need(rate == (), f"{kernel}: rate has shape {rate}, it has to be 0-d")
        _need(sign in (1, -1), f"{kernel}: sign is {sign!r}, it has to be +1 (ascend) or -1 (descend)")
        return (g,) * (1 + states) + (((),) if kernel == "adam" else ())

    return shapes


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

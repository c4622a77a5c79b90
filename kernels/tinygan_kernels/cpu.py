"""The CPU backend, the default: the implementation of every kernel, from register tiles, from Numba's loops, or from NumPy.

Tiles multiply matrices (`cpu_matmul`, with `blas` for thin ones) and convolve (`convolution`, `direct`, `winograd`); `loops` does
in one pass what NumPy would do in several; NumPy does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from . import loops
from .contract import KERNELS, Backend, Launch, Version
from .convolution import Convolution, as_rows
from .cpu_matmul import bound_product, product, tiled


def announce_compilation(say: Callable[[str], None]) -> None:
    """Call `say` once if Numba has to compile anything in this process (what is found in its disk cache is not compiled)."""
    from numba.core import event

    class Announcer(event.Listener):
        told = False

        def on_start(self, _event):
            if not self.told:
                self.told = True
                say("compiling the CPU kernels for this machine; this happens once and is then cached")

        def on_end(self, _event):
            pass

    event.register("numba:compile", Announcer())


# ---- elementwise: NumPy where it has one pass, Numba where it would take several ------------------------------------------------


def _flat_inputs(*arrays: np.ndarray, like: np.ndarray) -> list[np.ndarray]:
    """Each array broadcast to the shape of `like`, contiguous and flat; no copy where it is so already."""
    return [np.ascontiguousarray(np.broadcast_to(a, like.shape)).reshape(-1) for a in arrays]


def _shifted(a: np.ndarray, y: np.ndarray) -> bool:
    return np.may_share_memory(a, y) and a.ctypes.data != y.ctypes.data


def _elementwise(loop: loops.Loop, inputs: int) -> Callable:
    """A backend implementation from `loop(*flat inputs, *numbers, flat output)`.

    As in NumPy the output may share memory with the inputs: where they are shifted against each other it is written last.
    """

    def implementation(*arrays, **numbers):
        y = arrays[inputs]
        direct = y.flags.c_contiguous and not any(_shifted(a, y) for a in arrays[:inputs])
        flat = y.reshape(-1) if direct else np.empty(y.size, y.dtype)
        loop(y.size, *_flat_inputs(*arrays[:inputs], like=y), *map(y.dtype.type, numbers.values()), flat)
        if not direct:
            y[...] = flat.reshape(y.shape)

    return implementation


def equal(a, b, y):
    y[...] = a == b


def power(x, y, exponent):
    """The powers that derivatives are full of need no logarithm."""
    if exponent == 2:
        np.multiply(x, x, out=y)
    elif exponent in (-1, -0.5):
        root = x if exponent == -1 else np.sqrt(x, out=y)
        np.divide(1, root, out=y)
    else:
        np.power(x, x.dtype.type(exponent), out=y)


# ---- reductions and moves -----------------------------------------------------------------------------------------------------


def sum_(x, y, axes, keepdims=False):
    np.sum(x, axis=tuple(axes), keepdims=keepdims, out=y)


def max_(x, y, axes, keepdims=False):
    np.max(x, axis=tuple(axes), keepdims=keepdims, out=y)


def copy(x, y):
    np.copyto(y, x)


def fill(y, value):
    y.fill(value)


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


def bce_logits(s, t, loss, ds):
    loops.bce_logits(s.reshape(-1), t.reshape(-1), loss.reshape(1), ds.reshape(-1))


def _blocks(rows: np.ndarray, *inner: int) -> np.ndarray:
    """Room for one row of sums for each BLOCK rows."""
    return np.empty((-(-rows.shape[0] // loops.BLOCK), *inner, rows.shape[1]), rows.dtype)


def batch_norm(x, gamma, beta, y, mean, inv_std, eps):
    rows, out, real = as_rows(x), as_rows(y), x.dtype.type
    sums, n = _blocks(rows), real(rows.shape[0])
    loops.row_sums(x.size, rows, sums)
    np.divide(sums.sum(axis=0), n, out=mean)
    loops.square_sums(x.size, rows, mean, sums)
    np.divide(1, np.sqrt(sums.sum(axis=0) / n + real(eps)), out=inv_std)
    loops.normalise(x.size, rows, mean, inv_std, np.ascontiguousarray(gamma), np.ascontiguousarray(beta), out)


def batch_norm_grad(g, x, gamma, mean, inv_std, dx, dgamma, dbeta):
    rows, cotangent, n = as_rows(x), as_rows(g), x.dtype.type(max(as_rows(x).shape[0], 1))
    sums = _blocks(rows, 2)
    loops.product_sums(x.size, cotangent, rows, mean, inv_std, sums)
    np.sum(sums[:, 0], axis=0, out=dbeta)
    np.sum(sums[:, 1], axis=0, out=dgamma)
    loops.normalise_grad(x.size, cotangent, rows, mean, inv_std, gamma * inv_std, dbeta / n, dgamma / n, as_rows(dx))


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


def bias_act(x, b, y, act, slope=0.0):
    """A bias alone is a leaky ReLU of slope 1."""
    loops.bias_leaky_relu(x.size, as_rows(x), b, y.dtype.type(slope if act == "leaky_relu" else 1), as_rows(y))
    activate(y, act)


def activate(y, act):
    """The part of an activation that is no leaky ReLU, in place."""
    if act == "tanh":
        np.tanh(y, out=y)
    elif act == "sigmoid":
        loops.sigmoid(y.size, y.reshape(-1), y.reshape(-1))


def bias_act_grad(g, y, dx, db, act, slope=0.0):
    rows = as_rows(dx)
    sums = _blocks(rows)
    if act in ("leaky_relu", "linear"):
        loops.leaky_relu_grad_sums(g.size, as_rows(g), as_rows(y), dx.dtype.type(slope if act == "leaky_relu" else 1), rows, sums)
    else:
        (loops.tanh_grad if act == "tanh" else loops.sigmoid_grad)(g.size, g.reshape(-1), y.reshape(-1), dx.reshape(-1))
        loops.row_sums(g.size, rows, sums)
    np.sum(sums, axis=0, out=db)


# ---- updates ------------------------------------------------------------------------------------------------------------------


def sgd(g, rate, theta, *, sign):
    loops.sgd(g.size, g.reshape(-1), g.dtype.type(sign * rate), theta.reshape(-1))


def momentum(g, rate, theta, velocity, *, sign, mu):
    real = g.dtype.type
    loops.momentum(g.size, g.reshape(-1), real(sign * rate), real(mu), theta.reshape(-1), velocity.reshape(-1))


def adam(g, rate, theta, m, v, t, *, sign, beta1, beta2, eps):
    numbers = (float(beta1), float(beta2), float(eps))
    loops.adam(g.size, g.reshape(-1), rate, sign, *numbers, theta.reshape(-1), m.reshape(-1), v.reshape(-1), t)


def ema(x, average, *, decay):
    real = x.dtype.type
    loops.ema(x.size, x.reshape(-1), real(decay), real(1 - decay), average.reshape(-1))


# ---- the table of implementations -----------------------------------------------------------------------------------------------


def _ufunc(function: np.ufunc) -> Callable:
    def implementation(*arrays):
        function(*arrays[:-1], out=arrays[-1])

    return implementation


_UFUNCS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "neg": np.negative, "exp": np.exp, "log": np.log,
           "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "tanh": np.tanh}
_LOOPS = {"sigmoid": (loops.sigmoid, 1), "softplus": (loops.softplus, 1), "leaky_relu": (loops.leaky_relu, 1),
          "leaky_relu_grad": (loops.leaky_relu_grad, 2), "tanh_grad": (loops.tanh_grad, 2), "sigmoid_grad": (loops.sigmoid_grad, 2)}
_WHOLE = {"equal": equal, "power": power, "sum": sum_, "max": max_, "copy": copy, "fill": fill, "matmul": product,
          "bce_logits": bce_logits, "batch_norm": batch_norm, "batch_norm_grad": batch_norm_grad,
          "bias_act": bias_act, "bias_act_grad": bias_act_grad,
          "sgd": sgd, "momentum": momentum, "adam": adam, "ema": ema}
_TITLES = {"matmul": "register tiles", **dict.fromkeys(("conv2d", "conv2d_dx", "conv2d_dw"), "register tiles, or Winograd's")}


def _title(name: str) -> str:
    numba_too = ("bce_logits", "batch_norm", "batch_norm_grad", "bias_act", "bias_act_grad", "sgd", "momentum", "adam", "ema")
    return _TITLES.get(name, "Numba" if name in _LOOPS or name in numba_too else "NumPy")


# ---- launches that will run many times ------------------------------------------------------------------------------------------


def _bound_bias_act(launch: Launch) -> Callable[[], None]:
    (x, b), (y,) = launch.inputs, launch.outputs
    if launch.params["act"] not in ("leaky_relu", "linear"):
        return launch.run
    return loops.bias_leaky_relu.bound(x.size, as_rows(x), b, y.dtype.type(_slope(launch)), as_rows(y))


def _slope(launch: Launch) -> float:
    """Of bias_act's activation below 0: a bias alone, and what is to go through another function, is a leaky ReLU of slope 1."""
    return launch.params.get("slope", 0.0) if launch.params["act"] == "leaky_relu" else 1.0


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.ctypes.data == b.ctypes.data


def bind_linear(first: Launch, second: Launch) -> Callable[[], None] | None:
    """A product whose result bias_act then overwrites: bias and activation are done while a tile of it is still in registers."""
    if (first.kernel.name, second.kernel.name) != ("matmul", "bias_act"):
        return None
    (a, b), (c,), (x, bias), (y,) = first.inputs, first.outputs, second.inputs, second.outputs
    if not (_same(c, x) and _same(c, y)):
        return None
    product_ = tiled(a[None], b[None], c[None], **first.params, bias=bias, slope=_slope(second))
    act = second.params["act"]
    if product_ is None or act in ("linear", "leaky_relu"):
        return product_

    def run() -> None:
        product_()
        activate(y, act)

    return run


def _bound_bias_act_grad(launch: Launch) -> Callable[[], None]:
    (g, y), (dx, db) = launch.inputs, launch.outputs
    if launch.params["act"] not in ("leaky_relu", "linear"):
        return launch.run
    sums = _blocks(as_rows(dx))
    call = loops.leaky_relu_grad_sums.bound(g.size, as_rows(g), as_rows(y), dx.dtype.type(_slope(launch)), as_rows(dx), sums)

    def run() -> None:
        call()
        np.add.reduce(sums, axis=0, out=db)

    return run


def _bound_adam(launch: Launch) -> Callable[[], None]:
    (g, rate), (*states, t), params = launch.inputs, launch.outputs, launch.params
    numbers = (float(params[name]) for name in ("beta1", "beta2", "eps"))
    return loops.adam.bound(g.size, g.reshape(-1), rate, params["sign"], *numbers, *(a.reshape(-1) for a in states), t)


def _bound_ufunc(launch: Launch) -> Callable[[], None]:
    return partial(_UFUNCS[launch.kernel.name], *launch.inputs, out=launch.outputs[0])


_BOUND = {"matmul": lambda launch: bound_product(*launch.inputs, *launch.outputs, **launch.params),
          "bias_act": _bound_bias_act, "bias_act_grad": _bound_bias_act_grad, "adam": _bound_adam,
          **dict.fromkeys(_UFUNCS, _bound_ufunc)}


# ---- the backend ----------------------------------------------------------------------------------------------------------------


def backend() -> Backend:
    """A CPU backend with scratch memory of its own."""
    convolution = Convolution()
    convolutions = ("conv2d", "conv2d_dx", "conv2d_dw")
    implementations = {name: _ufunc(f) for name, f in _UFUNCS.items()}
    implementations |= {name: _elementwise(loop, inputs) for name, (loop, inputs) in _LOOPS.items()}
    implementations |= _WHOLE | {name: getattr(convolution, name) for name in convolutions}

    def bind(launch: Launch) -> Callable[[], None]:
        """The launch as a call without arguments, with all decided beforehand that shapes decide; the same arithmetic."""
        name = launch.kernel.name
        if name in convolutions:
            return convolution.bound(name, *launch.inputs, *launch.outputs, **launch.params)
        return _BOUND[name](launch) if name in _BOUND else launch.run

    versions = [Version(name, 1, _title(name)) for name in KERNELS]
    return Backend("cpu", implementations, bind=bind, bind_pair=bind_linear, versions=versions)

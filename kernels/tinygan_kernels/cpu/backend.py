"""The CPU backend, the default: every kernel as Work, compiled loops that threads share, or where there is no need, in NumPy.

Tiles multiply matrices (`cpu_matmul`, `thin`) and convolve (`convolution`, `direct`, `winograd`); `loops` does in one pass what
NumPy would do in several; NumPy does the rest: views in any order, and what no training step spends time on. A launch is bound to
its arrays and then run, once or many times: there is one way to do it, and what is replayed is what was run before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygan_kernels.backend import Backend, Call, Launch
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.conv.choice import Convolution, as_rows
from tinygan_kernels.cpu.matmul.jobs import bound_linear, bound_product
from tinygan_kernels.cpu.runtime.stages import Stage, Work, joined

from .memory import Scratch, empty
from .row_formulas import CURVES

_UFUNCS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "neg": np.negative, "exp": np.exp, "log": np.log,
           "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "tanh": np.tanh}
_LOOPS = {name: getattr(elementwise, name) for name, kernel in KERNELS.items() if kernel.elementwise and hasattr(elementwise, name)}
_SAME_BITS = {name: _UFUNCS[name] for name in ("add", "mul", "neg")}  # whether NumPy or a loop does them
_BY_A_NUMBER = {"add": elementwise.add_number, "mul": elementwise.mul_number}


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


def _flat(*arrays: np.ndarray) -> bool:
    """Whether all lie in one piece, so that they can be gone through in order."""
    return all(a.flags.c_contiguous for a in arrays)


def _apart(y: np.ndarray, *inputs: np.ndarray) -> bool:
    """Whether no input shares memory with the output, but where it is the very same."""
    return not any(np.may_share_memory(a, y) and (a.ctypes.data, a.size) != (y.ctypes.data, y.size) for a in inputs)


def _rows(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1)


# ---- elementwise ----------------------------------------------------------------------------------------------------------------


def _elementwise(launch: Launch) -> Call:
    """A loop where all arrays lie in one piece, or one of two is a single number; what NumPy makes of it where they do not."""
    name, inputs, (y,) = launch.kernel.name, launch.inputs, launch.outputs
    numbers = [y.dtype.type(value) for value in launch.params.values()]
    if _flat(y, *inputs) and _apart(y, *inputs):
        if all(a.size == y.size for a in inputs):
            loop = _LOOPS[name]
            return Work([loop.over(y.size, *map(_rows, inputs), *numbers, _rows(y))])
        big, small = sorted(inputs, key=lambda a: -a.size) if len(inputs) == 2 else (y, y)
        if name in _BY_A_NUMBER and small.size == 1 and big.size == y.size:
            return Work([_BY_A_NUMBER[name].over(y.size, _rows(big), small.reshape(()), _rows(y))])
    if name in _SAME_BITS:
        return partial(_SAME_BITS[name], *inputs, out=y)
    if name == "copy":
        return partial(np.copyto, y, *inputs)
    return partial(_spread, _LOOPS[name], inputs, numbers, y)


def _spread(loop: elementwise.Loop, inputs: tuple[np.ndarray, ...], numbers: list, y: np.ndarray) -> None:
    """A loop on copies in one piece, for arrays that are not, or share memory with the output in another order."""
    made = np.empty(y.shape, y.dtype)
    pieces = [np.ascontiguousarray(np.broadcast_to(a, y.shape)) for a in inputs]
    Work([loop.over(y.size, *map(_rows, pieces), *numbers, _rows(made))])()
    np.copyto(y, made)


def _ufunc(launch: Launch) -> Call:
    return partial(_UFUNCS[launch.kernel.name], *launch.inputs, out=launch.outputs[0])


def _equal(launch: Launch) -> Call:
    return partial(np.equal, *launch.inputs, out=launch.outputs[0])


def _tanh(launch: Launch) -> Call:
    """In double precision NumPy's is the faster one."""
    return _elementwise(launch) if launch.outputs[0].dtype == np.float32 else _ufunc(launch)


_POWERS = {2: elementwise.square, -1: elementwise.reciprocal, -0.5: elementwise.inverse_root, -2: elementwise.inverse_square}


def _power(launch: Launch) -> Call:
    """The powers that derivatives are full of need no logarithm."""
    (x,), (y,), exponent = launch.inputs, launch.outputs, launch.params["exponent"]
    if exponent not in _POWERS:
        return partial(np.power, x, x.dtype.type(exponent), out=y)
    if _flat(x, y) and _apart(y, x):
        return Work([_POWERS[exponent].over(y.size, _rows(x), _rows(y))])
    return partial(_spread, _POWERS[exponent], (x,), [], y)


def _fill(launch: Launch) -> Call:
    (y,), value = launch.outputs, launch.params["value"]
    return Work([elementwise.fill.over(y.size, y.dtype.type(value), _rows(y))]) if _flat(y) else partial(y.fill, value)


# ---- reductions -----------------------------------------------------------------------------------------------------------------


def _sum(launch: Launch) -> Call:
    """Loops for all axes, for the first ones, and for the last; NumPy for the others."""
    (x,), (y,), axes = launch.inputs, launch.outputs, sorted(a % launch.inputs[0].ndim for a in launch.params["axes"])
    if _flat(x, y) and x.size and axes:
        if y.size == 1:
            sums = np.empty(-(-x.size // (16 * elementwise.BLOCK)), x.dtype)
            return Work([elementwise.block_sums.over(x.size, _rows(x), sums), elementwise.total_of.stage(1, sums, y.reshape(()))])
        if axes == list(range(len(axes))):
            rows = x.reshape(-1, y.size)
            sums = _blocks(rows)
            return Work([elementwise.row_sums.over(x.size, rows, sums), elementwise.add_up.stage(1, sums, _rows(y))])
        if axes == [x.ndim - 1]:
            return Work([elementwise.sums_of_rows.over(x.size, as_rows(x), _rows(y))])
    return partial(np.sum, x, axis=tuple(launch.params["axes"]), keepdims=launch.params.get("keepdims", False), out=y)


def _max(launch: Launch) -> Call:
    (x,), (y,), axes = launch.inputs, launch.outputs, tuple(launch.params["axes"])
    if axes in ((-1,), (x.ndim - 1,)) and _flat(x, y) and x.size:
        return Work([elementwise.largest_of_rows.over(x.size, as_rows(x), _rows(y))])
    return partial(np.max, x, axis=axes, keepdims=launch.params.get("keepdims", False), out=y)


def _blocks(rows: np.ndarray, *inner: int) -> np.ndarray:
    """Room for one row of sums for each BLOCK rows."""
    return np.empty((-(-rows.shape[0] // elementwise.BLOCK), *inner, rows.shape[1]), rows.dtype)


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


def _bce_logits(launch: Launch) -> Call:
    (s, t), (loss, ds) = launch.inputs, launch.outputs
    sums = np.empty(-(-s.size // elementwise.BLOCK))
    return Work([elementwise.bce_logits.over(16 * s.size, _rows(s), _rows(t), sums, _rows(ds)),
                 elementwise.mean_loss.stage(1, sums, s.size, loss)])


def _batch_norm(launch: Launch, slope: float = 1.0) -> Call:
    """slope: of a leaky ReLU that y goes through as well."""
    (x, gamma, beta), (y, mean, inv_std), real = launch.inputs, launch.outputs, launch.outputs[0].dtype.type
    rows, out = as_rows(x), as_rows(y)
    sums, n = _blocks(rows), real(rows.shape[0])
    return Work([
        elementwise.row_sums.over(x.size, rows, sums),
        elementwise.means.stage(1, sums, n, mean),
        elementwise.square_sums.over(x.size, rows, mean, sums),
        elementwise.inverse_stds.stage(1, sums, n, real(launch.params["eps"]), inv_std),
        elementwise.normalise.over(x.size, rows, mean, inv_std, gamma, beta, real(slope), out),
    ])


def _batch_norm_grad(launch: Launch, before: Launch | None = None) -> Call:
    """before: the gradient of a leaky ReLU, which g is the result of. What that reads may lie where dgamma and dbeta are to go, so
    they are written last.
    """
    (g, x, gamma, mean, inv_std), (dx, dgamma, dbeta) = launch.inputs, launch.outputs
    rows, cotangent, masked = as_rows(x), as_rows(g), (as_rows(x), x.dtype.type(1))
    if before:
        cotangent, masked = as_rows(before.inputs[0]), (as_rows(before.inputs[1]), x.dtype.type(before.params["slope"]))
    sums, n, totals = _blocks(rows, 2), x.dtype.type(max(rows.shape[0], 1)), np.empty((4, rows.shape[1]), x.dtype)
    of_g, of_gh, mean_g, mean_gh = totals
    return Work([
        elementwise.product_sums.over(x.size, cotangent, *masked, rows, mean, inv_std, sums),
        elementwise.product_totals.stage(1, sums, n, *totals),
        elementwise.normalise_grad.over(x.size, cotangent, *masked, rows, mean, inv_std, gamma, mean_g, mean_gh, as_rows(dx)),
        elementwise.copy.stage(1, of_g, dbeta), elementwise.copy.stage(1, of_gh, dgamma),
    ])


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


def _slope(launch: Launch) -> float:
    """Of bias_act's activation below 0: a bias alone, and what is to go through another function, is a leaky ReLU of slope 1."""
    return launch.params.get("slope", 0.0) if launch.params["act"] == "leaky_relu" else 1.0


def _activation(y: np.ndarray, act: str) -> list[Stage]:
    """The part of an activation that is no leaky ReLU, in place."""
    loop = {"tanh": elementwise.tanh_in_place, "sigmoid": elementwise.sigmoid_in_place}.get(act)
    return [loop.over(y.size, _rows(y))] if loop else []


def _bias_act(launch: Launch) -> Call:
    (x, b), (y,) = launch.inputs, launch.outputs
    biased = elementwise.bias_leaky_relu.over(x.size, as_rows(x), b, y.dtype.type(_slope(launch)), as_rows(y))
    return Work([biased, *_activation(y, launch.params["act"])])


def _bias_act_grad(launch: Launch) -> Call:
    (g, y), (dx, db), act = launch.inputs, launch.outputs, launch.params["act"]
    rows = as_rows(dx)
    sums = _blocks(rows)
    curve, slope = CURVES[act], dx.dtype.type(_slope(launch))
    stage = elementwise.bias_act_grad.over(g.size, as_rows(g), as_rows(y), curve, slope, rows, sums)
    return Work([stage, elementwise.add_up.over(sums.size, sums, db)])


# ---- updates ------------------------------------------------------------------------------------------------------------------


def _sgd(launch: Launch) -> Call:
    (g, rate), (theta,) = launch.inputs, launch.outputs
    return Work([elementwise.sgd.over(g.size, _rows(g), rate, launch.params["sign"], _rows(theta))])


def _momentum(launch: Launch) -> Call:
    (g, rate), (theta, velocity), params = launch.inputs, launch.outputs, launch.params
    mu = g.dtype.type(params["mu"])
    return Work([elementwise.momentum.over(g.size, _rows(g), rate, params["sign"], mu, _rows(theta), _rows(velocity))])


def _adam(launch: Launch) -> Call:
    (g, rate), (theta, m, v, t), params = launch.inputs, launch.outputs, launch.params
    numbers = (float(params[name]) for name in ("beta1", "beta2", "eps"))
    states, count = map(_rows, (theta, m, v)), elementwise.count.stage(1, t)
    return Work([count, elementwise.adam.over(g.size, _rows(g), rate, params["sign"], *numbers, *states, t)])


def _ema(launch: Launch) -> Call:
    (x,), (average,), real, decay = launch.inputs, launch.outputs, launch.inputs[0].dtype.type, launch.params["decay"]
    return Work([elementwise.ema.over(x.size, _rows(x), real(decay), real(1 - decay), _rows(average))])


# ---- the table ------------------------------------------------------------------------------------------------------------------

_BOUND: dict[str, Callable[[Launch], Call]] = {
    **dict.fromkeys(_UFUNCS, _ufunc), **dict.fromkeys(_LOOPS, _elementwise),
    "tanh": _tanh, "equal": _equal, "power": _power, "fill": _fill, "sum": _sum, "max": _max,
    "bce_logits": _bce_logits, "batch_norm": _batch_norm, "batch_norm_grad": _batch_norm_grad, "bias_act": _bias_act,
    "bias_act_grad": _bias_act_grad, "sgd": _sgd, "momentum": _momentum, "adam": _adam, "ema": _ema,
}
_ABSENT = set(KERNELS) - {*_BOUND, "matmul", "conv2d", "conv2d_dx", "conv2d_dw"}
_PAIRS = {("matmul", "bias_act"), ("batch_norm", "leaky_relu"), ("leaky_relu_grad", "batch_norm_grad")}
_CONVOLUTIONS = ("conv2d", "conv2d_dx", "conv2d_dw")
_TITLES = {"matmul": "register tiles", **dict.fromkeys(_CONVOLUTIONS, "register tiles, or Winograd's"),
           **dict.fromkeys(("maximum", "equal", "exp", "log", "sqrt", "abs", "sign"), "NumPy")}


def _out(function: np.ufunc) -> Callable[..., None]:
    def run(*arrays: np.ndarray) -> None:
        function(*arrays[:-1], out=arrays[-1])

    return run


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.ctypes.data == b.ctypes.data


def _refill(target: np.ndarray) -> tuple[Call, Callable[[np.ndarray], None]]:
    """A copy to an array, from one that is named before each call and kept alive by who names it; both lie in one piece."""
    stage = elementwise.copy.over(target.size, _rows(target), _rows(target))

    def name(source: np.ndarray) -> None:
        stage.block[0] = source.__array_interface__["data"][0]  # the address is an argument's first word

    return Work([stage]), name


# ---- the backend ----------------------------------------------------------------------------------------------------------------


def backend() -> Backend:
    """A CPU backend with scratch memory of its own. Its calls, and those of one Backend, are not for several threads at once."""
    scratch = Scratch()
    convolution = Convolution(scratch.take)

    if _ABSENT:
        raise LookupError(f"cpu/backend.py: _BOUND has no line for {min(_ABSENT)}, and cpu/elementwise.py no loop of that name")

    def bind(launch: Launch) -> Call:
        """The launch as a call without arguments, with all decided beforehand that shapes decide."""
        name, arrays, params = launch.kernel.name, (*launch.inputs, *launch.outputs), launch.params
        if name == "matmul":
            return bound_product(*arrays, **params, take=scratch.take)
        return convolution.bound(name, *arrays, **params) if name in _CONVOLUTIONS else _BOUND[name](launch)

    def bind_pair(first: Launch, second: Launch) -> Call | None:
        """Two launches in one pass, where the second overwrites what the first made: bias and activation of a product while a tile
        of it is in registers, batch normalisation and its activation, and their gradients.
        """
        names = first.kernel.name, second.kernel.name
        if names not in _PAIRS or not (_same(first.outputs[0], second.inputs[0]) and _same(first.outputs[0], second.outputs[0])):
            return None
        if names == ("batch_norm", "leaky_relu"):
            return _batch_norm(first, second.params["slope"])
        if names == ("leaky_relu_grad", "batch_norm_grad"):
            alike = _flat(*first.inputs) and all(a.shape == first.outputs[0].shape for a in first.inputs)
            return _batch_norm_grad(second, first) if alike else None
        (a, b), (c,), (_, bias), (y,) = first.inputs, first.outputs, second.inputs, second.outputs
        made = bound_linear(a, b, c, bias, _slope(second), **first.params, take=scratch.take)
        return made and Work([*made.stages, *_activation(y, second.params["act"])])

    def at_once(name: str) -> Callable[..., None]:
        def run(*arrays: np.ndarray, **params) -> None:
            count = len(KERNELS[name].inputs)
            bind(Launch(KERNELS[name], run, arrays[:count], arrays[count:], params))()

        return run

    # where NumPy gives the same bits, it is sooner done with the small arrays of one that steps through a game by hand
    soon = {name: _out(function) for name, function in _SAME_BITS.items()}
    versions = [Version(name, 1, _TITLES.get(name, "compiled loops")) for name in KERNELS]
    implementations = {name: soon.get(name) or at_once(name) for name in KERNELS}
    made = Backend("cpu", implementations, bind=bind, bind_pair=bind_pair, join=joined, bind_refill=_refill, versions=versions)
    made.allocate = empty
    return made

"""How the CPU computes each kernel that is neither a product nor a convolution: a function that binds a launch to its arrays, and
BINDERS, the table of these functions by the kernel's name.

Loops (`elementwise`, `reductions`, `bias_act`, `batch_norm`, `bce`, `updates`) do in one pass what NumPy would do in several. NumPy
does the rest: arrays that are not contiguous, and what no training step spends time on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygan_kernels.backend import Call, Launch
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.cpu import batch_norm, bce, bias_act, elementwise, reductions, updates
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, Stage

from .memory import as_matrix
from .row_formulas import CURVES

_UFUNCS = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "neg": np.negative, "exp": np.exp, "log": np.log,
           "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign,
           "tanh": np.tanh, "sin": np.sin, "cos": np.cos}
_LOOPS = {name: getattr(elementwise, name) for name, kernel in KERNELS.items() if kernel.elementwise and hasattr(elementwise, name)}
SAME_BITS = {name: _UFUNCS[name] for name in ("add", "mul", "neg")}  # a loop gives the same bits as NumPy for these
_BY_A_NUMBER = {"add": elementwise.add_number, "mul": elementwise.mul_number}


def contiguous(*arrays: np.ndarray) -> bool:
    """Return whether all arrays are C-contiguous, so that a flat loop can pass over them."""
    return all(a.flags.c_contiguous for a in arrays)


def _apart(y: np.ndarray, *inputs: np.ndarray) -> bool:
    """Return whether each input is y itself, or shares no memory with it."""
    return not any(np.may_share_memory(a, y) and (a.ctypes.data, a.size) != (y.ctypes.data, y.size) for a in inputs)


def flat(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1)


# ---- elementwise ----------------------------------------------------------------------------------------------------------------


def _elementwise(launch: Launch) -> Call:
    """Bind a loop where all arrays are contiguous, or one of two is a single number; NumPy, or a loop on copies, where not."""
    name, inputs, (y,) = launch.kernel.name, launch.inputs, launch.outputs
    numbers = [y.dtype.type(value) for value in launch.params.values()]
    if contiguous(y, *inputs) and _apart(y, *inputs):
        if all(a.size == y.size for a in inputs):
            loop = _LOOPS[name]
            return Pipeline([loop.over(y.size, *map(flat, inputs), *numbers, flat(y))])
        big, small = sorted(inputs, key=lambda a: -a.size) if len(inputs) == 2 else (y, y)
        if name in _BY_A_NUMBER and small.size == 1 and big.size == y.size:
            return Pipeline([_BY_A_NUMBER[name].over(y.size, flat(big), small.reshape(()), flat(y))])
    if name in SAME_BITS:
        return partial(SAME_BITS[name], *inputs, out=y)
    if name == "copy":
        return partial(np.copyto, y, *inputs)
    return partial(_spread, _LOOPS[name], inputs, numbers, y)


def _spread(loop: ParallelLoop, inputs: tuple[np.ndarray, ...], numbers: list, y: np.ndarray) -> None:
    """Run a loop on contiguous copies, for arrays that are not contiguous or overlap the output."""
    made = np.empty(y.shape, y.dtype)
    pieces = [np.ascontiguousarray(np.broadcast_to(a, y.shape)) for a in inputs]
    Pipeline([loop.over(y.size, *map(flat, pieces), *numbers, flat(made))])()
    np.copyto(y, made)


def _div(launch: Launch) -> Call:
    """Bind a loop also where the divisor alone is a single number."""
    (a, b), (y,) = launch.inputs, launch.outputs
    if b.size == 1 and a.size == y.size and contiguous(a, b, y) and _apart(y, a, b):
        return Pipeline([elementwise.div_by_number.over(y.size, flat(a), b.reshape(()), flat(y))])
    return _elementwise(launch)


def _by_numpy(function: Callable, y: np.ndarray, x: np.ndarray, *more: np.ndarray | np.floating) -> Call:
    """Bind y = function(x, ...) by NumPy, so that its bits do not depend on where the arrays lie.

    NumPy 1 takes an output that begins where an input ends for an overlap, and computes powers, exp and log by another function
    then, with another last digit. Buffers of a replayed step lie like this; there NumPy writes to memory of its own first.
    """
    source, target = x.ctypes.data, y.ctypes.data
    if target == source + x.nbytes or source == target + y.nbytes:
        return lambda: np.copyto(y, function(x, *more))
    return partial(function, x, *more, out=y)


def _ufunc(launch: Launch) -> Call:
    return _by_numpy(_UFUNCS[launch.kernel.name], launch.outputs[0], *launch.inputs)


def _equal(launch: Launch) -> Call:
    return partial(np.equal, *launch.inputs, out=launch.outputs[0])


def _tanh(launch: Launch) -> Call:
    """Bind the loop in float32, and NumPy's function in float64, where it is the faster one."""
    return _elementwise(launch) if launch.outputs[0].dtype == np.float32 else _ufunc(launch)


def _power_in_line(x: np.ndarray, exponent: np.floating, y: np.ndarray) -> None:
    """Compute y = x^exponent on contiguous copies: NumPy's vectors differ in the last digit from its way with other strides."""
    np.copyto(y, np.power(np.asarray(x, order="C"), exponent))


_POWERS = {2: elementwise.square, -1: elementwise.reciprocal, -0.5: elementwise.inverse_root, -2: elementwise.inverse_square}


def _power(launch: Launch) -> Call:
    """Bind a loop without logarithms for the exponents that derivatives are full of, and NumPy for the others."""
    (x,), (y,), exponent = launch.inputs, launch.outputs, launch.params["exponent"]
    if exponent not in _POWERS:
        number = x.dtype.type(exponent)
        return _by_numpy(np.power, y, x, number) if contiguous(x, y) else partial(_power_in_line, x, number, y)
    if contiguous(x, y) and _apart(y, x):
        return Pipeline([_POWERS[exponent].over(y.size, flat(x), flat(y))])
    return partial(_spread, _POWERS[exponent], (x,), [], y)


def _fill(launch: Launch) -> Call:
    (y,), value = launch.outputs, launch.params["value"]
    return Pipeline([elementwise.fill.over(y.size, y.dtype.type(value), flat(y))]) if contiguous(y) else partial(y.fill, value)


# ---- reductions -----------------------------------------------------------------------------------------------------------------


def _sum(launch: Launch) -> Call:
    """Bind loops for sums over all axes, over the first ones, and over the last; NumPy for the others."""
    (x,), (y,), axes = launch.inputs, launch.outputs, sorted(a % launch.inputs[0].ndim for a in launch.params["axes"])
    if contiguous(x, y) and x.size and axes:
        if y.size == 1:
            sums = np.empty(-(-x.size // (16 * reductions.BLOCK)), x.dtype)
            total = reductions.total_of.stage(1, sums, y.reshape(()))
            return Pipeline([reductions.block_sums.over(x.size, flat(x), sums), total])
        if axes == list(range(len(axes))):
            rows = x.reshape(-1, y.size)
            sums = _blocks(rows)
            return Pipeline([reductions.row_sums.over(x.size, rows, sums), reductions.add_up.stage(1, sums, flat(y))])
        if axes == [x.ndim - 1]:
            return Pipeline([reductions.sums_of_rows.over(x.size, as_matrix(x), flat(y))])
    return partial(np.sum, x, axis=tuple(launch.params["axes"]), keepdims=launch.params.get("keepdims", False), out=y)


def _max(launch: Launch) -> Call:
    (x,), (y,), axes = launch.inputs, launch.outputs, tuple(launch.params["axes"])
    if axes in ((-1,), (x.ndim - 1,)) and contiguous(x, y) and x.size:
        return Pipeline([reductions.largest_of_rows.over(x.size, as_matrix(x), flat(y))])
    keepdims = launch.params.get("keepdims", False)
    return lambda: np.copyto(y, np.max(x, axis=axes, keepdims=keepdims))  # NumPy 1.26 is wrong for out=y and a reversed x


def _blocks(rows: np.ndarray, *inner: int) -> np.ndarray:
    """Return room for the sums of each BLOCK rows of a matrix: (blocks, *inner, columns)."""
    return np.empty((-(-rows.shape[0] // reductions.BLOCK), *inner, rows.shape[1]), rows.dtype)


# ---- the game's loss, and normalisation ---------------------------------------------------------------------------------------


def _bce_logits(launch: Launch) -> Call:
    (s, t), (loss, ds) = launch.inputs, launch.outputs
    sums = np.empty(-(-s.size // reductions.BLOCK))
    return Pipeline([bce.bce_logits.over(16 * s.size, flat(s), flat(t), sums, flat(ds)),
                 bce.mean_loss.stage(1, sums, s.size, loss)])


def bind_batch_norm(launch: Launch, slope: float = 1.0) -> Call:
    """Bind batch normalisation, with y passed through a leaky ReLU of this slope; 1 for none."""
    (x, gamma, beta), (y, mean, inv_std), real = launch.inputs, launch.outputs, launch.outputs[0].dtype.type
    rows, out = as_matrix(x), as_matrix(y)
    sums, n = _blocks(rows), real(rows.shape[0])
    return Pipeline([
        reductions.row_sums.over(x.size, rows, sums),
        batch_norm.means.stage(1, sums, n, mean),
        batch_norm.square_sums.over(x.size, rows, mean, sums),
        batch_norm.inverse_stds.stage(1, sums, n, real(launch.params["eps"]), inv_std),
        batch_norm.normalise.over(x.size, rows, mean, inv_std, gamma, beta, real(slope), out),
    ])


def bind_batch_norm_grad(launch: Launch, before: Launch | None = None) -> Call:
    """Bind the gradient of batch normalisation, together with `before`, if given: the leaky_relu_grad launch that makes g.

    The arrays that `before` reads may share memory with dgamma and dbeta, so these are written last.
    """
    (g, x, gamma, mean, inv_std), (dx, dgamma, dbeta) = launch.inputs, launch.outputs
    rows, cotangent, masked = as_matrix(x), as_matrix(g), (as_matrix(x), x.dtype.type(1))
    if before:
        cotangent, masked = as_matrix(before.inputs[0]), (as_matrix(before.inputs[1]), x.dtype.type(before.params["slope"]))
    sums, n, totals = _blocks(rows, 2), x.dtype.type(max(rows.shape[0], 1)), np.empty((4, rows.shape[1]), x.dtype)
    of_g, of_gh, mean_g, mean_gh = totals
    return Pipeline([
        batch_norm.product_sums.over(x.size, cotangent, *masked, rows, mean, inv_std, sums),
        batch_norm.product_totals.stage(1, sums, n, *totals),
        batch_norm.normalise_grad.over(x.size, cotangent, *masked, rows, mean, inv_std, gamma, mean_g, mean_gh, as_matrix(dx)),
        elementwise.copy.stage(1, of_g, dbeta), elementwise.copy.stage(1, of_gh, dgamma),
    ])


# ---- fused bias and activation ------------------------------------------------------------------------------------------------


def fused_slope(launch: Launch) -> float:
    """Return the slope below 0 of the leaky ReLU that is fused with the bias; 1, which changes nothing, for the other activations.
    """
    return launch.params.get("slope", 0.0) if launch.params["act"] == "leaky_relu" else 1.0


def activation_stages(y: np.ndarray, act: str) -> list[Stage]:
    """Return the stages that apply tanh or sigmoid to y in place; none for the activations that are a leaky ReLU."""
    loop = {"tanh": elementwise.tanh_in_place, "sigmoid": elementwise.sigmoid_in_place}.get(act)
    return [loop.over(y.size, flat(y))] if loop else []


def _bias_act(launch: Launch) -> Call:
    (x, b), (y,) = launch.inputs, launch.outputs
    biased = bias_act.bias_leaky_relu.over(x.size, as_matrix(x), b, y.dtype.type(fused_slope(launch)), as_matrix(y))
    return Pipeline([biased, *activation_stages(y, launch.params["act"])])


def _bias_act_grad(launch: Launch) -> Call:
    (g, y), (dx, db), act = launch.inputs, launch.outputs, launch.params["act"]
    rows = as_matrix(dx)
    sums = _blocks(rows)
    curve, slope = CURVES[act], dx.dtype.type(fused_slope(launch))
    stage = bias_act.bias_act_grad.over(g.size, as_matrix(g), as_matrix(y), curve, slope, rows, sums)
    return Pipeline([stage, reductions.add_up.over(sums.size, sums, db)])


# ---- updates ------------------------------------------------------------------------------------------------------------------


def _sgd(launch: Launch) -> Call:
    (g, rate), (theta,) = launch.inputs, launch.outputs
    return Pipeline([updates.sgd.over(g.size, flat(g), rate, launch.params["sign"], flat(theta))])


def _momentum(launch: Launch) -> Call:
    (g, rate), (theta, velocity), params = launch.inputs, launch.outputs, launch.params
    mu = g.dtype.type(params["mu"])
    return Pipeline([updates.momentum.over(g.size, flat(g), rate, params["sign"], mu, flat(theta), flat(velocity))])


def _adam(launch: Launch) -> Call:
    (g, rate), (theta, m, v, t), params = launch.inputs, launch.outputs, launch.params
    numbers = (float(params[name]) for name in ("beta1", "beta2", "eps"))
    states, count = map(flat, (theta, m, v)), updates.count.stage(1, t)
    return Pipeline([count, updates.adam.over(g.size, flat(g), rate, params["sign"], *numbers, *states, t)])


def _ema(launch: Launch) -> Call:
    (x,), (average,), real, decay = launch.inputs, launch.outputs, launch.inputs[0].dtype.type, launch.params["decay"]
    return Pipeline([updates.ema.over(x.size, flat(x), real(decay), real(1 - decay), flat(average))])


# ---- the table ------------------------------------------------------------------------------------------------------------------

BINDERS: dict[str, Callable[[Launch], Call]] = {
    **dict.fromkeys(_UFUNCS, _ufunc), **dict.fromkeys(_LOOPS, _elementwise),
    "tanh": _tanh, "equal": _equal, "div": _div, "power": _power, "fill": _fill, "sum": _sum, "max": _max,
    "bce_logits": _bce_logits, "batch_norm": bind_batch_norm, "batch_norm_grad": bind_batch_norm_grad, "bias_act": _bias_act,
    "bias_act_grad": _bias_act_grad, "sgd": _sgd, "momentum": _momentum, "adam": _adam, "ema": _ema,
}

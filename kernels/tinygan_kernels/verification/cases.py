"""Hard cases: for every kernel of the contract, inputs on which kernels go wrong. Tile edges, empty arrays, views, extreme values.

`cases("matmul")` yields them; tests and `verify` judge every version of every backend on the same ones. Sizes come from
{0, 1, t-1, t, t+1, 2t+3} for each tile side t, so that a block is empty, ragged, exactly full, and followed by another. Random
numbers come from a seed that kernel and label determine: the same everywhere, whichever cases are run. The property tests draw
from the same makers with seeds of their own.

A maker is a function of (kernel, tile sides) that yields (label, make) pairs; make(draw) returns inputs, states and parameters.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from tinygan_kernels.contract import KERNELS
from tinygan_kernels.shapes import ACTIVATIONS, conv_size

TILES = (16, 64, 128)  # sides of the tiles that kernels cut their work into, unless a caller knows better
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One call of a kernel. states: what the outputs of an update in place hold before; empty for the other kernels.

    check: how the outputs are judged: by the kernel's "bound", or as `extremes` says by what "extremes" or "places" ask for.
    """

    kernel: str
    label: str
    inputs: tuple[np.ndarray, ...]
    states: tuple[np.ndarray, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    check: str = "bound"

    @property
    def size(self) -> int:
        """The count of numbers in inputs and states."""
        return sum(array.size for array in (*self.inputs, *self.states))


def edges(tile: int) -> tuple[int, ...]:
    """Return the sizes at which a loop over tiles of that side goes wrong."""
    return (0, 1, tile - 1, tile, tile + 1, 2 * tile + 3)


def cases(
    kernel: str, dtype: Any = np.float32, tiles: Sequence[int] = TILES, seed: int = 0, large: bool = False
) -> Iterator[Case]:
    """Yield the hard cases of a kernel, in arrays of `dtype`. Raises LookupError, naming the table, for a kernel without any.

    tiles: the sides of the tiles whose edges products are to meet. seed: another one gives the same shapes with other numbers.
    large: also products and convolutions of some 10^7 multiplications, which versions made for large arrays need: seconds under
    emulation, milliseconds elsewhere.
    """
    more = _LARGE.get(kernel) if large else None
    # tiles of several sides meet some shapes twice
    found = dict(_maker(kernel)(kernel, tiles)) | dict(more(kernel) if more else {})
    for label, make in found.items():
        draw = Draw(np.random.default_rng(zlib.crc32(f"{kernel} {label}".encode()) + seed), np.dtype(dtype))
        inputs, states, params = make(draw)
        # Kernels take arrays of one dtype. Arithmetic turns 0-d arrays into scalars, in NumPy 1 also float32 into float64.
        inputs, states = (tuple(np.asarray(a, draw.dtype) for a in arrays) for arrays in (inputs, states))
        yield Case(kernel, label, inputs, states, params)


def _maker(kernel: str) -> Maker:
    """Return the maker of a kernel's cases: its own, or that of all elementwise kernels."""
    if kernel not in _MAKERS and not KERNELS[kernel].elementwise:
        raise LookupError(f"verification/cases.py: _MAKERS has no hard cases for {kernel}; only elementwise kernels need none")
    return _MAKERS.get(kernel, _elementwise)


class Draw:
    """A source of random arrays of one dtype, each with the shape that is asked for."""

    def __init__(self, rng: np.random.Generator, dtype: np.dtype) -> None:
        self.rng, self.dtype = rng, dtype

    def normal(self, *shape: int) -> np.ndarray:
        """Return numbers from N(0, 1)."""
        return np.asarray(self.rng.standard_normal(shape), self.dtype)

    def between(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Return numbers drawn evenly from [low, high)."""
        return np.asarray(self.rng.uniform(low, high, shape), self.dtype)

    def array(self, *values: float) -> np.ndarray:
        """Return these very values as an array."""
        return np.array(values, self.dtype)


Made = tuple[Sequence[np.ndarray], Sequence[np.ndarray], dict[str, Any]]
Labelled = Iterator[tuple[str, Callable[[Draw], Made]]]
Maker = Callable[[str, Sequence[int]], Labelled]


# ---- products -----------------------------------------------------------------------------------------------------------------


# Indices of M, N and K into `edges`: each meets every edge, and where one is ragged the others are empty, ragged or exact in turn.
_MEETINGS = (
    (0, 4, 5), (4, 0, 3), (4, 5, 0), (1, 1, 5), (1, 5, 4), (5, 1, 2), (2, 3, 5), (3, 3, 3), (3, 4, 1), (4, 2, 4), (5, 5, 2),
)  # fmt: skip
_BOTH_WAYS = ((4, 5, 2), (5, 4, 5))  # of these, all four combinations of transposed operands
_FLAGS = tuple(product((False, True), repeat=2))
_FEW_TERMS = ((17, 35, 2), (9, 64, 3), (33, 48, 4), (2, 31, 5))  # M, N, K: sums so short that they are a case of their own
# sums of several tiles of 32 terms and more: the second tile is where a barrier is missed
_MANY_TERMS = ((33, 35, 67), (5, 34, 96), (34, 3, 131), (1, 33, 100))


def _matmul(kernel: str, tiles: Sequence[int]) -> Labelled:
    for tile in tiles:
        side, depth = edges(tile), edges(16)
        for at, (m, n, k) in enumerate(_MEETINGS):
            yield _matmul_case(side[m], side[n], depth[k], *_FLAGS[at % 4])
        for (m, n, k), flags in product(_BOTH_WAYS, _FLAGS):
            yield _matmul_case(side[m], side[n], depth[k], *flags)
    for sizes, flags in zip(_FEW_TERMS + _MANY_TERMS, _FLAGS + _FLAGS, strict=True):
        yield _matmul_case(*sizes, *flags)


def _matmul_case(m: int, n: int, k: int, trans_a: bool, trans_b: bool) -> tuple[str, Callable[[Draw], Made]]:
    def make(draw: Draw) -> Made:
        a = draw.normal(k, m) if trans_a else draw.normal(m, k)
        b = draw.normal(n, k) if trans_b else draw.normal(k, n)
        return (a, b), (), {"trans_a": trans_a, "trans_b": trans_b}

    return f"{m}x{k}{' transposed' if trans_a else ''} @ {k}x{n}{' transposed' if trans_b else ''}", make


def _products_with_zeros(kernel: str) -> Labelled:
    """Yield products whose factor A has zeros of both signs, as a ReLU makes them, large enough that leaving them out pays."""
    for (m, n, k), (trans_a, trans_b) in zip(((130, 270, 300), (257, 264, 129), (128, 530, 160)), _FLAGS, strict=False):
        label, dense = _matmul_case(m, n, k, trans_a, trans_b)

        def make(draw: Draw, dense=dense) -> Made:
            (a, b), states, params = dense(draw)
            kept = draw.rng.random(a.shape) < 0.3
            return (np.where(kept, a, np.copysign(np.zeros_like(a), a)), b), states, params

        yield f"{label}, seven of ten numbers in A are 0", make


# images, height, width, c_in, c_out, filter height and width, stride, pad
_CONVOLUTIONS = (
    (1, 1, 1, 1, 1, 1, 1, 1, 0),
    (2, 5, 7, 3, 5, 3, 3, 1, 1),
    (1, 6, 4, 17, 16, 3, 2, 2, 0),  # a filter that is not square, a channel more than a tile
    (3, 8, 8, 1, 15, 4, 4, 2, 1),  # the usual discriminator layer
    (1, 9, 5, 2, 35, 2, 3, 3, 2),  # stride 3: some pixels are seen by no output
    (2, 3, 3, 4, 1, 5, 5, 1, 2),  # the filter is larger than the image
    (1, 4, 9, 16, 17, 1, 1, 1, 0),  # a matrix product in disguise
    (1, 7, 3, 5, 2, 3, 3, 2, 3),  # more padding than the filter reaches: outputs that see nothing
    (1, 4, 4, 16, 16, 1, 1, 1, 0),  # 16 pixels, 16 channels in and out: tiles of 16 that are exactly full
    (1, 3, 5, 15, 16, 1, 1, 1, 0),
    (1, 17, 1, 17, 33, 1, 1, 1, 0),
    (2, 8, 4, 67, 63, 1, 1, 1, 0),  # the same at 64
    (1, 9, 15, 5, 67, 3, 3, 1, 1),
    (0, 4, 4, 2, 3, 3, 3, 1, 1),
    (2, 4, 4, 0, 3, 3, 3, 1, 1),  # no channels in: zeros out
    (2, 4, 4, 3, 0, 3, 3, 1, 1),
    (3, 4, 3, 5, 18, 4, 3, 1, 0),  # filters as large as the image
    (2, 9, 8, 17, 19, 4, 4, 2, 1),  # a DCGAN's layer, just enough channels to fill the widest registers, odd sides
    (1, 5, 4, 16, 33, 4, 4, 2, 2),
)
_LARGE_CONVOLUTIONS = (
    (17, 16, 17, 33, 32, 4, 4, 2, 1),  # enough channels and pixels for Winograd's transforms to pay
    (70, 8, 8, 32, 35, 4, 4, 2, 1),
    (2, 6, 5, 140, 33, 3, 3, 1, 1),  # a filter row of so many numbers that unrolled patches are faster than reading it in place
)


def _convolution(kernel: str, tiles: Sequence[int]) -> Labelled:
    yield from _convolutions(kernel, _CONVOLUTIONS)


def _large_convolution(kernel: str) -> Labelled:
    yield from _convolutions(kernel, _LARGE_CONVOLUTIONS)


def _convolutions(kernel: str, forms: Sequence[tuple[int, ...]]) -> Labelled:
    for sizes in forms:
        images, height, width, c_in, c_out, kh, kw, stride, pad = sizes
        label = f"{images}x{height}x{width}x{c_in}, filter {kh}x{kw} to {c_out}, stride {stride}, pad {pad}"
        yield label, _convolution_maker(kernel, *sizes)


def _convolution_maker(kernel, images, height, width, c_in, c_out, kh, kw, stride, pad) -> Callable[[Draw], Made]:
    x, w = (images, height, width, c_in), (kh, kw, c_in, c_out)
    g = (images, conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad), c_out)
    shapes, params = {
        "conv2d": ((x, w), {}),
        "conv2d_dx": ((g, w), {"height": height, "width": width}),
        "conv2d_dw": ((x, g), {"kh": kh, "kw": kw}),
    }[kernel]
    return lambda draw: ([draw.normal(*shape) for shape in shapes], (), {"stride": stride, "pad": pad} | params)


# ---- loss and normalisation ---------------------------------------------------------------------------------------------------


def _bce_logits(kernel: str, tiles: Sequence[int]) -> Labelled:
    for n in (1, 2, 31, 32, 33, 255, 256, 257, 1027):
        yield f"{n} logits", lambda d, n=n: ((3 * d.normal(n), d.between(0, 1, n)), (), {})
    yield "(65, 3), labels 0 and 1", lambda d: ((9 * d.normal(65, 3), np.round(d.between(0, 1, 65, 3))), (), {})
    far = (-200.0, -88.0, -40.0, -1e-8, -0.0, 0.0, 1e-8, 40.0, 88.0, 200.0)
    for label in (0.0, 0.5, 1.0):
        yield f"far logits, label {label}", lambda d, t=label: ((d.array(*far), d.array(*[t] * len(far))), (), {})


def _batch_norm(kernel: str, tiles: Sequence[int]) -> Labelled:
    for shape in ((2, 1), (33, 3), (5, 4, 3, 17), (1, 4), (64, 0)):
        c = shape[-1]

        def make(d: Draw, shape=shape, c=c) -> Made:
            return (d.normal(*shape) + d.normal(c), d.normal(c), d.normal(c)), (), {"eps": 1e-5}

        yield f"{shape}", make


def _batch_norm_grad(kernel: str, tiles: Sequence[int]) -> Labelled:
    for shape in ((2, 1), (33, 3), (5, 4, 3, 17)):
        c = shape[-1]

        def make(d: Draw, shape=shape, c=c) -> Made:
            x = d.normal(*shape)
            mean = x.mean(axis=tuple(range(x.ndim - 1)))
            return (d.normal(*shape), x, d.normal(c), mean, d.between(0.5, 2, c)), (), {}

        yield f"{shape}", make


# ---- fused bias and activation ------------------------------------------------------------------------------------------------

_CHANNELS_LAST = ((0, 3), (1, 1), (257, 1), (35, 3), (2, 5, 7, 17), (3, 255), (2, 256), (513, 33), (4, 257), (0,), (5,), (7, 0))
_ACTS = [(act, slope) for act in ACTIVATIONS for slope in ((0.0, 0.2) if act == "leaky_relu" else (0.0,))]


def _bias_act(kernel: str, tiles: Sequence[int]) -> Labelled:
    for at, shape in enumerate(_CHANNELS_LAST):
        for act, slope in _ACTS if shape == (35, 3) else [_ACTS[at % len(_ACTS)]]:
            params = {"act": act, "slope": slope}
            yield f"{shape}, {act} {slope}", lambda d, s=shape, p=params: ((4 * d.normal(*s), d.normal(s[-1])), (), p)


def _bias_act_grad(kernel: str, tiles: Sequence[int]) -> Labelled:
    for at, shape in enumerate(_CHANNELS_LAST):
        for act, slope in _ACTS if shape == (35, 3) else [_ACTS[at % len(_ACTS)]]:
            low = 0.0 if act == "sigmoid" else -1.0
            params = {"act": act, "slope": slope}

            def make(d: Draw, shape=shape, low=low, params=params) -> Made:
                return (d.normal(*shape), d.between(low, 1.0, *shape)), (), params

            yield f"{shape}, {act} {slope}", make


# ---- updates ------------------------------------------------------------------------------------------------------------------


def _update(kernel: str, tiles: Sequence[int]) -> Labelled:
    numbers = {"sgd": {}, "momentum": {"mu": 0.9}, "adam": {"beta1": 0.5, "beta2": 0.999, "eps": 1e-8}}[kernel]
    for shape, sign, steps in (((1,), 1, 0), ((257,), -1, 0), ((33, 5), 1, 7), ((256,), -1, 1000), ((0,), 1, 3), ((), -1, 1)):

        def make(d: Draw, shape=shape, sign=sign, steps=steps) -> Made:
            states = [d.normal(*shape) for _ in range({"sgd": 1, "momentum": 2, "adam": 2}[kernel])]
            if kernel == "adam":
                states += [d.between(0, 1, *shape), d.array(steps).reshape(())]
            return (d.normal(*shape), d.array(1e-3).reshape(())), states, numbers | {"sign": sign}

        yield f"{shape}, sign {sign:+}, {steps} steps taken", make


def _ema(kernel: str, tiles: Sequence[int]) -> Labelled:
    for shape in ((), (0,), (257,), (33, 5)):
        yield f"{shape}", lambda d, s=shape: ((d.normal(*s),), (d.normal(*s),), {"decay": 0.999})


# ---- elementwise, reductions and moves ----------------------------------------------------------------------------------------

# for each elementwise kernel with parameters, the combinations to try
_PARAMS: dict[str, list[dict[str, Any]]] = {
    "power": [{"exponent": e} for e in (2, 0.5, -1, -0.5, 3, 0)],
    "leaky_relu": [{"slope": s} for s in (0.0, 0.2)],
    "leaky_relu_grad": [{"slope": s} for s in (0.0, 0.2)],
}
_POSITIVE = ("log", "sqrt", "power", "pow")
_UNARY_SHAPES: tuple[Shape, ...] = ((), (0,), (1,), (1025,), (3, 0, 2), (17, 5))
_PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((), ()), ((5,), ()), ((3, 1), (4,)), ((2, 3, 4), (3, 4)), ((0, 4), (4,)), ((129,), (129,)),
)  # fmt: skip


def _elementwise(kernel: str, tiles: Sequence[int]) -> Labelled:
    if KERNELS[kernel].params and kernel not in _PARAMS:
        raise LookupError(f"verification/cases.py: _PARAMS has no values for the parameters of {kernel}")
    pairs = [(a, b, a)[: len(KERNELS[kernel].inputs)] for a, b in _PAIRS]
    groups = [(s,) for s in _UNARY_SHAPES] if len(KERNELS[kernel].inputs) == 1 else pairs
    for shapes, params in product(groups, _PARAMS.get(kernel, [{}])):
        label = f"{' and '.join(map(str, shapes))}{''.join(f', {k} {v}' for k, v in params.items())}"
        yield label, lambda d, s=shapes, p=params: ([_values(kernel, d, shape) for shape in s], (), p)
    views = [(6, 10)] * len(KERNELS[kernel].inputs)
    yield "views", lambda d: ([_values(kernel, d, s)[::2].T[1:] for s in views], (), _PARAMS.get(kernel, [{}])[0])


def _values(kernel: str, draw: Draw, shape: Shape) -> np.ndarray:
    """Return numbers for an input: positive ones where the kernel wants them, else with ties and zeros among them."""
    if kernel in _POSITIVE:
        return draw.between(0.01, 8, *shape)
    if kernel == "div":
        return _divisors(draw, shape)
    values = draw.normal(*shape) * 3
    flat = values.reshape(-1)
    # ties and zeros, where max, equal, sign and the rectifiers decide
    flat[1::4] = 0
    flat[2::4] = 1
    return values


def _divisors(draw: Draw, shape: Shape) -> np.ndarray:
    """Return numbers of both signs, from about 2^-60 to 2^60 in size, with ones among them."""
    values = draw.normal(*shape)
    values *= (2.0 ** draw.between(-60, 60, *shape)).astype(values.dtype)
    values.reshape(-1)[2::4] = 1
    return values


_AXES: tuple[tuple[Shape, Shape, bool], ...] = (
    ((4, 5), (0,), False),
    ((4, 5), (1,), True),
    ((4, 5), (0, 1), False),
    ((3, 4, 5), (0, 2), True),
    ((2, 3, 4, 5), (0, 1, 2), False),
    ((1025,), (0,), False),
    ((7,), (), False),
    ((), (), False),
    ((3, 0), (0,), False),
)


def _reduction(kernel: str, tiles: Sequence[int]) -> Labelled:
    for shape, axes, keepdims in _AXES:
        params = {"axes": axes, "keepdims": keepdims}
        yield f"{shape} over {axes}{', kept' if keepdims else ''}", lambda d, s=shape, p=params: ((d.normal(*s),), (), p)
    yield "a view", lambda d: ((d.normal(6, 10)[::2].T,), (), {"axes": (1,)})
    if kernel == "sum":
        yield "of nothing", lambda d: ((d.normal(0, 3),), (), {"axes": (0,)})


def _fill(kernel: str, tiles: Sequence[int]) -> Labelled:
    for shape in ((), (0,), (33, 5)):
        yield f"{shape}", lambda d, s=shape: ((), (d.normal(*s),), {"value": 0.75})


_MAKERS: dict[str, Maker] = {
    "matmul": _matmul, "conv2d": _convolution, "conv2d_dx": _convolution, "conv2d_dw": _convolution,
    "bce_logits": _bce_logits, "batch_norm": _batch_norm, "batch_norm_grad": _batch_norm_grad,
    "bias_act": _bias_act, "bias_act_grad": _bias_act_grad, "sgd": _update, "momentum": _update, "adam": _update, "ema": _ema,
    "sum": _reduction, "max": _reduction, "fill": _fill,
}  # fmt: skip

_LARGE: dict[str, Callable[[str], Labelled]] = {
    "matmul": _products_with_zeros, **dict.fromkeys(("conv2d", "conv2d_dx", "conv2d_dw"), _large_convolution),
}

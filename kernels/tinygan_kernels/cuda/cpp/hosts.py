"""The host's side of cuda/*.cu: what each kernel is declared to take, and how many blocks a problem asks for.

A host function is called as host(device, number, *inputs, *outputs, **params) with arguments that the contract has passed, and
launches through `device` (see cuda_cpp). Scalars are given as the NumPy type that the C declaration names, never as Python's.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygan_kernels.shapes import ACTIVATIONS, ContractError


class Entry(NamedTuple):
    """A kernel's file and its parameters, (kind, name) each; T stands for float or double, whichever the arrays hold."""

    file: str
    parameters: tuple[tuple[str, str], ...]


def _entry(file: str, declaration: str) -> Entry:
    return Entry(file, tuple(tuple(parameter.rsplit(" ", 1)) for parameter in declaration.split(", ")))


_PRODUCT = "T* a, T* b, T* c, int M, int N, int K"
_GEOMETRY = "int images, int H, int W, int C_in, int OH, int OW, int C_out, int KH, int KW, int stride, int pad"
_CONVOLUTION = f"T* first, T* second, T* out, {_GEOMETRY}"

ENTRIES = {
    **{f"matmul_v{n}": _entry("matmul", f"{_PRODUCT}, int trans_a, int trans_b") for n in (1, 2, 3)},
    **{f"matmul_v{n}": _entry("matmul", _PRODUCT) for n in (4, 5, 6)},
    **{f"conv2d{of}_v{n}": _entry("conv2d", _CONVOLUTION) for of in ("", "_dx", "_dw") for n in (1, 2)},
    "conv2d_dw_v2": _entry("conv2d", f"{_CONVOLUTION}, int parts"),
    "conv2d_dw_v2_sum": _entry("conv2d", "T* partial, T* dw, int size, int parts"),
    "bce_logits_v1_terms": _entry("bce_logits", "T* s, T* t, T* terms, T* ds, int n"),
    "bce_logits_v1_mean": _entry("bce_logits", "T* terms, T* loss, int n"),
    "bce_logits_v2": _entry("bce_logits", "T* s, T* t, T* loss, T* ds, T* partials, unsigned* ticket, int n"),
    "bias_act_v1": _entry("bias_act", "T* x, T* b, T* y, int size, int channels, int act, T slope"),
    "bias_act_grad_v1": _entry(
        "bias_act", "T* g, T* y, T* dx, T* partial, int rows, int channels, int act, T slope, int share"
    ),
    "bias_act_grad_v1_sum": _entry("bias_act", "T* partial, T* db, int channels, int parts"),
    "adam_v1_begin": _entry("adam", "T* rate, T* t, T* factors, int sign, double beta1, double beta2"),
    "adam_v1": _entry(
        "adam", "T* g, T* theta, T* m, T* v, T* factors, T beta1, T rest1, T beta2, T rest2, T eps, int size"
    ),
}  # fmt: skip

_DTYPES = {"int": np.dtype(np.int32), "unsigned": np.dtype(np.uint32), "double": np.dtype(np.float64)}


def dtype_of(kind: str, dtype: Any) -> Any:
    """The NumPy dtype of a parameter of C type `kind`, where T is `dtype`."""
    return _DTYPES.get(kind.rstrip("*"), dtype)


def int32(value: int, what: str) -> np.int32:
    """`value` as the kernels count. Raises ContractError where 32 bits do not hold it."""
    if value > 0x7FFFFFFF:
        raise ContractError(f"{what} would be {value}; the kernels count to 2147483647: divide the work")
    return np.int32(value)


def _ints(kernel: str, **values: int) -> list[np.int32]:
    return [int32(value, f"{kernel}: {name}") for name, value in values.items()]


def _blocks(size: int, threads: int) -> int:
    return -(-size // threads)


# ---- products -----------------------------------------------------------------------------------------------------------------

_TILES = {1: (32, 8), 2: (8, 32), 3: (32, 32), 4: (64, 64), 5: (128, 128), 6: (128, 128)}  # rows and columns of C a block
_SIMPLE_THREADS = {1: (32, 8), 2: (32, 8), 3: (32, 32)}
_LONGEST_ROWS_5 = 1 << 23  # versions 5 and 6 reach over the rows of a tile with 32-bit offsets


def _product(c, k: int, number: int) -> tuple[list[np.int32], int]:
    (m, n), (tile_m, tile_n) = c.shape, _TILES[number]
    return _ints("matmul", M=m, N=n, K=k), _blocks(m, tile_m) * _blocks(n, tile_n)


def matmul_simple(device, number, a, b, c, trans_a=False, trans_b=False):
    sizes, blocks = _product(c, a.shape[0 if trans_a else 1], number)
    device.launch(f"matmul_v{number}", blocks, _SIMPLE_THREADS[number], a, b, c, *sizes, np.int32(trans_a), np.int32(trans_b))


def matmul_tiled(device, number, a, b, c, trans_a=False, trans_b=False):
    """Version 6 raises ContractError where there are no TF32 tensor cores; for K of 2^23 and more version 4 runs instead."""
    if number == 6 and device.capability < 80:
        raise ContractError(f"matmul version 6 needs TF32 tensor cores (compute capability 80), this GPU has {device.capability}")
    k = a.shape[0 if trans_a else 1]
    number = 4 if k >= _LONGEST_ROWS_5 else number
    sizes, blocks = _product(c, k, number)
    device.launch(f"matmul_v{number}", blocks, (256,), a, b, c, *sizes, suffix="_" + "nt"[trans_a] + "nt"[trans_b])


FEW_BLOCKS = 96  # fewer than that leave multiprocessors without work: an A100 has 108, an H100 132


def matmul_by_size(device, number, a, b, c, trans_a=False, trans_b=False):
    """The version to run where none was asked for: small products in version 4's smaller tiles, to occupy more of a GPU."""
    few = _product(c, a.shape[0 if trans_a else 1], number)[1] < FEW_BLOCKS
    matmul_tiled(device, 4 if few else number, a, b, c, trans_a, trans_b)


# ---- convolutions ---------------------------------------------------------------------------------------------------------------

_CONV_TILE = 64
_ENOUGH_BLOCKS = 256  # to fill a large GPU about twice


def _geometry(x_shape, w_shape, y_shape, stride: int, pad: int) -> list[np.int32]:
    (images, height, width, c_in), (kh, kw, _, c_out), (_, oh, ow, _) = x_shape, w_shape, y_shape
    for name, count in (("pixels", max(height * width, oh * ow) * images), ("an image", height * width * c_in),
                        ("an output", oh * ow * c_out), ("taps", kh * kw * max(c_in, c_out))):  # fmt: skip
        int32(count, f"conv2d: the size of {name}")
    return _ints("conv2d", images=images, H=height, W=width, C_in=c_in, OH=oh, OW=ow, C_out=c_out,
                 KH=kh, KW=kw, stride=stride, pad=pad)  # fmt: skip


def _conv_tiles(rows: int, columns: int) -> int:
    return _blocks(rows, _CONV_TILE) * _blocks(columns, _CONV_TILE)


def conv2d(device, number, x, w, y, stride, pad):
    geometry = _geometry(x.shape, w.shape, y.shape, stride, pad)
    if number == 1:
        device.launch("conv2d_v1", _blocks(y.size, 256), (256,), x, w, y, *geometry)
    else:
        device.launch("conv2d_v2", _conv_tiles(math.prod(y.shape[:3]), w.shape[3]), (256,), x, w, y, *geometry, suffix="")


def conv2d_dx(device, number, g, w, dx, stride, pad, height, width):
    geometry = _geometry(dx.shape, w.shape, g.shape, stride, pad)
    if number == 1:
        device.launch("conv2d_dx_v1", _blocks(dx.size, 256), (256,), g, w, dx, *geometry)
        return
    pixels = dx.shape[0] * _blocks(height, stride) * _blocks(width, stride)  # of the largest phase
    device.launch("conv2d_dx_v2", stride**2 * _conv_tiles(pixels, w.shape[2]), (256,), g, w, dx, *geometry, suffix="")


def conv2d_dw(device, number, x, g, dw, stride, pad, kh, kw):
    geometry = _geometry(x.shape, dw.shape, g.shape, stride, pad)
    if number == 1:
        device.launch("conv2d_dw_v1", _blocks(dw.size, 256), (256,), x, g, dw, *geometry)
        return
    tiles, pixels = _conv_tiles(kh * kw * x.shape[3], g.shape[3]), math.prod(g.shape[:3])
    parts = max(1, min(_ENOUGH_BLOCKS // max(tiles, 1), pixels // 128))
    partial = dw if parts == 1 else device.scratch("partial dw", (parts, *dw.shape), dw.dtype)
    device.launch("conv2d_dw_v2", tiles * parts, (256,), x, g, partial, *geometry, np.int32(parts), suffix="")
    if parts > 1:
        sizes = _ints("conv2d_dw", size=dw.size, parts=parts)
        device.launch("conv2d_dw_v2_sum", _blocks(dw.size, 256), (256,), partial, dw, *sizes, suffix="")


# ---- the game's loss ------------------------------------------------------------------------------------------------------------


def bce_logits_two_pass(device, number, s, t, loss, ds):
    (n,) = _ints("bce_logits", n=s.size)
    terms = device.scratch("loss terms", s.shape, s.dtype)
    device.launch("bce_logits_v1_terms", _blocks(s.size, 256), (256,), s, t, terms, ds, n)
    device.launch("bce_logits_v1_mean", 1, (256,), terms, loss, n)


def bce_logits_one_pass(device, number, s, t, loss, ds):
    (n,) = _ints("bce_logits", n=s.size)
    blocks = min(_blocks(s.size, 1024), _ENOUGH_BLOCKS)  # about four logits a thread, so that few blocks have to meet
    partials = device.scratch("loss partials", (_ENOUGH_BLOCKS,), s.dtype)
    device.launch("bce_logits_v2", blocks, (256,), s, t, loss, ds, partials, device.ticket, n)


# ---- fused layers and updates ---------------------------------------------------------------------------------------------------


def bias_act(device, number, x, b, y, act, slope=0.0):
    sizes = _ints("bias_act", size=x.size, channels=b.size, act=ACTIVATIONS.index(act))
    device.launch("bias_act_v1", _blocks(x.size, 256), (256,), x, b, y, *sizes, x.dtype.type(slope))


def bias_act_grad(device, number, g, y, dx, db, act, slope=0.0):
    channels = db.size
    rows, strips = g.size // channels if channels else 0, _blocks(channels, 32)
    parts = max(1, min(_ENOUGH_BLOCKS // max(strips, 1), rows // 64))
    partial = db if parts == 1 else device.scratch("partial db", (parts, channels), db.dtype)
    sizes = _ints("bias_act_grad", rows=rows, channels=channels, act=ACTIVATIONS.index(act))
    share, threads = np.int32(_blocks(rows, parts)), (32, 8)
    device.launch("bias_act_grad_v1", strips * parts, threads, g, y, dx, partial, *sizes, g.dtype.type(slope), share)
    if parts > 1:
        device.launch("bias_act_grad_v1_sum", _blocks(channels, 256), (256,), partial, db, np.int32(channels), np.int32(parts))


def adam(device, number, g, rate, theta, m, v, t, *, sign, beta1, beta2, eps):
    real, factors = g.dtype.type, device.scratch("adam factors", (2,), g.dtype)
    device.launch("adam_v1_begin", 1, (1,), rate, t, factors, np.int32(sign), np.float64(beta1), np.float64(beta2))
    numbers = [real(value) for value in (beta1, 1 - beta1, beta2, 1 - beta2, eps)]
    device.launch("adam_v1", _blocks(g.size, 256), (256,), g, theta, m, v, factors, *numbers, *_ints("adam", size=g.size))

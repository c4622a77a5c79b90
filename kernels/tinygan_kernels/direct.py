"""Convolution on the CPU without unrolled patches: tiles that read the padded image in place.

Of one image at a time, which stays in the cache. In NHWC what a filter row sees, KW taps of C channels, lies together in memory, so
that the sum over a patch has KH segments of KW C terms, and an output pixel's patch begins at a fixed distance from the image's
start. So a tile (`tiles`) needs a table of these distances and no copy of the patches. The weights' gradient is the same with
pixels as terms. The input's gradient is a product whose rows are added to where they came from, in whole registers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numba
import numpy as np

from .compiled import njit, njit_parallel
from .cpu_matmul import JOB, LANES_32, LANES_64, Call, Cut, address_of, cut, held, run_job
from .simd import lanes
from .tiles import add_register

Take = Callable[[str, tuple[int, ...], np.dtype], np.ndarray]
PARTS = 16  # of the batch, whose sums of the weights' gradient are added up in order: the number of threads changes no bit
THIN = 4  # registers that a filter row's taps fill at most: wider filters no longer fit in the level-1 cache


def thin(filters: tuple[int, ...], itemsize: int) -> bool:
    """Whether filters of this shape (KH, KW, C_in, C_out) go this way."""
    return 0 < filters[1] * filters[2] <= THIN * lanes(itemsize) and filters[0] > 0


@njit
def _pad(image, pad, padded):
    """image (H, W, C) into the midst of zeros: padded (H + 2 pad, at least (W + 2 pad) C)."""
    height, width, c = image.shape
    padded[:pad] = 0
    padded[height + pad :] = 0
    for y in range(height):
        row = padded[y + pad]
        row[: pad * c] = 0
        row[(width + pad) * c :] = 0
        row[pad * c : (width + pad) * c] = image[y].reshape(-1)


@njit_parallel
def _forward(tall, across, like, x, pad, padded, jobs):
    for n in numba.prange(x.shape[0]):
        mine = padded[numba.get_thread_id()]
        _pad(x[n], pad, mine)
        jobs[n].a = address_of(mine)
        run_job(tall, across, like, jobs[n], 0)


@njit_parallel
def _weights(tall, across, like, x, g, pad, padded, jobs):
    for p in numba.prange(len(jobs)):
        mine = padded[numba.get_thread_id()]
        start, stop = p * len(x) // len(jobs), (p + 1) * len(x) // len(jobs)
        for n in range(start, stop):
            _pad(x[n], pad, mine)
            jobs[p].a, jobs[p].b, jobs[p].add = address_of(mine), address_of(g[n]), n > start
            run_job(tall, across, like, jobs[p], 0)


@njit
def _fold(like, patches, kh, run, out_width, row_step, pixel_step, padded):
    """Adds every row of patches (OH OW, KH run) to the pixels that it saw: steps are numbers of padded (H, row length)."""
    item = like.itemsize
    side = LANES_32 if item == 4 else LANES_64
    padded[:] = 0
    for pixel in range(patches.shape[0]):
        i, j = pixel // out_width, pixel % out_width
        source, target = address_of(patches[pixel]), address_of(padded) + (i * row_step + j * pixel_step) * item
        for u in range(kh):
            for k in range(0, run, side):
                add_register(like, source + (u * run + k) * item, target + (u * padded.shape[1] + k) * item)


@njit_parallel
def _inputs(tall, across, like, kh, run, out_width, stride, pad, patches, padded, jobs, dx):
    height, width, c = dx.shape[1:]
    for n in numba.prange(dx.shape[0]):
        thread = numba.get_thread_id()
        mine, whole = patches[thread], padded[thread]
        jobs[n].c = address_of(mine)
        run_job(tall, across, like, jobs[n], 0)
        _fold(like, mine, kh, run, out_width, stride * whole.shape[1], stride * c, whole)
        for y in range(height):
            dx[n, y].reshape(-1)[:] = whole[y + pad, pad * c : (pad + width) * c]


class Direct:
    """conv2d and its adjoints as calls without arguments, None where the shapes are too thin; scratch by `take`."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def _padded(self, height: int, length: int, dtype: np.dtype) -> np.ndarray:
        return self._take("padded", (numba.get_num_threads(), height, length), dtype)

    def conv2d(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: int, pad: int) -> Call | None:
        (n, height, width, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, w.shape, y.shape[1:3], x.itemsize
        chosen = cut(oh * ow, c_out, 0, item, parts=1)
        if n == 0 or chosen is None:
            return None
        length = (width + 2 * pad) * c
        padded = self._padded(height + 2 * pad, length, x.dtype)
        rows = (stride * (np.arange(oh)[:, None] * length + np.arange(ow) * c) * item).reshape(-1)
        jobs = _jobs(n, oh * ow, c_out)
        jobs["rows"], jobs["a_step"], jobs["a_segment"] = rows.ctypes.data, item, length * item
        jobs["b"], jobs["b_step"], jobs["b_segment"] = w.ctypes.data, c_out * item, kw * c * c_out * item
        jobs["c"], jobs["c_step"] = y.ctypes.data + np.arange(n) * y.strides[0], c_out * item
        jobs["segments"], jobs["depth"] = kh, kw * c
        return _bound(_forward, chosen, x, (x, pad, padded, jobs), (w, y, rows))

    def conv2d_dw(self, x: np.ndarray, g: np.ndarray, dw: np.ndarray, stride: int, pad: int) -> Call | None:
        (n, height, width, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, dw.shape, g.shape[1:3], x.itemsize
        taps = kh * kw * c
        chosen = cut(taps, c_out, 0, item, parts=1, whole=True)
        if n == 0 or chosen is None or oh * ow == 0:
            return None
        length = (width + 2 * pad) * c
        padded = self._padded(height + 2 * pad, length, x.dtype)
        rows = ((np.arange(kh)[:, None] * length + np.arange(kw * c)) * item).reshape(-1)
        sums = self._take("sums", (min(n, PARTS), taps, c_out), x.dtype)
        jobs = _jobs(len(sums), taps, c_out)
        jobs["rows"], jobs["a_step"], jobs["a_segment"] = rows.ctypes.data, stride * c * item, stride * length * item
        jobs["b_step"], jobs["b_segment"] = c_out * item, ow * c_out * item
        jobs["c"], jobs["c_step"] = sums.ctypes.data + np.arange(len(sums)) * sums.strides[0], c_out * item
        jobs["segments"], jobs["depth"] = oh, ow
        share = _bound(_weights, chosen, x, (x, g, pad, padded, jobs), (rows,))

        def call() -> None:
            share()
            np.add.reduce(sums, axis=0, out=dw.reshape(taps, c_out))

        return call

    def conv2d_dx(self, g: np.ndarray, w: np.ndarray, dx: np.ndarray, stride: int, pad: int) -> Call | None:
        (kh, kw, c, c_out), (n, oh, ow, _), (height, width), item = w.shape, g.shape, dx.shape[1:3], g.itemsize
        run = -(-kw * c // lanes(item)) * lanes(item)  # a filter row's taps, filled up to whole registers
        chosen = cut(oh * ow, kh * run, 0, item, parts=1)
        if n == 0 or chosen is None or c_out == 0:
            return None
        turned = self._take("turned", (c_out, kh, run), w.dtype)
        rows, pixels = np.arange(oh * ow) * c_out * item, max(height + 2 * pad, (oh - 1) * stride + kh)
        length = max((width + 2 * pad) * c, (ow - 1) * stride * c + run)
        patches = self._take("cols", (numba.get_num_threads(), oh * ow, kh * run), g.dtype)
        jobs = _jobs(n, oh * ow, kh * run)
        jobs["a"], jobs["rows"], jobs["a_step"] = g.ctypes.data + np.arange(n) * g.strides[0], rows.ctypes.data, item
        jobs["b"], jobs["b_step"], jobs["c_step"] = turned.ctypes.data, kh * run * item, kh * run * item
        jobs["segments"], jobs["depth"] = 1, c_out
        sizes = (kh, run, ow, stride, pad, patches, self._padded(pixels, length, g.dtype), jobs, dx)
        share = _bound(_inputs, chosen, g, sizes, (g, turned, rows))

        def call() -> None:
            turned[..., kw * c :] = 0
            turned[..., : kw * c] = w.reshape(kh, kw * c, c_out).transpose(2, 0, 1)
            share()

        return call


def _jobs(count: int, m: int, n: int) -> np.ndarray:
    jobs = np.zeros(count, JOB)
    jobs["bottom"], jobs["right"], jobs["slope"] = m, n, 1
    return jobs


def _bound(loop: Callable, chosen: Cut, like: np.ndarray, arguments: tuple, alive: tuple) -> Call:
    return held(partial(loop, (0,) * chosen.height, (0,) * chosen.across, like.reshape(-1)[:1], *arguments), *alive)

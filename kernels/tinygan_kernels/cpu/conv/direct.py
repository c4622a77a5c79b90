"""Convolution on the CPU without unrolled patches: tiles that read the padded images in place.

In NHWC what a filter row sees, KW taps of C channels, lies together in memory, so that the sum over a patch has KH segments of
KW C terms, and an output pixel's patch begins at a fixed distance from its image's start. So a tile (`tiles`) needs a table of
these distances and no copy of the patches. The weights' gradient is the same with pixels as terms. The input's gradient is a
product, whose rows are added to where they came from, in whole registers.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.matmul.blocking import Cut, cut
from tinygan_kernels.cpu.matmul.jobs import JOB, Take, stage_of
from tinygan_kernels.cpu.matmul.microkernel import add_register
from tinygan_kernels.cpu.matmul.packing import LANES_32, LANES_64
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.simd import lanes
from tinygan_kernels.cpu.runtime.stages import Loop, Stage, Work, pieces, share
from tinygan_kernels.cpu.runtime.team import MOST_THREADS

THIN = 4  # registers that a filter row's taps fill at most: wider filters no longer fit in the level-1 cache
PATCH_BYTES = 1 << 20  # of rows that wait to be added to the input's gradient


def thin(filters: tuple[int, ...], itemsize: int) -> bool:
    """Whether filters of this shape (KH, KW, C_in, C_out) go this way."""
    return 0 < filters[1] * filters[2] <= THIN * lanes(itemsize) and filters[0] > 0


@Loop
def _pad(images, top, left, padded, part, parts):
    """images (N, H, W C) into the midst of zeros, `top` rows and `left` numbers from the corners of padded (N, H', L)."""
    first, last = share(padded.shape[0], parts, part)
    for n in range(first, last):
        for y in range(padded.shape[1]):
            row = padded[n, y]
            for i in range(row.size):
                row[i] = 0
            if top <= y < top + images.shape[1]:
                seen, inside = images[n, y - top], row[left : left + images.shape[2]]
                for i in range(seen.size):
                    inside[i] = seen[i]


@Loop
def _fold(patches, kh, run, out_width, row_step, pixel_step, padded, top, left, dx, part, parts, thread):
    """Adds every row of patches (N, OH OW, KH run) to the pixels that it saw, and takes dx (N, H, W C) out of the padded images.

    The steps, of an output row and an output pixel, count numbers of padded (threads, H', L).
    """
    item = dx.itemsize
    side = LANES_32 if item == 4 else LANES_64
    whole = padded[thread]
    first, last = share(dx.shape[0], parts, part)
    for n in range(first, last):
        for y in range(whole.shape[0]):
            row = whole[y]
            for i in range(row.size):
                row[i] = 0
        for pixel in range(patches.shape[1]):
            i, j = pixel // out_width, pixel % out_width
            source, target = address_of(patches[n, pixel]), address_of(whole) + (i * row_step + j * pixel_step) * item
            for u in range(kh):
                for k in range(0, run, side):
                    add_register(dx, source + (u * run + k) * item, target + (u * whole.shape[1] + k) * item)
        for y in range(dx.shape[1]):
            row, inside = dx[n, y], whole[y + top, left : left + dx.shape[2]]
            for i in range(row.size):
                row[i] = inside[i]


def _as_rows(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as (N, H, W C)"""
    n, height, width, c = images.shape
    return images.reshape(n, height, width * c)


def _jobs(chosen: Cut, count: int, m: int, n: int) -> np.ndarray:
    jobs = np.zeros(count, JOB)
    jobs["bottom"], jobs["right"], jobs["slope"] = m, n, 1
    chosen.describe(jobs)
    return jobs


def _starts(array: np.ndarray) -> np.ndarray:
    """The address of each of the array's items."""
    return array.ctypes.data + np.arange(len(array)) * array.strides[0]


class Direct:
    """conv2d and its adjoints as Work, None where the shapes are too thin; scratch by `take`."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def _padded(self, x: np.ndarray, pad: int) -> tuple[np.ndarray, Stage]:
        """(room for the padded images, the stage that fills it)"""
        n, height, width, c = x.shape
        padded = self._take("padded", (n, height + 2 * pad, (width + 2 * pad) * c), x.dtype)
        return padded, _pad.over(padded.size, _as_rows(x), pad, pad * c, padded)

    def conv2d(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: int, pad: int) -> Work | None:
        (n, _, _, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, w.shape, y.shape[1:3], x.itemsize
        chosen = cut(oh * ow, c_out, kw * c, item, parts=1)
        if n == 0 or chosen is None:
            return None
        padded, fill = self._padded(x, pad)
        rows = (stride * (np.arange(oh)[:, None] * padded.strides[1] + np.arange(ow) * c * item)).reshape(-1)
        jobs = _jobs(chosen, n, oh * ow, c_out)
        jobs["a"], jobs["rows"], jobs["a_step"], jobs["a_segment"] = _starts(padded), rows.ctypes.data, item, padded.strides[1]
        jobs["b"], jobs["b_step"], jobs["b_segment"] = w.ctypes.data, c_out * item, kw * c * c_out * item
        jobs["c"], jobs["c_step"] = _starts(y), c_out * item
        jobs["segments"], jobs["depth"] = kh, kw * c
        return Work([fill, stage_of(chosen, jobs, x.dtype, self._take, padded, w, y, rows)])

    def conv2d_dw(self, x: np.ndarray, g: np.ndarray, dw: np.ndarray, stride: int, pad: int) -> Work | None:
        """Of every image by itself, then added up in order: the number of threads changes no bit."""
        (n, _, _, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, dw.shape, g.shape[1:3], x.itemsize
        taps = kh * kw * c
        chosen = cut(taps, c_out, ow, item, parts=1)
        if n == 0 or chosen is None or oh * ow == 0:
            return None
        padded, fill = self._padded(x, pad)
        rows = (np.arange(kh)[:, None] * padded.strides[1] + np.arange(kw * c) * item).reshape(-1)
        sums = self._take("sums", (n, taps, c_out), x.dtype)
        jobs = _jobs(chosen, n, taps, c_out)
        jobs["a"], jobs["rows"] = _starts(padded), rows.ctypes.data
        jobs["a_step"], jobs["a_segment"] = stride * c * item, stride * padded.strides[1]
        jobs["b"], jobs["b_step"], jobs["b_segment"] = _starts(g), c_out * item, ow * c_out * item
        jobs["c"], jobs["c_step"] = _starts(sums), c_out * item
        jobs["segments"], jobs["depth"] = oh, ow
        add_up = elementwise.add_up.over(sums.size, sums.reshape(n, taps * c_out), dw.reshape(taps * c_out))
        return Work([fill, stage_of(chosen, jobs, x.dtype, self._take, padded, g, rows), add_up])

    def conv2d_dx(self, g: np.ndarray, w: np.ndarray, dx: np.ndarray, stride: int, pad: int) -> Work | None:
        (kh, kw, c, c_out), (n, oh, ow, _), (height, width), item = w.shape, g.shape, dx.shape[1:3], g.itemsize
        run = -(-kw * c // lanes(item)) * lanes(item)  # a filter row's taps, filled up to whole registers
        chosen = cut(oh * ow, kh * run, c_out, item, parts=1)
        if n == 0 or chosen is None or c_out == 0:
            return None
        turned, rows = self._take("turned", (c_out, kh, run), w.dtype), np.arange(oh * ow) * c_out * item
        length = max((width + 2 * pad) * c, (ow - 1) * stride * c + run)
        padded = self._take("padded", (MOST_THREADS, max(height + 2 * pad, (oh - 1) * stride + kh), length), g.dtype)
        step = max(1, PATCH_BYTES // (oh * ow * kh * run * item))
        stages = [_turn.over(turned.size, w.reshape(kh, kw * c, c_out), turned)]
        for start in range(0, n, step):
            some = dx[start : start + step]
            patches = self._take("patches", (len(some), oh * ow, kh * run), g.dtype)
            jobs = _jobs(chosen, len(some), oh * ow, kh * run)
            jobs["a"], jobs["rows"], jobs["a_step"] = _starts(g)[start : start + step], rows.ctypes.data, item
            jobs["b"], jobs["b_step"] = turned.ctypes.data, kh * run * item
            jobs["c"], jobs["c_step"] = _starts(patches), kh * run * item
            jobs["segments"], jobs["depth"] = 1, c_out
            sizes = kh, run, ow, stride * length, stride * c
            fold = _fold.stage(
                pieces(len(some), patches.size), patches, *sizes, padded, pad, pad * c, _as_rows(some), size=patches.size
            )
            stages += [stage_of(chosen, jobs, g.dtype, self._take, g, turned, rows, patches), fold]
        return Work(stages)


@Loop
def _turn(w, turned, part, parts):
    """w (KH, KW C, C_out) into turned (C_out, KH, run), a filter row's taps followed by zeros."""
    first, last = share(turned.shape[0], parts, part)
    for o in range(first, last):
        for u in range(w.shape[0]):
            row = turned[o, u]
            for k in range(w.shape[1]):
                row[k] = w[u, k, o]
            row[w.shape[1] :] = 0

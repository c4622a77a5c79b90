"""Convolution on the CPU without unrolled patches: register tiles that read the padded images in place.

In NHWC the KW taps of C channels that a filter row sees are contiguous, so the sum over a patch has KH segments of KW C terms, and
an output pixel's patch begins at a fixed distance from its image's start. So the microkernel needs a table of these distances and
no copy of the patches. The weights' gradient is the same with pixels as terms. The input's gradient is a product whose rows are
added, in whole registers, to the pixels that they came from.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinygan_kernels.cpu import reductions
from tinygan_kernels.cpu.matmul.blocking import Blocking, choose_blocking
from tinygan_kernels.cpu.matmul.jobs import JOB, TakeScratch, stage_of
from tinygan_kernels.cpu.matmul.microkernel import add_register
from tinygan_kernels.cpu.matmul.packing import LANES_32, LANES_64
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.simd import lanes
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, Stage, parts_for_items, share
from tinygan_kernels.cpu.runtime.threads import MOST_THREADS

# `python -m benchmarks.speed.tune` times both ways on both sides of the first value, and pieces of other sizes than the second.
FEW_REGISTERS = 16  # registers that a filter row's taps fill at most where this pays: wider filters leave the level-1 cache
PATCH_BYTES = 1 << 20  # bytes of patches' gradients that are computed before they are added to the input's


def suits(kernel: str, filters: tuple[int, ...], pixels: tuple[int, ...], itemsize: int) -> bool:
    """Return whether filters (KH, KW, C_in, C_out) and output pixels (N, OH, OW, C_out) can be computed this way: there has to be
    something to compute, and a tile no larger than the result of one image.
    """
    return min(*filters, *pixels) > 0 and tile_blocking(kernel, filters, pixels, itemsize) is not None


def pays(filters: tuple[int, ...], itemsize: int) -> bool:
    """Return whether few enough channels go in, for filters (KH, KW, C_in, C_out), that this is faster than unrolled patches."""
    return 0 < filters[1] * filters[2] <= FEW_REGISTERS * lanes(itemsize) and filters[0] > 0


def padded_run(filters: tuple[int, ...], itemsize: int) -> int:
    """Return how many numbers the taps of a filter row are, KW C_in, when they are filled up to whole registers."""
    return -(-filters[1] * filters[2] // lanes(itemsize)) * lanes(itemsize)


@lru_cache(maxsize=256)
def tile_blocking(kernel: str, filters: tuple[int, ...], pixels: tuple[int, ...], itemsize: int) -> Blocking | None:
    """Return the tiles for one image; None if no tile is as small as its result."""
    (kh, kw, c, c_out), (oh, ow) = filters, pixels[1:3]
    m, n, depth = {
        "conv2d": (oh * ow, c_out, kw * c),
        "conv2d_dx": (oh * ow, kh * padded_run(filters, itemsize), c_out),
        "conv2d_dw": (kh * kw * c, c_out, ow),
    }[kernel]
    return choose_blocking(m, n, depth, itemsize, parts=1)


@ParallelLoop
def _pad(images, top, left, padded, part, parts):
    """Copy images (N, H, W C) into padded (N, H', L), `top` rows and `left` numbers from its corners, with zeros around them."""
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


@ParallelLoop
def _fold(patches, kh, run, taps, out_width, row_step, pixel_step, padded, top, left, dx, part, parts, thread):
    """Add every row of patches (N, OH OW, KH run) to the pixels that it saw, in padded images, and cut dx (N, H, W C) out of them.

    taps: KW C, after which the rest of a run is a gradient times 0. That is 0, or a NaN where the gradient is not finite, which
    belongs to no pixel. row_step, pixel_step: how far apart the patches of neighbouring output rows and output pixels begin, in
    numbers of padded (threads, H', L).
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
            if taps < run and patches[n, pixel, run - 1] != 0:
                for u in range(kh):
                    patches[n, pixel, u * run + taps : (u + 1) * run] = 0
            for u in range(kh):
                for k in range(0, run, side):
                    add_register(dx, source + (u * run + k) * item, target + (u * whole.shape[1] + k) * item)
        for y in range(dx.shape[1]):
            row, inside = dx[n, y], whole[y + top, left : left + dx.shape[2]]
            for i in range(row.size):
                row[i] = inside[i]


def _flat_rows(images: np.ndarray) -> np.ndarray:
    """View images (N, H, W, C) as (N, H, W C)."""
    n, height, width, c = images.shape
    return images.reshape(n, height, width * c)


def _jobs(blocking: Blocking, count: int, m: int, n: int) -> np.ndarray:
    """Return `count` jobs, one for each image, whose C is (m, n)."""
    jobs = np.zeros(count, JOB)
    jobs["bottom"], jobs["right"], jobs["slope"] = m, n, 1
    blocking.describe(jobs)
    return jobs


def _starts(array: np.ndarray) -> np.ndarray:
    """Return the address of each item along the array's first axis."""
    return array.ctypes.data + np.arange(len(array)) * array.strides[0]


class DirectConvolution:
    """Binds conv2d and its adjoints for shapes that suit, with scratch memory from `take`."""

    def __init__(self, take: TakeScratch) -> None:
        self._take = take

    def _padded(self, x: np.ndarray, pad: int) -> tuple[np.ndarray, Stage]:
        """Return (room for the padded images, the stage that fills it)."""
        n, height, width, c = x.shape
        padded = self._take("padded", (n, height + 2 * pad, (width + 2 * pad) * c), x.dtype)
        return padded, _pad.over(padded.size, _flat_rows(x), pad, pad * c, padded)

    def conv2d(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: int, pad: int) -> Pipeline:
        (n, _, _, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, w.shape, y.shape[1:3], x.itemsize
        blocking = tile_blocking("conv2d", w.shape, y.shape, item)
        padded, fill = self._padded(x, pad)
        row_offsets = (stride * (np.arange(oh)[:, None] * padded.strides[1] + np.arange(ow) * c * item)).reshape(-1)
        jobs = _jobs(blocking, n, oh * ow, c_out)
        jobs["a"], jobs["row_offsets"] = _starts(padded), row_offsets.ctypes.data
        jobs["a_step"], jobs["a_segment"] = item, padded.strides[1]
        jobs["b"], jobs["b_step"], jobs["b_segment"] = w.ctypes.data, c_out * item, kw * c * c_out * item
        jobs["c"], jobs["c_step"] = _starts(y), c_out * item
        jobs["segments"], jobs["depth"] = kh, kw * c
        return Pipeline([fill, stage_of(blocking, jobs, x.dtype, self._take, padded, w, y, row_offsets)])

    def conv2d_dw(self, x: np.ndarray, g: np.ndarray, dw: np.ndarray, stride: int, pad: int) -> Pipeline:
        """Bind dw: the gradient of every image by itself, then their sum in order, so that the number of threads changes no bit."""
        (n, _, _, c), (kh, kw, _, c_out), (oh, ow), item = x.shape, dw.shape, g.shape[1:3], x.itemsize
        taps = kh * kw * c
        blocking = tile_blocking("conv2d_dw", dw.shape, g.shape, item)
        padded, fill = self._padded(x, pad)
        row_offsets = (np.arange(kh)[:, None] * padded.strides[1] + np.arange(kw * c) * item).reshape(-1)
        sums = self._take("sums", (n, taps, c_out), x.dtype)
        jobs = _jobs(blocking, n, taps, c_out)
        jobs["a"], jobs["row_offsets"] = _starts(padded), row_offsets.ctypes.data
        jobs["a_step"], jobs["a_segment"] = stride * c * item, stride * padded.strides[1]
        jobs["b"], jobs["b_step"], jobs["b_segment"] = _starts(g), c_out * item, ow * c_out * item
        jobs["c"], jobs["c_step"] = _starts(sums), c_out * item
        jobs["segments"], jobs["depth"] = oh, ow
        add_up = reductions.add_up.over(sums.size, sums.reshape(n, taps * c_out), dw.reshape(taps * c_out))
        return Pipeline([fill, stage_of(blocking, jobs, x.dtype, self._take, padded, g, row_offsets), add_up])

    def conv2d_dx(self, g: np.ndarray, w: np.ndarray, dx: np.ndarray, stride: int, pad: int) -> Pipeline:
        (kh, kw, c, c_out), (n, oh, ow, _), (height, width), item = w.shape, g.shape, dx.shape[1:3], g.itemsize
        run, blocking = padded_run(w.shape, item), tile_blocking("conv2d_dx", w.shape, g.shape, item)
        transposed, row_offsets = self._take("transposed", (c_out, kh, run), w.dtype), np.arange(oh * ow) * c_out * item
        length = max((width + 2 * pad) * c, (ow - 1) * stride * c + run)
        padded = self._take("padded", (MOST_THREADS, max(height + 2 * pad, (oh - 1) * stride + kh), length), g.dtype)
        step = max(1, PATCH_BYTES // (oh * ow * kh * run * item))
        stages = [_transpose_filters.over(transposed.size, w.reshape(kh, kw * c, c_out), transposed)]
        for start in range(0, n, step):
            some = dx[start : start + step]
            patches = self._take("patches", (len(some), oh * ow, kh * run), g.dtype)
            jobs = _jobs(blocking, len(some), oh * ow, kh * run)
            jobs["a"], jobs["row_offsets"], jobs["a_step"] = _starts(g)[start : start + step], row_offsets.ctypes.data, item
            jobs["b"], jobs["b_step"] = transposed.ctypes.data, kh * run * item
            jobs["c"], jobs["c_step"] = _starts(patches), kh * run * item
            jobs["segments"], jobs["depth"] = 1, c_out
            sizes = kh, run, kw * c, ow, stride * length, stride * c
            fold = _fold.stage(
                parts_for_items(len(some), patches.size), patches, *sizes, padded, pad, pad * c, _flat_rows(some), size=patches.size
            )
            stages += [stage_of(blocking, jobs, g.dtype, self._take, g, transposed, row_offsets, patches), fold]
        return Pipeline(stages)


@ParallelLoop
def _transpose_filters(w, transposed, part, parts):
    """Transpose w (KH, KW C, C_out) into transposed (C_out, KH, run), each filter row's taps followed by zeros."""
    first, last = share(transposed.shape[0], parts, part)
    for o in range(first, last):
        for u in range(w.shape[0]):
            row = transposed[o, u]
            for k in range(w.shape[1]):
                row[k] = w[u, k, o]
            row[w.shape[1] :] = 0

"""Convolution as a matrix product over unrolled patches (im2col; Chellapilla et al. 2006), for any filter.

In NHWC a patch row is a run of KW * C contiguous numbers, so unrolling copies whole runs. It is done for a few images at a time, so
that the patches are still in the cache when they are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.matmul.choice import bind_product
from tinygan_kernels.cpu.matmul.jobs import TakeScratch
from tinygan_kernels.cpu.memory import as_matrix
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Stage, parts_for_items, share

# `python -m benchmarks.speed.tune` times pieces of other sizes.
PATCH_BYTES = 2 << 20  # patches unrolled at a time: as much as a core's share of the last-level cache


@ParallelLoop
def im2col(x, kh, kw, stride, pad, oh, ow, cols, part, parts):
    """Unroll x (N, H, W, C) into cols (N * OH * OW, KH * KW * C): row (n, i, j) is the patch that output pixel (i, j) sees."""
    n_images, height, width, c = x.shape
    run = kw * c
    for row in range(*share(n_images * oh, parts, part)):
        n, i = row // oh, row % oh
        for j in range(ow):
            patch, left = cols[row * ow + j], j * stride - pad
            first, last = max(0, -left), min(kw, width - left)  # the taps that fall inside
            for u in range(kh):
                y = i * stride + u - pad
                out = patch[u * run : (u + 1) * run]
                if y < 0 or y >= height or first >= last:
                    out[:] = 0
                    continue
                out[: first * c] = 0
                out[last * c :] = 0
                seen, inside = x[n, y].reshape(-1)[(left + first) * c : (left + last) * c], out[first * c : last * c]
                for k in range(inside.size):
                    inside[k] = seen[k]


@ParallelLoop
def col2im(cols, kh, kw, stride, pad, oh, ow, dx, part, parts):
    """Add every patch of cols to the pixels of dx (N, H, W, C) that im2col took it from: the adjoint of im2col.

    An image is done by one thread, as patches overlap.
    """
    n_images, height, width, c = dx.shape
    run = kw * c
    for n in range(*share(n_images, parts, part)):
        dx[n] = 0
        for i in range(oh):
            for j in range(ow):
                patch, left = cols[(n * oh + i) * ow + j], j * stride - pad
                first, last = max(0, -left), min(kw, width - left)
                if first >= last:
                    continue
                for u in range(kh):
                    y = i * stride + u - pad
                    if y < 0 or y >= height:
                        continue
                    pixels = dx[n, y].reshape(-1)[(left + first) * c : (left + last) * c]
                    part = patch[u * run + first * c : u * run + last * c]
                    for k in range(pixels.size):
                        pixels[k] += part[k]


def chunks(n: int, patch_rows: int, patch: int, dtype: np.dtype) -> list[tuple[int, int]]:
    """Return ranges of n images, each as long as its patches fit in PATCH_BYTES, or of one image.

    patch_rows: patches of an image. patch: numbers in each.
    """
    step = max(1, PATCH_BYTES // max(1, patch_rows * patch * dtype.itemsize))
    return [(start, min(n, start + step)) for start in range(0, n, step)]


def conv2d(x, w, y, stride: int, pad: int, take: TakeScratch) -> Iterator[Stage]:
    """Bind y (N, OH, OW, C_out) = conv2d(x, w), x (N, H, W, C), w (KH, KW, C, C_out)."""
    (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, y.shape
    patch = kh * kw * c_in
    for start, stop in chunks(n, oh * ow, patch, x.dtype):
        cols = take("cols", ((stop - start) * oh * ow, patch), x.dtype)
        strips = parts_for_items((stop - start) * oh, cols.size)
        yield im2col.stage(strips, x[start:stop], kh, kw, stride, pad, oh, ow, cols, size=cols.size)
        yield from bind_product(cols, w.reshape(patch, c_out), as_matrix(y[start:stop]), take=take).stages


def conv2d_dx(g, w, dx, stride: int, pad: int, take: TakeScratch) -> Iterator[Stage]:
    """Bind dx (N, H, W, C) = conv2d_dx(g, w), g (N, OH, OW, C_out), w (KH, KW, C, C_out)."""
    (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, g.shape
    patch = kh * kw * c_in
    for start, stop in chunks(n, oh * ow, patch, g.dtype):
        cols = take("cols", ((stop - start) * oh * ow, patch), g.dtype)
        yield from bind_product(as_matrix(g[start:stop]), w.reshape(patch, c_out), cols, trans_b=True, take=take).stages
        images = parts_for_items(stop - start, cols.size)
        yield col2im.stage(images, cols, kh, kw, stride, pad, oh, ow, dx[start:stop], size=cols.size)


def conv2d_dw(x, g, dw, stride: int, pad: int, take: TakeScratch) -> Iterator[Stage]:
    """Bind dw (KH, KW, C, C_out) = conv2d_dw(x, g), x (N, H, W, C), g (N, OH, OW, C_out)."""
    (n, oh, ow, c_out), (kh, kw, c_in, _) = g.shape, dw.shape
    patch = kh * kw * c_in
    flat = dw.reshape(patch, c_out)
    if n == 0:
        yield elementwise.fill.stage(1, flat.dtype.type(0), flat.reshape(-1))
    for start, stop in chunks(n, oh * ow, patch, x.dtype):
        cols = take("cols", ((stop - start) * oh * ow, patch), x.dtype)
        strips = parts_for_items((stop - start) * oh, cols.size)
        yield im2col.stage(strips, x[start:stop], kh, kw, stride, pad, oh, ow, cols, size=cols.size)
        yield from bind_product(cols, as_matrix(g[start:stop]), flat, trans_a=True, add=start > 0, take=take).stages

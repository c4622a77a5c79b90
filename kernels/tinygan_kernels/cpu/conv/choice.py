"""Convolution on the CPU as matrix products, and the choice between three ways to it.

Winograd's (`winograd`) where it is worth its transforms; tiles that read the image in place (`direct`) where few channels go in;
for all else, a product over unrolled patches (im2col; Chellapilla et al. 2006). In NHWC a patch row is a run of KW * C numbers
that lie together in memory, so unrolling copies whole runs. It is done for a few images at a time, so that the patches are still
in the cache when they are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.matmul.jobs import Take, bound_product
from tinygan_kernels.cpu.runtime.stages import Loop, Stage, Work, pieces, share

from .direct import Direct, thin
from .winograd import Transformed

PATCH_BYTES = 4 << 20  # patches unrolled at a time: as much as a core's share of the last-level cache


@Loop
def im2col(x, kh, kw, stride, pad, oh, ow, cols, part, parts):
    """x (N, H, W, C) -> cols (N * OH * OW, KH * KW * C): row (n, i, j) holds the patch that output pixel (i, j) sees."""
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


@Loop
def col2im(cols, kh, kw, stride, pad, oh, ow, dx, part, parts):
    """The adjoint of im2col: every patch is added to the pixels that it was taken from. One thread an image, as patches overlap."""
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


def as_rows(a: np.ndarray) -> np.ndarray:
    """a (..., C) as a matrix (rows, C); -1 would leave the number of rows open where C is 0."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


class Convolution:
    """conv2d and its two adjoints as Work, over scratch memory handed out by `take(use, shape, dtype)`."""

    def __init__(self, take: Take) -> None:
        self._take, self._transformed, self._direct = take, Transformed(take), Direct(take)

    @staticmethod
    def _chunks(n: int, patch_rows: int, patch: int, dtype: np.dtype) -> list[tuple[int, int]]:
        """Ranges of images whose patches fit in PATCH_BYTES together."""
        step = max(1, PATCH_BYTES // max(1, patch_rows * patch * dtype.itemsize))
        return [(start, min(n, start + step)) for start in range(0, n, step)]

    def bound(self, kernel: str, first, second, out, stride: int, pad: int, **_sizes: int) -> Work:
        """A launch of conv2d, conv2d_dx or conv2d_dw: the way to do it is chosen now, and prepared."""
        image, filters, pixels = {
            "conv2d": (first, second, out), "conv2d_dx": (out, second, first), "conv2d_dw": (first, out, second),
        }[kernel]
        n, oh, ow, _ = pixels.shape
        if pad == 0 and (oh, ow) == (1, 1) and image.shape[1:3] == filters.shape[:2]:
            return self._whole_image(kernel, image, filters, pixels)
        if self._transformed.suits(filters.shape, stride, n, oh, ow, image.dtype):
            return getattr(self._transformed, kernel)(first, second, out, pad)
        direct = getattr(self._direct, kernel)(first, second, out, stride, pad) if thin(filters.shape, image.itemsize) else None
        return direct or Work(getattr(self, f"_unrolled_{kernel}")(first, second, out, stride, pad))

    def _whole_image(self, kernel: str, image: np.ndarray, filters: np.ndarray, pixels: np.ndarray) -> Work:
        """Filters as large as the image, as at both ends of a DCGAN: its only patch is the image itself; nothing is unrolled.

        What is multiplied there is noise and D's last features, which have hardly any zeros.
        """
        n, c_out = pixels.shape[0], pixels.shape[3]
        patch = math.prod(filters.shape[:3])
        x, w, y = image.reshape(n, patch), filters.reshape(patch, c_out), pixels.reshape(n, c_out)
        if kernel == "conv2d":
            return bound_product(x, w, y, take=self._take, sparse=False)
        if kernel == "conv2d_dx":
            return bound_product(y, w, x, trans_b=True, take=self._take, sparse=False)
        return bound_product(x, y, w, trans_a=True, take=self._take, sparse=False)

    def _unrolled_conv2d(self, x, w, y, stride, pad) -> Iterator[Stage]:
        (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, y.shape
        patch = kh * kw * c_in
        for start, stop in self._chunks(n, oh * ow, patch, x.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), x.dtype)
            strips = pieces((stop - start) * oh, cols.size)
            yield im2col.stage(strips, x[start:stop], kh, kw, stride, pad, oh, ow, cols, size=cols.size)
            yield from bound_product(cols, w.reshape(patch, c_out), as_rows(y[start:stop]), take=self._take).stages

    def _unrolled_conv2d_dx(self, g, w, dx, stride, pad) -> Iterator[Stage]:
        (kh, kw, c_in, c_out), (n, oh, ow, _) = w.shape, g.shape
        patch = kh * kw * c_in
        for start, stop in self._chunks(n, oh * ow, patch, g.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), g.dtype)
            yield from bound_product(as_rows(g[start:stop]), w.reshape(patch, c_out), cols, trans_b=True, take=self._take).stages
            yield col2im.stage(pieces(stop - start, cols.size), cols, kh, kw, stride, pad, oh, ow, dx[start:stop], size=cols.size)

    def _unrolled_conv2d_dw(self, x, g, dw, stride, pad) -> Iterator[Stage]:
        (n, oh, ow, c_out), (kh, kw, c_in, _) = g.shape, dw.shape
        patch = kh * kw * c_in
        flat = dw.reshape(patch, c_out)
        if n == 0:
            yield elementwise.fill.stage(1, flat.dtype.type(0), flat.reshape(-1))
        for start, stop in self._chunks(n, oh * ow, patch, x.dtype):
            cols = self._take("cols", ((stop - start) * oh * ow, patch), x.dtype)
            strips = pieces((stop - start) * oh, cols.size)
            yield im2col.stage(strips, x[start:stop], kh, kw, stride, pad, oh, ow, cols, size=cols.size)
            yield from bound_product(cols, as_rows(g[start:stop]), flat, trans_a=True, add=start > 0, take=self._take).stages

"""The 4x4 stride-2 convolution of DCGANs, and its adjoints, with fewer multiplications than the direct sum has.

Two steps. First, tap u = 2a + p sees pixel 2(i + a) + p: so the convolution is one with 2x2 taps and stride 1 over the four
phases (p, q) of the image, x_pq[i, j] = x[2i + p, 2j + q], laid side by side as 4 C channels. Second, Winograd's minimal
filtering (Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308): m outputs of a 2-tap filter from m + 1 multiplications, not 2m,

    F(m, 2):   y = A^T [(G w) . (B^T d)]        d (m+1), w (2,), y (m,)

in each direction, so (m+1)^2 instead of 4 m^2: for m = 3 fewer by 2.25, for m = 4 by 2.56. Over channels, each of the (m+1)^2
products is a matrix product, tiles x 4C by 4C x C_out. The transforms, and all this in plain NumPy, are in
`winograd_formulas`, and as vector code in `winograd_transforms`; how far rounding may carry the result is in `verification.bounds`.

The adjoints take the same three linear maps the other way: dx = B [(G w)^T (A g)], dw = G^T [(B^T d)^T (A g)].
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tinygan_kernels.cpu.matmul.choice import bind_products
from tinygan_kernels.cpu.matmul.jobs import TakeScratch
from tinygan_kernels.cpu.matmul.microkernel import transpose_block
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime.simd import lanes
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, parts_for_items, share
from tinygan_kernels.winograd_formulas import best_tile

from .winograd_transforms import Grid, Patch, Seams, apply

LANES_32, LANES_64 = lanes(4), lanes(8)


@ParallelLoop
def to_tiles(x, pad, th, tw, size, tiles, part, parts):
    """Transform x (N, H, W, C): B^T d B of every tile of the padded image's phases, into tiles (n*n, N*th*tw, 4*C)."""
    n_images, height, width, c = x.shape
    m, item, plane, row = len(size), x.itemsize, tiles.strides[0], tiles.strides[1]
    for strip in range(*share(n_images * th, parts, part)):
        image, ti = address_of(x) + strip // th * height * width * c * item, strip % th
        outside = np.zeros((2, c), x.dtype)
        for tj in range(tw):
            at = address_of(tiles) + (strip * tw + tj) * row
            for phase in range(4):
                pixels = Patch(image, height, width, 2 * ti * m + phase // 2 - pad, 2 * tj * m + phase % 2 - pad, 2)
                planes = Grid(at + phase * c * item, (m + 1) * plane, plane)
                apply("B^T", "B^T", size, pixels, planes, c, outside)


@ParallelLoop
def from_tiles(tiles, pad, th, tw, size, dx, part, parts):
    """Transform tiles (n*n, N*th*tw, 4*C) back to dx (N, H, W, C), every pixel of which is written once. The adjoint of to_tiles.

    A tile gives the first m rows and columns of its pixels, with what the tiles before it add where they overlap. The last row and
    column of the last tiles are computed by themselves.
    """
    n_images, height, width, c = dx.shape
    m, item, plane, row = len(size), dx.itemsize, tiles.strides[0], tiles.strides[1]
    for strip in range(*share(n_images * (th + 1), parts, part)):
        n, ti = strip // (th + 1), strip % (th + 1)
        image, outside = address_of(dx) + n * height * width * c * item, np.zeros((2, c), dx.dtype)
        for tj in range(tw + 1):
            at = address_of(tiles) + ((n * th + ti) * tw + tj) * row
            for phase in range(4):
                pixels = Patch(image, height, width, 2 * ti * m + phase // 2 - pad, 2 * tj * m + phase % 2 - pad, 2)
                if pixels.y >= height or pixels.x >= width:
                    continue
                planes = Seams(at + phase * c * item, plane, tw * row if ti else 0, row if tj else 0)
                if ti < th and tj < tw:
                    apply("seams", "seams", size, planes, pixels, c, outside)
                elif ti < th:
                    apply("seams", "before", size, planes, pixels, c, outside)
                elif tj < tw:
                    apply("before", "seams", size, planes, pixels, c, outside)
                else:
                    apply("before", "before", size, planes, pixels, c, outside)
        if ti == th:  # where the image is odd, no output sees its last row and column
            dx[n, 2 * (th * m + 1) - pad :] = 0
            dx[n, :, 2 * (tw * m + 1) - pad :] = 0


@ParallelLoop
def to_outputs(tiles, th, tw, size, y, part, parts):
    """Transform tiles (n*n, N*th*tw, C) back: A^T t A of every tile, cut to y (N, OH, OW, C)."""
    n_images, oh, ow, c = y.shape
    m, row, plane = len(size), c * y.itemsize, tiles.strides[0]
    for strip in range(*share(n_images * th, parts, part)):
        image, outside = address_of(y) + strip // th * oh * ow * row, np.zeros((2, c), y.dtype)
        for tj in range(tw):
            planes = Grid(address_of(tiles) + (strip * tw + tj) * row, (m + 1) * plane, plane)
            pixels = Patch(image, oh, ow, strip % th * m, tj * m, 1)
            apply("A^T", "A^T", size, planes, pixels, c, outside)


@ParallelLoop
def from_outputs(g, th, tw, size, tiles, part, parts):
    """Transform g (N, OH, OW, C): A g A^T of every tile, into tiles (n*n, N*th*tw, C). The adjoint of to_outputs."""
    n_images, oh, ow, c = g.shape
    m, row, plane = len(size), c * g.itemsize, tiles.strides[0]
    for strip in range(*share(n_images * th, parts, part)):
        image, outside = address_of(g) + strip // th * oh * ow * row, np.zeros((2, c), g.dtype)
        for tj in range(tw):
            planes = Grid(address_of(tiles) + (strip * tw + tj) * row, (m + 1) * plane, plane)
            pixels = Patch(image, oh, ow, strip % th * m, tj * m, 1)
            apply("A", "A", size, pixels, planes, c, outside)


@ParallelLoop
def to_filters(w, size, filters, part, parts):
    """Transform w (4, 4, C, C_out): G w G^T of every phase, into filters (n*n, 4*C, C_out)."""
    c, c_out = w.shape[2:]
    m, plane, tap, run = len(size), filters.strides[0], w[0, 0].nbytes, c_out * w.itemsize
    for row in range(*share(4 * c, parts, part)):
        p, q = row // c // 2, row // c % 2
        taps = Grid(address_of(w) + (4 * p + q) * tap + row % c * run, 8 * tap, 2 * tap)
        planes = Grid(address_of(filters) + row * run, (m + 1) * plane, plane)
        apply("G", "G", size, taps, planes, c_out, w)


@ParallelLoop
def to_turned_filters(w, size, filters, part, parts):
    """Transform w as to_filters does, into transposed filters (n*n, C_out, 4*C). Blocks of w are transposed in registers and then
    stay in the cache.
    """
    c, c_out = w.shape[2:]
    m, item, plane, tap, run = len(size), w.itemsize, filters.strides[0], w[0, 0].nbytes, c_out * w.itemsize
    side = LANES_32 if item == 4 else LANES_64
    for block in range(*share(4 * ((c_out + side - 1) // side), parts, part)):
        phase, out = block % 4, block // 4 * side
        first = min(out, c_out - side)  # the last block overlaps the one before
        turned = np.empty((4, side, c + side), w.dtype)  # the longer rows are not powers of two apart: see _planes
        for t in range(4):
            source = address_of(w) + (4 * (t // 2 * 2 + phase // 2) + t % 2 * 2 + phase % 2) * tap + first * item
            for start in range(0, c, side):
                ch = min(start, c - side)
                transpose_block(w, source + ch * run, run, address_of(turned[t]) + ch * item, (c + side) * item)
        for o in range(out, min(out + side, c_out)):
            taps = Grid(address_of(turned) + (o - first) * (c + side) * item, 2 * turned[0].nbytes, turned[0].nbytes)
            planes = Grid(address_of(filters) + (o * 4 + phase) * c * item, (m + 1) * plane, plane)
            apply("G", "G", size, taps, planes, c, turned)


@ParallelLoop
def from_filters(filters, size, dw, part, parts):
    """Transform filters (n*n, 4*C, C_out) back to dw (4, 4, C, C_out). The adjoint of to_filters."""
    c, c_out = dw.shape[2:]
    m, plane, tap, run = len(size), filters.strides[0], dw[0, 0].nbytes, c_out * dw.itemsize
    for row in range(*share(4 * c, parts, part)):
        p, q = row // c // 2, row // c % 2
        taps = Grid(address_of(dw) + (4 * p + q) * tap + row % c * run, 8 * tap, 2 * tap)
        planes = Grid(address_of(filters) + row * run, (m + 1) * plane, plane)
        apply("G^T", "G^T", size, planes, taps, c_out, dw)


# ---- the three convolutions -----------------------------------------------------------------------------------------------------


PAGE, LINE = 4096, 64  # bytes
# `python -m benchmarks.speed.tune` times pieces of other sizes, and both ways on both sides of the least sizes.
CHUNK_BYTES = 1 << 20  # of transformed tiles at a time: with their products they stay in a small last-level cache
# Where Winograd pays: channels in and out, and output pixels, from which multiplications cost more than the transforms.
LEAST_CHANNELS, LEAST_PIXELS = 16, 64


def tiles_at_a_time(count: int, c: int, c_out: int, itemsize: int) -> int:
    """Return how many tiles, of `count` products each, are done at a time: CHUNK_BYTES of them, or as many bytes as the filters
    have if those are more, since the filters are read anew for each chunk.
    """
    return max(c_out, CHUNK_BYTES // (count * 4 * c * itemsize))


def suits(filters: tuple[int, ...], stride: int, pixels: tuple[int, ...], dtype: np.dtype) -> bool:
    """Return whether filters (KH, KW, C_in, C_out) and output pixels (N, OH, OW, C_out) can be computed this way: 4x4 filters of
    stride 2, and channels that fill a register.
    """
    return (*filters[:2], stride) == (4, 4, 2) and min(filters[2:]) >= lanes(dtype.itemsize) and min(pixels[:3]) > 0


def pays(filters: tuple[int, ...], pixels: tuple[int, ...], dtype: np.dtype) -> bool:
    """Return whether this is worth its transforms: enough channels, and more pixels than transforming the filters costs.

    float64 is for checking derivatives, which wants every digit.
    """
    n, oh, ow = pixels[:3]
    large = n * oh * ow >= LEAST_PIXELS and min(oh, ow) >= 2
    return dtype == np.float32 and min(filters[2:]) >= LEAST_CHANNELS and large


class WinogradConvolution:
    """Binds conv2d and its adjoints for 4x4 filters of stride 2, with scratch memory from `take`."""

    def __init__(self, take: TakeScratch) -> None:
        self._take = take

    def _plan(self, n_images: int, oh: int, ow: int, c: int, c_out: int, dtype: np.dtype):
        """Return (a tuple of m numbers, tiles down, tiles across, products per tile, ranges of images to do at a time)."""
        if min(c, c_out) < lanes(dtype.itemsize):
            raise ValueError(f"Winograd's transforms take at least {lanes(dtype.itemsize)} channels at once, not {c} and {c_out}")
        m = best_tile(n_images, oh, ow, c, c_out)
        th, tw, count = -(-oh // m), -(-ow // m), (m + 1) ** 2
        parts = max(1, round(n_images * th * tw / tiles_at_a_time(count, c, c_out, dtype.itemsize)))
        edges = [n_images * i // parts for i in range(parts + 1)]
        return (0,) * m, th, tw, count, [(start, stop) for start, stop in pairwise(edges) if start < stop]

    def _planes(self, use: str, count: int, rows: int, c: int, dtype: np.dtype) -> np.ndarray:
        """Return room for (count, rows, c): planes that begin on cache lines, one line more than a multiple of PAGE apart.

        Transforms go through all planes at once, and a cache keeps what is a power of two apart in the same few places: planes of
        64 x 256 numbers, say, without gaps between them, would drive each other out (measured: up to 5 times slower).
        """
        item, line = dtype.itemsize, LINE // dtype.itemsize
        stride = -(-rows * c * item // PAGE) * PAGE // item + line
        flat = self._take(use, (count * stride + line,), dtype)
        start = -flat.ctypes.data % LINE // item
        return flat[start : start + count * stride].reshape(count, stride)[:, : rows * c].reshape(count, rows, c)

    def _pair(self, count: int, rows: int, c: int, c_out: int, dtype: np.dtype):
        """Return room for transformed inputs (products, tiles, 4C) and outputs (products, tiles, C_out)."""
        return self._planes("tiles", count, rows, 4 * c, dtype), self._planes("made", count, rows, c_out, dtype)

    def conv2d(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, pad: int) -> Pipeline:
        (c, c_out), (n_images, oh, ow, _) = w.shape[2:], y.shape
        size, th, tw, count, chunks = self._plan(n_images, oh, ow, c, c_out, x.dtype)
        filters = self._planes("filters", count, 4 * c, c_out, w.dtype)
        stages = [to_filters.stage(parts_for_items(4 * c, filters.size), w, size, filters)]
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, x.dtype)
            strips = parts_for_items((stop - start) * th, tiles.size)
            stages += [to_tiles.stage(strips, x[start:stop], pad, th, tw, size, tiles, size=tiles.size),
                       *bind_products(tiles, filters, made, take=self._take).stages,
                       to_outputs.stage(strips, made, th, tw, size, y[start:stop])]
        return Pipeline(stages)

    def conv2d_dx(self, g: np.ndarray, w: np.ndarray, dx: np.ndarray, pad: int) -> Pipeline:
        (c, c_out), (n_images, oh, ow, _) = w.shape[2:], g.shape
        size, th, tw, count, chunks = self._plan(n_images, oh, ow, c, c_out, g.dtype)
        filters = self._planes("filters", count, c_out, 4 * c, w.dtype)
        stages = [to_turned_filters.stage(parts_for_items(4 * -(-c_out // lanes(w.itemsize)), filters.size), w, size, filters)]
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, g.dtype)
            strips = parts_for_items((stop - start) * th, tiles.size)
            stages += [from_outputs.stage(strips, g[start:stop], th, tw, size, made),
                       *bind_products(made, filters, tiles, take=self._take).stages,
                       from_tiles.stage(strips, tiles, pad, th, tw, size, dx[start:stop])]
        return Pipeline(stages)

    def conv2d_dw(self, x: np.ndarray, g: np.ndarray, dw: np.ndarray, pad: int) -> Pipeline:
        (c, c_out), (n_images, oh, ow, _) = dw.shape[2:], g.shape
        size, th, tw, count, chunks = self._plan(n_images, oh, ow, c, c_out, g.dtype)
        total = self._planes("filters", count, 4 * c, c_out, x.dtype)
        stages = []
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, x.dtype)
            strips = parts_for_items((stop - start) * th, tiles.size)
            stages += [to_tiles.stage(strips, x[start:stop], pad, th, tw, size, tiles, size=tiles.size),
                       from_outputs.stage(strips, g[start:stop], th, tw, size, made),
                       *bind_products(tiles, made, total, trans_a=True, add=start > 0, take=self._take).stages]
        return Pipeline([*stages, from_filters.stage(parts_for_items(4 * c, total.size), total, size, dw)])

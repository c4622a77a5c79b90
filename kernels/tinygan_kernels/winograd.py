"""The 4x4 stride-2 convolution of DCGANs, and its adjoints, with fewer multiplications than the direct sum has.

Two steps. First, tap u = 2a + p sees pixel 2(i + a) + p: so the convolution is one with 2x2 taps and stride 1 over the four
phases (p, q) of the image, x_pq[i, j] = x[2i + p, 2j + q], laid side by side as 4 C channels. Second, Winograd's minimal
filtering (Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308): m outputs of a 2-tap filter from m + 1 multiplications, not 2m,

    F(m, 2):   y = A^T [(G w) . (B^T d)]        d (m+1), w (2,), y (m,)

in each direction, so (m+1)^2 instead of 4 m^2: for m = 3 fewer by 2.25, for m = 4 by 2.56. Over channels, each of the (m+1)^2
products is a matrix product, tiles x 4C by 4C x C_out, which BLAS does. The transforms, and all this in plain NumPy, are in
`minimal_filtering`; how far rounding may carry the result is in `tolerance`.

The adjoints take the same three linear maps the other way: dx = B [(G w)^T (A g)], dw = G^T [(B^T d)^T (A g)].
"""

from __future__ import annotations

import numba
import numpy as np

from .cpu_matmul import products
from .minimal_filtering import best_tile, transforms

compiled = numba.njit(cache=True, nogil=True, parallel=True, fastmath={"contract"})


inlined = numba.njit(fastmath={"contract"})


@inlined
def _combine(out, weights, source, offsets, add):
    """out[c] = (or +=, with `add`) the weighted sum of five runs of `source`, in vector instructions.

    Runs are cut out first, because an index that might be negative would be checked at every element. Where fewer than five are
    wanted, the last is taken again with weight 0: any other might hold an infinity, and 0 times that is NaN.
    """
    n = out.size
    w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
    r0, r1 = source[offsets[0] : offsets[0] + n], source[offsets[1] : offsets[1] + n]
    r2, r3, r4 = source[offsets[2] : offsets[2] + n], source[offsets[3] : offsets[3] + n], source[offsets[4] : offsets[4] + n]
    if add:
        for c in range(n):
            out[c] += w0 * r0[c] + w1 * r1[c] + w2 * r2[c] + w3 * r3[c] + w4 * r4[c]
    else:
        for c in range(n):
            out[c] = w0 * r0[c] + w1 * r1[c] + w2 * r2[c] + w3 * r3[c] + w4 * r4[c]


@compiled
def to_tiles(x, pad, th, tw, bt, tiles):
    """x (N, H, W, C) -> B^T d B of every tile of the padded image's phases: tiles (n*n, N*th*tw, 4*C).

    B^T down the columns works on whole image rows, where both phases q lie side by side; B along them on pairs of pixels.
    """
    n_images, height, width, c = x.shape
    n, pair, flat = bt.shape[0], 2 * c, x.reshape(-1)
    m = n - 1
    across = min(width * c, (tw * m + 1) * pair - pad * c)  # what of an image row the tiles see
    for strip in numba.prange(n_images * th):
        image, ti = strip // th, strip % th
        rows = np.zeros((n, (tw * m + 1) * pair), x.dtype)
        weights, offsets = np.zeros(5, x.dtype), np.zeros(5, np.int64)
        for p in range(2):
            for k in range(n):
                for i in range(5):
                    y = 2 * (ti * m + min(i, m)) + p - pad
                    inside = 0 <= y < height
                    weights[i] = bt[k, i] if i < n and inside else 0
                    offsets[i] = (image * height + min(max(y, 0), height - 1)) * width * c
                _combine(rows[k, pad * c : pad * c + across], weights, flat, offsets, False)
            row = rows.reshape(-1)
            for k in range(n):
                for j in range(n):
                    weights[:n] = bt[j]
                    for tj in range(tw):
                        for i in range(5):
                            offsets[i] = k * rows.shape[1] + (tj * m + min(i, m)) * pair
                        _combine(tiles[k * n + j, strip * tw + tj, p * pair : (p + 1) * pair], weights, row, offsets, False)


@compiled
def from_tiles(tiles, pad, th, tw, bt, dx):
    """The adjoint of to_tiles: tiles (n*n, N*th*tw, 4*C) -> dx (N, H, W, C). One thread an image, as tiles overlap."""
    n_images, height, width, c = dx.shape
    n, pair, count = bt.shape[0], 2 * c, tiles.shape[1]
    m, flat = n - 1, tiles.reshape(-1)
    across = min(width * c, (tw * m + 1) * pair - pad * c)
    for image in numba.prange(n_images):
        dx[image] = 0
        rows = np.zeros((n, (tw * m + 1) * pair), dx.dtype)
        weights, offsets = np.zeros(5, dx.dtype), np.zeros(5, np.int64)
        for ti in range(th):
            for p in range(2):
                rows[:] = 0
                for k in range(n):
                    for i in range(n):
                        weights[:n] = bt[:, i]
                        for tj in range(tw):
                            tile = (image * th + ti) * tw + tj
                            for j in range(5):
                                offsets[j] = ((k * n + min(j, m)) * count + tile) * 4 * c + p * pair
                            at = (tj * m + i) * pair
                            _combine(rows[k, at : at + pair], weights, flat, offsets, True)
                for i in range(n):
                    y = 2 * (ti * m + i) + p - pad
                    if y < 0 or y >= height:
                        continue
                    weights[:n] = bt[:, i]
                    for k in range(5):
                        offsets[k] = min(k, m) * rows.shape[1] + pad * c
                    _combine(dx[image, y].reshape(-1)[:across], weights, rows.reshape(-1), offsets, True)


@compiled
def to_outputs(tiles, th, tw, at, y):
    """tiles (n*n, N*th*tw, C) -> A^T t A of every tile, cut to y (N, OH, OW, C)."""
    n_images, oh, ow, c = y.shape
    m, n = at.shape
    count, flat = tiles.shape[1], tiles.reshape(-1)
    for strip in numba.prange(n_images * th):
        image, ti = strip // th, strip % th
        columns = np.empty((n, m, tw * c), y.dtype)
        weights, offsets = np.zeros(5, y.dtype), np.zeros(5, np.int64)
        for k in range(n):
            for j in range(m):
                weights[:n] = at[j]
                for i in range(5):
                    offsets[i] = ((k * n + min(i, m)) * count + strip * tw) * c
                _combine(columns[k, j], weights, flat, offsets, False)
        for i in range(min(m, oh - ti * m)):
            weights[:n] = at[i]
            for x in range(ow):
                tj, j = x // m, x % m
                for k in range(5):
                    offsets[k] = ((min(k, m) * m + j) * tw + tj) * c
                _combine(y[image, ti * m + i, x], weights, columns.reshape(-1), offsets, False)


@compiled
def from_outputs(g, th, tw, at, tiles):
    """The adjoint of to_outputs: g (N, OH, OW, C) -> A g A^T of every tile: tiles (n*n, N*th*tw, C)."""
    n_images, oh, ow, c = g.shape
    m, n = at.shape
    flat = g.reshape(-1)
    for strip in numba.prange(n_images * th):
        image, ti = strip // th, strip % th
        rows = np.zeros((n, tw * m * c), g.dtype)
        weights, offsets = np.zeros(5, g.dtype), np.zeros(5, np.int64)
        for k in range(n):
            for i in range(5):
                inside = i < m and ti * m + i < oh
                weights[i] = at[i, k] if inside else 0
                offsets[i] = (image * oh + min(ti * m + min(i, m - 1), oh - 1)) * ow * c
            _combine(rows[k, : ow * c], weights, flat, offsets, False)
        weights[:] = 0
        for k in range(n):
            for l in range(n):
                weights[:m] = at[:, l]
                for tj in range(tw):
                    for j in range(5):
                        offsets[j] = (k * tw * m + tj * m + min(j, m - 1)) * c
                    _combine(tiles[k * n + l, strip * tw + tj], weights, rows.reshape(-1), offsets, False)


@compiled
def to_filters(w, G, filters):
    """w (4, 4, C, C_out) -> G w G^T of every phase: filters (n*n, 4*C, C_out)."""
    c, c_out = w.shape[2:]
    n, flat = G.shape[0], w.reshape(-1)
    for row in numba.prange(4 * c):
        phase, ch = row // c, row % c
        p, q = phase // 2, phase % 2
        weights, offsets = np.zeros(5, w.dtype), np.zeros(5, np.int64)
        for i in range(5):
            a, b = min(i, 3) // 2, min(i, 3) % 2
            offsets[i] = (((2 * a + p) * 4 + 2 * b + q) * c + ch) * c_out
        for k in range(n):
            for j in range(n):
                for a in range(2):
                    for b in range(2):
                        weights[2 * a + b] = G[k, a] * G[j, b]
                _combine(filters[k * n + j, row], weights, flat, offsets, False)


@compiled
def from_filters(filters, G, dw):
    """The adjoint of to_filters: filters (n*n, 4*C, C_out) -> dw (4, 4, C, C_out)."""
    c, c_out = dw.shape[2:]
    n, flat = G.shape[0], filters.reshape(-1)
    for row in numba.prange(4 * c):
        phase, ch = row // c, row % c
        p, q = phase // 2, phase % 2
        columns = np.empty((n, 2, c_out), dw.dtype)
        weights, offsets = np.zeros(5, dw.dtype), np.zeros(5, np.int64)
        for k in range(n):
            for b in range(2):
                weights[:n] = G[:, b]
                for j in range(5):
                    offsets[j] = ((k * n + min(j, n - 1)) * 4 * c + row) * c_out
                _combine(columns[k, b], weights, flat, offsets, False)
        for a in range(2):
            weights[:n] = G[:, a]
            for b in range(2):
                for k in range(5):
                    offsets[k] = (min(k, n - 1) * 2 + b) * c_out
                _combine(dw[2 * a + p, 2 * b + q, ch], weights, columns.reshape(-1), offsets, False)


# ---- the three convolutions -----------------------------------------------------------------------------------------------------


CHUNK_BYTES = 16 << 20  # of transformed tiles at a time: within the last-level cache, and enough rows for BLAS to be fast


class Transformed:
    """conv2d and its adjoints for 4x4 filters of stride 2, over scratch memory handed out by `take(use, shape, dtype)`."""

    def __init__(self, take) -> None:
        self._take = take

    @staticmethod
    def suits(w_shape: tuple[int, ...], stride: int, n: int, oh: int, ow: int, dtype: np.dtype) -> bool:
        """Whether this is worth its transforms: enough channels, and more pixels than transforming the filters costs.

        float64 is for checking derivatives, which wants every digit.
        """
        kh, kw, c_in, c_out = w_shape
        if (kh, kw, stride) != (4, 4, 2) or dtype != np.float32 or min(c_in, c_out) < 32 or min(oh, ow) < 2:
            return False
        return n * oh * ow >= 1024

    def _plan(self, oh: int, ow: int, c: int, n_images: int, dtype: np.dtype):
        m = best_tile(oh, ow)
        maps = [a.astype(dtype) for a in transforms(m)]
        th, tw, products_ = -(-oh // m), -(-ow // m), (m + 1) ** 2
        step = max(1, CHUNK_BYTES // (products_ * th * tw * 4 * c * dtype.itemsize))
        chunks = [(start, min(n_images, start + step)) for start in range(0, n_images, step)]
        return maps, th, tw, products_, chunks

    def _filters(self, w, G, count):
        c, c_out = w.shape[2:]
        filters = self._take("filters", (count, 4 * c, c_out), w.dtype)
        to_filters(w, G, filters)
        return filters

    def _pair(self, count: int, rows: int, c: int, c_out: int, dtype: np.dtype):
        """Room for transformed inputs (products, tiles, 4C) and outputs (products, tiles, C_out)."""
        return self._take("tiles", (count, rows, 4 * c), dtype), self._take("made", (count, rows, c_out), dtype)

    def conv2d(self, x, w, y, pad):
        (c, c_out), (n_images, oh, ow, _) = w.shape[2:], y.shape
        (at, G, bt), th, tw, count, chunks = self._plan(oh, ow, c, n_images, x.dtype)
        filters = self._filters(w, G, count)
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, x.dtype)
            to_tiles(x[start:stop], pad, th, tw, bt, tiles)
            products(tiles, filters, made)
            to_outputs(made, th, tw, at, y[start:stop])

    def conv2d_dx(self, g, w, dx, pad):
        (c, c_out), (n_images, oh, ow, _) = w.shape[2:], g.shape
        (at, G, bt), th, tw, count, chunks = self._plan(oh, ow, c, n_images, g.dtype)
        filters = self._filters(w, G, count)
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, g.dtype)
            from_outputs(g[start:stop], th, tw, at, made)
            products(made, filters, tiles, trans_b=True)
            from_tiles(tiles, pad, th, tw, bt, dx[start:stop])

    def conv2d_dw(self, x, g, dw, pad):
        (c, c_out), (n_images, oh, ow, _) = dw.shape[2:], g.shape
        (at, G, bt), th, tw, count, chunks = self._plan(oh, ow, c, n_images, g.dtype)
        total = self._take("filters", (count, 4 * c, c_out), x.dtype)
        for start, stop in chunks:
            tiles, made = self._pair(count, (stop - start) * th * tw, c, c_out, x.dtype)
            to_tiles(x[start:stop], pad, th, tw, bt, tiles)
            from_outputs(g[start:stop], th, tw, at, made)
            products(tiles, made, total, trans_a=True, beta=1.0 if start else 0.0)
        from_filters(total, G, dw)

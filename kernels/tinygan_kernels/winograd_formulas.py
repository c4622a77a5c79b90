"""Winograd's minimal filtering as formulas: the transforms of F(m, 2), and the three convolutions that they make. NumPy alone.

    F(m, 2):   y = A^T [(G w) . (B^T d)]        m outputs y of a 2-tap filter w over d (m+1,), from m + 1 multiplications

`cpu/conv/winograd.py` computes this fast; here it is written out in NumPy, for any maps (A^T, G, B^T) and any dtype. With the maps
and the arrays replaced by their magnitudes it gives the size of rounding errors (Higham 2002, section 23.2.2, for any algorithm of
the form y = A^T [(G w) . (B^T d)]; Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for
Deep Neural Networks", section 4), which `verification/bounds.py` turns into bounds.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POINTS = (0, 1, -1, 2)  # where polynomials are evaluated, besides infinity: small whole numbers round little

Maps = tuple[np.ndarray, np.ndarray, np.ndarray]


@lru_cache
def transforms(m: int) -> Maps:
    """Return (A^T (m, n), G (n, 2), B^T (n, n)) of F(m, 2), n = m + 1, in float64: Toom-Cook at m points and infinity, transposed.

    With V the n x n matrix that evaluates polynomials at the points, G and A are its first columns and B^T = V^-T (Winograd 1980).
    A and G are whole numbers; the entries of B^T, whole numbers over det V, are the nearest that float64 has.
    """
    n = m + 1
    V = np.vstack([np.vander(POINTS[:m], n, increasing=True), np.eye(n)[-1:]]).astype(np.float64)
    G = np.vstack([V[:m, :2], [[0, 1]]])
    At = np.hstack([V[:m, :m].T, np.eye(m)[:, -1:]])
    whole = np.round(np.linalg.det(V))
    Bt = np.round(np.linalg.inv(V).T * whole) / whole
    # one layout, so that loops over them are compiled once
    return np.ascontiguousarray(At), np.ascontiguousarray(G), np.ascontiguousarray(Bt)


# Multiply-adds in the time of writing and reading one number, so chosen that m = 2 and m = 4 cost the same where they take the same
# time. `python -m benchmarks.speed.tune` times the tiles that are chosen with this value and others.
MOVED = 30


def best_tile(n: int, oh: int, ow: int, c: int, c_out: int) -> int:
    """Return the m in 2, 3, 4 that should be fastest for n images, oh x ow outputs, c -> c_out channels, edge tiles counted whole.

    Larger tiles multiply less, but turn the filters into (m + 1)^2 matrices of 4C x C_out, which does not pay for few tiles.
    """

    def cost(m: int) -> int:
        tiles = n * -(-oh // m) * -(-ow // m)
        moved = tiles * (4 * c + c_out) + 4 * c * c_out
        return (m + 1) ** 2 * (tiles * 4 * c * c_out + MOVED * moved)

    return min((2, 3, 4), key=cost)


def magnitudes(maps: Maps) -> Maps:
    """Return (|A^T|, |G|, |B^T|)."""
    At, G, Bt = maps
    return np.abs(At), np.abs(G), np.abs(Bt)


# ---- 4x4 filters of stride 2, as 2x2 filters over the image's four phases -------------------------------------------------------
# tiles (T, n, n, 4C) for T = N th tw; filters (n, n, 4C, C_out); outputs (T, m, m, C_out)


def conv2d(x: np.ndarray, w: np.ndarray, pad: int, oh: int, ow: int, maps: Maps) -> np.ndarray:
    """Return the convolution y (N, OH, OW, C_out) of x (N, H, W, C) and w (4, 4, C, C_out), stride 2."""
    At, G, Bt = maps
    m = At.shape[0]
    d = transform_tiles(Bt, image_tiles(x, pad, -(-oh // m), -(-ow // m), m))
    made = np.einsum("tklc,klco->tklo", d, transform_filters(w, G), optimize=d.dtype != object)
    return join_tiles(transform_tiles(At, made), len(x), oh, ow)


def conv2d_dx(g: np.ndarray, w: np.ndarray, pad: int, height: int, width: int, maps: Maps) -> np.ndarray:
    """Return the input's gradient (N, H, W, C) from g (N, OH, OW, C_out) and w (4, 4, C, C_out)."""
    At, G, Bt = maps
    made = transform_tiles(At.T, split_into_tiles(g, At.shape[0]))
    tiles = np.einsum("tklo,klco->tklc", made, transform_filters(w, G), optimize=made.dtype != object)
    return add_up_tiles(transform_tiles(Bt.T, tiles), g.shape[:3], pad, height, width)


def conv2d_dw(x: np.ndarray, g: np.ndarray, pad: int, maps: Maps) -> np.ndarray:
    """Return the filters' gradient (4, 4, C, C_out) from x (N, H, W, C) and g (N, OH, OW, C_out)."""
    At, G, Bt = maps
    (_, oh, ow, c_out), c, m = g.shape, x.shape[3], At.shape[0]
    d = transform_tiles(Bt, image_tiles(x, pad, -(-oh // m), -(-ow // m), m))
    total = np.einsum("tklc,tklo->klco", d, transform_tiles(At.T, split_into_tiles(g, m)), optimize=d.dtype != object)
    return np.einsum("ka,lb,klpqco->apbqco", G, G, total.reshape(m + 1, m + 1, 2, 2, c, c_out)).reshape(4, 4, c, c_out)


def transform_tiles(matrix: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Return M t M^T for every tile t and channel."""
    return np.einsum("ki,tijc->tkjc", matrix, np.einsum("lj,tijc->tilc", matrix, tiles))


def transform_filters(w: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Return G w_pq G^T for the four phases w_pq[a, b] = w[2a + p, 2b + q]."""
    c, c_out = w.shape[2:]
    phases = np.einsum("ka,lb,apbqco->klpqco", G, G, w.reshape(2, 2, 2, 2, c, c_out))
    return phases.reshape(*phases.shape[:2], 4 * c, c_out)


def image_tiles(x: np.ndarray, pad: int, th: int, tw: int, m: int) -> np.ndarray:
    """Return the n x n tiles, m apart, of the padded image's phases x_pq[i, j] = x[2i + p, 2j + q]."""
    n_images, height, width, c = x.shape
    padded = np.zeros((n_images, *(max(2 * (t * m + 1), side + 2 * pad) for t, side in ((th, height), (tw, width))), c), x.dtype)
    padded[:, pad : pad + height, pad : pad + width] = x
    phases = padded[:, : 2 * (th * m + 1), : 2 * (tw * m + 1)].reshape(n_images, th * m + 1, 2, tw * m + 1, 2, c)
    tiles = np.empty((n_images, th, tw, m + 1, m + 1, 2, 2, c), x.dtype)
    for i in range(m + 1):
        for j in range(m + 1):
            tiles[:, :, :, i, j] = phases[:, i : i + th * m : m, :, j : j + tw * m : m].transpose(0, 1, 3, 2, 4, 5)
    return tiles.reshape(n_images * th * tw, m + 1, m + 1, 4 * c)


def add_up_tiles(tiles: np.ndarray, outputs: tuple[int, int, int], pad: int, height: int, width: int) -> np.ndarray:
    """Apply the adjoint of image_tiles, which adds up what neighbouring tiles share. outputs: (N, OH, OW)."""
    (n_images, oh, ow), n, c = outputs, tiles.shape[1], tiles.shape[3] // 4
    m, th, tw = n - 1, -(-oh // (n - 1)), -(-ow // (n - 1))
    tiles = tiles.reshape(n_images, th, tw, n, n, 2, 2, c)
    phases = np.zeros((n_images, th * m + 1, 2, tw * m + 1, 2, c), tiles.dtype)
    for i in range(n):
        for j in range(n):
            phases[:, i : i + th * m : m, :, j : j + tw * m : m] += tiles[:, :, :, i, j].transpose(0, 1, 3, 2, 4, 5)
    seen = phases.reshape(n_images, 2 * (th * m + 1), 2 * (tw * m + 1), c)[:, pad : pad + height, pad : pad + width]
    dx = np.zeros((n_images, height, width, c), tiles.dtype)
    dx[:, : seen.shape[1], : seen.shape[2]] = seen  # no output sees the last row and column of an odd image
    return dx


def join_tiles(tiles: np.ndarray, n_images: int, oh: int, ow: int) -> np.ndarray:
    """Join tiles of m x m outputs side by side, and cut them to (N, OH, OW, C_out)."""
    m, c = tiles.shape[1], tiles.shape[3]
    th, tw = -(-oh // m), -(-ow // m)
    whole = tiles.reshape(n_images, th, tw, m, m, c).transpose(0, 1, 3, 2, 4, 5)
    return whole.reshape(n_images, th * m, tw * m, c)[:, :oh, :ow]


def split_into_tiles(g: np.ndarray, m: int) -> np.ndarray:
    """Cut g (N, OH, OW, C_out) into tiles (T, m, m, C_out), with zeros beyond the edge: the adjoint of join_tiles."""
    n_images, oh, ow, c = g.shape
    th, tw = -(-oh // m), -(-ow // m)
    whole = np.zeros((n_images, th * m, tw * m, c), g.dtype)
    whole[:, :oh, :ow] = g
    return whole.reshape(n_images, th, m, tw, m, c).transpose(0, 1, 3, 2, 4, 5).reshape(n_images * th * tw, m, m, c)

"""The compiled maps of Winograd's convolution one by one, against their formulas in NumPy: in whole numbers, where nothing rounds.

Inputs are multiples of 6 where B^T has halves or thirds; with m = 4 its sixths, rounded to float32, leave a little.
"""

import numpy as np
import pytest
from tinygan_kernels import winograd_formulas as formulas
from tinygan_kernels.cpu.conv import winograd
from tinygan_kernels.shapes import conv_size

# N, H, W, pad
IMAGES = [(2, 9, 7, 1), (1, 4, 4, 0), (1, 3, 3, 1), (2, 8, 12, 2), (1, 2, 5, 2), (3, 13, 6, 1), (1, 11, 18, 0), (2, 9, 9, 0)]
CHANNELS = [(16, 48), (17, 33)]  # whole registers; with a rest
C = 33


def numbers(*shape):
    return 6.0 * np.random.default_rng(0).integers(-9, 10, shape)


def planes(tiles):
    """(T, n, n, C) -> (n*n, T, C)"""
    return tiles.transpose(1, 2, 0, 3).reshape(-1, tiles.shape[0], tiles.shape[3])


def tiles(planes):
    n = round(len(planes) ** 0.5)
    return planes.reshape(n, n, *planes.shape[1:]).transpose(2, 0, 1, 3)


def check(m, name, source, expected, *arguments):
    out = np.full(expected.shape, np.nan, np.float32)
    getattr(winograd, name)(source.astype(np.float32), *arguments, (0,) * m, out)
    np.testing.assert_allclose(out, expected, rtol=0, atol=0 if m < 4 else 2e-6 * np.abs(expected).max())


def sizes(shape, m):
    """(OH, OW, tiles down, tiles across)"""
    oh, ow = (conv_size(side, 4, 2, shape[3]) for side in shape[1:3])
    return oh, ow, -(-oh // m), -(-ow // m)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("shape", IMAGES)
def test_image_to_tiles_and_back(shape, m):
    (n, height, width, pad), (oh, ow, th, tw), Bt = shape, sizes(shape, m), formulas.transforms(m)[2]
    x, t = numbers(n, height, width, C), numbers((m + 1) ** 2, n * th * tw, 4 * C)
    check(m, "to_tiles", x, planes(formulas.transform_tiles(Bt, formulas.image_tiles(x, pad, th, tw, m))), pad, th, tw)
    back = formulas.add_up_tiles(formulas.transform_tiles(Bt.T, tiles(t)), (n, oh, ow), pad, height, width)
    check(m, "from_tiles", t, back, pad, th, tw)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("shape", IMAGES)
def test_tiles_to_outputs_and_back(shape, m):
    n, (oh, ow, th, tw), At = shape[0], sizes(shape, m), formulas.transforms(m)[0]
    t, g = numbers((m + 1) ** 2, n * th * tw, C), numbers(n, oh, ow, C)
    check(m, "to_outputs", t, formulas.join_tiles(formulas.transform_tiles(At, tiles(t)), n, oh, ow), th, tw)
    check(m, "from_outputs", g, planes(formulas.transform_tiles(At.T, formulas.split_into_tiles(g, m))), th, tw)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("c,c_out", [*CHANNELS, *(pair[::-1] for pair in CHANNELS)])
def test_filters_to_planes_and_back(c, c_out, m):
    G, n = formulas.transforms(m)[1], m + 1
    w, f = numbers(4, 4, c, c_out), numbers(n * n, 4 * c, c_out)
    expected = formulas.transform_filters(w, G).reshape(f.shape)
    check(m, "to_filters", w, expected)
    check(m, "to_turned_filters", w, expected.transpose(0, 2, 1))
    back = np.einsum("ka,lb,klpqco->apbqco", G, G, f.reshape(n, n, 2, 2, c, c_out)).reshape(w.shape)
    check(m, "from_filters", f, back)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_first_and_last_pixel_of_a_tile_enter_one_product_each(m):
    """The first and the last pixel of a tile enter one product each, which the sums at the seams between tiles rely on."""
    Bt = formulas.transforms(m)[2]
    np.testing.assert_array_equal(Bt[:, [0, m]], np.eye(m + 1)[:, [0, m]])


def test_neighbouring_infinities_stay_where_they_belong():
    """A pixel at a seam takes nothing from the tile before but its last products: 0 times infinity would show as NaN."""
    m, th, tw = 4, 2, 2
    t = np.zeros(((m + 1) ** 2, th * tw, 4 * C), np.float32)
    t[0, 0] = np.inf  # product (0, 0) of the first tile, in which its last rows and columns have no part
    dx = np.empty((1, 16, 16, C), np.float32)
    winograd.from_tiles(t, 1, th, tw, (0,) * m, dx)
    assert not np.isfinite(dx[0, :7, :7]).all()
    assert (dx[0, 7:] == 0).all() and (dx[0, :, 7:] == 0).all()


@pytest.mark.parametrize("rows,c", [(64, 256), (1, 32), (7, 33), (1024, 64)])
def test_planes_begin_in_different_places_of_a_cache(rows, c):
    transformed = winograd.WinogradConvolution(lambda use, shape, dtype: np.zeros(shape, dtype))
    taken = transformed._planes("tiles", 25, rows, c, np.dtype(np.float32))
    assert taken.shape == (25, rows, c) and all(plane.flags.c_contiguous for plane in taken)
    starts = [plane.ctypes.data for plane in taken]
    assert all(start % 64 == 0 for start in starts) and len({start % 4096 for start in starts}) == 25
    taken[...] = np.arange(25)[:, None, None]
    assert all((plane == i).all() for i, plane in enumerate(taken))

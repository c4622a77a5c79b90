"""Winograd's convolutions: their formulas in exact arithmetic, the compiled ones inside the bound derived for them, mistakes
planted one by one, and when the backend takes this way at all.

The compiled ones run in float32 alone, as in the backend: another precision would be compiled for the tests' sake.
"""

import ctypes
from fractions import Fraction

import numba
import numpy as np
import pytest
from strategies import normal
from tinygan_kernels import load, reference, winograd_formulas
from tinygan_kernels.cpu.conv import winograd
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.cpu.runtime.stages import Stage
from tinygan_kernels.shapes import conv_size
from tinygan_kernels.verification import bounds

TILES = (2, 3, 4)
KINDS = ("conv2d", "conv2d_dx", "conv2d_dw")
REAL = winograd_formulas.transforms


# ---- the formulas, in exact arithmetic ------------------------------------------------------------------------------------------


def exactly(a):
    """The fractions that a transform's entries stand for: every one has a denominator of at most 12."""
    return np.vectorize(lambda v: Fraction(v).limit_denominator(12), otypes=[object])(a)


def whole_numbers(rng, shape):
    return np.vectorize(Fraction, otypes=[object])(rng.integers(-9, 10, shape))


@pytest.mark.parametrize("m", TILES)
def test_minimal_filtering_is_exact(m):
    """y_i = d_i w_0 + d_(i+1) w_1 for all w and d: the bilinear form has no other term, and m + 1 products."""
    At, G, Bt = map(exactly, REAL(m))
    assert (At.shape, G.shape, Bt.shape) == ((m, m + 1), (m + 1, 2), (m + 1, m + 1))
    form = np.einsum("ik,kr,kj->irj", At, G, Bt)
    assert all(form[i, r, j] == (j == i + r) for i in range(m) for r in range(2) for j in range(m + 1))


@pytest.mark.parametrize("m", TILES)
def test_transforms_are_the_nearest_that_float64_has(m):
    for matrix in REAL(m):
        np.testing.assert_array_equal(matrix, exactly(matrix).astype(np.float64))
    assert all((a == np.round(a)).all() for a in REAL(m)[:2])  # of which the bound makes use


SHAPES = [(2, 9, 7, 1), (1, 4, 4, 0), (1, 3, 3, 1), (2, 8, 12, 2), (1, 2, 5, 2), (3, 13, 6, 1), (1, 11, 18, 0)]  # N, H, W, pad


def arrays(shape, c, c_out, make):
    """(x, w, g, pad) of a 4x4 convolution of stride 2"""
    n, height, width, pad = shape
    oh, ow = conv_size(height, 4, 2, pad), conv_size(width, 4, 2, pad)
    return make((n, height, width, c)), make((4, 4, c, c_out)), make((n, oh, ow, c_out)), pad


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_three_convolutions_are_exact_in_fractions(m, shape):
    rng = np.random.default_rng(0)
    x, w, g, pad = arrays(shape, 1, 2, lambda s: whole_numbers(rng, s))
    maps, size = tuple(map(exactly, REAL(m))), x.shape[1:3]
    plain = [a.astype(np.float64) for a in (x, w, g)]
    assert (winograd_formulas.conv2d(x, w, pad, *g.shape[1:3], maps) == reference.conv2d(plain[0], plain[1], 2, pad)).all()
    assert (winograd_formulas.conv2d_dx(g, w, pad, *size, maps) == reference.conv2d_dx(plain[2], plain[1], 2, pad, *size)).all()
    assert (winograd_formulas.conv2d_dw(x, g, pad, maps) == reference.conv2d_dw(plain[0], plain[2], 2, pad, 4, 4)).all()


def test_the_tile_that_multiplies_least():
    """With so many images that transforming the filters costs nothing, the best tile is the one with the fewest multiplications."""
    best = {(2, 2): 2, (3, 3): 3, (4, 4): 4, (6, 6): 3, (8, 8): 4, (1, 1): 2, (7, 7): 4, (3, 4): 4, (2, 3): 3}
    assert {size: winograd_formulas.best_tile(10**6, *size, 64, 64) for size in best} == best


@pytest.mark.parametrize("n,m", [(16, 2), (32, 2), (128, 4), (1000, 4)])
def test_few_tiles_do_not_pay_for_many_filters(n, m):
    """Four tiles with m = 2 or one with m = 4: measured, 64 images take about the same time either way."""
    assert winograd_formulas.best_tile(n, 4, 4, 256, 512) == m
    assert winograd_formulas.best_tile(n, 16, 16, 64, 128) == 4


# ---- the compiled ones, inside their bound --------------------------------------------------------------------------------------


@pytest.fixture(params=TILES)
def m(request, monkeypatch):
    """Run the test with every Winograd tile in turn; kernel and bound use the same tile."""
    for place in (winograd, winograd_formulas):
        monkeypatch.setattr(place, "best_tile", lambda *sizes: request.param)
    return request.param


def fresh(use, shape, dtype):
    """Return scratch memory full of NaN, so that whatever is read before it is written shows."""
    return np.full(shape, 0xFF, np.uint8) if dtype == np.uint8 else np.full(shape, np.nan, dtype)  # bytes of NaN


def launched(kind):
    """Return the compiled convolution as an implementation that bounds.verify can call."""
    transformed = winograd.WinogradConvolution(fresh)

    def implementation(a, b, out, stride, pad, **_):
        getattr(transformed, kind)(a, b, out, pad)()

    return implementation


def case(kind, shape, c, c_out, dtype=np.float32, seed=0):
    """Return (inputs, parameters) of a convolution in the contract's order."""
    rng = np.random.default_rng(seed)
    x, w, g, pad = arrays(shape, c, c_out, lambda s: normal(rng, s, dtype))
    inputs, extra = {
        "conv2d": ((x, w), {}),
        "conv2d_dx": ((g, w), {"height": shape[1], "width": shape[2]}),
        "conv2d_dw": ((x, g), {"kh": 4, "kw": 4}),
    }[kind]
    return inputs, {"stride": 2, "pad": pad, **extra}


def used(kind, shape, c, c_out):
    """Return the worst error as a share of the bound."""
    inputs, params = case(kind, shape, c, c_out)
    return bounds.verify(launched(kind), kind, inputs, rule=f"{kind}_winograd", **params)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_hard_sizes(kind, shape, m):
    """Hard sizes are inside the bound with the fewest channels that fill a register and with one more."""
    assert used(kind, shape, 16, 17) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_real_networks_and_several_chunks(kind, m, monkeypatch):
    """Vectors with and without a rest; then the images of a batch one by one, where dw is a sum over chunks."""
    assert used(kind, (6, 16, 16, 1), 33, 40) <= 1
    monkeypatch.setattr(winograd, "tiles_at_a_time", lambda *sizes: 1)
    assert used(kind, (6, 9, 10, 1), 32, 17) <= 1


def test_chunks_are_all_images_once(monkeypatch):
    """Chunks have about the size that is asked for, whether or not it divides the batch."""
    for tiles, parts in ((1, 7), (2, 4), (3, 2), (7, 1), (100, 1)):
        monkeypatch.setattr(winograd, "tiles_at_a_time", lambda *sizes, tiles=tiles: tiles)
        *_, chunks = winograd.WinogradConvolution(fresh)._plan(7, 2, 2, 32, 32, np.dtype(np.float32))
        assert [i for start, stop in chunks for i in range(start, stop)] == list(range(7))
        assert len(chunks) == parts


@pytest.mark.parametrize("c,c_out", [(15, 32), (32, 15)])
def test_channels_that_do_not_fill_a_register_are_refused(c, c_out, monkeypatch):
    """Vectors of such channels would be read and written beyond the arrays' ends."""
    monkeypatch.setattr(winograd, "lanes", lambda itemsize: 64 // itemsize)
    for kind in KINDS:
        with pytest.raises(ValueError, match=f"at least 16 channels at once, not {c} and {c_out}"):
            used(kind, (2, 8, 8, 1), c, c_out)


@pytest.mark.parametrize("kind", KINDS)
def test_one_thread_and_two(kind, m):
    before = numba.get_num_threads()
    try:
        for threads in sorted({1, min(2, before)}):
            numba.set_num_threads(threads)
            assert used(kind, (4, 12, 14, 1), 32, 32) <= 1
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_is_not_far_above_what_happens(kind, m):
    """The bound is not loose: half of all elements have an error above a ten-thousandth of it."""
    inputs, params = case(kind, (8, 16, 16, 1), 32, 32)
    exact = [a.astype(np.float64) for a in inputs]
    expected = getattr(reference, kind)(*exact, **params)
    actual = np.full(expected.shape, np.nan, np.float32)
    launched(kind)(*inputs, actual, **params)
    (allowed,) = bounds.bound(kind, exact, [expected], np.float32, rule=f"{kind}_winograd", **params)
    shares = np.abs(actual - expected) / allowed
    assert np.median(shares) > 1e-4 and shares.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_holds_at_least_the_terms_of_the_definition(kind, m):
    """Magnitudes through magnitudes cannot be less than the magnitudes' own convolution: a map left signed would be."""
    inputs, params = case(kind, (2, 10, 9, 1), 3, 4)
    sizes = [np.abs(a).astype(np.float64) for a in inputs]
    direct = getattr(reference, kind)(*sizes, **params)
    (allowed,) = bounds.bound(kind, sizes, [direct], np.float64, rule=f"{kind}_winograd", **params)
    assert (allowed >= np.finfo(np.float64).eps * direct).all()
    assert (allowed[direct == 0] < 1e-300).all()  # what no output sees is exactly 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_infinite_pixel_stays_in_its_image(kind):
    """Sums that are padded to five terms with weight 0 must not reach for another image's numbers: 0 times infinity is NaN."""
    if kind == "conv2d_dw":
        pytest.skip("dw sums over images")
    (a, w), params = case(kind, (4, 8, 8, 1), 16, 16)
    spoilt = a.copy()
    spoilt[0] = np.inf
    results = [np.empty(getattr(reference, kind)(a, w, **params).shape, np.float32) for _ in range(2)]
    for image, out in zip((a, spoilt), results, strict=True):
        launched(kind)(image, w, out, **params)
    np.testing.assert_array_equal(results[0][1:], results[1][1:])
    assert not np.isfinite(results[1][0]).all()


@pytest.mark.parametrize("filters,stride", [((3, 3), 2), ((4, 4), 1), ((4, 2), 2)])
def test_the_bound_is_for_the_convolution_it_was_derived_for(filters, stride):
    x, w = np.ones((1, 8, 8, 2)), np.ones((*filters, 2, 2))
    y = reference.conv2d(x, w, stride, 1)
    with pytest.raises(ValueError, match="4x4 filters of stride 2"):
        bounds.bound("conv2d", (x, w), (y,), np.float32, rule="conv2d_winograd", stride=stride, pad=1)


def test_a_bound_that_there_is_not_is_refused():
    """An unknown bound must be refused, or the kernel would be judged by the bound of an elementary function."""
    with pytest.raises(ValueError, match=r"no bound named 'conv2d_fft'; .* conv2d_winograd"):
        bounds.bound("conv2d", (), (), np.float32, rule="conv2d_fft")


# ---- mistakes, planted ----------------------------------------------------------------------------------------------------------

ENTRIES = [(m, which, tuple(at)) for m in TILES for which in range(3) for at in np.argwhere(REAL(m)[which])]


@pytest.mark.parametrize("m,which,at", ENTRIES)
def test_a_coefficient_that_is_wrong_by_one_percent_is_caught(m, which, at, monkeypatch):
    """Coefficients are changed in the NumPy formulas, because the compiled maps have theirs built in; test_winograd_transforms
    compares the two.
    """
    changed = [a.astype(np.float32) for a in REAL(m)]
    shape, sizes = (2, 12, 10, 1), {"conv2d": (6, 5), "conv2d_dx": (12, 10), "conv2d_dw": ()}
    monkeypatch.setattr(winograd_formulas, "best_tile", lambda *sizes: m)

    def share(kind):
        def implementation(a, b, out, pad, **_):
            out[...] = getattr(winograd_formulas, kind)(a, b, pad, *sizes[kind], changed)

        inputs, params = case(kind, shape, 8, 8)
        return bounds.verify(implementation, kind, inputs, rule=f"{kind}_winograd", **params)

    assert all(share(kind) <= 1 for kind in KINDS)
    changed[which][at] *= 1.01
    assert all(share(kind) > 1 for kind in KINDS)


class InPython:
    """What stands in for a compiled loop: a Python function of its arguments, called from among the stages."""

    def __init__(self, function):
        self.function = function

    def stage(self, parts, *arguments, size=0):
        made = InPython(self.function)
        made.entry = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(lambda *_: self.function(*arguments))
        return Stage(made, "", np.zeros(1, np.int64), 1, arguments, size)

    def compile(self, names):
        return False

    def code(self, names):
        return ctypes.cast(self.entry, ctypes.c_void_p).value


def _after(name, spoil):
    """A compiled pass, and then a mistake in what it has written (its last array)."""
    real = getattr(winograd, name)

    def wrong(*arguments):
        real(*arguments)
        spoil(arguments[-1])

    return name, InPython(wrong)


def _with(name, change):
    """A compiled pass called with wrong arguments."""
    real = getattr(winograd, name)
    return name, InPython(lambda *arguments: real(*change(*arguments)))


def _shift(tiles):
    tiles[...] = np.roll(tiles, 1, axis=1)


def _swap_phases(axis):
    """Return a planted mistake: a function that exchanges the phases (0, 1) and (1, 0) of transformed planes in place."""

    def spoil(planes):
        parts = np.split(planes, 4, axis)
        parts[1][...], parts[2][...] = parts[2].copy(), parts[1].copy()

    return spoil


def _last_row(y):
    y[:, -1] = 0


def _never_added(a, b, c, trans_a=False, trans_b=False, add=False, take=None):
    return REAL_PRODUCTS(a, b, c, trans_a, trans_b)


def _turn(filters):
    filters[...] = filters.transpose(0, 2, 1).copy()


REAL_PRODUCTS = winograd.bind_products
CHANNELS = 16
MISTAKES = {
    "a tile shifted": (_after("to_tiles", _shift), ("conv2d", "conv2d_dw")),
    "a tile of outputs shifted": (_after("from_outputs", _shift), ("conv2d_dx", "conv2d_dw")),
    "phases of the image swapped": (_after("to_tiles", _swap_phases(2)), ("conv2d", "conv2d_dw")),
    "phases of the filters swapped": (_after("to_filters", _swap_phases(1)), ("conv2d",)),
    "phases of the turned filters swapped": (_after("to_turned_filters", _swap_phases(2)), ("conv2d_dx",)),
    "padded on the wrong side": (_with("to_tiles", lambda x, pad, *rest: (x, 2 - pad, *rest)), ("conv2d", "conv2d_dw")),
    "the last row of outputs": (_after("to_outputs", _last_row), ("conv2d",)),
    "the last row of pixels": (_after("from_tiles", _last_row), ("conv2d_dx",)),
    "chunks that overwrite each other": (("bind_products", _never_added), ("conv2d_dw",)),
    "filters not transposed": (_after("to_turned_filters", _turn), ("conv2d_dx",)),
}


@pytest.mark.parametrize("mistake,kind", [(mistake, kind) for mistake, (_, kinds) in MISTAKES.items() for kind in kinds])
def test_a_mistake_is_caught(mistake, kind, monkeypatch, m):
    (name, wrong), _ = MISTAKES[mistake]
    monkeypatch.setattr(winograd, "tiles_at_a_time", lambda *sizes: 1)
    shape = (3, 12, 12, 0 if mistake == "padded on the wrong side" else 1)
    c_out = 4 * CHANNELS  # shapes alone give away no missing transposition
    assert used(kind, shape, CHANNELS, c_out) <= 1
    monkeypatch.setattr(winograd, name, wrong)
    assert used(kind, shape, CHANNELS, c_out) > 1


# ---- adjoints -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_each_is_the_others_adjoint(shape, m):
    """<conv(x, w), g> = <x, dx(g, w)> = <w, dw(x, g)> in whole numbers: exactly where B^T has no thirds, for m of 2 and 3."""
    rng = np.random.default_rng(1)
    x, w, g, pad = arrays(shape, 17, 18, lambda s: rng.integers(-4, 5, s).astype(np.float32))
    y, dx, dw = (np.full_like(a, np.nan) for a in (g, x, w))
    transformed = winograd.WinogradConvolution(fresh)
    transformed.conv2d(x, w, y, pad)()
    transformed.conv2d_dx(g, w, dx, pad)()
    transformed.conv2d_dw(x, g, dw, pad)()
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in ((y, g), (x, dx), (w, dw))]
    sides, size = [np.vdot(a, b) for a, b in pairs], np.vdot(*np.abs(pairs[0]))
    if m < 4:
        assert sides[0] == sides[1] == sides[2]
        np.testing.assert_array_equal(y, reference.conv2d(x, w, 2, pad))
    np.testing.assert_allclose(sides, sides[0], rtol=0, atol=1e-6 * size)


# ---- when the backend goes this way ---------------------------------------------------------------------------------------------

C, PIXELS = max(winograd.LEAST_CHANNELS, simd.lanes(4)), winograd.LEAST_PIXELS
WORTH_IT = {"filters": (4, 4, C, C), "stride": 2, "pixels": (1, 2, PIXELS // 2, C), "dtype": np.dtype(np.float32)}
NOT_WORTH_IT = [
    {"filters": (3, 4, C, C)}, {"filters": (4, 3, C, C)}, {"filters": (4, 4, C - 1, C)}, {"filters": (4, 4, C, C - 1)},
    {"stride": 1}, {"stride": 4}, {"dtype": np.dtype(np.float64)}, {"pixels": (1, 2, PIXELS // 2 - 1, C)},
    {"pixels": (1024, 1, 8, C)}, {"pixels": (1024, 8, 1, C)},
]


def taken(filters, stride, pixels, dtype):
    return winograd.suits(filters, stride, pixels, dtype) and winograd.pays(filters, pixels, dtype)


@pytest.mark.parametrize("change", NOT_WORTH_IT, ids=str)
def test_where_it_does_not_pay_it_is_not_taken(change):
    assert taken(**WORTH_IT)
    assert taken(**{**WORTH_IT, "pixels": (PIXELS // 4, 2, 2, C)})
    assert not taken(**{**WORTH_IT, **change})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_goes_this_way_and_float64_the_direct_one(kind, dtype, monkeypatch):
    entered, place = [], load("cpu")
    real = getattr(winograd.WinogradConvolution, kind)
    monkeypatch.setattr(winograd.WinogradConvolution, kind, lambda *arguments: entered.append(kind) or real(*arguments))
    inputs, params = case(kind, (16, 16, 16, 1), 32, 32, dtype)

    def implementation(a, b, out, **params):
        place.launch(kind, (a, b), out=out, **params)

    rule = f"{kind}_winograd" if dtype == np.float32 else kind
    assert bounds.verify(implementation, kind, inputs, rule=rule, **params) <= 1
    assert entered == ([kind] if dtype == np.float32 else [])

"""The register tile and its helpers by themselves: all they read and write, in every shape that a machine's registers allow, and
how a product is cut among threads."""

import os
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest
import verified_products
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal
from tinygan_kernels.cpu.matmul import blocking, jobs, microkernel
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.verification import bounds


@numba.njit
def one_tile(height, across, like, a, table, b, c, steps, sizes, finish, bias, slope, copy):
    """steps: a, a segment, b, b segment, c in bytes. copy: where B goes on the way, or empty."""
    shift = address_of(bias) if bias.size else np.int64(0)
    panel = address_of(copy) if copy.size else np.int64(0)
    microkernel.compute_tile(
        height, across, like, (address_of(a), address_of(table), steps[0], steps[1]), (address_of(b), steps[2], steps[3]),
        (address_of(c), steps[4]), sizes, (finish, shift), slope, panel,
    )


@numba.njit
def transposed(like, source, target):
    microkernel.transpose_block(
        like, address_of(source), source.shape[1] * source.itemsize, address_of(target), target.shape[1] * target.itemsize
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("segments", "copying"), [(1, False), (3, False), (1, True)])
@pytest.mark.parametrize("height,across", [(1, 1), (2, 3), (4, 4), (6, 2)])
@pytest.mark.parametrize("finish", ["fresh", "added", "bias"])
def test_a_tile(height, across, segments, copying, dtype, finish):
    """Rows of A in any order and at any distance, segments apart from each other, C in the midst of other numbers."""
    rng, depth, width = np.random.default_rng(0), 5, across * simd.lanes(np.dtype(dtype).itemsize)
    a, b = normal(rng, (7, segments, 8), dtype), normal(rng, (segments, depth + 1, width + 3), dtype)
    order = rng.permutation(7)[:height]
    c = normal(rng, (height + 2, width + 5), dtype)
    bias = normal(rng, width, dtype) if finish == "bias" else np.empty(0, dtype)
    item, before = a.itemsize, c.copy()
    copy = np.full((depth + 1) * width if copying else 0, -1, dtype)
    steps = np.array([item, a.strides[1], b.strides[1], b.strides[0], c.strides[0]])
    place = c[1:, 2:]
    one_tile((0,) * height, (0,) * across, a, a, order * a.strides[0], b, place, tuple(steps), (segments, depth),
             int(finish == "added"), bias, dtype(0.2), copy)
    if copying:
        np.testing.assert_array_equal(copy, [*b[0, :depth, :width].ravel(), *[-1] * width])
    wide = [x.astype(np.longdouble) for x in (a[order, :, :depth], b[:, :depth, :width])]
    exact, size = np.einsum("rsk,skj->rj", *wide), np.einsum("rsk,skj->rj", *map(np.abs, wide))
    if finish == "added":
        exact, size = exact + before[1:-1, 2 : 2 + width], size + np.abs(before[1:-1, 2 : 2 + width])
    if finish == "bias":
        exact, size = exact + bias, size + np.abs(bias)
        exact = np.where(exact > 0, exact, np.longdouble(dtype(0.2)) * exact)
    made = place[:height, :width]
    assert bounds.share(made, exact, bounds.gamma(segments * depth + 3, dtype) * size) <= 1
    c[1:-1, 2 : 2 + width] = before[1:-1, 2 : 2 + width]
    np.testing.assert_array_equal(c, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_square_is_transposed_and_nothing_else_touched(dtype):
    side = simd.lanes(np.dtype(dtype).itemsize)
    source = np.arange(side * (side + 3), dtype=dtype).reshape(side, side + 3)
    target = np.full((side + 1, side + 2), -1, dtype)
    transposed(source, source, target)
    np.testing.assert_array_equal(target[:side, :side], source[:, :side].T)
    assert (target[side] == -1).all() and (target[:, side:] == -1).all()


@settings(max_examples=300, deadline=None)
@given(
    m=st.integers(1, 300), n=st.integers(1, 900), item=st.sampled_from((4, 8)), parts=st.integers(1, 9),
    depth=st.sampled_from((0, 1, 40, 2000)), b_step=st.sampled_from((0, 400, 2048)), turned=st.booleans(), gathered=st.booleans(),
)
def test_cuts_cover_everything_once_with_tiles_that_fit(m, n, item, parts, depth, b_step, turned, gathered):
    """Every number of C is in one part, and none beyond it; parts are no smaller than a tile, and blocks are of whole tiles."""
    chosen = blocking.choose_blocking(m, n, depth, item, parts, b_step, turned, gathered)
    fitting = [shape for shape in blocking.TILES if shape[0] <= m and shape[2] * simd.lanes(item) <= n]
    if depth * n * item > blocking.BLOCK_BYTES:
        fitting = [shape for shape in fitting if shape[0] >= blocking.FLAT]
    assert (chosen is None) == (not fitting)
    if chosen is None:
        return
    assert (chosen.pack_b or not turned) and chosen.pack_a == gathered
    assert chosen.block >= 1 and (not b_step or (chosen.block_rows >= 1 and chosen.block_rows % chosen.height == 0))
    covered = np.zeros((m, n), int)
    for top, bottom, left, right in chosen.regions(m, n):
        assert top >= 0 and bottom <= m and left >= 0 and right <= n
        assert bottom - top >= chosen.height and right - left >= chosen.narrow_across * simd.lanes(item)
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all() and len(chosen.regions(m, n)) <= parts


@given(
    shape=st.sampled_from(blocking.TILES), columns=st.integers(1, 900), item=st.sampled_from((4, 8)), by_columns=st.booleans()
)
def test_wide_and_narrow_tiles_fill_a_run_of_columns(shape, columns, item, by_columns):
    """Both kinds begin within the run and none reaches beyond its start; with whole registers to spare nothing is done twice."""
    height, across, edge, _ = shape
    wide, narrow = across * simd.lanes(item), edge * simd.lanes(item)
    if columns < narrow:
        return
    chosen = jobs.Blocking(height, across, edge, item, by_columns, 1, False, False, False, 1, 1)
    first, computed = chosen.split_columns(columns)
    assert 0 <= first <= columns
    assert first == columns or first % wide == 0, "narrow tiles begin where a wide one ends"
    assert first == 0 or columns >= wide, "a wide tile that overlaps needs room to its left"
    done = -(-first // wide) * wide + -(-(columns - first) // narrow) * narrow
    assert done == computed
    assert columns <= done <= -(-columns // min(wide, narrow)) * narrow + wide
    counts = [(a, b) for a in range(columns // wide + 1) for b in range(across + 1)]
    counts += [(columns // wide + 1, 0)] if columns >= wide else []
    assert done == min(a * wide + b * narrow for a, b in counts if a * wide + b * narrow >= columns)


@given(size=st.integers(0, 5000), most=st.integers(1, 400))
def test_blocks_are_the_fewest_and_even(size, most):
    block = blocking.even_length(size, most)
    assert 1 <= block <= max(most, 1) and -(-size // block) == -(-size // most)


@pytest.mark.parametrize("act_slope", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("shape", [(70, 40, 130), (7, 16, 16), (256, 128, 128), (300, 200, 784)], ids=str)
def test_a_product_with_its_bias_is_the_two_steps_bit_for_bit(shape, act_slope):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b, bias = (normal(rng, s, np.float32) for s in ((m, k), (k, n), (n,)))
    c, plain = np.full((2, 1, m, n), np.nan, np.float32)
    call = jobs.tiled_products(a[None], b[None], c, bias=bias, slope=act_slope)
    if call is None:
        pytest.skip("no tile fits this shape on this machine's registers")
    call()
    jobs.tiled_products(a[None], b[None], plain)()
    plain += bias
    np.testing.assert_array_equal(c, np.where(plain > 0, plain, np.float32(act_slope) * plain))


def test_the_level_2_cache_is_as_large_as_the_c_library_says():
    command = shutil.which("getconf")
    said = subprocess.run([command, "LEVEL2_CACHE_SIZE"], capture_output=True, text=True, check=False).stdout if command else ""
    if not said.strip().isdecimal() or int(said) == 0:
        pytest.skip("getconf does not tell the cache's size here")
    assert simd.level_2_bytes() == int(said)


NARROWER = """
from tinygan_kernels.cpu.runtime import simd

simd.register_bytes, simd.registers = lambda: 16, lambda: 32

from tinygan_kernels.cpu.matmul import blocking

assert simd.lanes(4) == 4 and blocking.TILES == blocking.TILES_OF_32_REGISTERS
blocking.TILES = blocking.TILES[:1]
"""


@pytest.mark.long
def test_a_machine_with_narrow_registers_and_many_of_them(tmp_path):
    """The code is right with the registers of NEON. simd.py names the width; LLVM splits vectors. One tile stands for all, as the
    others have been compiled for this machine's registers. Those of AVX2 and SSE are in tests/test_targets.py.
    """
    command = [sys.executable, "-c", NARROWER + verified_products.PROGRAM]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@numba.njit
def tile_with(like, a):
    one = np.int64(1)
    microkernel.compute_tile((0,), (0,), like, a, (one, one, one), (one, one), (one, one), (one, one), like.dtype.type(0), one)


def test_addresses_that_are_no_whole_numbers_are_refused_when_compiling():
    """An unsigned address plus an offset is a float in Numba; as an address it would point anywhere."""
    numbers = np.ones(4, np.float32)
    with pytest.raises(numba.TypingError, match="addresses and steps are tuples of int64"):
        tile_with.compile(numba.typeof((numbers, (np.uint64(1), 1, 1, 1))).types)

"""Matrix products by register tiles, and by plain loops for thin ones: every class of shape inside the bound, memory beyond them
untouched, any number of threads, and stale code compiled anew."""

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
import pytest
import tinygan_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, normal
from tinygan_kernels.cpu.matmul import blocking, choice, jobs
from tinygan_kernels.cpu.matmul.skinny import FEW_TERMS, skinny_product
from tinygan_kernels.cpu.runtime import stages
from tinygan_kernels.verification import bounds

WAYS = {"chosen": choice.bind_product, "loops": skinny_product}
SIZES = (1, 2, 15, 16, 17, 31, 33, 48, 49)  # parts are cut at multiples of 16
SHAPES = [
    # None, and few terms: the code for so many terms is unrolled for each number of them, so the least and the most stand for all.
    *[(m, n, k) for k in (0, 1, 2, FEW_TERMS, FEW_TERMS + 1) for m, n in ((1, 1), (7, 9), (33, 16))],
    (0, 3, 2), (3, 0, 2), (0, 0, 0), (0, 5, 9), (5, 0, 9),
    (1, 300, 40), (300, 1, 40), (1, 1, 700), (2, 511, 33), (511, 2, 33), (1, 1, 1), (1, 17, FEW_TERMS),  # thin
    (63, 65, 120), (64, 64, 128), (100, 90, 80), (257, 31, 90), (31, 257, 90),  # on both sides of WORTH_SPLITTING
    (70, 64, 128), (70, 80, 300), (24, 16, 30), (23, 16, 30), (6, 64, 15), (6, 64, 17), (12, 192, 400), (13, 193, 401),  # tiles
    (40, 100, 900), (200, 100, 900),  # several panels, blocks of k, blocks of rows
    (16, 40, 1000), (17, 40, 1000), (40, 17, 1000), (15, 15, 3000),  # fewer blocks of 16 than threads
]


def placed(array):
    """(the same matrix, C-contiguous, in the midst of memory full of NaN; that memory)"""
    memory = np.full(array.size + 128, np.nan, array.dtype)
    view = memory[64 : 64 + array.size].reshape(array.shape)
    view[...] = array
    return view, memory


def operands(m, n, k, trans_a, trans_b, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return normal(rng, (k, m) if trans_a else (m, k), dtype), normal(rng, (n, k) if trans_b else (k, n), dtype)


@lru_cache(maxsize=2)
def exact_product(m, n, k, trans_a, trans_b, dtype):
    """(A B, |A| |B|) in a wider dtype. The last ones are kept, as each way of computing a product is held to the same."""
    wide = np.float64 if dtype == np.float32 else np.longdouble
    a, b = (x.astype(wide) for x in operands(m, n, k, trans_a, trans_b, dtype))
    left, right = a.T if trans_a else a, b.T if trans_b else b
    return left @ right, np.abs(left) @ np.abs(right)


def used(m, n, k, trans_a=False, trans_b=False, dtype=np.float32, add=False, way="chosen"):
    """The worst error of C = A B, or C += A B, as a share of its bound; inf where memory around C was written to."""
    a, b = (placed(x)[0] for x in operands(m, n, k, trans_a, trans_b, dtype))
    start = normal(np.random.default_rng(1), (m, n), dtype) if add else np.full((m, n), np.nan, dtype)
    c, memory = placed(start)
    WAYS[way](a, b, c, trans_a, trans_b, add)()
    around = np.concatenate([memory[:64], memory[64 + c.size :]])
    exact, magnitude = exact_product(m, n, k, trans_a, trans_b, dtype)
    if add:
        exact, magnitude = exact + start, magnitude + np.abs(start.astype(exact.dtype))
    allowed = bounds.gamma(k + 2, dtype) * magnitude + 4 * np.finfo(dtype).tiny
    return bounds.share(c, exact, allowed) if np.isnan(around).all() else np.inf


# ---- one product ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans", [(False, False), (True, False), (False, True), (True, True)], ids=["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_class_of_shape(shape, trans, dtype, way):
    for add in (False, True):
        assert used(*shape, *trans, dtype, add, way) <= 1, f"add {add}"


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(*[st.sampled_from(SIZES)] * 3), trans=st.tuples(st.booleans(), st.booleans()),
    dtype=st.sampled_from(DTYPES), add=st.booleans(), splitting=st.booleans(), blocks=st.booleans(),
    way=st.sampled_from(sorted(WAYS)),
)
def test_sizes_around_the_cuts(shape, trans, dtype, add, splitting, blocks, way):
    """Sizes around the tile's edges are inside the bound, also when every product is cut into parts and into blocks of a few terms
    and rows.
    """
    with pytest.MonkeyPatch.context() as patch:
        if splitting:
            patch.setattr(jobs, "WORTH_SPLITTING", 0)
            patch.setattr(stages, "WORTH_SHARING", 0)
        if blocks:
            patch.setattr(blocking, "PANEL_BYTES", 2 << 10)
            patch.setattr(blocking, "BLOCK_BYTES", 1 << 10)
        jobs.forget_plans()
        assert used(*shape, *trans, dtype, add, way) <= 1
    jobs.forget_plans()


@pytest.mark.parametrize("shape", [(40, 50, 60), (100, 90, 80), (33, 20, 2), (1, 17, FEW_TERMS)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_of_threads(shape, threads):
    before = numba.get_num_threads()
    if threads > before:
        pytest.skip(f"there is but {before} thread here")
    try:
        numba.set_num_threads(threads)
        for trans in ((False, False), (True, False), (False, True)):
            assert used(*shape, *trans) <= 1
    finally:
        numba.set_num_threads(before)


@given(n=st.integers(0, 500), parts=st.integers(1, 9))
def test_spans_cover_everything_once_in_multiples_of_16(n, parts):
    spans = [stages.span.py_func(n, parts, p) for p in range(parts)]
    assert [i for start, stop in spans for i in range(start, stop)] == list(range(n))
    assert all(start % 16 == 0 or start == n for start, _ in spans)
    sizes = [stop - start for start, stop in spans]
    assert max(sizes) - min(sizes) < 32


def test_nan_in_a_factor_comes_out_and_stays_in_its_row():
    for m, n, k in ((20, 30, 2), (20, 30, 40), (100, 90, 80)):
        a, b = operands(m, n, k, False, False, np.float32)
        a[7, 1] = np.nan
        c = np.zeros((m, n), np.float32)
        choice.bind_product(a, b, c)()
        assert np.isnan(c[7]).all() and np.isfinite(np.delete(c, 7, axis=0)).all()


def test_the_judge_sees_a_product_that_is_wrong(monkeypatch):
    """Transposition dropped, C not added to, a part left out, one term left out, NaN around C written over."""
    real = choice.bind_product

    def wrong(change):
        def made(a, b, c, trans_a=False, trans_b=False, add=False):
            return lambda: change(a, b, c, trans_a, trans_b, add)

        return made

    def beyond(a, b, c, trans_a, trans_b, add):
        real(a, b, c, trans_a, trans_b, add)()
        np.lib.stride_tricks.as_strided(c, (c.size + 1,), (c.itemsize,))[-1] = 0

    mistakes = {
        "trans_b": lambda a, b, c, ta, tb, add: real(a, b, c, ta, not tb, add)(),
        "add": lambda a, b, c, ta, tb, add: real(a, b, c, ta, tb, False)(),
        "part": lambda a, b, c, ta, tb, add: real(a[:16], b, c[:16], ta, tb, add)(),
        "term": lambda a, b, c, ta, tb, add: real(a[:, :-1].copy(), b[:-1].copy(), c, ta, tb, add)(),
        "beyond": beyond,
    }
    for name, mistake in mistakes.items():
        assert used(20, 20, 20, add=True) <= 1
        with monkeypatch.context() as patch:
            patch.setitem(WAYS, "chosen", wrong(mistake))
            assert used(20, 20, 20, add=True) > 1, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans", [(False, False), (True, False), (False, True)], ids=["NN", "TN", "NT"])
@pytest.mark.parametrize("shape", [(9, 40, 1), (33, 17, FEW_TERMS), (70, 100, 90), (40, 100, 900)], ids=str)
def test_a_product_with_bias_and_activation_is_the_two_one_after_the_other(shape, trans, dtype):
    m, n, k = shape
    a, b = (placed(x)[0] for x in operands(m, n, k, *trans, dtype))
    bias, memory = placed(normal(np.random.default_rng(2), (n,), dtype))
    for slope in (0.0, 0.2, 1.0):
        c, plain = (placed(np.full((m, n), np.nan, dtype))[0] for _ in range(2))
        choice.bind_linear(a, b, c, bias, slope, *trans)()
        choice.bind_product(a, b, plain, *trans)()
        shifted = plain + bias
        np.testing.assert_allclose(c, np.where(shifted > 0, shifted, slope * shifted), rtol=4 * np.finfo(dtype).eps, atol=1e-37)
    assert np.isnan(np.delete(memory, np.s_[64 : 64 + n])).all()


def test_more_threads_than_there_were_when_a_product_was_bound():
    most = numba.config.NUMBA_NUM_THREADS
    if most < 2:
        pytest.skip("there is but one thread here")
    a, b = operands(300, 200, 500, True, True, np.float32)
    calls, before = [], numba.get_num_threads()
    try:
        for threads in (1, most):
            numba.set_num_threads(threads)
            c = np.empty((300, 200), np.float32)
            calls.append((choice.bind_product(a, b, c, True, True), c))
        for call, _ in calls:
            call()
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(calls[0][1], calls[1][1])


# ---- stacks of products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 8, 25])
@pytest.mark.parametrize("trans", [(False, False), (True, False), (False, True)], ids=["NN", "TN", "NT"])
@pytest.mark.parametrize("shape", [(33, 20, 17), (1, 40, 5), (70, 64, 1)], ids=str)
def test_stacks(shape, trans, count):
    """Few matrices are cut into parts, many are handed out whole; each is its own product."""
    m, n, k = shape
    pairs = [operands(m, n, k, *trans, np.float32, seed) for seed in range(count)]
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    for add in (False, True):
        c = np.full((count, m, n), 0.5 if add else np.nan, np.float32)
        choice.bind_products(a, b, c, *trans, add)()
        left, right = (np.swapaxes(x, 1, 2) if t else x for x, t in ((a, trans[0]), (b, trans[1])))
        exact = left.astype(float) @ right.astype(float) + add * 0.5
        allowed = bounds.gamma(k + 2, np.float32) * (np.abs(left) @ np.abs(right) + add * 0.5)
        assert bounds.share(c, exact, allowed) <= 1


# ---- bound calls, the library, the cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 3, 2), (20, 30, 0), (20, 30, 2), (20, 30, 40), (100, 90, 80)], ids=str)
def test_a_bound_product_reads_its_arrays_anew(shape):
    m, n, k = shape
    a, b = operands(m, n, k, False, False, np.float32)
    c, direct = np.full((m, n), np.nan, np.float32), np.empty((m, n), np.float32)
    call = choice.bind_product(a, b, c)
    for factor in (1, -3):
        a *= factor
        call()
        choice.bind_product(a, b, direct)()
        np.testing.assert_array_equal(c, direct)


def test_an_edit_of_one_file_of_the_package_makes_all_compiled_loops_stale(tmp_path):
    """Loops are put together from several files: whoever edits a piece has to see what the edit does."""
    package = tmp_path / "tinygan_kernels"
    ignored = shutil.ignore_patterns("__pycache__", "cuda", "emulator")
    shutil.copytree(Path(tinygan_kernels.__file__).parent, package, ignore=ignored)
    script = (
        "import numpy as np; from tinygan_kernels.cpu import backend, elementwise; from tinygan_kernels.cpu.runtime import stages\n"
        "backend.announce_compilation(print)\n"
        "y = np.ones(8, np.float32); stages.Pipeline([elementwise.add.stage(1, y.copy(), y.copy(), y)])(); print(y[0])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)

    def run():
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert len(run()) == 2 and run() == ["2.0"]
    os.utime(package / "cpu" / "runtime" / "simd.py", (2e9, 2e9))
    assert len(run()) == 2

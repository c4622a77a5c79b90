"""Memory that is kept: where it lies, that it stays, and that arrays in large pages are arrays like any others."""

import gc
import mmap

import numpy as np
import pytest
from strategies import DTYPES
from tinygan_kernels.cpu.memory import LARGE_PAGE, LINE, Scratch, aligned, empty

SIZES = (0, 1, LINE - 1, LINE, LARGE_PAGE - 1, LARGE_PAGE, LARGE_PAGE + 1, 3 * LARGE_PAGE + 5)


@pytest.mark.parametrize("size", SIZES)
def test_so_many_bytes_from_the_start_of_a_line(size):
    made = aligned(size)
    assert made.shape == (size,) and made.dtype == np.uint8 and made.flags.c_contiguous
    assert made.ctypes.data % LINE == 0 or size == 0
    made[...] = 7
    assert made.sum(dtype=np.int64) == 7 * size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 4), (3, 5), (1024, 700), (2, 1024, 1024)], ids=str)
def test_empty_is_numpys_but_for_where_it_lies(shape, dtype):
    made = empty(shape, dtype)
    assert (made.shape, made.dtype, made.strides) == (shape, np.dtype(dtype), np.empty(shape, dtype).strides)
    assert made.flags.writeable and not hasattr(made.base, "dtype")  # it owns its memory, as far as views can tell
    if made.nbytes >= LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        assert made.ctypes.data % LARGE_PAGE == 0


def test_a_view_keeps_its_large_pages():
    made = empty((LARGE_PAGE,), np.float32)
    made[...] = np.arange(made.size)
    view = made[1::2]
    del made
    gc.collect()
    others = [empty((LARGE_PAGE,), np.float32) for _ in range(3)]
    for other in others:
        other[...] = -1
    np.testing.assert_array_equal(view, np.arange(1, LARGE_PAGE, 2))


def test_memory_that_cannot_be_had_is_said_as_numpy_says_it():
    with pytest.raises(MemoryError):
        empty((2**60,), np.float32)


def test_scratch_is_the_same_memory_until_more_is_needed():
    scratch, double = Scratch(), np.dtype(np.float64)
    first = scratch.take("a", (4, 8), double)
    assert scratch.take("a", (32,), double).ctypes.data == first.ctypes.data != scratch.take("b", (32,), double).ctypes.data
    assert scratch.take("a", (33,), double).shape == (33,)
    grown = scratch.take("a", (4, 8), double)
    assert grown.shape == (4, 8) and grown.ctypes.data % LINE == 0 and not np.may_share_memory(grown, first)

"""cupyx of emulator.cupy: SciPy's functions on its arrays, scattered values, the profiler's functions, what is refused."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from tinygan_kernels.emulator import cupy as cp
from tinygan_kernels.emulator.cupy import cupyx


def test_scipy_is_there_under_cupyxs_names_and_returns_cupys_arrays():
    x = cp.linspace(0.1, 2, 5)
    for got, want in (
        (cupyx.scipy.special.erf(x), scipy.special.erf(x.get())),
        (cupyx.scipy.ndimage.gaussian_filter(cp.eye(5), 1), scipy.ndimage.gaussian_filter(np.eye(5), 1)),
        (cupyx.scipy.linalg.lu_factor(cp.eye(2) + 1)[0], np.array([[2, 1], [0.5, 1.5]])),
    ):
        assert isinstance(got, cp.ndarray)
        np.testing.assert_allclose(got.get(), want, rtol=1e-15)
    matrix = cupyx.scipy.sparse.csr_matrix(cp.eye(3) * 2)
    assert matrix.nnz == 3 and (matrix @ cp.arange(3.0)).tolist() == [0, 2, 4]
    assert cupyx.scipy.get_array_module(x) is cp and cupyx.scipy.get_array_module(x.get()) is np
    with pytest.raises(AttributeError, match=r"cupyx\.scipy\.special has no nonsense"):
        cupyx.scipy.special.nonsense  # noqa: B018


def test_values_are_scattered_as_often_as_their_index_is_there():
    x = cp.zeros(4)
    cupyx.scatter_add(x, cp.array([0, 2, 2]), cp.array([1.0, 2.0, 3.0]))
    assert x.tolist() == [1, 0, 5, 0]
    x.scatter_add(cp.array([2, 2]), 1)
    cp.add.at(x, cp.array([3, 3]), 2)
    cupyx.scatter_max(x, cp.array([1, 2]), 6)
    cupyx.scatter_min(x, cp.array([0, 0]), cp.array([-1, 7]))
    assert x.tolist() == [-1, 6, 7, 4] and cp.maximum.reduce(x) == 7 and isinstance(cp.add.accumulate(x), cp.ndarray)
    assert cupyx.rsqrt(cp.array([4, 16])).tolist() == [0.5, 0.25] and cp.rsqrt(cp.array([4], "f4")).dtype == np.float32


def test_benchmark_calls_as_often_as_it_says():
    calls = []
    times = cupyx.profiler.benchmark(lambda a, b: calls.append((a, b)), (1,), {"b": 2}, n_repeat=3, n_warmup=2, name="mine")
    assert calls == [(1, 2)] * 5 and times.gpu_times.shape == (1, 3) and times.cpu_times.shape == (3,)
    assert (times.cpu_times >= 0).all() and str(times).startswith("mine") and "nothing about a GPU" in str(times)
    assert cupyx.profiler.benchmark(calls.clear, n_repeat=5, n_warmup=0, max_duration=0).cpu_times.size == 0
    with cupyx.profiler.time_range("a range", 1), cupyx.profiler.profile():
        assert cupyx.profiler.time_range()(calls.clear) == calls.clear


def test_pinned_arrays_are_the_hosts():
    for made in (cupyx.zeros_pinned((2, 3), "f4"), cupyx.zeros_like_pinned(cp.zeros((2, 3), "f4"))):
        assert made.dtype == np.float32 and not made.any() and made.shape == (2, 3)
        assert isinstance(made, np.ndarray) and not isinstance(made, cp.ndarray)
    assert cupyx.empty_pinned(3).shape == (3,) and not isinstance(cupyx.empty_like_pinned(cp.zeros(3)), cp.ndarray)


def test_what_is_missing_is_named_with_what_to_do():
    with pytest.raises(NotImplementedError, match=r"cupyx\.jit is not there.*write the kernel as a cupy\.RawKernel"):
        cupyx.jit  # noqa: B018
    with pytest.raises(AttributeError, match=r"cupyx has no nonsense"):
        cupyx.nonsense  # noqa: B018

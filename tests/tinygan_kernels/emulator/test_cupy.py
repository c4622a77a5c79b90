"""emulator.cupy: arrays, user-defined kernels as CuPy documents them, and scripts that import cupy, unchanged."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator import cupy as cp

# ---- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_have_what_cupys_have():
    x = cp.arange(6, dtype=cp.float32).reshape(2, 3)
    for value in (x, x + 1, x.T, x[0], x[0, 0], x.sum(), x.max(axis=1), cp.sqrt(x), cp.linalg.norm(x), cp.zeros_like(x), x @ x.T,
                  cp.random.default_rng(0).normal(size=3), cp.split(x, 2)[0]):  # fmt: skip
        assert isinstance(value, cp.ndarray), value
    assert type(x.get()) is np.ndarray and type(cp.asnumpy(x)) is np.ndarray and x.sum().get() == 15 and float(x[1, 2]) == 5
    copy = x.get()
    copy[0, 0] = 9
    assert x[0, 0] == 0 and x.data.ptr == x.__array_interface__["data"][0] and x[1].data.ptr == x.data.ptr + 12
    x.set(copy)
    assert x[0, 0] == 9
    for wrong, error in ((copy.astype("f8"), TypeError), (copy[0], ValueError)):
        with pytest.raises(error, match="set takes"):
            x.set(wrong)
        with pytest.raises(error, match="get takes"):
            x.get(out=wrong)
    out = np.zeros((2, 3), "f4")
    assert x.get(out=out) is out and (out == copy).all() and cp.asnumpy(x, blocking=False)[0, 0] == 9
    assert isinstance(cp.linalg.slogdet(x[:, :2]).logabsdet, cp.ndarray)
    assert cp.get_array_module(x, copy) is cp and cp.get_array_module(copy) is np
    with pytest.raises(AttributeError, match=r"emulator\.cupy has no nonsense"):
        cp.nonsense  # noqa: B018


def test_an_element_is_an_array_over_its_memory():
    x = cp.arange(6).reshape(2, 3)
    element = x[1, 2]
    x[1, 2] = 50
    assert element == 50 and element.shape == () and x[1][0].data.ptr == x.data.ptr + 24
    cp.add(x[0, 0], 7, out=x[0, 1])
    assert x[0].tolist() == [0, 7, 2]


def test_arrays_of_the_host_are_copied_and_those_of_the_device_are_not():
    host, x = np.arange(4.0), cp.arange(4.0)
    as_they_are = [cp.asarray, cp.asanyarray, cp.ascontiguousarray, cp.asfortranarray, lambda a: cp.array(a, copy=False)]
    for take in (*as_they_are, cp.array, lambda a: cp.asarray(memoryview(a)), lambda a: cp.asarray(a[:], blocking=True)):
        mine = take(host)
        mine += 1
        assert host.tolist() == [0, 1, 2, 3] and mine.tolist() == [1, 2, 3, 4] and type(mine) is cp.ndarray
    assert all(take(x).data.ptr == x.data.ptr for take in as_they_are) and cp.array(x).data.ptr != x.data.ptr
    assert cp.asarray(np.asfortranarray(np.ones((2, 3)))).flags.f_contiguous and cp.asarray([3], "f4").dtype == np.float32


def test_outputs_of_a_function_may_be_given_in_part():
    x, whole = cp.array([2.5, -1.25]), cp.zeros(2)
    fraction, found = np.modf(x, out=(None, whole))
    assert found is whole and whole.tolist() == [2, -1] and fraction.tolist() == [0.5, -0.25]


def test_streams_events_and_the_device():
    with cp.cuda.Device(0), cp.cuda.Stream() as stream:
        start, end = cp.cuda.Event(), cp.cuda.Event()
        start.record(stream)
        end.record()
        stream.synchronize()
        assert cp.cuda.get_elapsed_time(start, end) >= 0
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidResourceHandle"):
            cp.cuda.get_elapsed_time(start, cp.cuda.Event())
    cp.cuda.runtime.deviceSynchronize()
    assert cp.cuda.Device().compute_capability == "80"


# ---- kernels --------------------------------------------------------------------------------------------------------


def test_raw_kernels_run_on_the_arrays():
    x = cp.arange(4, dtype=cp.float32)
    code = 'extern "C" __global__ void k(float* x, float** p) { x[threadIdx.x] = p[0][3 - threadIdx.x]; }'
    y = cp.arange(10, 14, dtype=cp.float32)
    cp.RawKernel(code, "k")((1,), (4,), (x, cp.array([y.data.ptr], cp.uint64)))
    assert x.tolist() == [13, 12, 11, 10]
    assert cp.RawModule is emulator.RawModule


def test_an_elementwise_kernel_broadcasts_and_makes_its_output():
    x, y = cp.arange(10, dtype="f4").reshape(2, 5), cp.arange(5, dtype="f4")
    squared = cp.ElementwiseKernel("float32 x, float32 y", "float32 z", "z = (x - y) * (x - y)", "squared_diff")
    assert (squared(x, y) == (x - y) ** 2).all() and (squared(x, 5) == (x - 5) ** 2).all()
    out = cp.zeros((5, 2), "f4").T
    assert squared(x, y, out) is out and (out == (x - y) ** 2).all()
    assert cp.ElementwiseKernel("T x, T y", "T z", "z = x + y")(1, 2.5) == 3.5
    assert (squared(x.T, y[:, None]) == (x.T - y[:, None]) ** 2).all()


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f2", "f4", "f8", "c8", "c16"])
def test_a_letter_stands_for_the_type_of_the_arguments(dtype):
    x = cp.arange(1, 7).astype(dtype)
    double = cp.ElementwiseKernel("T x", "T z", "z = x + x")
    result = double(x)
    assert result.dtype == np.dtype(dtype) and (result == 2 * x).all()


def test_raw_arrays_indices_loops_and_several_outputs():
    x = cp.arange(5, dtype="f4")
    backwards = cp.ElementwiseKernel("T x, raw T y", "T z", "z = x + y[_ind.size() - i - 1]", "add_reverse")
    assert backwards(x, 10 * x).tolist() == [40, 31, 22, 13, 4]
    only_raw = cp.ElementwiseKernel("raw float32 x", "int64 n, float32 y", "n = x.size(); y = f(x[i])",
                                    preamble="__device__ float f(float v) { return 3 * v; }")  # fmt: skip
    n, y = only_raw(x, size=2)
    assert n.tolist() == [5, 5] and y.tolist() == [0, 3]
    prepared = cp.ElementwiseKernel("float32 x", "float32 y", "y = x + a", loop_prep="float a = 7", options=("-DUNUSED",))
    assert prepared(x).tolist() == [7, 8, 9, 10, 11] and prepared(x[:0]).shape == (0,)
    assert cp.ElementwiseKernel("T x", "T y", "y = x", no_return=True)(x, cp.zeros_like(x)) is None
    assert isinstance(cp.ElementwiseKernel("T x", "T y", "y = x", return_tuple=True)(x), tuple)


def test_outputs_that_are_given_may_be_larger_than_the_inputs():
    x, wide = cp.arange(3.0)[:, None], cp.empty((3, 4))
    assert cp.ElementwiseKernel("T x, T y", "T z", "z = x + y + i")(x, 10, wide) is wide
    assert (wide == x + 10 + cp.arange(12).reshape(3, 4)).all()


def test_raw_arrays_are_indexed_by_as_many_numbers_as_they_have_dimensions():
    x, sums = cp.arange(6.0).reshape(2, 3), cp.zeros((3, 2))
    code = "int at[] = {int(i % x.shape()[1]), int(i / x.shape()[1])}, from[] = {at[1], at[0]}; sums[at] = x[from] + n[0];"
    cp.ElementwiseKernel("raw T x, raw T n", "raw T sums", code)(x, 10, sums, size=6)
    assert (sums == x.T + 10).all()
    of_index = "__device__ int at(int i, const long long* shape) { return i % (shape[0] * shape[1]); }"
    total = cp.ReductionKernel("T x, raw T y", "T z", "x * y[at(i, y.shape())]", "a + b", "z = a", "0", preamble=of_index)
    assert total(x, x) == 55
    with pytest.raises(emulator.CompilationError, match="as many numbers as the array has dimensions"):
        cp.ElementwiseKernel("raw T x", "T y", "int at[] = {0}; y = x[at]")(x, size=1)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda k: k(cp.zeros(3)), TypeError, "takes 2 arguments, or 3 with its outputs, not 1"),
        (lambda k: k(cp.zeros(3, "f4"), cp.zeros(3)), TypeError, "y is float64, but T is float32"),
        (lambda k: k(cp.arange(3), 2.5), TypeError, "y is 2.5, but T is int64"),
        (lambda k: k(cp.zeros(3), "text"), EmulatorError, "argument 1 of kernel k is a str"),
        (lambda k: k(cp.zeros(3), cp.zeros(2)), ValueError, "broadcast"),
        (lambda k: k(cp.zeros(3), cp.zeros(3), cp.zeros(4)), ValueError, "output z has shape"),
        (lambda k: k(cp.zeros(3), cp.zeros(3), size=3), ValueError, "all of whose arrays are raw"),
        (lambda k: cp.ElementwiseKernel("float x", "T y", ""), ValueError, "'float x' is no parameter"),
        (lambda k: cp.ElementwiseKernel("T x", "T y", "y = x", "a name"), ValueError, "that of a C function"),
        (lambda k: cp.ElementwiseKernel("raw T x", "T y", "y = x[i]")(cp.zeros(3)), ValueError, "so size= says"),
        (lambda k: cp.ElementwiseKernel("T x", "T y", "y = nonsense")(cp.zeros(3)), emulator.CompilationError, "nonsense"),
        (lambda k: cp.ElementwiseKernel("raw T x", "T y", "y = x[i + 2]")(cp.zeros(3), size=3), emulator.SanitizerError, "out-of"),
    ],
)
def test_wrong_use_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(cp.ElementwiseKernel("T x, T y", "T z", "z = x + y", "k"))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), ()])
def test_a_reduction_along_axes(axis):
    x = cp.array(np.random.default_rng(0).standard_normal((3, 4, 5)))
    norm = cp.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "l2norm")
    for keepdims in (False, True):
        want = np.sqrt((x.get() ** 2).sum(axis=axis, keepdims=keepdims))
        np.testing.assert_allclose(norm(x, axis=axis, keepdims=keepdims), want, rtol=1e-14)
        assert norm(x, axis=axis, keepdims=keepdims).shape == want.shape


def test_a_memoized_function_is_called_once_for_each_argument():
    calls = []
    twice = cp.memoize(for_each_device=True)(lambda x: calls.append(x) or 2 * x)
    assert [twice(1), twice(1), twice(2)] == [2, 2, 4] and calls == [1, 2]
    with pytest.raises(cp.cuda.compiler.CompileException, match="nonsense"):
        cp.RawKernel('extern "C" __global__ void k() { nonsense; }', "k").compile()


def test_reductions_of_other_kinds():
    x = cp.array([3, -7, 5], "f4")
    assert cp.ReductionKernel("T x", "T y", "x", "max(a, b)", "y = a", None)(x) == 5
    out = cp.zeros((), "f8")
    total = cp.ReductionKernel("float32 x, float32 w", "float64 y", "x * w", "a + b", "y = a", "0", reduce_type="float64")
    assert total(x, 2, out=out) is out and out == 2
    assert total(x[:0], x[:0]) == 0
    with pytest.raises(ValueError, match=r"out has shape \(2,\), the result \(\)"):
        total(x, 2, out=cp.zeros(2, "f8"))
    weighed = cp.ReductionKernel("T x, raw T w", "T y", "x * w[0] + w[w.size() - 1]", "a + b", "y = a", "0", "weighed")
    rows = cp.arange(12.0).reshape(3, 4)
    assert weighed(rows, cp.array([2.0, 7.0, 5.0]), axis=1).tolist() == (2 * rows.get() + 5).sum(axis=1).tolist()
    with pytest.raises(EmulatorError, match="kernel k: a reduction with one output, and an input that is not raw"):
        cp.ReductionKernel("raw T w", "T y", "w[0]", "a + b", "y = a", "0", "k")
    with pytest.raises(ValueError, match="no identity"):
        cp.ReductionKernel("T x", "T y", "x", "max(a, b)", "y = a", None)(x[:0])
    for axis in (1, (0, 0), -2):
        with pytest.raises(ValueError, match="axis is"):
            total(x, x, axis=axis)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        total(x)


# ---- scripts --------------------------------------------------------------------------------------------------------

SCRIPT = """
import cupy as cp
import cupy.linalg
import cupyx.scipy.ndimage
from cupy.cuda import Stream, runtime
from cupy.cuda.memory import MemoryPool
from cupy.fft import fft
from cupy.random import RandomState
from cupyx.profiler import benchmark
from cupyx.scipy.special import erf
from cupy.cuda.texture import ChannelFormatDescriptor, CUDAarray
from numba import cuda

@cuda.jit
def add_one(x):
    x[cuda.grid(1)] += 1

if __name__ == "__main__":
    x = cp.arange(8, dtype=cp.float32)
    kernel = cp.RawKernel(r'extern "C" __global__ void k(float* x) { x[threadIdx.x] *= 2; }', "k")
    with Stream():
        kernel((1,), (8,), (x,))
    add_one[1, 8](x)
    CUDAarray(ChannelFormatDescriptor(32, 0, 0, 0, runtime.cudaChannelFormatKindFloat), 8).copy_from(x)
    print(cp.asnumpy(x.sum()), type(x).__name__)
    y = cp.asarray(cuda.to_device(x.get()))
    add_one[1, 8](y)
    print(y.sum(), cupyx.scipy.ndimage.uniform_filter(x, 3).shape, cupy.linalg.norm(fft(erf(x))) > 0)
    names = {}
    for module in ("cupy.linalg", "cupy.random", "cupyx.scipy.special", "cupy"):
        exec(f"from {module} import *", names)
    print(names["norm"](names["arange"](3)[1:2]), names["rand"](2).shape, names["erf"](x[:1]) > 0, "np" in names)
    print(names["RawKernel"] is cp.RawKernel)
    try:
        from cupyx import jit
    except NotImplementedError as error:
        print(error)
"""


def test_a_script_that_imports_cupy_runs_unchanged(tmp_path):
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(emulator.__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ran = subprocess.run([sys.executable, "-m", "tinygan_kernels.emulator", str(tmp_path / "script.py")], capture_output=True,
                         text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})  # fmt: skip
    assert ran.stderr == ""
    first, second, starred, same, third = ran.stdout.splitlines()
    assert starred == "1.0 (2,) [ True] False" and same == "True"
    assert first == "64.0 ndarray" and second == "72.0 (8,) True" and third.startswith("cupyx.jit is not there")

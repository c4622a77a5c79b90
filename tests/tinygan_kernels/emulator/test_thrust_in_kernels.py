"""Thrust inside of kernels: algorithms that one thread runs, tuples, iterators and complex numbers, against NumPy."""

import io

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")

from tinygan_kernels.emulator import RawKernel, RawModule
from tinygan_kernels.emulator.host import nvrtc, thrust

SOURCE = r"""
#include <thrust/binary_search.h>
#include <thrust/device_vector.h>
#include <thrust/execution_policy.h>
#include <thrust/extrema.h>
#include <thrust/functional.h>
#include <thrust/inner_product.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/pair.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/tuple.h>
#include <cupy/complex.cuh>
struct Square { __device__ int operator()(int i) const { return i * i; } };
extern "C" __global__ void rows(float* keys, int* values, int n, float* sums, int* found, float* scanned) {
    int row = threadIdx.x;
    keys += row * n; values += row * n; scanned += row * n; found += 3 * row;
    thrust::sort_by_key(thrust::seq, keys, keys + n, values);
    sums[2 * row] = thrust::reduce(thrust::seq, keys, keys + n, 1.0f);
    sums[2 * row + 1] = thrust::inner_product(thrust::device, keys, keys + n, values, 0.0f);
    thrust::exclusive_scan(thrust::seq, keys, keys + n, scanned);
    found[0] = thrust::lower_bound(thrust::seq, keys, keys + n, 0.0f) - keys;
    found[1] = thrust::max_element(thrust::seq, values, values + n) - values;
    auto squares = thrust::make_transform_iterator(thrust::make_counting_iterator(0), Square());
    found[2] = thrust::reduce(thrust::seq, squares, squares + n);
    thrust::sort(thrust::seq, values, values + n, thrust::greater<int>());
}
extern "C" __global__ void complexes(const thrust::complex<double>* x, complex<double>* y) {
    int i = threadIdx.x;
    thrust::tuple<complex<double>, int> t = thrust::make_tuple(thrust::exp(x[i]) / conj(x[i]), 2);
    thrust::pair<double, double> p(abs(x[i]), arg(x[i]));
    y[i] = thrust::get<0>(t) * double(thrust::get<1>(t)) + thrust::polar(p.first, p.second) * thrust::sqrt(x[i]);
}
"""


@pytest.fixture(scope="module")
def module() -> RawModule:
    if nvrtc.version() < (13, 0):
        pytest.skip("Thrust's algorithms need CUDA 13 in kernels")
    return RawModule(code=SOURCE)


@pytest.mark.parametrize("n", [0, 1, 40])
def test_algorithms_of_one_thread_are_those_of_numpy(module: RawModule, n: int) -> None:
    """Three threads have a row each. Merge and radix sort need memory of their own, which a kernel takes from its heap."""
    rng = np.random.default_rng(n)
    keys = (rng.permutation(3 * n).reshape(3, n) - n).astype(np.float32) / 8
    values = np.stack([rng.permutation(n) for _ in range(3)]).astype(np.int32)
    given, moved = keys.copy(), values.copy()
    sums, found, scanned = np.zeros((3, 2), np.float32), np.zeros((3, 3), np.int32), np.zeros((3, n), np.float32)
    module.get_function("rows")((1,), (3,), (given, moved, np.int32(n), sums, found, scanned))
    order = np.argsort(keys, axis=1)
    ordered, paired = np.sort(keys, axis=1), np.take_along_axis(values, order, axis=1)
    assert (given == ordered).all() and (moved == -np.sort(-values, axis=1)).all()
    assert (sums[:, 0] == 1 + ordered.sum(axis=1)).all() and (sums[:, 1] == (ordered * paired).sum(axis=1)).all()
    assert (scanned == ordered.cumsum(axis=1) - ordered).all()
    assert (found[:, 0] == (ordered < 0).sum(axis=1)).all() and (found[:, 2] == sum(i * i for i in range(n))).all()
    if n:
        assert (found[:, 1] == paired.argmax(axis=1)).all()


def test_complex_numbers_are_thrusts_and_have_cupys_names(module: RawModule) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=40) + 1j * rng.normal(size=40)
    y = np.zeros_like(x)
    module.get_function("complexes")((1,), (40,), (x, y))
    np.testing.assert_allclose(y, 2 * np.exp(x) / x.conj() + x * np.sqrt(x), rtol=1e-13)


def test_only_code_that_includes_thrust_is_compiled_in_another_way() -> None:
    assert thrust.included_by("int a;\n # include <thrust/sort.h>\n") and thrust.included_by('#include "cupy/complex.cuh"')
    assert not thrust.included_by("// #include <thrust/sort.h>\n#include <cub/cub.cuh>\nusing thrust::complex;")


def test_warnings_of_a_users_own_source_are_told_and_those_of_headers_not():
    header = "/include/cuda/std/climits(39): warning #47-D: incompatible redefinition\n  #define A\n     ^"
    mine, remark = "mine.cu(4): warning #177-D: never referenced\n  int n;", "Remark: The warnings can be suppressed with ..."
    error = "/include/thrust/sort.h(5): error: no operator"
    assert thrust.own_messages("\n\n".join((header, remark, mine, error)), "mine.cu") == "\n\n".join((remark, mine, error))
    assert thrust.own_messages(f"{header}\n\n{remark}\n\n", "mine.cu").strip() == ""
    code = 'extern "C" __global__ void k(int* x) {\n unsigned char c = 300; x[0] = c; }'
    log, quiet = io.StringIO(), io.StringIO()
    RawKernel(code, "k", filename="mine.cu").compile(log)
    RawModule(code=code.replace("300", "30")).compile(quiet)
    _, with_thrust = nvrtc.compile_with_log(f"#include <thrust/pair.h>\n{code}", filename="mine.cu")
    for text, line in ((log.getvalue(), 2), (with_thrust, 3)):
        lines = [each for each in text.splitlines() if "warning" in each and "suppressed" not in each]
        assert len(lines) == 1 and lines[0].startswith(f"mine.cu({line}): warning")
    assert quiet.getvalue() == ""

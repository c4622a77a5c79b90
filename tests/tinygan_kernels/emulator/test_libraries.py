"""NVIDIA's libraries for code inside of kernels: cuRAND's generators and cub's algorithms of blocks and warps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")

from tinygan_kernels.emulator import RawModule, SanitizerError
from tinygan_kernels.emulator.host import nvrtc, toolkit

WORD = (1 << 32) - 1
RANDOM = r"""
#include <curand_kernel.h>
extern "C" __global__ void philox(const unsigned* in, unsigned* out, unsigned* stream) {
    const unsigned* c = in + 6 * threadIdx.x;
    uint4 r = curand_Philox4x32_10(make_uint4(c[0], c[1], c[2], c[3]), make_uint2(c[4], c[5]));
    ((uint4*)out)[threadIdx.x] = r;
    curandStatePhilox4_32_10_t s;
    curand_init(1234, 0, 2, &s);
    for (int i = 0; i < 4; i++) if (threadIdx.x == 0) stream[i] = curand(&s);
}
extern "C" __global__ void xorwow(unsigned* bits, float* uniform, float* normal, unsigned* poisson) {
    curandState s;
    curand_init(0x123456789abcdef0ull, 0, 0, &s);
    for (int i = 0; i < 8; i++) bits[i] = curand(&s);
    for (int i = 0; i < 4; i++) uniform[i] = curand_uniform(&s);
    curand_init(7, threadIdx.x, 0, &s);
    for (int i = 0; i < 8; i++) {
        normal[8 * threadIdx.x + i] = curand_normal(&s);
        poisson[8 * threadIdx.x + i] = curand_poisson(&s, 4.0);
    }
}
"""


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), Philox-4x32-10."""
    (a, b, c, d), (j, k) = counter, key
    for _ in range(10):
        one, two = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (two >> 32) ^ b ^ j, two & WORD, (one >> 32) ^ d ^ k, one & WORD
        j, k = (j + 0x9E3779B9) & WORD, (k + 0xBB67AE85) & WORD
    return [a, b, c, d]


def xorwow(seed: int):
    """G. Marsaglia, "Xorshift RNGs" (2003), section 3.1, as cuRAND seeds it."""
    s, t = (seed & WORD) ^ 0xAAD26B49, (seed >> 32) ^ 0xF7DCEFDD
    s, t = 1099087573 * s & WORD, 2591861531 * t & WORD
    v = [123456789 + s, 362436069 ^ s, 521288629 + t, 88675123 ^ t, 5783321 + s]
    v, d = [x & WORD for x in v], 6615241 + t + s
    while True:
        x, last = v[0] ^ v[0] >> 2, v[4]
        v = [*v[1:], (last ^ last << 4) ^ (x ^ x << 1)]
        v[4] &= WORD
        d = (d + 362437) & WORD
        yield (v[4] + d) & WORD


def test_generators_of_curand():
    """Philox against its paper's test vectors, XORWOW against its recurrence, distributions by their moments."""
    if not any((Path(folder) / "curand_kernel.h").is_file() for folder in toolkit.header_folders(nvrtc.version())):
        pytest.skip("needs cuRAND's headers: pip install 'cuda-toolkit[curand]'")
    module = RawModule(code=RANDOM)
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
    given = np.array([[0] * 6, [WORD] * 6, pi], np.uint32)
    out, stream = np.zeros((3, 4), np.uint32), np.zeros(4, np.uint32)
    module.get_function("philox")((1,), (3,), (given, out, stream))
    assert out[0].tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert out[1].tolist() == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert out[2].tolist() == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
    key = [1234, 0]
    assert stream.tolist() == philox([0] * 4, key)[2:] + philox([1, 0, 0, 0], key)[:2], "from the offset 2 on"
    bits, uniform = np.zeros(8, np.uint32), np.zeros(4, np.float32)
    normal, poisson = np.zeros((128, 8), np.float32), np.zeros((128, 8), np.uint32)
    module.get_function("xorwow")((1,), (1,), (bits, uniform, normal, poisson))
    numbers = xorwow(0x123456789ABCDEF0)
    assert bits.tolist() == [next(numbers) for _ in range(8)]
    words = np.array([next(numbers) for _ in range(4)], np.float32)
    assert uniform.tolist() == (words * np.float32(2**-32) + np.float32(2**-33)).tolist()
    module.get_function("xorwow")((1,), (128,), (bits, uniform, normal, poisson))
    assert abs(normal.mean()) < 4 / 32 and abs(normal.std() - 1) < 0.1
    assert abs(poisson.mean() - 4) < 4 * 2 / 32 and abs(poisson.var() - 4) < 0.8


BLOCKS = r"""
#include <cub/cub.cuh>
template <cub::BlockReduceAlgorithm A> __device__ int sum(int v) {
    typedef cub::BlockReduce<int, 64, A> Reduce;
    __shared__ typename Reduce::TempStorage room;
    return Reduce(room).Sum(v);
}
extern "C" __global__ void reduce(const int* in, int* out) {
    int v = in[threadIdx.x];
    int a = sum<cub::BLOCK_REDUCE_RAKING>(v), b = sum<cub::BLOCK_REDUCE_WARP_REDUCTIONS>(v);
    if (threadIdx.x == 0) out[0] = a, out[1] = b;
}
extern "C" __global__ void sort(const int* in, int* keys, int* merged, int* scan) {
    typedef cub::BlockRadixSort<int, 64, 2> Radix;
    typedef cub::BlockMergeSort<int, 64, 2> Merge;
    typedef cub::BlockScan<int, 64> Scan;
    __shared__ union {
        typename Radix::TempStorage radix;
        typename Merge::TempStorage merge;
        typename Scan::TempStorage scan;
    } room;
    int v[2] = {in[2 * threadIdx.x], in[2 * threadIdx.x + 1]}, w[2] = {v[0], v[1]}, sums[2];
    Merge(room.merge).Sort(w, [](int a, int b) { return a > b; });
    __syncthreads();
    Radix(room.radix).Sort(v);
    __syncthreads();
    Scan(room.scan).ExclusiveSum(v, sums);
    for (int i = 0; i < 2; i++) {
        keys[2 * threadIdx.x + i] = v[i];
        merged[2 * threadIdx.x + i] = w[i];
        scan[2 * threadIdx.x + i] = sums[i];
    }
}
extern "C" __global__ void reused(const int* in, int* out) {
    typedef cub::BlockReduce<int, 64> Reduce;
    __shared__ Reduce::TempStorage room;
    int v = in[threadIdx.x], a = Reduce(room).Sum(v);
#if SYNC
    __syncthreads();
#endif
    int b = Reduce(room).Reduce(v, [](int x, int y) { return x > y ? x : y; });
    if (threadIdx.x == 0) out[0] = a, out[1] = b;
}
"""


def test_cubs_algorithms_of_a_block_are_right_and_silent_and_a_missing_barrier_between_two_is_found():
    """BlockMergeSort reads an element that it does not use and that nobody wrote, as cub documents."""
    module, given = RawModule(code=BLOCKS), np.random.default_rng(0).integers(-99, 99, 128).astype(np.int32)
    out = np.zeros(2, np.int32)
    module.get_function("reduce")((1,), (64,), (given, out))
    assert out.tolist() == [given[:64].sum()] * 2
    keys, merged, scan = np.zeros((3, 128), np.int32)
    module.get_function("sort")((1,), (64,), (given, keys, merged, scan))
    assert keys.tolist() == sorted(given) and merged.tolist() == sorted(given, reverse=True)
    assert scan.tolist() == [0, *np.cumsum(keys)[:-1]]
    with pytest.raises(SanitizerError, match="shared-memory race"):
        module.get_function("reused")((1,), (64,), (given, out))


def test_lists_of_types_are_unrolled_as_for_nvcc_unless_the_options_say_how_far():
    """Lists longer than what is unrolled work too, as variants of 20 types and calls with 20 arguments."""
    as_nvcc = [f"-D{nvrtc.UNROLL_LIMIT}=10"]
    assert [o for o in nvrtc.flags(("-DA=1",), "compute_80", []) if nvrtc.UNROLL_LIMIT in o] == as_nvcc
    for own in (f"-D{nvrtc.UNROLL_LIMIT}=16", f"--define-macro={nvrtc.UNROLL_LIMIT}=16"):
        assert [o for o in nvrtc.flags((own,), "compute_80", []) if nvrtc.UNROLL_LIMIT in o] == [own]
    code = r"""
    #include <cuda/std/tuple>
    #include <cuda/std/variant>
    template <int n> struct number { static constexpr int value = n; };
    template <int... n> __device__ int last_of(cuda::std::integer_sequence<int, n...>) {
        cuda::std::variant<number<n>...> one{cuda::std::in_place_index<18>};
        auto sum = [](auto... each) { return (each + ...); };
        int which = cuda::std::visit([](auto x) { return decltype(x)::value; }, one);
        return 1000 * which + cuda::std::apply(sum, cuda::std::tuple(n...));
    }
    extern "C" __global__ void k(int* y) { *y = last_of(cuda::std::make_integer_sequence<int, 20>()); }
    """
    y = np.zeros(1, np.int32)
    RawModule(code=code, options=("-std=c++17",)).get_function("k")((1,), (1,), (y,))
    assert y[0] == 18 * 1000 + sum(range(20))

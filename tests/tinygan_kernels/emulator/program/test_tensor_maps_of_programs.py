"""Tensor maps that the host code of a program makes, by the driver's function or by its entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
PROGRAM = r"""
#include <cstdio>
#include <cstdint>
#include <cuda.h>
#include <cudaTypedefs.h>
#define PLACE(p) "r"((unsigned)__cvta_generic_to_shared(p))
__global__ void scale(const __grid_constant__ CUtensorMap map, int x, int y) {
    __shared__ alignas(128) int box[4][8];
    __shared__ alignas(8) unsigned long long bar;
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared.b64 [%0], 1;" :: PLACE(&bar) : "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], 128;" :: PLACE(&bar) : "memory");
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                     :: PLACE(box), "l"(&map), PLACE(&bar), "r"(x), "r"(y) : "memory");
    }
    __syncthreads();
    asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared.b64 p, [%0], 0; @!p bra L; }" :: PLACE(&bar) : "memory");
    box[threadIdx.x / 8][threadIdx.x % 8] *= 10;
    asm volatile("fence.proxy.async;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];"
                     :: "l"(&map), PLACE(box), "r"(x), "r"(y) : "memory");
        asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
}
int encoded(CUtensorMap* map, PFN_cuTensorMapEncodeTiled_v12000 encode, void* data, uint32_t wide, CUtensorMapInterleave how) {
    uint64_t sizes[2] = {12, 6}, strides[1] = {64};
    uint32_t box[2] = {wide, 4}, steps[2] = {1, 1};
    return encode(map, CU_TENSOR_MAP_DATA_TYPE_INT32, 2, data, sizes, strides, box, steps, how, CU_TENSOR_MAP_SWIZZLE_NONE,
                  CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}
__global__ void columns(const __grid_constant__ CUtensorMap map, int* out) {  // two pixels of a tap
    __shared__ alignas(128) int box[8];
    __shared__ alignas(8) unsigned long long bar;
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared.b64 [%0], 1;" :: PLACE(&bar) : "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], 32;" :: PLACE(&bar) : "memory");
        asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes"
                     " [%0], [%1, {%3, %4, %4, %3}], [%2], {%5, %5};"
                     :: PLACE(box), "l"(&map), PLACE(&bar), "r"(0), "r"(-1), "h"((short)2) : "memory");
    }
    __syncthreads();
    asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared.b64 p, [%0], 0; @!p bra L; }" :: PLACE(&bar) : "memory");
    out[threadIdx.x] = box[threadIdx.x];
}
void pixels(int* data, PFN_cuTensorMapEncodeIm2col_v12000 encode) {  // 1 image of 3 x 3 pixels of 4 channels
    uint64_t sizes[4] = {4, 3, 3, 1}, strides[3] = {16, 48, 144};
    int lower[2] = {-1, -1}, upper[2] = {-1, -1}, *out, found[8];
    uint32_t steps[4] = {1, 1, 1, 1};
    CUtensorMap map{};
    for (int channels = 4; channels > 2; channels--)
        printf("%d ", encode(&map, CU_TENSOR_MAP_DATA_TYPE_INT32, 4, data, sizes, strides, lower, upper, channels, 2, steps,
                             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
    cudaMalloc(&out, sizeof found);
    columns<<<1, 8>>>(map, out);
    cudaMemcpy(found, out, sizeof found, cudaMemcpyDeviceToHost);
    for (int n : found) printf("%d ", n);
    printf("\n");
}
int main() {
    int *data, host[6 * 16];
    for (int i = 0; i < 6 * 16; i++) host[i] = i;
    cudaMalloc(&data, sizeof host);
    cudaMemcpy(data, host, sizeof host, cudaMemcpyHostToDevice);
    void *entry = 0, *other = &entry;
    cudaDriverEntryPointQueryResult found;
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
    printf("%d ", found == cudaDriverEntryPointSuccess);
    cudaGetDriverEntryPoint("cuFormatDisk", &other, cudaEnableDefault, &found);
    printf("%d\n", found == cudaDriverEntryPointSymbolNotFound && !other);
    auto encode = (PFN_cuTensorMapEncodeTiled_v12000)entry;
    cudaGetDriverEntryPoint("cuTensorMapEncodeIm2col", &entry, cudaEnableDefault, &found);
    pixels(data, (PFN_cuTensorMapEncodeIm2col_v12000)entry);
    char odd = 1;
    CUtensorMap map{};
    printf("%d ", encoded(&map, encode, data, 8, CU_TENSOR_MAP_INTERLEAVE_NONE) + odd);
    printf("%d\n", encoded(&map, cuTensorMapEncodeTiled, data, 8, CU_TENSOR_MAP_INTERLEAVE_NONE));
    scale<<<1, 32>>>(map, 8, 3);
    cudaMemcpy(host, data, sizeof host, cudaMemcpyDeviceToHost);
    printf("%d %d %d %d %d\n", host[3 * 16 + 7], host[3 * 16 + 8], host[5 * 16 + 11], host[5 * 16 + 12], host[2 * 16 + 8]);
    printf("%d", encoded(&map, encode, data, 7, CU_TENSOR_MAP_INTERLEAVE_NONE));
    printf("%d", encoded(&map, encode, host, 8, CU_TENSOR_MAP_INTERLEAVE_NONE));
    printf("%d\n", encoded(&map, encode, data, 8, CU_TENSOR_MAP_INTERLEAVE_16B));
    return 0;
}
"""


def test_the_drivers_function_and_its_entry_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes 12 of a pitch of 16 integers, so that the last four of a row are outside; what the driver refuses says why."""
    path = tmp_path / "p.cu"
    path.write_text(PROGRAM)
    assert Program(path, ("-arch=sm_90a",)).run([]) == 0
    got = capsys.readouterr()
    assert got.out == "1 1\n0 1 16 17 18 19 20 21 22 23 \n1 0\n55 560 910 92 40\n111\n"
    refused, *said = got.err.splitlines()
    assert "cuTensorMapEncodeIm2col: invalid argument: channelsPerPixel * the element size is 3 * 4 = 12 bytes" in refused
    assert len(said) == 3
    assert "boxDim[0] * the element size is 7 * 4 = 28 bytes: it has to be a multiple of 16" in said[0]
    assert "globalAddress is 0x" in said[1] and "which is no memory of the device" in said[1]
    assert "interleave is not supported" in said[2]

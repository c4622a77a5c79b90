"""What architectures allow: NVIDIA's own table, blocks counted by hand, and faults planted in kernels that are really compiled."""

import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.cuda import cpp_backend
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.host import nvrtc
from tinygan_kernels.profiling import machine_code, static_checks
from tinygan_kernels.profiling.architectures import (
    ARCHITECTURES,
    REGISTERS,
    REGISTERS_PER_THREAD,
    SHARED_PER_BLOCK,
    THREADS_PER_BLOCK,
    KernelResources,
    LaunchBounds,
    faults,
    launch_bounds,
    resident_blocks,
)

NO_BOUNDS = LaunchBounds(0, 0)


def stated(text):
    """{name: number} of the lines that give a maximum as a product of numbers."""
    lines = re.findall(r"__traits\.(max_\w+)\s+= ([\d *]+);", text)
    return {name: math.prod(map(int, product.split("*"))) for name, product in lines}


def nvidias_table():
    """{capability: {name: number}} of arch_traits.h, which the [emulator] extra installs; {} where it is not there."""
    roots = find_spec("nvidia").submodule_search_locations if find_spec("nvidia") else []
    (header, *_) = [*(path for root in roots for path in Path(root).glob("*/include/**/cuda/__device/arch_traits.h")), None]
    found = {}
    text = header.read_text() if header else ""
    for number, body in re.findall(r"arch_traits<arch_id::sm_(\d+)>\(\) noexcept\n\{(.*?)\n\}", text, re.DOTALL):
        like = re.search(r"__traits\s+= ::cuda::arch_traits<arch_id::sm_(\d+)>", body)
        found[int(number)] = (found[int(like[1])] if like else {}) | stated(body)
    return found, text


def test_the_table_is_nvidias():
    traits, text = nvidias_table()
    if not traits:
        pytest.skip("NVIDIA's table (cuda/__device/arch_traits.h) comes with a newer CCCL than the one that is installed")
    assert {90, 100, 120} <= set(traits)
    for capability, own in ARCHITECTURES.items():
        if capability in traits:
            theirs = traits[capability]
            assert own.shared == theirs["max_shared_memory_per_multiprocessor"], capability
            assert own.threads == theirs["max_threads_per_multiprocessor"], capability
            assert own.blocks == theirs["max_blocks_per_multiprocessor"], capability
    common = stated(text.split("template <", 1)[0])
    assert common["max_threads_per_block"] == THREADS_PER_BLOCK and common["max_registers_per_thread"] == REGISTERS_PER_THREAD
    assert common["max_registers_per_multiprocessor"] == common["max_registers_per_block"] == REGISTERS
    assert common["max_shared_memory_per_block"] == SHARED_PER_BLOCK


def test_every_architecture_of_the_installed_compiler_is_in_the_table():
    assert not [number for number in nvrtc.architectures() if number >= 70 and number not in ARCHITECTURES]


@pytest.mark.parametrize("capability, threads, registers, shared, blocks", [
    (80, 256, 32, 0, 8),  # 2048 threads
    (86, 256, 32, 0, 6),  # 1536 threads
    (75, 32, 16, 0, 16),  # at most 16 blocks
    (80, 256, 128, 0, 2),  # a warp takes 4096 registers: 16 warps
    (80, 256, 129, 0, 1),  # 4352 of them: 3 warps a quarter, 12 in all, of which a block takes 8
    (80, 1024, 65, 0, 0),  # 2304 a warp, 28 warps, and a block has 32
    (80, 32, 0, 0, 32),
    (75, 256, 32, 33792, 1), (80, 256, 32, 33792, 4), (89, 256, 32, 33792, 2),  # 34,816 with the KiB that is reserved
    (75, 64, 32, 16384, 4), (80, 64, 32, 16384, 9), (80, 64, 32, 16385, 9),
])  # fmt: skip
def test_resident_blocks_are_those_counted_by_hand(capability, threads, registers, shared, blocks):
    assert resident_blocks(capability, threads, KernelResources(registers, shared, 0, 0)) == blocks


@pytest.mark.parametrize("kernel, threads, bounds, fault", [
    (KernelResources(128, 33792, 8, 12), 256, LaunchBounds(256, 2), "spills 8 bytes and reads 12 back"),
    (KernelResources(32, 0, 0, 0), 1025, NO_BOUNDS, "blocks of 1025 threads, of at most 1024"),
    (KernelResources(256, 0, 0, 0), 32, NO_BOUNDS, "256 registers a thread, of at most 255"),
    (KernelResources(32, 49153, 0, 0), 32, NO_BOUNDS, "49153 bytes of shared memory a block, of at most 49152"),
    (KernelResources(32, 0, 0, 0), 257, LaunchBounds(256, 1), "blocks of 257 threads, where its launch bounds say at most 256"),
    (KernelResources(65, 0, 0, 0), 1024, NO_BOUNDS, "not one block of 1024 threads fits a multiprocessor"),
    (KernelResources(129, 0, 0, 0), 256, LaunchBounds(256, 2), "1 resident blocks, where its launch bounds promise 2"),
])  # fmt: skip
def test_each_fault_has_its_phrase(kernel, threads, bounds, fault):
    assert faults(80, threads, kernel, bounds) == [fault]
    assert not faults(80, 256, KernelResources(128, 33792, 0, 0), LaunchBounds(256, 2))


# ---- kernels that are really compiled -------------------------------------------------------------------------------------------

SPILLING = """extern "C" __global__ void __launch_bounds__(1024) k(float* x) {
  float v[96];
  for (int i = 0; i < 96; ++i) v[i] = x[i * 1024 + threadIdx.x];
  __syncthreads();
  for (int n = 0; n < 3; ++n)
#pragma unroll
    for (int i = 0; i < 96; ++i) v[i] = v[i] * v[(i * 7 + 1) % 96] + x[n];
  for (int i = 0; i < 96; ++i) x[i * 1024 + threadIdx.x] = v[i];
}"""
TWO_BLOCKS = """extern "C" __global__ void __launch_bounds__(256, 2) k(float* x) {
  __shared__ float s[10240];
  for (int i = threadIdx.x; i < 10240; i += 256) s[i] = x[i];
  __syncthreads();
  x[threadIdx.x] = s[(int)x[0]];
}"""
TOO_MUCH = TWO_BLOCKS.replace("10240", "12544")


def found(code: str, threads: int, arch: str) -> tuple[str, ...]:
    def ptx(arch):
        return nvrtc.compile_ptx(code, (), arch.replace("sm", "compute"))[0], "k"

    (row,) = static_checks.check_launches([RecordedLaunch("k", 1, threads, Path("k.cu"), ptx)], arch)
    return row.faults


def test_a_kernel_that_spills_is_found():
    (fault,) = found(SPILLING, 1024, "sm_90")
    assert re.fullmatch(r"spills \d+ bytes and reads \d+ back", fault)


def test_launch_bounds_that_cannot_be_kept_are_found_on_the_architecture_that_cannot():
    assert found(TWO_BLOCKS, 256, "sm_75") == ("1 resident blocks, where its launch bounds promise 2",)
    assert found(TWO_BLOCKS, 256, "sm_90") == ()
    assert found(TWO_BLOCKS, 512, "sm_90") == ("blocks of 512 threads, where its launch bounds say at most 256",)


def test_too_much_shared_memory_is_found():
    """The linker refuses it; where one does not, the check says so."""
    try:
        told = found(TOO_MUCH, 256, "sm_75")
    except machine_code.InspectionError as error:
        assert "does not compile" in str(error)
    else:
        assert any("shared" in fault for fault in told), told
    assert faults(75, 256, KernelResources(32, 12544 * 4, 0, 0), NO_BOUNDS)


def test_launch_bounds_are_read_from_ptx():
    ptx, _ = nvrtc.compile_ptx(TWO_BLOCKS + SPILLING.replace(" k(", " other("))
    assert launch_bounds(ptx) == {"k": LaunchBounds(256, 2), "other": LaunchBounds(1024, 0)}
    assert launch_bounds(nvrtc.compile_ptx('extern "C" __global__ void k() {}')[0]) == {"k": NO_BOUNDS}


def test_the_block_of_every_exported_kernel_is_known():
    sizes = static_checks.block_sizes()
    exported = {instance.name for row in cpp_backend.LADDERS for entry in row.declared for instance in entry.instances()}
    assert set(sizes) == exported
    assert sizes["matmul_v3_f64"] == 1024 and sizes["adam_v1_begin_f32"] == 1 and sizes["conv2d_dw_v2_sum"] == 256


def test_a_kernel_that_the_log_leaves_out_is_an_error():
    ptx, _ = nvrtc.compile_ptx('extern "C" __global__ void matmul_v4_nn() {}')
    with pytest.raises(LookupError, match="says nothing of matmul_v4_nn"):
        static_checks.check(80, ptx, "ptxas info    : 0 bytes gmem\n")
    log = "ptxas info    : Compiling entry function 'matmul_v4_nn' for 'sm_80'\nptxas info    : Used 8 registers, 400 bytes smem\n"
    (row,) = static_checks.check(80, ptx, log)
    assert row.resources == KernelResources(8, 400, 0, 0) and row.threads == 256 and not row.faults

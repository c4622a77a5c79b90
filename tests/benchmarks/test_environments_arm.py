"""64-bit ARM: modules made for x86 are compiled for it, instructions of x86 are refused, and kernels get its widths."""

import os
import subprocess
import sys

import pytest
from llvmlite import binding
from tinygan_kernels.cpu.runtime import simd

from benchmarks.environments import arm_process, versions

MODULE = """
target triple = "x86_64-unknown-linux-gnu"
target datalayout = "e-m:e-i64:64-S128"
declare void @llvm.x86.sse2.pause()
define void @wait() {
  call void @llvm.x86.sse2.pause()
  ret void
}
"""
AVX_512 = """
declare <16 x i32> @llvm.x86.avx512.mask.compress.v16i32(<16 x i32>, <16 x i32>, <16 x i1>)
define <16 x i32> @f(<16 x i32> %x, <16 x i1> %m) {
  %y = call <16 x i32> @llvm.x86.avx512.mask.compress.v16i32(<16 x i32> %x, <16 x i32> %x, <16 x i1> %m)
  ret <16 x i32> %y
}
"""
COUNTED = """
declare i8 @llvm.x86.atomic.sub.cc.i64(ptr, i64, i32 immarg)
define i8 @drop(ptr %count) {
  %last = call i8 @llvm.x86.atomic.sub.cc.i64(ptr %count, i64 1, i32 4)
  ret i8 %last
}
"""


@pytest.fixture(scope="module")
def compiler():
    try:
        return arm_process.ArmCompiler()
    except RuntimeError:
        pytest.skip("this llvmlite was built without LLVM's AArch64")


def test_a_module_for_x86_becomes_machine_code_for_arm(compiler):
    before = compiler.modules
    made = compiler.compile(MODULE)
    assert bytes.fromhex("3f2003d5") in made, "`yield` of the A64 instruction set, which waits as `pause` does"
    assert compiler.modules == before + 1 and compiler.bytes >= len(made)


@pytest.mark.skipif(binding.llvm_version_info[0] < 16, reason="the text is for LLVM from 16 on, whose pointers have no type")
def test_numbas_count_of_references_is_left_to_the_linker(compiler):
    assert b"count_of_references" in compiler.compile(MODULE + COUNTED)


def test_instructions_of_x86_are_refused_by_name(compiler):
    with pytest.raises(ValueError, match=r"calls instructions of x86: llvm[.]x86[.]avx512[.]mask[.]compress[.]v16i32$"):
        compiler.compile(MODULE + AVX_512)


@pytest.mark.skipif(not binding.get_process_triple().startswith("x86_64"), reason="this machine is no x86-64")
def test_code_for_another_machine_is_not_taken_for_arms(compiler, monkeypatch):
    monkeypatch.setattr(compiler, "machine", binding.Target.from_default_triple().create_target_machine())
    monkeypatch.setattr(compiler, "for_arm", lambda text: AVX_512.split("declare")[0] + "define void @f() {\n ret void\n}")
    with pytest.raises(ValueError, match="not for 64-bit ARM"):
        compiler.compile(MODULE)


def test_kernels_are_made_with_arms_registers_and_only_within_the_block(compiler):
    before = simd.register_bytes(), simd.registers()
    with arm_process.as_on_arm(compiler):
        assert (simd.register_bytes(), simd.registers()) == (16, 32)
    assert (simd.register_bytes(), simd.registers()) == before


def test_a_kernel_is_verified_and_compiled_for_arm(compiler, tmp_path):
    """All kernels: `python -m benchmarks.environments.versions --only aarch64`."""
    own = versions.variables(NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))
    command = [sys.executable, "-m", "benchmarks.environments.arm_process", "--only", "adam"]
    done = subprocess.run(command, cwd=versions.ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    right, of = done.stdout.splitlines()[-2].split(" of ")
    assert f"{right} of {of} with its vectors on x86-64; " in done.stdout.splitlines()[-1] and int(right) > 0

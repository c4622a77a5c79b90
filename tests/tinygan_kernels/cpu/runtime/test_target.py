"""The processor that Numba compiles for: the width of vectors follows it, and settings that LLVM would not refuse are refused."""

import os
import subprocess
import sys

import numba
import pytest
from llvmlite import binding
from tinygan_kernels import BackendError, load
from tinygan_kernels.cpu.runtime import simd, target

HERE = binding.get_process_triple()
X86 = HERE.startswith("x86_64")
on_x86 = pytest.mark.skipif(not X86, reason="names processors of x86-64, and this machine's is another kind")


def test_the_width_is_that_of_the_target_that_numba_compiles_for():
    triple, cpu, features = target.target()
    assert triple == HERE and simd.register_bytes() == target.vector_bytes(triple, cpu, features)


@on_x86
@pytest.mark.parametrize(
    "cpu,features,nbytes",
    [
        ("generic", "", 16), ("haswell", "", 32), ("skylake-avx512", "", 64), ("znver4", "", 64), ("sandybridge", "", 16),
        ("haswell", "+avx512f", 64), ("znver4", "-avx512f", 32), ("generic", "+avx2", 32),
    ],
)  # fmt: skip
def test_widths_of_known_processors(cpu, features, nbytes):
    if cpu == "znver4" and binding.llvm_version_info[0] < 16:  # and ends the process; `load` refuses such names in a line
        pytest.skip(f"LLVM {binding.llvm_version_info[0]} does not know znver4")
    assert target.vector_bytes(HERE, cpu, features) == nbytes


def test_the_width_of_64_bit_arm():
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this llvmlite was built without LLVM's AArch64")
    assert target.vector_bytes("aarch64-unknown-linux-gnu", "generic", "") == 16


# ---- settings that are wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cpu,features,said",
    [
        ("athlon9000", None, "NUMBA_CPU_NAME: LLVM knows no processor 'athlon9000' of this kind; .*'generic' fits all"),
        (None, "avx2", "NUMBA_CPU_FEATURES: 'avx2' has no sign; write [+]avx2 or -avx2"),
        ("generic", "+avx9000", "NUMBA_CPU_FEATURES: LLVM knows no feature '[+]avx9000' here; write such as"),
    ],
    ids=["a name", "no sign", "a feature"],
)
def test_what_llvm_does_not_know_is_refused(cpu, features, said, monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_NAME", cpu)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    with pytest.raises(BackendError, match=f"^backend 'cpu' is not available: {said}"):
        load("cpu")


@pytest.mark.parametrize("cpu,features", [(None, None), ("generic", ""), (binding.get_host_cpu_name(), None), ("", None)])
def test_what_llvm_knows_is_taken(cpu, features, monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_NAME", cpu)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    assert target.why_unusable() is None


@on_x86
@pytest.mark.skipif(binding.llvm_version_info[0] < 16, reason="this LLVM does not know znver4")
def test_registers_that_this_machine_lacks_are_refused(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_NAME", "znver4")
    monkeypatch.setattr(target, "target", lambda: (HERE, "znver4", ""))
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: {"avx2": True, "avx512f": False})
    assert "code for 'znver4' uses avx512f, which this machine" in target.why_unusable()


def test_the_command_line_says_it_in_one_line():
    command = [sys.executable, "-m", "tinygan", "kernels", "verify", "--only", "neg"]
    done = subprocess.run(command, env={**os.environ, "NUMBA_CPU_NAME": "athlon9000"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("tinygan: backend 'cpu' is not available: NUMBA_CPU_NAME: ")
    assert done.stdout == "" and done.stderr.count("\n") == 1

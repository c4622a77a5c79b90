"""The processor that Numba compiles for, and how wide LLVM lets its vector registers be.

Numba compiles for the machine it runs on, unless NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name another processor, as one does where
machines of several kinds share a home folder, and so one cache of compiled code. The same two settings, and NUMBA_ENABLE_AVX=0, may
stand in Numba's file .numba_config.yaml. An intrinsic that asks for instructions which the target does not have ends the process
inside LLVM, without an exception. So the width is not taken from the machine but from the compiler: LLVM compiles a sum of two long
vectors for the target, and the registers that it uses are read from the assembly.
"""

from __future__ import annotations

import subprocess
from functools import lru_cache

from llvmlite import binding

from tinygan_kernels.child_process import python_command

_SUM = """
target triple = "{triple}"
define void @sum({pointer} %p, {pointer} %q) {{
  %a = load <32 x i32>, {pointer} %p, align 4
  %b = load <32 x i32>, {pointer} %q, align 4
  %c = add <32 x i32> %a, %b
  store <32 x i32> %c, {pointer} %q, align 4
  ret void
}}
"""
_ASK = """
import sys
from llvmlite import binding
if binding.llvm_version_info[0] < 20:
    binding.initialize()
binding.initialize_native_target()
target = binding.Target.from_triple(binding.get_process_triple())
target.create_target_machine(cpu=sys.argv[1], features=sys.argv[2])
"""


def target() -> tuple[str, str, str]:
    """Return what Numba compiles for: (LLVM's triple, the processor's name, its features as LLVM writes them, "+avx2,-avx512f")."""
    from numba.core.registry import cpu_target

    return cpu_target.target_context.codegen().magic_tuple()


@lru_cache
def vector_bytes(triple: str, cpu: str, features: str) -> int:
    """Return the bytes of the widest registers in which LLVM adds whole numbers on a processor: 64, 32 or 16.

    triple, cpu, features: as `target` returns them.
    """
    pointer = "ptr" if binding.llvm_version_info[0] >= 16 else "<32 x i32>*"
    module = binding.parse_assembly(_SUM.format(triple=triple, pointer=pointer))
    assembly = binding.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features).emit_assembly(module)
    return 64 if "%zmm" in assembly else 32 if "%ymm" in assembly else 16


def why_unusable() -> str | None:
    """Say in one line what is wrong with NUMBA_CPU_NAME or NUMBA_CPU_FEATURES, and what to write; None if code for them runs here.

    LLVM itself ignores a name or a feature that it does not know, with a line on standard error for every function that it
    compiles, and compiles for any processor, also for one whose instructions would end this process.
    """
    from numba import config

    name, features = config.CPU_NAME, config.CPU_FEATURES or ""
    if name is None and not features:
        return None
    signless = [feature for feature in filter(None, features.split(",")) if feature[0] not in "+-"]
    if signless:
        return f"NUMBA_CPU_FEATURES: {signless[0]!r} has no sign; write +{signless[0]} or -{signless[0]}"
    name = binding.get_host_cpu_name() if name is None else name
    here = binding.get_host_cpu_name()
    try:
        said = subprocess.run(python_command(_ASK, [name, features]), capture_output=True, text=True, check=False).stderr
    except OSError:  # no process can be started here; then LLVM says itself what it does not know, function by function
        said = ""
    for line in said.splitlines():
        if "is not a recognized processor" in line:
            return f"NUMBA_CPU_NAME: LLVM knows no processor {name!r} of this kind; this machine's is {here}, 'generic' fits all"
        if "is not a recognized feature" in line:
            return f"NUMBA_CPU_FEATURES: LLVM knows no feature {line.split()[0]} here; write such as +avx2,+fma"
    return _too_wide(name)


def _too_wide(name: str) -> str | None:
    """Say in one line that code for the target uses registers that this machine does not have; None if it has them."""
    here, needed = binding.get_host_cpu_name(), {64: "avx512f", 32: "avx2"}.get(vector_bytes(*target()))
    if needed is None or binding.get_host_cpu_features().get(needed):
        return None
    return f"NUMBA_CPU_NAME, NUMBA_CPU_FEATURES: code for {name!r} uses {needed}, which this machine ({here}) lacks"

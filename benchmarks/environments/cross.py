"""Compile the CPU's loops for 64-bit ARM on another machine: `python -m benchmarks.environments.cross`

The loops are made with that processor's registers, 32 of 16 bytes; kernels are verified with them, as far as this machine's code of
them goes; then LLVM compiles each loop's code for aarch64. Nothing is executed on such a processor. Numba's cache must be empty, as
only what is compiled in this process has its code at hand: the caller sets NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import re
import sys

from llvmlite import binding

TRIPLE, CPU = "aarch64-unknown-linux-gnu", "generic"
# kernels that between them use every way of writing vectors: tiles, transforms, lists, row formulas, roots
KERNELS = ("matmul", "conv2d", "conv2d_dx", "conv2d_dw", "adam", "leaky_relu", "leaky_relu_grad", "bias_act", "batch_norm", "tanh")


def main() -> int:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(TRIPLE).create_target_machine(cpu=CPU)
    from tinygan_kernels.cpu.runtime import target

    target.target = lambda: (TRIPLE, CPU, "")
    from tinygan_kernels.cpu.runtime import jit, simd
    from tinygan_kernels.verification import verify

    assert (simd.register_bytes(), simd.registers()) == (16, 32)
    verdicts = list(verify.verdicts("cpu", kernels=KERNELS, dtypes=["float32"]))
    wrong = [str(verdict) for verdict in verdicts if not verdict.ok]
    fused = sum(assembly(machine, made.inspect_llvm()).count("fmla") for made in jit.compiled())
    print(*wrong, sep="\n" if wrong else "")
    print(f"{len(jit.compiled())} loops compiled for aarch64, {fused} fmla instructions in them; not executed there")
    return 1 if wrong or not fused else 0


def assembly(machine: binding.TargetMachine, code: str) -> str:
    """Return the assembly of LLVM code that was made for this machine's triple and layout of data."""
    code = re.sub(r"^target datalayout = .*$", "", code, flags=re.MULTILINE)
    module = binding.parse_assembly(re.sub(r"^target triple = .*$", f'target triple = "{TRIPLE}"', code, flags=re.MULTILINE))
    module.data_layout = str(machine.target_data)
    return machine.emit_assembly(module)


if __name__ == "__main__":
    sys.exit(main())

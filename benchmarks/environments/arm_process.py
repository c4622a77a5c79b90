"""Verify the CPU's kernels with 64-bit ARM's vectors, and compile each for it: `python -m benchmarks.environments.arm_process`

It needs no ARM processor. Numba makes the kernels with vectors of 16 bytes in 32 registers, as on 64-bit ARM. LLVM compiles each
module twice: for this machine, on which `tinygan kernels verify` then judges the numbers, and for ARM's baseline, where LLVM ends
the process if it meets an operation that it cannot compile. The machine code for ARM is not executed.

The last line says what came out. Set NUMBA_CPU_NAME=generic and NUMBA_CACHE_DIR to an empty folder, as versions.py does, since
code from a cache is not compiled again. `--only NAME` is that of `tinygan kernels verify`.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from unittest import mock

from llvmlite import binding
from numba.core import codegen
from tinygan_kernels.cpu.runtime import simd

from tinygan.cli.main import run

TRIPLE, CPU = "aarch64-unknown-linux-gnu", "generic"
ELF_MACHINE = {"aarch64": 183}  # e_machine of the ELF header, by the ABI of the Arm 64-bit architecture
# Two instructions of x86 stand in the modules for reasons that are no kernel's: `pause` asks which machine it is on, and has a
# branch for ARM; Numba's own count of references was compiled for x86 before it was linked in.
PAUSE = ("void @llvm.x86.sse2.pause()", "void @llvm.aarch64.hint(i32 1)", "void @llvm.aarch64.hint(i32)")
COUNT = re.compile(r"^declare .*@llvm\.x86\.atomic\.sub\.cc\.i64\(.*$", re.MULTILINE)


class ArmCompiler:
    """Compiles LLVM's code of the CPU's kernels for 64-bit ARM. modules, bytes: how much was compiled so far."""

    def __init__(self) -> None:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
        # Raises RuntimeError where llvmlite was built without LLVM's AArch64.
        target = binding.Target.from_triple(TRIPLE)
        self.machine = target.create_target_machine(cpu=CPU, features="", opt=2, reloc="pic", codemodel="default")
        self.modules = self.bytes = 0

    def compile(self, text: str) -> bytes:
        """Return the object file of a module in LLVM's language. Raises ValueError where it calls instructions of x86."""
        module = binding.parse_assembly(self.for_arm(text))
        module.verify()
        made = self.machine.emit_object(module)
        if made[:4] != b"\x7fELF" or int.from_bytes(made[18:20], "little") != ELF_MACHINE["aarch64"]:
            raise ValueError("LLVM's object file is not for 64-bit ARM")
        self.modules, self.bytes = self.modules + 1, self.bytes + len(made)
        return made

    def for_arm(self, text: str) -> str:
        """Return the text of a module that was made for x86 as one for ARM. Raises ValueError as `compile` does."""
        text = re.sub("^target triple = .*$", f'target triple = "{TRIPLE}"', text, flags=re.MULTILINE)
        text = re.sub("^target datalayout = .*$", f'target datalayout = "{self.machine.target_data}"', text, flags=re.MULTILINE)
        call, hint, hints = PAUSE
        text = text.replace(f"declare {call}", f"declare {hints}").replace(call, hint)
        pointer = "ptr" if binding.llvm_version_info[0] >= 16 else "i64*"
        text = COUNT.sub(f"declare i8 @count_of_references({pointer}, i64, i32)", text)
        text = text.replace("@llvm.x86.atomic.sub.cc.i64", "@count_of_references")
        left = sorted(set(re.findall(r"@(llvm\.x86\.[\w.]+)", text)))
        if left:
            raise ValueError(f"code for 64-bit ARM calls instructions of x86: {', '.join(left)}")
        return text


@contextlib.contextmanager
def as_on_arm(compiler: ArmCompiler) -> Iterator[None]:
    """Make kernels as for 64-bit ARM in the `with` block, and compile for it every module that Numba finishes there."""
    finish = codegen.CPUCodeLibrary._finalize_final_module

    def both(library: codegen.CPUCodeLibrary) -> None:
        compiler.compile(str(library._final_module))
        finish(library)

    widths = (simd.register_bytes, simd.registers)
    with (
        mock.patch.object(simd, "target", lambda: (TRIPLE, CPU, "")),
        mock.patch.object(codegen.CPUCodeLibrary, "_finalize_final_module", both),
    ):
        for width in widths:
            width.cache_clear()
        try:
            yield
        finally:
            for width in widths:
                width.cache_clear()


def main(arguments: list[str] | None = None) -> int:
    printed, compiler = io.StringIO(), ArmCompiler()
    with as_on_arm(compiler), contextlib.redirect_stdout(printed):
        code = run(["kernels", "verify", *(sys.argv[1:] if arguments is None else arguments)])
    said = printed.getvalue().strip()
    verdict = said.splitlines()[-1] if said else "nothing was verified"
    print(said)
    if not compiler.modules:
        print("nothing was compiled: NUMBA_CACHE_DIR is to name an empty folder")
        return 1
    print(f"{verdict} with its vectors on x86-64; {compiler.modules} modules compiled, {compiler.bytes / 1e6:.1f} MB of code")
    return code


if __name__ == "__main__":
    sys.exit(main())

"""What Numba has compiled, as the emulated device loads it: a module of PTX, its variables and its kernels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygan_kernels.emulator.translate.kernel import TranslatedKernel
from tinygan_kernels.emulator.translate.translator import translate

from . import nvjitlink
from .numba_device import CAPABILITY
from .rawmodule import allocate, parsed


class LoadedCode:
    """A module on the device: linked PTX, its variables, and its kernels as they are asked for. (cuda.core: ObjectCode)"""

    @property  # type: ignore[misc]  # which nobody sets
    def __class__(self) -> type:
        """What a module says that it is, to those who are called when one is loaded (CUSource(..., setup_callback=))."""
        from cuda.core import ObjectCode

        return ObjectCode

    def __init__(self, ptx: str, title: str, handle: int, captured: dict[Any, Any]):
        self.code, self.title, self.handle = ptx, title, handle
        self.captured = list(captured.values())  # device arrays that were global variables of the kernel
        self.module = parsed(ptx)
        self.variables = allocate(self.module)

    def get_kernel(self, name: str) -> LoadedKernel:
        addresses = {n: m.base for n, m in self.variables.items()}
        return LoadedKernel(translate(self.module, name, addresses, title=self.title or name), self)


class Attribute(int):
    """A number that a kernel has: cuda.core from 1.0 on has it as an attribute, earlier ones as a method that returns it."""

    def __call__(self) -> int:
        return int(self)


class LoadedKernel:
    """A kernel of a module. (cuda.core: Kernel, whose `handle` is called `_handle` up to cuda.core 0.5)"""

    def __init__(self, translated: TranslatedKernel, code: LoadedCode):
        self.translated, self.code = translated, code
        self.handle = self._handle = code.handle
        limits = translated.entry.limits
        self.attributes = SimpleNamespace(
            num_regs=Attribute(0),  # which the linker decides on: `registers`, where somebody asks
            const_size_bytes=Attribute(sum(v.size for v in code.module.variables.values() if v.space == "const")),
            local_size_bytes=Attribute(translated.local_bytes), shared_size_bytes=Attribute(translated.static_shared),
            max_threads_per_block=Attribute(np.prod(limits.get("maxntid", (1024,)))),
        )  # fmt: skip


def registers(kernel: Any) -> int:
    """Return the registers of a thread, as nvJitLink allots them for sm_80; it takes the place of Numba's `regs_per_thread`.

    kernel: Numba's. Its `max_registers` is kept. Raises LinkError where nvJitLink is missing, or does not take the PTX.
    """
    library = kernel.library
    code, entry = library.get_cufunc().kernel.code.code, library._entry_name
    _, log = nvjitlink.link(code, "sm_{}{}".format(*CAPABILITY), library._max_registers or None)
    found = nvjitlink.resources_in(log)
    if entry not in found:
        raise nvjitlink.LinkError(f"nvJitLink's log says nothing of kernel {entry}")
    return found[entry]["registers"]

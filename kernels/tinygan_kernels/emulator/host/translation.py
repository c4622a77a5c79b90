"""translation: the Python that a kernel was translated to, for reading."""

from __future__ import annotations

import linecache
from typing import Any

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.translate.listing import listing

from .numba_launch import compiled
from .rawmodule import RawKernel


def translation(kernel: Any, *args: Any) -> str:
    """Return the Python source that a kernel was translated to, each line beside its PTX and, where known, its CUDA source.

    kernel: what `RawModule.get_function` returned (then without args), or a function decorated with `@cuda.jit`; args: for
    the latter, the arguments of a launch, whose types decide what is compiled. What is returned is valid Python; it is not
    run again. Raises EmulatorError for anything else, and where compiling fails.

        print(emulator.translation(module.get_function("axpy")))
        print(emulator.translation(numba_axpy, np.float32(2), x, y))
    """
    if not isinstance(kernel, RawKernel):
        translated = compiled(kernel, args).translated
        return listing(translated, lambda file: linecache.getlines(translated.module.files.get(file, "")))
    if args:
        raise EmulatorError("translation of a RawModule's kernel takes no arguments: its types are known")
    translated, own = kernel.translated, (kernel.source or "").split("\n")

    def lines_of(file: int) -> list[str]:
        if file == translated.files.main and kernel.source:
            return own
        return linecache.getlines(translated.module.files.get(file, ""))

    return listing(translated, lines_of)

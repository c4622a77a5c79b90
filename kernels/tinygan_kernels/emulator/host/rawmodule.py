"""RawModule and RawKernel: CuPy's interface to compile and launch CUDA C++, for kernels that are emulated on NumPy arrays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.syntax import ptx
from tinygan_kernels.emulator.syntax.parser import parse
from tinygan_kernels.emulator.syntax.ptx import Immediate, Module, Variable
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel
from tinygan_kernels.emulator.translate.translator import translate

from . import nvrtc
from .launch import run_kernel


class RawModule:
    """A module of kernels, compiled from CUDA C++ or given as PTX (text that begins with .version, perhaps after comments).

    options: compiler options for NVRTC; arch: the virtual architecture, unless the options name one; name_expressions: templates
    to instantiate, as in CuPy ("f<float>", then get_function("f<float>")); filename: what reports call the source. PTX makes no use
    of these four. Raises EmulatorError: with the compiler's log, and for a `code` that is no text.
    """

    def __init__(
        self, code=None, *, options=(), name_expressions=(), arch: str = "compute_80", filename: str = "kernel.cu"
    ):
        if not isinstance(code, str):
            raise EmulatorError("RawModule(code=...) needs CUDA C++ or PTX as a string")
        self.lowered: dict[str, str] = {}
        if _is_ptx(code):
            self.ptx = code
        else:
            names = tuple(name_expressions or ())
            self.ptx, self.lowered = nvrtc.compile_ptx(code, tuple(options), arch, names, filename)
        self.source = code
        self.module = parsed(self.ptx)
        self.variables = allocate(self.module)
        self.functions: dict[str, RawKernel] = {}

    def get_function(self, name: str) -> RawKernel:
        """Return a kernel by its name (extern "C", or a name expression).

        Raises EmulatorError, listing the module's kernels, for another name, and UnsupportedInstruction if the kernel cannot be
        translated.
        """
        name = self.lowered.get(name, name)
        if name not in self.functions:
            addresses = {n: m.base for n, m in self.variables.items()}
            kernel = translate(self.module, name, addresses) if addresses else _translated(self.ptx, name)
            self.functions[name] = RawKernel(kernel, self.variables, None if self.source is self.ptx else self.source)
        return self.functions[name]

    def get_global(self, name: str) -> np.ndarray:
        """Return the bytes of a __device__ or __constant__ variable, which may be written; `.view(np.float32)` gives its values.

        Raises EmulatorError, listing the module's variables, for another name.
        """
        if name not in self.variables:
            raise EmulatorError(
                f"no variable named {name!r} in the module; its variables: {', '.join(self.variables) or 'none'}"
            )
        return self.variables[name].data


class RawKernel:
    """A kernel of a module: `kernel(grid, block, args, shared_mem=0)` runs it and changes arrays in place.

    Scalars among args have to be NumPy scalars of exactly the declared type. shared_mem: bytes of dynamic shared memory. source:
    the CUDA C++, for reports; None where the module was PTX. Raises SanitizerError for findings, KernelAssertion where an assert
    in the kernel fails, and EmulatorError for a launch that is wrong.
    """

    def __init__(self, translated: TranslatedKernel, variables: dict[str, Memory], source: str | None = None):
        self.translated, self.variables, self.source = translated, variables, source

    @property
    def name(self) -> str:
        """The kernel's name in the PTX."""
        return self.translated.name

    def __call__(self, grid, block, args=(), *, shared_mem: int = 0) -> None:
        if not isinstance(args, (tuple, list)):
            raise EmulatorError(
                f"the arguments of kernel {self.name} must be a tuple or a list: kernel(grid, block, (a, b, ...))"
            )
        run_kernel(self.translated, self.variables, grid, block, tuple(args), shared_mem)


def _is_ptx(code: str) -> bool:
    """Return whether the first line that is neither blank nor a comment begins with .version."""
    lines = (line.strip() for line in code.splitlines())
    return next((line for line in lines if line and not line.startswith("//")), "").startswith(".version")


@lru_cache(maxsize=128)
def parsed(text: str) -> Module:
    """Parse PTX text. The result is kept, and shared by all who ask for the same text."""
    return parse(text)


@lru_cache(maxsize=256)
def _translated(text: str, name: str) -> TranslatedKernel:
    """Translate a kernel of a module without variables: with them the translation would hold the addresses of one RawModule's."""
    return translate(parsed(text), name, {})


def allocate(module: Module) -> dict[str, Memory]:
    """Give the module's global and constant variables memory, with their initial values: {name: Memory}."""
    made = {v.name: _room_for(v) for v in module.variables.values() if v.space in ("global", "const")}
    for name, memory in made.items():
        _initialise(module.variables[name], memory, made)
    return made


def _room_for(variable: Variable) -> Memory:
    """Return new zeroed memory for a variable."""
    align = max(16, variable.align)
    raw = np.zeros(variable.size + align, np.uint8)
    start = -raw.ctypes.data % align
    data = raw[start : start + variable.size]
    return Memory(data, raw.ctypes.data + start, variable.name, writable=variable.space == "global")


def _initialise(variable: Variable, memory: Memory, made: dict[str, Memory]) -> None:
    """Write a variable's initial value into its memory. It may hold addresses of other global and constant variables."""
    size = ptx.WIDTH[variable.type]
    for i, value in enumerate(variable.initial):
        if isinstance(value, Immediate):
            raw = value.encode(variable.type)
        elif value.name in made:
            raw = int(made[value.name].base + value.offset).to_bytes(8, "little")
        else:
            raise EmulatorError(
                f"variable {variable.name} is initialised with the address of {value.name}, which is not supported"
            )
        memory.data[i * size : (i + 1) * size] = np.frombuffer(raw[:size], np.uint8)

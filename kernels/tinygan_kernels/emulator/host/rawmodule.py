"""RawModule and RawKernel: CuPy's interface to compile and launch CUDA C++, for kernels that are emulated on NumPy arrays."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer.findings import checking
from tinygan_kernels.emulator.sanitizer.streams import Use
from tinygan_kernels.emulator.syntax import ptx
from tinygan_kernels.emulator.syntax.parser import parse
from tinygan_kernels.emulator.syntax.ptx import Immediate, Module, Variable
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel
from tinygan_kernels.emulator.translate.translator import translate

from . import arguments, nvrtc, signature
from .kernel_names import kernel_named, plain_name
from .launch import MAX_THREADS, check_sizes, run_kernel
from .script_order import ORDER

BACKENDS = ("nvrtc", "nvcc")


class RawModule:
    """A module of kernels, as cupy.RawModule: compiled from CUDA C++, or PTX (text that begins with .version or a comment).

    code: the text; path: a file of PTX, in place of code; options: compiler options for NVRTC; name_expressions: templates to
    instantiate ("f<float>", then get_function("f<float>")); enable_cooperative_groups: launch cooperatively, so that
    this_grid().sync() works, with at most as many blocks as are resident at once. NVRTC compiles with either `backend`,
    cuComplex.h needs no translation and headers of the C++ library are always there, so backend, translate_cucomplex and jitify
    change nothing. Of the emulator's own: arch, the virtual architecture, unless the options name one; filename, what reports
    call the source. PTX makes no use of options, arch and filename.

    Raises EmulatorError: with the compiler's log; for a `code` that is no text; for a binary (cubin), which it cannot run.
    """

    def __init__(
        self, code: str | None = None, *, path: str | None = None, options: tuple[str, ...] = (), backend: str = "nvrtc",
        translate_cucomplex: bool = False, enable_cooperative_groups: bool = False, name_expressions=(), jitify: bool = False,
        arch: str = "compute_80", filename: str = "kernel.cu",
    ):  # fmt: skip
        if (code is None) == (path is None) and path is not None:
            raise EmulatorError("RawModule takes either code or path, not both")
        code = _read(path) if path is not None else code
        if not isinstance(code, str):
            raise EmulatorError("RawModule(code=...) needs CUDA C++ or PTX as a string")
        if backend not in BACKENDS:
            raise EmulatorError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
        self.code, self.file_path, self.options, self.backend = code, path, tuple(options), backend
        self.enable_cooperative_groups, self.name_expressions = enable_cooperative_groups, tuple(name_expressions or ())
        self._how = arch, filename
        self.lowered: dict[str, str] = {}
        if _is_ptx(code):
            self.ptx = code
        else:
            self.ptx, self.lowered = nvrtc.compile_ptx(code, self.options, arch, self.name_expressions, filename)
        self.source = code
        self.module = parsed(self.ptx)
        self.variables = allocate(self.module)
        self.functions: dict[str, RawKernel] = {}

    def compile(self, log_stream=None) -> None:
        """Do nothing more, as the module is compiled when it is made. log_stream: gets the warnings of the compiler."""
        if log_stream is not None and self.ptx is not self.code:
            log_stream.write(nvrtc.compile_with_log(self.code, self.options, *self._how, self.name_expressions)[1])

    def get_function(self, name: str) -> RawKernel:
        """Return a kernel by its name (extern "C", or a name expression).

        A kernel that lacks extern "C" is found too if it is the only one of its plain name, with a UserWarning. Raises
        EmulatorError, listing the module's kernels, for another name, and UnsupportedInstruction if it cannot be translated.
        """
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = RawKernel._of(self, name, self.translated(name))
        return found

    def translated(self, name: str) -> TranslatedKernel:
        """Return the translation of a kernel, as `get_function` finds it."""
        entry = kernel_named(self.module, self.lowered.get(name, name))
        addresses = {n: m.base for n, m in self.variables.items()}
        return translate(self.module, entry, addresses) if addresses else _translated(self.ptx, entry)

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
    """A kernel, as cupy.RawKernel: `RawKernel(code, name)`, compiled at its first use; `kernel(grid, block, args, shared_mem=0)`.

    code, options, backend, translate_cucomplex, enable_cooperative_groups, jitify, arch, filename: as RawModule takes them; name:
    the kernel's. A call changes arrays in place. NumPy scalars among args have to be of exactly the declared type, Python numbers
    become it. Arrays have to have elements of the type that the source declares, in C order; `with emulator.checks(False)` leaves
    this to the caller. shared_mem: bytes of dynamic shared memory; stream: one of `emulator.cupy`, by default the
    current one: a launch runs at once, and is compared with what other streams may do meanwhile.

    Raises SanitizerError for findings, KernelAssertion where an assert in the kernel fails, and EmulatorError for code that does
    not compile and for a launch that is wrong.
    """

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc", translate_cucomplex: bool = False, *,
        enable_cooperative_groups: bool = False, jitify: bool = False, arch: str = "compute_80", filename: str = "kernel.cu",
    ):  # fmt: skip
        if not isinstance(code, str) or not isinstance(name, str):
            raise EmulatorError("RawKernel(code, name) needs CUDA C++ or PTX, and the name of a kernel in it, as strings")
        if backend not in BACKENDS:
            raise EmulatorError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
        self.code, self.options, self.backend, self.file_path = code, tuple(options), backend, None
        self.enable_cooperative_groups = enable_cooperative_groups
        self._asked, self._how = name, {"arch": arch, "filename": filename}

    @classmethod
    def _of(cls, module: RawModule, name: str, translated: TranslatedKernel) -> RawKernel:
        """Return a kernel of a module that is compiled already."""
        kernel = cls(module.code, name, module.options, module.backend)
        kernel.file_path, kernel.enable_cooperative_groups = module.file_path, module.enable_cooperative_groups
        kernel.module, kernel.translated = module, translated
        return kernel

    @cached_property
    def module(self) -> RawModule:
        """The module that the kernel is compiled in. A name with template arguments is instantiated."""
        names = (self._asked,) if "<" in self._asked else ()
        return RawModule(self.code, options=self.options, name_expressions=names, **self._how)

    @cached_property
    def translated(self) -> TranslatedKernel:
        """The kernel's translation to Python."""
        return self.module.translated(self._asked)

    @property
    def variables(self) -> dict[str, Memory]:
        """The global and constant variables of the kernel's module."""
        return self.module.variables

    @cached_property
    def source(self) -> str | None:
        """The CUDA C++, for reports; None where the module was PTX."""
        return None if self.module.source is self.module.ptx else self.module.source

    @property
    def name(self) -> str:
        """The kernel's name in the PTX."""
        return self.translated.name

    @cached_property
    def declared(self) -> tuple:
        """What the kernel's pointers point to, as its source says."""
        return signature.pointees(self.source, plain_name(self.name)) if self.source else ()

    def compile(self, log_stream=None) -> None:
        """Compile the kernel now. log_stream: gets the warnings of the compiler."""
        self.translated  # noqa: B018
        self.module.compile(log_stream)

    def __call__(self, grid, block, args=(), *, shared_mem: int = 0, stream=None) -> None:
        if not isinstance(args, (tuple, list)):
            raise EmulatorError(
                f"the arguments of kernel {self.name} must be a tuple or a list: kernel(grid, block, (a, b, ...))"
            )
        if checking():
            signature.check(self.declared, args, self.name)
        given = arguments.as_now(self.translated, tuple(args))  # a graph launches later

        def launch() -> None:
            self._run(grid, block, given, shared_mem)

        if ORDER.taker is None:
            launch()
        else:
            check_sizes(self.translated, grid, block, shared_mem)
            ORDER.taker(launch, stream)

    def _run(self, grid, block, args: tuple, shared_mem: int) -> None:
        """Run a launch, and note what it touches for the order between streams."""
        stream, used, owners = ORDER.current(), list[Use](), list[np.ndarray]()
        arrays = [a for a in args if isinstance(a, np.ndarray)] + [v.data for v in self.variables.values() if v.data.size]

        def touched(ranges: list[Memory]) -> None:
            found = ORDER.of_launch(ranges, arrays)
            used.extend(found[0])
            owners.extend(found[1])

        run_kernel(
            self.translated, self.variables, grid, block, args, shared_mem, cooperative=bool(self.enable_cooperative_groups),
            touched=touched if ORDER.wanted(stream) else None,
        )  # fmt: skip
        if used:
            ORDER.work(stream, f"kernel {self.translated.title}", used, owners)

    # -- CuPy's attributes of a kernel -------------------------------------------------------------------------------------
    @property
    def shared_size_bytes(self) -> int:
        """Bytes of static shared memory of a block."""
        return self.translated.static_shared

    @property
    def local_size_bytes(self) -> int:
        """Bytes of local memory of a thread, as the PTX declares it: arrays, without what ptxas spills."""
        return self.translated.local_bytes

    @property
    def const_size_bytes(self) -> int:
        """Bytes of the module's constant variables."""
        return sum(v.size for v in self.module.module.variables.values() if v.space == "const")

    @property
    def max_threads_per_block(self) -> int:
        """The most threads that a block may have, as __launch_bounds__ says, else 1024."""
        return int(np.prod(self.translated.entry.limits.get("maxntid", (MAX_THREADS,))))

    @property
    def attributes(self) -> dict[str, int]:
        """The attributes that are known without a GPU, under CuPy's names. There is no number of registers, as ptxas is not run."""
        names = ("shared_size_bytes", "local_size_bytes", "const_size_bytes", "max_threads_per_block")
        return {name: getattr(self, name) for name in names}


def _read(path: str) -> str:
    """Return the PTX in a file. Raises EmulatorError where there is none."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise EmulatorError(f"cannot read {path}: {error.strerror}") from None
    if b"\0" in text[:-1] or not _is_ptx(text.decode("utf-8", "replace")):
        raise EmulatorError(f"{path} holds no PTX, which the emulator runs: neither machine code (cubin, fatbin) nor CUDA C++")
    return text.decode("utf-8", "replace")


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
    made = {v.name: room_for(v) for v in module.variables.values() if v.space in ("global", "const")}
    for name, memory in made.items():
        _initialise(module, module.variables[name], memory, made)
    return made


def room_for(variable: Variable) -> Memory:
    """Return new zeroed memory for a variable."""
    align = max(16, variable.align)
    raw = np.zeros(variable.size + align, np.uint8)
    start = -raw.ctypes.data % align
    data = raw[start : start + variable.size]
    return Memory(data, raw.ctypes.data + start, variable.name, writable=variable.space == "global")


def _initialise(module: Module, variable: Variable, memory: Memory, made: dict[str, Memory]) -> None:
    """Write a variable's initial value into its memory. It may hold addresses of other global and constant variables and of device
    functions; with any other address in it, the variable is marked as one that no kernel can use.
    """
    size = ptx.WIDTH[variable.type]
    for i, value in enumerate(variable.initial):
        if isinstance(value, Immediate):
            raw = value.encode(variable.type)
        elif value.name in made:
            raw = int(made[value.name].base + value.offset).to_bytes(8, "little")
        elif (address := module.function_address(value.name)) is not None:
            raw = int(address + value.offset).to_bytes(8, "little")
        else:
            variable.refused = (
                f"{variable.name} holds the address of {value.name}, which is neither a variable in global memory nor a device "
                "function: that is not supported"
            )
            return
        memory.data[i * size : (i + 1) * size] = np.frombuffer(raw[:size], np.uint8)

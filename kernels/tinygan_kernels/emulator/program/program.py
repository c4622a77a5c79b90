"""A CUDA C++ file with a `main`: compiled twice by NVRTC, once for its kernels and once for its host code, and run.

With --device-as-default-execution-space NVRTC takes functions of the host for a device's, so that it compiles `main` to PTX, and a
launch `<<<...>>>` to calls of CUDA's device runtime, which `cuda_runtime` answers. Host code is compiled without fused
multiply-adds, as compilers of C++ do on most machines, and its PTX to machine code (`lowering`); kernels are emulated as ever.
"""

from __future__ import annotations

import contextvars
import ctypes
import re
import threading
from collections.abc import Collection
from pathlib import Path

import numpy as np

from tinygan_kernels.emulator.errors import CompilationError, EmulatorError
from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.host import nvrtc
from tinygan_kernels.emulator.host.kernel_names import plain_name
from tinygan_kernels.emulator.host.rawmodule import parsed, room_for
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Module, Symbol, Variable
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel
from tinygan_kernels.emulator.translate.translator import translate

from .by_value import LAUNCHING, refused_launches, with_launches_by_value
from .c_library import CLibrary
from .casts import DynamicCasts
from .cuda_runtime import CudaRuntime
from .device_libraries import THRUST, of_thrust, thrust_headers, uses_thrust
from .exceptions import binds_structures, catches, with_exceptions, without_clauses
from .graph_functions import GraphFunctions
from .host_code import HostCode, compiled
from .late_objects import refused_lines, with_late_objects
from .lowering import initial_bytes
from .memory import DEVICE, HOST, MANAGED, Region
from .process import Ended, HostFault, Process
from .random_numbers import RandomNumbers
from .sources import (
    blanked,
    headers_beside,
    headers_of_the_runtime,
    of_no_architecture,
    plain_lambdas,
    program_headers,
    statement_with,
)
from .unwinding import without_debug_information

OPTIONS = ("-rdc=true", "--device-as-default-execution-space", "--device-int128", "--disable-warnings")
NATIVE_STACK = 256 << 20


class Program:
    """A program, compiled.

    path: a .cu file; options: nvcc's -D, -I, -std=, -arch=sm_80 and so on. Raises CompilationError with the compiler's log,
    EmulatorError where there is no `main`, or it does what host code cannot do here.
    """

    def __init__(self, path: str | Path, options: tuple[str, ...] = ()):
        self.path = Path(path)
        try:
            self.source = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise EmulatorError(f"cannot read {path}: {error.strerror}") from None
        given = tuple(_nvrtc_option(o) for o in options)
        beside = headers_beside(self.path.resolve(), self.source)
        near = (f"--include-path={self.path.resolve().parent}",) if beside is None else ()
        arch = next((o.split("=", 1)[1] for o in given if o.startswith("--gpu-architecture=")), "compute_80")
        common = (*given, *near, *OPTIONS, "--pre-include=host_program.h")
        own = beside or {}
        common = (*common, *(f"--pre-include={name}" for name in headers_of_the_runtime(self.source, *own.values())))
        self.own_names = {name.rsplit("/", 1)[-1] for name in own}
        self.catches = catches(self.source, *own.values())
        self.declarations = "\n".join(map(blanked, (self.source, *own.values())))
        own = {name: with_exceptions(text, self.catches) for name, text in own.items()}
        code = plain_lambdas(with_exceptions(self.source, self.catches))
        if self.catches and not any("-std=" in o for o in given) and any(map(binds_structures, (code, *own.values()))):
            common = (*common, "--std=c++20")  # in which function objects, as of a `try`, may use structured bindings
        if self.catches or any("host_throw" in text for text in (code, *own.values())):
            common = (*common, "--pre-include=thrown.h", *(("-DHOST_CATCHES=1",) if self.catches else ()))
        if re.search(r"\bdynamic_cast\s*<[^;]*&", self.declarations):  # to a reference, which may throw
            common = (*common, "--pre-include=stdexcept", "-DHOST_CASTS=1")
        headers = {name: self._of_library(text) for name, text in program_headers().items()}
        if uses_thrust(self.source, *own.values()):
            common, headers = (*common, *THRUST), headers | thrust_headers()
        texts = tuple(sorted((headers | own).items()))
        code, device = self._compiled(code, common, arch, texts)
        exact = (*(o for o in common if o != "--use_fast_math" and not o.startswith("--fmad=")), "--fmad=false", "-DHOST_CODE=1")
        exact = (*exact, "--device-debug") if self.catches else exact  # which keeps the calls that `unwinding` goes by
        texts = tuple(sorted((headers | {name: of_no_architecture(text) for name, text in own.items()}).items()))
        host = self._compiled(of_no_architecture(code), exact, arch, texts)[1]
        self.device, self.host = parsed(device), parsed(without_debug_information(host) if self.catches else host)
        own_files = {self.path.name, *self.own_names} if self.catches else set()  # whose calls are noted
        self.own_files = {number for number, name in self.host.files.items() if name.rsplit("/", 1)[-1] in own_files}
        self._host_code: HostCode | None = None
        main = self.host.functions.get("main")
        if main is None or not main.has_body:
            raise EmulatorError(
                f"{self.path.name} has no main(): launch its kernels from Python with emulator.RawKernel(code, name)"
            )

    def _of_library(self, text: str) -> str:
        """Return a header of the host's as this program gets it: a `try` in it is one where the program catches exceptions."""
        if " try {" not in text:
            return text
        return with_exceptions(text, True) if self.catches else without_clauses(text)

    def _compiled(self, code: str, options: tuple[str, ...], arch: str, texts: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        """Compile; where objects cannot be made when the program begins, compile again a source in which they are made later, and
        where arguments of launches cannot be copied as bytes, one in which they are copied first.

        Returns (the source that was compiled, PTX).
        """
        fresh, at_file_scope, in_functions, launches = code, set[int](), set[int](), set[int]()
        refused: CompilationError | None = None  # the error before, of a source with fewer changes
        while True:
            try:
                return fresh, nvrtc.compile_ptx(fresh, options, arch, (), self.path.name, texts)[0]
            except CompilationError as error:
                outside, inside = refused_lines(str(error), self.path.name)
                before = fresh
                at_file_scope |= outside
                in_functions |= inside
                launches |= refused_launches(str(error), self.path.name)
                fresh = with_late_objects(with_launches_by_value(code, launches), at_file_scope, in_functions)
                if fresh == before:
                    raise refused if refused and LAUNCHING in str(error) else error from None
                refused = error

    def place(self, location: tuple[int, int]) -> str:
        """Return a line of the host code's PTX as "file.cu:12"."""
        file, line = location
        name = self.host.files.get(file, "")
        return f"{name.rsplit('/', 1)[-1]}:{line}" if name and line else self.path.name

    def host_code(self, known: Collection[str], externs: Collection[str]) -> HostCode:
        """Return the machine code of the host code, which the first run makes for all. Arguments, errors: `host_code.compiled`."""
        if self._host_code is None:
            self._host_code = compiled(self.host, known, externs, self.place, self.catches, self.own_files)
        return self._host_code

    def run(self, arguments: list[str] | None = None) -> int:
        """Run the program with these arguments after its name; return its exit code.

        Raises SanitizerError and KernelAssertion for its kernels, HostFault for its host code, as soon as there is one.
        """
        return _Run(self, [str(self.path), *(arguments or [])]).code


def _nvrtc_option(option: str) -> str:
    """Return an option of nvcc's as NVRTC's. Raises EmulatorError for one that it lacks."""
    arch = re.fullmatch(r"(?:-arch|--gpu-architecture)=(?:sm|compute)_(\w+)", option)
    if arch:
        return f"--gpu-architecture=compute_{arch[1]}"
    if re.match(
        r"-D\w|-U\w|-I.|-?-std=|--include-path=|--use_fast_math|-use_fast_math|--fmad=|--extra-device-vectorization", option
    ):
        return {"-use_fast_math": "--use_fast_math"}.get(option, option)
    raise EmulatorError(f"option {option} is none of -D, -U, -I, -std=, -arch=, --use_fast_math, --fmad=")


class _Run:
    """One run of a program, from loading to its end."""

    def __init__(self, program: Program, arguments: list[str]):
        self.program, self.process = program, Process()
        self.process.place_of = program.place
        self.process.libraries = {number for number, name in program.host.files.items() if of_thrust(name)}
        self.memories: dict[str, Memory] = {}
        self.shared: dict[str, Memory] = {}  # what kernels may touch
        self.symbols: dict[int, Region] = {}
        self.kernels: dict[int, str] = {}
        self.kinds: dict[str, str] = {}
        self.translated: dict[int, TranslatedKernel] = {}
        self._allocate_variables()
        entries = [f.name for f in program.host.functions.values() if f.is_entry]
        self.marks = np.zeros(16 * (len(entries) + 1), np.uint8)  # addresses that stand for kernels
        self.kernels = {self.marks.ctypes.data + 16 * i: name for i, name in enumerate(entries)}
        self.c_library = CLibrary(self.process)
        self.runtime = CudaRuntime(self.process, self._kernel, self.shared, self.symbols)
        self.random_numbers = RandomNumbers(self.runtime)
        try:
            self.code = self._run(arguments)
        finally:
            self.random_numbers.close()

    # -- kernels --------------------------------------------------------------------------------------------------------------
    def _kernel(self, address: int) -> TranslatedKernel:
        """Return a kernel by the address that stands for it. Raises KeyError for another."""
        if address not in self.translated:
            name = self.kernels[address]
            addresses = {n: m.base for n, m in self.memories.items()} | {n: a for a, n in self.kernels.items()}
            self.translated[address] = translate(self.program.device, name, addresses, title=plain_name(name))
        return self.translated[address]

    # -- variables ------------------------------------------------------------------------------------------------------------
    def _allocate_variables(self) -> None:
        """Give every variable memory, the same for host code and kernels; only constants, texts and tables of virtual functions
        exist twice, as the functions and texts that they point to have other addresses in kernels.
        """
        device = self.program.device.variables
        for variable in device.values():
            if variable.space in ("global", "const"):
                memory = self.memories[variable.name] = room_for(variable)
                self._known_to_kernels(variable, memory)
                if not self._of_device(variable):
                    self._region(variable, memory, HOST)
        for variable in self.program.host.variables.values():
            own = variable.name not in device or self._declared(device[variable.name]) == ""
            if own and variable.space in ("global", "const"):
                memory = self.memories[f"host {variable.name}"] = room_for(variable)
                self._region(variable, memory, HOST)

    def _known_to_kernels(self, variable: Variable, memory: Memory) -> None:
        kind = self._declared(variable)
        if kind != HOST:
            self.shared[variable.name] = memory
        if kind in (DEVICE, MANAGED):
            self.symbols[memory.base] = self._region(variable, memory, kind)

    def _of_device(self, variable: Variable) -> bool:
        return self._declared(variable) in (DEVICE, MANAGED)

    def _region(self, variable: Variable, memory: Memory, kind: str) -> Region:
        plain = plain_name(variable.name)
        name = {DEVICE: f"the __device__ variable {plain}", MANAGED: f"the __managed__ variable {plain}"}.get(kind)
        made = Region(memory.base, memory.data.size, kind, name or f"the variable {plain}", memory.data, memory.writable)
        return self.process.memory.add(made)

    def _declared(self, variable: Variable) -> str:
        """Return whose a variable is, as the source declares it: DEVICE, MANAGED, HOST, or "" for both (texts, constants)."""
        if variable.name not in self.kinds:
            self.kinds[variable.name] = DEVICE if variable.space == "const" else self._kind_in_source(variable)
        return self.kinds[variable.name]

    def _kind_in_source(self, variable: Variable) -> str:
        name = plain_name(variable.name)
        if not re.fullmatch(r"\w+", name):
            return ""
        found = re.search(rf"([^;{{}}]*)(?<!\w){re.escape(name)}\s*(\[|=|;|,|{{)", statement_with(self.program.declarations, name))
        if not found:
            return ""
        for word, kind in (("__managed__", MANAGED), ("__device__", DEVICE), ("__constant__", DEVICE)):
            if word in found[1]:
                return kind
        return "" if re.search(r"\bconst(expr)?\b", found[1]) else HOST

    # -- machine code ---------------------------------------------------------------------------------------------------------
    def _addresses(self) -> dict[str, int]:
        """Return what host code calls addresses of: variables and kernels."""
        host = {n: self.memories.get(f"host {n}", self.memories.get(n)) for n in self.program.host.variables}
        return {n: m.base for n, m in host.items() if m is not None} | {name: at for at, name in self.kernels.items()}

    def _run(self, arguments: list[str]) -> int:
        addresses = self._addresses()
        externs = {**self.c_library.functions(), **self.runtime.functions(), **GraphFunctions(self.runtime).functions()}
        process, program = self.process, self.program
        externs |= self.random_numbers.functions() | process.callbacks()
        externs |= DynamicCasts(process, program.host, addresses, program.declarations).functions()
        process.own_files = program.own_files
        code = program.host_code(addresses, externs)
        process.sites = code.sites
        functions = code.load(process.cells(len(code.sites)), externs, addresses)
        process.functions = set(functions.values())
        self._initialise(addresses | functions)
        return self._call_main(functions["main"], arguments, [functions[name] for name in code.first])

    def _initialise(self, addresses: dict[str, int]) -> None:
        """Write the variables' initial values. addresses: those that host code knows. What kernels use has addresses of theirs."""
        device = self.program.device
        bases = {name: memory.base for name, memory in self.memories.items()}
        called = {name: device.function_address(name) for name in _named_in(device) if name not in bases}
        of_host = bases | addresses
        of_kernels = addresses | bases | {name: at for name, at in called.items() if at is not None}
        for module, prefix in ((device, ""), (self.program.host, "host ")):
            for name, variable in module.variables.items():
                memory = self.memories.get(prefix + name)
                if memory is None:
                    continue
                size, hosts = WIDTH[variable.type], bool(prefix) or self._declared(variable) == HOST
                own = of_host if hosts else of_kernels
                for i, value in enumerate(variable.initial):
                    raw = initial_bytes(value, variable.type, own)
                    if raw is not None:
                        memory.data[i * size : (i + 1) * size] = np.frombuffer(raw[:size], np.uint8)

    def _call_main(self, address: int, arguments: list[str], first: list[int]) -> int:
        """Call main in a thread with a large stack; an interruption ends it at the next turn of a loop.

        first: addresses of functions that are called before it, without arguments.
        """
        process = self.process
        texts = [process.constant_text(a) for a in arguments]
        for at in texts:
            process.memory.regions[at].writable = True
        table = np.array([*texts, 0], np.uint64)
        process.memory.add(Region(table.ctypes.data, table.nbytes, HOST, "argv", table.view(np.uint8)))
        result, argc, argv = np.zeros(2, np.int32), np.array([len(texts), 0], np.int32), np.array([table.ctypes.data], np.uint64)
        main = self.program.host.functions["main"]
        slots: list[np.ndarray] = [*([result] if main.returns else []), argc, argv]
        given = [a.ctypes.data for a in slots][: len(main.returns) + len(main.params)]
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(given))(address)
        earlier = [ctypes.CFUNCTYPE(None)(function) for function in first]

        def whole() -> None:
            for function in earlier:
                function()
            if not process.ended[0]:
                call(*given)

        context = contextvars.copy_context()
        before = threading.stack_size(NATIVE_STACK)
        try:
            thread = threading.Thread(target=context.run, args=(whole,), daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
        try:
            while thread.is_alive():
                thread.join(0.2)
        except BaseException:
            process.end(Ended())
            thread.join(2)
            raise
        finally:
            self.c_library.close()
        if process.error is not None:
            raise process.error
        return process.code if process.ended[0] else int(result[0]) & 255


def _named_in(module: Module) -> set[str]:
    """Return the names whose addresses the initial values of a module's variables hold."""
    return {value.name for v in module.variables.values() for value in v.initial if isinstance(value, Symbol)}


__all__ = ["CompilationError", "HostFault", "Program"]

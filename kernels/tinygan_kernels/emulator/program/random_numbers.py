"""cuRAND's functions of the host: NVIDIA's library, whose generators for the CPU need no GPU, over the memory of a program.

A generator of the device is one of the CPU's here, which gives the same numbers in the same order (cuRAND's documentation, "Host
API Overview"), but for the last bits of normal and log-normal ones, as the functions of another processor compute them.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan_kernels.emulator.host import nvrtc, toolkit

from .cuda_errors import CudaError
from .cuda_runtime import CudaRuntime
from .memory import HOST, Region

SUCCESS, NOT_INITIALIZED, LAUNCH_FAILURE, INITIALIZATION_FAILED = 0, 101, 201, 203
DIMENSIONS = 20_000
"""For so many dimensions cuRAND has direction vectors and scramble constants."""


@dataclass
class _Generator:
    """A generator: its handle in the library, whose memory it writes, and its stream."""

    handle: int
    on_device: bool
    stream: int = 0


class RandomNumbers:
    """The functions, over a runtime. The library is loaded at the first call of one."""

    def __init__(self, runtime: CudaRuntime):
        self.runtime, self.process = runtime, runtime.process
        self.generators: dict[int, _Generator] = {}
        self.library: ctypes.CDLL | None = None

    def functions(self) -> dict[str, int]:
        """Return {name: address} of them all."""
        real, double, word = "f4", "f8", "u4"
        table: dict[str, tuple[Callable[..., int], str]] = {
            "CreateGenerator": (lambda to, kind: self.create(to, kind, True), "pi"),
            "CreateGeneratorHost": (lambda to, kind: self.create(to, kind, False), "pi"),
            "DestroyGenerator": (self.destroy, "p"),
            "GetVersion": (self.version, "p"),
            "SetStream": (self.set_stream, "pp"),
            "SetPseudoRandomGeneratorSeed": (self._set("SetPseudoRandomGeneratorSeed", ctypes.c_uint64), "pp"),
            "SetGeneratorOffset": (self._set("SetGeneratorOffset", ctypes.c_uint64), "pp"),
            "SetGeneratorOrdering": (self._set("SetGeneratorOrdering", ctypes.c_int), "pi"),
            "SetQuasiRandomGeneratorDimensions": (self._set("SetQuasiRandomGeneratorDimensions", ctypes.c_int), "pi"),
            "GenerateSeeds": (lambda generator: self._on(generator, "GenerateSeeds"), "p"),
            "Generate": (self._draw("Generate", word), "ppp"),
            "GenerateLongLong": (self._draw("GenerateLongLong", "u8"), "ppp"),
            "GenerateUniform": (self._draw("GenerateUniform", real), "ppp"),
            "GenerateUniformDouble": (self._draw("GenerateUniformDouble", double), "ppp"),
            "GenerateNormal": (self._draw("GenerateNormal", real, real), "pppii"),
            "GenerateNormalDouble": (self._draw("GenerateNormalDouble", double, double), "ppppp"),
            "GenerateLogNormal": (self._draw("GenerateLogNormal", real, real), "pppii"),
            "GenerateLogNormalDouble": (self._draw("GenerateLogNormalDouble", double, double), "ppppp"),
            "GeneratePoisson": (self._draw("GeneratePoisson", word, double), "pppp"),
            "GetDirectionVectors32": (lambda to, which: self.table(to, "GetDirectionVectors32", 128, which), "pi"),
            "GetDirectionVectors64": (lambda to, which: self.table(to, "GetDirectionVectors64", 512, which), "pi"),
            "GetScrambleConstants32": (lambda to: self.table(to, "GetScrambleConstants32", 4), "p"),
            "GetScrambleConstants64": (lambda to: self.table(to, "GetScrambleConstants64", 8), "p"),
        }
        return {f"curand{name}": self.process.callback(function, letters, "i") for name, (function, letters) in table.items()}

    def close(self) -> None:
        """Give back the generators that the program has not destroyed."""
        for generator in list(self.generators):
            self.destroy(generator)

    # -- the library ----------------------------------------------------------------------------------------------------------
    def _call(self, name: str, *arguments: Any) -> int:
        """Call a function of the library and return its status."""
        if self.library is None:
            file = toolkit.library_file("curand", nvrtc.version())
            if file is None:
                why = f"cuRAND is not installed: {toolkit.install('curand', nvrtc.version())}"
                return self._failed(name, INITIALIZATION_FAILED, why)
            try:
                self.library = ctypes.CDLL(str(file))
            except OSError as error:
                how = toolkit.install("curand", nvrtc.version()).replace("install", "install --force-reinstall", 1)
                why = f"{file} cannot be loaded ({error}); to install it anew: {how}"
                return self._failed(name, INITIALIZATION_FAILED, why)
        return int(getattr(self.library, f"curand{name}")(*arguments))

    def _failed(self, name: str, status: int, why: str) -> int:
        """Say on standard error why a function fails, and return its status."""
        sys.stdout.flush()
        print(f"{self.process.place()}: curand{name}: {why}", file=sys.stderr)
        return status

    def _on(self, generator: int, name: str, *arguments: Any) -> int:
        """Call a function of the library on a generator of the program's."""
        if generator not in self.generators:
            return self._failed(name, NOT_INITIALIZED, "the generator is not one that curandCreateGenerator made, or was destroyed")
        return self._call(name, ctypes.c_void_p(self.generators[generator].handle), *arguments)

    # -- generators -----------------------------------------------------------------------------------------------------------
    def create(self, pointer: int, kind: int, on_device: bool) -> int:
        handle = ctypes.c_void_p()
        status = self._call("CreateGeneratorHost", ctypes.byref(handle), kind)
        if status == SUCCESS:
            made = int(handle.value or 0)
            self.generators[made] = _Generator(made, on_device)
            self.process.store(pointer, "u8", made)
        return status

    def destroy(self, generator: int) -> int:
        status = self._on(generator, "DestroyGenerator")
        self.generators.pop(generator, None)
        return status

    def version(self, pointer: int) -> int:
        found = ctypes.c_int()
        status = self._call("GetVersion", ctypes.byref(found))
        self.process.store(pointer, "i4", found.value)
        return status

    def set_stream(self, generator: int, stream: int) -> int:
        if generator not in self.generators:
            return self._on(generator, "SetStream")
        self.generators[generator].stream = stream
        return SUCCESS

    def _set(self, name: str, kind: type) -> Callable[[int, int], int]:
        return lambda generator, value: self._on(generator, name, kind(value))

    # -- numbers --------------------------------------------------------------------------------------------------------------
    def _draw(self, name: str, code: str, of_parameters: str = "f8") -> Callable[..., int]:
        """Return a function that draws numbers of a type. of_parameters: the type of the distribution's, which come as bits."""
        as_c = ctypes.c_float if of_parameters == "f4" else ctypes.c_double

        def draw(generator: int, pointer: int, n: int, *parameters: int) -> int:
            refused = self._refused(name, generator, pointer, n * np.dtype(code).itemsize)
            if refused != SUCCESS:
                return refused
            values = np.empty(n, code)
            bits = np.array(parameters, np.int64 if of_parameters == "f4" else np.uint64)
            given = bits.astype("i4").view("f4") if of_parameters == "f4" else bits.view("f8")
            address = ctypes.c_void_p(values.ctypes.data)
            status = self._on(generator, name, address, ctypes.c_size_t(n), *(as_c(float(value)) for value in given))
            return status if status != SUCCESS or n == 0 else self._give(name, self.generators[generator], pointer, values)

        return draw

    def _refused(self, name: str, generator: int, pointer: int, size: int) -> int:
        """Return a status for numbers that there is no room for, before they are drawn; else success."""
        if size == 0 or generator not in self.generators:
            return SUCCESS
        try:
            self.runtime.output(pointer, size, self.generators[generator].on_device, f"curand{name}")
        except CudaError as error:
            return self._failed(name, LAUNCH_FAILURE, str(error))
        return SUCCESS

    def _give(self, name: str, generator: _Generator, pointer: int, values: np.ndarray) -> int:
        """Write numbers to the program's memory, in the generator's stream."""
        try:
            self.runtime.graphs.refuse(f"curand{name}", (generator.stream,))
            self.runtime.write(pointer, values.view(np.uint8), generator.on_device, f"curand{name}", generator.stream)
        except CudaError as error:
            return self._failed(name, LAUNCH_FAILURE, str(error))
        return SUCCESS

    def table(self, pointer: int, name: str, size: int, *which: int) -> int:
        """Give the program the address of a table of the library's, `size` bytes for each dimension."""
        found = ctypes.c_void_p()
        status = self._call(name, ctypes.byref(found), *which)
        if status == SUCCESS:
            base = int(found.value or 0)
            if self.process.memory.at(base) is None:
                array = np.frombuffer(memoryview((ctypes.c_ubyte * (size * DIMENSIONS)).from_address(base)), np.uint8)
                self.process.memory.add(Region(base, array.size, HOST, f"the table of curand{name}", array, writable=False))
            self.process.store(pointer, "u8", base)
        return status

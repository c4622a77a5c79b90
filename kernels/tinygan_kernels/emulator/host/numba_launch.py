"""The public function launch: an ordinary `@numba.cuda.jit` kernel, compiled to PTX without a driver and run here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.translate.translator import translate

from . import nvrtc
from .grid_sync import with_grid_sync
from .launch import run_kernel
from .numba_context import numba
from .nvrtc import INSTALL
from .rawmodule import allocate, parsed
from .toolkit import on_architecture

CAPABILITY = (8, 0)


def launch(kernel, grid, block, *args, shared_mem: int = 0, capability: tuple[int, int] = CAPABILITY) -> None:
    """Run `kernel[grid, block](*args)` on the CPU; arrays are changed in place.

    kernel: a function decorated with `@cuda.jit`; args: NumPy arrays of any strides, numbers, tuples of numbers, with Numba's types
    (a Python int is an int64, a float a float64), and all else that Numba takes; capability: the compute capability to compile
    for.

    A kernel with options such as `debug=True`, `link` or `launch_bounds`, and arguments of other types (float16, complex numbers,
    records), are launched by Numba's own code inside `emulator.numba()`, which knows compute capability 8.0 alone.

    Raises what a RawModule kernel raises, EmulatorError if the kernel does not compile for these types, and with `debug=True` what
    the kernel raises.
    """
    if not isinstance(kernel, _dispatcher_class()):
        raise EmulatorError(f"launch wants a function decorated with @cuda.jit, not {kernel!r}")
    if any(map(kernel.targetoptions.get, OPTIONS)) or not all(map(_is_plain, args)):
        _launch_by_numba(kernel, grid, block, args, shared_mem, capability)
        return
    ready = compiled(kernel, args, capability)
    values, arrays = [], []
    for i, argument in enumerate(args):
        values += _flatten(argument, arrays, f"argument {i} of kernel {ready.translated.title}")
    run_kernel(ready.translated, ready.variables, grid, block, tuple(values), shared_mem, arrays, cooperative=ready.cooperative)


OPTIONS = ("debug", "link", "launch_bounds", "extensions")
"""Options of @cuda.jit with which Numba's own code prepares a launch."""


def _is_plain(argument) -> bool:
    """Return whether `_flatten` knows how an argument is passed."""
    if isinstance(argument, (np.ndarray, np.generic)):
        return argument.dtype.kind in "iufb" and argument.dtype.itemsize <= 8 and argument.dtype != np.float16
    return isinstance(argument, (bool, int, float)) or (isinstance(argument, tuple) and all(map(_is_plain, argument)))


def _launch_by_numba(kernel, grid, block, args: tuple, shared_mem: int, capability: tuple[int, int]) -> None:
    """Launch a kernel as Numba does, inside of `numba`."""
    from numba.core.errors import NumbaError

    if capability != CAPABILITY:
        raise EmulatorError(f"kernel {kernel.py_func.__name__} with these options or arguments runs as compute capability 8.0 only")
    _types_of(kernel, args)
    with numba():
        try:
            kernel[grid, block, 0, shared_mem](*args)
        except (NumbaError, NotImplementedError) as error:
            raise EmulatorError(f"Numba cannot launch {kernel.py_func.__name__}: {error}") from None


@cache
def _dispatcher_class() -> type:
    try:
        from numba.cuda.dispatcher import CUDADispatcher
    except ImportError:
        raise EmulatorError(INSTALL) from None
    return CUDADispatcher


class _Compiled:
    """A Numba kernel compiled and translated for one list of argument types."""

    def __init__(self, function, types: tuple, fastmath: bool, capability: tuple[int, int] = CAPABILITY):
        self.ptx, self.cooperative = with_grid_sync(to_ptx(function, types, fastmath, capability))
        module = parsed(self.ptx)
        self.variables = allocate(module)
        name = next(n for n, f in module.functions.items() if f.is_entry)
        self.translated = translate(module, name, {n: m.base for n, m in self.variables.items()}, title=function.__name__)


def compiled(kernel, args, capability: tuple[int, int] = CAPABILITY) -> _Compiled:
    """Return the kernel translated for the types of these arguments, which is kept for the next launch."""
    if not isinstance(kernel, _dispatcher_class()):
        raise EmulatorError(f"launch wants a function decorated with @cuda.jit, not {kernel!r}")
    return _compiled(kernel.py_func, _types_of(kernel, args), bool(kernel.targetoptions.get("fastmath")), capability)


def _types_of(kernel, args) -> tuple:
    """Return Numba's types of arguments. Raises EmulatorError for one that has none."""
    from numba import typeof
    from numba.core.errors import NumbaError

    try:
        return tuple(typeof(a) for a in args)
    except (ValueError, NumbaError) as error:
        raise EmulatorError(
            f"Numba has no type for an argument of {kernel.py_func.__name__}: {str(error).splitlines()[0]}"
        ) from None


_compiled = lru_cache(maxsize=256)(_Compiled)


def to_ptx(function, types: tuple, fastmath: bool = False, capability: tuple[int, int] = CAPABILITY) -> str:
    """Return a kernel's PTX for these Numba types, compiled without a driver. Raises EmulatorError if it does not compile."""
    from numba import cuda
    from numba.core.errors import NumbaError
    from numba.cuda.cudadrv import error as cuda_errors

    try:
        with _device_to_ask(capability):
            text, _ = cuda.compile_ptx(function, types, cc=capability, lineinfo=True, fastmath=fastmath)
    except getattr(cuda_errors, "CCSupportError", ()) as error:
        why = on_architecture(nvrtc.version(), nvrtc.architectures(), 10 * capability[0] + capability[1])
        raise EmulatorError(f"Numba cannot compile {function.__name__}: {why}\n{error}") from None
    except NumbaError as error:
        raise EmulatorError(f"Numba cannot compile {function.__name__} for {types}:\n{error}") from None
    except (TypeError, AttributeError, NotImplementedError) as error:  # a kernel that returns a value, recursion
        raise EmulatorError(f"Numba cannot compile {function.__name__} for {types}: {type(error).__name__}: {error}") from None
    return text


@dataclass(frozen=True)
class _Device:
    """The GPU that is not there, as far as Numba asks for it."""

    compute_capability: tuple[int, int]


@contextmanager
def _device_to_ask(capability: tuple[int, int]):
    """Answer for the driver while Numba compiles: for a device function it asks which compute capability the GPU has."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv.error import CudaDriverError, CudaSupportError

    original = dispatcher.get_current_device
    try:
        original()
        found = original
    except (CudaSupportError, CudaDriverError):
        found = partial(_Device, capability)
    dispatcher.get_current_device = found
    try:
        yield
    finally:
        dispatcher.get_current_device = original


def _flatten(argument, arrays: list, what: str) -> list:
    """Return the values that Numba's calling convention passes for an argument, and add arrays to `arrays`.

    An array is (meminfo, parent, items, itemsize, data, shape..., strides...), of which kernels use the last four
    parts.
    """
    if isinstance(argument, tuple):
        return [value for part in argument for value in _flatten(part, arrays, what)]
    if isinstance(argument, np.ndarray):
        arrays.append((argument, what))
        address = argument.__array_interface__["data"][0]
        head = [np.uint64(v) for v in (0, 0, argument.size, argument.itemsize, address)]
        return head + [np.int64(v) for v in (*argument.shape, *argument.strides)]
    if isinstance(argument, (bool, np.bool_)):
        return [np.uint8(argument)]
    if isinstance(argument, (int, float)) and not isinstance(argument, np.generic):
        if isinstance(argument, float):
            return [np.float64(argument)]
        return [np.int64(argument) if argument < 1 << 63 else np.uint64(argument)]
    if isinstance(argument, np.number) and argument.dtype.kind in "iuf":
        return [argument]
    raise EmulatorError(
        f"{what} is a {type(argument).__name__}: NumPy arrays, numbers and tuples of them are supported"
    )

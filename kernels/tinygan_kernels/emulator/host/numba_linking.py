"""What Numba kernels are linked with, as PTX: CUDA C++ and PTX of the user's, and parts of Numba's own libraries."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tinygan_kernels.emulator.errors import CompilationError, EmulatorError

from . import nvrtc

RELOCATABLE = "--relocatable-device-code=true"
MACHINE_CODE = ("cubin", "fatbin", "o", "a", "lib", "ltoir")


def memsys_ptx() -> str:
    """Return the PTX of the module with which Numba counts what kernels allocate."""
    path = _numba() / "memory_management" / "memsys.cu"
    return nvrtc.compile_ptx(path.read_text(), (f"--include-path={path.parent}",), filename=path.name)[0]


def linked_ptx(given: Any) -> str:
    """Return the PTX of what a kernel is linked with: a file, by its path, or an object that holds code.

    Raises EmulatorError for machine code, and for a file that cannot be read or is of an unknown kind; it is of the class as well
    that Numba raises (LinkerError, RuntimeError, cuda.core's NVRTCError). What the compiler warns of is a UserWarning, as Numba's.
    """
    if isinstance(given, (str, Path)):
        kind, name, data = _file(Path(given))
    else:
        kind, name, data = given.kind, given.name, given.data
    if kind in MACHINE_CODE:
        raise EmulatorError(f"a kernel links {name}, which is machine code: the emulator links CUDA C++ (.cu) and PTX (.ptx)")
    import numba.cuda

    config = getattr(numba.cuda, "config", None)
    text = data.decode() if isinstance(data, bytes) else data
    if kind == "ptx":
        return text
    folders = [_numba() / "include", _numba() / "memory_management"]
    folders += [Path(folder) for folder in getattr(config, "CUDA_NVRTC_EXTRA_SEARCH_PATHS", "").split(":") if folder]
    folders += [Path(given).parent] if isinstance(given, (str, Path)) else []
    options = (RELOCATABLE, *(f"--include-path={folder}" for folder in folders))
    try:
        ptx, log = nvrtc.compile_with_log(text, options, filename=name)
    except CompilationError as error:
        raise of_both_classes(CompilationError, core_error("NVRTCError"), f"NVRTC_ERROR_COMPILATION: {error}") from None
    if log:
        warnings.warn(f"NVRTC log messages: {log}", stacklevel=2)
    return ptx


def _file(path: Path) -> tuple[str, str, bytes]:
    """Return (kind, name, content) of a file that a kernel links."""
    from numba.cuda.cudadrv.driver import LinkerError

    kind = path.suffix.lstrip(".")
    if kind not in ("cu", "ptx", *MACHINE_CODE):
        what = f"extension .{kind}" if kind else "no extension"
        raise of_both_classes(EmulatorError, RuntimeError, f"Don't know how to link file with {what}")
    try:
        return kind, path.name, path.read_bytes()
    except FileNotFoundError:
        raise of_both_classes(EmulatorError, LinkerError, f"{path} not found") from None
    except OSError as error:
        raise EmulatorError(f"cannot read {path}, which a kernel links: {error.strerror}") from None


def of_both_classes(ours: type[EmulatorError], numbas: type[Exception], message: str) -> EmulatorError:
    """Make an error that is caught as the emulator's and as the one that Numba raises."""
    bases = (ours,) if issubclass(ours, numbas) else (ours, numbas)
    made: EmulatorError = type(ours.__name__, bases, {"__module__": ours.__module__})(message)
    return made


def core_error(name: str) -> type[Exception]:
    """Return a class of cuda.core's errors, NVRTCError or CUDAError; EmulatorError where it has none of that name."""
    try:
        from cuda.core._utils import cuda_utils
    except ImportError:
        return EmulatorError
    return getattr(cuda_utils, name, EmulatorError)


def _numba() -> Path:
    import numba.cuda

    return Path(numba.cuda.__file__).parent

"""Compile CUDA C++ to PTX with NVRTC, which needs neither a driver nor a toolkit."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.extras import install

INSTALL = f"the emulator needs numba-cuda with NVRTC: {install('emulator')}"


def _nvrtc():
    """Import NVRTC's bindings, or raise EmulatorError saying how to install them."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise EmulatorError(INSTALL) from None
    return nvrtc


def include_folders() -> list[str]:
    """Return the folders in which NVIDIA's wheels keep cuda_fp16.h and the like, and libcu++ (cuda/std) beside them."""
    spec = find_spec("nvidia")
    roots = [Path(p) for p in spec.submodule_search_locations] if spec and spec.submodule_search_locations else []
    found = [header.parent for root in roots for header in sorted(root.glob("*/include/cuda_fp16.h"))]
    return [str(folder) for each in found for folder in (each, each / "cccl") if folder.is_dir()]


@lru_cache(maxsize=256)
def compile_ptx(
    code: str, options: tuple = (), arch: str = "compute_80", names: tuple = (), filename: str = "kernel.cu"
) -> tuple[str, dict[str, str]]:
    """Return (PTX, {name expression: mangled name}).

    options: NVRTC's; arch: the virtual architecture, unless the options name one; names: templates to instantiate; filename:
    what reports call the source. Raises EmulatorError, with the compiler's log if the code is wrong.
    """
    nvrtc = _nvrtc()
    try:
        program = _check(nvrtc, nvrtc.nvrtcCreateProgram(code.encode(), filename.encode(), 0, [], []))[0]
    except RuntimeError as error:  # cuda.bindings finds the library only when it is called
        raise EmulatorError(f"{INSTALL} ({str(error).splitlines()[0]})") from None
    try:
        return _compile(nvrtc, program, _flags(options, arch), names)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _compile(nvrtc, program, flags: list[str], names: tuple) -> tuple[str, dict[str, str]]:
    """Compile a program that was created. Returns (PTX, {name expression: mangled name})."""
    for name in names:
        _check(nvrtc, nvrtc.nvrtcAddNameExpression(program, name.encode()))
    result = nvrtc.nvrtcCompileProgram(program, len(flags), [f.encode() for f in flags])
    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = _text(nvrtc, program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).strip()
        raise EmulatorError(f"the CUDA C++ does not compile:\n{log or result[0]}")
    lowered = {n: _check(nvrtc, nvrtc.nvrtcGetLoweredName(program, n.encode()))[0].decode() for n in names}
    return _text(nvrtc, program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX), lowered


def _flags(options: tuple[str, ...], arch: str) -> list[str]:
    """Return NVRTC's options for this compilation, the architecture and the include folders among them."""
    flags = list(options)
    if not any(o.startswith(("--gpu-architecture", "-arch")) for o in options):
        flags.append(f"--gpu-architecture={arch}")
    if not any(o in ("-lineinfo", "--generate-line-info") for o in options):
        flags.append("--generate-line-info")
    return flags + [f"--include-path={folder}" for folder in include_folders()]


def _check(nvrtc, result):
    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EmulatorError(f"NVRTC: {nvrtc.nvrtcGetErrorString(result[0])[1].decode()}")
    return result[1:]


def _text(nvrtc, program, size_of, get) -> str:
    buffer = b" " * _check(nvrtc, size_of(program))[0]
    get(program, buffer)
    return buffer.decode().replace("\0", "")

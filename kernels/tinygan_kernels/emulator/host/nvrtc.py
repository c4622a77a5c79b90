"""Compile CUDA C++ to PTX with NVRTC, which needs neither a driver nor a toolkit."""

from __future__ import annotations

from functools import cache, lru_cache

from tinygan_kernels.emulator.errors import CompilationError, EmulatorError
from tinygan_kernels.extras import install

from . import headers, ptx_cache, thrust, toolkit

INSTALL = f"the emulator needs numba-cuda with NVRTC: {install('emulator')}"
UNROLL_LIMIT = "_CCCL_META_UNROLL_LIMIT"
"""A macro by which libcu++ says how far it unrolls its lists of types: by default 10 for nvcc and 16 for NVRTC. With 16, reading
these lists takes NVRTC longer than all other work on a usual program; almost every header of libcu++ and cub includes them."""


def _nvrtc():
    """Import NVRTC's bindings, or raise EmulatorError saying how to install them."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise EmulatorError(INSTALL) from None
    return nvrtc


@cache
def version() -> tuple[int, int]:
    """Return the version of the NVRTC that is loaded, as (major, minor). Raises EmulatorError where there is none."""
    nvrtc = _nvrtc()
    try:
        return tuple(_check(nvrtc, nvrtc.nvrtcVersion()))
    except RuntimeError as error:  # cuda.bindings finds the library only when it is called
        raise EmulatorError(f"{INSTALL} ({str(error).splitlines()[0]})") from None


def architectures() -> list[int]:
    """Return the architectures that the loaded NVRTC compiles for, by number: 75, 80, and so on. Raises EmulatorError."""
    version()
    nvrtc = _nvrtc()
    return list(_check(nvrtc, nvrtc.nvrtcGetSupportedArchs())[0])


@lru_cache(maxsize=256)
def compile_ptx(
    code: str, options: tuple = (), arch: str = "compute_80", names: tuple = (), filename: str = "kernel.cu",
    more_headers: tuple[tuple[str, str], ...] = (),
) -> tuple[str, dict[str, str]]:
    """Return (PTX, {name expression: mangled name}).

    options: NVRTC's; arch: the virtual architecture, unless the options name one; names: templates to instantiate; filename:
    what reports call the source; more_headers: (name that #include says, text) of headers besides, before the emulator's; without
    any, code that includes Thrust gets those with which it compiles for kernels. A name that nvcc knows without an #include
    (INFINITY, uint32_t) is known here as well. Raises CompilationError, with the compiler's log, if the code is wrong, and
    EmulatorError where there is no NVRTC.
    """
    options, more_headers = _with_thrust(code, options, more_headers)
    given = flags(options, arch, toolkit.header_folders(version()))
    kept = ptx_cache.key(code, options, given, names, filename, version(), dict(more_headers))
    found = ptx_cache.load(kept) if kept else None
    if found is None:
        found = _compile_leniently(code, given, names, filename, more_headers)[:2]
        if kept:
            ptx_cache.store(kept, *found)
    return found


@lru_cache(maxsize=64)
def compile_with_log(
    code: str, options: tuple = (), arch: str = "compute_80", filename: str = "kernel.cu", names: tuple = ()
) -> tuple[str, str]:
    """Return (PTX, the compiler's log): its warnings, "" where it has none. Parameters and errors are those of compile_ptx."""
    options, more = _with_thrust(code, options, ())
    ptx, _, log = _compile_leniently(code, flags(options, arch, toolkit.header_folders(version())), names, filename, more)
    return ptx, log


def _with_thrust(code: str, options: tuple, more_headers: tuple) -> tuple[tuple, tuple]:
    """Return options and headers with which code compiles that includes Thrust; others stay, and so do headers that are given."""
    if more_headers or not thrust.included_by(code):
        return options, more_headers
    return (*options, *thrust.OPTIONS), thrust.headers()


Compiled = tuple[str, dict[str, str], str]
"""PTX, {name expression: mangled name}, and the compiler's log."""


def _compile_leniently(code: str, given: list[str], names: tuple, filename: str, more: tuple) -> Compiled:
    """Compile; where names are missing that nvcc knows without an #include, compile again with their headers."""
    try:
        return _compile(code, given, names, filename, more)
    except CompilationError as error:
        if not headers.names_that_nvcc_knows(str(error)):
            raise
    return _compile(code, given + [f"--pre-include={name}" for name in headers.INCLUDED_BY_NVCC], names, filename, more)


def _compile(code: str, given: list[str], names: tuple, filename: str, more: tuple) -> Compiled:
    """Compile with these options."""
    nvrtc = _nvrtc()
    texts, included = _headers(more)
    program = _check(nvrtc, nvrtc.nvrtcCreateProgram(code.encode(), filename.encode(), len(texts), texts, included))[0]
    try:
        return _compiled(nvrtc, program, given, names, filename if more else "")
    finally:
        nvrtc.nvrtcDestroyProgram(program)


@cache
def _headers(more: tuple[tuple[str, str], ...]) -> tuple[list[bytes], list[bytes]]:
    """Return the texts of the headers that the emulator brings, and of more, and what they are included as."""
    brought = headers.HEADERS | dict(more)
    return [text.encode() for text in brought.values()], [name.encode() for name in brought]


def _compiled(nvrtc, program, given: list[str], names: tuple, own: str) -> Compiled:
    """Compile a program that was created. own: the file whose warnings alone are of interest, "" for all."""
    for name in names:
        _check(nvrtc, nvrtc.nvrtcAddNameExpression(program, name.encode()))
    result = nvrtc.nvrtcCompileProgram(program, len(given), [f.encode() for f in given])
    log = _text(nvrtc, program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).strip()
    log = thrust.own_messages(log, own) if own else log
    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        why = toolkit.advice(version(), architectures(), given, log)
        raise CompilationError(f"the CUDA C++ does not compile:{why and f' {why}'}\n{log or result[0]}")
    lowered = {n: _check(nvrtc, nvrtc.nvrtcGetLoweredName(program, n.encode()))[0].decode() for n in names}
    return _text(nvrtc, program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX), lowered, log


def flags(options: tuple[str, ...], arch: str, folders: list[str]) -> list[str]:
    """Return NVRTC's options for code for the emulator to execute: `options`, architecture, line numbers, folders of headers.

    libcu++ unrolls its lists of types as for nvcc, unless the options say how far.
    """
    given = list(options)
    if not any(UNROLL_LIMIT in o for o in options):
        given.append(f"-D{UNROLL_LIMIT}=10")
    if not any(o.startswith(("--gpu-architecture", "-arch")) for o in options):
        given.append(f"--gpu-architecture={arch}")
    if not any(o in ("-lineinfo", "--generate-line-info") for o in options):
        given.append("--generate-line-info")
    return given + [f"--include-path={folder}" for folder in folders]


def _check(nvrtc, result):
    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EmulatorError(f"NVRTC: {nvrtc.nvrtcGetErrorString(result[0])[1].decode()}")
    return result[1:]


def _text(nvrtc, program, size_of, get) -> str:
    # no bytes: Python shares those of length 1, and an empty text is one, a zero that NVRTC would write into every b" " there is
    buffer = bytearray(_check(nvrtc, size_of(program))[0])
    get(program, buffer)
    return buffer.decode().replace("\0", "")

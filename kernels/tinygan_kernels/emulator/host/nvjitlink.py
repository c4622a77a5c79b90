"""PTX becomes machine code by nvJitLink, which needs no driver; its log tells what a kernel takes, such as registers."""

from __future__ import annotations

import functools
import re
from typing import Any

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.extras import install

from . import nvrtc
from .toolkit import dotted


class LinkError(EmulatorError):
    """PTX that is no machine code for an architecture, or nvJitLink is not there. The message is one line."""


@functools.lru_cache(maxsize=32)  # the kernels of a .cu file share their PTX
def link(ptx: str, arch: str, registers: int | None = None) -> tuple[bytes, str]:
    """Compile PTX for `arch` (such as "sm_90"). Returns the cubin and the linker's log. Raises LinkError.

    registers: the most that a thread may have.
    """
    from cuda.bindings import nvjitlink

    options = [f"-arch={variant(ptx, arch)}", "-verbose", "-lineinfo"] + ([f"-maxrregcount={registers}"] if registers else [])
    handle: Any = None
    try:
        handle = nvjitlink.create(len(options), options)
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, ptx.encode(), len(ptx.encode()), "kernel")
        nvjitlink.complete(handle)
        log, cubin = bytearray(nvjitlink.get_info_log_size(handle)), bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_info_log(handle, log)
        nvjitlink.get_linked_cubin(handle, cubin)
        return bytes(cubin), log.decode(errors="replace")
    except RuntimeError as error:  # cuda.pathfinder's, where the library is not there
        raise LinkError(f"nvJitLink cannot be loaded ({str(error).splitlines()[0]}); run: {install('emulator')}") from None
    except nvjitlink.nvJitLinkError as error:
        raise LinkError(f"{arch}: the kernel does not compile for this architecture ({error}){_older_linker()}") from None
    finally:
        if handle is not None:
            nvjitlink.destroy(handle)


def variant(ptx: str, arch: str) -> str:
    """Return the architecture to link PTX for: `arch`, or the variant of it, such as sm_90a, that the PTX is written for."""
    target = re.search(r"^\.target\s+(sm_\d+[af])\b", ptx, re.MULTILINE)
    return target[1] if target and target[1][:-1] == arch else arch


def _older_linker() -> str:
    """Return what to do where the linker is older than the compiler, whose PTX it then does not know; "" otherwise."""
    from cuda.bindings import nvjitlink

    linker, compiler = tuple(nvjitlink.version()), nvrtc.version()
    if linker >= compiler:
        return ""
    package = f"'nvidia-nvjitlink{'' if compiler[0] > 12 else '-cu12'}>={dotted(compiler)}'"
    return f"; nvJitLink {dotted(linker)} is older than NVRTC {dotted(compiler)}, whose PTX it links: pip install {package}"


def resources_in(log: str) -> dict[str, dict[str, int]]:
    """Return registers, spill_stores, spill_loads, stack and shared of every entry that a log tells of, by its name.

    log: of ptxas (-v), NVRTC or nvJitLink. Its sections begin "Compiling entry function" and "Function properties"; an entry has
    up to three.
    """
    found: dict[str, dict[str, int]] = {}
    for section in re.split(r"(?=info +: (?:Compiling entry function|Function properties for) )", log):
        head = re.match(r"info +: (?:Compiling entry function|Function properties for) '?([\w$.]+)'?", section)
        if head:
            for name, pattern in _PATTERNS.items():
                match = re.search(pattern, section)
                if match:
                    found.setdefault(head[1], {})[name] = int(match[1])
    return {entry: {name: own.get(name, 0) for name in _PATTERNS} for entry, own in found.items() if "registers" in own}


_PATTERNS = {
    "registers": r"[Uu]sed (\d+) registers",
    "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
    "stack": r"(\d+)(?: bytes)? stack",
    "shared": r"(\d+) bytes smem",
}

"""How much memory a run needs at least, by its options, and how much there is: a run that cannot fit is refused before it begins.

Without that, a system that promises memory which it does not have, as Linux does, ends the process somewhere in its first step,
or swaps for ever.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from contextlib import suppress
from pathlib import Path

from tinygan.nn.architectures import Architecture
from tinygan.options import OptionError

from .config import Config

FLOAT = 4  # bytes of a float32
GROUPS = Path("/sys/fs/cgroup")  # a container's limits, of version 2 (memory.max) or 1 (a folder memory)


def least_memory(config: Config, a: Architecture) -> dict[str, int]:
    """Return the bytes that a run needs at least, by what decides them.

    Each weight is kept with its gradient and Adam's two means, G's also with its average; --unroll keeps D and its gradient for
    each step that it looks ahead. A step keeps its batches, and the outputs of layers until their gradients are known.
    """
    (weights_g, weights_d), (outputs_g, outputs_d) = a.weights, a.outputs
    batches = (config.k + 1) * (math.prod(a.sample) + config.z)
    networks = "--width and --z" if a.arch == "dcgan" else "--hidden, --hidden-d, --maxout and --z"
    return {
        networks: FLOAT * (weights_g * (5 if config.ema else 4) + weights_d * 4),
        "--unroll": FLOAT * config.unroll * (2 * weights_d + config.batch // a.pack * outputs_d),
        "--batch and --k": FLOAT * config.batch * (batches + outputs_g + outputs_d // a.pack),
    }


def require_memory(config: Config, a: Architecture) -> None:
    """Raise OptionError where a run needs more memory than there is, at least by `least_memory`."""
    parts, free = least_memory(config, a), free_memory()
    needed = sum(parts.values())
    if free is not None and needed > free:
        largest = max(parts, key=lambda name: parts[name])
        raise OptionError(f"this run would need at least {in_words(needed)} of memory, and {in_words(free)} are free; most of it "
                          f"goes to what {largest} decide{'s' if largest == '--unroll' else ''}: take smaller ones")


def require_memory_of_samples(numbers: int, what: str) -> None:
    """Raise OptionError where so many float32 numbers would not fit into memory. what: the option that is too large."""
    free = free_memory()
    if free is not None and FLOAT * numbers > free:
        raise OptionError(f"{what} would need at least {in_words(FLOAT * numbers)} of memory, and {in_words(free)} are free; ask "
                          f"for fewer at a time")


def in_words(size: int) -> str:
    """Return a number of bytes as people say it: "3.2 GB"."""
    for unit, name in ((10**12, "TB"), (10**9, "GB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}" if size < 10**300 else "more than 10^300 bytes"
    return f"{size / 10**6:,.1f} MB"


# ---- how much there is ----------------------------------------------------------------------------------------------------------


def free_memory() -> int | None:
    """Return the bytes that this process may still take, swap included; None where the system does not tell.

    On Linux what is available, no more than a container's limit leaves; on Windows the same; elsewhere all memory there is.
    """
    if sys.platform == "win32":
        return _of_windows()
    found = [size for size in (_of_linux(), _of_container(GROUPS)) if size is not None]
    if not found:
        with suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def _of_linux(path: Path = Path("/proc/meminfo")) -> int | None:
    with suppress(OSError, ValueError, KeyError):
        lines = (line.split(":") for line in path.read_text().splitlines())
        found = {name: 1024 * int(rest.split()[0]) for name, rest in lines}
        return found["MemAvailable"] + found.get("SwapFree", 0)
    return None


def _of_container(groups: Path) -> int | None:
    """Return what a container's limit leaves; None without a limit. Pages of files that it holds do not count as taken."""
    for limit, taken, statistics in (("memory.max", "memory.current", "memory.stat"), (
            "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat")):
        with suppress(OSError, ValueError):
            most, used = int((groups / limit).read_text()), int((groups / taken).read_text())
            rows = (line.split() for line in (groups / statistics).read_text().splitlines())
            files = sum(int(size) for name, size in rows if name in ("inactive_file", "active_file"))
            return max(0, most - max(0, used - files))
    return None


def _of_windows() -> int | None:
    if sys.platform != "win32":
        return None

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32), *((name, ctypes.c_uint64) for name in (
            "physical", "free", "pages", "free_pages", "space", "free_space", "more"))]

    status = Status(length=ctypes.sizeof(Status))
    if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return min(status.free_pages, status.free_space)
    return None

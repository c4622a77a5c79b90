"""What each architecture allows a kernel: registers, shared memory, threads, and how many blocks are resident on a multiprocessor.

The numbers are those of NVIDIA's CUDA C++ Programming Guide, "Compute Capabilities", technical specifications, which the CUDA Core
Compute Libraries state again as code (cuda/__device/arch_traits.h; a test compares them with it). The arithmetic of resident blocks
is that of the toolkit's cuda_occupancy.h.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tinygan_kernels.shapes import ContractError

THREADS_PER_BLOCK = 1024
REGISTERS = 64 * 1024  # of 32 bits, of a block and of a multiprocessor
REGISTERS_PER_THREAD = 255
SHARED_PER_BLOCK = 48 * 1024  # bytes of __shared__ variables; a launch can ask for more only as dynamic shared memory
WARP = 32
_PARTITIONS = 4  # of a multiprocessor, each with a quarter of its registers and warps
_REGISTER_UNIT = 256  # registers that a warp is given at a time


class Architecture(NamedTuple):
    """What a multiprocessor has: bytes of shared memory, and the most threads and blocks that are resident at a time."""

    shared: int
    threads: int
    blocks: int


# by compute capability, 10 x major + minor
ARCHITECTURES: Mapping[int, Architecture] = {
    70: Architecture(96 * 1024, 2048, 32),
    72: Architecture(96 * 1024, 2048, 32),
    75: Architecture(64 * 1024, 1024, 16),
    80: Architecture(164 * 1024, 2048, 32),
    86: Architecture(100 * 1024, 1536, 16),
    87: Architecture(164 * 1024, 1536, 16),
    88: Architecture(100 * 1024, 1536, 16),
    89: Architecture(100 * 1024, 1536, 24),
    90: Architecture(228 * 1024, 2048, 32),
    100: Architecture(228 * 1024, 2048, 32),
    101: Architecture(228 * 1024, 1536, 24),  # the name of 110 in CUDA 12.8 and 12.9
    103: Architecture(228 * 1024, 2048, 32),
    107: Architecture(228 * 1024, 1024, 16),
    110: Architecture(228 * 1024, 1536, 24),
    120: Architecture(100 * 1024, 1536, 24),
    121: Architecture(100 * 1024, 1536, 24),
}


def capability_of(arch: str) -> int:
    """Return the compute capability of an architecture such as "sm_90" or "sm_90a". Raises ContractError for an unknown one."""
    match = re.fullmatch(r"sm_(\d+)[af]?", arch)
    if match is None or int(match[1]) not in ARCHITECTURES:
        raise ContractError(f"there is no architecture {arch!r}; there are {', '.join(f'sm_{number}' for number in ARCHITECTURES)}")
    return int(match[1])


class KernelResources(NamedTuple):
    """What a compiled kernel takes: registers a thread, bytes of static shared memory a block, and bytes of spills a thread."""

    registers: int
    shared: int
    spill_stores: int
    spill_loads: int


class LaunchBounds(NamedTuple):
    """What a kernel's __launch_bounds__ promise: the most threads of a block, blocks a multiprocessor; 0 where nothing is said."""

    threads: int
    blocks: int


def resident_blocks(capability: int, threads: int, kernel: KernelResources) -> int:
    """Return how many blocks of a kernel fit a multiprocessor at a time; 0 if not even one does. Raises KeyError where unknown."""
    limits = ARCHITECTURES[capability]
    warps = -(-threads // WARP)
    by_registers = limits.blocks
    if kernel.registers:
        of_a_warp = -(-kernel.registers * WARP // _REGISTER_UNIT) * _REGISTER_UNIT
        by_registers = REGISTERS // _PARTITIONS // of_a_warp * _PARTITIONS // warps
    reserved, unit = (1024, 128) if capability >= 80 else (0, 256)
    of_a_block = -(-(kernel.shared + reserved) // unit) * unit
    by_shared = limits.shared // of_a_block if of_a_block else limits.blocks
    return min(limits.blocks, limits.threads // (warps * WARP), by_registers, by_shared)


def faults(capability: int, threads: int, kernel: KernelResources, bounds: LaunchBounds) -> list[str]:
    """Return what is wrong with launching a kernel in blocks of `threads` on this compute capability, a phrase each; [] if nothing.

    A spill is a fault too: registers that do not suffice go to memory, at every use.
    """
    found = []
    if kernel.spill_stores or kernel.spill_loads:
        found.append(f"spills {kernel.spill_stores} bytes and reads {kernel.spill_loads} back")
    if threads > THREADS_PER_BLOCK:
        found.append(f"blocks of {threads} threads, of at most {THREADS_PER_BLOCK}")
    if kernel.registers > REGISTERS_PER_THREAD:
        found.append(f"{kernel.registers} registers a thread, of at most {REGISTERS_PER_THREAD}")
    if kernel.shared > SHARED_PER_BLOCK:
        found.append(f"{kernel.shared} bytes of shared memory a block, of at most {SHARED_PER_BLOCK}")
    if bounds.threads and threads > bounds.threads:
        found.append(f"blocks of {threads} threads, where its launch bounds say at most {bounds.threads}")
    resident = resident_blocks(capability, threads, kernel)
    if not resident:
        found.append(f"not one block of {threads} threads fits a multiprocessor")
    elif resident < bounds.blocks:
        found.append(f"{resident} resident blocks, where its launch bounds promise {bounds.blocks}")
    return found


def launch_bounds(ptx: str) -> dict[str, LaunchBounds]:
    """Return the launch bounds of every entry of a PTX module, by its name (directives .maxntid and .minnctapersm)."""
    found = {}
    for part in ptx.split(".entry ")[1:]:
        head = part.split("{", 1)[0]
        threads = blocks = 0
        for line in head.splitlines():
            words = line.replace(",", " ").split()
            if words[:1] == [".maxntid"]:
                threads = _product(words[1:])
            elif words[:1] == [".minnctapersm"]:
                blocks = int(words[1])
        found[head.split("(", 1)[0].strip()] = LaunchBounds(threads, blocks)
    return found


def _product(numbers: Iterable[str]) -> int:
    result = 1
    for number in numbers:
        result *= int(number)
    return result

"""Every kernel in CUDA C++ on every architecture, without a GPU: does it spill, does it fit, is it launched as its bounds say.

A compiler's log (ptxas -v, which NVRTC prints too) tells registers, spills and shared memory; the PTX tells launch bounds; the rows
of the ladders tell the blocks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tinygan_kernels.cuda.cpp_backend import LADDERS, CppRung
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.host.nvjitlink import resources_in
from tinygan_kernels.profiling import machine_code
from tinygan_kernels.profiling.architectures import (
    KernelResources,
    LaunchBounds,
    capability_of,
    faults,
    launch_bounds,
    resident_blocks,
)
from tinygan_kernels.profiling.calls import call


class KernelCheck(NamedTuple):
    """A kernel on an architecture: its block, what it takes, how many blocks are resident, and what is wrong, a phrase each."""

    kernel: str
    threads: int
    resources: KernelResources
    resident: int
    faults: tuple[str, ...]


@functools.cache
def block_sizes() -> Mapping[str, int]:
    """Return the threads of a block for every kernel that the .cu files export, as the rows of the ladders launch it.

    Raises LookupError naming a kernel that no row launches at the example sizes of profiling.calls.
    """
    found: dict[str, int] = {}
    for rung in LADDERS:
        made = call(rung.kernel)
        arrays = tuple(np.zeros(shape, np.float32) for shape in (*made.inputs, *made.outputs))
        launched = {launch.kernel: launch.threads for launch in rung.record(arrays, made.params)}
        found |= _of_all_instances(rung, launched)
    return found


def _of_all_instances(rung: CppRung, launched: Mapping[str, int]) -> dict[str, int]:
    """Return the threads of all instances (dtypes, operands) of a row's entries, given those of the launched instances."""
    found: dict[str, int] = {}
    for entry in rung.declared:
        names = [instance.name for instance in entry.instances()]
        threads = {launched[name] for name in names if name in launched}
        if len(threads) != 1:
            raise LookupError(f"{rung.kernel} version {rung.number} does not launch {entry.name} at the example sizes")
        found |= dict.fromkeys(names, *threads)
    return found


def check(capability: int, ptx: str, log: str) -> list[KernelCheck]:
    """Check every kernel of a compiled .cu file for a compute capability, given its PTX and the log of its cubin.

    Raises LookupError where the log leaves out a kernel of the PTX.
    """
    told = resources_in(log)
    rows = []
    for kernel, bounds in launch_bounds(ptx).items():
        if kernel not in told:
            raise LookupError(f"the compiler's log says nothing of {kernel}")
        rows.append(_checked(capability, kernel, block_sizes()[kernel], _of(told[kernel]), bounds))
    return rows


def check_launches(launches: Sequence[RecordedLaunch], arch: str) -> list[KernelCheck]:
    """Check recorded launches on an architecture such as "sm_90", compiled and linked here.

    Raises ContractError for an architecture that does not exist, InspectionError where a kernel does not link.
    """
    capability = capability_of(arch)
    rows = []
    for launch in launches:
        ptx, entry = launch.ptx(arch)
        taken = _of(machine_code.resources(launch, arch))
        rows.append(_checked(capability, launch.kernel, launch.threads, taken, launch_bounds(ptx)[entry]))
    return rows


def _checked(capability: int, kernel: str, threads: int, taken: KernelResources, bounds: LaunchBounds) -> KernelCheck:
    resident = resident_blocks(capability, threads, taken)
    return KernelCheck(kernel, threads, taken, resident, tuple(faults(capability, threads, taken, bounds)))


def _of(numbers: Mapping[str, int]) -> KernelResources:
    return KernelResources(*(numbers[name] for name in KernelResources._fields))

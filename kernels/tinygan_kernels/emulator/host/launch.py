"""One launch: its arguments, its chunks of thread blocks, and what is delivered at the end (findings, counts, errors)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from tinygan_kernels.emulator import counters
from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute import texture_objects
from tinygan_kernels.emulator.execute.heap import HEAP
from tinygan_kernels.emulator.execute.lanes import Shape
from tinygan_kernels.emulator.execute.machine import Machine
from tinygan_kernels.emulator.execute.memory import GlobalMemory, Memory, unwritten_bytes
from tinygan_kernels.emulator.execute.residency import resident_blocks, run_chunks
from tinygan_kernels.emulator.sanitizer.chunk import ChunkSanitizer, LaunchSanitizer
from tinygan_kernels.emulator.sanitizer.findings import Report, checking
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from . import arguments
from .pointers import HandedPointers
from .schedules import Launch, Schedules

LANES = 8192
"""How many lanes run at once, about: enough to make NumPy's overhead small, few enough to stay in cache."""
ONE_AT_A_TIME = threading.RLock()
"""Held during a launch: a kernel's parameters lie at an address that its translation knows, so two launches cannot share it."""
MAX_THREADS, STATIC_SHARED = 1024, 48 * 1024
MOST_LOCAL = 512 * 1024
"""Bytes of local memory that a thread can have. (CUDA C++ Programming Guide, table of technical specifications)"""
SHARED_OF = {"sm_70": 96, "sm_75": 64, "sm_80": 163, "sm_86": 99, "sm_87": 163, "sm_89": 99, "sm_90": 227}
"""KiB of shared memory that a block can have. (CUDA C++ Programming Guide, table of technical specifications)"""


class Instruments:
    """What observes a launch, shared by all its chunks: the report of findings, the counter, the checks."""

    def __init__(self, kernel: TranslatedKernel, blocks: int):
        self.report = Report(kernel.title)
        self.counter = counters.current(kernel)
        self.kernel = self.counter.kernel if self.counter else kernel
        self.checks, self.silent = checking(), False
        self.shared_by_chunks = LaunchSanitizer(kernel, blocks, self.report) if self.checks else None

    def machine(self, *of_chunk) -> Machine:
        """Return the machine of a chunk, made with these arguments, after the observer has been told of it."""
        made = Machine(self.kernel, *of_chunk, self)
        if self.counter:
            self.counter.began(made)
        return made

    def sanitizer(self, machine: Machine, spaces: dict) -> ChunkSanitizer | None:
        return ChunkSanitizer(machine, spaces, self.shared_by_chunks) if self.shared_by_chunks else None


def run_kernel(
    kernel: TranslatedKernel,
    variables: dict[str, Memory],
    grid,
    block,
    args: tuple,
    shared_mem: int = 0,
    arrays: list | None = None,
    cooperative: bool = False,
    cluster: tuple[int, int, int] | None = None,
    foreign: Callable[[int], str] | None = None,
    touched: Callable[[list[Memory]], None] | None = None,
) -> None:
    """Run a kernel on a grid to its end.

    variables: the module's global and constant memory; grid, block: one to three sizes; args: as `arguments.pack` takes
    them; shared_mem: bytes of dynamic shared memory; arrays: (array, name) that the kernel may touch besides its arguments;
    cooperative: whether all blocks are resident at once and can synchronise, as in cudaLaunchCooperativeKernel;
    cluster: sizes of a cluster in blocks, as in cudaLaunchKernelEx, for a kernel that does not say them itself (__cluster_dims__);
    foreign: says what an address is that none of them holds. With it there are no others; without, arrays of the process whose
    addresses were handed over count too; touched: is given the ranges of global memory when the launch has ended, with the
    records of the racecheck.

    Raises SanitizerError if checks are on and found something, KernelAssertion, or EmulatorError (bad arguments,
    trap, deadlock).
    """
    grid, block = check_sizes(kernel, grid, block, shared_mem)
    with ONE_AT_A_TIME:
        _run(
            kernel, variables, grid, block, args, shared_mem, arrays or [], cooperative, _cluster(kernel, grid, cluster), foreign,
            touched,
        )


def _run(
    kernel: TranslatedKernel, variables: dict[str, Memory], grid, block, args: tuple, shared_mem: int, arrays: list,
    cooperative: bool, cluster: tuple[int, int, int], foreign: Callable[[int], str] | None,
    touched: Callable[[list[Memory]], None] | None,
) -> None:  # fmt: skip
    """Run a launch whose sizes are known to be possible. Nothing else may be launched meanwhile."""
    memory = GlobalMemory()
    if HEAP.data is not None:
        HEAP.attach(memory)
    for name, variable in variables.items():
        memory.add_range(variable.base, variable.data.size, name, variable.writable, None)
    memory.add_range(kernel.param_buffer.ctypes.data, kernel.param_buffer.size, "kernel parameters", False, None)
    arguments.pack(kernel, args, memory)
    for array, what in arrays:
        memory.add(array, what, unwritten_bytes(array))

    def find_more(memory: GlobalMemory) -> bool:
        # of the parameters those that can hold an address: two 32-bit sizes side by side would look like one
        wide = [(kernel.params[p.name], p.size) for p in kernel.entry.params if p.size >= 8]
        words = [*(kernel.param_buffer[at : at + size] for at, size in wide), *(variable.data for variable in variables.values())]
        given = [a for a in args if isinstance(a, np.ndarray)] + [array for array, _ in arrays or ()]
        return HandedPointers(words, given)(memory)

    if any(site.space in ("texture", "surface") for site in kernel.sites):
        texture_objects.attach_all(memory)
    memory.describe = foreign
    memory.finder = None if foreign else find_more  # which does its work only where an access finds no array
    blocks = grid[0] * grid[1] * grid[2]
    if blocks == 0:
        raise EmulatorError(f"kernel {kernel.title} launched with an empty grid {grid}")
    resident = resident_blocks(Shape(1, block, grid).stride, kernel.static_shared + shared_mem)
    if cooperative:
        if blocks > resident:
            raise EmulatorError(
                f"kernel {kernel.title}: a cooperative launch of {blocks} blocks is too large, as all of them have to be resident "
                f"at once: at most {resident} blocks of {block[0] * block[1] * block[2]} threads are, on an A100"
            )
        memory.add_grid_workspace()
    instruments = Instruments(kernel, blocks)
    if instruments.counter:
        instruments.counter.launched(blocks * Shape(1, block, grid).warps)
    named = [(a, f"argument {i}") for i, a in enumerate(args) if isinstance(a, np.ndarray)] + list(arrays)
    again = Launch(kernel, memory, grid, block, shared_mem, named)
    alone = instruments.checks and cluster == (1, 1, 1)  # blocks of a cluster run together, not one after the other
    schedules = Schedules.of(again, lambda count: _chunks(count, block, resident)) if alone else None
    chunks = (
        instruments.machine(Shape(count, block, grid, cluster), first, memory, shared_mem)
        for first, count in _chunks(blocks, block, resident, _inseparable(grid, cluster))
    )
    with np.errstate(all="ignore"):
        steps = run_chunks(chunks, resident)
        if touched:
            touched(memory.ranges)
        if schedules:
            undefined = instruments.shared_by_chunks.undefined if instruments.shared_by_chunks else {}
            schedules.look_again(instruments.report, steps, undefined)
    memory.finder = None  # which would keep the arguments alive until Python collects cycles
    if instruments.counter:
        instruments.counter.deliver()
    instruments.report.deliver()


MOST_IN_CLUSTER = 16
"""Blocks of the largest cluster; more than 8 a kernel has to allow (cudaFuncAttributeNonPortableClusterSizeAllowed)."""


def _cluster(kernel: TranslatedKernel, grid, given: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Return the sizes of a launch's clusters, in blocks. Raises EmulatorError for sizes that cannot be."""
    said = kernel.entry.limits.get("reqnctapercluster")
    own = (*said, 1, 1)[:3] if said else None
    if own and given and own != tuple(given):
        raise EmulatorError(f"kernel {kernel.title} is compiled for clusters of {own} blocks, not {tuple(given)}")
    x, y, z = own or given or (1, 1, 1)
    if min(x, y, z) < 1 or x * y * z > MOST_IN_CLUSTER:
        raise EmulatorError(f"kernel {kernel.title}: a cluster of {(x, y, z)} blocks, of which 1 to {MOST_IN_CLUSTER} are possible")
    if any(n % c for n, c in zip(grid, (x, y, z), strict=True)):
        raise EmulatorError(f"kernel {kernel.title}: the grid {grid} is no multiple of the cluster {(x, y, z)}")
    return x, y, z


def _inseparable(grid, cluster: tuple[int, int, int]) -> int:
    """Return of how many blocks a chunk has to be a multiple, so that no cluster lies in two."""
    if cluster[2] > 1:
        return grid[0] * grid[1] * cluster[2]
    return grid[0] * cluster[1] if cluster[1] > 1 else cluster[0]


Sizes = tuple[int, int, int]


def check_sizes(kernel: TranslatedKernel, grid, block, shared_mem: int) -> tuple[Sizes, Sizes]:
    """Return a launch's grid and block, three sizes each. Raises EmulatorError where CUDA or the kernel does not allow them."""
    grid, block = _dimensions(grid, "grid"), _dimensions(block, "block")
    _check_limits(kernel, grid, block, shared_mem)
    return grid, block


def _dimensions(given, what: str) -> tuple[int, int, int]:
    """Return one to three sizes as (x, y, z), with 1 for those left out."""
    try:
        values = [int(v) for v in (given if isinstance(given, (tuple, list)) else (given,))]
    except (TypeError, ValueError):
        values = []
    if not 1 <= len(values) <= 3 or any(v < 0 for v in values):
        raise EmulatorError(f"{what} must be one to three sizes, not {given!r}")
    x, y, z = (*values, 1, 1)[:3]
    return x, y, z


def _check_limits(kernel: TranslatedKernel, grid, block, shared_mem: int) -> None:
    """Raise EmulatorError where the grid, the block or its shared memory is larger than CUDA or the kernel allows."""
    threads = block[0] * block[1] * block[2]
    if not 1 <= threads <= MAX_THREADS or block[2] > 64:
        raise EmulatorError(f"a block of {block} has {threads} threads: 1 to {MAX_THREADS} are possible (and 64 in z)")
    if grid[0] >= 2**31 or grid[1] > 65535 or grid[2] > 65535:
        raise EmulatorError(f"grid {grid} is too large: at most (2147483647, 65535, 65535)")
    limits = kernel.entry.limits
    most = int(np.prod(limits.get("maxntid", (MAX_THREADS,))))
    if threads > most or ("reqntid" in limits and threads != np.prod(limits["reqntid"])):
        raise EmulatorError(f"kernel {kernel.title} is not compiled for blocks of {threads} threads")
    if kernel.local_bytes > MOST_LOCAL:
        given = f"{kernel.local_bytes} bytes of local memory a thread"
        raise EmulatorError(f"kernel {kernel.title} has {given}; {MOST_LOCAL} are possible")
    _check_shared(kernel, shared_mem)


def _check_shared(kernel: TranslatedKernel, dynamic: int) -> None:
    """Raise EmulatorError where a block needs more shared memory than there is."""
    total, most = kernel.static_shared + dynamic, SHARED_OF.get(kernel.module.target[:5], 227) * 1024
    if kernel.static_shared > STATIC_SHARED:
        raise EmulatorError(
            f"kernel {kernel.title} declares {kernel.static_shared} bytes of static shared memory: "
            f"{STATIC_SHARED} are possible, more have to be dynamic (extern __shared__)"
        )
    if dynamic < 0 or total > most:
        raise EmulatorError(
            f"kernel {kernel.title} needs {total} bytes of shared memory a block; at most {most} are possible"
        )


def _chunks(blocks: int, block, resident: int, unit: int = 1) -> Iterator[tuple[int, int]]:
    """Cut a grid into chunks of about equal size, one after the other: (first block, number of blocks), ...

    resident: how many blocks run at once on a GPU. No chunk exceeds that, and the first chunks hold just so many. unit: of how many
    blocks a chunk is a multiple, where that is more than one.
    """
    if unit > 1:
        threads = (unit * (-(-block[0] * block[1] * block[2] // 32) * 32), 1, 1)
        yield from ((unit * first, unit * count) for first, count in _chunks(blocks // unit, threads, max(1, resident // unit)))
        return
    stride = -(-block[0] * block[1] * block[2] // 32) * 32
    most = max(1, min(LANES // stride, resident))
    for start, end in ((0, min(blocks, resident)), (resident, blocks)):
        number = -(-(end - start) // most) if end > start else 0
        for i in range(number):
            first = start + (end - start) * i // number
            yield first, start + (end - start) * (i + 1) // number - first

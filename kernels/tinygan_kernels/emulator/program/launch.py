"""The configuration of a launch, and what the CUDA runtime refuses of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygan_kernels.emulator.host.launch import MAX_THREADS
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .cuda_errors import INVALID_CLUSTER, INVALID_CONFIGURATION, INVALID_VALUE, OUT_OF_RESOURCES, CudaError


@dataclass
class Launch:
    """A launch `<<<grid, block, shared>>>` of the kernel that host code knows by the address `kernel`; shared: in bytes."""

    kernel: int
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    cooperative: bool = False
    cluster: tuple[int, int, int] | None = None  # its sizes in blocks

    def check(self, kernel: TranslatedKernel, most: int) -> None:
        """Raise CudaError where the runtime refuses the launch. most: bytes of dynamic shared memory that it may ask for."""
        grid, block = self.grid, self.block
        threads = block[0] * block[1] * block[2]
        named = f"kernel {kernel.title}<<<{grid}, {block}, {self.shared}>>>"
        if threads == 0 or threads > MAX_THREADS or block[2] > 64:
            raise CudaError(INVALID_CONFIGURATION, f"{named}: a block has 1 to {MAX_THREADS} threads (64 in z), not {threads}")
        if 0 in grid or grid[0] >= 1 << 31 or grid[1] > 65535 or grid[2] > 65535:
            raise CudaError(INVALID_CONFIGURATION, f"{named}: a grid has 1 to (2147483647, 65535, 65535) blocks")
        if self.cluster and (0 in self.cluster or any(g % c for g, c in zip(grid, self.cluster, strict=True))):
            raise CudaError(INVALID_CLUSTER, f"{named}: the grid is no multiple of clusters of {self.cluster} blocks")
        if self.shared > most:
            how = (
                "more than 48 KiB with the static need cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, n)"
            )
            raise CudaError(INVALID_VALUE, f"{named}: {most} bytes of dynamic shared memory are possible; {how}")
        allowed = kernel.entry.limits.get("maxntid")
        if allowed and threads > int(np.prod(allowed)):
            raise CudaError(OUT_OF_RESOURCES, f"{named}: __launch_bounds__ allows {int(np.prod(allowed))} threads")

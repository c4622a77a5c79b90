"""The state of the thread blocks that run at once: registers, parameters, memory, special registers.

`Machine` binds the names in a translated kernel's source to vectors of the right width.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from . import atomics, fragments, heap
from .access import Access, widen
from .bulk import BulkCopies
from .clusters import members_of
from .lanes import Lanes, Shape
from .mbarriers import Mbarriers
from .memory import GlobalMemory, GlobalSpace, WindowSpace
from .printing import assertfail, vprintf
from .sparsity import check_metadata, check_selectors
from .surfaces import Surfaces
from .tensor_copies import TensorCopies
from .textures import Textures
from .warpgroups import Warpgroups


class Machine:
    """One chunk of a launch: `shape.blocks` thread blocks, the first of them number `first` of the grid.

    memory: the GlobalMemory of the launch; dynamic_shared: bytes per block; instruments: what observes the launch
    (`host.launch.Instruments`).
    """

    def __init__(self, kernel: TranslatedKernel, shape: Shape, first: int, memory: GlobalMemory, dynamic_shared: int, instruments):
        self.kernel, self.shape, self.first, self.dynamic_shared = kernel, shape, first, dynamic_shared
        used = kernel.static_shared + dynamic_shared
        self.reserved = -(-used // 16) * 16 if kernel.reserved_shared else used  # where a block's reserved shared memory begins
        self.blocks_run = 0
        self.yields = False  # whether lanes wait in a loop for others (mbarrier), which should have their turns soon
        self.cooperative = memory.grid_workspace != 0
        lanes = np.arange(shape.width)
        exists = shape.exists()
        self.exists = exists  # which lanes are threads, not padding
        self.live = Lanes(exists.copy())  # the threads that have not exited yet
        spaces = {
            "global": GlobalSpace(memory),
            "shared": WindowSpace("shared", self.reserved + kernel.reserved_shared, shape.blocks, lanes // shape.stride),
            "local": WindowSpace("local", kernel.local_bytes, shape.width, lanes),
        }
        self.members = members_of(shape, first)
        if self.members.blocks.shape[1] > 1:
            starts = self.members.blocks[self.members.cluster] * spaces["shared"].pitch
            spaces["shared"].peers = np.repeat(starts, shape.stride, axis=0)
        self.check = instruments.sanitizer(self, spaces)
        self.counter = instruments.counter
        self.silent = instruments.silent  # whether printf prints nothing
        self.report = instruments.report
        self.access = Access(self, spaces, instruments.report, self.check, instruments.counter)
        self.names: dict[str, Any] = dict(kernel.constants)
        self._bind_registers()
        self._bind_parameters()
        self._bind_specials(lanes, dynamic_shared, memory)
        self._bind_functions()
        exec(kernel.bytecode, self.names)
        self.code = [self.names[f"block_{i}"] for i in range(len(kernel.basic_blocks))]

    def position(self, lane: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return (block, thread) of a lane, each (x, y, z)."""
        thread = tuple(int(i) for i in self.shape.thread(lane))
        return self.block_position(lane // self.shape.stride), thread

    def block_position(self, block: int) -> tuple[int, int, int]:
        """Return (x, y, z) in the grid of a block of this chunk."""
        number = self.first + int(block)
        x, y, _ = self.shape.grid
        return number % x, number // x % y, number // (x * y)

    @property
    def alive(self) -> np.ndarray:
        """A mask of the lanes whose threads have not exited yet."""
        return self.live.mask

    # -- binding names ----------------------------------------------------------------------------------------
    def _bind_registers(self) -> None:
        """Make one table for each size of register: rows of one array are made much faster than as many arrays."""
        self.tables = []
        for storage, registers in self.kernel.registers.items():
            table = np.zeros((len(registers), self.shape.width), storage)
            self.tables.append(table)
            for row, views in zip(table, registers, strict=True):
                for name, code in views:
                    self.names[name] = row if code == storage else row.view(code)

    def _bind_parameters(self) -> None:
        """Bind the kernel's parameters (p_...) and those of its device functions, which each lane has for itself (q0_...)."""
        for code in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
            self.names[f"p_{code}"] = self.kernel.param_buffer.view(code)
            for number, size in self.kernel.lane_params.values():
                name = f"q{number}"
                if f"{name}_u1" not in self.names:
                    self.names[f"{name}_u1"] = np.zeros((self.shape.width, -(-size // 16) * 16), np.uint8)
                self.names[f"{name}_{code}"] = self.names[f"{name}_u1"].view(code)
        for name in self.kernel.frames.values():
            self.names[name] = np.zeros(self.shape.width, "i8")

    def _bind_specials(self, lanes: np.ndarray, dynamic_shared: int, memory: GlobalMemory) -> None:
        """Bind the special registers that the kernel reads (s_...), one value per lane."""
        shape, wanted = self.shape, self.kernel.specials
        block = self.first + lanes // shape.stride
        values = dict(zip(("tid.x", "tid.y", "tid.z"), shape.thread(lanes), strict=True))
        values |= {
            "ctaid.x": block % shape.grid[0],
            "ctaid.y": block // shape.grid[0] % shape.grid[1],
            "ctaid.z": block // (shape.grid[0] * shape.grid[1]),
        }
        for i, axis in enumerate("xyz"):
            values |= {f"ntid.{axis}": shape.block[i], f"nctaid.{axis}": shape.grid[i]}
        values |= self._cluster_registers(lanes // shape.stride, values)
        lane = lanes % WARP
        bit = np.uint64(1) << lane.astype("u8")
        values |= {
            "laneid": lane,
            "warpid": lanes % shape.stride // WARP,
            "nwarpid": shape.warps,
            "smid": 0,
            "nsmid": 1,
            "gridid": 0,
            "envreg1": memory.grid_workspace >> 32,
            "envreg2": memory.grid_workspace & 0xFFFFFFFF,
            "lanemask_eq": bit,
            "lanemask_lt": bit - 1,
            "lanemask_le": 2 * bit - 1,
            "lanemask_ge": ~(bit - 1),
            "lanemask_gt": ~(2 * bit - 1),
            "dynamic_smem_size": dynamic_shared,
            "total_smem_size": dynamic_shared + self.kernel.static_shared,
            "reserved_smem_offset_1": self.reserved,
        }
        for name, value in values.items():
            if "%" + name in wanted:
                wide = np.broadcast_to(np.asarray(value).astype("u8" if name == "gridid" else "u4"), (shape.width,))
                self.names["s_" + name.replace(".", "_")] = np.ascontiguousarray(wide)

    def _cluster_registers(self, block: np.ndarray, values: dict) -> dict:
        """Return the special registers that tell of clusters. block: of each lane, in the chunk; values: %ctaid, %nctaid."""
        found = {"cluster_ctarank": self.members.rank[block], "cluster_nctarank": self.members.blocks.shape[1]}
        for i, axis in enumerate("xyz"):
            size = self.shape.cluster[i]
            found |= {
                f"cluster_nctaid.{axis}": size, f"cluster_ctaid.{axis}": values[f"ctaid.{axis}"] % size,
                f"clusterid.{axis}": values[f"ctaid.{axis}"] // size, f"nclusterid.{axis}": self.shape.grid[i] // size,
            }  # fmt: skip
        explicit = self.members.blocks.shape[1] > 1 or "explicitcluster" in self.kernel.entry.limits
        return found | {"is_explicit_cluster": int(explicit)}

    def blocks_ended(self) -> None:
        """Note which blocks have ended: other blocks of their clusters cannot reach their shared memory any more."""
        shared = self.access.spaces["shared"]
        if shared.peers is not None:
            running = self.alive.reshape(self.shape.blocks, -1).any(axis=1)
            starts = np.where(running, np.arange(self.shape.blocks) * shared.pitch, -1)
            shared.peers = np.repeat(starts[self.members.blocks[self.members.cluster]], self.shape.stride, axis=0)

    def _bind_functions(self) -> None:
        """Bind the functions that generated code calls by a fixed name."""
        access, check = self.access, self.check
        mbarriers = Mbarriers(access)
        bulk = BulkCopies(access, mbarriers)
        ignore = lambda *_: None  # noqa: E731
        self.names |= {
            "copyto": np.copyto,
            "where": np.where,
            "widen": widen,
            "load": access.load,
            "store": access.store,
            "load_rows": access.load_rows,
            "aligned_rows": access.aligned_rows,
            "store_rows": access.store_rows,
            "load_fragment": partial(fragments.load_fragment, access),
            "store_fragment": partial(fragments.store_fragment, access),
            "atomic": partial(atomics.atomic, access),
            "atomic_vector": partial(atomics.atomic_vector, access),
            "check_metadata": partial(check_metadata, access),
            "check_selectors": partial(check_selectors, access),
            "copies": access.copies,
            "mbarriers": mbarriers,
            "bulk": bulk,
            "tensors": TensorCopies(access, bulk),
            "warpgroups": Warpgroups(access),
            "textures": Textures(access),
            "surfaces": Surfaces(access),
            "clock": self._clock,
            "guarded": self.counter.guard if self.counter else lambda instruction, lanes, chosen: None,
            "fence": check.fence if check else ignore,
            "proxy_fence": check.proxy_fence if check and check.launch.units_of else ignore,
            "warp_sync": check.warp_sync if check else ignore,
            "shuffled": check.shuffle if check else lambda *given: given[-1],
            "vprintf": partial(vprintf, self),
            "assertfail": partial(assertfail, self),
            "malloc": partial(heap.malloc, access),
            "free": partial(heap.free, access),
        }

    def _clock(self, name: str):
        """Read a clock register. %clock counts the basic blocks run so far: it moves forward, its speed means nothing."""
        now = time.perf_counter_ns() if "globaltimer" in name else self.blocks_run
        if name in ("%clock64", "%globaltimer"):
            return np.uint64(now)
        return np.uint32(now >> 32 if name.endswith("hi") else now & 0xFFFFFFFF)

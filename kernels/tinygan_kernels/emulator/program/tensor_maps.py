"""cuTensorMapEncodeTiled for host code, the function of the CUDA driver that makes tensor maps.

include/host_tensor_maps.h declares it, and finds it by its name where a program asks for the driver's entry point.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.semantics import tensor_maps as maps

from .process import Process

SUCCESS, INVALID_VALUE = 0, 1
_FILLS, _PROMOTIONS = 2, 4


class TensorMaps:
    """The function, over a process. It returns a CUresult, and says on standard error why where that is none of success."""

    def __init__(self, process: Process):
        self.process = process

    def functions(self) -> dict[str, tuple[Callable[..., int], str, str]]:
        """Return {name: (function, letters of its arguments, of its result)}, as `Process.callback` takes them."""
        return {"host_tensorMapEncodeTiled": (self.encode_tiled, "piipppppiiii", "i")}

    def encode_tiled(
        self, target: int, kind: int, rank: int, address: int, sizes: int, strides: int, box: int, steps: int, interleave: int,
        swizzle: int, promotion: int, fill: int,
    ) -> int:  # fmt: skip
        """Write the tensor map of a tensor to `target`. The parameters are those of cuTensorMapEncodeTiled."""
        try:
            made = self._made(target, kind, rank, address, sizes, strides, box, steps, interleave, swizzle, promotion, fill)
        except ValueError as error:
            sys.stdout.flush()
            print(f"{self.process.place()}: cuTensorMapEncodeTiled: invalid argument: {error}", file=sys.stderr)
            return INVALID_VALUE
        self.process.bytes(target, maps.BYTES, writes=True)[...] = made.encoded()
        return SUCCESS

    def _made(
        self, target: int, kind: int, rank: int, address: int, sizes: int, strides: int, box: int, steps: int, interleave: int,
        swizzle: int, promotion: int, fill: int,
    ) -> maps.TensorMap:  # fmt: skip
        """Return the map. Raises ValueError for what the driver refuses, and for what the emulator does not have."""
        if not 1 <= rank <= maps.MOST_RANK:
            raise ValueError(f"tensorRank is {rank}: from 1 to {maps.MOST_RANK} are possible")
        if target % maps.ALIGNMENT:
            raise ValueError(f"tensorMap is at {target:#x}: its address has to be a multiple of {maps.ALIGNMENT} bytes")
        if not 0 <= kind < len(maps.KINDS):
            raise ValueError(f"tensorDataType is {kind}: packed types of 4 and 6 bits are not supported, and there are no others")
        if interleave:
            raise ValueError("interleave is not supported, other than CU_TENSOR_MAP_INTERLEAVE_NONE")
        if not 0 <= swizzle < len(maps.SWIZZLES):
            raise ValueError(f"swizzle is {swizzle}: of the modes, those of 32, 64 and 128 bytes with pieces of 16 are supported")
        if not 0 <= fill < _FILLS or not 0 <= promotion < _PROMOTIONS:
            raise ValueError(f"there is no oobFill {fill} with an l2Promotion {promotion}")
        region = self.process.memory.at(address)
        if region is None or region.freed or not region.on_device:
            what = "where nothing is allocated" if region is None else f"which is no memory of the device: {region.name}"
            raise ValueError(f"globalAddress is {address:#x}, {what}")
        return maps.tiled(
            maps.KINDS[kind], address, self._numbers(sizes, rank, "u8"), self._numbers(strides, rank - 1, "u8"),
            self._numbers(box, rank, "u4"), self._numbers(steps, rank, "u4"), maps.SWIZZLES[swizzle], bool(fill),
        )  # fmt: skip

    def _numbers(self, address: int, count: int, code: str) -> list[int]:
        """Return numbers that the host has in an array."""
        raw = self.process.bytes(address, count * int(code[1])) if count else np.empty(0, np.uint8)
        return [int(n) for n in np.frombuffer(raw.tobytes(), code)]

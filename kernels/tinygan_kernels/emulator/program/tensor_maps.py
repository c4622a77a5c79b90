"""cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col for host code, the functions of the CUDA driver that make tensor maps.

include/host_tensor_maps.h declares them, and finds them by their names where a program asks for the driver's entry points.
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
    """The functions, over a process. They return a CUresult, and say on standard error why where that is none of success."""

    def __init__(self, process: Process):
        self.process = process

    def functions(self) -> dict[str, tuple[Callable[..., int], str, str]]:
        """Return {name: (function, letters of its arguments, of its result)}, as `Process.callback` takes them."""
        return {
            "host_tensorMapEncodeTiled": (self.encode_tiled, "piipppppiiii", "i"),
            "host_tensorMapEncodeIm2col": (self.encode_im2col, "piipppppiipiiii", "i"),
        }

    def encode_tiled(
        self, target: int, kind: int, rank: int, address: int, sizes: int, strides: int, box: int, steps: int, interleave: int,
        swizzle: int, promotion: int, fill: int,
    ) -> int:  # fmt: skip
        """Write the tensor map of a tensor to `target`. The parameters are those of cuTensorMapEncodeTiled."""

        def made() -> maps.TensorMap:
            tensor = self._tensor(target, kind, rank, address, sizes, strides, interleave, promotion, fill)
            numbers = self._numbers(box, rank, "u4"), self._numbers(steps, rank, "u4")
            return maps.tiled(*tensor, *numbers, self._swizzle(swizzle), bool(fill))

        return self._written("cuTensorMapEncodeTiled", target, made)

    def encode_im2col(
        self, target: int, kind: int, rank: int, address: int, sizes: int, strides: int, lower: int, upper: int, channels: int,
        pixels: int, steps: int, interleave: int, swizzle: int, promotion: int, fill: int,
    ) -> int:  # fmt: skip
        """Write the im2col map of a tensor to `target`. The parameters are those of cuTensorMapEncodeIm2col."""

        def made() -> maps.TensorMap:
            tensor = self._tensor(target, kind, rank, address, sizes, strides, interleave, promotion, fill)
            first, last = (self._numbers(at, max(rank - 2, 0), "i4") for at in (lower, upper))
            numbers = self._numbers(steps, rank, "u4")
            return maps.im2col(*tensor, first, last, channels, pixels, numbers, self._swizzle(swizzle), bool(fill))

        return self._written("cuTensorMapEncodeIm2col", target, made)

    def _written(self, name: str, target: int, make: Callable[[], maps.TensorMap]) -> int:
        """Write a map to `target` and return success, or say why there is none."""
        try:
            made = make()
        except ValueError as error:
            sys.stdout.flush()
            print(f"{self.process.place()}: {name}: invalid argument: {error}", file=sys.stderr)
            return INVALID_VALUE
        self.process.bytes(target, maps.BYTES, writes=True)[...] = made.encoded()
        return SUCCESS

    @staticmethod
    def _swizzle(mode: int) -> int:
        """Return the bytes of a swizzle mode. Raises ValueError for those that the emulator does not have."""
        if not 0 <= mode < len(maps.SWIZZLES):
            raise ValueError(f"swizzle is {mode}: of the modes, those of 32, 64 and 128 bytes with pieces of 16 are supported")
        return maps.SWIZZLES[mode]

    def _tensor(
        self, target: int, kind: int, rank: int, address: int, sizes: int, strides: int, interleave: int, promotion: int, fill: int
    ) -> tuple[str, int, list[int], list[int]]:
        """Return the type, the address, the sizes and the strides of a tensor. Raises ValueError for what the driver refuses, and
        for what the emulator does not have."""
        if not 1 <= rank <= maps.MOST_RANK:
            raise ValueError(f"tensorRank is {rank}: from 1 to {maps.MOST_RANK} are possible")
        if target % maps.ALIGNMENT:
            raise ValueError(f"tensorMap is at {target:#x}: its address has to be a multiple of {maps.ALIGNMENT} bytes")
        if not 0 <= kind < len(maps.KINDS):
            raise ValueError(f"tensorDataType is {kind}: packed types of 4 and 6 bits are not supported, and there are no others")
        if interleave:
            raise ValueError("interleave is not supported, other than CU_TENSOR_MAP_INTERLEAVE_NONE: its order is not documented")
        if not 0 <= fill < _FILLS or not 0 <= promotion < _PROMOTIONS:
            raise ValueError(f"there is no oobFill {fill} with an l2Promotion {promotion}")
        region = self.process.memory.at(address)
        if region is None or region.freed or not region.on_device:
            what = "where nothing is allocated" if region is None else f"which is no memory of the device: {region.name}"
            raise ValueError(f"globalAddress is {address:#x}, {what}")
        return maps.KINDS[kind], address, self._numbers(sizes, rank, "u8"), self._numbers(strides, rank - 1, "u8")

    def _numbers(self, address: int, count: int, code: str) -> list[int]:
        """Return numbers that the host has in an array."""
        raw = self.process.bytes(address, count * int(code[1])) if count else np.empty(0, np.uint8)
        return [int(n) for n in np.frombuffer(raw.tobytes(), code)]

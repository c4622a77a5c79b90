"""The execution of suld, sust and sured. (PTX ISA, "Surface Instructions"; CUDA C++ Programming Guide, "Surface Functions")

The x coordinate counts bytes, which have to begin at a multiple of what is moved; y, z and the layer count rows, slices and layers.
What lies outside is a fault with .trap, goes to the nearest place inside with .clamp, and with .zero reads as 0 and is not written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinygan_kernels.emulator.translate.kernel import Site

from . import bindless
from .access import Access, subset
from .lanes import Lanes
from .progress import careful
from .texture_objects import CudaArray, Surface

_FITS = {"1d": ("1d",), "2d": ("2d",), "3d": ("3d",), "a1d": ("a1d",), "a2d": ("a2d", "cube", "acube")}
"""Geometries of a surface instruction, with those of the CUDA arrays that it may reach: faces of a cubemap count as layers."""


Coordinates = tuple[np.ndarray, ...]


class Surfaces:
    """The surface instructions of one machine."""

    def __init__(self, access: Access):
        self.access = access

    def load(
        self, site: Site, geometry: str, mode: str, targets: Sequence[np.ndarray | None], handle: np.ndarray,
        coordinates: Coordinates, lanes: Lanes,
    ) -> None:  # fmt: skip
        """Carry out suld.b: site.count elements of site.size bytes into registers."""
        for address, some, outside in self._places(site, geometry, mode, handle, coordinates, lanes, "read"):
            for target in targets if outside.count else ():
                if target is not None:
                    outside.put(target, np.zeros(outside.count, target.dtype))
            for memory, positions, part, _ in bindless.pieces(self.access, site, address, some):
                if self.access.check:
                    self.access.check.read(site, memory, positions, part)
                view, first = memory.view(site.code)
                index = (positions - first) >> site.shift
                for j, target in enumerate(targets):
                    if target is not None:
                        part.put(target, view[index + j])

    def store(
        self, site: Site, geometry: str, mode: str, values: Sequence[np.ndarray], handle: np.ndarray, coordinates: Coordinates,
        lanes: Lanes,
    ) -> None:  # fmt: skip
        """Carry out sust.b: site.count elements of site.size bytes, one vector or scalar each."""
        for address, some, _ in self._places(site, geometry, mode, handle, coordinates, lanes, "write"):
            for memory, positions, part, _ in bindless.pieces(self.access, site, address, some):
                if self.access.check:
                    self.access.check.write(site, memory, positions, part, values)
                view, first = memory.view(site.code)
                index = (positions - first) >> site.shift
                picked = [np.asarray(part.pick(v)) for v in values]
                same = careful(self.access.machine.blocks_run) and all(
                    (view[index + j] == value).all() for j, value in enumerate(picked)
                )
                if not same:
                    self.access.changed(memory)
                for j, value in enumerate(picked):
                    view[index + j] = value

    def reduce(
        self, site: Site, geometry: str, mode: str, function: np.ufunc, value: np.ndarray, handle: np.ndarray,
        coordinates: Coordinates, lanes: Lanes,
    ) -> None:  # fmt: skip
        """Carry out sured.b: combine a number with what is there, one lane after the other."""
        for address, some, _ in self._places(site, geometry, mode, handle, coordinates, lanes, "write"):
            for memory, positions, part, _ in bindless.pieces(self.access, site, address, some):
                if self.access.check:
                    self.access.check.atomic(site, memory, positions, part)
                self.access.changed(memory)
                view, first = memory.view(site.code)
                function.at(view, (positions - first) >> site.shift, np.asarray(part.pick(value)))

    # -- where ----------------------------------------------------------------------------------------------------------------
    def _places(
        self, site: Site, geometry: str, mode: str, handle: np.ndarray, coordinates: Coordinates, lanes: Lanes, action: str,
    ) -> Iterator[tuple[np.ndarray, Lanes, Lanes]]:  # fmt: skip
        """Yield (addresses, lanes inside, lanes outside) for the lanes of each surface; report faults."""
        for surface, some in bindless.objects(self.access, site, handle, Surface, lanes):
            array = surface.array
            if array.geometry not in _FITS[geometry]:
                text = f"a surface of geometry {array.geometry} is accessed as {geometry}: {array.name}"
                bindless.fault(self.access, site, text, some)
                continue
            some = self._aligned(site, array, coordinates[-1 if geometry == "a1d" else int(geometry[0] == "a")], some, action)
            if not some.count:
                continue
            x, y, z = _ordered(geometry, [some.pick(np.asarray(c)).astype("i8") for c in coordinates])
            most = array.row - site.bytes, array.rows - 1, array.planes - 1
            inside = (x >= 0) & (x <= most[0]) & (y >= 0) & (y <= most[1]) & (z >= 0) & (z <= most[2])
            if mode == "clamp":
                x, y, z = (np.clip(c, 0, max(m, 0)) for c, m in zip((x, y, z), most, strict=True))
                inside = np.full(some.count, most[0] >= 0)
            outside = subset(some, ~inside)
            if mode == "trap" and outside.count:
                self._outside(site, array, (x, y, z), inside, some, action)
            address = array.base + (z * array.rows + y) * array.pitch + x
            yield address[inside], some if inside.all() else subset(some, inside), outside

    def _aligned(self, site: Site, array: CudaArray, x: np.ndarray, lanes: Lanes, action: str) -> Lanes:
        """Return the lanes whose x is a multiple of the bytes that are moved; report the others."""
        offset = lanes.pick(np.asarray(x)).astype("i8")
        bad = offset % site.bytes != 0
        if not bad.any():
            return lanes
        where = f"at byte x = {int(offset[bad][0])} of {array.name} (x counts bytes, not elements)"
        text = f"misaligned surface {action} of {site.bytes} bytes {where}"
        bindless.fault(self.access, site, text, subset(lanes, bad))
        return subset(lanes, ~bad)

    def _outside(
        self, site: Site, array: CudaArray, at: tuple[np.ndarray, ...], inside: np.ndarray, lanes: Lanes, action: str,
    ) -> None:  # fmt: skip
        """Report lanes that are outside of a surface, with the first of them."""
        first = int(np.flatnonzero(~inside)[0])
        x, y, z = (int(c[first]) for c in at)
        where = f"byte x = {x} of rows of {array.row}"
        where += f", y = {y} of {array.rows}" * bool(array.height) + f", slice or layer {z} of {array.planes}" * bool(array.depth)
        text = f"out-of-bounds surface {action} of {site.bytes} bytes; {where}: {array.name}"
        bindless.fault(self.access, site, text, subset(lanes, ~inside))


def _ordered(geometry: str, given: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (x, y, z) of an instruction's coordinates, 0 for those that the geometry lacks; a layer, which stands first, is z."""
    nothing = np.zeros_like(given[0])
    if geometry[0] == "a":
        layer, *given = given
        return given[0], given[1] if len(given) > 1 else nothing, layer
    x, y, z = (*given, nothing, nothing)[:3]
    return x, y, z

"""The execution of tex, tld4 and txq. (PTX ISA, "Texture Instructions"; CUDA C++ Programming Guide, "Texture Fetching")

A fetch outside of a texture is no fault: the address mode says what it gives. Faults are what the guide leaves undefined: a handle
that names no texture, another geometry or type than the texture's, a layer that there is not, and reads of what the launch has
written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from tinygan_kernels.emulator.semantics import sampling, texels
from tinygan_kernels.emulator.semantics.sampling import OUTSIDE
from tinygan_kernels.emulator.translate.kernel import Site

from . import bindless, mipmaps
from .access import Access, subset
from .lanes import Lanes
from .texture_objects import GATHER, CudaArray, Surface, Texture

FOOTPRINT = ((0, 1), (1, 1), (1, 0), (0, 0))
"""The elements that tld4 gives, as steps in x and y from the first: counter-clockwise, from the lower left (y points down)."""


Registers = Sequence["np.ndarray | None"]
"""Registers for results, of which some may be left out (`_` in PTX)."""


class Textures:
    """The texture instructions of one machine."""

    def __init__(self, access: Access):
        self.access = access
        self.sites: dict[tuple[int, texels.Format], Site] = {}

    def fetch(
        self, site: Site, geometry: str, kind: str, targets: Registers, handle: np.ndarray, layer: np.ndarray | None,
        coordinates: tuple[np.ndarray, ...], lanes: Lanes, whole: bool, detail: tuple = (),
    ) -> None:  # fmt: skip
        """Carry out tex. geometry, kind: words of the instruction, as 2d and f32; targets: registers for the four channels, seen as
        bits; layer: None but for arrays of textures; coordinates: a vector for each axis; whole: whether they are integers; detail:
        the level of detail, or the two gradients, each a vector for each axis."""
        for texture, some in bindless.objects(self.access, site, handle, Texture, lanes):
            if not self._fits(site, texture, geometry, kind, whole, some):
                continue
            some = self._layers_exist(site, texture, layer, some)
            if not some.count:
                continue
            at = [np.asarray(some.pick(c)) for c in coordinates]
            plane = np.zeros(some.count, "i8") if layer is None else some.pick(np.asarray(layer)).astype("i8")
            if texture.cube:
                face, *at = sampling.face_of(*at)
                plane = 6 * plane + face
            values = self._mipmapped(site, texture, at, plane, some, whole, detail)
            _put(targets, values, kind, some)

    def _mipmapped(
        self, site: Site, texture: Texture, at: list, plane: np.ndarray, lanes: Lanes, whole: bool, detail: tuple
    ) -> np.ndarray:
        """Return the four channels of a fetch for each lane, of the levels that the instruction asks for: (lanes, 4)."""
        if len(texture.levels) == 1 or not detail:
            return self._sampled(site, texture.levels[0], at, plane, lanes, whole)
        if len(detail) == 1:
            level = np.broadcast_to(lanes.pick(np.asarray(detail[0])), (lanes.count,))
        else:
            level = mipmaps.gradient_level(texture, [[lanes.pick(np.asarray(d)) for d in step] for step in detail])
            level = np.broadcast_to(level, (lanes.count,))

        def sample(one: Texture, mask: np.ndarray) -> np.ndarray:
            some = [np.broadcast_to(x, (lanes.count,))[mask] for x in at]
            return self._sampled(site, one, some, plane[mask], subset(lanes, mask), whole)

        return mipmaps.blended(texture, level, sample)

    def gather(
        self, site: Site, component: int, geometry: str, kind: str, targets: Registers, handle: np.ndarray,
        layer: np.ndarray | None, coordinates: tuple[np.ndarray, ...], lanes: Lanes,
    ) -> None:  # fmt: skip
        """Carry out tld4: one channel, number `component`, of the four elements that linear filtering would take."""
        for texture, some in bindless.objects(self.access, site, handle, Texture, lanes):
            if not self._fits(site, texture, geometry, kind, False, some):
                continue
            if not isinstance(texture.resource, CudaArray) or not texture.resource.flags & GATHER:
                text = f"a gather from {texture.resource.name}, which is no CUDA array made with cudaArrayTextureGather"
                bindless.fault(self.access, site, text, some)
            some = self._layers_exist(site, texture, layer, some)
            if not some.count:
                continue
            at = [np.asarray(some.pick(c)) for c in coordinates]
            plane = np.zeros(some.count, "i8") if layer is None else some.pick(np.asarray(layer)).astype("i8")
            axes = self._axes(texture, at, linear=True, whole=False)
            each = [self._element(site, texture, (axes[0][i][0], axes[1][j][0]), plane, some) for i, j in FOOTPRINT]
            _put(targets, np.stack([values[:, component] for values in each], axis=1), kind, some)

    def query(
        self, site: Site, what: str, target: np.ndarray, handle: np.ndarray, lanes: Lanes, of_surface: bool = False,
        level: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Carry out txq or suq: what a texture (a surface) is, as PTX names it. level: that of a mipmapped array which is meant."""
        kind: type[Texture] | type[Surface] = Surface if of_surface else Texture
        for thing, lanes_of_it in bindless.objects(self.access, site, handle, kind, lanes):
            for number, some in self._levels_exist(site, thing, level, lanes_of_it):
                self._answer(thing, number, what, target, some)

    def _levels_exist(
        self, site: Site, thing: Texture | Surface, level: np.ndarray | None, lanes: Lanes
    ) -> Iterator[tuple[int, Lanes]]:
        """Yield (level, lanes) for the lanes that ask for each level; report those that ask for one that there is not."""
        if level is None or not isinstance(thing, Texture):
            yield 0, lanes
            return
        asked = np.broadcast_to(lanes.pick(np.asarray(level)), (lanes.count,)).astype("i8")
        for number in np.unique(asked).tolist():
            some = subset(lanes, asked == number)
            if 0 <= number < len(thing.levels):
                yield number, some
            else:
                text = f"level {number} of a texture with {len(thing.levels)}: {thing.resource.name}"
                bindless.fault(self.access, site, text, some)

    def _answer(self, thing: Texture | Surface, level: int, what: str, target: np.ndarray, some: Lanes) -> None:
        """Write the answer of a query into a register."""
        levels = thing.levels if isinstance(thing, Texture) else (thing,)
        resource = levels[level].resource
        layers = resource.depth // (6 if "cube" in resource.geometry else 1)
        value = {
            "width": resource.width,
            "height": resource.height,
            "depth": resource.depth if resource.geometry == "3d" else 0,
            "array_size": layers if resource.geometry[0] == "a" else 0,
            "normalized_coords": int(isinstance(thing, Texture) and thing.normalized),
            "num_mipmap_levels": len(levels),
        }[what]
        some.put(target, np.full(some.count, value, "u4"))

    # -- checks ---------------------------------------------------------------------------------------------------------------
    def _fits(self, site: Site, texture: Texture, geometry: str, kind: str, whole: bool, lanes: Lanes) -> bool:
        """Report an instruction whose geometry or type is not the texture's; say whether it can be carried out."""
        resource, wrong = texture.resource, ""
        if geometry != resource.geometry:
            wrong = f"a texture of geometry {resource.geometry} is read as {geometry}: {resource.name}"
        elif texture.fetched and not whole:
            wrong = f"linear memory is read by tex1Dfetch alone: {resource.name}"
        elif (kind[0] == "f") != texture.as_float:
            read = "floats" if texture.as_float else "integers"
            wrong = f"elements that the texture gives as {read} ({resource.texel}) are read as {kind}: {resource.name}"
        if wrong:
            bindless.fault(self.access, site, wrong, lanes)
        return not wrong

    def _layers_exist(self, site: Site, texture: Texture, layer: np.ndarray | None, lanes: Lanes) -> Lanes:
        """Return the lanes whose layer there is; report the others."""
        if layer is None or not lanes.count:
            return lanes
        layers = texture.resource.planes // (6 if texture.cube else 1)
        bad = lanes.pick(np.asarray(layer)) >= layers
        if not bad.any():
            return lanes
        wrong = subset(lanes, bad)
        first = int(lanes.pick(np.asarray(layer))[bad][0])
        text = f"layer {first - (1 << 32 if first >> 31 else 0)} of a texture with {layers} layers: {texture.resource.name}"
        bindless.fault(self.access, site, text, wrong)
        return subset(lanes, ~bad)

    # -- values ---------------------------------------------------------------------------------------------------------------
    def _axes(self, texture: Texture, at: list, linear: bool, whole: bool) -> list[list[sampling.Tap]]:
        """Return the elements and weights along each axis, x first."""
        sizes = (texture.resource.width, texture.resource.rows, texture.resource.planes)
        modes = [sampling.effective_mode(mode, texture.normalized and not whole) for mode in texture.modes]
        normal = texture.normalized and not whole
        return [sampling.taps(x, sizes[i], modes[i], normal, linear and not whole) for i, x in enumerate(at)]

    def _sampled(self, site: Site, texture: Texture, at: list, plane: np.ndarray, lanes: Lanes, whole: bool) -> np.ndarray:
        """Return the four channels of a fetch for each lane: (lanes, 4), floats (float64 of sums) or integers of 32 bits.

        Sums are formed in float64 and rounded once. An element of weight 0 is not read, so that an infinity in it adds nothing.
        """
        axes = self._axes(texture, at, texture.linear, whole)
        if not texture.linear or whole:
            return self._element(site, texture, tuple(taps[0][0] for taps in axes), plane, lanes)
        total = np.zeros((lanes.count, 4))
        for taps in product(*axes):
            weight = np.prod(np.broadcast_arrays(*(w for _, w in taps)), axis=0)
            some = weight != 0
            if some.any():
                part = self._element(site, texture, tuple(i[some] for i, _ in taps), plane[some], subset(lanes, some))
                total[some] += weight[some, None] * part
        return total

    def _element(self, site: Site, texture: Texture, index: tuple, plane: np.ndarray, lanes: Lanes) -> np.ndarray:
        """Return elements as the texture gives them, (lanes, 4): float32, float64 (where `_sampled` adds them up), or integers.

        index: along each axis, x first; OUTSIDE on any of them stands for the border colour.
        """
        resource = texture.resource
        i, j, k = (*index, np.zeros_like(plane), np.zeros_like(plane))[:3]
        inside = (i != OUTSIDE) & (j != OUTSIDE) & (k != OUTSIDE)
        address = resource.base + ((k + plane) * resource.rows + j) * resource.pitch + i * resource.texel.size
        read = inside if not inside.all() else None
        raw = np.zeros((lanes.count, resource.texel.channels), resource.texel.code)
        some, wanted = (lanes, address) if read is None else (subset(lanes, inside), address[inside])
        found = np.zeros((some.count, resource.texel.channels), resource.texel.code)
        self._read(site, resource.texel, wanted, some, found)
        raw[inside] = found
        return self._converted(texture, raw, inside)

    def _read(self, site: Site, texel: texels.Format, address: np.ndarray, lanes: Lanes, into: np.ndarray) -> None:
        """Read the elements at addresses, one a lane, into an array (lanes, channels)."""
        key = (site.number, texel)
        if key not in self.sites:
            self.sites[key] = replace(site, code=f"u{texel.bits // 8}", size=texel.bits // 8, count=texel.channels)
        moved, bits = self.sites[key], into.view(f"u{texel.bits // 8}")
        for memory, positions, some, mask in bindless.pieces(self.access, moved, address, lanes):
            if self.access.check:
                self.access.check.read(moved, memory, positions, some)
            view, first = memory.view(moved.code)
            index = (positions - first) >> moved.shift
            bits[mask] = view[index[:, None] + np.arange(texel.channels)]

    def _converted(self, texture: Texture, raw: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Return elements with four channels as the read mode wants them, and the border colour for those that are outside."""
        if not texture.as_float:
            values = texels.four_channels(raw.astype("u4" if raw.dtype.kind == "u" else "i4"))
            values[~inside] = 0
            return values
        values = raw.astype("f8" if texture.linear else "f4")
        if texture.promoted:
            values = texels.normalized(raw, texture.resource.texel)
            values = texels.linear_of_srgb(values) if texture.how.srgb else values
            values = values if texture.linear else values.astype("f4")
        values = texels.four_channels(values)
        values[~inside] = 0 if texture.fetched else texture.how.border
        return values


def _put(targets: Registers, values: np.ndarray, kind: str, lanes: Lanes) -> None:
    """Write the channels of each lane into registers, as bits of a PTX type: f32, f16, f16x2 (two channels in one), u32 or s32."""
    if kind in ("f16", "f16x2"):
        bits = np.ascontiguousarray(values.astype("f2")).view("u2" if kind == "f16" else "u4")
    else:
        if kind == "f32":
            values = values.astype("f4")
        bits = np.ascontiguousarray(values).view("u4")
    for i, target in enumerate(targets):
        if target is not None:
            lanes.put(target, bits[:, i])



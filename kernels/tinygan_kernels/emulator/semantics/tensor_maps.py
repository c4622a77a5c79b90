"""Tensor maps: descriptors of tensors in global memory, by which the tensor memory accelerator copies boxes. (PTX ISA, 5.5)

A tensor map has 128 bytes, whose meaning NVIDIA keeps to itself; those here are the emulator's own. What may be in one follows
the documentation of `cuTensorMapEncodeTiled` and `cuTensorMapEncodeIm2col` (CUDA Driver API, "Tensor Map Object Management").
Dimensions count from the innermost one, whose elements are neighbours in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BYTES, ALIGNMENT = 128, 64
"""Bytes of a tensor map, and to how many of them its address is a multiple."""
KINDS = (
    "u8", "u16", "u32", "s32", "u64", "s64", "f16", "f32", "f64", "bf16", "f32 ftz", "tf32", "tf32 ftz",
)  # fmt: skip
"""The types of elements, in the order of CUtensorMapDataType."""
SIZES = dict(zip(KINDS, (1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4), strict=True))
FLOATS = ("f16", "f32", "f64", "bf16", "f32 ftz", "tf32", "tf32 ftz")
SWIZZLES = (0, 32, 64, 128)
"""Bytes of a row within which a swizzle permutes pieces of 16, in the order of CUtensorMapSwizzle."""
MOST_RANK, MOST_BOX, MOST_STEP, MOST_SIZE, MOST_STRIDE = 5, 256, 8, 1 << 32, 1 << 40
MOST_PIXELS, CORNER_BITS = 1024, {3: 16, 4: 8, 5: 4}
_MARK = 0x70616D74
_LAYOUT = np.dtype({
    "names": ["mark", "kind", "rank", "swizzle", "fill", "address", "last", "strides", "box", "steps", "im2col", "lower", "upper"],
    "formats": ["u4", "u1", "u1", "u1", "u1", "u8", ("u4", 5), ("u8", 4), ("u2", 5), ("u1", 5), "u1", ("i4", 3), ("i4", 3)],
    "offsets": [0, 4, 5, 6, 7, 8, 16, 40, 72, 82, 87, 88, 100], "itemsize": BYTES,
})  # fmt: skip


@dataclass(frozen=True)
class TensorMap:
    """A tensor in global memory, and the box of it that one copy moves.

    kind: one of KINDS; address: of its first element; sizes: elements along each dimension; strides: bytes from one index to the
    next, of all dimensions but the innermost; box: elements along each dimension that a copy goes over, with a step of `steps`;
    swizzle: one of SWIZZLES; fill_nan: whether elements outside of the tensor are NaN in shared memory, in place of zero.
    Of an im2col map: lower, upper: by how much the box of the pixels that are gone through differs from the tensor at its corners
    (innermost spatial dimension first); box is then (channels, pixels). Tiled maps have lower None.

    Made by `tiled` or `im2col`, which check what is in it.
    """

    kind: str
    address: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    steps: tuple[int, ...]
    swizzle: int = 0
    fill_nan: bool = False
    lower: tuple[int, ...] | None = None
    upper: tuple[int, ...] | None = None

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.sizes)

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return SIZES[self.kind]

    @property
    def box_shape(self) -> tuple[int, ...]:
        """The elements that a copy moves along each dimension of the box in shared memory."""
        if self.lower is not None:
            return self.box
        steps = (1, *self.steps[1:])
        return tuple(-(-n // step) for n, step in zip(self.box, steps, strict=True))

    @property
    def box_bytes(self) -> int:
        """The bytes that a copy moves, and that an mbarrier counts."""
        return int(np.prod(self.box_shape)) * self.item

    def encoded(self) -> np.ndarray:
        """Return the 128 bytes that stand for the map in memory."""
        record = np.zeros((), _LAYOUT)
        record["mark"], record["kind"], record["rank"] = _MARK, KINDS.index(self.kind), self.rank
        record["swizzle"], record["fill"], record["address"] = SWIZZLES.index(self.swizzle), self.fill_nan, self.address
        record["last"][: self.rank] = [n - 1 for n in self.sizes]
        record["strides"][: self.rank - 1] = self.strides
        record["box"][: len(self.box)], record["steps"][: self.rank] = self.box, self.steps
        if self.lower is not None and self.upper is not None:
            record["im2col"] = 1
            record["lower"][: len(self.lower)], record["upper"][: len(self.upper)] = self.lower, self.upper
        return np.frombuffer(record.tobytes(), np.uint8).copy()


def decoded(raw: np.ndarray) -> TensorMap | None:
    """Return the map that 128 bytes stand for, None for bytes that no `encoded` returned.

    Raises ValueError where tensormap.replace has set fields to what no map can have.
    """
    record = np.frombuffer(raw.tobytes(), _LAYOUT)[0]
    rank = int(record["rank"])
    if record["mark"] != _MARK or not 1 <= rank <= MOST_RANK or record["kind"] >= len(KINDS) or record["swizzle"] >= len(SWIZZLES):
        return None
    pixels = bool(record["im2col"])
    if not record["box"][: 2 if pixels else rank].all() or not record["steps"][:rank].all() or not record["address"]:
        return None  # fields that tensormap.replace has not set
    sizes = [int(n) + 1 for n in record["last"][:rank]]
    tensor = KINDS[record["kind"]], int(record["address"]), sizes, record["strides"][: rank - 1].tolist()
    steps, swizzle, fill = record["steps"][:rank].tolist(), SWIZZLES[record["swizzle"]], bool(record["fill"])
    if pixels:
        corners = record["lower"][: rank - 2].tolist(), record["upper"][: rank - 2].tolist()
        channels, pixels_of_column = record["box"][:2].tolist()
        return im2col(*tensor, *corners, channels, pixels_of_column, steps, swizzle, fill)
    return tiled(*tensor, record["box"][:rank].tolist(), steps, swizzle, fill)


# -- making maps -----------------------------------------------------------------------------------------------------------------
def tiled(
    kind: str, address: int, sizes: Sequence[int], strides: Sequence[int], box: Sequence[int], steps: Sequence[int] | None = None,
    swizzle: int = 0, fill_nan: bool = False,
) -> TensorMap:  # fmt: skip
    """Return a map of boxes of a tensor. The parameters are those of TensorMap; steps: 1 along each dimension, if not given.

    Raises ValueError, in a sentence, for what `cuTensorMapEncodeTiled` refuses.
    """
    sizes, strides, box = (tuple(int(n) for n in given) for given in (sizes, strides, box))
    steps = tuple(int(n) for n in steps) if steps is not None else (1,) * len(sizes)
    _check_tensor(kind, address, sizes, strides, steps, swizzle, fill_nan)
    if len(box) != len(sizes):
        raise ValueError(f"boxDim has {len(box)} numbers, for a tensor of rank {len(sizes)}")
    if not all(1 <= n <= MOST_BOX for n in box):
        raise ValueError(f"boxDim is {box}: each of its numbers is from 1 to {MOST_BOX}")
    _check_row(box[0] * SIZES[kind], f"boxDim[0] * the element size is {box[0]} * {SIZES[kind]}", swizzle)
    return TensorMap(kind, address, sizes, strides, box, steps, swizzle, fill_nan)


def im2col(
    kind: str, address: int, sizes: Sequence[int], strides: Sequence[int], lower: Sequence[int], upper: Sequence[int],
    channels: int, pixels: int, steps: Sequence[int] | None = None, swizzle: int = 0, fill_nan: bool = False,
) -> TensorMap:  # fmt: skip
    """Return a map of columns of pixels of a tensor (N, D, H, W, C), of which H and D may be missing; sizes are (C, W, H, D, N).

    lower, upper: pixelBoxLowerCorner and pixelBoxUpperCorner, for (W, H, D); channels, pixels: what one copy moves.
    Raises ValueError, in a sentence, for what `cuTensorMapEncodeIm2col` refuses.
    """
    sizes, strides, lower, upper = (tuple(int(n) for n in given) for given in (sizes, strides, lower, upper))
    steps = tuple(int(n) for n in steps) if steps is not None else (1,) * len(sizes)
    _check_tensor(kind, address, sizes, strides, steps, swizzle, fill_nan)
    if len(sizes) < 3:
        raise ValueError(f"tensorRank is {len(sizes)}: an im2col map has a rank from 3 to 5")
    half = 1 << CORNER_BITS[len(sizes)] - 1
    for name, corner in (("pixelBoxLowerCorner", lower), ("pixelBoxUpperCorner", upper)):
        if len(corner) != len(sizes) - 2 or not all(-half <= n < half for n in corner):
            needs = f"needs {len(sizes) - 2}, from {-half} to {half - 1}"
            raise ValueError(f"{name} is {corner}: a tensor of rank {len(sizes)} {needs}")
    if not 1 <= channels <= MOST_BOX:
        raise ValueError(f"channelsPerPixel is {channels}: from 1 to {MOST_BOX} are possible")
    if not 1 <= pixels <= MOST_PIXELS:
        raise ValueError(f"pixelsPerColumn is {pixels}: from 1 to {MOST_PIXELS} are possible")
    _check_row(channels * SIZES[kind], f"channelsPerPixel * the element size is {channels} * {SIZES[kind]}", swizzle)
    if any(n + b - a < 1 for n, a, b in zip(sizes[1:-1], lower, upper, strict=True)):
        raise ValueError(f"no pixel lies between the corners {lower} and {upper} of a tensor with sizes {sizes}")
    return TensorMap(kind, address, sizes, strides, (int(channels), int(pixels)), steps, swizzle, fill_nan, lower, upper)


def _check_tensor(
    kind: str, address: int, sizes: tuple[int, ...], strides: tuple[int, ...], steps: tuple[int, ...], swizzle: int, fill_nan: bool
) -> None:
    """Raise ValueError for a tensor that no map can describe."""
    if kind not in KINDS:
        raise ValueError(f"tensorDataType is {kind!r}: it has to be one of {', '.join(KINDS)}")
    if not 1 <= len(sizes) <= MOST_RANK:
        raise ValueError(f"tensorRank is {len(sizes)}: from 1 to {MOST_RANK} are possible")
    if address % 16 or not address:
        raise ValueError(f"globalAddress is {address:#x}: it has to be the address of a tensor, a multiple of 16 bytes")
    if not all(1 <= n <= MOST_SIZE for n in sizes):
        raise ValueError(f"globalDim is {sizes}: each of its numbers is from 1 to 2^32")
    if len(strides) != len(sizes) - 1:
        raise ValueError(f"globalStrides has {len(strides)} numbers: a tensor of rank {len(sizes)} needs {len(sizes) - 1}")
    if any(n % 16 or not 0 <= n < MOST_STRIDE for n in strides):
        raise ValueError(f"globalStrides is {strides}: each is a multiple of 16 bytes, and less than 2^40")
    if len(steps) != len(sizes) or not all(1 <= n <= MOST_STEP for n in steps):
        raise ValueError(f"elementStrides is {steps}: it has {len(sizes)} numbers, each from 1 to {MOST_STEP}")
    if swizzle not in SWIZZLES:
        raise ValueError(f"swizzle is {swizzle!r}: it has to be one of {', '.join(map(str, SWIZZLES))} bytes")
    if fill_nan and kind not in FLOATS:
        raise ValueError(f"oobFill asks for NaN, which elements of type {kind} do not have")


def _check_row(size: int, what: str, swizzle: int) -> None:
    """Raise ValueError for an innermost dimension of a box that does not fit shared memory's pieces, or its swizzle."""
    if size % 16:
        raise ValueError(f"{what} = {size} bytes: it has to be a multiple of 16")
    if swizzle and size > swizzle:
        raise ValueError(f"{what} = {size} bytes: with a swizzle of {swizzle} bytes it can be {swizzle} at most")


_ORDER = ("u8", "u16", "u32", "s32", "u64", "s64", "f16", "f32", "f32 ftz", "f64", "bf16", "tf32", "tf32 ftz")
"""The types of elements as tensormap.replace numbers them. (PTX ISA, tensormap.replace)"""
REPLACED = {
    "global_address": "address", "rank": "rank", "box_dim": "box", "global_dim": "last", "global_stride": "strides",
    "element_stride": "steps", "elemtype": "kind", "interleave_layout": "", "swizzle_mode": "swizzle", "fill_mode": "fill",
}  # fmt: skip
"""The fields of tensormap.replace, and where each lies in the bytes of a map."""


def replaced(raw: np.ndarray, field: str, ordinal: int, value: int) -> np.ndarray:
    """Compute tensormap.replace: the bytes of a map, or of one that is made out of zeros, with one field replaced.

    ordinal: the dimension, for fields that have a value for each; value: as PTX numbers it. Raises ValueError for a value that the
    field cannot have.
    """
    record = np.frombuffer(raw.tobytes(), _LAYOUT).copy()[0]
    name, text = REPLACED[field], f"tensormap.replace: .{field} cannot be {value}"
    if record["mark"] != _MARK and raw.any():
        raise ValueError("tensormap.replace: there is no tensor map at that address")
    record["mark"] = _MARK
    if name in ("box", "last", "strides", "steps"):
        value = value - 1 if name == "last" else value
        if not 0 <= ordinal < len(record[name]) or not 0 <= value <= np.iinfo(record[name].dtype).max:
            raise ValueError(f"{text} in dimension {ordinal}")
        record[name][ordinal] = value
        return np.frombuffer(record.tobytes(), np.uint8)
    most = {"rank": MOST_RANK - 1, "kind": len(_ORDER) - 1, "": 0, "swizzle": len(SWIZZLES) - 1, "fill": 1}.get(name, (1 << 64) - 1)
    if not 0 <= value <= most:
        raise ValueError(text)
    if name:
        record[name] = value + 1 if name == "rank" else KINDS.index(_ORDER[value]) if name == "kind" else value
    return np.frombuffer(record.tobytes(), np.uint8)


# -- what a copy touches ---------------------------------------------------------------------------------------------------------
def box_addresses(made: TensorMap, coordinates: Sequence[int], offsets: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return (address of every element of the box, whether it lies in the tensor), in the order of the box in shared memory.

    coordinates: of the first element, one for each dimension; offsets: of an im2col map, added to the places of its pixels.
    """
    if made.lower is not None:
        return _column_addresses(made, coordinates, offsets)
    address, inside = np.full((1,) * made.rank, made.address, "i8"), np.ones((1,) * made.rank, bool)
    for i, (start, count) in enumerate(zip(coordinates, made.box_shape, strict=True)):
        at = start + np.arange(count, dtype="i8") * (made.steps[i] if i else 1)
        shape = [1] * made.rank
        shape[made.rank - 1 - i] = count
        stride = made.strides[i - 1] if i else made.item
        address = address + (at * stride).reshape(shape)
        inside = inside & ((at >= 0) & (at < made.sizes[i])).reshape(shape)
    return address.ravel(), inside.ravel()


def _column_addresses(made: TensorMap, coordinates: Sequence[int], offsets: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `box_addresses` does, of an im2col map: pixels one after the other through their box, image after image."""
    assert made.lower is not None and made.upper is not None
    channels, pixels = made.box
    place, columns = list(coordinates[1:]), []
    ends = [n + corner for n, corner in zip(made.sizes[1:-1], made.upper, strict=True)]
    for _ in range(pixels):
        columns.append(tuple(place))
        for d in range(len(ends)):
            place[d] += made.steps[d + 1]
            if place[d] < ends[d]:
                break
            place[d] = made.lower[d]
        else:
            place[-1] += 1
    where = np.array(columns, "i8")
    where[:, :-1] += np.array(offsets, "i8")
    inside = np.all((where >= 0) & (where < np.array(made.sizes[1:], "i8")), axis=1, keepdims=True)
    channel = coordinates[0] + np.arange(channels, dtype="i8")
    address = made.address + (where * np.array(made.strides, "i8")).sum(axis=1)[:, None] + channel * made.item
    return address.ravel(), (inside & (channel >= 0) & (channel < made.sizes[0])).ravel()


def swizzled(address: np.ndarray, swizzle: int, base: int = 0) -> np.ndarray:
    """Return where bytes of shared memory lie that a swizzle moves: pieces of 16 bytes change places within rows of 128.

    swizzle: one of SWIZZLES; the lowest bits of the row's number are combined with those of the piece's (exclusive or), 3 for 128
    bytes, 2 for 64 and 1 for 32. base: subtracted from the row's number, for wgmma's base offset. (PTX ISA, "Swizzling modes")
    """
    if not swizzle:
        return address
    mask = swizzle // 16 - 1
    return address ^ (((address >> 7) - base & mask) << 4)


def row_pitch(made: TensorMap) -> int:
    """Return the bytes from one row of the box to the next in shared memory: a swizzle has rows of its own width.

    "If the swizzle width exceeds the inner dimension", shared memory has room for "the full swizzle width" (CUDA C++ Programming
    Guide, "Swizzle Modes").
    """
    return max(made.box_shape[0] * made.item, made.swizzle)


def box_places(made: TensorMap, start: int) -> np.ndarray:
    """Return the addresses in shared memory of all elements of a box that begins at `start`, in the order of `box_addresses`."""
    row = made.box_shape[0]
    rows = int(np.prod(made.box_shape[1:], dtype="i8"))
    linear = np.arange(rows, dtype="i8")[:, None] * row_pitch(made) + np.arange(row, dtype="i8") * made.item
    return swizzled(start + linear.ravel(), made.swizzle)


def converted(values: np.ndarray, kind: str) -> np.ndarray:
    """Return elements, as unsigned integers of their size, as a load by a map of that type leaves them in shared memory.

    Types with "ftz" turn subnormal numbers into zeros. For tf32 the low 13 bits of the significand are rounded away, to nearest
    even. How the hardware rounds is not documented.
    """
    if kind not in ("f32 ftz", "tf32", "tf32 ftz"):
        return values
    words = values.astype("u4")
    if "ftz" in kind:
        words = np.where(words & np.uint32(0x7F800000) == 0, words & np.uint32(0x80000000), words)
    if "tf32" in kind:
        finite = words & np.uint32(0x7F800000) != np.uint32(0x7F800000)
        up = words + np.uint32(0x0FFF) + (words >> np.uint32(13) & np.uint32(1))
        words = np.where(finite, up, words) & np.uint32(0xFFFFE000)
    return words


_NANS = {"f16": 0x7FFF, "bf16": 0x7FFF, "f64": 0x7FFFFFFFFFFFFFFF}


def fill_value(made: TensorMap) -> int:
    """Return the bits of the elements outside of the tensor."""
    return _NANS.get(made.kind, 0x7FFFFFFF) if made.fill_nan else 0

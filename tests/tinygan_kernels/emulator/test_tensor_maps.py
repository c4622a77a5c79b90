"""Copies of boxes by tensor maps, against slices of NumPy arrays: ranks, types, edges, steps, swizzles, reductions, faults."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.host.pointers import HandedPointers
from tinygan_kernels.emulator.semantics import tensor_maps as maps

HEAD = """.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .align 128 .b8 map[128], .param .u64 bytes, .param .align 4 .b8 at[32]) {
.reg .b32 %r<12>; .reg .b64 %d<8>; .reg .pred %p, %q;
.shared .align 1024 .b8 box[SIZE];
.shared .align 8 .b64 bar;
mov.b64 %d0, map; cvta.param.u64 %d1, %d0;
ld.param.u64 %d2, [bytes];
ld.param.u32 %r0, [at]; ld.param.u32 %r1, [at+4]; ld.param.u32 %r2, [at+8]; ld.param.u32 %r3, [at+12]; ld.param.u32 %r4, [at+16];
mov.u32 %r9, box; mov.u32 %r10, bar; mov.u32 %r11, %tid.x;
"""
LOAD = """
mbarrier.init.shared.b64 [%r10], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%r10], BYTES;
cp.async.bulk.tensor.RANKd.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r9], [%d1, {COORDINATES}], [%r10];
WAIT: mbarrier.try_wait.parity.shared.b64 %p, [%r10], 0; @!%p bra WAIT;
cp.async.bulk.global.shared::cta.bulk_group [%d2], [%r9], SIZE;
cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;
ret; }
"""
STORE = """
mbarrier.init.shared.b64 [%r10], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%r10], SIZE;
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r9], [%d2], SIZE, [%r10];
WAIT: mbarrier.try_wait.parity.shared.b64 %p, [%r10], 0; @!%p bra WAIT;
OPERATION [%d1, {COORDINATES}], [%r9];
cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;
ret; }
"""


def text(body: str, rank: int, size: int, **words: str) -> str:
    """Return the PTX of a kernel. size: bytes of shared memory that it copies out or in."""
    coordinates = ", ".join(f"%r{i}" for i in range(rank))
    code = HEAD + body
    for word, value in {"RANK": str(rank), "COORDINATES": coordinates, "SIZE": str(size), "BYTES": str(size), **words}.items():
        code = code.replace(word, value)
    return code


def where(coordinates: tuple[int, ...]) -> np.void:
    """Return coordinates, in the order of the array's dimensions, as the kernel takes them."""
    numbers = np.zeros(8, "i4")
    numbers[: len(coordinates)] = coordinates[::-1]
    return np.void(numbers.tobytes())


def loaded(made, coordinates: tuple[int, ...], size: int | None = None) -> np.ndarray:
    """Return the bytes of shared memory after a copy of the box at some coordinates."""
    size = size or made.map.box_bytes
    out = np.full(size, 0xEE, "u1")
    code = text(LOAD, made.map.rank, size).replace(f"_, [%r10], {size}", f"_, [%r10], {made.map.box_bytes}")
    emulator.RawModule(code=code).get_function("k")((1,), (1,), (made, out, where(coordinates)))
    return out


def stored(made, coordinates: tuple[int, ...], data: np.ndarray, reduction: str = "") -> None:
    """Copy a box into the tensor, or combine it with what is there by a reduction."""
    rank, raw = made.map.rank, np.ascontiguousarray(data).view("u1").ravel()
    name = f"cp.async.bulk.tensor.{rank}d.global.shared::cta.tile.bulk_group"
    if reduction:
        name = f"cp.reduce.async.bulk.tensor.{rank}d.global.shared::cta.{reduction}.tile.bulk_group"
    code = text(STORE, rank, raw.size, OPERATION=name)
    emulator.RawModule(code=code).get_function("k")((1,), (1,), (made, raw, where(coordinates)))


def slice_of(array: np.ndarray, coordinates: tuple[int, ...], box: tuple[int, ...], steps=None, fill=0) -> np.ndarray:
    """Return the box of an array at some coordinates, filled outside of it."""
    steps = steps or (1,) * array.ndim
    at = np.ix_(*(c + np.arange(0, n, s) for c, n, s in zip(coordinates, box, steps, strict=True)))
    inside = np.ones(np.broadcast_shapes(*(i.shape for i in at)), bool)
    for i, n in zip(at, array.shape, strict=True):
        inside = inside & (i >= 0) & (i < n)
    values = array[tuple(np.clip(i, 0, n - 1) for i, n in zip(at, array.shape, strict=True))]
    return np.where(inside, values, array.dtype.type(fill))


def numbers(shape: tuple[int, ...], code: str) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    if code[0] == "f":
        return rng.normal(size=shape).astype(code)
    return rng.integers(0, 1 << min(60, 8 * int(code[1]) - 1), shape).astype(code)


@pytest.mark.parametrize(("shape", "box", "places"), [
    ((100,), (32,), [(0,), (90,), (-20,), (200,)]),
    ((20, 40), (8, 16), [(4, 8), (15, 30), (-3, -5), (7, 39)]),
    ((5, 9, 12), (3, 4, 8), [(1, 2, 4), (4, 7, 8), (-1, -2, -4)]),
    ((3, 4, 5, 8), (2, 2, 3, 8), [(0, 1, 1, 0), (2, 3, 4, 4), (-1, -1, -2, -3)]),
    ((2, 3, 4, 5, 8), (2, 2, 2, 2, 4), [(0, 1, 2, 3, 4), (1, 2, 3, 4, 6), (-1, -1, -1, -1, -1)]),
])  # fmt: skip
def test_boxes_of_every_rank_inside_and_across_the_edges(shape, box, places):
    array = numbers(shape, "f4")
    made = emulator.tensor_map(array, box)
    for place in places:
        assert (loaded(made, place).view("f4").reshape(box) == slice_of(array, place, box)).all(), place
    data = numbers(box, "f4") + 10
    for place in places:
        want = array.copy()
        at = np.ix_(*(c + np.arange(n) for c, n in zip(place, box, strict=True)))
        inside = [(i.ravel() >= 0) & (i.ravel() < n) for i, n in zip(at, shape, strict=True)]
        want[np.ix_(*(i.ravel()[ok] for i, ok in zip(at, inside, strict=True)))] = data[np.ix_(*inside)]
        target = emulator.tensor_map(array.copy(), box)
        stored(target, place, data)
        assert (target.array == want).all(), place


@pytest.mark.parametrize(("kind", "code"), [
    ("u8", "u1"), ("u16", "u2"), ("u32", "u4"), ("s32", "i4"), ("u64", "u8"), ("s64", "i8"), ("f16", "f2"), ("f32", "f4"),
    ("f64", "f8"), ("bf16", "u2"),
])  # fmt: skip
def test_types_of_elements_and_what_fills_the_outside(kind, code):
    array = numbers((6, 48), code)
    box = (4, 32)
    got = loaded(emulator.tensor_map(array, box, kind=kind), (4, 20)).view(code).reshape(box)
    assert (got == slice_of(array, (4, 20), box)).all()
    if kind in maps.FLOATS:
        got = loaded(emulator.tensor_map(array, box, kind=kind, fill="nan"), (4, 20))
        values = (got.view("u2").astype("u4") << 16).view("f4") if kind == "bf16" else got.view(code)
        assert np.isnan(values.reshape(box)[2:]).all() and np.isnan(values.reshape(box)[:, 28:]).all()
        assert not np.isnan(values.reshape(box)[:2, :28]).any()


def test_types_that_change_numbers_on_their_way():
    array = np.array([1, 1 + 2.0**-12, 1 + 3 * 2.0**-11, 1e-40, -1e-40, np.inf, np.nan, -2.5], "f4")
    assert loaded(emulator.tensor_map(array, (8,), kind="f32 ftz"), (0,)).view("f4")[3:5].view("u4").tolist() == [0, 1 << 31]
    got = loaded(emulator.tensor_map(array, (8,), kind="tf32"), (0,)).view("f4")
    assert got[:3].tolist() == [1, 1, 1 + 2 * 2.0**-10] and got[5] == np.inf and np.isnan(got[6]) and got[7] == -2.5
    assert (got.view("u4") & 0x1FFF == 0).all()


def test_steps_through_the_tensor():
    array = numbers((30, 16), "f4")
    made = emulator.tensor_map(array, (8, 16), element_strides=(3, 1))
    assert made.map.box_bytes == 3 * 64, "ceil(8 / 3) rows"
    for row in (0, 4, 25):
        got = loaded(made, (row, 0)).view("f4").reshape(3, 16)
        assert (got == slice_of(array, (row, 0), (8, 16), (3, 1))).all()


@pytest.mark.parametrize(("inner", "swizzle"), [(i, s) for s in (0, 32, 64, 128) for i in (16, 32, 64, 128) if not s or i <= s])
def test_swizzles_permute_pieces_of_16_bytes_by_row(inner, swizzle):
    """By the description in words: piece p of row r (of 128 bytes) goes to p xor r, within the swizzle's width."""
    array = numbers((18, inner), "u1") | np.uint8(1)
    made = emulator.tensor_map(array, (18, inner), swizzle=swizzle)
    pitch = max(inner, swizzle)
    want = np.zeros(18 * pitch, "u1")
    for row in range(18):
        for piece in range(inner // 16):
            line, place = divmod(row * pitch + 16 * piece, 128)
            moved = place // 16 ^ line % (swizzle // 16) if swizzle else place // 16
            want[128 * line + 16 * moved : 128 * line + 16 * moved + 16] = array[row, 16 * piece : 16 * piece + 16]
    with emulator.checks(pitch == inner):  # a row that is shorter than the swizzle's width leaves pieces unwritten
        assert (loaded(made, (0, 0), 18 * pitch) == want).all()
        target = emulator.tensor_map(np.zeros_like(array), (18, inner), swizzle=swizzle)
        stored(target, (0, 0), want)
    assert (target.array == array).all()


@pytest.mark.parametrize(("reduction", "kind", "code", "function"), [
    ("add", "f32", "f4", np.add), ("add", "u32", "u4", np.add), ("add", "f16", "f2", np.add), ("min", "s32", "i4", np.minimum),
    ("max", "s64", "i8", np.maximum), ("min", "f16", "f2", np.minimum), ("and", "u32", "u4", np.bitwise_and),
    ("or", "u64", "u8", np.bitwise_or), ("xor", "u32", "u4", np.bitwise_xor), ("add", "u64", "u8", np.add),
    ("inc", "u32", "u4", lambda old, limit: np.where(old >= limit, 0, old + 1)),
    ("dec", "u32", "u4", lambda old, limit: np.where((old == 0) | (old > limit), limit, old - 1)),
])  # fmt: skip
def test_reductions_into_a_tensor(reduction, kind, code, function):
    array, data = numbers((7, 24), code), numbers((4, 16), code)[::-1].copy()
    want = array.copy()
    want[5:, 16:] = function(array[5:, 16:], data[:2, :8])
    made = emulator.tensor_map(array, (4, 16), kind=kind)
    stored(made, (5, 16), data, reduction)
    assert (array == want).all()


def test_a_reduction_adds_all_elements_that_lie_at_one_place():
    """With a stride of 0 the rows of a box are sums at one row of memory."""
    total, data = numbers((8,), "u4"), numbers((4, 8), "u4")
    want = total + data.sum(axis=0, dtype="u4")
    made = emulator.tensor_map(np.lib.stride_tricks.as_strided(total, (4, 8), (0, 4)), (4, 8))
    stored(made, (0, 0), data, "add")
    assert (total == want).all()


def test_bf16_is_added_as_numbers():
    array, data = (numbers((2, 8), "f4") for _ in range(2))
    bits = [(x.view("u4") >> 16).astype("u2") for x in (array, data)]
    exact = [(b.astype("u4") << 16).view("f4").astype("f8") for b in bits]
    stored(emulator.tensor_map(bits[0], (2, 8), kind="bf16"), (0, 0), bits[1], "add.noftz")
    got = (bits[0].astype("u4") << 16).view("f4")
    assert (np.abs(got - (exact[0] + exact[1])) <= 2.0**-8 * np.abs(exact[0] + exact[1])).all()


# -- im2col ----------------------------------------------------------------------------------------------------------------------
def test_columns_of_pixels_are_those_of_a_convolution():
    """The pixels under one tap of a 3 x 3 filter with padding 1 and stride 2, against a padded array."""
    n, h, w, c = 2, 5, 6, 8
    image = numbers((n, h, w, c), "f4")
    made = maps.im2col("f32", image.ctypes.data, (c, w, h, n), image.strides[2::-1], (-1, -1), (-1, -1), 8, 12, steps=(1, 2, 2, 1))
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for s in range(3):
        for r in range(3):
            want = padded[:, r : r + h - 1 + 1 : 2, s : s + w : 2][:, :3, :3].reshape(-1, c)
            address, inside = maps.box_addresses(made, (0, -1, -1, 0), (s, r))
            at = np.where(inside, (address - image.ctypes.data) // 4, 0)
            got = np.where(inside, image.ravel()[at], 0).reshape(12, c)
            assert (got == want[:12]).all(), (s, r)


def test_im2col_map_is_what_the_driver_makes():
    """Its corners and steps are in the order of the array's dimensions, those of the driver in the reverse."""
    image = numbers((2, 3, 5, 6, 8), "f4")
    made = emulator.im2col_map(image, (-1, -2, 0), (-3, -2, -1), 4, 9, element_strides=(1, 1, 2, 3, 1), swizzle=32, fill="nan")
    sizes, strides = image.shape[::-1], image.strides[3::-1]
    want = maps.im2col("f32", image.ctypes.data, sizes, strides, (0, -2, -1), (-1, -2, -3), 4, 9, (1, 3, 2, 1, 1), 32, True)
    assert made.map == want and (made.raw == want.encoded()).all()
    assert maps.decoded(emulator.im2col_map(image[:, 0, 0].view("i4"), (0,), (0,), 8, 4).raw).kind == "s32"


@pytest.mark.parametrize(("arguments", "more", "error", "message"), [
    (((0,), (0,), 8, 4), {}, ValueError, "pixelBoxLowerCorner"),
    (((0, 0), (0, 0), 8, 4), {"kind": "f16"}, ValueError, "of 2 bytes"),
    (((0, 0), (0, 0), 8.5, 4), {}, TypeError, "channels is 8.5: give an integer"),
    (((0, 0), (0, 0), 3, 4), {}, ValueError, "a multiple of 16"),
    ((("a", 0), (0, 0), 8, 4), {}, TypeError, "lower"), (((0, 0), (0, 0), 8, 4), {"fill": "ones"}, ValueError, "fill is 'ones'"),
    (((0, 0), (0, -5), 8, 4), {}, ValueError, "no pixel lies between"),
])  # fmt: skip
def test_what_im2col_map_refuses(arguments, more, error, message):
    with pytest.raises(error, match=message):
        emulator.im2col_map(numbers((2, 5, 5, 8), "f4"), *arguments, **more)


@pytest.mark.parametrize("multicast", ["", ".multicast::cluster"])
def test_the_instruction_copies_columns_of_pixels(multicast):
    """The offsets of the filter's tap stand before the mask of blocks."""
    n, h, w, c = 2, 5, 6, 8
    image, out = numbers((n, h, w, c), "f4"), np.zeros((12, c), "f4")
    made = maps.im2col("f32", image.ctypes.data, (c, w, h, n), image.strides[2::-1], (-1, -1), (-1, -1), 8, 12, steps=(1, 2, 2, 1))
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    code = text(LOAD, 4, out.nbytes).replace(".reg .pred", ".reg .b16 %h<3>; .reg .pred")
    code = code.replace(".tile.mbarrier::complete_tx::bytes", f".im2col.mbarrier::complete_tx::bytes{multicast}")
    code = code.replace("}], [%r10];", "}], [%r10], {%h0, %h1}" + (", %h2;" if multicast else ";"))
    code = code.replace("mbarrier.init", "mov.u16 %h0, 2; mov.u16 %h1, 1; mov.u16 %h2, 1;\nmbarrier.init")
    emulator.RawModule(code=code).get_function("k")((1,), (1,), (np.void(made.encoded().tobytes()), out, where((0, -1, -1, 0))))
    assert (out == padded[:, 1 : 1 + h : 2, 2 : 2 + w : 2].reshape(-1, c)[:12]).all()
    with pytest.raises(UnsupportedInstruction, match="an im2col copy of rank 4 has 2 offsets, not 1"):
        emulator.RawModule(code=code.replace("{%h0, %h1}", "{%h0}")).get_function("k")


# -- what is refused, and found --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("given", "message"), [
    ({"kind": "f31"}, "tensorDataType is 'f31'"),
    ({"sizes": (), "strides": (), "box": ()}, "tensorRank is 0: from 1 to 5"),
    ({"sizes": (8,) * 6, "strides": (64,) * 5, "box": (8,) * 6}, "tensorRank is 6"),
    ({"address": 1000}, "globalAddress is 0x3e8: it has to be .* a multiple of 16"),
    ({"sizes": (0, 8)}, "globalDim is .* from 1 to 2.32"),
    ({"sizes": ((1 << 32) + 1, 8)}, "globalDim"),
    ({"strides": (40,)}, "globalStrides is .* a multiple of 16"),
    ({"strides": (1 << 40,)}, "less than 2.40"),
    ({"strides": ()}, "globalStrides has 0 numbers"),
    ({"box": (8, 257)}, "boxDim is .* from 1 to 256"),
    ({"box": (8,)}, "boxDim has 1 numbers"),
    ({"box": (6, 8)}, "= 24 bytes: it has to be a multiple of 16"),
    ({"box": (64, 8), "swizzle": 128}, "with a swizzle of 128 bytes it can be 128 at most"),
    ({"steps": (1, 9)}, "elementStrides is .* from 1 to 8"),
    ({"steps": (1,)}, "elementStrides"),
    ({"swizzle": 48}, "swizzle is 48: it has to be one of 0, 32, 64, 128"),
    ({"kind": "s32", "fill_nan": True}, "oobFill asks for NaN, which elements of type s32 do not have"),
])  # fmt: skip
def test_what_the_driver_refuses(given, message):
    right = {"kind": "f32", "address": 1024, "sizes": (64, 8), "strides": (256,), "box": (8, 8)}
    assert maps.decoded(maps.tiled(**right).encoded()) == maps.tiled(**right)
    with pytest.raises(ValueError, match=message):
        maps.tiled(**{**right, **given})


@pytest.mark.parametrize(("given", "message"), [
    ({"lower": (0,)}, "pixelBoxLowerCorner is .* needs 2"),
    ({"upper": (0, 200)}, "pixelBoxUpperCorner is .* from -128 to 127"),
    ({"channels": 300}, "channelsPerPixel is 300"),
    ({"channels": 2}, "= 8 bytes: it has to be a multiple of 16"),
    ({"pixels": 2000}, "pixelsPerColumn is 2000"),
    ({"upper": (-8, 0)}, "no pixel lies between"),
])  # fmt: skip
def test_what_the_driver_refuses_of_im2col(given, message):
    right = {"kind": "f32", "address": 1024, "sizes": (8, 8, 8, 2), "strides": (32, 256, 2048), "lower": (0, 0), "upper": (0, 0),
             "channels": 8, "pixels": 16}  # fmt: skip
    assert maps.decoded(maps.im2col(**right).encoded()) == maps.im2col(**right)
    with pytest.raises(ValueError, match=message):
        maps.im2col(**{**right, **given})


def test_what_tensor_map_refuses():
    for arguments, error, message in (
        (([1, 2], (2,)), TypeError, "array is a list"),
        ((np.zeros(16, "c8"), (2,)), TypeError, "elements of type complex64"),
        ((np.zeros(16, ">f4"), (4,)), TypeError, "elements of type >f4"),
        ((np.zeros((8, 8), "f4")[:, ::2], (4, 4)), ValueError, "last dimension of the array has to be contiguous"),
    ):
        with pytest.raises(error, match=message):
            emulator.tensor_map(*arguments)
    with pytest.raises(ValueError, match="kind 'bf16' has elements of 2 bytes, the array of 4"):
        emulator.tensor_map(np.zeros(16, "f4"), (4,), kind="bf16")
    with pytest.raises(ValueError, match="fill is 'ones'"):
        emulator.tensor_map(np.zeros(16, "f4"), (4,), fill="ones")
    with pytest.raises(ValueError, match="kind is 'f8'"):
        emulator.tensor_map(np.zeros(16, "f4"), (4,), kind="f8")
    with pytest.raises(TypeError, match=r"box is \(4.0,\): give one integer for each dimension of the array"):
        emulator.tensor_map(np.zeros(16, "f4"), (4.0,))
    with pytest.raises(TypeError, match="element_strides is 1: give one integer"):
        emulator.tensor_map(np.zeros(16, "f4"), (4,), element_strides=1)


def found(code: str, *arguments: object) -> str:
    with emulator.sanitize() as findings, emulator.step_budget(200):  # what never comes is waited for
        try:
            emulator.RawModule(code=code).get_function("k")((1,), (1,), arguments)
        except emulator.EmulatorError:
            assert findings
    return "\n".join(map(str, findings))


def test_faults_are_findings():
    array, out, at = numbers((8, 16), "f4"), np.zeros(256, "u1"), where((0, 0))
    made, code = emulator.tensor_map(array, (4, 16)), text(LOAD, 2, 256)
    assert not found(code, made, out, at)
    assert "misaligned box of a tensor: its address in shared memory is a multiple of 128" in found(
        code.replace("mov.u32 %r9, box", "mov.u32 %r9, box+16"), made, out, at)  # fmt: skip
    assert "misaligned tensor map: its address is a multiple of 64" in found(
        code.replace("mov.b64 %d0, map", "mov.b64 %d0, map+16"), made, out, at)  # fmt: skip
    assert "there is no tensor map at that address" in found(code, np.void(bytes(128)), out, at)
    assert "the tensor map has a rank of 2, the instruction one of 1" in found(
        code.replace("tensor.2d", "tensor.1d").replace("%r0, %r1}", "%r0}"), made, out, at)  # fmt: skip
    flat = maps.im2col("f32", array.ctypes.data, (16, 2, 4), (64, 128), (0,), (0,), 4, 4)
    assert "the tensor map is an im2col one, the instruction is not" in found(
        text(LOAD, 3, 256), np.void(flat.encoded().tobytes()), out, at)  # fmt: skip
    assert "out-of-bounds write of 4 bytes" in found(code.replace("mov.u32 %r9, box", "mov.u32 %r9, box+128"), made, out, at)
    with pytest.raises(emulator.EmulatorError), emulator.step_budget(200):  # 192 of 256 expected bytes come
        loaded_short = emulator.tensor_map(array, (3, 16))
        emulator.RawModule(code=code).get_function("k")((1,), (1,), (loaded_short, out, at))
    with pytest.raises(UnsupportedInstruction, match="a tensor of rank 2 has 2 coordinates, not 1"):
        emulator.RawModule(code=code.replace("%r0, %r1}", "%r0}")).get_function("k")


def test_a_tensor_that_is_larger_than_its_array_is_found_wherever_its_elements_lie():
    """In the gap before the next array, in that array, and behind both: what lies beside an array is no part of its tensor."""
    room = np.zeros(3 << 12, "u1")
    start = room.ctypes.data + -room.ctypes.data % 128
    array, other = (np.frombuffer((ctypes.c_uint8 * 512).from_address(at), "f4") for at in (start, start + 4096))
    code = text(LOAD, 2, 256).replace(".param .u64 bytes,", ".param .u64 bytes, .param .u64 array, .param .u64 beside,")
    raw = np.void(maps.tiled("f32", array.ctypes.data, (16, 1 << 20), (64,), (16, 4)).encoded().tobytes())
    out = np.zeros(256, "u1")
    for row, words in ((8, "0 bytes after the end of"), (64, "inside"), (72, "after the end of")):
        said = found(code, raw, out, array, other, where((row, 0)))
        assert "out-of-bounds read of 4 bytes" in said and words in said and "(64 times)" in said
        assert ("in which the tensor of the map begins" in said) == (row == 64)
    assert not found(code, raw, out, array, other, where((4, 0)))


def test_the_array_of_a_map_is_known_before_its_launch_begins(monkeypatch):
    """So nothing has to be looked for in the process, and the launch can be run again in other orders of its threads."""
    monkeypatch.setattr(HandedPointers, "__call__", lambda self, memory: False)
    array = numbers((4, 8), "f4")
    assert (loaded(emulator.tensor_map(array, (4, 8)), (0, 0)).view("f4").reshape(4, 8) == array).all()


def test_a_map_that_a_kernel_changes_in_global_memory():
    """tensormap.replace on a copy of the map; tables of maps are arrays of bytes."""
    first, second = numbers((8, 16), "f4"), numbers((10, 16), "f4") + 5
    table = emulator.empty((1, 128), "u1")
    table[0] = emulator.tensor_map(first, (4, 16)).raw
    code = text(LOAD, 2, 256).replace(".param .align 128 .b8 map[128]", ".param .u64 map, .param .u64 other")
    code = code.replace("mov.b64 %d0, map; cvta.param.u64 %d1, %d0;", """ld.param.u64 %d1, [map]; ld.param.u64 %d5, [other];
tensormap.replace.tile.global_address.global.b1024.b64 [%d1], %d5;
tensormap.replace.tile.global_dim.global.b1024.b32 [%d1], 1, 3;
fence.proxy.tensormap::generic.acquire.gpu [%d1], 128;""")
    out = np.zeros(256, "u1")
    emulator.RawModule(code=code).get_function("k")((1,), (1,), (table, second, out, where((0, 0))))
    want = second[:4].copy()
    want[3] = 0
    assert (out.view("f4").reshape(4, 16) == want).all()
    table[...] = 0  # of zeros replace makes a map, which lacks a box here
    with pytest.raises(SanitizerError, match="there is no tensor map at that address"):
        emulator.RawModule(code=code).get_function("k")((1,), (1,), (table, second, out, where((0, 0))))
    table[...] = 1
    with pytest.raises(SanitizerError, match=r"tensormap.replace: there is no tensor map at that address"):
        emulator.RawModule(code=code).get_function("k")((1,), (1,), (table, second, out, where((0, 0))))


REPLACE = "tensormap.replace.tile.box_dim.global.b1024.b32 [%d1], 0, 3;\nmbarrier.init"


def test_maps_that_cannot_be_written_or_cannot_be():
    array, out, at = numbers((8, 16), "f4"), np.zeros(256, "u1"), where((0, 0))
    made, code = emulator.tensor_map(array, (4, 16)), text(LOAD, 2, 256).replace("mbarrier.init", REPLACE)
    assert "write of 128 bytes to a read-only array" in found(code, made, out, at), "an argument is constant"
    table = emulator.empty((1, 128), "u1")
    table[0] = made.raw
    code = code.replace(".param .align 128 .b8 map[128]", ".param .u64 map")
    code = code.replace("mov.b64 %d0, map; cvta.param.u64 %d1, %d0;", "ld.param.u64 %d1, [map];")
    assert "there cannot be such a tensor map: boxDim[0] * the element size is 3 * 4 = 12 bytes" in found(code, table, out, at)
    raw = np.zeros(256, "u1")
    for operation in ("and", "inc"):
        name = f"cp.reduce.async.bulk.tensor.2d.global.shared::cta.{operation}.tile.bulk_group"
        said = found(text(STORE, 2, 256, OPERATION=name), made, raw, at)
        assert f"there is no .{operation} of elements of type f32" in said


def test_every_field_of_a_map_can_be_replaced():
    """A map made out of zeros, field by field, is the one that `tiled` makes."""
    want = maps.tiled("bf16", 1 << 20, (64, 30), (128,), (32, 8), (1, 2), 64, True)
    fields = {"rank": [1], "box_dim": [32, 8], "global_dim": [64, 30], "global_stride": [128], "element_stride": [1, 2],
              "elemtype": [10], "interleave_layout": [0], "swizzle_mode": [2], "fill_mode": [1], "global_address": [1 << 20]}
    raw = np.zeros(128, "u1")
    for field, values in fields.items():
        assert maps.decoded(raw) is None, "a map without all of its fields"
        for i, value in enumerate(values):
            raw = maps.replaced(raw, field, i, value)
    assert maps.decoded(raw) == want
    for field, value in (("rank", 5), ("elemtype", 13), ("interleave_layout", 1), ("swizzle_mode", 4), ("fill_mode", 2)):
        with pytest.raises(ValueError, match=rf"tensormap.replace: .{field} cannot be {value}"):
            maps.replaced(raw, field, 0, value)
    with pytest.raises(ValueError, match="in dimension 5"):
        maps.replaced(raw, "box_dim", 5, 8)

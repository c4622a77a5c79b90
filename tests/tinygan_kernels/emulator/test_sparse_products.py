"""Products with a sparse A, mma.sp and wgmma.mma_async.sp, against NumPy: every shape and type, every selector, wrong metadata."""

from __future__ import annotations

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.semantics.fragments import FP8

BITS = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "s4": 4, "u4": 4, "e4m3": 8, "e5m2": 8}
PAIRS = [(i, j) for i in range(4) for j in range(4) if i != j]
ASCENDING = [(i, j) for i, j in PAIRS if i < j]


def encoded(values: np.ndarray, kind: str) -> np.ndarray:
    """Return whole numbers as the bits of a type, in unsigned integers of 32 bits."""
    if kind == "f16":
        return values.astype("f2").view("u2").astype("u4")
    if kind == "bf16":
        return values.astype("f4").view("u4") >> np.uint32(16)
    if kind == "tf32":
        return values.astype("f4").view("u4") | np.uint32(0x1000)  # the low bits do not take part
    if kind in FP8:
        table = {float(v): i for i, v in enumerate(FP8[kind]) if not np.isnan(v)} | {0.0: 0}
        return np.array([table[float(v)] for v in values.ravel()], "u4").reshape(values.shape)
    return values.astype("i8").astype("u4") & np.uint32((1 << BITS[kind]) - 1)


def sparse(kind: str, rows: int, k: int, rng, ordered: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a random A (rows, k) with zeros where the type wants them, the half that is stored, and the code of each chunk."""
    width = {"tf32": 2, "s4": 8, "u4": 8}.get(kind, 4)
    low, high = {"u8": (0, 9), "u4": (0, 16), "s4": (-8, 8)}.get(kind, (-4, 5))
    dense, stored, codes = np.zeros((rows, k)), np.zeros((rows, k // 2)), np.zeros((rows, k // width), "u4")
    for row, number in np.ndindex(codes.shape):
        values = rng.integers(low, high, width // 2)
        stored[row, number * width // 2 : (number + 1) * width // 2] = values
        at = number * width
        if kind == "tf32":
            place = rng.integers(2)
            codes[row, number] = 0b1110 if place else 0b0100
            dense[row, at + place] = values[0]
            continue
        first, second = (ASCENDING if ordered else PAIRS)[rng.integers(6 if ordered else 12)]
        codes[row, number] = first | second << 2
        half, part = width // 4, width // 4
        dense[row, at + first * part : at + first * part + half] = values[:half]
        dense[row, at + second * part : at + second * part + half] = values[half:]
    return dense, stored, codes


def metadata(kind: str, codes: np.ndarray, selector: int) -> np.ndarray:
    """Return the word of each lane of a warp: codes (16, chunks) as PTX's pictures place them, and wrong ones in all other bits."""
    words, chunks = np.zeros(32, "u4"), codes.shape[1]
    taken = np.zeros(32, "u4")
    for row, number in np.ndindex(codes.shape):
        group, upper = row % 8, row // 8
        if BITS[kind] >= 16:  # a lane has 4 chunks of two rows
            lane, bit = 4 * group + selector * chunks // 4 + number // 4, 16 * upper + 4 * (number % 4)
        else:  # a lane has 8 chunks of one row
            lane, bit = 4 * group + 2 * selector + upper + 2 * (number // 8), 4 * (number % 8)
        assert not taken[lane] >> np.uint32(bit) & 15
        taken[lane] |= np.uint32(15 << bit)
        words[lane] |= codes[row, number] << np.uint32(bit)
    return words | (~taken & np.uint32(0x55555555))


def packed(kind: str, matrix: np.ndarray, along_rows: bool) -> np.ndarray:
    """Return the registers (32, n) of A (rows, k) or B (k, columns) in the layout of a dense product."""
    p, bits = 32 // BITS[kind], encoded(matrix if along_rows else matrix.T, kind)
    outer, inner = bits.shape[0] // 8, bits.shape[1] // (4 * p)
    order = [(i, j) for j in range(inner) for i in range(outer)] if along_rows else [(0, j) for j in range(inner)]
    words = np.zeros((32, len(order)), "u4")
    for lane, r, e in np.ndindex(32, len(order), p):
        i, j = order[r]
        words[lane, r] |= bits[8 * i + lane // 4, 4 * p * j + lane % 4 * p + e] << np.uint32(BITS[kind] * e)
    return words


def kernel(shape: str, types: str, counts: tuple[int, int, int], selector: int, form: str = "sp", clamp: str = ""):
    na, nb, nc = counts
    total = na + nb + nc + 1
    names = [f"%r{i}" for i in range(total)]
    groups = [", ".join(names[i:j]) for i, j in ((0, na), (na, na + nb), (na + nb, total - 1))]
    text = f""".version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p) {{ .reg .b32 %r<{total}>; .reg .b64 %rd<3>; .reg .b32 %t;
mov.u32 %t, %tid.x; ld.param.u64 %rd0, [p]; mad.wide.u32 %rd1, %t, {4 * total}, %rd0;
{" ".join(f"ld.global.u32 {name}, [%rd1+{4 * i}];" for i, name in enumerate(names))}
mma.{form}.sync.aligned.{shape}.row.col{clamp}.{types} {{{groups[2]}}}, {{{groups[0]}}}, {{{groups[1]}}}, {{{groups[2]}}},
  {names[-1]}, {selector};
{" ".join(f"st.global.u32 [%rd1+{4 * i}], %r{i};" for i in range(na + nb, total - 1))} ret; }}"""
    return emulator.RawModule(code=text).get_function("k")


FORMS = [
    ("f16", 16, "f32"), ("f16", 32, "f16"), ("bf16", 16, "f32"), ("bf16", 32, "f32"), ("tf32", 8, "f32"), ("tf32", 16, "f32"),
    ("s8", 32, "s32"), ("u8", 64, "s32"), ("s4", 64, "s32"), ("u4", 128, "s32"), ("e4m3", 64, "f32"), ("e5m2", 64, "f32"),
]  # fmt: skip


@pytest.mark.parametrize("form", ["sp", "sp::ordered_metadata"])
@pytest.mark.parametrize(("kind", "k", "result"), FORMS)
def test_mma_sp_is_the_product_of_the_whole_matrix(kind, k, result, form):
    """With each selector, and with wrong codes in the lanes that it does not name, which are not looked at."""
    rng = np.random.default_rng(k)
    ordered = form != "sp" or kind in FP8
    chunks = k // {"tf32": 2, "s4": 8, "u4": 8}.get(kind, 4)
    other = {"s8": "u8", "u8": "s8", "s4": "u4", "u4": "s4", "e4m3": "e5m2", "e5m2": "e4m3"}.get(kind, kind)
    for selector in range({4: 4, 8: 2, 16: 1}[chunks]):
        dense, stored, codes = sparse(kind, 16, k, rng, ordered)
        b, c = rng.integers(0 if other[0] == "u" else -4, 4, (k, 8)).astype("f8"), rng.integers(-9, 9, (16, 8))
        lane = np.arange(32)
        rows, columns = lane // 4, 2 * (lane % 4)
        held = np.stack([c[rows + 8 * i, columns + e] for i in (0, 1) for e in (0, 1)], axis=1)
        held = held.astype({"f32": "f4", "f16": "f2", "s32": "i4"}[result])
        parts = [packed(kind, stored, True), packed(other, b, False), held.view("u4"), metadata(kind, codes, selector)[:, None]]
        table = np.concatenate(parts, axis=1)
        counts = tuple(part.shape[1] for part in parts[:3])
        kernel(f"m16n8k{k}", f"{result}.{kind}.{other}.{result}", counts, selector, form)((1,), (32,), (table,))
        got = np.ascontiguousarray(table[:, sum(counts[:2]) : -1]).view(held.dtype)
        want = dense @ b + c
        np.testing.assert_array_equal(got, np.stack([want[rows + 8 * i, columns + e] for i in (0, 1) for e in (0, 1)], axis=1))


def one_row(code: int, form: str, kind: str = "f16", k: int = 16):
    """Run a product of zeros whose metadata have one code everywhere, but for row 9, whose last chunk has `code`."""
    codes = np.full((16, k // (2 if kind == "tf32" else 4)), 0b0100, "u4")
    codes[9, -1] = code
    counts = {"f16": (2, 2, 4), "tf32": (2, 2, 4), "e4m3": (4, 4, 4)}[kind]
    table = np.zeros((32, sum(counts) + 1), "u4")
    table[:, -1] = metadata(kind, codes, 0)
    kernel(f"m16n8k{k}", f"f32.{kind}.{kind}.f32", counts, 0, form)((1,), (32,), (table,))


@pytest.mark.parametrize(("code", "form", "kind", "k"), [
    (0b0000, "sp", "f16", 16), (0b1010, "sp", "f16", 16), (0b0001, "sp::ordered_metadata", "f16", 16), (0b0101, "sp", "tf32", 8),
    (0b0001, "sp", "e4m3", 64),
])  # fmt: skip
def test_codes_that_ptx_leaves_undefined_are_findings(code, form, kind, k):
    width = 2 if kind == "tf32" else 4
    message = rf"code {code:#06b} of row 9, columns {k - width} to {k - 1} of A is none that PTX defines for {kind}"
    with pytest.raises(SanitizerError, match=message):
        one_row(code, form, kind, k)
    with emulator.checks(False), pytest.raises(EmulatorError, match=message):  # there is no right result to go on with
        one_row(code, form, kind, k)


def test_indices_may_descend_without_ordered_metadata():
    one_row(0b0001, "sp")


@pytest.mark.parametrize(("shape", "types", "selector", "message"), [
    ("m16n8k32", "f32.f16.f16.f32", 2, "the sparsity selector of k32 of f16 is a constant from 0 to 1"),
    ("m16n8k64", "s32.s8.s8.s32", 1, "the sparsity selector of k64 of s8 is 0"),
    ("m16n8k8", "f32.f16.f16.f32", 0, "m16n8k16 f16, m16n8k32 f16"),
    ("m16n8k16", "f16.bf16.bf16.f16", 0, "this mma.sp is not supported"),
])  # fmt: skip
def test_selectors_and_shapes_that_do_not_exist_are_refused(shape, types, selector, message):
    with pytest.raises(UnsupportedInstruction, match=message):
        kernel(shape, types, (4, 4, 4), selector)


def test_integers_of_sparse_products_wrap_or_are_kept_in_range():
    codes = np.full((16, 8), 0b0100, "u4")
    for clamp, want in (("", -(2**31) + 15), (".satfinite", 2**31 - 1)):
        table = np.zeros((32, 9), "u4")
        table[:, :4], table[:, 4:8] = 0x01010101, 2**31 - 1
        table[:, 8] = metadata("s8", codes, 0)
        kernel("m16n8k32", "s32.u8.u8.s32", (2, 2, 4), 0, clamp=clamp)((1,), (32,), (table,))
        assert (table[:, 4:8].view("i4") == want).all()


# -- warpgroups ------------------------------------------------------------------------------------------------------------------
WARPGROUP = """.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 bytes, .param .u64 out, .param .u64 words, .param .u64 a, .param .u64 b) {
.reg .b32 %d<4>, %a<4>, %r<8>; .reg .b64 %q<10>; .reg .pred %p;
.shared .align 1024 .b8 room[16384];
ld.param.u64 %q0, [bytes]; ld.param.u64 %q2, [out]; ld.param.u64 %q3, [words]; ld.param.u64 %q4, [a]; ld.param.u64 %q5, [b];
mov.u32 %r1, %tid.x; mov.u32 %r2, room; mov.u32 %r5, 0;
FILL: mad.lo.u32 %r6, %r5, 128, %r1; mad.wide.u32 %q6, %r6, 16, %q0; mad.lo.u32 %r7, %r6, 16, %r2;
ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%q6]; st.shared.v4.b32 [%r7], {%a0, %a1, %a2, %a3};
add.u32 %r5, %r5, 1; setp.lt.u32 %p, %r5, 8; @%p bra FILL;
fence.proxy.async; bar.sync 0;
mad.wide.u32 %q6, %r1, 4, %q3; ld.global.b32 %r3, [%q6]; mad.wide.u32 %q7, %r1, 16, %q4;
LOAD mov.u32 %d0, 0; mov.u32 %d1, 0; mov.u32 %d2, 0; mov.u32 %d3, 0;
wgmma.fence.sync.aligned;
wgmma.mma_async.sp.sync.aligned.SHAPE.TYPES {%d0, %d1, %d2, %d3}, FIRST, %q5, %r3, SELECTOR, 1FLAGS;
wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;
mad.wide.u32 %q8, %r1, 16, %q2; st.global.v4.b32 [%q8], {%d0, %d1, %d2, %d3}; ret; }
"""


def rows_of_16_bytes(bits: np.ndarray, size: int) -> np.ndarray:
    """Return the byte offsets of the elements (rows, k) of a K-major matrix without a swizzle: cores of 8 rows by 16 bytes, with
    those of one column of cores one after the other."""
    rows, columns = np.indices(bits.shape)
    at = columns * size
    return at // 16 * (bits.shape[0] * 16) + rows * 16 + at % 16


@pytest.mark.parametrize("in_registers", [False, True])
@pytest.mark.parametrize(("kind", "result", "selector"), [
    ("f16", "f32", 1), ("bf16", "f32", 0), ("tf32", "f32", 1), ("s8", "s32", 0), ("e4m3", "f32", 0),
])  # fmt: skip
def test_sparse_products_of_a_warpgroup(kind, result, selector, in_registers):
    rng = np.random.default_rng(4)
    size = BITS[kind] // 8
    k = 64 // size
    dense, stored, codes = sparse(kind, 64, k, rng, True)
    b = rng.integers(-4, 5, (8, k)).astype("f8")
    memory, word = np.zeros(16384, "u1"), []
    for matrix, at in ((stored, 0), (b, 8192)):
        bits = encoded(matrix, kind)
        for e in range(size):
            memory[at + rows_of_16_bytes(bits, size) + e] = bits >> np.uint32(8 * e) & np.uint32(255)
        word.append(at >> 4 | (len(matrix) * 16 >> 4) << 16 | (128 >> 4) << 32)
    words = np.concatenate([metadata(kind, codes[16 * w : 16 * w + 16], selector) for w in range(4)])
    held = np.concatenate([packed(kind, stored[16 * w : 16 * w + 16], True) for w in range(4)])
    flags = "" if result == "s32" else ", 1, 1" + ("" if size != 2 else ", 0" if in_registers else ", 0, 0")
    code = WARPGROUP.replace("SHAPE", f"m64n8k{k}").replace("TYPES", f"{result}.{kind}.{kind}").replace("SELECTOR", str(selector))
    load = "ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%q7];" if in_registers else ""
    code = code.replace("FIRST", "{%a0, %a1, %a2, %a3}" if in_registers else "%q4").replace("LOAD", load).replace("FLAGS", flags)
    out = np.zeros((128, 4), {"f32": "f4", "s32": "i4"}[result])
    arguments = memory, out, words, held if in_registers else np.uint64(word[0]), np.uint64(word[1])
    emulator.RawModule(code=code).get_function("k")((1,), (128,), arguments)
    want, thread = dense @ b.T, np.arange(128)
    rows, columns = 16 * (thread // 32) + thread % 32 // 4, 2 * (thread % 4)
    np.testing.assert_array_equal(out, np.stack([want[rows + 8 * i, columns + e] for i in (0, 1) for e in (0, 1)], axis=1))


def test_sparse_products_of_bits_are_refused():
    code = WARPGROUP.replace("SHAPE", "m64n8k512").replace("TYPES", "s32.b1.b1.and.popc").replace("SELECTOR", "0")
    code = code.replace("FIRST", "%q4").replace("LOAD", "").replace("FLAGS", "")
    with pytest.raises(UnsupportedInstruction, match="m64nNk32 f16"):
        emulator.RawModule(code=code).get_function("k")

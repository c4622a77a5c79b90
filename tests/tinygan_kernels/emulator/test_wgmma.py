"""wgmma against NumPy: every type and layout of the PTX ISA, A from registers, negation, and what is under way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.semantics.fragments import FP8

BYTES = {"f16": 2, "bf16": 2, "tf32": 4, "e4m3": 1, "e5m2": 1, "s8": 1, "u8": 1}
DEPTH = {kind: 32 // size for kind, size in BYTES.items()} | {"b1": 256}
SWIZZLE = {0: 0, 128: 1, 64: 2, 32: 3}
ROOM = 40960
HEAD = """.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 bytes, .param .u64 start, .param .u64 out, .param .u64 a, .param .u64 b, .param .u32 accumulate) {
.reg .b32 %d<128>, %a<4>, %r<8>; .reg .b64 %q<10>; .reg .pred %p, %w; .reg .f32 %f<4>;
.shared .align 1024 .b8 room[ROOM];
.shared .align 8 .b64 bar;
ld.param.u64 %q0, [bytes]; ld.param.u64 %q1, [start]; ld.param.u64 %q2, [out]; ld.param.u64 %q3, [a]; ld.param.u64 %q4, [b];
ld.param.u32 %r0, [accumulate]; setp.ne.u32 %p, %r0, 0;
mov.u32 %r1, %tid.x; mov.u32 %r2, room; mov.u32 %r3, bar;
setp.ne.u32 %w, %r1, 0; @%w bra READY;
mbarrier.init.shared.b64 [%r3], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%r3], ROOM;
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%q0], ROOM, [%r3];
READY: bar.sync 0;
WAIT: mbarrier.try_wait.parity.shared.b64 %w, [%r3], 0; @!%w bra WAIT;
mad.wide.u32 %q5, %r1, EACH, %q1; mad.wide.u32 %q6, %r1, EACH, %q2; mad.wide.u32 %q7, %r1, 16, %q3;
"""


def kernel(shape: str, types: str, registers: int, flags: str, a: str = "%q3", *, changes: tuple[tuple[str, str], ...] = ()):
    """Return a kernel that fills shared memory, multiplies, and stores its accumulators, `registers` a thread."""
    code = HEAD.replace("EACH", str(4 * registers)).replace("ROOM", str(ROOM))
    code += "".join(f"ld.global.b32 %d{i}, [%q5+{4 * i}];\n" for i in range(registers))
    if a != "%q3":
        code += "ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%q7];\n"
    listed = ", ".join(f"%d{i}" for i in range(registers))
    code += f"""wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.{shape}.{types} {{{listed}}}, {a}, %q4, %p{flags};
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;
"""
    code += "".join(f"st.global.b32 [%q6+{4 * i}], %d{i};\n" for i in range(registers)) + "ret; }\n"
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    return emulator.RawModule(code=code).get_function("k")


def canonical(rows: int, depth: int, size: int, swizzle: int, transposed: bool, leading: int, stride: int) -> np.ndarray:
    """Return the byte offset of every element (rows, depth), from the table of canonical layouts: nested shapes and strides."""
    t, wide = 16 // size, max(1, swizzle // 16)
    if transposed:  # MN-major
        row_shape = (t, wide, -(-rows // (t * wide)))
        column_shape = (8, depth // 8)
        row_strides = (1, t, (leading if swizzle else stride) // size)
        column_strides = (wide * t, (stride if swizzle else leading) // size)
    else:
        row_shape, column_shape = (8, rows // 8), (t, depth // t)
        row_strides, column_strides = (wide * t, stride // size), (1, t if swizzle else leading // size)

    def along(shape, strides):
        places = itertools.product(*(range(n) for n in shape[::-1]))
        return np.array([sum(c * s for c, s in zip(place[::-1], strides, strict=True)) for place in places])

    rows_at, columns_at = along(row_shape, row_strides)[:rows], along(column_shape, column_strides)[:depth]
    offset = size * (rows_at[:, None] + columns_at[None, :])
    bits = {0: 0, 32: 1, 64: 2, 128: 3}[swizzle]  # Swizzle<bits, 4, 3>
    return offset ^ (offset >> 7 & (1 << bits) - 1) << 4


def strides(rows: int, size: int, swizzle: int, transposed: bool) -> tuple[int, int]:
    """Return leading and stride offsets in which nothing overlaps."""
    if not transposed:
        atom = 8 * max(16, swizzle)
        return (rows // 8 * 128, 128) if not swizzle else (16, atom)
    if not swizzle:
        return rows * size // 16 * 128, 128
    return 2 * 8 * swizzle, 8 * swizzle


def described(start: int, leading: int, stride: int, swizzle: int, base: int = 0) -> int:
    encoded = [(n & 0x3FFFF) >> 4 for n in (start, leading, stride)]
    return encoded[0] | encoded[1] << 16 | encoded[2] << 32 | base << 49 | SWIZZLE[swizzle] << 62


def elements(kind: str, shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (bits as unsigned integers, values) of random elements of which sums of products are exact in float32."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-4, 5, shape).astype("f8")
    if kind == "u8":
        values = rng.integers(0, 256, shape).astype("f8")
    if kind == "s8":
        values = rng.integers(-128, 128, shape).astype("f8")
    if kind == "f16":
        return values.astype("f2").view("u2"), values
    if kind == "bf16":
        return (values.astype("f4").view("u4") >> 16).astype("u2"), values
    if kind == "tf32":
        return values.astype("f4").view("u4") | np.uint32(0x1000), values  # the low bits do not take part
    if kind in FP8:
        bits = np.array([np.flatnonzero(FP8[kind] == v)[0] for v in values.ravel()], "u1").reshape(shape)
        return bits, values
    return values.astype("i2").astype("u1"), values


def spread(accumulators: np.ndarray) -> np.ndarray:
    """Return D (64, n) from the accumulators (128, n / 2) of the threads, by the documented layout."""
    n = 2 * accumulators.shape[1]
    d = np.empty((64, n), accumulators.dtype)
    for thread, i in np.ndindex(*accumulators.shape):
        row = 16 * (thread // 32) + thread % 32 // 4 + 8 * (i // 2 % 2)
        d[row, 8 * (i // 4) + 2 * (thread % 4) + i % 2] = accumulators[thread, i]
    return d


def product(kind: str, n: int, a_layout, b_layout, result: str = "f32", scales=(1, 1), kinds=None, offset: int = 0):
    """Return (D by the emulator, by NumPy) without and with accumulation; a_layout, b_layout: (swizzle, transposed), and a_layout
    may be "registers"; offset: of A's start."""
    kind_a, kind_b = kinds or (kind, kind)
    size, depth = BYTES[kind], DEPTH[kind]
    memory = np.zeros(ROOM, "u1")
    (bits_a, a), (bits_b, b) = elements(kind_a, (64, depth), 1), elements(kind_b, (n, depth), 2)
    words, at, held = [], offset, np.zeros((128, 4), "u4")
    for bits, layout in ((bits_a, a_layout), (bits_b, b_layout)):
        if layout == "registers":
            for thread, i, e in np.ndindex(128, 4, 4 // size):
                row = 16 * (thread // 32) + thread % 32 // 4 + 8 * (i % 2)
                column = (thread % 4) * (4 // size) + e + (16 // size) * (i // 2)
                held[thread, i] |= np.uint32(int(bits[row, column]) << 8 * size * e)
            words.append(0)
            continue
        rows = bits.shape[0]
        step = strides(rows, size, *layout)
        places = at + canonical(rows, depth, size, *layout, *step)
        for e in range(size):
            memory[places + e] = bits >> (8 * e) & 0xFF
        words.append(described(at, *step, layout[0]))
        at = offset + 1024 * -(-(int(places.max()) + size) // 1024)
    in_registers = a_layout == "registers"
    flags = "" if result == "s32" else f", {scales[0]}, {scales[1]}"
    if size == 2:
        flags += ("" if in_registers else f", {int(a_layout[1])}") + f", {int(b_layout[1])}"
    registers = n // 4 if result == "f16" else n // 2
    start = np.random.default_rng(3).integers(-9, 9, (128, n // 2))
    start = start.astype({"f32": "f4", "f16": "f2", "s32": "i4"}[result])
    first = "{%a0, %a1, %a2, %a3}" if in_registers else "%q3"
    run = kernel(f"m64n{n}k{depth}", f"{result}.{kind_a}.{kind_b}", registers, flags, first)
    found = []
    for accumulate in (0, 1):
        out = np.zeros_like(start)
        first = held if in_registers else np.uint64(words[0])
        run((1,), (128,), (memory, start.view("u4"), out.view("u4"), first, np.uint64(words[1]), np.uint32(accumulate)))
        want = scales[0] * scales[1] * (a @ b.T) + accumulate * spread(start).astype("f8")
        found.append((spread(out), want.astype(out.dtype)))
    return found


def check(*arguments, **options) -> None:
    for got, want in product(*arguments, **options):
        assert (got == want).all()


LAYOUTS = [(swizzle, transposed) for swizzle in (0, 32, 64, 128) for transposed in (False, True)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_canonical_layouts_of_both_matrices(layout):
    """Half precision, K-major and M- or N-major; n = 64 gives repeats of every atom along M and N."""
    check("f16", 64, layout, (128, False))
    check("bf16", 72 if not layout[1] or layout[0] < 32 else 128, (128, False), layout)


@pytest.mark.parametrize(("kind", "result"), [
    ("f16", "f32"), ("f16", "f16"), ("bf16", "f32"), ("tf32", "f32"), ("e4m3", "f32"), ("e5m2", "f16"), ("s8", "s32"),
    ("u8", "s32"),
])  # fmt: skip
@pytest.mark.parametrize("a_layout", [(64, False), "registers"])
def test_types_with_a_in_shared_memory_and_in_registers(kind, result, a_layout):
    check(kind, 24, a_layout, (128, False), result)


def test_mixed_types_and_all_widths():
    check("s8", 32, (128, False), (32, False), "s32", kinds=("s8", "u8"))
    check("e4m3", 32, (128, False), (32, False), "f32", kinds=("e5m2", "e4m3"))
    for n in (8, 200, 256):
        check("f16", n, (128, False), (128, False))


@pytest.mark.parametrize("scales", [(-1, 1), (1, -1), (-1, -1)])
def test_negated_matrices(scales):
    check("f16", 16, (128, False), (128, True) if scales[0] > 0 else (128, False), "f32", scales=scales)


def test_a_swizzle_that_begins_inside_of_its_pattern():
    """K-steps inside of one atom advance the start alone; a matrix off the pattern's boundary says so by its base offset."""
    memory, (bits_a, a), (bits_b, b) = np.zeros(ROOM, "u1"), elements("f16", (64, 64), 5), elements("f16", (8, 64), 6)
    for bits, at in ((bits_a, 256), (bits_b, 16384)):
        rows, columns = np.indices(bits.shape)
        offset = 128 * rows + 2 * columns
        places = at + (offset ^ (offset >> 7 & 7) << 4)
        memory[places], memory[places + 1] = bits & 0xFF, bits >> 8
    run = kernel("m64n8k16", "f32.f16.f16", 4, ", 1, 1, 0, 0")
    out = np.zeros((128, 4), "f4")
    for k in range(4):
        words = described(256 + 32 * k, 16, 1024, 128, base=2), described(16384 + 32 * k, 16, 1024, 128)
        run((1,), (128,), (memory, out, out, *(np.uint64(w) for w in words), np.uint32(k > 0)))
    assert (spread(out) == a @ b.T).all()


def test_bits_are_counted():
    rng = np.random.default_rng(7)
    memory, a, b = np.zeros(ROOM, "u1"), rng.integers(0, 2, (64, 256)), rng.integers(0, 2, (16, 256))
    for matrix, at in ((a, 0), (b, 8192)):
        memory[at + canonical(len(matrix), 32, 1, 0, False, len(matrix) * 16, 128)] = np.packbits(matrix, 1, "little")
    words = described(0, 1024, 128, 0), described(8192, 256, 128, 0)
    out = np.zeros((128, 8), "i4")
    kernel("m64n16k256", "s32.b1.b1.and.popc", 8, "")(
        (1,), (128,), (memory, out.view("u4"), out.view("u4"), *(np.uint64(w) for w in words), np.uint32(0)))  # fmt: skip
    assert (spread(out) == a @ b.T).all()


def test_integers_wrap_or_are_kept_in_range():
    """A sum of products beyond 2^31 - 1."""
    for clamp, want in (("", -(2**31) + 99), (".satfinite", 2**31 - 1)):
        memory = np.zeros(ROOM, "u1")
        memory[canonical(64, 32, 1, 0, False, 1024, 128)] = np.eye(64, 32, dtype="u1") * 10
        memory[8192 + canonical(8, 32, 1, 0, False, 128, 128)] = 10
        words = described(0, 1024, 128, 0), described(8192, 128, 128, 0)
        start, out = np.full((128, 4), 2**31 - 1, "i4"), np.zeros((128, 4), "i4")
        kernel("m64n8k32" + clamp, "s32.u8.u8", 4, "")(
            (1,), (128,), (memory, start.view("u4"), out.view("u4"), *(np.uint64(w) for w in words), np.uint32(1)))  # fmt: skip
        assert (spread(out)[:32] == want).all() and (spread(out)[32:] == 2**31 - 1).all()


# -- what is under way -----------------------------------------------------------------------------------------------------------
PLAIN = (np.zeros(ROOM, "u1"), np.zeros((128, 4), "u4"), np.zeros((128, 4), "u4"), np.uint64(described(0, 16, 1024, 128)),
         np.uint64(described(16384, 16, 1024, 128)), np.uint32(1))  # fmt: skip
FLAGS = ", 1, 1, 0, 0"


def changed(*changes: tuple[str, str], threads: int = 128) -> None:
    kernel("m64n8k16", "f32.f16.f16", 4, FLAGS, changes=changes)((1,), (threads,), PLAIN)


WAIT = "wgmma.wait_group.sync.aligned 0;\n"


@pytest.mark.parametrize(("change", "message"), [
    ((WAIT, ""), "read of a register that a wgmma.mma_async still writes; no wgmma.wait_group has waited for it"),
    ((WAIT, WAIT.replace("0", "1")), "read of a register that a wgmma.mma_async still writes"),
    (("wgmma.commit_group.sync.aligned;\n", ""), "read of a register that a wgmma.mma_async still writes"),
    (("wgmma.fence.sync.aligned;\n", ""), r"wgmma.mma_async.* before the first wgmma.fence"),
    (("wgmma.fence.sync.aligned;\n", "wgmma.fence.sync.aligned;\nadd.u32 %d2, %d2, %d1;\n"), "registers that were changed"),
    (("wgmma.commit_group", "mov.b32 %r7, %d3;\nadd.u32 %r7, %r7, 1;\nwgmma.commit_group"), "read of a register that"),
    (("wgmma.commit_group", "add.u32 %d0, %r1, 1;\nwgmma.commit_group"), "write of a register that a wgmma.mma_async still holds"),
])  # fmt: skip
def test_registers_belong_to_the_product_until_the_wait(change, message):
    changed()
    with pytest.raises(SanitizerError, match=f"racecheck: .*{message}"):
        changed(change)


def test_registers_may_be_renamed_while_a_product_is_under_way():
    """What compilers write for a loop: a copy of the accumulators; ptxas makes one register of the two."""
    changed((WAIT, f"mov.b32 %d9, %d0;\n{WAIT}add.u32 %d0, %d9, 0;\n"))
    changed(("wgmma.fence.sync.aligned;\n", "wgmma.fence.sync.aligned;\nmov.b32 %d2, 0;\n"))


def test_many_products_under_way_are_all_remembered():
    """Three groups of 40 products each; the wait for the second lets go of the matrix that it alone has read."""
    other = f"mov.b64 %q8, {described(20480, 16, 1024, 128)};\n"
    store = "setp.eq.u32 %w, %r1, 0; @%w st.shared.b32 [%r2+20480], %r0;\n"
    product = "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, AT, %q4, %p, 1, 1, 0, 0;\n"
    groups = [40 * product.replace("AT", at) + "wgmma.commit_group.sync.aligned;\n" for at in ("%q3", "%q8", "%q3")]
    waits = WAIT.replace("0;", "2;") + WAIT.replace("0;", "1;") + store
    changed((product.replace("AT", "%q3") + "wgmma.commit_group.sync.aligned;\n", other + "".join(groups) + waits))
    with pytest.raises(SanitizerError, match="write of bytes read by an asynchronous operation that nothing has waited for"):
        changed((product.replace("AT", "%q3") + "wgmma.commit_group.sync.aligned;\n", other + "".join(groups) + store))


def test_a_product_needs_four_whole_warps():
    for threads in (64, 32, 160):
        with pytest.raises(SanitizerError) as caught:
            changed(threads=threads)
        said = "\n".join(map(str, caught.value.findings))
        assert "synccheck: wgmma.mma_async" in said and "a product needs the 128 threads of four warps" in said, threads
    with pytest.raises(SanitizerError, match="the threads of a warpgroup give different matrix descriptors"):
        changed(("wgmma.fence", "cvt.u64.u32 %q8, %r1; shr.u64 %q8, %q8, 6; add.u64 %q4, %q4, %q8;\nwgmma.fence"))


def test_a_matrix_outside_of_shared_memory():
    far = (*PLAIN[:3], np.uint64(described(ROOM - 1024, 16, 1024, 128)), *PLAIN[4:])
    with pytest.raises(SanitizerError) as caught:
        kernel("m64n8k16", "f32.f16.f16", 4, FLAGS)((1,), (128,), far)
    assert any(f.tool == "memcheck" and "out-of-bounds read of 4 bytes" in str(f) for f in caught.value.findings)


@pytest.mark.parametrize(("shape", "types", "flags", "message"), [
    ("m64n12k16", "f32.f16.f16", FLAGS, "this product is not supported"),
    ("m64n8k8", "f32.f16.f16", FLAGS, "this product is not supported"),
    ("m64n40k32", "s32.s8.s8", "", "this product is not supported"),
    ("m64n8k16", "f16.bf16.bf16", FLAGS, "this product is not supported"),
    ("m64n8k16", "f32.f16.f16", ", 1, 1", "4 immediates follow scale-d"),
    ("m64n8k16", "f32.f16.f16", ", 1, 2, 0, 0", "4 immediates follow scale-d"),
    ("m64n16k16", "f32.f16.f16", FLAGS, "D of 16 columns has 8 registers, not 4"),
    ("m64n8k256", "s32.b1.b1.xor.popc", "", "bits are combined by .and.popc alone"),
])  # fmt: skip
def test_what_is_no_product_is_refused(shape, types, flags, message):
    with pytest.raises(UnsupportedInstruction, match=message):
        kernel(shape, types, 4, flags)

"""mma with a .kind: floats of 8, 6 and 4 bits, scales of blocks, and a sparse A, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.semantics.narrow_floats import VALUES

HEAD = """.version 9.0
.target sm_120a
.address_size 64
.visible .entry k(.param .u64 p) {{ .reg .b32 %r<{total}>; .reg .b64 %rd<3>; .reg .b32 %t; .reg .b16 %h<4>;
mov.u32 %t, %tid.x; ld.param.u64 %rd0, [p]; mad.wide.u32 %rd1, %t, {bytes}, %rd0;
{loads}
mma.{form}sync.aligned.m16n8k{k}.row.col.{kind}.{result}.{a}.{b}.{result}{scale} {{{d}}}, {{{ra}}}, {{{rb}}}, {{{d}}}{more};
{stores} ret; }}"""


def random(kind: str, shape: tuple[int, int], rng) -> tuple[np.ndarray, np.ndarray]:
    """Return (patterns, values) of random finite elements; those of 8 bits are small, so that sums are exact in float32."""
    size = np.abs(np.nan_to_num(VALUES[kind], nan=99.0, posinf=99.0, neginf=99.0))
    finite = np.flatnonzero((size < 17) & (size * 64 % 1 == 0))
    patterns = rng.choice(finite, shape)
    return patterns.astype("u4"), VALUES[kind][patterns]


def packed(patterns: np.ndarray, bits: int, along_rows: bool) -> np.ndarray:
    """Return the registers (32, n) of A (rows, k) or B (columns, k): of `bits` for each element."""
    p = 32 // bits
    outer, inner = patterns.shape[0] // 8, patterns.shape[1] // (4 * p)
    order = [(i, j) for j in range(inner) for i in range(outer)] if along_rows else [(0, j) for j in range(inner)]
    words = np.zeros((32, len(order)), "u4")
    for lane, r, e in np.ndindex(32, len(order), p):
        i, j = order[r]
        words[lane, r] |= patterns[8 * i + lane // 4, 4 * p * j + lane % 4 * p + e] << np.uint32(bits * e)
    return words


def in_registers(kind: str, patterns: np.ndarray, in_bytes: bool, rng) -> np.ndarray:
    """Return patterns as a register has them: of six bits with anything above them, of four in the middle of a byte."""
    if not in_bytes:
        return patterns
    noise = rng.integers(0, 256, patterns.shape).astype("u4")
    width = {"e2m1": 6, "e2m3": 6, "e3m2": 6}.get(kind, 8)
    own = patterns << np.uint32(2) | noise & np.uint32(3) if kind == "e2m1" else patterns
    return own | noise & np.uint32(0xFF & ~((1 << width) - 1))


def sparse(patterns: np.ndarray, chunk: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (what is stored of A, its metadata, which elements stay) for a random half of A, in ascending order."""
    rows, k = patterns.shape
    part = chunk // 4
    mask, words = np.zeros((rows, k), bool), np.zeros(32, "u4")
    for row, number in np.ndindex(rows, k // chunk):
        first, second = sorted(rng.choice(4, 2, replace=False).tolist())
        for index in (first, second):
            mask[row, chunk * number + index * part : chunk * number + (index + 1) * part] = True
        words[4 * (row % 8) + row // 8 + 2 * (number // 8)] |= np.uint32((first | second << 2) << 4 * (number % 8))
    return patterns[mask].reshape(rows, k // 2), words, mask


def check(kind: str, a: str, b: str, result: str = "f32", scale: tuple = (), form: str = "", seed: int = 0) -> None:
    """Compare a product with NumPy's. scale: (type, how many for a row, byte-id and thread-id of A, of B, whether it says so)."""
    rng = np.random.default_rng(seed)
    in_bytes = "f8f6f4" in kind
    k = (32 if in_bytes else 64) * (2 if form else 1)
    (pattern_a, va), (pattern_b, vb) = random(a, (16, k), rng), random(b, (8, k), rng)
    parts, more = [], ""
    if form:
        pattern_a, words, mask = sparse(pattern_a, 4 if in_bytes else 8, rng)
        va = va * mask
    bits = 8 if in_bytes else 4
    ra = packed(in_registers(a, pattern_a, in_bytes, rng), bits, True)
    rb = packed(in_registers(b, pattern_b, in_bytes, rng), bits, False)
    lane = np.arange(32)
    rows, columns = lane // 4, 2 * (lane % 4)
    c = rng.integers(-9, 9, (16, 8)).astype("f4")
    held = np.stack([c[rows + 8 * i, columns + e] for i in (0, 1) for e in (0, 1)], axis=1)
    held = held.astype("f2" if result == "f16" else "f4").view("u4")
    parts = [ra, rb, held]
    names = [f"%r{i}" for i in range(sum(p.shape[1] for p in parts))]
    if form:
        parts.append(words[:, None])
        more += f", %r{len(names)}, 0"
        names.append(more)
    if scale:
        kind_of_scale, count, ids_a, ids_b, _ = scale
        raw = [rng.integers(*((120, 130) if kind_of_scale == "ue8m0" else (48, 72)), (32, 4)).astype("u1") for _ in "ab"]
        number = np.ldexp(1.0, np.arange(256) - 127) if kind_of_scale == "ue8m0" else np.abs(VALUES["e4m3"])
        for row in range(16):
            own = raw[0][4 * (row % 8) + 2 * ids_a[1] + row // 8, ids_a[0] : ids_a[0] + count]
            va[row] *= np.repeat(number[own], k // count)
        for column in range(8):
            own = raw[1][4 * column + ids_b[1], ids_b[0] : ids_b[0] + count]
            vb[column] *= np.repeat(number[own], k // count)
        parts += [r.view("u4") for r in raw]
        for i, ids in enumerate((ids_a, ids_b)):
            more += f", %r{len(names) + i}, {{{ids[0]}, {ids[1]}}}"
    table = np.concatenate(parts, axis=1)
    got = run(kind, k, a, b, result, scale, form, [p.shape[1] for p in parts], more, table)
    want = va @ vb.T + c
    want = np.stack([want[rows + 8 * i, columns + e] for i in (0, 1) for e in (0, 1)], axis=1)
    np.testing.assert_array_equal(got, want.astype(got.dtype))


def run(kind, k, a, b, result, scale, form, counts, more, table) -> np.ndarray:
    """Run the product of the registers in a table (32, n), and return what the lanes have of D."""
    names = [f"%r{i}" for i in range(sum(counts))]
    ends = np.cumsum(counts)[:3]
    written = f".{scale[0]}" if scale else ""
    vector = f".block_scale{f'.scale_vec::{scale[1]}X' if scale[4] else ''}" if scale else ""
    text = HEAD.format(
        total=len(names), bytes=4 * len(names), loads=" ".join(f"ld.global.u32 {n}, [%rd1+{4 * i}];" for i, n in enumerate(names)),
        form=form, k=k, kind=kind + vector, result=result, a=a, b=b, scale=written, d=", ".join(names[ends[1] : ends[2]]),
        ra=", ".join(names[: ends[0]]), rb=", ".join(names[ends[0] : ends[1]]), more=more,
        stores=" ".join(f"st.global.u32 [%rd1+{4 * i}], %r{i};" for i in range(ends[1], ends[2])),
    )  # fmt: skip
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (table,))
    return np.ascontiguousarray(table[:, ends[1] : ends[2]]).view("f2" if result == "f16" else "f4")


@pytest.mark.parametrize(("a", "b", "result"), [
    ("e2m1", "e3m2", "f32"), ("e2m3", "e2m1", "f32"), ("e3m2", "e4m3", "f32"), ("e5m2", "e2m3", "f32"), ("e2m1", "e2m1", "f16"),
])  # fmt: skip
def test_elements_of_a_byte(a, b, result):
    """Any type with any; what else a byte has is not looked at."""
    check("kind::f8f6f4", a, b, result)


@pytest.mark.parametrize("ids", [((0, 0), (0, 0)), ((3, 1), (1, 3)), ((2, 0), (3, 2))])
def test_one_scale_for_each_row_and_column(ids):
    check("kind::mxf8f6f4", "e2m1", "e2m3", scale=("ue8m0", 1, *ids, ids[0][0] == 3))


@pytest.mark.parametrize(("kind", "scale"), [
    ("kind::mxf4", ("ue8m0", 2, (0, 1), (2, 3), False)), ("kind::mxf4nvf4", ("ue8m0", 2, (2, 0), (0, 1), True)),
    ("kind::mxf4nvf4", ("ue8m0", 4, (0, 1), (0, 2), True)), ("kind::mxf4nvf4", ("ue4m3", 4, (0, 0), (0, 0), True)),
])  # fmt: skip
def test_several_scales(kind, scale):
    """Halves or quarters of the rows of A and the columns of B have scales of their own: powers of two, or e4m3 without a sign."""
    check(kind, "e2m1", "e2m1", scale=scale)


@pytest.mark.parametrize(("kind", "a", "scale"), [
    ("kind::f8f6f4", "e3m2", ()), ("kind::mxf8f6f4", "e2m1", ("ue8m0", 1, (1, 1), (2, 0), True)),
    ("kind::mxf4nvf4", "e2m1", ("ue4m3", 4, (0, 0), (0, 1), True)),
])  # fmt: skip
def test_a_sparse_a(kind, a, scale):
    check(kind, a, "e2m1", scale=scale, form="sp::ordered_metadata.")


def test_a_scale_that_is_no_number_and_selectors_that_do_not_exist():
    table = np.zeros((32, 12), "u4")
    table[:, 10], table[:, 11] = 0x7F7F7F7F, 0x7F7F7FFF
    more = ", %r10, {{{}, {}}}, %r11, {{{}, {}}}"
    scale = ("ue8m0", 1, (), (), True)

    def tried(*ids: int) -> np.ndarray:
        return run("kind::mxf8f6f4", 32, "e4m3", "e4m3", "f32", scale, "", [4, 2, 4, 1, 1], more.format(*ids), table.copy())

    assert (tried(0, 0, 1, 0) == 0).all() and np.isnan(tried(0, 0, 0, 0)).all()
    with pytest.raises(SanitizerError, match=r"byte-id-a of a product with scale_vec::1X is 4: it can be 0, 1, 2, 3"):
        tried(4, 0, 0, 0)
    with pytest.raises(SanitizerError, match=r"thread-id-a of a product with scale_vec::1X is 2: it can be 0, 1"):
        tried(0, 2, 0, 0)


WRITTEN = r"""
extern "C" __global__ void k(const unsigned* a, float* out) {
    const unsigned* r = a + 8 * threadIdx.x;
    float d[8] = {};
    unsigned short byte = 1, thread = 0;
    unsigned ones = 0x3c003c00;
    asm volatile("mma.sync.aligned.kind::mxf8f6f4.block_scale.scale_vec::1X.m16n8k32.row.col.f32.e4m3.e4m3.f32.ue8m0 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3}, {%10}, {%11, %12}, {%10}, {%11, %12};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]), "r"(0x80008100), "h"(byte), "h"(thread));
    asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %4, %5}, {%0, %1, %2, %3}, {%10}, 0x1;\n"
                 : "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
                 : "r"(ones), "r"(ones), "r"(ones), "r"(ones), "r"(ones), "r"(ones), "r"(0x44444444));
    for (int i = 0; i < 8; i++) out[8 * threadIdx.x + i] = d[i];
}
"""


def test_operands_as_cutlass_writes_them():
    """Words in braces, selectors in registers, the kind before the shape: ones times ones, scaled by 2^2 each; half of 32 ones."""
    held, out = np.full((32, 8), 0x38383838, "u4"), np.zeros((32, 8), "f4")
    emulator.RawModule(code=WRITTEN, options=("-arch=sm_120a",)).get_function("k")((1,), (32,), (held, out))
    assert (out[:, :4] == 32 * 4 * 4).all() and (out[:, 4:] == 16).all()


@pytest.mark.parametrize(("bits", "form"), [(4, "b4x16_p64"), (6, "b6x16_p32")])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_ldmatrix_gives_every_element_a_byte(bits, form, count):
    """Rows of 16 bytes, of which the last ones are padding that nothing has written; lane 4 g + t holds elements 4 t to 4 t + 3."""
    text = f""".version 9.0
.target sm_120a
.address_size 64
.visible .entry k(.param .u64 in, .param .u64 out) {{ .reg .b32 %r<9>; .reg .b64 %d<5>; .shared .align 16 .b8 box[512];
ld.param.u64 %d1, [in]; ld.param.u64 %d2, [out]; mov.u32 %r1, %tid.x; mov.u32 %r6, box; mad.lo.u32 %r7, %r1, 16, %r6;
mad.wide.u32 %d3, %r1, 16, %d1; ld.global.v4.u32 {{%r2, %r3, %r4, %r5}}, [%d3];
st.shared.v2.u32 [%r7], {{%r2, %r3}}; {"st.shared.u32 [%r7+8], %r4;" if bits == 6 else ""} bar.warp.sync -1;
ldmatrix.sync.aligned.m8n16.x{count}.shared.b8x16.{form} {{{", ".join(f"%r{i}" for i in range(2, 2 + count))}}}, [%r7];
mad.wide.u32 %d4, %r1, 16, %d2; {" ".join(f"st.global.u32 [%d4+{4 * i}], %r{i + 2};" for i in range(count))} ret; }}
"""
    elements = np.random.default_rng(bits).integers(0, 1 << bits, (32, 16))
    rows = np.array([list(sum(int(v) << bits * i for i, v in enumerate(row)).to_bytes(16, "little")) for row in elements], "u1")
    out = np.zeros((32, 4, 4), "u1")
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (rows, out))
    for lane, matrix in np.ndindex(32, count):
        g, t = divmod(lane, 4)
        assert out[lane, matrix].tolist() == elements[8 * matrix + g, 4 * t : 4 * t + 4].tolist()


@pytest.mark.parametrize(("bits", "form"), [(4, "b4x16_p64"), (6, "b6x16_p32")])
def test_rows_of_narrow_elements_begin_at_multiples_of_16_bytes(bits, form):
    """The second row of the first matrix begins 8 bytes late; nobody reads at the addresses of lanes 8 to 31."""
    text = f""".version 9.0
.target sm_120a
.address_size 64
.visible .entry k() {{ .reg .b32 %r<9>; .reg .pred %p<3>; .shared .align 16 .b8 box[512];
mov.u32 %r1, %tid.x; mov.u32 %r6, box; mad.lo.u32 %r7, %r1, 16, %r6; st.shared.v4.u32 [%r7], {{%r1, %r1, %r1, %r1}};
bar.warp.sync -1; setp.eq.u32 %p1, %r1, 1; @%p1 add.u32 %r7, %r7, 8; setp.gt.u32 %p2, %r1, 7; @%p2 add.u32 %r7, %r7, 3;
ldmatrix.sync.aligned.m8n16.x1.shared.b8x16.{form} {{%r2}}, [%r7]; ret; }}
"""
    with pytest.raises(SanitizerError, match=r"misaligned read of 16 bytes at shared address 0x18 by thread \(1, 0, 0\)") as told:
        emulator.RawModule(code=text).get_function("k")((1,), (32,), ())
    assert [f.count for f in told.value.findings] == [1]


@pytest.mark.parametrize(("kind", "k", "a", "scale", "form", "message"), [
    ("kind::f8f6f4", 64, "e4m3", (), "", "supported as m16n8k32, row.col, of e4m3 e5m2 e3m2 e2m3 e2m1"),
    ("kind::mxf4", 64, "e4m3", ("ue8m0", 2, 0, 0, True), "", "supported as m16n8k64, row.col, of e2m1, with D and C of f32"),
    ("kind::mxf4", 64, "e2m1", ("ue4m3", 4, 0, 0, True), "", "has the scales scale_vec::2X with ue8m0"),
    ("kind::mxf4nvf4", 64, "e2m1", ("ue8m0", 2, 0, 0, False), "", "scale_vec::4X with ue4m3"),
    ("kind::mxf4nvf4", 128, "e2m1", ("ue4m3", 4, 0, 0, True), "sp.", "supported as m16n8k128"),
    ("kind::mxf4", 64, "e2m1", ("ue8m0", 3, 0, 0, True), "", "modifier .scale_vec::3X is not supported"),
    ("kind::f8f6f4.satfinite", 32, "e4m3", (), "", "supported as m16n8k32, row.col"),
])  # fmt: skip
def test_products_that_do_not_exist_are_refused(kind, k, a, scale, form, message):
    more = (", %r10, 0" if form else "") + (", %r10, {0, 0}, %r11, {0, 0}" if scale else "")
    with pytest.raises(UnsupportedInstruction, match=message):
        run(kind, k, a, a, "f32", scale, form, [4, 2, 4, 1, 1], more, np.zeros((32, 12), "u4"))

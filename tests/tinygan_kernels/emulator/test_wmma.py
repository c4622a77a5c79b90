"""The warp-level matrix product: wmma.load, wmma.mma and wmma.store, from PTX and from nvcuda::wmma, and mma of small types.

The layout of a wmma fragment is open, so every test goes from memory to memory. mma's layouts are documented: its tests write
registers by the formulas of the PTX manual.
"""

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import CompilationError, SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.semantics import fragments

TILES = [(16, 16, 16), (32, 8, 16), (8, 32, 16)]
REGISTERS = {
    **{("f16", *shape): (8, 8) for shape in TILES},
    ("bf16", 16, 16, 16): (4, 4), ("bf16", 32, 8, 16): (8, 2), ("bf16", 8, 32, 16): (2, 8),
    **{(kind, *shape): count for kind in ("s8", "u8") for shape, count in zip(TILES, ((2, 2), (4, 1), (1, 4)), strict=True)},
    ("tf32", 16, 16, 8): (4, 4), ("f64", 8, 8, 4): (1, 1),
    ("s4", 8, 8, 32): (1, 1), ("u4", 8, 8, 32): (1, 1), ("b1", 8, 8, 128): (1, 1),
}  # fmt: skip
"""How many registers A and B have, by the table of the PTX manual (9.7.14.3, "Matrix Fragments for WMMA")."""
BITS = {"s8": (-128, 127), "u8": (0, 255), "s4": (-8, 7), "u4": (0, 15), "b1": (0, 1)}


def random(rng, kind: str, shape) -> np.ndarray:
    """Return values of a type, exactly, as float64."""
    if kind in BITS:
        return rng.integers(BITS[kind][0], BITS[kind][1] + 1, shape).astype("f8")
    return rng.integers(-64, 65, shape) / 8 if kind != "f64" else rng.normal(size=shape)


def stored(values: np.ndarray, kind: str, layout: str, stride: int) -> np.ndarray:
    """Return a matrix as it lies in memory, as bytes: rows (columns) `stride` elements apart, with other numbers between."""
    table = values if layout == "row" else values.T
    wide = np.full((table.shape[0], stride), 3.0 if kind != "b1" else 1.0)
    wide[:, : table.shape[1]] = table
    if kind in ("f16", "f32", "f64", "s32"):
        return wide.astype({"f16": "f2", "f32": "f4", "f64": "f8", "s32": "i4"}[kind]).view("u1").copy()
    if kind in ("bf16", "tf32"):
        bits = wide.astype("f4").view("u4")
        return ((bits >> 16).astype("u2") if kind == "bf16" else bits | 0x1FFF).view("u1").copy()
    if kind in ("s8", "u8"):
        return wide.astype("i2").astype("u1").copy()
    if kind == "b1":
        return np.packbits(wide.astype("u1"), axis=1, bitorder="little")
    nibbles = wide.astype("i2").astype("u1") & 15
    return nibbles[:, ::2] | nibbles[:, 1::2] << 4


def names(first: int, count: int, letter: str) -> str:
    return "{" + ", ".join(f"%{letter}{first + i}" for i in range(count)) + "}"


def kernel(shape, kinds, layouts, strides, mma: str, shared: bool = False) -> str:
    """Return a kernel of one warp: D = A B + C, with C and D in memory as layouts[2] and layouts[3] say."""
    m, n, k = shape
    d, a, b, c = kinds
    ra, rb = REGISTERS[(a, *shape)]
    rc, rd = ((m * n // 32) // (2 if kind == "f16" else 1) for kind in (c, d))
    ptx_shape = f"m{m}n{n}k{k}"
    letter = "x" if a == "f64" else "r"
    copy = "" if not shared else f"""
 .shared .align 16 .b8 tile[4096];
 mov.u64 %q5, tile; cvta.shared.u64 %q6, %q5; mov.u32 %i, 0;
L: mov.u32 %j, %tid.x; add.u32 %j, %j, %i; cvt.u64.u32 %q7, %j; add.u64 %q8, %q7, %q0; ld.global.u8 %h, [%q8];
 add.u64 %q8, %q7, %q5; st.shared.u8 [%q8], %h; add.u32 %i, %i, 32; setp.lt.u32 %p, %i, {shared}; @%p bra L;
 bar.sync 0;"""
    source = "tile" if shared else "%q0"
    where = ".shared" if shared else ".global"
    return f""".version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd) {{
 .reg .b32 %r<80>; .reg .b64 %x<80>; .reg .b64 %q<10>; .reg .b32 %i, %j, %s<4>; .reg .u16 %h; .reg .pred %p;
 ld.param.u64 %q0, [pa]; ld.param.u64 %q1, [pb]; ld.param.u64 %q2, [pc]; ld.param.u64 %q3, [pd];{copy}
 mov.u32 %s0, {strides[0]};
 wmma.load.a.sync.aligned.{layouts[0]}.{ptx_shape}{where}.{a} {names(0, ra, letter)}, [{source}], %s0;
 wmma.load.b.sync.aligned.{layouts[1]}.{ptx_shape}.global.{b} {names(20, rb, letter)}, [%q1], {strides[1]};
 wmma.load.c.sync.aligned.{layouts[2]}.{ptx_shape}.{c} {names(40, rc, letter)}, [%q2], {strides[2]};
 {mma} {names(60, rd, letter)}, {names(0, ra, letter)}, {names(20, rb, letter)}, {names(40, rc, letter)};
 wmma.store.d.sync.aligned.{layouts[3]}.{ptx_shape}.global.{d} [%q3], {names(60, rd, letter)}, {strides[3]};
 ret; }}"""


def case(kind: str, shape, d: str, c: str, layouts, operation: str = "", shared: bool = False, seed: int = 0):
    """Run one product. Return (what the kernel wrote, what it should have written), as float64."""
    rng, (m, n, k) = np.random.default_rng(seed), shape
    a, b = random(rng, kind, (m, k)), random(rng, kind, (k, n))
    add = rng.integers(-999, 1000, (m, n)) / (1.0 if c == "s32" else 8.0)
    step = {"b1": 128, "s4": 32, "u4": 32}.get(kind, 16)
    inner = [k if layouts[0] == "row" else m, n if layouts[1] == "row" else k, n if layouts[2] == "row" else m]
    strides = [size + step * i for i, size in enumerate(inner, 1)]
    strides.append(strides[2] if layouts[3] == layouts[2] else (n if layouts[3] == "row" else m) + 16)
    form = f"wmma.mma{operation}.sync.aligned.{layouts[0]}.{layouts[1]}.m{m}n{n}k{k}"
    types = f".{d}.{c}" if kind == "f16" else f".{d}.{kind}.{kind}.{c}"
    bytes_a = stored(a, kind, layouts[0], strides[0])
    text = kernel(shape, (d, kind, kind, c), layouts, strides, form + types, bytes_a.size if shared else False)
    out = stored(np.zeros((m, n)), d, layouts[3], strides[3])
    emulator.RawModule(code=text).get_function("k")(
        (1,), (32,), (bytes_a, stored(b, kind, layouts[1], strides[1]), stored(add, c, layouts[2], strides[2]), out)
    )
    table = out.view({"f16": "f2", "f32": "f4", "f64": "f8", "s32": "i4"}[d]).reshape(-1, strides[3]).astype("f8")
    width = n if layouts[3] == "row" else m
    assert (table[:, width:] == 3).all(), "what lies between the rows is not touched"
    want = add + (a @ b if ".xor" not in operation else (a[:, :, None] != b[None]).sum(axis=1))
    return (table[:, :width] if layouts[3] == "row" else table[:, :width].T), want


LAYOUTS = [("row", "col", "row", "row"), ("col", "row", "col", "row"), ("row", "row", "row", "col"), ("col", "col", "col", "col")]


@pytest.mark.parametrize("shape", TILES)
@pytest.mark.parametrize(("kind", "d", "c"), [
    ("f16", "f32", "f32"), ("f16", "f16", "f16"), ("f16", "f32", "f16"), ("f16", "f16", "f32"), ("bf16", "f32", "f32"),
    ("s8", "s32", "s32"), ("u8", "s32", "s32"),
])  # fmt: skip
def test_products_of_every_layout(shape, kind, d, c):
    """Values are multiples of 1/8, so that float32 sums are exact, and one rounding gives float16's."""
    for i, layouts in enumerate(LAYOUTS):
        got, want = case(kind, shape, d, c, layouts, seed=i, shared=layouts[0] != layouts[1])
        assert (got == (want.astype("f2") if d == "f16" else want)).all(), layouts


def test_other_types():
    for layouts in LAYOUTS:
        got, want = case("tf32", (16, 16, 8), "f32", "f32", layouts)
        assert (got == want).all(), "the low 13 bits of tf32, which are set here, do not take part"
        got, want = case("f64", (8, 8, 4), "f64", "f64", layouts)
        assert np.abs(got - want).max() < 1e-12
    for kind, shape, operation in (("s4", (8, 8, 32), ""), ("u4", (8, 8, 32), ""), ("b1", (8, 8, 128), ".xor.popc"),
                                   ("b1", (8, 8, 128), ".and.popc")):  # fmt: skip
        for layouts in (("row", "col", "row", "col"), ("row", "col", "col", "row")):
            got, want = case(kind, shape, "s32", "s32", layouts, operation)
            assert (got == want).all(), (kind, operation)


def test_satfinite_keeps_sums_in_their_range():
    text = kernel((16, 16, 16), ("s32", "u8", "u8", "s32"), ("row", "col", "row", "row"), (16,) * 4,
                  "wmma.mma.sync.aligned.row.col.m16n16k16.s32.u8.u8.s32.satfinite")  # fmt: skip
    a, c = np.full((16, 16), 255, "u1"), np.full((16, 16), 2**31 - 5, "i4")
    for code, want in ((text, 2**31 - 1), (text.replace(".satfinite", ""), 2**31 - 5 + 16 * 255**2 - 2**32)):
        d = np.zeros((16, 16), "i4")
        emulator.RawModule(code=code).get_function("k")((1,), (32,), (a, a, c, d))
        assert (d == want).all()


def ones(**changed):
    """Return (PTX of a product of f16 16x16 matrices, arguments), with strides of 16 but for those changed."""
    strides = [changed.get(name, 16) for name in "abcd"]
    text = kernel((16, 16, 16), ("f32", "f16", "f16", "f32"), ("row", "col", "row", "row"), strides,
                  "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32")  # fmt: skip
    return text, [np.ones((16, 16), "f2"), np.ones((16, 16), "f2"), np.zeros((16, 16), "f4"), np.zeros((16, 16), "f4")]


def test_the_sanitizer_sees_every_element():
    text, arguments = ones()
    short = [arguments[0].ravel()[:255].copy(), *arguments[1:]]
    with pytest.raises(SanitizerError, match=r"memcheck: out-of-bounds read of 4 bytes; across the end of argument 0"):
        emulator.RawModule(code=text).get_function("k")((1,), (32,), tuple(short))
    missing = emulator.empty((16, 16), "f4")
    missing[:15] = 0
    with pytest.raises(SanitizerError, match=r"initcheck: read of uninitialised global memory .*\(8 times\)"):
        emulator.RawModule(code=text).get_function("k")((1,), (32,), (*arguments[:2], missing, arguments[3]))
    with pytest.raises(SanitizerError, match=r"memcheck: misaligned read of 16 bytes"):  # rows 40 bytes apart
        code, _ = ones(a=20)
        emulator.RawModule(code=code).get_function("k")((1,), (32,), (np.ones((20, 20), "f2"), *arguments[1:]))
    nibbles = kernel((8, 8, 32), ("s32", "s4", "s4", "s32"), ("row", "col", "row", "row"), (33, 32, 8, 8),
                     "wmma.mma.sync.aligned.row.col.m8n8k32.s32.s4.s4.s32")  # fmt: skip
    with pytest.raises(SanitizerError, match="memcheck: misaligned read of 4 bytes"):  # rows 16 bytes and a half apart
        emulator.RawModule(code=nibbles).get_function("k")((1,), (32,), tuple(np.zeros(256, "i4") for _ in range(4)))
    half = text.replace("ld.param.u64 %q0, [pa];", "ld.param.u64 %q0, [pa]; mov.u32 %i, %tid.x; setp.lt.u32 %p, %i, 16; @%p ret;")
    with pytest.raises(SanitizerError, match="synccheck"):
        emulator.RawModule(code=half.replace("@%p ret;", "@%p bra E;").replace(" ret; }", "E: ret; }")).get_function("k")(
            (1,), (32,), tuple(arguments)
        )


def test_in_place_and_between_warps():
    """C may be D. Two warps that write one tile race; what another lane reads after a store needs a __syncwarp."""
    text, arguments = ones()
    arguments[3] = arguments[2]
    emulator.RawModule(code=text).get_function("k")((1,), (32,), tuple(arguments))
    assert (arguments[2] == 16).all()
    with pytest.raises(SanitizerError, match="racecheck"):
        emulator.RawModule(code=text).get_function("k")((1,), (64,), tuple(arguments))


def test_the_strides_may_be_left_out_and_products_are_counted():
    text, arguments = ones()
    bare = text.replace("], %s0;", "];").replace("], 16;", "];").replace("}, 16;", "};")
    with emulator.count() as counts:
        emulator.RawModule(code=bare).get_function("k")((2,), (32,), tuple(arguments))
    assert (arguments[3] == 16).all()
    assert counts["flop"] == 2 * 2 * 16**3 and counts["smsp__sass_thread_inst_executed_op_tensor_pred_on.sum"] == 64
    assert counts["global_bytes"] == 2 * (2 * 512 + 2 * 1024), "each element is moved once, though two lanes hold it"


@pytest.mark.parametrize(("shape", "kinds", "message"), [
    ("m16n16k16", "f32.tf32.tf32.f32", "this wmma is not supported; supported: .*m16n16k8 tf32"),
    ("m16n16k16", "s32.s8.f16.s32", "this wmma is not supported"),
])  # fmt: skip
def test_what_is_no_product_is_named(shape, kinds, message):
    text, _ = ones()
    code = text.replace("m16n16k16.f32.f32 ", f"{shape}.{kinds} ")
    with pytest.raises(UnsupportedInstruction, match=message):
        emulator.RawModule(code=code).get_function("k")


# -- mma of small types, by the layouts of the PTX manual ------------------------------------------------------------
def held(kind: str) -> int:
    return {"e4m3": 4, "e5m2": 4, "s4": 8, "u4": 8, "b1": 32, "f64": 1, "s8": 4, "u8": 4, "f16": 2, "bf16": 2}[kind]


@pytest.mark.parametrize(("kind", "shape"), [
    ("e4m3", (16, 8, 32)), ("e5m2", (16, 8, 32)), ("e4m3", (16, 8, 16)), ("s4", (16, 8, 64)), ("u4", (16, 8, 32)),
    ("s4", (8, 8, 32)), ("b1", (16, 8, 256)), ("b1", (8, 8, 128)), ("u8", (8, 8, 16)), ("f64", (16, 8, 16)), ("f64", (16, 8, 8)),
    ("bf16", (16, 8, 16)),
])  # fmt: skip
def test_mma_of_small_types(kind, shape):
    m, n, k = shape
    p, rng, lane = held(kind), np.random.default_rng(5), np.arange(32)
    group, thread = lane // 4, lane % 4
    ka, kb = k * m // (32 * p), k * n // (32 * p)
    word, size = ("u8", 8) if kind == "f64" else ("u4", 4)
    ra = rng.integers(0, 2**32, (32, ka), dtype="u4") if kind != "f64" else rng.normal(size=(32, ka)).view("u8")
    rb = rng.integers(0, 2**32, (32, kb), dtype="u4") if kind != "f64" else rng.normal(size=(32, kb)).view("u8")
    if kind in ("e4m3", "e5m2", "bf16"):  # keep to small finite values: clear the high bits of the exponents
        ra, rb = (r & np.uint32(0x3F3F3F3F if kind != "bf16" else 0x3FFF3FFF) for r in (ra, rb))
    a, b = np.zeros((m, k)), np.zeros((k, n))
    for i in range(ka * p):  # rows alternate between groupID and groupID + 8, then columns 4 p on
        register, e = divmod(i, p)
        row = group + 8 * (register % 2 if m == 16 else 0)
        column = thread * p + e + 4 * p * (register // 2 if m == 16 else register)
        a[row, column] = element(ra[:, register], kind, e)
    for i in range(kb * p):
        register, e = divmod(i, p)
        b[thread * p + e + 4 * p * register, group] = element(rb[:, register], kind, e)
    floating = kind in ("e4m3", "e5m2", "bf16")
    rc = 4 if m == 16 else 2
    result = "f64" if kind == "f64" else "f32" if floating else "s32"
    operation = ".xor.popc" if kind == "b1" else ""
    total = ka + kb + rc
    registers = [f"%r{i}" for i in range(total)]
    groups = ["{" + ", ".join(part) + "}" for part in (registers[ka + kb :], registers[:ka], registers[ka : ka + kb])]
    text = f""".version 8.4
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p) {{ .reg .b{8 * size} %r<24>; .reg .b64 %q<3>; .reg .b32 %t;
mov.u32 %t, %tid.x; ld.param.u64 %q0, [p]; mad.wide.u32 %q1, %t, {size * total}, %q0;
{" ".join(f"ld.global.b{8 * size} %r{i}, [%q1+{size * i}];" for i in range(total))}
mma.sync.aligned.m{m}n{n}k{k}.row.col.{result}.{kind}.{kind}.{result}{operation} {groups[0]}, {groups[1]}, {groups[2]}, {groups[0]};
{" ".join(f"st.global.b{8 * size} [%q1+{size * i}], %r{i};" for i in range(ka + kb, total))} ret; }}"""
    table = np.zeros((32, total), word)
    table[:, :ka], table[:, ka : ka + kb] = ra, rb
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (table,))
    got = np.ascontiguousarray(table[:, ka + kb :]).view({"f64": "f8", "f32": "f4", "s32": "i4"}[result])
    product = a @ b if kind != "b1" else (a[:, :, None] != b[None]).sum(axis=1)
    want = np.stack([product[group + 8 * (i // 2), 2 * thread + i % 2] for i in range(rc)], axis=1)
    assert np.allclose(got, want, rtol=1e-6, atol=1e-12 if kind == "f64" else 1e-5) and np.abs(want).max() > 0


def element(word: np.ndarray, kind: str, e: int) -> np.ndarray:
    """Return element e of a register of every lane, decoded bit by bit."""
    if kind == "f64":
        return word.view("f8")
    bits = 32 // held(kind)
    raw = (word >> np.uint32(bits * e) & np.uint32((1 << bits) - 1)).astype("i8")
    if kind in ("u8", "u4", "b1"):
        return raw
    if kind in ("s4", "s8"):
        return np.where(raw >> (bits - 1), raw - (1 << bits), raw)
    if kind == "bf16":
        return (raw.astype("u4") << 16).view("f4")
    if kind == "e5m2":  # the upper half of a float16
        return (raw.astype("u2") << 8).view("f2")
    exponent, fraction = (raw >> 3) & 15, raw & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    return np.where(raw & 128, -size, size)


def test_every_pattern_of_8_bit_floats():
    """e5m2 is the upper half of float16; e4m3 has NaN at 0x7f and 0xff alone, and 448 as its largest number."""
    words = np.zeros((1, 32), "u4")
    decoded = {kind: [] for kind in ("e4m3", "e5m2")}
    for pattern in range(256):
        words[:] = pattern
        for kind, values in decoded.items():
            values.append(fragments.unpack([words], kind)[0, 0, 0])
    half = (np.arange(256, dtype="u2") << 8).view("f2").astype("f8")
    np.testing.assert_array_equal(decoded["e5m2"], half)
    e4m3 = np.array(decoded["e4m3"])
    assert np.flatnonzero(np.isnan(e4m3)).tolist() == [0x7F, 0xFF] and np.nanmax(e4m3) == 448 and e4m3[1] == 2.0**-9
    finite = ~np.isnan(e4m3)
    want = element(np.arange(256, dtype="u4"), "e4m3", 0)
    assert (e4m3[finite] == want[finite]).all()


# -- nvcuda::wmma, as people write it -----------------------------------------------------------------------------------
TILED = r"""
#include <mma.h>
using namespace nvcuda;

extern "C" __global__ void matmul(const half* a, const half* b, float* c, int n) {    // a tile of 16 x 16 for each of the 4 warps
    __shared__ half left[32][24], right[24 * 32];
    int warp = threadIdx.x / warpSize, row = 32 * blockIdx.y, column = 32 * blockIdx.x;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> total;
    wmma::fill_fragment(total, 0.0f);
    for (int k = 0; k < n; k += 16) {
        for (int i = threadIdx.x; i < 512; i += blockDim.x) {
            left[i / 16][i % 16] = a[(row + i / 16) * n + k + i % 16];
            right[i % 32 * 24 + i / 32] = b[(k + i / 32) * n + column + i % 32];
        }
        __syncthreads();
        wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> fb;
        wmma::load_matrix_sync(fa, &left[warp / 2 * 16][0], 24);
        wmma::load_matrix_sync(fb, &right[warp % 2 * 16 * 24], 24);
        wmma::mma_sync(total, fa, fb, total);
        __syncthreads();
    }
    for (int i = 0; i < total.num_elements; i++) total.x[i] *= 0.5f;
    wmma::store_matrix_sync(c + (row + warp / 2 * 16) * n + column + warp % 2 * 16, total, n, wmma::mem_row_major);
}
"""


def test_a_tiled_product_in_cuda_cpp():
    pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")
    try:
        kernel = emulator.RawModule(code=TILED, filename="tiled.cu").get_function("matmul")
    except CompilationError as error:
        assert "crt/mma.h is in another package: pip install 'cuda-toolkit[" in str(error)
        pytest.skip("needs crt/mma.h: pip install 'cuda-toolkit[crt]' (CUDA 13) or 'cuda-toolkit[nvcc]' (CUDA 12)")
    rng = np.random.default_rng(3)
    a, b, c = rng.normal(size=(64, 64)).astype("f2"), rng.normal(size=(64, 64)).astype("f2"), np.zeros((64, 64), "f4")
    kernel((2, 2), (128,), (a, b, c, np.int32(64)))
    assert np.abs(c - 0.5 * (a.astype("f8") @ b.astype("f8"))).max() < 1e-5
    broken = TILED.replace("        __syncthreads();\n    }", "    }")
    with pytest.raises(SanitizerError, match=r"racecheck: .*the other is .*tiled.cu:18 .*tiled.cu:12"):
        emulator.RawModule(code=broken, filename="tiled.cu").get_function("matmul")((2, 2), (128,), (a, b, c, np.int32(64)))

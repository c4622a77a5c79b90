"""Warp collectives and the tensor cores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptx_snippets import run
from tinygan_kernels import emulator

LANE = np.arange(64, dtype="i4")


def shuffled(mode: str, lane: int, b: int, c: int) -> tuple[int, bool]:
    """Compute (source lane, predicate) of shfl by the PTX manual's pseudocode."""
    segment, clamp = c >> 8 & 31, c & 31
    most, least = (lane & segment) | (clamp & ~segment & 31), lane & segment
    if mode == "up":
        j = lane - b
        return (j, True) if j >= most else (lane, False)
    j = {"down": lane + b, "bfly": lane ^ b, "idx": least | (b & ~segment & 31)}[mode]
    return (j, True) if j <= most else (lane, False)


@given(st.sampled_from(["up", "down", "bfly", "idx"]), st.integers(0, 31), st.sampled_from([1, 2, 4, 8, 16, 32]))
@settings(max_examples=40, deadline=None)
def test_shuffles(mode, b, width):
    c = (32 - width) << 8 | (0 if mode == "up" else 31)
    x, p = run(
        f"shfl.sync.{mode}.b32 %x|%p0, %a, {b}, {c}, -1; selp.u32 %y, 1, 0, %p0;",
        [("u32", LANE.view("u4") * 3)],
        "u32",
        ("u32",),
    )
    want = [shuffled(mode, lane % 32, b, c) for lane in range(64)]
    assert x.tolist() == [3 * (lane // 32 * 32 + j) for lane, (j, _) in enumerate(want)]
    assert p.tolist() == [int(inside) for _, inside in want]


def test_shuffle_from_a_lane_of_ones_own_choice():
    source = np.random.default_rng(0).integers(0, 32, 64).astype("u4")
    x = run("shfl.sync.idx.b32 %x, %a, %b, 31, -1;", [("u32", LANE.view("u4")), ("u32", source)])
    assert x.tolist() == [lane // 32 * 32 + s for lane, s in enumerate(source.tolist())]


def test_votes():
    a = (LANE * 7 % 5).view("u4")
    text = (
        "setp.lt.u32 %p0, %a, 2; vote.sync.ballot.b32 %x, %p0, -1; "
        "vote.sync.any.pred %p1, %p0, 0xff; vote.sync.all.pred %p2, !%p0, 0x4; "
        "selp.u32 %y, 1, 0, %p1; selp.u32 %z, 1, 0, %p2;"
    )
    with emulator.checks(False):  # the masks 0xff and 0x4 leave out lanes that vote, which is a finding
        x, y, z = run(text, [("u32", a)], "u32", ("u32", "u32"))
    ballots = [sum(1 << i for i in range(32) if a[w + i] < 2) for w in (0, 32)]
    assert x.tolist() == [ballots[0]] * 32 + [ballots[1]] * 32
    assert (
        y[0] == (ballots[0] & 0xFF != 0) and z[0] == (ballots[0] >> 2 & 1 == 0) and z[32] == (ballots[1] >> 2 & 1 == 0)
    )


def test_special_registers_of_a_warp():
    names = ["laneid", "warpid", "lanemask_eq", "lanemask_lt", "lanemask_le", "lanemask_gt", "lanemask_ge", "nwarpid"]
    lane = LANE.astype("i8") % 32
    bit = 1 << lane
    want = [lane, LANE // 32, bit, bit - 1, 2 * bit - 1, 2**32 - 2 * bit, 2**32 - bit, np.full(64, 2)]
    for name, values in zip(names, want, strict=True):
        assert run(f"mov.u32 %x, %{name};", [("u32", LANE.view("u4"))]).tolist() == values.tolist(), name
    x, y = run("mov.u64 %x, %clock64; add.u32 %i, %i, 0; bra L; L: mov.u64 %y, %clock64;", [], "u64", ("u64",))
    assert (x < y).all()


def test_match_and_reduce():
    a = (LANE * 5 % 3).view("u4")
    x = run("match.any.sync.b32 %x, %a, -1;", [("u32", a)])
    assert x.tolist() == [sum(1 << i for i in range(32) if a[lane // 32 * 32 + i] == a[lane]) for lane in range(64)]
    same = np.where(LANE < 32, 9, LANE).astype("u4")
    x, y = run("match.all.sync.b32 %x|%p0, %a, -1; selp.u32 %y, 1, 0, %p0;", [("u32", same)], "u32", ("u32",))
    assert x.tolist() == [0xFFFFFFFF] * 32 + [0] * 32 and y.tolist() == [1] * 32 + [0] * 32
    signed = LANE - 40
    for op, kind, want in (
        ("add", "s32", lambda v: v.sum()),
        ("min", "s32", min),
        ("max", "s32", max),
        ("xor", "b32", np.bitwise_xor.reduce),
    ):
        x = run(f"redux.sync.{op}.{kind} %x, %a, -1;", [("s32", signed)], "s32")
        assert x.tolist() == [want(signed[:32])] * 32 + [want(signed[32:])] * 32


def test_votes_of_those_who_are_there():
    code = """extern "C" __global__ void k(unsigned* out) {
  int t = threadIdx.x;
  if (t % 3 == 0) out[t] = __activemask();
  else {
    unsigned mask = t % 3 == 1 ? 0x92492492 : 0x24924924;
    out[t] = __ballot_sync(mask, t & 1) ^ __reduce_add_sync(mask, 1);
  }
}"""
    out = np.zeros(32, "u4")
    emulator.RawModule(code=code).get_function("k")((1,), (32,), (out,))
    groups = [[i for i in range(32) if i % 3 == g] for g in range(3)]
    for g, lanes in enumerate(groups):
        want = sum(1 << i for i in lanes) if g == 0 else sum(1 << i for i in lanes if i & 1) ^ len(lanes)
        assert {int(out[i]) for i in lanes} == {want}


@pytest.mark.parametrize("block, n", [(32, 20), (96, 1000), (256, 5000), (1024, 1)])
def test_a_block_reduction_by_shuffles(block, n):
    code = """extern "C" __global__ void k(const float* x, float* out, int n) {
  float v = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) v += x[i];
  for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
  __shared__ float part[32];
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < (blockDim.x + 31) / 32 ? part[threadIdx.x] : 0;
    for (int d = 16; d; d >>= 1) v += __shfl_down_sync(~0u, v, d);
    if (threadIdx.x == 0) *out = v;
  }
}"""
    x = np.random.default_rng(0).integers(-50, 50, n).astype("f4")
    out = np.full(1, np.nan, "f4")
    emulator.RawModule(code=code).get_function("k")((1,), (block,), (x, out, np.int32(n)))
    assert out[0] == x.sum()


# -- matrices ----------------------------------------
def fragments(matrix: np.ndarray, p: int, rows_by_lane: bool) -> np.ndarray:
    """Return the (32, registers, p) elements of A (rows_by_lane) or B that each lane holds, by the PTX manual's tables."""
    out = []
    for lane in range(32):
        g, t = lane // 4, lane % 4
        if rows_by_lane:
            k = matrix.shape[1]
            blocks = max(1, k // (4 * p))
            out.append(
                [
                    [matrix[g + 8 * r, 4 * p * half + t * p + i] for i in range(p)]
                    for half in range(blocks)
                    for r in (0, 1)
                ]
            )
        else:
            k = matrix.shape[0]
            out.append([[matrix[4 * p * half + t * p + i, g] for i in range(p)] for half in range(k // (4 * p))])
    return np.array(out)


CASES = {
    "m16n8k8.row.col.f32.tf32.tf32.f32": ("f4", 1, 8),
    "m16n8k4.row.col.f32.tf32.tf32.f32": ("f4", 1, 4),
    "m16n8k16.row.col.f32.f16.f16.f32": ("f2", 2, 16),
    "m16n8k8.row.col.f32.f16.f16.f32": ("f2", 2, 8),
    "m16n8k32.row.col.s32.s8.s8.s32": ("i1", 4, 32),
}


@pytest.mark.parametrize("shape", CASES)
def test_mma(shape):
    dtype, p, k = CASES[shape]
    rng = np.random.default_rng(1)
    a, b = rng.integers(-8, 8, (16, k)).astype(dtype), rng.integers(-8, 8, (k, 8)).astype(dtype)
    word = "u4"
    af = fragments(a, p, True).astype(dtype).reshape(32, -1).view(word)
    bf = fragments(b, p, False).astype(dtype).reshape(32, -1).view(word)
    accumulator = "i4" if dtype == "i1" else "f4"
    c = rng.integers(-9, 9, (16, 8)).astype(accumulator)
    na, nb = af.shape[1], bf.shape[1]
    names = [f"ld.global.u32 %r{i}, [%rd1+{4 * i}];" for i in range(na + nb + 4)]
    registers = [f"%r{i}" for i in range(na + nb + 4)]
    groups = [
        ", ".join(registers[i:j]) for i, j in ((na + nb, na + nb + 4), (0, na), (na, na + nb), (na + nb, na + nb + 4))
    ]
    text = f""".version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 p) {{ .reg .b32 %r<20>; .reg .b64 %rd<3>; .reg .b32 %t;
mov.u32 %t, %tid.x; ld.param.u64 %rd0, [p]; mad.wide.u32 %rd1, %t, {4 * (na + nb + 4)}, %rd0;
{" ".join(names)}
mma.sync.aligned.{shape} {{{groups[0]}}}, {{{groups[1]}}}, {{{groups[2]}}}, {{{groups[3]}}};
{" ".join(f"st.global.u32 [%rd1+{4 * i}], %r{i};" for i in range(na + nb, na + nb + 4))} ret; }}"""
    table = np.zeros((32, na + nb + 4), "u4")
    lane = np.arange(32)
    rows, columns = lane // 4, 2 * (lane % 4)
    cf = np.stack([c[rows, columns], c[rows, columns + 1], c[rows + 8, columns], c[rows + 8, columns + 1]], axis=1)
    table[:, :na], table[:, na : na + nb], table[:, na + nb :] = af, bf, cf.view("u4")
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (table,))
    want = a.astype("f8") @ b.astype("f8") + c
    got = table[:, na + nb :].view(accumulator)
    assert (
        got.tolist()
        == np.stack(
            [want[rows, columns], want[rows, columns + 1], want[rows + 8, columns], want[rows + 8, columns + 1]], axis=1
        ).tolist()
    )


def test_mma_ignores_the_low_bits_of_tf32():
    text = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 p) { .reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %rd<3>;
mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [p]; mad.wide.u32 %rd1, %r0, 4, %rd0;
mov.b32 %r1, 0x3F801FFF; mov.b32 %r2, 0x3F800000; mov.f32 %f0, 0f00000000;
mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32
  {%f0, %f1, %f2, %f3}, {%r1, %r1}, {%r2}, {%f0, %f0, %f0, %f0};
st.global.f32 [%rd1], %f0; ret; }"""
    out = np.zeros(32, "f4")
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (out,))
    assert (out == 4).all()


@pytest.mark.parametrize("count, trans", [(1, ""), (2, ""), (4, ""), (4, ".trans")])
def test_ldmatrix(count, trans):
    registers = ", ".join(f"%{i}" for i in range(count))
    code = f"""extern "C" __global__ void k(const unsigned short* x, unsigned* out) {{
  __shared__ __align__(16) unsigned short s[4][8][8];
  for (int i = threadIdx.x; i < 256; i += 32) (&s[0][0][0])[i] = x[i];
  __syncthreads();
  unsigned r[4] = {{0, 0, 0, 0}}, p = (unsigned)__cvta_generic_to_shared(&s[0][threadIdx.x][0]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{registers}}}, [%{count}];"
    : {", ".join(f'"=r"(r[{i}])' for i in range(count))} : "r"(p));
  for (int i = 0; i < {count}; i++) out[threadIdx.x * 4 + i] = r[i];
}}"""
    x = np.arange(256, dtype="u2").reshape(4, 8, 8)
    out = np.zeros((32, 4), "u4")
    emulator.RawModule(code=code).get_function("k")((1,), (32,), (x, out))
    for j in range(count):
        m = x[j].T if trans else x[j]
        assert out[:, j].tolist() == [
            int(m[lane // 4, lane % 4 * 2]) | int(m[lane // 4, lane % 4 * 2 + 1]) << 16 for lane in range(32)
        ]


def test_movmatrix_transposes():
    """Lane 4 i + t holds elements 2 t and 2 t + 1 of row i; two warps, each its own matrix."""
    held = np.random.default_rng(2).integers(0, 2**16, (2, 8, 8)).astype("u2")
    found = run("movmatrix.sync.aligned.m8n8.trans.b16 %x, %a;", [("u32", held.reshape(-1).view("u4"))])
    np.testing.assert_array_equal(found.view("u2").reshape(2, 8, 8), held.transpose(0, 2, 1))


@pytest.mark.parametrize("layouts", ["row.col", "col.row", "row.row", "col.col"])
@pytest.mark.parametrize(("result", "addend"), [("f32", "f32"), ("f16", "f16"), ("f32", "f16")])
def test_voltas_mma_computes_four_products(layouts, result, addend):
    """The places of elements are those of the PTX ISA, 9.7.14.5.1, lane by lane."""
    rng = np.random.default_rng(3)
    a, b, c = (rng.integers(-4, 5, (4, *size)) for size in ((8, 4), (4, 8), (8, 8)))
    of_a, of_b = layouts.split(".")

    def accumulator(lane: int, i: int, kind: str) -> tuple[int, int]:
        if kind == "f16":
            return lane % 4 + 4 * (lane >= 16), i
        return (lane & 1) + (i & 2) + 4 * (lane >= 16), (i & 4) + (lane & 2) + (i & 1)

    held = np.zeros((32, 8), "f2")
    before = np.zeros((32, 8), "f4" if addend == "f32" else "f2")
    for lane in range(32):
        product, own, high = lane % 16 // 4, lane % 4, 4 * (lane >= 16)
        for i in range(4):
            held[lane, i] = a[product][(own + high, i) if of_a == "row" else (i + high, own)]
            held[lane, 4 + i] = b[product][(own, i + high) if of_b == "row" else (i, own + high)]
        for i in range(8):
            before[lane, i] = c[product][accumulator(lane, i, addend)]
    words, out = np.hstack([held.view("u4"), before.view("u4")]), np.zeros((32, 8), "f4" if result == "f32" else "f2")
    n, m = words.shape[1], out.view("u4").shape[1]
    names, results = [f"%r{i}" for i in range(n)], ", ".join(f"%x{i}" for i in range(m))
    text = f""".version 6.4
.target sm_70
.address_size 64
.visible .entry k(.param .u64 p, .param .u64 o) {{ .reg .b32 %r<12>, %x<8>; .reg .b64 %d<4>; .reg .b32 %t;
mov.u32 %t, %tid.x; ld.param.u64 %d0, [p]; mad.wide.u32 %d1, %t, {4 * n}, %d0; ld.param.u64 %d2, [o];
mad.wide.u32 %d3, %t, {4 * m}, %d2; {" ".join(f"ld.global.u32 %r{i}, [%d1+{4 * i}];" for i in range(n))}
mma.sync.aligned.m8n8k4.{layouts}.{result}.f16.f16.{addend}
  {{{results}}}, {{%r0, %r1}}, {{%r2, %r3}}, {{{", ".join(names[4:])}}};
{" ".join(f"st.global.u32 [%d3+{4 * i}], %x{i};" for i in range(m))} ret; }}"""
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (words, out))
    want = a @ b + c
    for lane, i in np.ndindex(32, 8):
        assert out[lane, i] == want[lane % 16 // 4][accumulator(lane, i, result)]

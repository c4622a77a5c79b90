"""Forms of instructions that their rarer modifiers and types choose, each against its text in the PTX ISA."""

from __future__ import annotations

import numpy as np
import pytest
from ptx_snippets import kernel_text, run
from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError, UnsupportedInstruction

RNG = np.random.default_rng(5)
NAN = np.nan
SINGLES = np.array([1.5, -2, 0.0, -0.0, NAN, NAN, np.inf, -3, 1e-40, 7], "f4")
OTHERS = np.array([-1.5, 1, -0.0, 0.0, 2, NAN, -np.inf, -4, -1e-40, 7], "f4")
WORDS = RNG.integers(0, 2**32, 64).astype("u4")
MORE = RNG.integers(0, 2**32, 64).astype("u4")


def words_of(singles) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(singles, "f4")).view("u4")


def upper_half(singles: np.ndarray) -> np.ndarray:
    """Return numbers that bf16 has as its bits."""
    return singles.view("u2")[1::2].copy()


# -- extrema ---------------------------------------------------------------------------------------------------------------------
def extremum(name: str, values: list, nan: bool, magnitudes: bool):
    """Return what PTX's text says of min or max of some numbers: NaN is left aside, unless .NaN asks for it; -0 < +0."""
    values = [abs(v) for v in values] if magnitudes else values
    numbers = [v for v in values if not np.isnan(v)]
    if not numbers or (nan and len(numbers) < len(values)):
        return NAN
    order = sorted(numbers, key=lambda v: (v, not np.signbit(v)))
    return order[0 if name == "min" else -1]


@pytest.mark.parametrize("name", ["min", "max"])
@pytest.mark.parametrize("nan", ["", ".NaN"])
def test_signs_and_magnitudes_of_extrema(name, nan):
    rest = np.roll(SINGLES, 3)
    a, b = (np.where(np.abs(v) < 1e-30, np.copysign(np.float32(0), v), v) for v in (SINGLES, OTHERS))
    for kind, word in (("f32", "u32"), ("f16", "u16"), ("bf16", "u16")):
        bits = {"f32": lambda v: v.view("u4"), "f16": lambda v: v.astype("f2").view("u2"), "bf16": upper_half}[kind]
        found = run(f"{name}{nan}.xorsign.abs.{kind} %x, %a, %b;", [(word, bits(a)), (word, bits(b))], word)
        for x, y, got in zip(a, b, found, strict=True):
            want = extremum(name, [x, y], bool(nan), True)
            value = got.view("f2" if kind == "f16" else "f4") if kind != "bf16" else np.uint32(int(got) << 16).view("f4")
            assert np.isnan(value) == np.isnan(want)
            assert np.isnan(want) or (abs(value), np.signbit(value)) == (want, np.signbit(x) != np.signbit(y))
    for magnitudes in ("", ".abs"):
        found = run(f"{name}{nan}{magnitudes}.f32 %x, %a, %b, %c;", [("f32", SINGLES), ("f32", OTHERS), ("f32", rest)], "f32")
        want = [extremum(name, list(v), bool(nan), bool(magnitudes)) for v in zip(SINGLES, OTHERS, rest, strict=True)]
        np.testing.assert_array_equal(words_of(np.where(np.isnan(found), 0, found)), words_of(np.where(np.isnan(want), 0, want)))
        assert (np.isnan(found) == np.isnan(want)).all()


@pytest.mark.parametrize("name", ["min", "max"])
def test_extrema_of_integers_and_of_pairs(name):
    pick = np.minimum if name == "min" else np.maximum
    inputs = [("u32", WORDS), ("u32", MORE)]
    for kind, code in (("s16x2", "i2"), ("u16x2", "u2")):
        want = pick(WORDS.view(code), MORE.view(code))
        np.testing.assert_array_equal(run(f"{name}.{kind} %x, %a, %b;", inputs).view(code), want)
    want = np.maximum(pick(WORDS.view("i2"), MORE.view("i2")), 0)
    np.testing.assert_array_equal(run(f"{name}.relu.s16x2 %x, %a, %b;", inputs).view("i2"), want)
    want = np.maximum(pick(WORDS.view("i4"), MORE.view("i4")), 0)
    np.testing.assert_array_equal(run(f"{name}.relu.s32 %x, %a, %b;", inputs).view("i4"), want)


@pytest.mark.parametrize("form", ["min", "max", "min.abs", "max.NaN", "max.abs.NaN"])
def test_redux_of_floats(form):
    """Two sets of lanes, one with a NaN; and a warp of nothing but NaN."""
    values = np.concatenate([RNG.normal(size=32), np.full(32, NAN)]).astype("f4")
    values[5] = NAN
    mask = np.where(np.arange(64) % 32 < 16, 0xFFFF, 0xFFFF0000).astype("u4")
    found = run(f"redux.sync.{form}.f32 %x, %a, %b;", [("f32", values), ("u32", mask)], "f32")
    for lanes in (slice(0, 16), slice(16, 32), slice(32, 48)):
        want = extremum(form[:3], list(values[lanes]), "NaN" in form, "abs" in form)
        np.testing.assert_array_equal(found[lanes], np.full(16, want, "f4"))
    assert (found[32:].view("u4") == 0x7FFFFFFF).all()


# -- two numbers in a register, and mixed precision ------------------------------------------------------------------------------
def test_pairs_of_singles():
    a, b, c = (RNG.normal(size=(64, 2)).astype("f4") for _ in range(3))
    inputs = [("u64", v.view("u8").ravel()) for v in (a, b, c)]

    def pairs(text: str) -> np.ndarray:
        return run(text, inputs, "u64").view("f4").reshape(-1, 2)

    np.testing.assert_array_equal(pairs("add.f32x2 %x, %a, %b;"), a + b)
    np.testing.assert_array_equal(pairs("sub.rn.f32x2 %x, %a, %b;"), a - b)
    np.testing.assert_array_equal(pairs("mul.f32x2 %x, %a, %b;"), a * b)
    np.testing.assert_array_equal(pairs("fma.rn.f32x2 %x, %a, %b, %c;"), (a.astype("f8") * b + c).astype("f4"))
    down = pairs("mul.rm.f32x2 %x, %a, %b;").astype("f8")
    exact = a.astype("f8") * b
    assert ((down <= exact) & (exact - down < np.spacing(np.abs(a * b)))).all() and (down < exact).any()
    tiny = np.full((64, 2), 1e-40, "f4").view("u8").ravel()
    for form, want in (("", np.float32(2e-40)), (".ftz", 0)):
        assert np.allclose(run(f"add{form}.f32x2 %x, %a, %a;", [("u64", tiny)], "u64").view("f4"), want, 0, 1e-45)


def test_pairs_of_integers_wrap():
    found = run("add.u16x2 %x, %a, %b; add.s16x2 %y, %a, %b;", [("u32", WORDS), ("u32", MORE)], "u32", ("u32",))
    for got in found:
        np.testing.assert_array_equal(got.view("u2"), WORDS.view("u2") + MORE.view("u2"))


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_mixed_precision(kind):
    """Halves as operands, a result of single precision that is rounded once, from exact sums and products."""
    a, b = (RNG.normal(size=64).astype("f4") for _ in range(2))
    c = RNG.normal(size=64).astype("f4")
    bits = [v.astype("f2").view("u2") if kind == "f16" else (v.view("u4") >> 16).astype("u2") for v in (a, b)]
    x, y = (h.view("f2").astype("f8") if kind == "f16" else (h.astype("u4") << 16).view("f4").astype("f8") for h in bits)
    halves, single = [("u16", bits[0]), ("u16", bits[1])], ("f32", c)
    np.testing.assert_array_equal(run(f"add.f32.{kind} %x, %a, %b;", [halves[0], single], "f32"), (x + c).astype("f4"))
    np.testing.assert_array_equal(run(f"sub.rn.f32.{kind} %x, %a, %b;", [halves[0], single], "f32"), (x - c).astype("f4"))
    found = run(f"fma.rn.f32.{kind} %x, %a, %b, %c;", [*halves, single], "f32")
    np.testing.assert_array_equal(found, (x * y + c).astype("f4"))  # a product of 22 bits: the sum in float64 is rounded once more
    found = run(f"add.rz.sat.f32.{kind} %x, %a, %b;", [halves[0], single], "f32").astype("f8")
    exact = np.clip(x + c, 0, 1)
    assert (found <= exact).all() and (exact - found < 2.0**-23).all() and (found == 0).any() and (found > 0).any()


# -- packing, logic, comparisons -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["u16", "s16", "u8", "s8", "u4", "s4", "u2", "s2"])
def test_cvt_pack_clamps(kind):
    bits = int(kind[1:])
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
    a, b = (np.r_[RNG.integers(-3 * high - 4, 3 * high + 4, 60), -(2**31), 2**31 - 1, low, high].astype("i4") for _ in range(2))
    three = bits < 16
    text = f"cvt.pack.sat.{kind}.s32{'.b32' if three else ''} %x, %a, %b{', %c' if three else ''};"
    found = run(text, [("s32", a), ("s32", b), ("u32", WORDS)])
    for x, y, c, got in zip(a.tolist(), b.tolist(), WORDS.tolist(), found.tolist(), strict=True):
        parts = [min(max(v, low), high) & ((1 << bits) - 1) for v in (x, y)]
        assert got == (parts[1] | parts[0] << bits | (c << 2 * bits if three else 0)) & 0xFFFFFFFF


def test_lop3_with_a_predicate():
    third = RNG.integers(0, 2, 64).astype("u4")
    inputs = [("u32", WORDS), ("u32", np.where(third == 1, ~WORDS, MORE).astype("u4")), ("u32", np.arange(64) % 2)]
    for name, function in (("and", np.logical_and), ("or", np.logical_or)):
        for minus in ("", "!"):
            body = f"setp.ne.u32 %p0, %c, 0; lop3.{name}.b32 %x|%p1, %a, %b, 0, 0xc0, {minus}%p0; selp.u32 %y, 1, 0, %p1;"
            word, predicate = run(body, inputs, "u32", ("u32",))
            np.testing.assert_array_equal(word, inputs[0][1] & inputs[1][1])
            q = (np.arange(64) % 2 == 1) != bool(minus)
            np.testing.assert_array_equal(predicate, function(word != 0, q))
    alone = run("lop3.or.b32 _|%p1, %a, %b, 0, 0xc0, %p2; selp.u32 %x, 1, 0, %p1;", inputs[:2])
    np.testing.assert_array_equal(alone, word != 0)


def test_comparisons_of_two_halves_with_a_third_predicate():
    a, b = (RNG.integers(-2, 3, (64, 2)).astype("f2") for _ in range(2))
    inputs = [("u32", a.view("u4").ravel()), ("u32", b.view("u4").ravel()), ("u32", np.arange(64) % 2)]
    body = "setp.ne.u32 %p2, %c, 0; setp.lt.and.f16x2 %p0|%p1, %a, %b, %p2; selp.u32 %x, 1, 0, %p0; selp.u32 %y, 1, 0, %p1;"
    low, high = run(body, inputs, "u32", ("u32",))
    q = np.arange(64) % 2 == 1
    np.testing.assert_array_equal(low, (a < b)[:, 0] & q)
    np.testing.assert_array_equal(high, (a < b)[:, 1] & q)


def test_set_gives_one_of_its_type_and_heeds_its_predicate():
    """1.0 of bf16 is no 1.0 of f16; the third operand counts for both halves."""
    a, b = np.array([1, -2, NAN, 0], "f4"), np.array([1, 3, 1, -0.0], "f4")
    bits = [("u16", upper_half(v)) for v in (a, b)]
    for target, one in (("bf16", 0x3F80), ("f16", 0x3C00), ("u16", 0xFFFF)):
        found = run(f"set.ge.{target}.bf16 %x, %a, %b;", bits, "u16")
        assert found.tolist() == [one, 0, 0, one]
    halves = [("u32", v.astype("f2").view("u4")) for v in (a, b)]
    for name, want in (("and", [[0, 0], [0, 0]]), ("or", [[1, 1], [1, 1]]), ("xor", [[1, 0], [0, 1]])):
        for target, one in (("f16x2", 0x3C00), ("u32", 0xFFFF)):
            given = "1, 0" if name == "and" else "1, 1"  # a predicate that is false, or true
            body = f"setp.eq.u32 %p0, {given}; set.ge.{name}.{target}.f16x2 %x, %a, %b, %p0;"
            expected = np.array(want) * one if name != "xor" else (1 - np.array(want)) * one
            np.testing.assert_array_equal(run(body, halves).view("u2").reshape(-1, 2), expected)


# -- memory ----------------------------------------------------------------------------------------------------------------------
def atomic_kernel(text: str):
    code = f""".version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p, .param .u64 o) {{ .reg .b64 %d<4>; .reg .b32 %r<12>; .reg .f32 %f<8>; .reg .b16 %h<8>;
ld.param::entry.u64 %d1, [p]; ld.param.u64 %d2, [o]; mov.u32 %r0, %tid.x; mad.wide.u32 %d3, %r0, 16, %d2;
{text} ret; }}"""
    return emulator.RawModule(code=code).get_function("k")


def test_vector_atomics_add_each_element():
    """Three threads add the same vector: what the results say are prefixes, in some order; memory has all of it."""
    memory, out = np.arange(4, dtype="f4"), np.zeros((3, 4), "f4")
    text = "mov.f32 %f1, 1.0; mov.f32 %f2, 2.0; atom.global.add.v4.f32 {%f3, %f4, %f5, %f6}, [%d1], {%f1, %f2, %f1, %f2};"
    atomic_kernel(text + " st.global.v4.f32 [%d3], {%f3, %f4, %f5, %f6};")((1,), (3,), (memory, out))
    np.testing.assert_array_equal(memory, np.arange(4) + 3 * np.array([1, 2, 1, 2]))
    np.testing.assert_array_equal(np.sort(out, axis=0), np.arange(4) + np.outer(range(3), [1, 2, 1, 2]))
    halves = np.array([1, 5, -3, 2], "f2")
    text = "mov.b32 %r1, 0x40004200; mov.b32 %r2, 0xC000C200; red.global.v2.f16x2.max.noftz [%d1], {%r1, %r2};"  # 3, 2, -3, -2
    atomic_kernel(text)((1,), (2,), (halves, out))
    np.testing.assert_array_equal(halves, [3, 5, -3, 2])


def test_vector_atomics_are_aligned_and_in_bounds():
    out, add = np.zeros((2, 4), "f4"), "mov.f32 %f1, 0f3F800000; red.global.add.v2.f32 [%d1{}], {{%f1, %f1}};"
    with pytest.raises(SanitizerError, match="misaligned write of 8 bytes"):
        atomic_kernel(add.format("+4"))((1,), (1,), (np.zeros(4, "f4"), out))
    with pytest.raises(SanitizerError, match="out-of-bounds write of 8 bytes"):
        atomic_kernel(add.format("+8"))((1,), (1,), (np.zeros(3, "f4"), out))


@pytest.mark.parametrize("text", [
    "red.global.max.v2.f32 [%d1], {%f1, %f2};", "red.global.add.v8.f32 [%d1], {%f1,%f1,%f1,%f1,%f1,%f1,%f1,%f1};",
    "red.shared.add.v2.f32 [%d1], {%f1, %f2};", "atom.global.cas.b128 %r1, [%d1], %r2, %r3;", "mov.b128 %r1, %r2;",
    "st.param::func.u32 [p], %r1;",
])  # fmt: skip
def test_forms_that_are_not_executed_are_refused(text):
    with pytest.raises(UnsupportedInstruction, match="supported"):
        atomic_kernel(text)


def test_cache_policies_and_hints_change_no_result():
    memory, out = np.arange(16, dtype="u4"), np.zeros((2, 4), "u4")
    text = """createpolicy.fractional.L2::evict_first.b64 %d0, 0f3F800000; prefetch.global.L2::evict_last [%d1];
ld.global.L2::cache_hint.u32 %r1, [%d1+4], %d0; st.global.L2::cache_hint.u32 [%d3], %r1, %d0;
red.global.L2::cache_hint.add.u32 [%d1], 5, %d0; atom.global.L2::cache_hint.add.u32 %r2, [%d1+8], 7, %d0;
st.global.u32 [%d3+4], %r2;
.shared .align 16 .b8 room[16]; mov.u32 %r3, room; createpolicy.range.global.L2::evict_last.b64 %d0, [%d1], 32, 64;
cp.async.ca.shared.global.L2::cache_hint [%r3], [%d1+48], 16, %d0; cp.async.wait_all; ld.shared.u32 %r4, [%r3];
st.global.u32 [%d3+8], %r4; cp.async.ca.shared.global.L2::cache_hint.L2::128B [%r3], [%d1+48], 16, 4, %d0; cp.async.wait_all;
ld.shared.u32 %r5, [%r3+4]; st.global.u32 [%d3+12], %r5; brkpt;"""
    atomic_kernel(text)((1,), (1,), (memory, out))
    assert (out[0].tolist(), memory[[0, 2]].tolist()) == ([1, 2, 12, 0], [5, 9])


def test_prefetches_of_bulk_copies_and_of_tensor_maps_change_nothing():
    text = "prefetch.tensormap [%d1]; prefetch.param.tensormap [p]; cp.async.bulk.prefetch.L2.global [%d1], 16;"
    atomic_kernel(text)((1,), (1,), (np.zeros(4, "f4"), np.zeros((1, 4), "f4")))


@pytest.mark.parametrize(("text", "message"), [
    ("add.f32.f64 %x, %a, %b;", "two types are those of a result of f32"),
    ("fma.rn.ftz.f32.f16 %x, %a, %b, %c;", "two types are those of a result of f32"),
    ("min.abs.f32 %x, %a, %b;", "of floats, min and max have two operands"),
    ("max.NaN.f64 %x, %a, %b;", "NaN is not supported for f64"),
    ("max.relu.u16x2 %x, %a, %b;", "min and max of u16x2"),
    ("sub.u16x2 %x, %a, %b;", "there is no sub of u16x2; there are add, min, max"),
    ("mul.lo.s16x2 %x, %a, %b;", "there is no mul of s16x2"), ("neg.f32x2 %x, %a;", "there is no neg of f32x2"),
    ("add.sat.s16x2 %x, %a, %b;", "add without .sat is supported"),
    ("redux.sync.add.f32 %x, %a, -1;", "are those of redux.sync.min and max"),
    ("cvt.pack.sat.s8.s32 %x, %a, %b;", "there are cvt.pack.sat"),
    ("mul.u32 %x, %a, %b;", "mul of integers is .lo or .hi or .wide"),
    ("madc.u32 %x, %a, %b, %c;", "madc of integers is .lo or .hi"), ("cvt.rn.f32 %x, %a;", "a conversion names two types"),
    ("min.f32.s32 %x, %a, %b;", "min does not have the types f32, s32"),
    ("add.sat.f32x2 %x, %a, %b;", "sat is not supported for f32x2"),
    ("vote.sync.b32 %x, %p0, -1;", "vote.sync has one of the modes"),
    ("lop3.and.b32 %x, %a, %b, %c, 0x80;", "lop3.b32 has a constant table"),
    ("lop3.xor.b32 %x|%p1, %a, %b, %c, 0x80, %p0;", "modifier .xor is not supported"),
    ("cvt.tf32.f32 %x, %a;", "this conversion is not supported"),
    ("cvt.rna.relu.tf32.f32 %x, %a;", "this conversion is not supported"),
])  # fmt: skip
def test_combinations_that_ptx_does_not_have_are_refused(text, message):
    with pytest.raises(UnsupportedInstruction, match=message):
        emulator.RawModule(code=kernel_text(text, ["u32", "u32", "u32"], ["u32"])).get_function("k")

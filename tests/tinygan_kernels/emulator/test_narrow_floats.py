"""cvt to and from floats of 8, 6 and 4 bits, against their definition and against what NVIDIA's headers compute without cvt."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from ptx_snippets import kernel_text, run
from tinygan_kernels import emulator
from tinygan_kernels.emulator import UnsupportedInstruction
from tinygan_kernels.emulator.semantics.narrow_floats import VALUES

BITS = {"e4m3": (4, 3), "e5m2": (5, 2), "e2m3": (2, 3), "e3m2": (3, 2), "e2m1": (2, 1)}
LARGEST = {"e4m3": 448, "e5m2": 57344, "e2m3": 7.5, "e3m2": 28, "e2m1": 6}


def value(pattern: int, kind: str) -> Fraction | None:
    """Return the number that a pattern stands for, by the formula of the OCP's formats; None for infinities and NaN."""
    e, f = BITS[kind]
    exponent, fraction = pattern >> f & ((1 << e) - 1), pattern & ((1 << f) - 1)
    if (kind == "e5m2" and exponent == 31) or (kind == "e4m3" and pattern & 0x7F == 0x7F):
        return None
    bias = (1 << (e - 1)) - 1
    part = Fraction(fraction, 1 << f)
    size = part * Fraction(2) ** (1 - bias) if exponent == 0 else (1 + part) * Fraction(2) ** (exponent - bias)
    return -size if pattern >> (e + f) else size


def nearest(x: float, kind: str) -> int:
    """Return the pattern that x rounds to: the nearest, of two the even one, by trying all; of the sign of x."""
    e, f = BITS[kind]
    size = min(abs(x), LARGEST[kind])
    best = min(positive(kind), key=lambda known: (abs(known[1] - size), known[0] & 1))[0]
    return best | (int(np.signbit(x)) << (e + f))


@cache
def positive(kind: str) -> list[tuple[int, float]]:
    """Return the patterns without a sign that are numbers, with their values."""
    return [(p, float(v)) for p in range(1 << sum(BITS[kind])) if (v := value(p, kind)) is not None]


@pytest.mark.parametrize("kind", BITS)
def test_values_of_all_patterns(kind):
    found = VALUES[kind]
    assert len(found) == 1 << sum(BITS[kind]) + 1
    assert all((want := value(p, kind)) is None or Fraction(float(v)) == want for p, v in enumerate(found))
    assert max(v for v in found if np.isfinite(v)) == LARGEST[kind]
    assert (np.isnan(found).sum(), np.isinf(found).sum()) == {"e4m3": (2, 0), "e5m2": (6, 2)}.get(kind, (0, 0))


def inputs(kind: str) -> np.ndarray:
    """Return all values, the middles between two, their neighbours in float32, what is too large, zeros and subnormal numbers."""
    finite = np.unique(np.abs(VALUES[kind][np.isfinite(VALUES[kind])])).astype("f4")
    middles = ((finite[1:].astype("f8") + finite[:-1]) / 2).astype("f4")
    near = [np.nextafter(middles, np.float32(s)) for s in (0, np.inf)]
    large = np.array([LARGEST[kind] * 1.06, 1e30, np.inf, 1e-30, 2.0**-140], "f4")
    numbers = np.concatenate([finite, middles, *near, large])
    return np.concatenate([numbers, -numbers])


def narrowed(form: str, kind: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the patterns (upper, lower) of cvt.FORM.KINDx2.f32."""
    result = "b8" if kind == "e2m1" else "b16"
    wide = ".reg .b8 %n; .reg .b16 %h;" if kind == "e2m1" else ".reg .b16 %h;"
    into = "%n" if kind == "e2m1" else "%h"
    after = "mov.b16 %h, {%n, 0};" if kind == "e2m1" else ""
    body = f"{{ {wide} cvt.{form}.{kind}x2.f32 {into}, %a, %b; {after} cvt.u32.u16 %x, %h; }}"
    found = run(body, [("f32", first), ("f32", second)])
    bits = 4 if result == "b8" else 8
    return np.stack([found >> bits, found & ((1 << bits) - 1)])


@pytest.mark.parametrize("kind", BITS)
def test_numbers_round_to_the_nearest_and_stay_finite(kind):
    numbers = inputs(kind)
    want = np.array([nearest(float(x) if np.isfinite(x) else np.copysign(1e30, x), kind) for x in numbers])
    upper, lower = narrowed("rn.satfinite", kind, numbers, numbers[::-1].copy())
    np.testing.assert_array_equal(upper, want)
    np.testing.assert_array_equal(lower, want[::-1])
    upper, _ = narrowed("rn.satfinite.relu", kind, numbers, numbers)
    np.testing.assert_array_equal(upper, np.where((numbers < 0), 0, want))


def test_e2m1_rounds_toward_zero_too():
    numbers = inputs("e2m1")
    sizes = [min(abs(float(x)), LARGEST["e2m1"]) for x in numbers]
    patterns = [max(p for p, v in positive("e2m1") if v <= size) for size in sizes]
    want = [pattern | int(np.signbit(x)) << 3 for pattern, x in zip(patterns, numbers, strict=True)]
    upper, lower = narrowed("rz.satfinite", "e2m1", numbers, numbers[::-1].copy())
    assert upper.tolist() == want and lower.tolist() == want[::-1]


@pytest.mark.parametrize(("kind", "pattern"), [("e4m3", 0x7F), ("e5m2", 0x7F), ("e2m3", 0x1F), ("e3m2", 0x1F), ("e2m1", 7)])
def test_nan_is_nan_or_the_largest_number(kind, pattern):
    nan = np.full(32, np.nan, "f4")
    for form in ("rn.satfinite", "rn.satfinite.relu"):
        upper, lower = narrowed(form, kind, nan, -nan)
        assert (upper == pattern).all() and (lower == pattern).all()


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("target", ["f16x2", "bf16x2"])
def test_both_ways_between_pairs_of_halves(kind, target):
    """All patterns, to halves and back: the same patterns, NaN of one kind aside."""
    bits = 4 if kind == "e2m1" else 8
    count = 1 << sum(BITS[kind]) + 1
    patterns = np.arange(256, dtype="u4") % count
    word = patterns | np.roll(patterns, 1) << np.uint32(bits)
    narrow = ".reg .b8 %n; .reg .b16 %h; cvt.u16.u32 %h, %a;" if kind == "e2m1" else ".reg .b16 %n; cvt.u16.u32 %n, %a;"
    narrow += " mov.b16 {%n, _}, %h;" if kind == "e2m1" else ""
    back = "mov.b16 %h, {%n, 0}; cvt.u32.u16 %y, %h;" if kind == "e2m1" else "cvt.u32.u16 %y, %n;"
    body = f"{{ {narrow} cvt.rn.{target}.{kind}x2 %x, %n; cvt.rn.satfinite.{kind}x2.{target} %n, %x; {back} }}"
    halves, again = run(body, [("u32", word)], "u32", ("u32",))
    parts = halves.view("u2").reshape(-1, 2)
    numbers = parts.view("f2").astype("f8") if target == "f16x2" else (parts.astype("u4") << 16).view("f4").astype("f8")
    np.testing.assert_array_equal(numbers[:, 0], VALUES[kind][patterns])
    np.testing.assert_array_equal(numbers[:, 1], np.roll(VALUES[kind][patterns], 1))
    finite = np.isfinite(numbers).all(axis=1)
    np.testing.assert_array_equal(again[finite], word[finite])


def test_scales_are_powers_of_two():
    numbers = np.array([1, 1.5, 2, -3, 0, 2.0**-127, 2.0**-128, 1.2 * 2.0**-127, 2.0**127, 3e38, np.inf, np.nan], "f4")
    same = numbers.view("u4") & 0xFFFF == 0  # those that bf16 has too
    twice = numbers.view("u4") >> 16 | numbers.view("u4")
    want = {
        "rz": [127, 127, 128, 128, 0, 0, 0, 0, 254, 254, 255, 255],
        "rp": [127, 128, 128, 129, 0, 0, 0, 1, 254, 255, 255, 255],
    }
    for mode, codes in want.items():
        for finite in (False, True):
            body = f"{{ .reg .b16 %h; cvt.{mode}{'.satfinite' if finite else ''}.ue8m0x2.f32 %h, %a, %a; cvt.u32.u16 %x, %h; }}"
            expected = np.array([254 if c == 255 and finite and i < 11 else c for i, c in enumerate(codes)])
            np.testing.assert_array_equal(run(body, [("f32", numbers)]), expected * 0x101)
            halves = body.replace("x2.f32 %h, %a, %a;", "x2.bf16x2 %h, %a;")
            assert halves != body
            np.testing.assert_array_equal(run(halves, [("u32", twice[same])]), expected[same] * 0x101)
    patterns = np.arange(256, dtype="u4")
    halves = run("{ .reg .b16 %h; cvt.u16.u32 %h, %a; cvt.rn.bf16x2.ue8m0x2 %x, %h; }", [("u32", patterns)])
    numbers = (halves << 16).view("f4")
    np.testing.assert_array_equal(numbers[:255], np.ldexp(1.0, np.arange(255) - 127).astype("f4"))
    assert np.isnan(numbers[255])


def test_saturation_of_halves_and_tf32():
    numbers = np.array([65520, -1e30, np.inf, 1, -2, np.nan], "f4")
    half = "{{ .reg .b16 %h; cvt.rn.{}.f32 %h, %a; cvt.u32.u16 %x, %h; }}"
    assert run(half.format("satfinite.f16"), [("f32", numbers)]).tolist()[:5] == [0x7BFF, 0xFBFF, 0x7BFF, 0x3C00, 0xC000]
    assert run(half.format("relu.satfinite.f16"), [("f32", numbers)]).tolist()[:5] == [0x7BFF, 0, 0x7BFF, 0x3C00, 0]
    assert run(half.format("satfinite.bf16"), [("f32", numbers)]).tolist() == [0x4780, 0xF14A, 0x7F7F, 0x3F80, 0xC000, 0x7FFF]
    largest = np.array([np.inf, -np.inf, 3.4028234e38, 1.0], "f4")
    for mode in ("rn", "rz", "rna"):
        found = run(f"cvt.{mode}.satfinite.tf32.f32 %x, %a;", [("f32", largest)])
        assert found.tolist() == [0x7F7FE000, 0xFF7FE000, 0x7F7FE000, 0x3F800000]
    assert run("cvt.rn.relu.tf32.f32 %x, %a;", [("f32", np.array([-1.0, 2.0], "f4"))]).tolist() == [0, 0x40000000]
    pair = run("cvt.rn.satfinite.f16x2.f32 %x, %a, %b;", [("f32", numbers[:2]), ("f32", numbers[1::-1].copy())])
    assert pair.tolist() == [0x7BFFFBFF, 0xFBFF7BFF]


@pytest.mark.parametrize(("text", "message"), [
    ("cvt.rn.e4m3x2.f32 %h, %a, %b;", "to e4m3x2 those from f32, f16x2 and bf16x2 with .rn are supported, with .satfinite"),
    ("cvt.rz.satfinite.e4m3x2.f32 %h, %a, %b;", "to e4m3x2 those from"),
    ("cvt.rn.satfinite.ue8m0x2.f32 %h, %a, %b;", "with .rz or .rp are supported, without .relu"),
    ("cvt.rs.satfinite.e4m3x4.f32 %x, {%a, %b, %a, %b}, %a;", "modifier .rs is not supported"),
    ("cvt.rn.f16x2.ue8m0x2 %x, %h;", "those to bf16x2 with .rn are supported"),
    ("cvt.rn.satfinite.f32.f64 %a, %d;", "modifier .satfinite is supported from f32"),
])  # fmt: skip
def test_conversions_that_ptx_does_not_have_are_refused(text, message):
    code = kernel_text(f".reg .b16 %h; .reg .f64 %d; {text}", ["f32", "f32"], ["u32"])
    with pytest.raises(UnsupportedInstruction, match=message):
        emulator.RawModule(code=code).get_function("k")


HEADER = """#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
extern "C" __global__ void k(const float* x, const __half2* h, const unsigned* w, unsigned* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned found[] = {
        __nv_fp8_e4m3(x[i]).__x, __nv_fp8_e5m2(x[i]).__x, __nv_fp8_e4m3(h[i].x).__x, __nv_fp8_e5m2(h[i].y).__x,
        __nv_fp6_e2m3(x[i]).__x, __nv_fp6_e3m2(x[i]).__x, __nv_fp6_e3m2(h[i].x).__x, __nv_fp4_e2m1(x[i]).__x,
        __nv_fp4x2_e2m1(make_float2(x[i], x[n - 1 - i])).__x, __nv_fp8_e8m0(x[i]).__x,
        __nv_fp8x4_e4m3(make_float4(x[i], 1, -2, 3)).__x,
        __half_raw(__nv_cvt_fp8_to_halfraw(i, __NV_E4M3)).x, __half_raw(__nv_cvt_fp6_to_halfraw(i & 63, __NV_E3M2)).x,
        __half_raw(__nv_cvt_fp4_to_halfraw(i & 15, __NV_E2M1)).x, __nv_cvt_e8m0_to_bf16raw(i).x,
        (unsigned)__viaddmax_s16x2_relu(w[i], w[n - 1 - i], w[i / 2]), (unsigned)__vimin3_s16x2(w[i], w[n - 1 - i], w[i / 2]),
        (unsigned)__viaddmin_s32_relu(w[i], w[n - 1 - i], w[i / 2]), __vmaxu2(w[i], w[n - 1 - i]), __vadd2(w[i], w[n - 1 - i])};
    for (int j = 0; j < 20; j++) out[20 * i + j] = found[j];
}
"""


def test_headers_compute_the_same_with_and_without_the_instruction():
    """For sm_80 NVIDIA's headers compute these conversions and extrema themselves, for later ones by cvt, min, max and add."""
    rng = np.random.default_rng(1)
    any_bits, usual = rng.integers(0, 2**32, 900, "u8").astype("u4").view("f4"), np.exp2(rng.uniform(-20, 20, 300)).astype("f4")
    x = np.concatenate([any_bits, usual, -usual])
    h, w = (rng.integers(0, 2**32, x.size, "u8").astype("u4") for _ in range(2))
    found = []
    for arch in ("sm_80", "sm_100a"):
        out = np.zeros((x.size, 20), "u4")
        module = emulator.RawModule(code=HEADER, options=(f"-arch={arch}",))
        words = "e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "e2m1x2", "ue8m0x2", "max.s16x2.relu", "min.s16x2", "max.u16x2"
        assert [word in module.ptx for word in words] == [arch != "sm_80"] * len(words)
        module.get_function("k")((6,), (256,), (x, h, w, out, np.int32(x.size)))
        found.append(out)
    np.testing.assert_array_equal(found[1], found[0])

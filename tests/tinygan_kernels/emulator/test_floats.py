"""Floating point to the bit: exact rationals, rounded by searching among neighbouring numbers, are the judge."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptx_snippets import run

LIMIT = {"f4": Fraction(2) ** 128, "f8": Fraction(2) ** 1024, "f2": Fraction(2) ** 16}


def exactly(x, dtype: str) -> Fraction:
    """Return the number exactly; an infinity stands for the first power of two that is too large."""
    return Fraction(float(x)) if np.isfinite(x) else LIMIT[dtype] * (1 if x > 0 else -1)


def rounded(exact: Fraction, dtype: str, mode: str = "rn"):
    """Return the neighbour of `exact` that the rounding mode picks."""
    kind = np.dtype(dtype).type
    try:
        guess = kind(float(exact))
    except OverflowError:
        guess = kind(np.inf if exact > 0 else -np.inf)
    near = [np.nextafter(guess, kind(-np.inf)), guess, np.nextafter(guess, kind(np.inf))]
    if mode == "rz":
        mode = "rm" if exact > 0 else "rp"
    if mode == "rm":
        return max(c for c in near if c == -np.inf or (np.isfinite(c) and exactly(c, dtype) <= exact))
    if mode == "rp":
        return min(c for c in near if c == np.inf or (np.isfinite(c) and exactly(c, dtype) >= exact))
    integer = f"u{kind(0).itemsize}"
    return min(near, key=lambda c: (abs(exactly(c, dtype) - exact), int(c.view(integer)) & 1))


@pytest.fixture(autouse=True)
def quiet():
    """Ignore the warnings of the oracle, which overflows on purpose."""
    with np.errstate(all="ignore"):
        yield


def hard_values(dtype: str, count: int, seed: int) -> np.ndarray:
    """Return finite values: random bit patterns, few-bit numbers (which make ties), subnormals and the ends of the range."""
    rng = np.random.default_rng(seed)
    size = np.dtype(dtype).itemsize
    raw = rng.integers(0, 256, (count, size), "u1").view(dtype).ravel()
    few = (rng.integers(-64, 64, count) * 2.0 ** rng.integers(-20, 20, count)).astype(dtype)
    info = np.finfo(dtype)
    ends = np.array(
        [
            0.0,
            -0.0,
            1,
            -1,
            3,
            info.max,
            -info.max,
            info.tiny,
            -info.tiny,
            info.smallest_subnormal,
            1 + info.eps,
            1 - info.epsneg,
        ],
        dtype,
    )
    near_one = (1 + rng.integers(-8, 8, count) * float(info.eps)).astype(dtype)
    everything = np.concatenate([raw[np.isfinite(raw)], few, near_one, np.repeat(ends, 8)])
    return rng.permutation(everything[np.isfinite(everything)])[:1000]


def check(instruction: str, kind: str, oracle, arity: int, mode: str = "rn", seed: int = 0) -> None:
    dtype = {"f32": "f4", "f64": "f8"}[kind]
    vectors = [hard_values(dtype, 700, seed + i) for i in range(arity)]
    n = min(len(v) for v in vectors)
    vectors = [v[:n] for v in vectors]
    got = run(f"{instruction} %x, {', '.join(f'%{c}' for c in 'abc'[:arity])};", [(kind, v) for v in vectors], kind)
    for i, row in enumerate(zip(*vectors, strict=True)):
        exact = oracle(*(Fraction(float(v)) for v in row))
        if exact is None or (exact == 0 and got[i] == 0):
            continue
        want = rounded(exact, dtype, mode)
        assert got[i] == want, (
            f"{instruction}{tuple(float(v).hex() for v in row)} = {float(got[i]).hex()}, not {float(want).hex()}"
        )


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_rounding_modes(kind, mode):
    check(f"add.{mode}.{kind}", kind, lambda a, b: a + b, 2, mode)
    check(f"sub.{mode}.{kind}", kind, lambda a, b: a - b, 2, mode)
    check(f"mul.{mode}.{kind}", kind, lambda a, b: a * b, 2, mode)
    check(f"fma.{mode}.{kind}", kind, lambda a, b, c: a * b + c, 3, mode)
    check(f"div.{mode}.{kind}", kind, lambda a, b: a / b if b else None, 2, mode)
    check(f"rcp.{mode}.{kind}", kind, lambda a: 1 / a if a else None, 1, mode)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_square_root(kind, mode):
    dtype = {"f32": "f4", "f64": "f8"}[kind]
    values = np.abs(hard_values(dtype, 700, 5))
    got = run(f"sqrt.{mode}.{kind} %x, %a;", [(kind, values)], kind)
    for v, root in zip(values, got, strict=True):
        exact, r = Fraction(float(v)), Fraction(float(root))
        below, above = (Fraction(float(np.nextafter(root, np.dtype(dtype).type(e)))) for e in (-np.inf, np.inf))
        if mode == "rn":
            assert ((below + r) / 2) ** 2 <= exact <= ((r + above) / 2) ** 2 or v == 0
        elif mode == "rp":
            assert r * r >= exact and (below < 0 or below * below < exact)
        else:
            assert r * r <= exact < above * above


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
@settings(max_examples=60, deadline=None)
def test_fma_f32_on_drawn_values(a, b, c):
    got = run("fma.rn.f32 %x, %a, %b, %c;", [("f32", [a]), ("f32", [b]), ("f32", [c])], "f32")[0]
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    assert got == (rounded(exact, "f4") if exact else 0)


def test_fma_f32_is_not_rounded_twice():
    """1 + 2^-23 + 2^-24 (1 + 2^-40): float64 rounds the sum to a tie, which float32 would then break the wrong way."""
    a, b, c = np.float32(2.0**-24 * (1 + 2.0**-20)), np.float32(1 + 2.0**-20), np.float32(1 + 2.0**-22)
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    assert run("fma.rn.f32 %x, %a, %b, %c;", [("f32", [a]), ("f32", [b]), ("f32", [c])], "f32")[0] == rounded(
        exact, "f4"
    )
    tie = Fraction(1) + Fraction(1, 2**24) + Fraction(1, 2**90)
    a, b, c = np.float32(2.0**-12), np.float32(2.0**-12), np.float32(1.0)
    got = run("fma.rn.f32 %x, %a, %b, %c;", [("f32", [a]), ("f32", [b]), ("f32", [c])], "f32")[0]
    assert got == 1.0 and rounded(tie, "f4") == np.float32(1 + 2.0**-23)
    a, b = np.float32(2.0**-12 * (1 + 2.0**-23)), np.float32(2.0**-12 * (1 - 2.0**-24))
    exact = Fraction(float(a)) * Fraction(float(b)) + 1
    assert run("fma.rn.f32 %x, %a, %b, %c;", [("f32", [a]), ("f32", [b]), ("f32", [c])], "f32")[0] == rounded(
        exact, "f4"
    )


def test_fma_f32_is_not_rounded_twice_among_subnormal_numbers():
    """The exact sum lies 2^-196 below a tie; float64 rounds it onto the tie, whose even neighbour is the wrong one."""
    a, b = np.float32(2.0**-75 * (1 + 2.0**-23)), np.float32(2.0**-75 * (1 - 2.0**-23))
    c = np.float32(2.0**-127 + 2.0**-149)
    assert run("fma.rn.f32 %x, %a, %b, %c;", [("f32", [a]), ("f32", [b]), ("f32", [c])], "f32")[0] == c


def test_signs_of_zero():
    z = np.array([0.0, -0.0], "f4")
    a, b = (v.ravel() for v in np.meshgrid(z, z))
    one = np.ones(4, "f4")
    for mode in ("rn", "rm"):
        got = run(f"fma.{mode}.f32 %x, %a, %b, %c;", [("f32", a), ("f32", one), ("f32", b)], "f32")
        want = [
            p if np.signbit(p) == np.signbit(q) else (-0.0 if mode == "rm" else 0.0) for p, q in zip(a, b, strict=True)
        ]
        assert np.signbit(got).tolist() == np.signbit(want).tolist()
    cancelled = run("add.rm.f32 %x, %a, %b;", [("f32", one), ("f32", -one)], "f32")
    assert np.signbit(cancelled).all() and not cancelled.any()


def test_nan_and_zero_in_min_and_max():
    nan, canonical = np.float32(np.nan), 0x7FFFFFFF
    a = np.array([nan, 1, nan, -0.0, 0.0, -np.inf, 2], "f4")
    b = np.array([1, nan, nan, 0.0, -0.0, 5, 3], "f4")
    low = run("min.f32 %x, %a, %b;", [("f32", a), ("f32", b)], "f32")
    high = run("max.f32 %x, %a, %b;", [("f32", a), ("f32", b)], "f32")
    assert low[:2].tolist() == high[:2].tolist() == [1, 1] and np.isnan(low[2]) and np.isnan(high[2])
    assert np.signbit(low[3:5]).all() and not np.signbit(high[3:5]).any()
    assert low[5:].tolist() == [-np.inf, 2] and high[5:].tolist() == [5, 3]
    strict = run("max.NaN.f32 %x, %a, %b;", [("f32", a), ("f32", b)], "u32")
    assert strict[:3].tolist() == [canonical] * 3 and strict[6] == np.float32(3).view("u4")


@pytest.mark.parametrize(
    "operation, function",
    [
        ("eq", lambda a, b: a == b),
        ("ne", lambda a, b: (a < b) | (a > b)),
        ("lt", np.less),
        ("le", np.less_equal),
        ("gt", np.greater),
        ("ge", np.greater_equal),
        ("equ", lambda a, b: ~((a < b) | (a > b))),
        ("neu", lambda a, b: ~(a == b)),
        ("ltu", lambda a, b: ~(a >= b)),
        ("leu", lambda a, b: ~(a > b)),
        ("gtu", lambda a, b: ~(a <= b)),
        ("geu", lambda a, b: ~(a < b)),
        ("num", lambda a, b: ~(np.isnan(a) | np.isnan(b))),
        ("nan", lambda a, b: np.isnan(a) | np.isnan(b)),
    ],
)
def test_comparisons_with_nan(operation, function):
    values = np.array([np.nan, 0.0, -0.0, 1, -np.inf, np.inf], "f4")
    a, b = (v.ravel() for v in np.meshgrid(values, values))
    got = run(f"setp.{operation}.f32 %p0, %a, %b; selp.u32 %x, 1, 0, %p0;", [("f32", a), ("f32", b)])
    assert got.astype(bool).tolist() == function(a, b).tolist()


def test_ftz_and_sat():
    tiny = np.array([1e-40, -1e-40, 2.0**-126, -(2.0**-127), 1.5, -3, np.nan, 0.25], "f4")
    zero = np.zeros(8, "f4")
    got = run("add.ftz.f32 %x, %a, %b;", [("f32", tiny), ("f32", zero)], "f32")
    assert got[:4].tolist() == [0, 0, 2.0**-126, 0]
    got = run("mul.ftz.f32 %x, %a, %b;", [("f32", [2.0**-100] * 8), ("f32", [-(2.0**-40)] * 8)], "f32")
    assert not got.any() and np.signbit(got).all()
    got = run("add.sat.f32 %x, %a, %b;", [("f32", tiny), ("f32", zero)], "f32")
    assert got[4:].tolist() == [1, 0, 0, 0.25] and not np.signbit(got[5])
    compared = run("setp.eq.ftz.f32 %p0, %a, %b; selp.u32 %x, 1, 0, %p0;", [("f32", tiny), ("f32", zero)])
    assert compared.tolist() == [1, 1, 0, 1, 0, 0, 0, 0]


# -- conversions ----------------------------------------
_INTEGER_RULE = {"rni": round, "rzi": int, "rmi": lambda v: v.__floor__(), "rpi": lambda v: v.__ceil__()}


@pytest.mark.parametrize("source", ["f32", "f64"])
@pytest.mark.parametrize("target", ["s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("mode", ["rni", "rzi", "rmi", "rpi"])
def test_float_to_integer_rounds_and_clamps(source, target, mode):
    dtype = {"f32": "f4", "f64": "f8"}[source]
    special = [
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        0.49999997,
        2.0**15,
        2.0**16,
        2.0**31,
        -(2.0**31),
        2.0**32,
        2.0**63,
        -(2.0**63),
        2.0**64,
        1e30,
        -1e30,
        np.inf,
        -np.inf,
        32767.5,
        65535.5,
        2147483648.5,
    ]
    values = np.concatenate([hard_values(dtype, 200, 3)[:300], np.array(special, dtype)])
    got = run(f"cvt.{mode}.{target}.{source} %x, %a;", [(source, values)], target)
    n = int(target[1:])
    low, high = (-(1 << n - 1), (1 << n - 1) - 1) if target[0] == "s" else (0, (1 << n) - 1)
    for v, x in zip(values.tolist(), got.tolist(), strict=True):
        whole = _INTEGER_RULE[mode](Fraction(v)) if np.isfinite(v) else (high if v > 0 else low)
        assert x == max(low, min(high, whole)), (v, x)


def test_nan_to_integer():
    """PTX: zero, except from f64 or to 64 bits, where the top bit alone is set."""
    nan = [np.nan]
    assert run("cvt.rzi.s32.f32 %x, %a;", [("f32", nan)], "s32")[0] == 0
    assert run("cvt.rzi.u32.f32 %x, %a;", [("f32", nan)], "u32")[0] == 0
    assert run("cvt.rzi.s32.f64 %x, %a;", [("f64", nan)], "s32")[0] == -(2**31)
    assert run("cvt.rzi.u64.f32 %x, %a;", [("f32", nan)], "u64")[0] == 2**63
    assert run("cvt.rzi.s64.f64 %x, %a;", [("f64", nan)], "s64")[0] == -(2**63)


@pytest.mark.parametrize("source", ["s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("target", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_integer_to_float(source, target, mode):
    n = int(source[1:])
    rng = np.random.default_rng(4)
    ties = [(1 << n - 2) + (1 << k) + d for k in range(0, n - 2, 3) for d in (-1, 0, 1)]
    values = np.array([*ties, 0, 1, (1 << n - 1) - 1, *rng.integers(0, 1 << n - 1, 50, "u8").tolist()], "u8").astype(
        f"u{n // 8}"
    )
    values = np.concatenate([values, ~values]).view(f"{'i' if source[0] == 's' else 'u'}{n // 8}")
    got = run(f"cvt.{mode}.{target}.{source} %x, %a;", [(source, values)], target)
    dtype = {"f32": "f4", "f64": "f8"}[target]
    assert got.tolist() == [float(rounded(Fraction(int(v)), dtype, mode)) if v else 0.0 for v in values]


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_narrowing(mode):
    values = hard_values("f8", 800, 8)
    got = run(f"cvt.{mode}.f32.f64 %x, %a;", [("f64", values)], "f32")
    for v, x in zip(values, got, strict=True):
        assert x == (rounded(Fraction(float(v)), "f4", mode) if v else 0)
    singles = np.concatenate(
        [hard_values("f4", 400, 9), np.array([2049, 2051, 65519.99, 65520, 6e-8, 2.0**-25, 2.0**-24 * 1.5], "f4")]
    )
    if mode in ("rn", "rz"):
        got = run(f"cvt.{mode}.f16.f32 %x, %a;", [("f32", singles)], "f16")
        for v, x in zip(singles, got, strict=True):
            assert x == (rounded(Fraction(float(v)), "f2", mode) if v else 0)


def test_bf16_and_tf32_rounding():
    values = hard_values("f4", 900, 10)
    got = run("cvt.rn.bf16.f32 %x, %a;", [("f32", values)], "u16")
    raw = values.view("u4").astype("u8")
    assert got.tolist() == ((raw + 0x7FFF + (raw >> 16 & 1)) >> 16).tolist()  # ties to even, on the bits
    got = run("cvt.rna.tf32.f32 %x, %a;", [("f32", values)], "u32")
    assert got.tolist() == (raw + 0x1000 & ~np.uint64(0x1FFF)).tolist()  # ties away from zero, on the bits
    assert run("cvt.rn.bf16.f32 %x, %a;", [("f32", [np.nan])], "u16")[0] == 0x7FFF


def test_integer_conversions_extend_truncate_and_saturate():
    v = np.array([0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, -32768, 70000, -70000, 2**31 - 1, -(2**31)], "i4")
    assert run("cvt.s8.s32 %x, %a;", [("s32", v)], "s32").tolist() == v.astype("i1").tolist()
    assert run("cvt.u8.u32 %x, %a;", [("s32", v)], "u32").tolist() == v.astype("u1").tolist()
    assert run("cvt.s64.s32 %x, %a;", [("s32", v)], "s64").tolist() == v.tolist()
    assert run("cvt.u64.u32 %x, %a;", [("s32", v)], "u64").tolist() == v.view("u4").tolist()
    assert run("cvt.sat.s8.s32 %x, %a;", [("s32", v)], "s32").tolist() == np.clip(v, -128, 127).tolist()
    assert run("cvt.sat.u16.s32 %x, %a;", [("s32", v)], "u16").tolist() == np.clip(v, 0, 65535).tolist()
    assert run("cvt.sat.u32.s32 %x, %a;", [("s32", v)], "u32").tolist() == np.maximum(v, 0).tolist()


def test_float_to_itself_rounds_to_whole_numbers():
    v = np.array([0.5, 1.5, 2.5, -0.5, -2.5, 1e10, -1.2, 3.7], "f4")
    assert run("cvt.rni.f32.f32 %x, %a;", [("f32", v)], "f32").tolist() == np.rint(v).tolist()
    floor = run("cvt.rmi.f32.f32 %x, %a;", [("f32", v)], "f32")
    assert floor.tolist() == np.floor(v).tolist()
    assert np.signbit(run("cvt.rzi.f32.f32 %x, %a;", [("f32", [-0.5])], "f32")[0])
    assert run("cvt.sat.f32.f32 %x, %a;", [("f32", v)], "f32").tolist() == np.clip(v, 0, 1).tolist()


# -- halves ----------------------------------------
@pytest.mark.parametrize(
    "operation, oracle, arity",
    [
        ("add", lambda a, b: a + b, 2),
        ("sub", lambda a, b: a - b, 2),
        ("mul", lambda a, b: a * b, 2),
        ("fma.rn", lambda a, b, c: a * b + c, 3),
    ],
)
def test_half_arithmetic(operation, oracle, arity):
    vectors = [hard_values("f2", 600, 20 + i)[:900] for i in range(arity)]
    n = min(map(len, vectors))
    vectors = [v[:n] for v in vectors]
    operands = ", ".join(f"%{c}" for c in "abc"[:arity])
    got = run(f"{operation}.f16 %x, {operands};", [("f16", v) for v in vectors], "f16")
    for row, x in zip(zip(*vectors, strict=True), got, strict=True):
        exact = oracle(*(Fraction(float(v)) for v in row))
        assert x == (rounded(exact, "f2") if exact else 0), (row, x)
    packed = [v.view("u2").astype("u4") | np.roll(v.view("u2"), 1).astype("u4") << 16 for v in vectors]
    both = run(f"{operation}.f16x2 %x, {operands};", [("f16x2", p) for p in packed], "f16x2")
    assert (both & 0xFFFF).tolist() == got.view("u2").tolist()
    assert (both >> 16).tolist() == np.roll(got.view("u2"), 1).tolist()


def test_bf16_fma_rounds_once():
    rng = np.random.default_rng(2)
    a, b, c = (
        (rng.standard_normal(900) * 2.0 ** rng.integers(-12, 12, 900)).astype("f4").view("u4") >> 16 for _ in range(3)
    )
    got = run("fma.rn.bf16 %x, %a, %b, %c;", [("bf16", v.astype("u2")) for v in (a, b, c)], "u16")
    for row, x in zip(zip(a, b, c, strict=True), got, strict=True):
        p, q, r = (Fraction(float(np.uint32(v << 16).view("f4"))) for v in row)
        exact = p * q + r
        value = Fraction(float(np.uint32(int(x) << 16).view("f4")))
        gap = min(abs(value - Fraction(float(np.uint32((int(x) + d) << 16).view("f4")))) for d in (-1, 1))
        assert abs(value - exact) <= gap if int(x) & 0x7F == 0 else abs(value - exact) * 2 <= gap


# -- approximations: the documented bounds ----------------------------------------
@pytest.mark.parametrize(
    "name, function, low, high, ulps",
    [
        ("rcp.approx", lambda x: 1 / x, 1e-3, 1e3, 1),
        ("sqrt.approx", np.sqrt, 0, 1e6, 1),
        ("rsqrt.approx", lambda x: 1 / np.sqrt(x), 1e-3, 1e3, 2),
        ("ex2.approx", np.exp2, -100, 100, 2),
        ("lg2.approx", np.log2, 3, 1e6, 2),
    ],
)
def test_approximations_by_ulps(name, function, low, high, ulps):
    x = np.random.default_rng(3).uniform(low, high, 500).astype("f4")
    got = run(f"{name}.f32 %x, %a;", [("f32", x)], "f32")
    want = function(x.astype("f8"))
    assert (np.abs(got - want) <= ulps * np.spacing(np.abs(want).astype("f4"))).all()


@pytest.mark.parametrize(
    "name, function, error",
    [("sin.approx", np.sin, 2.0**-20.5), ("cos.approx", np.cos, 2.0**-20.5), ("tanh.approx", np.tanh, 2.0**-11)],
)
def test_approximations_by_absolute_error(name, function, error):
    x = np.random.default_rng(3).uniform(-np.pi, np.pi, 500).astype("f4")
    assert (np.abs(run(f"{name}.f32 %x, %a;", [("f32", x)], "f32") - function(x.astype("f8"))) <= error).all()


def test_division_forms_at_their_edges():
    a = np.array([6, 1, np.inf, 1], "f4")
    b = np.array([3, 2.0**127, 2.0**127, 0], "f4")
    got = run("div.approx.f32 %x, %a, %b;", [("f32", a), ("f32", b)], "f32")
    assert got[0] == 2 and got[1] == 0 and np.isnan(got[2]) and np.isinf(got[3])


def test_classes_and_sign_copies():
    x = np.array([1, 1e-40, 0, np.inf, np.nan, -2], "f4")
    for test, want in (
        ("finite", [1, 1, 1, 0, 0, 1]),
        ("infinite", [0, 0, 0, 1, 0, 0]),
        ("number", [1, 1, 1, 1, 0, 1]),
        ("notanumber", [0, 0, 0, 0, 1, 0]),
        ("normal", [1, 0, 0, 0, 0, 1]),
        ("subnormal", [0, 1, 0, 0, 0, 0]),
    ):
        got = run(f"testp.{test}.f32 %p0, %a; selp.u32 %x, 1, 0, %p0;", [("f32", x)])
        assert got.tolist() == want, test
    got = run("copysign.f32 %x, %a, %b;", [("f32", [-1, 1]), ("f32", [3, -4])], "f32")
    assert got.tolist() == [-3, 4]

"""Integer instructions against Python's unbounded integers, on edge cases and random values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptx_snippets import DTYPE, bits, run

EDGES = {
    n: sorted(
        {
            0,
            1,
            2,
            3,
            5,
            7,
            31,
            32,
            33,
            63,
            64,
            (1 << n) - 1,
            (1 << n) - 2,
            1 << (n - 1),
            (1 << (n - 1)) - 1,
            (1 << (n - 1)) + 1,
            0x5A5A5A5A5A5A5A5A & (1 << n) - 1,
            0xDEADBEEFCAFEF00D & (1 << n) - 1,
        }
    )
    for n in (16, 32, 64)
}


def signed(value: int, n: int) -> int:
    value &= (1 << n) - 1
    return value - (1 << n) if value >> (n - 1) else value


def number(value, kind: str) -> int:
    return signed(int(value), bits(kind)) if kind[0] == "s" else int(value) & (1 << bits(kind)) - 1


def pairs(kind: str, extra: int = 200):
    """Return two vectors: all pairs of edge values, and random ones."""
    n = bits(kind)
    edges = np.array([(a, b) for a in EDGES[n] for b in EDGES[n]], dtype="u8")
    drawn = (
        np.random.default_rng(1).integers(0, 1 << n, (extra, 2), dtype="u8", endpoint=False)
        if n < 64
        else np.random.default_rng(1).integers(0, (1 << 64) - 1, (extra, 2), dtype="u8")
    )
    both = np.concatenate([edges, drawn]).astype(f"u{n // 8}").view(DTYPE[kind])
    return both[:, 0].copy(), both[:, 1].copy()


def check(instruction: str, kind: str, oracle, result: str | None = None) -> None:
    """Check that `instruction %x, %a, %b;` equals oracle(a, b) modulo the width, for every pair, 1000 threads at a time."""
    result = result or kind
    a, b = pairs(kind)
    for start in range(0, len(a), 1000):
        x, y = a[start : start + 1000].copy(), b[start : start + 1000].copy()
        got = run(f"{instruction} %x, %a, %b;", [(kind, x), (kind, y)], result)
        want = [oracle(number(i, kind), number(j, kind)) & (1 << bits(result)) - 1 for i, j in zip(x, y, strict=True)]
        wrong = np.flatnonzero(got.view(f"u{bits(result) // 8}") != np.array(want, "u8"))
        assert not wrong.size, f"{instruction}({x[wrong[0]]}, {y[wrong[0]]}) = {got[wrong[0]]}, not {want[wrong[0]]}"


def truncated(a: int, b: int) -> int:
    return abs(a) // abs(b) * (-1 if (a < 0) != (b < 0) else 1)


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_arithmetic_wraps(kind):
    n = bits(kind)
    check(f"add.{kind}", kind, lambda a, b: a + b)
    check(f"sub.{kind}", kind, lambda a, b: a - b)
    check(f"mul.lo.{kind}", kind, lambda a, b: a * b)
    check(f"mul.hi.{kind}", kind, lambda a, b: a * b >> n)
    check(f"min.{kind}", kind, min)
    check(f"max.{kind}", kind, max)


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32"])
def test_wide_product(kind):
    check(f"mul.wide.{kind}", kind, lambda a, b: a * b, f"{kind[0]}{2 * bits(kind)}")


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_division_truncates_and_zero_divisors_do_not_trap(kind):
    check(f"div.{kind}", kind, lambda a, b: truncated(a, b) if b else -1)
    check(f"rem.{kind}", kind, lambda a, b: a - b * truncated(a, b) if b else a)


@pytest.mark.parametrize("kind", ["b16", "b32", "b64"])
def test_logic(kind):
    check(f"and.{kind}", kind, lambda a, b: a & b)
    check(f"or.{kind}", kind, lambda a, b: a | b)
    check(f"xor.{kind}", kind, lambda a, b: a ^ b)


@pytest.mark.parametrize("n", [16, 32, 64])
@pytest.mark.parametrize(
    "amount", [0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 65537, 0x80000000, 0xFFFFFFFF]
)
def test_shifts_clamp_at_the_width(n, amount):
    values = np.array(EDGES[n], "u8").astype(f"u{n // 8}")
    shift = np.full(len(values), amount, "u4")
    left = run(f"shl.b{n} %x, %a, %b;", [(f"b{n}", values), ("u32", shift)], f"b{n}")
    right = run(f"shr.u{n} %x, %a, %b;", [(f"u{n}", values), ("u32", shift)], f"u{n}")
    arithmetic = run(f"shr.s{n} %x, %a, %b;", [(f"s{n}", values.view(f"i{n // 8}")), ("u32", shift)], f"s{n}")
    for i, v in enumerate(int(v) for v in values):
        s = min(amount, n)
        assert int(left[i]) == v << s & (1 << n) - 1
        assert int(right[i]) == v >> s
        assert int(arithmetic[i]) == signed(v, n) >> s


def test_funnel_shifts():
    a, b = pairs("u32", 50)
    for amount in (0, 1, 31, 32, 33, 63, 64, 0xFFFFFFFF):
        c = np.full(len(a), amount, "u4")
        for mode, s in (("clamp", min(amount, 32)), ("wrap", amount & 31)):
            left = run(f"shf.l.{mode}.b32 %x, %a, %b, %c;", [("u32", a), ("u32", b), ("u32", c)])
            right = run(f"shf.r.{mode}.b32 %x, %a, %b, %c;", [("u32", a), ("u32", b), ("u32", c)])
            wide = [int(h) << 32 | int(low) for low, h in zip(a, b, strict=True)]
            assert left.tolist() == [w << s >> 32 & 0xFFFFFFFF for w in wide]
            assert right.tolist() == [w >> s & 0xFFFFFFFF for w in wide]


@pytest.mark.parametrize("n", [32, 64])
def test_bit_counts(n):
    values = np.array(EDGES[n], "u8").astype(f"u{n // 8}")
    given_values = [(f"b{n}", values)]
    assert run(f"popc.b{n} %x, %a;", given_values).tolist() == [bin(v).count("1") for v in EDGES[n]]
    assert run(f"clz.b{n} %x, %a;", given_values).tolist() == [n - v.bit_length() for v in EDGES[n]]
    assert run(f"brev.b{n} %x, %a;", given_values, f"b{n}").tolist() == [int(f"{v:0{n}b}"[::-1], 2) for v in EDGES[n]]
    assert run(f"bfind.u{n} %x, %a;", given_values).tolist() == [(v.bit_length() - 1) & 0xFFFFFFFF for v in EDGES[n]]
    of_signed = [(v if signed(v, n) >= 0 else ~v & (1 << n) - 1).bit_length() - 1 for v in EDGES[n]]
    assert run(f"bfind.s{n} %x, %a;", given_values).tolist() == [v & 0xFFFFFFFF for v in of_signed]
    assert run(f"bfind.shiftamt.u{n} %x, %a;", given_values).tolist() == [
        n - v.bit_length() if v else 0xFFFFFFFF for v in EDGES[n]
    ]


def extracted(a: int, position: int, length: int, n: int, is_signed: bool) -> int:
    """Compute bfe by the PTX manual's loop: bits beyond the top repeat the sign (0 if unsigned)."""
    position, length = position & 255, length & 255
    sign = 0
    if is_signed and length:
        sign = a >> min(position + length - 1, n - 1) & 1
    return sum(((a >> (position + i) & 1) if i < length and position + i < n else sign) << i for i in range(n))


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bit_field_extract_and_insert(kind):
    n = bits(kind)
    cases = [
        (a, p, length)
        for a in EDGES[n][::2]
        for p in (0, 1, 8, 31, 32, 40, 63, 64, 255, 256)
        for length in (0, 1, 8, 32, 33, 64, 255)
    ]
    a, p, length = (np.array(c, "u8") for c in zip(*cases, strict=True))
    for s in range(0, len(a), 1024):
        part = slice(s, s + 1024)
        x = a[part].astype(f"u{n // 8}")
        inputs = [("u32", p[part].astype("u4")), ("u32", length[part].astype("u4"))]
        got = run(f"bfe.{kind} %x, %a, %b, %c;", [(f"u{n}", x), *inputs], f"u{n}")
        want = [extracted(v, q, m, n, kind[0] == "s") for v, q, m in cases[part]]
        assert got.tolist() == want
        base = x[::-1].copy()
        got = run(f"bfi.b{n} %x, %a, %d, %b, %c;", [(f"u{n}", x), *inputs, (f"u{n}", base)], f"u{n}")
        assert got.tolist() == [
            inserted(int(v), int(f), q & 255, m & 255, n) for v, f, (_, q, m) in zip(x, base, cases[part], strict=True)
        ]


def inserted(a: int, b: int, position: int, length: int, n: int) -> int:
    """Compute bfi by the manual's loop."""
    for i in range(length):
        if position + i < n:
            b = b & ~(1 << (position + i)) | (a >> i & 1) << (position + i)
    return b


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_lop3_is_its_truth_table(a, b, c, table):
    got = run(f"lop3.b32 %x, %a, %b, %c, {table};", [("u32", [a]), ("u32", [b]), ("u32", [c])])[0]
    want = sum((table >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1) & 1) << i for i in range(32))
    assert got == want


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
@settings(max_examples=25, deadline=None)
def test_prmt_picks_bytes(a, b, selector):
    pool = [(b << 32 | a) >> 8 * i & 255 for i in range(8)]
    want = 0
    for i in range(4):
        nibble = selector >> 4 * i & 15
        byte = pool[nibble & 7]
        want |= (0 if byte < 128 else 255) << 8 * i if nibble & 8 else byte << 8 * i
    assert run("prmt.b32 %x, %a, %b, %c;", [("u32", [a]), ("u32", [b]), ("u32", [selector])])[0] == want


def test_saturating_add_and_sub():
    clamp = lambda v: max(-(2**31), min(2**31 - 1, v))  # noqa: E731
    check("add.sat.s32", "s32", lambda a, b: clamp(a + b))
    check("sub.sat.s32", "s32", lambda a, b: clamp(a - b))


def test_carry_chains_make_128_bit_arithmetic():
    a, b = pairs("u64", 100)
    body = "add.cc.u64 %x, %a, %b; addc.cc.u64 %y, %a, %b; addc.u64 %z, 0, 0;"
    low, middle, carry = run(body, [("u64", a), ("u64", b)], "u64", ("u64", "u64"))
    for i, (p, q) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        total = (p << 64 | p) + (q << 64 | q)
        assert (int(low[i]), int(middle[i]), int(carry[i])) == (
            total & 2**64 - 1,
            total >> 64 & 2**64 - 1,
            total >> 128,
        )
    low, high = run("sub.cc.u64 %x, %a, %b; subc.u64 %y, 7, 3;", [("u64", a), ("u64", b)], "u64", ("u64",))
    for i, (p, q) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        total = ((7 << 64 | p) - (3 << 64 | q)) & 2**128 - 1
        assert (int(low[i]), int(high[i])) == (total & 2**64 - 1, total >> 64)


def test_a_carry_in_can_carry_out_by_itself():
    """The upper halves add to all ones: only the carry from below makes them overflow."""
    a, b = pairs("u64", 100)
    body = "not.b64 %z, %a; add.cc.u64 %x, %a, %b; addc.cc.u64 %y, %z, %a; addc.u64 %z, 0, 0;"
    _, upper, carry = run(body, [("u64", a), ("u64", b)], "u64", ("u64", "u64"))
    overflow = [int(p) + int(q) >> 64 for p, q in zip(a, b, strict=True)]
    assert carry.tolist() == overflow and upper.tolist() == [0 if o else 2**64 - 1 for o in overflow]
    body = "mov.b64 %z, %a; sub.cc.u64 %x, %a, %b; subc.cc.u64 %y, %z, %a; subc.u64 %z, 0, 0;"
    _, upper, borrow = run(body, [("u64", a), ("u64", b)], "u64", ("u64", "u64"))
    below = (a < b).tolist()
    assert borrow.tolist() == upper.tolist() == [2**64 - 1 if o else 0 for o in below]


def test_mad_with_carry():
    a, b = pairs("u32", 100)
    low, high = run(
        "mad.lo.cc.u32 %x, %a, %b, %a; madc.hi.u32 %y, %a, %b, %b;", [("u32", a), ("u32", b)], "u32", ("u32",)
    )
    for i, (p, q) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        total = (p * q + (q << 32 | p)) & 2**64 - 1
        assert (int(low[i]), int(high[i])) == (total & 0xFFFFFFFF, total >> 32)


def test_mad_forms():
    check("mad.lo.s32 %x, %a, %b, %a; sub.s32", "s32", lambda a, b: a - b)  # the last instruction decides
    a, b = pairs("s32", 50)
    got = run("mad.hi.s32 %x, %a, %b, %b;", [("s32", a), ("s32", b)], "s32")
    assert got.tolist() == [signed((int(p) * int(q) >> 32) + int(q), 32) for p, q in zip(a, b, strict=True)]
    wide = run("cvt.s64.s32 %y, %a; mad.wide.s32 %x, %a, %b, %y;", [("s32", a), ("s32", b)], "s64", ("s64",))[0]
    assert wide.tolist() == [int(p) * int(q) + int(p) for p, q in zip(a, b, strict=True)]


def test_24_bit_products():
    a, b = pairs("s32", 50)
    got = run("mul24.lo.s32 %x, %a, %b;", [("s32", a), ("s32", b)], "s32")
    assert got.tolist() == [signed(signed(int(p), 24) * signed(int(q), 24), 32) for p, q in zip(a, b, strict=True)]
    got = run("mul24.hi.u32 %x, %a, %b;", [("u32", a.view("u4")), ("u32", b.view("u4"))])
    assert got.tolist() == [
        (int(p) & 0xFFFFFF) * (int(q) & 0xFFFFFF) >> 16 & 0xFFFFFFFF
        for p, q in zip(a.view("u4"), b.view("u4"), strict=True)
    ]


def test_absolute_negation_and_sad():
    values = np.array(EDGES[32], "u8").astype("u4").view("i4")
    assert run("abs.s32 %x, %a;", [("s32", values)], "s32").tolist() == [signed(abs(int(v)), 32) for v in values]
    assert run("neg.s32 %x, %a;", [("s32", values)], "s32").tolist() == [signed(-int(v), 32) for v in values]
    check("sad.s32 %x, %a, %b, %a; add.s32", "s32", lambda a, b: a + b)
    a, b = pairs("s32", 50)
    got = run("sad.s32 %x, %a, %b, %b;", [("s32", a), ("s32", b)], "s32")
    assert got.tolist() == [signed(int(q) + abs(int(p) - int(q)), 32) for p, q in zip(a, b, strict=True)]


def byte(value: int, i: int, is_signed: bool) -> int:
    return signed(value >> 8 * i, 8) if is_signed else value >> 8 * i & 255


@pytest.mark.parametrize("a_kind, b_kind", [("u32", "u32"), ("s32", "u32"), ("s32", "s32")])
def test_dot_products_of_bytes(a_kind, b_kind):
    a, b = (v.view("u4") for v in pairs("u32", 100))
    got = run(f"dp4a.{a_kind}.{b_kind} %x, %a, %b, %a;", [("u32", a), ("u32", b)])
    want = [
        sum(byte(p, i, a_kind == "s32") * byte(q, i, b_kind == "s32") for i in range(4)) + p & 0xFFFFFFFF
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert got.tolist() == want


def test_packed_video_instructions():
    a, b = pairs("u32", 100)
    got = run("vadd4.u32.u32.u32.sat %x, %a, %b, 0;", [("u32", a), ("u32", b)])
    assert got.tolist() == [
        sum(min(255, byte(p, i, False) + byte(q, i, False)) << 8 * i for i in range(4))
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]
    got = run("vabsdiff4.u32.u32.u32.add %x, %a, %b, %a;", [("u32", a), ("u32", b)])
    assert got.tolist() == [
        sum(abs(byte(p, i, False) - byte(q, i, False)) for i in range(4)) + p & 0xFFFFFFFF
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]


def test_find_nth_set():
    got = run(
        "fns.b32 %x, %a, %b, %c;",
        [("u32", [0b10110, 0b10110, 0b10110, 0b10110, 0]), ("u32", [0, 2, 4, 0, 0]), ("s32", [2, 0, -2, 4, 1])],
    )
    assert got.tolist() == [2, 2, 2, 0xFFFFFFFF, 0xFFFFFFFF]


def test_selection_and_comparison():
    a, b = pairs("s32", 100)
    x, y = run(
        "setp.lt.s32 %p0|%p1, %a, %b; selp.s32 %x, %a, %b, %p0; selp.s32 %y, 1, 0, %p1;",
        [("s32", a), ("s32", b)],
        "s32",
        ("s32",),
    )
    assert x.tolist() == np.minimum(a, b).tolist()
    assert y.tolist() == (a >= b).astype(int).tolist()
    x = run(
        "setp.eq.s32 %p2, %a, %a; setp.hi.and.u32 %p0, %a, %b, !%p2; selp.u32 %x, 1, 0, %p0;",
        [("u32", a.view("u4")), ("u32", b.view("u4"))],
    )
    assert not x.any()
    x = run("set.lt.u32.s32 %x, %a, %b;", [("s32", a), ("s32", b)])
    assert x.tolist() == np.where(a < b, 0xFFFFFFFF, 0).tolist()
    x = run("slct.s32.s32 %x, %a, %b, %a;", [("s32", a), ("s32", b)], "s32")
    assert x.tolist() == np.where(a >= 0, a, b).tolist()


def test_a_guard_leaves_other_lanes_alone():
    values = np.arange(40, dtype="i4")
    x = run(
        "mov.b32 %x, 7; setp.gt.s32 %p0, %a, 20; @%p0 add.s32 %x, %a, 1; "
        "@!%p0 setp.eq.s32 %p0, %a, 3; @%p0 add.s32 %x, %x, 100;",
        [("s32", values)],
        "s32",
    )
    assert x.tolist() == [v + 101 if v > 20 else 107 if v == 3 else 7 for v in range(40)]


def test_packing_and_unpacking():
    a, b = pairs("u32", 20)
    x = run("mov.b64 %x, {%a, %b};", [("u32", a), ("u32", b)], "u64")
    assert x.tolist() == [int(p) | int(q) << 32 for p, q in zip(a, b, strict=True)]
    x, y = run(
        "mov.b64 {%x, %y}, %a; mov.b64 %a, {%y, %x}; mov.b64 {%x, _}, %a;",
        [("u64", a.astype("u8") << 32 | b)],
        "u32",
        ("u32",),
    )
    assert x.tolist() == a.tolist() == y.tolist()

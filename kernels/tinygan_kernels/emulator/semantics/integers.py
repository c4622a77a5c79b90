"""PTX's integer instructions, one function each, on NumPy vectors. (PTX ISA, 9.7.1, 9.7.2, 9.7.8)

Arguments and results have the dtype that the instruction's type names; overflow wraps. Scalars stand for immediates.
"""

from __future__ import annotations

import numpy as np

WIDER = {"u1": "u2", "i1": "i2", "u2": "u4", "i2": "i4", "u4": "u8", "i4": "i8"}


def _bits(a) -> int:
    return 8 * a.dtype.itemsize


def _unsigned(a):
    return a.view(f"u{a.dtype.itemsize}")


def _code(a) -> str:
    return a.dtype.str[1:]


def mul_hi(a, b):
    """Compute the upper half of the product, which is twice as wide as a and b."""
    if _bits(a) < 64:
        wide = WIDER[_code(a)]
        return (np.multiply(a, b, dtype=wide) >> _bits(a)).astype(a.dtype)
    high = _mul_hi_u64(_unsigned(a), _unsigned(b))
    if a.dtype.kind == "i":  # subtract what reading the operands as unsigned added
        high = high - np.where(a < 0, _unsigned(b), np.uint64(0)) - np.where(b < 0, _unsigned(a), np.uint64(0))
    return high.view(a.dtype)


def _mul_hi_u64(a, b):
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a1, a0, b1, b0 = a >> half, a & low, b >> half, b & low
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other >> half)


def mul_wide(a, b):
    """Compute the product in the type of twice the width."""
    return np.multiply(a, b, dtype=WIDER[_code(a)])


def mul24_lo(a, b):
    """Compute the low 32 bits of the 48-bit product of the low 24 bits of a and b."""
    return (_low24(a) * _low24(b)).astype(a.dtype)


def mul24_hi(a, b):
    """Compute the high 32 bits of the 48-bit product of the low 24 bits of a and b."""
    return ((_low24(a) * _low24(b)) >> 16).astype(a.dtype)


def _low24(a):
    wide = a.astype("i8")
    return (wide << 40) >> 40 if a.dtype.kind == "i" else wide & 0xFFFFFF


def quotient(a, b):
    """Divide, rounding towards zero. PTX leaves division by zero open: all ones here, as NVIDIA's machine code gives."""
    a, b = np.broadcast_arrays(a, b)
    if a.dtype.kind == "u":
        return np.where(b == 0, ~a.dtype.type(0), a // np.where(b == 0, a.dtype.type(1), b))
    size = _magnitude(a) // np.where(b == 0, _magnitude(b).dtype.type(1), _magnitude(b))
    signed = np.where((a < 0) != (b < 0), (~size + size.dtype.type(1)), size).view(a.dtype)
    return np.where(b == 0, a.dtype.type(-1), signed)


def remainder(a, b):
    """Compute a - b * quotient(a, b), which has the sign of a; a itself where b is zero."""
    a, b = np.broadcast_arrays(a, b)
    return np.where(b == 0, a, a - b * quotient(a, b))


def _magnitude(a):
    unsigned = _unsigned(np.ascontiguousarray(a))
    return np.where(a < 0, ~unsigned + unsigned.dtype.type(1), unsigned)


def shl(a, amount):
    """Shift left; an amount of the width or more gives 0."""
    bits = _bits(a)
    shifted = a << np.minimum(amount, bits - 1).astype(a.dtype)
    return np.where(amount >= bits, a.dtype.type(0), shifted)


def shr(a, amount):
    """Shift right, filling with the sign (0 if unsigned), also by amounts of the width or more."""
    bits = _bits(a)
    shifted = a >> np.minimum(amount, bits - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(amount >= bits, a.dtype.type(0), shifted)


def funnel_left(low, high, amount, clamp: bool):
    """Compute the upper 32 bits of (high:low) << amount. Amounts are at most 32 with `clamp`, else taken modulo 32."""
    amount = np.minimum(amount, 32) if clamp else amount & np.uint32(31)
    wide = high.astype("u8") << np.uint64(32) | low
    return (wide << amount.astype("u8") >> np.uint64(32)).astype("u4")


def funnel_right(low, high, amount, clamp: bool):
    """Compute the lower 32 bits of (high:low) >> amount. Amounts are at most 32 with `clamp`, else taken modulo 32."""
    amount = np.minimum(amount, 32) if clamp else amount & np.uint32(31)
    wide = high.astype("u8") << np.uint64(32) | low
    return (wide >> amount.astype("u8")).astype("u4")


def popc(a):
    """Count the bits that are 1."""
    count, work = np.zeros(np.shape(a), "u4"), a
    for _ in range(_bits(a) // 8):
        count = count + _POPCOUNT[work & work.dtype.type(255)]
        work = work >> work.dtype.type(8)
    return count


_POPCOUNT = np.array([bin(i).count("1") for i in range(256)], "u4")


def brev(a):
    """Reverse the order of the bits."""
    swapped = np.atleast_1d(a).byteswap().view("u1").reshape(*np.shape(np.atleast_1d(a)), -1)
    turned = _REVERSED[swapped].reshape(-1).view(a.dtype)
    return turned if np.ndim(a) else turned[0]


_REVERSED = np.array([int(f"{i:08b}"[::-1], 2) for i in range(256)], "u1")


def highest_bit(a):
    """Return the position of the most significant 1, -1 for 0. `a` is unsigned."""
    found, work = np.full(np.shape(a), -1, "i4"), a.astype("u8")
    for step in (32, 16, 8, 4, 2, 1):
        above = work >= np.uint64(1 << step)
        found = found + np.where(above, np.int32(step), np.int32(0))
        work = np.where(above, work >> np.uint64(step), work)
    return np.where(a == 0, np.int32(-1), found + np.int32(1))


def clz(a):
    """Count the zeros above the most significant 1."""
    return (_bits(a) - 1 - highest_bit(a)).astype("u4")


def bfind(a, shift: bool):
    """Return the position of the top bit that differs from the sign (the top 1 if unsigned), 0xffffffff if there is none.

    With `shift`, return instead how far to shift left to bring that bit to the top.
    """
    magnitude = _unsigned(np.where(a < 0, ~a, a)) if a.dtype.kind == "i" else a
    found = highest_bit(magnitude)
    moved = np.where(found < 0, np.int32(-1), np.int32(_bits(a) - 1) - found) if shift else found
    return moved.astype("i4").view("u4")


def bfe(a, position, length):
    """Extract bits position..position+length-1, sign-extended for signed types. Both operands are taken modulo 256."""
    bits = _bits(a)
    position, length = (position & np.uint32(255)).astype("i8"), (length & np.uint32(255)).astype("i8")
    raw = shr(_unsigned(a), position)
    kept = raw & _low_mask(length, raw.dtype)
    if a.dtype.kind == "u":
        return kept
    top = np.minimum(position + length - 1, bits - 1)
    negative = (length > 0) & ((shr(_unsigned(a), np.maximum(top, 0)) & raw.dtype.type(1)) == 1)
    return np.where(
        negative, kept | ~_low_mask(length - np.maximum(position + length - bits, 0), raw.dtype), kept
    ).view(a.dtype)


def bfi(a, b, position, length):
    """Replace bits position..position+length-1 of b by the low bits of a."""
    position, length = (position & np.uint32(255)).astype("i8"), (length & np.uint32(255)).astype("i8")
    mask = shl(_low_mask(length, b.dtype), position)
    return (shl(a, position) & mask) | (b & ~mask)


def _low_mask(length, dtype):
    """Return words whose low `length` bits are ones."""
    one = np.ones(np.shape(length), dtype)
    return np.where(length <= 0, dtype.type(0), shl(one, length) - dtype.type(1))


def bmsk(position, length, clamp: bool):
    """Return words with `length` ones from bit `position` on. Both are at most 32 with `clamp`, else taken modulo 32."""
    if not clamp:
        position, length = position & np.uint32(31), length & np.uint32(31)
    return shl(_low_mask(np.minimum(length, 32).astype("i8"), np.dtype("u4")), np.minimum(position, 32))


def szext(a, bits, clamp: bool):
    """Extend the low `bits` bits by their sign, or by zeros if a is unsigned. `bits` is clamped to 32 or taken modulo 32."""
    count = (np.minimum(bits, 32) if clamp else bits & np.uint32(31)).astype("i8")
    kept = _unsigned(a) & _low_mask(count, np.dtype("u4"))
    if a.dtype.kind == "u":
        return kept
    negative = (count > 0) & ((shr(_unsigned(a), np.maximum(count - 1, 0)) & np.uint32(1)) == 1)
    return np.where(negative, kept | ~_low_mask(count, np.dtype("u4")), kept).view("i4")


def lop3(a, b, c, table):
    """Apply any function of three bits: bit i of `table` is its value for (a, b, c) = the binary digits of i."""
    result = np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b), np.shape(c)), "u4")
    for i in range(8):
        if int(table) >> i & 1:
            result = result | (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
    return result


def prmt(a, b, selector):
    """Pick four bytes out of the eight of (b:a), by nibbles of the selector; a nibble with bit 3 set gives the byte's sign."""
    wide = b.astype("u8") << np.uint64(32) | a
    result = np.zeros(np.broadcast_shapes(np.shape(wide), np.shape(selector)), "u4")
    for i in range(4):
        nibble = selector >> np.uint32(4 * i) & np.uint32(15)
        byte = (wide >> ((nibble & np.uint32(7)) * np.uint32(8)).astype("u8")).astype("u4") & np.uint32(255)
        spread = np.where(byte & np.uint32(128) != 0, np.uint32(255), np.uint32(0))
        result = result | np.where(nibble & np.uint32(8) != 0, spread, byte) << np.uint32(8 * i)
    return result


_PRMT_MODES = {  # selector of each mode for control values 0..3
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543),
    "b4e": (0x5670, 0x6701, 0x7012, 0x0123),
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333),
    "ecl": (0x3210, 0x3211, 0x3222, 0x3333),
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210),
    "rc16": (0x1010, 0x3232, 0x1010, 0x3232),
}


def prmt_mode(mode: str, a, b, control):
    """Pick four bytes of b:a as one of prmt's six modes says, for a control value of 0 to 3."""
    return prmt(a, b, np.array(_PRMT_MODES[mode], "u4")[control & np.uint32(3)])


def sad(a, b, c):
    """Compute c + |a - b|."""
    return c + np.where(a < b, b - a, a - b).astype(c.dtype)


def dp4a(a, b, c, a_code: str, b_code: str):
    """Compute c plus the dot product of four bytes. a_code, b_code: NumPy types, which tell signed from unsigned bytes."""
    return _dot(a, b, c, a_code, b_code, 4, 0)


def dp2a(a, b, c, a_code: str, b_code: str, high: bool):
    """Compute c plus the dot product of a's two 16-bit halves with the lower or (`high`) upper two bytes of b."""
    return _dot(a, b, c, a_code, b_code, 2, 2 if high else 0)


def _dot(a, b, c, a_code, b_code, terms, first_byte):
    total = c.astype("i8")
    for i in range(terms):
        total = total + _piece(a, i, 32 // terms, a_code) * _piece(b, first_byte + i, 8, b_code)
    return total.astype(c.dtype)


def _piece(a, i, bits, code):
    value = (a.astype("i8") >> (bits * i)) & ((1 << bits) - 1)
    return np.where(value >> (bits - 1) & 1, value - (1 << bits), value) if code[0] == "i" else value


def packed_video(operation: str, a, b, c, a_code: str, b_code: str, parts: int, saturated: str, accumulate: bool):
    """Compute vadd4, vsub2, vabsdiff4, ...: on each of the `parts` pieces of a word; with `accumulate`, c plus their sum.

    operation: a key of _VIDEO; saturated: "i" or "u" to clamp each piece to its signed or unsigned range, "" to wrap.
    """
    bits = 32 // parts
    total = c.astype("i8")
    word = np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b)), "u4")
    for i in range(parts):
        value = _VIDEO[operation](_piece(a, i, bits, a_code), _piece(b, i, bits, b_code))
        if saturated:
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if saturated == "i" else (0, (1 << bits) - 1)
            value = np.clip(value, low, high)
        total = total + value
        word = word | ((value & (1 << bits) - 1).astype("u4") << np.uint32(bits * i))
    return total.astype("u4") if accumulate else word


_VIDEO = {
    "vadd": np.add,
    "vsub": np.subtract,
    "vmin": np.minimum,
    "vmax": np.maximum,
    "vabsdiff": lambda x, y: np.abs(x - y),
    "vavrg": lambda x, y: (x + y + (x + y >= 0)) >> 1,
}


def add_carry(a, b, carry):
    """Return (a + b + carry, carry out). Both carries are bool."""
    unsigned_a, unsigned_b = _unsigned(a), _unsigned(b)
    total = unsigned_a + unsigned_b
    out = total < unsigned_a
    total2 = total + np.asarray(carry).astype(total.dtype)
    return total2.view(a.dtype), out | (total2 < total)


def sub_borrow(a, b, borrow):
    """Return (a - b - borrow, borrow out). Both borrows are bool."""
    unsigned_a, unsigned_b = _unsigned(a), _unsigned(b)
    total = unsigned_a - unsigned_b
    out = unsigned_a < unsigned_b
    total2 = total - np.asarray(borrow).astype(total.dtype)
    return total2.view(a.dtype), out | (total2 > total)


def add_sat(a, b):
    """Compute add.sat.s32: the sum, clamped to the range of 32 bits."""
    return np.clip(np.add(a, b, dtype="i8"), -(2**31), 2**31 - 1).astype("i4")


def sub_sat(a, b):
    """Compute sub.sat.s32: the difference, clamped to the range of 32 bits."""
    return np.clip(np.subtract(a, b, dtype="i8"), -(2**31), 2**31 - 1).astype("i4")


def cnot(a):
    """Return 1 where a is 0, else 0."""
    return (a == 0).astype(a.dtype)


def find_nth_set(mask, base, offset):
    """Find the |offset|-th set bit from `base` on (fns.b32), upward for offset > 0, downward for offset < 0.

    Return its position, 0xffffffff if there is none. Offset 0 asks for the bit at `base` itself.
    """
    mask, base, offset = np.broadcast_arrays(np.atleast_1d(mask), base, offset)
    found = np.full(mask.shape, 0xFFFFFFFF, "u4")
    for i, (m, b, o) in enumerate(zip(mask.tolist(), base.tolist(), offset.tolist(), strict=True)):
        way = range(b, 32) if o >= 0 else range(b, -1, -1)
        hits = [p for p in way if m >> p & 1]
        if o == 0:
            found[i] = b if m >> b & 1 else 0xFFFFFFFF
        elif abs(o) <= len(hits):
            found[i] = hits[abs(o) - 1]
    return found

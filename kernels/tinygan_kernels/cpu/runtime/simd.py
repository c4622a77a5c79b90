"""Vector instructions from Numba: LLVM code for the target's widest registers, where LLVM's loop vectoriser finds none.

An `@intrinsic` of Numba may write LLVM code of its own. `Vectors` writes the few operations that our kernels need: load, store,
splat, multiply-add, on vectors of as many numbers as a register has room for. LLVM turns them into AVX-512, AVX2, SSE or NEON.
Addresses are integers, in bytes. Nothing checks them: the caller of an intrinsic vouches for all that it reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from llvmlite import ir
from numba.core import cgutils

from .target import target, vector_bytes

WORD = ir.IntType(64)


@lru_cache
def register_bytes() -> int:
    """Return the bytes of the vector registers of the processor that Numba compiles for: 64, 32 or 16."""
    return vector_bytes(*target())


@lru_cache
def registers() -> int:
    """Return how many vector registers that processor has: 32 with AVX-512 and on 64-bit ARM, otherwise 16."""
    return 32 if register_bytes() == 64 or target()[0].startswith(("aarch64", "arm64")) else 16


@lru_cache
def level_2_bytes() -> int:
    """Return the bytes of a core's level-2 cache as Linux tells it; elsewhere 512 KiB, which all but the smallest have."""
    caches = Path("/sys/devices/system/cpu/cpu0/cache")
    for size in caches.glob("index*/size"):
        with suppress(OSError, ValueError):
            if (size.parent / "level").read_text().strip() == "2":
                return int(size.read_text().strip().removesuffix("K")) << 10
    return 512 << 10


def lanes(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes one register holds."""
    return register_bytes() // itemsize


class Vectors:
    """Writes vector code for numbers of an LLVM type (float or double) at the builder's position. Sizes and steps are in bytes."""

    def __init__(self, builder: ir.IRBuilder, number: ir.Type, width: int | None = None) -> None:
        """width: numbers in a vector; as many as a register has room for if None."""
        self.builder, self.number = builder, number
        self.itemsize = 4 if isinstance(number, ir.FloatType) else 8
        self.lanes = width or lanes(self.itemsize)
        self.bytes = self.lanes * self.itemsize
        self.type = ir.VectorType(number, self.lanes)

    def constant(self, value: float) -> ir.Constant:
        """Return a vector with this value in every lane."""
        return ir.Constant(self.type, [value] * self.lanes)

    def at(self, address: ir.Value, offset: int | ir.Value) -> ir.Value:
        """Return address + offset."""
        return self.builder.add(address, ir.Constant(WORD, offset) if isinstance(offset, int) else offset)

    def load(self, address: ir.Value) -> ir.Value:
        """Load a vector from an address of any alignment."""
        pointer = self.builder.inttoptr(address, self.type.as_pointer())
        return self.builder.load(pointer, align=self.itemsize)

    def store(self, vector: ir.Value, address: ir.Value) -> None:
        """Store a vector to an address of any alignment."""
        self.builder.store(vector, self.builder.inttoptr(address, self.type.as_pointer()), align=self.itemsize)

    def prefetch(self, address: ir.Value, write: bool = False) -> None:
        """Bring the cache line at an address into the level-1 cache while other work goes on."""
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(number, int(write)), ir.Constant(number, 3), ir.Constant(number, 1)]
        self.builder.call(prefetch, [self.builder.inttoptr(address, pointer), *flags])

    def splat(self, scalar: ir.Value) -> ir.Value:
        """Return a vector with the number in every lane."""
        nowhere = ir.Constant(self.type, ir.Undefined)
        index = ir.IntType(32)
        first = self.builder.insert_element(nowhere, scalar, ir.Constant(index, 0))
        return self.builder.shuffle_vector(first, nowhere, ir.Constant(ir.VectorType(index, self.lanes), [0] * self.lanes))

    def load_splat(self, address: ir.Value) -> ir.Value:
        """Load one number and return a vector with it in every lane."""
        pointer = self.builder.inttoptr(address, self.number.as_pointer())
        return self.splat(self.builder.load(pointer, align=self.itemsize))

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return a b + c, rounded once where the machine can."""
        return self._called("fmuladd", a, b, c)

    def over_root(self, number: ir.Value, a: ir.Value, small: ir.Value) -> ir.Value:
        """Return number / (sqrt(a) + small), where a and small are at least 0; at extremes as IEEE 754's root and division do.

        AVX-512 has estimates of 1 / sqrt(a) and of 1 / b with a relative error below 2^-14. A step of Newton's iteration after each
        leaves little but rounding errors, and takes less time than a root and a division. Those are taken where the estimates do
        not hold: for infinities and NaN, for quotients beyond the largest number, and for a below 1e-37 where small does not hide
        the root. A vector of one number, in the rest of a row, goes the same way as a full one, so the place of a number in an
        array does not matter.
        """
        if register_bytes() != 64 or self.itemsize != 4:
            return self._divided_by_root(number, a, small)
        if self.bytes == 64:
            return self._estimated_over_root(number, a, small)
        full, lane = Vectors(self.builder, self.number), ir.Constant(ir.IntType(32), 0)
        wide = full._estimated_over_root(*(full.splat(self.builder.extract_element(v, lane)) for v in (number, a, small)))
        return self.splat(self.builder.extract_element(wide, lane))

    def _divided_by_root(self, number: ir.Value, a: ir.Value, small: ir.Value) -> ir.Value:
        return self.builder.fdiv(number, self.builder.fadd(self._called("sqrt", a), small))

    def _estimated_over_root(self, number: ir.Value, a: ir.Value, small: ir.Value) -> ir.Value:
        """Return number / (sqrt(a) + small) for 16 floats, from estimates where they hold in all of them."""
        # The estimates give a NaN wherever they do not hold: 1 / sqrt(a) is infinite at 0 and 0 at infinity, and infinity times 0
        # is a NaN. Two numbers that a loop computes once see to it that few take the way aside. The first keeps a zero from it
        # where sqrt(1e-37) is less than half a rounding of small; the second leads there where 1 / b is estimated as 0.
        b, zero = self.builder, self.constant(0.0)
        least = b.select(b.fcmp_ordered(">=", small, self.constant(1e-11)), self.constant(1e-37), zero)
        added = b.select(b.fcmp_ordered("<=", small, self.constant(1e37)), small, self.constant(float("nan")))
        positive = b.select(b.fcmp_ordered("<", a, least), least, a)
        y = self._estimate("rsqrt14", positive)
        root = b.fmul(positive, y)
        missing = self.multiply_add(b.fneg(root), y, self.constant(1.0))
        under = b.fadd(self.multiply_add(b.fmul(root, self.constant(0.5)), missing, root), added)
        y = self._estimate("rcp14", under)
        quotient = b.fmul(number, y)
        missing = self.multiply_add(b.fneg(under), quotient, number)
        estimated = self.multiply_add(y, missing, quotient)
        holds = b.fcmp_ordered("ord", estimated, estimated)
        everywhere = b.icmp_unsigned("==", b.bitcast(holds, ir.IntType(self.lanes)), ir.Constant(ir.IntType(self.lanes), -1))
        before = b.block
        with b.if_then(b.not_(everywhere), likely=False):
            exact = b.select(holds, estimated, self._divided_by_root(number, a, small))
            aside = b.block
        result = b.phi(self.type)
        result.add_incoming(estimated, before)
        result.add_incoming(exact, aside)
        return result

    def _estimate(self, name: str, a: ir.Value) -> ir.Value:
        """Apply one of AVX-512's estimating instructions to a vector of 16 floats."""
        kind = ir.FunctionType(self.type, [self.type, self.type, ir.IntType(16)])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.x86.avx512.{name}.ps.512")
        return self.builder.call(function, [a, self.constant(0.0), ir.Constant(ir.IntType(16), 0xFFFF)])

    def _called(self, name: str, *vectors: ir.Value) -> ir.Value:
        """Apply LLVM's intrinsic of that name to vectors."""
        kind = ir.FunctionType(self.type, [self.type] * len(vectors))
        name = f"llvm.{name}.v{self.lanes}f{8 * self.itemsize}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), vectors)


def counted(
    builder: ir.IRBuilder, count: ir.Value, start: Sequence[ir.Value], body: Callable[[Sequence[ir.Value]], Sequence[ir.Value]]
) -> list[ir.Value]:
    """Write a loop that runs `count` (at least 1) times and passes the values `start` through `body` each time. Returns the last
    ones.
    """
    before, loop, after = builder.basic_block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    turn = builder.phi(WORD)
    values = [builder.phi(value.type) for value in start]
    next_values = list(body(values))
    next_turn = builder.add(turn, ir.Constant(WORD, 1))
    for phi, first, later in zip([turn, *values], [ir.Constant(WORD, 0), *start], [next_turn, *next_values], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, builder.basic_block)
    builder.cbranch(builder.icmp_signed("<", next_turn, count), loop, after)
    builder.position_at_end(after)
    return next_values

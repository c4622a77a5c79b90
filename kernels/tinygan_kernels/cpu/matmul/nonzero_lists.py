"""Lists of the terms of a sum whose factor is not 0, and a tile that goes by such a list: the vector code of `zero_skipping`.

A list belongs to a row of A: the number of its terms, in 8 bytes, and then two runs, each with room for `room` terms: the factors
A[i, k], and the k, as integers of the same size.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygan_kernels.cpu.runtime.ir import check_words, either, unpacked, vectors
from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted, register_bytes

from .microkernel import Epilogue, apply_epilogue, initial_sums

COUNT = 8  # bytes before the first run


class TermsOfA(NamedTuple):
    """A[i, k] lies at address + (the row's offset) + k step."""

    address: int
    step: int


class RowTable(NamedTuple):
    """The rows first..last of A: `offsets` is the address of a table with the offset of each row of A. A row after `last` counts as
    `last`.
    """

    offsets: int
    first: int
    last: int


class Lists(NamedTuple):
    """The address of the first list, the bytes from one to the next, and the terms that each has room for: more than there are
    terms by at least a register's numbers.
    """

    address: int
    step: int
    room: int


def _word(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """Load the 8 bytes at an address."""
    return builder.load(builder.inttoptr(address, WORD.as_pointer()), align=4)


def _entry(builder: ir.IRBuilder, table: ir.Value, row: ir.Value) -> ir.Value:
    """Load an entry of the table of words at an address."""
    return _word(builder, builder.add(table, builder.mul(row, ir.Constant(WORD, 8))))


def _integer(v: Vectors) -> ir.IntType:
    """Return the integer type as large as a number."""
    return ir.IntType(8 * v.itemsize)


def _runs(v: Vectors, head: ir.Value, room: ir.Value) -> list[ir.Value]:
    """Return the addresses of the two runs of the list at address `head`."""
    first = v.at(head, COUNT)
    return [first, v.at(first, v.builder.mul(room, ir.Constant(WORD, v.itemsize)))]


def _places(v: Vectors, runs: list[ir.Value], n: ir.Value) -> list[ir.Value]:
    """Return the addresses of the n-th term in both runs."""
    return [v.at(run, v.builder.mul(n, ir.Constant(WORD, v.itemsize))) for run in runs]


@intrinsic
def compute_listed_tile(typing_context, columns, like, head, room, b, c, epilogue, slope):
    """Compute a row of C, `columns` registers wide, the sum running over the terms of a list only.

    head: the address of the list; room: the terms it has room for. b: the address of a packed panel of B, as wide as the tile. c:
    the address of the row. epilogue and slope: as for `microkernel.compute_tile`.
    """
    check_words(epilogue)
    width = columns.count

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        _, _, head, room, b_at, c_at, _, slope = arguments
        places = [v.at(c_at, q * v.bytes) for q in range(width)]
        epilogue = Epilogue(*unpacked(builder, arguments[6]))
        runs = _runs(v, head, room)

        def term(values):
            n, *sums = values
            number, k_at = _places(v, runs, n)
            k = builder.load(builder.inttoptr(k_at, _integer(v).as_pointer()), align=v.itemsize)
            k = k if v.itemsize == 8 else builder.zext(k, WORD)
            row = v.at(b_at, builder.mul(k, ir.Constant(WORD, width * v.bytes)))
            spread = v.load_splat(number)
            return [v.at(n, 1), *[v.multiply_add(spread, v.load(v.at(row, q * v.bytes)), sums[q]) for q in range(width)]]

        sums, count = initial_sums(builder, v, epilogue.add, places), _word(builder, head)
        some = builder.icmp_signed(">", count, ir.Constant(WORD, 0))
        sums = either(
            builder, some, lambda: counted(builder, count, [ir.Constant(WORD, 0), *sums], term)[1:], lambda: sums
        )
        for place, value in zip(places, apply_epilogue(builder, v, epilogue.bias, slope, sums, width), strict=True):
            v.store(value, place)
        return context.get_dummy_value()

    return types.void(columns, like, *[types.int64] * 4, epilogue, like.dtype), generate


@intrinsic
def list_terms(typing_context, together, like, a, rows, depth, every, lists):
    """Write the lists of `len(together)` rows of A, each of the first `depth` terms from address `a` on.

    a: TermsOfA. rows: RowTable. every: 1 where the terms with a factor of 0 are listed too, else 0. lists: Lists.
    """
    check_words(a, rows, lists)

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        a, rows = TermsOfA(*unpacked(builder, arguments[2])), RowTable(*unpacked(builder, arguments[3]))
        depth, every, lists = *arguments[4:6], Lists(*unpacked(builder, arguments[6]))
        zero = ir.Constant(WORD, 0)

        def row(r):
            wanted = v.at(rows.first, r)
            known = builder.select(builder.icmp_signed("<", wanted, rows.last), wanted, rows.last)
            return v.at(a.address, _entry(builder, rows.offsets, known))

        all_rows = [row(r) for r in range(together.count)]
        heads = [v.at(lists.address, builder.mul(lists.step, ir.Constant(WORD, r))) for r in range(together.count)]
        all_runs = [_runs(v, head, lists.room) for head in heads]
        done, counts = zero, [zero] * together.count
        if register_bytes() == 64:
            in_one_piece = builder.icmp_signed("==", a.step, ir.Constant(WORD, v.itemsize))
            chunks = builder.select(in_one_piece, builder.udiv(depth, ir.Constant(WORD, v.lanes)), zero)
            some, done = builder.icmp_signed(">", chunks, zero), builder.mul(chunks, ir.Constant(WORD, v.lanes))
            counts = [
                either(builder, some, lambda of=of: [_by_registers(v, *of, chunks, every)], lambda: [zero])[0]
                for of in zip(all_rows, all_runs, strict=True)
            ]
        left = builder.sub(depth, done)
        counts = either(
            builder, builder.icmp_signed(">", left, zero),
            lambda: _one_by_one(v, all_rows, all_runs, a.step, done, left, every, counts), lambda: counts,
        )
        for head, count in zip(heads, counts, strict=True):
            builder.store(count, builder.inttoptr(head, WORD.as_pointer()), align=v.itemsize)
        return context.get_dummy_value()

    return types.void(together, like, a, rows, types.int64, types.int64, lists), generate


def _one_by_one(v: Vectors, all_rows, all_runs, a_step: ir.Value, first: ir.Value, count: ir.Value, every: ir.Value, counts):
    """List `count` terms from the `first` on of some rows, behind the `counts` that are listed already. Returns the new counts.

    A term is always written, and the count goes up only if its factor is not 0: there is no branch to predict.
    """
    builder, whole = v.builder, _integer(v)

    def put(value, address):
        builder.store(value, builder.inttoptr(address, whole.as_pointer()), align=v.itemsize)

    def term(values):
        k, distance, *counts = values
        number, moved = k if v.itemsize == 8 else builder.trunc(k, whole), []
        for row, runs, count in zip(all_rows, all_runs, counts, strict=True):
            x = builder.load(builder.inttoptr(v.at(row, distance), whole.as_pointer()), align=v.itemsize)
            for value, place in zip((x, number), _places(v, runs, count), strict=True):
                put(value, place)
            bits = builder.or_(builder.shl(x, ir.Constant(whole, 1)), always)  # all bits of x but the sign, as -0 is 0 too
            moved.append(v.at(count, builder.zext(builder.icmp_unsigned("!=", bits, ir.Constant(whole, 0)), WORD)))
        return [v.at(k, 1), v.at(distance, a_step), *moved]

    always = every if v.itemsize == 8 else builder.trunc(every, whole)
    return counted(builder, count, [first, builder.mul(first, a_step), *counts], term)[2:]


def _by_registers(v: Vectors, row: ir.Value, runs, chunks: ir.Value, every: ir.Value) -> ir.Value:
    """List the first `chunks` registers full of terms of a row that lies in one piece. Returns how many are listed.

    AVX-512 has an instruction for this (compress), which moves the numbers of a register that a mask names to its front.
    """
    builder, whole = v.builder, _integer(v)
    numbers, mask = ir.VectorType(whole, v.lanes), ir.IntType(v.lanes)
    kind = f"v{v.lanes}i{8 * v.itemsize}"
    signature = ir.FunctionType(numbers, [numbers, numbers, ir.VectorType(ir.IntType(1), v.lanes)])
    compress = cgutils.get_or_insert_function(builder.module, signature, f"llvm.x86.avx512.mask.compress.{kind}")
    ones = cgutils.get_or_insert_function(builder.module, ir.FunctionType(mask, [mask]), f"llvm.ctpop.i{v.lanes}")
    nothing = ir.Constant(numbers, [0] * v.lanes)
    all_of_them = builder.icmp_signed("!=", every, ir.Constant(WORD, 0))
    nowhere = builder.select(all_of_them, v.constant(float("nan")), v.constant(0.0))  # to which no number is equal

    def register(values):
        count, at, ks = values
        x = v.load(v.at(row, at))
        needed = builder.fcmp_unordered("!=", x, nowhere)
        for value, place in zip((builder.bitcast(x, numbers), ks), _places(v, runs, count), strict=True):
            moved = builder.call(compress, [value, nothing, needed])
            builder.store(moved, builder.inttoptr(place, numbers.as_pointer()), align=v.itemsize)
        more = builder.zext(builder.call(ones, [builder.bitcast(needed, mask)]), WORD)
        return [v.at(count, more), v.at(at, v.bytes), builder.add(ks, ir.Constant(numbers, [v.lanes] * v.lanes))]

    start = [ir.Constant(WORD, 0), ir.Constant(WORD, 0), ir.Constant(numbers, list(range(v.lanes)))]
    return counted(builder, chunks, start, register)[0]


@intrinsic
def all_finite(typing_context, like, address, count):
    """Return whether none of the `count` (at least 1) registers full of numbers at an address holds an infinity or a NaN."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        zero = v.constant(0.0)  # infinities and NaN are the only numbers whose product with 0 is not 0

        def register(values):
            return [v.at(values[0], v.bytes), v.multiply_add(v.load(values[0]), zero, values[1])]

        total = counted(builder, arguments[2], [arguments[1], zero], register)[1]
        bits = ir.IntType(v.lanes)
        return builder.icmp_signed("==", builder.bitcast(builder.fcmp_ordered("==", total, zero), bits), ir.Constant(bits, -1))

    return types.boolean(like, types.int64, types.int64), generate


@intrinsic
def is_not_zero(typing_context, like, address):
    """Return 1 where the number at an address is not 0, else 0."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        number = builder.load(builder.inttoptr(arguments[1], v.number.as_pointer()), align=v.itemsize)
        return builder.zext(builder.fcmp_unordered("!=", number, ir.Constant(v.number, 0.0)), WORD)

    return types.int64(like, types.int64), generate


@intrinsic
def word_at(typing_context, address):
    """Return the 8 bytes at an address as an integer."""

    def generate(context, builder, signature, arguments):
        return _word(builder, arguments[0])

    return types.int64(types.int64), generate

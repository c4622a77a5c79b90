"""Lists of the terms that count in a sum of products, and a tile that goes by such a list: the vector code for `zeros`.

A list is for a row of A, and holds the terms whose factor is not 0: how many there are, in 8 bytes, and then two runs, each with
room for `room` of them: the factors, and the k, integers of the same size.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygan_kernels.cpu.runtime.ir import either, unpacked, vectors
from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted, register_bytes

from .microkernel import begun, finished

COUNT = 8  # bytes before the first run


def _word(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.load(builder.inttoptr(address, WORD.as_pointer()), align=4)


def _entry(builder: ir.IRBuilder, table: ir.Value, row: ir.Value) -> ir.Value:
    """Of a table of words at an address."""
    return _word(builder, builder.add(table, builder.mul(row, ir.Constant(WORD, 8))))


def _integer(v: Vectors) -> ir.IntType:
    """As large as a number."""
    return ir.IntType(8 * v.itemsize)


def _runs(v: Vectors, head: ir.Value, room: ir.Value) -> list[ir.Value]:
    """Where the two runs of a list begin."""
    first = v.at(head, COUNT)
    return [first, v.at(first, v.builder.mul(room, ir.Constant(WORD, v.itemsize)))]


def _places(v: Vectors, runs: list[ir.Value], n: ir.Value) -> list[ir.Value]:
    """Of the n-th term, in both."""
    return [v.at(run, v.builder.mul(n, ir.Constant(WORD, v.itemsize))) for run in runs]


@intrinsic
def listed_tile(typing_context, columns, like, terms, b, c, finish, slope):
    """A row of C, `columns` registers wide, the sum running over the terms of a list only.

    terms: (address of the list, its room). b: address of B's rows, as wide as the tile, in one piece. c: address of the row.
    finish and slope: as for a tile.
    """
    width = columns.count

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        head, room = unpacked(builder, arguments[2])
        b_at, slope = arguments[3], arguments[6]
        places = [v.at(arguments[4], q * v.bytes) for q in range(width)]
        add, bias = unpacked(builder, arguments[5])
        runs = _runs(v, head, room)

        def term(values):
            n, *sums = values
            number, k_at = _places(v, runs, n)
            k = builder.load(builder.inttoptr(k_at, _integer(v).as_pointer()), align=v.itemsize)
            k = k if v.itemsize == 8 else builder.zext(k, WORD)
            row = v.at(b_at, builder.mul(k, ir.Constant(WORD, width * v.bytes)))
            spread = v.load_splat(number)
            return [v.at(n, 1), *[v.multiply_add(spread, v.load(v.at(row, q * v.bytes)), sums[q]) for q in range(width)]]

        sums, count = begun(builder, v, add, places), _word(builder, head)
        some = builder.icmp_signed(">", count, ir.Constant(WORD, 0))
        sums = either(
            builder, some, lambda: counted(builder, count, [ir.Constant(WORD, 0), *sums], term)[1:], lambda: sums
        )
        for place, value in zip(places, finished(builder, v, bias, slope, sums, width), strict=True):
            v.store(value, place)
        return context.get_dummy_value()

    two = types.UniTuple(types.int64, 2)
    return types.void(columns, like, two, types.int64, types.int64, two, like.dtype), generate


@intrinsic
def list_terms(typing_context, together, like, a, rows, depth, every, lists, room):
    """Lists for `len(together)` rows of A.

    a: (address, step of k). rows: (address of a table of rows' offsets, the first row, the last; those after it count as the last).
    every: 1 where all terms are wanted, else 0. lists: (address of the first, bytes from one to the next). room: more than depth by
    a register's numbers.
    """

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        a_at, a_step = unpacked(builder, arguments[2])
        table, first, last = unpacked(builder, arguments[3])
        depth, every, (lists, apart), room = *arguments[4:6], unpacked(builder, arguments[6]), arguments[7]
        zero = ir.Constant(WORD, 0)

        def row(r):
            wanted = v.at(first, r)
            return v.at(a_at, _entry(builder, table, builder.select(builder.icmp_signed("<", wanted, last), wanted, last)))

        all_rows = [row(r) for r in range(together.count)]
        heads = [v.at(lists, builder.mul(apart, ir.Constant(WORD, r))) for r in range(together.count)]
        all_runs = [_runs(v, head, room) for head in heads]
        done, counts = zero, [zero] * together.count
        if register_bytes() == 64:
            in_one_piece = builder.icmp_signed("==", a_step, ir.Constant(WORD, v.itemsize))
            chunks = builder.select(in_one_piece, builder.udiv(depth, ir.Constant(WORD, v.lanes)), zero)
            some, done = builder.icmp_signed(">", chunks, zero), builder.mul(chunks, ir.Constant(WORD, v.lanes))
            counts = [
                either(builder, some, lambda of=of: [_by_registers(v, *of, chunks, every)], lambda: [zero])[0]
                for of in zip(all_rows, all_runs, strict=True)
            ]
        left = builder.sub(depth, done)
        counts = either(
            builder, builder.icmp_signed(">", left, zero),
            lambda: _one_by_one(v, all_rows, all_runs, a_step, (done, left), every, counts), lambda: counts,
        )
        for head, count in zip(heads, counts, strict=True):
            builder.store(count, builder.inttoptr(head, WORD.as_pointer()), align=v.itemsize)
        return context.get_dummy_value()

    word, two = types.int64, types.UniTuple(types.int64, 2)
    return types.void(together, like, two, types.UniTuple(word, 3), word, word, two, word), generate


def _one_by_one(v: Vectors, all_rows, all_runs, a_step: ir.Value, terms: tuple[ir.Value, ir.Value], every: ir.Value, counts):
    """Lists the terms (first, how many) of some rows, behind the `counts` that are listed already. Returns the new counts.

    A term is always written, and the count goes up only if it is needed: so the processor has nothing to guess.
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
            bits = builder.or_(builder.shl(x, ir.Constant(whole, 1)), always)  # of x all but the sign: -0 is 0 too
            moved.append(v.at(count, builder.zext(builder.icmp_unsigned("!=", bits, ir.Constant(whole, 0)), WORD)))
        return [v.at(k, 1), v.at(distance, a_step), *moved]

    first, count = terms
    always = every if v.itemsize == 8 else builder.trunc(every, whole)
    return counted(builder, count, [first, builder.mul(first, a_step), *counts], term)[2:]


def _by_registers(v: Vectors, row: ir.Value, runs, chunks: ir.Value, every: ir.Value) -> ir.Value:
    """Lists the first `chunks` registers full of terms of a row that lies in one piece. Returns how many that are.

    AVX-512 has an instruction that moves those of a register's numbers together that a mask names.
    """
    builder, whole = v.builder, _integer(v)
    numbers, mask = ir.VectorType(whole, v.lanes), ir.IntType(v.lanes)
    kind = f"v{v.lanes}i{8 * v.itemsize}"
    signature = ir.FunctionType(numbers, [numbers, numbers, ir.VectorType(ir.IntType(1), v.lanes)])
    compress = cgutils.get_or_insert_function(builder.module, signature, f"llvm.x86.avx512.mask.compress.{kind}")
    ones = cgutils.get_or_insert_function(builder.module, ir.FunctionType(mask, [mask]), f"llvm.ctpop.i{v.lanes}")
    nothing = ir.Constant(numbers, [0] * v.lanes)
    all_of_them = builder.icmp_signed("!=", every, ir.Constant(WORD, 0))
    nowhere = builder.select(all_of_them, v.constant(float("nan")), v.constant(0.0))  # which nothing is equal to

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
    """Whether none of `count` (at least 1) registers of numbers at an address holds an infinity or a NaN."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        zero = v.constant(0.0)  # times which only these are not 0

        def register(values):
            return [v.at(values[0], v.bytes), v.multiply_add(v.load(values[0]), zero, values[1])]

        total = counted(builder, arguments[2], [arguments[1], zero], register)[1]
        bits = ir.IntType(v.lanes)
        return builder.icmp_signed("==", builder.bitcast(builder.fcmp_ordered("==", total, zero), bits), ir.Constant(bits, -1))

    return types.boolean(like, types.int64, types.int64), generate


@intrinsic
def is_not_zero(typing_context, like, address):
    """1 where the number at an address is not 0, else 0."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        number = builder.load(builder.inttoptr(arguments[1], v.number.as_pointer()), align=v.itemsize)
        return builder.zext(builder.fcmp_unordered("!=", number, ir.Constant(v.number, 0.0)), WORD)

    return types.int64(like, types.int64), generate


@intrinsic
def word_at(typing_context, address):
    """The 8 bytes at an address as a number."""

    def generate(context, builder, signature, arguments):
        return _word(builder, arguments[0])

    return types.int64(types.int64), generate

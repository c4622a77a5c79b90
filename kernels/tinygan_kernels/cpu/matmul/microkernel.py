"""The microkernel of every matrix product on the CPU: a tile of C that stays in vector registers while the sum runs.

    C[r, :] (+)= sum over s and k of A[r, s, k] B[s, k, :]        r < rows, columns x lanes numbers wide

For each (s, k), `columns` registers of B are loaded, and each of `rows` numbers of A is broadcast to a register and multiplied with
all of them: rows + columns loads for rows x columns multiply-adds, so that loading keeps up with multiplying. The same scheme
serves the matrix product (one segment s) and convolution (a segment for each row of filter taps): "batch-reduce" in the words of
Georganas et al. 2020 (arXiv 1906.06440), who build deep learning from this one block. B may be read where it lies, as long as a
panel of it fits in the level-2 cache; `blocking` says when it is packed all the same.

Addresses and steps are 64-bit integers, in bytes. Nothing checks them: the caller vouches for all that is read and written.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygan_kernels.cpu.row_formulas import leaky_vector
from tinygan_kernels.cpu.runtime.ir import check_words, either, unpacked, vectors
from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted

AHEAD = 16  # rows of B between the one that is copied and the one that is prefetched: enough time for the level-3 cache to answer


class RowsOfA(NamedTuple):
    """A[r, s, k] lies at address + row_offsets[r] + s segment_step + k term_step; row_offsets is the address of a table."""

    address: int
    row_offsets: int
    term_step: int
    segment_step: int


class RowsOfB(NamedTuple):
    """B[s, k, :] begins at address + s segment_step + k term_step."""

    address: int
    term_step: int
    segment_step: int


class TileOfC(NamedTuple):
    """Row r of the tile begins at address + r row_step."""

    address: int
    row_step: int


class SumLength(NamedTuple):
    """The terms of each sum: `segments` times `depth`, both at least 1."""

    segments: int
    depth: int


class Epilogue(NamedTuple):
    """add: not 0 where the sums are added to C. bias: the address of a bias as wide as the tile, or 0 for none; with a bias, C
    becomes v = sum + bias where that is positive, slope v elsewhere.
    """

    add: int
    bias: int


@intrinsic
def compute_tile(typing_context, rows, columns, like, a, b, c, length, epilogue, slope, copy):
    """Compute one tile of C.

    rows, columns: tuples whose lengths, which are known when compiling, are the tile's height and its width in registers. like: an
    array of the dtype. a: RowsOfA. b: RowsOfB. c: TileOfC. length: SumLength. epilogue: Epilogue. slope: a number of the dtype.
    copy: the address to which B is packed on the way, its rows one after the other, or 0; with a copy there is one segment.
    """
    check_words(a, b, c, length, epilogue)
    height, width = rows.count, columns.count

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        a = RowsOfA(*unpacked(builder, arguments[3]))
        b = RowsOfB(*unpacked(builder, arguments[4]))
        c = TileOfC(*unpacked(builder, arguments[5]))
        length = SumLength(*unpacked(builder, arguments[6]))
        epilogue = Epilogue(*unpacked(builder, arguments[7]))
        copy = arguments[9]
        offsets = [builder.load(builder.inttoptr(v.at(a.row_offsets, 8 * r), WORD.as_pointer())) for r in range(height)]
        places = [[v.at(v.at(c.address, builder.mul(c.row_step, ir.Constant(WORD, r))), q * v.bytes) for q in range(width)]
                  for r in range(height)]

        def multiplied(a_k, loaded, sums):
            made = []
            for r in range(height):
                spread = v.load_splat(builder.add(a_k, offsets[r]))
                made += [v.multiply_add(spread, loaded[q], sums[r * width + q]) for q in range(width)]
            return made

        def term(values):
            a_k, b_k, *sums = values
            loaded = [v.load(v.at(b_k, q * v.bytes)) for q in range(width)]
            return [builder.add(a_k, a.term_step), builder.add(b_k, b.term_step), *multiplied(a_k, loaded, sums)]

        def term_and_copy(values):
            a_k, b_k, copy_k, *sums = values
            for line in range(0, width * v.bytes, 64):
                v.prefetch(v.at(v.at(b_k, line), builder.mul(b.term_step, ir.Constant(WORD, AHEAD))))
            loaded = [v.load(v.at(b_k, q * v.bytes)) for q in range(width)]
            for q in range(width):
                v.store(loaded[q], v.at(copy_k, q * v.bytes))
            next_places = [builder.add(a_k, a.term_step), builder.add(b_k, b.term_step), v.at(copy_k, width * v.bytes)]
            return [*next_places, *multiplied(a_k, loaded, sums)]

        def segment(values):
            a_s, b_s, *sums = values
            _, _, *sums = counted(builder, length.depth, [a_s, b_s, *sums], term)
            return [builder.add(a_s, a.segment_step), builder.add(b_s, b.segment_step), *sums]

        sums = initial_sums(builder, v, epilogue.add, [place for row in places for place in row])
        for row in places:  # C is written last, and may have to come from far: it is prefetched before the sums begin
            for q in range(0, width, max(1, 64 // v.bytes)):
                v.prefetch(row[q], write=True)
            v.prefetch(v.at(row[-1], v.bytes - 1), write=True)
        sums = either(
            builder, builder.icmp_signed("!=", copy, ir.Constant(WORD, 0)),
            lambda: counted(builder, length.depth, [a.address, b.address, copy, *sums], term_and_copy)[3:],
            lambda: counted(builder, length.segments, [a.address, b.address, *sums], segment)[2:],
        )
        sums = apply_epilogue(builder, v, epilogue.bias, arguments[8], sums, width)
        for place, value in zip((place for row in places for place in row), sums, strict=True):
            v.store(value, place)
        return context.get_dummy_value()

    signature = types.void(rows, columns, like, a, b, c, length, epilogue, like.dtype, types.int64)
    return signature, generate


def initial_sums(builder, v: Vectors, add, places) -> list[ir.Value]:
    """Return the sums before their first term: C where `add` is not 0, else 0."""
    wanted = builder.icmp_signed("!=", add, ir.Constant(WORD, 0))
    return either(builder, wanted, lambda: [v.load(place) for place in places], lambda: [v.constant(0.0)] * len(places))


def apply_epilogue(builder, v: Vectors, bias, slope, sums, width: int) -> list[ir.Value]:
    """Return the sums with bias and leaky ReLU applied where the address `bias` is not 0. width: registers in a row of the tile."""

    def activated():
        shifts, slopes = [v.load(v.at(bias, q * v.bytes)) for q in range(width)], v.splat(slope)
        made = []
        for i, total in enumerate(sums):
            value = builder.fadd(total, shifts[i % width])
            made.append(leaky_vector(v, value, slopes))
        return made

    return either(builder, builder.icmp_signed("!=", bias, ir.Constant(WORD, 0)), activated, lambda: sums)


@intrinsic
def transpose_block(typing_context, like, source, source_step, target, target_step):
    """Write a square of lanes x lanes numbers at address `source`, rows `source_step` bytes apart, transposed to `target`.

    Each of log2(lanes) rounds swaps halves, quarters, ... between pairs of registers (as in a butterfly network).
    """

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        _, source, source_step, target, target_step = arguments
        index, count = ir.IntType(32), v.lanes
        rows = [v.load(v.at(source, builder.mul(source_step, ir.Constant(WORD, r)))) for r in range(count)]
        distance = 1
        while distance < count:
            low, high = [], []
            for lane in range(count):  # of the pair (r, r + distance): lanes whose bit is 0 stay, those of the partner move up
                other = lane & distance
                low.append(count + lane - distance if other else lane)
                high.append(count + lane if other else lane + distance)
            pick = [ir.Constant(ir.VectorType(index, count), lane) for lane in (low, high)]
            for r in (r for r in range(count) if not r & distance):
                pair = rows[r], rows[r + distance]
                rows[r], rows[r + distance] = (builder.shuffle_vector(*pair, p) for p in pick)
            distance *= 2
        for r, row in enumerate(rows):
            v.store(row, v.at(target, builder.mul(target_step, ir.Constant(WORD, r))))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def copy_register(typing_context, like, source, target):
    """Copy a register full of numbers from one address to another."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        v.store(v.load(arguments[1]), arguments[2])
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), generate


@intrinsic
def copy_numbers(typing_context, like, source, target, count):
    """Copy as many numbers as the tuple `count` is long from one address to another."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        some = ir.VectorType(v.number, count.count).as_pointer()
        value = builder.load(builder.inttoptr(arguments[1], some), align=v.itemsize)
        builder.store(value, builder.inttoptr(arguments[2], some), align=v.itemsize)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, count), generate


@intrinsic
def add_register(typing_context, like, source, target):
    """Add a register full of numbers at address `source` to those at `target`."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        _, source, target = arguments
        v.store(builder.fadd(v.load(target), v.load(source)), target)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), generate

"""The innermost step of every matrix product on the CPU: a tile of C that stays in vector registers while the sum runs.

    C[r, :] (+)= sum over s and k of A[r, s, k] B[s, k, :]        r < rows, columns x lanes numbers wide

For each (s, k), `columns` registers of B are loaded, and each of `rows` numbers of A is spread over a register and multiplied with
all of them: rows + columns loads for rows x columns multiply-adds, so that loading keeps up with multiplying. The same scheme
serves the matrix product (one segment s) and convolution (a segment for each row of filter taps): "batch-reduce" in the words of
Georganas et al. 2020 (arXiv 1906.06440), who build deep learning from this one block. B may be read where it lies, as long as a
panel of it fits in the level-2 cache; `cpu_matmul` says when it is packed all the same.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygan_kernels.cpu.runtime.ir import either, unpacked, vectors
from tinygan_kernels.cpu.runtime.simd import WORD, Vectors, counted

AHEAD = 16  # rows of B that are sent for before they are copied: as long as one may have to come from the level-3 cache


@intrinsic
def tile(typing_context, rows, columns, like, a, b, c, sizes, finish, slope, copy):
    """One tile, as the module says. Addresses and steps are in bytes.

    rows, columns: tuples whose lengths are the tile's height and its width in registers (a tuple's length is known when compiling).
    like: an array of the dtype. a: (address, address of a table of rows' offsets, step of k, step of s). b: (address, step of k,
    step of s). c: (address, step of rows). sizes: (segments, depth), both at least 1. finish: (whether C is added to, address of
    a bias of the tile's width or 0); with a bias C becomes v = C + bias where that is positive, slope v elsewhere. copy:
    where B is copied to on the way, its rows one after the other, or 0; it has one segment then.
    """
    height, width = rows.count, columns.count

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        a_at, table, a_step, a_segment = unpacked(builder, arguments[3])
        b_at, b_step, b_segment = unpacked(builder, arguments[4])
        c_at, c_step = unpacked(builder, arguments[5])
        segments, depth = unpacked(builder, arguments[6])
        add, bias = unpacked(builder, arguments[7])
        copy = arguments[9]
        offsets = [builder.load(builder.inttoptr(v.at(table, 8 * r), WORD.as_pointer())) for r in range(height)]
        places = [[v.at(v.at(c_at, builder.mul(c_step, ir.Constant(WORD, r))), q * v.bytes) for q in range(width)]
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
            return [builder.add(a_k, a_step), builder.add(b_k, b_step), *multiplied(a_k, loaded, sums)]

        def term_and_copy(values):
            a_k, b_k, copy_k, *sums = values
            for line in range(0, width * v.bytes, 64):
                v.prefetch(v.at(v.at(b_k, line), builder.mul(b_step, ir.Constant(WORD, AHEAD))))
            loaded = [v.load(v.at(b_k, q * v.bytes)) for q in range(width)]
            for q in range(width):
                v.store(loaded[q], v.at(copy_k, q * v.bytes))
            next_places = [builder.add(a_k, a_step), builder.add(b_k, b_step), v.at(copy_k, width * v.bytes)]
            return [*next_places, *multiplied(a_k, loaded, sums)]

        def segment(values):
            a_s, b_s, *sums = values
            _, _, *sums = counted(builder, depth, [a_s, b_s, *sums], term)
            return [builder.add(a_s, a_segment), builder.add(b_s, b_segment), *sums]

        sums = begun(builder, v, add, [place for row in places for place in row])
        for row in places:  # C is needed last, and may have to come from far: it is sent for before the sums begin
            for q in range(0, width, max(1, 64 // v.bytes)):
                v.prefetch(row[q], write=True)
            v.prefetch(v.at(row[-1], v.bytes - 1), write=True)
        sums = either(
            builder, builder.icmp_signed("!=", copy, ir.Constant(WORD, 0)),
            lambda: counted(builder, depth, [a_at, b_at, copy, *sums], term_and_copy)[3:],
            lambda: counted(builder, segments, [a_at, b_at, *sums], segment)[2:],
        )
        sums = finished(builder, v, bias, arguments[8], sums, width)
        for place, value in zip((place for row in places for place in row), sums, strict=True):
            v.store(value, place)
        return context.get_dummy_value()

    numbers = types.UniTuple(types.int64, 2)
    signature = types.void(
        rows, columns, like, types.UniTuple(types.int64, 4), types.UniTuple(types.int64, 3), numbers, numbers, numbers, like.dtype,
        types.int64,
    )
    return signature, generate


def begun(builder, v: Vectors, add, places) -> list[ir.Value]:
    """The sums before the first product: C where it is added to, else 0."""
    wanted = builder.icmp_signed("!=", add, ir.Constant(WORD, 0))
    return either(builder, wanted, lambda: [v.load(place) for place in places], lambda: [v.constant(0.0)] * len(places))


def finished(builder, v: Vectors, bias, slope, sums, width: int) -> list[ir.Value]:
    """bias and leaky ReLU, where there is a bias"""

    def activated():
        shifts, slopes = [v.load(v.at(bias, q * v.bytes)) for q in range(width)], v.splat(slope)
        made = []
        for i, total in enumerate(sums):
            value = builder.fadd(total, shifts[i % width])
            positive = builder.fcmp_ordered(">", value, v.constant(0.0))
            made.append(builder.select(positive, value, builder.fmul(slopes, value)))
        return made

    return either(builder, builder.icmp_signed("!=", bias, ir.Constant(WORD, 0)), activated, lambda: sums)


@intrinsic
def transpose_block(typing_context, like, source, source_step, target, target_step):
    """A square of lanes x lanes numbers at address `source`, rows `source_step` bytes apart, written transposed to `target`.

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
    """A register full of numbers from one address to another."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        v.store(v.load(arguments[1]), arguments[2])
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), generate


@intrinsic
def copy_numbers(typing_context, like, source, target, count):
    """As many numbers as the tuple `count` is long, from one address to another."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        some = ir.VectorType(v.number, count.count).as_pointer()
        value = builder.load(builder.inttoptr(arguments[1], some), align=v.itemsize)
        builder.store(value, builder.inttoptr(arguments[2], some), align=v.itemsize)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, count), generate


@intrinsic
def add_register(typing_context, like, source, target):
    """A register full of numbers at one address, added to those at another."""

    def generate(context, builder, signature, arguments):
        v = vectors(builder, context, like)
        _, source, target = arguments
        v.store(builder.fadd(v.load(target), v.load(source)), target)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), generate

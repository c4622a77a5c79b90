"""What the CPU does in a step, as one compiled call: stages, one after the other, each shared out among the threads.

A `Loop` is a compiled function that does one of several parts of some work on arrays. Bound to its arrays it is a `Stage`: the
loop, and a block of words with the addresses, shapes and numbers that it works on. `Work` is a list of stages. All
threads enter it once and go through the stages together, taking parts as they come; nobody begins a stage before the one before
it is done. A training step of a hundred launches is so one call from Python, and between two stages lies not the start of a team of
threads (some microseconds) but a counter that all of them watch (some tenths of one).

Each thread takes first the parts that are its own share, so that it finds in its cache what it wrote a stage before; then it helps
out where parts are left. So any number of threads, however late, gets through, one of them alone too. What a part computes does
not depend on who does it: the number of threads changes no bit of a result, unless the loop's author lets it.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import sys
import types as python_types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .compiled import code_of, njit, njit_parallel, piece
from .simd import WORD
from .together import compile_all

Call = Callable[[], None]
WORTH_SHARING = 1 << 12  # elements from which a stage is shared out, where a team of threads is at work
WORTH_A_TEAM = 1 << 16  # elements of all stages together from which it pays to start one
MOST_THREADS = numba.config.NUMBA_NUM_THREADS  # that there can be in this process: memory for each is there beforehand
LINE = 8  # words of a cache line: counters of different threads keep that far from each other
SPINS = 1000  # looks at a counter, some 40 nanoseconds each, after which a waiting thread lets others have its core
TABLE = np.dtype([("code", np.int64), ("block", np.int64), ("parts", np.int64)])


# ---- cutting work into parts ----------------------------------------------------------------------------------------------------


@piece
def span(n, parts, p):
    """The p-th of `parts` nearly equal runs of 0..n, cut at multiples of 16: (start, stop)."""
    blocks = (n + 15) // 16
    return min(n, p * blocks // parts * 16), min(n, (p + 1) * blocks // parts * 16)


@piece
def share(n, parts, p):
    """The p-th of `parts` nearly equal runs of 0..n: (start, stop)."""
    return p * n // parts, (p + 1) * n // parts


def parts_for(size: int) -> int:
    """How many parts a pass over so many elements is worth."""
    return numba.get_num_threads() if size >= WORTH_SHARING else 1


def pieces(count: int, size: int) -> int:
    """How many parts a loop over so many items, of `size` elements together, is worth: a few for each thread, so that one that is
    late has less to do.
    """
    threads = parts_for(size)
    return min(count, 4 * threads if threads > 1 else 1)


# ---- arguments as words in memory -----------------------------------------------------------------------------------------------

RECORDS: dict[str, np.dtype] = {}  # dtypes of records that arguments may have, by their `str`, which does not tell the fields


@cache
def _named(dtype: np.dtype, ndim: int, contiguous: bool) -> str:
    """The name of an array's type: "<f42C" for float32 matrices in one piece."""
    return f"{dtype.str}{ndim}{'C' if contiguous else 'A'}"


@cache
def _type_of(name: str) -> types.Type:
    """The type that a name stands for: "i8", "f8" and "f4" for numbers, "t3" for tuples of three, otherwise an array."""
    if name in ("i8", "f8", "f4"):
        return {"i8": types.int64, "f8": types.float64, "f4": types.float32}[name]
    if name.startswith("t"):
        return types.UniTuple(types.int64, int(name[1:]))
    dtype, ndim, layout = name[:-2], int(name[-2]), name[-1]
    return types.Array(numba.from_dtype(RECORDS.get(dtype) or np.dtype(dtype)), ndim, layout)


def _described(argument: Any) -> tuple[str, list[int]]:
    """(the name of an argument's type, its words): an array's address, shape and strides; a number; none for a tuple."""
    if isinstance(argument, np.ndarray):
        name = _named(argument.dtype, argument.ndim, argument.flags.c_contiguous)
        return name, [argument.ctypes.data, *argument.shape, *argument.strides]
    if isinstance(argument, tuple):
        return f"t{len(argument)}", []
    if isinstance(argument, (float, np.floating)):
        return "f4" if isinstance(argument, np.float32) else "f8", [int(np.float64(argument).view(np.int64))]
    return "i8", [int(argument)]


@intrinsic(prefer_literal=True)
def _arguments(typing_context, block, part, parts, thread, names):
    """The arguments that lie at address `block`, as a tuple, and after them the last three numbers, or two where no thread is
    wanted. names: of their types, as `_described` gives them, with a last word that says whether the thread is wanted.
    """
    *found, threaded = names.literal_value.split()
    wanted = [_type_of(name) for name in found]
    last = (part, parts, thread) if threaded == "thread" else (part, parts)

    def generate(context, builder, signature, arguments):
        at = [0]

        def word():
            place = builder.add(arguments[0], ir.Constant(WORD, 8 * at[0]))
            at[0] += 1
            return builder.load(builder.inttoptr(place, WORD.as_pointer()))

        def value(kind):
            if isinstance(kind, types.Array):
                array, number = context.make_array(kind)(context, builder), context.get_data_type(kind.dtype)
                data, *sizes = [word() for _ in range(1 + 2 * kind.ndim)]
                populate_array(
                    array, data=builder.inttoptr(data, number.as_pointer()), shape=sizes[: kind.ndim], strides=sizes[kind.ndim :],
                    itemsize=ir.Constant(WORD, context.get_abi_sizeof(number)), meminfo=None,
                )
                return array._getvalue()
            if isinstance(kind, types.UniTuple):
                return context.make_tuple(builder, kind, [ir.Constant(WORD, 0)] * kind.count)
            if isinstance(kind, types.Float):
                number = builder.bitcast(word(), ir.DoubleType())
                return builder.fptrunc(number, ir.FloatType()) if kind is types.float32 else number
            return word()

        values = [value(kind) for kind in wanted] + list(arguments[1 : 1 + len(last)])
        return context.make_tuple(builder, signature.return_type, values)

    return types.Tuple([*wanted, *last])(block, part, parts, thread, names), generate


def _entry(block, part, parts, thread):
    """What the threads call. Compiled once for each loop and types of arguments, with these three names of its own."""
    loop(*_arguments(block, part, parts, thread, NAMES))  # noqa: F821


# ---- loops and stages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Work on certain arrays in `parts` parts: a loop, the names of its arguments' types, and the arguments as words. Keeps the
    arrays alive.

    size: how much there is to do, as the number of elements that a simple loop would pass in that time.
    """

    loop: Loop
    names: str
    block: np.ndarray
    parts: int
    alive: tuple[Any, ...]
    size: int


class Loop:
    """A compiled loop: function(*arrays and numbers, part, parts) does one of the parts; with a last argument `thread` it is told
    which thread it runs in, for scratch memory of its own.

    Arguments may be arrays, numbers (np.float32 where single precision is meant), and tuples, whose lengths are all that counts.
    """

    def __init__(self, function: Callable, **options: Any) -> None:
        self.function, self.compiled = function, piece(function, **options)
        self._threaded = "thread" if next(reversed(inspect.signature(function).parameters)) == "thread" else "-"
        self._codes: dict[str, int] = {}

    def stage(self, parts: int, *arguments: Any, size: int = 0) -> Stage:
        """This loop on these arguments, in so many parts. size: as Stage says."""
        names, words = [], []
        for argument in arguments:
            name, values = _described(argument)
            names.append(name)
            words += values
        return Stage(self, " ".join([*names, self._threaded]), np.array(words, np.int64), parts, arguments, size)

    def __call__(self, *arguments: Any) -> None:
        """All of it, now, in the thread that calls."""
        Work([self.stage(1, *arguments)])()

    def over(self, size: int, *arguments: Any) -> Stage:
        """The same, in as many parts as a pass over `size` elements is worth."""
        return self.stage(parts_for(size), *arguments, size=size)

    def code(self, names: str) -> int:
        """Where the loop for arguments of these types lies in memory."""
        self.compile(names)
        return self._codes[names]

    def compile(self, names: str) -> bool:
        """Have that code ready. Whether it had to be compiled, neither known in this process nor found on disk."""
        if names in self._codes:
            return False
        kind = hashlib.sha256(names.encode()).hexdigest()[:12]
        globals_ = {"loop": self.compiled, "_arguments": _arguments, "NAMES": names, "__name__": self.function.__module__}
        entry = python_types.FunctionType(_entry.__code__, globals_, f"{self.function.__name__}_{kind}")
        entry.__qualname__, entry.__module__ = entry.__name__, self.function.__module__
        self._codes[names], found = code_of(entry, "void(int64, int64, int64, int64)")
        return not found


class Work:
    """Stages as a call without arguments. Not for use from two threads at once."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = tuple(stages)
        self._run: Call | None = None

    def __call__(self) -> None:
        if self._run is None:
            self._run = self._prepared()
        self._run()

    def _prepared(self) -> Call:
        stages = [stage for stage in self.stages if stage.parts]
        compile_all([(s.loop, s.names) for s in stages])
        table = np.array([(s.loop.code(s.names), s.block.ctypes.data, s.parts) for s in stages], TABLE)
        threads = numba.get_num_threads()
        if threads == 1 or sum(s.size for s in stages) < WORTH_A_TEAM:
            return partial(_alone, table)
        return partial(_together, table, np.zeros((len(table), threads + 1, LINE), np.int64), _yielding())


def in_order(*works: Call) -> Work | None:
    """All stages of all works as one; None if one of them is another kind of call."""
    if all(isinstance(work, Work) for work in works):
        return Work(stage for work in works for stage in work.stages)
    return None


def joined(calls: Sequence[Call]) -> list[Call]:
    """The same calls with neighbours put together where they are Work."""
    made: list[Call] = []
    for call in calls:
        both = in_order(made[-1], call) if made else None
        if both:
            made[-1] = both
        else:
            made.append(call)
    return made


def _yielding() -> int:
    """The address of the C function by which a thread offers its core to others; 0 where there is none."""
    function = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "sched_yield", None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else 0


# ---- running them ---------------------------------------------------------------------------------------------------------------


@intrinsic
def _call(typing_context, function, numbers):
    """function(*numbers): a C function of 64-bit numbers, given by its address.

    An address is a number and not a constant of the program, so what calls it can be kept in Numba's disk cache.
    """

    def generate(context, builder, signature, arguments):
        words = [builder.extract_value(arguments[1], i) for i in range(signature.args[1].count)]
        target = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [WORD] * len(words)).as_pointer())
        builder.call(target, words)
        return context.get_dummy_value()

    return types.void(types.int64, numbers), generate


@intrinsic
def _raised(typing_context, address, by):
    """Adds to the counter at an address; what it was before. All that this thread wrote is seen by who sees the counter raised."""

    def generate(context, builder, signature, arguments):
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], WORD.as_pointer()), arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _seen(typing_context, address):
    """The counter at an address, as it is now."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(builder.inttoptr(arguments[0], WORD.as_pointer()), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def _breathe(typing_context):
    """Tells the core that this thread is waiting."""

    def generate(context, builder, signature, arguments):
        triple, number = binding.get_process_triple(), ir.IntType(32)
        if triple.startswith("x86_64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        elif triple.startswith(("aarch64", "arm64")):
            hint = ir.FunctionType(ir.VoidType(), [number])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(), generate


@njit
def _alone(table):
    for s in range(len(table)):
        for part in range(table[s].parts):
            _call(table[s].code, (table[s].block, part, table[s].parts, 0))


@njit_parallel
def _together(table, counters, yielding):
    """counters (stages, threads + 1, LINE): of the parts taken from each thread's share, and last of the parts that are done."""
    threads = counters.shape[1] - 1
    counters[:] = 0
    for thread in numba.prange(threads):
        _all_stages(table, counters, threads, thread, yielding)


@piece
def _all_stages(table, counters, threads, thread, yielding):
    first, line, spins = np.int64(counters.ctypes.data), LINE * 8, 0
    for s in range(len(table)):
        row = first + s * (threads + 1) * line
        done = row + threads * line
        mine = _parts_taken(table[s].code, table[s].block, table[s].parts, row, threads, thread, line)
        if mine:
            _raised(done, mine)
        while _seen(done) < table[s].parts:
            _breathe()
            spins += 1
            if spins % SPINS == 0 and yielding:
                _call(yielding, ())


@piece
def _parts_taken(code, block, parts, row, threads, thread, line):
    """Do parts of a stage until none is left: first of this thread's own share, then of the others'. How many it did."""
    mine = 0
    for turn in range(threads):
        owner = (thread + turn) % threads
        start, stop, taken = owner * parts // threads, (owner + 1) * parts // threads, row + owner * line
        while _seen(taken) < stop - start:
            part = start + _raised(taken, 1)
            if part >= stop:
                break
            _call(code, (block, part, parts, thread))
            mine += 1
    return mine

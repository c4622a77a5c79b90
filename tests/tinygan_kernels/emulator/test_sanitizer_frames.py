"""Local variables of functions that have returned, and addresses of local variables in memory that others read."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels import emulator
from tinygan_kernels.emulator.execute.lanes import Lanes, Shape
from tinygan_kernels.emulator.execute.memory import GONE, UNWRITTEN, Memory
from tinygan_kernels.emulator.sanitizer.frames import ChecksFrames, Frames
from tinygan_kernels.emulator.semantics.generic_addresses import LOCAL
from tinygan_kernels.emulator.translate.kernel import Site

from tests.support.kernel_of_ptx import Written

STRIDE, LOCAL_BYTES, FIRST = 32, 48, 3
SHAPE = Shape(2, (20, 1, 1), (8, 1, 1))
WORD = Site("ld.local.u32", 40, "k.cu:9", (1, 9), "local", "u4", 4)
PAIR = Site("ld.v2.u64", 41, "k.cu:8", (1, 8), "global", "u8", 8, 2)
STORE = Site("st.u64", 50, "k.cu:5", (1, 5), "global", "u8", 8)
STORE_2 = Site("st.v2.u64", 51, "k.cu:6", (1, 6), "global", "u8", 8, 2)


class Calls(ChecksFrames):
    """The checks under test, in a chunk of two blocks of 20 threads with 48 bytes of local memory each."""

    def __init__(self, escaped: dict | None = None, first: int = FIRST):
        self.said = []
        self.report = SimpleNamespace(add=lambda *said: self.said.append(said))
        self.frames = Frames({"f": [(8, 16), (32, 36)], "g": [(16, 24)]}, True, True)
        self.local, self.shared = Memory(np.zeros(64 * LOCAL_BYTES, np.uint8), 0), Memory(np.zeros(512, np.uint8), 0)
        self.array = Memory(np.zeros(512, np.uint8), 4096)
        self.local.unwritten = np.zeros(self.local.data.size, np.uint8)
        lanes = np.arange(64)
        self.order = SimpleNamespace(number=(first + lanes // STRIDE) << 10 | lanes % STRIDE)
        self.launch = SimpleNamespace(escaped={} if escaped is None else escaped)
        self.machine = SimpleNamespace(
            shape=SHAPE, first=first, kernel=SimpleNamespace(local_bytes=LOCAL_BYTES),
            position=lambda lane: ((first + int(lane) // STRIDE, 0, 0), (int(lane) % STRIDE, 0, 0)))  # fmt: skip

    def own_address(self, memory, position, lane):
        return int(position) - (int(lane) * LOCAL_BYTES if memory is self.local else int(lane) // STRIDE * 256)


def lanes_of(*index: int) -> Lanes:
    return Lanes(np.isin(np.arange(64), index))


# -- frames -------------------------------------------------------------------------------------------------------------------
def test_a_frame_is_unwritten_when_it_begins_and_gone_when_it_ends():
    """That holds for the lanes that call alone, and for the function's variables alone."""
    calls, marks = Calls(), np.zeros((64, LOCAL_BYTES), int)
    for what, function, lanes, mark in (
        ("entered", "f", (1, 40), UNWRITTEN), ("entered", "g", (2,), UNWRITTEN), ("left", "f", (40,), GONE),
        ("left", "another", (1,), GONE),
    ):  # fmt: skip
        getattr(calls, what)(function, lanes_of(*lanes))
        for start, end in calls.frames.variables.get(function, ()):
            marks[list(lanes), start:end] = mark
        assert (calls.local.unwritten.reshape(64, -1) == marks).all()
    assert {int(mark) for mark in marks.ravel()} == {0, UNWRITTEN, GONE}


def test_lanes_at_bytes_that_are_gone_are_told():
    calls = Calls()
    calls.entered("f", lanes_of(1, 2, 3, 4, 40))
    calls.left("f", lanes_of(3, 4, 40))
    lanes = lanes_of(1, 3, 4, 5, 40)
    for offset, gone in ((4, []), (8, [3, 4, 40]), (5, [3, 4, 40]), (15, [3, 4, 40]), (16, []), (28, []), (29, [3, 4, 40])):
        calls.said.clear()
        bad = calls.not_gone(WORD, lanes.index * LOCAL_BYTES + offset, lanes, "read")
        assert (bad is None) == (not gone) and (bad is None or lanes.index[bad].tolist() == gone)
        message = "read of 4 bytes of local memory after the function whose variable it was has returned"
        assert calls.said == ([("memcheck", message, WORD, calls.machine, 3, offset, "local", 3)] if gone else [])


RETURNED = """.func (.param .u64 r) f() {
.reg .b64 %d<3>;
.local .align 4 .b8 one[4];
mov.u64 %d1, one;
cvta.local.u64 %d2, %d1;
st.param.u64 [r], %d2;
ret;
}"""
COPIED = """mov.u32 %r1, %tid.x;
ld.param.u64 %d1, [out];
mad.wide.u32 %d1, %r1, 4, %d1;
{
.param .u64 given;
call (given), f, ();
ld.param.u64 %d2, [given];
}
mov.u64 %d3, own;
cvta.local.u64 %d3, %d3;
setp.eq.u32 %p1, %r1, GONE;
selp.b64 %d4, %d2, %d3, %p1;"""


@pytest.mark.parametrize("gone", [0, 1])
def test_a_copy_is_told_of_a_variable_that_is_gone_or_unwritten_by_what_it_is(gone):
    """One thread copies the variable of a function that has returned, the other one of its own, which nothing has written."""
    written = Written("out u64", before=RETURNED, variables=".local .align 4 .b8 own[4];")
    written.add(COPIED.replace("GONE", str(gone)))
    written.add("ld.u32 %r9, [%d4];", "load")
    written.add("st.global.u32 [%d1], %r9;")
    with emulator.sanitize(schedules=False) as found:
        written.function()((1,), (2,), (np.zeros(2, np.int32),))
    told = {(f.tool, f.ptx_line, f.thread, f.count) for f in found}
    assert told == {("memcheck", written.lines["load"], (gone, 0, 0), 1), ("initcheck", written.lines["load"], (1 - gone, 0, 0), 1)}


# -- addresses ----------------------------------------------------------------------------------------------------------------
def held(calls: Calls, memory: Memory, site: Site, lanes: Lanes, positions: list[int], *values: list[int]) -> None:
    """Let lanes store values, one list for each element, in memory and before the checks."""
    vectors = []
    for j, each in enumerate(values):
        vector = np.zeros(64, np.uint64)
        vector[lanes.index] = each
        vectors.append(vector)
        for position, value in zip(positions, each, strict=True):
            memory.view("u8")[0][(position - memory.base) // 8 + j] = value
    calls.address_stored(site, memory, np.array(positions), lanes, vectors)


@pytest.mark.parametrize("space", ["shared", "global"])
def test_who_loads_an_address_of_another_thread_s_variable_is_told(space):
    """Lanes 5 and 37 store addresses, as the second elements of pairs; lanes read them, their own and each other's."""
    calls = Calls()
    memory = calls.shared if space == "shared" else calls.array
    lanes = lanes_of(5, 37)
    held(calls, memory, STORE_2, lanes, [memory.base + 16, memory.base + 320], [7, LOCAL - 1], [LOCAL, LOCAL + LOCAL_BYTES - 1])
    assert len(calls.launch.escaped) == 2
    calls.address_loaded(PAIR, memory, memory.base + np.array([16, 320]), lanes)
    single = Site("ld.u64", 42, "k.cu:8", (1, 8), space, "u8", 8)
    calls.address_loaded(single, memory, memory.base + np.array([16, 320, 32]), lanes_of(6, 7, 8))
    assert not calls.said
    calls.address_loaded(PAIR, memory, memory.base + np.array([16, 320]), lanes_of(6, 40))
    text = ("load of the address of another thread's local variable, which leads to this thread's own bytes there; "
            "it was stored by thread ")  # fmt: skip
    expected = [(6, "(5, 0, 0) of block (3, 0, 0)", 16), (40, "(5, 0, 0) of block (4, 0, 0)", 320)]
    assert [said[1] for said in calls.said] == [f"{text}{by}, k.cu:6 (PTX line 51)" for _, by, _ in expected]
    assert [(said[0], said[2], said[4], said[5], said[6]) for said in calls.said] == [
        ("memcheck", PAIR, lane, memory.base + at - lane // STRIDE * 256, space) for lane, _, at in expected]  # fmt: skip


@pytest.mark.parametrize("value", [0, 7, LOCAL - 8, LOCAL + LOCAL_BYTES, LOCAL + 1])
def test_only_addresses_of_local_variables_are_followed(value):
    inside = LOCAL <= value < LOCAL + LOCAL_BYTES
    calls = Calls()
    held(calls, calls.array, STORE, lanes_of(5), [4096 + 24], [value])
    assert len(calls.launch.escaped) == inside
    calls.address_loaded(STORE, calls.array, np.array([4096 + 24]), lanes_of(6))
    assert len(calls.said) == inside
    calls.said.clear()
    calls.array.view("u8")[0][3] = value = 12  # something else has been written there since
    calls.address_loaded(STORE, calls.array, np.array([4096 + 24]), lanes_of(6))
    assert not calls.said


def test_shared_memory_of_another_chunk_is_other_memory():
    """Two chunks of one launch have the same places in their shared memory; global memory is that of all."""
    first = Calls()
    second = Calls(first.launch.escaped, FIRST + 2)
    for memory in ("shared", "array"):
        here, there = getattr(first, memory), getattr(second, memory)
        held(first, here, STORE, lanes_of(5), [here.base + 8], [LOCAL + 4])
        there.view("u8")[0][1] = LOCAL + 4
        second.address_loaded(STORE, there, np.array([there.base + 8]), lanes_of(5))
    assert [said[6] for said in second.said] == ["global"] and "block (3, 0, 0)" in second.said[0][1]


# -- in a kernel ----------------------------------------------------------------------------------------------------------------
RETURNS = """.func (.param .b64 given) f() {
.reg .b64 %d<3>;
.local .align 8 .b8 other[8];
.local .align 8 .b8 own[16];
mov.u64 %d1, own;
st.local.u32 [%d1+4], 7;
cvta.local.u64 %d2, %d1;
st.param.b64 [given], %d2;
ret;
}"""
CALLS = """mov.u32 %r1, %tid.x;
mov.u32 %r2, %ctaid.x;
ld.param.u32 %r3, [n];
{
.param .b64 given;
call (given), f, ();
ld.param.b64 %d1, [given];
}
cvta.to.local.u64 %d2, %d1;
setp.lt.u32 %p1, %r1, %r3;
@%p1 bra END;"""


@pytest.mark.parametrize(("action", "access"), [
    ("read", "ld.local.u32 %r5, [%d2+4];"), ("write", "st.local.u32 [%d2+4], 5;"), ("read", "ld.u32 %r5, [%d1+4];"),
    ("write", "st.u32 [%d1+4], %r1;")])  # fmt: skip
def test_a_variable_of_a_function_that_has_returned_is_told_with_its_own_address(action, access):
    """All threads of both blocks but the first five use it."""
    written = Written("n u32", before=RETURNS, variables=".local .align 8 .b8 mine[8];")
    written.add(CALLS)
    written.add(access, "access")
    written.add("END:")
    function = written.function()
    kernel = function.translated
    with emulator.sanitize() as found:
        function((2,), (20,), (np.int32(5),))
    (found,) = found
    assert found.message == f"{action} of 4 bytes of local memory after the function whose variable it was has returned"
    assert (found.tool, found.ptx_line, found.space, found.count) == ("memcheck", written.lines["access"], "local", 30)
    assert (found.block, found.thread) == ((0, 0, 0), (5, 0, 0))
    assert found.address % LOCAL == kernel.offsets["f", "own"] + 4
    with emulator.sanitize() as found:
        function((2,), (20,), (np.int32(20),))
    assert not found


def test_unwritten_bytes_of_a_thread_are_told_with_their_own_address():
    written = Written("n u32", variables=".local .align 8 .b8 own[16];\n.shared .align 8 .b8 s[256];")
    written.add("mov.u32 %r1, %tid.x;\nld.param.u32 %r3, [n];\nsetp.lt.u32 %p1, %r1, %r3;\n@%p1 bra END;\nmov.u64 %d1, own;\n"
                "mad.lo.u32 %r4, %r1, 8, 0;\nmov.u32 %r5, s;\nadd.s32 %r4, %r4, %r5;")  # fmt: skip
    written.add("ld.local.u32 %r6, [%d1+8];\nadd.s32 %r6, %r6, 1;")
    written.add("atom.shared.add.u32 %r7, [%r4+4], 1;")
    written.add("END:")
    kernel = written.function()
    with emulator.sanitize() as found:
        kernel((2,), (20,), (np.int32(3),))
    told = [(f.tool, f.message, f.address, f.thread, f.count) for f in found]
    own = kernel.translated.offsets["k", "own"] + 8
    assert told == [("initcheck", "read of uninitialised local memory", own, (3, 0, 0), 34),
                    ("initcheck", "read of uninitialised shared memory", 28, (3, 0, 0), 34)]  # fmt: skip

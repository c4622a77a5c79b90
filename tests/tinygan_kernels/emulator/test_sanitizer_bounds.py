"""Accesses from one array over into another: which lanes, how far, and whose address is told; and the same accesses inside."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels import emulator

from tests.support.kernel_of_ptx import Written

ACCESS = {
    ("read", 4): "ld.SPACE.u32 %r5, [AT];", ("write", 4): "st.SPACE.u32 [AT], %r5;",
    ("read", 8): "ld.SPACE.v2.u32 {%r5, %r6}, [AT];", ("write", 8): "st.SPACE.v2.u32 [AT], {%r5, %r6};",
    ("atomic", 4): "atom.SPACE.add.u32 %r5, [AT], 0;",
}  # fmt: skip
KINDS = tuple(ACCESS)
SHARED = """mov.u32 %r1, %tid.x;
mov.u32 %r5, 0;
mov.u32 %r6, 0;
ld.param.u32 %r2, [n];
ld.param.u32 %r3, [first];
mov.u32 %r10, a;
mov.u32 %r11, b;
mad.lo.u32 %r12, %r1, 4, %r10;
mad.lo.u32 %r13, %r1, 4, %r11;
st.shared.u32 [%r12], 0;
st.shared.u32 [%r13], 0;
bar.sync 0;
setp.lt.u32 %p1, %r1, %r3;
@%p1 bra END;
setp.ge.u32 %p1, %r1, LAST;
@%p1 bra END;
mad.lo.s32 %r14, %r1, SIZE, BASE;
add.s32 %r14, %r14, %r2;"""


def found_in_shared(kind: tuple[str, int], base: str, moved: int, first: int = 0) -> tuple[list, int]:
    """Run two blocks of 16 threads, which touch a shared array of 64 bytes, its words or (half of them) pairs, moved by some bytes;
    those before `first` do not. Returns what is found, races left out, and the line of the access."""
    size = kind[1]
    code, written = SHARED, Written("n u32, first u32", variables=".shared .align 16 .b8 a[64];\n.shared .align 16 .b8 b[64];")
    for name, text in (("SIZE", str(size)), ("BASE", {"a": "%r10", "b": "%r11"}[base]), ("LAST", str(64 // size))):
        code = code.replace(name, text)
    written.add(code)
    written.add(ACCESS[kind].replace("SPACE", "shared").replace("AT", "%r14"), "access")
    written.add("END:")
    with emulator.sanitize(schedules=False) as found:
        written.function()((2,), (16,), (np.int32(moved), np.int32(first)))
    return [f for f in found if f.tool != "racecheck"], written.lines["access"]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_lanes_that_leave_a_shared_array_for_another(kind):
    """The array b lies behind a. Threads of both blocks leave it, each at the same address of its own block."""
    action, size = kind
    last = 64 // size
    for base, moved, first, thread, count, place in (
        ("a", size, 0, last - 1, 1, "0 bytes after the end of"), ("a", 3 * size, 0, last - 3, 3, "0 bytes after the end of"),
        ("a", 32, last - 1, last - 1, 1, f"{32 - size} bytes after the end of"), ("b", -size, 0, 0, 1, "before"),
        ("b", -2 * size, 1, 1, 1, "before"),
    ):  # fmt: skip
        (found,), line = found_in_shared(kind, base, moved, first)
        where = f"{place} shared array {base} (64 bytes), inside another"
        assert found.message == f"out-of-bounds {action} of {size} bytes; {where}"
        assert (found.tool, found.ptx_line, found.block, found.thread) == ("memcheck", line, (0, 0, 0), (thread, 0, 0))
        assert (found.space, found.count) == ("shared", 2 * count)
        assert found.address == {"a": 0, "b": 64}[base] + size * thread + moved
    for base, moved, first in (("a", 0, 0), ("b", 0, 0), ("a", size, 16), ("b", -size, 1)):
        found, _ = found_in_shared(kind, base, moved, first)
        assert not found, (base, moved, first)


GLOBAL = """mov.u32 %r1, %tid.x;
mov.u32 %r5, 0;
mov.u32 %r6, 0;
ld.param.u64 %d1, [x];
ld.param.u32 %r7, [low];
ld.param.u32 %r8, [high];
mov.b64 %d2, {%r7, %r8};
ld.param.u32 %r3, [first];
setp.lt.u32 %p1, %r1, %r3;
@%p1 bra END;
mad.wide.u32 %d3, %r1, SIZE, %d1;
add.s64 %d3, %d3, %d2;"""


def found_in_global(kind: tuple[str, int], at: int, moved: int, first: int = 0) -> tuple[list, int]:
    """Run 4 threads that touch the words or pairs of an array, moved by some bytes, while another argument is an array too."""
    written = Written("x u64, y u64, low u32, high u32, first u32")
    written.add(GLOBAL.replace("SIZE", str(kind[1])))
    written.add(ACCESS[kind].replace("SPACE", "global").replace("AT", "%d3"), "access")
    written.add("END:")
    with emulator.sanitize(schedules=False) as found:
        written.function()((1,), (4,), (ARRAYS[at], ARRAYS[1 - at], *np.array([moved]).view(np.uint32), np.int32(first)))
    return list(found), written.lines["access"]


ARRAYS = [np.zeros(64, np.uint8), np.zeros(32, np.uint8)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_lanes_that_leave_an_argument_for_another(kind):
    action, size = kind
    for at in (0, 1):
        here, other = ARRAYS[at], ARRAYS[1 - at]
        away = other.ctypes.data - here.ctypes.data
        for first in (0, 3):
            (found,), line = found_in_global(kind, at, away, first)
            shift = size * first
            told = f"{away + shift - here.nbytes} bytes after the end of" if away > 0 else f"{-away - shift} bytes before"
            assert found.message == (f"out-of-bounds {action} of {size} bytes; {told} argument 0 ({here.nbytes} bytes), "
                                     "inside argument 1")  # fmt: skip
            assert (found.tool, found.ptx_line, found.thread, found.count) == ("memcheck", line, (first, 0, 0), 4 - first)
            assert (found.space, found.address) == ("global", other.ctypes.data + shift)
        assert not found_in_global(kind, at, 0)[0]

"""What a flag tells: the writes of those who have met, with fences, whoever sets it. Small kernels of PTX."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels import emulator

from tests.support.kernel_of_ptx import Written

THREADS = 96
BEGIN = """mov.u32 %r1, %tid.x;
mov.u32 %r2, %ctaid.x;
ld.param.u64 %d1, [y];
ld.param.u64 %d2, [flag];
ld.param.u32 %r3, [n];
mad.wide.u32 %d3, %r1, 4, %d1;
mad.wide.u32 %d4, %r3, 4, %d1;
and.b32 %r4, %r1, 16;
setp.eq.u32 %p2, %r4, 0;
selp.b32 %r5, 0xffff, 0xffff0000, %p2;
setp.lt.u32 %p3, %r1, 64;
setp.eq.u32 %p4, %r1, 0;
setp.eq.u32 %p1, %r2, 1;
@%p1 bra READER;"""
SET = "@%p4 st.volatile.global.u32 [%d2], 1;\nbra END;\nREADER:"
WAIT = "WAIT: ld.volatile.global.u32 %r6, [%d2];\nsetp.eq.u32 %p5, %r6, 0;\n@%p5 bra WAIT;"
FENCE = "membar.gl;"
WARPS, HALVES, BLOCK = "bar.warp.sync -1;", "bar.warp.sync %r5;", "bar.sync 0;"
APART = "@%p2 bra LNAME;\nbar.warp.sync MASK;\nbra MNAME;\nLNAME: bar.warp.sync MASK;\nMNAME:"
TWO = "@!%p3 bra TNAME;\nbar.sync 1, 64;\nTNAME:"
# Each row says what follows the writers' fence, and how many threads' writes are known to who reads after thread 0's flag.
MEETINGS = {
    "nothing": ("", 1),
    "the block": (BLOCK, THREADS),
    "warps": (WARPS, 32),
    "halves of warps": (HALVES, 16),
    "warps at two places": (APART.replace("MASK", "-1"), 32),
    "halves of warps at two places": (APART.replace("MASK", "%r5"), 16),
    "two of three warps": (TWO, 64),
    "halves and warps": (f"{HALVES}\n{WARPS}", 32),
    "warps and two of them": (f"{WARPS}\n{TWO}", 64),
}
WRITERS = (0, 1, 15, 31, 33, 63, 95)


def launched(before: str, after: str, threads: int, writer: int, fence: str = FENCE, reader: int = 0) -> tuple[list, dict]:
    """Run two blocks: in the first all write and fence, `before` follows, and thread 0 sets the flag. In the second thread 0 waits
    for it and fences, `after` follows, and thread `reader` reads what `writer` wrote. Returns what is found, and both lines."""
    written = Written("y u64, flag u64, n u32")
    written.add(BEGIN)
    written.add("st.global.u32 [%d3], 1;", "write")
    written.add(f"{fence}\n{before.replace('NAME', 'A')}\n{SET}")
    written.add(f"setp.eq.u32 %p4, %r1, {reader};\nsetp.ne.u32 %p6, %r1, 0;\n@%p6 bra AFTER;\n{WAIT}\n{FENCE}\nAFTER:")
    written.add(after.replace("NAME", "B"))
    written.add("@%p4 ld.global.u32 %r7, [%d4];", "read")
    written.add("END:")
    with emulator.sanitize(schedules=False) as found:
        written.function()((2,), (threads,), (np.zeros(THREADS, np.int32), np.zeros(1, np.int32), np.int32(writer)))
    return list(found), written.lines


def check(found: list, lines: dict[str, int], known: bool, writer: int, reader: int = 0) -> None:
    """Check that nothing is found if the write is known, and else the race of both."""
    if known:
        assert not found, [str(f) for f in found]
        return
    (race,) = found
    assert (race.tool, race.ptx_line, race.count) == ("racecheck", lines["read"], 1)
    assert (race.block, race.thread) == ((1, 0, 0), (reader, 0, 0))
    assert f"block (0, 0, 0), thread ({writer}, 0, 0), no source line (PTX line {lines['write']})" in race.message
    assert race.sides == (1 << 10 | reader, writer)


@pytest.mark.parametrize("name", MEETINGS)
def test_a_flag_tells_of_all_who_have_met_its_writer(name):
    meeting, known = MEETINGS[name]
    for writer in WRITERS:
        check(*launched(meeting, "", THREADS, writer), writer < known, writer)


@pytest.mark.parametrize("name", MEETINGS)
def test_who_has_met_the_reader_of_a_flag_knows_what_it_tells(name):
    """Thread 0 of the second block waits and fences; others know what it knows if they have met it since."""
    meeting, known = MEETINGS[name]
    for reader in WRITERS:
        check(*launched("", meeting, THREADS, 0, reader=reader), reader < known, 0, reader)


@pytest.mark.parametrize(("fence", "known"), [("membar.gl;", True), ("membar.sys;", True), ("membar.cta;", False), ("", False),
                                              ("fence.acq_rel.gpu;", True), ("fence.sc.cta;", False)])  # fmt: skip
def test_a_flag_for_another_block_wants_a_fence_of_the_device(fence, known):
    check(*launched("", "", 32, 0, fence), known, 0)


# -- flags in shared memory ---------------------------------------------------------------------------------------------------
IN_SHARED = """mov.u32 %r1, %tid.x;
mov.u32 %r2, %ctaid.x;
setp.eq.u32 %p1, %r1, 0;
@%p1 st.volatile.shared.u32 [flag], 0;
bar.sync 0;
setp.ge.u32 %p2, %r1, 32;
@%p2 bra WRITER;
WAIT: LOOK
setp.eq.u32 %p3, %r6, 0;
@%p3 bra WAIT;
SECOND"""
LOOKS = {"read": "ld.volatile.shared.u32 %r6, [flag];", "atomic": "atom.shared.or.b32 %r6, [flag], 0;",
         "acquire": "ld.acquire.cta.shared.u32 %r6, [flag];"}  # fmt: skip
SETS = {"write": "st.volatile.shared.u32 [flag], 1;", "atomic": "atom.shared.exch.b32 %r8, [flag], 1;",
        "release": "st.release.cta.shared.u32 [flag], 1;"}  # fmt: skip


@pytest.mark.parametrize(("sets", "first", "looks", "second", "known"), [
    ("write", "membar.cta;", "read", "membar.cta;", True), ("write", "", "read", "membar.cta;", False),
    ("write", "membar.cta;", "read", "", False), ("write", "membar.cta;", "atomic", "", True),
    ("atomic", "membar.cta;", "atomic", "", True),
    ("atomic", "", "atomic", "", False), ("release", "", "acquire", "", True), ("release", "", "read", "membar.cta;", True),
    ("write", "membar.cta;", "acquire", "", True), ("write", "", "acquire", "", False), ("release", "", "read", "", False),
])  # fmt: skip
def test_a_flag_in_shared_memory_tells_each_block_of_its_own(sets, first, looks, second, known):
    """In both blocks thread 32 writes and sets the flag, and thread 0 waits for it and reads."""
    written = Written("", variables=".shared .align 4 .b8 flag[4];\n.shared .align 4 .b8 s[4];")
    written.add(IN_SHARED.replace("LOOK", LOOKS[looks]).replace("SECOND", second))
    written.add("ld.shared.u32 %r7, [s];", "read")
    written.add("bra END;\nWRITER:")
    written.add("st.shared.u32 [s], 5;", "write")
    written.add(f"{first}\n{SETS[sets]}\nEND:")
    with emulator.sanitize(schedules=False) as found:
        written.function()((2,), (33,), ())
    found = [f for f in found if f.ptx_line in written.lines.values()]
    if known:
        assert not found, [str(f) for f in found]
        return
    (race,) = found
    assert (race.ptx_line, race.block, race.thread, race.count) == (written.lines["read"], (0, 0, 0), (0, 0, 0), 64)
    assert "the other is thread (32, 0, 0)" in race.message and race.sides == (0, 32) and race.address == 4

"""What the sanitizer finds out about a kernel before it runs: which loads only copy, what passes messages, whose frames end."""

from dataclasses import replace

import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.sanitizer.chunk import LaunchSanitizer, granule_of
from tinygan_kernels.emulator.sanitizer.frames import frames_of
from tinygan_kernels.emulator.sanitizer.initialisation import copies_of
from tinygan_kernels.emulator.sanitizer.order import LaunchTime
from tinygan_kernels.emulator.sanitizer.strength import order_of

from tests.support.kernel_of_ptx import Written

POINTERS = "ld.param.u64 %d1, [p];\nld.param.u64 %d2, [q];\nld.param.u32 %r1, [n];"


def with_pointers(**more: str) -> Written:
    written = Written("p u64, q u64, n u32", **more)
    written.add(POINTERS)
    return written


# -- copies -----------------------------------------------------------------------------------------------------------------------
def test_loads_whose_registers_are_only_stored_are_copies():
    written = with_pointers()
    for name, lines in {
        "load": "ld.global.u32 %r10, [%d1];", "store": "st.global.u32 [%d2], %r10;",
        "load of two": "ld.shared.v2.u32 {%r11, %r12}, [%r1];", "store of two": "st.global.v2.u32 [%d2], {%r11, %r12};",
        "load for two": "ld.global.u32 %r13, [%d1];", "first store": "st.global.u32 [%d2], %r13;",
        "second store": "st.global.u32 [%d1], %r13;",
        "load of a summand": "ld.global.u32 %r14, [%d1];", "sum": "add.s32 %r15, %r14, 1;",
        "store of it": "st.global.u32 [%d2], %r14;", "store of a sum": "st.global.u32 [%d2], %r15;",
        "load of an address": "ld.global.u32 %r16, [%d1];", "store there": "st.shared.u32 [%r16], %r16;",
        "load that is dropped": "ld.global.u32 %r17, [%d1];",
        "load of half of it": "ld.global.v2.u32 {%r18, %r19}, [%d1];", "store of half of it": "st.global.u32 [%d2], %r18;",
        "store of a number": "st.global.u32 [%d2], 7;",
        "load of three and a number": "ld.global.u32 %r20, [%d1];", "store of three": "st.global.v2.u32 [%d2], {%r20, 5};",
        "load of a parameter": "ld.param.u32 %r21, [n];", "store of a parameter": "st.global.u32 [%d2], %r21;",
        "load for a mixture": "ld.global.u32 %r22, [%d1];", "store of a mixture": "st.global.v2.u32 [%d2], {%r22, %r15};",
    }.items():  # fmt: skip
        written.add(lines, name)
    copies, at = copies_of(written.kernel()), written.lines
    assert copies.loads == {
        at["load"]: (("k", "%r10"),), at["load of two"]: (("k", "%r11"), ("k", "%r12")), at["load for two"]: (("k", "%r13"),),
        at["load for a mixture"]: (("k", "%r22"),),
    }  # fmt: skip
    assert copies.stores == {
        at["store"]: (("k", "%r10"),), at["store of two"]: (("k", "%r11"), ("k", "%r12")), at["first store"]: (("k", "%r13"),),
        at["second store"]: (("k", "%r13"),), at["store of half of it"]: (("k", "%r18"),),
        at["store of a mixture"]: (("k", "%r22"), ("k", "%r15")),
    }  # fmt: skip
    assert (copies.bytes, copies.padding, copies.unused) == (False, frozenset(), frozenset())


@pytest.mark.parametrize(("store", "narrow"), [
    ("", False), ("st.global.u8 [%d2], %r10;", False), ("st.global.u8 [%d2], %r1;", True), ("st.global.s8 [%d2], 5;", True),
    ("st.shared.v2.b8 [%r1], {%r1, %r10};", True), ("st.global.u16 [%d2], %r1;", False),
    ("{ .param .b8 given; st.param.b8 [given], %r1; }", False),
])  # fmt: skip
def test_a_kernel_that_stores_single_bytes_which_are_no_copies(store, narrow):
    written = with_pointers()
    written.add("ld.global.u8 %r10, [%d1];\nst.global.u8 [%d2+1], %r10;")
    written.add(store)
    assert copies_of(written.kernel()).bytes is narrow


# Each row lists the loads by offset and type, all from one place, and the offsets of those that may be padding alone.
PADDING = {
    "a double and a short": ("0 u64, 8 u16, 12 u32", {12}),
    "a double and bytes": ("0 u64, 11 u8, 12 u32", {12}),
    "a short and a double": ("0 u16, 4 u32, 8 u64", {4}),
    "two doubles and a short": ("0 u64, 8 u64, 16 s16, 20 b32", {20}),
    "no double": ("8 u16, 12 u32", set()),
    "a double that leaves no padding": ("0 u64, 6 u16, 8 u32", set()),
    "an int before": ("0 u64, 8 u32, 12 u32", set()),
    "a short behind": ("0 u64, 12 u32, 16 u16", set()),
    "a short at the same place": ("0 u64, 12 u16, 12 u32", set()),
    "a byte too far before": ("0 u64, 7 u8, 12 u32", set()),
    "two bytes": ("0 u64, 8 u16, 12 u16", set()),
    "two integers at once": ("0 u64, 8 u16, 12 v2.u32", set()),
    "an int that is used": ("0 u64, 8 u16, 12 u32 used", set()),
    "a short of elsewhere": ("0 u64, 8 u16 elsewhere, 12 u32", set()),
    "a double of elsewhere": ("0 u64 elsewhere, 8 u16, 12 u32", set()),
}


def test_the_registers_that_may_hold_nothing_but_padding():
    written, number, expected = with_pointers(), 100, set()
    for i, (loads, padding) in enumerate(PADDING.values()):
        for offset, kind, *more in (each.split() for each in loads.split(", ")):
            wide, number = "64" in kind, number + 2
            name = f"%{'d' if wide else 'r'}{number}"
            held = f"{{{name}, %r{number + 1}}}" if "v2" in kind else name
            base = f"%d{2500 + i}" if "elsewhere" in more else f"%d{2000 + i}"
            written.add(f"ld.global.{kind} {held}, [{base}+{offset}];\nst.global.{kind} [%d2], {held};")
            written.add(f"add.s32 %r5, {name}, 1;" if "used" in more else "")
            expected |= {("k", name)} if int(offset) in padding else set()
    assert copies_of(written.kernel()).padding == expected


def test_loads_of_a_header_whose_surplus_is_dropped():
    files = '.file 1 "/usr/include/cub/block/block_merge_sort.cuh"\n.file 2 "kernel.cu"\n.file 3 "block_merge_sort.cuh.cu"'
    written = with_pointers(before=files)
    for file, name in ((1, "first"), (2, "own"), (1, "second"), (3, "alike")):
        written.add(f".loc {file} 5 0")
        written.add("ld.shared.u32 %r9, [%r1];", name)
    unused = copies_of(written.kernel()).unused
    assert {name: written.lines[name] in unused for name in written.lines} == {
        "first": True, "own": False, "second": True, "alike": False}  # fmt: skip


# -- messages ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("lines", "messages", "depends"), [
    ("ld.global.u32 %r9, [%d1]; st.global.u32 [%d2], %r9;", False, False),
    ("st.release.gpu.global.u32 [%d2], %r1;", True, False),
    ("red.release.gpu.global.add.u32 [%d2], %r1;", True, False),
    ("ld.acquire.gpu.global.u32 %r9, [%d1];", True, False),
    ("ld.acquire.gpu.global.u32 %r9, [%d1]; add.s32 %r8, %r9, 1;", True, True),
    ("ld.acquire.gpu.global.u32 %r9, [%d1]; st.global.u32 [%d2], %r9;", True, True),
    ("ld.acquire.gpu.global.u32 %r9, [%d1]; ld.global.u32 %r8, [%d2]; add.s32 %r7, %r8, 1;", True, False),
    ("ld.acquire.gpu.global.u64 %d9, [%d1]; ld.global.u32 %r8, [%d9];", True, True),
    ("ld.acquire.gpu.global.u64 %d9, [%d1]; atom.global.add.u32 %r8, [%d9], 1;", True, True),
    ("atom.global.add.u32 %r9, [%d1], 1; add.s32 %r8, %r9, 1;", False, False),
    ("atom.acq_rel.gpu.global.add.u32 %r9, [%d1], 1; add.s32 %r8, %r9, 1;", True, True),
    ("membar.gl; atom.global.add.u32 %r9, [%d1], 1; add.s32 %r8, %r9, 1;", True, True),
    ("fence.acq_rel.gpu; st.volatile.global.u32 [%d1], 1;", True, False),
    ("fence.acq_rel.gpu; red.global.add.u32 [%d1], 1;", True, False),
    ("fence.acq_rel.gpu; st.global.u32 [%d1], 1;", False, False),
    ("st.volatile.global.u32 [%d1], 1; ld.volatile.global.u32 %r9, [%d1]; add.s32 %r8, %r9, 1;", False, False),
])  # fmt: skip
def test_whether_messages_pass_through_memory(lines, messages, depends):
    written = with_pointers()
    written.add(lines.replace("; ", ";\n"))
    assert order_of(written.kernel())[:3] == (messages, depends, frozenset())


def test_stores_of_what_was_read_at_the_same_place_are_updates():
    written = with_pointers()
    for name, line in {
        "read": "ld.volatile.global.u32 %r10, [%d1];", "sum": "add.s32 %r11, %r10, 1;", "product": "mul.lo.s32 %r12, %r11, %r1;",
        "update": "st.volatile.global.u32 [%d1], %r12;", "unchanged": "st.relaxed.gpu.global.u32 [%d1], %r10;",
        "a number": "st.volatile.global.u32 [%d1], 7;", "something else": "st.volatile.global.u32 [%d1], %r1;",
        "beside": "st.volatile.global.u32 [%d1+4], %r12;", "elsewhere": "st.volatile.global.u32 [%d2], %r12;",
        "weak": "st.global.u32 [%d1], %r12;",
        "weak read": "ld.global.u32 %r20, [%d1+8];", "after it": "st.volatile.global.u32 [%d1+8], %r20;",
    }.items():  # fmt: skip
        written.add(line, name)
    assert order_of(written.kernel()).updates == {written.lines["update"], written.lines["unchanged"]}


@pytest.mark.parametrize(("lines", "mixed"), [
    ("st.volatile.global.u32 [%d1], %r1; st.volatile.global.u64 [%d1], %d2;", {"global"}),
    ("red.shared.add.u32 [%r1], 1; atom.shared.exch.b64 %d9, [%r1], %d2;", {"shared"}),
    ("red.global.add.u32 [%d1], 1; st.volatile.shared.u64 [%r1], %d2;", set()),
    ("red.global.add.u32 [%d1], 1; st.global.u64 [%d1], %d2;", set()),
    ("red.global.add.u32 [%d1], 1; st.volatile.global.u8 [%d1], %r1;", set()),
    ("red.global.add.u32 [%d1], 1; st.volatile.shared.u32 [%r1], 1; st.volatile.u64 [%d1], %d2;", {"global", "shared"}),
])  # fmt: skip
def test_state_spaces_with_strong_accesses_of_several_sizes(lines, mixed):
    written = with_pointers()
    written.add(lines.replace("; ", ";\n"))
    assert order_of(written.kernel()).mixed == mixed


def test_loads_that_give_a_compare_and_swap_its_first_guess():
    other = (".func f(.param .u64 p) {\n.reg .b64 %d<3>;\n.reg .b32 %r<99>;\n"
             "ld.param.u64 %d1, [p];\nld.global.u32 %r10, [%d1];\nret;\n}")  # fmt: skip
    written = with_pointers(before=other)
    for name, line in {
        "guess": "ld.global.u32 %r10, [%d1];", "swap": "atom.global.cas.b32 %r11, [%d1], %r10, %r12;",
        "last move": "mov.u32 %r23, %r22;", "first move": "mov.u32 %r22, %r21;", "moved guess": "ld.global.u32 %r21, [%d1];",
        "swap of it": "atom.global.cas.b32 %r24, [%d1], %r23, %r25;",
        "new value": "ld.global.u32 %r12, [%d1];", "other load": "ld.global.u32 %r30, [%d1];",
        "two at once": "ld.global.v2.u32 {%r31, %r32}, [%d1];", "swap with one": "atom.global.cas.b32 %r33, [%d1], %r31, %r25;",
        "exchanged": "ld.global.u32 %r34, [%d1];", "exchange": "atom.global.exch.b32 %r35, [%d1], %r34;",
        "added to": "ld.global.u32 %r36, [%d1];", "sum": "add.s32 %r37, %r36, 1;",
        "swap with a sum": "atom.global.cas.b32 %r38, [%d1], %r37, %r25;",
        "moved load": "ld.global.u32 %r40, [%d1];", "move of it": "mov.u32 %r41, %r40;",
        "swap of a number": "atom.global.cas.b32 %r39, [%d1], 0, %r25;",
    }.items():  # fmt: skip
        written.add(line, name)
    written.add("{\n.param .u64 given;\nst.param.u64 [given], %d1;\ncall f, (given);\n}")
    found = order_of(written.kernel()).compared
    assert found == {written.lines["guess"], written.lines["moved guess"]}


# -- frames -----------------------------------------------------------------------------------------------------------------------
FUNCTION = """.func NAME(.param .u64 p) {
.reg .b64 %d<9>;
.shared .align 4 .b8 kept[16];
.local .align 8 .b8 one[24];
.local .align 4 .b8 two[8];
ld.param.u64 %d1, [p];
mov.u64 %d2, one;
CAST
ret;
}"""
CALL = "{\n.param .u64 given;\nst.param.u64 [given], %d1;\ncall NAME, (given);\n}"


def framed(*names: str, cast: str = "", own: str = "", recurs: bool = False) -> Written:
    """Return a kernel that calls some functions with local variables, which have one line more and may call themselves."""
    inside = CALL if recurs else cast
    functions = (FUNCTION.replace("CAST", inside).replace("NAME", name) for name in names)
    written = with_pointers(before="\n".join(functions), variables=own)
    for name in names:
        written.add(CALL.replace("NAME", name))
    return written


def test_the_local_variables_of_functions_end_with_their_calls():
    kernel = framed("f", "g", own=".local .align 4 .b8 mine[12];").kernel()
    frames, at = frames_of(kernel), kernel.offsets
    assert frames.variables == {
        name: [(at[name, "one"], at[name, "one"] + 24), (at[name, "two"], at[name, "two"] + 8)] for name in ("f", "g")}  # fmt: skip
    assert frames.ends and not frames.escapes


@pytest.mark.parametrize(("names", "cast", "own", "recurs", "ends", "escapes"), [
    ((), "", ".local .align 4 .b8 mine[12];\ncvta.local.u64 %d9, %d1;", False, False, True),
    ((), "", ".local .align 4 .b8 mine[12];\ncvta.to.local.u64 %d9, %d1;", False, False, False),
    ((), "", "cvta.local.u64 %d9, %d1;", False, False, False),
    (("f",), "cvta.local.u64 %d3, %d2;", "", False, True, True),
    (("f",), "cvta.shared.u64 %d3, %d2;", "", False, True, False),
    (("f",), "", "", True, True, False),
])  # fmt: skip
def test_whose_frames_end_and_whose_addresses_may_be_stored(names, cast, own, recurs, ends, escapes):
    frames = frames_of(framed(*names, cast=cast, own=own, recurs=recurs).kernel())
    assert (frames.ends, frames.escapes) == (ends, escapes)
    assert set(frames.variables) == (set() if recurs else set(names))


# -- granules -----------------------------------------------------------------------------------------------------------------
def test_races_are_tracked_by_bytes_where_some_access_is_narrow():
    written = with_pointers()
    written.add("ld.global.u32 %r9, [%d1];\nst.shared.u32 [%r1], %r9;")
    kernel = written.kernel()
    site = kernel.sites[0]
    for space, size, shared, of_global in (
        ("global", 4, 4, 4), ("global", 2, 4, 1), ("global", 1, 4, 1), ("shared", 1, 1, 4), ("shared", 8, 4, 4),
        ("surface", 1, 4, 1), ("generic", 2, 1, 1), ("local", 1, 4, 4), ("surface", 4, 4, 4),
    ):  # fmt: skip
        other = replace(kernel, sites=[*kernel.sites, replace(site, space=space, size=size)])
        assert (granule_of(other, "shared"), granule_of(other, "global")) == (shared, of_global), (space, size)


# -- stamps -----------------------------------------------------------------------------------------------------------------------
COPY = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%d1], 16, [%r3];"


@pytest.mark.parametrize(("line", "threads"), [("", 1), (COPY, 3), ("cp.async.ca.shared.global [%r2], [%d1], 4;", 1)])
@pytest.mark.parametrize("blocks", [1, 2, 7, 64])
def test_stamps_have_room_for_asynchronous_units_where_there_are_any(line, threads, blocks):
    """Each thread has two such units, which are numbered as threads of further blocks."""
    written = with_pointers()
    written.add(line)
    launch = LaunchSanitizer(written.kernel(), blocks, None)
    assert launch.clock.who_mask == LaunchTime(threads * blocks).who_mask
    assert (launch.blocks, launch.units_of) == (blocks, blocks if threads == 3 else 0)

"""Which array an access has to lie in, by how its address is computed: one PTX kernel for each table."""

import re

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.memory import GlobalMemory
from tinygan_kernels.emulator.sanitizer.extents import Extent, extents_of, homes_of, parameters_of, plain_name

from tests.support.kernel_of_ptx import Written

# Each row says how %d9 comes about from the pointers p (%d1) and q (%d2), the number %d3 (of the parameter n), the pointer %d4 that
# was read from memory, and the predicate %p1; and the parameters that its value is computed from, None where it may be any address.
# "-p" says that a number was computed from p.
COMPUTED = {
    "a pointer": ("mov.b64 %d9, %d1;", {"p"}),
    "a pointer of another space": ("cvta.to.global.u64 %d9, %d2;", {"q"}),
    "a pointer and a number": ("add.s64 %d9, %d1, 8;", {"p"}),
    "a pointer and a number that was given": ("add.s64 %d9, %d3, %d1;", {"p"}),
    "a pointer or a bit": ("or.b64 %d9, %d1, 4;", {"p"}),
    "an index": ("mad.lo.s64 %d9, %d3, 4, %d1;", {"p"}),
    "a pointer as an index": ("mad.lo.s64 %d9, %d1, 4, %d2;", {"q", "-p"}),
    "a pointer as a factor": ("mad.lo.s64 %d9, 4, %d1, %d2;", {"q", "-p"}),
    "an index into nothing": ("mad.lo.s64 %d9, %d1, 4, 8;", None),
    "two pointers": ("add.s64 %d9, %d1, %d2;", {"p", "q"}),
    "a pointer less a number": ("sub.s64 %d9, %d1, 8;", {"p"}),
    "a pointer less another": ("sub.s64 %d9, %d1, %d2;", {"p", "-q"}),
    "a pointer less itself": ("sub.s64 %d9, %d1, %d1;", None),
    "a distance inside an array": ("sub.s64 %d8, %d1, %d1;\nadd.s64 %d9, %d8, %d2;", {"q"}),
    "a distance from another array": ("sub.s64 %d8, %d1, %d2;\nadd.s64 %d9, %d8, %d2;", {"p", "q", "-q"}),
    "a number less a pointer": ("sub.s64 %d8, 4096, %d1;\nadd.s64 %d9, %d8, %d2;", {"q", "-p"}),
    "an address cut to 16 bytes": ("and.b64 %d9, %d1, -16;", {"p"}),
    "an address cut to 64 KiB": ("and.b64 %d9, %d1, 65536;", {"p"}),
    "an offset below 64 KiB": ("and.b64 %d8, %d1, 65535;\nadd.s64 %d9, %d8, %d2;", {"q", "-p"}),
    "an offset of nothing": ("and.b64 %d8, %d1, 0;\nadd.s64 %d9, %d8, %d2;", {"q", "-p"}),
    "a mask that was read": ("and.b64 %d9, %d1, %d4;", None),
    "a pointer as a mask": ("and.b64 %d9, %d1, %d2;", {"p", "q", "-p", "-q"}),
    "one of two pointers": ("selp.b64 %d9, %d1, %d2, %p1;", {"p", "q"}),
    "a pointer or nothing": ("selp.b64 %d9, %d1, 0, %p1;", {"p"}),
    "a pointer or a small number": ("selp.b64 %d9, %d1, 65535, %p1;", {"p"}),
    "a pointer or an address": ("selp.b64 %d9, %d1, 65536, %p1;", None),
    "a pointer or a high address": ("selp.b64 %d9, %d1, 140737488355327, %p1;", None),
    "a pointer or a number too large": ("selp.b64 %d9, %d1, 140737488355328, %p1;", {"p"}),
    "a pointer or one that was read": ("selp.b64 %d9, %d1, %d4, %p1;", None),
    "a product of a pointer": ("mul.lo.s64 %d9, %d1, 2;", None),
    "a product of a pointer as an offset": ("mul.lo.s64 %d8, %d1, 2;\nadd.s64 %d9, %d8, %d2;", {"q", "-p"}),
    "a shifted pointer as an offset": ("shl.b64 %d8, %d1, 2;\nadd.s64 %d9, %d2, %d8;", {"q", "-p"}),
    "what was read": ("mov.b64 %d9, %d4;", None),
    "a pointer and what was read": ("add.s64 %d9, %d1, %d4;", {"p"}),
    "a number": ("mov.b64 %d9, 4096;", None),
    "part of a parameter": ("ld.param.u64 %d9, [p+4];", None),
    "a parameter of 32 bits": ("mov.b64 %d9, %d3;", None),
    "a pointer that moves": ("mov.b64 %d9, %d1;\nL_: add.s64 %d9, %d9, 4;\n@%p1 bra L_;", {"p"}),
    "two pointers that swap": ("mov.b64 %d9, %d1;\nmov.b64 %d8, %d2;\nL_: mov.b64 %d7, %d9;\nmov.b64 %d9, %d8;\nmov.b64 %d8, %d7;\n"
                               "@%p1 bra L_;", {"p", "q"}),
    "a pointer that comes further below": ("bra N_;\nL_: add.s64 %d9, %d8, %d4;\nbra M_;\nN_: mov.b64 %d8, %d1;\n"
                                            "bra L_;\nM_:", {"p"}),
    "a list": ("mov.b64 %d9, %d1;\nL_: ld.global.u64 %d9, [%d9+8];\n@%p1 bra L_;", None),
    "nothing at all": ("add.s64 %d9, %d29, 4;", None),
    "a pointer and nothing at all": ("add.s64 %d9, %d29, %d1;", {"p"}),
}  # fmt: skip


def computing(table, access: str, written: Written) -> None:
    """Add each row of a table, with registers of its own from %d7 on and labels of its own, and an access to what it gives."""
    for i, (name, (lines, *_)) in enumerate(table.items()):
        for number in (7, 8, 9, 29):
            lines = re.sub(rf"%d{number}\b", f"%d{number}{i:02}", lines)
        written.add(re.sub(r"\b([LMN])_", rf"\g<1>{i}", lines))
        written.add(access.replace("%d9", f"%d9{i:02}"), name)


def with_pointers() -> Written:
    written = Written("p u64, n u32, q u64")
    written.add("ld.param.u64 %d1, [p];\nld.param.u64 %d2, [q];\nld.param.u32 %r3, [n];\ncvt.u64.u32 %d3, %r3;\n"
                "ld.global.u64 %d4, [%d1];\nsetp.ne.u32 %p1, %r3, 0;")
    return written


def test_the_parameters_that_an_address_is_computed_from():
    written = with_pointers()
    computing(COMPUTED, "st.global.u32 [%d9], %r3;", written)
    found = parameters_of(written.kernel())
    for name, (_, expected) in COMPUTED.items():
        assert found.get(written.lines[name]) == expected, name
    assert len(found) == sum(expected is not None for _, expected in COMPUTED.values()) + 1  # and that of %d4


# -- which accesses -----------------------------------------------------------------------------------------------------------
ACCESSES = {
    "ld.global.u32 %r9, [%d1];": "p", "ld.u32 %r9, [%d1+4];": "p", "st.u32 [%d2], %r3;": "q", "ld.shared.u32 %r9, [%d1];": None,
    "st.local.u32 [%d1], %r3;": None, "atom.global.add.u32 %r9, [%d2], %r3;": "q", "red.global.add.u32 [%d1], %r3;": "p",
    "cp.async.ca.shared.global [%r3], [%d2], 4;": "q", "cp.async.ca.shared::cta.global [%r3], [%d1], 4;": "p",
    "ld.global.u32 %r9, [%d1]; ld.global.u32 %r8, [%d2];": None, "ld.global.u32 %r9, [var];": None,
    "ld.global.v2.u32 {%r8, %r9}, [%d1];": "p",
}  # fmt: skip


def test_accesses_to_global_memory_are_known_by_their_lines():
    """A copy names the space of its target first; of two accesses on a line neither is known."""
    written = Written("p u64, n u32, q u64", before=".global .align 4 .b8 var[16];")
    written.add("ld.param.u64 %d1, [p];\nld.param.u64 %d2, [q];\nld.param.u32 %r3, [n];")
    for text in ACCESSES:
        written.add(text, text)
    found = parameters_of(written.kernel())
    assert found == {written.lines[text]: {name} for text, name in ACCESSES.items() if name}


# -- which memory that is now ---------------------------------------------------------------------------------------------------
KINDS = ("p", "q", "p q", "p -q", "q -p", "p q -q", "p q -p -q")  # what an address is computed from
NUMBER, ELSEWHERE = (0, 5000, 65535, 1 << 47), (65536, (1 << 47) - 1)  # no addresses; addresses of memory that no argument is
HOMES = [
    ("x", "y", {"p": "x", "q": "y"}),
    ("y", "x", {"p": "y", "q": "x"}),
    *(("x", number, {"p": "x", "p q": "x", "p -q": "x", "p q -q": "x"}) for number in NUMBER),
    *((number, "y", {"q": "y", "p q": "y", "q -p": "y", "p q -q": None}) for number in NUMBER),
    *(("x", address, {"p": "x", "p -q": "x"}) for address in ELSEWHERE),
]


def test_the_memory_of_an_access_is_that_of_its_argument():
    """p and q hold addresses inside the arrays x and y, up to their last byte, or numbers, or addresses from elsewhere."""
    written = with_pointers()
    rows = {name: row for name, row in COMPUTED.items() if row[1]}
    computing(rows, "st.global.u32 [%d9], %r3;", written)
    kernel, memory = written.kernel(), GlobalMemory()
    arrays = {"x": np.zeros(64, np.uint8), "y": np.zeros(64, np.uint8)}
    for name, array in arrays.items():
        memory.add(array, name)
    kinds = {name: " ".join(sorted(held, key=lambda one: ("-" in one, one))) for name, (_, held) in rows.items()}
    assert set(kinds.values()) == set(KINDS)
    for p, q, expected in HOMES:
        for name, value in (("p", p), ("q", q)):
            value = arrays[value].ctypes.data + 63 if isinstance(value, str) else value
            kernel.param_buffer[kernel.params[name] :][:8] = np.array([value], np.uint64).view(np.uint8)
        found = homes_of(kernel, memory)
        for name, kind in kinds.items():
            at = found.get(written.lines[name])
            assert (at and at.name) == expected.get(kind), (name, p, q)


# -- shared arrays ----------------------------------------------------------------------------------------------------------------
# As above, from the addresses of the shared arrays a and b, and the number %r3. The array is None where it is not known.
SHARED = {
    "an array": ("mov.u32 %r9, a;", "a"),
    "an array and an index": ("mov.u32 %r8, b;\nmad.lo.s32 %r9, %r3, 4, %r8;", "b"),
    "an array less a number": ("mov.u32 %r8, b;\nsub.s32 %r9, %r8, %r3;", "b"),
    "one of two arrays": ("mov.u32 %r7, a;\nmov.u32 %r8, b;\nselp.b32 %r9, %r7, %r8, %p1;", None),
    "an array or nothing": ("mov.u32 %r7, a;\nselp.b32 %r9, %r7, 0, %p1;", "a"),
    "the distance of two arrays": ("mov.u32 %r7, a;\nmov.u32 %r8, b;\nsub.s32 %r7, %r8, %r7;\nadd.s32 %r9, %r7, %r7;", None),
    "a number": ("mov.u32 %r9, 16;", None),
    "a number that was given": ("mov.u32 %r9, %r3;", None),
    "an array cut to 16 bytes": ("mov.u32 %r8, a;\nand.b32 %r9, %r8, -16;", "a"),
    "an array that was given": ("mov.u32 %r9, dyn;", "dyn"),
}
FIXED = {
    "ld.shared.u32 %r5, [a];": "a", "ld.shared.u32 %r5, [b+12];": "b", "st.shared.u32 [dyn+4], %r5;": "dyn",
    "atom.shared.add.u32 %r5, [b], 1;": "b", "ld.shared.u32 %r5, [16];": None, "ld.global.u32 %r5, [var];": None,
    "ld.shared.u32 %r5, [a]; ld.shared.u32 %r6, [a];": None, "cp.async.ca.shared.global [b], [%d1], 4;": "b",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [a], [%d1], 16, [b];": None,
}  # fmt: skip
EXTENTS = {"a": Extent("tile", 0, 64), "b": Extent("b", 64, 96), "dyn": Extent("dyn", 96, 196)}
ARRAYS = ".shared .align 4 .b8 _ZZ1kE4tile[64];\n.shared .align 4 .b8 b[32];"
OUTSIDE = ".extern .shared .align 4 .b8 dyn[];\n.global .align 4 .b8 var[16];"


def test_the_shared_array_that_an_address_is_computed_from():
    """The array dyn has the bytes that a launch adds; a name is that in the source."""
    written = Written("p u64, n u32", OUTSIDE, ARRAYS)
    written.add("ld.param.u64 %d1, [p];\nld.param.u32 %r3, [n];\nsetp.ne.u32 %p1, %r3, 0;")
    named = lambda text: text.replace(" a;", " _ZZ1kE4tile;").replace("[a", "[_ZZ1kE4tile")  # noqa: E731
    for i, (name, (lines, _)) in enumerate(SHARED.items()):
        written.add(re.sub(r"%r([789])\b", rf"%r\g<1>{i:02}", named(lines)))
        written.add(f"ld.shared.u32 %r5, [%r9{i:02}];", name)
    for text in FIXED:
        written.add(named(text), text)
    kernel = written.kernel()
    starts = {name: kernel.offsets[owner, full] for (owner, full) in kernel.offsets for name in [plain_name(full)]}
    expected = {name: Extent(extent.name, starts[extent.name], starts[extent.name] + extent.end - extent.start)
                for name, extent in EXTENTS.items()}  # fmt: skip
    expected["dyn"] = Extent("dyn", kernel.static_shared, kernel.static_shared + 100)
    found = extents_of(kernel, 100)
    for name, array in [*((name, array) for name, (_, array) in SHARED.items()), *FIXED.items()]:
        assert found.get(written.lines[name]) == expected.get(array), name
    assert extents_of(kernel, 40)[written.lines["st.shared.u32 [dyn+4], %r5;"]].end == kernel.static_shared + 40

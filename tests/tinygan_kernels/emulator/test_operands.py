"""Instructions with operands or registers too many or too few are refused where they stand, none is run with what it has."""

import ptx_seeds
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.translate import opcodes, operands

WRONG = {
    "matrices": [
        (".b16 {%r37, %r38, %r39, %r40}", ".b16 {%r37, %r38, %r39}", "operand 0 of ldmatrix.* has 4 registers, not 3"),
        ("x2.trans.shared.b16 {%r41, %r42}", "x2.trans.shared.b16 %r41", "operand 0 of ldmatrix.* has 2 registers, not 1"),
        ("{%r37, %r38, %r39, %r40}, [", "{%r37 %r38, %r39, %r40}, [", "unexpected|expected"),
        (" {%r37, %r38, %r39, %r40}, {", " {%r37, %r38, %r39}, {", "operand 1 of mma.* has 4 registers, not 3"),
        ("{%r41, %r42}, {%r1", "{%r41, %r42, %r43}, {%r1", "operand 2 of mma.* has 2 registers, not 3"),
        ("{%r1, %r1, %r0, %r0};", "{%r1, %r1, %r0};", "operand 3 of mma.* has 4 registers, not 3"),
        ("{%r43, %r44, %r45, %r46},", "%r43,", "operand 0 of mma.* has 4 registers, not 1"),
        ("%r10, %r11}, [tile], 16", "%r10}, [tile], 16", "operand 0 of wmma.load.* has 8 registers, not 7"),
        ("%r34, %r35}, 16", "%r34}, 16", "operand 1 of wmma.store.* has 8 registers, not 7"),
        ("%r34, %r35}, {", "%r34}, {", "operand 0 of wmma.mma.* has 8 registers, not 7"),
        ("v4.b32 [%r3], {%r1, %r0, %r1, %r0}", "v2.b32 [%r3], {%r1, %r0, %r1, %r0}", "operand 1 of st.* has 2 registers, not 4"),
        ("ld.global.u32 %r1", "ld.global.u32 {%r1, %r2}", "operand 0 of ld.* has 1 registers, not 2"),
        ("%r51, %r43, 0x3120", "%r51, %r43", "prmt.b32 has 4 operands, not 3"),
        ("%r51, %r43, 0x3120", "%r51, %r43, 0x3120, 1", "prmt.b32 has 4 operands, not 5"),
        (", {%r1, %r1, %r0, %r0};", ", {%r1, %r1, 0, %r0};", "operand 3 of mma.* has 4 registers, not 3"),
        ("activemask.b32 %r50", "activemask.b32 %r50, %r1", "activemask.b32 has 1 operands, not 2"),
        ("setp.gt.u32 %p0, %r0, 31", "setp.gt.u32 %p0, %r0", "setp.gt.u32 has 3 to 4 operands, not 2"),
        ("setp.gt.u32 %p0, %r0, 31", "setp.gt.u32 %p0, %r0, 31, 31", "setp cannot have the operands"),
        ("setp.gt.u32 %p0, %r0, 31", "setp.gt.and.u32 %p0, %r0, 31", "setp cannot have the operands"),
        ("mov.u32 %r2, tile", "cvt.u32.u32 %r2, tile, 1", "cvt.u32.u32 has 2 operands, not 3"),
        ("mov.u32 %r2, tile", "mov.u32 %r2, tile, 1", "mov.u32 has 2 operands, not 3"),
    ],
    "clusters": [
        ("mbarrier.init.shared.b64 [bar], 64", "mbarrier.init.shared.b64 [bar], 64, 3", "mbarrier.init.* has 2 operands, not 3"),
        ("mbarrier.init.shared.b64 [bar], 64", "mbarrier.init.shared.b64 bar, 64", "mbarrier cannot have the operands"),
        ("%r12, [%r7], 1;", "%r12, [%r7];", "atom.* has 3 operands, not 2"),
        ("[%q3], %r12, %r9", "[%q3], %r12", "atom.*cas.* has 4 operands, not 3"),
        (".reqnctapercluster 1", ".reqnctapercluster", "one to three sizes"),
        (".reqnctapercluster 1", ".reqnctapercluster -1", "one to three sizes"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("seed, right, wrong, words", [(seed, *row) for seed, rows in WRONG.items() for row in rows])
def test_what_does_not_fit_is_refused_with_its_line(seed, right, wrong, words):
    text = ptx_seeds.texts()[seed]
    assert right in text
    with pytest.raises(EmulatorError, match=f"({words}).*line [0-9]+") as caught:
        emulator.RawModule(code=text.replace(right, wrong, 1)).get_function("k")
    assert "\n" not in str(caught.value)


def test_a_call_through_a_pointer_with_a_variable_that_is_missing():
    text = ptx_seeds.texts()["calls"]
    assert ".param .b32 param1;" in text
    with pytest.raises(EmulatorError, match=r"has no param1, which a call passes, at PTX line [0-9]+"):
        emulator.RawModule(code=text.replace(".param .b32 param1;", "")).get_function("k")


def test_every_counted_opcode_has_a_row():
    assert not set(operands.COUNTS) - set(opcodes.OPCODES)


FRAGMENTS = [
    ("a", "bf16", (32, 8, 16), 8), ("b", "bf16", (32, 8, 16), 2), ("a", "f16", (8, 32, 16), 8), ("a", "tf32", (16, 16, 8), 4),
    ("b", "b1", (8, 8, 128), 1), ("c", "f32", (16, 16, 16), 8), ("d", "f16", (16, 16, 16), 4), ("a", "f64", (8, 8, 4), 1),
    ("c", "f64", (8, 8, 4), 2),
]  # fmt: skip


@pytest.mark.parametrize("which, kind, shape, count", FRAGMENTS)
def test_registers_of_wmma_are_those_of_the_manuals_table(which, kind, shape, count):
    assert operands.wmma_registers(which, shape, kind) == count

"""The table of opcodes: what a row must say, that tests run every opcode, and tests of those that no other file runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from ptx_snippets import kernel_text, run
from tinygan_kernels import emulator
from tinygan_kernels.emulator import UnsupportedInstruction
from tinygan_kernels.emulator.counters import KNOWN
from tinygan_kernels.emulator.syntax.parser import parse
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate import arithmetic, memory, opcodes, warp
from tinygan_kernels.emulator.translate.opcodes import CLASSES, NOBODY, NOT_EXECUTED, OPCODES, Opcode, class_of

RNG = np.random.default_rng(11)
WORDS = np.r_[0, 1, 31, 32, 33, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, RNG.integers(0, 2**32, 56)].astype(np.uint32)
OTHER = np.r_[RNG.integers(0, 2**32, 60), 0, 1, 0x80000000, 0xFFFFFFFF].astype(np.uint32)
THIRD = RNG.integers(0, 2**32, 64).astype(np.uint32)
COUNTS = RNG.integers(0, 45, 64).astype(np.uint32)


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def mentioned(opcode: str, text: str) -> bool:
    """Check whether PTX in the text uses the opcode, or a list of names holds it."""
    return re.search(rf"(?<![\w.%]){opcode}(?![\w%])", text) is not None


# ---- the table ------------------------------------------------------------------------------------------------------


def test_every_opcode_is_run_by_a_test():
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [opcode for opcode in OPCODES if not mentioned(opcode, tests)]
    assert not missing, f"no test runs {', '.join(missing)}; add one to tests/tinygan_kernels/emulator/test_opcodes.py"


KEYWORDS = """
abs activemask add addc alloca and applypriority atom bar barrier bfe bfi bfind bmsk bra brev brkpt brx call clz cnot copysign cos
clusterlaunchcontrol cp createpolicy cvt cvta discard div dp2a dp4a elect ex2 exit fence fma fns getctarank griddepcontrol isspacep
istypep ld ldmatrix ldu lg2 lop3 mad mad24 madc mapa match max mbarrier membar min mma mov movmatrix mul mul24 multimem nanosleep
neg not or pmevent popc prefetch prefetchu prmt rcp red redux rem ret rsqrt sad selp set setmaxnreg setp shf shfl shl shr sin slct
sqrt st stackrestore stacksave stmatrix sub subc suld suq sured sust szext tanh tcgen05 tensormap testp tex tld4 trap txq vabsdiff
vabsdiff2 vabsdiff4 vadd vadd2 vadd4 vavrg2 vavrg4 vmad vmax vmax2 vmax4 vmin vmin2 vmin4 vote vset vset2 vset4 vshl vshr vsub vsub2
vsub4 wgmma wmma xor
"""
"""The instructions of PTX: PTX ISA 9.1, 4.3.2, the table "Reserved Instruction Keywords"."""


def test_every_instruction_of_ptx_is_executed_or_refused_by_name():
    assert set(OPCODES) | set(NOT_EXECUTED) == set(KEYWORDS.split())
    assert not set(OPCODES) & set(NOT_EXECUTED)


@pytest.mark.parametrize("opcode", NOT_EXECUTED)
def test_what_is_not_executed_is_refused_with_what_it_is_about(opcode):
    code = kernel_text(f"{opcode}.u32 %x, %a;", ["u32"], ["u32"])
    reason = f"the emulator does not execute {opcode} ({NOT_EXECUTED[opcode]})"
    with pytest.raises(UnsupportedInstruction, match=re.escape(reason)):
        emulator.RawModule(code=code).get_function("k")


def test_a_mention_is_a_whole_word():
    """The guard above is as strict as that: it catches a new opcode, not one whose name is an English word too."""
    assert mentioned("add", "add.f32 %x, %a, %b;") and mentioned("vadd4", '["vadd2", "vadd4"]')
    assert not mentioned("add", "%add vadd addc add_sub x.add")


def test_every_class_is_a_metric():
    assert {f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum" for name in CLASSES} <= KNOWN
    assert set(opcodes.FIXED) <= set(CLASSES)


CLASS_OF = {
    "add.f32 a, b, c;": "fadd",
    "sub.rn.f64 a, b, c;": "dadd",
    "add.s32 a, b, c;": "integer",
    "mad.lo.s32 a, b, c, d;": "integer",
    "fma.rn.f16x2 a, b, c, d;": "hfma",
    "mul.bf16 a, b, c;": "hmul",
    "max.f32 a, b, c;": "fp32",
    "max.s32 a, b, c;": "integer",
    "neg.f16 a, b;": "fp16",
    "setp.lt.f32 a, b, c;": "integer",
    "mov.f32 a, b;": "misc",
    "cvt.rn.f32.s32 a, b;": "conversion",
    "shfl.sync.up.b32 a, b, 1, 0, -1;": "inter_thread_communication",
    "bar.sync 0;": "control",
    "ret;": "control",
    "membar.gl;": "memory",
    "nanosleep.u32 5;": "control",
    "mma.sync.aligned.m16n8k8 a;": "tensor",
    "div.rn.f64 a, b, c;": "fp64",
}


@pytest.mark.parametrize(("text", "expected"), CLASS_OF.items())
def test_classes(text, expected):
    module = parse(f".version 8.0\n.target sm_80\n.address_size 64\n.entry k() {{ {text} }}")
    (instruction,) = (item for item in module.functions["k"].body if isinstance(item, Instruction))
    assert class_of(instruction) == expected


def test_an_unlisted_opcode_is_an_error_that_names_the_file():
    code = kernel_text("frobnicate.u32 %x, %a;", ["u32"], ["u32"])
    with pytest.raises(UnsupportedInstruction, match=r"frobnicate has no row in emulator/translate/opcodes\.py"):
        emulator.RawModule(code=code).get_function("k")
    with pytest.raises(UnsupportedInstruction, match=r"translate/opcodes\.py"):
        class_of(Instruction("frobnicate", (), (), None, False, 7, (0, 0)))


def test_a_row_that_does_not_fit_is_an_error_that_names_the_file(monkeypatch):
    with pytest.raises(TypeError, match="counted_as"):
        Opcode(arithmetic.mul)
    with pytest.raises(ValueError, match=r"translate/opcodes\.py: no class 'interger'"):
        Opcode(arithmetic.mul, "interger")
    with pytest.raises(ValueError, match=r"translate/opcodes\.py: vote .* needs members="):
        Opcode(warp.vote, "inter_thread_communication")
    assert Opcode(warp.vote, "inter_thread_communication", members=NOBODY).members == NOBODY

    def reads_both(e, ins):
        e.line(f"fence({e.read(ins.operands[0], 'u32')})")

    monkeypatch.setitem(OPCODES, "frobnicate", Opcode(reads_both, "misc"))
    with pytest.raises(ValueError, match=r"translate/opcodes\.py: frobnicate reads its first operand"):
        emulator.RawModule(code=kernel_text("frobnicate.u32 %a;", ["u32"], ["u32"])).get_function("k")


def test_what_only_a_no_result_instruction_reads_counts_as_read():
    """An atomic's result is fetched if anybody reads it, be it as the first operand of an instruction without a result."""
    (function,) = parse(kernel_text("st.global.u32 [%pt1], %a; nanosleep.u32 %b;", ["u32", "u32"], [])).functions.values()
    assert {"%a", "%b", "%pt1"} <= opcodes.registers_read(function)


OF_ITS_OWN = {
    "bra": "bra.planted DONE; DONE:",
    "brx": "BOTH: .branchtargets DONE; brx.idx.planted %a, BOTH; DONE:",
    "call": "call.planted vprintf;",
    "barrier": "barrier.sync.planted 0;",
    "bar": "bar.sync.planted 0;",
}
"""PTX of opcodes that end a block, where the operands matter before the modifiers are looked at."""


def refused(body: str, modifier: str) -> bool:
    """Check that a kernel is refused, with a message that names the modifier and its line."""
    with pytest.raises(UnsupportedInstruction, match=rf"at PTX line \d+ .*modifier \.{modifier} is not supported"):
        emulator.RawModule(code=kernel_text(body, ["u32", "u32"], ["u32"])).get_function("k")
    return True


@pytest.mark.parametrize("opcode", OPCODES)
def test_a_modifier_that_the_row_does_not_know_is_refused_by_name(opcode):
    """Left aside, it would be a silent wrong result: fma.oob, mma.satfinite, ld.unified."""
    assert refused(OF_ITS_OWN.get(opcode, f"{opcode}.planted.u32 %x, %a, %b;"), "planted")


@pytest.mark.parametrize(("text", "modifier"), [
    ("popc.sat.b32 %x, %a;", "sat"),
    ("bmsk.sat.b32 %x, %a, %a;", "sat"),
    ("add.f32.sat.sub %x, %a, %b;", "sub"),
    ("mul24.lo.sat.s32 %x, %a, %b;", "sat"),
    ("cvt.rs.f16x2.f32 %x, %a, %a, %b;", "rs"),
    ("st.async.global.u32 [%pt1], %a;", "async"),
    ("red.async.global.add.u32 [%pt1], %a;", "async"),
    ("barrier.sync.planted 0;", "planted"),
    ("fence.sc.planted;", "planted"),
    ("mbarrier.init.planted.b64 [%pt1], %a;", "planted"),
    ("add.sat.bf16x2 %x, %a, %b;", "sat"),
    ("add.rz.f16x2 %x, %a, %b;", "rz"),
    ("fma.rn.relu.f32 %x, %a, %b, %a;", "relu"),
])  # fmt: skip
def test_modifiers_of_other_opcodes_and_types_are_refused(text, modifier):
    assert refused(text, modifier)


def test_hints_and_scopes_change_nothing():
    body = """ld.global.relaxed.gpu.L1::evict_last.L2::128B.u32 %x, [%pt1]; st.weak.global.wb.u32 [%pt1], %x; mov.u32 %x, %a;"""
    assert emulator.RawModule(code=kernel_text(body, ["u32"], ["u32"])).get_function("k")


def test_hints_write_nothing():
    assert OPCODES["prefetch"].lower is memory.nothing
    body = """prefetch.global.L2 [%pt1]; prefetchu.L1 [%pt1]; discard.global.L2 [%pt1], 128;
applypriority.global.L2::evict_normal [%pt1], 128;
nanosleep.u32 20; pmevent 3; membar.gl; fence.acq_rel.gpu; mov.u32 %x, %a;"""
    np.testing.assert_array_equal(run(body, [("u32", WORDS)]), WORDS)


def halves(*values: float) -> np.ndarray:
    return np.array(values, np.float16).view(np.uint32)


@pytest.mark.parametrize(("text", "expected"), [
    ("add.sat.f16x2 %x, %a, %b;", halves(1.0, 0.0)),
    ("add.ftz.f16x2 %x, %a, %c;", halves(0.75, -1.0)),
    ("add.f16x2 %x, %a, %c;", np.array([0x3A00, 0xBC00], np.uint16).view(np.uint32) + np.uint32(0)),
])  # fmt: skip
def test_saturation_and_flushing_reach_both_halves(text, expected):
    a, b, c = halves(0.75, -1.0), halves(0.5, 0.25), np.array([1, 0x8001], np.uint16).view(np.uint32)
    assert run(text, [("u32", a), ("u32", b), ("u32", c)]).tolist() == expected.tolist()


def test_flushing_of_subnormal_halves_doubles_and_bf16():
    """setp.ftz.f16 and ex2.ftz.bf16, whose subnormal operands and results are zeros; rcp.ftz.f64 of a subnormal is infinite."""
    tiny = np.array([1, 0x0400, 0x8001], np.uint16).astype(np.uint32)
    body = ".reg .b16 %h, %z; .reg .pred %p; cvt.u16.u32 %h, %a; mov.b16 %z, 0; setp.ne{}.f16 %p, %h, %z; selp.u32 %x, 1, 0, %p;"
    assert run("{ " + body.format("") + " }", [("u32", tiny)]).tolist() == [1, 1, 1]
    assert run("{ " + body.format(".ftz") + " }", [("u32", tiny)]).tolist() == [0, 1, 0]
    low = np.array([np.float32(v).view(np.uint32) >> 16 for v in (-130.0, -126.0, -3.0)], np.uint32)
    body = "{ .reg .b16 %h; cvt.u16.u32 %h, %a; ex2.approx.ftz.bf16 %h, %h; cvt.u32.u16 %x, %h; }"
    assert run(body, [("u32", low)]).tolist() == [0, 0x0080, 0x3E00]
    subnormal = np.array([2.0**-1030, -(2.0**-1030), 2.0])
    assert run("rcp.approx.ftz.f64 %x, %a;", [("f64", subnormal)], "f64").tolist() == [np.inf, -np.inf, 0.5]


# ---- opcodes that no other file runs, against Python's integers -----------------------------------------------------


def test_cnot():
    assert run("cnot.b32 %x, %a;", [("u32", WORDS)]).tolist() == [int(w == 0) for w in WORDS.tolist()]


@pytest.mark.parametrize("mode", ["clamp", "wrap"])
def test_bmsk(mode):
    def expected(position, length):
        position, length = (min(position, 32), min(length, 32)) if mode == "clamp" else (position & 31, length & 31)
        return ((1 << length) - 1) << position & 0xFFFFFFFF

    found = run(f"bmsk.{mode}.b32 %x, %a, %b;", [("u32", COUNTS), ("u32", COUNTS[::-1].copy())])
    assert found.tolist() == [expected(p, n) for p, n in zip(COUNTS.tolist(), COUNTS[::-1].tolist(), strict=True)]


@pytest.mark.parametrize("mode", ["clamp", "wrap"])
@pytest.mark.parametrize("kind", ["u32", "s32"])
def test_szext(mode, kind):
    def expected(value, bits):
        bits = min(bits, 32) if mode == "clamp" else bits & 31
        kept = value & ((1 << bits) - 1)
        return signed(kept, bits) & 0xFFFFFFFF if kind == "s32" and bits else kept

    found = run(f"szext.{mode}.{kind} %x, %a, %b;", [("u32", OTHER), ("u32", COUNTS)])
    assert found.tolist() == [expected(v, n) for v, n in zip(OTHER.tolist(), COUNTS.tolist(), strict=True)]


@pytest.mark.parametrize("part", ["lo", "hi"])
@pytest.mark.parametrize("kind", ["u32", "s32"])
def test_mad24(part, kind):
    def expected(a, b, c):
        a, b = (signed(v, 24) if kind == "s32" else v & 0xFFFFFF for v in (a, b))
        return (a * b >> (0 if part == "lo" else 16)) + c & 0xFFFFFFFF

    found = run(f"mad24.{part}.{kind} %x, %a, %b, %c;", [("u32", WORDS), ("u32", OTHER), ("u32", THIRD)])
    assert found.tolist() == [expected(*v) for v in zip(WORDS.tolist(), OTHER.tolist(), THIRD.tolist(), strict=True)]


@pytest.mark.parametrize("part", ["lo", "hi"])
@pytest.mark.parametrize("kinds", ["s32.u32", "u32.u32", "u32.s32"])
def test_dp2a(part, kinds):
    def piece(word, i, bits, kind):
        raw = word >> (bits * i) & ((1 << bits) - 1)
        return signed(raw, bits) if kind == "s32" else raw

    def expected(a, b, c):
        first, (ka, kb) = (0 if part == "lo" else 2), kinds.split(".")
        return c + sum(piece(a, i, 16, ka) * piece(b, first + i, 8, kb) for i in (0, 1)) & 0xFFFFFFFF

    found = run(f"dp2a.{part}.{kinds} %x, %a, %b, %c;", [("u32", WORDS), ("u32", OTHER), ("u32", THIRD)])
    assert found.tolist() == [expected(*v) for v in zip(WORDS.tolist(), OTHER.tolist(), THIRD.tolist(), strict=True)]


VIDEO = {
    "vadd": lambda x, y: x + y,
    "vsub": lambda x, y: x - y,
    "vmin": min,
    "vmax": max,
    "vabsdiff": lambda x, y: abs(x - y),
    "vavrg": lambda x, y: x + y + (x + y >= 0) >> 1,
}
PACKED = ["vadd2", "vadd4", "vsub2", "vsub4", "vmin2", "vmin4", "vmax2", "vmax4", "vabsdiff2", "vabsdiff4", "vavrg2", "vavrg4"]


@pytest.mark.parametrize("opcode", PACKED)
@pytest.mark.parametrize("kind", ["u32", "s32"])
def test_packed_video(opcode, kind):
    parts = int(opcode[-1])
    bits = 32 // parts

    def piece(word, i):
        raw = word >> (bits * i) & ((1 << bits) - 1)
        return signed(raw, bits) if kind == "s32" else raw

    def values(a, b):
        return [VIDEO[opcode[:-1]](piece(a, i), piece(b, i)) for i in range(parts)]

    def word(a, b):
        return sum((v & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values(a, b)))

    inputs = [("u32", WORDS), ("u32", OTHER), ("u32", THIRD)]
    pairs = list(zip(WORDS.tolist(), OTHER.tolist(), strict=True))
    assert run(f"{opcode}.{kind}.{kind}.{kind} %x, %a, %b, %c;", inputs).tolist() == [word(a, b) for a, b in pairs]
    added = run(f"{opcode}.{kind}.{kind}.{kind}.add %x, %a, %b, %c;", inputs)
    assert added.tolist() == [c + sum(values(a, b)) & 0xFFFFFFFF for (a, b), c in zip(pairs, THIRD.tolist(), strict=True)]


def test_generic_addresses():
    declarations = ".shared .align 8 .b8 window[64]; .reg .b64 %g; .reg .b64 %l;"
    body = f"""{declarations}
cvta.shared.u64 %g, 16; isspacep.shared %p0, %g; isspacep.global %p1, %g; cvta.to.shared.u64 %l, %g;
selp.u32 %x, 1, 0, %p0; selp.u32 %y, 1, 0, %p1; cvt.u32.u64 %z, %l;"""
    inside, outside, address = run(body, [("u32", WORDS)], "u32", ("u32", "u32"))
    assert (set(inside), set(outside), set(address)) == ({1}, {0}, {16})


def test_atom_red_and_ldu():
    text = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 total, .param .u64 out) {
.reg .b64 %d<4>; .reg .b32 %r<6>;
ld.param.u64 %d1, [total]; ld.param.u64 %d2, [out];
mov.u32 %r1, %tid.x; red.global.add.u32 [%d1], %r1;
atom.global.add.u32 %r2, [%d1+4], 1; activemask.b32 %r5;
mad.wide.u32 %d3, %r1, 4, %d2; ldu.global.u32 %r3, [%d3]; add.u32 %r4, %r2, %r3; xor.b32 %r4, %r4, %r5;
st.global.u32 [%d3], %r4;
ret;
}
"""
    total, out = np.zeros(2, np.uint32), (100 * np.arange(32)).astype(np.uint32)
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (total, out))
    assert total.tolist() == [sum(range(32)), 32]
    assert sorted((out ^ np.uint32(0xFFFFFFFF)).tolist()) == [101 * i for i in range(32)]


@pytest.mark.parametrize("transposed", [False, True])
def test_stmatrix_stores_rows_of_eight(transposed):
    """Lane 8 j + i gives the address of row i of matrix j; lane 4 g + t holds elements 2 t, 2 t + 1 of row g (or of column g)."""
    form = ".trans" if transposed else ""
    text = f""".version 7.8
.target sm_90
.address_size 64
.visible .entry k(.param .u64 in, .param .u64 out) {{
.reg .b32 %r<9>; .reg .b64 %d<5>; .shared .align 16 .b8 box[512];
ld.param.u64 %d1, [in]; ld.param.u64 %d2, [out]; mov.u32 %r1, %tid.x;
mad.wide.u32 %d3, %r1, 16, %d1; ld.global.v4.u32 {{%r2, %r3, %r4, %r5}}, [%d3];
mov.u32 %r6, box; mad.lo.u32 %r7, %r1, 16, %r6;
stmatrix.sync.aligned.m8n8.x4{form}.shared.b16 [%r7], {{%r2, %r3, %r4, %r5}}; bar.warp.sync -1;
ld.shared.v4.u32 {{%r2, %r3, %r4, %r5}}, [%r7]; mad.wide.u32 %d4, %r1, 16, %d2; st.global.v4.u32 [%d4], {{%r2, %r3, %r4, %r5}};
ret;
}}
"""
    held, out = RNG.integers(0, 2**16, (32, 4, 2)).astype(np.uint16), np.zeros((4, 8, 8), np.uint16)
    emulator.RawModule(code=text).get_function("k")((1,), (32,), (held.view(np.uint32), out))
    for lane, j, i in np.ndindex(32, 4, 2):
        g, t = divmod(lane, 4)
        assert out[(j, 2 * t + i, g) if transposed else (j, g, 2 * t + i)] == held[lane, j, i]

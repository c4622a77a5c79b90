"""Random straight-line PTX against NumPy, and the parser on text that compilers and people write."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ptx_snippets import kernel_text
from tinygan_kernels import emulator
from tinygan_kernels.emulator.syntax.parser import parse
from tinygan_kernels.emulator.syntax.ptx import Address, Instruction, Label, Register, Symbol
from tinygan_kernels.emulator.syntax.tokens import literal

LANES = 96
# name: (register class of the result, of the operands, what NumPy says)
OPERATIONS = {
    "add.u32": ("r", "rr", lambda a, b: a + b),
    "sub.s32": ("r", "rr", lambda a, b: a - b),
    "mul.lo.u32": ("r", "rr", lambda a, b: a * b),
    "mul.hi.u32": ("r", "rr", lambda a, b: (a.astype("u8") * b >> np.uint64(32)).astype("u4")),
    "mul.wide.u32": ("d", "rr", lambda a, b: a.astype("u8") * b),
    "mad.lo.u32": ("r", "rrr", lambda a, b, c: a * b + c),
    "and.b32": ("r", "rr", lambda a, b: a & b),
    "xor.b64": ("d", "dd", lambda a, b: a ^ b),
    "not.b32": ("r", "r", lambda a: ~a),
    "min.s32": ("r", "rr", lambda a, b: np.minimum(a.view("i4"), b.view("i4")).view("u4")),
    "max.u32": ("r", "rr", np.maximum),
    "add.u64": ("d", "dd", lambda a, b: a + b),
    "cvt.u32.u64": ("r", "d", lambda a: a.astype("u4")),
    "cvt.s64.s32": ("d", "r", lambda a: a.view("i4").astype("i8").view("u8")),
    "add.f32": ("f", "ff", lambda a, b: a + b),
    "mul.f32": ("f", "ff", lambda a, b: a * b),
    "div.rn.f32": ("f", "ff", lambda a, b: a / b),
    "neg.f32": ("f", "f", lambda a: -a),
    "abs.f32": ("f", "f", np.abs),
    "sqrt.rn.f32": ("f", "f", lambda a: np.sqrt(a)),
    "cvt.f64.f32": ("g", "f", lambda a: a.astype("f8")),
    "cvt.rn.f32.f64": ("f", "g", lambda a: a.astype("f4")),
    "sub.f64": ("g", "gg", lambda a, b: a - b),
    "cvt.rn.f32.s32": ("f", "r", lambda a: a.view("i4").astype("f4")),
    "setp.lt.s32": ("p", "rr", lambda a, b: a.view("i4") < b.view("i4")),
    "setp.geu.f32": ("p", "ff", lambda a, b: ~(a < b)),
    "selp.b32": ("r", "rrp", lambda a, b, p: np.where(p, a, b)),
    "mov.b32": ("r", "f", lambda a: a.view("u4")),
}
CLASSES = {"r": ("b32", "u4"), "d": ("b64", "u8"), "f": ("f32", "f4"), "g": ("f64", "f8"), "p": ("pred", "?")}
COUNT = 4  # registers of each class

instruction = st.tuples(
    st.sampled_from(sorted(OPERATIONS)),
    st.integers(0, COUNT - 1),
    st.lists(st.integers(0, COUNT - 1), min_size=3, max_size=3),
    st.sampled_from(["", "", "@", "@!"]),
    st.integers(0, COUNT - 1),
)


def name(kind: str, number: int) -> str:
    return f"%{kind}v{number}"


def assembled(program) -> str:
    """Return a kernel: loads of %rv0 and %fv0 from %a and %b, the statements, a store of a mix of all registers."""
    lines = [f".reg .{CLASSES[k][0]} %{k}v<{COUNT}>;" for k in CLASSES]
    for k in CLASSES:
        for i in range(COUNT):
            if k == "p":
                lines.append(f"setp.eq.u32 {name(k, i)}, %a, {i};")
            else:
                source = {"r": "%a", "f": "%b"}.get(k)
                zero = {"d": f"{i + 7}", "g": f"{i}.5"}.get(k)
                lines.append(f"mov.{CLASSES[k][0]} {name(k, i)}, {source if source else zero};")
    for operation, target, sources, guard, predicate in program:
        result, kinds, _ = OPERATIONS[operation]
        operands = ", ".join([name(result, target), *(name(k, s) for k, s in zip(kinds, sources, strict=False))])
        lines.append(f"{guard}{name('p', predicate) if guard else ''} {operation} {operands};")
    for k, register in (("r", "%x"), ("f", "%y"), ("g", "%z")):
        lines.append(f"mov.b{32 if k != 'g' else 64} {register}, {name(k, 0)};")
    return "\n".join(lines)


def evaluated(program, a, b):
    state = {("r", i): a.copy() for i in range(COUNT)} | {("f", i): b.copy() for i in range(COUNT)}
    state |= {("d", i): np.full(LANES, i + 7, "u8") for i in range(COUNT)}
    state |= {("g", i): np.full(LANES, i + 0.5) for i in range(COUNT)} | {("p", i): a == i for i in range(COUNT)}
    for operation, target, sources, guard, predicate in program:
        result, kinds, function = OPERATIONS[operation]
        value = function(*(state[k, s] for k, s in zip(kinds, sources, strict=False)))
        active = {"": True, "@": state["p", predicate], "@!": ~state["p", predicate]}[guard]
        state[result, target] = np.where(active, value, state[result, target]).astype(CLASSES[result][1])
    return state["r", 0], state["f", 0], state["g", 0]


@given(st.lists(instruction, min_size=1, max_size=25), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_random_programs(program, seed):
    rng = np.random.default_rng(seed)
    a = np.concatenate([np.arange(6, dtype="u4"), rng.integers(0, 2**32, LANES - 6, "u4")])
    b = np.concatenate(
        [rng.standard_normal(LANES - 8).astype("f4"), np.array([0, -0.0, np.inf, -np.inf, 1e-40, 3e38, 1, -1], "f4")]
    )
    x, y, z = np.zeros(LANES, "u4"), np.zeros(LANES, "f4"), np.zeros(LANES)
    text = kernel_text(assembled(program), ["u32", "f32"], ["u32", "f32", "f64"])
    emulator.RawModule(code=text).get_function("k")((1,), (LANES,), (a, b, x, y, z))
    with np.errstate(all="ignore"):
        want = evaluated(program, a, b)
    for got, expected in zip((x, y, z), want, strict=True):
        np.testing.assert_array_equal(got, expected)


# -- the parser ----------------------------------------
def test_literals():
    values = {"42": 42, "0x1F": 31, "0b101": 5, "017": 15, "7U": 7, "0": 0, "1.5": 1.5, "2e3": 2000.0}
    values |= {"0f3F800000": 1.0, "0dC000000000000000": -2.0}
    assert {token: literal(token).value for token in values} == values
    assert literal("0f3F800000").negated().raw == bytes.fromhex("000080bf")


TEXT = """// a comment with { braces } and ; marks
.version 8.0
.target sm_80, debug /* over
two lines */
.address_size 64
.global .align 4 .b8 text[4] = {65, 0x42, 'C' };
.visible .entry k(.param .u64 .ptr .global .align 16 p0, .param .align 8 .b8 p1[24]) .maxntid 128, 1, 1 .minnctapersm 2
{
  .reg.b32 %r<3>; .reg .pred %p, %q;
  .loc 1 10 3
  LOOP:
  { .reg .b32 %r0; mov.u32 %r0, 5; LOOP: @!%p bra LOOP; }
  ld.global.nc.L1::no_allocate.v2.u32 {%r0, _}, [%r1+-8];
  st.shared.f32 [buffer+12], 0f3F800000; shfl.sync.bfly.b32 %r0|%p, %r1, 1, 31, -1;
  .loc 2 77 1, function_name $L__info + 4, inlined_at 1 11 5
  @%q bra LOOP;
  ret;
}
.file 1 "a.cu"
.file 2 "b.h", 1234, 99
"""


def test_what_people_and_compilers_write():
    module = parse(TEXT.replace("'C'", "67"))
    function = module.functions["k"]
    assert [(p.name, p.size, p.align) for p in function.params] == [("p0", 8, 8), ("p1", 24, 8)], "16 is of what p0 points to"
    assert module.files == {1: "a.cu", 2: "b.h"} and module.target == "sm_80"
    assert [v.value for v in module.variables["text"].initial] == [65, 66, 67] and module.variables["text"].size == 4
    labels = [item.name for item in function.body if isinstance(item, Label)]
    assert labels[0] == "LOOP" and labels[1] != "LOOP"  # the inner label is another one
    code = [item for item in function.body if isinstance(item, Instruction)]
    assert code[0].operands[0] != Register("%r0", "b32")  # so is the inner register
    assert code[1].guard.name == "%p" and code[1].guard_negated and code[1].operands[0].name == labels[1]
    assert code[2].modifiers == ("global", "nc", "L1::no_allocate", "v2", "u32")
    assert code[2].operands[0].items == (Register("%r0", "b32"), None)
    assert code[2].operands[1] == Address(Register("%r1", "b32"), -8)
    assert code[3].operands[0] == Address(Symbol("buffer"), 12) and code[3].operands[1].raw == bytes.fromhex("0000803f")
    assert code[5].operands[0].name == "LOOP" and code[5].source == (1, 11)  # counted for the caller
    assert [i.ptx_line for i in code] == [12, 12, 13, 14, 14, 16, 17] and code[2].source == (1, 10)

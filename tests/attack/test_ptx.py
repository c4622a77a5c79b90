"""A fuzzer of PTX text: real PTX with a few tokens deleted, doubled, exchanged, or made huge or of another type.

Each mutant is parsed, translated and run on the emulator. Either all of that goes through (what a changed program computes is
nobody's promise), or an EmulatorError says in one line what is wrong, and one about the text names a line of it. A mutant may be a
loop without an end: it is stopped after a moment and counts as run.
"""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import ptx_seeds
import pytest
from ptx_snippets import kernel_text
from tinygan_kernels import emulator

MOMENT = 1.0  # seconds that a mutant may run
OPERAND = re.compile(r"\{[^{};]*\}|\[[^\[\];]*\]|[^,;{}\[\]\s]+(?=\s*[,;])")
TOKEN = re.compile(r"[\w.%$]+|[^\s\w]")
HUGE = (
    "0", "1", "-1", "31", "65536", "4294967295", "18446744073709551616", "1000000000000000000000000", "0x7fffffffffffffff",
    "0f7F800000", "1.5", "0d7FF0000000000000",
)  # fmt: skip
WORDS = (
    ".pred", ".f32", ".f64", ".b8", ".u64", ".s16", ".f16x2", ".v4", ".reg", ".shared", ".global", ".param", ".local", "%r1", "%p1",
    "%tid.x", "{", "}", "(", ")", "[", "]", ";", ",", "@", "!", "<", ">", "|", "+", "-", ":", "bra", "ret", "mov.u32", "_",
    "nothing",
    ".entry", ".func", "call", "ld.global.f32", "bar.sync", ".align", '"', "//", "/*", "$L__BB0_1", ".version", "=",
    "vote.sync.all.pred", ".shared::cluster", ".shared::cta", ".sync", ".aligned", ".row", ".col", ".m16n16k16", ".m8n8", ".x4",
    ".bf16", ".mbarrier::complete_tx::bytes", ".release", ".cluster", "%cluster_ctarank", "_,", "{%r1, %r2}", ".callprototype",
    ".branchtargets", "malloc",
)  # fmt: skip
SNIPPET = """
.shared .align 4 .b8 room[64];
.reg .f32 %f<3>; .reg .b64 %q<2>; .reg .b16 %h<2>;
setp.lt.u32 %p1, %i, 16;
@%p1 add.u32 %x, %a, 7;
@!%p1 mad.lo.u32 %x, %a, 3, 0x10;
mov.u64 %q0, room;
st.shared.u32 [room+4], %x;
{ .reg .b32 %t; mov.b32 %t, 5; xor.b32 %x, %x, %t; }
cvt.rn.f32.u32 %f0, %x;
fma.rn.f32 %f1, %f0, 0f3F800000, %f0;
bra DONE;
DONE: shfl.sync.bfly.b32 %x|%p2, %x, 1, 31, 0xffffffff;
"""


@lru_cache
def texts() -> tuple[str, ...]:
    """Return real PTX: the seeds, and last a short text written by hand."""
    short = kernel_text(SNIPPET, ["u32", "u32"], ["u32"], ".global .align 4 .u32 table[4] = {1, 2, 3, 4};")
    return *ptx_seeds.texts().values(), short


def mutant(rng: np.random.Generator, text: str) -> str:
    """Return a text with one to three tokens changed, or with an operand that is missing, doubled or another one's."""
    if rng.integers(4) == 0:
        found = list(OPERAND.finditer(text))
        at, other = (found[rng.integers(len(found))] for _ in range(2))
        start = max(text.rfind(c, 0, at.start()) for c in ",;\n")  # of the comma before the operand, if there is one
        whole = text[start if text[start] == "," else at.start() : at.end()]
        new = ("", f"{whole}, {at.group()}", whole.replace(at.group(), other.group()))[rng.integers(3)]
        return text[: at.end() - len(whole)] + new + text[at.end() :]
    for _ in range(rng.integers(1, 4)):
        found = list(TOKEN.finditer(text))
        at, other = (found[rng.integers(len(found))] for _ in range(2))
        old, way = at.group(), rng.integers(8)
        if way == 7:
            return text[: at.start()]
        huge, word = str(rng.choice(HUGE)), str(rng.choice(WORDS))
        new = ("", f"{old} {old}", other.group(), huge, word, old[: len(old) // 2], old + word)[way]
        text = f"{text[: at.start()]}{new}{text[at.end() :]}"
    return text


@contextmanager
def _at_most(seconds: float):
    """Stop what runs inside after some seconds, and swallow the stop; where there is no such timer, nothing is stopped."""

    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Stop:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_text(text: str) -> None:
    """Parse, translate and run a text. Raises AssertionError for any error but an EmulatorError of one line."""
    parsing = True
    try:
        with _at_most(20 * MOMENT), emulator.sanitize():
            module = emulator.RawModule(code=text)
            kernel = module.get_function("k")
            parsing = False
            given = [np.ones(64, "u4") if v.size == 8 else np.int32(64) for v in kernel.translated.entry.params]
            with _at_most(MOMENT):
                kernel((1,), (64,), tuple(given))
    except emulator.EmulatorError as error:
        if str(error).startswith("the CUDA C++ does not compile"):  # what does not begin as PTX does is taken for CUDA C++
            return
        assert "\n" not in str(error) or not parsing, f"an error of several lines: {error}"
        named = any(words in str(error) for words in ("line", "no kernel named", "the text", "with the address of"))
        assert named or not parsing, f"an error about the text that names no line: {error}"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error


def attack(rng: np.random.Generator, count: int) -> int:
    """Try `count` mutants. Returns how many were tried. Raises AssertionError, with the changed lines, at the first failure."""
    for _ in range(count):
        original = texts()[rng.integers(len(texts()))]
        text = mutant(rng, original)
        try:
            try_text(text)
        except AssertionError as error:
            lines = zip(original.splitlines(), text.splitlines(), strict=False)
            changed = next((f"{a.strip()!r} became {b.strip()!r}" for a, b in lines if a != b), "the end is missing")
            raise AssertionError(f"{changed}: {error}") from error
    return count


pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")


def test_mutants_run_or_are_refused():
    assert attack(np.random.default_rng(21), 120) == 120


@pytest.mark.parametrize("name", ["floats", "calls", "bulk", "matrices", "clusters"])
def test_what_is_not_mutated_runs_to_its_end(name):
    kernel = emulator.RawModule(code=ptx_seeds.texts()[name]).get_function("k")
    given = [np.ones(64, "u4") if v.size == 8 else np.int32(64) for v in kernel.translated.entry.params]
    with emulator.sanitize():
        kernel((1,), (64,), tuple(given))
    assert (given[1] != 1).any()


def test_the_short_text_runs():
    try_text(texts()[-1])


def test_a_parser_that_raises_another_error_is_caught(monkeypatch):
    from tinygan_kernels.emulator.syntax import parser

    def planted(_self):
        raise OSError("planted")

    monkeypatch.setattr(parser._Parser, "module_item", planted)
    with pytest.raises(AssertionError, match="OSError: planted"):
        try_text(texts()[-1] + "\n")


def test_an_error_without_a_line_is_caught(monkeypatch):
    from tinygan_kernels.emulator.syntax import parser

    def planted(_self):
        raise emulator.EmulatorError("something is wrong somewhere")

    monkeypatch.setattr(parser._Parser, "module_item", planted)
    with pytest.raises(AssertionError, match="names no line: something is wrong"):
        try_text(texts()[-1] + "\n\n")

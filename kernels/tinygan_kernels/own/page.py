"""A page in HTML of what a kernel does: its source with counters beside each line, pictures of the lines, and time travel.

The page is one file that needs nothing else: it works offline, in the dark and in the light, by keyboard and on a phone. All text
of a kernel's file is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels.emulator import Trace
from tinygan_kernels.emulator.stepping.session import Session, written
from tinygan_kernels.emulator.stepping.trace import Value

from .accesses import Instruction
from .explain import KernelExplanation, LineCounts, LineExplanation, advice, parted, remedies, summary
from .pictures import banks, branch, sectors

FOLDER = Path(__file__).with_name("page_files")
MOST_STEPS, MOST_BYTES = 2_000, 4 << 20
"""How much of a trace goes into the page: steps of one warp, and bytes of their text."""
_NOTHING = "<p>It touches no global or shared memory, and no warp parts.</p>"
FOLDED = 12  # lines in a row of which nothing is counted, from which on they are folded


def page_of(explanation: KernelExplanation, line: int | None = None, trace: Trace | None = None, no_trace: str = "") -> str:
    """Return the page. line: the one that is chosen at first, by default that with most to gain; no_trace: why there is no trace.

    Raises ContractError where nothing happens on the line.
    """
    lines = explanation.lines
    chosen = explanation.line(line).line if lines or line is not None else None
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    title, data = escape(explanation.title), _trace_data(trace) if trace else None
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
{style}</style></head>
<body data-line="{chosen or ''}">
<header><h1>{title}</h1>
<span class="soft">float32, {escape(explanation.sizes)}; run once by the emulator, on random numbers</span>
<button id="theme">dark or light</button>
<span class="soft">Keys: j and k for the next line with pictures and the one before; arrows for a step in time.</span></header>
<main><div><section id="source" aria-label="Source"><h2>Source</h2>
{"".join(_source(explanation))}</section></div>
<div class="aside"><section id="lines" aria-label="Pictures of a line"><h2>What lanes do</h2>
{"".join(_article(explanation.line(at)) for at in lines) or _NOTHING}</section>
<section id="time" aria-label="Time travel"><h2>Time travel</h2>
{_travel(trace, no_trace)}</section></div></main>
<script type="application/json" id="data">{_safe_json(data)}</script>
<script>
{script}</script></body></html>
"""


def _safe_json(value: Any) -> str:
    """Return JSON that may stand in a script element: `<` written as an escape, so that no text can end the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")  # all beyond ASCII is escaped by json


# ---- the source ------------------------------------------------------------------------------------------------------------------


def _source(of: KernelExplanation) -> Iterator[str]:
    """Yield the rows of the source, runs of lines without counters folded, and a row for code from other files."""
    yield _row("", "", ["warp instruc&shy;tions", "lanes active", "sectors a request", "bank conflicts"], kind=" head")
    most = max((c.instructions for c in of.counts.values()), default=0)
    interesting, counted = set(of.lines), sorted(of.counts)
    numbers = range(1, len(of.source) + 1) if of.source else counted
    near = {n + d for n in counted for d in range(-3, 4)}
    folded: list[int] = []
    for number in numbers:
        if number in near:
            yield from _folded(of, folded)
            folded = []
            yield _line(of, number, number in interesting, most)
        else:
            folded.append(number)
    yield from _folded(of, folded)
    if of.source and (elsewhere := of.counts.get(0)):
        yield _row("", '<span class="soft">code from other files</span>', _cells(elsewhere, most))


def _folded(of: KernelExplanation, numbers: list[int]) -> Iterator[str]:
    rows = "".join(_row(str(n), escape(of.source[n - 1]), []) for n in numbers)
    if len(numbers) < FOLDED:
        yield rows
    else:
        yield f"<details><summary>lines {numbers[0]} to {numbers[-1]}: nothing was executed there</summary>{rows}</details>"


def _line(of: KernelExplanation, number: int, pictured: bool, most: int) -> str:
    text = of.source[number - 1] if 0 < number <= len(of.source) else "(source not known)"
    shown = f'<a class="number" href="#line-{number}">{number}</a>' if pictured else str(number)
    scattered = any(i.space == "global" and i.excess for i in of.instructions if i.line == number)
    cells = _cells(of.counts[number], most, scattered) if number in of.counts else []
    return _row(shown, escape(text), cells, f' data-line="{number}"')


def _row(number: str, code: str, cells: list[str], attributes: str = "", kind: str = "") -> str:
    """Return a row: a number or a link, code that is escaped, and counters, either texts or whole elements."""
    shown = number if number.startswith("<a") else f'<span class="number">{number}</span>'
    counts = "".join(c if c.startswith("<") else f'<i class="count" style="font-style:normal">{c}</i>' for c in cells)
    return f'<div class="row{kind}"{attributes}>{shown}<span class="code">{code or " "}</span>{counts}</div>\n'


def _cells(counts: LineCounts, most: int, scattered: bool = False) -> list[str]:
    """Return the counters of a line: those that a kernel is slow by are marked. scattered: whether fewer sectors would do."""
    share = 100 * counts.instructions / most if most else 0
    sectors_each = counts.sectors_a_request
    return [
        _count(f"{counts.instructions:,}", share=share),
        _count(f"{counts.active:.0%}", counts.active < 0.995),
        _count("" if sectors_each is None else f"{sectors_each:.1f}", scattered),
        _count(f"{counts.conflicts:,}" if counts.wavefronts else "", counts.conflicts > 0),
    ]


def _count(text: str, bad: bool = False, share: float = 0) -> str:
    style = f' style="font-style:normal;--share:{share:.0f}%"' if share else ' style="font-style:normal"'
    return f'<i class="count{" bad" if bad else ""}"{style}>{text}</i>'


# ---- the pictures of a line ------------------------------------------------------------------------------------------------------


def _article(of: LineExplanation) -> str:
    """Return the pictures of a line: its instructions, the worst first, and the branches at which warps part."""
    head = f"<h3>Line {of.line}</h3>" + (f'<div class="code">{escape(of.text)}</div>' if of.text else "")
    parts = [_pictured(i, of.others) for i in of.instructions]
    keys = _keys(("hit", "jumps"), ("stays", "does not"))
    parts += [f"<p>{escape(_capital(parted(p)))}.</p>{branch(p)}{keys}" for p in of.partings]
    return f'<article class="line" id="line-{of.line}" data-line="{of.line}">{head}{"".join(parts)}</article>\n'


def _pictured(i: Instruction, others: tuple[Instruction, ...]) -> str:
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in advice(i, others))
    if i.space == "global":
        picture = sectors(i) + _keys(("clash", "more sectors than the bytes need") if i.worst > i.best else ("hit", "a sector"))
        return f"<p>{escape(_capital(summary(i)))}.</p>{picture}{said}"
    figures = [_figure(banks(i), "As it is")]
    figures += [_figure(banks(i, remedy.moved), remedy.title) for remedy in remedies(i)]
    keys = _keys(("hit", "a word"), ("clash", "a word that meets another one in its bank"))
    return f'<p>{escape(_capital(summary(i)))}.</p><div class="pictures">{"".join(figures)}</div>{keys}{said}'


def _figure(picture: str, caption: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{picture}</figure>"


def _keys(*pairs: tuple[str, str]) -> str:
    return '<p class="soft">' + "".join(f'<span class="key {kind}"></span>{escape(text)}' for kind, text in pairs) + "</p>"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---- time travel -----------------------------------------------------------------------------------------------------------------


def _travel(trace: Trace | None, why_not: str) -> str:
    """Return the controls and the empty places that the script fills."""
    if trace is None:
        return f"<p>{escape(why_not or 'No trace was recorded.')}</p>"
    where = f"Warp {trace.warp} of {trace.warps} in thread block {trace.thread_block} of {escape(trace.title)}."
    names = "" if trace.has_names else " The PTX does not tell the names of variables, so these are its registers."
    shared = ('<h3>Shared memory</h3><p class="soft">A row is 32 words, one for each bank.<span class="key written"></span>written'
              '<span class="key changed"></span>changed by the last step</p><canvas id="shared" role="img" '
              'aria-label="Words of shared memory, 32 a row"></canvas><p id="word" class="grid"></p>'
              if trace.shared_bytes else '<canvas id="shared" hidden></canvas>')  # fmt: skip
    return f"""<p class="soft">{where}{names}</p>
<div class="controls"><button id="first" aria-label="to the beginning">|&lt;</button>
<button id="back" aria-label="one step back">&lt;</button>
<input id="slider" type="range" min="0" value="0" aria-label="position in time">
<button id="next" aria-label="one step forward">&gt;</button>
<button id="last" aria-label="to the end">&gt;|</button><span id="position" class="soft" role="status"></span></div>
<p class="soft">Marked is the line that runs next; values are those before it.</p>
<div id="excerpt" class="excerpt"></div><div id="mask" class="mask" aria-hidden="true"></div><p id="lanes-on" class="soft"></p>
<ul id="touches" class="soft"></ul><table class="values"><tbody id="values"></tbody></table><p id="lanes-of" class="soft"></p>
<div id="lanes" class="lanes grid"></div>{shared}<noscript><p>Time travel needs JavaScript.</p></noscript>"""


def _trace_data(trace: Trace) -> dict[str, Any]:
    """Return the steps of the trace's warp as the script takes them, as many as fit the page."""
    session, steps, size = Session(trace), [], 0
    end = f"The warp has ended. {_capital(trace.cut)}".strip()
    before: dict[str, bytes] = {}
    words = np.zeros(0, "u4")
    for position in range(len(trace)):
        trace.move(position)
        step = {"line": trace.line, "ptx": trace.ptx, "mask": "".join("1" if on else "0" for on in trace.mask)}
        trace.move(position + 1)
        values = {value.name: value for value in session.values()}
        now = {name: value.values.tobytes() for name, value in values.items()}
        now_words = trace.shared_words()
        moved = np.flatnonzero(now_words.view("u4") != words) if words.size else np.flatnonzero(now_words.view("u4"))
        step |= {
            "changes": [_change(session, v) for name, v in values.items() if v.changed or before.get(name) != now[name]],
            "gone": [name for name in before if name not in now],
            "shared": [[int(w), written(now_words[w])] for w in moved],
            "touches": session.touched(),
        }
        before, words = now, now_words.view("u4").copy()
        size += len(json.dumps(step))
        if position >= MOST_STEPS or size > MOST_BYTES:
            limit = f"{MOST_STEPS:,} steps" if position >= MOST_STEPS else f"{MOST_BYTES >> 20} MiB"
            end = f"The page ends here, at its limit of {limit}; the warp has {len(trace):,} steps: see tinygan kernels trace."
            break
        steps.append(step)
    trace.move(0)
    return {"steps": steps, "source": trace.source, "end": end, "lanes": len(trace.threads()), "words": int(words.size),
            "arrays": [[name, first // 4] for name, first in trace.shared_arrays()]}  # fmt: skip


def _change(session: Session, value: Value) -> list[Any]:
    """Return [name, value in short, value in each lane, one text if all are the same] of a variable or register."""
    texts = session.texts(value)
    return [value.name, session.said(value).partition(" = ")[2], texts[:1] if len(set(texts)) == 1 else texts]

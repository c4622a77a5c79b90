"""The excerpts of docs/emulator.md: one small kernel, from CUDA C++ to the counters.

The PTX on the page is what NVRTC made of the source; everything after it is made of the PTX on the page, so that it does not change
with the version of the compiler that is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tinygan_kernels import emulator
from tinygan_kernels.emulator import counters
from tinygan_kernels.emulator.host.rawmodule import RawKernel
from tinygan_kernels.emulator.syntax.cfg import blocks_of
from tinygan_kernels.emulator.syntax.parser import parse
from tinygan_kernels.emulator.syntax.ptx import Instruction
from tinygan_kernels.emulator.translate.listing import way_on
from tinygan_kernels.emulator.translate.opcodes import NOT_EXECUTED, OPCODES, TYPED, collectives

from .markdown import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "emulator.md"
SOURCE = """\
extern "C" __global__ void mirror(const float* x, float* y, int n) {
    __shared__ float tile[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    tile[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    if (i < n) y[i] = tile[63 - t];
}
"""
GRID, BLOCK, N = 2, 64, 100
COMPILED = {"ptx"}  # the block that changes with the version of NVRTC
_made: list[str] = []


def source() -> str:
    """Return the kernel in CUDA C++."""
    return f"```cuda\n{SOURCE}```"


def compiled_ptx() -> str:
    """Compile SOURCE with the NVRTC that is installed. Returns its version as a comment, then the kernel in PTX."""
    text = emulator.RawModule(code=SOURCE, filename="mirror.cu").ptx
    version = re.search(r"release [\d.]+, V[\d.]+", text)[0]
    text = re.sub(r'"[^"]*/mirror\.cu"', '"mirror.cu"', text[text.index(".version") :])
    lines = [line.rstrip().replace("\t", " ").replace("  ", " ") for line in text.split("\n")]
    return "\n".join([f"// NVRTC, {version}", *(line for line in lines if line and not line.lstrip().startswith("//"))])


def ptx() -> str:
    """Return the PTX that the installed NVRTC makes of SOURCE, from which the blocks after this one are then made."""
    _made[:] = [compiled_ptx()]
    return f"```\n{_made[0]}\n```"


def quoted_ptx() -> str:
    """Return the PTX that stands on the page, or that this run has just made for it."""
    return _made[0] if _made else re.search(r"<!-- begin ptx -->\n```\n(.*?)\n```", PAGE.read_text(), re.DOTALL)[1]


def kernel(text: str | None = None) -> RawKernel:
    """Return the kernel of a PTX text (that of the page, unless another is given), with the CUDA source for its listing."""
    mirror = emulator.RawModule(code=text or quoted_ptx()).get_function("mirror")
    mirror.source = SOURCE
    return mirror


def launched(mirror: RawKernel, n: int = N) -> np.ndarray:
    """Run the kernel on x = 0, 1, ..., N - 1 and return y."""
    x, y = emulator.empty(N), emulator.empty(N)
    x[...] = np.arange(N)
    mirror((GRID,), (BLOCK,), (x, y, np.int32(n)))
    return y


def graph() -> str:
    """Return the table of the kernel's basic blocks, in the order in which the scheduler prefers them."""
    function = parse(quoted_ptx()).functions["mirror"]
    translated, rows = kernel().translated, []
    for number, block in enumerate(blocks_of(function, collectives())):
        inside = [*block.instructions, *([block.terminator] if block.terminator else [])]
        span = f"{inside[0].ptx_line}-{inside[-1].ptx_line}" if inside else "none"
        ends = f"`{_text(block.terminator)}`" if block.terminator else "none"
        rows.append([str(number), f"`{block.label}`" if block.label else "", span, ends, way_on(translated.basic_blocks[number])])
    return table(["block", "label", "PTX lines", "the jump, barrier or return that ends it", "lanes go"], rows)


def _text(ins: Instruction) -> str:
    """Return an instruction as it stands in the PTX of the page."""
    return " ".join(quoted_ptx().split("\n")[ins.ptx_line - 1].split())


def translation() -> str:
    """Return the Python that the kernel is translated to, beside its PTX."""
    return f"```python\n{emulator.translation(kernel()).rstrip()}\n```"


@contextmanager
def _recorded(runs: list[tuple[int, int]]) -> Iterator[None]:
    """Note (basic block, lanes) each time that a block is run in the launches inside the `with` block."""
    original = counters.LaunchCounter.block

    def note(self, number, lanes):
        runs.append((number, lanes.count))
        original(self, number, lanes)

    counters.LaunchCounter.block = note
    try:
        with emulator.count():
            yield
    finally:
        counters.LaunchCounter.block = original


def schedule() -> str:
    """Return which basic blocks ran in which order in one launch, and with how many lanes."""
    runs: list[tuple[int, int]] = []
    with _recorded(runs):
        launched(kernel())
    return table(["turn", "basic block", "lanes that run it"], [[str(i + 1), str(b), str(n)] for i, (b, n) in enumerate(runs)])


def race() -> str:
    """Return what the sanitizer finds once the barrier is gone, and once n is larger than the arrays."""
    without = re.sub(r"\n[^\n]*bar\.sync[^\n]*", "", quoted_ptx())
    found = []
    for text, n in ((without, N), (None, N + 4)):
        with emulator.sanitize() as findings:
            launched(kernel(text), n)
        found.append("\n\n".join(_printed(str(finding)) for finding in findings))
    return (f"Without `__syncthreads()`:\n```\n{found[0]}\n```\nWith the barrier, but with `n` = {N + 4} for arrays of {N}:\n"
            f"```\n{found[1]}\n```")


def _printed(text: str) -> str:
    """Return the text of a finding without global addresses, which differ from run to run."""
    return re.sub(r"global address 0x[0-9a-f]+", "global address 0x...", text)


def counted() -> str:
    """Return what the counters count in one launch: some metrics of the whole, and the instructions of each line."""
    with emulator.count() as c:
        launched(kernel())
    names = [counters.INSTRUCTIONS, counters.THREAD_INSTRUCTIONS, counters.DIVERGENT,
             "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum", "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
             f"{counters.SHARED_WAVEFRONTS}.sum", f"{counters.SHARED_CONFLICTS}.sum", counters.BYTES]
    whole = table(["metric", "of the launch"], [[f"`{name}`", f"{c[name]:,.0f}"] for name in names])
    lines = [[str(line), f"`{SOURCE.split(chr(10))[line - 1].strip()}`", f"{of[counters.INSTRUCTIONS]:,.0f}"]
             for line, of in c.lines("mirror").items() if of[counters.INSTRUCTIONS]]
    return whole + "\n\n" + table(["line", "source", "warp instructions"], lines)


def opcodes() -> str:
    """Return the table of the opcodes that the emulator executes, by the class in which they are counted."""
    groups: dict[str, list[str]] = {}
    for name, row in OPCODES.items():
        group = "its type (fadd, fp32, integer ...)" if row.counted_as in TYPED else row.counted_as
        groups.setdefault(group, []).append(f"`{name}`")
    return table(["counted as", f"{len(OPCODES)} opcodes"], [[name, " ".join(sorted(names))] for name, names in groups.items()])


def not_executed() -> str:
    """Return the table of the other instructions of PTX, by what they are about."""
    groups: dict[str, list[str]] = {}
    for name, reason in NOT_EXECUTED.items():
        groups.setdefault(reason, []).append(f"`{name}`")
    rows = [[" ".join(sorted(names)), reason] for reason, names in groups.items()]
    return table([f"{len(NOT_EXECUTED)} opcodes", "what it is"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "source": source,
    "ptx": ptx,
    "graph": graph,
    "translation": translation,
    "schedule": schedule,
    "race": race,
    "counted": counted,
    "opcodes": opcodes,
    "refused": not_executed,
}

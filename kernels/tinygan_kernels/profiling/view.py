"""A profile as text: tables side by side, one column a version. `render(reports)` prints, `text(reports)` gives a string."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .counts import Report
from .machine_code import Code

_LD, _ST = ("l1tex__t_{}_pipe_lsu_mem_global_op_" + op + ".sum" for op in ("ld", "st"))
_FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
_INSTRUCTIONS = "smsp__inst_executed.sum"
_CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
_METRICS = (
    "launches", "smsp__warps_launched.sum", _INSTRUCTIONS, _FFMA,
    _LD.format("requests"), _LD.format("sectors"), _ST.format("requests"), _ST.format("sectors"),
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", _CONFLICTS, "smsp__sass_branch_targets_threads_divergent.sum",
)  # fmt: skip


def render(reports: Sequence[Report], console: Console | None = None) -> None:
    """Print reports of one kernel on one shape, as `profile.report` gives them."""
    console = console or Console()
    first = reports[0]
    sizes = ", ".join(f"{name} {number}" for name, number in zip(first.sizes, first.shape, strict=True))
    console.print(f"[bold]{first.version.kernel}[/] on {first.backend}, float32, {sizes}")
    for report in reports:
        console.print(f"  version {report.version.number}: {escape(report.version.title)}; {_launches(report)}")
    console.print(counters(reports))
    for how in dict.fromkeys(report.counted.how for report in reports):
        console.print(f"Counters are {how}.", highlight=False)
    for report in reports:
        console.print(hot_lines(report))
    console.print(compiled(reports))
    missing = next((report.not_compiled for report in reports if report.not_compiled), "")
    if missing:
        console.print(f"Occupancy, bank conflicts in the machine code and cycles are not shown: {escape(missing)}", highlight=False)
    console.print(bounds(first))
    console.print("Sources: " + "; ".join(dict.fromkeys(b.gpu.source for b in first.bounds)) + ".", highlight=False)
    console.print("What cannot be known without a GPU:", *(f"  - {line}" for line in first.unknown), sep="\n", highlight=False)


def text(reports: Sequence[Report], width: int = 140) -> str:
    """What `render` prints, without colours."""
    stream = io.StringIO()
    render(reports, Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


def shown(table: Table, width: int = 140) -> str:
    """A table as text, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, no_color=True).print(table)
    return stream.getvalue()


def _launches(report: Report) -> str:
    return ", then ".join(f"{s.kernel} {s.blocks} x {s.threads}" for s in report.launches) + " (blocks x threads)"


def counters(reports: Sequence[Report]) -> Table:
    """Nsight Compute's counters, and what is usually derived from them."""
    table = Table(title="Counters (names of Nsight Compute)", title_justify="left")
    table.add_column("metric")
    for report in reports:
        table.add_column(f"version {report.version.number}", justify="right")
    for metric in _METRICS:
        table.add_row(metric, *(f"{report.counted.total(metric):,.0f}" for report in reports))
    table.add_section()
    for label, value in _DERIVED:
        table.add_row(label, *(value(report) for report in reports))
    return table


def _ratio(above: float, below: float, form: str) -> str:
    return form.format(above / below) if below else "-"


def _per_request(counter: str) -> Callable[[Report], str]:
    return lambda r: _ratio(r.counted.total(counter.format("sectors")), r.counted.total(counter.format("requests")), "{:.2f}")


def _moved(report: Report) -> float:
    return 32 * (report.counted.total(_LD.format("sectors")) + report.counted.total(_ST.format("sectors")))


_DERIVED: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("FFMA share of warp instructions", lambda r: _ratio(r.counted.total(_FFMA) / 32, r.counted.total(_INSTRUCTIONS), "{:.1%}")),
    ("sectors a load request (ideal: 4; float4: 16)", _per_request(_LD)),
    ("sectors a store request (ideal: 4; float4: 16)", _per_request(_ST)),
    ("bytes requested of L1", lambda r: f"{_moved(r):,.0f}"),
    ("bytes that have to move at least", lambda r: f"{r.bytes:,}"),
    ("operations (a multiply-add is 2)", lambda r: f"{r.flops:,.0f}"),
    ("operations a byte requested", lambda r: _ratio(r.flops, _moved(r), "{:.2f}")),
    ("operations a byte at best", lambda r: _ratio(r.flops, r.bytes, "{:.2f}")),
)


def hot_lines(report: Report) -> Table:
    """Where the warp instructions of a version are executed, kernel by kernel."""
    table = Table(title=f"Hot lines of version {report.version.number}", title_justify="left")
    for name in ("line", "instructions", "global sectors", "bank conflicts"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True, overflow="ellipsis", max_width=72)
    for kernel in dict.fromkeys(hot.kernel for hot in report.hot):
        rows = [hot for hot in report.hot if hot.kernel == kernel]
        table.add_row("", "", "", "", f"[bold]{escape(kernel)}[/] in {escape(rows[0].file)}")
        for hot in rows:
            numbers = f"{hot.share:.1%}", f"{hot.sectors:,.0f}", f"{hot.bank_conflicts:,.0f}"
            table.add_row(f"{hot.line}" if hot.line else "", *numbers, escape(hot.text))
        table.add_section()
    return table


def compiled(reports: Sequence[Report]) -> Table:
    """Registers and what follows from them, for each kernel of each version."""
    table = Table(title=f"Compiled for {reports[0].arch}", title_justify="left")
    table.add_column("kernel")
    for name in ("registers", "spilled bytes", "stack", "shared", "occupancy at most", "limit", "conflicts", "FFMA a cycle"):
        table.add_column(name, justify="right")
    for report in reports:
        for row in report.compiled:
            numbers = row.registers, row.spill_stores + row.spill_loads, row.stack, row.shared
            table.add_row(row.kernel, *map(str, numbers), *_code(row.code))
    return table


def _code(code: Code | None) -> tuple[str, str, str, str]:
    if code is None:
        return "-", "-", "-", "-"
    loop = code.inner_loop()
    conflicts = f"{code.bank_conflicts}-way" if code.bank_conflicts > 1 else "none"
    return f"{code.occupancy:.1%}", code.limiter, conflicts, f"{loop.multiply_adds_per_cycle:.2f}" if loop else "-"


def bounds(report: Report) -> Table:
    """What no kernel for this problem can beat, GPU by GPU."""
    table = Table(title="Roofline: what the data sheets allow", title_justify="left")
    for name in ("GPU", "FP32 TFLOP/s", "GB/s", "at most TFLOP/s", "at least us", "limited by"):
        table.add_column(name, justify="left" if name in ("GPU", "limited by") else "right")
    for row in report.bounds:
        gpu = row.gpu
        table.add_row(gpu.name, f"{gpu.tflops:g}", f"{gpu.bandwidth:g}", f"{row.tflops:.3g}", f"{row.microseconds:.3g}", row.limit)
    return table

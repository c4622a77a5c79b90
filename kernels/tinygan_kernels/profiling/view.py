"""Profiles as text: tables with a column for each version. `render(profiles)` prints them, `text(profiles)` returns a string."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .machine_code import MachineCode
from .report import KernelProfile

_LD, _ST = ("l1tex__t_{}_pipe_lsu_mem_global_op_" + op + ".sum" for op in ("ld", "st"))
_FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
_INSTRUCTIONS = "smsp__inst_executed.sum"
_CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
_METRICS = (
    "launches", "smsp__warps_launched.sum", _INSTRUCTIONS, _FFMA,
    _LD.format("requests"), _LD.format("sectors"), _ST.format("requests"), _ST.format("sectors"),
    "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", _CONFLICTS, "smsp__sass_branch_targets_threads_divergent.sum",
)  # fmt: skip


def render(profiles: Sequence[KernelProfile], console: Console | None = None) -> None:
    """Print profiles of one kernel on one shape, as `report.profile` gives them."""
    console = console or Console()
    first = profiles[0]
    sizes = ", ".join(f"{name} {number}" for name, number in zip(first.sizes, first.shape, strict=True))
    console.print(f"[bold]{first.kernel}[/] on {first.backend}, float32, {sizes}")
    for profile in profiles:
        console.print(f"  {escape(profile.label)}: {escape(profile.title)}; {_launches(profile)}", soft_wrap=True)
    console.print(counters(profiles))
    for how in dict.fromkeys(profile.counted.how for profile in profiles):
        console.print(f"Counters are {how}.", highlight=False)
    for profile in profiles:
        console.print(hot_lines(profile))
    console.print(compiled(profiles))
    missing = next((profile.not_compiled for profile in profiles if profile.not_compiled), "")
    if missing:
        console.print(f"Occupancy, bank conflicts in the machine code and cycles are not shown: {escape(missing)}", highlight=False)
    console.print(bounds(first))
    console.print("Sources: " + "; ".join(dict.fromkeys(b.gpu.source for b in first.bounds)) + ".", highlight=False)
    console.print("What cannot be known without a GPU:", *(f"  - {line}" for line in first.unknown), sep="\n", highlight=False)


def text(profiles: Sequence[KernelProfile], width: int = 140) -> str:
    """Return what `render` prints, without colours."""
    stream = io.StringIO()
    render(profiles, Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


def shown(table: Table, width: int = 140) -> str:
    """Return a table as text, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, no_color=True).print(table)
    return stream.getvalue()


def _launches(profile: KernelProfile) -> str:
    return ", then ".join(f"{s.kernel} {s.blocks} x {s.threads}" for s in profile.launches) + " (blocks x threads)"


def counters(profiles: Sequence[KernelProfile]) -> Table:
    """Return a table of Nsight Compute's counters, and of what is usually derived from them."""
    table = Table(title="Counters (names of Nsight Compute)", title_justify="left")
    table.add_column("metric")
    for profile in profiles:
        table.add_column(escape(profile.label), justify="right")
    for metric in _METRICS:
        table.add_row(metric, *(f"{profile.counted.total(metric):,.0f}" for profile in profiles))
    table.add_section()
    for label, value in _DERIVED:
        table.add_row(label, *(value(profile) for profile in profiles))
    return table


def _ratio(above: float, below: float, form: str) -> str:
    return form.format(above / below) if below else "-"


def _per_request(counter: str) -> Callable[[KernelProfile], str]:
    return lambda r: _ratio(r.counted.total(counter.format("sectors")), r.counted.total(counter.format("requests")), "{:.2f}")


def _moved(profile: KernelProfile) -> float:
    return 32 * (profile.counted.total(_LD.format("sectors")) + profile.counted.total(_ST.format("sectors")))


_DERIVED: tuple[tuple[str, Callable[[KernelProfile], str]], ...] = (
    ("FFMA share of warp instructions", lambda r: _ratio(r.counted.total(_FFMA) / 32, r.counted.total(_INSTRUCTIONS), "{:.1%}")),
    ("sectors a load request (ideal: 4; float4: 16)", _per_request(_LD)),
    ("sectors a store request (ideal: 4; float4: 16)", _per_request(_ST)),
    ("bytes requested of L1", lambda r: f"{_moved(r):,.0f}"),
    ("bytes that have to move at least", lambda r: f"{r.bytes:,}"),
    ("operations (a multiply-add is 2)", lambda r: f"{r.flops:,.0f}"),
    ("operations a byte requested", lambda r: _ratio(r.flops, _moved(r), "{:.2f}")),
    ("operations a byte at best", lambda r: _ratio(r.flops, r.bytes, "{:.2f}")),
)


def hot_lines(profile: KernelProfile) -> Table:
    """Return a table of the source lines that execute the most warp instructions of a version, kernel by kernel."""
    table = Table(title=f"Hot lines of {escape(profile.label)}", title_justify="left")
    for name in ("line", "instructions", "global sectors", "bank conflicts"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True, overflow="ellipsis", max_width=72)
    for kernel in dict.fromkeys(hot.kernel for hot in profile.hot):
        rows = [hot for hot in profile.hot if hot.kernel == kernel]
        table.add_row("", "", "", "", f"[bold]{escape(kernel)}[/] in {escape(rows[0].file)}")
        for hot in rows:
            numbers = f"{hot.share:.1%}", f"{hot.sectors:,.0f}", f"{hot.bank_conflicts:,.0f}"
            table.add_row(f"{hot.line}" if hot.line else "", *numbers, escape(hot.text))
        table.add_section()
    return table


def compiled(profiles: Sequence[KernelProfile]) -> Table:
    """Return a table of registers and what follows from them, for each CUDA kernel of each version."""
    table = Table(title=f"Compiled for {profiles[0].arch}", title_justify="left")
    table.add_column("kernel")
    for name in ("registers", "spilled bytes", "stack", "shared", "occupancy at most", "limit", "conflicts", "FFMA a cycle"):
        table.add_column(name, justify="right")
    for profile in profiles:
        for row in profile.compiled:
            numbers = row.registers, row.spill_stores + row.spill_loads, row.stack, row.shared
            table.add_row(row.kernel, *map(str, numbers), *_code(row.code))
    return table


def _code(code: MachineCode | None) -> tuple[str, str, str, str]:
    if code is None:
        return "-", "-", "-", "-"
    loop = code.inner_loop()
    conflicts = f"{code.bank_conflicts}-way" if code.bank_conflicts > 1 else "none"
    return f"{code.occupancy:.1%}", code.limiter, conflicts, f"{loop.multiply_adds_per_cycle:.2f}" if loop else "-"


def bounds(profile: KernelProfile) -> Table:
    """Return a table of the roofline's bounds, which no kernel for this call can beat, GPU by GPU."""
    table = Table(title="Roofline: what the data sheets allow", title_justify="left")
    for name in ("GPU", "FP32 TFLOP/s", "GB/s", "at most TFLOP/s", "at least us", "limited by"):
        table.add_column(name, justify="left" if name in ("GPU", "limited by") else "right")
    for row in profile.bounds:
        gpu = row.gpu
        table.add_row(gpu.name, f"{gpu.tflops:g}", f"{gpu.bandwidth:g}", f"{row.tflops:.3g}", f"{row.microseconds:.3g}", row.limit)
    return table

"""`tinygan train --profile`: where a step's time goes, as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from tinygan.engine.profiling import Profile

from .console import err, out, tell, unchecked

STEPS = 20  # timed, with the median taken: enough for a time slice that went to another program not to show


def print_profile(job: Any) -> None:
    """Time some more steps of a run, which are not saved, and print them."""
    with unchecked(job.backend):
        found = job.profile(STEPS)
    if found is None:
        tell(err, "no step was made, so there is none to profile; raise --steps")
        return
    out.print(_table(found))
    tell(out, f"a step takes {1e3 * found.seconds:.3f} ms (median of {found.steps}); GFLOP/s count the products of the definition, "
              "GB/s each array once")


def _table(found: Profile) -> Table:
    table = Table("kernel", box=None, header_style="bold")
    for heading in ("launches", "ms a step", "share", "GFLOP/s", "GB/s"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        rate = f"{row.gflops:.1f}" if row.flops else ""
        table.add_row(row.kernel, str(row.launches), *_time(row.seconds, found), rate, f"{row.gigabytes:.1f}")
    table.add_row("between launches", "", *_time(found.rest, found))
    return table


def _time(seconds: float, found: Profile) -> tuple[str, str]:
    return f"{1e3 * seconds:.3f}", f"{seconds / found.seconds:.1%}"

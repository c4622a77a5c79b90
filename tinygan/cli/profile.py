"""`tinygan train --profile`: where a step's time goes, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tinygan.engine.profiling import Profile

from .console import err, out, tell, unchecked

if TYPE_CHECKING:
    from tinygan.training.run import Run

STEPS = 20  # whose median is shown, so that a time slice which went to another program does not matter


def print_profile(run: Run) -> None:
    """Time STEPS more steps of a run, which are not saved, and print where their time went."""
    with unchecked(run.backend):
        found = run.profile(STEPS)
    if found is None:
        tell(err, "no step was made, so there is none to profile; raise --steps")
        return
    out.print(_table(found))
    tell(out, f"a step takes {1e3 * found.seconds:.3f} ms (median of {found.steps}); GFLOP/s count the products of the definition, "
              "GB/s each array once")


def _table(found: Profile) -> Table:
    """Return the table: a row for each kernel, and one for the time between launches."""
    table = Table("kernel", box=None, header_style="bold")
    for heading in ("launches", "ms a step", "share", "GFLOP/s", "GB/s"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        rate = f"{row.gflops:.1f}" if row.flops else ""
        table.add_row(row.kernel, str(row.launches), *_time(row.seconds, found), rate, f"{row.gigabytes:.1f}")
    table.add_row("between launches", "", *_time(found.rest, found))
    return table


def _time(seconds: float, found: Profile) -> tuple[str, str]:
    """Return the cells "ms a step" and "share"."""
    return f"{1e3 * seconds:.3f}", f"{seconds / found.seconds:.1%}"

"""`tinygan gradcheck`: every gradient against a numeric one, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table
from rich.text import Text
from tinygan_kernels import Backend

from .console import BackendName, Emulate, load_backend, out, tell

if TYPE_CHECKING:
    from tinygan.engine.gradcheck import GradcheckReport
    from tinygan.theory.gradient_cases import Case

EXAMPLES = "Examples:  tinygan gradcheck   |   tinygan gradcheck --only conv2d"


def gradcheck(
    only: Annotated[str, typer.Option("--only", help="Only the checks whose name contains this.", show_default=False)] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the points and directions that are tried.")] = 0,
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> int:
    """Verify every gradient against a numeric one, first and second order: all ops, and dV/dtheta of whole networks."""
    from tinygan.theory.gradient_cases import GAME_CASES, OP_CASES

    cases = [case for case in (*OP_CASES, *GAME_CASES) if only in case.name]
    if not cases:
        raise typer.BadParameter(f"no check has {only!r} in its name; names are those of ops, such as conv2d", param_hint="--only")
    groups = _checked(cases, load_backend(backend, emulate), seed)
    out.print(_table(groups))
    every = [report for group in groups.values() for report in group]
    wrong = [report for report in every if not report.passed]
    for report in wrong:
        tell(out, str(report))
    tell(out, f"{len(every) - len(wrong)} of {len(every)} checks passed")
    return 1 if wrong else 0


def _checked(cases: list[Case], backend: Backend, seed: int) -> dict[tuple[str, int], list[GradcheckReport]]:
    """Run the checks; return their reports by (the op or the game's case, the order of the derivative)."""
    from tinygan.theory.gradient_cases import GAME_CASES, run

    groups: dict[tuple[str, int], list[GradcheckReport]] = {}
    for case in cases:
        label = case.name if case in GAME_CASES else case.op
        for report in run(case, backend, np.random.default_rng(seed)):
            groups.setdefault((label, report.order), []).append(report)
    return groups


def _table(groups: dict[tuple[str, int], list[GradcheckReport]]) -> Table:
    table = Table("", "order", "checks", "worst error / allowed", box=None, header_style="bold")
    for (label, order), group in groups.items():
        mark = Text("ok ", "green") if all(report.passed for report in group) else Text("WRONG ", "bold red")
        table.add_row(mark + Text(label), str(order), str(len(group)), f"{max(report.worst.share for report in group):.1e}")
    return table

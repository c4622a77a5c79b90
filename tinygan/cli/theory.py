"""`tinygan theory`: what the papers state about the game, each claim checked by running it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .console import BackendName, Emulate, load_backend, out

if TYPE_CHECKING:
    from tinygan.theory.claim import Verdict

EXAMPLES = "Examples:  tinygan theory   |   tinygan theory --only dirac   |   tinygan theory --json > theory.json"


def theory(
    only: Annotated[str, typer.Option("--only", help="Only the claims whose name contains this.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Every number, as JSON.")] = False,
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> int:
    """Check what the papers state about this game, each claim by running it. Exit code 1 if one fails."""
    from tinygan.theory.all import claims, judge

    chosen = [claim for claim in claims() if only in claim.name]
    if not chosen:
        raise typer.BadParameter(f"no claim has {only!r} in its name; there are {', '.join(c.name for c in claims())}",
                                 param_hint="--only")
    verdicts = []
    for verdict in judge(chosen, load_backend(backend, emulate)):
        verdicts.append(verdict)
        if not as_json:
            _show_verdict(verdict)
    failed = sum(not v.passed for v in verdicts)
    if as_json:
        print(json.dumps([v.to_json() for v in verdicts], indent=1))
    else:
        style = "bold red" if failed else "bold"
        out.print(f"\n{len(verdicts) - failed} of {len(verdicts)} claims confirmed", style=style, highlight=False)
    return 1 if failed else 0


def _show_verdict(verdict: Verdict) -> None:
    """Print a verdict: its claim, source and tolerance, then a line for each number, those that fail marked with "!"."""
    claim = verdict.claim
    mark = "[green]confirmed[/]" if verdict.passed else "[bold red]FAILED[/]"
    out.print(f"\n{claim.number}. [bold]{claim.name}[/] {mark} ({verdict.seconds:.1f} s)", highlight=False)
    for line in (claim.statement, f"source: {claim.source}", f"tolerance: {claim.because}", verdict.error):
        if line:
            out.print(f"   {line}", highlight=False, markup=False, soft_wrap=True)
    for m in verdict.measured:
        allowed = f" within {m.tolerance:.1g}" if m.tolerance else ""
        sign = "  " if m.passed else "! "
        out.print(f"   {sign}{m.what}: {m.value:.7g} ({m.relation} {m.expected:.7g}{allowed})", highlight=False, markup=False,
                  soft_wrap=True)

"""`tinygan theory`, `presets` and `evaluate`: the commands, as functions that cli.py puts on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from .console import BackendName, Emulate, load_backend, out

THEORY_EXAMPLES = "Examples:  tinygan theory   |   tinygan theory --only dirac   |   tinygan theory --json > theory.json"
EVALUATE_EXAMPLES = "Examples:  tinygan evaluate runs/ring   |   tinygan evaluate runs/digits --parzen"


def theory(
    only: Annotated[str, typer.Option("--only", help="Only the claims whose name contains this.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Every number, as JSON.")] = False,
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> int:
    """Check what the papers state about this game, each claim by running it; exit code 1 if one fails."""
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


def _show_verdict(verdict: Any) -> None:
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


def presets() -> None:
    """List the named sets of options that `tinygan train --preset` knows."""
    from tinygan.training.presets import PRESETS

    table = Table("preset", "for", "what it is", box=None, header_style="bold")
    for name, preset in PRESETS.items():
        table.add_row(name, ", ".join(preset.data) or "any", preset.about)
    out.print(table)


def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    with_parzen: Annotated[bool, typer.Option("--parzen", help="Also the Parzen estimate of the 2014 paper's Table 1.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which samples are drawn.")] = 0,
    backend: BackendName = "cpu",
) -> None:
    """Measure a run: quality and variety of its samples against the data that it was trained on."""
    from tinygan.data import load as load_data
    from tinygan.measure.report import quality_report
    from tinygan.training.samples import load_generator

    trained = load_generator(run_folder, load_backend(backend))
    config = trained.config
    dataset = load_data(config.data, size=config.size, window=config.window)
    table = Table("", "", "what it means", box=None, header_style="bold")
    for row in quality_report(dataset, trained, np.random.default_rng(seed), with_parzen):
        table.add_row(*row)
    out.print(table)

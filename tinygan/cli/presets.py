"""`tinygan presets`: the named sets of options, as a table."""

from __future__ import annotations

from rich.table import Table

from .console import out


def presets() -> None:
    """List the named sets of options that `tinygan train --preset` knows."""
    from tinygan.training.presets import PRESETS

    table = Table("preset", "for", "what it is", box=None, header_style="bold")
    for name, preset in PRESETS.items():
        table.add_row(name, ", ".join(preset.data) or "any", preset.about)
    out.print(table)

"""The report of a derivation: as text, as JSON, as a picture."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygan.atomic_files import write_atomically

from .mistakes import Mistake
from .picture import as_png, drawn
from .verdict import RIGHT, UNDECIDED, WRONG, InputVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DerivationReport:
    """The result of check_derivation: a verdict for every input that has a gradient. `str` gives it as text.

    notes: what was noticed besides, such as an input that was changed in place. checks: of the derivatives along random
    directions, and of a JVP and second derivatives where these were asked for.
    """

    name: str
    inputs: list[InputVerdict]
    checks: list[InputVerdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    order: int = 1
    seconds: float = 0.0

    @property
    def all(self) -> list[InputVerdict]:
        return [*self.inputs, *self.checks]

    @property
    def verdict(self) -> str:
        """Return "right", "WRONG" or "undecided", for all inputs together."""
        verdicts = {v.verdict for v in self.all}
        return WRONG if WRONG in verdicts else UNDECIDED if UNDECIDED in verdicts or not verdicts else RIGHT

    @property
    def passed(self) -> bool:
        return self.verdict == RIGHT

    @property
    def mistakes(self) -> list[Mistake]:
        return [v.mistake for v in self.all if v.mistake is not None]

    def __str__(self) -> str:
        return text(self)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain lists, numbers and strings."""
        return as_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON, and write it to a file if a path is given. NaN and infinity become null."""
        written = json.dumps(self.as_dict(), indent=1)
        if path is not None:
            write_atomically(Path(path), f"{written}\n".encode())
        return written

    def picture(self, path: str | Path | None = None) -> Figure:
        """Draw the error of every element as heat maps, one row for each input; save it if a path is given."""
        return drawn(self.all, self.name, path)

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook."""
        return as_png(self.all, self.name)


def text(report: DerivationReport) -> str:
    """Return the report as text: one line if all is right, else a paragraph for every gradient that is not."""
    count = sum(int(np.isfinite(v.numeric).sum()) for v in report.inputs)
    head = f"{report.name}{', order 2' if report.order == 2 else ''}: {report.verdict}"
    right = [v.name for v in report.inputs if v.passed]
    if report.passed:
        head += f", {count} derivatives in {_listed(right)}"
        worst = max(report.all, key=lambda v: v.share)
        head += f"; the worst error is {worst.share:.1e} of what is allowed"
    lines = [head]
    for verdict in report.all:
        if not verdict.passed:
            lines += input_lines(verdict)
    if right and not report.passed:
        lines.append(f"  {_listed(right)}: right")
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines)


def input_lines(v: InputVerdict) -> list[str]:
    """Return the verdict on one input as lines."""
    if v.passed:
        return [f"  {v.name}: right"]
    lines = [f"  {v.name}: {v.verdict}{f', {v.why}' if v.why else ''}"]
    if v.where is not None and v.verdict == "WRONG":
        claimed, numeric = v.claimed[v.where], v.numeric[v.where]
        lines.append(
            f"    worst at {v.name}{_index(v.where)}: claimed {claimed:.6g}, numeric {numeric:.6g}{_times(claimed, numeric)}"
        )
    if v.mistake is not None:
        lines += mistake_lines(v.mistake)
    elif v.verdict == "WRONG" and v.looked:
        lines.append("    no known mistake fits")
    return lines + [f"    {line}" for line in v.witness]


def mistake_lines(mistake: Mistake) -> list[str]:
    lines = [f"    mistake ({mistake.confidence} confidence): {mistake.kind}", f"      {mistake.sentence}"]
    lines += [f"      the same numbers: {reading}" for reading in mistake.readings[:2]]
    return lines


def _index(where: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, where))}]" if where else ""


def _times(claimed: float, numeric: float) -> str:
    if not (math.isfinite(claimed) and math.isfinite(numeric)) or numeric == 0 or claimed == 0:
        return ""
    return f", {claimed / numeric:.4g} times that"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


# ---- JSON -----------------------------------------------------------------------------------------------------------------------


def as_dict(report: DerivationReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "order": report.order,
        "verdict": report.verdict.lower(),
        "seconds": round(report.seconds, 4),
        "inputs": [_input(v) for v in report.inputs],
        "checks": [_input(v) for v in report.checks],
        "notes": report.notes,
    }


def _input(v: InputVerdict) -> dict[str, Any]:
    mistake = None
    if v.mistake is not None:
        m = v.mistake
        mistake = {
            "kind": m.kind,
            "sentence": m.sentence,
            "confidence": m.confidence,
            "also": list(m.also),
            "readings": list(m.readings),
        }
    return {
        "name": v.name,
        "verdict": v.verdict.lower(),
        "why": v.why,
        "worst_error_over_allowed": _number(v.share),
        "worst_at": None if v.where is None else list(v.where),
        "shape": list(v.numeric.shape),
        "claimed": _numbers(v.claimed),
        "numeric": _numbers(v.numeric),
        "mistake": mistake,
        "witness": list(v.witness),
    }


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def _numbers(a: np.ndarray) -> Any:
    return [_numbers(part) for part in a] if a.ndim else _number(float(a))

"""Pictures in SVG of what the lanes of a warp do: banks, sectors, the sides of a branch. The page's style colours them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import NamedTuple

import numpy as np

from .accesses import Instruction, Parting

CELL, LEFT, TOP = 10, 40, 18
Moved = Callable[[np.ndarray], np.ndarray]


class Cell(NamedTuple):
    """A mark in a picture. kind: the CSS class that colours it; told: what it is, in words."""

    row: int
    column: int
    kind: str
    told: str


def banks(i: Instruction, moved: Moved | None = None) -> str:
    """Return the 32 lanes of the worst request and the banks that they meet. moved: where words would lie in another layout.

    A lane that has to wait, as another one meets its bank at a different word in the same phase, is marked as a clash.
    """
    cells = list(_bank_cells(i, moved))
    clashes = sum(cell.kind == "clash" for cell in cells)
    label = f"32 lanes and 32 banks of shared memory: {clashes} of {len(cells)} words meet another one in their bank"
    return _svg(cells, 32, CELL, label, ("lane", "bank"))


def _bank_cells(i: Instruction, moved: Moved | None) -> Iterable[Cell]:
    """Yield a cell for each word of each lane. Accesses of 8 and 16 bytes a lane run in phases of 16 and 8 lanes."""
    words_each = max(1, i.size // 4)
    in_phase = 32 // words_each
    for phase in range(0, 32, in_phase):
        words = [(lane, word) for lane in range(phase, phase + in_phase) for word in _words(i, lane, moved)]
        in_bank: dict[int, set[int]] = {}
        for _, word in words:
            in_bank.setdefault(word % 32, set()).add(word)
        for lane, word in words:
            several = len(in_bank[word % 32])
            told = f"lane {lane}: word {word} in bank {word % 32}" + (f", one of {several} words there" if several > 1 else "")
            yield Cell(lane, word % 32, "clash" if several > 1 else "hit", told)


def _words(i: Instruction, lane: int, moved: Moved | None) -> list[int]:
    address = i.addresses[lane] if lane < len(i.addresses) else -1
    if address < 0:
        return []
    words = np.arange(address // 4, (address + i.size - 1) // 4 + 1)
    return [int(word) for word in (moved(words) if moved else words)]


def sectors(i: Instruction) -> str:
    """Return the 32 lanes of the worst request and the sectors of 32 bytes that they touch, in the order of their addresses."""
    touched = sorted({s for a in i.addresses if a >= 0 for s in range(a // 32, (a + i.size - 1) // 32 + 1)})
    place = {sector: n for n, sector in enumerate(touched)}
    kind = "clash" if i.worst > i.best else "hit"
    cells = [Cell(lane, place[s], kind, f"lane {lane}: sector {place[s]}, bytes {a - 32 * s} to {a - 32 * s + i.size - 1} of it")
             for lane, a in enumerate(i.addresses) if a >= 0
             for s in range(a // 32, (a + i.size - 1) // 32 + 1)]  # fmt: skip
    label = f"32 lanes and the {len(touched)} sectors of 32 bytes that they touch"
    return _svg(cells, len(touched), CELL if len(touched) <= 32 else 5, label, ("lane", "sector"))


def branch(parting: Parting) -> str:
    """Return the warps that came to a branch together, a row each, and for each lane whether it jumps."""
    kinds = {"1": ("jumps", "jumps"), "0": ("stays", "does not jump")}
    cells = [Cell(row, lane, kinds[side][0], f"warp {row}, lane {lane}: {kinds[side][1]}")
             for row, sides in enumerate(parting.beside) for lane, side in enumerate(sides) if side in kinds]  # fmt: skip
    apart = sum("1" in sides and "0" in sides for sides in parting.beside)
    label = f"{len(parting.beside)} warps at a branch, of which {apart} part"
    return _svg(cells, 32, CELL, label, ("warp", "lane"), len(parting.beside))


def _svg(cells: Iterable[Cell], columns: int, width: int, label: str, axes: tuple[str, str], rows: int = 32) -> str:
    """Return a picture of rows and columns with numbers along its sides."""
    wide, high = columns * width, rows * CELL
    parts = [f'<svg viewBox="0 0 {LEFT + max(wide, 60) + 2} {TOP + high + 2}" role="img" aria-label="{escape(label, quote=True)}" '
             f'style="max-width:{int(1.6 * (LEFT + max(wide, 60)))}px">']  # fmt: skip
    parts.append(f'<rect class="field" x="{LEFT}" y="{TOP}" width="{wide}" height="{high}"/>')
    step = max(1, 80 // width)
    parts += [f'<text x="{LEFT + n * width}" y="{TOP - 5}">{f"{axes[1]} " if not n else ""}{n}</text>'
              for n in range(0, columns, step)]  # fmt: skip
    parts += [f'<text x="{LEFT - 4}" y="{TOP + n * CELL + 8}" class="left">{f"{axes[0]} " if not n else ""}{n}</text>'
              for n in range(0, rows, 8)]  # fmt: skip
    parts += [f'<path class="rule" d="M{LEFT} {TOP + n * CELL}h{wide}"/>' for n in range(8, rows, 8)]
    parts += [f'<path class="rule" d="M{LEFT + n * width} {TOP}v{high}"/>' for n in range(step, columns, step)]
    parts += [f'<rect class="{c.kind}" x="{LEFT + c.column * width + 0.5}" y="{TOP + c.row * CELL + 0.5}" width="{width - 1}" '
              f'height="{CELL - 1}"><title>{escape(c.told)}</title></rect>' for c in cells]  # fmt: skip
    return "".join([*parts, "</svg>"])

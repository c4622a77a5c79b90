"""A finished run of `tinygan train --snapshots`, replayed: its pictures in the order of their steps, beside its curves."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygan.game.objectives import levels
from tinygan.measure.snapshots import FOLDER, pictures_of, step_of
from tinygan.training.checkpoint import CheckpointError, folder_of
from tinygan.training.config import read_config
from tinygan.training.folder import RunFolder

from .charts import MOST, Charts
from .messages import as_json
from .session import settings_of


class PastRun:
    """A run in its folder, or named by its checkpoint, to be looked at. Raises CheckpointError where it has no snapshots.

    Only the pictures that were there at the start are ever given out, by their number, and only files of the run's own folder: a
    link that lies among them, to wherever it leads, is no picture of the run.
    """

    def __init__(self, run: Path) -> None:
        self.config = read_config(run)
        self.folder = folder_of(run)
        self.pictures = [path for path in pictures_of(self.folder / FOLDER) if self._is_own(path)]
        if not self.pictures:
            raise CheckpointError(f"the run in {run} has no snapshots to replay; train with --snapshots 50, say")
        charts = Charts()
        readings = RunFolder(self.folder).readings(10**12)
        charts.apart = max(1, (readings[-1]["step"] if readings else 0) // MOST)
        for reading in readings:
            charts.add({**reading, "value": reading["v"]})
        self.points = charts.points

    def picture(self, number: int) -> bytes | None:
        """Return a picture as PNG; None if there is no such one, or no longer."""
        if not 0 <= number < len(self.pictures) or not self._is_own(self.pictures[number]):
            return None
        try:
            return self.pictures[number].read_bytes()
        except OSError:
            return None

    def _is_own(self, path: Path) -> bool:
        """Return whether a path is a regular file, no link to one, that lies in the run's folder."""
        try:
            return stat.S_ISREG(path.lstat().st_mode) and path.resolve().is_relative_to(self.folder.resolve())
        except OSError:
            return False

    def message(self, pictures: list[str] | None = None) -> dict[str, Any]:
        """Return what the page is told of the run. pictures: where each lies, if not at pictures/NUMBER."""
        found = levels(self.config.objective, self.config.smooth)
        return {
            "kind": "past", "name": self.config.data, "steps": [step_of(path) for path in self.pictures], "points": self.points,
            "settings": settings_of(self.config), "levels": {name: [level.value, level.label] for name, level in found.items()},
            "pictures": pictures or [f"pictures/{i}" for i in range(len(self.pictures))],
        }

    def recording(self) -> dict[str, Any]:
        """Return what an exported page holds: the pictures themselves, too."""
        shown = (self.picture(i) or b"" for i in range(len(self.pictures)))
        return {"past": self.message([f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in shown])}

    # ---- as a host, of whom only these are asked ------------------------------------------------------------------------------

    def join_in(self, listener: Any) -> None:
        """Tell a watcher all there is."""
        listener.offer("past", as_json(self.message()))

    def leave(self, listener: Any) -> None:
        """Do nothing: nobody is told anything later."""

    def ask(self, command: dict[str, Any], listener: Any = None) -> None:
        """Do nothing: the past does not change."""

    def within(self, question: Callable[[], Any], timeout: float = 60) -> Any:
        """Return what a function returns."""
        return question()

    def close(self) -> None:
        """Do nothing: there is no thread."""

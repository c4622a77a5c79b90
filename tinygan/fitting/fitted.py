"""What `fit` returns, and what it shows its callback: the networks, the numbers so far, samples."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinygan.game.moves import Game
from tinygan.nn.tree import Layer
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.folder import RunFolder, set_aside
from tinygan.training.folder_lock import FolderLock
from tinygan.training.run import Run
from tinygan.training.samples import Trained

COLUMNS = ("step", "v", "d_real", "d_fake", "d_loss", "g_loss")


@dataclass(frozen=True)
class Moment(Trained):
    """A run in the middle of its training, as its callback sees it.

    It has what a `Trained` has, `sample`, `latent`, `generate`, `G`; also D, and `reading`, the numbers of this step: step, v
    (the value of the game, nats), d_real and d_fake (means of D(x) and D(G(z))), d_loss, g_loss.
    """

    D: Layer
    reading: dict[str, float]


@dataclass(frozen=True)
class Fitted(Trained):
    """The result of `fit`.

    G            the average of G, or G itself with ema=0; `sample`, `latent` and `generate` draw from it
    D            the discriminator
    history      an array for each reading, (readings,) float64, by name: step, v, d_real, d_fake, d_loss, g_loss
    alarms       what the alarms said, a line by name; empty where none went off
    interrupted  True if Ctrl-C or the callback ended the run early; `step` says where
    eager        why steps ran without replay; "" where they were replayed
    game         the game with all that moves in it: `game.G` is the G in play
    """

    D: Layer
    history: dict[str, np.ndarray]
    alarms: dict[str, str]
    interrupted: bool
    eager: str
    game: Game = field(repr=False)
    run: Run = field(repr=False)
    checksums: dict[str, int] = field(repr=False)  # of the parameters as the run left them

    def save(self, folder: str | Path) -> Path:
        """Write the run to a folder, as `tinygan train` does; an earlier run there is moved aside. Returns the folder.

        `load_generator(folder)`, `tinygan sample` and `fit(..., out=folder, resume=True)` read it. Raises CheckpointError,
        also where the networks were trained on, by another `fit`, or changed by hand since.
        """
        now = checksums_of(self.run)
        if now != self.checksums:
            odd = next(name for name, checksum in self.checksums.items() if now.get(name) != checksum)
            raise CheckpointError(f"{odd} has changed since this run ended at step {self.step:,}, as by another fit of the same "
                                  f"networks, so what it trained is no longer there; save a run before its networks go on")
        folder = Path(folder)
        if self.run.out is None or folder.resolve() != self.run.out.resolve():
            with FolderLock(folder) as lock:
                set_aside(lock)
                written = RunFolder(folder, lock)
                written.claim(self.config, 0)
                for row in zip(*self.history.values(), strict=True):
                    written.add_reading(dict(zip(self.history, (int(row[0]), *map(float, row[1:])), strict=True)))
                written.save(self.run.saved_arrays(), self.run.state())
        else:
            self.run.save()
        return folder

    def __repr__(self) -> str:
        last = {name: round(float(values[-1]), 3) for name, values in self.history.items() if len(values) and name != "step"}
        return f"Fitted(step {self.step:,}, {json.dumps(last)}{', interrupted' if self.interrupted else ''})"


def checksums_of(run: Run) -> dict[str, int]:
    """Return a checksum for each parameter of a run's networks, by name."""
    game = run.game
    networks = {"G": game.G, "D": game.D} | ({"average": game.average} if game.average is not None else {})
    return {f"{player}.{name}": zlib.crc32(t.numpy().tobytes())
            for player, network in networks.items() for name, t in network.parameters().items()}


def history_of(readings: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Return readings as an array for each name."""
    return {name: np.array([reading[name] for reading in readings], np.float64) for name in COLUMNS}

"""The folder of a run: config.json, metrics.jsonl and the checkpoint, which agree with one another even after a crash.

Metrics are written before the checkpoint; lines that a checkpoint does not know of yet are cut off when the run goes on. Whoever
writes holds the folder's lock, so that two runs never mix their files.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.atomic_files import (
    append_lines,
    nearest_that_exists,
    remove_left_behind,
    require_writable_folder,
    write_atomically,
)
from tinygan.game.moves import Readings
from tinygan.version import __version__

from . import checkpoint
from .checkpoint import CHECKPOINT, CheckpointError, depth_of
from .config import Config
from .folder_lock import FolderLock

CONFIG = "config.json"
METRICS = "metrics.jsonl"
LONGEST = 10_000  # characters in a line of metrics
READING = {"step", *(f.name for f in fields(Readings))}  # the keys of a line of metrics


class RunFolder:
    """The files of one run. Readings that were added are kept in memory until the next `save`.

    lock: the folder's, which every method that writes holds while it does; who wants it for longer enters it.
    """

    def __init__(self, path: Path, lock: FolderLock | None = None) -> None:
        self.path = Path(path)
        self.lock = lock or FolderLock(self.path)
        self._unsaved: list[str] = []

    def claim(self, config: Config, step: int) -> None:
        """Write config.json and cut metrics back to `step`, the checkpoint's; the folder is made if it is not there.

        To be called before the first step, so that a folder that cannot be written to is found at once. What a killed process left
        half written is removed. Raises CheckpointError.
        """
        try:
            with self.lock:
                remove_left_behind(self.path)
                text = json.dumps({**asdict(config), "tinygan": __version__}, indent=1)
                write_atomically(self.path / CONFIG, text.encode())
                _cut_lines(self.path / METRICS, step)
        except OSError as error:
            raise CheckpointError(f"cannot write to {self.path}: {error.strerror}; choose another --out") from error

    def add_reading(self, reading: dict[str, Any]) -> None:
        """Add a line to the metrics."""
        self._unsaved.append(json.dumps(reading) + "\n")

    def save(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Write metrics, then the checkpoint: a crash in between leaves lines that `claim` takes off. Raises CheckpointError."""
        metrics = self.path / METRICS
        with self.lock:
            try:
                append_lines(metrics, self._unsaved)
            except OSError as error:
                raise CheckpointError(f"cannot write {metrics}: {error.strerror}; the checkpoint is untouched") from error
            self._unsaved.clear()
            checkpoint.save(self.path / CHECKPOINT, arrays, state)

    def cut_back(self, step: int) -> None:
        """Forget the readings after `step`, as the run goes back to it. Raises CheckpointError."""
        self._unsaved = [line for line in self._unsaved if _step_of(line) <= step]
        try:
            with self.lock:
                _cut_lines(self.path / METRICS, step)
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path / METRICS}: {error.strerror}; the checkpoint is untouched") from error

    def readings(self, step: int) -> list[dict[str, Any]]:
        """Return the readings up to `step` that were saved here."""
        path = self.path / METRICS
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return [json.loads(line) for line in takewhile(lambda line: _step_of(line) <= step, lines)]


class NoFolder:
    """The folder of a run that keeps nothing on disk: it takes everything and writes nothing."""

    lock = nullcontext()

    def claim(self, config: Config, step: int) -> None:
        pass

    def add_reading(self, reading: dict[str, Any]) -> None:
        pass

    def save(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        pass

    def cut_back(self, step: int) -> None:
        pass

    def readings(self, step: int) -> list[dict[str, Any]]:
        return []


def _cut_lines(path: Path, step: int) -> None:
    """Cut metrics back to the lines up to `step`, and to whole ones. A link is replaced by a file, even one that leads nowhere."""
    if not os.path.lexists(path):
        return
    if not path.is_file() and not path.is_symlink():
        raise OSError(errno.EINVAL, f"{path.name} is no file")  # a pipe, say, which one would read from for ever
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    kept = takewhile(lambda line: _step_of(line) <= step, lines)
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> float:
    """Return the step of a line of metrics; infinity for anything that is not a whole reading, of a step and finite numbers."""
    if len(line) > LONGEST or depth_of(line) > 1:
        return np.inf
    try:
        reading = json.loads(line)
        whole = set(reading) == READING and all(type(v) in (int, float) and np.isfinite(v) for v in reading.values())
        return float(reading["step"]) if whole and type(reading["step"]) is int else np.inf
    except (ValueError, TypeError, OverflowError):
        return np.inf


def require_writable(out: Path) -> None:
    """Raise CheckpointError where a run could not write to the folder `out`, or make it. Nothing is written.

    `RunFolder.claim` finds the same later; the command line asks before it loads a backend, which may compile for a while.
    """
    try:
        require_writable_folder(nearest_that_exists(Path(out)))
    except OSError as error:
        raise CheckpointError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def set_aside(lock: FolderLock) -> Path | None:
    """Move an earlier run out of the way of a new one, which holds the folder's lock. Return where to, or None if there was none.

    Raises CheckpointError.
    """
    out, here = lock.folder, Path.cwd()
    if not (out / CHECKPOINT).exists():
        return None
    if out.resolve() in (here, *here.parents):  # this process would move with it, and its relative paths too
        raise CheckpointError(f"cannot move the earlier run in {out} aside: it is where you are; choose another --out")
    number = 1
    while (kept := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    try:
        lock.move_folder(kept)
    except OSError as error:
        raise CheckpointError(f"cannot move the earlier run in {out} aside: {error.strerror}; choose another --out") from error
    if (out / CHECKPOINT).exists():  # a run that began and ended while the folder was moved
        raise CheckpointError(f"another run is at work in {out}; choose another --out")
    return kept

"""Which files of a folder are its data: what is hidden, and what tinygan itself wrote there, is left out with a note."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MADE_HERE = "tinygan"  # the "Software" that tinygan's own pictures and sounds name, so that no run learns from them
CHECKPOINT = "checkpoint.safetensors"  # the file that makes a folder one of a run
DRAWN_BY_RUNS = ("samples.png", "curves.png", "optimum.png")  # also by versions that did not name themselves in a picture


class Listing(NamedTuple):
    """The files in a folder and below, sorted by path, and notes on what was left out."""

    files: list[Path]
    notes: tuple[str, ...]


def list_folder(folder: Path, suffixes: Sequence[str]) -> Listing:
    """List a folder. Linked folders are followed, each real folder once; hidden ones and those of runs are left out.

    suffixes: those of the files that would be missed; among hidden files no other is worth a note. Raises OSError.
    """
    walk = _Walk(folder, tuple(suffixes))
    while walk.waiting:
        walk.enter(walk.waiting.pop())
    return Listing(sorted(walk.files), tuple(f"{named(names)}: {why}" for why, names in walk.left_out.items()))


class _Walk:
    """A walk through a folder: the files found, the folders still to enter, and by its reason what was left out."""

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        self.folder, self.suffixes = folder, suffixes
        self.files: list[Path] = []
        self.waiting = [folder]
        self.left_out: dict[str, list[str]] = {}
        self._seen = {_identity(folder)}

    def enter(self, here: Path) -> None:
        """Sort what is in a folder. Raises OSError."""
        with os.scandir(here) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        of_a_run = any(entry.name == CHECKPOINT for entry in entries)
        if of_a_run and here != self.folder:
            self._leave_out(here, "the folder of a tinygan run, left out")
            return
        for entry in entries:
            if entry.is_dir():
                self._meet_folder(entry)
            else:
                self._meet_file(entry, of_a_run)

    def _meet_folder(self, entry: os.DirEntry[str]) -> None:
        path = Path(entry.path)
        if entry.name.startswith("."):
            self._leave_out(path, "hidden, left out")
        elif (identity := _identity(path)) in self._seen:
            self._leave_out(path, "linked to a folder that is read already")
        else:
            self._seen.add(identity)
            self.waiting.append(path)

    def _meet_file(self, entry: os.DirEntry[str], of_a_run: bool) -> None:
        path = Path(entry.path)
        if entry.name.startswith("."):
            if path.suffix.lower() in self.suffixes:
                self._leave_out(path, "hidden, left out")
        elif of_a_run and entry.name in DRAWN_BY_RUNS:
            self._leave_out(path, "drawn by a tinygan run, left out")
        elif entry.is_file():
            self.files.append(path)
        elif entry.is_symlink():
            self._leave_out(path, "a link that leads nowhere")

    def _leave_out(self, path: Path, why: str) -> None:
        self.left_out.setdefault(why, []).append(str(path.relative_to(self.folder)))


def named(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino

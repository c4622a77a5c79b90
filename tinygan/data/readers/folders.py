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
    """List a folder. Links are followed, each real folder and file once; hidden ones and those of runs are left out.

    suffixes: those of the files that would be missed; among hidden files no other is worth a note. Raises OSError.
    """
    walk = _Walk(folder, tuple(suffixes))
    while walk.waiting or walk.linked:
        walk.enter(walk.waiting.pop() if walk.waiting else walk.linked.pop(0))
    walk.follow_linked_files()
    return Listing(sorted(walk.files), tuple(f"{named(names)}: {why}" for why, names in walk.left_out.items()))


class _Walk:
    """A walk through a folder: the files found, the folders still to enter, and by its reason what was left out.

    Folders that are linked are entered behind all others, so that what is found twice is left out where the link is.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        self.folder, self.suffixes = folder, suffixes
        self.files: list[Path] = []
        self.waiting = [folder]
        self.linked: list[Path] = []  # folders
        self._linked_files: list[Path] = []
        self.left_out: dict[str, list[str]] = {}
        self._seen = {_identity(folder)}

    def enter(self, here: Path) -> None:
        """Sort what is in a folder. Raises OSError."""
        if here != self.folder and here.is_symlink():
            if (identity := _identity(here)) in self._seen:
                self._leave_out(here, "linked to a folder that is read already")
                return
            self._seen.add(identity)
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
        elif entry.is_symlink():
            self.linked.append(path)
        elif (identity := _identity(path)) in self._seen:  # inside a linked folder
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
            (self._linked_files if entry.is_symlink() else self.files).append(path)
        elif entry.is_symlink():
            self._leave_out(path, "a link that leads nowhere")

    def follow_linked_files(self) -> None:
        """Add the files that links lead to, but for those that are read already."""
        seen = {_identity(path) for path in self.files} if self._linked_files else set()
        for path in sorted(self._linked_files):
            if (identity := _identity(path)) in seen:
                self._leave_out(path, "linked to a file that is read already")
            else:
                seen.add(identity)
                self.files.append(path)

    def _leave_out(self, path: Path, why: str) -> None:
        self.left_out.setdefault(why, []).append(str(path.relative_to(self.folder)))


def named(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino

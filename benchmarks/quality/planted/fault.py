"""What a planted fault is: a text of one file, and what stands in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make. old stands once in the file `path`, from the project's root; new takes its place."""

    about: str
    path: str
    old: str
    new: str

    def planted(self, root: Path) -> str:
        """Return the file's source with the fault. Raises ValueError where the file has the old text not once."""
        source = (root / self.path).read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"{self.path} has {source.count(self.old)} times what the fault {self.about!r} changes, it has to be "
                             f"once; write the fault anew in benchmarks/quality/planted/: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class Suite:
    """Faults, and the tests that have to notice them: files or folders from the project's root, the quickest first."""

    faults: tuple[Fault, ...]
    tests: tuple[str, ...]


def faults_in(path: str, *changes: tuple[str, str, str]) -> tuple[Fault, ...]:
    """Return the faults of one file, each as (what is wrong, the old text, the new text)."""
    return tuple(Fault(about, path, old, new) for about, old, new in changes)

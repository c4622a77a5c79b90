"""What the two CUDA backends share: the record of a launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Started:
    """A launch as a backend would start it: blocks in the grid, threads in a block, the file that its source lines number, and
    ptx(arch) -> (PTX text, name of the entry)."""

    kernel: str
    blocks: int
    threads: int
    source: Path
    ptx: Callable[[str], tuple[str, str]]

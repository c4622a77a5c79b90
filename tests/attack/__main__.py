"""Run the fuzzers of this folder for some minutes with fresh seeds, and print the seed of each failure.

    make fuzz MINUTES=10
    python -m tests.attack --minutes 10
    python -m tests.attack --door launch --seed 123 --count 20     (once more what has failed)

A fuzzer is a file test_DOOR.py with a function `attack(rng, count)`, which tries `count` cases drawn from a NumPy Generator,
returns how many it tried, and raises AssertionError for a case whose outcome is neither right nor a stated error. The doors take
turns until the time is over. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _pytest.outcomes import Skipped

FOLDER = Path(__file__).parent
Attack = Callable[[np.random.Generator, int], int]


@dataclass
class Door:
    """A fuzzer, with what came of it so far."""

    name: str
    attack: Attack
    tried: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def doors(folder: Path = FOLDER, only: str = "") -> list[Door]:
    """Load the fuzzers of a folder. What cannot run here, as a package is missing, is named in a line and left out."""
    sys.path.insert(0, str(FOLDER.parent / "support"))
    found = []
    for path in sorted(folder.glob("test_*.py")):
        name = path.stem.removeprefix("test_")
        if only in ("", name) and re.search(r"^def attack\(", path.read_text(), re.MULTILINE):
            try:
                found.append(Door(name, _loaded(path).attack))
            except Skipped as reason:
                print(f"{name}: not run, {reason}")
    return found


def _loaded(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def enter(door: Door, seed: int, count: int) -> None:
    """Let a fuzzer try `count` cases from a seed, and note and print what fails."""
    start = time.monotonic()
    try:
        door.tried += door.attack(np.random.default_rng(seed), count)
    except Exception as error:
        door.tried += 1
        door.failed.append(f"{type(error).__name__}: {error}")
        print(f"{door.name} FAILED, seed {seed}: {door.failed[-1]}", flush=True)
        print(f"  once more: python -m tests.attack --door {door.name} --seed {seed} --count {count}", flush=True)
    door.seconds += time.monotonic() - start


def run(found: Sequence[Door], minutes: float, count: int) -> int:
    """Enter the doors in turn, always the one that had least time so far, until the time is over. Returns the exit code."""
    end = time.monotonic() + 60 * minutes
    while found and time.monotonic() < end:
        enter(min(found, key=lambda door: door.seconds), secrets.randbits(32), count)
    return told(found)


def told(found: Sequence[Door]) -> int:
    """Print how many cases each fuzzer tried and how many rounds failed. Returns 1 if any did or none was found, else 0."""
    for door in found:
        print(f"{door.name}: {door.tried} tried, {len(door.failed)} failed, {door.seconds:.0f} s")
    if not found:
        print("no fuzzer was found")
    return int(not found or any(door.failed for door in found))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long, all fuzzers together (5)")
    parser.add_argument("--door", default="", help="run this fuzzer alone, such as launch for test_launch.py")
    parser.add_argument("--seed", type=int, help="run one round from this seed")
    parser.add_argument("--count", type=int, default=20, help="cases of a round (20)")
    given = parser.parse_args(arguments)
    found = doors(only=given.door)
    if given.seed is None:
        return run(found, given.minutes, given.count)
    for door in found:
        enter(door, given.seed, given.count)
    return told(found)


if __name__ == "__main__":
    sys.exit(main())

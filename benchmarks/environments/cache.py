"""The cache folder in which the commands of this room keep what they fetch: packages in folders of their own, environments.

The folder is `tinygan` in $XDG_CACHE_HOME, or in ~/.cache. What lies there can be deleted at any time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

STAMP = "requirements.txt"  # written last, so a folder without it was not finished


class FetchError(RuntimeError):
    """pip could not install something. The message is the end of what pip said."""


def folder() -> Path:
    """Return the cache folder, which need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygan"


def packages(name: str, requirements: tuple[str, ...], fetch: bool = True, again: bool = False) -> Path | None:
    """Return the folder with these packages, to which no Python belongs; None if it is not there and `fetch` is False.

    again: install them anew, as what is the newest changes. Raises FetchError.
    """
    place = folder() / "packages" / name
    if _has(place, requirements) and not again:
        return place
    if not fetch:
        return None
    _emptied(place)
    _pip(sys.executable, "--target", str(place), *requirements)
    return _finished(place, requirements)


def environment(name: str, requirements: tuple[str, ...], fetch: bool = True) -> Path | None:
    """Return the Python of a virtual environment with these packages; None if it is not there and `fetch` is False.

    Raises FetchError.
    """
    place = folder() / "environments" / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
    python = place / "bin" / "python"
    if _has(place, requirements):
        return python
    if not fetch:
        return None
    _emptied(place)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    _pip(str(python), *requirements)
    _finished(place, requirements)
    return python


def installed(place: Path) -> dict[str, str]:
    """Return {distribution: version} of what lies in a folder of packages, or in an environment."""
    found = (re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name) for path in sorted(place.rglob("*.dist-info")))
    return {match[1].replace("_", "-"): match[2] for match in found if match}


def _has(place: Path, requirements: tuple[str, ...]) -> bool:
    stamp = place / STAMP
    return stamp.exists() and stamp.read_text().split("\n") == list(requirements)


def _emptied(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)


def _finished(place: Path, requirements: tuple[str, ...]) -> Path:
    (place / STAMP).write_text("\n".join(requirements))
    return place


def _pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FetchError(f"{' '.join(arguments)} cannot be installed:\n{done.stderr.strip()[-2000:]}")

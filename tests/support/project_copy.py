"""Copies of parts of the project, for tests that apply a recipe of CONTRIBUTING.md to one, and Python processes in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Modules that Python has compiled come along: it takes them for as long as the source's time and size are those that they were
# compiled from, so an edited file is compiled anew, and the others need not be. Not those that another process is just writing, and
# not the tests that pytest has compiled, which would name their files by the places that they were copied from.
LEFT_OUT = shutil.ignore_patterns("*.pyc.*", "*-pytest-*.pyc")


def copy_of(target, folders, files=()):
    """Copy folders and files of the project, paths from its root, to the same places below `target`; return that."""
    for folder in folders:
        shutil.copytree(ROOT / folder, target / folder, ignore=LEFT_OUT)
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target / file)
    return target


def python(folder, *arguments, **variables):
    """Run Python in a copy, whose modules it imports, beside the kernels of the project itself."""
    places = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "kernels")])}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env={**os.environ, **places, **variables}, capture_output=True,
                          text=True, timeout=3600, check=False)


def pytest_in(folder, *arguments):
    """Run tests of a copy."""
    return python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)

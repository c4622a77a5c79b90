"""The command line: a module for each command, and main.py, which puts them together.

    from tinygan.cli import run
    code = run(["train", "ring", "--steps", "100"])
"""

from .main import run

__all__ = ["run"]

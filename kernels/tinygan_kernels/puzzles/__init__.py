"""Puzzles: the kernels of a GAN, to be written by oneself, from a map over a tile to a convolution. No GPU is needed.

    from tinygan_kernels.puzzles import PUZZLES, check
    print(PUZZLES["bias-act"].picture)
    print(check("bias-act", "bias_act.cu"))     # a file in CUDA C++ or Python (Numba CUDA), with a launch line in it

`tinygan puzzles` is the same on the command line, and docs/puzzles.md shows all pictures. In reading order: picture, footprint,
limits, puzzle; the puzzles themselves: maps, sums, layouts, products, images; then table, judge, child, answers.
"""

from importlib import import_module
from typing import Any

_WHERE = {"PUZZLES": "table", "Puzzle": "puzzle", "Verdict": "puzzle", "check": "judge"}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

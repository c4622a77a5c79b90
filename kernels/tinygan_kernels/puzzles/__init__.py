"""Puzzles: the kernels of a GAN, to be written by oneself, from a map over a tile to a convolution. No GPU is needed.

    from tinygan_kernels.puzzles import PUZZLES, check
    print(PUZZLES["bias-act"].picture)
    print(check("bias-act", "bias_act.cu"))     # a file in CUDA C++ or Python (Numba CUDA), with a launch line in it

`tinygan puzzles` is the same on the command line, and docs/puzzles.md shows all pictures. In reading order: picture, footprint,
limits, puzzle; the puzzles themselves: maps, updates, losses, sums, layouts, products, images; then table, judge, answers, child.
"""

from .judge import check
from .puzzle import Puzzle, Verdict
from .table import PUZZLES

__all__ = ["PUZZLES", "Puzzle", "Verdict", "check"]

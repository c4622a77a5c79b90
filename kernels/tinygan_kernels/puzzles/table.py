"""All puzzles by name, in the order in which one best solves them: each uses what those before it have taught."""

from __future__ import annotations

from .images import CONV
from .layouts import TRANSPOSE
from .losses import BCE_BACKWARD, BCE_FORWARD
from .maps import BIAS_ACT, LEAKY_GRAD
from .products import MATMUL_ASYNC, MATMUL_REGISTERS, MATMUL_TILED
from .puzzle import Puzzle
from .sums import BATCH_NORM, SUM
from .updates import ADAM

_ORDER = (
    BIAS_ACT, LEAKY_GRAD, ADAM, BCE_BACKWARD, SUM, BCE_FORWARD, TRANSPOSE, BATCH_NORM, MATMUL_TILED, MATMUL_REGISTERS, MATMUL_ASYNC,
    CONV,
)  # fmt: skip
# Every puzzle by its name, in the order in which one best solves them.
PUZZLES: dict[str, Puzzle] = {puzzle.name: puzzle for puzzle in _ORDER}

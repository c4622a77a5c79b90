"""The page of puzzles, docs/puzzles.md: their order, their pictures, and what a learner sees.

The solutions, which the last two need, are those of the tests: tests/support/puzzle_answers.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tinygan_kernels import load
from tinygan_kernels.puzzles import PUZZLES, check
from tinygan_kernels.puzzles.answers import backend_of, read_answers
from tinygan_kernels.source_files import executed

from benchmarks.docs.markdown import table
from tinygan.exercises.tiny_game import play

SOLUTIONS_FILE = Path(__file__).resolve().parents[2] / "tests" / "support" / "puzzle_answers.py"
NAIVE = """// launch: transpose<<<dim3((columns + 31) / 32, (rows + 31) / 32), dim3(32, 32)>>>(x, y, rows, columns)
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
    int row = blockIdx.y * 32 + threadIdx.y, column = blockIdx.x * 32 + threadIdx.x;
    if (row < rows && column < columns) y[column * rows + row] = x[row * columns + column];
}
"""


def drawings() -> dict[str, Callable[[], str]]:
    """Return what makes the picture of each puzzle, by the name of its file."""
    return {f"puzzle-{name}.svg": puzzle.picture.svg for name, puzzle in PUZZLES.items()}


def path() -> str:
    """Return the table of puzzles in their order."""
    rows = [[f"[{name}](#{name})", puzzle.title, "CUDA C++, Numba" if ".py" in puzzle.skeletons else "CUDA C++",
             f"`{puzzle.kernel.name}`"] for name, puzzle in PUZZLES.items()]  # fmt: skip
    return table(["puzzle", "what it is about", "in", "kernel"], rows)


def pictures() -> str:
    """Return a section for each puzzle: its task, its picture and its limits."""
    parts = []
    for name, puzzle in PUZZLES.items():
        limits = "\n".join(f"- {limit.rule}" for limit in puzzle.limits)
        gradients = f"It is compared with differences: it has to be {puzzle.derivative.what}. " if puzzle.derivative else ""
        parts.append(f"### {name}\n{puzzle.title[0].upper()}{puzzle.title[1:]}.\n\n```text\n{puzzle.task}\n```\n"
                     f"![{name}](figures/puzzle-{name}.svg)\n\n{gradients}Limits:\n{limits}")  # fmt: skip
    return "\n\n".join(parts)


def _solutions() -> dict[str, dict[str, str]]:
    return executed(SOLUTIONS_FILE, "puzzle_answers").SOLUTIONS


def seen() -> str:
    """Return the verdicts on four transposes, from the skeleton to a solution."""
    solution = _solutions()["transpose"][".cu"]
    stages = [
        ("The skeleton, which copies", PUZZLES["transpose"].skeletons[".cu"]),
        ("The obvious kernel, y[column * rows + row] = x[row * columns + column]", NAIVE),
        ("Through a tile in shared memory, float tile[32][32], without a barrier",
         solution.replace("[32][33]", "[32][32]").replace("    __syncthreads();\n", "")),
        ("With the barrier", solution.replace("[32][33]", "[32][32]")),
        ("And with a tile whose columns lie in different banks", solution),
    ]  # fmt: skip
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for title, text in stages:
            file = Path(folder) / "transpose.cu"
            file.write_text(text)
            verdict = f"$ tinygan puzzles check transpose transpose.cu\ntranspose: {check('transpose', file)}"
            parts.append(f"{title}:\n```text\n{verdict}\n```")
    return "\n\n".join(parts)


def trained() -> str:
    """Return what the solved set's training came to."""
    with tempfile.TemporaryDirectory() as folder:
        for name, answers in _solutions().items():
            (Path(folder) / f"{name}.cu").write_text(answers[".cu"])
        backend, record = backend_of(read_answers(folder), load("cpu"))
        yours, cpus = play(backend), play(load("cpu"))
    return f"```text\n$ tinygan puzzles train mine\n{record}\n{yours.beside(cpus)}\nsolved. A GAN was trained by your kernels.\n```"

"""`tinygan puzzles`: the kernels of a GAN, to be written by oneself and judged without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinygan.options import OptionError

from .console import err, out, tell

if TYPE_CHECKING:
    from tinygan_kernels.puzzles import Puzzle

EXAMPLES = (
    "Examples:  tinygan puzzles start bias-act   |   tinygan puzzles show bias-act   |   tinygan puzzles hint bias-act   |   "
    "tinygan puzzles check bias-act mine.cu   |   tinygan puzzles list"
)

CLOSE = 1e-3  # how far two games may end from each other, as a share of the largest parameter: float32 adds in different orders

app = typer.Typer(help="Puzzles: the kernels of a GAN, in CUDA C++ or Numba: start one, write it, have it judged without a GPU.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A puzzle, as `tinygan puzzles` lists them.", show_default=False)]
Seconds = Annotated[float, typer.Option("--seconds", min=1, max=3600, help="After how long a Python file is ended.")]
GIVEN = 120.0  # seconds that a Python file gets where no limit is given


@app.callback(invoke_without_command=True)
def puzzles(context: typer.Context) -> None:
    """List the puzzles, unless a command follows."""
    if context.invoked_subcommand is None:
        show_all()


@app.command(name="list")
def show_all() -> None:
    """List the puzzles."""
    from tinygan_kernels.puzzles import PUZZLES

    widest = max(map(len, PUZZLES))
    for name, puzzle in PUZZLES.items():
        tell(out, f"{name.ljust(widest)}  {puzzle.title}")
    tell(out, "\nbegin with: tinygan puzzles start NAME")


@app.command(epilog=EXAMPLES)
def show(name: Name) -> None:
    """Show the task of a puzzle: what is asked for, a picture of it, and the limits that an answer has to keep."""
    puzzle = _named(name)
    languages = "CUDA C++ or Numba CUDA" if ".py" in puzzle.skeletons else "CUDA C++ (Numba CUDA has no instruction for it)"
    limits = "\n".join(f"  {limit.rule}" for limit in puzzle.limits)
    tell(out, f"{name}: {puzzle.title}\n\n{puzzle.task}\n\n{puzzle.picture}\n\nlimits:\n{limits}\n\nin {languages}; "
              f"begin with: tinygan puzzles start {name}")  # fmt: skip


@app.command(epilog=EXAMPLES)
def start(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", show_default=False,
                                                help="Where to: .cu for CUDA C++, .py for Numba CUDA; default: NAME.cu.")] = None,
) -> None:
    """Write the file that a puzzle begins with: it compiles, and is wrong. A file that is there already is left alone."""
    puzzle = _named(name)
    path = file or Path(f"{name.replace('-', '_')}.cu")
    if path.suffix not in puzzle.skeletons:
        kinds = " or ".join({".cu": "CUDA C++ (.cu)", ".py": "Numba CUDA (.py)"}[suffix] for suffix in puzzle.skeletons)
        raise OptionError(f"{path}: {name} is written in {kinds}; name the file accordingly")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(puzzle.skeletons[path.suffix])
    except FileExistsError:
        raise OptionError(f"{path} is there already, and is left as it is; name another file") from None
    tell(out, f"{puzzle.title}\nthe task is in {path}; tinygan puzzles show {name} draws it; have it judged by: "
              f"tinygan puzzles check {name} {path}")  # fmt: skip


@app.command(epilog=EXAMPLES)
def hint(
    name: Name,
    number: Annotated[int, typer.Argument(metavar="[NUMBER]", help="Which hint; each says more than the one before.")] = 1,
) -> None:
    """Give one hint of a puzzle, the first unless a number says another."""
    hints = _named(name).hints
    if not 1 <= number <= len(hints):
        raise OptionError(f"{name} has hints 1 to {len(hints)}, not {number}")
    more = f"the next: tinygan puzzles hint {name} {number + 1}" if number < len(hints) else "that was the last one"
    tell(out, f"{number} of {len(hints)}: {hints[number - 1]}\n{more}")


@app.command(epilog=EXAMPLES)
def check(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE[:KERNEL]", show_default=False,
                                        help="The file with your kernel, .cu or .py. A Python file is executed.")],
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, max=3600, show_default=False,
                                                  help="After how long the judge is ended. A Python file: after 120.")] = None,
) -> int:
    """Judge a kernel: its numbers on hard shapes, the sanitizer, gradients where it is a derivative, and its cost in memory.

    Exit code 0: solved, 1: not yet, 2: a file that cannot be judged, or a kernel that does not end.
    """
    from tinygan_kernels.own.kernel_file import split_name
    from tinygan_kernels.puzzles import check as judge
    from tinygan_kernels.puzzles.child import check_apart

    apart = seconds is not None or split_name(file)[0].suffix == ".py"
    verdict = check_apart(name, file, seconds or GIVEN) if apart else judge(name, file)
    if verdict.printed:
        tell(err, verdict.printed)
    tell(out, f"{name}: {verdict}")
    return 0 if verdict.passed else 1


@app.command(epilog="Examples:  tinygan puzzles train mine")
def train(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False,
                                           help="The folder with your kernels, named as `start` names them. Python is executed.")],
    steps: Annotated[int, typer.Option("--steps", min=1, max=100, help="How many steps the game takes.")] = 3,
    seconds: Seconds = GIVEN,
) -> int:
    """Train a tiny GAN with your own kernels: all launches that you have a kernel for run it, in the emulator, and are judged.

    Kernels that are not there are the CPU's. The same game is then played on the CPU alone, and compared. Exit code 0: all twelve
    are yours and right, 1: not yet.
    """
    from tinygan_kernels import load
    from tinygan_kernels.puzzles import PUZZLES
    from tinygan_kernels.puzzles.answers import WrongAnswer, backend_of
    from tinygan_kernels.puzzles.child import read_answers_in_time

    from tinygan.exercises.tiny_game import play

    answers = read_answers_in_time(folder, seconds)
    backend, record = backend_of(answers, load("cpu"))
    try:
        yours = play(backend, steps)
    except WrongAnswer as wrong:
        tell(out, f"{record}\nnot yet. {wrong}" if record.launches else f"not yet. {wrong}")
        return 1
    cpus = play(load("cpu"), steps)
    tell(out, f"{record}\n{yours.beside(cpus)}")
    if not yours.apart(cpus) < CLOSE:
        tell(out, f"not yet. each launch is inside its bound, and the game ends more than {CLOSE:g} from the CPU's")
        return 1
    missing = [name for name in PUZZLES if name not in record.launches]
    if missing:
        tell(out, f"not yet. {len(PUZZLES) - len(missing)} of {len(PUZZLES)} kernels are yours; the CPU's took the place of "
                  f"{', '.join(missing)}")  # fmt: skip
        return 1
    tell(out, "solved. A GAN was trained by your kernels.")
    return 0


def _named(name: str) -> Puzzle:
    """Return a puzzle. Raises ContractError where there is none of that name."""
    from tinygan_kernels.puzzles.judge import puzzle_named

    return puzzle_named(name)

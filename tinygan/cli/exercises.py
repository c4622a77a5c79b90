"""`tinygan exercises`: a few lines of one's own, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygan.options import OptionError

from .console import err, out, tell

EXAMPLES = (
    "Examples:  tinygan exercises start tanh-vjp   |   tinygan exercises check tanh-vjp answer.py   |   "
    "tinygan exercises list"
)

app = typer.Typer(help="Exercises, from the VJP of tanh to R1's gradient: start one, write a few lines, have them judged.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="An exercise, as `tinygan exercises` lists them.", show_default=False)]


@app.callback(invoke_without_command=True)
def exercises(context: typer.Context) -> None:
    """List the exercises, unless a command follows."""
    if context.invoked_subcommand is None:
        show_all()


@app.command(name="list")
def show_all() -> None:
    """List the exercises."""
    from tinygan.exercises import EXERCISES

    widest = max(map(len, EXERCISES))
    for name, exercise in EXERCISES.items():
        tell(out, f"{name.ljust(widest)}  {exercise.title}")
    tell(out, "\nbegin with: tinygan exercises start NAME")


@app.command(epilog=EXAMPLES)
def start(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; default: NAME.py.", show_default=False)] = None,
) -> None:
    """Write the file that an exercise begins with. A file that is there already is left alone."""
    from tinygan.exercises import EXERCISES

    exercise = EXERCISES.get(name)
    if exercise is None:
        raise OptionError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    path = file or Path(f"{name.replace('-', '_')}.py")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(exercise.skeleton)
    except FileExistsError:
        raise OptionError(f"{path} is there already, and is left as it is; name another file") from None
    tell(out, f"{exercise.title}: the task is in {path}; have it judged by: tinygan exercises check {name} {path}")


@app.command(epilog=EXAMPLES)
def check(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file with your answer. It is executed.", show_default=False)],
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="After how long it is ended.")] = 120.0,
) -> int:
    """Judge an answer by values: against numeric gradients, on random draws. What it prints is shown first.

    Exit code 0: solved, 1: not yet.
    """
    from tinygan.exercises import check as judge

    try:
        verdict = judge(name, file, seconds)
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        raise OptionError(str(error)) from error
    if verdict.printed:
        tell(err, verdict.printed)
    tell(out, f"{name}: {verdict}")
    return 0 if verdict.passed else 1

"""The command line: `tinygan`, also `python -m tinygan`. Whatever is wrong with the input is said in one line, with exit code 2.

Each command is in the file of its name. Modules that take long to load are imported inside functions, so that --help is quick.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from tinygan_kernels import BackendError, ContractError

from tinygan.data import DataError
from tinygan.options import OptionError
from tinygan.training.checkpoint import CheckpointError
from tinygan.version import __version__

from . import (
    derive,
    evaluate,
    exercises,
    gradcheck,
    graph,
    kernels,
    own_kernels,
    play,
    presets,
    puzzles,
    sample,
    step,
    theory,
    train,
)
from .apart import carried_out, typed
from .console import every_name_printable
from .second_interrupt import second_interrupt_ends

READER_GONE = 141  # 128 + SIGPIPE, which other programs die of there
USER_ERRORS = (OptionError, DataError, CheckpointError, BackendError, ContractError, FloatingPointError)
# Typer carries a copy of Click inside in newer versions and imports it in older ones; this is the base of its errors in both.
UsageErrors = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="tinygan", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="A GAN from scratch, down to the kernels: train one, draw samples from it, verify its gradients, look at its kernels.",
    epilog="Examples:  tinygan train digits   |   tinygan sample runs/digits -n 100 -o digits.png   |   tinygan gradcheck",
)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=play.EXAMPLES)(play.play)
app.command(epilog=sample.EXAMPLES)(sample.sample)
app.command(epilog=gradcheck.EXAMPLES)(gradcheck.gradcheck)
app.command(epilog=theory.EXAMPLES)(theory.theory)
app.command()(presets.presets)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=graph.EXAMPLES)(graph.graph)
app.command(epilog=step.EXAMPLES)(step.step)
app.add_typer(derive.app, name="derive")
app.add_typer(exercises.app, name="exercises")
own_kernels.add_to(kernels.app)
app.add_typer(kernels.app, name="kernels")
app.add_typer(puzzles.app, name="puzzles")


def main() -> None:
    """Run the console script.

    Exit codes: 0 done, 1 a check failed, 2 wrong input or no place for the output, 130 interrupted by Ctrl-C, 141 the reader of
    the output has gone away.
    """
    warnings.showwarning = _warn
    with second_interrupt_ends():
        code = run(sys.argv[1:])
    sys.exit(_with_output(code))


def apart() -> None:
    """Carry out a command for another process of this program, as `apart.in_time` asks for it, and end this one."""
    warnings.showwarning = _warn
    carried_out(lambda words: _with_output(run(words)))


def _with_output(code: int) -> int:
    """Write what is still in the buffers, and return the exit code: `code`, or another one where that cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):  # Python flushes once more at its end, and would complain
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and code in (0, 1):
                code = READER_GONE if isinstance(error, BrokenPipeError) else _unwritten(error)
    return code


def _unwritten(error: OSError | ValueError) -> int:
    return _complain(f"the standard output cannot be written: {getattr(error, 'strerror', None) or error}")


def run(arguments: Sequence[str]) -> int:
    """Execute the command line `arguments` (without the program's name) and return the exit code. In any thread."""
    with every_name_printable():
        return _run([str(argument) for argument in arguments])


def _run(arguments: list[str]) -> int:
    if any("\0" in argument for argument in arguments):
        return _complain("an argument holds a NUL character, which no name has")
    token = typed.set(tuple(arguments))
    try:
        return app(args=kernels.spread(arguments), prog_name="tinygan", standalone_mode=False) or 0
    except UsageErrors as error:
        if not error.format_message():  # no arguments: the help has been printed instead
            return 2
        hint = f" (see: {error.ctx.command_path} --help)" if getattr(error, "ctx", None) else ""
        return _complain(f"{error.format_message()}{hint}")
    except USER_ERRORS as error:
        return _complain(getattr(error, "with_flags", str(error)))
    except MemoryError as error:
        return _complain(f"not enough memory ({error}); take a smaller --batch, --z or -n, or fewer data")
    except BrokenPipeError:
        return READER_GONE
    except SystemExit as error:  # what Typer makes of a pipe that the system calls broken, where Rich is too old to be asked
        if isinstance(error.__context__, BrokenPipeError):
            return READER_GONE
        raise
    except OSError as error:
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        return 130
    finally:
        typed.reset(token)


def _warn(message: Warning | str, *about: Any, **options: Any) -> None:
    """Print a warning as one line on stderr, without the place in the code that it comes from."""
    print(f"tinygan: {' '.join(str(message).split())}", file=sys.stderr)


def _complain(message: str) -> int:
    """Print the message as one line on stderr; return the exit code of wrong input."""
    with suppress(OSError, ValueError):
        print(f"tinygan: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tinygan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass

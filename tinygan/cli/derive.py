"""`tinygan derive`: derivations of one's own, judged."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import typer
from tinygan_kernels.source_files import executed

from tinygan.options import OptionError

from .console import out, tell

EXAMPLES = (
    "Examples:  tinygan derive check mine.py:layer_norm   |   tinygan derive check mine.py:loss --vjp d_loss   |   "
    "tinygan derive lines proof.txt"
)
SUFFIXES = ("_vjp", "_backward", "_grad", "_gradient")

app = typer.Typer(no_args_is_help=True, help="Judge a gradient that you derived, and name the mistake if it is wrong.")


@app.command(epilog=EXAMPLES)
def check(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE.py:NAME", help="A Python file, which is executed, and a function in it.", show_default=False),
    ],
    vjp: Annotated[
        str,
        typer.Option("--vjp", help="The claimed gradient's name; default: NAME_vjp, NAME_backward, NAME_grad.", show_default=False),
    ] = "",
    inputs: Annotated[
        str,
        typer.Option(
            "--inputs",
            help="The name of the inputs: a tuple of arrays, or a function of a Generator that "
            "returns one. Default: NAME_inputs, inputs.",
            show_default=False,
        ),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the cotangents and inputs that are drawn.")] = 0,
    symbolic: Annotated[
        bool,
        typer.Option("--symbolic", help="For a wrong gradient of small inputs: both formulas, by SymPy, of the extra derive."),
    ] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report there as JSON.", show_default=False)] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the errors there as heat maps, a PNG.", show_default=False)
    ] = None,
) -> int:
    """Judge the gradient of FILE.py's function NAME. Exit code 0: right, 1: wrong, 2: cannot be judged."""
    from tinygan.derive import check_derivation

    file, _, name = target.rpartition(":")
    if not file or not name:
        raise OptionError(f"{target!r} names no function; write FILE.py:NAME, such as mine.py:layer_norm")
    module = _loaded(Path(file))
    f = _named(module, name, file)
    claimed = _named(module, vjp, file) if vjp else _first(module, [name + suffix for suffix in SUFFIXES])
    given = _named(module, inputs, file) if inputs else _first(module, [f"{name}_inputs", "inputs"])
    if given is None:
        raise OptionError(
            f"{file} has no inputs for {name}; write def {name}_inputs(rng): return rng.normal(size=(3, 5)), or "
            f"{name}_inputs = (array,), or name them by --inputs"
        )
    rng = np.random.default_rng(seed)
    try:
        arrays = given(rng) if callable(given) else given
        arrays = tuple(arrays) if isinstance(arrays, (tuple, list)) else (arrays,)
        make = given if callable(given) else None
        report = check_derivation(f, claimed, *arrays, rng=rng, name=name, make=make, symbolic=symbolic)
    except (TypeError, ValueError, ModuleNotFoundError) as error:
        raise OptionError(str(error)) from error
    if json is not None:
        report.to_json(json)
    if picture is not None:
        report.picture(picture)
    for line in str(report).splitlines():
        tell(out, line)
    return {"right": 0, "WRONG": 1}.get(report.verdict, 2)


@app.command(epilog=EXAMPLES)
def lines(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.txt", help="A derivation, one expression a line; each equals the one above.", show_default=False
        ),
    ],
) -> int:
    """Check a derivation line by line. Exit code 0: all lines are equal, 1: the first that is not is shown, 2: cannot be read."""
    from tinygan.derive import check_lines, read_lines

    try:
        written = read_lines(file.read_text(encoding="utf-8"))
        found = check_lines(written)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{file}: {error}") from error
    for line in (str(found) if found else f"{file}: {len(written)} expressions are equal").splitlines():
        tell(out, line)
    return 1 if found else 0


def _loaded(path: Path) -> ModuleType:
    """Return a Python file as a module. Raises OptionError where there is none, or it fails."""
    if not path.is_file():
        raise OptionError(f"there is no file {path}")
    if path.suffix != ".py":
        raise OptionError(f"{path} is no Python file; its name has to end in .py")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        return executed(path, f"derived_{path.stem}", listed=True)
    except Exception as error:  # whatever the user's file does
        raise OptionError(f"{path} cannot be executed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))


def _named(module: ModuleType, name: str, file: str) -> Any:
    if not hasattr(module, name):
        functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise OptionError(f"{file} has no {name!r}; it has {', '.join(functions[:12]) or 'no functions'}")
    return getattr(module, name)


def _first(module: ModuleType, names: list[str]) -> Any:
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)

"""Execute the notebooks of docs/notebooks and store what they show: `python -m benchmarks.docs.notebooks [--check] [NAME ...]`

NAME is one of docs/notebooks, or the path of another notebook. Each is run from its first cell to its last in a kernel of its own.
Stored are the outputs, without what differs from run to run: ids, times of execution, places of files. --check writes nothing: a
cell that raises, or that shows something else than what is stored, is an error. Of a cell with the tag "varies", such as one that
measures times, only the kinds of the outputs are compared, and of pictures only that they are there. Needs the extra [notebooks] or
[test].
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
SECONDS = 120  # for a cell: the first run on a machine compiles the CPU's kernels
VARIES = "varies"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"},
}
PICTURES = ("image/png", "image/svg+xml")


class NotebookError(Exception):
    """A cell of a notebook raises. The message names the notebook, the cell and the error."""


def names() -> list[str]:
    """Return the names of all notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    """Return a notebook as it is stored."""
    return nbformat.read(path, as_version=4)


def write(notebook: Any, path: Path) -> None:
    """Store a notebook."""
    path.write_text(f"{nbformat.writes(notebook).rstrip()}\n", encoding="utf-8")


def executed(notebook: Any, path: Path) -> Any:
    """Return the notebook as a fresh kernel executes it in the folder of `path`, tidied. Raises NotebookError."""
    made = copy.deepcopy(notebook)
    client = NotebookClient(made, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
                            extra_arguments=["--log-level=ERROR"])
    try:
        client.execute()
    except CellExecutionError as error:
        at = next(i for i, cell in enumerate(made.cells, 1) for o in cell.get("outputs", ()) if o.output_type == "error")
        raise NotebookError(f"{path.stem}, cell {at}: {error.ename}: {error.evalue}\n{made.cells[at - 1].source}") from None
    return tidied(made)


def tidied(notebook: Any) -> Any:
    """Return a notebook without what differs from run to run."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            for kind, content in output.get("data", {}).items():
                output.data[kind] = _placeless(content) if isinstance(content, str) else content
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs in which what was printed in several pieces, one after the other, is one piece."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _placeless(text: str) -> str:
    """Return a text in which the kernel's temporary file of a cell is called "this notebook"."""
    return re.sub(r"[\w/\\:.~-]*ipykernel_\d+[/\\]\d+\.py", "this notebook", text)


def differences(stored: Any, made: Any) -> list[str]:
    """Return a sentence for every cell that shows something else than what is stored."""
    found = []
    for number, (before, after) in enumerate(zip(stored.cells, made.cells, strict=True), 1):
        whole = VARIES not in before.metadata.get("tags", ())
        old, new = ([_compared(output, whole) for output in cell.get("outputs", ())] for cell in (before, after))
        if old != new:
            found.append(f"cell {number} shows\n{_shown(new)}\nand stored is\n{_shown(old)}\nof\n{before.source}")
    return found


def _compared(output: Any, whole: bool) -> dict[str, str]:
    """Return what is compared of an output: its kinds, and its text where the whole counts.

    Lines of source move whenever somebody edits a file above them, those of PTX with the compiler, so their numbers do not count.
    """
    if output.output_type == "stream":
        contents = {output.name: output.text}
    else:
        contents = {kind: "a picture" if kind in PICTURES else text for kind, text in output.get("data", {}).items()}
    return {kind: re.sub(r"(\.py:|PTX line )\d+", r"\1", text) if whole else "" for kind, text in contents.items()}


def _shown(outputs: list[dict[str, str]]) -> str:
    return "\n".join(f"[{kind}] {text}" for output in outputs for kind, text in output.items()) or "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and compare with what is stored")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names())}; all if none is given")
    args = parser.parse_args()
    wrong = 0
    for name in args.names or names():
        path = Path(name) if name.endswith(".ipynb") else FOLDER / f"{name}.ipynb"
        stored = read(path)
        try:
            made = executed(stored, path)
        except NotebookError as error:
            print(error)
            wrong += 1
            continue
        found = differences(stored, made)
        if not args.check:
            write(made, path)
        elif found:
            print("\n\n".join(f"{path.stem}, {difference}" for difference in found))
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Excerpts of the source for the pages of docs/: functions as they stand in their files."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def excerpt(function: Callable, without_docstring: bool = False) -> str:
    """Return a function's source as a block of Markdown below a link to its file; of a compiled function, its Python source."""
    function = inspect.unwrap(getattr(function, "py_func", function))  # an op is wrapped by its front
    lines = textwrap.dedent(inspect.getsource(function)).rstrip().splitlines()
    if without_docstring:
        (node,) = ast.parse("\n".join(lines)).body
        if ast.get_docstring(node) is not None:
            lines[node.body[0].lineno - 1 : node.body[0].end_lineno] = []
    return block(Path(inspect.getsourcefile(function)), "\n".join(lines))


def nested(function: Callable, *names: str) -> str:
    """Return functions that are defined inside `function`, as they stand in its file. Raises LookupError where one is not there."""
    module = inspect.getmodule(function)
    text = inspect.getsource(module)
    found = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    if missing := sorted(set(names) - set(found)):
        raise LookupError(f"{module.__name__} defines no {', '.join(missing)}")
    lines = text.splitlines()
    parts = [textwrap.dedent("\n".join(lines[found[name].lineno - 1 : found[name].end_lineno])) for name in names]
    return block(Path(module.__file__), "\n\n".join(parts))


def block(path: Path, text: str) -> str:
    """Return Python text as a block of Markdown below a link to the file that it is from."""
    where = path.relative_to(ROOT)
    return f"[`{where}`](../{where})\n```python\n{text}\n```"

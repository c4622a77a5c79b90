"""Write docs/api.md and docs/api/, the reference of the public names: `python -m benchmarks.docs.api [--check]`

A name's entry is what a stub file would hold: the signature as it stands in the source, and the docstring below it, word for word.
Sources are parsed rather than live objects printed, so that the pages are the same on every machine. With --check nothing is
written, and a page that is out of date is an error.

A documentation generator such as pdoc makes a site of HTML pages; this makes a Markdown page for each package, which GitHub shows
as it is, and docs/api.md, which lists them.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INDEX, FOLDER = ROOT / "docs" / "api.md", ROOT / "docs" / "api"
PACKAGES = (
    "tinygan", "tinygan.engine.ops", "tinygan.derive", "tinygan.nn", "tinygan.optim", "tinygan.drawing", "tinygan.game",
    "tinygan.data", "tinygan.training", "tinygan.walkthrough", "tinygan.measure", "tinygan.fitting", "tinygan.theory",
    "tinygan.exercises", "tinygan_kernels", "tinygan_kernels.emulator", "tinygan_kernels.puzzles",
)
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
WIDTH = 110


@dataclass(frozen=True)
class Entry:
    """A public name: the module that defines it, its node in that module's syntax tree, and its docstring or explaining comment."""

    name: str
    module: str
    node: Definition
    doc: str | None


def _source(node: ast.AST) -> str:
    """Return the source of a syntax tree. Python 3.10 writes "lambda :" where later ones write "lambda:"."""
    return ast.unparse(node).replace("lambda :", "lambda:")


def public_names(package: str) -> dict[str, str]:
    """Return the public names of a package or module, each with the module that defines it.

    The names are those of `__all__`, but for modules, which have sections of their own. A module without `__all__` has its
    functions and classes without a leading underscore.
    """
    module = import_module(package)
    if hasattr(module, "__all__"):
        names = [name for name in module.__all__ if not name.startswith("__")]
        return {name: where for name in names if (where := _defined_in(name, package)) is not None}
    nodes = _tree(package).body
    return {n.name: package for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")}


def _defined_in(name: str, module: str) -> str | None:
    """Return the module that defines `name`, following imports from `module` on; None if the name is itself a module."""
    value = getattr(import_module(module), name)
    if type(value) is type(sys):
        return None
    if isinstance(getattr(value, "__module__", None), str) and getattr(value, "__name__", None) == name:
        return value.__module__
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            start = _package_of(module).rsplit(".", node.level - 1)[0] + "." if node.level else ""
            return _defined_in(name, f"{start}{node.module}")
    return module


def _package_of(module: str) -> str:
    return module if hasattr(import_module(module), "__path__") else module.rpartition(".")[0]


def _path(module: str) -> Path:
    return Path(import_module(module).__file__)


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text())


def entry(name: str, module: str) -> Entry:
    """Return the entry of a name that `module` defines. Raises LookupError if its source has no such definition."""
    body = _tree(module).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return Entry(name, module, node, ast.get_docstring(node))
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return Entry(name, module, node, _string(following) or _comment(module, node))
    raise LookupError(f"{module} defines no {name}")


def _string(node: ast.stmt | None) -> str | None:
    """Return the text of a statement that is a bare string, such as one below a constant that it documents; else None."""
    bare = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return textwrap.dedent(node.value.value).strip() if bare else None


def _comment(module: str, node: ast.stmt) -> str | None:
    """Return the comment behind an assignment's last line, else that on the lines above it, else None."""
    lines = _path(module).read_text().splitlines()
    end = lines[node.end_lineno - 1].encode()[node.end_col_offset:].decode().strip()
    if end.startswith("#"):
        return end.lstrip("# ")
    above = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.startswith("# ") or line.endswith("--"):
            break
        above.insert(0, line.lstrip("# "))
    return "\n".join(above) or None


def stub(made: Entry) -> str:
    """Return the signature and the docstring of an entry as Python text; of a class, its fields and public methods too."""
    if isinstance(made.node, (ast.FunctionDef, ast.ClassDef)):
        return "\n".join(_definition(made.node, ""))
    return f"{_shortened(_source(made.node))}\n{_quoted(made.doc or '', '')}"


def _shortened(text: str) -> str:
    """Cut the value of a constant that would fill more than a line."""
    return text if len(text) <= WIDTH and "\n" not in text else f"{text.partition(' = ')[0]} = ..."


def _definition(node: ast.FunctionDef | ast.ClassDef, indent: str) -> list[str]:
    lines = [f"{indent}@{_source(mark)}" for mark in node.decorator_list]
    if isinstance(node, ast.ClassDef):
        bases = f"({', '.join(map(_source, node.bases))})" if node.bases else ""
        lines.append(f"{indent}class {node.name}{bases}:")
    else:
        returns = f" -> {_source(node.returns)}" if node.returns else ""
        signature = f"{indent}def {node.name}({_source(node.args)}){returns}:"
        lines += textwrap.wrap(signature, WIDTH, subsequent_indent=indent + " " * 8, break_long_words=False, break_on_hyphens=False)
    inner = indent + "    "
    doc = ast.get_docstring(node)
    if doc:
        lines.append(_quoted(doc, inner))
    if isinstance(node, ast.ClassDef):
        for part in node.body:
            lines += _member(part, inner)
    elif not doc:
        lines[-1] += " ..."
    return lines


def _member(part: ast.stmt, indent: str) -> list[str]:
    """Return the lines of a field or of a public method; nothing for what is private."""
    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and not part.target.id.startswith("_"):
        return [indent + _shortened(_source(part))]
    if isinstance(part, ast.FunctionDef) and (part.name in ("__init__", "__call__") or not part.name.startswith("_")):
        return ["", *_definition(part, indent)]
    return []


def _quoted(doc: str, indent: str) -> str:
    text = f'"""{doc}"""' if "\n" not in doc else f'"""{doc}\n"""'
    return textwrap.indent(text, indent, lambda line: bool(line.strip()))


def page(package: str) -> str:
    """Return a package's page: its docstring, then every public name."""
    intro = ast.get_docstring(_tree(package)) or ""
    parts = [f"# {package}", "[All packages](../api.md)", f"```text\n{intro}\n```"]
    for name, module in public_names(package).items():
        made = entry(name, module)
        where = _path(module).relative_to(ROOT)
        parts.append(f"## {name}\n\n[`{where}`](../../{where})\n```python\n{stub(made)}\n```")
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """Return docs/api.md: the packages, and the names of each with links to their entries."""
    contents = []
    for package in PACKAGES:
        names = ", ".join(f"[`{name}`](api/{package}.md#{name.lower()})" for name in public_names(package))
        contents.append(f"- [**{package}**](api/{package}.md): {names}")
    opening = (
        "# The public names\n\nEvery name that the packages make public, a page for each package, with signature and docstring\n"
        "as they stand in the source. [`benchmarks/docs/api.py`](../benchmarks/docs/api.py) writes these pages\n"
        "(`python -m benchmarks.docs.api`). A test fails when one is out of date, or when a public name has no docstring."
    )
    return "\n\n".join([opening, "\n".join(contents)]) + "\n"


def pages() -> dict[Path, str]:
    """Return all pages of the reference, by path."""
    return {INDEX: index(), **{FOLDER / f"{package}.md": page(package) for package in PACKAGES}}


def stale(wanted: dict[Path, str]) -> list[Path]:
    """Return the paths of pages that are missing, out of date, or no longer wanted."""
    there = [INDEX, *FOLDER.glob("*.md")]
    return sorted({
        *(path for path, text in wanted.items() if not path.exists() or path.read_text() != text),
        *(path for path in there if path not in wanted),
    })  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check, wanted = parser.parse_args().check, pages()
    found = stale(wanted)
    if not check:
        FOLDER.mkdir(exist_ok=True)
        for path in found:
            if path in wanted:
                path.write_text(wanted[path])
            else:
                path.unlink()
    state = "out of date" if check else "written anew"
    print(f"{state}: {', '.join(path.relative_to(ROOT).as_posix() for path in found)}" if found else "up to date")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())

"""SECURITY.md: each promise names tests, and they exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def promises(text: str) -> list[tuple[str, list[str]]]:
    """Return the promises of the page's table, each with the tests that it names."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    return [(row[0], re.findall(r"`(tests/[^`]+)`", row[-1])) for row in rows]


def missing(named: str) -> bool:
    """Return whether there is no test of this name, FILE::FUNCTION."""
    path, _, function = named.partition("::")
    if not (ROOT / path).is_file():
        return True
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_tests_that_exist():
    found = promises((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(found) >= 9
    for promise, tests in found:
        assert tests, f"no test holds: {promise}"
        assert not [name for name in tests if missing(name)], promise


def test_a_promise_without_its_test_is_found():
    text = "| promise | tests |\n| --- | --- |\n| one | `tests/test_security.py::test_gone` |\n| two | none |\n"
    (first, second) = promises(text)
    assert missing(first[1][0]) and missing("tests/test_nowhere.py::test_x") and second[1] == []
    assert not missing("tests/test_security.py::test_each_promise_names_tests_that_exist")

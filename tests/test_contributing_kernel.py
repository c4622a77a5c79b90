"""The worked example of CONTRIBUTING.md for a kernel of the contract, applied to a copy of the package and run there.

With all its places the kernel passes the tests that every kernel passes; without any one of them a test fails and names the file.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("kernels") / "tinygan_kernels"


def blocks() -> list[tuple[str, str, str]]:
    """The code blocks of the recipe as (file, table or class that the block belongs into, or "", text)."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## A kernel to the contract\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n# kernels/tinygan_kernels/(\S+\.py)(?:: (\w+))?\n(.*?)```", section, re.DOTALL)


def insert(path: Path, into: str, text: str) -> None:
    """Put a row behind the first line of its table, a method at the end of its class, a function before all tables."""
    lines = path.read_text().splitlines(keepends=True)
    nodes = ast.parse("".join(lines)).body
    if not into:
        at = next(node.lineno - 1 for node in nodes if isinstance(node, ast.FunctionDef))
        lines.insert(at, text + "\n\n")
    else:
        (node,) = (node for node in nodes if into in (getattr(node, "name", ""), *names(node)))
        lines.insert(node.end_lineno if isinstance(node, ast.ClassDef) else node.lineno, text)
    path.write_text("".join(lines))


def names(node: ast.stmt) -> list[str]:
    """The names that an assignment binds."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def copy_of_the_package(folder: Path, without: str = "") -> Path:
    """A copy of tinygan_kernels to which the blocks were applied, but for those of one file."""
    shutil.copytree(ROOT / PACKAGE, folder / "tinygan_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for file, into, text in blocks():
        if file != without:
            insert(folder / "tinygan_kernels" / file, into, text)
    return folder


def run_tests(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


FILES = list(dict.fromkeys(file for file, _, _ in blocks()))
TESTS = [f"tests/tinygan_kernels/{name}.py" for name in ("test_places", "test_contract", "test_parameters", "profiling/test_work")]


def test_the_recipe_counts_its_places():
    assert len(FILES) == 7 and f"takes {len(FILES)} places" in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_worked_example_passes_the_tests_of_every_kernel(tmp_path):
    judged = "tests/tinygan_kernels/verification/test_bounds.py"
    done = run_tests(copy_of_the_package(tmp_path), *TESTS, judged, "-k", "row_norms")
    passed = re.search(r"(\d+) passed, \d+ deselected", done.stdout)
    assert done.returncode == 0 and int(passed[1]) > 40, done.stdout


@pytest.mark.parametrize("forgotten", [file for file in FILES if file != "contract.py"])  # without its row there is no kernel
def test_a_forgotten_place_is_named(forgotten, tmp_path):
    done = run_tests(copy_of_the_package(tmp_path, without=forgotten), TESTS[0], "-k", "row_norms", "--tb=line", "-x")
    assert done.returncode != 0
    assert (forgotten if forgotten != "shapes.py" else "module 'tinygan_kernels.shapes' has no attribute") in done.stdout


def test_a_kernel_without_a_planted_mistake_is_named(tmp_path):
    judged = "tests/tinygan_kernels/verification/test_bounds.py"
    done = run_tests(copy_of_the_package(tmp_path), judged, "-k", "every_kernel_has_a_planted_mistake", "--tb=line")
    assert done.returncode == 1 and "test_bounds.py: WRONG has no planted mistake for ['row_norms']" in done.stdout

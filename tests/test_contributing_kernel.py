"""The worked examples of CONTRIBUTING.md for a kernel of the contract, applied to a copy of the package and run there.

With all its places a kernel passes the tests that every kernel passes; without any one of them a test fails and names the file.
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


EXAMPLES = {"row_norms": 7, "softsign": 4}  # the kernels of the recipe, and how many places it says that each takes


def blocks(kernel: str) -> list[tuple[str, str, str]]:
    """The code blocks of a kernel as (file, table or class that the block belongs into, or "", text)."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## A kernel to the contract\n")[1].split("\n## ")[0]
    found = re.findall(r"```python\n# kernels/tinygan_kernels/(\S+\.py)(?:: (\w+))?\n(.*?)```", section, re.DOTALL)
    return [block for block in found if kernel in block[2]]


def files(kernel: str) -> list[str]:
    return list(dict.fromkeys(file for file, _, _ in blocks(kernel)))


def insert(path: Path, into: str, text: str) -> None:
    """Put a row behind the first line of its table, a method at the end of its class, a function before all tables."""
    lines = path.read_text().splitlines(keepends=True)
    nodes = ast.parse("".join(lines)).body
    if not into:
        first = next(node for node in nodes if isinstance(node, ast.FunctionDef))
        lines.insert(min(part.lineno for part in (first, *first.decorator_list)) - 1, text + "\n\n")
    else:
        (node,) = (node for node in nodes if into in (getattr(node, "name", ""), *names(node)))
        lines.insert(node.end_lineno if isinstance(node, ast.ClassDef) else node.lineno, text)
    path.write_text("".join(lines))


def names(node: ast.stmt) -> list[str]:
    """The names that an assignment binds."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def copy_of_the_package(folder: Path, kernel: str, without: str = "") -> Path:
    """A copy of tinygan_kernels to which the blocks of a kernel were applied, but for those of one file."""
    shutil.copytree(ROOT / PACKAGE, folder / "tinygan_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for file, into, text in blocks(kernel):
        if file != without:
            insert(folder / "tinygan_kernels" / file, into, text)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)


def run_tests(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


VERIFY = """
import sys
from tinygan_kernels import CUDA_BACKENDS, names, why_unavailable
from tinygan_kernels.verification import verify
for name in names():
    emulate = name in CUDA_BACKENDS
    if why_unavailable(name, emulate) is None:
        for verdict in verify.verdicts(name, emulate, [sys.argv[1]], tiles=(16,)):
            print(verdict)
"""


TESTS = [f"tests/tinygan_kernels/{name}.py" for name in ("test_places", "test_contract", "test_parameters", "profiling/test_work")]
JUDGED = "tests/tinygan_kernels/verification/test_bounds.py"
FORGOTTEN = [(kernel, file) for kernel in EXAMPLES for file in files(kernel) if file != "contract.py"]  # its row is the kernel
# what the failure says where it does not say the file's own name
ELSEWHERE = {"shapes.py": "module 'tinygan_kernels.shapes' has no attribute"}


@pytest.mark.parametrize("kernel, places", EXAMPLES.items())
def test_the_recipe_counts_its_places(kernel, places):
    assert len(files(kernel)) == places
    assert "takes 7 places; an elementwise one takes 4" in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("kernel", EXAMPLES)
def test_the_worked_example_passes_the_tests_of_every_kernel(kernel, tmp_path):
    done = run_tests(copy_of_the_package(tmp_path, kernel), *TESTS, JUDGED, "-k", kernel)
    passed = re.search(r"(\d+) passed, \d+ deselected", done.stdout)
    assert done.returncode == 0 and int(passed[1]) >= 40, done.stdout


@pytest.mark.parametrize("kernel", EXAMPLES)
def test_the_worked_example_is_right_on_every_backend(kernel, tmp_path):
    done = run(copy_of_the_package(tmp_path, kernel), "-c", VERIFY, kernel)
    verdicts = done.stdout.splitlines()
    assert done.returncode == 0 and len(verdicts) >= 4, done.stderr  # two dtypes on two backends at least
    assert all(re.match(rf"ok    [\w-]+ {kernel} 1 float\d\d: \d+ cases, at most 0\.\d+ of the bound", line) for line in verdicts)


@pytest.mark.parametrize("kernel, forgotten", FORGOTTEN)
def test_a_forgotten_place_is_named(kernel, forgotten, tmp_path):
    done = run_tests(copy_of_the_package(tmp_path, kernel, without=forgotten), TESTS[0], "-k", kernel, "--tb=line", "-x")
    assert done.returncode != 0 and ELSEWHERE.get(forgotten, forgotten) in done.stdout


def test_a_kernel_without_a_planted_mistake_or_a_definition_is_named(tmp_path):
    names = "every_kernel_has_a_planted_mistake or every_elementwise_kernel_is_defined"
    done = run_tests(
        copy_of_the_package(tmp_path, "softsign"), JUDGED, "tests/tinygan_kernels/test_reference.py", "-k", names, "--tb=line")
    assert "2 failed" in done.stdout and "test_bounds.py: WRONG has no planted mistake for ['softsign']" in done.stdout
    assert "test_reference.py: BY_DEFINITION has no line for ['softsign']" in done.stdout

"""The worked examples of CONTRIBUTING.md for a version in CUDA C++ and in Numba, applied to a copy of the package and run there.

Each example is two edits, a kernel in its source file and a row. With both, the version is verified, on the emulator; with one of
them alone, the test of rows fails and names the file that was forgotten.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

ROOT = Path(__file__).resolve().parents[1]


class Example(NamedTuple):
    """A recipe of CONTRIBUTING.md: its heading, the backend, and the files under cuda/ that its two code blocks belong to."""

    heading: str
    backend: str
    source: str
    table: str

    def blocks(self) -> list[str]:
        section = (ROOT / "CONTRIBUTING.md").read_text().split(f"\n### {self.heading}\n")[1]
        return re.findall(r"```\w+\n(.*?)```", re.split(r"\n##+ ", section)[0], re.DOTALL)


EXAMPLES = [
    Example("In CUDA C++", "cupy", "cpp/bias_act.cu", "cpp_backend.py"),
    Example("In Numba CUDA", "numba-cuda", "numba_kernels/fused.py", "numba_backend.py"),
]

VERIFY = """
import sys
from tinygan_kernels import ladder, load
from tinygan_kernels.profiling import targets
from tinygan_kernels.verification import cases, verify

name = sys.argv[1]
before, rung = [r for r in ladder(name) if r.kernel == "bias_act"]
assert (rung.number, rung.title) == (2, "four numbers a thread")
backend = load(name, emulate=True, versions={"bias_act": 2})
for dtype in rung.dtypes:
    chosen = list(cases.cases("bias_act", dtype, (32,)))
    row = verify.verify_version(backend, rung, dtype, chosen, emulate=True)
    assert row.ok and row.worst > 0, str(row)
found = targets.improvement(name, before, rung)
assert found.ok, found
print(f"{rung.number} verified on {row.cases} cases; {found.value}")
"""


def copy_of_the_package(folder: Path, example: Example, kernel: bool = True, row: bool = True) -> Path:
    """A folder with a copy of tinygan_kernels, to which the edits of the example were applied."""
    shutil.copytree(ROOT / "kernels" / "tinygan_kernels", folder / "tinygan_kernels", ignore=shutil.ignore_patterns("__pycache__"))
    cuda = folder / "tinygan_kernels" / "cuda"
    new_kernel, new_row = example.blocks()
    if kernel:
        (cuda / example.source).write_text((cuda / example.source).read_text() + "\n\n" + new_kernel)
    if row:
        text = (cuda / example.table).read_text()
        behind = re.search(r'"bias_act", 1, .*?\n    \),\n', text, re.DOTALL)
        (cuda / example.table).write_text(text[: behind.end()] + new_row + text[behind.end() :])
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.backend)
def test_the_worked_example_is_a_version_inside_its_bound_that_improves_what_it_names(example, tmp_path):
    folder = copy_of_the_package(tmp_path, example)
    done = run(folder, "-c", VERIFY, example.backend)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"2 verified on \d+ cases; warp instructions [\d,]+ to [\d,]+\n", done.stdout)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.backend)
@pytest.mark.parametrize("forgotten, sentence", [
    ("row", "which no row launches: add it to the entries of its row"),
    ("kernel", "the row of bias_act 2 launches"),
])  # fmt: skip
def test_a_forgotten_place_is_named(example, forgotten, sentence, tmp_path):
    folder = copy_of_the_package(tmp_path, example, **{forgotten: False})
    source = Path(example.source)
    tests = ["tests/tinygan_kernels/cuda/test_rows.py", "-k", f"those_that_rows_launch and {source.stem}"]
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 1, done.stdout
    (message,) = set(re.findall(r"^E +AssertionError: (.*)$", done.stdout, re.MULTILINE))
    assert sentence in message and f"cuda/{example.source}" in message

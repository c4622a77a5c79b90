"""docs/coming-from.md: every line of what to type here runs, and what one types elsewhere is answered with it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygan import Tensor, nn, ops, optim

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "coming-from.md").read_text()
ROWS = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in PAGE.splitlines() if line.startswith("| `")]
(SETUP,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


def test_every_row_has_two_sides():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| there", "| ---"))]
    assert len(rows) == len(ROWS) + 1 > 50  # one row begins with words
    assert all(len(row) == 2 and re.fullmatch(r"`[^`]+`", row[1].strip("| ")) for row in ROWS)


def run(program: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=3600)


def test_every_line_of_the_page_runs():
    lines = [row[1].strip("| `") for row in ROWS]
    done = run("".join(f"{SETUP}\n{line}\n" for line in lines) + "import sys; sys.stderr.write('done')")
    assert (done.returncode, done.stderr) == (0, "done")


def test_a_line_that_does_not_run_is_seen():
    assert "write stop(x)" in run(f"{SETUP}\nx.detach()").stderr


@pytest.mark.parametrize("row", [row for row in ROWS if row[0].startswith("`x.")], ids=lambda row: row[0])
def test_methods_that_are_not_here_are_answered(row):
    x = Tensor(np.ones((2, 2)), "reference")
    for name in re.findall(r"`x\.(\w+)", row[0]):
        if not hasattr(x, name):
            with pytest.raises(AttributeError, match=f"'{name}'; write "):
                getattr(x, name)


@pytest.mark.parametrize(("owner", "name"), [
    (nn, name) for name in re.findall(r"nn\.(\w+)", " ".join(row[0] for row in ROWS))
] + [(optim, name) for name in re.findall(r"optim\.(\w+)", " ".join(row[0] for row in ROWS))])
def test_classes_are_there_or_answered(owner, name):
    if not hasattr(owner, name):
        with pytest.raises(AttributeError, match=f"'{name}'; write "):
            getattr(owner, name)


def test_what_the_page_says_is_refused_is_refused():
    x, w = Tensor(np.ones(2), "reference"), Tensor(np.ones(2), "reference", requires_grad=True)
    other = Tensor(np.ones(2, np.float32), "reference")
    for refused in (
        lambda: x + other, lambda: x + None, lambda: x + "1", lambda: x + 1j, lambda: other + 1e300, lambda: Tensor([x, x]),
        lambda: w.__iadd__(x), lambda: x.__setitem__(0, 1.0), lambda: bool(x), lambda: np.arctan(w),
        lambda: other + np.array([2**24 + 1, 0]),
        lambda: ops.add(x, Tensor(np.ones(2))),
    ):
        with pytest.raises((TypeError, ValueError)):
            refused()

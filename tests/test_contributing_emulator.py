"""The recipe "A PTX instruction" of CONTRIBUTING.md: its examples work in a copy of the package, each place left out is missed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

ROOT = Path(__file__).resolve().parents[1]
TABLE = "OPCODES: dict[str, Opcode] = {\n"
TRY = """
import sys
import numpy as np
sys.path.insert(0, {support!r})
from ptx_snippets import run
import tinygan_kernels
assert tinygan_kernels.__file__.startswith({copy!r}), tinygan_kernels.__file__
a, n = np.full(64, 3, np.uint32), np.arange(64, dtype=np.uint32)
clamped, wrapped = (run(f"vshl.u32.u32.u32.{{mode}} %x, %a, %b;", [("u32", a), ("u32", n)]) for mode in ("clamp", "wrap"))
assert clamped.tolist() == [(3 << min(i, 32)) & 0xFFFFFFFF for i in range(64)], clamped
assert wrapped.tolist() == [(3 << i % 32) & 0xFFFFFFFF for i in range(64)], wrapped
held = np.arange(64, dtype="u2").reshape(8, 8)
turned = run("movmatrix.sync.aligned.m8n8.trans.b16 %x, %a;", [("u32", np.tile(held.ravel().view("u4"), 2))])
assert (turned.view("u2").reshape(2, 8, 8) == held.T).all(), turned
print("both run")
"""


def blocks() -> list[tuple[str, str]]:
    """(file, code) of each block of the recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    recipe = text[text.index("## A PTX instruction") :].split("\n## ")[0]
    found = re.findall(r"```python\n# (\S+\.py)(?:: OPCODES)?\n(.*?)```", recipe, re.DOTALL)
    assert len(found) == 5 == recipe.count("```python")
    return found


def tried(tmp_path: Path, changes: list[tuple[str, str]]) -> subprocess.CompletedProcess:
    """Copy the package without the examples that it has, make the changes in the copy, and run both instructions there."""
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in blocks():
        path = tmp_path / name
        path.write_text(path.read_text().replace(code, "", 1))
    for name, code in changes:
        path = tmp_path / name
        text = path.read_text()
        path.write_text(text.replace(TABLE, TABLE + code, 1) if name.endswith("opcodes.py") else f"{text}\n\n{code}")
        assert path.read_text() != text
    script = TRY.format(support=str(ROOT / "tests" / "support"), copy=str(tmp_path))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "kernels"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=3600, env=env, cwd=tmp_path)


def test_the_collective_example_is_quoted_as_it_stands_in_the_code():
    assert all(code in (ROOT / name).read_text() for name, code in blocks()[2:])


def test_both_examples_run(tmp_path):
    done = tried(tmp_path, blocks())
    assert (done.returncode, done.stdout.strip()) == (0, "both run"), done.stderr


def test_a_plain_instruction_takes_two_places_and_a_collective_three():
    files = [name.rsplit("emulator/", 1)[-1] for name, _ in blocks()]
    assert files[:2] == ["semantics/integers.py", "translate/opcodes.py"]
    assert files[2:] == ["semantics/matrix.py", "translate/warp.py", "translate/opcodes.py"]


@pytest.mark.parametrize("left_out", range(5))
def test_a_place_left_out_is_missed_where_it_belongs(tmp_path, left_out):
    changes = blocks()
    name, _ = changes.pop(left_out)
    done = tried(tmp_path, changes)
    assert done.returncode != 0
    missed = {
        "semantics/integers.py": "module 'tinygan_kernels.emulator.semantics.integers' has no attribute 'vshl'",
        "semantics/matrix.py": "module 'tinygan_kernels.emulator.semantics.matrix' has no attribute 'transpose'",
        "translate/warp.py": "module 'tinygan_kernels.emulator.translate.warp' has no attribute 'movmatrix'",
        "translate/opcodes.py": "has no row in emulator/translate/opcodes.py",
    }
    assert missed[name.rsplit("emulator/", 1)[-1]] in done.stderr


@pytest.mark.parametrize(
    ("written", "instead", "error"),
    [
        (', "integer", ', ', ', "missing 1 required positional argument: 'counted_as'"),
        ('"integer"', '"integers"', "translate/opcodes.py: no class 'integers'"),
        (", members=WHOLE_WARP", "", "translate/opcodes.py: movmatrix is in translate/warp.py, so its row needs members="),
    ],
)
def test_an_incomplete_row_is_an_error(tmp_path, written, instead, error):
    changes = [(name, code.replace(written, instead) if name.endswith("opcodes.py") else code) for name, code in blocks()]
    assert changes != blocks()
    assert error in tried(tmp_path, changes).stderr

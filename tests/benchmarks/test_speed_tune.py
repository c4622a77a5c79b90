"""The script that measures the constants of the CPU's choices: what it changes it puts back, what it names exists, and its algebra
for MOVED is that of the choice. What it measures depends on the machine, so no test asks for certain values.
"""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels import winograd_formulas
from tinygan_kernels.cpu.matmul import blocking, choice

from benchmarks.speed import tune

ROOT = Path(__file__).resolve().parents[2]


def test_constants_are_put_back_even_after_an_error():
    before = blocking.TILES
    with pytest.raises(ZeroDivisionError), tune.changed(blocking, TILES=()):
        assert blocking.TILES == ()
        raise ZeroDivisionError
    assert blocking.TILES is before


def test_a_changed_constant_is_seen_by_plans_made_before():
    """Plans are kept: without forgetting them, the product below would still go by the tile that it had."""
    a, b, c = (np.ones((48, 48), np.float32) for _ in range(3))
    tiles = []
    for tile in (blocking.TILES[0], blocking.TILES[1]):
        with tune.changed(blocking, TILES=(tile,)):
            tiles.append(choice.plan_of(a[None], b[None], c[None]).blocking.height)
    assert tiles == [blocking.TILES[0][0], blocking.TILES[1][0]]


@pytest.mark.parametrize("n", [10.0, 48.0])
def test_equal_cost_is_where_the_choice_turns(n, monkeypatch):
    monkeypatch.setattr(winograd_formulas, "MOVED", tune.equal_cost(n, 128, 128))
    few, many = (winograd_formulas.best_tile(int(n + more), 4, 4, 128, 128) for more in (-2, 2))
    assert few < many == 4


def test_values_are_rounded_wherever_they_stand():
    assert tune.rounded({"a": [0.123456, 7], "b": None}) == {"a": [0.123, 7], "b": None}


def test_the_committed_report_names_constants_of_the_code_and_its_machine():
    report = json.loads((ROOT / "benchmarks" / "results" / "tune.json").read_text())
    assert report["stamp"]["cpu"] and report["stamp"]["commit"]
    assert {"TILES", "COPYING", "MOVED", "FEW_TERMS", "WORTH_SPLITTING"} <= set(report["constants"])
    for name, row in report["constants"].items():
        tree = ast.parse((ROOT / "kernels" / "tinygan_kernels" / row["file"]).read_text())
        bound = {n.id for node in tree.body if isinstance(node, ast.Assign) for n in ast.walk(node) if isinstance(n, ast.Name)}
        assert name in bound, f"{row['file']} has no constant {name}"

"""Each comparison with another implementation agrees, and notices a measure that is wrong by 1 %."""

import dataclasses
import json
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.quality.independent import __main__ as independent
from benchmarks.quality.independent import definitions, neighbour_measures, permutation_tests, samples
from benchmarks.quality.independent.comparison import Comparator, Comparison
from tinygan import measure
from tinygan.measure import densities

ONE = Comparison("a metric", "some samples", 2.0, 2.0, "another", 1e-9, "rounding")
SLOW = {"report of a mixture"}  # two seconds; its measures are compared one by one
HERE = [one for one in independent.COMPARATORS if all(map(find_spec, one.packages)) and one.name not in SLOW]


# ---- the verdict ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "agrees"), [
    ({}, True), ({"theirs": 2.0 + 5e-10}, True), ({"theirs": 2.0 - 2e-9}, False), ({"ours": 2.02}, False),
    ({"theirs": math.nan}, False), ({"ours": math.nan}, False), ({"ours": math.nan, "theirs": math.nan}, True),
    ({"ours": math.inf}, False), ({"ours": math.inf, "theirs": math.inf}, True), ({"ours": math.inf, "theirs": -math.inf}, False),
    ({"theirs": 1.5, "apart": -0.5}, True), ({"theirs": 2.0, "apart": -0.5}, False),
    ({"ours": 2.02, "theirs": 1.5, "apart": -0.5}, False),
])  # fmt: skip
def test_numbers_agree_within_their_tolerance_and_by_their_convention(changes, agrees):
    assert dataclasses.replace(ONE, **changes).agrees == agrees


@pytest.mark.parametrize("comparator", HERE, ids=lambda one: one.name)
def test_a_comparison_agrees_and_notices_one_per_cent(comparator):
    """Of every metric at least one number is compared so closely that 1 % more, or less, is told from rounding."""
    found = list(comparator.compare())
    assert found and all(one.agrees for one in found), [independent.line(one) for one in found if not one.agrees]
    for metric in {one.metric for one in found}:
        own = [one for one in found if one.metric == metric]
        for factor in (1.01, 0.99):
            assert any(not dataclasses.replace(one, ours=one.ours * factor).agrees for one in own), metric


# ---- the command ----------------------------------------------------------------------------------------------------------------


def test_a_wrong_measure_is_an_error(monkeypatch, capsys, tmp_path):
    assert independent.main(["--only", "JSD and D*"]) == 0
    right, jsd = capsys.readouterr().out, densities.jsd
    monkeypatch.setattr(densities, "jsd", lambda p, q: 1.01 * jsd(p, q))
    assert independent.main(["--only", "JSD and D*", "--json", str(tmp_path / "found.json")]) == 1
    wrong = capsys.readouterr().out
    assert "6 of 6 numbers agree" in right and "3 of 6 numbers agree" in wrong and wrong.count("NOT WITHIN ITS TOLERANCE") == 3
    record = json.loads((tmp_path / "found.json").read_text())
    assert [one["agrees"] for one in record["comparisons"]] == [False, True] * 3
    assert record["stamp"]["commit"] and record["stamp"]["versions"]["scikit-learn"]


def test_packages_that_are_missing_are_named_before_anything_is_computed(monkeypatch, capsys):
    one = Comparator("a comparison", lambda: pytest.fail("computed"), ("no_such_package", "numpy"))
    monkeypatch.setattr(independent, "COMPARATORS", (one,))
    assert independent.main([]) == 2
    assert capsys.readouterr().err == "not installed: no_such_package; get them with: python -m pip install no_such_package\n"
    with pytest.raises(SystemExit):
        independent.main(["--only", "nothing"])
    assert "there are: a comparison" in capsys.readouterr().err


def test_records_are_json_whatever_numbers_they_are_of():
    record = dataclasses.replace(ONE, ours=math.inf, theirs=math.nan).record()
    assert (record["ours"], record["theirs"], record["agrees"]) == ("inf", "nan", False)
    json.dumps(record, allow_nan=False)
    record = dataclasses.replace(ONE, ours=np.float32(2), theirs=np.float64(2), tolerance=np.float64(1), apart=np.int64(0)).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == {**record, "ours": 2.0, "agrees": True}


def test_every_public_measure_is_compared():
    """A measure that is added to tinygan.measure is compared too, or is named here with what computes its numbers."""
    by_others = {"mixture_test": "mixture_quality", "d_against_optimum": "against_optimum", "diagnose": "retrained_value",
                 "quality_report": "sample_quality"}
    pictures = {"draw_against_optimum", "draw_curves", "draw_samples"}
    source = "\n".join(path.read_text() for path in Path(independent.__file__).parent.glob("*.py"))
    for name in set(filter(str.islower, measure.__all__)) - pictures:
        assert re.search(rf"\b{by_others.get(name, name)}\(", source), name


# ---- the definitions ------------------------------------------------------------------------------------------------------------


def test_points_become_integers_or_are_refused():
    assert definitions.integers_of(np.array([[0.25, -1.0]]), 0.125) == [(2, -8)]
    with pytest.raises(ValueError, match=r"not all multiples of 0\.125"):
        definitions.integers_of(np.array([[0.3]]), 0.125)


def test_balls_by_hand():
    """On a line, k = 1: the balls of the real points are [-1, 1] and [0, 2], those of the fakes [-3, 7] and [-8, 2]."""
    real, fake = [(0,), (1,)], [(2,), (-3,)]
    assert definitions.balls(real, fake, 1) == {"precision": 0.5, "recall": 1.0, "density": 0.5, "coverage": 0.5}
    assert definitions.balls(real, fake, 1, closed=False) == {"precision": 0.0, "recall": 1.0, "density": 0.0, "coverage": 0.0}


def test_quarters_have_the_axis_that_they_begin_with():
    around = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (0, 0)]
    assert [definitions.quarter(*offset) for offset in around] == [0, 0, 1, 1, 2, 2, 3, 3, 0]


def test_the_chance_of_a_sum():
    """Two of the counts 0, 1, 2, 3 have the sums 1, 2, 3, 3, 4 and 5."""
    assert [definitions.chance_of_sum([0, 1, 2, 3], 2, least) * 6 for least in (0, 3, 5, 6)] == [6, 4, 1, 0]


def test_every_split_is_given_once():
    given = permutation_tests.EverySplit(2, 3)
    splits = [given.permutation(5) for _ in range(9)]
    assert {tuple(split[:2]) for split in splits} | {(0, 1)} == {(i, j) for j in range(5) for i in range(j)}
    assert all(sorted(split) == list(range(5)) for split in splits)
    with pytest.raises(StopIteration):
        given.permutation(5)


# ---- the samples ----------------------------------------------------------------------------------------------------------------


def test_the_awkward_samples_are_awkward():
    """There are samples exactly 3 and 5 std from a centre, some twice, modes with none, with one, and ties among distances."""
    edges = samples.on_edges()
    distances = np.linalg.norm(edges.samples[:, None] - edges.centres, axis=2)
    nearest, near = distances.argmin(axis=1), distances.min(axis=1)
    assert (near == 3 * edges.std).sum() > 2 and (near == 5 * edges.std).any()
    assert np.bincount(nearest[near <= 5 * edges.std], minlength=4).tolist()[2:] == [1, 0]
    assert len(np.unique(edges.samples, axis=0)) < len(edges.samples)
    for cloud, unit in ((samples.tied(), samples.UNIT), (samples.line(), 1.0)):
        real, fake = (definitions.integers_of(points, unit) for points in (cloud.real, cloud.fake))
        closed, open_ = (definitions.balls(real, fake, 5, closed) for closed in (True, False))
        assert closed != open_, "balls with and without their surface hold the same samples"


def test_prdc_is_asked_for_what_is_compared(monkeypatch):
    """Where the package is not installed, a stand-in shows that real and generated samples are not exchanged."""
    asked = {}
    stand_in = ModuleType("prdc")
    stand_in.compute_prdc = lambda **given: asked.update(given) or {"recall": 1}
    monkeypatch.setitem(sys.modules, "prdc", stand_in)
    real, fake = np.zeros((9, 1)), np.ones((8, 1))
    assert neighbour_measures.by_prdc(real, fake, 3) == {"recall": 1.0}
    assert asked["real_features"] is real and asked["fake_features"] is fake and asked["nearest_k"] == 3

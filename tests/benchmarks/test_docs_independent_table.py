"""The table of measures beside other implementations is made of its record, and shows a difference that is too large."""

import pytest

from benchmarks.docs.independent_table import independent_section, without_versions
from benchmarks.quality.independent.comparison import Comparison

STAMP = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"prdc": "0.2"}, "commit": "abc", "date": "2026-01-01"}


def record(*comparisons):
    return {"stamp": STAMP, "comparisons": [one.record() for one in comparisons]}


def test_a_metric_has_one_row_with_the_difference_that_is_nearest_to_its_tolerance():
    text = independent_section(record(
        Comparison("recall", "copies", 1.0, 1.0, "prdc 0.2", 1e-12, "counts"),
        Comparison("recall", "digits", 0.25, 0.25, "prdc 0.2", 1e-12, "counts"),
        Comparison("recall", "a line", 0.75, 0.7500002, "scikit-learn 1.9.1 and scipy 1.17.1", 1e-6, "sums"),
        Comparison("HQ", "ring", float("nan"), float("nan"), "prdc 0.2", 0.0, "whole numbers"),
    ))
    assert "| recall | 0.25 | 0.25 | 3 | 2e-7 | 1e-6 | sums | prdc; scikit-learn; scipy |" in text
    assert "| HQ | nan | nan | 1 | 0 | 0 | whole numbers | prdc |" in text
    assert "4 of the 4 numbers agree" in text and "of 2 metrics" in text and "prdc 0.2; commit abc, 2026-01-01." in text
    assert "known reason" not in text


@pytest.mark.parametrize(("theirs", "shown"), [(7.0, "1"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_a_number_beyond_its_tolerance_is_the_one_that_is_shown(theirs, shown):
    text = independent_section(record(
        Comparison("modes", "ring", 8, 8, "prdc 0.2", 0.0, "whole numbers"),
        Comparison("modes", "grid", 8, theirs, "prdc 0.2", 0.0, "whole numbers"),
        Comparison("modes", "edges", 8, 8 + 1e-7, "prdc 0.2", 1.0, "whole numbers"),
    ))
    assert f"| modes | 8 | 8 | 3 | {shown} | 0 |" in text and "2 of the 3 numbers agree" in text


def test_numbers_of_another_convention_stand_below():
    text = independent_section(record(
        Comparison("recall", "a line", 0.5, 0.25, "prdc 0.2", 1e-12, "counts", -0.25, "their balls are open"),
        Comparison("density", "a line", 1.5, 1.0, "prdc 0.2", 1e-12, "counts", -0.5, "their balls are open"),
    ))
    numbers = "recall (a line) 0.5 here, 0.25 there; density (a line) 1.5 here, 1 there."
    assert f"- Apart for a known reason: their balls are open. So there are: {numbers}" in text


def test_versions_are_left_out_of_names():
    assert without_versions("a loop over the definition; kernels by scikit-learn 1.9.1") == [
        "a loop over the definition", "kernels by scikit-learn"]
    assert without_versions("torchmetrics 1.8.2 and scikit-learn 1.9.1") == ["torchmetrics", "scikit-learn"]

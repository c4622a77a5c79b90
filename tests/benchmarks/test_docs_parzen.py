"""The table of Parzen windows says what was measured on which digits, and whether the published figures are of the same task."""

import re

from benchmarks.docs.parzen_table import parzen_section
from benchmarks.quality.parzen import CENTRES, GAN, PUBLISHED, TRAINING

STAMP = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"numpy": "2.4"}, "commit": "abc", "date": "2026-01-01"}


def record(**other):
    row = {"points": 10_000, "mean": 101.26, "standard_error": 5.04, "sigma": 0.2154, "precision": 0.333}
    return {
        "data": "MNIST's test set alone", "as_published": False, "split": {"training": 8000, "validation": 1000, "test": 1000},
        "steps": 4000, "batch": 100, "seed": 0, "differences": ["z is normal", "momentum stays"], "alarms": [],
        "rows": {GAN: row, TRAINING: {**row, "points": 8000, "mean": 140.0, "standard_error": 3.0},
                 CENTRES: {**row, "points": 1600, "mean": 150.0, "standard_error": 4.0}}, "stamp": STAMP, **other,
    }


def test_rows_are_those_of_the_record():
    text = parzen_section(record())
    assert "| samples of G | 10,000 | 101.3 ± 5.0 | 0.215 | 0.33 |" in text
    assert "| centres of clusters of training digits | 1,600 | 150.0 ± 4.0 | 0.215 | 0.33 |" in text and "commit abc" in text
    assert "MNIST's test set alone: 8,000 digits to train on, 1,000 to choose sigma on and 1,000 to test on." in text
    assert "4,000 steps with batches of 100 (50 passes over the digits), seed 0; alarms that went off: none." in text
    assert "z is normal; momentum stays" in text
    assert "went off: collapse, strong-d." in parzen_section(record(alarms=["collapse", "strong-d"]))


def test_centres_are_held_against_digits():
    """The errors of 3 and 4 make one of 5."""
    better = parzen_section(record())
    assert "The 1,600 centres, which are samples of nothing, are 10.0 nats above the 8,000 digits. That is 2.0 standard" in better
    worse = record()
    worse["rows"][CENTRES]["mean"] = 137.5
    assert "are 2.5 nats below the 8,000 digits. That is 0.5 standard errors" in parzen_section(worse)


def test_another_task_than_the_papers_is_said_to_be_one():
    other, same = parzen_section(record()), parzen_section(record(as_published=True))
    assert "**That is not the same task**" in other and "not the same task" not in same and "split in the same way" in same
    for text in (other, same):
        assert all(f"{name} {nats:g} ± {error:g}" in text for name, (nats, error) in PUBLISHED.items())
    assert re.search(r"adversarial nets 225 ± 2, deep GSN 214 ± 1.1, DBN 138 ± 2, stacked CAE 121 ± 1.6", other)

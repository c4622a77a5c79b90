"""The script that trains on a folder of photographs: on a tiny folder, and its measure of memorisation against planted copies."""

import json
import sys

import numpy as np
import pytest
from data_files import save

from benchmarks.quality import faces
from tinygan.data import load
from tinygan.measure.metrics import memorisation

RNG = np.random.default_rng(3)
REAL = RNG.normal(size=(60, 9))


@pytest.fixture
def folder(tmp_path):
    """Portraits as those of ORL lie: folders of a person each, grey .pgm files higher than wide."""
    for person in "ab":
        (tmp_path / "people" / person).mkdir(parents=True)
        for i in range(7):
            save(RNG.integers(0, 256, (14, 11), dtype=np.uint8), tmp_path / "people" / person / f"{i}.pgm")
    return tmp_path / "people"


def test_a_folder_is_trained_on_and_measured(folder, tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "faces.json", tmp_path / "faces.png"
    monkeypatch.setattr(sys, "argv", ["faces", str(folder), "--size", "8", "--steps", "20", "--json", str(out), "--picture",
                                      str(picture)])
    faces.main()
    found = json.loads(out.read_text())
    assert (found["photographs"], found["side"], found["steps"], found["arch"]) == (14, 8, 20, "mlp")
    assert {"precision", "recall", "density", "coverage", "frechet_pca32", "ratio", "alarms", "stamp"} <= set(found)
    assert 1 <= found["distinct"] <= 14 and found["distinct_by_chance"] == pytest.approx(14 * (1 - (13 / 14) ** 14))
    assert picture.read_bytes().startswith(b"\x89PNG") and "distinct" in capsys.readouterr().out


def test_steps_are_those_that_the_time_allows(folder, tmp_path, monkeypatch):
    """With a clock that adds 30 ms a step, 6 seconds are 200 steps, whatever compiling took before."""
    dataset, made = load(str(folder), size=8), []

    def start(steps):
        made.append(faces.new_run("people", dataset, tmp_path, steps=steps, hidden=(8,)))
        return made[0]

    monkeypatch.setattr(faces.time, "perf_counter", lambda: 30 * (made[0].step < 15) + 0.03 * made[0].step)
    assert faces.steps_within(0.1, start) == 200


def test_the_memorisation_ratio_tells_copies_from_fresh_samples():
    copies = memorisation(REAL, REAL + 1e-3 * RNG.normal(size=REAL.shape))
    fresh = memorisation(REAL, RNG.normal(size=REAL.shape))
    one = memorisation(REAL, REAL[:1] + 1e-3 * RNG.normal(size=REAL.shape))
    assert copies.ratio < 0.01 and copies.distinct == 60
    assert 0.8 < fresh.ratio < 1.25 and 20 < fresh.distinct < 60
    assert one.distinct == 1


def test_memorisation_by_hand():
    """Gaps of the real points: 1, 1, 3. Nearest distances of the fakes: 0.5, 0, 2, at the first, the first and the last."""
    real, fake = np.array([[0.0], [1.0], [4.0]]), np.array([[-0.5], [0.0], [6.0]])
    found = memorisation(real, fake)
    assert found.distinct == 2 and found.ratio == pytest.approx(0.5)

"""`tinygan evaluate` and the map of D against D*: right numbers for samples whose quality is known, and every kind of data."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.cli.main import run as command
from tinygan.data import load as load_data
from tinygan.measure import alarms, report
from tinygan.measure.report import d_against_optimum, quality_report
from tinygan.training.config import Config
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

CPU = load("cpu")


class Sampler:
    """A stand-in for a trained G, whose samples have known numbers."""

    def __init__(self, make, codec):
        self.make, self.codec = make, codec

    def encoded(self, n, rng):
        return self.make(n, rng)


def _values(dataset, make, **options):
    rows = quality_report(dataset, Sampler(make, dataset.codec), np.random.default_rng(0), **options)
    return {name: value.split(" ± ")[0] for name, value, _ in rows}


def test_an_exact_sampler_scores_what_it_should():
    ring = load_data("ring")
    found = _values(ring, lambda n, rng: ring.sampler(n, rng).next())
    assert found["modes"] == "8 of 8"
    assert float(found["HQ"].rstrip("%")) == pytest.approx(98.9, abs=0.7)  # 3 standard errors of 2,500 draws
    assert float(found["reverse KL"]) < 0.01 and float(found["JSD"]) < 0.005
    assert all(0.9 < float(part.strip("(to)")) < 1.1 for part in found["std ratio"].split() if part != "to")
    assert float(found["MMD test"].removeprefix("p = ")) > 0.01


def test_a_collapsed_sampler_does_not():
    ring = load_data("ring")
    def two_modes(n, rng):
        return (ring.centres[:2][rng.integers(2, size=n)] + 0.01 * rng.standard_normal((n, 2))).astype(np.float32)

    found = _values(ring, two_modes)
    assert found["modes"] == "2 of 8" and found["MMD test"] == "p = 0.005"
    assert float(found["reverse KL"]) == pytest.approx(np.log(4), abs=0.01)
    assert float(found["JSD"]) > 0.3


def test_the_digits_themselves_and_noise():
    digits = load_data("digits")
    copies = _values(digits, lambda n, rng: digits.x[rng.permutation(len(digits.x))[:n]], draws=1)
    noise = _values(digits, lambda n, rng: rng.uniform(-1, 1, (n, *digits.x.shape[1:])).astype(np.float32), draws=1)
    assert float(copies["precision"]) == 1 and float(copies["coverage"]) == 1 and float(copies["Frechet"]) < 1e-3
    assert float(noise["precision"]) == 0 and float(noise["Frechet"]) > 1
    assert float(copies["rarest class"].rstrip("%")) > 9 > float(noise["rarest class"].rstrip("%"))


def test_parzen_comes_with_its_caution():
    ring = load_data("ring")
    G = Sampler(lambda n, rng: ring.sampler(min(n, 500), rng).next(), ring.codec)
    rows = quality_report(ring, G, np.random.default_rng(0), with_parzen=True)
    name, value, meaning = rows[-1]
    assert name == "Parzen" and " ± " in value and "advise against" in meaning and "fresh samples" in meaning


def test_parzen_is_that_of_held_out_samples():
    """A sampler that repeats the training data: its windows cover those far better than the samples that were held out."""
    digits = load_data("digits", held_out=0.5)

    def copies(n, rng):
        return digits.x[rng.integers(len(digits.x), size=min(n, 800))]

    rng = np.random.default_rng(0)
    held = report._parzen_measure(digits, Sampler(copies, digits.codec), rng)
    own = report._parzen_measure(replace(digits, held=None), Sampler(copies, digits.codec), rng)
    assert "held-out data" in held.meaning and "trained on, as there is no test set" in own.meaning
    assert float(held.value.split()[0]) < float(own.value.split()[0]) - 10


def _run(tmp_path, **options):
    config = Config(data="ring", **{"steps": 30, "batch": 16, "z": 3, "hidden": (8, 8), **options})
    return Run(config, load_data("ring"), CPU, tmp_path / "run")


def test_map_of_a_constant_d(tmp_path):
    """D = 1/2 against a G far from every mode: D* is 1 on the data and 0 on the fakes, so the distance is 1/2."""
    job = _run(tmp_path)
    for t in job.game.D.layers[-1].parameters().values():
        t.array[...] = 0
    for t in job.game.G.parameters().values():
        t.array[...] = 0
    found = d_against_optimum(job, n=1000)
    assert found.l1 == pytest.approx(0.5, abs=1e-5)
    assert job.game.D.training


@pytest.mark.parametrize("options", [{"pack": 2}, {"smooth": 0.1}, {"objective": "hinge"}])
def test_no_map_where_d_star_means_something_else(tmp_path, options):
    assert d_against_optimum(_run(tmp_path, **options), n=10) is None


def test_command_line_from_training_to_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(alarms, "retrained_value", partial(alarms.retrained_value, steps=60))  # what it finds is not looked at
    small = ["--steps", "20", "--batch", "16", "--hidden", "8", "--z", "3"]
    assert command(["train", "ring", *small, "--diagnose"]) == 0
    captured = capsys.readouterr()
    assert "std ratio" in captured.out and "MMD test p = 0.005" in captured.out
    assert "--preset density" not in captured.out, "after 20 steps the one mode that has samples is too wide"
    assert (tmp_path / "runs/ring/optimum.png").read_bytes().startswith(b"\x89PNG") and "optimum.png" in captured.out
    assert captured.err.count("V + log 4 is") == 2  # at steps 10 and 20
    assert command(["evaluate", "runs/ring"]) == 0
    assert "reverse KL" in capsys.readouterr().out
    monkeypatch.setattr(report, "MOST_COMPARED", 100)
    assert command(["train", "digits", *small]) == 0
    assert not (tmp_path / "runs/digits/optimum.png").exists()
    assert command(["evaluate", "runs/digits"]) == 0
    assert "rarest class" in capsys.readouterr().out
    assert command(["evaluate", "runs/digits", "--held-out"]) == 2
    assert "was trained on all of its data" in capsys.readouterr().err
    assert command(["train", "digits", *small, "--held-out", "0.1"]) == 0
    assert "180 of 1,797 samples are held out" in capsys.readouterr().err
    assert command(["evaluate", "runs/digits", "--held-out", "--draws", "1"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "nearer to training" in told and "held-out recall" in told and "±" not in told.split("held-out precision")[0]
    assert command(["evaluate", "runs/digits", "--held-out", "--data", "digits"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
    assert command(["evaluate", "runs/ring", "--held-out"]) == 2
    assert "drawn fresh" in capsys.readouterr().err
    assert command(["train", "digits", *small, "--resume", "--held-out", "0.2"]) == 2
    assert "--held-out is 0.2" in capsys.readouterr().err
    assert command(["evaluate", "runs/nothing"]) == 2
    assert "there is no run" in capsys.readouterr().err


def test_tables_are_measured_too(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.standard_normal((60, 3)))
    dataset = load_data(tmp_path / "t.npy")
    Run(Config(data="t", steps=1, hidden=(4,), z=2, batch=8), dataset, CPU, tmp_path / "run").train()
    rows = quality_report(dataset, load_generator(tmp_path / "run", CPU), rng)
    assert [name for name, _, _ in rows] == ["precision", "recall", "density", "coverage", "Frechet"]

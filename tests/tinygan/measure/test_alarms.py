"""Alarms: they go off where something is wrong, stay silent where nothing is, and never change the run that they watch."""

from functools import partial

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.cli.main import run as command
from tinygan.data import load as load_data
from tinygan.engine.tensor import Tensor
from tinygan.measure import alarms
from tinygan.measure.alarms import Alarms, diagnose
from tinygan.measure.best_d import retrained_value
from tinygan.measure.metrics import CollapseSigns, collapse_signs
from tinygan.measure.samples import fake_samples
from tinygan.nn.layers import Linear, Sequential
from tinygan.training.config import Config
from tinygan.training.run import Run

CPU = load("cpu")
SMALL = {"steps": 400, "batch": 32, "z": 4, "hidden": (16, 16), "ema": 0.0}


def _run(tmp_path, **options):
    config = Config(data="ring", **{**SMALL, **options})
    return Run(config, load_data("ring"), CPU, tmp_path / "run")


def _d(inputs=2, seed=0):
    made = {"backend": CPU, "rng": np.random.default_rng(seed)}
    return Sequential(Linear(inputs, 16, act="leaky_relu", slope=0.2, **made), Linear(16, 1, **made))


def _points(n, shift=0.0, seed=0):
    return (np.random.default_rng(seed).standard_normal((n, 2)) + np.array([shift, 0])).astype(np.float32)


# ---- retraining ---------------------------------------------------------------------------------------------------------------


def test_retrained_d_finds_the_divergence():
    """N(0, I) against N((2, 0), I): 2 JSD by quadrature along the axis that matters."""
    x = np.linspace(-8, 10, 4001)
    p, q = (np.exp(-((x - a) ** 2) / 2) / np.sqrt(2 * np.pi) for a in (0, 2))
    m, cell = (p + q) / 2, x[1] - x[0]
    expected = ((p * np.log(p / m) + q * np.log(q / m)) * cell).sum()
    found = retrained_value(_d(), _points(8000), _points(8000, 2.0, seed=1), np.random.default_rng(0))
    assert found.gap == pytest.approx(expected, abs=0.05)  # 2,000 samples judge: a standard error of 0.02
    assert expected == pytest.approx(0.69, abs=0.05)


def test_retrained_d_gains_nothing_where_there_is_nothing():
    found = retrained_value(_d(), _points(2000), _points(2000, seed=1), np.random.default_rng(0), steps=300)
    assert abs(found.gap) < 0.03


def test_learning_by_heart_gains_nothing():
    """400 samples in 100 dimensions can be told apart one by one; V on samples that were held out stays near -log 4."""
    rng = np.random.default_rng(0)
    real, fake = (rng.standard_normal((400, 100)).astype(np.float32) for _ in range(2))
    D = _d(100)
    for t in D.layers[-1].parameters().values():
        t.array[...] *= 0.1
    assert retrained_value(D, real, fake, rng, steps=400).gap < 0.1
    learnt = [D(Tensor(x[:200], CPU)).numpy() for x in (real, fake)]
    assert learnt[0].min() > learnt[1].max()  # by heart it was


def test_packs_are_kept_whole():
    found = retrained_value(_d(6), _points(100), _points(100, 3.0, seed=1), np.random.default_rng(0), steps=60, pack=3)
    assert np.isfinite(found.v)


# ---- the diagnosis ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fewer_steps(monkeypatch):
    """Let the diagnosis retrain D for 60 steps instead of 800: each takes the same numbers and networks as any other."""
    monkeypatch.setattr(alarms, "retrained_value", partial(alarms.retrained_value, steps=60))


def test_diagnosis_sees_a_d_that_never_learnt(tmp_path, fewer_steps):
    job = _run(tmp_path)
    for t in job.game.D.layers[-1].parameters().values():
        t.array[...] = 0
    line = diagnose(job, 1024)
    assert "V + log 4 is 0.000 by this run's D" in line and "D has not learnt" in line


def test_diagnosis_leaves_the_run_alone(tmp_path, fewer_steps):
    job = _run(tmp_path)
    before = {name: np.array(array) for name, array in job.live_arrays().items()}
    states = {name: rng.bit_generator.state for name, rng in job.rngs.items()}
    diagnose(job, 512)
    for name, array in job.live_arrays().items():
        np.testing.assert_array_equal(array, before[name])
    assert states == {name: rng.bit_generator.state for name, rng in job.rngs.items()}


@pytest.mark.parametrize(("own", "best", "word"), [
    (0.0, 0.6, "not learnt"), (0.0, 0.02, "near the equilibrium"), (0.9, 1.0, "far from the data"), (0.15, 0.4, "behind"),
    (0.2, 0.25, "some way to go"),
])
def test_advice(own, best, word):
    assert word in alarms._advice(own, best, Config(data="ring"))


def test_advice_of_the_diagnosis_is_not_to_add_what_is_in_use():
    assert "--r1" in alarms._advice(0.9, 1.0, Config(data="ring", r1=0.0))
    assert "--r1" not in alarms._advice(0.9, 1.0, Config(data="ring", r1=0.1))


# ---- collapse -----------------------------------------------------------------------------------------------------------------


def _ring(n, modes=8, seed=0, std=0.02):
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.integers(modes, size=n) / 8
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) + std * rng.standard_normal((n, 2))


@pytest.mark.parametrize("fake", [
    _ring(512, modes=5, seed=1),  # three of eight modes missing, the others perfect
    np.full((512, 2), 0.3) + 1e-4 * np.random.default_rng(0).standard_normal((512, 2)),  # one point, off the data
    _ring(512, modes=1, seed=1),
    np.repeat(_ring(12, seed=2), 43, axis=0)[:512] + 1e-5 * np.random.default_rng(0).standard_normal((512, 2)),  # 12 over and over
])
def test_collapse_is_seen(fake):
    assert collapse_signs(_ring(512), fake).collapsed


def test_healthy_samples_raise_no_alarm():
    """Forty draws of real against real samples raise no alarm and come nowhere near one."""
    looks = [collapse_signs(_ring(512, seed=s), _ring(512, seed=1000 + s)) for s in range(40)]
    assert not any(seen.collapsed for seen in looks)
    assert max(seen.missed for seen in looks) < 0.15 and min(seen.coverage for seen in looks) > 0.8


def test_blurred_but_complete_samples_are_no_collapse():
    assert not collapse_signs(_ring(512), _ring(512, seed=3, std=0.2)).collapsed


@pytest.mark.parametrize(("seen", "collapsed"), [
    ((0.9, 0.9, 0.0, 1.0), False), ((0.9, 0.4, 0.0, 1.0), True), ((0.3, 0.4, 0.0, 1.0), False), ((0.3, 0.4, 0.5, 1.0), True),
    ((0.3, 0.6, 0.0, 0.01), True),
])
def test_each_sign_counts(seen, collapsed):
    assert CollapseSigns(*seen).collapsed is collapsed


def _watched(tmp_path, monkeypatch, seen, **options):
    """Alarms on a run that is not played, and what they said. seen: the signs of every check, or a function of the step."""
    job, said = _run(tmp_path, **options), []
    watch = Alarms(job, said.append)
    looks = []

    def signs(real, fake):
        looks.append(watch.step)
        return seen(watch.step) if callable(seen) else seen

    def read(step, v=-1.0):
        watch.step = step
        watch({"step": step, "v": v})

    monkeypatch.setattr(alarms, "collapse_signs", signs)
    return read, said, looks, watch


COLLAPSED, HEALTHY = CollapseSigns(0.9, 0.1, 0.6, 1.0), CollapseSigns(0.9, 0.9, 0.0, 1.0)
# of a G on its way to the data: two checks of ring, where all modes came later
ON_ITS_WAY = CollapseSigns(0.01, 0.02, 0.45, 3.4), CollapseSigns(0.91, 0.49, 0.46, 0.5)


@pytest.mark.parametrize(("looks", "collapsed"), [
    ([(0.0, 0.0, 0.85, 9.0), (0.0, 0.0, 0.34, 9.6), (0.0, 0.0, 0.59, 11.0)], True),  # most of them
    ([(0.0, 0.0, 0.85, 9.0), (0.0, 0.0, 0.34, 9.6), (0.0, 0.0, 0.49, 11.0)], False),
    ([(0.3, 0.6, 0.0, 0.01)] * 2, True), ([(0.3, 0.6, 0.0, 0.01), (0.3, 0.6, 0.0, 1.0)], False),
    ([(0.9, 0.2, 0.4, 1.0)] * 2, True), ([(0.9, 0.2, 0.4, 1.0), (0.9, 0.3, 0.4, 1.0)], False), ([(0.4, 0.2, 0.4, 1.0)], False),
    *([[(seen.precision, seen.coverage, seen.missed, seen.crowding)], False] for seen in ON_ITS_WAY),
])
def test_what_successive_checks_show(looks, collapsed):
    assert alarms.shows_collapse([CollapseSigns(*seen) for seen in looks]) is collapsed


@pytest.mark.parametrize("steps", [1000, 2000, 100_000])
def test_collapse_is_judged_by_the_steps_taken_not_by_their_share_of_the_run(tmp_path, monkeypatch, steps):
    read, said, looks, _ = _watched(tmp_path, monkeypatch, COLLAPSED, steps=steps)
    for step in range(10, 1000, 10):
        read(step)
    assert looks == [200, 400, 600, 800] and not said
    for step in range(1000, 2000, 10):
        read(step)
    (line,) = said  # once
    assert line.startswith("step 1,000: mode collapse, since step 200 at least: G stays away from regions with 60% of the data")
    assert "add --pack 2" in line and "\n" not in line


def test_looks_become_rarer_as_the_run_goes_on(tmp_path, monkeypatch):
    read, _, looks, _ = _watched(tmp_path, monkeypatch, HEALTHY, steps=100_000)
    for step in range(10, 100_000, 10):
        read(step)
    assert np.diff(looks)[:10].max() == 200 and 8000 >= np.diff(looks)[-1] > 7000 and len(looks) < 60


def test_a_g_on_its_way_to_the_data_has_not_collapsed(tmp_path, monkeypatch):
    read, said, *_ = _watched(tmp_path, monkeypatch, lambda step: ON_ITS_WAY[step > 3000], steps=4000)
    for step in range(10, 4000, 10):
        read(step)
    assert not said


def test_most_of_the_last_checks_have_to_show_it(tmp_path, monkeypatch):
    read, said, *_ = _watched(tmp_path, monkeypatch, lambda step: COLLAPSED if step % 400 else HEALTHY, steps=4000)
    for step in range(10, 1010, 10):  # checks at 200, 400, ...: three of five
        read(step)
        assert bool(said) == (step >= 1000)


def test_the_end_of_a_collapse_is_said_and_another_one_too(tmp_path, monkeypatch):
    read, said, _, watch = _watched(tmp_path, monkeypatch, lambda step: HEALTHY if 1400 <= step < 2000 else COLLAPSED, steps=9000)
    for step in range(10, 1990, 10):
        read(step)
    assert len(said) == 2
    assert said[1].endswith("the mode collapse is over: G stays away from regions with 0% of the data, and covers 90% of it")
    assert watch.over == {"collapse"} and set(watch.said) == {"collapse"}
    for step in range(2000, 4000, 10):
        read(step)
    assert len(said) == 3 and "mode collapse, since step " in said[2] and watch.over == set()


@pytest.mark.parametrize(("options", "cures"), [
    ({"r1": 0.0}, "add --r1, add --pack 2, add --unroll or raise --k"),
    ({"r1": 0.3}, "add --pack 2, add --unroll or raise --k"),
    ({"r1": 0.3, "pack": 2}, "add --unroll or raise --k"),
    ({"r1": 0.3, "pack": 2, "unroll": 1}, "raise --k"),
    ({"r1": 0.0, "update": "simultaneous", "batch": 33}, "add --r1 or raise --k"),
])
def test_advice_names_only_what_is_not_in_use_and_fits(tmp_path, monkeypatch, options, cures):
    read, said, *_ = _watched(tmp_path, monkeypatch, COLLAPSED, **{"steps": 2000, **options})
    for step in range(10, 1010, 10):
        read(step)
    assert said[0].endswith(f"To cure it: {cures}")


@pytest.mark.parametrize(("objective", "right", "balanced", "name"), [
    ("nonsaturating", -0.01, -1.3, "V"), ("hinge", -0.05, -1.9, "the hinge goal"),
    ("least-squares", -0.005, -0.24, "the least-squares goal"), ("relativistic", -0.01, -0.6, "the relativistic goal"),
])
def test_strong_d_alarm_and_its_end(tmp_path, monkeypatch, objective, right, balanced, name):
    read, said, _, watch = _watched(tmp_path, monkeypatch, HEALTHY, steps=9000, objective=objective, r1=0.0, k=2)
    for step in range(10, 6010, 10):
        read(step, right if 1000 < step <= 3000 else balanced)
    first, second = said
    assert f": {name} has stayed near 0 " in first
    assert first.endswith("To cure it: add --r1, add --noise, lower --lr-d or lower --k")
    assert first.startswith(("step 1,9", "step 2,0"))
    assert f"{name} has left 0" in second and watch.over == {"strong-d"}


def test_a_goal_without_a_bound_says_nothing_of_a_strong_d(tmp_path, monkeypatch):
    read, said, *_ = _watched(tmp_path, monkeypatch, HEALTHY, steps=9000, objective="wasserstein")
    for step in range(10, 3010, 10):
        read(step, 0.0)
        read(step + 5, 7.0)
    assert not said


def test_a_watched_run_is_the_same_run(tmp_path, fewer_steps):
    plain, watched = _run(tmp_path / "a"), _run(tmp_path / "b")
    plain.train()
    watched.train(Alarms(watched, lambda line: None, n=64, diagnosing=True))
    for name, array in plain.live_arrays().items():
        np.testing.assert_array_equal(array, watched.live_arrays()[name])


def test_samples_are_those_of_the_average_and_of_the_data(tmp_path):
    job = _run(tmp_path, ema=0.9)
    for t in job.game.average.parameters().values():
        t.array[...] = 0
    assert (fake_samples(job, 600, np.random.default_rng(0)) == 0).all()
    assert job.game.G.training
    assert job.dataset.some(7, np.random.default_rng(0)).shape == (7, 2)


def test_nan_stops_the_run_with_advice(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with np.errstate(over="ignore", invalid="ignore"):
        assert command(["train", "ring", "--steps", "400", "--lr-d", "1e30", "--lr-g", "1e30", "--hidden", "8"]) == 2
    error = capsys.readouterr().err
    assert "diverged" in error and "Lower --lr-d" in error

"""The race to a quality: engines play the same game, what is timed is their steps, and arriving is no fluke of one look."""

import json

import numpy as np
import pytest
from tinygan_kernels import load

from benchmarks.speed import to_quality
from benchmarks.speed.recipe import NEUTRAL, Tinygan, recipe_of
from benchmarks.speed.to_quality import GOALS, Batches, Side, peers_of, race
from tinygan.data import load as load_data
from tinygan.training.config import Config
from tinygan.training.run import Run

CPU = load("cpu")
SMALL = {"hidden": (8, 8), "hidden_d": (8,), "z": 4, "batch": 16, "r1": 0.1, "ema": 0.9, "decay": 0.5, "steps": 12}


def run_of(data, **options):
    return Run(Config(data=data, **{**SMALL, **options}), load_data(data), CPU, None)


@pytest.mark.parametrize("data", ["ring", "digits"])
def test_tinygan_in_the_race_plays_the_steps_of_a_run_bit_for_bit(data):
    """Batches, noise and rates, which fall in the second half, come from another run of the same seed."""
    alone = run_of(data)
    alone.train()
    raced, batches = Tinygan(run_of(data)), Batches(run_of(data))
    for size in (5, 5, 5):
        for step in batches.block(size):
            raced.step(*step)
    assert batches.block(5) == []
    for mine, theirs in zip(raced.weights(), Tinygan(alone).weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    z = np.ones((3, 4), np.float32)
    assert raced.samples(z).shape == (3, 2 if data == "ring" else 64)
    last_of_g = [*raced.run.game.G.parameters().values()][-1].numpy()
    assert not np.array_equal(raced.weights()[-1], last_of_g), "the last weights are the average's"


def test_a_recipe_that_the_peers_do_not_have_is_refused():
    assert recipe_of(run_of("ring").config, False).r1 == 0.1
    others = {"r2": 0.1, "objective": "hinge", "signs": 2, "k": 2}
    for options, word in (*(({name: value}, name) for name, value in others.items()), ({"ema": 0.0}, "average")):
        with pytest.raises(ValueError, match=f"the peers do not have .*{word}"):
            recipe_of(run_of("ring", **options).config, False)
    assert set(NEUTRAL) <= set(Config.__dataclass_fields__)


class Stub:
    """An engine whose steps take `takes` seconds of a clock that its steps move, and whose start takes 10 more."""

    def __init__(self, takes, clock):
        self.takes, self.clock, self.played = takes, clock, 0

    def step(self, number):
        self.clock[0] += self.takes + (5 if self.played < 2 else 0)
        self.played += 1

    def wait(self):
        self.clock[0] += 0.25

    def weights(self):
        return []


class Numbers:
    """Batches that are the numbers of the steps."""

    def __init__(self, steps):
        self.left = iter(range(steps))

    def block(self, steps):
        return [(number,) for _, number in zip(range(steps), self.left, strict=False)]


def raced(reached, limit=1e9, steps=100, takes=(1.0, 3.0)):
    """A race of two engines; reached: which numbers of steps show the quality."""
    clock = [0.0]
    sides = {f"{t:g}": Side(Stub(t, clock), lambda: clock[0]) for t in takes}

    def look(engine):
        clock[0] += 1000  # judging is outside the clock
        return {"quality": engine.played}, engine.played in reached

    return race(Numbers(steps), sides, look, 10, limit)


def test_a_side_arrives_at_the_first_of_two_looks_in_a_row():
    found = raced(reached={20, 40, 50, 60})
    for name, takes in (("1", 1.0), ("3", 3.0)):
        side = found[name]
        assert side["steps"] == 40 and side["played"] == 50, "not at 20, which the look at 30 did not confirm"
        assert side["seconds"] == pytest.approx(38 * takes + 4 * 0.25) and side["start"] == pytest.approx(2 * takes + 10.25)
        assert side["ms"] == pytest.approx(1000 * (takes + 0.025))
        assert [look["quality"] for look in side["looks"]] == [10, 20, 30, 40, 50]


def test_a_side_that_does_not_arrive_is_said_not_to():
    found = raced(reached={100}, limit=60)
    assert found["1"]["steps"] is found["1"]["seconds"] is None and found["1"]["played"] == 70 and found["3"]["played"] == 30
    whole = raced(reached={100})
    assert [side["played"] for side in whole.values()] == [100, 100] and whole["1"]["seconds"] is None


@pytest.mark.parametrize(("data", "good", "bad"), [
    ("ring", {"modes": 8, "reverse_kl": 0.01}, [{"modes": 7, "reverse_kl": 0.01}, {"modes": 8, "reverse_kl": 0.011}]),
    ("digits", {"precision": 0.95, "recall": 0.85}, [{"precision": 0.94, "recall": 0.9}, {"precision": 1.0, "recall": 0.84}]),
])
def test_goals(data, good, bad):
    goal, dataset = GOALS[data], load_data(data)
    assert goal.reached(good) and not any(map(goal.reached, bad))
    real = dataset.some(goal.samples, np.random.default_rng(0))
    assert goal.reached(goal.measure(dataset, real)), "real samples have the quality"
    assert not goal.reached(goal.measure(dataset, np.zeros_like(real) + real[:1]))


def test_the_command_writes_a_record(monkeypatch, tmp_path, capsys):
    defaults = to_quality.with_defaults
    monkeypatch.setattr(to_quality, "with_defaults", lambda dataset, given: {**defaults(dataset, given), **SMALL})
    monkeypatch.setattr("sys.argv", ["to_quality", "--data", "ring", "--peers", "", "--seeds", "1", "--every", "6",
                                     "--json", str(tmp_path / "a.json")])
    to_quality.main()
    record = json.loads((tmp_path / "a.json").read_text())
    side = record["data"]["ring"]["seeds"][0]["tinygan"]
    assert [look["step"] for look in side["looks"]] == [6, 12] and side["steps"] is None and side["ms"] > 0
    assert "not in 12 steps" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["to_quality", "--every", "2"])
    with pytest.raises(SystemExit):
        to_quality.main()
    assert "three steps between looks" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "nan"])
def test_a_race_without_time_is_refused(limit, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["to_quality", f"--limit={limit}"])
    with pytest.raises(SystemExit):
        to_quality.main()
    assert f"--limit is {limit}, it has to be above 0" in capsys.readouterr().err


# ---- the peers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("name", ["torch", "torch-compile", "jax"])
def test_a_peer_plays_the_same_game(name):
    """From equal weights, on equal batches: D, G and the average after six steps, and the samples. A large R1, so that it shows."""
    pytest.importorskip(name.split("-")[0], reason="needs the peers: pip install -e '.[peers]'")
    for data in ("ring", "digits"):
        mine, batches = Tinygan(run_of(data, r1=2.0, beta1=0.5, lr_d=1e-3, lr_g=1e-3)), Batches(run_of(data, beta1=0.5))
        ((_, peer, why),) = peers_of({name}, mine)
        assert peer is not None, why
        before = mine.weights()
        for mine_too, theirs in zip(before, peer.weights(), strict=True):
            np.testing.assert_array_equal(mine_too, theirs)
        for step in batches.block(6):
            mine.step(*step)
            peer.step(*step)
        peer.wait()
        moved = [np.abs(now - then).max() for now, then in zip(mine.weights(), before, strict=True)]
        off = [np.abs(a - b).max() for a, b in zip(mine.weights(), peer.weights(), strict=True)]
        assert min(moved) > 1e-4 and max(off) < 3e-6, "a beta2 of 0.999 in the place of 0.99 is 1e-5 off"
        z = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
        np.testing.assert_allclose(mine.samples(z), peer.samples(z), atol=1e-4)


def test_a_peer_that_is_missing_is_named(monkeypatch):
    def missing(*_):
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(to_quality, "_peer", missing)
    assert list(peers_of({"torch", "jax"}, Tinygan(run_of("ring")))) == [
        ("torch", None, "No module named 'torch'"), ("jax", None, "No module named 'torch'")]

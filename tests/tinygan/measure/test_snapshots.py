"""Snapshots: pictures of one z on the way, which change nothing of the run and survive its interruptions."""

import numpy as np
import pytest
from PIL import Image
from tinygan_kernels import load

from tinygan import fit
from tinygan.data import load as load_data
from tinygan.measure import snapshots
from tinygan.measure.snapshots import Snapshots, pictures_of, step_of
from tinygan.nn import Linear, Sequential
from tinygan.options import OptionError
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.config import Config
from tinygan.training.run import Run

CPU = load("cpu")


def _run(out, **options):
    small = {"steps": 60, "batch": 16, "z": 4, "hidden": (8,), "save_every": 20}
    return Run(Config(data="ring", **{**small, **options}), load_data("ring"), CPU, out)


@pytest.fixture
def drawn(monkeypatch):
    """Have pictures noted as (step, samples, data) instead of drawn, which is slow; a small file stands in their place."""
    seen = []

    def draw(dataset, fake, title, path, rng):
        seen.append((step_of(path), fake.copy(), dataset.some(4, rng)))
        Image.new("RGB", (6, 4), (len(seen) * 20, 0, 0)).save(path)

    monkeypatch.setattr(snapshots, "draw_samples", draw)
    return seen


@pytest.mark.parametrize(("count", "steps"), [(0, []), (1, [10]), (2, [10, 60]), (3, [10, 30, 60]), (7, [10, 20, 30, 40, 50, 60])])
def test_pictures_come_at_even_distances(tmp_path, drawn, count, steps):
    run = _run(tmp_path / "run")
    run.train(Snapshots(run, count))
    assert [step for step, *_ in drawn] == steps == [step_of(path) for path in pictures_of(tmp_path / "run" / "snapshots")]


def test_every_picture_shows_the_same_z_and_the_same_data(tmp_path, drawn):
    run = _run(tmp_path / "run", ema=0.0, lr_g=1e-30, lr_d=1e-30)  # a G that does not move
    run.train(Snapshots(run, 4))
    for _, fake, real in drawn[1:]:
        np.testing.assert_allclose(fake, drawn[0][1], rtol=0, atol=1e-20)
        np.testing.assert_array_equal(real, drawn[0][2])
    assert np.ptp(drawn[0][1]) > 0


def test_a_run_with_snapshots_is_the_same_run(tmp_path, drawn):
    plain, watched = _run(tmp_path / "a"), _run(tmp_path / "b")
    plain.train()
    watched.train(Snapshots(watched, 5))
    for name, array in plain.live_arrays().items():
        np.testing.assert_array_equal(array, watched.live_arrays()[name])


def test_a_resumed_run_has_the_pictures_of_a_straight_one(tmp_path, drawn):
    straight, out = _run(tmp_path / "a"), tmp_path / "b"
    straight.train(Snapshots(straight, 7))
    wanted, _ = {step: fake for step, fake, _ in drawn}, drawn.clear()
    first = _run(out)
    taken = iter([False] * 44)
    first.train(Snapshots(first, 7), lambda: next(taken, True))  # ends after step 45
    (out / "snapshots" / "step-000000050.png").write_bytes(b"of a step that was lost")
    (out / "snapshots" / "step-mine.png").write_bytes(b"not ours")
    again = Run.resume(load_data("ring"), CPU, out, {})
    again.train(Snapshots(again, 7))
    assert {step: fake.tobytes() for step, fake, _ in drawn} == {step: fake.tobytes() for step, fake in wanted.items()}
    assert [step_of(path) for path in pictures_of(out / "snapshots")] == sorted(wanted)
    assert (out / "snapshots" / "step-mine.png").read_bytes() == b"not ours"


def test_the_animation_has_every_picture_in_order_and_stays_on_the_last(tmp_path, drawn):
    run = _run(tmp_path / "run")
    made = Snapshots(run, 4)
    run.train(made)
    path = made.animate()
    assert path == tmp_path / "run" / "snapshots.gif"
    with Image.open(path) as movie:
        assert movie.n_frames == 4 and movie.info["loop"] == 0 and movie.info["comment"] == b"tinygan"  # no data for a run
        reds, lengths = [], []
        for number in range(4):
            movie.seek(number)
            reds.append(movie.convert("RGB").getpixel((0, 0))[0])
            lengths.append(movie.info["duration"])
    assert reds == [20, 40, 60, 80] and lengths == [200, 200, 200, 2000]


def test_without_pictures_there_is_no_animation(tmp_path):
    assert Snapshots(_run(tmp_path / "run"), 0).animate() is None and not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_to(tmp_path):
    run = _run(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "snapshots").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"cannot write to .*snapshots: File exists"):
        run.train(Snapshots(run, 2))


def test_fit_takes_snapshots_into_its_folder(tmp_path, drawn):
    def networks():
        rng = np.random.default_rng(0)
        return Sequential(Linear(3, 2, rng=rng)), Sequential(Linear(2, 1, rng=rng))

    x = np.random.default_rng(1).standard_normal((50, 2))
    fit(*networks(), x, steps=20, batch=8, snapshots=2, out=tmp_path / "run", progress=False)
    assert [step for step, *_ in drawn] == [10, 20] and (tmp_path / "run" / "snapshots.gif").exists()
    with pytest.raises(OptionError, match="snapshots are files in the run's folder; say where that is: out="):
        fit(*networks(), x, steps=20, batch=8, snapshots=2)

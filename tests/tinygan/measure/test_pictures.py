"""The pictures of a run: whole PNGs for every kind of data, however few or odd, that show what they are given."""

import json
import os

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tinygan.data import Dataset, load
from tinygan.data.kinds import Images, Sound, Table
from tinygan.measure import pictures
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.config import Config

RNG = np.random.default_rng(7)


def images(n, *shape):
    return Dataset("p", Images(shape), RNG.uniform(-1, 1, (n, *shape)).astype(np.float32))


def table(n, mean, std, columns, name="t.csv"):
    codec = Table((len(columns),), mean=(mean,) * len(columns), std=(std,) * len(columns), columns=columns)
    return Dataset(name, codec, RNG.standard_normal((n, len(columns))).astype(np.float32))


def sound(n, window):
    return Dataset("s.wav", Sound((window,), rate=8000), RNG.uniform(-1, 1, (n, window)).astype(np.float32))


SETS = {
    "grey": lambda: images(70, 8, 8, 1), "grey and opaque": lambda: images(5, 8, 6, 2), "RGB": lambda: images(2, 7, 9, 3),
    "RGBA": lambda: images(9, 8, 8, 4), "large": lambda: images(64, 64, 64, 3), "one pixel": lambda: images(3, 1, 1, 1),
    "ring": lambda: load("ring"), "grid": lambda: load("grid"),
    "one column": lambda: table(9, 0.0, 1.0, ("a",)), "two rows": lambda: table(2, 5.0, 0.1, ("a", "b")),
    "thirteen columns": lambda: table(30, 0.0, 1.0, tuple(f"column {j}" for j in range(13))),
    "names like formulas": lambda: table(9, 0.0, 1.0, ("cost in $ and $^", r"$\frac", "名前", "x" * 200), "a$^b$_{" + "x" * 200),
    "huge": lambda: table(9, 0.0, 1e299, ("a",)), "tiny": lambda: table(9, 0.0, 1e-310, ("a",)),
    "far from zero": lambda: table(9, 1e16, 1.0, ("a",)), "sound": lambda: sound(3, 64), "two samples": lambda: sound(20, 2),
}


def size_of(path):
    """Decode every pixel of a PNG that is not empty, and return (width, height)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        assert np.asarray(image.convert("L")).std() > 1, "an empty picture"
        return image.size


@pytest.mark.parametrize(("name", "n"), [
    *((name, 64) for name in SETS), *((name, 1) for name in ("RGB", "ring", "one column", "sound"))])
def test_samples_of_every_kind(tmp_path, name, n):
    dataset = SETS[name]()
    fake = np.clip(RNG.standard_normal((n, *dataset.codec.shape)) * 0.5, -1, 1).astype(np.float32)
    pictures.draw_samples(dataset, fake, "generated: G, step 3", tmp_path / "s.png", np.random.default_rng(0))
    width, height = size_of(tmp_path / "s.png")
    assert 600 < width < 1500 and 250 < height < 1500
    assert os.listdir(tmp_path) == ["s.png"]


def test_a_constant_column(tmp_path):
    dataset = table(5, 3.0, 1.0, ("a", "b"))
    dataset.x[:] = 0
    pictures.draw_samples(dataset, np.zeros((4, 2), np.float32), "generated", tmp_path / "s.png", np.random.default_rng(0))
    size_of(tmp_path / "s.png")


def test_pictures_are_drawn_in_their_own_pixels(tmp_path):
    """White beside black and red beside blue: what is drawn left is real, right generated, colours in order."""
    for real, fake in (([255], [0]), ([250, 10, 20], [20, 10, 250])):
        codec = Images((8, 8, len(real)))
        x, made = (codec.encode(np.broadcast_to(np.uint8(colour), (4, 8, 8, len(real)))) for colour in (real, fake))
        pictures.draw_samples(Dataset("p", codec, x), made, "generated", tmp_path / "s.png", np.random.default_rng(0))
        with Image.open(tmp_path / "s.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        half = pixels.shape[1] // 2
        for side, colour in ((pixels[:, :half], real), (pixels[:, half:], fake)):
            assert (np.abs(side[60:] - np.broadcast_to(colour, 3)) <= 1).all(axis=2).mean() > 0.5


def test_the_same_generator_draws_the_same_picture(tmp_path):
    dataset = images(90, 8, 8, 1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        pictures.draw_samples(dataset, dataset.x[:64], "generated", tmp_path / name, np.random.default_rng(seed))
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


# ---- curves -------------------------------------------------------------------------------------------------------------


def metrics(path, n):
    rows = [{"step": 10 * (i + 1), "v": -2 + i / (n + 1), "d_real": 0.9 - i / (9 * n), "d_fake": 0.1 + i / (9 * n),
             "d_loss": 2 - i / (n + 1), "g_loss": 1 + i / (n + 1)} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(monkeypatch, path, n, samples=None, **options):
    """Draw the curves of n readings, and return the axes of the three panels."""
    figures, write = [], pictures._write
    monkeypatch.setattr(pictures, "_write", lambda figure, to: (figures.append(figure), write(figure, to)))
    pictures.draw_curves(metrics(path / "metrics.jsonl", n), path / "c.png", Config(data="ring", **{"r1": 0.0, **options}), samples)
    assert size_of(path / "c.png")[0] > 1000
    (figure,) = figures
    assert isinstance(figure, Figure)
    return figure.axes


@pytest.mark.parametrize("n", [0, 1, 2, 30, 1000])
def test_curves_of_few_and_many_readings(tmp_path, monkeypatch, n):
    """Each curve is drawn twice, as read and averaged, over the steps that it was read at, and can be seen."""
    lines = [line for axes in drawn(monkeypatch, tmp_path, n) for line in axes.lines if line.get_linestyle() == "-"]
    assert len(lines) == 10
    for read, averaged in zip(lines[::2], lines[1::2], strict=True):
        assert list(read.get_xdata()) == [10 * (i + 1) for i in range(n)]
        x, y = averaged.get_xdata(), averaged.get_ydata()
        assert len(x) >= 0.9 * n
        np.testing.assert_allclose(np.interp(x, read.get_xdata(), read.get_ydata()) if n else [], y, rtol=1e-9)  # straight lines
        assert len(x) != 1 or averaged.get_marker() == "o"


def test_curves_show_the_equilibrium(tmp_path, monkeypatch):
    panels = drawn(monkeypatch, tmp_path, 30)
    levels = [sorted(line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--") for axes in panels]
    log4 = np.log(4)
    assert levels == [[pytest.approx(-log4)], [0.5], [pytest.approx(log4 / 2), pytest.approx(log4)]]
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [["-log 4"], ["1/2"], ["log 4", "log 2"]]
    assert [text.get_text() for axes in panels for text in axes.get_legend().get_texts()] == [
        "V(D, G)", "D(x)", "D(G(z))", "D: -V", "G"]


@pytest.mark.parametrize(("options", "labels", "levels"), [
    ({"r1": 0.3}, ["V(D, G)", "D(x)", "D(G(z))", "D: -V + penalties", "G"], [["-log 4"], ["1/2"], ["log 4", "log 2"]]),
    ({"objective": "minimax"}, ["V(D, G)", "D(x)", "D(G(z))", "D: -V", "G"], [["-log 4"], ["1/2"], ["log 4", "-log 2"]]),
    ({"objective": "wasserstein", "gp": 10.0},
     ["E D(x) - E D(G(z))", "D(x)", "D(G(z))", "D: -(E D(x) - E D(G(z))) + penalties", "G"], [["0"], [], ["0"]]),
    ({"objective": "hinge"}, ["hinge goal", "D(x)", "D(G(z))", "D: -(hinge goal)", "G"], [["-2"], [], ["2"]]),
    ({"smooth": 0.2}, ["V(D, G)", "D(x)", "D(G(z))", "D: -V", "G"], [["-1.43"], ["0.4"], ["1.35", "0.916"]]),
])  # fmt: skip
def test_curves_have_the_names_and_the_levels_of_their_own_game(tmp_path, monkeypatch, options, labels, levels):
    panels = drawn(monkeypatch, tmp_path, 30, **options)
    assert [text.get_text() for axes in panels for text in axes.get_legend().get_texts()] == labels
    assert [[text.get_text() for text in axes.texts] for axes in panels] == levels
    titles = [axes.get_title() for axes in panels]
    probability = options.get("objective", "minimax") == "minimax"
    assert ("no probability" in titles[1]) != probability and ("nats" in titles[0]) == probability


def test_curves_say_what_keeps_them_from_the_equilibrium(tmp_path, monkeypatch):
    said = {}
    for name, (samples, options) in {"density": (None, {}), "data": (1797, {}), "r1": (None, {"r1": 0.1, "gp": 1.0})}.items():
        text = drawn(monkeypatch, tmp_path, 30, samples, **options)[0].figure._supxlabel
        said[name] = text.get_text() if text else ""
    assert said["density"] == "" and "the same 1,797 data" in said["data"] and "by heart" in said["data"]
    assert said["r1"].startswith("D is kept flat by R1 and the penalty between:")


def test_pictures_that_cannot_be_written(tmp_path):
    dataset = load("ring")
    for path in (tmp_path / "none" / "s.png", tmp_path):
        with pytest.raises(CheckpointError, match="cannot write") as caught:
            pictures.draw_samples(dataset, np.zeros((4, 2), np.float32), "generated", path, np.random.default_rng(0))
        assert len(str(caught.value).splitlines()) == 1

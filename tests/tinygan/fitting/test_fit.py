"""`fit`: the command line's run to the bit, what it returns and keeps, and what it refuses in one sentence."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from fit_parts import SILENT, bits, networks, parts, points
from tiny_runs import TINY, assert_same_runs, backend, refusal
from tiny_runs import start as start_run

from tinygan import Tensor, fit, load_generator, ops, stop
from tinygan.cli.main import run as command_line
from tinygan.data import DataError, load
from tinygan.fitting import progress as fitting_progress
from tinygan.fitting.progress import as_text, lines
from tinygan.nn import BatchNorm, Conv2d, Flatten, Layer, Linear, Reshape, Sequential, discriminator, generator
from tinygan.optim import SGD, Momentum
from tinygan.options import OptionError
from tinygan.training import CheckpointError, Config, checkpoint
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.folder import METRICS
from tinygan.training.interrupt import interruptible

RUN = {"steps": 24, "batch": 8, **SILENT}


# ---- the command line's run -----------------------------------------------------------------------------------------------------


def as_the_command_line_builds(seed, data, **options):
    """Return G and D with the weights that `tinygan train` begins with."""
    config = Config(data=data, **{**TINY, "seed": seed, **options})
    architecture = config.architecture(load(data).codec)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(4)[0])
    return generator(architecture, backend("reference"), rng), discriminator(architecture, backend("reference"), rng)


@pytest.mark.parametrize("options", [{}, {"update": "simultaneous", "decay": 0.5}, {"noise": 0.1, "gp": 1.0, "pack": 2, "k": 2}])
def test_fit_is_the_command_lines_run_to_the_bit(tmp_path, options):
    given = {"seed": 3, "steps": 12, "batch": 6, "save_every": 5, "ema": 0.9, **options}
    fitted = fit(*as_the_command_line_builds(3, "ring", **options), "ring", **given, **SILENT)
    defaults = {n: v for n, v in load("ring").defaults().items() if n not in ("hidden", "hidden_d", "z")}
    run = start_run(tmp_path, "ring", **{**defaults, **given})
    run.train()
    assert bits(fitted) == {name: array.tobytes() for name, array in run.saved_arrays().items()}
    assert [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()] == [
        dict(zip(fitted.history, (int(row[0]), *row[1:]), strict=True)) for row in zip(*fitted.history.values(), strict=True)]


def test_defaults_are_those_of_the_command_line():
    fitted = fit(*networks(z=16), "ring", steps=1, **SILENT)
    for name, value in {**load("ring").defaults(), "steps": 1}.items():
        if not name.startswith("hidden"):
            assert getattr(fitted.config, name) == value, name


def test_notes_on_the_data_are_said_with_the_names_of_arguments(tmp_path):
    """Those of an array, of a data set that was read before, and of a file, whose summary is said too."""
    masks = np.random.default_rng(0).integers(0, 2, (12, 4, 4))
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "t.csv").write_text(",a,b\n" + "".join(f"{i},{i % 5},{i % 3}\n" for i in range(12)))
    white = "pixels are whole numbers from 0 to 1; 1 is taken for white"
    index = "the first column has no name and labels the rows: left out (columns x0,... reads it)"
    for data, told in (
        (masks, [white]), (load(tmp_path / "masks.npy"), [white]), (masks.astype(bool), []),
        (tmp_path / "masks.npy", ["masks.npy: 12 images of 4x4 pixels, grey", white]),
        (str(tmp_path / "t.csv"), ["t.csv: 12 rows of 2 columns: a, b", index]),
    ):
        said = []
        width = 2 if "csv" in str(data) else 16
        made = parts(np.random.default_rng(0))
        G = Sequential(Linear(3, width, **made), *([] if width == 2 else [Reshape((4, 4, 1))]))
        fit(G, Sequential(Flatten(), Linear(width, 1, **made)), data, steps=1, batch=4, progress=False, say=said.append)
        assert said == told


# ---- what comes back ------------------------------------------------------------------------------------------------------------


def test_the_result():
    G, D = networks()
    x = points()
    fitted = fit(G, D, x, lr_g=0.01, **RUN)
    assert fitted.D is D and fitted.game.G is G and fitted.G is fitted.game.average is not G
    assert fitted.step == 24 and not fitted.interrupted and fitted.eager == "" and fitted.config.z == 3
    assert set(fitted.history) == {"step", "v", "d_real", "d_fake", "d_loss", "g_loss"}
    assert fitted.history["step"].tolist() == [10, 20, 24] and fitted.history["v"].dtype == np.float64
    made = fitted.sample(7, seed=4)
    assert made.shape == (7, 2) and made.dtype == np.float64
    z = fitted.latent(7, seed=4)
    np.testing.assert_array_equal(made, fitted.generate(z))
    raw = fitted.G(Tensor(z, fitted.backend)).numpy().astype(np.float64)
    np.testing.assert_allclose(made, raw * x.std(axis=0) + x.mean(axis=0), rtol=1e-12)
    halfway = fitted.generate(0.5 * z[:1] + 0.5 * z[1:2])
    assert halfway.shape == (1, 2) and (halfway != made[:1]).any()
    assert "step 24" in repr(fitted)
    assert fit(*networks(), x, ema=0.0, **RUN).game.average is None


def test_data_as_they_are_and_columns_by_name():
    x = points()
    fitted = fit(*networks(), x, standardise=False, **RUN)
    np.testing.assert_array_equal(fitted.run.dataset.x, x.astype(np.float32))

    class Frame:
        columns = ("height", "weight")

        def __array__(self, dtype=None, copy=None):
            return x

    assert fit(*networks(), Frame(), **RUN).codec.columns == ("height", "weight")
    for same in (x.tolist(), Tensor(x, backend("reference"))):
        np.testing.assert_allclose(fit(*networks(), same, **RUN).codec.mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(fit(*networks(), x.astype(int), **RUN).codec.mean, x.astype(int).mean(axis=0))


def pictures(rng, channels=1):
    made = parts(rng)
    G = Sequential(Linear(4, 36 * channels, act="tanh", **made), Reshape(6, 6, channels))
    return G, Sequential(Conv2d(channels, 2, 3, 2, 1, act="leaky_relu", slope=0.2, **made), Flatten(), Linear(18, 1, **made))


@pytest.mark.parametrize("channels", [1, 3])
def test_images(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 6, channels), np.uint8)
    fitted = fit(*pictures(np.random.default_rng(0), channels), pixels[..., 0] if channels == 1 else pixels, **RUN)
    np.testing.assert_allclose(fitted.run.dataset.x, pixels / 127.5 - 1, atol=1e-6)
    made = fitted.sample(3)
    assert made.shape == (3, 6, 6, channels) and made.dtype == np.uint8


def test_optimisers_of_ones_own(tmp_path):
    G, D = networks()
    given = {"optim_d": SGD(D.parameters(), 0.05), "optim_g": Momentum(G.parameters(), 0.02, 0.5), "decay": 0.5}
    fitted = fit(G, D, points(), out=tmp_path / "run", **given, **RUN)
    assert {"G.momentum.velocity"} == {name for name in fitted.run.saved_arrays() if ".momentum." in name or ".adam." in name}
    assert given["optim_d"].rate == pytest.approx(0.05 * 2 / 24)  # the last step's
    assert load_generator(tmp_path / "run", "reference").sample(2).shape == (2, 2)
    assert "optimisers" in refusal(fit, *networks(), points(), out=tmp_path / "run", resume=True, error=OptionError, **RUN)


# ---- callbacks, alarms, the way there -------------------------------------------------------------------------------------------


def test_callbacks():
    seen = []

    def look(moment):
        assert moment.sample(3).shape == (3, 2) and moment.D is not None
        seen.append((moment.step, moment.reading["step"]))
        return moment.step == 14

    fitted = fit(*networks(), points(), callback=look, every=7, **RUN)
    assert seen == [(7, 7), (14, 14)] and fitted.interrupted and fitted.step == 14
    assert fitted.history["step"].tolist() == [7, 10, 14]
    watched, unwatched = (fit(*networks(), points(), callback=c, every=7, **RUN) for c in (lambda m: None, None))
    assert bits(watched) == bits(unwatched)
    assert "returned 3" in refusal(fit, *networks(), points(), callback=lambda m: 3, every=7, error=TypeError, **RUN)


def test_progress_as_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr(fitting_progress, "SECONDS", 0)
    told = []
    fit(*networks(), points(), steps=20, batch=8, say=told.append)
    assert len(told) == 2 and told[-1].startswith("step 20/20  V ") and told[-1].endswith(" steps/s, 0 s left")
    fit(*networks(), points(), steps=20, batch=8)
    assert capsys.readouterr().err.count("/20  V") == 2
    fit(*networks(), points(), steps=20, batch=8, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds_a_reading", "expected"), [(0.01, []), (1.0, [*range(50, 1001, 50)]), (30.0, None)])
def test_a_plain_line_comes_every_few_seconds_but_not_too_many_in_a_long_run(seconds_a_reading, expected):
    class Long:
        step, config = 0, Config(data="ring", steps=1000)

    told, now = [], [0.0]
    with lines(Long(), told.append, clock=lambda: now[0]) as show:
        for step in range(10, 1001, 10):
            now[0] += seconds_a_reading
            show({"step": step, "v": -1.0, "d_real": 0.5, "d_fake": 0.25})
    steps = [int(line.split("/")[0].removeprefix("step ").replace(",", "")) for line in told]
    if expected is not None:
        assert steps == expected
    else:  # a line as soon as a twentieth of the time has gone by since the last
        assert steps[:20] == [*range(10, 201, 10)] and len(steps) < 70
    if told:
        assert told[0].split("  ")[1:4] == ["V -1.000", "D(x) 0.50", "D(G(z)) 0.25"]


def test_lines_of_other_games_do_not_speak_of_v():
    class Run:
        step, config = 0, Config(data="ring", objective="wasserstein")

    assert as_text(Run(), {"v": 0.5, "d_real": 3.0, "d_fake": 2.5}) == "goal +0.500  D(x) 3.00  D(G(z)) 2.50"


def test_collapse_is_told_in_words_of_python():
    class Constant(Layer):
        def __init__(self):
            self.w = Tensor(np.zeros((3, 2), np.float32), backend("reference"), requires_grad=True)

        def __call__(self, z):
            return z @ (self.w * 1e-6)

    fitted = fit(Constant(), networks()[1], points(), steps=1000, batch=8, z=3, lr_g=1e-6, **SILENT)
    assert "mode collapse" in fitted.alarms["collapse"] and "--" not in fitted.alarms["collapse"]


def test_a_run_that_diverges(tmp_path):
    message = refusal(fit, *networks(), points(), lr_d=1e30, lr_g=1e30, error=FloatingPointError, **RUN)
    assert "diverged" in message and "lower lr_d" in message.lower() and "--" not in message and CHECKPOINT not in message
    assert CHECKPOINT in refusal(fit, *networks(), points(), lr_d=1e30, out=tmp_path / "run", error=FloatingPointError, **RUN)


def test_ctrl_c_returns_what_was_trained():
    """The signal comes while the callback runs; a second run is not interrupted, and the handler is Python's again."""
    def press(moment):
        signal.raise_signal(signal.SIGINT)

    told = []
    fitted = fit(*networks(), points(), callback=press, every=6, **{**RUN, "say": told.append})
    assert fitted.interrupted and fitted.step == 6 and told == ["interrupted: step 6 of 24 is what is returned"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fit(*networks(), points(), **RUN).step == 24


ENDING_A_PROCESS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


@pytest.mark.parametrize("number", ENDING_A_PROCESS, ids=lambda number: number.name)
def test_a_signal_that_ends_a_process_does_so_once_the_step_at_hand_is_saved(tmp_path, monkeypatch, number):
    """The signal comes again when the handlers are the system's again; here a function takes it, and so fit returns."""
    sent, told, press = [], [], signal.raise_signal
    monkeypatch.setattr(signal, "raise_signal", lambda number: sent.append((number, signal.getsignal(number))))
    options = {**RUN, "say": told.append, "callback": lambda moment: press(number), "every": 6}
    fitted = fit(*networks(), points(), out=tmp_path / "run", **options)
    assert sent == [(number, signal.SIG_DFL)] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fitted.interrupted and checkpoint.load(tmp_path / "run" / CHECKPOINT)[1]["step"] == 6
    assert told[-2] == f"{number.name}: step 6 of 24 is saved in {tmp_path / 'run'}; resume=True goes on from there"
    whole = fit(*networks(), points(), **RUN)
    again = fit(*networks(), points(), out=tmp_path / "run", resume=True, **RUN)
    assert {name: a.tobytes() for name, a in again.run.saved_arrays().items()} == {
        name: a.tobytes() for name, a in whole.run.saved_arrays().items()}


def test_without_a_folder_such_a_signal_is_the_systems_as_before():
    seen = []
    fit(*networks(), points(), callback=lambda moment: seen.extend(map(signal.getsignal, ENDING_A_PROCESS)), every=24, **RUN)
    assert seen == [signal.SIG_DFL] * len(ENDING_A_PROCESS)


ENDED = """
import os, signal, sys
import numpy as np
from tinygan import fit, nn

G, D = (nn.Sequential(nn.Linear(2, n, backend="reference", rng=0)) for n in (2, 1))
end = lambda moment: os.kill(os.getpid(), signal.SIGTERM)
fit(G, D, np.random.default_rng(0).normal(size=(9, 2)), out=sys.argv[1], steps=1000, batch=4, callback=end, every=7, progress=False)
print("and the script goes on")
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems tell by which signal a process ended")
def test_sigterm_ends_the_process_after_the_step_at_hand_is_saved(tmp_path):
    done = subprocess.run([sys.executable, "-c", ENDED, tmp_path / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM and done.stdout == "" and "SIGTERM: step 7 of 1,000 is saved" in done.stderr
    assert checkpoint.load(tmp_path / "run" / CHECKPOINT)[1]["step"] == 7


def test_a_handler_of_the_users_own_stays():
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGINT)
        with interruptible() as interrupted:
            assert signal.getsignal(signal.SIGINT) is mine
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_threads(tmp_path):
    """Neither fit nor the command line needs the main thread; runs on one backend take turns, and have the bits of one alone."""
    found = {}

    def both(name):
        found[name] = bits(fit(*networks(), points(), **RUN))

    def command():
        small = ["--steps", "2", "--hidden", "8", "--backend", "reference", "--out", str(tmp_path / "run")]
        found["command"] = command_line(["train", "ring", *small])

    threads = [threading.Thread(target=both, args=(name,)) for name in "ab"] + [threading.Thread(target=command)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["a"] == found["b"] == bits(fit(*networks(), points(), **RUN)) and found["command"] == 0


# ---- folders --------------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_resumed_ends_as_one_that_was_not(tmp_path):
    given = {**RUN, "steps": 20}
    fit(*networks(), points(), out=tmp_path / "whole", **given)
    fit(*networks(), points(), out=tmp_path / "parts", **{**given, "steps": 20}, callback=lambda m: m.step == 10, every=10)
    resumed = fit(*networks(), points(), out=tmp_path / "parts", resume=True, **given)
    assert resumed.history["step"].tolist() == [10, 20]
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    longer = fit(*networks(), points(), out=tmp_path / "parts", resume=True, **{**given, "steps": 30})
    assert longer.step == 30 and longer.history["step"].tolist() == [10, 20, 30]


def test_what_cannot_be_resumed(tmp_path):
    given = {"out": tmp_path / "run", **RUN}
    fit(*networks(), points(), **given)
    again = {"error": (OptionError, CheckpointError), "resume": True, **given}
    assert "seed is 5" in refusal(fit, *networks(), points(), seed=5, **again)
    assert "differ" in refusal(fit, *networks(), points() + 1, **again)
    assert "networks" in refusal(fit, *networks(Linear(5, 5, **parts(np.random.default_rng(0)))), points(), **again)
    assert "out=" in refusal(fit, *networks(), points(), **{**again, "out": None})
    assert "step 24 already" in refusal(fit, *networks(), points(), **{**again, "steps": 3})
    start_run(tmp_path / "command", "ring").train()
    assert "command line" in refusal(fit, *networks(), "ring", **{**again, "out": tmp_path / "command"})
    assert command_line(["train", "ring", "--resume", "--out", str(tmp_path / "run")]) == 2


def test_an_earlier_run_is_moved_aside(tmp_path):
    told = []
    for _ in range(2):
        fit(*networks(), points(), out=tmp_path / "run", **{**RUN, "say": told.append})
    assert (tmp_path / "run.1" / CHECKPOINT).exists() and "run.1" in told[0]


class HoldsAdam(Layer):
    """A layer whose parameters would be called as the moments of its optimiser are."""

    def __init__(self, rng):
        self.adam = {"m": Tensor(np.ones(5, np.float32), backend("reference"), requires_grad=True)}


def test_names_that_a_checkpoint_could_not_tell_apart():
    G, D = networks()

    class Whole(HoldsAdam):
        def __call__(self, z):
            return self.last(self.first(z) * self.adam["m"])

    whole = Whole(None)
    whole.first, whole.last = G.layers
    assert "under the name 'adam'" in refusal(fit, whole, D, points(), z=3, error=ValueError, **RUN)


class Swish(Layer):
    def __init__(self, slope=1.5):
        self.slope = slope

    def __call__(self, x):
        return x * (self.slope * x).sigmoid()


class WithFunction(Layer):
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


def test_saved_and_loaded(tmp_path, capsys):
    fitted = fit(*networks(lambda rng: BatchNorm(5, backend=backend("reference"))), points(), **RUN)
    assert fitted.save(tmp_path / "run") == tmp_path / "run"
    loaded = load_generator(tmp_path / "run", "reference")
    np.testing.assert_array_equal(loaded.sample(6, 1), fitted.sample(6, 1))
    assert len((tmp_path / "run" / METRICS).read_text().splitlines()) == 3
    assert command_line(["sample", str(tmp_path / "run"), "-n", "6", "--seed", "1", "--backend", "reference", "-o",
                         str(tmp_path / "x.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), fitted.sample(6, 1))
    assert command_line(["evaluate", str(tmp_path / "run"), "--backend", "reference"]) == 2
    assert "trained in Python, on an array" in capsys.readouterr().err
    resumed = fit(*networks(lambda rng: BatchNorm(5, backend=backend("reference"))), points(), out=tmp_path / "run",
                  resume=True, **{**RUN, "steps": 30})
    assert resumed.step == 30


def test_classes_of_ones_own_come_back_only_from_who_hands_them_over(tmp_path):
    fitted = fit(*networks(Swish(2.5)), points(), **RUN)
    fitted.save(tmp_path / "run")
    assert "Swish" in refusal(load_generator, tmp_path / "run", "reference")
    loaded = load_generator(tmp_path / "run", "reference", classes=[Swish])
    np.testing.assert_array_equal(loaded.sample(6, 1), fitted.sample(6, 1))
    filled = load_generator(tmp_path / "run", G=networks(Swish(2.5))[0])
    np.testing.assert_array_equal(filled.sample(6, 1), fitted.sample(6, 1))
    assert "which this G has not" in refusal(load_generator, tmp_path / "run", G=Sequential(networks()[0].layers[0]))
    assert "no average.1.w of shape (5, 2)" in refusal(load_generator, tmp_path / "run", G=networks()[0])


def test_ops_in_a_sequential_are_replayed_and_come_back(tmp_path):
    fitted = fit(*networks(ops.tanh), points(), **RUN)
    assert fitted.eager == ""
    fitted.save(tmp_path / "run")
    np.testing.assert_array_equal(load_generator(tmp_path / "run", "reference").sample(6, 1), fitted.sample(6, 1))


def test_a_layer_that_no_checkpoint_describes(tmp_path):
    fitted = fit(*networks(WithFunction(lambda x: x.tanh())), points(), **RUN)
    fitted.save(tmp_path / "run")
    assert "function" in refusal(load_generator, tmp_path / "run", "reference", classes=[WithFunction])
    loaded = load_generator(tmp_path / "run", G=networks(WithFunction(lambda x: x.tanh()))[0])
    np.testing.assert_array_equal(loaded.sample(6, 1), fitted.sample(6, 1))


def test_numbers_of_samples_and_seeds():
    fitted = fit(*networks(), points(), **RUN)
    assert "n is 0" in refusal(fitted.sample, 0, error=ValueError)
    assert "seed is -1" in refusal(fitted.latent, 3, -1, error=ValueError)
    assert "encoded" in refusal(fitted.sample, 3, np.random.default_rng(0), error=TypeError)
    assert "(m, 3)" in refusal(fitted.generate, np.zeros((2, 4)), error=ValueError)


# ---- what is refused ------------------------------------------------------------------------------------------------------------

REFERENCE = {"backend": backend("reference")}
NAN = points()
NAN[3, 1] = np.nan


def double():
    rng = np.random.default_rng(0)
    return Sequential(Linear(3, 2, backend=backend("reference"), rng=rng, dtype=np.float64))


class Empty(Layer):
    def __call__(self, x):
        return x


class Cut(Layer):
    def __call__(self, x):
        return stop(x)


class Unused(Layer):
    def __init__(self, inner):
        self.inner, self.more = inner, Linear(2, 2, backend=backend("reference"), rng=0)

    def __call__(self, x):
        return self.inner(x)


REFUSED = {
    "a function": (lambda G, D: ((lambda z: z), D, points()), {}, TypeError, "G is a function; it has to be a Layer"),
    "a class": (lambda G, D: (G, Empty, points()), {}, TypeError, "D is a class"),
    "no parameters": (lambda G, D: (Empty(), D, points()), {}, ValueError, "G has no parameters to train"),
    "float64": (lambda G, D: (double(), D, points()), {}, ValueError, "G.0.w is float64"),
    "shared": (lambda G, D: (G, Sequential(G, D), points()), {}, ValueError, "share parameters"),
    "two backends": (lambda G, D: (networks(name="cpu")[0], D, points()), {}, ValueError, "two backends"),
    "width of G": (lambda G, D: (networks(width=3)[0], D, points()), {}, ValueError, "G makes samples of shape (8, 3)"),
    "width of D": (lambda G, D: (G, networks(width=3)[1], points()), {}, ValueError, "D cannot take a batch of data"),
    "logits": (lambda G, D: (G, Sequential(D.layers[0]), points()), {}, ValueError, "D gives (8, 5) for a batch of 8"),
    "z": (lambda G, D: (G, D, points()), {"z": 4}, ValueError, "G cannot take noise (batch, z) = (8, 4)"),
    "z unseen": (lambda G, D: (Sequential(Swish(), G), D, points()), {}, OptionError, "give it: z=32"),
    "NaN": (lambda G, D: (G, D, NAN), {}, DataError, "data[3, 1] is nan"),
    "one row": (lambda G, D: (G, D, points()[:1]), {}, DataError, "at least 2 rows"),
    "one axis": (lambda G, D: (G, D, points()[:, 0]), {}, DataError, "data.reshape(-1, 1)"),
    "text": (lambda G, D: (G, D, np.array([["a", "b"]])), {}, DataError, "real numbers"),
    "complex": (lambda G, D: (G, D, points() + 1j), {}, DataError, "complex128"),
    "None": (lambda G, D: (G, D, None), {}, DataError, "data is None"),
    "ragged": (lambda G, D: (G, D, [[1, 2], [3]]), {}, DataError, "no array"),
    "NCHW": (lambda G, D: (G, D, np.zeros((9, 3, 8, 8))), {}, DataError, "x.transpose(0, 2, 3, 1)"),
    "pixels": (lambda G, D: (G, D, np.full((9, 8, 8, 3), -1)), {}, DataError, "[0, 65535]"),
    "raw images": (lambda G, D: (G, D, np.zeros((9, 8, 8, 3))), {"standardise": False}, DataError, "[-1, 1]"),
    "steps 0": (lambda G, D: (G, D, points()), {"steps": 0}, OptionError, "steps is 0, it has to be at least 1"),
    "steps -1": (lambda G, D: (G, D, points()), {"steps": -1}, OptionError, "steps is -1, it has to be between 0 and 1,000,"),
    "steps 2.5": (lambda G, D: (G, D, points()), {"steps": 2.5}, OptionError, "steps is 2.5, it has to be a whole number"),
    "rate": (lambda G, D: (G, D, points()), {"lr_d": -1}, OptionError, "lr_d is -1"),
    "near": (lambda G, D: (G, D, points()), {"objectve": "hinge"}, TypeError, "did you mean objective?"),
    "elsewhere": (lambda G, D: (G, D, points()), {"batch_size": 4}, TypeError, "did you mean batch?"),
    "unknown": (lambda G, D: (G, D, points()), {"qqq": 4}, TypeError, "there are"),
    "of built ones": (lambda G, D: (G, D, points()), {"hidden": (4,)}, TypeError, "build them as you want them"),
    "pack": (lambda G, D: (G, D, points()), {"pack": 3}, OptionError, "pack 3 has to divide it"),
    "other backend": (lambda G, D: (G, D, points()), {"backend": "cpu"}, ValueError, "built on reference"),
    "optimiser": (lambda G, D: (G, D, points()), {"optim_d": 0.1}, TypeError, "SGD(D.parameters(), 0.01)"),
    "swapped": (lambda G, D: (G, D, points()), {"optim_d": "of G"}, ValueError, "does not move the parameters of D"),
    "every": (lambda G, D: (G, D, points()), {"every": 0}, ValueError, "every is 0"),
    "callback": (lambda G, D: (G, D, points()), {"callback": 3}, TypeError, "callback is 3"),
    "say": (lambda G, D: (G, D, points()), {"say": None}, TypeError, "say is None; it has to be a function"),
    "progress": (lambda G, D: (G, D, points()), {"progress": "no"}, TypeError, "progress is 'no' (str); it has to be True"),
    "replay": (lambda G, D: (G, D, points()), {"replay": "no"}, TypeError, "replay is 'no'"),
    "cut": (lambda G, D: (Sequential(G, Cut()), D, points()), {}, ValueError, "G's parameter 0.0.w, float32 of shape (3, 5)"),
    "unused": (lambda G, D: (G, Unused(D), points()), {}, ValueError, "D's parameter more.w, float32 of shape (2, 2), has no part"),
    "batch norm": (lambda G, D: (Sequential(G.layers[0], BatchNorm(5, **REFERENCE), G.layers[1]), D, points()), {"batch": 1},
                   ValueError, "a single sample has no spread"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case):
    make, options, error, words = REFUSED[case]
    G, D = networks()
    if options.get("optim_d") == "of G":
        options = {"optim_d": SGD(G.parameters(), 0.1)}
    message = refusal(fit, *make(G, D), error=error, **{**RUN, **options})
    assert words in message and "--" not in message

"""Layers and penalties of a user's own: replayed where that does what their code does, and else not, with the reason said."""

import itertools
import types

import numpy as np
import pytest
from fit_parts import SILENT, bits, networks, parts, points

from tinygan import Tensor, fit, ops, stop
from tinygan.engine.randomness import Draws, standard_normal
from tinygan.nn import BatchNorm, Dropout, Layer, Linear

STEPS = 30
HIDDEN = types.ModuleType("hidden")  # whose contents no check looks at
GENERATOR = np.random.default_rng(5)


class Residual(Layer):
    """A layer that a replay does right."""

    def __init__(self, rng):
        self.inner = [Linear(5, 5, act="leaky_relu", **parts(rng)), Linear(5, 5, **parts(rng))]
        self.offset = np.linspace(0, 0.1, 5, dtype=np.float32)

    def __call__(self, x):
        return x + self.inner[1](self.inner[0](x)) + Tensor(self.offset, x.backend)


class MadeLate(Layer):
    """A layer that makes a constant in its first call, and never again."""

    def __init__(self, rng):
        self.scale = None

    def __call__(self, x):
        if self.scale is None:
            self.scale = 1.0 + 0.01 * np.ones(5, np.float32)
        return x * Tensor(self.scale, x.backend)


class Noise(Layer):
    """A layer that draws through Draws, which a replay refills."""

    def __init__(self, rng):
        self.held = {"draws": [Draws(np.random.default_rng(3))]}

    def __call__(self, x):
        return x + 0.1 * self.held["draws"][0](standard_normal, x)


def dropout(rng):
    return Dropout(0.3, Draws(np.random.default_rng(4)))


def batch_norm(rng):
    return BatchNorm(5, backend=parts(rng)["backend"])


def trained(*in_g, **options):
    return fit(*networks(*in_g), points(), steps=STEPS, batch=8, save_every=1000, **{**SILENT, **options})


@pytest.mark.parametrize("layers", [[Residual], [MadeLate], [Noise], [dropout], [batch_norm], [Noise, Residual, dropout]])
def test_what_a_replay_does_right_is_replayed_and_has_the_bits_of_eager_steps(layers):
    replayed, eager = trained(*layers, noise=0.1, gp=0.5), trained(*layers, noise=0.1, gp=0.5, replay=False)
    assert (replayed.eager, eager.eager) == ("", "replay=False")
    assert replayed.run._replayed.plan is not None and eager.run._replayed.plan is None
    assert bits(replayed) == bits(eager)
    for name, values in replayed.history.items():
        np.testing.assert_array_equal(values, eager.history[name])


# ---- what goes wrong in a replay ------------------------------------------------------------------------------------------------


class Counts(Layer):
    """Python counts the calls."""

    def __init__(self, rng):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * (1.0 + 0.01 * self.calls)


class CountsInTheClass(Layer):
    """The class counts, for all its instances."""

    calls = 0

    def __init__(self, rng):
        pass

    def __call__(self, x):
        type(self).calls += 1
        return x * (1.0 + 0.01 * type(self).calls)


def encloses(rng):
    """Return a layer whose code changes a variable of the function around it."""
    calls = 0

    class Encloses(Layer):
        def __call__(self, x):
            nonlocal calls
            calls += 1
            return x * (1.0 + 0.01 * calls)

    return Encloses()


class Iterates(Layer):
    """An iterator moves on, which nobody can see."""

    def __init__(self, rng):
        self.numbers = itertools.count()

    def __call__(self, x):
        return x * (1.0 + 0.01 * next(self.numbers))


class DrawsItself(Layer):
    """A generator of its own draws noise in Python."""

    def __init__(self, rng):
        self.rng = np.random.default_rng(6)

    def __call__(self, x):
        return x + Tensor(self.rng.normal(size=x.shape).astype(np.float32), x.backend)


class DrawsFromAGlobal(Layer):
    """A generator of the module draws noise in Python."""

    def __init__(self, rng):
        pass

    def __call__(self, x):
        return x + Tensor(GENERATOR.normal(size=x.shape).astype(np.float32), x.backend)


class Asks(Layer):
    """An if asks for a number of a tensor."""

    def __init__(self, rng):
        pass

    def __call__(self, x):
        return x * 2.0 if float(ops.mean(x)) > 0.1 else x


class Looks(Layer):
    """An if looks at the array behind a tensor."""

    def __init__(self, rng):
        pass

    def __call__(self, x):
        return x * 2.0 if x.array.mean() > 0.1 else x


class LooksAtItsWeight(Layer):
    """A number is taken from a parameter, which training changes."""

    def __init__(self, rng):
        self.w = Tensor(np.ones(5, np.float32), parts(rng)["backend"], requires_grad=True)

    def __call__(self, x):
        return x * self.w * (1.0 / float(np.abs(self.w.array).max()))


class Halves(Layer):
    """A loop goes on by the values that it sees; with other values it would never end."""

    def __init__(self, rng):
        pass

    def __call__(self, x):
        while np.abs(x.array).max() > 1:
            x = x * 0.5
        return x


class WritesItself(Layer):
    """NumPy writes to a buffer, past all launches."""

    def __init__(self, rng):
        self.mean = Tensor(np.zeros(5, np.float32), parts(rng)["backend"])

    def __call__(self, x):
        if self.training:
            self.mean.array[...] = 0.9 * self.mean.array + 0.1 * x.array.mean(axis=0)
        return x - self.mean


class Remembers(Layer):
    """A step uses what the step before it computed."""

    def __init__(self, rng):
        self.last = [0.0]

    def __call__(self, x):
        y = x + self.last[0]
        self.last[0] = 0.01 * stop(ops.mean(x))
        return y


def function(rng):
    """Return a function, as a Sequential takes it, whose calls are counted by its own attribute."""
    def counted(x):
        counted.calls += 1
        return x * (1.0 + 0.01 * counted.calls)

    counted.calls = 0
    return counted


BROKEN = [
    (function, "calls"),
    (Counts, "calls"), (CountsInTheClass, "CountsInTheClass.calls"), (encloses, "variable calls"), (Iterates, "numbers"),
    (DrawsItself, "rng"), (DrawsFromAGlobal, "GENERATOR"), (Asks, "asks for the values"), (Looks, "launches, or fewer"),
    (LooksAtItsWeight, "decided in Python"), (Halves, "more launches, or fewer"),
    (WritesItself, "replay of its step does not do the same"), (Remembers, "last"),
]


@pytest.mark.parametrize(("layer", "reason"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_what_a_replay_would_do_wrong_runs_eagerly_with_the_same_bits_and_says_why(layer, reason):
    CountsInTheClass.calls, GENERATOR.bit_generator.state = 0, np.random.default_rng(5).bit_generator.state
    told = []
    fitted = trained(layer, say=told.append, ema=0.0)
    assert reason in fitted.eager and fitted.run.eager
    (line,) = [line for line in told if "without replay" in line]
    assert fitted.eager in line and len(line.splitlines()) == 1
    CountsInTheClass.calls, GENERATOR.bit_generator.state = 0, np.random.default_rng(5).bit_generator.state
    assert bits(fitted) == bits(trained(layer, ema=0.0, replay=False))


class Hidden(Layer):
    """A number comes from where no check looks."""

    def __init__(self, rng):
        pass

    def __call__(self, x):
        return x * HIDDEN.scale


def test_a_change_that_comes_late_is_found_and_the_run_goes_back():
    HIDDEN.scale, told = 1.0, []

    def change(moment):
        HIDDEN.scale = 1.5

    fitted = trained(Hidden, say=told.append, callback=change, every=10)
    assert "no longer does the same" in fitted.eager
    assert any("back to step 7" in line for line in told)  # steps 7 and 13 were compared: the change came after step 10
    assert fitted.history["step"].tolist() == [10, 20, 30] and fitted.step == STEPS
    HIDDEN.scale = 1.0
    first = fit(*networks(Hidden), points(), steps=STEPS, batch=8, callback=lambda m: m.step == 7, every=7, **SILENT)
    HIDDEN.scale = 1.5
    rest = first.run
    rest.eager = True
    rest.train()
    assert bits(fitted) == {name: array.tobytes() for name, array in rest.saved_arrays().items()}


class CountsPenalties:
    """A penalty whose weight grows with each call."""

    at, weight = "real", 0.1

    def __init__(self):
        self.calls = 0

    def __call__(self, D, real, fake):
        self.calls += 1
        return ops.mean(real.s**2) * (self.weight * self.calls)


class PlainPenalty:
    """A penalty that a replay does right."""

    at, weight = "real", 0.1

    def __call__(self, D, real, fake):
        return ops.mean(real.s**2) * self.weight


def test_penalties_of_ones_own_are_checked_too():
    assert trained(penalties=[PlainPenalty()]).eager == ""
    counting = trained(penalties=[CountsPenalties()])
    assert "CountsPenalties" in counting.eager and "calls" in counting.eager
    assert bits(counting) == bits(trained(penalties=[CountsPenalties()], replay=False))
    assert bits(counting) != bits(trained(penalties=[PlainPenalty()]))


def test_own_generators_are_in_the_checkpoint_and_samples_do_not_move_them(tmp_path):
    """A G with noise of its own: a run that is stopped, resumed and looked at on the way ends as one that is not."""
    def dropout_too(**options):
        return fit(*networks(Noise, dropout), points(), batch=8, **{**SILENT, **options})

    whole = dropout_too(steps=20)
    dropout_too(steps=20, out=tmp_path / "run", callback=lambda m: m.sample(3) is not None and m.step == 9, every=3, ema=0.999)
    resumed = dropout_too(steps=20, out=tmp_path / "run", resume=True)
    assert resumed.history["step"][-1] == 20 and bits(resumed) == bits(whole)
    np.testing.assert_array_equal(whole.sample(5, seed=2), whole.sample(5, seed=2))
    assert (whole.sample(5, seed=2) != whole.sample(5, seed=3)).any()

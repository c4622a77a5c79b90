"""D at its optimum: the value that is ascended, where the ascent ends, and the retraining, written out step by step."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.optimize
from engine_parts import REFERENCE, constant
from scipy import special, stats
from threadpoolctl import threadpool_info, threadpool_limits

from tinygan.engine import ops
from tinygan.engine.tensor import gradients
from tinygan.game.objectives import value
from tinygan.measure import best_d
from tinygan.measure.best_d import Retrained, ascend_to_optimum, retrained_value, weighted_value
from tinygan.measure.densities import optimal
from tinygan.nn.gan_layers import Dropout
from tinygan.nn.layers import BatchNorm, Layer, Linear, Sequential
from tinygan.optim import Adam


def network(inputs, hidden=None, seed=0, dtype=np.float64):
    made = {"backend": REFERENCE, "rng": np.random.default_rng(seed), "dtype": dtype}
    return Sequential(Linear(inputs, hidden, act="tanh", **made), Linear(hidden, 1, **made)) if hidden else Sequential(
        Linear(inputs, 1, **made))


# ---- on densities ---------------------------------------------------------------------------------------------------------------


def test_the_weighted_value_is_the_sum_over_the_cells():
    rng = np.random.default_rng(0)
    s, p, q = rng.normal(size=(5, 1)), rng.random((5, 1)), rng.random((5, 1))
    wanted = (p * special.log_expit(s) + q * special.log_expit(-s)).sum()
    assert float(weighted_value(constant(s), constant(p), constant(q))) == pytest.approx(wanted, rel=1e-14)


def two_gaussians():
    """Return cells (n, 1) and the probabilities of N(0, 1) and N(1, 1) in them: the logit of D* is a line, 1/2 - x."""
    x = np.linspace(-6, 7, 400)[:, None]
    p, q = (stats.norm(mean).pdf(x) for mean in (0, 1))
    return x, p / p.sum(), q / q.sum()


def test_the_ascent_ends_at_the_optimum():
    x, p, q = two_gaussians()
    D = network(1)
    goal = lambda: weighted_value(D(constant(x)), constant(p), constant(q))  # noqa: E731
    reached = ascend_to_optimum(D, goal)
    d = optimal(p, q)
    assert reached == float(goal()) == pytest.approx((p * np.log(d) + q * np.log(1 - d)).sum(), abs=1e-12)
    np.testing.assert_allclose([t.numpy().ravel()[0] for t in D.parameters().values()], [-1.0, 0.5], atol=1e-5)


@pytest.mark.parametrize("asks", [False, True])
def test_a_goal_is_recorded_once_unless_it_asks_for_values(asks):
    """Both ways go through the same points to the same optimum, to the last bit."""
    x, p, q = (constant(values) for values in two_gaussians())
    called = []

    def goal(D):
        v = weighted_value(D(x), p, q)
        called.append(float(v) if asks else None)
        return v

    D, other = network(1, 3), network(1, 3)
    reached = ascend_to_optimum(D, lambda: goal(D), 20)
    assert (len(called) > 20) if asks else (len(called) == 2)  # once to record it, once for the value that is returned
    assert ascend_to_optimum(other, lambda: weighted_value(other(x), p, q), 20) == reached
    for mine, theirs in zip(D.parameters().values(), other.parameters().values(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_the_ascent_takes_one_thread_for_scipys_vectors_and_gives_back_the_others(monkeypatch):
    seen, minimize = [], scipy.optimize.minimize
    monkeypatch.setattr(scipy.optimize, "minimize", lambda *a, **named: seen.extend(blas_threads()) or minimize(*a, **named))
    x, p, q = (constant(values) for values in two_gaussians())
    D = network(1)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        ascend_to_optimum(D, lambda: weighted_value(D(x), p, q), 2)
        assert seen == [1] * len(before) and blas_threads() == before


def test_how_far_the_ascent_may_go(monkeypatch):
    """500 iterations unless told otherwise, and twice as many evaluations, as a line search may need a second one."""
    asked, minimize = [], scipy.optimize.minimize
    monkeypatch.setattr(scipy.optimize, "minimize", lambda *a, **named: asked.append(named["options"]) or minimize(*a, **named))
    x, p, q = two_gaussians()
    for more in ((), (3,)):
        D = network(1)
        ascend_to_optimum(D, lambda D=D: weighted_value(D(constant(x)), constant(p), constant(q)), *more)
    assert [(each["maxiter"], each["maxfun"]) for each in asked] == [(500, 1000), (3, 6)]


def test_the_ascent_of_a_network_goes_on_until_nothing_is_gained():
    """A network needs many steps to the last digits, more than a few of them, and no more than it is allowed."""
    x, p, q = two_gaussians()
    values = []
    for iterations in (1, 5, 500):
        D = network(1, 8)
        values.append(ascend_to_optimum(D, lambda D=D: weighted_value(D(constant(x)), constant(p), constant(q)), iterations))
    d = optimal(p, q)
    best = (p * np.log(d) + q * np.log(1 - d)).sum()
    assert values[0] < values[1] - 1e-5 < values[2] < best
    assert values[2] == pytest.approx(best, abs=1e-7)


# ---- on samples -----------------------------------------------------------------------------------------------------------------


def samples(n, shift=0.0, seed=0, features=2):
    return (np.random.default_rng(seed).standard_normal((n, features)) + shift).astype(np.float32)


def as_packs(x, pack):
    return x.reshape(len(x) // pack, -1)


def by_hand(D, real, fake, seed, steps, rate, pack, half, quarter, m):
    """Retrain D as `retrained_value` says: draw, ascend V, look at the second part every 50 steps, and judge on the third."""
    rng, optimiser, seen = np.random.default_rng(seed), Adam(D.parameters(), rate, 0.5, 0.99), []

    def v_on(start):
        return float(value(*(D(constant(as_packs(x[start : start + quarter], pack))) for x in (real, fake))))

    before = v_on(half + quarter)
    for step in range(steps + 1):
        if step % 50 == 0:
            seen.append((v_on(half), v_on(half + quarter)))
        if step < steps:
            optimiser.rate = rate * (1 - step / steps)
            batch = [x[rng.choice(half, m, replace=False)] for x in (real, fake)]
            v = value(*(D(constant(as_packs(x, pack))) for x in batch))
            optimiser.ascend(gradients(v, optimiser.parameters))
    return before, max(seen)[1]


@pytest.mark.parametrize(("n", "pack", "half", "quarter", "m"), [
    (40, 1, 20, 10, 20), (600, 1, 300, 150, 256), (50, 3, 24, 12, 24), (7, 3, 3, 3, 3), (1003, 2, 500, 250, 256),
])  # fmt: skip
def test_retraining_is_its_steps(n, pack, half, quarter, m):
    real, fake = samples(max(n, 9)), samples(max(n, 9), 1.0, seed=1)
    real, fake = real[:n] if n != 7 else real, fake[:n] if n != 7 else fake
    D = network(2 * pack, 4)
    found = retrained_value(D, real, fake, np.random.default_rng(5), steps=110, rate=0.02, pack=pack)
    before, after = by_hand(network(2 * pack, 4), real, fake, 5, 110, 0.02, pack, half, quarter, m)
    assert found == Retrained(pytest.approx(after, rel=1e-9), pytest.approx(before, rel=1e-12))


class Counted:
    """A generator that counts how often it is asked."""

    def __init__(self):
        self.rng, self.asked = np.random.default_rng(5), 0

    def choice(self, *given, **named):
        self.asked += 1
        return self.rng.choice(*given, **named)


def test_the_defaults_of_retraining():
    """800 steps, of a batch of each kind, at a rate that begins with 0.004, on single samples."""
    real, fake, rng, D = samples(8), samples(8, 1.0, seed=1), Counted(), network(2)
    one, other = copy.deepcopy(D), copy.deepcopy(D)
    retrained_value(D, real, fake, rng)
    assert rng.asked == 2 * 800
    retrained_value(one, real, fake, np.random.default_rng(5), steps=1)
    retrained_value(other, real, fake, np.random.default_rng(5), steps=1, rate=0.004, pack=1)
    for mine, theirs in zip(one.parameters().values(), other.parameters().values(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_a_d_that_gets_worse_is_not_taken():
    """The first D counts too: what is learnt from samples that say nothing is worse than a D that is right already."""
    real, fake = samples(400), samples(400, 1.5, seed=1)
    D = network(2)
    right = ascend_to_optimum(D, lambda: value(D(constant(real)), D(constant(fake))))
    assert right > -1.2
    found = retrained_value(D, real, np.concatenate([real[:200], fake[200:]]), np.random.default_rng(0), steps=200, rate=0.05)
    assert found.v == found.before


def test_the_gap_is_measured_from_minus_log_4():
    assert Retrained(v=0.5 - np.log(4), before=0.0).gap == pytest.approx(0.5, rel=1e-15)


def test_retraining_keeps_the_dtype_of_d():
    D = network(2, 4, dtype=np.float32)
    retrained_value(D, samples(32).astype(np.float64), samples(32), np.random.default_rng(0), steps=3)
    assert {t.dtype for t in D.parameters().values()} == {np.dtype(np.float32)}


class Counting(Layer):
    """A layer of the user's own, that does something else from call to call: it counts them, and looks at values."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * (1 + self.calls % 3) if float(ops.sum(x * x)) > 0 else x


class Growing(Counting):
    """Counts its calls without looking at values: nothing in its recording shows that another one would be of other launches."""

    def __call__(self, x):
        self.calls += 1
        return x * (1 + self.calls % 3)


@pytest.mark.parametrize(("layer", "recorded"), [
    (None, True), (Dropout, True), (BatchNorm, True), (Counting, False), (Growing, False),
])  # fmt: skip
def test_retraining_gives_the_bits_of_eager_steps_and_records_layers_of_tinygan_alone(layer, recorded, monkeypatch):
    """Nothing is recorded on a backend that somebody watches. Dropout draws from the generator that draws the batches."""
    real, fake, found = samples(80), samples(80, 1.0, seed=1), []
    made, computed = {"backend": REFERENCE, "dtype": np.float64}, []
    monkeypatch.setattr(best_d, "value", lambda *logits: computed.append(logits) or value(*logits))
    for watching in (False, True):
        rng = np.random.default_rng(5)
        more = {Dropout: lambda rng=rng: Dropout(0.5, rng), BatchNorm: lambda: BatchNorm(3, **made)}
        first, last = (Linear(*size, rng=np.random.default_rng(0), **made) for size in ((2, 3), (3, 1)))
        D = Sequential(first, *([more.get(layer, layer)()] if layer else []), last)
        computed.clear()
        with REFERENCE.watch(lambda launch, proceed: proceed()) if watching else nullcontext():
            judged = retrained_value(D, real, fake, rng, steps=60)
        found.append((judged, [t.numpy().tobytes() for t in (D.parameters() | D.buffers()).values()], rng.random()))
        assert len(computed) == 3 + (1 if recorded and not watching else 60) + 2
    assert found[0] == found[1]

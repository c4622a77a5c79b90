"""Exercises in NumPy: the VJPs of tanh and of broadcasting, R1's gradient, the sign of G's step, a stable loss, the best D."""

from __future__ import annotations

from typing import Any

import numpy as np

from .exercise import Exercise, Wrong, compare, numeric

Array = np.ndarray


def _sigmoid(s: Array) -> Array:
    return np.exp(-np.logaddexp(0, -s))


# ---- tanh ---------------------------------------------------------------------------------------------------------------------

TANH = '''"""The VJP of tanh. With y = tanh(x) and g = dL/dy known, what is dL/dx?"""

import numpy as np


def tanh_vjp(g, y, x):
    """Return dL/dx, of the shape of x. g, y, x: arrays of one shape, y = tanh(x)."""
    raise NotImplementedError
'''


def _judge_tanh(given: Any) -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=shape), np.tanh(x), x) for shape in ((4,), (3, 2)) for x in (rng.normal(size=shape),)]
    compare(given, lambda g, y, x: numeric(lambda x: float((g * np.tanh(x)).sum()), [x], 0), [
        (lambda g, y, x: g * (1 - y), "the y is not squared: the derivative of tanh is 1 - y^2"),
        (lambda g, y, x: g * (1 - x**2), "1 - x^2 is taken at the input; it has to be 1 - y^2, at the result y = tanh(x)"),
        (lambda g, y, x: g * (1 - np.tanh(y) ** 2), "tanh is taken a second time: y is tanh(x) already, so write 1 - y^2"),
        (lambda g, y, x: 1 - y**2, "that is dy/dx; the chain rule wants it times g, the derivative of L in y"),
        (lambda g, y, x: g * (1 + y**2), "the sign of y^2 is wrong: tanh is flat where y is near 1, and 1 + y^2 is 2 there"),
        (lambda g, y, x: g * y * (1 - y), "y (1 - y) is the derivative of the sigmoid; that of tanh is 1 - y^2"),
        (lambda g, y, x: -g * (1 - y**2), "the sign is wrong: tanh rises, so a positive g gives a positive dL/dx"),
    ], draws)


# ---- broadcasting -------------------------------------------------------------------------------------------------------------

BROADCAST = '''"""The VJP of a sum that broadcasts: y = x + b, x (m, n), b (n,): b is added to every row."""

import numpy as np


def add_bias_vjp(g, x, b):
    """Return (dL/dx, dL/db) for g = dL/dy (m, n)."""
    raise NotImplementedError
'''


def _judge_broadcast(given: Any) -> None:
    rng = np.random.default_rng(1)
    draws = [(rng.normal(size=s), rng.normal(size=s), rng.normal(size=s[1:])) for s in ((4, 3), (3, 3), (1, 5))]

    def right(g: Array, x: Array, b: Array) -> tuple[Array, Array]:
        def loss(x: Array, b: Array) -> float:
            return float((g * (x + b)).sum())

        return numeric(loss, [x, b], 0), numeric(loss, [x, b], 1)

    compare(given, right, [
        (lambda g, x, b: (g, g), "b was used once for each row, so its gradient is the sum of theirs: g.sum(axis=0), of b's shape"),
        (lambda g, x, b: (g, g.mean(axis=0)), "the copies' gradients add up, they are not averaged: sum over the rows"),
        (lambda g, x, b: (g, g.sum()), "all of g is summed; b has an element for each column, so sum over the rows alone, axis=0"),
        (lambda g, x, b: (g, g[0]), "only the first row counts here; every row used b, so sum them"),
        (lambda g, x, b: (g, g.sum(axis=1)), "axis 1 is summed, over the columns; b was repeated over the rows, which are axis 0"),
        (lambda g, x, b: (g.sum(axis=0), g), "the two are swapped: x was used once, b in every row"),
        (lambda g, x, b: (g * x, (g * b).sum(axis=0)), "that is as if x and b were multiplied; a sum hands g on as it is"),
    ], draws, ["dL/dx", "dL/db"])


# ---- R1 -----------------------------------------------------------------------------------------------------------------------

R1 = '''"""R1's gradient. D has one hidden unit and one number as input: s(x) = v tanh(x w + b).

The penalty is P = gamma / 2 x mean over the batch of (ds/dx)^2. Derive its gradient in w, b and v.
"""

import numpy as np


def r1_gradient(w, b, v, x, gamma):
    """Return (dP/dw, dP/db, dP/dv), three numbers. w, b, v, gamma: numbers; x (m,): the data."""
    h = np.tanh(x * w + b)
    slope = v * w * (1 - h**2)  # ds/dx at each x
    raise NotImplementedError
'''


def _penalty(w: Array, b: Array, v: Array, x: Array, gamma: float) -> float:
    h = np.tanh(x * w + b)
    return float(gamma / 2 * ((v * w * (1 - h**2)) ** 2).mean())


def _r1(w: Array, b: Array, v: Array, x: Array, gamma: float, moving: float = 1.0) -> tuple[Array, Array, Array]:
    """Compute R1's gradient. moving: the share of the derivative through h, which is easily forgotten."""
    h = np.tanh(x * w + b)
    k = 1 - h**2
    slope, of_h = v * w * k, moving * -2 * v * w * h * k
    return (gamma * (slope * (v * k + of_h * x)).mean(), gamma * (slope * of_h).mean(), gamma * (slope * w * k).mean())


def _held(w: Array, b: Array, v: Array, x: Array, gamma: float) -> tuple[Array, Array, Array]:
    """Compute the gradient that comes out where h is taken for a constant."""
    return _r1(w, b, v, x, gamma, moving=0.0)


def _judge_r1(given: Any) -> None:
    rng = np.random.default_rng(2)
    draws = [(*(np.array(n) for n in rng.normal(size=3)), rng.normal(size=6), gamma) for gamma in (0.3, 2.0)]

    def right(*a: Any) -> tuple[Array, ...]:
        return tuple(numeric(lambda w, b, v: _penalty(w, b, v, a[3], a[4]), a[:3], i) for i in range(3))

    compare(given, right, [
        (_held, "the slope depends on w and b through h too, and that part is missing: d(1 - h^2)/dw = -2 h (1 - h^2) x"),
        (lambda *a: tuple(g / 2 for g in _r1(*a)),
         "a factor 2 is missing: the derivative of (ds/dx)^2 is 2 ds/dx, and cancels the half"),
        (lambda *a: tuple(g * 2 for g in _r1(*a)),
         "there is a factor 2 too much: the penalty has a half in front, which cancels it"),
        (lambda *a: tuple(g * len(a[3]) for g in _r1(*a)), "the batch is summed, and the penalty is its mean"),
        (lambda *a: tuple(-g for g in _r1(*a)),
         "the sign is that of D's goal, from which the penalty is subtracted; P itself is asked for"),
        (lambda w, b, v, x, gamma: tuple(
            numeric(lambda w, b, v: float(gamma / 2 * (v * w * (1 - np.tanh(x * w + b) ** 2)).mean() ** 2), [w, b, v], i)
            for i in range(3)), "the mean of the slopes is squared; the penalty is the mean of their squares"),
        (lambda *a: (_r1(*a)[0] - _held(*a)[0], *_r1(*a)[1:]),
         "in dP/dw the part is missing in which w stands in the slope itself: d(v w (1 - h^2))/dw has v (1 - h^2) too"),
    ], draws, ["dP/dw", "dP/db", "dP/dv"], rtol=1e-5)


# ---- the sign of G's step -----------------------------------------------------------------------------------------------------

G_STEP = '''"""Find the sign error in this G step.

It is to descend G's loss, mean -log D(G(z)), and D's belief in the fakes falls instead.
"""

import numpy as np


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def g_step(theta, s, ds, rate):
    """Return theta after one step. theta (p,); s (m,): D's logits of the fakes; ds (m, p): ds_i/dtheta."""
    slope_in_s = (1 - sigmoid(s)) / len(s)  # of mean -log sigmoid(s), in each logit
    gradient = slope_in_s @ ds
    return theta - rate * gradient
'''


def _judge_g_step(given: Any) -> None:
    rng = np.random.default_rng(3)
    draws = [(rng.normal(size=p), rng.normal(size=m), rng.normal(size=(m, p)), rate) for m, p, rate in ((5, 3, 0.1), (8, 2, 0.5))]

    def stepped(theta: Array, s: Array, ds: Array, rate: float, slope: Array) -> Array:
        return theta - rate * slope @ ds

    def right(theta: Array, s: Array, ds: Array, rate: float) -> Array:
        return stepped(theta, s, ds, rate, numeric(lambda s: float(np.logaddexp(0, -s).mean()), [s], 0))

    compare(given, right, [
        (lambda t, s, ds, r: stepped(t, s, ds, r, (1 - _sigmoid(s)) / len(s)),
         "it still climbs: -log sigmoid(s) falls as s grows, so its slope in s is -(1 - sigmoid(s)), and a descent adds that"),
        (lambda t, s, ds, r: stepped(t, s, ds, r, -_sigmoid(s) / len(s)),
         "that descends mean log(1 - D(G(z))), the saturating loss, whose slope is -sigmoid(s); asked for is -log D(G(z))"),
        (lambda t, s, ds, r: stepped(t, s, ds, r, _sigmoid(s) / len(s)),
         "-sigmoid(s) is the slope of the saturating loss, and its sign is turned as well"),
        (lambda t, s, ds, r: stepped(t, s, ds, r, -(1 - _sigmoid(s))), "the sign is right, and the mean is lost: divide by len(s)"),
        (lambda t, s, ds, r: stepped(t, s, ds, r, -1 / (len(s) * _sigmoid(s))),
         "that is the derivative in D, -1/D; with D = sigmoid(s) it is times D (1 - D) again, so -(1 - sigmoid(s))"),
        (lambda t, s, ds, r: t, "theta stays where it is: the step is missing"),
    ], draws)


# ---- cross-entropy on logits --------------------------------------------------------------------------------------------------

BCE = '''"""Binary cross-entropy of logits, finite and exact at every logit.

It is the mean of -t log sigmoid(s) - (1 - t) log(1 - sigmoid(s)).
"""

import numpy as np


def bce(s, t):
    """Return the mean, a number. s (m,): logits, as large as 1000; t (m,): labels in [0, 1]."""
    p = 1 / (1 + np.exp(-s))
    return np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p))
'''


def _judge_bce(given: Any) -> None:
    rng = np.random.default_rng(4)
    small = [(rng.normal(size=7), rng.uniform(size=7)) for _ in range(2)]

    def right(s: Array, t: Array) -> Array:
        return np.mean(t * np.logaddexp(0, -s) + (1 - t) * np.logaddexp(0, s))

    compare(given, right, [
        (lambda s, t: len(s) * right(s, t), "the batch is summed; the mean is asked for"),
        (lambda s, t: right(s, 1 - t), "the labels are swapped: t = 1 is for data, which costs -log sigmoid(s)"),
        (lambda s, t: -right(s, t), "the sign is wrong: a cross-entropy is at least 0"),
        (lambda s, t: np.mean(t * np.logaddexp(0, -s)), "the part of the fakes, (1 - t) log(1 - sigmoid(s)), is missing"),
    ], small)
    with np.errstate(all="ignore"):
        for s, t in ((1000.0, 0.0), (-1000.0, 1.0), (40.0, 0.0), (-800.0, 0.3), (1000.0, 1.0), (-40.0, 0.0)):
            found = float(np.asarray(given(np.array([s]), np.array([t]))))
            expected = float(right(np.array([s]), np.array([t])))
            place = f"right near 0, and {found:.6g} at the logit {s:g} with label {t:g}, where it is {expected:.6g}"
            if not np.isfinite(found):
                raise Wrong(f"{place}: the sigmoid is rounded to 0 or 1 before the logarithm; write log(1 + e^-|s|), which never "
                            "overflows")
            if abs(found - expected) > 1e-6 * max(abs(expected), 1e-12):
                raise Wrong(f"{place}: a small number added in the logarithm, or a clip, bends it; -log sigmoid(s) = log(1 + e^-s) "
                            "needs neither")


# ---- the best D ---------------------------------------------------------------------------------------------------------------

BEST_D = '''"""The best D for two known densities: data is N(0, 1), what G makes is N(1, 2^2) (mean 1, standard deviation 2)."""

import numpy as np


def best_d(x):
    """Return D*(x), a probability, for an array x of any shape."""
    raise NotImplementedError
'''


def _normal(x: Array, mean: float, std: float) -> Array:
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def _judge_best_d(given: Any) -> None:
    rng = np.random.default_rng(5)
    draws = [(2 * rng.normal(size=6),), (rng.normal(size=(2, 3)) - 1,)]

    def ratio(p: Array, q: Array) -> Array:
        return p / (p + q)

    compare(given, lambda x: ratio(_normal(x, 0, 1), _normal(x, 1, 2)), [
        (lambda x: ratio(_normal(x, 1, 2), _normal(x, 0, 1)),
         "that is the probability of being made by G; D* is that of being data: p_data / (p_data + p_g)"),
        (lambda x: _normal(x, 0, 1) / _normal(x, 1, 2), "that is p_data / p_g, which is no probability: divide by the sum of both"),
        (lambda x: np.log(_normal(x, 0, 1) / _normal(x, 1, 2)), "that is the logit of D*, log p_data - log p_g; D* is its sigmoid"),
        (lambda x: ratio(_normal(x, 0, 1), 2 * _normal(x, 1, 2)),
         "the densities lack their factors 1/std, so G's is twice too high"),
        (lambda x: ratio(_normal(x, 0, 1), _normal(x, 1, np.sqrt(2))),
         "2 is taken for the variance of p_g; it is the standard deviation"),
        (lambda x: ratio(_normal(x, 0, 1), _normal(x, 1, 4)), "4 is taken for the standard deviation of p_g; it is its variance"),
        (lambda x: np.full(np.shape(x), 0.5), "1/2 is the best D where both densities are the same; here they differ"),
        (lambda x: _normal(x, 0, 1), "that is p_data alone; how likely G is to make x counts as well"),
    ], draws)


DERIVATIVES = (
    Exercise("tanh-vjp", "write the VJP of tanh", "tanh_vjp", TANH, _judge_tanh,
             "right at random points, against central differences. The engine has the same: ops/elementwise.py, tanh"),
    Exercise("broadcast-vjp", "write the VJP of y = x + b, b added to every row", "add_bias_vjp", BROADCAST, _judge_broadcast,
             "right: what was copied gets the sum of its copies' gradients. The engine's: ops/reductions.py, unbroadcast"),
    Exercise("bce-logits", "make the cross-entropy finite and exact at every logit", "bce", BCE, _judge_bce,
             "right, from logits of -1000 to 1000, without a 1e-8 anywhere. The engine's: ops/fused.py, bce_logits"),
    Exercise("g-step", "find the sign error in this G step", "g_step", G_STEP, _judge_g_step,
             "right: the step goes down the loss, so D's belief in the fakes rises. The game's: game/moves.py, descend_g"),
    Exercise("best-d", "find the best D for two known densities", "best_d", BEST_D, _judge_best_d,
             "right: p_data / (p_data + p_g), Proposition 1. tinygan theory --only optimal-d trains one to it"),
    Exercise("r1-gradient", "derive R1's gradient, a derivative of a derivative", "r1_gradient", R1, _judge_r1,
             "right, against differences of the penalty. The engine gets it by create_graph: game/penalties.py, squared_slope"),
)

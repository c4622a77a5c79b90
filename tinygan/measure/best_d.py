"""D at its optimum: D ascends V until V stops growing, on densities that are known, or on samples.

V of densities is a sum over the cells of a grid, so it depends on no draw: p_i (data) and q_i (generated) are the probabilities
of the cells, and V = sum p_i log D(x_i) + q_i log(1 - D(x_i)). Its maximum is at D* = p / (p + q) (densities.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import NotReplayable, Tensor, gradients, wrap
from tinygan.game.objectives import LOG4, value
from tinygan.game.packing import packed
from tinygan.nn.blueprint import code_of_others
from tinygan.nn.flat import Flat
from tinygan.nn.layers import Sequential
from tinygan.optim import Adam


def weighted_value(s: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return V, in nats, of logits s (n, 1) at points with probabilities p (n, 1) under the data and q (n, 1) under G."""
    return ops.sum(p * ops.log_sigmoid(s)) + ops.sum(q * ops.log_sigmoid(-s))


def ascend_to_optimum(D: Sequential, goal: Callable[[], Tensor], iterations: int = 500) -> float:
    """Move D's parameters to a maximum of goal() by L-BFGS; float64 networks. Returns the goal reached.

    L-BFGS is a quasi-Newton method (Liu and Nocedal 1989, as SciPy has it); a plain gradient needs many thousands of steps for the
    last digits. D's parameters become views of one buffer. goal: a function of nothing but these parameters; it is recorded with
    its gradient and replayed from then on, unless it asks for values. SciPy's own products, of vectors as long as D has parameters,
    take one thread: more of them would wait for one another longer than such a product takes.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    flat = Flat(D.parameters())
    evaluate = _goal_and_gradient(flat, goal)

    def minus_goal(theta: np.ndarray) -> tuple[float, np.ndarray]:
        flat.theta[...] = theta
        flat.backend.writes.note((flat.theta,))
        reached, slopes = evaluate()
        return -float(reached), -slopes.numpy()

    with threadpool_limits(1, user_api="blas"):
        found = minimize(minus_goal, flat.theta.copy(), jac=True, method="L-BFGS-B",
                         options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-13, "gtol": 1e-9})
    flat.theta[...] = found.x
    flat.backend.writes.note((flat.theta,))
    return float(goal())


def _goal_and_gradient(flat: Flat, goal: Callable[[], Tensor]) -> Callable[[], Sequence[Tensor]]:
    """Return a function that gives goal() and its gradient (P,)."""
    parameters = list(flat.parameters.values())

    def evaluate() -> tuple[Tensor, Tensor]:
        reached = goal()
        return reached, flat.gather(gradients(reached, parameters))

    return _replayed_where_possible(evaluate, flat.backend)


def _replayed_where_possible(step: Callable[..., Sequence[Tensor]], backend: Backend) -> Callable[..., Sequence[Tensor]]:
    """Return a function that does what a step does with tensors: by replay, or eagerly from the first call on where that fails."""
    ways: list[Callable[..., Sequence[Tensor]]] = [Replayed(step, backend)]

    def call(*inputs: Tensor) -> Sequence[Tensor]:
        try:
            return ways[-1](*inputs)
        except NotReplayable:
            ways.append(step)
            return step(*inputs)

    return call


# ---- is D at its optimum? -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Retrained:
    """The result of retraining D with G fixed.

    v: V of the retrained D on samples that it neither learnt from nor was chosen by. before: V of the D that was handed in, on the
    same samples. Both in nats.
    """

    v: float
    before: float

    @property
    def gap(self) -> float:
        """V + log 4 of the retrained D, in nats: a lower bound of 2 JSD(p_data, p_g), which is at most log 4 = 1.386."""
        return self.v + LOG4


class Pair(NamedTuple):
    """Equal numbers of real and generated samples, (n, *shape) each."""

    real: Tensor
    fake: Tensor


def retrained_value(
    D: Sequential, real: np.ndarray, fake: np.ndarray, rng: np.random.Generator, steps: int = 800, rate: float = 4e-3, pack: int = 1
) -> Retrained:
    """Retrain D with G fixed, by Adam at a rate that falls to 0, and measure V before and after. D changes: hand in a copy.

    real, fake: (n, *shape), the same n. D learns from half of them, a quarter chooses when to stop, and V is measured on the last
    quarter, so a D that has learnt its samples by heart gains nothing. Steps of tinygan's own layers are recorded once, and
    replayed. With a layer of somebody else's they run eagerly: it may count its calls or decide by values, which no replay does.
    """
    learn, choose, judge = _half_and_quarters(D, real, fake, pack)
    half, optimiser = len(learn.real.array), Adam(D.parameters(), rate, 0.5, 0.99)
    m = _whole_packs(min(256, half), pack)

    def v_of(pair: Sequence[Tensor]) -> Tensor:
        return value(*(D(packed(x, pack)) for x in pair))

    def v_on(pair: Pair) -> float:
        return float(v_of(pair))

    def ascend(*batch: Tensor) -> tuple[Tensor, ...]:
        optimiser.ascend(gradients(v_of(batch), optimiser.parameters))
        return ()

    ascend_v = ascend if code_of_others(D) else _replayed_where_possible(ascend, optimiser.flat.backend)
    before, best = v_on(judge), (v_on(choose), v_on(judge))
    for step in range(steps):
        optimiser.rate = rate * (1 - step / steps)
        chosen = [rng.choice(half, m, replace=False) for _ in learn]
        batch = [wrap(t.array[indices], t.backend) for t, indices in zip(learn, chosen, strict=True)]
        ascend_v(*batch)
        if (step + 1) % 50 == 0:
            best = max(best, (v_on(choose), v_on(judge)))
    return Retrained(best[1], before)


def _whole_packs(n: int, pack: int) -> int:
    """Return n rounded down to a multiple of `pack`, but at least `pack`."""
    return max(n // pack, 1) * pack


def _half_and_quarters(D: Sequential, real: np.ndarray, fake: np.ndarray, pack: int) -> tuple[Pair, Pair, Pair]:
    """Split (n, *shape) real and fake samples into 1/2, 1/4 and 1/4, each of whole packs, in D's dtype and on its backend."""
    like = next(iter(D.parameters().values()))
    half, quarter = _whole_packs(len(real) // 2, pack), _whole_packs(len(real) // 4, pack)
    spans = (0, half), (half, half + quarter), (half + quarter, half + 2 * quarter)

    def on(x: np.ndarray) -> Tensor:
        return wrap(like.backend.asarray(x, like.dtype), like.backend)

    first, second, third = (Pair(on(real[a:b]), on(fake[a:b])) for a, b in spans)
    return first, second, third

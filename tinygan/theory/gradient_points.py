"""The parts of a gradient check: a case, points that are hard for a VJP, and draws that keep clear of kinks.

Points are drawn where a wrong VJP shows: at normal gradient scale (nothing saturates), with every element different, and clear of
kinks, where there is no derivative to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tinygan_kernels import Backend, Launch

from tinygan.engine.conversion import backend_of
from tinygan.engine.gradcheck import MAX_ELEMENTS, GradcheckReport, gradcheck
from tinygan.engine.tensor import Tensor, wrap

Function = Callable[..., Tensor]
Draw = Callable[[np.random.Generator], np.ndarray]
Build = Callable[[np.random.Generator, Backend], tuple[Function, list[Tensor]]]

CLEARANCE = 5e-3  # no preactivation this close to a kink: ten times as far as the checker's steps carry it


@dataclass(frozen=True)
class Case:
    """One gradient check: `build(rng, backend)` gives a function and the float64 inputs at which it is differentiated.

    The name is "op: what is hard about it". orders: the orders of the derivatives to check, 1 and 2. elements: how many of each
    input are checked one by one (see gradcheck).
    """

    name: str
    build: Build
    orders: tuple[int, ...] = (1, 2)
    elements: int = MAX_ELEMENTS

    @property
    def op(self) -> str:
        """The op that the case is for: what stands before the colon in its name."""
        return self.name.partition(":")[0]


def run(case: Case, backend: Backend, rng: np.random.Generator) -> list[GradcheckReport]:
    """Check a case. Returns one report for each of its orders. Raises KinkError where the case has been built at a kink."""
    f, inputs = case.build(rng, backend)
    return [gradcheck(f, *inputs, order=order, rng=rng, name=case.name, elements=case.elements) for order in case.orders]


# ---- points: each draw is a function of the generator ---------------------------------------------------------------------------


def normal(*shape: int) -> Draw:
    """Draw from N(0, 1)."""
    return lambda rng: rng.standard_normal(shape)


def apart(*shape: int) -> Draw:
    """Draw both signs, at least 0.3 away from 0: for kinks and poles there."""
    return lambda rng: rng.uniform(0.3, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def positive(*shape: int) -> Draw:
    """Draw within [0.3, 2]: for logarithms and roots."""
    return lambda rng: rng.uniform(0.3, 2.0, shape)


def unit(*shape: int) -> Draw:
    """Draw within [0.1, 0.9]: probabilities and soft labels."""
    return lambda rng: rng.uniform(0.1, 0.9, shape)


def distinct(*shape: int, offset: float = 0.0) -> Draw:
    """Draw multiples of 0.15 in random order, plus the offset: no two alike, also between draws whose offsets differ by 0.07."""
    n = math.prod(shape)
    return lambda rng: (rng.permutation(n) - n / 2).reshape(shape) * 0.15 + offset


def view(draw: Draw) -> Draw:
    """Take every second row of a draw, from the last one up, transposed: a view with a negative stride. (4, 3) becomes (3, 2)."""
    return lambda rng: draw(rng)[::-2].T


def case(name: str, f: Function, *draws: Draw, orders: tuple[int, ...] = (1, 2)) -> Case:
    """Return the case of f at points from the draws, one for each of its inputs. Views stay views: a Tensor would copy them."""
    return Case(name, lambda rng, backend: (f, [wrap(backend.asarray(draw(rng)), backend) for draw in draws]), orders, 12)


# ---- clear of kinks -------------------------------------------------------------------------------------------------------------


def clearance(f: Function, inputs: list[Tensor]) -> float:
    """Compute how close any preactivation of f(*inputs) comes to the kink of its leaky ReLU; infinite where there is none.

    0 where none of a layer's units is on: behind a ReLU that is flat, and there is nothing to check.
    """
    nearest = [math.inf]

    def watcher(launch: Launch, proceed: Callable[[], None]) -> None:
        if launch.kernel.name == "leaky_relu" or launch.params.get("act") == "leaky_relu":
            # before the kernel runs, as bias_act may overwrite its input
            x = launch.inputs[0] if launch.kernel.name == "leaky_relu" else launch.inputs[0] + launch.inputs[1]
            nearest.append(float(abs(x).min()) if (x > 0).any() else 0.0)
        proceed()

    with inputs[0].backend.watch(watcher):
        f(*inputs)
    return min(nearest)


def clear_of_kinks(case: Case) -> Case:
    """Return the case, drawn anew until it is clear of kinks. Raises RuntimeError where a thousand draws are not.

    The draws are tried on the reference, as trying dozens of them takes an emulated backend many times as long as the check.
    """

    def build(rng: np.random.Generator, backend: Backend) -> tuple[Function, list[Tensor]]:
        trial = backend_of("reference")
        for _ in range(1000):
            before = rng.bit_generator.state
            if clearance(*case.build(rng, trial)) > CLEARANCE:
                rng.bit_generator.state = before
                return case.build(rng, backend)
        raise RuntimeError(f"{case.name}: a thousand draws, each with a kink near; it has too many units for this check")

    return Case(case.name, build, case.orders, case.elements)

"""Time a training step in Python: a loop by hand through `Game`, `fit`, and the loop of `tinygan train`:

    python -m benchmarks.speed.fitting [--data NAME] [--rounds N] [--steps N] [--clock wall|cpu] [--json FILE]

All sides train the same networks on the same data with the options that the command line takes by default. They train in turns, a
run each, and each run is timed from its first reading to its last, so that recording and checks at the beginning are left out, and
alarms and readings are in. With --clock cpu the CPU time of the process counts, which other programs disturb less: for one thread,
as waiting threads take CPU time too. Before that it is verified that `fit` and the command line's loop have the same bits.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from tinygan_kernels import Backend, load

from tinygan import Tensor, fit
from tinygan.data import load as load_data
from tinygan.game import Game
from tinygan.measure import Alarms
from tinygan.nn import Layer, discriminator, generator
from tinygan.nn.architectures import NetworkOptions
from tinygan.optim import Adam
from tinygan.options import options_of
from tinygan.training import Config, Run, with_defaults

from .timing import stamp

DATA = ("ring", "digits")
SIDES = ("command line", "fit", "fit, a layer of one's own", "by hand, eager")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
EAGER_SHARE = 20  # the loop by hand makes so many times fewer steps, as it is slower


class Own(Layer):
    """A layer of the user's own around a network, which computes the same."""

    def __init__(self, inner: Layer) -> None:
        self.inner = inner

    def __call__(self, x: Tensor) -> Tensor:
        return self.inner(x)


@dataclass
class Trial:
    """One data set with its default options, and the sides that train on it; each returns its milliseconds a step."""

    data: str
    steps: int
    backend: Backend
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        self.dataset = load_data(self.data)
        self.config = Config(data=self.data, **with_defaults(self.dataset, {"steps": self.steps}))

    def networks(self) -> tuple[Layer, Layer]:
        """Return G and D as `tinygan train` begins with them."""
        a = self.config.architecture(self.dataset.codec)
        rng = np.random.default_rng(np.random.SeedSequence(self.config.seed).spawn(4)[0])
        return generator(a, self.backend, rng), discriminator(a, self.backend, rng)

    def command_line(self) -> tuple[float, Run]:
        run, moments = Run(self.config, self.dataset, self.backend, None), []
        alarms = Alarms(run, lambda line: None)

        def on_reading(reading: dict[str, float]) -> None:
            alarms(reading)
            moments.append((run.step, self.clock()))

        run.train(on_reading)
        return _per_step(moments), run

    def fitted(self, own: bool = False) -> tuple[float, Run]:
        G, D = self.networks()
        built = set(options_of(NetworkOptions))
        options = {name: value for name, value in with_defaults(self.dataset, {"steps": self.steps}).items() if name not in built}
        moments: list[tuple[int, float]] = []
        result = fit(Own(G) if own else G, D, self.dataset, z=self.config.z, progress=False, say=lambda line: None, every=10,
                     callback=lambda moment: moments.append((moment.step, self.clock())), **options)
        if result.eager:
            raise SystemExit(f"{self.data}: fit ran without replay, which is not what is to be timed: {result.eager}")
        return _per_step(moments), result.run

    def by_hand(self) -> float:
        """Play the game as docs/game.md does, a graph a step, on batches and noise drawn in the loop."""
        c, (G, D) = self.config, self.networks()
        average, rng = self.networks()[0], np.random.default_rng(0)
        game = Game(D, G, Adam(D.parameters(), c.lr_d, c.beta1, c.beta2), Adam(G.parameters(), c.lr_g, c.beta1, c.beta2),
                    c.objective, c.r1, c.ema, average)
        sampler, moments = self.dataset.sampler(c.batch, rng), []
        for step in range(max(20, self.steps // EAGER_SHARE)):
            game.alternating_step(lambda: Tensor(sampler.next(), self.backend),
                                  lambda: Tensor(rng.standard_normal((c.batch, c.z), np.float32), self.backend), c.k)
            moments.append((step, self.clock()))
        return _per_step(moments[5:])

    def verify(self) -> None:
        """Raise SystemExit unless `fit`, with and without a layer of one's own, and the command line's loop give the same bits."""
        wanted = list(self.command_line()[1].saved_arrays().values())
        for own in (False, True):
            found = list(self.fitted(own)[1].saved_arrays().values())
            if len(found) != len(wanted) or any(a.tobytes() != b.tobytes() for a, b in zip(found, wanted, strict=True)):
                raise SystemExit(f"{self.data}: fit and tinygan train have other bits; nothing is timed; a layer of its own: {own}")


def _per_step(moments: list[tuple[int, float]]) -> float:
    """Return the milliseconds a step between the first moment and the last."""
    (first, begun), (last, ended) = moments[0], moments[-1]
    return 1000 * (ended - begun) / (last - first)


def measure(data: str, steps: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Return the milliseconds a step of every side and round, the medians, and each side's ratio to the command line's loop.

    The ratio is the median over the rounds of the ratio within a round, as a machine's speed drifts.
    """
    trial = Trial(data, steps, load("cpu"), clock)
    trial.verify()
    sides: dict[str, Callable[[], float]] = dict(zip(SIDES, (
        lambda: trial.command_line()[0], lambda: trial.fitted()[0], lambda: trial.fitted(own=True)[0], trial.by_hand), strict=True))
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in (list(sides) if number % 2 == 0 else list(reversed(sides))):  # whoever comes first may find a colder cache
            taken[name].append(sides[name]())
    own = np.array(taken["command line"])
    return {name: {"ms": float(np.median(ms)), "ratio": float(np.median(np.array(ms) / own)), "rounds": ms}
            for name, ms in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=DATA, action="append", help="this one only; may be repeated")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1000, help="of a run; the loop by hand makes a twentieth of them")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    threads = numba.get_num_threads()
    report: dict[str, Any] = {"stamp": stamp(), "steps": args.steps, "clock": args.clock, "threads": threads, "data": {}}
    for data in args.data or DATA:
        report["data"][data] = found = measure(data, args.steps, args.rounds, CLOCKS[args.clock])
        for name, side in found.items():
            print(f"{data:8s} {name:28s} {side['ms']:8.3f} ms a step   {side['ratio']:6.2f} of the command line's", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

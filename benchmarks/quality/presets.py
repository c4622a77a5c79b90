"""Measure what the presets reach: `python -m benchmarks.quality.presets [TABLE ...] [--seeds 5] [--steps N] [--json FILE]`

The tables are results (ring, grid and digits with their defaults), density (the preset of that name on ring and grid), ablation
(that preset on ring with each of its ingredients taken away), pacgan (a vanilla GAN in PacGAN's set-up, then with packs of
2 and 4) and remedies (each remedy alone on ring and grid, from the same plain game). Every row is trained from each seed, then
measured: mixtures on 2,500 samples (modes, HQ share, reverse KL) and on 25,000 (JSD); digits on 1,797 (k = 5 nearest neighbours,
Frechet distance along 32 principal axes, confidence of a classifier). alarm_collapse is the share of runs in which the collapse
alarm went off, which on healthy rows is its false-alarm rate. looks counts the checks for collapse in a run, looks_collapsed those
that showed it. The script prints mean and standard error over the seeds, and writes them to the JSON file row by row, beside what
it holds already; a row there of more seeds stays. --untimed leaves the seconds out, for a machine that is busy otherwise.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tinygan_kernels import load

from benchmarks.speed.timing import stamp
from tinygan.data import Dataset
from tinygan.data import load as load_data
from tinygan.measure.alarms import Alarms
from tinygan.measure.metrics import class_balance
from tinygan.measure.report import DRAWS, quality_of_mixture
from tinygan.measure.sample_quality import sample_quality
from tinygan.training.config import Config, with_defaults
from tinygan.training.presets import options_of_preset
from tinygan.training.run import Run
from tinygan.training.samples import Trained, load_generator


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

    def given(self) -> dict[str, Any]:
        """Return the options that the preset and the row give, without the defaults of the data."""
        return {**options_of_preset(self.preset, self.data), **dict(self.options)}


REMEDIES = ("vanilla", "minimax", "r2", "wgan-gp", "sngan", "lsgan", "noise", "smooth", "pack", "unroll", "ttur")
REMEDY_STEPS = (("steps", 12_000), ("ema", 0.999))  # a part of a full run shows what each does, where it fails too
# one plain game for the whole table: on ring not that of the defaults, but one whose D is as deep as on the grid
REMEDY_OPTIONS = {"ring": (*REMEDY_STEPS, ("hidden_d", (128, 128, 128)), ("decay", 0.5)), "grid": REMEDY_STEPS}
# Gulrajani et al. 2017, Algorithm 1, has Adam with these; the rows above keep the rates of the table's plain game
PAPERS = {"wgan-gp": ("wgan-gp, its paper's Adam", (("lr_d", 1e-4), ("lr_g", 1e-4), ("beta1", 0.0), ("beta2", 0.9)))}
# What the preset "density" is without one of its ingredients, on a run of ABLATION_STEPS steps.
ABLATION_STEPS = ("steps", 12_000)
ABLATION: dict[str, tuple[tuple[str, Any], ...]] = {
    "all of it": (), "no Fourier features": (("fourier", 0),), "no signs in z": (("signs", 0),),
    "gamma is small at once": (("r1", 2.5e-3), ("r2", 2.5e-3), ("penalty_fall", 1.0)),
    "gamma stays large": (("penalty_fall", 1.0),),
    "beta2 of the defaults": (("beta2", 0.99),), "rates fall in a straight line": (("decay_power", 1.0),), "no R2": (("r2", 0.0),),
}
TABLES: dict[str, list[SetUp]] = {
    "density": [SetUp("ring", "density"), SetUp("grid", "density")],
    "ablation": [SetUp("ring", "density", (ABLATION_STEPS, *options), label) for label, options in ABLATION.items()],
    "results": [SetUp("ring", "best"), SetUp("grid", "best"), SetUp("digits", "best")],
    "pacgan": [SetUp(data, preset) for data in ("ring", "grid") for preset in ("pacgan-gan", "pacgan2", "pacgan4")],
    "remedies": [
        *(SetUp(data, preset, REMEDY_OPTIONS[data]) for data in ("ring", "grid") for preset in ("best", *REMEDIES)),
        *(SetUp(data, preset, (*REMEDY_OPTIONS[data], *options), label)
          for data in ("ring", "grid") for preset, (label, options) in PAPERS.items()),
    ],
}
RESULTS = Path("benchmarks/results")
FILES = {"density": "density.json", "ablation": "density.json"}  # the records of these tables; all others are in presets.json


def train(set_up: SetUp, seed: int, steps: int | None, folder: Path) -> tuple[dict[str, float], Dataset, Trained]:
    """Train a set-up from one seed. Seconds are those of training alone, compilation and the drawing of pictures left out."""
    dataset, backend = load_data(set_up.data), load("cpu")
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
    balance = class_balance(dataset.x.reshape(len(dataset.x), -1), dataset.labels, found.fakes)
    return {**found.numbers(), "confidence": balance.confidence, "rarest_class": balance.rarest}


class Estimate(NamedTuple):
    """A mean over runs and its standard error, which is NaN for a single run."""

    mean: float
    error: float


def summary(runs: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return each number's mean over the runs."""
    found = {}
    for key in runs[0]:
        values = np.array([run[key] for run in runs])
        with np.errstate(invalid="ignore"):  # a run without one good sample has an infinite KL
            error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        found[key] = Estimate(float(values.mean()), error)
    return found


def run_row(set_up: SetUp, seeds: int, steps: int | None) -> dict[str, Any]:
    """Return a row of numbers, of a set-up trained and measured from seeds 0, 1, ...; a run that diverges is counted, no more."""
    *_, row = growing_row(set_up, seeds, steps)
    return row


def growing_row(set_up: SetUp, seeds: int, steps: int | None) -> Iterator[dict[str, Any]]:
    """Yield the row of `run_row` after each of its seeds, with the runs so far, as a long row may be cut short."""
    runs: list[dict[str, float]] = []
    options = with_defaults(load_data(set_up.data), set_up.given())
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            try:
                numbers, dataset, trained = train(set_up, seed, steps, Path(folder))
                runs.append({**numbers, **measure(dataset, trained, seed)})
            except FloatingPointError as error:
                print(f"{set_up.name}, seed {seed}: {error}")
        yield {"data": set_up.data, "preset": set_up.row, "options": options, "runs": runs, "diverged": seed + 1 - len(runs)}


def show(row: dict[str, Any]) -> str:
    """Return a measured row as a line of text."""
    if not row["runs"]:
        return f"{row['data']:7s} {row['preset']:11s} diverged in every run"
    parts = [f"{key} {mean:.4g}±{error:.2g}" for key, (mean, error) in summary(row["runs"]).items()]
    return f"{row['data']:7s} {row['preset']:11s} " + "  ".join(parts)


def seeds_of(row: dict[str, Any]) -> int:
    """Return how many seeds a row has been measured with, those that diverged included."""
    return len(row["runs"]) + row["diverged"]


def keep(rows: list[dict[str, Any]], measured: dict[str, Any]) -> None:
    """Put a row into a table, in the place of an earlier measurement of the same set-up if there is one, else at the end.

    An earlier row of more seeds stays: what a run that is cut short has got to is no better.
    """
    same = [i for i, row in enumerate(rows) if (row["data"], row["preset"]) == (measured["data"], measured["preset"])]
    if same:
        rows[same[0]] = max(measured, rows[same[0]], key=seeds_of)  # the first, if both have as many
    else:
        rows.append(measured)


def write(path: Path, table: str, measured: dict[str, Any]) -> None:
    """Put a measured row into the JSON file.

    Called after each run, as a long job may be cut short; reads the file anew, as another job may be writing other rows.
    """
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"tables": {}}
    rows = record["tables"].setdefault(table, [])
    keep(rows, measured)
    if not any(row is measured for row in rows):
        return
    record["stamp"] = stamp()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def fuller(path: Path, table: str, measured: dict[str, Any]) -> dict[str, Any] | None:
    """Return the row that the JSON file has kept in the place of a measured one, as it has more seeds; None if there is none."""
    rows = json.loads(path.read_text())["tables"][table]
    found = next(row for row in rows if (row["data"], row["preset"]) == (measured["data"], measured["preset"]))
    return found if seeds_of(found) > seeds_of(measured) else None


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the seconds of its runs."""
    return {**row, "runs": [{name: v for name, v in run.items() if name != "seconds"} for run in row["runs"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"any of {', '.join(TABLES)}; all of them if none is named")
    parser.add_argument("--only", default="", help="rows whose data or preset this is, as in --only digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="steps of every run, instead of the preset's")
    parser.add_argument("--untimed", action="store_true", help="write no seconds: the machine is busy otherwise")
    parser.add_argument("--json", type=Path, help="where to write; as a rule benchmarks/results/presets.json, or density.json for "
                        "density and ablation")
    args = parser.parse_args()
    if unknown := set(args.tables) - set(TABLES):
        parser.error(f"there is no table {sorted(unknown)[0]!r}; there are {', '.join(TABLES)}")
    for table in args.tables or TABLES:
        for set_up in TABLES[table]:
            if args.only in ("", set_up.data, set_up.row):
                path = args.json or RESULTS / FILES.get(table, "presets.json")
                for measured in growing_row(set_up, args.seeds, args.steps):
                    row = untimed(measured) if args.untimed else measured
                    write(path, table, row)
                print(show(row), flush=True)
                if (kept := fuller(path, table, row)) is not None:
                    print(f"{path.name} keeps its row of {seeds_of(kept)} seeds; another --json takes this one", flush=True)


if __name__ == "__main__":
    main()

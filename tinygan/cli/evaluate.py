"""`tinygan evaluate`: the quality and the variety of a run's samples, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from tinygan.data import NAMES, DataError, DataOptions, known_data

from .console import BackendName, RunPlace, err, load_backend, out, tell

if TYPE_CHECKING:
    from tinygan.data import Dataset
    from tinygan.training.state import RunState

EXAMPLES = (
    "Examples:  tinygan evaluate runs/ring   |   tinygan evaluate runs/digits --parzen   |   "
    "tinygan evaluate runs/digits --draws 20   |   tinygan evaluate runs/heights --data held-out.csv"
)


def evaluate(
    run_folder: RunPlace,
    with_parzen: Annotated[bool, typer.Option("--parzen", help="Also the Parzen estimate of the 2014 paper's Table 1. "
                                                               "Default: off.")] = False,
    data: Annotated[str | None, typer.Option("--data", help="Measure against other data, such as samples that were held out: "
                                                            f"{known_data()}. Default: the data of the run.",
                                               show_default=False)] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Insist on measures against the samples that training held out; they "
                                                             "are shown wherever there are any. Default: off.")] = False,
    draws: Annotated[int | None, typer.Option("--draws", min=1, max=1000, show_default=False,
                                              help="How often samples are drawn, for a mean and a spread. Default: 5, or 1 of "
                                                   "large samples.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which samples are drawn.")] = 0,
    backend: BackendName = "cpu",
) -> None:
    """Measure a run: quality and variety of its samples against the data that it was trained on, or against others of their kind.

    A run of `tinygan train DATA --held-out 0.2` is measured against the samples that it did not see too, with a test for
    memorisation. Data that have changed since the run began are refused; --data measures against them.
    """
    from tinygan.measure.report import quality_report
    from tinygan.training.samples import load_generator
    from tinygan.training.state import read_state

    state = read_state(run_folder)[1]
    dataset = own_data(run_folder, state) if data is None else _other_data(data, state)
    if held_out and dataset.held is None:
        raise _nothing_held_out(run_folder, data, dataset)
    trained = load_generator(run_folder, load_backend(backend))
    found = quality_report(dataset, trained, np.random.default_rng(seed), with_parzen, draws)
    for note in (*(() if data in (None, *NAMES) else (dataset.summary,)), *dataset.notes):
        tell(err, note)
    table = Table("", "", "what it means", box=None, header_style="bold")
    for row in found:
        table.add_row(*row)
    out.print(table)


def _nothing_held_out(run_folder: Path, data: str | None, dataset: Dataset) -> DataError:
    """Return the error of --held-out where no samples were held out."""
    if data is not None:
        return DataError("--held-out is for the run's own data; --data gives others to measure against, so leave one of them out")
    if dataset.is_mixture:
        return DataError(f"{dataset.name} is drawn fresh for every batch, so every sample is held out; leave out --held-out")
    return DataError(f"the run in {run_folder} was trained on all of its data; hold some out: tinygan train {dataset.name} "
                     f"--held-out 0.2")


def own_data(run_folder: Path, state: RunState) -> Dataset:
    """Return the data that a run was trained on. Raises DataError where they are not at hand, or are others by now."""
    from tinygan.data import load as load_data
    from tinygan.fitting.arrays import ARRAY

    config = state.config
    if config.data == ARRAY:
        raise DataError(f"the run in {run_folder} was trained in Python, on an array that it does not hold; measure it there: "
                        f"tinygan.measure.quality_report(dataset, load_generator(run), rng); or give a file of the data by --data")
    dataset = load_data(config.data, say=lambda line: tell(err, line), **config.values(DataOptions))
    if not state.is_of(dataset):
        raise DataError(f"{config.data} is not what the run in {run_folder} was trained on: shape, scale or contents differ; to "
                        f"measure against it as it is now, give it by --data")
    return dataset


def _other_data(data: str, state: RunState) -> Dataset:
    """Return other data in the units of a run's own. Raises DataError where their samples are of another kind or shape."""
    from tinygan.data import load as load_data
    from tinygan.data.units import ForeignOptionError, unlike_the_run

    # held_out and scale are about the run's own data; the others come into their units anyway
    read_with = {**state.config.values(DataOptions), "held_out": 0.0, "scale": None}
    try:
        other = load_data(data, say=lambda line: tell(err, line), **read_with)
    except ForeignOptionError as error:  # of an option that the run was given, not this command
        raise DataError(unlike_the_run(data, "kind", error.kind, state.codec.kind)) from None
    return other.in_units_of(state.codec)

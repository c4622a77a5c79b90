"""`tinygan evaluate`: the quality and the variety of a run's samples, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from tinygan.data import DataOptions

from .console import BackendName, load_backend, out

EXAMPLES = "Examples:  tinygan evaluate runs/ring   |   tinygan evaluate runs/digits --parzen"


def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    with_parzen: Annotated[bool, typer.Option("--parzen", help="Also the Parzen estimate of the 2014 paper's Table 1.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which samples are drawn.")] = 0,
    backend: BackendName = "cpu",
) -> None:
    """Measure a run: quality and variety of its samples against the data that it was trained on."""
    from tinygan.data import DataError
    from tinygan.data import load as load_data
    from tinygan.fitting.arrays import ARRAY
    from tinygan.measure.report import quality_report
    from tinygan.training.samples import load_generator

    trained = load_generator(run_folder, load_backend(backend))
    config = trained.config
    if config.data == ARRAY:
        raise DataError(f"the run in {run_folder} was trained in Python, on an array that it does not hold; measure it there: "
                        f"tinygan.measure.quality_report(dataset, load_generator(run), rng)")
    dataset = load_data(config.data, **config.values(DataOptions))
    table = Table("", "", "what it means", box=None, header_style="bold")
    for row in quality_report(dataset, trained, np.random.default_rng(seed), with_parzen):
        table.add_row(*row)
    out.print(table)

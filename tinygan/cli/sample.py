"""`tinygan sample`: samples of a trained G, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tinygan.data import known_outputs

from .console import BackendName, Emulate, RunPlace, err, load_backend, out, tell, unchecked

EXAMPLES = "Examples:  tinygan sample runs/digits -n 100 -o digits.png   |   tinygan sample runs/ring -n 2500 -o points.csv"


def sample(
    run_folder: RunPlace,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000_000, help="How many samples.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the noise that they are made from.")] = 0,
    file: Annotated[Path, typer.Option("-o", "--output", help=f"{known_outputs()}.")] = Path("samples.npy"),
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> None:
    """Draw samples from a trained G; neither D nor the data are needed."""
    from tinygan.training.samples import load_generator

    trained = load_generator(run_folder, load_backend(backend, emulate))
    trained.codec.check_path(file)  # before anything is compiled and drawn
    with unchecked(trained.backend):
        trained.codec.write(file, trained.encoded(n, np.random.default_rng(seed)))
    for note in trained.codec.writing_notes(file.suffix.lower()):
        tell(err, note)
    tell(out, f"{n} samples of {run_folder} (step {trained.step:,}) in {file}")

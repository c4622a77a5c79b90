"""`tinygan train`: start or resume a run, follow it to its end, and draw what came of it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from tinygan.data import NAMES, DataOptions, known_data
from tinygan.options import options_of, require_effect
from tinygan.training.config import Config, RunOptions
from tinygan.training.interrupt import interruptible

from .console import err, load_backend, out, require_data, tell, unchecked
from .flags import takes_options
from .profile import print_profile

if TYPE_CHECKING:
    from tinygan.training.run import Run

NARROW = 0.9  # of the true width: a mode below it is worth a word

EXAMPLES = (
    "Examples:  tinygan train digits   |   tinygan train ring --r1 0 --out runs/plain   |   "
    "tinygan train photos/ --arch dcgan --size 32   |   tinygan train digits --resume --steps 20000"
)


def _flag(name: str, help: str) -> Any:
    """Declare a flag that is no option of the run's configuration."""
    return typer.Option(name, help=help, rich_help_panel=RunOptions.title, show_default=False)


@takes_options(Config)
def train(
    *,
    data: Annotated[str, typer.Argument(metavar="DATA", help=f"{known_data()}.", show_default=False)],
    given: dict[str, Any],
    folder: Annotated[Path | None, _flag("--out", "The run's folder; runs/<data> if not given. An earlier run there is moved "
                                                  "aside; two runs at a time are refused.")] = None,
    preset: Annotated[str | None, _flag("--preset", "A named set of options; others come on top. See `tinygan presets`. Default: "
                                                      "none.")] = None,
    diagnose: Annotated[bool, _flag("--diagnose", "Four times in the run: V + log 4 by D, and by a D retrained to its "
                                                  "optimum. Default: off.")] = False,
    profile: Annotated[bool, _flag("--profile", "At the end: where a step's time goes, by kernel. Default: off.")] = False,
    resume: Annotated[bool, _flag("--resume", "Go on with the run in --out. Default: off, a new run begins.")] = False,
) -> int:
    """Train a GAN. Unless told otherwise, with settings that suit the data.

    The run's folder gets samples.png, curves.png, metrics.jsonl, config.json and a checkpoint. Ctrl-C stops after the step at
    hand, saves it, and says how to go on; a second one ends at once. A run that needs more memory than is free is refused.
    """
    require_data(data, f"to go on with it: tinygan train {{data}} --out {data} --resume")
    typed, given = tuple(given), {**_of_preset(preset, data), **given}
    place = folder or Path("runs") / (Path(data).name.split(".")[0] or "data")
    with ExitStack() as held:  # the folder's lock, once it is taken, to the end
        run = _resumed(data, place, given, held) if resume else _new(data, place, given, typed, held)
        understood = () if data in NAMES else (run.dataset.summary,)
        for note in (*understood, *run.dataset.notes):
            tell(err, note)
        if not _finish(run, diagnose):
            again = shlex.join(["tinygan", "train", run.config.data, "--out", str(run.out), "--resume"])
            tell(err, f"interrupted; step {run.step} is saved. Go on with: {again}")
            return 130
        if profile:
            print_profile(run)
        return 0


def _of_preset(name: str | None, data: str) -> dict[str, Any]:
    from tinygan.training.presets import options_of_preset

    return options_of_preset(name, data) if name else {}


def _new(data: str, place: Path, given: dict[str, Any], typed: Iterable[str], held: ExitStack) -> Run:
    """Return a run that starts afresh in `place`, whose lock is in `held` from now on; an earlier run there is moved aside.

    given: the options, those of a preset included; typed: the names of those that stand on the command line.
    """
    from tinygan.data import load as load_data
    from tinygan.training.config import with_defaults
    from tinygan.training.folder import require_writable, set_aside
    from tinygan.training.folder_lock import FolderLock
    from tinygan.training.run import Run

    dataset = load_data(data, say=lambda line: tell(err, line), **{name: given.get(name) for name in options_of(DataOptions)})
    config = Config(data=data, **with_defaults(dataset, given))
    require_effect(config, typed)
    lock = FolderLock(place)
    require_writable(place)  # before a backend is loaded, which may compile
    lock.require_free()
    run = Run(config, dataset, load_backend(config.backend, config.emulate), place, lock=lock)
    held.enter_context(lock)
    if kept := set_aside(lock):
        tell(err, f"the earlier run in {place} is now in {kept}")
    return run


def _resumed(data: str, place: Path, given: dict[str, Any], held: ExitStack) -> Run:
    """Return the run in `place` as its checkpoint left it; the folder's lock is in `held` from now on."""
    from tinygan.data import load as load_data
    from tinygan.training.checkpoint import folder_of
    from tinygan.training.config import read_config
    from tinygan.training.folder import require_writable
    from tinygan.training.folder_lock import FolderLock
    from tinygan.training.run import Run, finished

    config = read_config(place)
    place = folder_of(place)
    require_writable(place)
    lock = held.enter_context(FolderLock(place))
    read_with = {name: given.get(name, own) for name, own in config.values(DataOptions).items()}
    dataset = load_data(data, say=lambda line: tell(err, line), **read_with)
    run = Run.resume(dataset, load_backend(config.backend, config.emulate), place, {"data": data, **given}, lock=lock)
    if line := finished(run):
        tell(err, line)
    return run


def _finish(run: Run, diagnosing: bool) -> bool:
    """Train to the last step with progress and the alarms, then draw. Return False if interrupted: the step is saved."""
    from tinygan.fitting.progress import progress
    from tinygan.measure.alarms import Alarms
    from tinygan.measure.snapshots import Snapshots
    from tinygan.training.crowd import CrowdNotice

    begun, first = time.perf_counter(), run.step
    say = partial(tell, err)
    alarms = Alarms(run, say, diagnosing=diagnosing)
    crowd, snapshots = CrowdNotice(run.backend, say), Snapshots(run, run.config.snapshots)

    def on_reading(reading: dict[str, float]) -> None:
        show(reading)
        alarms(reading)
        crowd()
        snapshots(reading)

    with interruptible() as interrupted, progress(run, True, say, err) as show, unchecked(run.backend):
        finished = run.train(on_reading, lambda: interrupted() is not None)
    if not finished:
        return False
    seconds, done = time.perf_counter() - begun, run.step - first
    rate = f", {done / seconds:.0f} steps/s" if done else ""
    animation = [path.name] if run.config.snapshots and (path := snapshots.animate()) else []
    files = ", ".join([*_draw(run), *animation])
    tell(out, f"{run.config.data}: step {run.step:,}, {seconds:.1f} s{rate}. In {run.out}: {files}")
    if run.dataset.is_mixture and not run.backend.emulated:
        tell(out, _judged(run))
    return True


def _judged(run: Run) -> str:
    """Return how well the samples of a run match the mixture that it was trained on, in a line.

    Where modes are narrow and a preset is made for their widths, a second line says so.
    """
    from tinygan.measure.report import mixture_line, quality_of_mixture
    from tinygan.training.presets import PRESETS
    from tinygan.training.samples import load_generator

    with unchecked(run.backend):
        found = quality_of_mixture(run.dataset, load_generator(run.out, run.backend), np.random.default_rng(run.config.seed))
    data, line = run.config.data, f"{run.config.data}: {mixture_line(found)}"
    if found.numbers()["std_ratio_min"] < NARROW and data in PRESETS["density"].data and not run.config.fourier:
        line += f"\nModes narrower than the data's are usual here; for right widths: tinygan train {data} --preset density"
    return line


def _draw(run: Run) -> list[str]:
    """Draw samples, curves and, where D* is known, D against D*; return the names of all files that the run's folder has."""
    from tinygan.measure.pictures import draw_against_optimum, draw_curves, draw_samples
    from tinygan.measure.report import d_against_optimum
    from tinygan.training.folder import CHECKPOINT, CONFIG, METRICS
    from tinygan.training.samples import load_generator

    trained = load_generator(run.out, run.backend)
    rng = np.random.default_rng(run.config.seed)
    of = "the average of G" if run.config.ema else "G"
    with unchecked(run.backend):
        fake = trained.encoded(run.dataset.codec.drawn, rng)
    draw_samples(run.dataset, fake, f"generated: {of}, step {run.step:,}", run.out / "samples.png", rng)
    x = run.dataset.x
    draw_curves(run.out / METRICS, run.out / "curves.png", run.config, None if x is None else len(x))
    with unchecked(run.backend):
        judged = d_against_optimum(run)
    pictures = ["samples.png", "curves.png"]
    if judged is not None:
        draw_against_optimum(judged, run.dataset.centres[0], run.dataset.std, run.out / "optimum.png")
        pictures.append("optimum.png")
    return [*pictures, METRICS, CONFIG, CHECKPOINT]

"""The command line: `tinygan`, also `python -m tinygan`. What is wrong with the input is said in one line, with exit code 2."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text
from tinygan_kernels import BackendError, ContractError, names

from tinygan.cli import kernels, theory
from tinygan.cli import profile as cli_profile
from tinygan.data import DataError, known_data, known_outputs
from tinygan.game.objectives import OBJECTIVES
from tinygan.nn.init import INITS
from tinygan.options import OptionError
from tinygan.training.checkpoint import CheckpointError
from tinygan.version import __version__

from .console import BackendName, Emulate, err, load_backend, out, tell, unchecked

USER_ERRORS = (DataError, CheckpointError, BackendError, ContractError, FloatingPointError)
# Typer carries a copy of Click inside in newer versions and imports it in older ones; this is the base of its errors in both.
UsageErrors = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="tinygan", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="A GAN from scratch, down to the kernels: train one, draw samples from it, verify its gradients, look at its kernels.",
    epilog="Examples:  tinygan train digits   |   tinygan sample runs/digits -n 100 -o digits.png   |   tinygan gradcheck",
)
app.add_typer(kernels.app, name="kernels")


def main() -> None:
    """The console script. Exit codes: 0 done, 1 a check failed, 2 wrong input, 130 interrupted by Ctrl-C."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The command line as a function: arguments without the program's name -> exit code."""
    from tinygan.training.presets import PresetError

    try:
        return app(args=kernels.spread(arguments), prog_name="tinygan", standalone_mode=False) or 0
    except UsageErrors as error:
        if not error.format_message():  # no arguments: the help has been printed instead
            return 2
        hint = f" (see: {error.ctx.command_path} --help)" if getattr(error, "ctx", None) else ""
        return _complain(f"{error.format_message()}{hint}")
    except (*USER_ERRORS, OptionError, PresetError) as error:
        return _complain(str(error))
    except MemoryError as error:
        return _complain(f"not enough memory ({error}); take a smaller --batch, --z or -n, or fewer data")
    except OSError as error:
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _complain(message: str) -> int:
    print(f"tinygan: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tinygan {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


# ---- train --------------------------------------------------------------------------------------------------------------------

_GAME, _RATES, _NETS, _RUN = "The game", "Learning", "Networks and data", "The run"
_CURE = "Remedies"


def _option(*names: str, help: str, panel: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)


@app.command(
    epilog="Examples:  tinygan train digits   |   tinygan train ring --r1 0 --out runs/plain   |   "
    "tinygan train photos/ --arch dcgan --size 32   |   tinygan train digits --resume --steps 20000"
)
def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help=f"{known_data()}.", show_default=False)],
    steps: Annotated[int | None, _option("--steps", help="How many steps in all.", panel=_RUN)] = None,
    batch: Annotated[int | None, _option("--batch", help="Batch size m.", panel=_GAME)] = None,
    k: Annotated[int | None, _option("--k", help="D's ascent steps for each step of G (Algorithm 1).", panel=_GAME)] = None,
    objective: Annotated[str | None, _option("--objective", help=f"Which game: {', '.join(OBJECTIVES)}.",
                                             panel=_GAME)] = None,
    r1: Annotated[float | None, _option("--r1", help="Weight gamma of the R1 penalty on D's slope at real data; 0 is off.",
                                        panel=_GAME)] = None,
    ema: Annotated[float | None, _option("--ema", help="Decay of the average of G that samples come from; 0 is off.",
                                         panel=_GAME)] = None,
    update: Annotated[str | None, _option("--update", help="alternating (Algorithm 1) or simultaneous (one forward pass for both).",
                                          panel=_GAME)] = None,
    r2: Annotated[float | None, _option("--r2", help="Weight gamma of R2, the same penalty at generated samples.",
                                        panel=_CURE)] = None,
    gp: Annotated[float | None, _option("--gp", help="Weight lambda of the penalty between real and generated; its paper has 10.",
                                        panel=_CURE)] = None,
    smooth: Annotated[float | None, _option("--smooth", help="One-sided label smoothing: real labels become 1 minus this.",
                                            panel=_CURE)] = None,
    noise: Annotated[float | None, _option("--noise", help="Instance noise: std at the start, falling to 0.", panel=_CURE)] = None,
    pack: Annotated[int | None, _option("--pack", help="PacGAN: how many samples D judges together.", panel=_CURE)] = None,
    unroll: Annotated[int | None, _option("--unroll", help="Ascent steps of D that G looks ahead.", panel=_CURE)] = None,
    unroll_rate: Annotated[float | None, _option("--unroll-rate", help="Size of those steps.", panel=_CURE)] = None,
    spectral: Annotated[bool | None, _option("--spectral/--no-spectral", help="Spectral normalisation of D.", panel=_CURE)] = None,
    maxout: Annotated[int | None, _option("--maxout", help="Pieces of D's maxout units; 0 is leaky ReLU.", panel=_NETS)] = None,
    dropout: Annotated[float | None, _option("--dropout", help="Dropout in D's hidden layers.", panel=_NETS)] = None,
    batch_norm: Annotated[bool | None, _option("--batch-norm/--no-batch-norm", help="Batch normalisation in the MLP's G.",
                                               panel=_NETS)] = None,
    hidden: Annotated[str | None, _option("--hidden", help="Widths of G's hidden layers (and D's, reversed): 256,512.",
                                          panel=_NETS)] = None,
    hidden_d: Annotated[str | None, _option("--hidden-d", help="Widths of D's hidden layers, where they differ.",
                                            panel=_NETS)] = None,
    init: Annotated[str | None, _option("--init", help=f"Initial weights: {', '.join(INITS)}; if not given, each layer's own.",
                                        panel=_NETS)] = None,
    arch: Annotated[str | None, _option("--arch", help="mlp, or dcgan for images.", panel=_NETS)] = None,
    z: Annotated[int | None, _option("--z", help="Length of the noise vector.", panel=_NETS)] = None,
    size: Annotated[int | None, _option("--size", help="Resize images to this many pixels a side.", panel=_NETS)] = None,
    window: Annotated[int | None, _option("--window", help="Samples in a window of sound.", panel=_NETS)] = None,
    lr_d: Annotated[float | None, _option("--lr-d", help="Adam's rate for D.", panel=_RATES)] = None,
    lr_g: Annotated[float | None, _option("--lr-g", help="Adam's rate for G.", panel=_RATES)] = None,
    beta1: Annotated[float | None, _option("--beta1", help="Adam's decay of the mean gradient.", panel=_RATES)] = None,
    beta2: Annotated[float | None, _option("--beta2", help="Adam's decay of the squared gradient.", panel=_RATES)] = None,
    decay: Annotated[float | None, _option("--decay", help="Share of the run, at its end, over which both rates fall to 0.",
                                           panel=_RATES)] = None,
    backend: Annotated[str | None, _option("--backend", help=f"Where kernels run: {', '.join(names())}.", panel=_RUN)] = None,
    emulate: Annotated[bool, typer.Option("--emulate", help="Execute a CUDA backend's kernels on the CPU: no GPU, no driver.",
                                          rich_help_panel=_RUN)] = False,
    seed: Annotated[int | None, _option("--seed", help="Decides weights, noise and the order of the data.", panel=_RUN)] = None,
    save_every: Annotated[int | None, _option("--save-every", help="Steps between checkpoints.", panel=_RUN)] = None,
    folder: Annotated[Path | None, _option("--out", help="The run's folder; runs/<data> if not given. An earlier run there is "
                                                         "moved aside.", panel=_RUN)] = None,
    preset: Annotated[str | None, _option("--preset", help="A named set of options; others come on top. See `tinygan presets`.",
                                          panel=_RUN)] = None,
    diagnose: Annotated[bool, typer.Option("--diagnose", help="Four times in the run: V + log 4 by D, and by a D retrained to its "
                                                              "optimum.", rich_help_panel=_RUN)] = False,
    profile: Annotated[bool, typer.Option("--profile", help="At the end: where a step's time goes, by kernel.",
                                          rich_help_panel=_RUN)] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.", rich_help_panel=_RUN)] = False,
) -> int:
    """Train a GAN. Unless told otherwise, with settings that suit the data.

    The run's folder gets samples.png, curves.png, metrics.jsonl, config.json and a checkpoint. Ctrl-C stops after the step at
    hand, saves it, and says how to go on.
    """
    from tinygan.training.run import set_aside

    options = {
        "steps": steps, "batch": batch, "k": k, "objective": objective, "r1": r1, "ema": ema, "update": update, "arch": arch,
        "z": z, "size": size, "window": window, "lr_d": lr_d, "lr_g": lr_g, "beta1": beta1, "beta2": beta2, "decay": decay,
        "backend": backend, "emulate": emulate or None,
        "seed": seed, "save_every": save_every, "r2": r2, "gp": gp, "smooth": smooth, "noise": noise,
        "pack": pack, "unroll": unroll, "unroll_rate": unroll_rate, "spectral": spectral, "maxout": maxout, "dropout": dropout,
        "batch_norm": batch_norm, "init": init, "hidden": _widths("--hidden", hidden), "hidden_d": _widths("--hidden-d", hidden_d),
    }
    given = {**_preset(preset, data), **{name: value for name, value in options.items() if value is not None}}
    place = folder or Path("runs") / (Path(data).name.split(".")[0] or "data")
    job = _resumed(data, place, given) if resume else _started(data, place, given)
    if not resume and (kept := set_aside(place)):
        tell(err, f"the earlier run in {place} is now in {kept}")
    for note in job.dataset.notes:
        tell(err, note)
    code = _play(job, diagnose)
    if profile and code == 0:
        cli_profile.print_profile(job)
    return code


def _preset(name: str | None, data: str) -> dict[str, Any]:
    from tinygan.training.presets import options_of

    return options_of(name, data) if name else {}


def _widths(option: str, text: str | None) -> tuple[int, ...] | None:
    """"256,512" -> (256, 512)."""
    if text is None:
        return None
    widths = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if not all(widths):
        raise typer.BadParameter(f"{text!r} is no list of widths such as 256,512", param_hint=option)
    return widths


def _started(data: str, place: Path, given: dict[str, Any]) -> Any:
    from tinygan.data.datasets import load as load_data
    from tinygan.training.config import Config, with_defaults
    from tinygan.training.run import Run

    dataset = load_data(data, size=given.get("size"), window=given.get("window"))
    config = Config(data=data, **with_defaults(dataset, given))
    return Run(config, dataset, load_backend(config.backend, config.emulate), place)


def _resumed(data: str, place: Path, given: dict[str, Any]) -> Any:
    from tinygan.data.datasets import load as load_data
    from tinygan.training.config import read_config
    from tinygan.training.run import Run

    config = read_config(place)
    dataset = load_data(data, size=given.get("size", config.size), window=given.get("window", config.window))
    return Run.resume(dataset, load_backend(config.backend, config.emulate), place, {"data": data, **given})


def _play(job: Any, diagnosing: bool = False) -> int:
    """Train with a progress bar and the alarms; then draw. 130 if interrupted."""
    from tinygan.measure.alarms import Alarms

    begun, first = time.perf_counter(), job.step
    alarms = Alarms(job, lambda line: tell(err, line), diagnosing=diagnosing)

    def on_reading(reading: dict[str, float]) -> None:
        show(reading)
        alarms(reading)

    with _interruptible() as interrupted, _progress(job) as show, unchecked(job.backend):
        finished = job.train(on_reading, interrupted)
    seconds, done = time.perf_counter() - begun, job.step - first
    if not finished:
        again = shlex.join(["tinygan", "train", job.config.data, "--out", str(job.out), "--resume"])
        tell(err, f"interrupted; step {job.step} is saved. Go on with: {again}")
        return 130
    pictures = _draw(job)
    rate = f", {done / seconds:.0f} steps/s" if done else ""
    tell(out, f"{job.config.data}: step {job.step:,}, {seconds:.1f} s{rate}. In {job.out}: {', '.join(pictures)}")
    return 0


def _draw(job: Any) -> list[str]:
    from tinygan.measure.pictures import draw_against_optimum, draw_curves, draw_samples
    from tinygan.measure.report import d_against_optimum
    from tinygan.training.checkpoint import CHECKPOINT
    from tinygan.training.run import METRICS
    from tinygan.training.samples import load_generator

    trained = load_generator(job.out, job.backend)
    rng = np.random.default_rng(job.config.seed)
    of = "the average of G" if job.config.ema else "G"
    with unchecked(job.backend):
        fake = trained.sample(job.dataset.codec.drawn, rng)
    draw_samples(job.dataset, fake, f"generated: {of}, step {job.step:,}", job.out / "samples.png", rng)
    draw_curves(job.out / METRICS, job.out / "curves.png")
    with unchecked(job.backend):
        judged = d_against_optimum(job)
    if judged is None:
        return ["samples.png", "curves.png", METRICS, "config.json", CHECKPOINT]
    draw_against_optimum(judged, job.dataset.centres[0], job.dataset.std, job.out / "optimum.png")
    return ["samples.png", "curves.png", "optimum.png", METRICS, "config.json", CHECKPOINT]


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and a polite kill wait for the end of the step at hand; a second Ctrl-C does not."""
    caught: list[int] = []

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(job: Any) -> Iterator[Callable[[dict[str, float]], None]]:
    """A live bar on a terminal, nothing elsewhere."""
    if not err.is_terminal:
        yield lambda reading: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"), BarColumn(bar_width=None),
        TextColumn("V {task.fields[v]:+.3f}  D(x) {task.fields[d_real]:.2f}  D(G(z)) {task.fields[d_fake]:.2f}"),
        TextColumn("{task.fields[rate]:.0f} steps/s"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=job.config.steps, completed=job.step, v=0, d_real=0.5, d_fake=0.5, rate=0)
        begun, first = time.perf_counter(), job.step

        def show(reading: dict[str, float]) -> None:
            rate = (job.step - first) / (time.perf_counter() - begun)
            shown = {name: reading[name] for name in ("v", "d_real", "d_fake")}
            bar.update(task, completed=job.step, rate=rate, **shown)

        yield show


# ---- sample -------------------------------------------------------------------------------------------------------------------


@app.command(
    epilog="Examples:  tinygan sample runs/digits -n 100 -o digits.png   |   tinygan sample runs/ring -n 2500 -o points.csv"
)
def sample(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    n: Annotated[int, typer.Option("-n", min=1, help="How many samples.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the noise that they are made from.")] = 0,
    file: Annotated[Path, typer.Option("-o", "--output", help=f"{known_outputs()}.")] = Path("samples.npy"),
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> None:
    """Draw samples from a trained G; neither D nor the data are needed."""
    from tinygan.training.samples import load_generator

    trained = load_generator(run_folder, load_backend(backend, emulate))
    with unchecked(next(iter(trained.G.parameters().values())).backend):
        trained.codec.write(file, trained.sample(n, np.random.default_rng(seed)))
    tell(out, f"{n} samples of {run_folder} (step {trained.step:,}) in {file}")


# ---- gradcheck ----------------------------------------------------------------------------------------------------------------


@app.command(epilog="Examples:  tinygan gradcheck   |   tinygan gradcheck --only conv2d")
def gradcheck(
    only: Annotated[str, typer.Option("--only", help="Only the checks whose name contains this.", show_default=False)] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the points and directions that are tried.")] = 0,
    backend: BackendName = "cpu",
    emulate: Emulate = False,
) -> int:
    """Verify every gradient against a numeric one, first and second order: all ops, and dV/dtheta of whole networks."""
    from tinygan.theory.gradient_cases import GAME_CASES, OP_CASES
    from tinygan.theory.gradient_cases import run as check

    cases = [case for case in (*OP_CASES, *GAME_CASES) if only in case.name]
    if not cases:
        raise typer.BadParameter(f"no check has {only!r} in its name; names are those of ops, such as conv2d", param_hint="--only")
    chosen = load_backend(backend, emulate)
    reports: dict[tuple[str, int], list[Any]] = {}
    for case in cases:
        label = case.name if case in GAME_CASES else case.op
        for report in check(case, chosen, np.random.default_rng(seed)):
            reports.setdefault((label, report.order), []).append(report)
    table = Table("", "order", "checks", "worst error / allowed", box=None, header_style="bold")
    for (label, order), group in reports.items():
        mark = Text("ok ", "green") if all(report.passed for report in group) else Text("WRONG ", "bold red")
        table.add_row(mark + Text(label), str(order), str(len(group)), f"{max(report.worst.share for report in group):.1e}")
    out.print(table)
    every = [report for group in reports.values() for report in group]
    wrong = [report for report in every if not report.passed]
    for report in wrong:
        tell(out, str(report))
    tell(out, f"{len(every) - len(wrong)} of {len(every)} checks passed")
    return 1 if wrong else 0


# ---- the papers' claims (cli_theory.py) -----------------------------------------------------------------------------------------

app.command(epilog=theory.THEORY_EXAMPLES)(theory.theory)
app.command()(theory.presets)
app.command(epilog=theory.EVALUATE_EXAMPLES)(theory.evaluate)

"""`fit`: train two networks of one's own on one's own data, with the options of the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tinygan_kernels import Backend

from tinygan.data import NAMES, Dataset
from tinygan.engine.conversion import described
from tinygan.game.penalties import Penalty
from tinygan.measure.alarms import Alarms
from tinygan.measure.snapshots import Snapshots
from tinygan.nn.architectures import NetworkOptions
from tinygan.nn.tree import Layer
from tinygan.optim import Optimiser
from tinygan.options import OptionError, as_arguments, options_of, plain
from tinygan.training.checkpoint import CheckpointError, folder_of
from tinygan.training.config import Config, with_defaults
from tinygan.training.crowd import CrowdNotice
from tinygan.training.folder import set_aside
from tinygan.training.folder_lock import FolderLock
from tinygan.training.interrupt import ENDING, interruptible
from tinygan.training.run import Run, finished, turn_of
from tinygan.training.state import read_state
from tinygan.training.watched import WatchedSteps

from .arrays import dataset_of
from .fitted import Fitted, Moment, checksums_of, history_of
from .networks import check_networks, check_optimiser, check_structure, checked_penalties, players, try_networks, width_of_noise
from .progress import progress as shown
from .words import check_names

Callback = Callable[[Moment], Any]


def _on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fit(
    G: Layer, D: Layer, data: Any, *, standardise: bool = True, penalties: Sequence[Penalty] = (), optim_d: Optimiser | None = None,
    optim_g: Optimiser | None = None, callback: Callback | None = None, every: int = 100, progress: bool = True,
    out: str | Path | None = None, resume: bool = False, replay: bool = True, say: Callable[[str], None] = _on_stderr,
    **options: Any,
) -> Fitted:
    """Train G and D against each other on the data, in place, and return what came of it.

    G: noise (m, z) -> samples (m, *shape). D: samples (m, *shape) -> logits (m, 1), whose sigmoid is D(x). Each is a Layer in
    float32, of `tinygan.nn` or of the user's own class; both are on one backend. data: an array (n, F), whose columns the networks
    see standardised (not so with standardise=False); images (n, H, W) or (n, H, W, C), channels last, as integers in [0, 255] or
    floats in [0, 1] or [-1, 1], which they see in [-1, 1]; a Dataset; a name or path that `tinygan train` takes.

    options: those of `tinygan train`, by name, with its defaults for such data: steps, batch, seed, objective, k, update, r1, r2,
    gp, penalty_fall, smooth, noise, pack, unroll, ema, lr_d, lr_g, beta1, beta2, decay, decay_power, save_every, and z, the length
    of the noise, if G's first layer is no Linear one. penalties: further ones on D's slope. optim_d, optim_g: optimisers made of
    D.parameters() and G.parameters(), in the place of Adam by the options.

    callback: called with a `Moment` after every `every` steps; returns None to go on, True to stop. progress: show a bar on a
    terminal, else a line now and then. say: takes every line of progress, alarms and notes; stderr by default. out: a folder with
    checkpoints every `save_every` steps; an earlier run there is moved aside, or goes on, bit for bit, with resume=True.
    replay=False plays each step eagerly, which is slow and gives the same bits.

    Ctrl-C ends the run after the step at hand; a second one raises KeyboardInterrupt. With out=, the signals that end a process
    (SIGTERM, SIGHUP, SIGBREAK) do so after the step at hand is saved, and a second one at once. That holds in the main thread, and
    for signals that nobody else handles; handlers are as before when `fit` is left. In other threads, and where the user's own
    code handles a signal, a process that is ended leaves the last checkpoint, at most `save_every` steps old.

    Steps are recorded once and replayed. Code of the user's own, in layers and penalties, is checked first and again later; where
    a replay would not do what it does, steps run without one, and a line says why (training/watched.py).

    Raises OptionError (a ValueError) for an option out of range, TypeError for an unknown one, DataError (a ValueError) for data
    that cannot be used, ValueError for networks that do not fit the data, CheckpointError (a ValueError), and FloatingPointError
    when the run diverges.
    """
    backend = check_networks(G, D)
    check_names(options, FIT_ARGUMENTS)
    _check_backend(options.pop("backend", None), backend)
    check_optimiser("optim_d", optim_d, D, "D")
    check_optimiser("optim_g", optim_g, G, "G")
    _check_callback(callback, every)
    _check_words(say, standardise=standardise, progress=progress, resume=resume, replay=replay)
    if out is not None and not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out is {described(out)}; it has to be the path of a folder")
    with turn_of(backend):
        dataset = dataset_of(data, standardise)
        given = {**_given(options, optim_d, optim_g, out), "backend": backend.name, "emulate": backend.emulated}
        if "z" not in given and (width := width_of_noise(G)):
            given["z"] = width
        made = players(G, D, checked_penalties(penalties), optim_d, optim_g)
        with ExitStack() as held:  # the folder's lock, once it is taken, to the end
            is_file = isinstance(data, (str, os.PathLike)) and data not in NAMES
            for note in (*((dataset.summary,) if is_file else ()), *dataset.notes):
                say(as_arguments(note))
            run = _run(G, D, dataset, backend, None if out is None else Path(out), resume, given, made, say, held)
            run.eager = not replay
            return _train(run, callback, plain(every), progress, say)


FIT_ARGUMENTS = ("G", "D", "data", *(fit.__kwdefaults__ or ()))


def _check_callback(callback: Any, every: Any) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; it has to be a function of one argument, the moment")
    if isinstance(plain(every), bool) or not isinstance(plain(every), int) or every < 1:
        raise ValueError(f"every is {every!r}; it has to be a whole number of steps, at least 1")


def _check_words(say: Any, **switches: Any) -> None:
    """Raise TypeError where say is no function, or a switch is neither True nor False."""
    if not callable(say):
        raise TypeError(f"say is {described(say)}; it has to be a function of one line, such as print")
    for name, value in switches.items():
        if not isinstance(plain(value), bool):
            raise TypeError(f"{name} is {described(value)}; it has to be True or False")


def _check_backend(wanted: Any, backend: Backend) -> None:
    """Raise ValueError where a backend is asked for on which the networks are not."""
    if wanted is not None and wanted is not backend and wanted != backend.name:
        raise ValueError(f"backend is {wanted!r}, but G and D were built on {backend.name}; build them where they are to train")


def _given(options: dict[str, Any], optim_d: Any, optim_g: Any, out: Any) -> dict[str, Any]:
    """Return the options given, lists as tuples. Raises ValueError for Adam's options beside an optimiser that they do not set."""
    for name, optimiser, rate in (("optim_d", optim_d, "lr_d"), ("optim_g", optim_g, "lr_g")):
        if optimiser is not None and rate in options:
            raise ValueError(f"{rate} and {name} are both given; the optimiser has a rate of its own, leave out {rate}")
    if optim_d is not None and optim_g is not None and (odd := [n for n in ("beta1", "beta2") if n in options]):
        raise ValueError(f"{odd[0]} is an option of Adam by the options, and optim_d and optim_g are given; leave it out")
    if "steps" in options and plain(options["steps"]) == 0:
        raise OptionError("--steps is 0, it has to be at least 1")
    if plain(options.get("snapshots")) and out is None:
        raise OptionError("--snapshots are files in the run's folder; say where that is: out=...")
    return {name: plain(value) for name, value in options.items()}


def _run(
    G: Layer, D: Layer, dataset: Dataset, backend: Backend, out: Path | None, resume: bool, given: dict[str, Any], made: Any,
    say: Callable[[str], None], held: ExitStack,
) -> Run:
    """Return the run: a new one, or the one in `out` as its checkpoint left it. The folder's lock is in `held` from now on."""
    lock = None if out is None else FolderLock(out)
    if resume:
        if out is None:
            raise CheckpointError("resume=True goes on with the run in a folder; say which: out=...")
        read_state(out)  # says where there is no run, before a folder is made for the lock
        folder = folder_of(Path(out))
        lock = held.enter_context(FolderLock(folder))
        state = read_state(out)[1]
        try_networks(G, D, state.config, dataset, backend)
        check_structure(G, D, state.networks or {}, say)
        for network in (G, D):
            network.train()
        run = Run.resume(dataset, backend, folder, {"data": dataset.name, **given}, made, lock)
        if line := finished(run):
            say(as_arguments(line))
        return run
    if lock is not None:
        lock.require_free()  # before anything happens to the networks
    config = _config(dataset, given)
    try_networks(G, D, config, dataset, backend)
    for network in (G, D):
        network.train()
    run = Run(config, dataset, backend, out, made(config), lock)
    if lock is not None:
        held.enter_context(lock)
        if kept := set_aside(lock):
            say(f"the earlier run in {out} is now in {kept}")
    return run


def _config(dataset: Dataset, given: dict[str, Any]) -> Config:
    """Return the options of a new run: those given, and the defaults for such data. Raises OptionError."""
    if "z" not in given:
        raise OptionError("the length of G's noise is not to be seen, as its first layer is no Linear one; give it: z=32")
    of_built_networks = set(options_of(NetworkOptions)) - {"z"}
    chosen = {name: value for name, value in with_defaults(dataset, given).items() if name not in of_built_networks}
    return Config(data=dataset.name, **chosen)


def _train(run: Run, callback: Callback | None, every: int, progress: bool, say: Callable[[str], None]) -> Fitted:
    """Train a run to its end, or until a signal or the callback ends it."""
    readings = run.folder.readings(run.step)
    stopped: list[bool] = []
    alarms = Alarms(run, lambda line: say(as_arguments(line)))
    crowd, snapshots = CrowdNotice(run.backend, say), Snapshots(run, run.config.snapshots)
    own = run.players.code_of_others()
    watched = WatchedSteps(run, own, say, lambda: _forget(readings, run.step)) if own and not run.eager else None

    kept = run.out is not None  # what is not kept in a folder is no reason to outlive SIGTERM
    numbers, passed_on = ENDING if kept else ENDING[:1], ENDING[1:]
    with interruptible(numbers, passed_on) as interrupted, shown(run, progress, say) as show:

        def on_reading(reading: dict[str, float]) -> None:
            readings.append(reading)
            show(reading)
            alarms(reading)
            crowd()
            snapshots(reading)
            if callback is not None and run.step % every == 0:
                stopped.extend([True] * _wants_to_stop(callback(_moment(run, reading))))

        finished = run.train(on_reading, lambda: bool(stopped) or interrupted() is not None, watched, every if callback else 0)
        if (ending := interrupted()) is not None and ending in passed_on:
            say(f"{ending.name}: step {run.step:,} of {run.config.steps:,} is saved in {run.out}; resume=True goes on from there")
    if not finished and ending:
        say(f"interrupted: step {run.step:,} of {run.config.steps:,} is what is returned")
    if run.config.snapshots:
        snapshots.animate()
    eager = (watched.reason or "") if watched else "replay=False" if run.eager else ""
    G = run.game.average or run.game.G
    for network in (run.game.D, run.game.G, G):
        network.eval()
    said = {name: as_arguments(line) for name, line in alarms.said.items()}
    return Fitted(run.config, run.dataset.codec, G, run.step, run.game.D, history_of(readings), said, not finished, eager,
                  run.game, run, checksums_of(run))


def _moment(run: Run, reading: dict[str, float]) -> Moment:
    return Moment(run.config, run.dataset.codec, run.game.average or run.game.G, run.step, run.game.D, reading)


def _wants_to_stop(answer: Any) -> bool:
    """Return whether a callback's answer ends the run. Raises TypeError for an answer that is none."""
    if answer is None or isinstance(plain(answer), bool):
        return bool(answer)
    raise TypeError(f"the callback returned {described(answer)}; it has to return None to go on, or True to stop")


def _forget(readings: list[dict[str, float]], step: int) -> None:
    """Drop the readings after `step`, as the run has gone back to it."""
    readings[:] = [reading for reading in readings if reading["step"] <= step]


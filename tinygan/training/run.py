"""A run: data, two networks, the game between them, and everything needed to stop at any step and go on bit for bit.

All randomness comes from four generators, spawned from one seed: for the initial weights, the data, the noise z, and whatever else
a step draws. The states of the last three are in the checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from tinygan_kernels import CUDA_BACKENDS, Backend, normals

from tinygan.data.datasets import Dataset
from tinygan.data.units import DataError
from tinygan.engine.profiling import Profile, profile
from tinygan.engine.randomness import Draws, recording, refill
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor, wrap
from tinygan.game.moves import Game, Logits
from tinygan.game.remedies import Remedies
from tinygan.options import NamesOptions, OptionError, options_of

from .checkpoint import CHECKPOINT, CheckpointError, folder_of
from .config import Config
from .folder import NoFolder, RunFolder
from .folder_lock import FolderLock
from .memory_limit import require_memory
from .players import Players, players_of
from .state import (
    RunState,
    check_arrays,
    check_moments,
    check_ranges,
    check_weights,
    checksum_of,
    read_state,
    set_generator,
    state_of_generator,
)  # fmt: skip


class Diverged(NamesOptions, FloatingPointError):
    """A reading or an array of a run is not finite. The message is one line, and says what helps."""


READ_EVERY = 10  # steps between readings; reading a loss costs a little, and a curve of 10,000 steps needs no more


class Run:
    """One training run in its folder `out`, or without a folder where that is None.

    Run(config, dataset, backend, out) starts afresh, Run.resume(dataset, backend, out, given) goes on from the checkpoint in
    `out`; `train` makes the steps, reads the losses and saves. players: networks and optimisers of the user's own; without them
    the options say what is built. lock: the folder's, where the caller holds it for longer than `train` does. eager: steps run
    without replay.
    """

    def __init__(
        self, config: Config, dataset: Dataset, backend: Backend, out: Path | None, players: Players | None = None,
        lock: FolderLock | None = None,
    ) -> None:
        self.config, self.dataset, self.backend = config, dataset, backend
        self.out = None if out is None else Path(out)
        self.step, self.eager = 0, False
        self.folder = NoFolder() if out is None else RunFolder(out, lock)
        weights, data, noise, inside = (np.random.default_rng(s) for s in np.random.SeedSequence(config.seed).spawn(4))
        self.rngs = {"data": data, "noise": noise, "inside": inside}  # inside: what a step draws besides its batch and z
        if players is None and not (backend.name in CUDA_BACKENDS and not backend.emulated):  # a GPU has memory of its own
            require_memory(config, config.architecture(dataset.codec))
        self.sampler = dataset.sampler(config.batch, data)
        self.draws = Draws(self.rngs["inside"])
        self.players = players or players_of(config, dataset.codec, backend, weights, self.draws)
        own = [] if self.players.built_here else self.players.generators
        self.rngs |= {f"networks.{i}": rng for i, rng in enumerate(own)}
        self.game = self._new_game()
        self._base_rates = self.players.rates or (config.lr_d, config.lr_g)
        self._checksum = checksum_of(dataset)
        self._x, self._z = self._inputs()
        self._draw_noise = normals(self._z)
        self.live_arrays()  # refuses names that a checkpoint could not tell apart, before any step
        self.sources = [self.draws, *(source for source in self.players.draws if source is not self.draws)]
        self.forget_recording()

    def _new_game(self) -> Game:
        c, p = self.config, self.players
        return Game(p.D, p.G, p.optim_d, p.optim_g, c.objective, c.r1, c.ema, p.average, c.part(Remedies), self.draws, p.penalties)

    # ---- the life of a run ----------------------------------------------------------------------------------------------------

    def train(
        self, on_reading: Callable[[dict[str, float]], None] = lambda reading: None, stopping: Callable[[], bool] = lambda: False,
        make_step: Callable[[], Logits] | None = None, also_every: int = 0,
    ) -> bool:
        """Make steps up to config.steps, saving as it goes. Return False if `stopping()` ended it before (that step is saved).

        on_reading gets {"step", "v", "d_real", "d_fake", "d_loss", "g_loss"} every READ_EVERY steps, and every `also_every` if
        that is not 0. make_step: what plays a step in the place of `self.make_step`. Raises FloatingPointError when a reading or
        anything to be saved is not finite: the checkpoint before it is kept. Raises CheckpointError. Runs on one backend, whose
        memory they share, wait for one another where they are in several threads.
        """
        with turn_of(self.backend), self.folder.lock:
            return self._train(on_reading, stopping, make_step or self.make_step, also_every)

    def _train(
        self, on_reading: Callable[[dict[str, float]], None], stopping: Callable[[], bool], make_step: Callable[[], Logits],
        also_every: int,
    ) -> bool:
        self.folder.claim(self.config, self.step)
        if self.step == 0:
            self.save()  # a run that is killed from here on can be resumed, and falls back on this if it diverges
        while self.step < self.config.steps:
            with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is told so in one line, by `_read`
                logits = make_step()
            self.step += 1
            due = also_every and self.step % also_every == 0
            if self.step % READ_EVERY == 0 or self.step == self.config.steps or due:
                on_reading(self._read(logits))
            if stopping():
                self.save()
                return False
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()
        return True

    def save(self) -> None:
        """Write metrics and a checkpoint. Raises CheckpointError; FloatingPointError rather than save what is not finite."""
        arrays = self.saved_arrays()
        odd = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
        if odd:
            raise self._diverged(f"{odd} is not finite")
        self.folder.save(arrays, self.state())

    def profile(self, steps: int) -> Profile | None:
        """Measure where a step's time goes, on `steps` more steps, which are not saved. None where no step has been recorded."""
        if self._replayed.plan is None:
            return None
        device = getattr(self.backend.xp, "cuda", None)
        wait = device.get_current_stream().synchronize if device else lambda: None
        with np.errstate(over="ignore", invalid="ignore"):
            return profile(self._replayed.plan, self.make_step, steps, wait)

    # ---- one step -------------------------------------------------------------------------------------------------------------

    def make_step(self) -> Logits:
        """Play the step whose number is self.step, on new data, noise and rates; self.step itself stays.

        A process records the launches of its first step, and replays them from then on, unless the run is `eager`.
        """
        self.prepare()
        for optimiser in (self.game.optim_d, self.game.optim_g):
            optimiser.flat.rejoin()  # a recording knows the parameters where they were
        if self.eager or self.backend.watchers:
            return Logits(*self.play(wrap(self.backend.asarray(self._x), self.backend),
                                      wrap(self.backend.asarray(self._z), self.backend)))
        if self._replayed.plan is None:
            with recording(self.sources) as self._drawn:
                return Logits(*self._replayed(self._x, self._z))
        refill(self._drawn)
        return Logits(*self._replayed(self._x, self._z))

    def forget_recording(self) -> None:
        """Let the next step be recorded anew."""
        self._replayed = Replayed(self.play, self.backend)
        self._drawn = []

    def prepare(self) -> tuple[np.ndarray, np.ndarray]:
        """Set the rates, the instance noise and the penalties' share of the step at hand, and draw its batches.

        Returns them as `play` takes them: data x (batches, m, ...) and noise z (batches, m, n_z), in memory that the next step
        fills anew.
        """
        self._set_schedules()
        for x in self._x:
            self.sampler.next(out=x)
        self._draw_noise(self.rngs["noise"])
        return self._x, self._z

    def _set_schedules(self) -> None:
        """Set the rates, the instance noise and the penalties' share to those of the step at hand."""
        c, game = self.config, self.game
        if c.decay:
            game.optim_d.rate, game.optim_g.rate = (c.rate(base, self.step) for base in self._base_rates)
        game.noise = c.noise * (1 - self.step / c.steps)
        if game.remedies.falling_penalties:
            game.penalty_share = game.remedies.penalty_share(self.step / c.steps)

    def play(self, x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """Make the moves of one step on x (batches, m, ...) and z (batches, m, n_z), a batch for each move that needs one.

        The launches of this function are what is recorded. Returns D's logits of its last real and fake batch, and those of the
        fakes in G's move, then those of the data in G's move if it compares pairs.
        """
        xs, zs = iter(x), iter(z)
        if self.config.update == "simultaneous":
            logits = self.game.simultaneous_step(next(xs), next(zs))
        else:
            logits = self.game.alternating_step(lambda: next(xs), lambda: next(zs), self.config.k)
        return logits.tensors

    def _inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Allocate the batches of a step: k of data and noise for D; for G one of noise, and one of data if it needs some."""
        c = self.config
        of_x, of_z = (1, 1) if c.update == "simultaneous" else (c.k + self.game.g_needs_data, c.k + 1)
        return np.empty((of_x, *self.sampler.shape), np.float32), np.empty((of_z, c.batch, c.z), np.float32)

    def fresh_inputs(self) -> tuple[Tensor, Tensor]:
        """Return tensors of the shapes that `play` takes, in memory of their own, with arbitrary contents."""
        x, z = (wrap(self.backend.empty(a.shape, a.dtype), self.backend) for a in (self._x, self._z))
        return x, z

    def _read(self, logits: Logits) -> dict[str, float]:
        """Compute the step's numbers and add them to the metrics. Raises FloatingPointError."""
        reading = {"step": self.step, **asdict(logits.read(self.config.objective))}
        if not all(np.isfinite(value) for value in reading.values()):
            raise self._diverged(f"V is {reading['v']}, D(x) {reading['d_real']}, D(G(z)) {reading['d_fake']}")
        self.folder.add_reading(reading)
        return reading

    def _diverged(self, sign: str) -> Diverged:
        kept = "" if self.out is None else f"; {self.out / CHECKPOINT} holds an earlier step"
        return Diverged(f"step {self.step}: {sign}; the run has diverged. Lower --lr-d and --lr-g, or raise --r1{kept}")

    # ---- what is saved, and taken back ----------------------------------------------------------------------------------------

    def live_arrays(self) -> dict[str, Any]:
        """Return the very arrays that the run's course depends on, on their device, by name; those of the sampler left out."""
        game = self.game
        live: dict[str, Any] = {}
        for player, network in (("D", game.D), ("G", game.G), ("average", game.average)):
            if network is not None:
                live |= {f"{player}.{name}": t.array for name, t in (network.parameters() | network.buffers()).items()}
        for player, optimiser in (("D", game.optim_d), ("G", game.optim_g)):
            moved = {f"{player}.{optimiser.kernel}.{name}": array for name, array in optimiser.states.items()}
            if live.keys() & moved.keys():
                raise ValueError(f"{player} holds tensors under the name {optimiser.kernel!r}, as checkpoints call what its "
                                 f"optimiser remembers; give the attribute another name")
            live |= moved
        return live

    def saved_arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays of a checkpoint, in NumPy, by name. On the CPU they are the live ones: copy what is to be kept."""
        arrays = {name: self.backend.to_numpy(array) for name, array in self.live_arrays().items()}
        in_sampler = {k: v for k, v in self.sampler.state().items() if isinstance(v, np.ndarray)}
        return arrays | {f"sampler.{name}": array for name, array in in_sampler.items()}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds besides arrays, in JSON's types."""
        networks = None if self.players.built_here else self.players.description()
        course = self.course()
        return RunState(step=course["step"], rngs=course["rngs"], sampler=course["sampler"], config=self.config,
                        codec=self.dataset.codec, data=self._checksum, networks=networks).to_json()

    def course(self) -> dict[str, Any]:
        """Return the part of `state` that changes from step to step."""
        return {
            "step": self.step,
            "rngs": {name: state_of_generator(rng.bit_generator) for name, rng in self.rngs.items()},
            "sampler": {k: v for k, v in self.sampler.state().items() if not isinstance(v, np.ndarray)},
        }

    def restore(self, arrays: Mapping[str, np.ndarray], course: Mapping[str, Any]) -> None:
        """Take over arrays and a course that fit this run: its own, or those that `take_over` has checked."""
        for name, array in self.live_arrays().items():
            array[...] = self.backend.asarray(arrays[name])
        for name, rng in self.rngs.items():
            set_generator(rng.bit_generator, course["rngs"][name])
        kept = {name.removeprefix("sampler."): a for name, a in arrays.items() if name.startswith("sampler.")}
        self.sampler.restore({**course["sampler"], **kept})
        self.step = course["step"]
        if self.config.steps:  # who looks at the game before its next step is to see the penalties as they are by now
            self._set_schedules()

    def take_over(self, arrays: Mapping[str, np.ndarray], state: RunState) -> None:
        """Go on from a checkpoint. Raises CheckpointError where it does not fit this run, or could not come from it."""
        of_networks = {name: array for name, array in arrays.items() if not name.startswith("sampler.")}
        check_arrays(of_networks, self.live_arrays(), "this run's")
        for player, network in (("D", self.game.D), ("G", self.game.G), ("average", self.game.average)):
            if network is not None:
                check_ranges(of_networks, network, player)
        for player, optimiser in (("D", self.game.optim_d), ("G", self.game.optim_g)):
            check_moments(arrays, optimiser, player)
        now = {name: rng.bit_generator.state["bit_generator"] for name, rng in self.rngs.items()}
        if {name: rng["bit_generator"] for name, rng in state.rngs.items()} != now:
            raise CheckpointError("the checkpoint's networks draw other random numbers; resume with the same networks")
        try:
            self.restore(arrays, {"step": state.step, "rngs": state.rngs, "sampler": state.sampler})
        except DataError as error:
            raise CheckpointError(error.with_flags) from None
        now_saved = {name: array.dtype for name, array in self.saved_arrays().items()}
        if self.course()["sampler"] != state.sampler or now_saved != {name: array.dtype for name, array in arrays.items()}:
            raise CheckpointError("the checkpoint's sampler is not that of these data; resume with the data that the run "
                                  "began with")

    @classmethod
    def resume(
        cls, dataset: Dataset, backend: Backend, out: Path, given: dict[str, Any],
        players: Callable[[Config], Players] | None = None, lock: FolderLock | None = None,
    ) -> Run:
        """Return the run in `out` as its checkpoint left it. given: the options asked for now, by name.

        They have to be the run's own, but for those declared with may_change. players: makes the networks of a run whose user
        built them. lock: as Run takes it; who holds it before the checkpoint is read knows that nobody else goes on. Raises
        CheckpointError, OptionError.
        """
        out = folder_of(Path(out))
        arrays, state = read_state(out)
        _check_builder(state.networks, players, out)
        config = state.config
        changed = _changed(config, given, out)
        if not state.is_of(dataset):
            raise OptionError(f"{given.get('data', config.data)} is not what the run in {out} began with ({config.data}): shape, "
                              f"scale or contents differ; give the same data, or start a new run")
        if changed.steps < state.step:
            raise OptionError(f"--steps is {changed.steps}, but the run in {out} is at step {state.step} already")
        if not players:
            check_weights(changed, state.codec, arrays)
        run = cls(changed, dataset, backend, out, players(changed) if players else None, lock)
        own = run.players.description()["optimisers"]
        if state.networks and own != state.networks["optimisers"]:
            raise OptionError(f"the run in {out} began with the optimisers {state.networks['optimisers']}, not with {own}; "
                              f"give the same, or start a new run")
        run.take_over(arrays, state)
        return run


def finished(run: Run) -> str | None:
    """Return the line that says of a run which goes on that it has made all its steps; None if it has not."""
    if run.step < run.config.steps:
        return None
    return f"the run in {run.out} is finished: all its {run.step:,} steps are made; to go on with it, give a larger --steps"


def _check_builder(networks: Any, players: Callable[[Config], Players] | None, out: Path) -> None:
    """Raise CheckpointError where a run's networks were built by its user and are not given, or the other way round."""
    if networks and not players:
        raise CheckpointError(f"the run in {out} has networks of its user's own; go on with it in Python: "
                              f"tinygan.fit(G, D, data, out=..., resume=True)")
    if players and not networks:
        raise CheckpointError(f"the run in {out} has networks that tinygan built from its options; go on with it on the command "
                              f"line: tinygan train DATA --out {out} --resume")


_turns: WeakKeyDictionary[Backend, threading.RLock] = WeakKeyDictionary()


def turn_of(backend: Backend) -> threading.RLock:
    """Return the lock of a backend. Its scratch memory is for one caller at a time, and so is the recording of a step."""
    return _turns.setdefault(backend, threading.RLock())


def _changed(config: Config, given: dict[str, Any], out: Path) -> Config:
    """Return `config` with the options given that may change. Raises OptionError for another one that is not the run's own."""
    known = options_of(Config)
    for name, value in given.items():
        flag, own = known[name].flag, getattr(config, name)
        if not known[name].may_change and own != value:
            theirs = "was begun without it" if own is None else f"has {own}"
            raise OptionError(f"{flag} is {value}, but the run in {out} {theirs}; leave it out, or start a new run")
    return replace(config, **{name: value for name, value in given.items() if known[name].may_change})

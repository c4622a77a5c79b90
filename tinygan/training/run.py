"""A run: data, two networks, the game between them, and everything needed to stop at any step and go on bit for bit.

A run owns its folder: config.json, metrics.jsonl, checkpoint.safetensors, and the pictures made at its end. All randomness comes
from three generators (initial weights, data, noise), spawned from one seed; the states of the last two are in the checkpoint.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import Backend, normals

from tinygan.data.datasets import Dataset
from tinygan.engine.profiling import Profile, profile
from tinygan.engine.randomness import Draws
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game, Logits, Readings
from tinygan.game.remedies import Remedies
from tinygan.nn.architectures import discriminator, generator
from tinygan.optim import Adam
from tinygan.options import OptionError, options_of
from tinygan.training import checkpoint
from tinygan.version import __version__

from .checkpoint import CHECKPOINT, CheckpointError, read_run
from .config import Config

METRICS = "metrics.jsonl"
READING = {"step", *(f.name for f in fields(Readings))}
READ_EVERY = 10  # steps between readings; reading a loss costs a little, and a curve of 10,000 steps needs no more


# ---- the run ------------------------------------------------------------------------------------------------------------------


class Run:
    """One training run in its folder.

    Run(config, dataset, backend, out) starts afresh, `Run.resume` goes on from the checkpoint in `out`. `train` runs the steps.
    """

    def __init__(self, config: Config, dataset: Dataset, backend: Backend, out: Path) -> None:
        self.config, self.dataset, self.backend, self.out = config, dataset, backend, Path(out)
        self.step = 0
        weights, data, noise, inside = (np.random.default_rng(s) for s in np.random.SeedSequence(config.seed).spawn(4))
        self.rngs = {"data": data, "noise": noise, "inside": inside}  # inside: what a step draws besides its batch and z
        self.sampler = dataset.sampler(config.batch, data)
        self._data = _fingerprint(dataset)
        self.draws = Draws(self.rngs["inside"])
        self.game = self._new_game(weights)
        self._x, self._z = self._inputs()
        self._noise = normals(self._z)
        self._replayed = Replayed(self._play, backend)
        self._metrics: list[str] = []

    def _new_game(self, rng: np.random.Generator) -> Game:
        c, a = self.config, self.config.architecture(self.dataset.codec)
        G, D = generator(a, self.backend, rng), discriminator(a, self.backend, rng, draws=self.draws)
        average = generator(a, self.backend, np.random.default_rng(0)) if c.ema else None
        optim_d = Adam(D.parameters(), c.lr_d, c.beta1, c.beta2)
        optim_g = Adam(G.parameters(), c.lr_g, c.beta1, c.beta2)
        return Game(D, G, optim_d, optim_g, c.objective, c.r1, c.ema, average, c.part(Remedies), self.draws)

    # -- steps ----------------------------------------------------------------------------------------------------------------

    def _one_step(self) -> Logits:
        """A process records its first step before it runs it, and replays it from then on, with new data, noise and rates."""
        c, game = self.config, self.game
        if c.decay:
            game.optim_d.rate, game.optim_g.rate = c.rate(c.lr_d, self.step), c.rate(c.lr_g, self.step)
        game.noise = c.noise * (1 - self.step / c.steps)
        for x in self._x:
            self.sampler.next(out=x)
        self._noise(self.rngs["noise"])
        if self._replayed.plan is None:
            self.draws.recorded = []
        else:
            self.draws.refill()
        return Logits(*self._replayed(self._x, self._z))

    def _play(self, x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """One step of the game on x (batches, m, ...) and z (batches, m, n_z), as many of each as it asks for."""
        xs, zs = iter(x), iter(z)
        if self.config.update == "simultaneous":
            logits = self.game.simultaneous_step(next(xs), next(zs))
        else:
            logits = self.game.alternating_step(lambda: next(xs), lambda: next(zs), self.config.k)
        return logits.tensors

    def _inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Room for the batches of a step: k of data and noise for D; for G one of noise, and one of data where it needs some."""
        c = self.config
        of_x, of_z = (1, 1) if c.update == "simultaneous" else (c.k + self.game.g_needs_data, c.k + 1)
        return np.empty((of_x, *self.sampler.shape), np.float32), np.empty((of_z, c.batch, c.z), np.float32)

    def train(
        self, on_reading: Callable[[dict[str, float]], None] = lambda reading: None, stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Run up to config.steps steps, saving as it goes; False if `stopping` said so first (the step is then saved).

        on_reading gets {"step", "v", "d_real", "d_fake", "d_loss", "g_loss"} every READ_EVERY steps. Raises FloatingPointError
        when a reading or anything to be saved is not finite: the checkpoint before it is kept. Raises CheckpointError.
        """
        self._begin()
        while self.step < self.config.steps:
            with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is told so in one line, below
                logits = self._one_step()
            self.step += 1
            if self.step % READ_EVERY == 0 or self.step == self.config.steps:
                on_reading(self._read(logits))
            if stopping():
                self.save()
                return False
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()
        return True

    def profile(self, steps: int) -> Profile | None:
        """Where a step's time goes, from `steps` more of them, which are not saved; None before the first step of a run."""
        if self._replayed.plan is None:
            return None
        device = getattr(self.backend.xp, "cuda", None)
        wait = device.get_current_stream().synchronize if device else lambda: None
        with np.errstate(over="ignore", invalid="ignore"):
            return profile(self._replayed.plan, self._one_step, steps, wait)

    def _read(self, logits: Logits) -> dict[str, float]:
        reading = {"step": self.step, **asdict(logits.read(self.config.objective))}
        if not all(np.isfinite(value) for value in reading.values()):
            raise self._diverged(f"V is {reading['v']}, D(x) {reading['d_real']}, D(G(z)) {reading['d_fake']}")
        self._metrics.append(json.dumps(reading) + "\n")
        return reading

    def _diverged(self, sign: str) -> FloatingPointError:
        return FloatingPointError(f"step {self.step}: {sign}; the run has diverged. Lower --lr-d and --lr-g, or raise --r1; "
                                  f"{self.out / CHECKPOINT} holds an earlier step")

    # -- the folder -----------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Claim the folder before the first step, so that one that cannot be written to is found out at once.

        A fresh run saves step 0: whenever it is killed from here on, there is something to resume, and to fall back on.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**asdict(self.config), "tinygan": __version__}, indent=1)
            checkpoint.write_atomically(self.out / "config.json", text.encode())
            _keep_lines(self.out / METRICS, self.step)
        except OSError as error:
            raise CheckpointError(f"cannot write to {self.out}: {error.strerror}; choose another --out") from error
        if self.step == 0:
            self.save()

    def save(self) -> None:
        """Write metrics, then the checkpoint: a crash in between leaves lines that resume takes off again.

        Raises CheckpointError; FloatingPointError rather than save what is not finite.
        """
        arrays = self._arrays()
        odd = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
        if odd:
            raise self._diverged(f"{odd} is not finite")
        try:
            with open(self.out / METRICS, "a") as file:
                file.writelines(self._metrics)
        except OSError as error:
            raise CheckpointError(f"cannot write {self.out / METRICS}: {error.strerror}; the checkpoint is untouched") from error
        self._metrics.clear()
        checkpoint.save(self.out / CHECKPOINT, arrays, self._state())

    def _live(self) -> dict[str, Any]:
        """Every array that the run's course depends on, by name; the very buffers."""
        game = self.game
        live: dict[str, Any] = {}
        for player, network in (("D", game.D), ("G", game.G), ("average", game.average)):
            if network is not None:
                live |= {f"{player}.{name}": t.array for name, t in (network.parameters() | network.buffers()).items()}
        for player, optimiser in (("D", game.optim_d), ("G", game.optim_g)):
            live |= {f"{player}.adam.{name}": array for name, array in optimiser.states.items()}
        return live

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: self.backend.to_numpy(array) for name, array in self._live().items()}
        in_sampler = {k: v for k, v in self.sampler.state().items() if isinstance(v, np.ndarray)}
        return arrays | {f"sampler.{name}": array for name, array in in_sampler.items()}

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "config": asdict(self.config),
            "codec": self.dataset.codec.to_json(),
            "data": self._data,
            "rngs": {name: rng.bit_generator.state for name, rng in self.rngs.items()},
            "sampler": {k: v for k, v in self.sampler.state().items() if not isinstance(v, np.ndarray)},
        }

    def restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Take over everything that `save` wrote. Raises CheckpointError where it does not fit this run."""
        live = self._live()
        wanted = {name: array.shape for name, array in live.items()}
        found = {name: a.shape for name, a in arrays.items() if not name.startswith("sampler.")}
        if wanted != found:
            odd = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
            raise CheckpointError(f"the checkpoint's networks are not this run's: {odd} differs; resume with the same options")
        for name, array in live.items():
            array[...] = self.backend.asarray(arrays[name])
        for name, rng in self.rngs.items():
            rng.bit_generator.state = state["rngs"][name]
        kept = {name.removeprefix("sampler."): a for name, a in arrays.items() if name.startswith("sampler.")}
        self.sampler.restore({**state["sampler"], **kept})
        self.step = state["step"]

    @classmethod
    def resume(cls, dataset: Dataset, backend: Backend, out: Path, given: dict[str, Any]) -> Run:
        """Go on from the checkpoint in `out`. given: options that were asked for now; they have to be the run's own.

        Only options declared with may_change may differ: steps and save_every, which decide nothing that has been, and `data`, as
        the same data may lie elsewhere by now. Raises CheckpointError, OptionError.
        """
        arrays, state = read_run(out)
        config = Config.from_json(state["config"])
        known = options_of(Config)
        for name, value in given.items():
            has = getattr(config, name)
            if not known[name].may_change and has != value:
                flag = known[name].flag
                raise OptionError(f"{flag} is {value}, but the run in {out} has {has}; leave it out, or start a new run")
        if (state["codec"], state["data"]) != (dataset.codec.to_json(), _fingerprint(dataset)):
            raise OptionError(f"{given.get('data', config.data)} is not what the run in {out} began with ({config.data}): shape, "
                              f"scale or contents differ; give the same data, or start a new run")
        config = replace(config, **{name: value for name, value in given.items() if known[name].may_change})
        if config.steps < state["step"]:
            raise OptionError(f"--steps is {config.steps}, but the run in {out} is at step {state['step']} already")
        run = cls(config, dataset, backend, out)
        run.restore(arrays, state)
        return run


def _fingerprint(dataset: Dataset) -> int | None:
    """Tells whether data are still the same; None for mixtures, which their codec tells apart."""
    return None if dataset.x is None else zlib.crc32(dataset.x)


def _keep_lines(path: Path, step: int) -> None:
    """Cut metrics back to what the checkpoint knows: lines up to `step`, whole ones only."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = takewhile(lambda line: _step_of(line) <= step, lines)
    checkpoint.write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinite for anything that is not a whole reading."""
    try:
        reading = json.loads(line)
        return float(reading["step"]) if set(reading) == READING else np.inf
    except (ValueError, TypeError, KeyError):
        return np.inf


def set_aside(out: Path) -> Path | None:
    """Move an earlier run out of the way of a new one; where to, or None if there was none. Raises CheckpointError."""
    out, here = Path(out), Path.cwd()
    if not (out / CHECKPOINT).exists():
        return None
    if out.resolve() in (here, *here.parents):  # this process would move with it, and its relative paths too
        raise CheckpointError(f"cannot move the earlier run in {out} aside: it is where you are; choose another --out")
    number = 1
    while (kept := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    try:
        os.rename(out, kept)
    except OSError as error:
        raise CheckpointError(f"cannot move the earlier run in {out} aside: {error.strerror}; choose another --out") from error
    return kept

"""The options of a run, the checks of their ranges, and the defaults that suit each data set."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tinygan.data.datasets import Dataset
from tinygan.data.units import Codec
from tinygan.game.moves import OBJECTIVES
from tinygan.game.remedies import Remedies
from tinygan.nn.architectures import Architecture

from .checkpoint import CheckpointError, _read


class ConfigError(ValueError):
    """An option out of its range, or one that does not fit the run. The message is one line."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's course, besides the data themselves. Written to config.json and into checkpoints.

    decay: the share of the run, at its end, over which both rates fall linearly to 0. Raises ConfigError.
    """

    data: str
    steps: int = 10_000
    batch: int = 128
    k: int = 1
    objective: str = "nonsaturating"
    r1: float = 0.3
    ema: float = 0.999
    update: str = "alternating"
    arch: str = "mlp"
    hidden: tuple[int, ...] = (256, 256)
    width: int = 64
    z: int = 32
    lr_d: float = 5e-4
    lr_g: float = 5e-4
    beta1: float = 0.0
    beta2: float = 0.99
    decay: float = 0.0
    seed: int = 0
    backend: str = "cpu"
    emulate: bool = False
    size: int | None = None
    window: int | None = None
    save_every: int = 500
    r2: float = 0.0
    gp: float = 0.0
    smooth: float = 0.0
    noise: float = 0.0
    pack: int = 1
    unroll: int = 0
    unroll_rate: float = 0.1
    hidden_d: tuple[int, ...] = ()
    maxout: int = 0
    dropout: float = 0.0
    spectral: bool = False
    batch_norm: bool = False
    init: str = ""

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch", 1), ("k", 1), ("z", 1), ("width", 1), ("seed", 0), ("save_every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}, it has to be at least {least}")
        for name in ("lr_d", "lr_g"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}, it has to be a positive number")
        for name, low, high in (("ema", 0, 1), ("beta1", 0, 1), ("beta2", 0, 1)):
            if not low <= getattr(self, name) < high:
                raise ConfigError(f"--{name} is {getattr(self, name)}, it has to be at least {low} and below {high}")
        if not 0 <= self.r1 < float("inf"):
            raise ConfigError(f"--r1 is {self.r1}, it has to be at least 0 (0 switches the penalty off)")
        if not 0 <= self.decay <= 1:
            raise ConfigError(f"--decay is {self.decay}, it has to lie between 0 and 1")
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"--objective is {self.objective!r}, it has to be one of {', '.join(OBJECTIVES)}")
        if self.update not in ("alternating", "simultaneous"):
            raise ConfigError(f"--update is {self.update!r}, it has to be alternating or simultaneous")
        if self.update == "simultaneous" and self.k != 1:
            raise ConfigError(f"--k is {self.k}, but players that move simultaneously take one step each; leave --k at 1")
        self._check_remedies()

    def _check_remedies(self) -> None:
        try:
            self.remedies()
        except ValueError as error:
            raise ConfigError(f"--{str(error).replace('unroll_rate', 'unroll-rate')}") from None
        if self.batch % self.pack:
            raise ConfigError(f"--batch is {self.batch}, --pack {self.pack} has to divide it")
        if self.smooth and self.objective not in ("minimax", "nonsaturating"):
            raise ConfigError(f"--smooth is for objectives with labels (minimax, nonsaturating), not for {self.objective}")
        if self.unroll and self.update == "simultaneous":
            raise ConfigError("--unroll looks ahead of D's step, and simultaneous players do not wait; leave --update alternating")

    def remedies(self) -> Remedies:
        return Remedies(**{f.name: getattr(self, f.name) for f in fields(Remedies)})

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Config:
        known = {f.name for f in fields(cls)}
        if not isinstance(record, dict) or set(record) != known:
            raise CheckpointError("the checkpoint's configuration is of another version of tinygan")
        return cls(**{**record, **{name: tuple(record[name]) for name in ("hidden", "hidden_d")}})

    def architecture(self, codec: Codec) -> Architecture:
        try:
            return Architecture(
                self.arch, tuple(codec.shape), codec.bounded, self.z, self.hidden, self.width, self.hidden_d, self.maxout,
                self.dropout, self.spectral, self.batch_norm, self.pack, self.init,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def rate(self, base: float, step: int) -> float:
        """The learning rate of step 0, 1, ...: `base`, falling to 0 over the last `decay` of the run."""
        if not self.decay:
            return base
        return base * min(1.0, (1 - step / self.steps) / self.decay)


def defaults(dataset: Dataset, arch: str | None) -> dict[str, Any]:
    """Return the options of a run that suit `dataset` and the architecture `arch`; see `Dataset.defaults`."""
    return dataset.defaults(arch)


def with_defaults(dataset: Dataset, given: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, over the defaults. Widths given for G hold for D too, even where the defaults differ for D."""
    chosen = defaults(dataset, given.get("arch"))
    if "hidden" in given:
        chosen.pop("hidden_d", None)
    return {**chosen, **given}


def read_config(out: Path) -> Config:
    """The configuration of the run in `out`. Raises CheckpointError."""
    return Config.from_json(_read(out)[1]["config"])

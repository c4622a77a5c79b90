"""The configuration of a run: every option, checked, and the defaults that suit each data set.

Each option is declared once, as a field of the dataclass that uses it (see tinygan/options.py); `Config` is made of those classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygan_kernels import names

from tinygan.data import Codec, DataOptions, Dataset
from tinygan.game.objectives import OBJECTIVES
from tinygan.game.remedies import Remedies
from tinygan.game.rules import Rules
from tinygan.nn.architectures import Architecture, NetworkOptions
from tinygan.options import OptionError, Options, from_record, option

from .checkpoint import CheckpointError, read_run


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The options of a run's course: how long it is, on what, where it computes and when it saves."""

    title = "The run"

    data: str = option(help="The data's name or path.", may_change=True)  # the same data may lie elsewhere by now
    steps: int = option(10_000, help="How many steps in all.", at_least=0, at_most=10**12, may_change=True)
    batch: int = option(128, help="Batch size m.", at_least=1, at_most=10**6)
    seed: int = option(0, help="Decides weights, noise and the order of the data.", at_least=0, at_most=2**128 - 1)
    backend: str = option("cpu", help=f"Where kernels run: {', '.join(names())}.")
    emulate: bool = option(False, help="Execute a CUDA backend's kernels on the CPU: no GPU, no driver.", neutral=False)
    save_every: int = option(500, help="Steps between checkpoints.", at_least=1, at_most=10**12, may_change=True)
    snapshots: int = option(0, help="Pictures of the same z on the way, and a GIF of them.", at_least=0, at_most=1000, neutral=0,
                            may_change=True)


@dataclass(frozen=True, kw_only=True)
class AdamOptions(Options):
    """The options of the two optimisers.

    decay: the share of the run, at its end, over which both rates fall to 0. decay_power: the power p with which they do: a rate is
    (what is left of that share)^p of what it was.
    """

    title = "Learning"

    lr_d: float = option(5e-4, help="Adam's rate for D.", at_least=1e-38, at_most=1e38)
    lr_g: float = option(5e-4, help="Adam's rate for G.", at_least=1e-38, at_most=1e38)
    beta1: float = option(0.0, help="Adam's decay of the mean gradient.", at_least=0, below=1)
    beta2: float = option(0.99, help="Adam's decay of the squared gradient.", at_least=0, below=1)
    decay: float = option(0.0, help="Share of the run, at its end, over which both rates fall to 0.", at_least=0, at_most=1)
    decay_power: float = option(1.0, help="The form of --decay: 1 is a straight line; 2 falls faster, and is small for longer.",
                                above=0, at_most=100, neutral=1.0, only_with=("decay",))


@dataclass(frozen=True, kw_only=True)
class Config(RunOptions, Rules, Remedies, NetworkOptions, DataOptions, AdamOptions):
    """All options of a run: with the data themselves they decide its course. Written to config.json and into checkpoints.

    The groups are combined by inheritance, so an option is an attribute of Config and one key in the JSON, whichever class declares
    it. Raises OptionError.
    """

    def conflicts(self) -> Iterator[str]:
        """Yield a line for each combination of options of different groups that makes no sense."""
        if self.batch % self.pack:
            yield f"--batch is {self.batch}, --pack {self.pack} has to divide it"
        if self.batch_norm and self.batch == 1:
            yield "--batch is 1, but --batch-norm normalises over a batch, where one sample is its own mean; take at least 2"
        if self.smooth and not OBJECTIVES[self.objective].ascends_v:
            labelled = ", ".join(name for name, objective in OBJECTIVES.items() if objective.ascends_v)
            yield f"--smooth is for objectives with labels ({labelled}), not for {self.objective}"
        if self.unroll and self.update == "simultaneous":
            yield "--unroll looks ahead of D's step, and simultaneous players do not wait; leave --update alternating"

    @classmethod
    def from_json(cls, record: Any) -> Config:
        """Return the configuration that a checkpoint recorded, neutral values filled in. Raises CheckpointError."""
        if not isinstance(record, dict):
            raise CheckpointError("the checkpoint's configuration is no record of options; another version of tinygan wrote it")
        try:
            return from_record(cls, record)
        except OptionError as error:
            raise CheckpointError(error.with_flags) from None

    def architecture(self, codec: Codec) -> Architecture:
        """Return the architecture of G and D for samples such as `codec` describes. Raises OptionError."""
        return Architecture(sample=tuple(codec.shape), bounded=codec.bounded, pack=self.pack, **self.values(NetworkOptions))

    def rate(self, base: float, step: int) -> float:
        """Return the learning rate of step 0, 1, ...: `base`, falling to 0 over the last `decay` of the run, by `decay_power`."""
        if not self.decay:
            return base
        return base * min(1.0, (1 - step / self.steps) / self.decay) ** self.decay_power


def defaults(dataset: Dataset, arch: str | None) -> dict[str, Any]:
    """Return the options of a run that suit `dataset` and the architecture `arch`; see `Dataset.defaults`."""
    return dataset.defaults(arch)


def with_defaults(dataset: Dataset, given: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults for `dataset`, replaced by the options given.

    Widths given for G hold for D too, even if the defaults have others for D.
    """
    chosen = defaults(dataset, given.get("arch"))
    if "hidden" in given:
        chosen.pop("hidden_d", None)
    return {**chosen, **given}


def read_config(out: Path) -> Config:
    """Return the configuration of the run in `out`. Raises CheckpointError."""
    return Config.from_json(read_run(out)[1].get("config"))

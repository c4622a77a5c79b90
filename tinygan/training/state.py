"""What a checkpoint says besides its arrays, as a `RunState`: every part checked, so that nothing of a file is believed unseen.

A file with a right checksum may still say anything, as whoever changes it can sign it anew. The parts are the fields of `RunState`,
each with the function that checks it; what they hold is checked by the classes that it is for: `Config` by its options, codecs and
blueprints by their own modules, states of generators and samplers by those themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.data import Codec, DataError, Dataset, codec_from_json
from tinygan.nn.blueprint import BlueprintError, check_blueprint
from tinygan.nn.tree import Layer, slots
from tinygan.optim import Optimiser
from tinygan.options import OptionError

from .checkpoint import CheckpointError, checkpoint_of, load
from .config import Config

GENERATORS = ("PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937")  # NumPy's bit generators


WORTH_BUILDING = 10**6  # weights that may be missing in a file: smaller networks are built, and each array is compared


class StateError(ValueError):
    """A part of a state is not what it has to be. The message names it, and is one line."""


def _whole(value: Any, what: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise StateError(f"{what} is {_shown(value)}, it has to be a whole number from 0 to {most:,}")
    return value


def _record(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StateError(f"{what} is {_shown(value)}, it has to be a record")
    return value


def _shown(value: Any) -> str:
    """Return a value on one line, and not at length."""
    if isinstance(value, (dict, list)):
        return f"a {'record' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a whole number of more than 40 digits"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:56]} ..."


def _step(value: Any) -> int:
    return _whole(value, "step", 10**12)


def _generators(value: Any) -> dict[str, dict[str, Any]]:
    """Check the states of random generators: each one, set in a new generator, has to come back as it is."""
    for name, state in _record(value, "rngs").items():
        kind = _record(state, f"rngs: {name}").get("bit_generator")
        if kind not in GENERATORS:
            raise StateError(f"rngs: {name} is of the kind {_shown(kind)}, it has to be one of {', '.join(GENERATORS)}")
        generator = getattr(np.random, kind)(0)
        try:
            set_generator(generator, state)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise StateError(f"rngs: {name} is no state of a generator ({type(error).__name__}: {error})") from None
        if not _same_json(state_of_generator(generator), state):
            raise StateError(f"rngs: {name} is no state that a generator can have")
    return value


def state_of_generator(generator: np.random.BitGenerator) -> dict[str, Any]:
    """Return the state of a bit generator in JSON's types: arrays, which some kinds have in it, as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value

    return plain(generator.state)


def set_generator(generator: np.random.BitGenerator, state: Mapping[str, Any]) -> None:
    """Set a bit generator to a state that `state_of_generator` returned. Raises TypeError, ValueError, KeyError, OverflowError.

    No kind of generator has negative numbers in its state. NumPy 1 would take them for unsigned ones, with a warning.
    """

    def like(template: Any, value: Any) -> Any:
        if isinstance(template, dict):
            return {name: like(part, value[name]) for name, part in template.items()}
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, int) and number < 0 for number in numbers):
            raise ValueError("it has a negative number")
        return np.array(value, template.dtype) if isinstance(template, np.ndarray) else value

    generator.state = like(generator.state, state)


def _same_json(one: Any, other: Any) -> bool:
    """Return whether two values of JSON's types are the same, 1 and True and 1.0 being three different ones."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def _sampler(value: Any) -> dict[str, int]:
    for name, number in _record(value, "sampler").items():
        _whole(number, f"sampler: {name}", 2**63 - 1)
    return value


def _config(value: Any) -> Config:
    return Config.from_json(_record(value, "config"))


def _codec(value: Any) -> Codec:
    return codec_from_json(_record(value, "codec"))


def _data(value: Any) -> int | None:
    return None if value is None else _whole(value, "data", 2**32 - 1)


def _networks(value: Any) -> dict[str, Any] | None:
    """Check what is said of networks that a user built: their blueprints, or why there are none, and both optimisers."""
    if value is None:
        return None
    parts = {"G": dict, "D": dict, "reason": str, "reason of D": str, "optimisers": list}
    for name, part in _record(value, "networks").items():
        if name not in parts or not isinstance(part, parts[name]):
            raise StateError(f"networks: {_shown(name)} is {_shown(part)}, which is not known here")
    for name, why in (("G", "reason"), ("D", "reason of D")):
        if (name in value) == (why in value):
            raise StateError(f"networks: it has to have either {name} or {why!r}")
        if name in value:
            check_blueprint(value[name])
    optimisers = value.get("optimisers")
    if not isinstance(optimisers, list) or len(optimisers) != 2:
        raise StateError("networks: optimisers has to be a list of two")
    for settings in optimisers:
        rest = {name: number for name, number in _record(settings, "networks: an optimiser").items() if name != "kind"}
        odd = next((n for n in rest.values() if isinstance(n, bool) or not isinstance(n, (int, float))), None)
        if not isinstance(settings.get("kind"), str) or odd is not None:
            raise StateError("networks: an optimiser has to be its kind, a text, and its numbers")
    return value


@dataclass(frozen=True, kw_only=True)
class RunState:
    """What a checkpoint says of a run besides its arrays. A part that a later version adds has a default, with
    which older checkpoints are read.

    step      how many steps were made
    rngs      the state of each random generator, by name
    sampler   how far the sampler is in its data, but for its arrays
    config    the run's options
    codec     the kind and the units of its data
    data      a checksum of the data; None for mixtures, which their codec tells apart
    networks  of networks that a user built: blueprints and optimisers; None where the options say all
    """

    step: int = field(metadata={"check": _step})
    rngs: dict[str, dict[str, Any]] = field(metadata={"check": _generators})
    sampler: dict[str, int] = field(metadata={"check": _sampler})
    config: Config = field(metadata={"check": _config})
    codec: Codec = field(metadata={"check": _codec})
    data: int | None = field(metadata={"check": _data})
    networks: dict[str, Any] | None = field(default=None, metadata={"check": _networks})

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunState:
        """Return the state that a checkpoint holds. Raises CheckpointError, which names the part that is wrong."""
        known = {f.name: f for f in fields(cls)}
        try:
            if odd := next((name for name in record if name not in known), None):
                raise StateError(f"it has {_shown(odd)}, which is unknown here; another version of tinygan wrote it")
            missing = [name for name, f in known.items() if name not in record and f.default is MISSING]
            if missing:
                raise StateError(f"it lacks {missing[0]!r}; another version of tinygan wrote it")
            state = cls(**{name: known[name].metadata["check"](value) for name, value in record.items()})
            if state.step > state.config.steps:
                raise StateError(f"step is {state.step:,}, which lies past the {state.config.steps:,} steps of the run")
        except CheckpointError:
            raise
        except (StateError, DataError, BlueprintError) as error:
            raise CheckpointError(f"the checkpoint's state is damaged: {' '.join(str(error).split())}") from None
        return state

    def to_json(self) -> dict[str, Any]:
        """Return the state in JSON's types. A part that has its default is left out."""
        record = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not f.default}
        return {**record, "config": asdict(self.config), "codec": self.codec.to_json()}

    def is_of(self, dataset: Dataset) -> bool:
        """Return whether the run's data are these, their units and contents."""
        return self.codec == dataset.codec and self.data == checksum_of(dataset)


def checksum_of(dataset: Dataset) -> int | None:
    """Return a number that tells whether data are still the same; None for mixtures, which their codec tells apart."""
    return None if dataset.x is None else zlib.crc32(dataset.x)  # type: ignore[arg-type]  # an array is a buffer


def read_state(run: str | Path) -> tuple[dict[str, np.ndarray], RunState]:
    """Return the arrays and the checked state of a run, which is named by its folder or by its checkpoint file.

    Raises CheckpointError, whose message names the file.
    """
    path = checkpoint_of(Path(run))
    arrays, record = load(path)
    try:
        return arrays, RunState.from_json(record)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.with_flags}") from None


def check_arrays(found: Mapping[str, np.ndarray], wanted: Mapping[str, Any], whose: str) -> None:
    """Raise CheckpointError unless arrays have the names, shapes and dtypes of those wanted, and finite numbers.

    whose: "this run's", for the message.
    """
    for name in dict.fromkeys((*wanted, *found)):
        if name not in found or name not in wanted:
            raise CheckpointError(f"the checkpoint's networks are not {whose}: {name} differs, only one of them has it; resume "
                                  f"with the same options")
        array, other = found[name], wanted[name]
        if array.shape != tuple(other.shape):
            raise CheckpointError(f"the checkpoint's networks are not {whose}: {name} differs, its shape is {array.shape} there "
                                  f"and {tuple(other.shape)} here; resume with the same options")
        if array.dtype != other.dtype:
            raise CheckpointError(f"the checkpoint is damaged: {name} is {array.dtype}, it has to be {other.dtype}")
        if not np.isfinite(array).all():
            raise CheckpointError(f"the checkpoint is damaged: {name} holds numbers that are not finite")


def check_ranges(found: Mapping[str, np.ndarray], network: Layer, player: str) -> None:
    """Raise CheckpointError where a buffer of a network holds what its layer never has in it, such as a negative variance.

    found: arrays of a checkpoint by name, "G.1.var" for a buffer of the player "G".
    """
    for slot in slots(network):
        odd = slot.owner.ranges.get(slot.key) if isinstance(slot.owner, Layer) else None
        name = f"{player}.{slot.name}"
        if odd and name in found and (problem := odd(slot.owner, found[name])):
            raise CheckpointError(f"the checkpoint is damaged: {name} {problem}")


def check_moments(found: Mapping[str, np.ndarray], optimiser: Optimiser, player: str) -> None:
    """Raise CheckpointError where what an optimiser remembers is negative or no whole number, and cannot be so."""
    for name in optimiser.never_negative:
        what = f"{player}.{optimiser.kernel}.{name}"
        if (found[what] < 0).any():
            raise CheckpointError(f"the checkpoint is damaged: {what} holds negative numbers, which it never has")
    for name in optimiser.counts:
        what = f"{player}.{optimiser.kernel}.{name}"
        if (found[what] % 1).any():
            raise CheckpointError(f"the checkpoint is damaged: {what} holds {found[what].max():g}, and it counts steps")


def check_weights(config: Config, codec: Codec, arrays: Mapping[str, np.ndarray], of_d: bool = True) -> None:
    """Raise CheckpointError where the options describe larger networks than a file holds: nobody is to build those to find out.

    of_d: whether D counts too, which samples do not need.
    """
    numbers = sum(array.size for array in arrays.values())
    try:
        weights = sum(config.architecture(codec).weights[: 1 + of_d])
    except OptionError as error:
        raise CheckpointError(f"the checkpoint's state is damaged: {error.with_flags}") from None
    if weights > numbers + WORTH_BUILDING:
        raise CheckpointError(f"the checkpoint's state is damaged: its options describe networks of {weights:,} weights, and it "
                              f"holds {numbers:,} numbers")

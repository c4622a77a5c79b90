"""Data sets, and samplers: the order in which batches are drawn from a set, and how it is saved and resumed in mid-epoch."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .units import Codec, DataError

FEWEST = 6  # samples in each part of data of which some are held out: measures by 5 nearest neighbours need as many


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: its samples, their kind and their units.

    name     the name of a named set, or of the file or folder
    codec    its kind and its units
    x        (n, *codec.shape) float32, C-contiguous, encoded; None for mixtures, which are drawn fresh
    labels   (n,) int64 or None
    centres  (k, 2) float64 in user units, and `std` of every component: mixtures only
    notes    lines worth telling the user: what was skipped or scaled
    own_defaults  options of a run that suit this very set; if empty, those of its kind hold
    chosen   options with which it was read that were not given, such as the size of mixed pictures; a run stores them
    held     samples that `hold_out` has put aside, of the same kind and in the same units; None if there are none
    """

    name: str
    codec: Codec
    x: np.ndarray | None
    labels: np.ndarray | None = None
    centres: np.ndarray | None = None
    std: float | None = None
    notes: tuple[str, ...] = ()
    own_defaults: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, Any] = field(default_factory=dict)
    held: Dataset | None = None

    @property
    def summary(self) -> str:
        """What was understood, in a line: the name, and how many samples of what there are."""
        return f"{self.name}: {self.codec.described(None if self.x is None else len(self.x))}"

    @property
    def is_mixture(self) -> bool:
        """True if samples are drawn fresh from a known density, False if there is a finite set of them."""
        return self.x is None

    def sampler(self, m: int, rng: np.random.Generator) -> Sampler:
        """Return a source of batches of `m` samples, every random draw taken from `rng`. Raises DataError unless m >= 1."""
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
        m = _batch_size(m)
        if self.is_mixture:
            return MixtureSampler(self.name, self.codec, self.centres, self.std, m, rng)
        return EpochSampler(self.name, self.codec, self.x, m, rng)

    def at_most(self, n: int) -> int:
        """Return how many of n samples can be had without repetition: all of them from a mixture."""
        return n if self.is_mixture else min(n, len(self.x))

    def some(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `at_most(n)` encoded samples without repetition, float32."""
        return self.sampler(n, rng).next() if self.is_mixture else self.x[rng.permutation(len(self.x))[:n]]

    def hold_out(self, share: float) -> Dataset:
        """Return these data without a share of the samples, which are put aside as `held`: to judge by, and not to train on.

        Which samples they are depends on the number of samples and on the share alone, so runs of all seeds share them. Of data
        whose samples overlap, as windows of sound do, they are the last ones, and the sample before them is in neither part. Raises
        DataError for a mixture, whose samples are drawn fresh, and where a part has fewer than FEWEST samples.
        """
        if self.is_mixture:
            raise DataError(f"{self.name} is drawn fresh for every batch, so every sample is held out; leave out --held-out")
        n, aside = len(self.x), round(share * len(self.x))
        if min(aside, n - aside) < FEWEST:
            raise DataError(f"{self.name} has {n} samples, of which --held-out {share:g} puts {aside} aside; each part has to have "
                            f"at least {FEWEST}")
        order = np.arange(n) if self.codec.overlapping else np.random.default_rng(n).permutation(n)
        kept, put_aside = np.sort(order[: n - aside - self.codec.overlapping]), np.sort(order[n - aside :])
        held = replace(self, x=self.x[put_aside], labels=None if self.labels is None else self.labels[put_aside])
        note = f"{aside:,} of {n:,} samples are held out; tinygan evaluate measures against them too"
        return replace(self, x=self.x[kept], labels=None if self.labels is None else self.labels[kept], held=held,
                       notes=(*self.notes, note), chosen={**self.chosen, "held_out": share})

    def in_units_of(self, codec: Codec) -> Dataset:
        """Return these data as a network sees them that was trained on data of `codec`: with its scale, in the place of their own.

        What was told from these data alone, such as which number is white, is told by the run's in its place. Raises DataError for
        samples of another kind, shape or columns, which such a network does not make, and for those that are in other units.
        """
        x, notes = codec.brought(self.name, self.codec, self.x)
        held = None if self.held is None else self.held.in_units_of(codec)
        return replace(self, codec=codec, x=x, notes=(*self.notes, *notes), held=held)

    def defaults(self, arch: str | None = None) -> dict[str, Any]:
        """Return the options of a run (fields of training.Config) that suit this set, or else its kind.

        An architecture that has settings of its own, as "dcgan" has those of its paper, brings them.
        """
        return {**(self.own_defaults or self.codec.defaults), **self.codec.defaults_by_arch.get(arch, {}), **self.chosen}


def _batch_size(m: Any) -> int:
    """Return a batch size as an int. Raises DataError for anything but a whole number of at least 1."""
    try:
        number = operator.index(m)
    except TypeError:
        number = 0
    if number < 1:
        raise DataError(f"the batch size must be a whole number, at least 1; got {m!r}")
    return number


class Sampler:
    """The base of samplers, which are endless sources of batches of m samples. Whoever owns `rng` saves its state beside `state()`.

    name: the data set's, for messages. codec: its units and the shape of one sample.
    """

    def __init__(self, name: str, codec: Codec, m: int, rng: np.random.Generator) -> None:
        self._name, self._codec, self._rng = name, codec, rng
        self.shape = (m, *codec.shape)

    def next(self, out: np.ndarray | None = None) -> np.ndarray:
        """Return the next batch, (m, *shape) float32: a fresh array, or `out`, filled. Raises ValueError for an unfit `out`."""
        if out is None:
            out = np.empty(self.shape, np.float32)
        elif out.shape != self.shape or out.dtype != np.float32:
            raise ValueError(f"out must be {self.shape} float32, got {out.shape} {out.dtype}")
        self._fill(out)
        return out

    def state(self) -> dict:
        """Return what `restore` needs besides the state of `rng`: ints and at most one array, all of them copies."""
        raise NotImplementedError

    def restore(self, state: dict) -> None:
        """Go on from where `state()` was taken: bit for bit, if `rng` is restored too. Raises DataError for a foreign state."""
        raise NotImplementedError

    def _fill(self, out: np.ndarray) -> None:
        """Write the next batch into `out` (m, *shape)."""
        raise NotImplementedError


class MixtureSampler(Sampler):
    """Independent draws from an equal mixture of isotropic Gaussians; there is no state besides `rng`.

    centres: (k, 2), and the std of every component, in user units.
    """

    def __init__(
        self, name: str, codec: Codec, centres: np.ndarray, std: float, m: int, rng: np.random.Generator
    ) -> None:
        super().__init__(name, codec, m, rng)
        self._centres, self._std = centres, std

    def _fill(self, out):
        which = self._rng.integers(len(self._centres), size=len(out))
        noise = self._rng.standard_normal(out.shape)
        out[...] = self._codec.encode(self._centres[which] + self._std * noise)

    def state(self):
        return {}

    def restore(self, state):
        if state:
            raise DataError(f"sampler state of other data: {self._name} is drawn fresh and keeps none")


class EpochSampler(Sampler):
    """Shuffled epochs end to end: every n consecutive samples from an epoch's start are the whole set, once each.

    Batches run across the seam between epochs: where fewer than m samples remain, they are used and a new permutation supplies
    the rest, so such a batch may hold a sample twice. By the same rule m may exceed n, and a batch spans several epochs.

    x: the samples (n, *codec.shape), encoded.
    """

    def __init__(self, name: str, codec: Codec, x: np.ndarray, m: int, rng: np.random.Generator) -> None:
        super().__init__(name, codec, m, rng)
        self._x = x
        self._epoch = 0  # permutations drawn so far
        self._order = np.arange(len(x))
        self._position = len(self._order)  # used up: the first batch draws the first permutation

    def _fill(self, out):
        done = 0
        while done < len(out):
            if self._position == len(self._order):
                self._order = self._rng.permutation(len(self._order))
                self._position, self._epoch = 0, self._epoch + 1
            chosen = self._order[self._position:self._position + len(out) - done]
            out[done:done + len(chosen)] = self._x[chosen]
            done += len(chosen)
            self._position += len(chosen)

    def state(self):
        """Return {"epoch": int, "position": int, "order": (n,) int64}."""
        return {"epoch": self._epoch, "position": self._position, "order": self._order.astype(np.int64)}

    def restore(self, state):
        n = len(self._order)
        try:
            epoch, position = operator.index(state["epoch"]), operator.index(state["position"])
            order = np.array(state["order"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("sampler state: needs epoch, position and order as `state` gave them") from error
        is_permutation = order.shape == (n,) and order.dtype.kind in "iu" and (np.sort(order) == np.arange(n)).all()
        if not is_permutation or not 0 <= position <= n or epoch < 0:
            raise DataError(f"sampler state: not an order of the {n} samples of {self._name}; "
                            f"resume with the data that the run began with")
        self._epoch, self._position, self._order = epoch, position, order.astype(np.int64)

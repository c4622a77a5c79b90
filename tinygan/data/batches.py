"""The order in which samples are drawn, and how to save and resume it in the middle of an epoch."""

from __future__ import annotations

import operator

import numpy as np

from .units import Codec, DataError


class Sampler:
    """An endless source of batches of m samples. `rng` stays the caller's, who saves its state beside `state()`.

    name: the data set's, for messages. codec: its units and the shape of one sample.
    """

    def __init__(self, name: str, codec: Codec, m: int, rng: np.random.Generator) -> None:
        self._name, self._codec, self._rng = name, codec, rng
        self.shape = (m, *codec.shape)

    def next(self, out: np.ndarray | None = None) -> np.ndarray:
        """The next batch, (m, *shape) float32: a fresh array, or written into `out` and `out` returned."""
        if out is None:
            out = np.empty(self.shape, np.float32)
        elif out.shape != self.shape or out.dtype != np.float32:
            raise ValueError(f"out must be {self.shape} float32, got {out.shape} {out.dtype}")
        self._fill(out)
        return out

    def state(self) -> dict:
        """What `restore` needs besides the state of `rng`: ints and at most one array, copies all."""
        raise NotImplementedError

    def restore(self, state: dict) -> None:
        """Continue where `state()` was taken: with `rng` restored too, bit for bit. DataError for a foreign state."""
        raise NotImplementedError

    def _fill(self, out: np.ndarray) -> None:
        raise NotImplementedError


class MixtureSampler(Sampler):
    """Independent draws from a mixture of equal isotropic Gaussians; no state besides `rng`.

    centres (k, 2) and the std of every component, in user units.
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

    Batches run on across the seam: where fewer than m remain, they are used and a new permutation supplies the rest, so
    a batch may hold a sample twice there. The same rule lets m exceed n: such a batch spans several epochs.

    x (n, *codec.shape): the samples, encoded.
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
            rows = self._order[self._position:self._position + len(out) - done]
            out[done:done + len(rows)] = self._x[rows]
            done += len(rows)
            self._position += len(rows)

    def state(self):
        """{"epoch": int, "position": int, "order": (n,) int64}"""
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

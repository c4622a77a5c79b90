"""A race between two kernels on a device: timed in pairs, on fresh inputs, with a cold L2 cache, every timed call verified.

Each call gets inputs that no call had before, of both signs where the kernel takes both, in the same buffers, and outputs that hold
NaN. A rate alone is RATE in all calls, as a kernel may take it by value. The time of a call is that between two events of the
device's own stream, which are put behind the writes that flush the cache: while the device is busy with these, the host gets the
launch ready, so that how long Python takes for it is not in the time. As soon as the second has happened the outputs are fetched,
before anything else is waited for, and judged by the contract's bound; then the inputs are fetched and compared with what was sent.
So a kernel is refused, with the reason, that keeps results instead of computing them, that leaves work to another stream whose end
no event has seen, that changes its inputs, or that is right in a rehearsal only.
Nothing here needs a GPU: a race is given its Device, and tests give it one that is played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.profiling.calls import KernelCall
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.verification.bounds import bound

Arrays = tuple[np.ndarray, ...]
Side = Callable[[Sequence[Any], Sequence[Any]], None]
"""A competitor: called with the device's arrays, inputs and outputs, it launches its kernel."""
WARM_UP = 3
RATE = 0.375
"""The rate of an update in each call: a kernel may take it by value, and its launch is prepared before there are inputs."""
POSITIVE = {("log", "x"), ("sqrt", "x"), ("pow", "a"), ("power", "x"), ("bce_logits", "t"), ("sigmoid_grad", "p"),
            ("batch_norm_grad", "inv_std")}  # fmt: skip
"""Inputs, (kernel, name), that are no number where they are negative, or are a probability or a scale."""


class Device(Protocol):
    """Where a race is run. Arrays are the device's own."""

    name: str

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Return a new array of float32."""

    def send(self, array: Any, values: np.ndarray) -> None:
        """Write values into an array that is there already, at the same addresses."""

    def fetch(self, array: Any) -> np.ndarray:
        """Return an array's values, in the order of the device's own stream; other streams are not waited for."""

    def flush(self) -> None:
        """Begin to push everything out of the L2 cache. The device is busy with it for longer than a launch takes the host."""

    def synchronize(self) -> None:
        """Wait until all streams have done all their work."""

    def milliseconds(self, call: Callable[[], None]) -> float:
        """Return the time of a call between two events of the device's own stream, when the second of them has happened."""


@dataclass(frozen=True)
class RaceResult:
    """The times of a race. times: by the competitor's name, in ms, of the calls that were verified; pairs are at equal places.

    refused: {competitor: why its times do not count}.
    """

    device: str
    kernel: str
    sizes: str
    times: Mapping[str, tuple[float, ...]]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every call of both was right and fair."""
        return not self.refused

    @property
    def ratios(self) -> list[float]:
        """How many times as long the second competitor took as the first, pair by pair."""
        if not self.ok:
            return []
        first, second = self.times.values()
        return [b / a for a, b in zip(first, second, strict=True)]

    def __str__(self) -> str:
        lines = [f"{self.kernel} on {self.device}, float32, {self.sizes}"]
        for name, taken in self.times.items():
            if name in self.refused:
                lines.append(f"  REFUSED {name}: {self.refused[name]}")
            elif taken:
                low, middle, high = np.percentile(taken, (25, 50, 75))
                lines.append(f"  {name}: median {middle:.4g} ms, quartiles {low:.4g} to {high:.4g}, {len(taken)} calls")
        if self.ratios:
            low, middle, high = np.percentile(self.ratios, (25, 50, 75))
            first, second = self.times
            lines.append(f"  {second} takes {middle:.3g} times as long as {first} (median of {len(self.ratios)} pairs, quartiles "
                         f"{low:.3g} to {high:.3g})")  # fmt: skip
        return "\n".join(lines)


def race(sides: Mapping[str, Side], made: KernelCall, device: Device, *, rounds: int = 20, seed: int = 0) -> RaceResult:
    """Time two competitors in pairs, in turns who is first, after a warm-up. made: the call; rounds: how many pairs.

    Raises ContractError for other than two competitors, or less than a round.
    """
    if len(sides) != 2 or rounds < 1:
        raise ContractError(f"a race is between 2 kernels, in at least 1 round; there are {len(sides)}, and {rounds} rounds")
    track = _Track(made, device, np.random.default_rng(seed))
    times: dict[str, list[float]] = {name: [] for name in sides}
    refused: dict[str, str] = {}
    for number in range(WARM_UP + rounds):
        order = list(sides) if number % 2 else list(sides)[::-1]
        for name in order:
            if name in refused:
                continue
            taken, fault = track.run(sides[name])
            if fault:
                refused[name] = f"{fault} ({'in the warm-up' if number < WARM_UP else f'in timed call {number - WARM_UP + 1}'})"
            elif number >= WARM_UP:
                times[name].append(taken)
        if len(refused) == len(sides):
            break
    return RaceResult(device.name, made.kernel, sizes_told(made), {name: tuple(taken) for name, taken in times.items()}, refused)


def sizes_told(made: KernelCall) -> str:
    """Return the shapes of a call's arrays in words, such as "a 6x4, b 4x5, c 6x5"."""
    kernel = KERNELS[made.kernel]
    shapes = zip((*kernel.inputs, *kernel.outputs), (*made.inputs, *made.outputs), strict=True)
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'a number'}" for name, shape in shapes)


class _Track:
    """The buffers of a race, and one call after the other in them."""

    def __init__(self, made: KernelCall, device: Device, rng: np.random.Generator) -> None:
        self.made, self.device, self.rng = made, device, rng
        self.kernel = KERNELS[made.kernel]
        self.inputs = [device.empty(shape) for shape in made.inputs]
        self.outputs = [device.empty(shape) for shape in made.outputs]
        self.before: list[Arrays] = []  # what was right for the last calls

    def run(self, side: Side) -> tuple[float, str]:
        """Run one call. Returns its time in ms, and what is wrong with it, "" if nothing is."""
        names = self.kernel.inputs
        inputs = tuple(self._values(name, shape) for name, shape in zip(names, self.made.inputs, strict=True))
        states = tuple(self._state(shape) for shape in self.made.outputs)
        for array, values in zip((*self.inputs, *self.outputs), (*inputs, *states), strict=True):
            self.device.send(array, values)
        self.device.synchronize()
        self.device.flush()
        taken = self.device.milliseconds(lambda: side(self.inputs, self.outputs))
        at_once = tuple(self.device.fetch(array) for array in self.outputs)
        self.device.synchronize()
        later = tuple(self.device.fetch(array) for array in self.outputs)
        after = [self.device.fetch(array) for array in self.inputs]
        expected, allowed = self._right(inputs, states)
        fault = self._fault(inputs, at_once, later, expected, allowed)
        if not fault:
            changed = [n for n, sent, found in zip(names, inputs, after, strict=True) if not np.array_equal(sent, found)]
            fault = f"it changes its input {' and '.join(changed)} in place" if changed else ""
        self.before = [*self.before[-7:], expected]
        return taken, fault

    def _values(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return fresh numbers for an input: between -1 and 1, or what the kernel wants.

        These are numbers between 0 and 1 for logarithms and such; 0 and 1 for conditions; 0, 1, 2 and 3 where equal ones count.
        """
        between = self.rng.random(shape, np.float32)
        kernel = self.made.kernel
        if name == "rate":
            return np.full(shape, RATE, np.float32)
        if (kernel, name) in POSITIVE:
            return between
        if (kernel, name) == ("where", "c"):
            return np.asarray(np.round(between), np.float32)
        if kernel == "equal":
            return np.asarray(np.floor(4 * between), np.float32)
        return np.asarray(2 * between - 1, np.float32)

    def _state(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return what an output holds before a call: NaN, or of an update in place a state, in which a single number is a count."""
        if not self.kernel.in_place:
            return np.full(shape, np.nan, np.float32)
        return self.rng.random(shape, np.float32) if shape else np.float32(self.rng.integers(1, 100)).reshape(())

    def _right(self, inputs: Arrays, states: Arrays) -> tuple[Arrays, Sequence[np.ndarray]]:
        """Return what is right, in float64, and how far an output may be off."""
        exact = [a.astype(np.float64) for a in (*inputs, *(states if self.kernel.in_place else ()))]
        with np.errstate(all="ignore"):  # log 0 is an infinity
            right = getattr(reference, self.made.kernel)(*exact, **self.made.params)
            expected = tuple(np.asarray(e) for e in (right if isinstance(right, tuple) else (right,)))
            return expected, bound(self.made.kernel, exact, expected, np.dtype(np.float32), **self.made.params)

    def _fault(
        self, inputs: Arrays, at_once: Arrays, later: Arrays, expected: Arrays, allowed: Sequence[np.ndarray]
    ) -> str:  # fmt: skip
        """Say what is wrong with the outputs, "" if nothing is."""
        if _inside(at_once, expected, allowed):
            return ""
        if _inside(later, expected, allowed):
            missing = "its outputs are not there when its own stream is done"
            return f"{missing}: it leaves work to another stream, whose time is not counted"
        if any(_inside(at_once, old, allowed) for old in self.before):
            return "its outputs are those of earlier inputs: it keeps results instead of computing them"
        if all(np.isnan(a).all() for a in at_once) and not self.kernel.in_place:
            return "it writes nothing"
        if any(_inside(at_once, given, allowed) for given in _copies(inputs, at_once)):
            return "its outputs are its input: it computes nothing"
        return "its outputs are wrong: outside of their bound"


def _copies(inputs: Arrays, outputs: Arrays) -> list[Arrays]:
    """Return what the outputs would be if each were a copy of one of the inputs, where there is one output of an input's shape."""
    return [(array,) for array in inputs if len(outputs) == 1 and array.shape == outputs[0].shape]


def _inside(found: Arrays, expected: Arrays, allowed: Sequence[np.ndarray]) -> bool:
    """Return whether all outputs are inside their bounds; NaN is not, and an infinity where it is right, as for log 0."""
    with np.errstate(invalid="ignore"):
        near = [np.where(np.isinf(e), f == e, np.abs(f - e) <= limit) for f, e, limit in zip(found, expected, allowed, strict=True)]
    return all(bool(n.all()) for n in near)

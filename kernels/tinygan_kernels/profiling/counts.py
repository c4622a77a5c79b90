"""Counters of a CUDA kernel's execution, without a GPU: counted by the emulator, under Nsight Compute's names.

Counting 4096 x 4096 x 4096 one instruction at a time would take hours, so large shapes are counted on smaller ones: a size counts
linearly once it is whole tiles beyond another, since each further tile executes the same instructions. `Counted.how` says what was
done, and on how many further shapes the extension was found exact.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tinygan_kernels import load
from tinygan_kernels.profiling.calls import ITEM, KernelCall, call, form_of, spaced
from tinygan_kernels.shapes import ContractError

MOST_WORK = 1 << 24  # multiply-adds (or elements, 8 multiply-adds each) that are counted on the shape itself
PATIENCE = 16  # times MOST_WORK: up to there a shape is still counted itself where the extension from smaller ones is not exact
ALIGNMENT = 256  # of the arrays in bytes, as GPU allocators place them: sectors depend on it

Key = tuple[str, int, str]  # CUDA kernel, source line (WHOLE: all of the kernel), metric
WHOLE = -1
Execute = Callable[[Sequence[int]], Mapping[Key, float]]  # counts one execution on a shape


@dataclass(frozen=True)
class Counted:
    """Counters by CUDA kernel, source line (WHOLE is all of the kernel) and metric. how: one sentence on how they were found."""

    values: Mapping[Key, float]
    how: str

    def total(self, metric: str, kernel: str | None = None) -> float:
        """Return a metric over all launches, or over those of one CUDA kernel."""
        return sum(v for (name, line, m), v in self.values.items() if line == WHOLE and m == metric and kernel in (None, name))

    def kernels(self) -> list[str]:
        """Return the names of the CUDA kernels that ran, in order."""
        return list(dict.fromkeys(name for name, _, _ in self.values))

    def lines(self, kernel: str) -> dict[int, dict[str, float]]:
        """Return {source line: {metric: value}} of one CUDA kernel."""
        found: dict[int, dict[str, float]] = {}
        for (name, line, metric), value in self.values.items():
            if name == kernel and line != WHOLE:
                found.setdefault(line, {})[metric] = value
        return found


def count(kernel: str, number: int, shape: Sequence[int], backend: str) -> Counted:
    """Count a version on `shape`, or on smaller shapes from which its counters follow. Raises ContractError if it is too large."""
    return count_executions(functools.partial(_execute, kernel, number, backend), kernel, shape)


def count_executions(execute: Execute, kernel: str, shape: Sequence[int]) -> Counted:
    """Count what `execute` does on `shape`, or on smaller shapes from which its counters follow. Raises ContractError.

    kernel: the kernel of the contract that it computes, which says what the sizes stand for.
    """
    made, form = call(kernel, shape), form_of(kernel)
    samples = _samples(shape, form.period(*shape)) if made.work > MOST_WORK else {}
    values, corners = _extend(execute, shape, samples)
    if any(call(kernel, corner).work > PATIENCE * MOST_WORK for corner in corners):
        raise ContractError(f"{kernel} {spaced(shape)} is too large to count here; give smaller sizes")
    if not samples:
        return Counted(execute(shape), f"counted on this very shape, {spaced(shape)}")
    worst = max(_deviations(execute, values, shape, samples))
    if worst and made.work <= PATIENCE * MOST_WORK:
        return Counted(execute(shape), f"counted on this very shape, {spaced(shape)}, as they do not grow linearly")
    return Counted(values(shape), _how(corners, worst, len(samples)))


def _samples(shape: Sequence[int], period: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Return {axis: (small size, period)} for each size of at least three periods; size = small + a whole number of periods."""
    return {axis: (step + shape[axis] % step, step) for axis, step in period.items() if shape[axis] >= 3 * step}


def _extend(execute: Execute, shape, samples):
    """Return (the counts as a function of shape, the shapes from which they follow, called corners).

    The function is linear in each sampled size, through the counts at its small size and one period beyond it.
    """
    axes = list(samples)
    corners = [_at(shape, samples, steps) for steps in itertools.product((0, 1), repeat=len(axes))]
    tables: list[Mapping[Key, float]] = []

    def values(wanted: Sequence[int]) -> dict[Key, float]:
        if not tables:
            tables.extend(execute(corner) for corner in corners)
        parts = [Fraction(wanted[axis] - samples[axis][0], samples[axis][1]) for axis in axes]
        weights = [math.prod(p if step else 1 - p for p, step in zip(parts, steps, strict=True))
                   for steps in itertools.product((0, 1), repeat=len(axes))]  # fmt: skip
        keys = dict.fromkeys(key for table in tables for key in table)
        return {key: float(sum(w * Fraction(t.get(key, 0)) for w, t in zip(weights, tables, strict=True))) for key in keys}

    return values, corners


def _at(shape: Sequence[int], samples: Mapping[int, tuple[int, int]], steps: Sequence[int]) -> tuple[int, ...]:
    """Return the shape with each sampled size at its small size plus `steps` periods."""
    at = dict(zip(samples, steps, strict=True))
    return tuple(samples[axis][0] + at[axis] * samples[axis][1] if axis in at else size for axis, size in enumerate(shape))


def _deviations(execute: Execute, values, shape, samples) -> list[float]:
    """Return, for each sampled size, how far the extension is off (relative, at worst) two periods on, the others small."""
    deviations = []
    for axis in samples:
        further = _at(shape, samples, [2 if other == axis else 0 for other in samples])
        real, extended = execute(further), values(further)
        keys = [key for key in {**real, **extended} if key[1] == WHOLE]
        deviations.append(max(abs(real.get(k, 0) - extended.get(k, 0)) / max(1, abs(real.get(k, 0))) for k in keys))
    return deviations


def _how(corners: list[tuple[int, ...]], worst: float, checks: int) -> str:
    further = f"{checks} further shape{'s' if checks > 1 else ''}"
    shapes = f"counted on {len(corners)} smaller shapes up to {spaced(corners[-1])} and extended linearly in each size"
    return f"{shapes}; AN ESTIMATE: off by up to {100 * worst:.2g} % on {further}" if worst else f"{shapes}; exact on {further}"


def _execute(kernel: str, number: int, backend: str, shape: Sequence[int]) -> dict[Key, float]:
    """Run a version once under the emulator, on random float32 arrays, and return its counters."""
    made, loaded = call(kernel, shape), load(backend, emulate=True, versions={kernel: number})
    return counted_call(made, lambda inputs, outputs: loaded.launch(kernel, inputs, out=outputs, **made.params))


def counted_call(made: KernelCall, launch: Callable[[list[np.ndarray], tuple[np.ndarray, ...]], Any]) -> dict[Key, float]:
    """Run launch(inputs, outputs) once under the emulator, on random float32 arrays, and return its counters."""
    from tinygan_kernels.emulator import checks
    from tinygan_kernels.emulator import count as counting

    rng = np.random.default_rng(0)
    inputs, outputs = [random_array(s, rng) for s in made.inputs], tuple(random_array(s, rng) for s in made.outputs)
    with counting() as counts, checks(False):
        launch(inputs, outputs)
    values: dict[Key, float] = {}
    for name in counts.kernels():
        values |= {(name, WHOLE, metric): value for metric, value in counts.kernel(name).metrics().items()}
        for line, metrics in counts.lines(name).items():
            values |= {(name, line, metric): value for metric, value in metrics.items()}
    return {key: value for key, value in values.items() if key[2] != "arithmetic_intensity"}


def random_array(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return random float32 between 0 and 1 at an address that is a multiple of ALIGNMENT."""
    size = ITEM * math.prod(shape)
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    array = raw[start : start + size].view(np.float32).reshape(shape)
    array[...] = rng.random(shape, np.float32)
    return array

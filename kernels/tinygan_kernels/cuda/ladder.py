"""The ladders of the CUDA kernels: a row for each version of a kernel, and how one is chosen, launched, bound and recorded.

A row (a Rung) carries all that a launch needs, so a new version is its kernel in a source file and a row in the table of
cpp_backend.py or numba_backend.py. Tests, listings, verification, profiles and targets are made from the rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinygan_kernels.backend import Backend, Call, Launch, check
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cuda import array_kernels
from tinygan_kernels.cuda.device import CudaLaunch, Device, RecordedLaunch
from tinygan_kernels.shapes import ContractError

Host = Callable[..., Iterable[CudaLaunch]]  # host(device, rung, *inputs, *outputs, **params)


@dataclass(frozen=True, kw_only=True)
class Rung(Version):
    """A row of a ladder: one version of a kernel in a CUDA language.

    source: the stem of the file that holds its CUDA kernels. entries: those kernels, in the order in which they are launched, as
    strings that the language's subclass understands. host: the function that says what to launch. tile: what one block computes of
    the output, as (rows, columns) of a matrix whose columns are the last axis, or as (numbers,) of the flat array. threads: the
    sides of a block. improves: the counter that falls against the version before, a key of profiling.targets.IMPROVEMENTS; ""
    only for a first version. unasked: the host function where this is the best version and no version was asked for. capability:
    the least compute capability that it needs, 10 x major + minor.
    """

    source: str
    entries: tuple[str, ...]
    host: Host
    tile: tuple[int, ...] = (256,)
    threads: tuple[int, ...] = (256,)
    improves: str = ""
    unasked: Host | None = None
    capability: int = 0

    def blocks(self, shape: tuple[int, ...]) -> int:
        """Return how many blocks cover an output of this shape, tile by tile."""
        if len(self.tile) == 1:
            return ceil_div(math.prod(shape), self.tile[0])
        rows, columns = self.tile
        return ceil_div(math.prod(shape[:-1]), rows) * ceil_div(shape[-1], columns)

    def record(self, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> list[RecordedLaunch]:
        """Return the launches of this version on NumPy arrays (inputs, then outputs), which are left as they are."""
        raise NotImplementedError


def ceil_div(size: int, part: int) -> int:
    """Return how many parts cover the size."""
    return -(-size // part)


NEWEST = 1 << 30  # a compute capability that every version runs on


def dotted(capability: int) -> str:
    """Return a compute capability as NVIDIA writes it: 75 is 7.5, 120 is 12.0."""
    return f"{capability // 10}.{capability % 10}"


def needs(rung: Rung) -> str:
    """Return what a version needs of a GPU, as the beginning of a sentence."""
    return f"{rung.kernel} version {rung.number} ({rung.title}) needs compute capability {dotted(rung.capability)}"


class Choice(NamedTuple):
    """A version that was chosen for a kernel and a dtype, and the host function that launches it."""

    rung: Rung
    host: Host

    def launches(self, device: Device, arrays: tuple[Any, ...], params: Mapping[str, Any]) -> tuple[CudaLaunch, ...]:
        """Return the launches of one call, checked. arrays: inputs, then outputs. Raises ContractError."""
        return device.checked(self.host(device, self.rung, *arrays, **params))


Choices = Mapping[str, Mapping[str, Choice]]  # by kernel, then by the name of the dtype


@dataclass(frozen=True)
class Ladders:
    """All rungs of one backend. language: what its messages call the language of its kernels."""

    backend: str
    language: str
    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        for rung in self.rungs:
            if rung.number == 1 and (rung.capability or rung.rule):
                raise ValueError(f"{self.backend}: {rung.kernel} version 1 has to run everywhere, within the kernel's own bound")

    def find(self, kernel: str, number: int) -> Rung:
        """Return a rung. Raises ContractError naming the kernel and the numbers that there are."""
        if kernel not in KERNELS:
            raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
        rungs = {rung.number: rung for rung in self.rungs if rung.kernel == kernel}
        if number not in rungs:
            ladder = f"versions {', '.join(map(str, rungs))}" if rungs else f"no version in {self.language}"
            raise ContractError(f"{self.backend}: {kernel} has {ladder}; {number!r} is not one")
        return rungs[number]

    def versions(self, capability: int = NEWEST) -> tuple[Version, ...]:
        """Return the rungs that a device of this compute capability can run, and a version for each kernel without a ladder.

        Array functions compute the latter.
        """
        able = tuple(rung for rung in self.rungs if rung.capability <= capability)
        have = {rung.kernel for rung in self.rungs}
        return able + tuple(Version(name, 1, "array functions") for name in KERNELS if name not in have)

    def choose(self, versions: Mapping[str, int] | None = None, capability: int = NEWEST) -> dict[str, dict[str, Choice]]:
        """Choose the version of every kernel with a ladder, for each dtype: what `versions` asks for, otherwise the best.

        The best is the last that a device of this compute capability can run, that can compute in the dtype and that keeps the
        kernel's own bound. One that was asked for runs for its dtypes alone: another dtype is refused at the launch. Raises
        ContractError, also for a version that the device cannot run.
        """
        chosen: dict[str, dict[str, Choice]] = {}
        for rung in self.rungs:
            if not rung.rule and rung.capability <= capability:
                chosen.setdefault(rung.kernel, {}).update(dict.fromkeys(rung.dtypes, Choice(rung, rung.unasked or rung.host)))
        for kernel, number in (versions or {}).items():
            rung = self.find(kernel, number)
            if rung.capability > capability:
                best = max(choice.rung.number for choice in chosen[kernel].values())
                raise ContractError(
                    f"{self.backend}: {needs(rung)}, this GPU has {dotted(capability)}; "
                    f"ask for no version of {kernel}, and version {best} runs"
                )
            chosen[kernel] = dict.fromkeys(rung.dtypes, Choice(rung, rung.host))
        return chosen

    def on(self, device: Device, versions: Mapping[str, int] | None, emulated: bool) -> Backend:
        """Return the backend whose kernels run on `device`, at the versions that were asked for. Raises ContractError."""
        choices = self.choose(versions, device.capability)
        implementations = array_kernels.implementations(device.memory.xp)
        implementations |= {kernel: self._implementation(device, kernel, choices[kernel]) for kernel in choices}
        bind, memory = functools.partial(self._bind, device, choices), device.memory
        listed = self.versions(device.capability)
        return Backend(self.backend, implementations, memory.xp, listed, memory.to_numpy, bind=bind, emulated=emulated)

    def _implementation(self, device: Device, kernel: str, by_dtype: Mapping[str, Choice]) -> Callable[..., None]:
        """Return a function that checks a call as the contract's door does, then launches the version for its dtype."""

        def implementation(*arrays: Any, **params: Any) -> None:
            checked = check(kernel, arrays, params)
            choice = self._for_dtype(kernel, by_dtype, arrays[0].dtype)
            device.start_all(choice.launches(device, arrays, checked))

        return implementation

    def _bind(self, device: Device, choices: Choices, launch: Launch) -> Call:
        """Return a call that repeats a launch which `Backend.launch` has checked.

        Its arrays stay the same and workspace is kept for good, so nothing is worked out or checked again: what is left of each
        call is to start the CUDA kernels.
        """
        kernel = launch.kernel.name
        if kernel not in choices:
            return launch.run
        choice = self._for_dtype(kernel, choices[kernel], launch.outputs[0].dtype)
        ready = choice.launches(device, (*launch.inputs, *launch.outputs), launch.params)
        return functools.partial(device.start_all, ready)

    def _for_dtype(self, kernel: str, by_dtype: Mapping[str, Choice], dtype: Any) -> Choice:
        if dtype.name not in by_dtype:
            able = " or ".join(by_dtype)
            raise ContractError(f"{self.backend}: the version of {kernel} that was asked for computes in {able}, not {dtype}")
        return by_dtype[dtype.name]

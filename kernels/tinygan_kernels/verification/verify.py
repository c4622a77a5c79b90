"""Verification of every version of every kernel on a backend: hard cases, derived bounds, and under emulation the sanitizer.

    from tinygan_kernels.verification import verify
    for verdict in verify.verdicts("numba-cuda", emulate=True):
        print(verdict.kernel, verdict.version, verdict.worst, verdict.ok)

Outputs are filled with NaN before each run (`bounds.verify`), so a number that a kernel forgets to write is found. An error is
given as a share of its bound, and at most 1 is right; under emulation, races, bad addresses, uninitialised reads and bad barriers
count as failures too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from tinygan_kernels import CUDA_BACKENDS, ladder, load
from tinygan_kernels.backend import Backend
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cuda.ladder import needs
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.verification import bounds

from .cases import TILES, Case, cases
from .extreme_judges import judged
from .extremes import extreme_cases


@dataclass(frozen=True)
class VersionVerdict:
    """The result for one version of one kernel in one dtype.

    cases: how many hard cases were run. worst: the largest error as a share of its bound, reached in the case `worst_case`.
    findings: what the sanitizer reported. error: the exception that stopped the version, in one line, or "". lacks: what this
    machine does not have and the version needs, so that nothing was verified and nothing is wrong; "" where it ran.
    """

    backend: str
    kernel: str
    version: int
    title: str
    dtype: str
    cases: int
    worst: float
    worst_case: str
    findings: tuple[str, ...] = ()
    error: str = ""
    lacks: str = ""

    @property
    def ok(self) -> bool:
        """True if every error is inside its bound, the sanitizer found nothing and no exception was raised."""
        return self.worst <= 1 and not self.findings and not self.error

    def __str__(self) -> str:
        """Return one line to print: what was verified, how near to its bound it came and where, and everything that is wrong."""
        if self.lacks:
            return f"none  {self.backend} {self.kernel} {self.version} {self.dtype}: not run, it needs {self.lacks}"
        head = f"{'ok   ' if self.ok else 'WRONG'} {self.backend} {self.kernel} {self.version} {self.dtype}: {self.cases} cases"
        near = f", at most {self.worst:.2f} of the bound" + (f" ({self.worst_case})" if self.worst_case else "")
        return "; ".join([head + near, *self.findings, *([self.error] if self.error else [])])


def verdicts(
    backend: str = "cpu",
    emulate: bool = False,
    kernels: Iterable[str] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    tiles: Sequence[int] = TILES,
) -> Iterator[VersionVerdict]:
    """Verify the versions of `kernels` (all, unless named) one after the other and yield a verdict on each, for each dtype.

    Versions that this GPU is too old for are left out (`left_out` names them). tiles: the sides of tiles whose edges the cases are
    to meet. Raises BackendError, ContractError.
    """
    wanted = list(KERNELS if kernels is None else kernels)
    for name in wanted:
        if name not in KERNELS:
            raise ContractError(f"there is no kernel {name!r}; the contract has {', '.join(KERNELS)}")
    for version in load(backend, emulate).versions:
        if version.kernel in wanted:
            loaded = _with_version(backend, emulate, version)
            for dtype in version.dtypes:
                if dtype in dtypes:
                    large = not emulate
                    extreme = extreme_cases(version.kernel, dtype, large=large)
                    chosen = chain(cases(version.kernel, dtype, tiles, large=large), extreme)
                    yield verify_version(loaded, version, dtype, chosen, emulate)


def left_out(backend: str, emulate: bool = False, kernels: Iterable[str] | None = None) -> list[str]:
    """Return a line for each version of `kernels` (all, unless named) that this GPU cannot run and `verdicts` therefore leaves out.

    Raises BackendError.
    """
    if backend not in CUDA_BACKENDS:
        return []
    able, wanted = load(backend, emulate).versions, list(KERNELS if kernels is None else kernels)
    absent = [version for version in ladder(backend) if version not in able and version.kernel in wanted]
    return [f"left out {backend}: {needs(version)}, which this GPU lacks" for version in absent]


def _with_version(backend: str, emulate: bool, version: Version) -> Backend:
    """Return the backend with that version of its kernel, where there is a choice of versions."""
    if version in ladder(backend):
        return load(backend, emulate, {version.kernel: version.number})
    return load(backend, emulate)


def verify_version(backend: Backend, version: Version, dtype: str, chosen: Iterable[Case], emulate: bool) -> VersionVerdict:
    """Return the verdict on one version: all `chosen` cases that suit it, on the implementation that `backend` holds.

    Verification ends at the first exception. A version that no case suits is wrong: nothing was verified. A version that needs what
    this machine does not have is not run, and its verdict says so.
    """
    if version.lacks:
        found = (backend.name, version.kernel, version.number, version.title, dtype, 0, 0.0, "")
        return VersionVerdict(*found, lacks=version.lacks)
    implementation = _on_host_arrays(backend, backend.implementations[version.kernel])
    count, worst, at, error = 0, 0.0, "", ""
    with _sanitizer(emulate) as findings:
        for case in chosen:
            if not version.suits([a.shape for a in case.inputs], case.params, dtype):
                continue
            count += 1
            try:
                share = measure(implementation, case, version.rule)
            except Exception as failure:
                error = f"{case.label}: {type(failure).__name__}: {' '.join(str(failure).split())}"
                break
            if share > worst:
                worst, at = share, case.label
    if not count:
        error = "no case suits this version"
    found = tuple(map(str, findings))
    return VersionVerdict(backend.name, version.kernel, version.number, version.title, dtype, count, worst, at, found, error)


def measure(implementation: Callable[..., None], case: Case, rule: str = "") -> float:
    """Run `implementation`, which takes NumPy arrays, on one case; return its worst error as a share of the bound.

    rule: the name of another bound than the kernel's own.
    """
    if case.check != "bound":
        return judged(implementation, case, rule)
    if case.kernel == "fill":  # no inputs to compute a bound from: it is exact
        y = case.states[0].copy()
        implementation(y, **case.params)
        return 0.0 if np.array_equal(y, np.full_like(y, case.params["value"])) else float("inf")
    return bounds.verify(implementation, case.kernel, case.inputs, case.states, rule=rule, **case.params)


def _on_host_arrays(backend: Backend, implementation: Callable[..., None]) -> Callable[..., None]:
    """Return `implementation` for NumPy arrays: where the backend has another memory, arrays are sent there and fetched after."""
    if backend.xp is np:
        return implementation

    def wrapped(*arrays: np.ndarray, **params: Any) -> None:
        sent = [backend.asarray(a) for a in arrays]
        implementation(*sent, **params)
        for array, result in zip(arrays, sent, strict=True):
            array[...] = backend.to_numpy(result)

    return wrapped


@contextmanager
def _sanitizer(emulate: bool) -> Iterator[list[Any]]:
    """Collect the sanitizer's findings inside the `with`; without emulation there are none."""
    if not emulate:
        yield []
        return
    from tinygan_kernels import emulator

    with emulator.sanitize() as findings:
        yield findings

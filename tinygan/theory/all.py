"""All claims of all subjects, and the judge that measures them one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tinygan_kernels import Backend

from . import collapse, convergence, likelihood, local_rates, long_run, optimal_d, supports, value
from .claim import Claim, Verdict


def claims() -> list[Claim]:
    """Return all claims, in the order in which the 2014 paper comes to their subjects."""
    subjects = (value, optimal_d, convergence, long_run, local_rates, collapse, likelihood, supports)
    return sorted((claim for subject in subjects for claim in subject.CLAIMS), key=lambda claim: claim.number)


def judge(chosen: Sequence[Claim], backend: Backend) -> Iterator[Verdict]:
    """Measure the chosen claims one after the other, and yield a verdict on each as soon as it is there.

    A claim whose measurement raises an ArithmeticError or ValueError counts as failed, and its verdict says what was raised.
    """
    for claim in chosen:
        begun = time.perf_counter()
        try:
            measured, error = claim.measure(backend), ""
        except (ArithmeticError, ValueError) as problem:
            measured, error = [], f"{type(problem).__name__}: {problem}"
        yield Verdict(claim, measured, time.perf_counter() - begun, error)

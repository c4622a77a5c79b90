"""All claims of all subjects, and the judge that measures them one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tinygan_kernels import Backend

from .claim import Claim, Verdict


def claims() -> list[Claim]:
    """All claims, in the order in which the paper would be read."""
    from tinygan.theory import collapse, convergence, optimal_d
    from tinygan.theory import value as claims_value

    return sorted(
        (*claims_value.CLAIMS, *optimal_d.CLAIMS, *convergence.CLAIMS, *collapse.CLAIMS), key=lambda c: c.number
    )


def judge(chosen: list[Claim], backend: Backend) -> Iterator[Verdict]:
    """Measure one claim after the other. A claim whose measurement raises counts as failed, and says what was raised."""
    for claim in chosen:
        begun = time.perf_counter()
        try:
            measured, error = claim.measure(backend), ""
        except (ArithmeticError, ValueError) as problem:
            measured, error = [], f"{type(problem).__name__}: {problem}"
        yield Verdict(claim, measured, time.perf_counter() - begun, error)

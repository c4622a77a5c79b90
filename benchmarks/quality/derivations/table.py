"""Judge all planted mistakes, and count: named rightly, wrongly, not at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan.derive import KINDS, DerivationInputError, DerivationReport, check_derivation

from . import convolutions, elementwise, losses, norms, products, statistics
from .case import Case, Planted, planted

CASES: list[Case] = [case for module in (elementwise, norms, losses, products, convolutions, statistics) for case in module.CASES]
SILENCE = "(silence)"


@dataclass(frozen=True)
class Answer:
    """What the checker said of one planted mistake. first: the kinds that stand first; named: those and their equals."""

    case: str
    label: str
    planted: str
    found: bool
    named: str
    rightly: bool
    confidence: str
    sentence: str
    seconds: float

    @property
    def wrongly(self) -> bool:
        """Return whether a wrong name was given with high confidence."""
        return self.named != SILENCE and not self.rightly and self.confidence == "high"


def judged(p: Planted, seed: int = 0) -> Answer | None:
    """Return the answer to one planted mistake; None where what was planted gives the right gradient at this point."""
    arrays = p.case.make(np.random.default_rng(seed))
    began = time.perf_counter()
    report = check_derivation(p.case.f, p.vjp, *arrays, cotangent="first", name=p.case.name)
    seconds = time.perf_counter() - began
    if report.passed and _same(p, arrays):
        return None
    return _answer(p, report, seconds)


def _same(p: Planted, arrays: Sequence[np.ndarray]) -> bool:
    g = np.random.default_rng(1).normal(size=np.shape(p.case.f(*arrays)))
    right, wrong = p.case.vjp("", g, *arrays), p.vjp(g, *arrays)
    pairs = (
        zip(right, wrong, strict=True) if isinstance(right, tuple) else [(right, wrong[0] if isinstance(wrong, tuple) else wrong)]
    )
    return all(np.shape(a) == np.shape(b) and np.allclose(a, b) for a, b in pairs)


def _answer(p: Planted, report: DerivationReport, seconds: float) -> Answer:
    wrong = [v for v in report.inputs if v.verdict == "WRONG"]
    mistakes = [v.mistake for v in wrong]
    if not wrong or any(m is None for m in mistakes):
        partly = [m for m in mistakes if m is not None]
        if not partly:
            return Answer(p.case.name, p.label, p.kind, bool(wrong), SILENCE, False, "", "", seconds)
        mistakes = list(partly)
    given = [m for m in mistakes if m is not None]
    rightly = all(p.kind in (m.kind, *m.also) for m in given)
    shown = next((m for m in given if p.kind not in (m.kind, *m.also)), given[0])
    first = next((m.kind for m in given if m.kind == p.kind), shown.kind)
    return Answer(p.case.name, p.label, p.kind, True, first, rightly, shown.confidence, shown.sentence, seconds)


def right_called_wrong(cases: Iterable[Case] = CASES, seeds: Iterable[int] = range(3)) -> list[str]:
    """Return the cases whose right gradient is not found right."""
    found = []
    for case in cases:
        for seed in seeds:
            arrays = case.make(np.random.default_rng(seed))
            try:
                report = check_derivation(
                    case.f, lambda g, *xs, case=case: case.vjp("", g, *xs), *arrays, cotangent="first", rng=seed
                )
            except (DerivationInputError, TypeError) as error:
                found.append(f"{case.name}: {error}")
                continue
            if not report.passed:
                found.append(f"{case.name}: {report}")
    return found


def answers(cases: Iterable[Case] = CASES) -> list[Answer]:
    return [a for case in cases for p in planted(case) if (a := judged(p)) is not None]


def confusion(found: Sequence[Answer]) -> dict[str, dict[str, int]]:
    """Return planted kind -> named kind -> count. What was named as one of several names of the same numbers counts as named so."""
    table: dict[str, Counter[str]] = {}
    for a in found:
        table.setdefault(a.planted, Counter())[a.planted if a.rightly else a.named] += 1
    return {kind: dict(table[kind]) for kind in KINDS if kind in table}


def summary(found: Sequence[Answer], wrong_rights: Sequence[str]) -> dict[str, Any]:
    return {
        "functions": len({a.case for a in found}),
        "planted": len(found),
        "found": sum(a.found for a in found),
        "named_rightly": sum(a.rightly for a in found),
        "named_first": sum(a.named == a.planted and a.rightly for a in found),
        "silent": sum(a.named == SILENCE for a in found),
        "wrong_with_high_confidence": sum(a.wrongly for a in found),
        "right_called_wrong": len(wrong_rights),
        "seconds": round(sum(a.seconds for a in found), 1),
        "confusion": confusion(found),
    }

"""The judgement of a claimed gradient at one point: numeric derivatives, claimed ones, verdicts, and the search for the mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .calls import Calls, DerivationInputError
from .graph import Graph
from .mistakes import Site, diagnose
from .numeric import Numeric, Precision, measure, slope_again
from .points import nearby, of_other_shapes, usable
from .report import DerivationReport
from .steps import graph_of
from .verdict import RIGHT, UNDECIDED, WRONG, InputVerdict, worst

DRAWS = 3  # cotangents


@dataclass
class Judged:
    """What was measured, what was claimed, and the verdicts."""

    calls: Calls
    style: str
    numeric: Numeric
    claimed: list[np.ndarray | None]
    verdicts: list[InputVerdict]
    checks: list[InputVerdict]

    @property
    def passed(self) -> bool:
        return all(v.passed for v in (*self.verdicts, *self.checks))

    def report(self, name: str) -> DerivationReport:
        return DerivationReport(name, self.verdicts, self.checks, list(self.calls.notes))


def judge(calls: Calls, rng: np.random.Generator, elements: int, steps: Any, look: bool) -> Judged:
    """Measure and judge; look for mistakes if asked. Raises DerivationInputError, TypeError."""
    arrays, floats = calls.arrays, calls.floats
    m = sum(int(np.prod(s)) for s in calls.out_shapes)
    u = rng.standard_normal((DRAWS, m))
    precision = Precision.of(calls.single)
    numeric = measure(calls.value, arrays, floats, u, precision, rng, elements)
    claimed = _claims(calls, arrays, u)
    if calls.claimed_single and not calls.single:
        calls.note(
            "the numbers are float32: vjp returns float32, so its own rounding is allowed for; cast to float64 for a sharper check"
        )
    verdicts = [_verdict(calls, numeric, claimed, k, precision) for k in range(len(floats))]
    checks = _directions(calls, numeric, claimed, verdicts)
    verdicts = _flat(calls, numeric, verdicts)
    judged = Judged(calls, calls.style, numeric, claimed, verdicts, checks)
    if look and any(v.verdict == WRONG for v in verdicts):
        judged.verdicts = _with_mistakes(judged, rng, elements, steps, precision)
    return judged


def _claims(calls: Calls, arrays: Sequence[np.ndarray], u: np.ndarray) -> list[np.ndarray | None]:
    """Return the claimed gradients (K, ...) of each input; None where vjp returned None. Raises DerivationInputError."""
    rows = [calls.claim(arrays, row) for row in u]
    again = calls.claim(arrays, u[0])
    for a, b in zip(rows[0], again, strict=True):
        if a is not None and b is not None and (a.shape != b.shape or not np.array_equal(a, b, equal_nan=True)):
            raise DerivationInputError(
                "check_derivation: vjp gives different values for the same input and cotangent; fix its seed"
            )
    found: list[np.ndarray | None] = []
    for k, i in enumerate(calls.floats):
        parts = [row[k] for row in rows]
        if any(part is None for part in parts):
            found.append(None)
            continue
        claimed = np.stack([np.asarray(part, np.float64) for part in parts])
        if arrays[i].size == 1 and claimed[0].size == 1:
            claimed = claimed.reshape(len(u), *arrays[i].shape)
        found.append(claimed)
    return found


def _verdict(calls: Calls, numeric: Numeric, claimed: list[np.ndarray | None], k: int, precision: Precision) -> InputVerdict:
    i = calls.floats[k]
    name, right, known, rounding = calls.names[i], numeric.gradients[k], numeric.known[k], numeric.rounding[k]
    measured = np.where(known, right[0], np.nan)
    nothing = np.zeros(right.shape[1:])
    given = claimed[k]
    if given is None:
        given = np.zeros_like(right)
    if given.shape != right.shape:
        return InputVerdict(
            name,
            WRONG,
            given[0],
            measured,
            nothing,
            np.inf,
            None,
            f"vjp returned shape {given.shape[1:]} for it, its shape is {right.shape[1:]}",
        )
    if not np.isfinite(given).all():
        where = tuple(int(a) for a in np.argwhere(~np.isfinite(given[0]))[0]) if not np.isfinite(given[0]).all() else None
        return InputVerdict(name, WRONG, given[0], measured, nothing, np.inf, where, "the claimed gradient holds NaN or infinity")
    kinks = [kink for kink in numeric.kinks if kink.input == k]
    if not known.any():
        return InputVerdict(
            name,
            UNDECIDED,
            given[0],
            measured,
            nothing,
            0.0,
            None,
            _at_kinks(calls, numeric, given, k) if kinks else "it has no elements, so there is nothing to check",
        )
    eps = float(np.finfo(np.float32).eps)
    own = 64 * eps * np.abs(given).max() if calls.claimed_single else 0.0
    allowed = precision.rtol * np.maximum(np.abs(given), np.abs(right)) + rounding + own
    error = np.abs(given - right)
    share, at = worst(error, allowed, np.broadcast_to(known, error.shape))
    share, at = _again(calls, numeric, given, allowed, error, i, k, share, at, precision)
    verdict = RIGHT if share <= 1 else WRONG
    why = ""
    if kinks:
        why = _at_kinks(calls, numeric, given, k)
        verdict = UNDECIDED if verdict == RIGHT else verdict
    draw = at[0] if at else 0
    return InputVerdict(
        name,
        verdict,
        given[draw],
        np.where(known, right[draw], np.nan),
        np.where(known, error[draw], np.nan),
        share,
        at[1:] if at else None,
        why,
    )


def _again(
    calls: Calls,
    numeric: Numeric,
    given: np.ndarray,
    allowed: np.ndarray,
    error: np.ndarray,
    i: int,
    k: int,
    share: float,
    at: tuple[int, ...] | None,
    precision: Precision,
) -> tuple[float, tuple[int, ...] | None]:
    """Measure what is off by little again with other steps, so that what is hard to measure convicts no right one."""
    known = np.broadcast_to(numeric.known[k], error.shape)
    scale = float(np.abs(numeric.gradients[k]).max())
    for _ in range(12):
        if at is None or share <= 1 or error[at] > 1e-2 * max(scale, float(np.abs(given).max())):
            return share, at
        found = slope_again(calls.value, calls.arrays, i, at[1:], numeric.cotangents[at[0]], precision)
        spread = float(found.max() - found.min())
        if not np.isfinite(found).all() or min(abs(found - given[at])) > max(10 * spread, allowed[at]):
            return share, at
        if error[at] > 10 * max(spread, float(allowed[at])):
            return share, at
        allowed[at] = max(float(allowed[at]), 1.01 * float(error[at]))
        share, at = worst(error, allowed, known)
    return share, at


def _at_kinks(calls: Calls, numeric: Numeric, given: np.ndarray, k: int) -> str:
    kinks = [kink for kink in numeric.kinks if kink.input == k]
    first = kinks[0]
    name = calls.names[calls.floats[k]]
    place = (0, *first.index)
    claimed = float(given[place]) if given.shape[1:] == numeric.known[k].shape else float("nan")
    left, right = float(first.left[0]), float(first.right[0])
    where = f"{name}[{', '.join(map(str, first.index))}]" if first.index else name
    scale = max(abs(left), abs(right), 1e-300)
    if abs(claimed - right) < 1e-3 * scale:
        side = "the claimed gradient is that of the right side"
    elif abs(claimed - left) < 1e-3 * scale:
        side = "the claimed gradient is that of the left side"
    elif min(left, right) <= claimed <= max(left, right):
        side = "the claimed gradient lies between the two"
    else:
        side = "the claimed gradient is that of neither side"
    more = f" (and at {len(kinks) - 1} more)" if len(kinks) > 1 else ""
    return (
        f"f has a kink within {first.step:.1e} of {where}{more}, so it has no derivative there: to the left "
        f"the slope is {left:.6g}, to the right "
        f"{right:.6g}, {side} ({claimed:.6g}); move the point away from the kink"
    )


def _directions(
    calls: Calls, numeric: Numeric, claimed: list[np.ndarray | None], verdicts: list[InputVerdict]
) -> list[InputVerdict]:
    """Compare along random directions too, which reach the elements that were not measured one by one."""
    if all(known.all() for known in numeric.known) or any(v.verdict != RIGHT for v in verdicts):
        return []
    for moves, slope, rounding in numeric.directions:
        along = np.array(
            [sum(float((c[n] * d).sum()) for c, d in zip(claimed, moves, strict=True) if c is not None) for n in range(len(slope))]
        )
        allowed = 1e-6 * np.maximum(np.abs(along), np.abs(slope)) + rounding
        if calls.single or calls.claimed_single:
            allowed = allowed + 2e-3 * np.abs(slope).max()
        off = np.abs(along - slope)
        if not (off <= allowed).all():
            n = int(np.argmax(off / allowed))
            return [
                InputVerdict(
                    "a random direction in all inputs",
                    WRONG,
                    np.array(along[n]),
                    np.array(slope[n]),
                    np.array(off[n]),
                    float(off[n] / allowed[n]),
                    (),
                    "in an element that was not measured by itself",
                )
            ]
    return []


def _flat(calls: Calls, numeric: Numeric, verdicts: list[InputVerdict]) -> list[InputVerdict]:
    """Where every derivative is zero nothing was checked, as a vjp that returns nothing would be right too."""
    zero = all(
        not known.any() or np.abs(g[:, known]).max(initial=0) <= r[:, known].max(initial=0)
        for g, known, r in zip(numeric.gradients, numeric.known, numeric.rounding, strict=True)
    )
    if not zero or any(v.verdict != RIGHT for v in verdicts):
        return verdicts
    why = "all derivatives are zero here, which checks nothing: choose a point where f changes"
    return [replace(v, verdict=UNDECIDED, why=why) for v in verdicts]


# ---- the search for the mistake --------------------------------------------------------------------------------------------------


def _with_mistakes(judged: Judged, rng: np.random.Generator, elements: int, steps: Any, precision: Precision) -> list[InputVerdict]:
    calls = judged.calls
    sites = [_site(calls, calls.arrays, judged.numeric, judged.claimed, steps, precision, rng)]
    for _ in range(6):
        if len(sites) == 3:
            break
        site = _site_at(calls, nearby(calls.arrays, rng), rng, elements, steps, precision)
        if site is not None:
            sites.append(site)
    others: list[Site] = []
    for arrays in of_other_shapes(calls.arrays, rng):
        if len(others) == 4 or sum(a.size for a in arrays) > 400:
            break
        site = _site_at(calls, arrays, rng, elements, None, precision)
        if site is not None:
            others.append(site)
    found = []
    calls.value(calls.arrays)
    for k, verdict in enumerate(judged.verdicts):
        if verdict.verdict != WRONG or not np.isfinite(verdict.claimed).all():
            found.append(verdict)
        else:
            found.append(replace(verdict, mistake=diagnose(sites, others, k), looked=True))
    return found


def _site_at(
    calls: Calls, arrays: list[np.ndarray], rng: np.random.Generator, elements: int, steps: Any, precision: Precision
) -> Site | None:
    if calls.single:
        arrays = [a.astype(b.dtype) for a, b in zip(arrays, calls.arrays, strict=True)]
    before, shapes = calls.arrays, calls.out_shapes
    calls.arrays = arrays
    try:
        if not usable(calls.value, arrays):
            return None
        m = sum(int(np.prod(s)) for s in calls.out_shapes)
        u = rng.standard_normal((DRAWS, m))
        numeric = measure(calls.value, arrays, calls.floats, u, precision, rng, elements, 0)
        claimed = _claims(calls, arrays, u)
        if any(not np.isfinite(c).all() for c in claimed if c is not None):
            return None
        return _site(calls, arrays, numeric, claimed, steps, precision, rng)
    except (DerivationInputError, TypeError):
        return None
    finally:
        calls.arrays, calls.out_shapes = before, shapes


def _site(
    calls: Calls,
    arrays: list[np.ndarray],
    numeric: Numeric,
    claimed: list[np.ndarray | None],
    steps: Any,
    precision: Precision,
    rng: np.random.Generator,
) -> Site:
    graph: Graph | None = None
    if steps is not False and all(a.size <= 600 for a in arrays) and sum(int(np.prod(s)) for s in calls.out_shapes) <= 2000:
        graph = graph_of(calls, arrays, steps)

    def differentiate(others: list[np.ndarray]) -> Numeric:
        if not usable(calls.value, others):
            raise DerivationInputError("f is not finite there")
        return measure(calls.value, others, calls.floats, numeric.cotangents, precision, rng, 10**9, 0)

    return Site(arrays, calls.floats, calls.names, numeric, claimed, list(calls.out_shapes), graph, differentiate)

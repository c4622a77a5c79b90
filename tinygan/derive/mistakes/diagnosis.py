"""From candidates that fit to one named mistake, with a confidence; or to silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from . import arrangement, elementwise, inputs, steps, whole
from .fit import Candidate, Candidates, Site
from .sizes import of_what

FEW = 4  # numbers that a candidate has to explain (elements times cotangents times points) before it is believed


@dataclass(frozen=True)
class Mistake:
    """A mistake that gives exactly the claimed gradient.

    kind: its name, one of KINDS. confidence: "high" if it fits at several points and in several elements, else "medium". also: the
    other kinds that describe the very same wrong numbers. readings: what each of these would be, in a sentence.
    """

    kind: str
    sentence: str
    confidence: str
    also: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.sentence}"


def diagnose(sites: Sequence[Site], other_shapes: Sequence[Site], i: int) -> Mistake | None:
    """Return the mistake in the gradient of input i (counted among those with floats), None where no known mistake fits.

    sites: points of the same shapes, the first being the one that was judged. other_shapes: points of other shapes, which tell
    what a constant factor is made of.
    """
    first = list(_matching(sites[0], i))
    if not first:
        return None
    fitting = {c.key: c for c in first}
    for site in sites[1:]:
        there = {c.key for c in _matching(site, i)}
        fitting = {key: c for key, c in fitting.items() if key in there}
    fitting = _of_all_shapes(fitting, other_shapes, i)
    if not fitting:
        return None
    ranked = sorted(fitting.values(), key=lambda c: c.rank)
    return _mistake(ranked, sites, i)


def _matching(site: Site, i: int) -> Iterator[Candidate]:
    of_one: list[Callable[[Site, int], Candidates]] = [
        whole.candidates,
        arrangement.candidates,
        inputs.candidates,
        elementwise.candidates,
    ]
    for one in of_one:
        for candidate in one(site, i):
            if _fits(candidate, site, i):
                yield candidate
    of_all: list[Callable[[Site], Candidates]] = [steps.candidates, inputs.elsewhere]
    for family in of_all:
        for candidate in site.of_all(family):
            if _fits(candidate, site, i):
                yield candidate


def _fits(candidate: Candidate, site: Site, i: int) -> bool:
    gradient = candidate.gradients[i]
    return gradient is not None and site.fits(i, gradient)


def _of_all_shapes(
    fitting: dict[tuple[object, ...], Candidate], sites: Sequence[Site], i: int
) -> dict[tuple[object, ...], Candidate]:
    """Return what still fits where the inputs have other shapes: a factor 2 is told from an n that happens to be 2."""
    factors = {key for key in fitting if key[0] == "factor"}
    for site in sites:
        there = {c.key for c in whole.candidates(site, i) if _fits(c, site, i)}
        if any(key[0] == "factor" for key in there):
            factors &= there
    return {key: c for key, c in fitting.items() if key[0] != "factor" or key in factors}


def _mistake(ranked: list[Candidate], sites: Sequence[Site], i: int) -> Mistake:
    best = ranked[0]
    kinds = list(dict.fromkeys(k for c in ranked for k in (c.kind, *c.also)))
    numbers = sum(site.right[i].size for site in sites)
    sure = len(sites) > 1 and numbers >= FEW
    sentence = best.sentence
    named = [
        (str(c.key[1]), str(c.key[2]), c.kind) for c in ranked if c.key[0] == "factor" and c.key[1] != "number" and c.key[1] != "-1"
    ]
    if best.key[0] == "factor" and named:
        sentence = f"{sentence}; the factor is {of_what(named, sites[0])}"
        sure = sure and len({kind for _, _, kind in named}) == 1
        places = [c.sentence for c in ranked if c.key[0] == "step" and c.kind == best.kind]
        if places:
            sentence = f"{sentence}: {places[0]}"
    readings = tuple(dict.fromkeys(c.sentence for c in ranked[1:] if c.kind != best.kind))[:4]
    return Mistake(best.kind, sentence, "high" if sure else "medium", tuple(k for k in kinds if k != best.kind), readings)

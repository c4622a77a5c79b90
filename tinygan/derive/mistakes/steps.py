"""Mistakes in one step of f: the gradient as it is with one local derivative wrong, for every step and every way to be wrong."""

from __future__ import annotations

from tinygan.derive.graph import TooLarge

from .edges import edge
from .fit import Candidates, Site
from .held import cuts, left_out, of_constants
from .loops import repeated
from .pieces import segments
from .sweeps import Sweeps

MOST_EDGES = 1200


def candidates(site: Site) -> Candidates:
    """Yield candidates for all inputs at once, from the steps of f. Nothing where these are not known."""
    graph = site.graph
    if graph is None:
        return
    try:
        sweeps = Sweeps(site, graph)
        if not sweeps.agrees():
            return
        edges = graph.edges()
        if len(edges) <= MOST_EDGES:
            for v, slot in edges:
                if v in sweeps.bars:
                    yield from edge(sweeps, v, slot)
        yield from left_out(sweeps)
        yield from cuts(sweeps)
        yield from segments(sweeps)
        yield from repeated(sweeps)
        yield from of_constants(sweeps)
    except TooLarge:
        return

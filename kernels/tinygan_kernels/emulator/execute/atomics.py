"""The execution of atom and red: lane after lane where lanes meet at an address. (PTX ISA, 9.7.13.5 and 9.7.13.6)"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes


def atomic(access: Access, site: Site, function, target, address, values, lanes: Lanes) -> None:
    """Update memory with each lane's values in lane order; `target` (None for red) gets what was there before."""
    for memory, positions, some in access.pieces(site, address, lanes, "red" if target is None else "atom"):
        if access.check:
            access.check.atomic(site, memory, positions, some)
        view, first = memory.view(site.code)
        index = (positions - first) >> site.shift
        picked = [np.asarray(some.pick(v)) for v in values]
        if target is None and isinstance(function, np.ufunc):
            access.changed(memory)
            function.at(view, index, picked[0])
            continue
        old, changes = _in_turn(view, index, function, picked)
        if changes:  # a compare-and-swap that fails changes nothing
            access.changed(memory)
        if target is not None:
            some.put(target, old)


def atomic_vector(access: Access, site: Site, function, targets, address, values, lanes: Lanes) -> None:
    """Update site.count neighbours in memory, each by an atomic of its own; `targets`, some of them None, get what was there."""
    operation = "red" if all(target is None for target in targets) else "atom"
    for memory, positions, some in access.pieces(site, address, lanes, operation):
        if access.check:
            access.check.atomic(site, memory, positions, some)
        view, first = memory.view(site.code)
        index = (positions - first) >> site.shift
        access.changed(memory)
        found = [_in_turn(view, index + j, function, [np.asarray(some.pick(v))])[0] for j, v in enumerate(values)]
        for target, old in zip(targets, found, strict=True):
            if target is not None:
                some.put(target, old)


def _in_turn(view, index, function, values):
    """Update memory in rounds: round k serves the k-th lane of every address.

    Return (what each lane found there, whether some bytes changed).
    """
    old, changes = np.empty(index.size, view.dtype), False
    for chosen in _rounds(index):
        found = old[chosen] = view[index[chosen]]
        new = function(found, *(v[chosen] for v in values))
        view[index[chosen]] = new
        changes = changes or np.asarray(new, view.dtype).tobytes() != found.tobytes()
    return old, changes


def _rounds(index):
    """Yield, for k = 0, 1, ..., the positions in `index` of the k-th occurrence of every value."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    start = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1]
    sizes = np.diff(np.r_[start, ordered.size])
    for k in range(int(sizes.max())):
        yield order[start[sizes > k] + k]

"""What a thread knows of others beyond barriers: joined views, passed from thread to thread through memory.

A view says up to which time the accesses of threads, warps and blocks come before whoever holds it. Views are joined often and
asked seldom, so a join only notes its parts; the table of a view is made when it is first asked.
"""

from __future__ import annotations

THREAD, WARP, BLOCK = 0, 1, 2


_NOTHING: dict[int, int] = {}


def own_view(number: int, now: int, block: int, warp: int) -> dict[int, int]:
    """Return the times of a thread itself and of its block and warp, as the table of a View."""
    return {4 * number + THREAD: now, 4 * (number >> 5) + WARP: warp, 4 * (number >> 10) + BLOCK: block}


class View:
    """Times by (number, kind), of this view's own and of the views that it was joined from. Never changed once made."""

    __slots__ = ("own", "parts", "table")

    def __init__(self, own: dict[int, int], *parts: View):
        self.own, self.parts = own, parts
        self.table: dict[int, int] | None = None if parts else own

    def times(self) -> dict[int, int]:
        """Return {4 * number + kind: time}, joined from all parts."""
        if self.table is None:
            table, work, met = dict(self.own), list(self.parts), set()
            while work:
                view = work.pop()
                if id(view) in met:
                    continue
                met.add(id(view))
                for key, time in (view.table if view.table is not None else view.own).items():
                    if time > table.get(key, 0):
                        table[key] = time
                if view.table is None:
                    work += view.parts
            self.table, self.parts = table, ()
        return self.table

    def knows(self, thread: int, time: int) -> bool:
        """Say whether an access by a thread (block << 10 | thread in its block) at a time comes before whoever holds the view."""
        times = self.times()
        return (
            times.get(4 * thread + THREAD, 0) >= time
            or times.get(4 * (thread >> 5) + WARP, 0) >= time
            or times.get(4 * (thread >> 10) + BLOCK, 0) >= time
        )


def joined(*views: View | None) -> View | None:
    """Return the view that holds all that the given ones hold; None holds nothing."""
    if len(views) == 2:  # the usual case, without the detour
        one, other = views
        if other is None or one is other:
            return one
        return other if one is None else View(_NOTHING, one, other)
    some = list({id(v): v for v in views if v is not None}.values())
    if len(some) < 2:
        return some[0] if some else None
    return View(_NOTHING, *some)

"""The limits of a puzzle: what a right kernel may cost, and what is said to one that costs more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .footprint import Footprint

Finder = Callable[[Footprint], str]  # what is too much, in a clause; "" where nothing is


@dataclass(frozen=True)
class Limit:
    """A limit. rule: what is asked for, as `show` lists it. broken(footprint): what is too much, "" where nothing is. advice: what
    to change.
    """

    rule: str
    broken: Finder
    advice: str


def coalesced(advice: str = "") -> Limit:
    """Return the limit that no request takes more sectors of global memory than its bytes need."""
    said = advice or ("neighbouring lanes (threadIdx.x) have to take neighbouring elements, so let threadIdx.x run along the rows "
                      "of the memory")  # fmt: skip
    return Limit("no request takes more sectors than its bytes need (4 for 32 floats, 16 for 32 float4)", _sectors, said)


def _sectors(footprint: Footprint) -> str:
    worst = next((i for i in footprint.accesses("global") if i.worst > i.best), None)
    if worst is None:
        return ""
    what = "a load" if worst.operation == "ld" else "a store" if worst.operation == "st" else "an atomic"
    return f"line {worst.line}: {what} takes {worst.worst} sectors a request, and {worst.best} would do"


def conflict_free(advice: str) -> Limit:
    """Return the limit that no two lanes meet in a bank of shared memory at different words."""
    return Limit("no bank conflicts in shared memory", _conflicts, advice)


def _conflicts(footprint: Footprint) -> str:
    worst = next((i for i in footprint.accesses("shared") if i.worst > i.best), None)
    if worst is None:
        return ""
    what = "a load" if worst.operation == "ld" else "a store" if worst.operation == "st" else "an atomic"
    return (f"line {worst.line}: {what} on shared memory takes {worst.worst} wavefronts where {worst.best} would do, as lanes meet "
            f"in a bank ({worst.worst - worst.best} conflicts)")  # fmt: skip


def numbers_an_output(most: float, advice: str, space: str = "global", operation: str = "ld") -> Limit:
    """Return a limit on how many numbers are moved for each number of the output."""
    verb = {"ld": "read from", "st": "written to", "atom": "changed atomically in", "red": "changed atomically in"}[operation]

    def broken(footprint: Footprint) -> str:
        operations = ("atom", "red") if operation in ("atom", "red") else (operation,)
        found = footprint.numbers(space, *operations) / max(footprint.outputs, 1)
        return "" if found <= most else f"{found:.3g} numbers are {verb} {space} memory for each output, and {most:.3g} would do"

    return Limit(f"at most {most:.3g} numbers {verb} {space} memory for each output", broken, advice)


def shared_reads_a_term(most: float, advice: str) -> Limit:
    """Return a limit on how many numbers are read from shared memory for each multiply-add of a product."""

    def broken(footprint: Footprint) -> str:
        found = footprint.numbers("shared", "ld") / max(footprint.terms, 1)
        return "" if found <= most else (f"{found:.3g} numbers are read from shared memory for each multiply-add, and {most:.3g} "
                                         "would do")  # fmt: skip

    return Limit(f"at most {most:.3g} numbers read from shared memory for each multiply-add", broken, advice)


def uses_shared_memory(advice: str) -> Limit:
    """Return the limit that shared memory is written and read."""

    def broken(footprint: Footprint) -> str:
        used = footprint.numbers("shared", "st") and footprint.numbers("shared", "ld")
        return "" if used else "nothing is kept in shared memory"

    return Limit("what several threads need lies in shared memory", broken, advice)


def warps(most: int, advice: str) -> Limit:
    """Return a limit on how many warps are launched."""

    def broken(footprint: Footprint) -> str:
        return "" if footprint.warps <= most else f"{footprint.warps} warps are launched, and {most} have to do"

    return Limit(f"at most {most} warps, whatever the size", broken, advice)


def instructions_an_input(most: float, size: int, advice: str) -> Limit:
    """Return a limit on the instructions that warps execute for each 32 numbers of the input, of which there are `size`."""

    def broken(footprint: Footprint) -> str:
        found = footprint.instructions * 32 / size
        return "" if found <= most else (f"{found:,.0f} instructions are executed for each 32 inputs, and {most:.0f} would do")

    return Limit(f"at most {most:.0f} instructions of a warp for each 32 inputs", broken, advice)


def overlapped_copies(advice_copy: str, advice_overlap: str) -> tuple[Limit, Limit]:
    """Return the limits that tiles are brought by cp.async, and that a copy is under way while others are computed with."""

    def without_copy(footprint: Footprint) -> str:
        return "" if footprint.copies else "no cp.async is executed: the tiles pass through registers"

    def alone(footprint: Footprint) -> str:
        return "" if footprint.overlapped else "no copy is under way while the kernel computes: each is waited for at once"

    return (Limit("tiles come by cp.async", without_copy, advice_copy),
            Limit("the next tile is under way while this one is computed with", alone, advice_overlap))  # fmt: skip

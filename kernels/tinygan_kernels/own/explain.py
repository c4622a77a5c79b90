"""A source line explained: which banks or sectors the 32 lanes of a warp meet there, what collides, and what would help.

    from tinygan_kernels.own import explain_line
    print(explain_line("mm.cu", "matmul", line=12))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels import emulator
from tinygan_kernels.emulator.counters import observed, wavefronts_by_row
from tinygan_kernels.profiling.calls import PROFILED, call
from tinygan_kernels.profiling.counts import counted_call
from tinygan_kernels.shapes import ContractError

from .accesses import Instruction, Parting, Recorder, merged
from .host import OwnHost
from .judge import checked_name, require_float32, turns_for_work
from .kernel_file import one_line, read

_OPERATIONS = {"ld": "load from", "st": "store to", "atom": "atomic on", "red": "atomic on"}


@dataclass(frozen=True)
class LineExplanation:
    """What a source line does to memory. instructions: those of the line; others: all of the kernel's; partings: its branches."""

    title: str
    line: int
    text: str
    instructions: tuple[Instruction, ...]
    others: tuple[Instruction, ...]
    partings: tuple[Parting, ...]

    def __str__(self) -> str:
        """Return the pictures, with a sentence on each."""
        text = f": {self.text}" if self.text else " of the source that it was compiled from"
        parts = [f"{self.title}, line {self.line}{text}"]
        parts += [_pictured(i, self.others, i.excess > 0 or len(self.instructions) == 1) for i in self.instructions]
        parts += [_parted(parting) for parting in self.partings]
        return "\n\n".join(parts)


def explain_line(
    file: str | Path,
    as_: str,
    *,
    line: int | None = None,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
) -> LineExplanation:
    """Explain a source line of a kernel of one's own, by default the one that has most transactions too many.

    shape: the sizes of the call that is observed, M N K of a product. The other arguments are those of `verify`. Raises
    ContractError as `verify` does, and where nothing happens on the line; OSError; BackendError.
    """
    contract = checked_name(as_)
    sizes = tuple(PROFILED[as_].small if shape is None and as_ in PROFILED else shape or ())
    made = call(as_, sizes)
    own = read(file, launch, signature)
    require_float32(own)
    host = OwnHost(own, contract, params)
    found: dict[Any, Instruction] = {}
    partings: dict[Any, Parting] = {}
    try:
        with emulator.step_budget(turns_for_work(made.work)), observed(lambda kernel: Recorder(kernel, found, partings)):
            counted_call(made, lambda inputs, outputs: host(*inputs, *outputs, **{**made.params, **host.fixed}))
    except emulator.EmulatorError as error:
        raise ContractError(f"{own.title}: {one_line(str(error))}") from None
    every = tuple(merged(found.values()))
    chosen = _chosen(own.title, line, every, tuple(partings.values()))
    # the lines of PTX's debug information are those of the source that it was compiled from
    lines = [] if own.path is not None and own.path.suffix == ".ptx" else own.text.splitlines()
    text = lines[chosen - 1].strip() if 0 < chosen <= len(lines) else ""
    here = tuple(sorted((i for i in every if i.line == chosen), key=lambda i: -i.excess))
    return LineExplanation(own.title, chosen, text, here, every, tuple(p for p in partings.values() if p.line == chosen))


def _chosen(title: str, line: int | None, found: Sequence[Instruction], partings: Sequence[Parting]) -> int:
    """Return the line to explain. Raises ContractError where nothing happens on it."""
    lines = sorted({i.line for i in found} | {p.line for p in partings})
    if line is None and found:
        excess = {at: sum(i.excess for i in found if i.line == at) for at in lines}
        return max(lines, key=lambda at: excess[at])
    if line not in lines:
        known = f"lines that do: {', '.join(map(str, lines))}" if lines else "no line of it does"
        raise ContractError(f"{title}: no global or shared memory is touched on line {line} and no warp parts there; {known}")
    return line


# ---- one instruction -------------------------------------------------------------------------------------------------------------


def _pictured(i: Instruction, others: Sequence[Instruction], rows: bool) -> str:
    """Return an instruction in words; with `rows` also its picture, a row for each lane, a column for each bank or sector."""
    unit = "sector" if i.space == "global" else "wavefront"
    unrolled = f" ({i.alike} instructions alike)" if i.alike > 1 else ""
    head = (f"{_OPERATIONS[i.operation]} {i.space} memory{unrolled}, {i.size} bytes a lane: {_several(i.worst, unit)} where "
            f"{i.best} would do; in all {i.transactions:,} for {i.requests:,} requests")  # fmt: skip
    if i.space == "global":
        return "\n".join([head, *(_sector_rows(i) if rows else []), *_on_sectors(i)])
    return "\n".join([head, *(_bank_rows(i) if rows else []), *_on_banks(i, others)])


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _rows(columns: Sequence[Sequence[int]], width: int) -> list[str]:
    """Return a row of marks for each lane. columns: the columns that each lane meets, () for a lane that takes no part."""
    rows = []
    for lane, met in enumerate(columns):
        marks = "".join("#" if column in met else "." for column in range(width)) if met else "(takes no part)"
        rows.append(f"  lane {lane:2d}  {marks}")
    return rows


def _ruler(what: str, width: int) -> str:
    return f"  {what:>7s}  " + "".join(f"{n:<8d}" for n in range(0, width, 8)).rstrip()


def _bank_rows(i: Instruction) -> list[str]:
    banks = [[(a // 4 + k) % 32 for k in range(max(1, i.size // 4))] if a >= 0 else [] for a in i.addresses]
    return [_ruler("bank", 32), *_rows(banks, 32)]


def _sector_rows(i: Instruction) -> list[str]:
    touched = sorted({s for a in i.addresses if a >= 0 for s in range(a // 32, (a + i.size - 1) // 32 + 1)})
    place = {sector: n for n, sector in enumerate(touched)}
    met = [[place[s] for s in range(a // 32, (a + i.size - 1) // 32 + 1)] if a >= 0 else [] for a in i.addresses]
    return [_ruler("sector", len(touched)), *_rows(met, len(touched))]


def _on_sectors(i: Instruction) -> list[str]:
    if i.worst <= i.best:
        return ["These are as few sectors as the bytes need."]
    stride = i.stride
    if stride == i.size:
        first = min(a for a in i.addresses if a >= 0) % 32
        return [f"Neighbouring lanes take neighbours, but the first of them begins at byte {first} of its sector; from byte 0 on, "
                f"{i.best} would do."]  # fmt: skip
    used = len({a for a in i.addresses if a >= 0}) * i.size
    apart = f"Neighbouring lanes are {abs(stride)} bytes apart, and s" if stride else "S"
    return [f"{apart}o of {32 * i.worst} bytes that are moved {used} are used. If neighbours in threadIdx.x took neighbouring "
            f"elements, {_several(i.best, 'sector')} would do."]  # fmt: skip


def _on_banks(i: Instruction, others: Sequence[Instruction]) -> list[str]:
    """Say which lanes collide, and what a pad and a swizzle would do here and at the kernel's other shared accesses."""
    if i.worst <= i.best:
        return ["No two lanes meet in a bank at different words."]
    words: dict[int, dict[int, list[int]]] = {}
    for lane, a in enumerate(i.addresses):
        if a >= 0:
            words.setdefault(a // 4 % 32, {}).setdefault(a // 4, []).append(lane)
    bank, most = max(words.items(), key=lambda item: len(item[1]))
    lanes = sorted(lane for group in most.values() for lane in group)
    said = [f"Bank {bank} is asked for {len(most)} different words, by lanes {_spans(lanes)}: one after the other."]
    pitch = _pitch(i)
    if pitch is None:
        return said
    shared = [other for other in others if other.space == "shared"]
    pad = f"A pad, rows of {pitch + 1} words in place of {pitch}"
    said.append(f"{pad}: {_effects(i, shared, lambda w: w + w // pitch)}.")
    if pitch % 32 == 0:
        swizzle = f"A swizzle, column ^ (row % 32) in rows of {pitch} words"
        said.append(f"{swizzle}: {_effects(i, shared, lambda w: w ^ (w // pitch % 32))}.")
    return said


def _pitch(i: Instruction) -> int | None:
    """Return how many words the rows have that the lanes step over, None where lanes do not step evenly."""
    stride = i.stride
    return abs(stride) // 4 if stride and stride % 4 == 0 and abs(stride) > 4 else None


def _effects(i: Instruction, shared: Sequence[Instruction], moved: Callable[[np.ndarray], np.ndarray]) -> str:
    """Return the wavefronts of this instruction and of the kernel's other shared accesses after their words have been moved."""
    after = _waves(i, moved)
    changes: dict[int, list[str]] = {}
    for other in shared:
        if other.line != i.line and (now := _waves(other, moved)) != other.worst:
            changes.setdefault(other.line, []).append(f"{other.worst} to {now}")
    lines = [f"line {line} {' and '.join(dict.fromkeys(found))}" for line, found in sorted(changes.items())]
    return f"{_several(after, 'wavefront')} here in place of {i.worst}" + (f"; elsewhere {', '.join(lines)}" if lines else "")


def _waves(i: Instruction, moved: Callable[[np.ndarray], np.ndarray]) -> int:
    """Return the wavefronts of an instruction whose words lie elsewhere."""
    present = [a for a in i.addresses if a >= 0]
    table = np.array([a if a >= 0 else present[0] for a in i.addresses], "i8")
    return int(wavefronts_by_row((4 * moved(table // 4) + table % 4)[None, :], i.size)[0])


def _spans(numbers: Sequence[int]) -> str:
    """Return numbers as one says them: 0 to 31, or 0, 4, 8."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _parted(parting: Parting) -> str:
    """Return the picture of a branch at which warps part."""
    ones, zeros = parting.taken.count("1"), parting.taken.count("0")
    marks = parting.taken.replace("1", "#").replace("0", ".")
    part = f"a branch at which {_several(parting.warps, 'warp')} part{'s' if parting.warps == 1 else ''}"
    said = f"{part}: of the first, {ones} lanes jump and {zeros} do not, and the two sides are executed one after the other"
    return f"{said}\n{_ruler('lane', 32)}\n{'':11s}{marks}"

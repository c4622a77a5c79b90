"""A trace in words: what the terminal shows at each position, and the commands that move through it.

    session = Session(trace)
    print(session.shown())               # where it is
    print(session.run("next 3"))         # what a command says; "" ends, as does session.ended
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygan_kernels.emulator.semantics.warps import WARP

from .recorder import Touch
from .trace import Trace, Value

HELP = """\
  next [N]         n, Enter, right arrow: N steps forward, 1 if not given
  back [N]         b, left arrow: N steps back
  line N           to the next step on line N of the source; `line -N` goes backward
  start, end       to the beginning, to the end
  go N             to position N
  print NAME       p: a variable, a PTX register (%f3) or an array in shared memory, all lanes
  variables        v: all variables here; where the PTX has no names, registers
  registers        r: all PTX registers that have been written
  shared           s: the arrays in shared memory
  mask             m: which lanes run the next step, and the threads that they are
  lines            the lines that this warp has steps on
  source           l: the source around the next line
  warp N           w: follow another warp of the block, from its beginning
  help             h: this
  quit             q: end"""
_SHORT = {"n": "next", "b": "back", "p": "print", "v": "variables", "r": "registers", "s": "shared", "m": "mask", "l": "source",
          "w": "warp", "h": "help", "?": "help", "q": "quit", "": "next"}  # fmt: skip


class CommandError(ValueError):
    """A command that is not known or that cannot be carried out. The message is one line."""


class Session:
    """A trace under commands. ended: whether `quit` was said."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.ended = trace, False
        self._commands: dict[str, Callable[[Sequence[str]], str]] = {
            "next": self._next, "back": self._back, "line": self._line, "go": self._go, "print": self._print,
            "start": lambda _: self._moved(0), "end": lambda _: self._moved(len(trace)), "warp": self._warp,
            "variables": lambda _: self._listed(self.values()), "registers": lambda _: self._listed(trace.registers()),
            "shared": lambda _: self._shared(), "mask": lambda _: self._mask(), "lines": lambda _: self._lines(),
            "source": lambda _: self._source(), "help": lambda _: HELP, "quit": self._quit,
        }  # fmt: skip

    def run(self, command: str) -> str:
        """Carry out a command and return what it says. Raises CommandError for one that is not known or cannot be carried out."""
        word, *rest = command.split() or [""]
        word = _SHORT.get(word, word)
        if word not in self._commands:
            raise CommandError(f"there is no command {word!r}; there are {', '.join(self._commands)}")
        return self._commands[word](rest)

    # -- where it is -------------------------------------------------------------------------------------------
    def shown(self) -> str:
        """Return where the trace is: the next line, which lanes run it, and what the step before changed."""
        trace = self.trace
        head = f"[{trace.position}/{len(trace)}] "
        if trace.step is None:
            text = [f"{head}the warp has ended" + (f": {trace.cut}" if trace.cut else "")]
        elif trace.line:
            text = [f"{head}line {trace.line}: {trace.text}"]
        else:
            text = [f"{head}code from another file, PTX lines {trace.step.first} to {trace.step.last}"]
        active = int(trace.mask.sum())
        if trace.step is not None and active < len(trace.threads()):
            text.append(f"    {_lanes(active)} of {len(trace.threads())}: {_marks(trace.mask)}")
        text += [f"    {touched}" for touched in self.touched()]
        text += [f"    {self.said(value)}" for value in self.values() if value.changed]
        if trace.shared_changed:
            text.append("    shared memory has changed: `shared` shows it")
        return "\n".join(text)

    def values(self) -> list[Value]:
        """Return the variables here; where the PTX does not tell their names, the registers."""
        return self.trace.variables() if self.trace.has_names else self.trace.registers()

    def texts(self, value: Value) -> list[str]:
        """Return a value as text, for each lane of the warp that is a thread."""
        mask = self._known_lanes()
        return [self.trace.described(int(v)) if value.pointer else written(v) for v in value.values[mask]]

    def touched(self) -> list[str]:
        """Return the memory instructions of the step before the position, in words."""
        return list(dict.fromkeys(map(_touched, self.trace.touches)))

    def said(self, value: Value) -> str:
        """Return a variable and its values in short: `row = 3`, `x = 0, 1 .. 31`."""
        mask = self._known_lanes()
        if value.pointer:
            places = {self.trace.described(int(a)) for a in value.values[mask]}
            return f"{value.name} = {places.pop() if len(places) == 1 else f'{len(places)} addresses'}"
        return f"{value.name} = {summary(value.values, mask)}"

    def _known_lanes(self) -> np.ndarray:
        """Return which lanes of the warp are threads."""
        return np.arange(WARP) < len(self.trace.threads())

    # -- commands ----------------------------------------------------------------------------------------------
    def _moved(self, position: int) -> str:
        self.trace.move(position)
        return self.shown()

    def _next(self, rest: Sequence[str]) -> str:
        return self._moved(self.trace.position + _number(rest, "next", 1))

    def _back(self, rest: Sequence[str]) -> str:
        if not self.trace.position:
            raise CommandError("this is the beginning: there is no step back")
        return self._moved(self.trace.position - _number(rest, "back", 1))

    def _go(self, rest: Sequence[str]) -> str:
        position = _number(rest, "go")
        if not 0 <= position <= len(self.trace):
            raise CommandError(f"there is no position {position}; there are 0 to {len(self.trace)}")
        return self._moved(position)

    def _line(self, rest: Sequence[str]) -> str:
        number = _number(rest, "line")
        if not self.trace.to_line(abs(number), backward=number < 0):
            way = "before" if number < 0 else "after"
            raise CommandError(f"the warp has no step on line {abs(number)} {way} this; {self._lines()}")
        return self.shown()

    def _warp(self, rest: Sequence[str]) -> str:
        try:
            self.trace.choose(_number(rest, "warp"))
        except ValueError as error:
            raise CommandError(str(error)) from None
        return self.shown()

    def _print(self, rest: Sequence[str]) -> str:
        if len(rest) != 1:
            raise CommandError("print takes one name, such as `print sum`")
        shared = self.trace.shared()
        try:
            value = self.trace.value(rest[0])
        except KeyError as error:
            if rest[0] in shared:
                return _array(rest[0], shared[rest[0]])
            also = f"; arrays in shared memory: {', '.join(shared)}" if shared else ""
            raise CommandError(f"{error.args[0]}{also}") from None
        return f"{value.name} ({value.register}), a value a lane:\n{_grid(self.texts(value))}"

    def _listed(self, values: Sequence[Value]) -> str:
        return "\n".join(f"  {self.said(v)}" for v in values) or "  nothing has been written yet"

    def _shared(self) -> str:
        found = self.trace.shared()
        return "\n".join(_array(name, array) for name, array in found.items()) or "  the kernel has no shared memory"

    def _mask(self) -> str:
        trace = self.trace
        threads = trace.threads()
        active = [t for t, on in zip(threads, trace.mask, strict=False) if on]
        who = f", threads {active[0]} to {active[-1]}" if active else ""
        return f"  {_marks(trace.mask)}  {_lanes(len(active))} of {len(threads)}{who}"

    def _lines(self) -> str:
        return f"it has steps on lines {', '.join(map(str, self.trace.lines())) or 'none'}"

    def _source(self) -> str:
        at = self.trace.line
        if not at:
            raise CommandError("no line of the source comes next")
        around = range(max(1, at - 4), at + 5)
        rows = [(n, self.trace.whole_line(n)) for n in around]
        return "\n".join(f"{'->' if n == at else '  '} {n:4d}  {text}".rstrip() for n, text in rows if text is not None)

    def _quit(self, _: Sequence[str]) -> str:
        self.ended = True
        return ""


def _number(rest: Sequence[str], command: str, default: int | None = None) -> int:
    """Return the number behind a command. Raises CommandError where there is none, or something else."""
    if not rest and default is not None:
        return default
    try:
        (text,) = rest
        return int(text)
    except ValueError:
        raise CommandError(f"{command} takes a whole number, such as `{command} 3`") from None


def _touched(touch: Touch) -> str:
    """Return a memory instruction in words."""
    what = {"ld": "loaded", "st": "stored"}.get(touch.operation, "updated atomically")
    where = f"{touch.where} memory" if touch.where in ("shared", "local") else touch.where
    return f"{what} {touch.size} bytes a lane, {where}, byte {summary(touch.offsets, touch.offsets >= 0)}"


def _lanes(count: int) -> str:
    return f"{count} lane{'' if count == 1 else 's'}"


def _marks(mask: np.ndarray) -> str:
    return "".join("#" if on else "." for on in mask)


def written(value: Any) -> str:
    """Return a number as it is shown: six digits of a float."""
    return f"{value:.6g}" if isinstance(value, np.floating) else str(int(value))


def summary(values: np.ndarray, mask: np.ndarray) -> str:
    """Return the values of the lanes in a mask as one says them: one number for all, an even row, or the first few."""
    present = values[mask]
    if present.size == 0:
        return "no lane"
    texts = [written(v) for v in present]
    if len(set(texts)) == 1:
        return texts[0]
    if present.dtype.kind in "iu" and present.size > 2:
        step = set(np.diff(present.astype(object)).tolist())
        if len(step) == 1:
            return f"{texts[0]}, {texts[1]} .. {texts[-1]}"
    return ", ".join(texts[:4]) + (f" .. {texts[-1]}" if len(texts) > 4 else "")


def _grid(values: Sequence[str], columns: int = 8) -> str:
    """Return values in rows of `columns`, each row with the number of its first."""
    width = max(map(len, values), default=1)
    rows = range(0, len(values), columns)
    return "\n".join(f"  {at:5d}: " + "  ".join(v.rjust(width) for v in values[at : at + columns]) for at in rows)


def _array(name: str, array: np.ndarray, most: int = 128) -> str:
    """Return an array of shared memory, its first elements."""
    shown = _grid([written(v) for v in array[:most]])
    rest = f"\n  ... {array.size - most:,} more" if array.size > most else ""
    return f"{name}, {array.size:,} elements:\n{shown}{rest}"

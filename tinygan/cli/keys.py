"""Commands typed in a terminal, where arrow keys count as commands by themselves, without Enter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ARROWS = {"\x1b[C": "next", "\x1b[D": "back", "\x1bOC": "next", "\x1bOD": "back"}
PROMPT = "> "


def typed_commands() -> Iterator[str]:
    """Yield the commands that are typed, until the input ends. Right and left arrow are next and back."""
    try:
        import termios
    except ImportError:  # Windows: whole lines alone
        while (line := _line()) is not None:
            yield line
        return
    del termios
    while (command := _typed()) is not None:
        yield command


def _line() -> str | None:
    try:
        return input(PROMPT)
    except EOFError:
        return None


def _typed() -> str | None:
    """Return the next command, read key by key; None at the end of the input."""
    with _key_by_key(sys.stdin.fileno()) as key:
        return command_of(key, lambda text: print(text, end="", flush=True))


@contextmanager
def _key_by_key(descriptor: int) -> Iterator[Callable[[], str]]:
    """Switch a terminal to single keys within the `with`; gives a function that returns the next key, "" at the end."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda: os.read(descriptor, 8).decode("utf-8", "replace")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def command_of(key: Callable[[], str], show: Callable[[str], None]) -> str | None:
    """Return the command that keys make: an arrow at once, else what is typed up to Enter; None where there are no more keys.

    key(): the next key or keys, "" at the end. show(text): shows what was typed.
    """
    show(PROMPT)
    typed = ""
    while True:
        pressed = key()
        if not pressed or (pressed == "\x04" and not typed):
            show("\n")
            return None
        if pressed in ARROWS and not typed:
            show("\n")
            return ARROWS[pressed]
        for at, character in enumerate(pressed):
            if character in "\r\n":
                show("\n")
                return typed
            if character in "\x7f\b":
                show("\b \b" if typed else "")
                typed = typed[:-1]
            elif character == "\x1b":  # another key that is no letter
                break
            elif character.isprintable():
                typed += pressed[at]
                show(character)

"""Commands typed in a terminal, where arrow keys count as commands by themselves, without Enter."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ARROWS = {"\x1b[C": "next", "\x1b[D": "back", "\x1bOC": "next", "\x1bOD": "back"}
KEY = re.compile(r"\x1b[\[O][\d;]*[A-Za-z~]|.", re.DOTALL)
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
    keyboard = Keyboard(lambda: os.read(sys.stdin.fileno(), 1024))
    while (command := _typed(keyboard)) is not None:
        yield command


def _line() -> str | None:
    try:
        return input(PROMPT)
    except EOFError:
        return None


class Keyboard:
    """The keys of a terminal, one by one. read(): the bytes that are there, b"" at the end; what was pasted are many at a time."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read, self._ahead = read, ""

    def key(self) -> str:
        """Return the next key, a character or the sequence that a key such as an arrow sends; "" at the end."""
        self._ahead = self._ahead or self._read().decode("utf-8", "replace")
        match = KEY.match(self._ahead)
        self._ahead = self._ahead[match.end() :] if match else ""
        return match[0] if match else ""


def _typed(keyboard: Keyboard) -> str | None:
    """Return the next command, read key by key; None at the end of the input."""
    with _key_by_key(sys.stdin.fileno()):
        return command_of(keyboard.key, lambda text: print(text, end="", flush=True))


@contextmanager
def _key_by_key(descriptor: int) -> Iterator[None]:
    """Switch a terminal to single keys within the `with`."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # by default what was typed ahead would be thrown away
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def command_of(key: Callable[[], str], show: Callable[[str], None]) -> str | None:
    """Return the command that keys make: an arrow at once, else what is typed up to Enter; None where there are no more keys.

    key(): the next key, "" at the end. show(text): shows what was typed.
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
        if pressed in "\r\n":
            show("\n")
            return typed
        if pressed in "\x7f\b":
            show("\b \b" if typed else "")
            typed = typed[:-1]
        elif pressed.isprintable():  # no other key that is no letter
            typed += pressed
            show(pressed)

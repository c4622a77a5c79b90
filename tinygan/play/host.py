"""The host of a game: a thread that plays it, does what the watchers ask, and shows every one of them the same game.

Only this thread touches the engine. Whoever watches is a `Listener`, which is told messages; it may drop all but the newest of
each kind, so a slow watcher delays nobody and costs no memory.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from tinygan_kernels import Backend

from tinygan.data import DataError, Dataset
from tinygan.options import OptionError
from tinygan.training.config import Config
from tinygan.training.run import turn_of

from .charts import Point
from .messages import as_json
from .rotation import PRODUCTS
from .table import Table

FRAME = 1 / 30  # seconds
MEASURE = 0.12  # seconds between two points of the curves
FOLLOWED = 0.1  # of the time goes into eigenvalues that are computed again and again, while the game is played
USER_ERRORS = (OptionError, DataError, ValueError)
BAD_VALUES = (TypeError, OverflowError, RecursionError, MemoryError)  # of a message that asks for what cannot be


class Listener(Protocol):
    """Somebody who watches. Both methods are called from the host's thread."""

    def offer(self, kind: str, message: str | bytes) -> None:
        """Take a message; one of the same kind that was not passed on yet is out of date."""

    def offer_point(self, point: Point) -> None:
        """Take a point of the curves, none of which is out of date before the next "charts"."""


class Host(Table):
    """Plays one game. config, dataset: what it begins with.

    `start` starts the thread, `close` ends it; commands are handed over by `ask`, from any
    thread. failed: what ended the thread, if an error of its own did.
    """

    def __init__(self, config: Config, dataset: Dataset, backend: Backend) -> None:
        super().__init__(config, dataset, backend)
        self._thread = threading.Thread(target=self._run, name="tinygan play", daemon=True)
        self.failed: BaseException | None = None
        self._listeners: list[Listener] = []
        self._asked: queue.Queue[tuple[Listener | None, dict[str, Any]] | Callable[[], None] | None] = queue.Queue()
        self._next_measure = self._next_frame = self._next_product = 0.0
        self._stale = {"state", "frame"}  # what has to be told anew

    # ---- from other threads ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, command: dict[str, Any], listener: Listener | None = None) -> None:
        """Have a command done: {"do": name, ...}. Answers that are for one watcher go to `listener`."""
        self._asked.put((listener, command))

    def join_in(self, listener: Listener) -> None:
        """Let somebody watch, who is told everything there is so far."""

        def greet() -> None:
            self._listeners.append(listener)
            listener.offer("hello", as_json(self._hello()))
            listener.offer("world", self.frames.world())
            listener.offer("state", as_json(self._state()))
            listener.offer("charts", self.frames.charts_message())
            if self.slow:
                listener.offer("slow", as_json(self._slow_message()))
            listener.offer("frame", self._frame())

        self._asked.put(greet)
        if self.failed is not None:  # nobody greets any more
            listener.offer("failed", self._failed_message())

    def leave(self, listener: Listener) -> None:
        """Tell a watcher nothing more."""
        self._asked.put(lambda: self._listeners.remove(listener) if listener in self._listeners else None)

    def within(self, question: Callable[[], Any], timeout: float = 60) -> Any:
        """Return what a function returns that is called in the host's thread, between two steps."""
        answer: queue.Queue[Any] = queue.Queue()
        self._asked.put(lambda: answer.put(question()))
        return answer.get(timeout=timeout)

    def close(self, timeout: float = 30) -> None:
        """End the thread, and wait for it."""
        self._asked.put(None)
        if self.is_alive():
            self._thread.join(timeout)

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def play_all(self) -> None:
        """Play all steps without a thread and without watchers, and record. Raises FloatingPointError if the game diverges."""
        with turn_of(self.session.backend):
            frames, session = self.frames, self.session
            frames.measure()
            frames.record()
            while not session.at_end:
                session.play()
                frames.after_step()
                if session.step >= frames.record_due or session.at_end:
                    point = frames.measure()
                    if point is not None and any(value != value for value in point.values()):
                        advice = "Lower --lr-d and --lr-g, or raise --r1"
                        raise FloatingPointError(f"step {session.step}: the game has diverged. {advice}")
                    frames.record()

    # ---- the thread -----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with turn_of(self.session.backend):
                self.frames.measure()
                self.frames.record()
            while self._obey():
                with turn_of(self.session.backend):
                    self._advance()
        except BaseException as error:
            self.failed = error
            self._tell("failed", self._failed_message())
            raise

    def _failed_message(self) -> str:
        return as_json({"kind": "failed", "text": f"{type(self.failed).__name__}: {self.failed}"})

    def _obey(self) -> bool:
        """Do all that was asked, waiting for something while there is nothing to play. Return False once the host is closed."""
        wait = True
        while True:
            pause: float | None = None
            if self._stale or (self.playing and self._listeners):
                pause = max(0.0, min(self._next_step - time.perf_counter(), 0.25))
            elif self._spectrum_wanted():
                pause = 0.0
            try:
                asked = self._asked.get(timeout=pause) if wait and pause != 0 else self._asked.get_nowait()
            except queue.Empty:
                return True
            wait = False
            if asked is None:
                return False
            with turn_of(self.session.backend):
                if callable(asked):
                    asked()
                else:
                    self._do(*asked)

    def _do(self, listener: Listener | None, command: dict[str, Any]) -> None:
        rest = {name: value for name, value in command.items() if name != "do"}
        name = command.get("do")
        try:
            todo = getattr(self, f"do_{name}", None) if isinstance(name, str) else None
            if todo is None:
                raise OptionError(f"there is no command {name!r}")
            self.note = ""
            todo(**rest)
        except USER_ERRORS as error:
            self.note = getattr(error, "with_flags", str(error))
        except BAD_VALUES as error:
            self.note = f"{name}: {error or 'there is not enough memory for that'}"
        self._stale |= {"state", "frame"}

    def _advance(self) -> None:
        """Play until the next frame is due, and show it."""
        now = time.perf_counter()
        self._tell_news()  # before steps, the first of which may be compiled for a while
        if self.playing and self._listeners:
            self._play_until(self._next_frame)
            self._stale.add("frame")
            if self.session.step >= self.frames.record_due:
                self.frames.record()
            if time.perf_counter() >= self._next_measure:
                self._measure()
        if self._spectrum_wanted():
            self._work_on_spectrum()
        self._tell_news()
        begun = max(self._next_frame, now)
        # views take their time as well: at least half of a frame is for steps
        self._next_frame = max(begun + FRAME, time.perf_counter() + FRAME / 2)

    def _tell_news(self) -> None:
        if "state" in self._stale:
            self._tell("state", as_json(self._state()))
        if "frame" in self._stale:
            self._tell("frame", self._frame())
        self._stale.clear()

    def _spectrum_wanted(self) -> bool:
        """Return whether eigenvalues are to be computed: some were begun, or the page follows them and the game has moved."""
        frames = self.frames
        follows = self.rotation and self.slow is None and frames.seen_at != self.session.step
        return bool(self._listeners) and (frames.spectrum is not None or follows)

    def _work_on_spectrum(self) -> None:
        """Make products towards the game's eigenvalues: for the time of a frame, and while the game is played as time allows."""
        frames, end = self.frames, time.perf_counter() + FRAME / 2
        try:
            if frames.spectrum is None:
                frames.begin_spectrum(whole_up_to=PRODUCTS)
            spectrum = frames.spectrum
            while spectrum is not None and not spectrum.done:
                begun = time.perf_counter()
                if begun >= end or (self.playing and begun < self._next_product):
                    break
                spectrum.advance()
                now = time.perf_counter()
                if spectrum.made > 1:  # the first of a run is recorded, which takes longer once
                    # time that a slow game has left over counts too, as far as a quarter of a second back
                    self._next_product = max(self._next_product, begun - 0.25) + (now - begun) / FOLLOWED
        except (OptionError, FloatingPointError) as error:
            frames.spectrum, frames.seen_at, self.rotation, self.note = None, self.session.step, False, str(error)
            self._stale.add("state")
            return
        if spectrum is not None and spectrum.done:
            self._tell("eigenvalues", as_json(frames.finished_spectrum()))
        elif spectrum is not None:
            self._tell("working", as_json({"kind": "working", "made": spectrum.made, "of": spectrum.products}))

    def _play_until(self, end: float) -> None:
        session, frames = self.session, self.frames
        while True:
            now = time.perf_counter()
            if self.speed and now < self._next_step:
                break
            if session.at_end:
                self.playing, self.note = False, f"all {session.config.steps:,} steps are made; play goes on with twice as many"
                self._measure()
                self._stale.add("state")
                break
            session.play()
            if frames.after_step():
                self._stale.add("state")
            if self.speed:
                self._next_step = max(self._next_step + 1 / self.speed, now - 0.1)
            if time.perf_counter() >= end:
                break
        since, step = self._counted
        if (passed := time.perf_counter() - since) > 0.5:
            self.rate = max(0, session.step - step) / passed
            self._counted = (time.perf_counter(), session.step)

    def _measure(self) -> None:
        self._next_measure = time.perf_counter() + MEASURE
        point = self.frames.measure()
        if point is not None:
            for listener in self._listeners:
                listener.offer_point(point)
            if any(value != value for value in point.values()):
                self.playing = False
                self.note = "the game has diverged: its numbers are no longer finite. Go back and lower the rates"
                self._stale.add("state")

    def _tell(self, kind: str, message: str | bytes) -> None:
        for listener in self._listeners:
            listener.offer(kind, message)

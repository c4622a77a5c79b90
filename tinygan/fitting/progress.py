"""How far a run has come: a live bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from tinygan.game.objectives import OBJECTIVES
from tinygan.training.run import Run

SECONDS = 5  # between plain lines at first; a twentieth of the time that the run has taken once that is more
Show = Callable[[dict[str, float]], None]


def as_text(run: Run, reading: dict[str, float]) -> str:
    """Return a reading's numbers in a line: V, or the goal of a game that is not about V, D(x) and D(G(z))."""
    goal = "V" if OBJECTIVES[run.config.objective].ascends_v else "goal"
    return f"{goal} {reading['v']:+.3f}  D(x) {reading['d_real']:.2f}  D(G(z)) {reading['d_fake']:.2f}"


@contextmanager
def bar(run: Run, console: Console) -> Iterator[Show]:
    """Yield a function that shows a reading on a live bar of this console. Before the first one the bar says what is waited for."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"), BarColumn(bar_width=None), TextColumn("{task.description}"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("the first step is prepared", total=run.config.steps, completed=run.step, rate="")
        begun, first = time.perf_counter(), run.step

        def show(reading: dict[str, float]) -> None:
            rate = (run.step - first) / (time.perf_counter() - begun)
            shown.update(task, completed=run.step, rate=f"{rate:,.0f} steps/s", description=as_text(run, reading))

        yield show


@contextmanager
def lines(run: Run, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter) -> Iterator[Show]:
    """Yield a function that says a reading as a plain line, if the last line is long enough ago. clock: seconds."""
    begun, first, said = clock(), run.step, clock()

    def show(reading: dict[str, float]) -> None:
        nonlocal said
        now = clock()
        if now - said < max(SECONDS, (now - begun) / 20):
            return
        said = now
        rate = (reading["step"] - first) / (now - begun)
        left = (run.config.steps - reading["step"]) / rate
        say(f"step {reading['step']:,}/{run.config.steps:,}  {as_text(run, reading)}  {rate:,.0f} steps/s, {left:,.0f} s left")

    yield show


@contextmanager
def progress(run: Run, wanted: bool, say: Callable[[str], None], console: Console | None = None) -> Iterator[Show]:
    """Yield a function that shows a reading: on a bar if the console, stderr if none is given, is a terminal; else by plain lines,
    each handed to `say`. Unless wanted the function does nothing.
    """
    console = console or Console(stderr=True)
    if not wanted:
        yield lambda reading: None
    elif console.is_terminal:
        with bar(run, console) as show:
            yield show
    else:
        with lines(run, say) as show:
            yield show

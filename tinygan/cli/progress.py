"""The progress bar of a run that trains, and what Ctrl-C does to the run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .console import err

if TYPE_CHECKING:
    from tinygan.training.run import Run


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C or a SIGTERM came, so that the run can stop after the step at hand.

    A second Ctrl-C does not wait for that: it raises KeyboardInterrupt.
    """
    caught: list[int] = []

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(run: Run) -> Iterator[Callable[[dict[str, float]], None]]:
    """Yield a function that shows a reading on a live bar if stderr is a terminal, and that does nothing otherwise."""
    if not err.is_terminal:
        yield lambda reading: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"), BarColumn(bar_width=None),
        TextColumn("V {task.fields[v]:+.3f}  D(x) {task.fields[d_real]:.2f}  D(G(z)) {task.fields[d_fake]:.2f}"),
        TextColumn("{task.fields[rate]:.0f} steps/s"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=run.config.steps, completed=run.step, v=0, d_real=0.5, d_fake=0.5, rate=0)
        begun, first = time.perf_counter(), run.step

        def show(reading: dict[str, float]) -> None:
            rate = (run.step - first) / (time.perf_counter() - begun)
            shown = {name: reading[name] for name in ("v", "d_real", "d_fake")}
            bar.update(task, completed=run.step, rate=rate, **shown)

        yield show

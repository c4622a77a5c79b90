"""How far a run has come: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from tinygan.training.run import Run

LINES = 10  # plain lines in a run
Show = Callable[[dict[str, float]], None]


@contextmanager
def bar(run: Run, console: Console) -> Iterator[Show]:
    """Yield a function that shows a reading on a live bar of this console."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"), BarColumn(bar_width=None),
        TextColumn("V {task.fields[v]:+.3f}  D(x) {task.fields[d_real]:.2f}  D(G(z)) {task.fields[d_fake]:.2f}"),
        TextColumn("{task.fields[rate]:.0f} steps/s"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=run.config.steps, completed=run.step, v=0, d_real=0.5, d_fake=0.5, rate=0)
        begun, first = time.perf_counter(), run.step

        def show(reading: dict[str, float]) -> None:
            rate = (run.step - first) / (time.perf_counter() - begun)
            fields: dict[str, Any] = {name: reading[name] for name in ("v", "d_real", "d_fake")}
            shown.update(task, completed=run.step, rate=rate, **fields)

        yield show


@contextmanager
def lines(run: Run, say: Callable[[str], None]) -> Iterator[Show]:
    """Yield a function that says a reading as a plain line, about LINES times in the run."""
    due = [run.step + (run.config.steps - run.step) * i / LINES for i in range(1, LINES + 1)]

    def show(reading: dict[str, float]) -> None:
        if due and reading["step"] >= due[0]:
            while due and reading["step"] >= due[0]:
                due.pop(0)
            say(f"step {reading['step']:,}/{run.config.steps:,}  V {reading['v']:+.3f}  D(x) {reading['d_real']:.2f}  "
                f"D(G(z)) {reading['d_fake']:.2f}")

    yield show


@contextmanager
def progress(run: Run, wanted: bool, say: Callable[[str], None]) -> Iterator[Show]:
    """Yield a function that shows a reading: on a bar if stderr is a terminal, else by plain lines; not at all unless wanted."""
    console = Console(stderr=True)
    if not wanted:
        yield lambda reading: None
    elif console.is_terminal:
        with bar(run, console) as show:
            yield show
    else:
        with lines(run, say) as show:
            yield show

"""A kernel of one's own, or a version of the project's, traced: run once, and stepped through."""

from __future__ import annotations

from collections.abc import Sequence

from tinygan_kernels import emulator
from tinygan_kernels.emulator.stepping.launches import recording, trace_of
from tinygan_kernels.emulator.stepping.recorder import MOST_BYTES, MOST_STEPS
from tinygan_kernels.shapes import ContractError

from .judge import turns_for_work
from .kernel_file import one_line
from .subjects import Subject


def traced(
    subject: Subject, *, thread_block: int | Sequence[int] = 0, warp: int = 0, most_steps: int = MOST_STEPS,
    most_bytes: int = MOST_BYTES,
) -> emulator.Trace:  # fmt: skip
    """Run a kernel once, and return the Trace of a warp of its first launch. The arguments are those of `emulator.trace`.

    What the sanitizer finds does not end a trace. Raises ContractError for a kernel that cannot be run, and for a block or a warp
    that its launch does not have.
    """
    limit = 8 * turns_for_work(subject.made.work)  # code for a debugger has more basic blocks
    try:
        with recording(thread_block, most_steps, most_bytes) as recorders, emulator.sanitize(), emulator.step_budget(limit):
            subject.run()
        return trace_of(recorders, subject.source or None, warp, subject.arguments)
    except (emulator.EmulatorError, ValueError) as error:
        raise ContractError(f"{subject.title}: {one_line(str(error))}") from None

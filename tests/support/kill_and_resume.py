"""Kill a run again and again until it is done: `python kill_and_resume.py KIND FOLDER`, a process of its own.

It leaves FOLDER/whole, never disturbed, and FOLDER/killed, and prints the steps at which the kills found the checkpoint. Runs are
forked, as a new interpreter for every kill would take longer than the run; so nothing here may launch a kernel before the fork.
"""

import os
import random
import signal
import stat
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tiny_runs import backend, dataset, resume, start

from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT

KINDS = {
    "digits": {"data": "digits", "batch": 64, "r1": 0.3, "ema": 0.99, "backend": "cpu"},
    "dcgan": {"data": "pictures", "arch": "dcgan", "r1": 0.0, "beta1": 0.5},
    "ring": {"data": "ring", "batch": 16, "decay": 0.7},
}
LENGTH = {"steps": 90, "save_every": 4}
MOMENTS = ("inside the file", "before the rename", "after the rename", "before the checkpoint")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(call: int, moment: str) -> None:
    """Have this process killed at its nth write to the disk: inside the file, before or after the rename, or at the checkpoint."""
    calls, fsync, replace, save = count(1), os.fsync, os.replace, checkpoint.save

    def torn(fd):
        if stat.S_ISREG(os.fstat(fd).st_mode) and next(calls) == call:
            os.ftruncate(fd, os.fstat(fd).st_size // 2)
            die()
        fsync(fd)

    def renamed(a, b):
        last = next(calls) == call
        if last and moment == "before the rename":
            die()
        replace(a, b)
        if last:
            die()

    def saved(*args):  # its metrics are written by now
        if next(calls) == call:
            die()
        save(*args)

    if moment == "inside the file":
        os.fsync = torn
    elif moment == "before the checkpoint":
        checkpoint.save = saved
    else:
        os.replace = renamed


def fork(out: Path, kind: str, prepare: Callable[[], None] = lambda: None, gated: bool = False) -> tuple[int, int, int]:
    """Start the run in `out`, or go on with it. Returns the process, and two pipes: one that it writes to as its steps begin, and,
    if it is gated, after each step; and one that it then waits at for a byte before it goes on.
    """
    (reader, writer), (gate, opener) = os.pipe(), os.pipe()
    process = os.fork()
    if process:
        os.close(writer), os.close(gate)
        return process, reader, opener
    os.close(opener)
    options = KINDS[kind]
    run = resume(out, options["data"]) if (out / CHECKPOINT).exists() else start(out, **options, **LENGTH)
    prepare()
    os.write(writer, b"!")

    def stopping():
        if gated:
            os.write(writer, b".")
            os.read(gate, 1)
        return False

    done = run.train(stopping=stopping)
    os._exit(0 if done else 1)


def wait(process: int, reader: int, opener: int) -> bool:
    """Wait for the end of a run and return True if it ended by itself with exit code 0, False if it was killed."""
    os.close(reader), os.close(opener)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status not in (0, -signal.SIGKILL):
        sys.exit(f"a run ended with {status}")
    return status == 0


def undisturbed(out: Path, kind: str) -> float:
    """Train a run without killing it, and return the seconds that it took."""
    process, *pipes = fork(out, kind)
    os.read(pipes[0], 1)
    begun = time.perf_counter()
    wait(process, *pipes)
    return time.perf_counter() - begun


def killed_at_random(out: Path, kind: str, seconds: float) -> bool:
    """Kill somewhere in a step, or in what is saved after it: 5 to 20 steps on, so behind a new checkpoint.

    seconds: about what a step takes. The run waits after each step until it may go on, so that the kill hits it in its course,
    however slow the machine is.
    """
    process, reader, opener = fork(out, kind, gated=True)
    os.read(reader, 1)
    for _ in range(random.randint(5, 20)):
        if not os.read(reader, 1):  # the run has ended
            break
        os.write(opener, b"!")
    else:
        time.sleep(random.uniform(0, 1.5 * seconds))
    os.kill(process, signal.SIGKILL)
    return wait(process, reader, opener)


def load_once(kind: str) -> None:
    """Load here what every fork would load anew, Numba among it, which takes longer than all the steps between two kills."""
    from numba.core.registry import cpu_target

    dataset(KINDS[kind]["data"]), backend(KINDS[kind].get("backend", "reference"))
    cpu_target.target_context.refresh()


def main(kind: str, folder: Path) -> None:
    load_once(kind)
    seconds, out, steps = undisturbed(folder / "whole", kind), folder / "killed", []
    moments = [(n, m) for n in range(1, 6) for m in MOMENTS] if kind == "ring" else []
    done = False
    while not done:
        if moments:
            number, moment = moments.pop(0)
            done = wait(*fork(out, kind, lambda n=number, m=moment: die_at(n, m)))
        else:
            done = killed_at_random(out, kind, seconds / LENGTH["steps"])
        if not done:
            there = (out / CHECKPOINT).exists()
            steps.append(checkpoint.load(out / CHECKPOINT)[1]["step"] if there else -1)
    print(*steps)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

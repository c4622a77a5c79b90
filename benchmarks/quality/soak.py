"""Train, kill, resume, sample and evaluate in turn, for as long as one likes: `python -m benchmarks.quality.soak --minutes 30`

One process does all of it again and again, as the command line does it, beside a second one that is killed in each round (kill -9)
and whose run this process then goes on with. Recorded after each round: the resident memory of this process and of the one that is
killed, open files, threads, and the files in the folder of the runs and in that of compiled code. The command fails where one of
them grows.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tinygan_kernels.child_process import python_command

from benchmarks.speed.timing import stamp
from tinygan.cli import main as command_line
from tinygan.data.comparison import FAKE, REAL, new_figure
from tinygan.training.checkpoint import CHECKPOINT, CheckpointError, read_run

KINDS = ("ring", "digits")
STEPS = 60  # of each run in this process
MARGIN = 1.03, 4 * 2**20  # how much more memory the last quarter of rounds may take than the second one: a factor, and bytes
COUNTS = ("files", "threads", "left", "compiled")


@dataclass(frozen=True)
class Round:
    """What was found after a round.

    minutes: since the start. memory, killed: resident bytes of this process, and of the one that was killed, before that. files:
    open files of this process; killed_files: of the other. threads: of this process. left: files in the folder of the runs once its
    runs are removed; compiled: files of compiled code.
    """

    minutes: float
    memory: int
    killed: int
    files: int
    killed_files: int
    threads: int
    left: int
    compiled: int


def resident(pid: int | str = "self") -> int:
    """Return the resident bytes of a process, as Linux tells them."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def do(*arguments: str) -> None:
    """Execute a command of the command line in this process. Raises RuntimeError where its exit code is not 0."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = command_line.run(list(arguments))
    if code:
        raise RuntimeError(f"tinygan {' '.join(arguments)} ended with exit code {code}: {said.getvalue()}")


def killed_run(kind: str, out: Path) -> tuple[int, int]:
    """Train in another process, and kill it behind its second checkpoint. Returns (its resident bytes, its open files)."""
    options = ["train", kind, "--out", str(out), "--steps", "100000000", "--save-every", "10"]
    command = python_command("from tinygan.cli.main import main; main()", options)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while _step(out) < 20:
            if process.poll() is not None:
                raise RuntimeError(f"tinygan {' '.join(options)} ended by itself: {process.stderr.read()}")
            time.sleep(0.05)
        found = resident(process.pid), open_files(process.pid)
        process.send_signal(signal.SIGKILL)
    return found


def _step(out: Path) -> int:
    try:
        return read_run(out)[1]["step"] if (out / CHECKPOINT).exists() else -1
    except CheckpointError:  # the folder is being made
        return -1


def one_round(number: int, folder: Path) -> tuple[int, int]:
    """Train, kill, resume, sample and evaluate. Returns what `killed_run` does."""
    kind = KINDS[number % len(KINDS)]
    mine, others = folder / "mine", folder / "others"
    do("train", kind, "--out", str(mine), "--steps", str(STEPS), "--save-every", "10")
    do("train", kind, "--out", str(mine), "--steps", str(2 * STEPS), "--resume")
    found = killed_run(kind, others)
    do("train", kind, "--out", str(others), "--steps", str(_step(others) + 20), "--resume")
    do("sample", str(others), "-n", "300", "-o", str(folder / "samples.npy"), "--seed", str(number))
    do("evaluate", str(others), "--seed", str(number))
    shutil.rmtree(mine)
    shutil.rmtree(others)
    (folder / "samples.npy").unlink()
    return found


def soak(minutes: float, folder: Path) -> list[Round]:
    """Do rounds for so many minutes, at least 8 of them, and return what was found after each."""
    begun, rounds, compiled = time.monotonic(), [], Path(os.environ["NUMBA_CACHE_DIR"])
    while len(rounds) < 8 or time.monotonic() - begun < 60 * minutes:
        killed, killed_files = one_round(len(rounds), folder)
        gc.collect()
        passed = (time.monotonic() - begun) / 60
        rounds.append(Round(round(passed, 3), resident(), killed, open_files(), killed_files, threading.active_count(),
                            count_files(folder), count_files(compiled)))
        print(f"round {len(rounds)}: {rounds[-1]}", flush=True)
    return rounds


def growth(rounds: Sequence[Round]) -> list[str]:
    """Return a line for each figure that grew: the last quarter of rounds beside the second one, the first being the warm-up."""
    quarter = len(rounds) // 4
    early, late = rounds[quarter : 2 * quarter], rounds[-quarter:]
    found = []
    for name in ("memory", "killed"):
        before, after = (float(np.median([getattr(r, name) for r in part])) for part in (early, late))
        if after > before * MARGIN[0] + MARGIN[1]:
            found.append(f"{name} grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    for name in (*COUNTS, "killed_files"):
        before, after = (max(getattr(r, name) for r in part) for part in (early, late))
        if after > before:
            found.append(f"{name} grew from {before} to {after}")
    return found


def draw(rounds: Sequence[Round], path: Path) -> None:
    """Write a PNG of the memory of both processes over the minutes."""
    figure = new_figure(7, 2.8)
    axes = figure.subplots()
    minutes = [r.minutes for r in rounds]
    axes.plot(minutes, [r.memory / 2**20 for r in rounds], color=REAL, label="the process that stays", marker=".")
    axes.plot(minutes, [r.killed / 2**20 for r in rounds], color=FAKE, label="the processes that are killed", marker=".")
    axes.set(xlabel="minutes", ylabel="resident memory, MiB", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="png")


def main() -> int:
    """Return the exit code: 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        parser.error("the soak reads memory and open files from /proc, which only Linux has")
    with tempfile.TemporaryDirectory() as folder:
        if "NUMBA_CACHE_DIR" not in os.environ:  # Numba has read its settings: a process of its own, with a folder to watch
            own = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder) / "compiled")}
            return subprocess.run([sys.executable, "-m", __spec__.name, *sys.argv[1:]], env=own, check=False).returncode
        work = Path(folder) / "runs"
        work.mkdir()
        rounds = soak(args.minutes, work)
    found = growth(rounds)
    if args.json:
        report = {"stamp": stamp(), "minutes": args.minutes, "rounds": [asdict(r) for r in rounds], "grew": found}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.figure:
        draw(rounds, args.figure)
    last = rounds[-1]
    print(f"{len(rounds)} rounds in {last.minutes:.1f} minutes, {last.memory / 2**20:.1f} MiB resident: "
          f"{'; '.join(found) or 'nothing grew'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

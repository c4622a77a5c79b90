"""Everything that is to be tried on a machine with a GPU: `python -m benchmarks.environments.gpu_report [--report FILE]` (make gpu)

The doctor, the tests that need a GPU, the verification of both CUDA backends, the benchmark and the race of a kernel of one's own
run one after the other, whatever comes of those before. What they print goes to the screen and into one file, which can be sent as
it is: the names of the user, of the machine and of folders are taken out of it.
"""

from __future__ import annotations

import argparse
import getpass
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tinygan_kernels.doctor.driver import Driver, find_driver

from benchmarks.docs.markdown import table
from benchmarks.environments.beside import NAMED, installed_versions
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "gpu-report.md"
MOST_LINES = 400  # of one step, in the report
NO_NAMES = {"root", "user", "ubuntu", "admin", "test", "runner", "localhost"}  # which name nobody, and may stand in any text


@dataclass(frozen=True)
class Step:
    """A command of the project's. done: what a run that did its work prints; without it, exit code 0 is no success."""

    name: str
    arguments: tuple[str, ...]
    done: str = ""


@dataclass(frozen=True)
class Result:
    """A step that was run: its exit code (None if it took too long), the seconds, and what it printed on either stream."""

    step: Step
    code: int | None
    seconds: float
    output: str

    @property
    def verdict(self) -> str:
        """What came of it, in a word or two."""
        if self.code is None:
            return "took too long"
        if self.code < 0:
            return f"ended by signal {-self.code}"
        if self.code:
            return "failed"
        return "done" if re.search(self.step.done, self.output) else "ran nothing"


STEPS = (
    Step("doctor", ("-m", "tinygan_kernels.doctor"), "no problem found"),
    Step("tests", ("-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"), r"\b[1-9]\d* passed"),
    Step("verify cupy", ("-m", "tinygan", "kernels", "verify", "--backend", "cupy"), r"[1-9]\d* of \d+ right"),
    Step("verify numba-cuda", ("-m", "tinygan", "kernels", "verify", "--backend", "numba-cuda"), r"[1-9]\d* of \d+ right"),
    Step("benchmark", ("-m", "benchmarks.speed.gpu_matmul", "--json", "benchmarks/results/gpu_matmul.json"), "of cuBLAS"),
    # a kernel of one's own, as users have it: slower than the ladder's best, and refused if the race itself goes wrong on a GPU
    Step("race", ("-m", "tinygan", "kernels", "bench", "benchmarks/docs/own_kernel/good.cu", "--as", "matmul",
                  "--shape", "1024", "1024", "1024"), "times as long as"),
)


def run(step: Step, seconds: float) -> Result:
    """Run a step, print what it prints, and return its result. It is ended when the seconds are over."""
    print(f"==== {step.name}: python {' '.join(step.arguments)}", flush=True)
    begun, late, lines = time.perf_counter(), threading.Event(), []
    process = subprocess.Popen([sys.executable, *step.arguments], cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)  # fmt: skip

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        code = process.wait()
    finally:
        timer.cancel()
        process.stdout.close()
    return Result(step, None if late.is_set() else code, time.perf_counter() - begun, "".join(lines))


def anonymous(text: str) -> str:
    """Return the text without the folders, the user and the machine that it comes from."""
    folders = {str(ROOT): "CHECKOUT", str(Path(sys.prefix)): "ENVIRONMENT", str(Path.home()): "~"}
    folders |= {str(Path(folder).resolve()): name for folder, name in folders.items()}
    for folder in sorted(folders, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(folder, folders[folder])
    host = socket.gethostname()
    for name, instead in ((host, "HOST"), (host.split(".")[0], "HOST"), (_user(), "USER")):
        if name and name.lower() not in NO_NAMES:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", instead, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""


def report(results: list[Result], driver: Driver) -> str:
    """Return the whole report, as Markdown without names of people, machines or folders."""
    made = stamp()
    gpus = ", ".join(gpu.name for gpu in driver.gpus)
    gpu = f"{gpus}; driver {driver.version}, CUDA {driver.cuda[0]}.{driver.cuda[1]}" if gpus else f"none ({driver.problem})"
    versions = ", ".join(f"{name} {version}" for name, version in installed_versions(NAMED).items())
    head = (
        f"# tinygan on a GPU\n\n- GPU: {gpu}\n"
        f"- commit {made['commit']}, {made['date']}\n"
        f"- {platform.system()} {platform.release()} {platform.machine()}, {made['cpu']}, {made['cores']} cores\n"
        f"- Python {made['python']}, {versions}\n"
    )
    rows = [[result.step.name, result.verdict, str(result.code), f"{result.seconds:.0f}"] for result in results]
    parts = [head, table(["step", "result", "exit code", "seconds"], rows), *map(_printed, results)]
    return anonymous("\n\n".join(part.strip() for part in parts)) + "\n"


def _printed(result: Result) -> str:
    """Return what a step printed, its last lines if it is long, in a block that nothing in it can end."""
    lines = result.output.rstrip().splitlines()
    left_out = f"({len(lines) - MOST_LINES} lines before these are left out)\n\n" if len(lines) > MOST_LINES else ""
    body = "\n".join(lines[-MOST_LINES:])
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    command = f"python {' '.join(result.step.arguments)}"
    return f"## {result.step.name}\n\n`{command}`: {result.verdict}\n\n{left_out}{fence}\n{body}\n{fence}"


def main(arguments: list[str] | None = None, steps: tuple[Step, ...] = STEPS) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, default=REPORT, help="the file that is written")
    parser.add_argument("--seconds", type=float, default=3600, help="how long one step may take")
    args = parser.parse_args(arguments)
    driver, results = find_driver(), []
    for step in steps:
        results.append(run(step, args.seconds))
        args.report.write_text(report(results, driver))  # after each, so that something is left whatever happens
    for result in results:
        print(f"{result.verdict:16s} {result.step.name}")
    print(f"All of it is in {args.report}, which names no user, machine or folder and can be sent as it is.")
    return 0 if all(result.verdict == "done" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

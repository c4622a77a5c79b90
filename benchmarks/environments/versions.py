"""Run tests with the versions that setup.py allows: `python -m benchmarks.environments.versions [--whole] [--only NAME]`

For each Python there are up to three environments: with the lowest version of every dependency that its bound allows and that has a
wheel, with those of one day between, and with the newest. Each is made from nothing in a cache folder, by uv. The record,
benchmarks/results/versions.json, says what was installed, how many tests passed, failed and were skipped, and whether a GAN was
trained with the CPU's kernels. Then these are compiled for other processors than this machine's, verified, and a GAN is trained.

    python -m benchmarks.environments.versions --lowest

makes one environment with the lowest versions, keeps it until setup.py changes, runs a small part of the tests, and looks for what
NumPy 1 computes in another precision than NumPy 2 (promotion.py). `make test` does that, with the first Python of OLD that this
machine has. `--sweep` looks for it in more tests.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from benchmarks.docs.markdown import table
from benchmarks.environments import promotion
from benchmarks.environments.beside import outcome
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "results" / "versions.json"
CACHE = ROOT / ".cache" / "versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
OLD = ("3.11", "3.10", "3.12")  # those for which NumPy 1 has wheels
LOWEST, BETWEEN, NEWEST = "lowest", "between", "newest"
DAY = "2026-02-01"  # whose newest versions are taken as those between: all bounds of setup.py were out by then
NAMED = ("numpy", "numba", "scipy", "scikit-learn", "matplotlib", "pillow", "safetensors", "typer", "rich", "pytest", "hypothesis")
KERNELS, ENGINE = "tests/tinygan_kernels", "tests/tinygan"
# What NumPy 1 and 2 do differently shows first in these: definitions of every kernel and the precision that they keep, hard cases
# and planted mistakes, gradients of every op. Of the matrix products, whose loops compile for a while, one that is large is enough.
SMALL = (
    f"{KERNELS}/test_reference.py", f"{KERNELS}/verification/test_verify.py", f"{ENGINE}/engine/test_ops.py",
    f"{KERNELS}/cpu/test_backend.py", "tests/benchmarks/test_environments_promotion.py",
    "-k", "not cpu or (test_every_kernel_against_the_reference and float32 and (add or mul or leaky_relu_grad or adam)"
    " and not matmul) or (test_sizes_of_real_networks and matmul) or test_neighbours or reversed_view",
)  # fmt: skip
# Without what the training run covers, the CPU's compiled kernels, and with checkpoints and the command line.
PART = (*SMALL[:3], f"{ENGINE}/training/test_checkpoint.py", f"{ENGINE}/cli/test_console.py", "-k", "not cpu")
IN_TWO = ("-n", "2", "--dist", "worksteal")  # in two processes, as in `make test`
WHOLE = ("tests", "-m", "not gpu and not peers", *IN_TWO)


class NoEnvironment(RuntimeError):
    """An environment cannot be made here. The message says why, and what to do."""


# ---- environments ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Environment:
    """A Python and the versions that go into it. python: such as "3.10". which: LOWEST, BETWEEN or NEWEST."""

    python: str
    which: str

    @property
    def name(self) -> str:
        return f"{self.python}-{self.which}"

    @property
    def resolution(self) -> list[str]:
        """The options by which uv chooses the versions; none of them is built from source, or one that is no release yet."""
        chosen = {LOWEST: ["--resolution", "lowest-direct"], BETWEEN: ["--exclude-newer", DAY], NEWEST: []}
        return ["--no-build", "--prerelease", "disallow", *chosen[self.which]]


ENVIRONMENTS = tuple(Environment(python, which) for python in PYTHONS for which in (LOWEST, BETWEEN, NEWEST))


def requirements() -> list[str]:
    """Return what setup.py demands of tinygan's users and of its tests, but for the CUDA compilers, which no test here needs."""
    said: dict[str, Any] = {}
    stand_in = SimpleNamespace(setup=said.update, find_packages=lambda *args, **options: [])
    with mock.patch.dict(sys.modules, {"setuptools": stand_in}):
        made = runpy.run_path(str(ROOT / "setup.py"))
    return [*said["install_requires"], *made["TESTS"]]


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run uv, that of this Python's environment or else the one on the path. Raises NoEnvironment where there is none."""
    beside = Path(sys.executable).with_name("uv")
    command = str(beside) if beside.exists() else shutil.which("uv")
    if command is None:
        raise NoEnvironment("uv is not installed; make .venv/.test installs it")
    # as pip does, uv is to trust the certificates that the system trusts, such as those of a proxy at work
    environment = {"UV_NATIVE_TLS": "1", **os.environ}
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False, env=environment)


def find_python(version: str) -> str:
    """Return the path of a Python of that version on this machine. Raises NoEnvironment."""
    candidates = [shutil.which(f"python{version}"), sys.executable, *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        said = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True, check=False).stdout.strip()
        if said == version:
            return str(candidate)
    found = uv("python", "find", "--no-python-downloads", version)
    if found.returncode:
        raise NoEnvironment(f"there is no Python {version} on this machine; `uv python install {version}` brings it")
    return found.stdout.strip()


def make(environment: Environment, folder: Path) -> Path:
    """Make an environment from nothing in `folder` and return its Python. Raises NoEnvironment."""
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    steps = (
        ("venv", "--quiet", "--python", find_python(environment.python), str(folder)),
        ("pip", "install", "--quiet", "--python", str(python), *environment.resolution, *requirements()),
    )
    for step in steps:
        done = uv(*step)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise NoEnvironment(" ".join(done.stderr.split())[-600:])
    return python


def installed(python: Path) -> dict[str, str]:
    """Return the versions of Python and of the packages in NAMED that an environment has."""
    listed = json.loads(uv("pip", "list", "--format=json", "--python", str(python)).stdout)
    have = {package["name"]: package["version"] for package in listed}
    said = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {"python": said, **{name: have[name] for name in NAMED if name in have}}


def variables(**more: str) -> dict[str, str]:
    """Return this process's environment variables with this checkout to import from, and more."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))), **more}


def run_tests(python: Path, tests: tuple[str, ...]) -> dict[str, Any]:
    """Run tests with that Python. Returns what `outcome` makes of pytest's record, and the seconds. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.xml"
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={record}", *tests]
        begun = time.perf_counter()
        own = variables(NUMBA_CACHE_DIR=str(python.parents[1] / "numba"))
        done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
        if not record.exists():
            raise RuntimeError(f"pytest left no record:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return {**outcome(record.read_text()), "seconds": round(time.perf_counter() - begun)}


def made_on() -> dict[str, Any]:
    """Return the commit, the day and the processor of a part of the record."""
    return {name: value for name, value in stamp().items() if name in ("commit", "date", "cpu")}


def tried(environment: Environment, tests: tuple[str, ...]) -> dict[str, Any]:
    """Make an environment, run its tests, and return its part of the record; {"missing": why} where it cannot be made."""
    made = made_on()
    try:
        python = make(environment, CACHE / environment.name)
    except NoEnvironment as error:
        return {**made, "missing": str(error)}
    own = variables(NUMBA_CACHE_DIR=str(python.parents[1] / "numba"))
    extent = "all" if tests == WHOLE else "a part"
    return {**made, "versions": installed(python), "tests": extent, **run_tests(python, tests), "train": trained(python, own)}


def trained(python: Path, own: dict[str, str]) -> dict[str, Any]:
    """Train a GAN for 20 steps on the CPU's kernels, from the command line. Returns what `command` does."""
    with tempfile.TemporaryDirectory() as folder:
        row = command(python, own, "train", "ring", "--steps", "20", "--out", f"{folder}/run")
        return row if row["code"] else {**row, "said": "20 steps"}


def command(python: Path, own: dict[str, str], *arguments: str, module: str = "tinygan") -> dict[str, Any]:
    """Run a command of tinygan with that Python. Returns its exit code and its last line, of stderr where it failed with one."""
    words = [str(python), "-m", module, *arguments]
    done = subprocess.run(words, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr if done.returncode else done.stdout
    return {"code": done.returncode, "said": (said.strip().splitlines() or [""])[-1]}


# ---- other processors -----------------------------------------------------------------------------------------------------------

# What NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are set to. Without the second one Numba adds the features of this machine.
TARGETS: dict[str, dict[str, str]] = {
    "generic": {"NUMBA_CPU_NAME": "generic"},
    "haswell": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
    "skylake-avx512": {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": ""},
    "znver4": {"NUMBA_CPU_NAME": "znver4", "NUMBA_CPU_FEATURES": ""},
    "aarch64": {"NUMBA_CPU_NAME": "generic"},  # compiled for 64-bit ARM beside (arm_process.py)
}


def tried_target(name: str) -> dict[str, Any]:
    """Verify the CPU's kernels compiled for a processor, train 20 steps with them, and return its part of the record.

    What is compiled for 64-bit ARM is verified with ARM's vectors, as code for x86-64, and nothing is trained with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        own, python = variables(NUMBA_CACHE_DIR=folder, **TARGETS[name]), Path(sys.executable)
        if name == "aarch64":
            return {**made_on(), "verify": command(python, own, module="benchmarks.environments.arm_process")}
        return {**made_on(), "verify": command(python, own, "kernels", "verify"), "train": trained(python, own)}


# ---- the small part that `make test` runs ---------------------------------------------------------------------------------------


def first_found(versions: Sequence[str]) -> str:
    """Return the first of these versions of Python that this machine has. Raises NoEnvironment."""
    for version in versions:
        with suppress(NoEnvironment):
            find_python(version)
            return version
    raise NoEnvironment(f"this machine has no Python {', '.join(versions)}; `uv python install {versions[0]}` brings one")


def run_lowest(pythons: Sequence[str], ci: bool, sweep: bool = False) -> int:
    """Run SMALL and promotion.SMALL with the lowest versions, on the first of these Pythons that is here. Returns an exit code.

    Where no environment can be made, as without a network, nothing is run, a line says why, and the code is 0, but 1 if `ci`.
    sweep: run promotion.ALL instead of both.
    """
    try:
        python = lowest(pythons)
    except NoEnvironment as error:
        print(f"the lowest versions were NOT tried: {error}")
        return 1 if ci else 0
    versions = installed(python)
    print("the lowest versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)
    own = variables(NUMBA_CACHE_DIR=str(python.parents[1] / "numba"))
    if sweep:
        return promotion.sweep(python, own, ROOT, promotion.ALL)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *IN_TWO, *SMALL]
    code = subprocess.run(command, cwd=ROOT, env=own, check=False).returncode
    return promotion.sweep(python, own, ROOT) or code


def lowest(pythons: Sequence[str]) -> Path:
    """Return the Python of the environment that is kept, which is made anew after setup.py changed. Raises NoEnvironment."""
    environment = Environment(first_found(pythons), LOWEST)
    folder = CACHE / f"test-{environment.name}"
    stored, wanted = folder / "made-for.json", json.dumps([requirements(), environment.resolution])
    if not stored.exists() or stored.read_text() != wanted:
        make(environment, folder)
        stored.write_text(wanted)
    return folder / "bin" / "python"


# ---- the page -------------------------------------------------------------------------------------------------------------------


def section(record: Mapping[str, Any]) -> str:
    """Return the tables of the versions and of the processors, and what failed."""
    short = {"numpy": "NumPy", "numba": "Numba", "scipy": "SciPy", "scikit-learn": "scikit-learn", "matplotlib": "Matplotlib",
             "typer": "Typer"}  # fmt: skip
    head = ["Python", "versions", *short.values(), "tests", "passed", "skipped", "failed", "`train ring --steps 20`"]
    found = record["environments"]
    rows, notes, later = [], [], []
    for environment in ENVIRONMENTS:
        row = found.get(environment.name)
        if row is None or "missing" in row:
            rows.append([environment.python, environment.which, *["–"] * len(short), "not run", "", "", "", ""])
            if row is None:
                later.append(f"{environment.python} {environment.which}")
            else:
                notes.append(f"- Python {environment.python}, {environment.which}: {row['missing']}")
            continue
        counts = [str(row["passed"]), str(sum(row["skipped"].values())), str(len(row["failed"]))]
        used = (row["versions"].get(key, "–") for key in short)
        rows.append([row["versions"]["python"], environment.which, *used, row["tests"], *counts, _told(row["train"])])
        notes += [f"- Python {environment.python}, {environment.which}: `{test}`" for test in row["failed"]]
    if later:
        notes.append(f"- Python {', '.join(later)}: left out so far, for want of time; `make versions` runs them.")
    parts = [table(head, rows)]
    if notes:
        parts.append("What failed or was not run:\n\n" + "\n".join(notes))
    head = ["compiled for", "`NUMBA_CPU_FEATURES`", "`tinygan kernels verify`", "`tinygan train ring --steps 20`"]
    parts.append(table(head, _targets(record)))
    made = [*found.values(), *record["targets"].values()]
    machines = ", ".join(dict.fromkeys(row["cpu"] for row in made))
    commits = "; ".join(dict.fromkeys(f"commit {row['commit']}, {row['date']}" for row in made))
    return "\n\n".join([*parts, f"On {machines}; {commits}."])


def _targets(record: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, variables_of in TARGETS.items():
        row = record["targets"].get(name)
        cells = ["not run", ""] if row is None else [_told(row[part]) if part in row else "–" for part in ("verify", "train")]
        yield [f"`{name}`", "empty" if "NUMBA_CPU_FEATURES" in variables_of else "not set", *cells]


def _told(part: Mapping[str, Any]) -> str:
    return f"exit code {part['code']}: {part['said']}" if part["code"] else part["said"]


def is_right(row: Mapping[str, Any]) -> bool:
    """Return whether nothing failed; an environment that could not be made has failed nothing."""
    return not row.get("failed") and all(row[part]["code"] == 0 for part in ("verify", "train") if part in row)


def main(arguments: list[str] | None = None) -> int:
    jobs: dict[str, tuple[str, Callable[[tuple[str, ...]], dict[str, Any]]]] = {
        **{e.name: ("environments", lambda tests, e=e: tried(e, tests)) for e in ENVIRONMENTS},
        **{name: ("targets", lambda tests, name=name: tried_target(name)) for name in TARGETS},
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(jobs), help="only these; the record keeps the others")
    parser.add_argument("--whole", action="store_true", help="all tests that need no GPU, not a part of them")
    parser.add_argument("--lowest", action="store_true", help="a small part with the lowest versions, without a record")
    parser.add_argument("--sweep", action="store_true", help="with the lowest versions: where does NumPy 1 differ from NumPy 2?")
    parser.add_argument("--python", nargs="+", default=OLD, choices=PYTHONS, help="of these two: the first that is here")
    args = parser.parse_args(arguments)
    if args.lowest or args.sweep:
        return run_lowest(args.python, ci=bool(os.environ.get("CI")), sweep=args.sweep)
    wrong = 0
    for name, (kind, job) in jobs.items():
        if args.only is None or name in args.only:
            row = job(WHOLE if args.whole else PART)
            wrong += not is_right(row)
            print(f"{name}: {_line(row)}", flush=True)
            keep(kind, name, row, list(jobs))
    return 1 if wrong else 0


def keep(kind: str, name: str, row: dict[str, Any], order: list[str]) -> None:
    """Put a row into the record, in that order of names. A row that could not be measured replaces none that was."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"environments": {}, "targets": {}}
    before = record[kind].get(name)
    if "missing" not in row or before is None or "missing" in before:
        record[kind][name] = row
    for part, rows in record.items():
        record[part] = {key: rows[key] for key in order if key in rows}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def _line(row: Mapping[str, Any]) -> str:
    """Return what came out, in one line."""
    if "missing" in row:
        return f"not run: {row['missing']}"
    if "verify" in row:
        return "; ".join(_told(row[part]) for part in ("verify", "train") if part in row)
    counts = f"{row['passed']} passed, {len(row['failed'])} failed, {sum(row['skipped'].values())} skipped, {row['seconds']} s"
    return f"{counts}; {_told(row['train'])}"


if __name__ == "__main__":
    sys.exit(main())

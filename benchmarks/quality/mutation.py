"""Mutation testing: `python -m benchmarks.quality.mutation [GROUP | FILE ...] [--json FILE]`, which `make mutation` calls.

mutmut (github.com/boxed/mutmut) changes one thing at a time in a copy of the code (a number, an operator, an argument, a value that
is assigned) and runs the tests that reach the function, in a process forked from one in which everything is loaded. A change that
no test notices survives. The score of a file is the share of its mutants that tests kill; mutants that are equivalent, whose code
does the same, do not count.

What survives is listed in SURVIVORS (survivors.json), by file, each with the reason why no test kills it, and with whether it is
equivalent. The command fails where a mutant survives that is not listed, where one is listed that does not survive (a test kills it
now, or the line has changed), and where a group's score is below LEAST.

Not changed, as tests should leave it free: whatever stands in a `raise` (the wording of errors), lines that are a text of several
words, docstrings, annotations, `__repr__` and `__str__`. mutmut also leaves out what is not in a function, and functions with a
decorator: their faults are planted by hand (benchmarks/quality/planted/).

A mutant may take 10 times as long as its tests do and 40 seconds, and a single test 10 times as much of the processor's time and
10 seconds; it counts as killed if it takes longer. The record names the commit at which each file was measured.

`--sample 400 --seed 1` tries so many mutants only, drawn at random from all mutants of the named groups and files together, and
gives the score with its 95 % interval (Wilson 1927). The sanitizer has some four thousand mutants, which take hours. `--again`
tries the survivors of that sample with the tests of today: the score stays that of the sample, as tests that were written for
its survivors say little about other mutants.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.mutation_session import CHANGED
from benchmarks.quality.planted.sanitizer_faults import TESTS as OF_SANITIZER
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks/results/mutation.json"
SURVIVORS = Path(__file__).with_name("survivors.json")
LEAST = 0.95  # of the mutants that are not equivalent, in each group
SPINNER = tuple("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
KILLED = ("killed", "timeout", "segfault", "suspicious")
Change = dict[str, str]  # of a mutant: its function, and the changed lines before and after, each side on one line
Row = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Files that are changed, and the tests that have to notice. Both are paths from the project's root."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


SANITIZER = "kernels/tinygan_kernels/emulator/sanitizer"
GROUPS = {
    "game": Group(
        tuple(f"tinygan/game/{name}.py" for name in (
            "moves", "objectives", "packing", "penalties", "readings", "remedies", "rules", "unrolled")),
        ("tests/tinygan/game",),
    ),
    "optim": Group(("tinygan/optim.py",), ("tests/tinygan/test_optim.py",)),
    "checkpoint": Group(
        ("tinygan/training/checkpoint.py", "tinygan/training/state.py"),
        tuple(f"tests/tinygan/training/test_{name}.py" for name in ("checkpoint", "state", "state_limits")),
    ),
    "sanitizer": Group(
        tuple(f"{SANITIZER}/{name}.py" for name in (
            "chunk", "extents", "findings", "frames", "initialisation", "knowledge", "messages", "order", "races", "strength")),
        OF_SANITIZER,
    ),
    "meetings": Group(
        tuple(f"{SANITIZER}/{name}.py" for name in ("clusters", "collectives", "copies", "mbarriers")),
        (*OF_SANITIZER, *(f"tests/tinygan_kernels/emulator/test_{name}.py" for name in ("clusters", "mbarriers", "bulk_copies"))),
    ),
    "metrics": Group(
        tuple(f"tinygan/measure/{name}.py" for name in ("metrics", "densities", "best_d")),
        tuple(f"tests/tinygan/measure/test_{name}.py" for name in ("metrics", "distances", "densities", "best_d")),
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"groups or their files, all by default; {', '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, default=RECORD, help="the record, which is completed or renewed")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants at random; all, if left out")
    parser.add_argument("--seed", type=int, default=0, help="which N these are (0, if left out)")
    parser.add_argument("--again", action="store_true", help="try those of the recorded sample again that survived")
    parser.add_argument("--children", type=int, default=1, metavar="N", help="how many are tried at a time (1, if left out)")
    arguments = parser.parse_args()
    known = {*GROUPS, *(source for group in GROUPS.values() for source in group.sources)}
    if unknown := set(arguments.names) - known:
        parser.error(f"there is no group and no file {min(unknown)!r}; there are {', '.join(GROUPS)} and their files")
    wanted = {name: [source for source in group.sources if not arguments.names or {name, source} & set(arguments.names)]
              for name, group in GROUPS.items()}
    if arguments.again and (arguments.names or arguments.sample is not None):
        parser.error("--again tries the survivors of the whole recorded sample: leave out names and --sample")
    if min(arguments.children, 1 if arguments.sample is None else arguments.sample) < 1:
        parser.error("--children and --sample have to be at least 1")
    if arguments.again:
        return again(arguments.children, arguments.json)
    if arguments.sample is not None:
        some = {name: sources for name, sources in wanted.items() if sources}
        return sampled(some, arguments.sample, arguments.seed, arguments.children, arguments.json)
    problems: list[str] = []
    for name, group in GROUPS.items():
        if sources := wanted[name]:
            record = json.loads(arguments.json.read_text()) if arguments.json.exists() else {"files": {}}
            record["files"] |= measured(name, sources, arguments.children)
            arguments.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            rows = {source: record["files"][source] for source in group.sources if source in record["files"]}
            print(told(name, rows), flush=True)
            problems += problems_of(name, {source: rows[source] for source in sources}, reasons())
    print("\n".join(problems))
    return bool(problems)


def reasons() -> dict[str, dict[tuple[str, str, str], Row]]:
    """Return the listed survivors of each file, by what names them: each with its reason, and whether it is equivalent."""
    listed = json.loads(SURVIVORS.read_text())
    return {source: {key(change): entry for entry in entries for change in entry["mutants"]} for source, entries in listed.items()}


def key(change: Mapping[str, str]) -> tuple[str, str, str]:
    """Return what names a mutant after lines around it have changed."""
    return change["function"], change["before"], change["after"]


def problems_of(name: str, rows: Mapping[str, Row], listed: Mapping[str, Mapping[tuple[str, str, str], Row]]) -> list[str]:
    """Return a line for each survivor that is not listed, for each that is listed and does not survive, and for a low score."""
    lines = []
    for source, row in rows.items():
        surviving, expected = {key(change) for change in row["survivors"]}, set(listed.get(source, {}))
        lines += [f"{source}: survives and is not listed in {SURVIVORS.name}: {before} -> {after}"
                  for _, before, after in sorted(surviving - expected)]
        lines += [f"{source}: is listed in {SURVIVORS.name} and does not survive: {before} -> {after}"
                  for _, before, after in sorted(expected - surviving)]
    if score(rows, listed) < LEAST:
        lines.append(f"{name}: {score(rows, listed):.1%} of the mutants are killed, it has to be {LEAST:.0%}")
    return lines


def score(rows: Mapping[str, Row], listed: Mapping[str, Mapping[tuple[str, str, str], Row]]) -> float:
    """Return the share of the mutants of some files that tests kill, without those that are listed as equivalent."""
    counting = killed = 0
    for source, row in rows.items():
        same = sum(listed.get(source, {}).get(key(change), {}).get("equivalent", False) for change in row["survivors"])
        counting, killed = counting + row["mutants"] - same, killed + row["killed"]
    return killed / max(counting, 1)


def told(name: str, rows: Mapping[str, Row]) -> str:
    """Return a group's result in lines for a terminal."""
    listed = reasons()
    lines = [f"{name}: {score(rows, listed):.1%} killed of those that are not equivalent"]
    for source, row in rows.items():
        lines.append(f"  {source}: {row['killed']} of {row['mutants']} killed, {row['seconds']} s, commit {row['commit']}")
        for change in row["survivors"]:
            entry = listed.get(source, {}).get(key(change), {"reason": "no reason is listed"})
            lines.append(f"    {change['function']}: {entry['reason']}\n      - {change['before']}\n      + {change['after']}")
    return "\n".join(lines)


# ---- mutmut ---------------------------------------------------------------------------------------------------------------------


def measured(name: str, sources: list[str], children: int = 1) -> dict[str, Row]:
    """Try all mutants of some files of a group in a copy of the project, `children` at a time. Returns the record's row of each."""
    begun, now = time.perf_counter(), stamp()
    copy = Copy(name, sources)
    copy.make()
    copy.mutmut("run", "--max-children", str(children))
    states, rows = copy.states(), {}
    seconds = round(time.perf_counter() - begun)
    for source in sources:
        own = of_file(states, source)
        killed = sum(state in KILLED for state in own.values())
        survivors = [copy.change(mutant) for mutant, state in own.items() if state not in KILLED]
        rows[source] = {"group": name, "mutants": len(own), "killed": killed, "seconds": round(seconds * len(own) / len(states)),
                        "commit": now["commit"], "date": now["date"], "survivors": survivors}
    return rows


def of_file(states: Mapping[str, str], source: str) -> dict[str, str]:
    """Return the mutants of one file."""
    return {mutant: state for mutant, state in states.items() if mutant.partition(".x")[0] == module_of(source)}


def sampled(wanted: Mapping[str, list[str]], size: int, seed: int, children: int, path: Path) -> int:
    """Try a random sample of the mutants of some files, `children` at a time, and record it. Returns the command's exit code."""
    begun, now = time.perf_counter(), stamp()
    copies = {name: Copy(name, sources) for name, sources in wanted.items()}
    everything: dict[str, str] = {}  # mutant -> group
    for name, copy in copies.items():
        copy.make()
        everything |= dict.fromkeys(copy.names(), name)
    chosen, files = drawn(everything, size, seed), {}
    for name, copy in copies.items():
        states = copy.tried([mutant for mutant in chosen if everything[mutant] == name], children)
        for source in wanted[name]:
            own = of_file(states, source)
            survivors = [{**copy.change(mutant), "mutant": mutant} for mutant, state in own.items() if state not in KILLED]
            files[source] = {"group": name, "mutants": len(of_file(everything, source)), "tried": len(own),
                             "killed": len(own) - len(survivors), "survivors": survivors}
    record = json.loads(path.read_text()) if path.exists() else {"files": {}}
    record["sample"] = {"stamp": now, "seed": seed, "seconds": round(time.perf_counter() - begun), "files": files}
    return kept(record, path)


def again(children: int, path: Path) -> int:
    """Try the survivors of the recorded sample again, with the tests of today, and record which of them are killed now.

    Ends the program where there is no sample, and where a file has changed, so that mutmut's name stands for another mutant now.
    """
    record = json.loads(path.read_text()) if path.exists() else {}
    if "sample" not in record:
        raise SystemExit(f"{path} has no sample yet: --sample N draws one")
    rows, now = record["sample"]["files"], stamp()
    for name in sorted({row["group"] for row in rows.values()}):
        sources = [source for source, row in rows.items() if row["group"] == name]
        copy = Copy(name, sources)
        copy.make()
        names = set(copy.names())
        for source in sources:
            for each in rows[source]["survivors"]:
                if each["mutant"] not in names or key(copy.change(each["mutant"])) != key(each):
                    raise SystemExit(f"{source} has changed since the sample was drawn: {each['mutant']} is another mutant now; "
                                     "draw a sample anew")
        states = copy.tried([each["mutant"] for source in sources for each in rows[source]["survivors"]], children)
        for source in sources:
            for each in rows[source]["survivors"]:
                each["killed_since"] = now["commit"] if states[each["mutant"]] in KILLED else None
    return kept(record, path)


def kept(record: Mapping[str, Any], path: Path) -> int:
    """Write a record, print its sample, and return 1 where a mutant survives for which no reason is listed, else 0."""
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(told_of_sample(record["sample"]))
    listed = reasons()
    problems = [f"{source}: survives and is not listed in {SURVIVORS.name}: {change['before']} -> {change['after']}"
                for source, row in record["sample"]["files"].items() for change in row["survivors"]
                if not change.get("killed_since") and key(change) not in listed.get(source, {})]
    print("\n".join(problems))
    return bool(problems)


def drawn(mutants: Iterable[str], size: int, seed: int) -> list[str]:
    """Return `size` of the mutants, all if there are fewer; the same ones for the same mutants and seed."""
    ordered = sorted(mutants)
    return sorted(np.random.default_rng(seed).choice(ordered, min(size, len(ordered)), replace=False).tolist())


def interval(killed: int, tried: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, of which `killed` of `tried` were seen. (Wilson 1927, "Probable inference")"""
    if not tried:
        return 0.0, 1.0
    z = 1.959964
    middle, spread = killed + z * z / 2, z * math.sqrt(killed * (tried - killed) / tried + z * z / 4)
    return (middle - spread) / (tried + z * z), (middle + spread) / (tried + z * z)


def counted(sample: Row, listed: Mapping[str, Mapping[tuple[str, str, str], Row]]) -> tuple[int, int]:
    """Return how many mutants of a sample were killed, and how many were tried that are not listed as equivalent."""
    rows = sample["files"]
    same = sum(listed.get(source, {}).get(key(change), {}).get("equivalent", False)
               for source, row in rows.items() for change in row["survivors"])
    return sum(row["killed"] for row in rows.values()), sum(row["tried"] for row in rows.values()) - same


def told_of_sample(sample: Row) -> str:
    """Return a sample's result in lines for a terminal."""
    killed, tried = counted(sample, reasons())
    low, high = interval(killed, tried)
    since = sum(bool(change.get("killed_since")) for row in sample["files"].values() for change in row["survivors"])
    lines = [f"{killed} of {tried} killed, {killed / max(tried, 1):.1%} (95 % interval {low:.1%} to {high:.1%}), "
             f"in {sample['seconds']} s; {since} of the others by tests that were added since"]
    lines += [f"  {source}: {row['killed']} of {row['tried']} killed, of {row['mutants']} mutants"
              for source, row in sample["files"].items()]
    return "\n".join(lines)


def module_of(source: str) -> str:
    """Return the name of the module that a file holds."""
    return source.removeprefix("kernels/").removesuffix(".py").replace("/", ".")


class Copy:
    """A copy of the project in which mutmut changes files of one group. It stays, as compiled loops do, in .cache/mutation/."""

    def __init__(self, name: str, sources: list[str]) -> None:
        self.tests, self.folder = GROUPS[name].tests, ROOT / ".cache/mutation" / name
        self.sources = [source.removeprefix("kernels/") for source in sources]

    def make(self) -> None:
        """Copy the code, the group's tests and what they use, both packages side by side as mutmut wants it."""
        for part in ("tests", "tinygan", "tinygan_kernels", "benchmarks", "mutants"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
        hidden = shutil.ignore_patterns("__pycache__", "results")
        for source, place in (("tinygan", "tinygan"), ("kernels/tinygan_kernels", "tinygan_kernels"),
                              ("tests/support", "tests/support"), ("benchmarks", "benchmarks")):
            shutil.copytree(ROOT / source, self.folder / place, ignore=hidden)
        for test in self.tests:
            (shutil.copytree if (ROOT / test).is_dir() else shutil.copy)(ROOT / test, made_room(self.folder / test))
        for source in self.sources:
            path = self.folder / source
            path.write_text(with_pragmas(path.read_text()))
        shutil.copy(Path(__file__).with_name("mutation_session.py"), self.folder / "tests/conftest.py")
        (self.folder / "mutants").mkdir()  # where mutmut puts its code: Python would not look again on a path that was not there
        (self.folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + self.settings)

    @property
    def settings(self) -> str:
        """mutmut's settings. A text of several words on a line of its own is the wording of a message."""
        return "\n".join((
            "", "[tool.mutmut]", 'source_paths = ["tinygan", "tinygan_kernels"]', f"only_mutate = {json.dumps(self.sources)}",
            f"pytest_add_cli_args_test_selection = {json.dumps(self.tests)}", 'also_copy = ["benchmarks"]',
            'pytest_add_cli_args = ["-p", "no:cacheprovider", "--hypothesis-seed=0"]',
            "do_not_mutate_patterns = ['^\\s*f?\"[^\"]* [^\"]*\",?$']", "timeout_multiplier = 10.0", "timeout_constant = 4.0",
            "use_git_change_detection = false", "",
        ))  # fmt: skip

    def names(self) -> list[str]:
        """Return mutmut's names of all mutants, which it makes before it notices that there is none of the name that it is told."""
        self.mutmut("run", "--max-children", "1", "none", fails=True)
        return list(self.states())

    def tried(self, mutants: list[str], children: int) -> dict[str, str]:
        """Try some mutants, `children` at a time, and return what became of each."""
        if mutants:
            self.mutmut("run", "--max-children", str(children), *mutants)
        return {mutant: state for mutant, state in self.states().items() if mutant in mutants}

    def mutmut(self, *arguments: str, fails: bool = False) -> str:
        """Run mutmut in the copy, with one thread, and return what it prints. Ends the program if it fails, unless it `fails`."""
        one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        own = {"NUMBA_CACHE_DIR": str(self.folder / "numba"), "PYTHONPATH": str(self.folder / "mutants"),
               CHANGED: ",".join(map(module_of, self.sources))}
        done = subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=self.folder, env={**os.environ, **one, **own},
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        printed = "\n".join(line for line in done.stdout.splitlines() if line[:1] not in SPINNER)
        if done.returncode and not fails:
            raise SystemExit(f"mutmut {arguments[0]} fails in {self.folder}:\n{printed[-5000:]}")
        return printed

    def states(self) -> dict[str, str]:
        """Return what became of each mutant, by mutmut's name of it."""
        lines = (line.strip().rsplit(": ", 1) for line in self.mutmut("results", "--all", "true").splitlines() if ": " in line)
        return {mutant: state for mutant, state in lines if "__mutmut_" in mutant}

    def change(self, mutant: str) -> Change:
        """Return what a mutant changes."""
        sides: dict[str, list[str]] = {"-": [], "+": []}
        for line in self.mutmut("show", mutant).splitlines():
            if line[:1] in sides and not line.startswith(("---", "+++")):
                sides[line[0]].append(line[1:].strip())
        function = re.sub(r"\.x_|\.xǁ|ǁ", ".", mutant.partition("__mutmut_")[0])
        return {"function": function, "before": " ".join(sides["-"]), "after": " ".join(sides["+"])}


def made_room(path: Path) -> Path:
    """Return the path after its folder was made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def with_pragmas(source: str) -> str:
    """Return a module's source with marks by which mutmut leaves alone what stands in a `raise`, `__repr__` and `__str__`."""
    lines = source.splitlines()
    for first, last in sorted(_untouched(ast.parse(source)), reverse=True):
        indent = re.match(r"\s*", lines[first - 1])[0]  # type: ignore[index]  # matches everywhere
        lines.insert(last, f"{indent}# pragma: no mutate end")
        lines.insert(first - 1, f"{indent}# pragma: no mutate start")
    return "\n".join(lines) + "\n"


def _untouched(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of each statement that is left as it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("__repr__", "__str__"):
            yield from ((part.lineno, part.end_lineno or part.lineno) for part in node.body if not isinstance(part, ast.Raise))
        elif isinstance(node, ast.Raise):
            yield node.lineno, node.end_lineno or node.lineno


if __name__ == "__main__":
    sys.exit(main())

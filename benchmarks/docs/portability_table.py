"""The one table of docs/environments.md that says on what tinygan was run: processors, versions of Python and NumPy, CUDA toolkits.

It is made of the records that benchmarks/environments/ writes: versions.json, portable_arm.json, toolkits.json and beside.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinygan_kernels import KERNELS

from benchmarks.docs.markdown import table
from benchmarks.environments.toolkits import wrong_with

Record = dict[str, Any]
HEAD = ["what", "where", "what was run", "right", "wrong", "not run"]
PROCESSORS = {
    "generic": "any x86-64 (registers of 16 bytes)",
    "haswell": "AVX2",
    "skylake-avx512": "AVX-512, Intel's",
    "znver4": "AVX-512, AMD's",
    "aarch64": "64-bit ARM, compiled",
}
PYTHONS, NUMPYS = ("3.10", "3.11", "3.12", "3.13", "3.14"), ("1", "2")


def portability(records: Mapping[str, Record]) -> str:
    """Return the table. records: those four, by the name of their file without ".json"."""
    versions, arm, toolkits, beside = (records[name] for name in ("versions", "portable_arm", "toolkits", "beside"))
    rows = [
        *_processors(versions["targets"]), _emulated_arm(arm),
        *_groups("Python", PYTHONS, "python", versions["environments"]),
        *_groups("NumPy", NUMPYS, "numpy", versions["environments"]),
        *_toolkits(toolkits), *(_environment(row) for row in beside["environments"].values()),
    ]
    parts = [*versions["targets"].values(), *versions["environments"].values(), arm["train"], *arm["verify"].values(),
             *(row for kind in toolkits.values() for row in kind.values()), *beside["environments"].values()]
    days = sorted({row["date"] for row in parts})
    return f"{table(HEAD, rows)}\n\nTried from {days[0]} to {days[-1]}, each part on the commit that its own table names."


def _processors(targets: Mapping[str, Record]) -> Iterator[list[str]]:
    """Yield a row for each processor that kernels are compiled for on one machine."""
    for name, title in PROCESSORS.items():
        row = targets.get(name)
        if row is None:
            yield [title, f"`NUMBA_CPU_NAME={name}`", "nothing", "", "", "all of it"]
            continue
        here = f"compiled for ARM, and run with its widths on {row['cpu']}" if name == "aarch64" else (
            f"`NUMBA_CPU_NAME={name}` on {row['cpu']}")
        parts = [part for part in ("verify", "train") if part in row]
        right = [row[part]["said"].split(" with ")[0] for part in parts if not row[part]["code"]]
        wrong = [f"`{part}`: {row[part]['said']}" for part in parts if row[part]["code"]]
        yield [title, here, "`kernels verify`" + (", `train ring --steps 20`" if "train" in row else ""), "; ".join(right),
               "; ".join(wrong) or "nothing", "the tests" if "train" in row else "the tests, training"]


def _emulated_arm(record: Record) -> list[str]:
    """Return the row of 64-bit ARM under QEMU. Kernels were verified by words in their names; "all" stands for every kernel."""
    tried = record["verify"]
    left = [name for name in KERNELS if "all" not in tried and not any(word in name for word in tried)]
    wrong = [line for row in [*tried.values(), record["train"]] if row["code"] for line in row["said"]]
    right = f"{len(KERNELS) - len(left)} of {len(KERNELS)} kernels" + ("" if record["train"]["code"] else "; 20 steps")
    return ["64-bit ARM, executed", f"QEMU's emulated processor, NumPy {record['train']['versions']['numpy']}",
            "`kernels verify`, `train ring --steps 20`", "see wrong" if wrong else right, "; ".join(wrong) or "nothing",
            ", ".join(["the tests", *(f"`{name}`" for name in left)])]


def _groups(title: str, values: Iterable[str], package: str, environments: Mapping[str, Record]) -> Iterator[list[str]]:
    """Yield a row for each version of Python or major version of NumPy: all environments that have it, together."""
    for value in values:
        rows = {name: row for name, row in environments.items() if row.get("versions", {}).get(package, "").startswith(f"{value}.")}
        if not rows:
            yield [f"{title} {value}", "no environment", "nothing", "", "", "all of it"]
            continue
        found = sorted({tuple(map(int, row["versions"][package].split("."))) for row in rows.values()})
        exact = " to ".join(dict.fromkeys(".".join(map(str, found[i])) for i in (0, -1)))
        whole = [name for name, row in rows.items() if row["tests"] == "all"]
        passed, failed = sum(row["passed"] for row in rows.values()), sum(len(row["failed"]) for row in rows.values())
        untrained = [name for name, row in rows.items() if row["train"]["code"]]
        wrong = [f"{failed} tests"] if failed else []
        yield [
            f"{title} {value}", f"{exact}, in {len(rows)} environments",
            f"tests ({_extent(whole, rows)}), `train ring --steps 20`",
            f"{passed:,} tests; 20 steps in {len(rows) - len(untrained)} of them",
            "; ".join([*wrong, *(f"training in `{name}`" for name in untrained)]) or "nothing",
            "tests that need CUDA's compilers or a GPU" if len(whole) == len(rows) else "the other tests",
        ]


def _extent(whole: list[str], rows: Mapping[str, Record]) -> str:
    if not whole:
        return "a part"
    return "all" if len(whole) == len(rows) else f"all in {', '.join(f'`{name}`' for name in whole)}, a part in the others"


def _toolkits(found: Record) -> Iterator[list[str]]:
    """Yield a row for each kind of CUDA compiler."""
    nvrtc = sorted(found["toolkits"].values(), key=lambda row: tuple(map(int, row["version"].split("."))))
    files = sum(len(row["compiled"]) * len(row["archs"]) for row in nvrtc)
    wrong = [fault for row in nvrtc for fault in wrong_with(row)]
    yield ["NVRTC", f"{len(nvrtc)} toolkits, {nvrtc[0]['version']} to {nvrtc[-1]['version']}",
           f"every .cu file for every architecture: {files} times to PTX, {files} times to machine code",
           "all" if not wrong else "see wrong", "; ".join(wrong) or "nothing", "the machine code, for want of a GPU"]
    for version, row in found["nvcc"].items():
        yield ["nvcc", version, f"every .cu file for {len(row['archs'])} architectures",
               "all" if not row["failures"] else "see wrong", "; ".join(row["failures"]) or "nothing",
               "the machine code, for want of a GPU"]
    numba = found["numba"].values()
    compiled, tried = sum(row["compiled"] for row in numba), sum(row["tried"] for row in numba)
    unverified = [row["version"] for row in numba if "verified" not in row]
    yield ["Numba CUDA", f"toolkits {', '.join(sorted(row['version'] for row in numba))}",
           "every kernel for every architecture to PTX; `kernels verify` on the emulator", f"{compiled} of {tried} to PTX",
           "; ".join(fault for row in numba for fault in row["failures"]) or "nothing",
           f"the emulator with {' and '.join(unverified)}" if unverified else "the machine code, for want of a GPU"]


def _environment(row: Record) -> list[str]:
    """Return the row of an environment beside other packages."""
    skipped = sum(row["skipped"].values())
    return [f"beside {row['title']}", f"Python {row['python']}, NumPy {row['versions']['numpy']}", "the tests that know CUDA",
            f"{row['passed']:,} tests", f"{len(row['failed'])} tests" if row["failed"] else "nothing",
            f"{skipped} of those, which were skipped; the other tests" if skipped else "the other tests"]

"""The tables of docs/environments.md on CUDA toolkits, from the record that benchmarks/environments/toolkits.py makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.docs.markdown import table
from benchmarks.environments.toolkits import wrong_with

Record = dict[str, Any]


def toolkits(found: Record) -> str:
    """Return the table of what each compiler made of the .cu files, and with which packages."""
    head = ["compiler", "architectures", "files to PTX", "files to machine code", "own headers", "headers of host code", "wrong"]
    programs = found.get("programs", {})
    of_host = {row["version"]: programs[name] for name, row in found["toolkits"].items() if name in programs}
    rows = [_nvrtc_row(row, of_host.get(row["version"])) for row in _by_version(found["toolkits"].values())]
    rows += [_nvcc_row(version, row) for version, row in found["nvcc"].items()]
    made = [*found["toolkits"].values(), *programs.values(), *found["nvcc"].values()]
    return f"{table(head, rows)}\n\n{_when(made)}"


def _nvrtc_row(row: Record, programs: Record | None) -> list[str]:
    every = len(row["compiled"]) * len(row["archs"])
    done = [f"{every - sum(f' to {form} for ' in line for line in row['failures'])} of {every}" for form in ("ptx", "cubin")]
    package = next((f"{name} {v}" for name, v in row["packages"].items() if "nvrtc" in name), "")
    headers = ", ".join(f"without `{name}`" for name, error in row["headers"].items() if error) or "all"
    name = f"NVRTC {row['version']} ({package})"
    return [name, _archs(row["archs"]), *done, headers, _of_host(programs), _wrong(wrong_with(row))]


def _of_host(programs: Record | None) -> str:
    """Return with how many of the emulator's headers for host code the compiler compiles a program."""
    if programs is None:
        return "not tried"
    lacks = sum(map(bool, programs["headers"].values()))
    return f"{len(programs['headers']) - lacks} of {len(programs['headers'])}" if lacks else "all"


def _nvcc_row(version: str, row: Record) -> list[str]:
    """nvcc is given all architectures at once, so a file counts for all of them or for none."""
    archs = len(row["archs"])
    done = f"{(row['files'] - len(row['failures'])) * archs} of {row['files'] * archs}"
    return [f"nvcc {version}", _archs(row["archs"]), done, done, "not tried", "not tried", _wrong(row["failures"])]


def _by_version(rows: Iterable[Record]) -> list[Record]:
    return sorted(rows, key=lambda row: tuple(map(int, row["version"].split("."))))


def _archs(archs: list[int]) -> str:
    return f"{len(archs)}: sm_{archs[0]} to sm_{archs[-1]}"


def _wrong(faults: list[str]) -> str:
    return "; ".join(faults) or "nothing"


def _when(rows: Iterable[Record]) -> str:
    commits = dict.fromkeys(f"commit {row['commit']}, {row['date']}" for row in rows)
    return f"Tried on {'; '.join(commits)}."


def architectures(found: Record) -> str:
    """Return the table of what the kernels take on each architecture, the most over all compilers that offer it."""
    rows: dict[int, list[Record]] = {}
    for each in found["toolkits"].values():
        for arch, kept in each["kernels"].items():
            rows.setdefault(int(arch), []).append(kept)
    head = ["architecture", "compilers", "kernels", "most registers", "most shared memory", "spills", "blocks of `matmul` 5"]
    lines = [[f"sm_{arch}", str(len(each)), *_most(each)] for arch, each in sorted(rows.items())]
    return f"{table(head, lines)}\n\n{_when(found['toolkits'].values())}"


def _most(each: list[Record]) -> list[str]:
    """Return the cells of an architecture: the most that any of the compilers takes."""
    names = ("kernels", "registers", "shared", "spilled")
    kernels, registers, shared, spilled = (max(kept[name] for kept in each) for name in names)
    blocks = " or ".join(sorted({str(kept["v5_blocks"]) for kept in each}))
    return [str(kernels), str(registers), f"{shared:,} bytes", f"{spilled} bytes", blocks]


def numba(found: Record) -> str:
    """Return the table of Numba's kernels with each toolkit, and of the verifications on the emulator."""
    rows = found["numba"]
    head = ["installed", "NVRTC", "kernels to PTX", "`verify` cupy, emulated", "`verify` numba-cuda, emulated", "wrong"]
    lines = [
        [f"{_installed(row)}", row["version"], f"{row['compiled']} of {row['tried']}",
         *(_verified(row, backend) for backend in ("cupy", "numba-cuda")), _wrong([*row["failures"], *_wrong_versions(row)])]
        for row in _by_version(rows.values())
    ]  # fmt: skip
    return f"{table(head, lines)}\n\n{_when(rows.values())}"


def _installed(row: Record) -> str:
    versions = {name: row["packages"].get(name, "?") for name in ("numba-cuda", "numba", "cuda-bindings")}
    return f"`{' '.join(row['requirements'])}`: " + ", ".join(f"{name} {version}" for name, version in versions.items())


def _verified(row: Record, backend: str) -> str:
    made = row.get("verified", {}).get(backend)
    return f"{made['right']} of {made['of']} right" if made else "not run"


def _wrong_versions(row: Record) -> list[str]:
    return [line for made in row.get("verified", {}).values() for line in made["wrong"]]

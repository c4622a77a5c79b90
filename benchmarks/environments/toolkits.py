"""Every CUDA kernel with every CUDA toolkit: `python -m benchmarks.environments.toolkits [--only 12.0 newest ...] [--json FILE]`

The packages are fetched by pip into the cache folder (cache.py), each toolkit into a folder of its own. What is done with them:

- every .cu file is compiled by each NVRTC, in a process of its own, for every architecture that it offers from sm_70 on: to PTX
  with the options of the emulator, to a cubin with those that CuPy passes. The cubin's registers, spills and shared memory, and the
  PTX's launch bounds, are checked against what the architecture allows (profiling/static_checks.py);
- small kernels that include NVIDIA's headers are compiled with each toolkit's own headers, and small programs that include one of
  the emulator's headers for host code (`<vector>` and the like) as the emulator compiles host code;
- nvcc compiles every .cu file where one is installed;
- in environments with Numba CUDA for CUDA 12 and for CUDA 13, oldest and newest, Numba's kernels are compiled for every
  architecture, and the oldest and the newest run `tinygan kernels verify` on the emulator, whole, for both CUDA backends.

It takes about an hour of one core, `--only programs` some minutes. A record that is there already is kept but for what was tried
again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygan_kernels.cuda.cpp.entries import FOLDER
from tinygan_kernels.cuda.cpp_backend import OPTIONS
from tinygan_kernels.emulator.host import nvrtc, toolkit
from tinygan_kernels.emulator.host.headers import HEADERS as BROUGHT
from tinygan_kernels.emulator.program import program
from tinygan_kernels.profiling import static_checks
from tinygan_kernels.profiling.architectures import ARCHITECTURES

from benchmarks.environments import cache
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).resolve().parents[2]
OLDEST_ARCHITECTURE = 70  # older ones lack what the kernels use: independent threads of a warp
PARTS = "nvrtc,cudart,cccl"
# CuPy's options beside ours: it flushes denormals, and compiles to machine code for the GPU that is there (cupy/cuda/compiler.py)
CUBIN_OPTIONS = (*OPTIONS, "-ftz=true", "--gpu-architecture=sm_{arch}", "--ptxas-options=-v")
# Bytes of a spill that is no fault: ptxas parks a register or two over a loop, stored once before it and loaded once behind it, to
# keep one more block resident. conv2d_v2 of CUDA 13.0 on sm_120 is such a case, by its machine code.
PARKED = 8
HEADERS = ("cuda_fp16.h", "cuda_bf16.h", "cooperative_groups.h", "cuda/std/complex")


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit, by the release that pip is asked for; "newest" stands for what pip picks."""

    name: str

    @property
    def requirements(self) -> tuple[str, ...]:
        release = "" if self.name == "newest" else f"=={self.name}.*"
        return (f"cuda-toolkit[{PARTS}]{release}",)

    def place(self, fetch: bool = True, again: bool = False) -> Path | None:
        """Return the folder of its packages; None if they are not in the cache and `fetch` is False. Raises FetchError.

        again: install them anew, although they are there.
        """
        return cache.packages(f"cuda-{self.name}", self.requirements, fetch, again)


TOOLKITS = tuple(map(Toolkit, ("12.0", "12.1", "12.4", "12.6", "12.8", "12.9", "13.0", "13.1", "13.2", "newest")))


@dataclass(frozen=True)
class NumbaToolkit:
    """Numba CUDA with a CUDA toolkit, in an environment of its own. verified: whether the whole verification runs in it."""

    name: str
    requirements: tuple[str, ...]
    verified: bool = False


NUMBA_TOOLKITS = (
    NumbaToolkit("numba-cuda-12.0", ("numba-cuda[cu12]", "cuda-toolkit==12.0.*"), verified=True),
    NumbaToolkit("numba-cuda-12", ("numba-cuda[cu12]",)),
    NumbaToolkit("numba-cuda-13.0", ("numba-cuda[cu13]", "cuda-toolkit==13.0.*")),
    NumbaToolkit("numba-cuda-13", ("numba-cuda[cu13]",), verified=True),
)


# ---- NVRTC ----------------------------------------------------------------------------------------------------------------------


def sources() -> dict[str, str]:
    """Return {stem: text} of all .cu files."""
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.cu"))}


def nvrtc_library(place: Path) -> Path:
    """Return the libnvrtc below a folder. Raises FileNotFoundError."""
    found = [path for path in sorted(place.rglob("libnvrtc.so.*")) if ".alt." not in path.name]
    if not found:
        raise FileNotFoundError(f"there is no libnvrtc below {place}")
    return found[0]


def compilations(
    path: Path, texts: dict[str, str], forms: dict[str, Sequence[str]], archs: Sequence[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what nvrtc_process.py prints: the version and its architectures, then a dictionary for each compilation.

    Raises RuntimeError where the process ends with an error.
    """
    job = {"library": str(path), "sources": texts, "forms": {k: list(v) for k, v in forms.items()}, "oldest": OLDEST_ARCHITECTURE}
    job |= {} if archs is None else {"archs": list(archs)}
    command = [sys.executable, "-I", str(Path(__file__).with_name("nvrtc_process.py"))]
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as said:
        json.dump(job, given)
        given.seek(0)
        with subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            yield from map(json.loads, process.stdout)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{path}: the process with NVRTC ended with {process.returncode}\n{said.read()[-2000:]}")


def compile_everything(place: Path, archs: Sequence[int] | None = None) -> dict[str, Any]:
    """Compile all .cu files with the NVRTC below a folder, and check them. Returns the toolkit's part of the record.

    archs: some of the architectures, instead of all that this NVRTC offers from OLDEST_ARCHITECTURE on.
    """
    texts = sources()
    forms = {"ptx": nvrtc.flags(OPTIONS, "compute_{arch}", []), "cubin": CUBIN_OPTIONS}
    begun = time.perf_counter()
    first, *results = compilations(nvrtc_library(place), texts, forms, archs)
    failures = [f"{r['source']} to {r['form']} for sm_{r['arch']}: {first_error(r['log'])}" for r in results if not r["ok"]]
    compiled = {name: sum(r["ok"] for r in results if r["source"] == name) for name in texts}
    tried = len(results) // len(texts)
    return {
        "version": first["version"], "archs": first["archs"], "compiled": compiled, "tried": tried, "failures": failures,
        "kernels": checked(results), "headers": compile_headers(place), "seconds": round(time.perf_counter() - begun),
    }  # fmt: skip


def first_error(log: str) -> str:
    """Return the first line of a compiler's log that tells an error, or its first line; of a file in it, the name alone."""
    lines = [re.sub(r"^\S*/(?=[^/\s]+\(\d+\):)", "", line.strip()) for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")[:300]


def checked(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each architecture, how many kernels were checked, the most that one takes, and what is wrong with which."""
    found: dict[str, dict[str, Any]] = {}
    made = {(r["source"], r["arch"], r["form"]): r for r in results if r["ok"]}
    for (source, arch, form), row in made.items():
        cubin = made.get((source, arch, "cubin"))
        if form != "ptx" or cubin is None or arch not in ARCHITECTURES:
            continue
        kept = found.setdefault(str(arch), {"kernels": 0, "registers": 0, "shared": 0, "spilled": 0, "v5_blocks": 0, "faults": []})
        for kernel in static_checks.check(arch, row["ptx"], cubin["log"]):
            kept["kernels"] += 1
            kept["registers"] = max(kept["registers"], kernel.resources.registers)
            kept["shared"] = max(kept["shared"], kernel.resources.shared)
            kept["spilled"] += kernel.resources.spill_stores + kernel.resources.spill_loads
            kept["faults"] += [f"{kernel.kernel}: {fault}" for fault in kernel.faults]
            if kernel.kernel == "matmul_v5_nn":
                kept["v5_blocks"] = kernel.resident
    return found


def compile_headers(place: Path) -> dict[str, str]:
    """Return {header: "" or the compiler's error} of small kernels that include NVIDIA's headers, the toolkit's own."""
    path = nvrtc_library(place)
    version = next(compilations(path, {}, {}))["version"]
    folders = toolkit.header_folders(tuple(map(int, version.split("."))), [place / "nvidia"])
    texts = {header: f'#include <{header}>\nextern "C" __global__ void k(float* x) {{ x[0] = 1; }}' for header in HEADERS}
    _, *results = compilations(path, texts, {"ptx": nvrtc.flags(OPTIONS, "compute_{arch}", folders)}, archs=[80])
    return {r["source"]: "" if r["ok"] else first_error(r["log"]) for r in results}


def compile_programs(place: Path) -> dict[str, Any]:
    """Compile small programs as the emulator compiles host code, with the NVRTC and the headers below a folder.

    Returns {"version", "headers": {header of the host that a program includes: "" or the compiler's error}}.
    """
    path = nvrtc_library(place)
    version = next(compilations(path, {}, {}))["version"]
    texts = BROUGHT | program.program_headers()
    names = sorted(program.program_headers())
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text)
        found = toolkit.header_folders(tuple(map(int, version.split("."))), [place / "nvidia"])
        options = (*program.OPTIONS, "--pre-include=host_program.h", "--fmad=false", "-DHOST_CODE=1")
        forms = {"ptx": nvrtc.flags(options, "compute_{arch}", [folder, *found])}
        every = "".join(f"#include <{name}>\n" for name in names)
        _, together = compilations(path, {"every": f"{every}int main() {{ return 0; }}"}, forms, archs=[80])
        if together["ok"]:
            return {"version": version, "headers": dict.fromkeys(names, "")}
        alone = {name: f"#include <{name}>\nint main() {{ return 0; }}" for name in names}
        _, *results = compilations(path, alone, forms, archs=[80])
    headers = {r["source"]: "" if r["ok"] else first_error(r["log"]) for r in results}
    return {"version": version, "headers": headers if any(headers.values()) else {"all together": first_error(together["log"])}}


# ---- nvcc -----------------------------------------------------------------------------------------------------------------------


def compile_with_nvcc() -> dict[str, Any] | None:
    """Compile all .cu files with the nvcc on PATH, each for all of its architectures at once; None where there is no nvcc."""
    program = shutil.which("nvcc")
    if program is None:
        return None
    release = re.search(r"V([\d.]+)", subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout)
    listed = subprocess.run([program, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    archs = [number for number in map(int, re.findall(r"compute_(\d+)", listed)) if number >= OLDEST_ARCHITECTURE]
    wanted = [option for n in archs for option in ("-gencode", f"arch=compute_{n},code=[sm_{n},compute_{n}]")]
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(FOLDER.glob("*.cu")):
            command = [program, *OPTIONS, *wanted, "-fatbin", "-o", str(Path(folder) / "kernel.fatbin"), str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            failures += [f"{path.stem}: {first_error(done.stderr + done.stdout)}"] if done.returncode else []
    return {"version": release[1] if release else "unknown", "archs": archs, "files": len(sources()), "failures": failures}


# ---- Numba CUDA -----------------------------------------------------------------------------------------------------------------


def compile_numba(toolkit_wanted: NumbaToolkit) -> dict[str, Any]:
    """Compile Numba's kernels in an environment of that toolkit, and verify both backends there if it is to. Raises FetchError."""
    core = tuple(r for r in importlib.metadata.requires("tinygan") or () if "extra ==" not in r)
    python = cache.environment(toolkit_wanted.name, (*core, *toolkit_wanted.requirements))
    command = [str(python), "-m", "benchmarks.environments.numba_process"]
    done = subprocess.run(command, cwd=ROOT, env=_variables(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{toolkit_wanted.name}: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    found["requirements"] = list(toolkit_wanted.requirements)
    if toolkit_wanted.verified:
        found["verified"] = {backend: verified(python, backend) for backend in ("cupy", "numba-cuda")}
    return found


def verified(python: Path, backend: str) -> dict[str, Any]:
    """Run `tinygan kernels verify --emulate` with that Python. Returns how many versions are right, and which are wrong."""
    command = [str(python), "-m", "tinygan", "kernels", "verify", "--backend", backend, "--emulate"]
    done = subprocess.run(command, cwd=ROOT, env=_variables(), capture_output=True, text=True, check=False)
    summary = re.search(r"^(\d+) of (\d+) right$", done.stdout, re.MULTILINE)
    if summary is None:
        raise RuntimeError(f"{' '.join(command)} said no verdict:\n{(done.stdout + done.stderr)[-2000:]}")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    return {"right": int(summary[1]), "of": int(summary[2]), "wrong": wrong}


def _variables() -> dict[str, str]:
    """Return this process's variables, with which another Python imports this checkout."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}


# ---- the command ----------------------------------------------------------------------------------------------------------------


def wrong_with(row: dict[str, Any]) -> list[str]:
    """Return what is wrong with a toolkit's part of a record, a phrase each. A spill of at most PARKED bytes is not counted."""
    faults = [(arch, fault) for arch, kept in row["kernels"].items() for fault in kept["faults"]]
    return [*row["failures"], *(f"sm_{arch}: {fault}" for arch, fault in faults if not _parked(fault))]


def _parked(fault: str) -> bool:
    spill = re.search(r": spills (\d+) bytes and reads (\d+) back$", fault)
    return spill is not None and max(int(spill[1]), int(spill[2])) <= PARKED


def faults_of(record: dict[str, Any]) -> list[str]:
    """Return a line for everything in a record that is not as it should be."""
    found = [f"CUDA {name}: {phrase}" for name, row in record["toolkits"].items() for phrase in wrong_with(row)]
    found += [f"nvcc {name}: {failure}" for name, row in record["nvcc"].items() for failure in row["failures"]]
    for name, row in record["numba"].items():
        found += [f"{name}: {failure}" for failure in row["failures"]]
        found += [f"{name}, {backend}: {line}" for backend, v in row.get("verified", {}).items() for line in v["wrong"]]
    return found


def tried(names: Sequence[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Try toolkits by name, "programs", "nvcc", and names of NUMBA_TOOLKITS.

    Yields (part of the record, name, what was found).
    """
    for each in TOOLKITS:
        if each.name in names:
            place = each.place(again=each.name == "newest")
            row = compile_everything(place) | {"packages": cache.installed(place)}
            print(f"NVRTC {row['version']} ({each.name}): {row['compiled']} of {row['tried']} each, {row['seconds']} s", flush=True)
            yield "toolkits", each.name, row
    for each in TOOLKITS if "programs" in names else ():
        row = compile_programs(each.place())
        lacks = [name for name, error in row["headers"].items() if error]
        print(f"host code with NVRTC {row['version']}: {f'without {lacks}' if lacks else 'all headers'}", flush=True)
        yield "programs", each.name, row
    if "nvcc" in names:
        row = compile_with_nvcc()
        print(f"nvcc {row['version']}: {row['failures'] or 'all'}" if row else "nvcc is not on PATH", flush=True)
        if row:
            yield "nvcc", row["version"], row
    for numba in NUMBA_TOOLKITS:
        if numba.name in names:
            row = compile_numba(numba)
            verdict = row.get("verified", "not here")
            print(f"{numba.name}: {row['compiled']} of {row['tried']} compiled; verified {verdict}", flush=True)
            yield "numba", numba.name, row


def main() -> int:
    every = [*(each.name for each in TOOLKITS), "programs", "nvcc", *(each.name for each in NUMBA_TOOLKITS)]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="these, instead of all", metavar="NAME")
    parser.add_argument("--json", type=Path, help="the record, which is made or brought up to date")
    args = parser.parse_args()
    record: dict[str, Any] = {"toolkits": {}, "programs": {}, "nvcc": {}, "numba": {}}
    made = {key: value for key, value in stamp().items() if key in ("commit", "date")}  # of the sources that are read from now on
    for part, name, row in tried(args.only):
        record[part][name] = row | made
        if args.json:
            kept = json.loads(args.json.read_text()) if args.json.exists() else {}
            args.json.write_text(json.dumps({part: kept.get(part, {}) | record[part] for part in record}, indent=1) + "\n")
    wrong = faults_of(record)
    print("\n".join(wrong) or "nothing is wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

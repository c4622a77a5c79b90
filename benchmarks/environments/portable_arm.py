"""Verify the CPU's kernels and train on 64-bit ARM, on an emulated processor: `python -m benchmarks.environments.portable_arm`

QEMU's user mode executes an ARM Python on another machine. Debian's packages hold both, and PyPI the wheels; all of it is
unpacked into a cache folder, nothing is installed. It needs apt-get and dpkg, as Debian and Ubuntu have them, and takes hours for
all kernels: everything is compiled, and run, some twenty times slower than on the machine itself. `--kernels adam tanh` verifies
those whose names hold one of these words.
Record: benchmarks/results/portable_arm.json, with what each command said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.environments.cache import folder
from benchmarks.speed.timing import stamp

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "benchmarks" / "results" / "portable_arm.json"
PYTHON = "python3.11"  # of Debian 12, for which the wheels are fetched
WHEELS = ("numpy", "numba", "scikit-learn", "safetensors", "matplotlib", "pillow", "typer", "rich")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


class NotHere(RuntimeError):
    """Raised where this machine lacks what the emulation needs; the message says what."""


def fetched(place: Path) -> Path:
    """Unpack QEMU, an ARM Python and its packages into a folder, unless they are there. Raises NotHere."""
    ready = place / "ready"
    if ready.exists():
        return place
    if not (shutil.which("apt-get") and shutil.which("dpkg") and SOURCES.exists()):
        raise NotHere("this needs apt-get, dpkg and Debian 12's package sources")
    for name in ("state/lists/partial", "cache/archives/partial", "root", "qemu", "wheels", "site"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "state" / "status").touch()
    apt = ["apt-get", "-o", "APT::Architecture=arm64", "-o", "APT::Architectures::=arm64", "-o", f"Dir::State={place / 'state'}",
           "-o", f"Dir::State::status={place / 'state' / 'status'}", "-o", f"Dir::Cache={place / 'cache'}",
           "-o", f"Dir::Etc::sourcelist={SOURCES}", "-o", "Dir::Etc::sourceparts=/dev/null"]  # fmt: skip
    _do([*apt, "update"], place)
    needed = ("python3", "python3-distutils", "libgomp1", "libstdc++6", "zlib1g")
    _do([*apt, "install", "--download-only", "-y", "--no-install-recommends", *needed], place)
    for package in sorted((place / "cache" / "archives").glob("*.deb")):
        _do(["dpkg", "-x", str(package), str(place / "root")], place)
    _do(["apt-get", "download", "qemu-user-static"], place)
    for package in place.glob("qemu-user-static*.deb"):
        _do(["dpkg", "-x", str(package), str(place / "qemu")], place)
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    kind = ["--python-version", "311", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    pip = [sys.executable, "-m", "pip", "download", "--only-binary=:all:"]
    _do([*pip, *platforms, *kind, "-d", str(place / "wheels"), *WHEELS], place)
    for wheel in (place / "wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(place / "site")
    ready.touch()
    return place


def _do(command: list[str], place: Path) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{' '.join(command[:1])} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")


def command(place: Path, *words: str) -> list[str]:
    """Return the command line that runs `python -m tinygan WORDS` on the emulated processor."""
    python = place / "root" / "usr" / "bin" / PYTHON
    qemu = place / "qemu" / "usr" / "bin" / "qemu-aarch64-static"
    return [str(qemu), "-L", str(place / "root"), str(python), "-m", "tinygan", *words]


def run(place: Path, *words: str) -> dict[str, Any]:
    """Run a command of tinygan there. Return its exit code and its lines but for those of right kernels, the last one at least."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "kernels", place / "site")))
    own = {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(place / "numba"), "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command(place, *words), cwd=place, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    output = done.stdout if not done.returncode else done.stdout + done.stderr
    return {"code": done.returncode, "said": told(output.replace(f"{place}{os.sep}", ""))}


def told(text: str) -> list[str]:
    """Return the last line of an output, and before it those that report a kernel that is not right."""
    lines = text.strip().splitlines() or [""]
    return [line for line in lines[:-1] if line.startswith("WRONG")] + lines[-1:]


def main(arguments: list[str] | None = None) -> int:
    name, description = "python -m benchmarks.environments.portable_arm", (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--kernels", nargs="*", default=None, help="verify these kernels; all, if left out")
    parser.add_argument("--no-training", action="store_true", help="verify alone")
    given = parser.parse_args(arguments)
    try:
        place = fetched(folder() / "aarch64")
    except NotHere as error:
        print(f"64-bit ARM was NOT tried: {error}")
        return 1
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not given.no_training:
        record["train"] = {**stamp(), **run(place, "train", "ring", "--steps", "20", "--out", str(place / "runs"))}
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    for kernel in given.kernels if given.kernels is not None else [""]:
        made = {**stamp(), **run(place, "kernels", "verify", *(["--only", kernel] if kernel else []))}
        record.setdefault("verify", {})[kernel or "all"] = made
        print(kernel or "all", made["said"][-1], flush=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    found = [record["train"]] if "train" in record else []
    return int(any(part["code"] for part in [*found, *record.get("verify", {}).values()]))


if __name__ == "__main__":
    sys.exit(main())

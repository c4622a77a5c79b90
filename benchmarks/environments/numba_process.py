"""Numba's CUDA kernels, compiled to PTX for every architecture with the toolkit of this environment; prints a line of JSON.

`python -m benchmarks.environments.numba_process`, in an environment that toolkits.py made. No driver is needed.
"""

from __future__ import annotations

import importlib.metadata
import json
import re

from tinygan_kernels.cuda.numba_backend import LADDERS
from tinygan_kernels.emulator.host import nvrtc
from tinygan_kernels.profiling.calls import call
from tinygan_kernels.profiling.report import recorded

OLDEST_ARCHITECTURE = 70
PACKAGES = ("numba", "numba-cuda", "cuda-bindings", "cuda-core")
TOOLKIT_PACKAGE = re.compile(r"nvidia-(cuda-(nvrtc|nvcc|runtime)|nvvm|nvjitlink)(-cu12)?$")


def main() -> None:
    archs = [number for number in nvrtc.architectures() if number >= OLDEST_ARCHITECTURE]
    launches = {launch.kernel: launch for rung in LADDERS for launch in recorded(rung, call(rung.kernel))}
    failures, compiled = [], 0
    for name, launch in launches.items():
        for arch in archs:
            try:
                ptx, entry = launch.ptx(f"sm_{arch}")
            except Exception as error:
                failures.append(f"{name} for sm_{arch}: {' '.join(str(error).split())[:300]}")
                continue
            if f".target sm_{arch}" not in ptx or entry not in ptx:
                failures.append(f"{name} for sm_{arch}: the PTX is for another target")
            else:
                compiled += 1
    names = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    versions = {n: v for n, v in sorted(names.items()) if n in PACKAGES or TOOLKIT_PACKAGE.match(n)}
    major, minor = nvrtc.version()
    print(json.dumps({"version": f"{major}.{minor}", "archs": archs, "kernels": len(launches), "compiled": compiled,
                      "tried": len(launches) * len(archs), "failures": failures, "packages": versions}))  # fmt: skip


if __name__ == "__main__":
    main()

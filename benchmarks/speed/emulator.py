"""Time the emulator: `python -m benchmarks.speed.emulator [--json FILE]`

Each row is a matrix product of n x n x n by one version of the CUDA C++ ladder, with the sanitizer off and on: the best of three,
after compilation. Then small Numba kernels, on the emulator and on Numba's simulator in turn, in processes of their own
(`numba_sides`). Every result is compared with NumPy's before its time counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import emulator, load

from . import numba_sides
from .timing import stamp

SIZES, VERSIONS = (128, 256), (1, 3, 4, 5)


def seconds(n: int, version: int, checks: bool) -> float:
    """Return the best time in seconds of three products of n x n matrices. Exits if a result is wrong."""
    backend = load("cupy", emulate=True, versions={"matmul": version})
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
    taken = []
    with emulator.checks(checks):
        for _ in range(3):
            c = np.full((n, n), np.nan, np.float32)
            begun = time.perf_counter()
            backend.launch("matmul", (a, b), out=c)
            taken.append(time.perf_counter() - begun)
            if not np.allclose(c, a @ b, atol=1e-3):
                raise SystemExit(f"version {version} on {n}^3 is wrong; nothing is timed before that is mended")
    return min(taken)


def beside_the_simulator() -> Iterator[dict[str, Any]]:
    """Yield the rows of `numba_sides.compared`. Exits if a result is wrong."""
    try:
        yield from numba_sides.compared(list(numba_sides.WHAT))
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {"stamp": stamp(), "rows": []}
    titles = {v.number: v.title for v in load("cupy", emulate=True).versions if v.kernel == "matmul"}
    for version in VERSIONS:
        for n in SIZES:
            off, on = seconds(n, version, False), seconds(n, version, True)
            row = {"version": version, "title": titles[version], "n": n, "off": off, "on": on}
            report["rows"].append(row)
            print(f"matmul {version}, {n:4d}^3: sanitizer off {off:6.2f} s, on {on:6.2f} s   {row['title']}", flush=True)
    report["beside the simulator"] = []
    for row in beside_the_simulator():
        report["beside the simulator"].append(row)
        times = ", ".join(f"{side} {taken:.3f} s" for side, taken in row["seconds"].items())
        print(f"{row['what']}: {times}", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

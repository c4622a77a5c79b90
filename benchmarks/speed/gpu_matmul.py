"""Time the matmul ladders against cuBLAS on a GPU: `python -m benchmarks.speed.gpu_matmul [--size N ...] [--json FILE]`

Every version is verified on the size (outputs poisoned with NaN) before it is timed with CUDA events, in turns with cuBLAS
through CuPy. No figure of it is quoted anywhere unless somebody ran this.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import load, why_unavailable

from .timing import stamp

BACKENDS = ("cupy", "numba-cuda")


def milliseconds(cupy: Any, call: Callable[[], None], calls: int) -> list[float]:
    """Return the times of single calls on the device, by events around each."""
    taken = []
    for _ in range(calls):
        begun, ended = cupy.cuda.Event(), cupy.cuda.Event()
        begun.record()
        call()
        ended.record()
        ended.synchronize()
        taken.append(cupy.cuda.get_elapsed_time(begun, ended))
    return taken


def versions(n: int, a: Any, b: Any, c: Any) -> dict[str, Callable[[], None]]:
    """Return {name: launch of one version on these operands} of all versions of both languages."""
    calls: dict[str, Callable[[], None]] = {}
    for name in BACKENDS:
        for version in load(name).versions:
            if version.kernel == "matmul":
                backend = load(name, versions={"matmul": version.number})
                calls[f"{name} {version.number}: {version.title}"] = lambda backend=backend: backend.launch("matmul", (a, b), out=c)
    return calls


def measure(cupy: Any, n: int, rounds: int = 5, calls: int = 5) -> dict[str, dict[str, float]]:
    """Return {name: ms, tflops, share of cuBLAS, worst error over gamma_n |A||B| in units of float32} on n^3."""
    rng = cupy.random.default_rng(0)
    a, b = (rng.standard_normal((n, n), dtype=cupy.float32) for _ in range(2))
    c = cupy.full((n, n), cupy.nan, cupy.float32)
    exact = cupy.asnumpy(a.astype(cupy.float64) @ b.astype(cupy.float64))
    allowed = cupy.asnumpy(cupy.abs(a).astype(cupy.float64) @ cupy.abs(b).astype(cupy.float64)) * n * np.finfo(np.float32).eps / 2
    sides = {"cuBLAS": lambda: cupy.matmul(a, b, out=c), **versions(n, a, b, c)}
    errors = {}
    for name, call in sides.items():
        c.fill(cupy.nan)
        call()
        errors[name] = float(np.max(np.abs(cupy.asnumpy(c) - exact) / allowed))
        if not (errors[name] <= 1 or "TF32" in name):
            raise SystemExit(f"{name}: {errors[name]:.1f} times its error bound on {n}^3; nothing is timed before that is mended")
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            milliseconds(cupy, call, 2)
            taken[name] += milliseconds(cupy, call, calls)
    medians = {name: float(np.median(values)) for name, values in taken.items()}
    return {
        name: {"ms": ms, "tflops": 2 * n**3 / ms / 1e9, "of_cublas": medians["cuBLAS"] / ms, "error_share": errors[name]}
        for name, ms in medians.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, nargs="+", default=[512, 2048, 4096])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for name in BACKENDS:
        if reason := why_unavailable(name):
            raise SystemExit(f"{name}: {reason}")
    import cupy

    gpu = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    report: dict[str, Any] = {"stamp": stamp(), "gpu": gpu, "sizes": {}}
    for n in args.size:
        rows = report["sizes"][n] = measure(cupy, n)
        print(f"{gpu}, {n} x {n} x {n}")
        for name, row in rows.items():
            speed = f"{row['ms']:9.3f} ms {row['tflops']:7.2f} TFLOP/s {100 * row['of_cublas']:6.1f} % of cuBLAS"
            print(f"  {speed}   {name}", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

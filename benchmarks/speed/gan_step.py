"""Time one training step of a GAN, tinygan against PyTorch and JAX:

    python -m benchmarks.speed.gan_step [--workload NAME] [--json FILE]

Every side does the same step on the same batch sizes with all cores (workloads.py). First tinygan's step is verified against its
own reference backend, then all sides are timed in turns. A peer that is not installed leaves a gap in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numba
import numpy as np
from tinygan_kernels import Launch, load
from tinygan_kernels.profiling import work as cost

from tinygan.engine.replay import Plan

from .peak import fma_rate
from .timing import interleaved, sgemm_rate, stamp
from .workloads import WORKLOADS, Workload, build

PEERS = ("torch", "torch-compile", "torch-bfloat16", "jax")
BATCHES = (16, 32, 64, 128, 256, 512, 1024)


def verify(name: str) -> float:
    """Run one step on `cpu` and on `reference` from one start; return the losses' largest relative difference. Raises SystemExit.

    The limit for G's loss, which comes after D's first update, is wider: Adam's first step is rate * sign(g), so a weight whose
    gradient is rounding noise moves by a whole rate, either way.
    """
    m = 8 if name.startswith("dcgan") else None
    fast, plain = build(name, load("cpu"), m=m).step(), build(name, load("reference"), replay=False, m=m).step()
    off = [abs(f / p - 1) for f, p in zip(fast, plain, strict=True)]
    if not (off[0] < 1e-4 and off[1] < 5e-3):
        raise SystemExit(f"{name}: losses differ from the reference's by {max(off):.1e}; nothing is timed before that is mended")
    return max(off)


def peers_of(workload: Workload, wanted: set[str]) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """Return ({side: step}, [a line for each peer that is missing, and why])."""
    sides: dict[str, Callable[[], Any]] = {}
    missing: list[str] = []
    if wanted - {"jax"}:
        try:
            from .peers.torch_step import TorchStep

            for side, variant in _torch_variants(wanted, images=len(workload.sample) == 3).items():
                sides[side] = TorchStep(workload, variant=variant).step
        except ImportError as error:
            missing.append(f"PyTorch ({error})")
    if "jax" in wanted:
        try:
            from .peers.jax_step import JaxStep

            sides["jax"] = JaxStep(workload).step
        except ImportError as error:
            missing.append(f"JAX ({error})")
    return sides, missing


def _torch_variants(wanted: set[str], images: bool) -> dict[str, str]:
    """Return {side: variant of TorchStep} for the wanted peers. Images also run with their channels last; what is compiled or in
    bfloat16 runs so only, as that is faster there."""
    last = " channels_last" if images else ""
    variants = {
        "torch": {"torch": "eager"} | ({"torch, channels_last": "channels_last"} if images else {}),
        "torch-compile": {"torch.compile": "compile" + last},
        "torch-bfloat16": {"torch, bfloat16": "bfloat16" + last, "torch.compile, bfloat16": "compile bfloat16" + last},
    }
    return {side: variant for peer, sides in variants.items() if peer in wanted for side, variant in sides.items()}


def measure(name: str, wanted: set[str], seconds: float) -> dict[str, Any]:
    """Return the median and spread of every side, the ratio best peer / tinygan, and the floor.

    The best peer is one that computes in float32, as tinygan does.
    """
    workload = WORKLOADS[name]
    mine = build(name, load("cpu"))
    sides, missing = peers_of(workload, wanted)
    times = interleaved({"tinygan": mine.step, **sides}, seconds)
    rate, peak = sgemm_rate(), fma_rate()
    work = sum(cost.flops(launch) for launch in mine.replayed.plan.launches)
    rivals = [side for side in times if side != "tinygan" and "bfloat16" not in side]
    best = min(rivals, key=lambda side: times[side].median, default=None)
    floor = 1000 * work / rate
    return {
        "sides": {side: asdict(t) for side, t in times.items()}, "missing": missing, "best_peer": best,
        "ratio": times[best].median / times["tinygan"].median if best else None,
        "gflop": work / 1e9, "sgemm_gflops": rate / 1e9, "floor_ms": floor, "share_of_floor": floor / times["tinygan"].median,
        "peak_gflops": peak / 1e9, "share_of_peak": work / peak / (times["tinygan"].median / 1000),
        "launches": len(mine.replayed.plan.launches), "buffer_mb": mine.replayed.plan.buffer_bytes / 1e6,
        "by_zero": share_by_zero(mine.replayed.plan, mine.step),
    }


def share_by_zero(plan: Plan, step: Callable[[], Any]) -> float:
    """Return the share of a step's FLOPs that multiply with a 0 in a matrix product's left factor, which products may leave out."""
    joined, found = plan.joined, []

    def watched(group: tuple[Launch, ...], call: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            found.extend(cost.flops(one) * np.mean(one.inputs[0] == 0) for one in group if one.kernel.name == "matmul")
            call()

        return run

    plan.joined = [*plan.copies, *map(watched, plan.groups, plan.calls)]
    try:
        step()
    finally:
        plan.joined = joined
    return float(sum(found) / sum(map(cost.flops, plan.launches)))


def scaling(name: str, seconds: float) -> list[dict[str, float]]:
    """Return the milliseconds of a step by batch size, tinygan alone, all sizes in turns."""
    times = interleaved({str(m): build(name, load("cpu"), m=m).step for m in BATCHES}, seconds)
    return [{"m": int(m), "ms": t.median} for m, t in times.items()]


def all_threads(name: str, seconds: float) -> dict[str, float]:
    """Return how many times as fast a step is on all threads as on one."""
    sides, count = {}, numba.get_num_threads()
    try:
        for threads in (1, count):
            numba.set_num_threads(threads)  # before the first step: that is when work is cut into parts
            step = build(name, load("cpu")).step
            step()
            sides[str(threads)] = lambda step=step, threads=threads: (numba.set_num_threads(threads), step())
        times = interleaved(sides, seconds)
    finally:
        numba.set_num_threads(count)
    return {"threads": count, "ratio": times["1"].median / times[str(count)].median}


def peak_memory(name: str, side: str) -> float | None:
    """Return the peak resident megabytes of a process that runs three steps of one side; None if it cannot."""
    printed = _in_a_process(name, "--memory-of", side)
    return printed[-1] if printed else None


def start(name: str) -> dict[str, float]:
    """Return the seconds of `import tinygan`, and of the first step with nothing compiled and with all of it in Numba's cache."""
    with tempfile.TemporaryDirectory() as cache:
        (_, cold), (imported, warm) = (_in_a_process(name, "--first-step", NUMBA_CACHE_DIR=cache) for _ in range(2))
    return {"import": imported, "cold": cold, "warm": warm}


def _in_a_process(name: str, *options: str, **environment: str) -> list[float]:
    """Return the numbers that this script prints when it is run with these options; none if it fails."""
    command = [sys.executable, "-m", "benchmarks.speed.gan_step", "--workload", name, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return [float(word) for word in done.stdout.split()] if done.returncode == 0 else []


def _print_first_step(name: str) -> None:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tinygan"], check=True)
    imported = time.perf_counter() - begun
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", ""], check=True)
    print(imported - (time.perf_counter() - begun))
    begun = time.perf_counter()
    build(name, load("cpu")).step()
    print(time.perf_counter() - begun)


def _print_memory(name: str, side: str) -> None:
    workload = WORKLOADS[name]
    step = build(name, load("cpu")).step if side == "tinygan" else peers_of(workload, {"torch"})[0]["torch, channels_last"]
    for _ in range(3):
        step()
    print(_peak_megabytes())


def _peak_megabytes() -> float:
    """Return this process's peak from VmHWM where there is one: ru_maxrss also counts the process that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _show(name: str, result: dict[str, Any]) -> None:
    print(f"{name}: {WORKLOADS[name].summary}")
    for side, t in sorted(result["sides"].items(), key=lambda item: item[1]["median"]):
        print(f"  {side:22s} {t['median']:9.3f} ms   quartiles {t['low']:.3f} .. {t['high']:.3f}   {t['calls']} steps")
    for line in result["missing"]:
        print(f"  missing: {line}")
    if result["best_peer"]:
        print(f"  best peer ({result['best_peer']}) / tinygan: {result['ratio']:.2f}")
    print(f"  floor {result['floor_ms']:.3f} ms ({result['gflop']:.2f} GFLOP at {result['sgemm_gflops']:.0f} GFLOP/s), "
          f"{100 * result['share_of_floor']:.0f} % of it reached; {100 * result['by_zero']:.0f} % of them by 0; "
          f"{100 * result['share_of_peak']:.0f} % of {result['peak_gflops']:.0f} GFLOP/s of multiply-adds", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="this one only; may be repeated")
    parser.add_argument("--peers", default="torch,jax", help=f"comma-separated, of {', '.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=10, help="for each side of each workload")
    parser.add_argument("--scaling", action="store_true", help="also batch sizes from 16 to 1,024, threads, memory, the first step")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", choices=("tinygan", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--first-step", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        return _print_memory(args.workload[0], args.memory_of)
    if args.first_step:
        return _print_first_step(args.workload[0])
    wanted = set(filter(None, args.peers.split(",")))
    if not wanted <= set(PEERS):
        parser.error(f"--peers takes {', '.join(PEERS)}, got {args.peers!r}")
    report: dict[str, Any] = {"stamp": stamp(), "peers": [peer for peer in PEERS if peer in wanted], "workloads": {}}
    for name in args.workload or WORKLOADS:
        off = verify(name)
        result = report["workloads"][name] = measure(name, wanted, args.seconds)
        result["verified"] = off
        _show(name, result)
    if args.scaling:
        report["scaling"] = {name: scaling(name, 1.5) for name in ("ring", "mlp28", "dcgan28")}
        report["peak_mb"] = {side: peak_memory("dcgan64", side) for side in ("tinygan", "torch")}
        report["threads"], report["start"] = {"dcgan28": all_threads("dcgan28", args.seconds)}, {"dcgan64": start("dcgan64")}
        print("peak memory, dcgan64, MB:", report["peak_mb"])
        print("all threads against one:", report["threads"], "seconds to start:", report["start"])
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()

"""Time the products and convolutions of the four workloads, one by one:

    python -m benchmarks.speed.kernels [--peers torch] [--json FILE]

GFLOP/s of the direct sum, share of what NumPy's BLAS reaches on 2048^3, and, per op, PyTorch in turns with tinygan. Every kernel is
verified against its error bound on the very shape before it is timed. No number is 0 there; what zeros bring is timed by itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import KERNELS, Launch, load
from tinygan_kernels.profiling import work

from .timing import interleaved, sgemm_rate, stamp
from .workloads import WORKLOADS, build

ZEROS = (0.0, 0.5, 0.7, 0.9)
TIMED = ("matmul", "conv2d", "conv2d_dx", "conv2d_dw")


def cases(least_share: float = 0.02) -> dict[str, Launch]:
    """Return the launches of the workloads' steps, one of each shape, that do at least `least_share` of their step's FLOPs."""
    found: dict[str, Launch] = {}
    for name in WORKLOADS:
        step = build(name, load("cpu"))
        step.step()
        launches = [launch for launch in step.replayed.plan.launches if launch.kernel.name in TIMED]
        total = sum(map(work.flops, launches))
        for launch in launches:
            if work.flops(launch) >= least_share * total:
                found.setdefault(f"{launch.kernel.name} {_shapes(launch)} ({name})", launch)
    return found


def _shapes(launch: Launch) -> str:
    shapes = " x ".join("x".join(map(str, a.shape)) for a in launch.inputs)
    turned = "".join(f", {flag[-1]} transposed" for flag in ("trans_a", "trans_b") if launch.params.get(flag))
    return shapes + turned


def fresh(launch: Launch, rng: np.random.Generator) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return random inputs of the launch's shapes, and a NaN-poisoned output."""
    inputs = tuple(rng.standard_normal(a.shape).astype(np.float32) for a in launch.inputs)
    return inputs, np.full(launch.outputs[0].shape, np.nan, np.float32)


def verify(launch: Launch, inputs: tuple[np.ndarray, ...], out: np.ndarray) -> float:
    """Return the largest difference from the reference in float64, over the largest value. Raises SystemExit above 1e-4."""
    load("cpu").launch(launch.kernel.name, inputs, out=out, **launch.params)
    exact = load("reference").launch(launch.kernel.name, [a.astype(np.float64) for a in inputs], **launch.params)
    worst = float(np.abs(out - exact).max() / np.abs(exact).max())
    if not worst < 1e-4:
        raise SystemExit(f"{launch.kernel.name}: off by {worst:.1e}; nothing is timed before that is mended")
    return worst


def torch_call(launch: Launch, inputs: tuple[np.ndarray, ...]) -> Callable[[], Any]:
    """Return a call of the same op in PyTorch, convolutions in channels_last, which is the faster layout."""
    import torch
    from torch.nn import functional as F
    from torch.nn import grad

    first, second = (torch.from_numpy(a) for a in inputs)
    params = launch.params
    if launch.kernel.name == "matmul":
        a, b = first.T if params.get("trans_a") else first, second.T if params.get("trans_b") else second
        out = torch.empty(a.shape[0], b.shape[1])
        return lambda: torch.mm(a, b, out=out)

    def images(t):
        return t.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def filters(t):
        return t.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)

    stride, pad = params["stride"], params["pad"]
    if launch.kernel.name == "conv2d":
        x, w = images(first), filters(second)
        return lambda: F.conv2d(x, w, None, stride, pad)
    if launch.kernel.name == "conv2d_dx":
        g, w = images(first), filters(second)
        shape = (g.shape[0], w.shape[1], params["height"], params["width"])
        return lambda: grad.conv2d_input(shape, w, g, stride, pad)
    x, g = images(first), images(second)
    shape = (g.shape[1], x.shape[1], params["kh"], params["kw"])
    return lambda: grad.conv2d_weight(x, shape, g, stride, pad)


def measure(launch: Launch, peers: set[str], seconds: float) -> dict[str, Any]:
    inputs, out = fresh(launch, np.random.default_rng(0))
    off = verify(launch, inputs, out)
    backend = load("cpu")
    name = launch.kernel.name
    bound = backend.bind(Launch(KERNELS[name], backend.implementations[name], inputs, (out,), launch.params))
    sides: dict[str, Callable[[], Any]] = {"tinygan": bound}
    if "torch" in peers:
        sides["torch"] = torch_call(launch, inputs)
    times = interleaved(sides, seconds, rounds=5)
    return {"sides": {side: asdict(t) for side, t in times.items()}, "gflop": work.flops(launch) / 1e9, "off": off}


def with_zeros(seconds: float) -> dict[str, float]:
    """Return {share of zeros in A: how many times as fast as without any} for the product of mlp28's last layer, zeros anywhere."""
    rng, backend, kernel = np.random.default_rng(0), load("cpu"), KERNELS["matmul"]
    sides: dict[str, Callable[[], Any]] = {}
    for zeros in ZEROS:
        a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((128, 512), (512, 784)))
        a[rng.random(a.shape) < zeros] = 0
        launch = Launch(kernel, backend.implementations["matmul"], (a, b), (np.empty((128, 784), np.float32),), {})
        verify(launch, launch.inputs, launch.outputs[0])
        sides[str(zeros)] = backend.bind(launch)
    times = interleaved(sides, seconds, rounds=5)
    return {zeros: times["0.0"].median / t.median for zeros, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", default="torch", help="torch, or nothing")
    parser.add_argument("--seconds", type=float, default=1, help="for each side of each shape")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    peers = set(filter(None, args.peers.split(",")))
    if "torch" in peers:
        try:
            import torch  # noqa: F401
        except ImportError:
            print("PyTorch is not installed; its column stays empty")
            peers.clear()
    rate = sgemm_rate()
    report: dict[str, Any] = {"stamp": stamp(), "sgemm_gflops": rate / 1e9, "cases": {}}
    report["with_zeros"] = with_zeros(args.seconds)
    print("as fast as without zeros, by the share of zeros in A:", {k: f"{v:.2f}" for k, v in report["with_zeros"].items()})
    print(f"{'ms':>8s} {'GFLOP/s':>8s} {'of BLAS':>8s} {'torch/tinygan':>14s}   kernel and shapes")
    for name, launch in cases().items():
        row = report["cases"][name] = measure(launch, peers, args.seconds)
        mine = row["sides"]["tinygan"]["median"]
        speed = row["gflop"] / mine * 1000
        ratio = f"{row['sides']['torch']['median'] / mine:.2f}" if peers else "-"
        print(f"{mine:8.3f} {speed:8.0f} {100 * speed / report['sgemm_gflops']:7.0f}% {ratio:>14s}   {name}", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

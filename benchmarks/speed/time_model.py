"""Check the model of time against published ladders: `python -m benchmarks.speed.time_model [--size N] [--json FILE]`

The speeds on an RTX A6000, in GFLOP/s at 4096 x 4096 x 4096, are those of the README of github.com/siboehm/SGEMM_CUDA (commit
06d2cf5). Kernels with the same structure, published_ladder.cu, are counted by the emulator on products of up to 256 x 256 x 128,
the counts are extended linearly, and `tinygan_kernels.profiling.time_model` gives each a time. No constant is fitted to them.
Rungs 7, 8 and 11, variants of rung 5, and cuBLAS, whose source is not public, are left out.

LATER has what others have measured with the same code on other GPUs. These figures were looked up when the model and all its
constants, the clock among them, had been fixed, so they are its test.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels.own.profiles import modelled_time
from tinygan_kernels.profiling.time_model import KernelTime, gpu_named

from .timing import stamp

SOURCE = Path(__file__).with_name("published_ladder.cu")
PUBLISHED = {
    "naive": ("1: naive", 309), "coalesced": ("2: GMEM coalescing", 1986.5), "shared_tiles": ("3: SMEM caching", 2980.3),
    "column_tiles": ("4: 1D blocktiling", 8474.7), "square_tiles": ("5: 2D blocktiling", 15971.7),
    "float4_tiles": ("6: vectorised accesses", 18237.3), "tuned_tiles": ("9: autotuning", 19721.0),
    "warp_tiles": ("10: warptiling", 21779.3),
}  # fmt: skip
"""{kernel of published_ladder.cu: (what the published rung is called, GFLOP/s)}"""
GPU, BASE_CLOCK = "a6000", 1.41
"""The GPU that they were measured on, and its base clock in GHz (TechPowerUp GPU database): the model takes the boost clock."""
GOAL = 1.5
LATER = {
    "a100": ("A100 PCIe 40 GB", "README of github.com/vlejd/MASK_SGEMM_CUDA (commit 2c06681)",
             (290.7, 3006.9, 4859.7, 9260.8, 12276.0, 13033.9, 12844.7, 13462.2)),
    "4090": ("RTX 4090", "README of a copy of SGEMM_CUDA, with blog.csdn.net/LostUnravel/article/details/138034380",
             (673.5, 5217.8, 6481.4, 19308.0, 35636.5, 42464.2, 42827.2, 45319.9)),
}  # fmt: skip
"""{GPU of the model: (the GPU it was, the source, GFLOP/s in the order of PUBLISHED)}. The PCIe A100 has the multiprocessors and
the greatest clock of the one in the model, and less power."""


def row(kernel: str, size: int, gpu: str, published: float) -> dict[str, Any]:
    """Return one kernel's published and modelled speed in GFLOP/s, the factor between them, and the model's parts in us."""
    (found,), _ = modelled_time(f"{SOURCE}:{kernel}", "matmul", gpu, shape=(size, size, size))
    modelled = 2 * size**3 / found.total / 1e3
    return {"kernel": kernel, "title": PUBLISHED[kernel][0], "published": published, "modelled": modelled,
            "factor": factor(modelled, published), "limit": found.limit, "resident": found.resident,
            "parts": parts(found)}  # fmt: skip


def with_base_clock(found: dict[str, Any]) -> dict[str, Any]:
    """Return a row on GPU with the factor that there would be at its base clock."""
    at_base = found["modelled"] * BASE_CLOCK / gpu_named(GPU).clock
    return found | {"factor_at_base_clock": factor(at_base, found["published"])}


def later(gpu: str, size: int) -> dict[str, Any]:
    """Return the check on a GPU of LATER."""
    measured, source, speeds = LATER[gpu]
    rows = [row(kernel, size, gpu, published) for kernel, published in zip(PUBLISHED, speeds, strict=True)]
    return {"gpu": gpu_named(gpu).gpu.name, "measured_on": measured, "source": source, "clock": gpu_named(gpu).clock,
            "rows": rows, "not_in_order": order_kept(sorted(rows, key=lambda r: r["published"]))}  # fmt: skip


def parts(time: KernelTime) -> dict[str, float]:
    """Return the parts of a time in us, by their names."""
    return {name: getattr(time, name) for name in ("issue", "arithmetic", "load_store", "latency", "l2", "dram", "total")}


def factor(one: float, other: float) -> float:
    """Return how many times as large the larger of two speeds is as the smaller."""
    return max(one / other, other / one)


def order_kept(rows: list[dict[str, Any]]) -> list[str]:
    """Return the pairs of rungs that follow each other and that the model does not put in their order, as "a = b" or "a > b"."""
    wrong = [(a, b) for a, b in itertools.pairwise(rows) if b["modelled"] <= a["modelled"] * (1 + 1e-9)]
    return [f"{a['title']} {'=' if np.isclose(a['modelled'], b['modelled']) else '>'} {b['title']}" for a, b in wrong]


def tell(found: dict[str, Any]) -> None:
    """Print a row."""
    print(f"{found['title']:24s} published {found['published']:8.1f}  modelled {found['modelled']:8.1f} GFLOP/s  "
          f"factor {found['factor']:.2f}  ({found['limit']})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the matrices, a multiple of 128")
    parser.add_argument("--json", type=Path, help="write the record to this file")
    options = parser.parse_args()
    if options.size < 128 or options.size % 128:
        parser.error(f"--size is {options.size}, it has to be a multiple of 128")
    rows = []
    for kernel, (_, published) in PUBLISHED.items():
        rows.append(with_base_clock(row(kernel, options.size, GPU, published)))
        tell(rows[-1])
    others = []
    for gpu in LATER:
        others.append(later(gpu, options.size))
        print(f"{others[-1]['gpu']}: {others[-1]['source']}")
        for found in others[-1]["rows"]:
            tell(found)
    record = {"stamp": stamp(), "size": options.size, "gpu": gpu_named(GPU).gpu.name, "clock": gpu_named(GPU).clock,
              "base_clock": BASE_CLOCK, "goal": GOAL, "rows": rows, "not_in_order": order_kept(rows),
              "later": others}  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The sections of docs/results.md that benchmarks/speed/ measured: training steps, single kernels, the emulator.

Each function takes the record that its script wrote as JSON and returns Markdown. What was not measured has no cell in a table: a
column that would have gaps is told in a sentence, and one without a number is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.docs.markdown import measured_on, table, three_digits
from benchmarks.speed.busy import verdicts
from benchmarks.speed.workloads import WORKLOADS

Report = dict[str, Any]

# Said of a record that was measured before the peers were written as they are now; such a one has no share of the peak either.
OF_EARLIER_PEERS = ("This record is older than what is said above of the peak, of bfloat16 and of the peers: PyTorch's networks "
                    "were compiled one by one, channels first, and JAX's transposed convolutions were XLA's own.")
# The first side of each peer, by its name in `--peers`; PEERS of benchmarks/speed/gan_step.py.
FIRST_SIDES = {"torch": "torch", "torch-compile": "torch.compile", "torch-bfloat16": "torch, bfloat16", "jax": "jax"}


def steps_section(report: Report) -> str:
    """Return the table of workloads: every side's median in ms, the ratio to the best peer, the share of the floor."""
    workloads = report["workloads"]
    sides = list(dict.fromkeys(side for w in workloads.values() for side in w["sides"]))
    everywhere = [side for side in sides if all(side in w["sides"] for w in workloads.values())]
    compared = all(w["ratio"] for w in workloads.values())
    best = ["best peer / tinygan"] if compared else []
    peak = ["share of the peak"] if all("share_of_peak" in w for w in workloads.values()) else []
    head = ["workload", *(f"{side}, ms" for side in everywhere), *best, "share of the floor", *peak]
    rows = []
    for name, w in workloads.items():
        cells = [three_digits(w["sides"][side]["median"]) for side in everywhere]
        ratio = [f"**{w['ratio']:.2f}**"] if compared else []
        of_peak = [f"{100 * w['share_of_peak']:.0f} %"] if peak else []
        rows.append([name, *cells, *ratio, f"{100 * w['share_of_floor']:.0f} %", *of_peak])
    told = [*_sides_somewhere(workloads, [side for side in sides if side not in everywhere]),
            *_peers_missing(report.get("peers", []), sides), *_by_zero(workloads), *_memory_threads_start(report),
            *([OF_EARLIER_PEERS] if compared and not peak else [])]
    pictures = ["![Time of a step relative to the best peer's](ratios.png)"]
    if "scaling" in report:
        pictures.append("![Time of a step over the batch size](scaling.png)")
    described = [f"- {name}: {WORKLOADS[name].summary}" for name in workloads]
    parts = [table(head, rows), "\n".join(described), *(["\n".join(told)] if told else []), "\n".join(pictures)]
    return "\n\n".join([*parts, measured_on(report["stamp"])])


def _sides_somewhere(workloads: Report, sides: list[str]) -> list[str]:
    """Return a sentence for each side that took part in some of the workloads."""
    sentences = []
    for side in sides:
        times = [f"{three_digits(w['sides'][side]['median'])} ms on {name}" for name, w in workloads.items() if side in w["sides"]]
        sentences.append(f"`{side}` takes {' and '.join(times)}.")
    return sentences


def _peers_missing(asked: list[str], sides: list[str]) -> list[str]:
    """Return a sentence that names the peers that were asked for and took no part."""
    missing = [peer for peer in asked if FIRST_SIDES[peer] not in sides]
    return [f"Not measured, as not installed there: {', '.join(missing)}."] if missing else []


def _by_zero(workloads: Report) -> list[str]:
    """Return a sentence on the share of each step's multiplications that have a factor 0, where it is half a percent or more."""
    shares = [f"{100 * w['by_zero']:.0f} % on {name}" for name, w in workloads.items() if w.get("by_zero", 0) >= 0.005]
    if not shares:
        return []
    listed = " and ".join(shares)
    return [f"The floor counts multiplications by zeros that a ReLU made, which tinygan may leave out: {listed} of all."]


def _memory_threads_start(report: Report) -> list[str]:
    """Return sentences on peak memory, on the use of all threads and on the first step, as far as they were measured."""
    sentences, memory = [], report.get("peak_mb")
    if memory and all(memory.values()):
        sentences.append(f"A dcgan64 run has a peak memory of {memory['tinygan']:.0f} MB, in PyTorch {memory['torch']:.0f} MB.")
    for name, t in report.get("threads", {}).items():
        sentences.append(f"With {t['threads']} threads a step of {name} is {t['ratio']:.2f} times as fast as with one.")
    for name, t in report.get("start", {}).items():
        sentences.append(f"`import tinygan` takes {t['import']:.2f} s; the first step of {name} takes {t['warm']:.1f} s, or "
                         f"{t['cold']:.0f} s where the kernels have to be compiled.")
    return sentences


def _shares_of_blas(report: Report) -> dict[str, list[float]]:
    """Return what every product and every convolution reaches, in percent of the rate of NumPy's BLAS."""
    shares: dict[str, list[float]] = {"matrix products": [], "convolutions": []}
    for name, case in report["cases"].items():
        kind = "matrix products" if name.startswith("matmul") else "convolutions"
        shares[kind].append(100 * _gflops(case) / report["sgemm_gflops"])
    return shares


def _gflops(case: Report) -> float:
    return 1000 * case["gflop"] / case["sides"]["tinygan"]["median"]


def reached(report: Report) -> str:
    """Return the ranges of what products and convolutions reach, as a part of a sentence."""
    shares = _shares_of_blas(report)
    return " and ".join(f"{kind} reach {min(found):.0f} to {max(found):.0f} %" for kind, found in shares.items() if found)


def kernels_section(report: Report) -> str:
    """Return what every product and convolution of the workloads reaches by itself, folded away below their range."""
    compared = all("torch" in case["sides"] for case in report["cases"].values())
    rows = []
    for name, case in report["cases"].items():
        mine, speed = case["sides"]["tinygan"]["median"], _gflops(case)
        ratio = [f"{case['sides']['torch']['median'] / mine:.2f}"] if compared else []
        rows.append([name, three_digits(mine), f"{speed:.0f}", f"{100 * speed / report['sgemm_gflops']:.0f} %", *ratio])
    head = ["kernel and shapes (workload)", "ms", "GFLOP/s", "share of BLAS", *(["torch / tinygan"] if compared else [])]
    told = f"NumPy's BLAS reaches {report['sgemm_gflops']:.0f} GFLOP/s here. Of that rate, {reached(report)}."
    if "with_zeros" in report:
        ratios = {100 * float(zeros): x for zeros, x in report["with_zeros"].items() if float(zeros)}
        faster = ", ".join(f"{x:.2f} times with {zeros:.0f} %" for zeros, x in ratios.items())
        told += f"\nZeros in random places of A make the product 128x512 x 512x784 faster: {faster} of zeros."
    return "\n\n".join([told, "<details><summary>Every kernel and shape</summary>", table(head, rows), "</details>",
                        measured_on(report["stamp"])])


def emulator_section(report: Report) -> str:
    """Return how long the emulator takes for a matrix product, by version of the kernel and by size."""
    sizes = sorted({row["n"] for row in report["rows"]})
    head = ["matmul, CUDA C++", *(f"{n}³, sanitizer off / on" for n in sizes)]
    rows = []
    for version in dict.fromkeys(row["version"] for row in report["rows"]):
        of = {row["n"]: row for row in report["rows"] if row["version"] == version}
        rows.append([f"{version}: {of[sizes[0]]['title']}", *(f"{of[n]['off']:.2f} s / {of[n]['on']:.2f} s" for n in sizes)])
    parts = [table(head, rows), *_beside_the_simulator(report.get("beside the simulator", [])), measured_on(report["stamp"])]
    return "\n\n".join(parts)


def _beside_the_simulator(rows: list[Report]) -> list[str]:
    """Return a sentence and the table of Numba's kernels on the emulator and on Numba's simulator; [] where none was measured."""
    if not rows:
        return []
    sides = list(rows[0]["seconds"])
    cells = [[row["what"], *(f"{three_digits(1000 * row['seconds'][side])} ms" for side in sides),
              f"{row['seconds']['simulator'] / row['seconds'][sides[1]]:.0f}"] for row in rows]  # fmt: skip
    told = "Small Numba kernels on the emulator and on Numba's simulator (`NUMBA_ENABLE_CUDASIM=1`), after compilation:"
    return [told, table(["kernel, Numba", *sides, f"simulator / {sides[1]}"], cells)]


def busy_section(report: Report) -> str:
    """Return the table of a step's time on the idle and the busy machine, by workload and side, and what follows from it."""
    conditions = list(report["loops"])
    rows = []
    for name, sides in report["workloads"].items():
        for title, by in sides.items():
            times = [three_digits(by[condition]["ms"]) if condition in by else "not measured" for condition in conditions]
            rows.append([name, title, *times, f"{by['busy']['ms'] / by['idle']['ms']:.2f}", three_digits(by["busy"]["cpu_ms"])])
    head = ["workload", "side", *(f"{condition}, ms" for condition in conditions), "busy / idle", "CPU time of a busy step, ms"]
    told = [
        f"- {name}: {', '.join(f'{what} {ratio:.2f}' for what, ratio in verdicts(sides).items())}"
        for name, sides in report["workloads"].items()
    ]
    peers = any(title.startswith("PyTorch") for sides in report["workloads"].values() for title in sides)
    missing = [] if peers else ["Not measured, as not installed there: torch."]
    return "\n\n".join([table(head, rows), "\n".join(told), *missing, measured_on(report["stamp"])])


def fit_section(report: Report) -> str:
    """Return what a step takes on the command line, by `fit` and by hand, and each as a multiple of the command line's."""
    sides = list(dict.fromkeys(side for of in report["data"].values() for side in of))
    rows = [[data, *(f"{three_digits(of[side]['ms'])} ms ({of[side]['ratio']:.2f})" for side in sides)]
            for data, of in report["data"].items()]
    what = "CPU time" if report["clock"] == "cpu" else "time"
    threads = f"{report['threads']} thread{'s' * (report['threads'] != 1)}"
    told = (f"Medians of {len(next(iter(report['data'].values()))[sides[0]]['rounds'])} runs of {report['steps']:,} steps each, on "
            f"{threads}; {what} of a step, and in brackets its ratio to the command line's, the median of those within a round.")
    return f"{table(['data', *sides], rows)}\n\n{told}\n\n{measured_on(report['stamp'])}"


def to_quality_section(report: Report) -> str:
    """Return the seconds and steps that every side took to a quality, seed by seed, beside the milliseconds of a step."""
    rows, told = [], []
    for data, of in report["data"].items():
        for side in dict.fromkeys(name for seed in of["seeds"] for name in seed):
            found = [seed[side] for seed in of["seeds"]]
            ms = three_digits(float(np.median([one["ms"] for one in found])))
            rows.append([data, side, ms, ", ".join(map(_arrival, found)), f"{max(one['start'] for one in found):.1f}"])
        told.append(f"- {data}: {of['goal']}." + (f" Not measured, as not installed there: {', '.join(of['missing'])}."
                                                  if of["missing"] else ""))
    head = ["data", "side", "ms a step", "seconds to the quality (steps), by seed", "first two steps, s"]
    every = f"Looked at every {report['every']:,} steps; a side that did not get there in {report['limit']:g} seconds was stopped."
    return "\n\n".join([table(head, rows), "\n".join(told), every, measured_on(report["stamp"])])


def _arrival(side: Report) -> str:
    """Return when a side reached the quality, or that it did not."""
    return f"{side['seconds']:.1f} ({side['steps']:,})" if side["steps"] else f"not in {side['played']:,} steps"

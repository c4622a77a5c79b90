"""Writes what was measured into README.md, between its markers: `python -m benchmarks.docs.readme`

Reads benchmarks/results/*.json, which the other scripts wrote, and draws docs/ratios.png and docs/scaling.png from them. A section
whose file or whose table is missing is left as it is, and said so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.docs import preset_tables

RESULTS = Path("benchmarks/results")
README = Path("README.md")
DOCS = Path("docs")
MINE, PEER, LINE = "#1f6f8b", "#b9b9b9", "#d1495b"


def _machine(stamp: dict[str, Any]) -> str:
    return f"{stamp['cpu']}, {stamp['cores']} cores"


def _stamp(stamp: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())
    return f"{_machine(stamp)}; Python {stamp['python']}, {versions}; commit {stamp['commit']}, {stamp['date']}."


def steps_section(report: dict[str, Any]) -> str:
    """The table of workloads: median milliseconds of every side, ratio to the best peer, floor. A column without numbers for a peer
    that was asked for and is not installed.
    """
    found = dict.fromkeys(s for w in report["workloads"].values() for s in w["sides"])
    sides = list(dict.fromkeys(["tinygan", *found, *(peer.replace("-", ".") for peer in report.get("peers", []))]))
    lines = [
        "| workload | " + " | ".join(f"{s}, ms" for s in sides) + " | best peer / tinygan | share of the floor |",
        "|---" * (len(sides) + 3) + "|",
    ]
    for name, w in report["workloads"].items():
        cells = [_median(w["sides"].get(side)) for side in sides]
        ratio = f"**{w['ratio']:.2f}**" if w["ratio"] else "-"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {ratio} | {100 * w['share_of_floor']:.0f} % |")
    lines += _by_zero(report["workloads"])
    memory = report.get("peak_mb")
    if memory and all(memory.values()):
        lines += ["", f"Peak memory of a dcgan64 run: {memory['tinygan']:.0f} MB, PyTorch's {memory['torch']:.0f} MB."]
    for name, t in report.get("threads", {}).items():
        lines += [f"All {t['threads']} threads take a step of {name} {t['ratio']:.2f} times as fast as one."]
    for name, t in report.get("start", {}).items():
        lines += [f"`import tinygan` takes {t['import']:.2f} s; the first step of {name} {t['warm']:.1f} s, "
                  f"{t['cold']:.0f} s where it has to compile."]
    _draw_ratios(report)
    lines += ["", "![Time of a step relative to the best peer's](docs/ratios.png)"]
    if "scaling" in report:
        _draw_scaling(report)
        lines += ["![Time of a step over the batch size](docs/scaling.png)"]
    return "\n".join([*lines, "", _stamp(report["stamp"])])


def _by_zero(workloads: dict[str, Any]) -> list[str]:
    """What of each step multiplies with 0, where that is anything to speak of."""
    shares = [f"{name} {100 * w['by_zero']:.0f} %" for name, w in workloads.items() if w.get("by_zero", 0) >= 0.005]
    if not shares:
        return []
    return ["", f"Multiplications by a 0 that came out of a ReLU, which the floor counts: {', '.join(shares)}."]


def kernels_section(report: dict[str, Any]) -> str:
    """Every product and convolution of the workloads by itself, folded away under what they reach together."""
    lines = ["| kernel and shapes (workload) | ms | GFLOP/s | share of BLAS | torch / tinygan |", "|---|---|---|---|---|"]
    shares: dict[str, list[float]] = {"matmul": [], "conv2d": []}
    for name, case in report["cases"].items():
        mine, peer = case["sides"]["tinygan"]["median"], case["sides"].get("torch")
        speed = 1000 * case["gflop"] / mine
        shares["matmul" if name.startswith("matmul") else "conv2d"].append(100 * speed / report["sgemm_gflops"])
        ratio = f"{peer['median'] / mine:.2f}" if peer else "-"
        lines.append(f"| {name} | {_three_digits(mine)} | {speed:.0f} | {100 * speed / report['sgemm_gflops']:.0f} % | {ratio} |")
    reached = " and ".join(
        f"{what} {min(found):.0f} to {max(found):.0f} %"
        for what, found in (("matrix products", shares["matmul"]), ("convolutions", shares["conv2d"])) if found
    )
    told = f"One by one, of the {report['sgemm_gflops']:.0f} GFLOP/s of NumPy's BLAS (`python -m benchmarks.speed.kernels`): "
    told += f"{reached}."
    if "with_zeros" in report:
        faster = ", ".join(f"{100 * float(zeros):.0f} %: {x:.2f}" for zeros, x in report["with_zeros"].items() if float(zeros))
        told += f" With zeros anywhere in A, 128x512 x 512x784 is so many times as fast as without: {faster}."
    return "\n".join([told, "", "<details><summary>all of them</summary>", "", *lines, "", _stamp(report["stamp"]), "</details>"])


def _median(times: dict[str, float] | None) -> str:
    return _three_digits(times["median"]) if times else "-"


def _three_digits(number: float) -> str:
    return f"{float(f'{number:.3g}'):,g}"


def _draw_ratios(report: dict[str, Any]) -> None:
    figure = Figure(figsize=(7, 2.6), layout="constrained", dpi=110)
    axes = figure.subplots()
    for row, (_name, w) in enumerate(reversed(report["workloads"].items())):
        mine = w["sides"]["tinygan"]["median"]
        best = w["sides"][w["best_peer"]]["median"] if w["best_peer"] else mine
        axes.barh(row + 0.19, 1, 0.36, color=PEER)
        axes.barh(row - 0.19, mine / best, 0.36, color=MINE)
        axes.annotate(f"best peer: {w['best_peer']}, {_three_digits(best)} ms", (0.01, row + 0.19), va="center", fontsize=8)
        axes.annotate(f"tinygan, {_three_digits(mine)} ms", (0.01, row - 0.19), va="center", fontsize=8, color="white")
    axes.set_yticks(range(len(report["workloads"])), list(reversed(report["workloads"])))
    axes.set_xlabel("time of a training step, best peer = 1")
    figure.savefig(DOCS / "ratios.png")


def _draw_scaling(report: dict[str, Any]) -> None:
    figure = Figure(figsize=(7, 3), layout="constrained", dpi=110)
    axes = figure.subplots()
    for (name, rows), colour in zip(report["scaling"].items(), (MINE, LINE, "#5b8c5a", "#8c6d1f"), strict=False):
        m, ms = [r["m"] for r in rows], [r["ms"] for r in rows]
        axes.loglog(m, ms, "o-", color=colour, label=name, markersize=4)
        axes.loglog(m, [ms[0] * x / m[0] for x in m], "--", color=colour, linewidth=0.8)
    axes.set(xlabel="batch size m (dashed: linear growth)", ylabel="ms a step", xticks=m)
    axes.set_xticks(m, [str(x) for x in m])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(DOCS / "scaling.png")


def digits_section(report: dict[str, Any]) -> str:
    names = ("precision", "recall", "density", "coverage", "confidence", "real_confidence", "rarest_class")
    shown = ("precision", "recall", "density", "coverage", "confidence", "confidence on real digits", "rarest class")
    return "\n".join([
        "| " + " | ".join(shown) + " |", "|---" * len(names) + "|", "| " + " | ".join(f"{report[n]:.3f}" for n in names) + " |",
    ])


def emulator_section(report: dict[str, Any]) -> str:
    sizes = sorted({row["n"] for row in report["rows"]})
    heads = ["matmul, CUDA C++", *(f"{n}³, sanitizer off / on" for n in sizes)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for version in dict.fromkeys(row["version"] for row in report["rows"]):
        rows = {row["n"]: row for row in report["rows"] if row["version"] == version}
        cells = [f"{rows[n]['off']:.2f} s / {rows[n]['on']:.2f} s" for n in sizes]
        lines.append(f"| {version}: {rows[sizes[0]]['title']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _stamp(report["stamp"])])


def faces_section(report: dict[str, Any]) -> str:
    """What came of photographs, from benchmarks/quality/faces.py."""
    measures = ", ".join(f"{name} {report[name]:.2f}" for name in ("precision", "recall", "coverage", "density"))
    n, alarms = report["photographs"], ", ".join(report["alarms"]) or "none"
    size = report["side"]
    washed = " (above 1: nearer to the middle of the data than photographs are, washed out)" if report["density"] > 1.5 else ""
    took = f" ({report['seconds'] / 60:.0f} minutes)" if "seconds" in report else ""
    told = (
        f"On {n} photographs of faces (ORL, AT&T Laboratories Cambridge), resized to {size}x{size}, `tinygan train FOLDER --size "
        f"{size} --steps {report['steps']:.0f}`{took} gives {measures}{washed} (k = 5, {n} samples), Frechet distance "
        f"{report['frechet_pca32']:.2f} along 32 principal axes. Variety: {report['distinct']} different photographs are the "
        f"nearest one of some sample ({report['distinct_by_chance']:.0f} for {n} draws with replacement from the photographs "
        f"themselves). Memory: a sample is typically {report['ratio']:.2f} times as far from its nearest photograph as photographs "
        f"are from each other. Alarms that went off: {alarms}. `python -m benchmarks.quality.faces FOLDER` repeats it."
    )
    return "\n".join([told, "", "![Photographs beside generated ones](docs/faces.png)", "", _stamp(report["stamp"])])


def results_section(record: dict[str, Any]) -> str:
    """With the machine that took the seconds, and no commit: rows are measured one at a time."""
    return f"{preset_tables.results_section(record)} Seconds on {_machine(record['stamp'])}."


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "steps": ("gan_step.json", steps_section),
    "kernels": ("kernels.json", kernels_section),
    "digits": ("digits.json", digits_section),
    "emulator": ("emulator.json", emulator_section),
    "faces": ("faces.json", faces_section),
    "results": ("presets.json", results_section),
    "pacgan": ("presets.json", preset_tables.pacgan_section),
    "remedies": ("presets.json", preset_tables.remedies_section),
}


def fill(text: str, name: str, content: str) -> str:
    """`text` with everything between <!-- name --> and <!-- /name --> replaced. Raises ValueError without the markers."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(opening) != 1 or text.count(closing) != 1:
        raise ValueError(f"README.md needs the markers {opening} and {closing} once each")
    before, rest = text.split(opening)
    return f"{before}{opening}\n{content}\n{closing}{rest.split(closing)[1]}"


def main() -> None:
    text = README.read_text()
    for name, (file, section) in SECTIONS.items():
        report = json.loads((RESULTS / file).read_text()) if (RESULTS / file).exists() else None
        if report is None or name not in report.get("tables", {name: True}):
            print(f"{RESULTS / file} {'is missing' if report is None else 'has no such table'}; section {name!r} stays as it is")
        else:
            text = fill(text, name, section(report))
    README.write_text(text)


if __name__ == "__main__":
    main()

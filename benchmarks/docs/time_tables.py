"""The section of docs/results.md on the model of time: the published ladder beside what the model says of it."""

from __future__ import annotations

from typing import Any

from benchmarks.docs.markdown import measured_on, table

Report = dict[str, Any]


def time_section(report: Report) -> str:
    """Return the table of rungs, and sentences on the order and on the goal."""
    rows = [[r["title"], f"{r['published']:,.0f}", f"{r['modelled']:,.0f}", f"{r['factor']:.2f}",
             f"{r['factor_at_base_clock']:.2f}", r["limit"],
             *(f"{r['parts'][name] / 1e3:.2f}" for name in ("issue", "arithmetic", "load_store", "latency"))]
            for r in report["rows"]]  # fmt: skip
    head = ["rung", "published, GFLOP/s", "modelled", "factor", "at the base clock", "limited by", "issue, ms", "arithmetic, ms",
            "load/store, ms", "waiting, ms"]  # fmt: skip
    later = [_later(other, report["goal"]) for other in report.get("later", [])]
    return "\n\n".join([table(head, rows), _on_the_goal(report), *later, measured_on(report["stamp"])])


def _later(other: Report, goal: float) -> str:
    """Return the table of a GPU that was looked at when the model had been fixed, and which rungs are beyond the goal there."""
    rows = [
        [r["title"], f"{r['published']:,.0f}", f"{r['modelled']:,.0f}", f"{r['factor']:.2f}", r["limit"]]
        for r in other["rows"]
    ]
    missed = [f"{r['title']} ({r['factor']:.2f})" for r in other["rows"] if r["factor"] > goal]
    model = f"the model's {other['gpu']} at {other['clock']:.2f} GHz"
    said = [f"{other['measured_on']}, by {model}; measured by others: {other['source']}. ",
            f"Beyond a factor of {goal}: {', '.join(missed)}. " if missed else f"Each is within a factor of {goal}. ",
            f"Not in the published order: {'; '.join(other['not_in_order'])}." if other["not_in_order"]
            else "The order is the published one."]  # fmt: skip
    return table(["rung", "published, GFLOP/s", "modelled", "factor", "limited by"], rows) + "\n\n" + "".join(said)


def _on_the_goal(report: Report) -> str:
    """Return what became of the goal, each within a factor, and of the order."""
    goal, missed = report["goal"], [r for r in report["rows"] if r["factor"] > report["goal"]]
    worst = max(report["rows"], key=lambda r: r["factor"])
    base = [r["title"] for r in report["rows"] if r["factor_at_base_clock"] > goal]
    size = " x ".join([str(report["size"])] * 3)
    said = [f"{report['gpu']}, {size}, at the data sheet's {report['clock']:.2f} GHz. "]
    if missed:
        said.append(f"The goal, a factor of at most {goal}, is missed by {', '.join(r['title'] for r in missed)}. ")
    else:
        said.append(f"Each is within a factor of {goal}, the goal; the worst is {worst['title']}, {worst['factor']:.2f}. ")
    said.append(f"At the base clock of {report['base_clock']} GHz, to which power may bring it down, ")
    said.append(f"{' and '.join(base)} would miss it. " if base else "so is each. ")
    order = report["not_in_order"]
    said.append(f"The order is that of the published figures but for {'; '.join(order)}." if order
                else "The order is that of the published figures.")  # fmt: skip
    return "".join(said)

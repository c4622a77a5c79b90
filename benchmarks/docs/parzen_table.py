"""The table of Parzen windows in docs/results.md, made of the record that benchmarks/quality/parzen.py wrote."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.docs.markdown import measured_on, table
from benchmarks.quality.parzen import CENTRES, TEST, TRAINING, published


def parzen_section(record: dict[str, Any]) -> str:
    """Return what each set of points measures, the published figures, and whether the two may be compared."""
    parts = record["split"]
    passes = record["steps"] * record["batch"] / parts["training"]
    head = ["points", "how many", "nats on the test digits", "sigma", "precision"]
    lines = [[name, f"{row['points']:,}", f"{row['mean']:.1f} ± {row['standard_error']:.1f}", f"{row['sigma']:.3f}",
              f"{row['precision']:.2f}"] for name, row in record["rows"].items()]
    told = (f"{record['data']}: {parts['training']:,} digits to train on, {parts['validation']:,} to choose sigma on and "
            f"{parts['test']:,} to test on. G is that of {record['steps']:,} steps with batches of {record['batch']} "
            f"({passes:.0f} passes over the digits), seed {record['seed']}; alarms that went off: "
            f"{', '.join(record['alarms']) or 'none'}.")
    differences = "; ".join(record["differences"])
    return "\n\n".join([told, table(head, lines), f"{_of_no_model(record['rows'])} {_published(record)}",
                        f"Where the recipe is not the paper's: {differences}.", measured_on(record["stamp"])])


def _of_no_model(rows: dict[str, Any]) -> str:
    """Return a sentence on how centres of clusters stand to digits themselves."""
    centres, digits = rows[CENTRES], rows[TRAINING]
    by = centres["mean"] - digits["mean"]
    errors = abs(by) / math.hypot(centres["standard_error"], digits["standard_error"])
    side = "above" if by > 0 else "below"
    return (f"The {centres['points']:,} centres, which are samples of nothing, are {abs(by):.1f} nats {side} the "
            f"{digits['points']:,} digits. That is {errors:.1f} standard errors of a difference between independent figures; these "
            f"share their test digits, so the error of their own difference was not measured.")


def _published(record: dict[str, Any]) -> str:
    """Return the paper's figures in a sentence, and whether they are of the task that the record is of."""
    said = f"The paper's Table 1 has, in nats: {published()}."
    if record["as_published"]:
        return f"{said} Its digits are split in the same way."
    parts = record["split"]
    return (f"{said} **That is not the same task**: it is on 50,000 digits to train on and {TEST:,} to test on, and here there are "
            f"{parts['training']:,} and {parts['test']:,}, so no figure of one may be held against one of the other.")

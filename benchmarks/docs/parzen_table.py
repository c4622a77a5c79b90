"""The table of Parzen windows in docs/results.md, made of the record that benchmarks/quality/parzen.py wrote."""

from __future__ import annotations

from typing import Any

from benchmarks.docs.markdown import measured_on, table
from benchmarks.quality.parzen import TEST, published


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
    return "\n\n".join([told, table(head, lines), _published(record),
                        f"Where the recipe is not the paper's: {differences}.", measured_on(record["stamp"])])


def _published(record: dict[str, Any]) -> str:
    """Return the paper's figures in a sentence, and whether they are of the task that the record is of."""
    said = f"The paper's Table 1 has, in nats: {published()}."
    if record["as_published"]:
        return f"{said} Its digits are split in the same way."
    parts = record["split"]
    return (f"{said} **That is not the same task**: it is on 50,000 digits to train on and {TEST:,} to test on, and here there are "
            f"{parts['training']:,} and {parts['test']:,}, so no figure of one may be held against one of the other.")

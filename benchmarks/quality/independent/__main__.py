"""Compute every measure twice on the same samples: `python -m benchmarks.quality.independent [--json FILE] [--only WORD ...]`

Each number of tinygan/measure/ stands beside that of another implementation: a package that others use, or, where no package has
the measure, a loop over its definition. The samples are those of poor generators, with seeds, and some that are awkward: each there
twice, at equal distances, on a limit, a mode without samples. Two numbers have to be as near as the tolerance beside them, whose
reason is given, or the exit code is 1.

It needs packages that no extra of this project installs: python -m pip install prdc torchmetrics torch. Without them it says which
are missing, and the exit code is 2; --only chooses comparisons that do not need them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.quality.independent import (
    density_measures,
    feature_measures,
    mixture_measures,
    neighbour_measures,
    permutation_tests,
    reports,
)
from benchmarks.quality.independent.comparison import Comparator, Comparison
from benchmarks.speed.timing import stamp

COMPARATORS: tuple[Comparator, ...] = tuple(
    comparator for module in (
        mixture_measures, permutation_tests, neighbour_measures, feature_measures, density_measures, reports)
    for comparator in module.COMPARATORS)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the record")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="only comparisons whose name has one of these words")
    given = parser.parse_args(arguments)
    chosen = [one for one in COMPARATORS if not given.only or any(word in one.name for word in given.only)]
    if not chosen:
        parser.error(f"no comparison has such a word in its name; there are: {', '.join(one.name for one in COMPARATORS)}")
    if given.json and not given.json.parent.is_dir():
        parser.error(f"--json: there is no folder {given.json.parent}; make it first")
    if missing := missing_packages(chosen):
        print(f"not installed: {', '.join(missing)}; get them with: python -m pip install {' '.join(missing)}", file=sys.stderr)
        return 2
    found = []
    for comparator in chosen:
        for one in comparator.compare():
            found.append(one)
            print(line(one), flush=True)
    agree = sum(one.agrees for one in found)
    print(f"{agree} of {len(found)} numbers agree")
    if given.json:
        given.json.write_text(json.dumps(record_of(found, chosen), indent=1, allow_nan=False) + "\n")
    return int(agree < len(found))


def missing_packages(chosen: Iterable[Comparator]) -> list[str]:
    """Return the packages that these comparisons need and that are not installed."""
    return sorted({package for one in chosen for package in one.packages if find_spec(package) is None})


def record_of(found: Iterable[Comparison], chosen: Iterable[Comparator]) -> dict[str, Any]:
    """Return the record of comparisons, with the machine, and the versions of the packages that they took."""
    now: dict[str, Any] = stamp()
    packages = sorted({"scikit-learn"} | {package for one in chosen for package in one.packages})
    now["versions"] = {**now["versions"], **{package: version(package) for package in packages}}
    return {"stamp": now, "comparisons": [one.record() for one in found]}


def line(one: Comparison) -> str:
    """Return a comparison as a line of text."""
    said = "" if one.agrees else "  NOT WITHIN ITS TOLERANCE"
    return (f"{one.metric} ({one.samples}): {one.ours:.12g}, {one.theirs:.12g} by {one.by}; {one.difference:.1e} of "
            f"{one.tolerance:.1e} ({one.convention or one.reason}){said}")


if __name__ == "__main__":
    sys.exit(main())

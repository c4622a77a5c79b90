"""Names for numbers: which axis' length, which simple number a factor is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

from .fit import Site

PLAIN = {
    -1.0: "-1",
    2.0: "2",
    0.5: "1/2",
    -2.0: "-2",
    -0.5: "-1/2",
    3.0: "3",
    1 / 3: "1/3",
    4.0: "4",
    0.25: "1/4",
    math.sqrt(2): "sqrt(2)",
    1 / math.sqrt(2): "1/sqrt(2)",
    math.pi: "pi",
    2 * math.pi: "2 pi",
    0.5 / math.pi: "1/(2 pi)",
    math.log(2): "log 2",
    1 / math.log(2): "1/log 2",
    math.sqrt(2 * math.pi): "sqrt(2 pi)",
    1 / math.sqrt(2 * math.pi): "1/sqrt(2 pi)",
}
# forms of a length n: (text, what it makes of n, what kind of mistake a factor of this form is)
FORMS: list[tuple[str, Callable[[float], float], str]] = [
    ("n", lambda n: n, "sum for mean"),
    ("1/n", lambda n: 1 / n, "mean for sum"),
    ("n - 1", lambda n: n - 1, "sum for mean"),
    ("1/(n - 1)", lambda n: 1 / (n - 1), "mean for sum"),
    ("n/(n - 1)", lambda n: n / (n - 1), "constant factor"),
    ("(n - 1)/n", lambda n: (n - 1) / n, "constant factor"),
    ("sqrt(n)", math.sqrt, "constant factor"),
    ("1/sqrt(n)", lambda n: 1 / math.sqrt(n), "constant factor"),
    ("n^2", lambda n: n * n, "sum for mean"),
    ("1/n^2", lambda n: 1 / (n * n), "mean for sum"),
    ("2n", lambda n: 2 * n, "sum for mean"),
    ("2/n", lambda n: 2 / n, "mean for sum"),
    ("n/2", lambda n: n / 2, "sum for mean"),
    ("1/(2n)", lambda n: 0.5 / n, "mean for sum"),
]


def near(a: float, b: float, share: float = 1e-5) -> bool:
    return abs(a - b) <= share * max(abs(a), abs(b))


def lengths(site: Site) -> list[tuple[str, int]]:
    """Return (name, length) for the axes of all arrays, for products of two axes of one array, and for whole arrays."""
    shapes = [(name, a.shape) for name, a in zip(site.names, site.arrays, strict=True)]
    shapes += [("the output" if len(site.out_shapes) == 1 else f"output {k}", s) for k, s in enumerate(site.out_shapes)]
    found = []
    for name, shape in shapes:
        found += [(f"axis {a} of {name}", n) for a, n in enumerate(shape)]
        if len(shape) > 2:
            found += [
                (f"axes {' and '.join(map(str, axes))} of {name}", math.prod(shape[a] for a in axes))
                for size in range(2, len(shape))
                for axes in combinations(range(len(shape)), size)
            ]
        if len(shape) > 1:
            found.append((f"the size of {name}", math.prod(shape)))
    return [(name, n) for name, n in found if n > 1]


def factor_names(value: float, site: Site) -> list[tuple[str, str, str]]:
    """Return (form, of what, kind) for every name of a factor: ("1/n", "axis 0 of x", "mean for sum")."""
    found = [(text, "", "sign" if text == "-1" else "constant factor") for number, text in PLAIN.items() if near(value, number)]
    for name, n in lengths(site):
        for form, of, kind in FORMS:
            if (n > 2 or form in ("n", "1/n", "sqrt(n)", "1/sqrt(n)")) and near(value, of(n)):
                found.append((form, name, kind))
            elif n > 2 and near(-value, of(n)):
                found.append((f"-{form}", name, kind))
    return found


def of_what(names: Sequence[tuple[str, str, str]], site: Site) -> str:
    """Return the names of one factor in words: "n = 5, axis 0 of x and of the output"."""
    by_length = dict(lengths(site))
    forms: dict[tuple[str, int], list[str]] = {}
    for form, what, _ in names:
        forms.setdefault((form, by_length.get(what, 0)), []).append(what)
    told = []
    for (form, n), whats in forms.items():
        told.append(form if not n else f"{form} with n = {n}, {_joined(whats)}")
    return "; or ".join(told)


def _joined(whats: Sequence[str]) -> str:
    kept = list(whats[:3])
    return ", ".join(kept[:-1]) + " and " + kept[-1] if len(kept) > 1 else kept[0]

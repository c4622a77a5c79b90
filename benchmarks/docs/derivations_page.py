"""What docs/derivations.md quotes: reports on typical mistakes, a derivation line by line, and the count of planted mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.docs.markdown import table
from tinygan.derive import check_derivation, check_lines, read_lines

RESULTS = Path(__file__).resolve().parents[1] / "results" / "derivations.json"


def layer_norm(x, gamma, beta):
    mu = x.mean(-1, keepdims=True)
    var = ((x - mu) ** 2).mean(-1, keepdims=True)
    return gamma * (x - mu) / np.sqrt(var + 1e-5) + beta


def layer_norm_vjp(g, x, gamma, beta):
    mu = x.mean(-1, keepdims=True)
    std = np.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + 1e-5)
    y = (x - mu) / std
    h = g * gamma
    dx = (h - y * (h * y).mean(-1, keepdims=True)) / std  # the mean of h is missing
    return dx, (g * y).sum(0), g.sum(0)


def squared_error(x, t):
    return ((x - t) ** 2).mean()


def squared_error_vjp(g, x, t):
    return 2 * g * (x - t), -2 * g * (x - t) / x.size


def add_bias(x, b):
    return x + b


def add_bias_vjp(g, x, b):
    return g, g


def dense(x, w):
    return np.tanh(x @ w)


def dense_vjp(g, x, w):
    d = g * (1 - (x @ w) ** 2)  # 1 - y^2 is meant
    return d @ w.T, x.T @ d


def product(a, b):
    return a @ b


def product_vjp(g, a, b):
    return g @ b, a.T @ g


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_vjp(g, x):
    y = softmax(x)
    return y * (g + (g * y).sum(-1, keepdims=True))


EXAMPLES: dict[str, tuple[Callable[..., object], Callable[..., object], list[tuple[int, ...]]]] = {
    "layer norm, a term forgotten": (layer_norm, layer_norm_vjp, [(3, 5), (5,), (5,)]),
    "a mean's 1/n forgotten": (squared_error, squared_error_vjp, [(3, 4), (3, 4)]),
    "a broadcast not summed": (add_bias, add_bias_vjp, [(3, 5), (5,)]),
    "1 - s^2 for 1 - tanh(s)^2": (dense, dense_vjp, [(3, 4), (4, 2)]),
    "g b for g b^T": (product, product_vjp, [(3, 3), (3, 3)]),
    "softmax, a sign": (softmax, softmax_vjp, [(3, 4)]),
}


def report(name: str) -> str:
    f, vjp, shapes = EXAMPLES[name]
    rng = np.random.default_rng(0)
    return str(check_derivation(f, vjp, *(rng.normal(size=shape) for shape in shapes)))


def six_mistakes() -> str:
    """Return what a user sees for six typical mistakes."""
    return "```\n" + "\n\n".join(report(name) for name in EXAMPLES) + "\n```"


def formulas() -> str:
    """Return the reports of two wrong gradients of small inputs, with the formulas."""
    rng = np.random.default_rng(0)
    found = [check_derivation(f, vjp, *(rng.normal(size=shape) for shape in shapes), symbolic=True) for f, vjp, shapes in (
        (product, product_vjp, [(2, 2), (2, 2)]), (softmax, softmax_vjp, [(1, 2)]))]
    return "```\n" + "\n\n".join(map(str, found)) + "\n```"


DERIVATION = """\
log(1 + exp(-s)) + s
= log((1 + exp(-s)) * exp(s))
= log(exp(s) + 1)
= s + log(1 + exp(s))     # meant: log(1 + exp(s))
"""


def line_by_line() -> str:
    """Return a derivation and what is said of it."""
    return f"```\n{DERIVATION}```\n```\n{check_lines(read_lines(DERIVATION))}\n```"


def planted() -> str:
    """Return the confusion table of the last run of the suite."""
    found = json.loads(RESULTS.read_text())
    confusion = found["confusion"]
    names = [*confusion, *sorted({name for row in confusion.values() for name in row} - set(confusion))]
    rows = []
    for kind, row in confusion.items():
        others = ", ".join(f"{name} {row[name]}" for name in names if name in row and name != kind)
        rows.append([kind, str(sum(row.values())), str(row.get(kind, 0)), others or "none"])
    said = (f"{found['functions']} functions, {found['planted']} planted mistakes: {found['named_rightly']} named rightly "
            f"({found['named_rightly'] / found['planted']:.1%}), {found['silent']} met by silence, "
            f"{found['wrong_with_high_confidence']} given a wrong name with high confidence; "
            f"{found['right_called_wrong']} right gradients called wrong.")
    return said + "\n\n" + table(["planted", "times", "named so", "named otherwise"], rows)

"""The numbers of docs/autodiff.md: one graph by the engine and by hand, a second derivative, a Hessian, gradcheck's counts."""

from __future__ import annotations

import numpy as np
from tinygan_kernels import load

from benchmarks.docs.markdown import table
from tinygan.drawing import draw
from tinygan.drawing.layout import require_layout
from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients
from tinygan.theory import gradient_cases
from tinygan.theory.vector_field import jacobian

CPU = load("cpu")


def worked() -> tuple[list[tuple[str, str, Tensor]], Tensor, list[Tensor]]:
    """Compute s = tanh(x w + b) v and L = -log sigmoid(s) for one sample x = 2.

    Returns (each node as name, formula and tensor, in the order of computation; L; the tensors alone).
    """
    x = Tensor(np.array([[2.0]]), CPU)
    w, b, v = (Tensor(np.array([[value]]), CPU, requires_grad=True) for value in (0.5, -0.5, 3.0))
    a = x @ w
    c = a + b
    h = ops.tanh(c)
    s = h @ v
    L = ops.mean(ops.softplus(-s))
    nodes = [("w", "leaf", w), ("b", "leaf", b), ("v", "leaf", v), ("a", "x w", a), ("c", "a + b", c), ("h", "tanh c", h),
             ("s", "h v", s), ("L", "softplus(-s)", L)]
    return nodes, L, [t for _, _, t in nodes]


def worked_graph() -> str:
    """Return the graph's values and the engine's cotangents, node by node."""
    nodes, L, tensors = worked()
    cotangents = gradients(L, tensors)
    rows = [[f"`{name}`", formula, f"{float(t):+.6f}", f"{float(g):+.6f}"]
            for (name, formula, t), g in zip(nodes, cotangents, strict=True)]
    return table(["node", "computed as", "value", "dL/dnode"], rows)


def worked_drawing() -> str:
    """Return the worked graph as SVG. Raises NoLayout where igraph is missing."""
    nodes, L, _ = worked()
    require_layout()
    return draw(L, names={name: tensor for name, _, tensor in nodes}).svg()


def worked_by_hand() -> str:
    """Return the same derivatives by the chain rule in NumPy."""
    x, w, b, v = 2.0, 0.5, -0.5, 3.0
    h = np.tanh(x * w + b)
    s = h * v
    ds = -1 / (1 + np.exp(s))
    dc = ds * v * (1 - h**2)
    rows = [["dL/ds = -sigma(-s)", ds], ["dL/dv = h dL/ds", h * ds], ["dL/dc = v (1 - h^2) dL/ds", dc], ["dL/dw = x dL/dc", x * dc],
            ["dL/db = dL/dc", dc]]
    return table(["by hand", "value"], [[name, f"{value:+.6f}"] for name, value in rows])


def second_order() -> str:
    """Return d/dw of the R1 penalty (gamma/2) (ds/dx)^2 of s = v tanh(x w + b), by hand, by the engine and by differences."""

    def r1(w: Tensor) -> Tensor:
        point = Tensor(np.array([[2.0]]), CPU, requires_grad=True)
        (slope,) = gradients(3.0 * ops.tanh(point @ w - 0.5), [point], create_graph=True)
        return ops.sum(slope**2) * 0.15

    w, step = Tensor(np.array([[0.5]]), CPU, requires_grad=True), 1e-5
    engine = float(gradients(r1(w), [w])[0])
    up, down = (float(r1(Tensor(w.numpy() + move, CPU))) for move in (step, -step))
    h = np.tanh(2 * 0.5 - 0.5)
    slope = 3 * 0.5 * (1 - h**2)
    by_hand = 0.3 * slope * (3 * (1 - h**2) + 3 * 0.5 * (-2 * h * (1 - h**2)) * 2)
    rows = [["by hand", f"{by_hand:.8f}"], ["engine, through its own VJPs", f"{engine:.8f}"],
            ["central differences", f"{(up - down) / (2 * step):.8f}"]]
    return table(["d/dw of (0.3/2) (ds/dx)^2", "value"], rows)


def hessian() -> str:
    """Return the Hessian of f(a, b) = a^2 b + e^b at (1, 0), by the engine; by hand it is [[2 b, 2 a], [2 a, e^b]]."""
    a, b = (Tensor(np.array(value), CPU, requires_grad=True) for value in (1.0, 0.0))
    f = a**2 * b + ops.exp(b)
    slopes = ops.concat([ops.reshape(g, (1,)) for g in gradients(f, [a, b], create_graph=True)])
    H = jacobian(slopes, [a, b])
    rows = [[f"of df/d{name}", *(f"{value:.1f}" for value in row)] for name, row in zip("ab", H, strict=True)]
    return table(["", "d/da", "d/db"], rows)


def gradcheck_counts() -> str:
    """Return a sentence on how much `tinygan gradcheck` checks."""
    cases = [*gradient_cases.OP_CASES, *gradient_cases.GAME_CASES]
    ops_checked = sorted({case.op for case in gradient_cases.OP_CASES})
    checks = sum(len(case.orders) for case in cases)
    return (f"`tinygan gradcheck` runs {checks} checks over {len(cases)} cases, of {len(ops_checked)} ops and "
            f"{len(gradient_cases.GAME_CASES)} whole-network gradients.")

"""Every number, excerpt and figure of docs/, made here: `python -m benchmarks.docs.numbers [--check] [--quick]`

A page has blocks between `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands there is what BLOCKS[NAME]() returns. --check
writes nothing and fails if a page would change. --quick leaves out what takes longer than a few seconds (slow blocks and figures).
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from tinygan_kernels import KERNELS, Launch, load, names
from tinygan_kernels.profiling import counts
from tinygan_kernels.profiling.work import flops, moved
from tinygan_kernels.verification import bounds as tolerance

from benchmarks.docs import emulator_page, figures
from tinygan.engine import ops, tensor
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import moves, objectives, penalties
from tinygan.theory import gradient_cases
from tinygan.theory.all import claims, judge
from tinygan.theory.claim import Measured
from tinygan.theory.convergence import RADIUS_ALTERNATING, RADIUS_R1, RADIUS_SIMULTANEOUS
from tinygan.theory.value import gradients_by_hand
from tinygan.theory.vector_field import dirac_eigenvalues, dirac_path, jacobian

DOCS = Path(__file__).resolve().parents[2] / "docs"
CPU = load("cpu")
SLOW = {"ladders", "claims", "k-steps", "collapse", "optimum", "constant-d"}  # blocks that take longer than a few seconds


# ---- pieces of Markdown ---------------------------------------------------------------------------------------------------------


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _source(function: Callable) -> str:
    """A function as it stands in its file, with the file's name above it."""
    text = textwrap.dedent(inspect.getsource(function))
    path = Path(inspect.getsourcefile(function)).relative_to(DOCS.parent)
    return f"[`{path}`](../{path})\n```python\n{text.rstrip()}\n```"


@cache
def _measured(name: str) -> list[Measured]:
    (claim,) = (c for c in claims() if c.name == name)
    (verdict,) = judge([claim], CPU)
    if not verdict.passed:
        raise ValueError(f"the claim {name} fails; the pages cannot quote it")
    return verdict.measured


def _number(m: Measured) -> str:
    """Four digits of a value; of an error, only that it is within what was allowed, as its digits are a machine's own."""
    if m.relation == "=" and m.expected == 0:
        return f"0 within {m.tolerance:.0e}" if m.tolerance else "0"
    return f"{m.value:.4g}"


def _claim(name: str) -> str:
    rows = []
    for m in _measured(name):
        relation = {"=": "", "<=": "at most ", ">=": "at least "}[m.relation]
        rows.append([m.what, _number(m), f"{relation}{m.expected:.4g}"])
    return _table(["measured", "value", "has to be"], rows)


# ---- docs/game.md ---------------------------------------------------------------------------------------------------------------


def all_claims() -> str:
    rows = [[str(v.claim.number), f"`{v.claim.name}`", v.claim.statement, v.claim.source, "confirmed" if v.passed else "FAILED"]
            for v in judge(claims(), CPU)]
    return _table(["", "claim", "what it states", "source", "here"], rows)


def dirac_radii() -> str:
    runs = [("simultaneous", False, 0.0, RADIUS_SIMULTANEOUS), ("alternating, D first", True, 0.0, RADIUS_ALTERNATING),
            ("simultaneous, R1 with gamma = 0.3", False, 0.3, RADIUS_R1)]
    rows = []
    for name, alternating, gamma, published in runs:
        radius = np.linalg.norm(dirac_path(CPU, alternating, gamma)[-1])
        rows.append([name, f"{radius:.5g}", f"{published:.6g}"])
    return _table(["500 steps of h = 0.2", "radius (1.41421 at the start)", "published"], rows)


def dirac_spectrum() -> str:
    rows = []
    for gamma in (0.0, 0.3, 1.0, 2.0):
        found = dirac_eigenvalues(CPU, objectives.value, objectives.minimax, gamma)
        shown = [f"{e.real + 0.0:+.4f} {e.imag + 0.0:+.4f} i" for e in np.round(found, 9)]
        rows.append([f"{gamma:g}", *shown])
    return _table(["gamma", "eigenvalue", "eigenvalue"], rows)


# ---- docs/autodiff.md -----------------------------------------------------------------------------------------------------------


def _worked() -> tuple[list[tuple[str, str, Tensor]], Tensor, list[Tensor]]:
    """One sample through a tiny D: s = tanh(x w + b) v, L = -log sigmoid(s). (name, formula, tensor) in order, L, leaves."""
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
    nodes, L, tensors = _worked()
    cotangents = gradients(L, tensors)
    rows = [[f"`{name}`", formula, f"{float(t):+.6f}", f"{float(g):+.6f}"]
            for (name, formula, t), g in zip(nodes, cotangents, strict=True)]
    return _table(["node", "computed as", "value", "dL/dnode"], rows)


def worked_by_hand() -> str:
    x, w, b, v = 2.0, 0.5, -0.5, 3.0
    h = np.tanh(x * w + b)
    s = h * v
    ds = -1 / (1 + np.exp(s))
    dc = ds * v * (1 - h**2)
    rows = [["dL/ds = -sigma(-s)", ds], ["dL/dv = h dL/ds", h * ds], ["dL/dc = v (1 - h^2) dL/ds", dc], ["dL/dw = x dL/dc", x * dc],
            ["dL/db = dL/dc", dc]]
    return _table(["by hand", "value"], [[name, f"{value:+.6f}"] for name, value in rows])


def second_order() -> str:
    """R1 of s = v tanh(x w + b), one dimension: |ds/dx|^2 gamma/2, and its derivative in w by hand, engine and differences."""

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
    return _table(["d/dw of (0.3/2) (ds/dx)^2", "value"], rows)


def hessian() -> str:
    """Of f(a, b) = a^2 b + e^b at (1, 0): [[2 b, 2 a], [2 a, e^b]]."""
    a, b = (Tensor(np.array(value), CPU, requires_grad=True) for value in (1.0, 0.0))
    f = a**2 * b + ops.exp(b)
    slopes = ops.concat([ops.reshape(g, (1,)) for g in gradients(f, [a, b], create_graph=True)])
    H = jacobian(slopes, [a, b])
    rows = [[f"of df/d{name}", *(f"{value:.1f}" for value in row)] for name, row in zip("ab", H, strict=True)]
    return _table(["", "d/da", "d/db"], rows)


def gradcheck_counts() -> str:
    cases = [*gradient_cases.OP_CASES, *gradient_cases.GAME_CASES]
    ops_checked = sorted({case.op for case in gradient_cases.OP_CASES})
    checks = sum(len(case.orders) for case in cases)
    return (f"`tinygan gradcheck` runs {checks} checks over {len(cases)} cases, of {len(ops_checked)} ops and "
            f"{len(gradient_cases.GAME_CASES)} whole-network gradients.")


# ---- docs/kernels.md ------------------------------------------------------------------------------------------------------------


def contract() -> str:
    rows = [[f"`{k.name}`", ", ".join(k.inputs) or "-", ", ".join(k.outputs), f"`{k.formula}`"] for k in KERNELS.values()]
    return _table(["kernel", "takes", "gives", "what it computes"], rows)


def versions() -> str:
    loaded = {name: load(name, emulate=name in ("cupy", "numba-cuda")) for name in names()}
    rows = []
    for kernel in KERNELS:
        of = [[f"{v.number} {v.title}" for v in b.versions if v.kernel == kernel] for b in loaded.values()]
        rows.append([f"`{kernel}`", *("; ".join(ladder) for ladder in of)])
    return _table(["kernel", *(f"`{name}`" for name in loaded)], rows)


def bounds() -> str:
    """The allowed error of one product in float32 at several lengths, and what an index error does."""
    rng, rows = np.random.default_rng(0), []
    for k in (16, 256, 4096):
        a, b = rng.standard_normal((4, k)), rng.standard_normal((k, 4))
        (allowed,) = tolerance.bound("matmul", (a, b), (a @ b,), np.float32)
        shifted = np.roll(a, 1, axis=1) @ b
        rows.append([str(k), f"{float(np.median(allowed)):.1e}", f"{float(np.median(np.abs(shifted - a @ b) / allowed)):.0e}"])
    return _table(["K", "allowed error, float32 (median)", "a product one index off, in units of it"], rows)


def step_costs() -> str:
    """What one training step of the default digits run asks of the kernels."""
    from tinygan.data.datasets import load as load_data
    from tinygan.training.config import Config, defaults
    from tinygan.training.run import Run

    dataset, launches = load_data("digits"), []
    backend = load("cpu")
    run = Run(Config(data="digits", **defaults(dataset, None)), dataset, backend, Path("unused"))

    def note(launch: Launch, proceed: Callable[[], None]) -> None:
        launches.append(launch)
        proceed()

    with backend.watch(note):
        run.make_step()
    names_ = {launch.kernel.name for launch in launches}
    rows = []
    for name in names_:
        of = [launch for launch in launches if launch.kernel.name == name]
        rows.append((sum(map(flops, of)), sum(map(moved, of)), name, len(of)))
    rows.sort(reverse=True)
    shown = [[f"`{name}`", str(count), f"{fl / 1e6:.1f}" if fl else "-", f"{mv / 1e6:.2f}"] for fl, mv, name, count in rows]
    return _table(["kernel", "launches", "Mflop of products", "MB moved"], shown)


def ladders() -> str:
    """The product 256 x 256 x 256 on each rung of the CUDA backends, executed and counted by the emulator."""
    rows = []
    for backend in ("cupy", "numba-cuda"):
        for version in load(backend, emulate=True).versions:
            if version.kernel != "matmul":
                continue
            total = counts.count("matmul", version.number, (256, 256, 256), backend).total
            sectors, requests = (total(f"l1tex__t_{what}_pipe_lsu_mem_global_op_ld.sum") for what in ("sectors", "requests"))
            conflicts = total("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum")
            rows.append([f"`{backend}` {version.number}", version.title, f"{total('smsp__inst_executed.sum') / 1e6:.2f} M",
                         f"{sectors / 1e6:.2f} M", f"{sectors / requests:.1f}", f"{conflicts:,.0f}"])
    head = ["rung", "what it does", "warp instructions (PTX)", "sectors loaded", "sectors a request", "bank conflicts"]
    return _table(head, rows)


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "game.md": {
        "value-code": lambda: _source(objectives.value),
        "value": lambda: _claim("value"),
        "optimum": lambda: _claim("optimal-d-1d") + "\n\n" + _claim("optimal-d-2d"),
        "constant-d": lambda: _claim("constant-d"),
        "hand-code": lambda: _source(gradients_by_hand),
        "gradients": lambda: _claim("gradients"),
        "g-code": lambda: _source(objectives.minimax) + "\n\n" + _source(objectives.nonsaturating),
        "saturation": lambda: _claim("saturation"),
        "directions": lambda: _claim("directions"),
        "total-code": lambda: _source(objectives.total_loss),
        "total-loss": lambda: _claim("total-loss"),
        "zero-sum": lambda: _claim("zero-sum"),
        "steps-code": lambda: _source(moves.Game.ascend_d) + "\n\n" + _source(moves.Game.alternating_step),
        "k-steps": lambda: _claim("k-steps"),
        "dirac": dirac_radii,
        "spectrum": dirac_spectrum,
        "r1-code": lambda: _source(penalties.squared_slope),
        "collapse": lambda: _claim("collapse") + "\n\n" + _claim("collapse-cures"),
        "claims": all_claims,
    },
    "autodiff.md": {
        "op-code": lambda: _source(ops.mul) + "\n\n" + _source(ops.matmul),
        "record-code": lambda: _source(tensor.record),
        "sweep-code": lambda: _source(tensor._sweep),
        "graph": worked_graph,
        "by-hand": worked_by_hand,
        "unbroadcast-code": lambda: _source(ops.unbroadcast),
        "second": second_order,
        "jacobian-code": lambda: _source(jacobian),
        "hessian": hessian,
        "counts": gradcheck_counts,
    },
    "kernels.md": {"contract": contract, "versions": versions, "bounds": bounds, "ladders": ladders, "step": step_costs},
    "emulator.md": emulator_page.BLOCKS,
}


def render(text: str, page: str, skip: set[str]) -> str:
    """The page with its blocks made anew, those in `skip` left as they are. Raises ValueError for blocks that do not match."""
    found = re.findall(r"<!-- begin (\S+) -->", text)
    if sorted(found) != sorted(BLOCKS[page]):
        raise ValueError(f"{page} and the script differ in the blocks {sorted(set(found) ^ set(BLOCKS[page]))}")
    for name in found:
        if name not in skip:
            made = BLOCKS[page][name]()
            pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
            text = re.sub(pattern, lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text, count=1, flags=re.DOTALL)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    stale = []
    for page in BLOCKS:
        before = (DOCS / page).read_text()
        after = render(before, page, SLOW if args.quick else set())
        if after != before:
            stale.append(page)
            if not args.check:
                (DOCS / page).write_text(after)
    if not args.check and not args.quick:
        figures.draw(DOCS / "figures")
    print(f"{'stale' if args.check else 'changed'}: {', '.join(stale) or 'nothing'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

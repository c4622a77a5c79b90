"""The figures of docs/: those of the game are drawn from what the engine computes, those of a product by product_figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tinygan_kernels import load

from benchmarks.docs import product_figures, puzzles_page
from benchmarks.docs.autodiff_page import worked_drawing
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives
from tinygan.measure.densities import optimal
from tinygan.measure.pictures import FAKE, REAL, THEORY
from tinygan.theory.collapse import CURES, PLAIN, Setting, generated
from tinygan.theory.dirac import dirac_path
from tinygan.theory.likelihood import parzen_table
from tinygan.theory.local_rates import consensus_radius, extragradient_radius
from tinygan.theory.long_run import LONG, circle, long_radii
from tinygan.theory.mlp_game import critical_step, field_eigenvalues, mlp_game, played_factor, steps_to_see
from tinygan.theory.optimal_d import one_dimension, trained
from tinygan.theory.supports import noisy_lines, on_lines

CPU = load("cpu")


def optimal_d() -> Figure:
    """Draw p_data and p_g, and a D trained to its optimum over D*."""
    fixed = one_dimension()
    _, d = trained(fixed, CPU)
    figure = Figure(figsize=(7, 3.2), layout="constrained", dpi=110)
    axes = figure.subplots()
    x, cell = fixed.points[:, 0], fixed.points[1, 0] - fixed.points[0, 0]
    axes.fill_between(x, fixed.p / cell, color=REAL, alpha=0.35, label="p_data", linewidth=0)
    axes.fill_between(x, fixed.q / cell, color=FAKE, alpha=0.35, label="p_g", linewidth=0)
    axes.plot(x, optimal(fixed.p, fixed.q), color="black", linewidth=2.5, alpha=0.35, label="D* = p_data / (p_data + p_g)")
    axes.plot(x, d, color="black", linewidth=1, linestyle="--", label="D, trained")
    axes.axhline(0.5, color=THEORY, linewidth=0.6)
    axes.set(xlim=(-4, 5), ylim=(0, 1.02), xlabel="x")
    axes.legend(frameon=False, fontsize=8)
    return figure


def two_losses() -> Figure:
    """Draw both objectives of G over D(G(z)), and the sizes of their gradients in the logit."""
    figure = Figure(figsize=(8.5, 3), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    s = np.linspace(-10, 6, 161)
    p = 1 / (1 + np.exp(-s))
    for name, loss, colour in (("log(1 - D): saturating", objectives.minimax, FAKE),
                               ("-log D: non-saturating", objectives.nonsaturating, REAL)):
        points = [Tensor(np.array([[v]]), CPU, requires_grad=True) for v in s]
        left.plot(p, [float(loss(t)) for t in points], color=colour, label=name)
        right.plot(p, [abs(float(gradients(loss(t), [t])[0])) for t in points], color=colour, label=name)
    left.set(xlabel="D(G(z))", title="what G descends, nats", ylim=(-6, 10))
    right.set(xlabel="D(G(z))", title="|gradient| in the logit", xscale="log", yscale="log")
    left.legend(frameon=False, fontsize=8)
    return figure


def dirac() -> Figure:
    """Draw three runs of the Dirac-GAN in the plane of both players' parameters."""
    figure = Figure(figsize=(9.5, 3.3), layout="constrained", dpi=110)
    runs = ("simultaneous", False, 0.0), ("alternating", True, 0.0), ("simultaneous, R1 0.3", False, 0.3)
    for axes, (name, alternating, gamma) in zip(figure.subplots(1, 3), runs, strict=True):
        path = dirac_path(CPU, alternating, gamma)
        axes.plot(path[:, 0], path[:, 1], color=REAL, linewidth=0.8)
        axes.plot(*path[0], "o", color=FAKE, markersize=4)
        axes.plot(0, 0, "+", color="black")
        axes.set(title=f"{name}: radius {np.linalg.norm(path[-1]):.3g}", aspect="equal", xlim=(-3.4, 3.4), ylim=(-3.4, 3.4),
                 xlabel="theta (G)", ylabel="psi (D)")
        axes.title.set_fontsize(9)
    return figure


def long_run() -> Figure:
    """Draw the radius of the Dirac-GAN over 1e6 steps in three games, and the circle of simultaneous play over the step size."""
    figure = Figure(figsize=(9.5, 3.4), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    steps = np.unique(np.geomspace(1, 10**6, 4000).astype(int))
    for label, simultaneous, objective, n, colour in (
        ("minimax, D first: drifts out", False, "minimax", LONG, FAKE),
        ("non-saturating, both at once: a circle", True, "nonsaturating", 10**6, "black"),
        ("non-saturating, D first: converges", False, "nonsaturating", 10**6, REAL),
    ):
        path, shown = long_radii(simultaneous, objective, steps=n), steps[steps <= n]
        left.plot(shown, path[shown], color=colour, linewidth=0.8, label=label)
    left.plot(steps[steps > 100], np.sqrt(8 / (0.2 * steps[steps > 100])), color=THEORY, linestyle="--", label="sqrt(8 / (h n))")
    left.set(xscale="log", yscale="log", xlabel="step n, h = 0.2", ylabel="radius")
    left.legend(frameon=False, fontsize=7)
    sizes = np.linspace(0, 0.5, 101)
    right.plot(sizes, np.sqrt(2 * sizes), color=THEORY, linestyle="--", label="sqrt(2 h)")
    for h in (0.05, 0.1, 0.2, 0.4):
        low, mean, high = circle(h)
        right.errorbar(h, mean, [[mean - low], [high - mean]], color=REAL, marker="o", markersize=3, capsize=2)
    right.set(xlabel="step size h", ylabel="radius of the circle", xlim=(0, 0.52), ylim=(0, 1.05))
    right.legend(frameon=False, fontsize=7)
    return figure


def rates() -> Figure:
    """Draw the factor per step over the step size: of the MLP game with R1, by eigenvalues and in play; of remedies on Dirac."""
    figure = Figure(figsize=(9.5, 3.4), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    for r1, colour in ((0.0, FAKE), (0.1, REAL), (1.0, "black")):
        of_v = field_eigenvalues(mlp_game(CPU, r1))
        sizes = np.linspace(0.01, 1.05 * critical_step(of_v), 400)
        left.plot(sizes, [np.abs(1 + h * of_v).max() for h in sizes], color=colour, linewidth=1, label=f"R1 {r1:g}")
        for share in (0.4, 0.7, 0.97):
            h = share * critical_step(of_v)
            steps = steps_to_see(float(np.abs(1 + h * of_v).max()), 2000)
            left.plot(h, played_factor(mlp_game(CPU, r1), h, steps, True, 1e-3), "o", color=colour, markersize=4, fillstyle="none")
    left.set(xlabel="step size h", ylabel="factor per step", title="two MLPs, both at once: lines eigenvalues, circles play",
             ylim=(0.92, 1.03))
    sizes = np.linspace(0.01, 2.2, 200)
    for label, of_h, colour in (("plain", lambda h: abs(1 + 0.5j * h), FAKE), ("extragradient", extragradient_radius, REAL),
                                ("consensus, weight 1", lambda h: consensus_radius(h, 1.0), "black"),
                                ("R1 0.3", lambda h: abs(1 + h * (-0.15 + 1j * np.sqrt(0.25 - 0.0225))), THEORY)):
        right.plot(sizes, [of_h(h) for h in sizes], color=colour, linewidth=1, label=label)
    right.set(xlabel="step size h", ylabel="factor per step", title="the Dirac-GAN, both at once", ylim=(0.75, 1.25))
    for axes in (left, right):
        axes.axhline(1, color=THEORY, linewidth=0.6, linestyle=":")
        axes.legend(frameon=False, fontsize=7)
        axes.title.set_fontsize(9)
    return figure


def parzen() -> Figure:
    """Draw what Parzen windows rank, from the worst to the best: 14 samples of each set, with its estimate."""
    figure = Figure(figsize=(9.5, 3.2), layout="constrained", dpi=110)
    rows = parzen_table(CPU)
    for axes, (name, row) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        strip = np.concatenate([digit.reshape(8, 8) for digit in row.samples[:14]], axis=1)
        axes.imshow(strip, cmap="gray_r", vmin=0, vmax=1, aspect="equal")
        axes.set(xticks=[], yticks=[])
        label = name.replace(" with", "\nwith") + f"\n{row.parzen.mean:.1f} nats"
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def supports() -> Figure:
    """Draw V and G's gradients while D becomes perfect on two lines, and D across the lines without and with noise on both."""
    figure = Figure(figsize=(9.5, 3.2), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    iterations = (1, 2, 3, 4, 6, 8, 10, 14, 18, 22, 26, 30)
    found = np.array([on_lines(CPU, n) for n in iterations])
    for column, label, colour in ((0, "-V: D becomes perfect", "black"), (1, "|dV/dtheta|: saturating", FAKE),
                                  (2, "|gradient of -log D|: non-saturating", REAL)):
        left.plot(iterations, np.abs(found[:, column]), color=colour, label=label)
    left.set(yscale="log", xlabel="iterations of D, fakes fixed", title="lines at a distance of 0.3, no noise")
    for noise, colour in ((0.03, FAKE), (0.1, REAL), (0.3, "black")):
        fixed = noisy_lines(noise)
        right.plot(fixed.points[:, 0], optimal(fixed.p, fixed.q), color=colour, label=f"noise {noise:g}: JSD {fixed.jsd:.3f}")
    right.set(xlabel="x, across the lines at 0 and 0.3", title="D* with noise on both", xlim=(-0.6, 0.9))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=7)
        axes.title.set_fontsize(9)
    return figure


def collapse() -> Figure:
    """Draw samples of the collapsed run and of its cures, over the data, after more steps than the claims: modes get narrower."""
    figure = Figure(figsize=(11, 3), layout="constrained", dpi=110)
    settings: dict[str, Setting] = {"G's rate fifteen times D's": PLAIN, **CURES}
    for axes, (name, setting) in zip(figure.subplots(1, len(settings)), settings.items(), strict=True):
        real, fake = generated(setting, CPU, seed=1, steps=2000)
        axes.scatter(*real.T, s=3, color=REAL, alpha=0.3, linewidths=0)
        axes.scatter(*fake.T, s=3, color=FAKE, alpha=0.5, linewidths=0)
        axes.set(title=name, xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), aspect="equal", xticks=[], yticks=[])
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "optimal_d.png": optimal_d, "two_losses.png": two_losses, "dirac.png": dirac, "long_run.png": long_run, "rates.png": rates,
    "parzen.png": parzen, "supports.png": supports, "collapse.png": collapse,
    "product.png": product_figures.product, "tile.png": product_figures.tile,
}
DRAWINGS: dict[str, Callable[[], str]] = {"graph.svg": worked_drawing, **puzzles_page.drawings()}


def draw(folder: Path) -> None:
    """Draw every figure into a folder, which is made if it is not there."""
    folder.mkdir(exist_ok=True)
    for name, make in FIGURES.items():
        make().savefig(folder / name)
    for name, text in DRAWINGS.items():
        (folder / name).write_text(text())

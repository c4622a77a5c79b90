"""Exercises on the game itself: what D's step holds, and how to make G collapse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinygan.engine.conversion import backend_of
from tinygan.engine.tensor import Tensor, gradients
from tinygan.engine.wrt import NoPartInOutput
from tinygan.game import V
from tinygan.nn import Linear, Sequential
from tinygan.theory.collapse import Setting, play

from .exercise import Exercise, Wrong, options

D_STEP = '''"""What D's step holds. D ascends V(D, G); nothing of that step may reach G. Put stop() in its place."""

from tinygan import stop
from tinygan.game import value


def goal_of_d(D, G, x, z):
    """Return V, a number () whose gradient reaches theta_d, also through the fakes, and nothing of theta_g."""
    return value(D(x), D(G(z)))
'''


def _judge_d_step(given: Any) -> None:
    made: dict[str, Any] = {"backend": backend_of("cpu"), "rng": np.random.default_rng(6), "dtype": np.float64}
    G = Sequential(Linear(2, 4, act="tanh", **made), Linear(4, 1, **made))
    D = Sequential(Linear(1, 4, act="tanh", **made), Linear(4, 1, **made))
    x, z = (Tensor(made["rng"].normal(size=shape), made["backend"]) for shape in ((6, 1), (6, 2)))
    goal = given(D, G, x, z)
    if not isinstance(goal, Tensor) or goal.size != 1:
        raise Wrong(f"it has to return V as a tensor of one number, and returns a {type(goal).__name__}: what is taken out as a "
                    "number has no gradient")
    theta_d, theta_g = (list(network.parameters().values()) for network in (D, G))
    if abs(float(goal) - float(V(D, G, x, z))) > 1e-12:
        raise Wrong(f"the value is {float(goal):.6g}, and V is {float(V(D, G, x, z)):.6g}: stop() changes no value")
    try:
        found = gradients(goal, theta_d)
    except NoPartInOutput as error:
        raise Wrong("no gradient reaches theta_d: stop() stands around D's own logits; put it around G(z) alone") from error
    if any(np.abs(g.numpy()).max() > 0 for g in gradients(goal, theta_g, unused="zeros")):
        raise Wrong("a gradient still reaches theta_g, through G(z): hold the fakes, D(stop(G(z)))")
    right = gradients(V(D, G, x, z), theta_d)
    if all(np.allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12) for a, b in zip(found, right, strict=True)):
        return
    real, fake = (gradients(part, theta_d, unused="zeros") for part in _halves(D, G, x, z))
    if all(np.allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12) for a, b in zip(found, real, strict=True)):
        raise Wrong("D learns from data alone now: stop() stands around D(G(z)), and cuts D's own gradient too; put it around G(z)")
    if all(np.allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12) for a, b in zip(found, fake, strict=True)):
        raise Wrong("D learns from fakes alone now: stop() stands around D(x), which has to stay as it is")
    raise Wrong("theta_g is held, and the gradient in theta_d is not that of V")


def _halves(D: Sequential, G: Sequential, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of V that data have in it, and that of the fakes."""
    return D(x).log_sigmoid().mean(), (-D(G(z))).log_sigmoid().mean()


COLLAPSE = '''"""Make D collapse G on purpose. Eight Gaussians on a circle; with these options G learns all eight modes.

Change them so that G gives most modes up: it maps many z to the same x, where D happens to believe it at the moment. The judge
plays three games with them, which takes some seconds.
"""

OPTIONS = {
    "lr_g": 0.0002,  # G's rate, at most 0.02
    "lr_d": 0.0002,  # D's rate, at least 0.0001
    "k": 5,          # steps of D for each of G, at most 5
    "r1": 2.0,       # weight of R1, at most 10
    "pack": 1,       # samples that D judges together, at most 4
}
'''
LIMITS = {"lr_g": (1e-5, 0.02), "lr_d": (1e-4, 0.02), "k": (1, 5), "r1": (0, 10), "pack": (1, 4)}
SEEDS = (0, 1, 2)


def _judge_collapse(given: Any) -> None:
    chosen = options(given, LIMITS)
    whole: dict[str, Any] = {name: int(value) if name in ("k", "pack") else value for name, value in chosen.items()}
    setting = replace(Setting(), **whole)
    with np.errstate(all="ignore"):
        runs = [play(setting, backend_of("cpu"), seed) for seed in SEEDS]
    modes = [run.coverage.modes for run in runs]
    collapsed, missed = sum(run.signs.collapsed for run in runs), float(np.mean([run.signs.missed for run in runs]))
    said = f"G makes {', '.join(f'{n:g}' for n in modes)} of 8 modes (seeds 0, 1, 2)"
    if not np.isfinite(missed) or (max(modes) == 0 and missed > 0.99 and setting.lr_g > 0.01):
        raise Wrong(f"{said}: that is no collapse onto some modes, it makes none; lower the rates")
    if collapsed >= 2 and missed >= 0.3:
        return
    cure = (f"R1 of weight {setting.r1:g} keeps D smooth, so that its slope leads G back" if setting.r1 >= 0.1 else
            f"packing {setting.pack} samples shows D that they are alike" if setting.pack > 1 else
            f"with k = {setting.k} D follows G closely" if setting.k > 1 else
            f"G's rate is {setting.lr_g / setting.lr_d:.3g} times D's, so D keeps up")
    raise Wrong(f"{said}, and avoids {missed:.0%} of the data: not collapsed. {cure}")


GAMES = (
    Exercise("d-step", "hold in D's step what must not reach G", "goal_of_d", D_STEP, _judge_d_step,
             "right: V as it was, all of D's gradient, and none for G. The game's: game/moves.py, ascend_d"),
    Exercise("collapse", "make D collapse G on purpose", "OPTIONS", COLLAPSE, _judge_collapse,
             "collapsed: G outran D. tinygan theory --only collapse judges the same, and three cures"),
)

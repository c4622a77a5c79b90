"""The puzzle of a fused update: Adam, which reads four arrays and writes three, each of them once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygan_kernels import shapes
from tinygan_kernels.contract import Kernel
from tinygan_kernels.parameters import number
from tinygan_kernels.verification.bounds import bound
from tinygan_kernels.verification.cases import Case

from .limits import coalesced, numbers_an_output
from .picture import Panel, Picture
from .puzzle import Arrays, Mistake, Puzzle

ADAM_CU = """\
// adam: one step of Adam on n parameters, in place. What is the same for all elements, the host has computed:
// rate (positive ascends, negative descends), correct1 = 1 - beta1^t, correct2 = 1 - beta2^t.
// launch: adam<<<(n + 255) / 256, 256>>>(g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps, n)
extern "C" __global__ void adam(const float* g, float* theta, float* m, float* v, float rate, float beta1, float beta2,
                                float correct1, float correct2, float eps, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    // m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  theta += rate (m / correct1) / (sqrt(v / correct2) + eps)
    theta[i] += rate * g[i];
}
"""
ADAM_PY = """\
# adam: one step of Adam on n parameters, in place. What is the same for all elements, the host has computed:
# rate (positive ascends, negative descends), correct1 = 1 - beta1^t, correct2 = 1 - beta2^t.
import math

from numba import cuda


# launch: adam[ceil_div(n, 256), 256](g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps)
@cuda.jit
def adam(g, theta, m, v, rate, beta1, beta2, correct1, correct2, eps):
    i = cuda.grid(1)
    # m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  theta += rate (m / correct1) / (sqrt(v / correct2) + eps)
    theta[i] += rate * g[i]
"""
NUMBERS = ("rate", "beta1", "beta2", "correct1", "correct2", "eps")


def settings(rate: float, beta1: float, beta2: float, eps: float, t: int) -> dict[str, float]:
    """Return the parameters of step t (1 for the first), as float32 holds them: what 1 - beta2 is depends on its last digit."""
    given = {"rate": rate, "beta1": beta1, "beta2": beta2, "correct1": 1 - beta1**t, "correct2": 1 - beta2**t, "eps": eps}
    return {name: float(np.float32(value)) for name, value in given.items()}


def _step(
    g: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, rate: float, beta1: float, beta2: float, correct1: float,
    correct2: float, eps: float,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Compute a step of Adam (Kingma and Ba 2015, Algorithm 1)."""
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return theta + rate * (m / correct1) / (np.sqrt(v / correct2) + eps), m, v


def _steps(p: Mapping[str, float]) -> float:
    """Return the t that the larger beta tells, or infinity where 1 - beta^t is 1 in float32: from t = 25 on for a beta of 0.5."""
    beta, correct = max((p["beta1"], p["correct1"]), (p["beta2"], p["correct2"]))
    return round(math.log1p(-correct) / math.log(beta)) if correct < 1 else math.inf


def _allowed(exact: Arrays, right: Arrays, **p: Any) -> Arrays:
    """Return the bound of the contract's adam, at the t that the corrections stand for."""
    g, theta, m, v = exact
    t = _steps(p)
    about = {"sign": 1, "beta1": p["beta1"], "beta2": p["beta2"], "eps": p["eps"]}
    return bound("adam", (g, np.array(p["rate"]), theta, m, v, np.array(t - 1.0)), (*right, np.array(1.0 * t)), np.float32,
                 **about)[:3]  # fmt: skip


def _case(n: int, t: int, rate: float, beta1: float = 0.5, beta2: float = 0.875, eps: float = 1e-4) -> Case:
    rng = np.random.default_rng(10 * n + t)
    g, theta, m, v = (rng.normal(size=n).astype(np.float32) for _ in range(4))
    if t == 1:
        m[...], v[...] = 0, 0
    other = f", betas {beta1} and {beta2}, eps {eps}" if beta1 != 0.5 else ""
    return Case("adam", f"n = {n}, t = {t}{other}", (g,), (theta, m, np.square(v)), settings(rate, beta1, beta2, eps, t))


def _with(**other: Any) -> Any:
    """Return the step with parameters that a mistake puts in place of the given ones: functions of these."""

    def made(g: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, **p: float) -> tuple[np.ndarray, ...]:
        return _step(g, theta, m, v, **{**p, **{name: of(p) for name, of in other.items()}})

    return made


def _eps_inside(g: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, **p: float) -> tuple[np.ndarray, ...]:
    _, m, v = _step(g, theta, m, v, **p)
    return theta + p["rate"] * (m / p["correct1"]) / np.sqrt(v / p["correct2"] + p["eps"]), m, v


def _old_moments(g: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, **p: float) -> tuple[np.ndarray, ...]:
    _, new_m, new_v = _step(g, theta, m, v, **p)
    return theta + p["rate"] * (m / p["correct1"]) / (np.sqrt(v / p["correct2"]) + p["eps"]), new_m, new_v


def _plain_g(g: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, **p: float) -> tuple[np.ndarray, ...]:
    m, v = p["beta1"] * m + (1 - p["beta1"]) * g, p["beta2"] * v + (1 - p["beta2"]) * g
    return theta + p["rate"] * (m / p["correct1"]) / (np.sqrt(v / p["correct2"]) + p["eps"]), m, v


ADAM = Puzzle(
    name="adam",
    title="a fused update: one step of Adam, in place, with each array read once and written once",
    task="m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  theta += rate (m / correct1) / (sqrt(v / correct2) + "
         "eps),\n"
         "for n parameters. correct1 = 1 - beta1^t and correct2 = 1 - beta2^t come from the host; rate is negative where the "
         "player\n"
         "descends. Written as seven operations on arrays it would read and write some 20 numbers a parameter: fused it is 7.",
    kernel=Kernel("adam", ("g",), ("theta", "m", "v"), shapes.same, "a step of Adam", tuple(map(number, NUMBERS)), in_place=True),
    formula=_step,
    allowed=_allowed,
    skeletons={".cu": ADAM_CU, ".py": ADAM_PY},
    picture=Picture((
        Panel("g, theta, m, v", ("01234567", "01234567", "01234567", "01234567")),
        Panel("registers", ("01234567",)),
        Panel("theta, m, v", ("01234567", "01234567", "01234567")),
    ), "Thread i reads element i of four arrays into registers, computes there, and writes three. Nothing goes to memory in "
       "between."),
    hints=(
        "Take g[i], m[i] and v[i] into variables first; write m[i] and v[i] once, when they are done.",
        "The new m and v, not the old ones, move theta.",
        "eps stands outside of the root: sqrtf(v / correct2) + eps. A guard, if (i < n), stands around it all.",
    ),
    cases=lambda: [_case(0, 1, 0.1), _case(1, 1, -0.1), _case(255, 2, 0.1), _case(256, 1, -0.1),
                   _case(257, 7, 0.1, 0.75, 0.9375, 1e-2)],
    measured=lambda: _case(1024, 3, 0.1),
    limits=(
        coalesced(),
        numbers_an_output(4 / 3 + 1e-6, "g, theta, m and v are read once each; keep what was read in a variable"),
        numbers_an_output(1, "theta, m and v are written once each; compute in variables", "global", "st"),
    ),
    mistakes=(
        Mistake(_with(correct1=lambda p: 1, correct2=lambda p: 1), "the corrections are missing: m and v begin at 0, so "
                                                                   "divide them by "
                                                                   "correct1 and correct2"),
        Mistake(_with(correct1=lambda p: p["correct2"], correct2=lambda p: p["correct1"]), "correct1 and correct2 are swapped"),
        Mistake(_with(beta1=lambda p: p["beta2"], beta2=lambda p: p["beta1"]), "beta1 and beta2 are swapped"),
        Mistake(_with(rate=lambda p: -p["rate"]), "the sign is wrong: theta += rate ..., and the rate is negative where it "
                                                  "descends"),
        Mistake(_eps_inside, "eps stands inside the root; it has to be added after it"),
        Mistake(_old_moments, "theta moves by the old m and v; update them first"),
        Mistake(_plain_g, "v is to average g^2, not g"),
        Mistake(lambda g, theta, m, v, **p: (theta + p["rate"] * g, m, v), "that is a step of plain ascent: m and v are not "
                                                                           "there yet"),
    ),
    praise="seven numbers a parameter and not one more. The project's own: adam.cu.",
)  # fmt: skip

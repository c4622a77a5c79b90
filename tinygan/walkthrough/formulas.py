"""The formulas of every objective and optimiser as text, as an account prints them beside its numbers."""

from __future__ import annotations

GOALS = {
    "minimax": "mean log D(x) + mean log(1 - D(G(z))) = -mean softplus(-s_real) - mean softplus(s_fake)",
    "hinge": "-mean max(0, 1 - s_real) - mean max(0, 1 + s_fake)",
    "least-squares": "-(mean (s_real - 1)^2 + mean s_fake^2) / 2",
    "wasserstein": "mean s_real - mean s_fake",
    "relativistic": "-mean softplus(-(s_real - s_fake))",
}
GOALS["nonsaturating"] = GOALS["minimax"]
LOSSES = {
    "minimax": "mean log(1 - D(G(z))) = -mean softplus(s_fake)", "nonsaturating": "-mean log D(G(z)) = mean softplus(-s_fake)",
    "hinge": "-mean s_fake", "least-squares": "mean (s_fake - 1)^2 / 2", "wasserstein": "-mean s_fake",
    "relativistic": "mean softplus(-(s_fake - s_real))",
}
SMOOTHED = "-mean ({real} softplus(-s_real) + {smooth} softplus(s_real)) - mean softplus(s_fake)"
PENALTIES = {
    "R1": "weight / 2 x mean |ds/dx|^2 at the data", "R2": "weight / 2 x mean |ds/dx|^2 at the fakes",
    "WassersteinPenalty": "weight x mean (|ds/dy| - 1)^2 at y = e x + (1 - e) G(z), e random",
}
STEPS = {
    "sgd": "theta {sign} {rate} g", "momentum": "theta {sign} {rate} velocity, velocity <- {mu} velocity + g",
    "adam": "theta {sign} {rate} m_hat / (sqrt(v_hat) + {eps}), m <- {beta1} m + (1 - {beta1}) g, "
            "v <- {beta2} v + (1 - {beta2}) g^2, m_hat = m / (1 - {beta1}^t), v_hat = v / (1 - {beta2}^t)",
}


def goal_formula(objective: str, smooth: float) -> str:
    """Return the formula of what D ascends, without penalties."""
    return SMOOTHED.format(real=f"{1 - smooth:g}", smooth=f"{smooth:g}") if smooth else GOALS[objective]


def step_formula(kernel: str, sign: str, rate: float, constants: dict[str, float]) -> str:
    """Return how an optimiser moves theta along the gradient g; sign is "+" for an ascent."""
    shown = {name: f"{value:g}" for name, value in constants.items()}
    return STEPS[kernel].format(sign=sign, rate=f"{rate:g}", **shown) if kernel in STEPS else f"theta {sign} a step of {kernel}"

"""A recipe of tinygan's, MLPs with R1 and an average of G, in JAX: the whole step one jitted function, its buffers donated."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.recipe import Recipe


def _mlp(layers, x, act):
    *hidden, (w, b) = zip(layers[::2], layers[1::2], strict=True)
    for v, c in hidden:
        x = act(x @ v + c)
    return x @ w + b


def _generate(bounded, g, z):
    made = _mlp(g, z, jax.nn.relu)
    return jnp.tanh(made) if bounded else made


def _judge(d, x):
    return _mlp(d, x, lambda h: jnp.where(h > 0, h, 0.2 * h))


def _adam(recipe, player, slopes, rate, t):
    """Return the parameters and both moments of a player after one step of Adam."""
    m = [recipe.beta1 * m + (1 - recipe.beta1) * g for m, g in zip(player["m"], slopes, strict=True)]
    v = [recipe.beta2 * v + (1 - recipe.beta2) * g * g for v, g in zip(player["v"], slopes, strict=True)]
    step, root = rate / (1 - recipe.beta1**t), 1 / (1 - recipe.beta2**t)
    moved = [p - step * a / (jnp.sqrt(b * root) + 1e-8) for p, a, b in zip(player["p"], m, v, strict=True)]
    return {"p": moved, "m": m, "v": v}


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _step(recipe, state, x, z_d, z_g, rate_d, rate_g):
    t, d, g = state["t"] + 1, state["d"], state["g"]
    softplus = jax.nn.softplus

    def loss_of_d(layers):
        """-V + R1; the sum of the logits is what has each sample's own slope."""
        real, back = jax.vjp(lambda v: _judge(layers, v), x)
        (slope,) = back(jnp.ones_like(real))
        fake = _judge(layers, _generate(recipe.bounded, g["p"], z_d))
        return softplus(-real).mean() + softplus(fake).mean() + 0.5 * recipe.r1 / len(x) * (slope**2).sum()

    def loss_of_g(layers, d):
        return softplus(-_judge(d, _generate(recipe.bounded, layers, z_g))).mean()

    d = _adam(recipe, d, jax.grad(loss_of_d)(d["p"]), rate_d, t)
    g = _adam(recipe, g, jax.grad(loss_of_g)(g["p"], d["p"]), rate_g, t)
    average = [recipe.ema * a + (1 - recipe.ema) * p for a, p in zip(state["average"], g["p"], strict=True)]
    return {"t": t, "d": d, "g": g, "average": average}


class JaxRecipe:
    """The recipe's game on given weights."""

    def __init__(self, recipe: Recipe, d: Sequence[np.ndarray], g: Sequence[np.ndarray]) -> None:
        self.recipe = recipe
        self.state: dict[str, Any] = {"t": jnp.zeros(()), "average": [jnp.array(value) for value in g]}
        for name, values in (("d", d), ("g", g)):
            zeros = [[jnp.zeros_like(value) for value in values] for _ in range(2)]
            self.state[name] = {"p": [jnp.array(value) for value in values], "m": zeros[0], "v": zeros[1]}

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray, rate_d: float, rate_g: float) -> None:
        """Take a step: D on real x (m, features) and on fakes of z_d (m, n_z), then G on z_g (m, n_z), then its average."""
        self.state = _step(self.recipe, self.state, x, z_d, z_g, rate_d, rate_g)

    def wait(self) -> None:
        """Wait until all steps are done: `step` returns before."""
        jax.block_until_ready(self.state)

    def samples(self, z: np.ndarray) -> np.ndarray:
        """Return what the average of G makes of noise z (n, n_z): (n, features)."""
        return np.asarray(_generate(self.recipe.bounded, self.state["average"], z))

    def weights(self) -> list[np.ndarray]:
        """Return copies of D's, G's and the average's parameters."""
        return [np.array(value) for value in (*self.state["d"]["p"], *self.state["g"]["p"], *self.state["average"])]

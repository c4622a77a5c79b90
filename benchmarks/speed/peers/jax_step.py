"""The four workloads in JAX: the whole step one jitted function, its buffers donated, images NHWC."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.speed.workloads import BETA1, BETA2, RATE, Workload

MLPS = {"ring": ((16, 128, 128, 2), (2, 128, 128, 1)), "mlp28": ((64, 256, 512, 784), (784, 512, 256, 1))}


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> jnp.ndarray:
    return jnp.asarray(rng.uniform(-1, 1, shape) / np.sqrt(fan_in), jnp.float32)


def _dense(rng: np.random.Generator, n: int, m: int) -> dict[str, jnp.ndarray]:
    return {"w": _uniform(rng, (n, m), n), "b": jnp.zeros(m)}


def _filters(rng: np.random.Generator, c_in: int, c_out: int, bias: bool = True) -> dict[str, jnp.ndarray]:
    w = {"w": _uniform(rng, (4, 4, c_in, c_out), 16 * c_in)}
    return {**w, "b": jnp.zeros(c_out)} if bias else w


def _scale(c: int) -> dict[str, jnp.ndarray]:
    return {"gamma": jnp.ones(c), "beta": jnp.zeros(c), "mean": jnp.zeros(c), "var": jnp.ones(c)}


def _leaky(x):
    return jnp.where(x > 0, x, 0.2 * x)


def _norm(p, x):
    """Normalise a batch by its own statistics, and return the running estimates too, to be kept."""
    axes = tuple(range(x.ndim - 1))
    mean, var, n = x.mean(axes), x.var(axes), x.size // x.shape[-1]
    kept = {"mean": 0.9 * p["mean"] + 0.1 * mean, "var": 0.9 * p["var"] + 0.1 * var * n / (n - 1)}
    return p["gamma"] * (x - mean) * lax.rsqrt(var + 1e-5) + p["beta"], kept


def _conv(p, x, stride=2, pad=1):
    y = lax.conv_general_dilated(x, p["w"], (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p["b"] if "b" in p else y


def _conv_t(p, x, stride=2, pad=1):
    """Apply a transposed convolution, 4x4 filters: stride 2 and padding 1, or stride 1 without padding on a single pixel.

    XLA runs `lax.conv_transpose` on the CPU as a convolution of an input that is mostly zeros (JAX's issue 23783). Here each is a
    matrix product instead. With stride 2, an output pixel (2p + i, 2q + j) takes two taps in each direction, those of parity
    (i, j): all four parities are computed at once from windows of 2x2 pixels, and put side by side.
    """
    n, h, w, c = x.shape
    out = p["w"].shape[3]
    if stride == 1:
        y = (x.reshape(n, c) @ p["w"].transpose(2, 0, 1, 3).reshape(c, 16 * out)).reshape(n, 4, 4, out)
    else:
        around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = jnp.concatenate([around[:, a : a + h + 1, b : b + w + 1] for a in (0, 1) for b in (0, 1)], -1)
        taps = p["w"].reshape(2, 2, 2, 2, c, out).transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * out)
        phases = (windows.reshape(-1, 4 * c) @ taps).reshape(n, h + 1, w + 1, 2, 2, out)
        rows = [jnp.stack([phases[:, i : i + h, j : j + w, i, j] for j in (0, 1)], 3) for i in (0, 1)]
        y = jnp.stack(rows, 2).reshape(n, 2 * h, 2 * w, out)
    return y + p["b"] if "b" in p else y


def _init(name: str, rng: np.random.Generator) -> tuple[list, list]:
    if name in MLPS:
        return tuple([_dense(rng, n, m) for n, m in itertools.pairwise(w)] for w in MLPS[name])
    if name == "dcgan28":
        g = [_dense(rng, 64, 6272), _scale(128), _filters(rng, 128, 64), _scale(64), _filters(rng, 64, 1)]
        return g, [_filters(rng, 1, 64), _filters(rng, 64, 128), _scale(128), _dense(rng, 6272, 1)]
    g, d = [_filters(rng, 100, 512, False), _scale(512)], [_filters(rng, 3, 64, False)]
    for large, small in ((512, 256), (256, 128), (128, 64)):
        g += [_filters(rng, large, small, False), _scale(small)]
    for small, large in ((64, 128), (128, 256), (256, 512)):
        d += [_filters(rng, small, large, False), _scale(large)]
    return [*g, _filters(rng, 64, 3, False)], [*d, _filters(rng, 512, 1, False)]


def _mlp(params, x, act, last):
    for p in params[:-1]:
        x = act(x @ p["w"] + p["b"])
    return last(x @ params[-1]["w"] + params[-1]["b"]), params


def _kept(params, index, statistics):
    return [{**p, **statistics} if i == index else p for i, p in enumerate(params)]


def _G(name, params, z):
    if name in MLPS:
        return _mlp(params, z, jax.nn.relu, jnp.tanh if name == "mlp28" else lambda x: x)
    if name == "dcgan28":
        x = (z @ params[0]["w"] + params[0]["b"]).reshape(-1, 7, 7, 128)
    else:
        x = _conv_t(params[0], z.reshape(-1, 1, 1, 100), 1, 0)
    for i in range(1, len(params) - 1, 2):
        y, statistics = _norm(params[i], x)
        params = _kept(params, i, statistics)
        x = _conv_t(params[i + 1], jax.nn.relu(y))
    return jnp.tanh(x), params


def _D(name, params, x):
    if name in MLPS:
        return _mlp(params, x, _leaky, lambda x: x)
    x = _leaky(_conv(params[0], x))
    for i in range(1, len(params) - 1, 2):
        y, statistics = _norm(params[i + 1], _conv(params[i], x))
        params = _kept(params, i + 1, statistics)
        x = _leaky(y)
    if name == "dcgan28":
        return x.reshape(x.shape[0], -1) @ params[-1]["w"] + params[-1]["b"], params
    return _conv(params[-1], x, 1, 0).reshape(x.shape[0], -1), params


def _adam(params, grads, m, v, t):
    """Take a step of Adam over a tree; entries without a gradient (running statistics) get a zero one and stay."""
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    step, root = RATE / (1 - BETA1**t), 1 / (1 - BETA2**t)
    return jax.tree.map(lambda p, m, v: p - step * m / (jnp.sqrt(v * root) + 1e-8), params, m, v), m, v


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3,))
def _step_on_fresh_noise(name, batch, n_z, state, x):
    key, key_d, key_g = jax.random.split(state["key"], 3)
    z_d, z_g = jax.random.normal(key_d, (batch, n_z)), jax.random.normal(key_g, (batch, n_z))
    return _played(name, {**state, "key": key}, x, z_d, z_g)


@partial(jax.jit, static_argnums=(0,), donate_argnums=(1,))
def _step_on_given_noise(name, state, x, z_d, z_g):
    return _played(name, state, x, z_d, z_g)


def _played(name, state, x, z_d, z_g):
    """Return (the state after a step of both players, D's loss, G's loss)."""
    t = state["t"] + 1
    softplus = jax.nn.softplus
    fake, g = _G(name, state["g"], z_d)

    def loss_of_d(d):
        real_logit, d = _D(name, d, x)
        fake_logit, d = _D(name, d, fake)
        return softplus(-real_logit).mean() + softplus(fake_logit).mean(), d

    def loss_of_g(g, d):
        sample, g = _G(name, g, z_g)
        logit, d = _D(name, d, sample)
        return softplus(-logit).mean(), (g, d)

    (d_loss, d), grads = jax.value_and_grad(loss_of_d, has_aux=True)(state["d"])
    d, m_d, v_d = _adam(d, grads, state["m_d"], state["v_d"], t)
    (g_loss, (g, d)), grads = jax.value_and_grad(loss_of_g, has_aux=True)(g, d)
    g, m_g, v_g = _adam(g, grads, state["m_g"], state["v_g"], t)
    return {**state, "t": t, "d": d, "g": g, "m_d": m_d, "v_d": v_d, "m_g": m_g, "v_g": v_g}, d_loss, g_loss


class JaxStep:
    """One workload in JAX."""

    def __init__(self, workload: Workload, seed: int = 0, m: int | None = None) -> None:
        self.workload, self.m = workload, m or workload.m
        rng = np.random.default_rng(seed)
        g, d = _init(workload.name, rng)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        self.state: dict[str, Any] = {
            "key": jax.random.key(seed), "t": jnp.zeros(()), "d": d, "g": g,
            "m_d": zeros(d), "v_d": zeros(d), "m_g": zeros(g), "v_g": zeros(g),
        }
        self.real: Sequence[Any] = rng.uniform(-1, 1, (4, self.m, *workload.sample)).astype(np.float32)
        self.turn = 0

    def step(
        self, x: np.ndarray | None = None, z_d: np.ndarray | None = None, z_g: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Take one step, as TinyganStep.step in workloads.py does."""
        if x is None:
            x, self.turn = self.real[self.turn % len(self.real)], self.turn + 1
            self.state, d_loss, g_loss = _step_on_fresh_noise(self.workload.name, self.m, self.workload.z, self.state, x)
        else:
            self.state, d_loss, g_loss = _step_on_given_noise(self.workload.name, self.state, x, z_d, z_g)
        return float(d_loss), float(g_loss)

    def set_params(self, values: Sequence[np.ndarray]) -> None:
        """Take over tinygan's parameters (D's, then G's). Only transposed convolutions lay their filters out otherwise: tinygan
        has (KH, KW, C_out, C_in), here it is (KH, KW, C_in, C_out), and those with a stride of 2 are mirrored."""
        left = list(values)
        for player in ("d", "g"):
            for i, layer in enumerate(self.state[player]):
                for key in [key for key in ("w", "b", "gamma", "beta") if key in layer]:
                    value = left.pop(0)
                    if player == "g" and value.ndim == 4:
                        value = value.transpose(0, 1, 3, 2)
                        value = value[::-1, ::-1] if i else value  # the first one meets a single pixel, with a stride of 1
                    layer[key] = jnp.asarray(value, jnp.float32)
        if left:
            raise ValueError(f"values: {len(left)} more than there are parameters")

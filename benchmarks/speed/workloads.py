"""The four GANs on which speed is measured, as tinygan builds them: `build(name, backend, seed)`.

One step is Algorithm 1 with k = 1: D ascends V on m real and m fake samples, the fakes held fixed; then G, run again on fresh
noise, descends the non-saturating objective. float32, BCE on logits, Adam(2e-4, 0.5, 0.999) for both, both losses read back every
step. Images are NHWC.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tinygan_kernels import Backend, normals

from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import wrap
from tinygan.game.moves import Game
from tinygan.nn import layers as nn
from tinygan.nn.init import lecun_uniform
from tinygan.optim import Adam

RATE, BETA1, BETA2 = 2e-4, 0.5, 0.999
LEAKY, RELU = {"act": "leaky_relu", "slope": 0.2}, {"act": "leaky_relu"}


@dataclass(frozen=True)
class Workload:
    """A workload: name, batch size m, length of the noise z, and the shape of a sample (NHWC for images)."""

    name: str
    m: int
    z: int
    sample: tuple[int, ...]
    summary: str


WORKLOADS = {
    w.name: w
    for w in (
        Workload("ring", 256, 16, (2,), "MLPs 16-128-128-2 and 2-128-128-1, m = 256"),
        Workload("mlp28", 128, 64, (784,), "MLPs 64-256-512-784 and 784-512-256-1, m = 128"),
        Workload("dcgan28", 64, 64, (28, 28, 1), "DCGAN, 28x28 grey, 64 and 128 channels, m = 64"),
        Workload("dcgan64", 64, 100, (64, 64, 3), "DCGAN, 64x64 colour, 64 to 512 channels, m = 64"),
    )
}


def networks(name: str, made: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    """Return (G, D) of a workload. made: backend, rng, dtype and init of every layer."""
    return {"ring": _mlp, "mlp28": _mlp, "dcgan28": _dcgan28, "dcgan64": _dcgan64}[name](name, made)


def _mlp(name: str, made: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    g, d = {"ring": ((16, 128, 128, 2), (2, 128, 128, 1)), "mlp28": ((64, 256, 512, 784), (784, 512, 256, 1))}[name]
    last = "tanh" if name == "mlp28" else "linear"

    def stack(widths: Sequence[int], hidden: dict[str, Any], last: str) -> nn.Sequential:
        layers = [nn.Linear(n, m, **hidden, **made) for n, m in itertools.pairwise(widths[:-1])]
        return nn.Sequential(*layers, nn.Linear(*widths[-2:], act=last, **made))

    return stack(g, RELU, last), stack(d, LEAKY, "linear")


def _norm(channels: int, act: dict[str, Any], made: dict[str, Any]) -> nn.BatchNorm:
    return nn.BatchNorm(channels, backend=made["backend"], dtype=made["dtype"], **act)


def _dcgan28(_: str, made: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    G = nn.Sequential(
        nn.Linear(64, 7 * 7 * 128, **made), nn.Reshape(7, 7, 128), _norm(128, RELU, made),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, **made), _norm(64, RELU, made),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, act="tanh", **made),
    )
    D = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, **LEAKY, **made),
        nn.Conv2d(64, 128, 4, 2, 1, **made), _norm(128, LEAKY, made),
        nn.Flatten(), nn.Linear(7 * 7 * 128, 1, **made),
    )
    return G, D


def _dcgan64(_: str, made: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    made = {**made, "bias": False}
    up: list[nn.Layer] = [nn.Reshape(1, 1, 100), nn.ConvTranspose2d(100, 512, 4, 1, 0, **made), _norm(512, RELU, made)]
    down: list[nn.Layer] = [nn.Conv2d(3, 64, 4, 2, 1, **LEAKY, **made)]
    for small, large in ((256, 512), (128, 256), (64, 128)):
        up += [nn.ConvTranspose2d(large, small, 4, 2, 1, **made), _norm(small, RELU, made)]
    for small, large in ((64, 128), (128, 256), (256, 512)):
        down += [nn.Conv2d(small, large, 4, 2, 1, **made), _norm(large, LEAKY, made)]
    up += [nn.ConvTranspose2d(64, 3, 4, 2, 1, act="tanh", **made)]
    down += [nn.Conv2d(512, 1, 4, 1, 0, **made), nn.Flatten()]
    return nn.Sequential(*up), nn.Sequential(*down)


class TinyganStep:
    """One workload in tinygan, ready to step. `replay=False` runs the same step eagerly. m overrides the batch size."""

    def __init__(
        self, workload: Workload, backend: Backend, seed: int = 0, dtype: Any = np.float32, replay: bool = True,
        m: int | None = None,
    ) -> None:
        self.workload, self.dtype, self.m = workload, np.dtype(dtype), m or workload.m
        self.rng = np.random.default_rng(seed)
        made = {"backend": backend, "rng": self.rng, "dtype": dtype, "init": lecun_uniform}
        G, D = networks(workload.name, made)
        adams = [Adam(network.parameters(), RATE, BETA1, BETA2) for network in (D, G)]
        self.game = Game(D, G, *adams, objective="nonsaturating")
        self.real = self.rng.uniform(-1, 1, (4, self.m, *workload.sample)).astype(dtype)
        self.noise = normals(np.empty((2, self.m, workload.z), dtype))
        self.turn = 0
        self.replayed = Replayed(self._play, backend)
        self.replay, self.backend = replay, backend

    def _play(self, x: Any, z_d: Any, z_g: Any) -> tuple[Any, ...]:
        return self.game.play(x, z_d, z_g)

    def step(
        self, x: np.ndarray | None = None, z_d: np.ndarray | None = None, z_g: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Take one step on the next real batch and fresh noise, or on those given. Returns D's loss (-V) and G's."""
        if x is None:
            x, self.turn = self.real[self.turn % len(self.real)], self.turn + 1
            z_d, z_g = self.noise(self.rng)
        if self.replay:
            d_loss, g_loss = self.replayed(x, z_d, z_g)
        else:
            d_loss, g_loss = self._play(*(wrap(self.backend.asarray(a), self.backend) for a in (x, z_d, z_g)))
        return float(d_loss), float(g_loss)

    def params(self) -> list[np.ndarray]:
        """Return copies of all parameters, D's then G's, in tinygan's layouts."""
        return [t.numpy().copy() for network in (self.game.D, self.game.G) for t in network.parameters().values()]

    def set_params(self, values: Sequence[np.ndarray]) -> None:
        """Take over parameters in the order of `params`."""
        tensors = [t for network in (self.game.D, self.game.G) for t in network.parameters().values()]
        for tensor, value in zip(tensors, values, strict=True):
            tensor.array[...] = self.backend.asarray(value)


def build(
    name: str, backend: Backend, seed: int = 0, dtype: Any = np.float32, replay: bool = True, m: int | None = None
) -> TinyganStep:
    """Build the workload `name` on a backend, ready to step. Raises KeyError for a name that is not in WORKLOADS."""
    return TinyganStep(WORKLOADS[name], backend, seed, dtype, replay, m)

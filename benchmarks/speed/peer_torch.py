"""The four workloads in PyTorch, by the book: nn.Sequential, eager or compiled, fused Adam, NCHW or channels_last."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .workloads import BETA1, BETA2, RATE, Workload


def _mlp(g: Sequence[int], d: Sequence[int], tanh: bool) -> tuple[nn.Sequential, nn.Sequential]:
    def stack(widths: Sequence[int], act: type[nn.Module], last: list[nn.Module]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for n, m in itertools.pairwise(widths[:-1]):
            layers += [nn.Linear(n, m), act()]
        return nn.Sequential(*layers, nn.Linear(*widths[-2:]), *last)

    return stack(g, nn.ReLU, [nn.Tanh()] if tanh else []), stack(d, lambda: nn.LeakyReLU(0.2), [])


def _dcgan28() -> tuple[nn.Sequential, nn.Sequential]:
    G = nn.Sequential(
        nn.Linear(64, 6272), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh(),
    )
    D = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(6272, 1),
    )
    return G, D


def _dcgan64() -> tuple[nn.Sequential, nn.Sequential]:
    up: list[nn.Module] = [nn.Unflatten(1, (100, 1, 1)), nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False)]
    up += [nn.BatchNorm2d(512), nn.ReLU()]
    down: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for large, small in ((512, 256), (256, 128), (128, 64)):
        up += [nn.ConvTranspose2d(large, small, 4, 2, 1, bias=False), nn.BatchNorm2d(small), nn.ReLU()]
    for small, large in ((64, 128), (128, 256), (256, 512)):
        down += [nn.Conv2d(small, large, 4, 2, 1, bias=False), nn.BatchNorm2d(large), nn.LeakyReLU(0.2)]
    up += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    down += [nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten()]
    return nn.Sequential(*up), nn.Sequential(*down)


NETWORKS = {
    "ring": lambda: _mlp((16, 128, 128, 2), (2, 128, 128, 1), tanh=False),
    "mlp28": lambda: _mlp((64, 256, 512, 784), (784, 512, 256, 1), tanh=True),
    "dcgan28": _dcgan28,
    "dcgan64": _dcgan64,
}


class TorchStep:
    """One workload in PyTorch. variant: "eager", "channels_last" (images only) or "compile"."""

    def __init__(
        self, workload: Workload, seed: int = 0, variant: str = "eager", dtype: Any = np.float32, m: int | None = None
    ) -> None:
        torch.manual_seed(seed)
        self.workload, self.m = workload, m or workload.m
        self.dtype = getattr(torch, np.dtype(dtype).name)
        self.G, self.D = (network.to(self.dtype) for network in NETWORKS[workload.name]())
        self.layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        if variant == "channels_last":
            self.G, self.D = self.G.to(memory_format=self.layout), self.D.to(memory_format=self.layout)
        self.run_G, self.run_D = (torch.compile(n) for n in (self.G, self.D)) if variant == "compile" else (self.G, self.D)
        self.adam_d, self.adam_g = (
            torch.optim.Adam(n.parameters(), RATE, betas=(BETA1, BETA2), fused=True) for n in (self.D, self.G)
        )
        self.ones, self.zeros = torch.ones(self.m, 1, dtype=self.dtype), torch.zeros(self.m, 1, dtype=self.dtype)
        real = np.random.default_rng(seed).uniform(-1, 1, (4, self.m, *workload.sample)).astype(dtype)
        self.real = [self._images(x) for x in real]
        self.turn = 0

    def _images(self, x: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(x)
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=self.layout) if x.ndim == 4 else tensor

    def step(
        self, x: np.ndarray | None = None, z_d: np.ndarray | None = None, z_g: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Take one step, as TinyganStep.step in workloads.py does; x is NHWC."""
        if x is None:
            real, self.turn = self.real[self.turn % len(self.real)], self.turn + 1
            z_d, z_g = (torch.randn(self.m, self.workload.z, dtype=self.dtype) for _ in range(2))
        else:
            real, z_d, z_g = self._images(x), torch.from_numpy(z_d), torch.from_numpy(z_g)
        bce = nn.functional.binary_cross_entropy_with_logits
        with torch.no_grad():
            fake = self.run_G(z_d)
        d_loss = bce(self.run_D(real), self.ones) + bce(self.run_D(fake), self.zeros)
        self.adam_d.zero_grad(set_to_none=True)
        d_loss.backward()
        self.adam_d.step()
        self.D.requires_grad_(False)  # G's step needs no gradient of D's parameters
        g_loss = bce(self.run_D(self.run_G(z_g)), self.ones)
        self.adam_g.zero_grad(set_to_none=True)
        g_loss.backward()
        self.adam_g.step()
        self.D.requires_grad_(True)
        return float(d_loss.detach()), float(g_loss.detach())

    def set_params(self, values: Sequence[np.ndarray]) -> None:
        """Take over tinygan's parameters (D's, then G's): its matrices transposed, its filters from (KH, KW, C_in, C_out), and
        whatever meets a flattened image reordered from (H, W, C) to (C, H, W)."""
        places = [(net, i, p) for net in (self.D, self.G) for i, m in enumerate(net) for p in m.parameters(recurse=False)]
        for (network, i, parameter), value in zip(places, values, strict=True):
            parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(_converted(network, i, value))))


def _converted(network: nn.Sequential, i: int, value: np.ndarray) -> np.ndarray:
    """Return `value`, a parameter of the network's i-th module, in PyTorch's layout."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)  # conv (O, I, KH, KW); transposed conv (I, O, KH, KW) from (KH, KW, O, I)
    if not isinstance(network[i], nn.Linear):
        return value
    if i + 1 < len(network) and isinstance(network[i + 1], nn.Unflatten):
        value = value[..., _channels_first(network[i + 1].unflattened_size[0], value.shape[-1])]
    if i and isinstance(network[i - 1], nn.Flatten):
        channels = next(m.num_features for m in reversed(network[:i]) if isinstance(m, nn.BatchNorm2d))
        value = value[_channels_first(channels, value.shape[0])] if value.ndim == 2 else value
    return value.T


def _channels_first(channels: int, size: int) -> np.ndarray:
    """Return the index in a flattened (H, W, C) image of each element of the flattened (C, H, W) one."""
    return np.arange(size).reshape(-1, channels).T.reshape(-1)

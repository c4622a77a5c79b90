"""The four workloads in PyTorch: nn.Sequential, fused Adam; eager or compiled, NCHW or channels_last, float32 or autocast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.workloads import BETA1, BETA2, RATE, Workload


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
    """One workload in PyTorch.

    variant: "eager", or the names of what is to be on, separated by spaces: "channels_last" (for images only), "compile" (each
    player's loss, both networks in it, is one graph for torch.compile, with its backward pass) and "bfloat16" (the networks run
    under autocast; weights, losses and Adam stay float32, as PyTorch advises).
    """

    def __init__(
        self, workload: Workload, seed: int = 0, variant: str = "eager", dtype: Any = np.float32, m: int | None = None
    ) -> None:
        torch.manual_seed(seed)
        on = set(variant.split()) - {"eager"}
        if on - {"channels_last", "compile", "bfloat16"}:
            raise ValueError(f"variant: there is no {variant!r}")
        self.workload, self.m, self.bfloat16 = workload, m or workload.m, "bfloat16" in on
        self.dtype = getattr(torch, np.dtype(dtype).name)
        self.layout = torch.channels_last if "channels_last" in on else torch.contiguous_format
        self.G, self.D = (network.to(self.dtype).to(memory_format=self.layout) for network in NETWORKS[workload.name]())
        losses = (self._loss_of_d, self._loss_of_g)
        self.loss_of_d, self.loss_of_g = map(torch.compile, losses) if "compile" in on else losses
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
        d_loss = self.loss_of_d(real, z_d)
        self.adam_d.zero_grad(set_to_none=True)
        d_loss.backward()
        self.adam_d.step()
        self.D.requires_grad_(False)  # G's step needs no gradient of D's parameters
        g_loss = self.loss_of_g(z_g)
        self.adam_g.zero_grad(set_to_none=True)
        g_loss.backward()
        self.adam_g.step()
        self.D.requires_grad_(True)
        return float(d_loss.detach()), float(g_loss.detach())

    def _loss_of_d(self, real: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return -V: D judges the real batch and fakes that are held fixed."""
        with self._autocast():
            with torch.no_grad():
                fake = self.G(z)
            of_real, of_fake = self.D(real), self.D(fake)
        return self._bce(of_real, self.ones) + self._bce(of_fake, self.zeros)

    def _loss_of_g(self, z: torch.Tensor) -> torch.Tensor:
        """Return G's non-saturating loss."""
        with self._autocast():
            of_fake = self.D(self.G(z))
        return self._bce(of_fake, self.ones)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    def _bce(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits.to(self.dtype), labels)

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

"""A recipe of tinygan's, MLPs with R1 and an average of G, in PyTorch: eager, or with each player's loss and slopes compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import leaky_relu, softplus

from benchmarks.speed.recipe import Recipe

Layers = list[torch.Tensor]  # w (n, m) and b (m,) of each layer in turn, as tinygan has them


def _mlp(layers: Sequence[torch.Tensor], x: torch.Tensor, act: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    *hidden, (w, b) = zip(layers[::2], layers[1::2], strict=True)
    for v, c in hidden:
        x = act(torch.addmm(c, x, v))
    return torch.addmm(b, x, w)


class TorchRecipe:
    """The recipe's game on given weights. compiled: slopes come from one graph a player, by torch.compile and torch.func, as
    PyTorch cannot differentiate a compiled graph twice and R1 needs that; else from autograd."""

    def __init__(self, recipe: Recipe, d: Sequence[np.ndarray], g: Sequence[np.ndarray], compiled: bool = False) -> None:
        self.recipe = recipe
        self.d, self.g = ([torch.tensor(value).requires_grad_() for value in values] for values in (d, g))
        self.average = [parameter.detach().clone() for parameter in self.g]
        betas = (recipe.beta1, recipe.beta2)
        self.adam_d, self.adam_g = (torch.optim.Adam(player, 1.0, betas=betas, fused=True) for player in (self.d, self.g))
        if compiled:
            self.slopes_of_d = torch.compile(torch.func.grad(self._loss_of_d))
            self.slopes_of_g = torch.compile(torch.func.grad(self._loss_of_g))
        else:
            self.slopes_of_d, self.slopes_of_g = self._autograd_of_d, self._autograd_of_g

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray, rate_d: float, rate_g: float) -> None:
        """Take a step: D on real x (m, features) and on fakes of z_d (m, n_z), then G on z_g (m, n_z), then its average."""
        real, noise_d, noise_g = map(torch.from_numpy, (x, z_d, z_g))
        self._move(self.adam_d, self.d, rate_d, self.slopes_of_d(self.d, self.g, real, noise_d))
        self._move(self.adam_g, self.g, rate_g, self.slopes_of_g(self.g, self.d, noise_g))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.g, 1 - self.recipe.ema)

    def wait(self) -> None:
        """Do nothing: steps on the CPU are over when they return."""

    def samples(self, z: np.ndarray) -> np.ndarray:
        """Return what the average of G makes of noise z (n, n_z): (n, features)."""
        with torch.no_grad():
            return self._generate(self.average, torch.from_numpy(z)).numpy()

    def weights(self) -> list[np.ndarray]:
        """Return copies of D's, G's and the average's parameters."""
        return [parameter.detach().numpy().copy() for parameter in (*self.d, *self.g, *self.average)]

    @staticmethod
    def _move(adam: torch.optim.Adam, parameters: Layers, rate: float, slopes: Sequence[torch.Tensor]) -> None:
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope.detach()
        adam.param_groups[0]["lr"] = rate
        adam.step()

    def _generate(self, g: Layers, z: torch.Tensor) -> torch.Tensor:
        made = _mlp(g, z, torch.relu)
        return torch.tanh(made) if self.recipe.bounded else made

    @staticmethod
    def _judge(d: Layers, x: torch.Tensor) -> torch.Tensor:
        return _mlp(d, x, lambda h: leaky_relu(h, 0.2))

    def _loss_of_d(self, d: Layers, g: Layers, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return -V + R1 as a function of D's parameters, for torch.func."""
        slope, real = torch.func.grad(lambda v: self._sum_with_logits(d, v), has_aux=True)(x)
        fake = self._judge(d, self._generate(g, z))
        return self._value(real, fake) + self._r1(slope)

    def _sum_with_logits(self, d: Layers, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = self._judge(d, x)
        return s.sum(), s

    def _loss_of_g(self, g: Layers, d: Layers, z: torch.Tensor) -> torch.Tensor:
        return softplus(-self._judge(d, self._generate(g, z))).mean()

    def _autograd_of_d(self, d: Layers, g: Layers, x: torch.Tensor, z: torch.Tensor) -> Sequence[torch.Tensor]:
        with torch.no_grad():
            fake = self._generate(g, z)
        real = self._judge(d, x.requires_grad_())
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        return torch.autograd.grad(self._value(real, self._judge(d, fake)) + self._r1(slope), d)

    def _autograd_of_g(self, g: Layers, d: Layers, z: torch.Tensor) -> Sequence[torch.Tensor]:
        return torch.autograd.grad(self._loss_of_g(g, d, z), g)

    @staticmethod
    def _value(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """Return -V from the logits of both batches."""
        return softplus(-real).mean() + softplus(fake).mean()

    def _r1(self, slope: torch.Tensor) -> torch.Tensor:
        return slope.square().sum() * (0.5 * self.recipe.r1 / len(slope))

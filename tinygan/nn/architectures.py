"""G and D for each kind of data: multilayer perceptrons for everything, DCGANs for images.

Images are NHWC. Both networks are made from the shape of a sample, so a table, a sound window and a picture take one path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine.conversion import backend_of
from tinygan.engine.randomness import Draws, generator_of
from tinygan.options import Options, option

from .gan_layers import Dropout, FourierFeatures, Maxout, Signs, SpectralNorm
from .init import INITS
from .layers import BatchNorm, Conv2d, ConvTranspose2d, Flatten, Layer, Linear, Reshape, Sequential

MOST_WEIGHTS = 2**29  # of G and D together: 2 GiB in float32, and six times that with gradients, Adam's moments and the average
LEAKY: dict[str, Any] = {"act": "leaky_relu", "slope": 0.2}
RELU: dict[str, Any] = {"act": "leaky_relu", "slope": 0.0}


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """The options of G and D.

    hidden      widths of the MLP's hidden layers: G's from noise to sample, D's the same from sample to logit
    hidden_d    widths of D's hidden layers where they are not G's, from sample to logit
    width       channels of the DCGAN's largest feature maps; deeper ones double it
    fourier     sines of what the MLP's D judges, of fixed frequencies, that D sees beside it (Tancik et al. 2020): with them D can
                tell details as small as 1 / frequency
    signs       numbers of the noise of which G sees the sign alone, so that it need not make samples between modes
    init        the initialisation of every weight, by its name in INITS; empty for each layer's own (a DCGAN's: its paper's)

    Raises OptionError, also for options of the MLP that a DCGAN was given.
    """

    title = "Networks"

    arch: str = option("mlp", help="mlp, or dcgan for images.", choices=("mlp", "dcgan"))
    hidden: tuple[int, ...] = option((256, 256), help="Widths of G's hidden layers (and D's, reversed): 256,512.", at_least=1,
                                     at_most=2**20, longest=100, only_with=("arch=mlp",))
    hidden_d: tuple[int, ...] = option((), help="Widths of D's hidden layers, where they differ.", at_least=1,
                                       at_most=2**20, longest=100, neutral=(), only_with=("arch=mlp",))
    width: int = option(64, help="Channels of a DCGAN's largest feature maps.", at_least=1, at_most=2**12,
                       only_with=("arch=dcgan",))
    z: int = option(32, help="Length of the noise vector.", at_least=1, at_most=2**20)
    signs: int = option(0, help="How many of the noise's numbers G sees as their sign, -1 or 1; 0 is none.", at_least=0,
                        at_most=2**20, neutral=0)
    fourier: int = option(0, help="Sines of its input, of fixed frequencies, that D sees too; 0 is none.", at_least=0,
                          at_most=2**16, neutral=0)
    frequency: float = option(60.0, help="The highest frequency of --fourier, in radians per unit of what networks see.",
                              at_least=1, at_most=1e6, neutral=60.0, only_with=("fourier",))
    init: str = option("", help=f"Initial weights: {', '.join(INITS)}; if not given, each layer's own.", choices=("", *INITS),
                       neutral="")
    maxout: int = option(0, help="Pieces of D's maxout units, at least 2; 0 is leaky ReLU.", at_least=0, at_most=100, neutral=0)
    dropout: float = option(0.0, help="Probability of dropout in D's hidden layers.", at_least=0, below=1, neutral=0.0)
    spectral: bool = option(False, help="Spectral normalisation of D.", neutral=False)
    batch_norm: bool = option(False, help="Batch normalisation in the MLP's G.", neutral=False)

    def conflicts(self) -> Iterator[str]:
        if self.arch == "dcgan" and (self.maxout or self.dropout or self.batch_norm or self.fourier):
            yield "--maxout, --dropout, --batch-norm and --fourier are options of the mlp; a dcgan has its paper's layers"
        if self.signs > self.z:
            yield f"--signs is {self.signs}, but the noise has {self.z} numbers; take a larger --z, or fewer signs"
        if self.maxout == 1:
            yield "--maxout is 1, it has to be at least 2 pieces, or 0 for leaky ReLU"
        if self.spectral and self.maxout:
            yield "--spectral is for linear and convolutional layers; leave out maxout or spectral"


@dataclass(frozen=True, kw_only=True)
class Architecture(NetworkOptions):
    """All that G and D are built from: the options, and what the data and the game decide.

    sample: the shape of one sample; bounded: G ends in tanh; pack: samples that D judges together. Raises OptionError, also for a
    DCGAN on samples that are not images of even sides.
    """

    sample: tuple[int, ...]
    bounded: bool
    pack: int = 1

    def conflicts(self) -> Iterator[str]:
        if self.arch == "dcgan" and (len(self.sample) != 3 or not self.halvings):
            yield f"dcgan wants images with even sides of at least 6 pixels, a sample here is {self.sample}; take --arch mlp"
        elif sum(self.weights) > MOST_WEIGHTS:
            yield (f"these networks have {sum(self.weights):,} weights, at most {MOST_WEIGHTS:,} are allowed; take a smaller "
                   f"{'--width' if self.arch == 'dcgan' else '--hidden'} or --z")

    @property
    def weights(self) -> tuple[int, int]:
        """How many numbers G and D learn, biases and normalisation's gamma and beta included; nothing is built to count them."""
        return _dcgan_weights(self) if self.arch == "dcgan" else _mlp_weights(self)

    @property
    def outputs(self) -> tuple[int, int]:
        """How many numbers the layers of G give for one sample, and those of D for one pack."""
        if self.arch == "dcgan":
            (height, width), channels = dcgan_channels(self)
            maps = sum(height * width * c * 4**i for i, c in enumerate(channels))
            return maps + math.prod(self.sample) + self._seen_noise, maps + 1
        of_g, of_d = _mlp_widths(self)
        features = of_d[0] if self.fourier else 0
        return self._seen_noise + sum(of_g[1:]), features + sum(of_d[1:-1]) * (self.maxout or 1) + 1

    @property
    def _seen_noise(self) -> int:
        """How many numbers the layer gives that turns noise into signs; 0 without one."""
        return self.z if self.signs else 0

    @property
    def judged(self) -> tuple[int, ...]:
        """The shape of what D judges: a pack of samples joined along the last axis."""
        return (*self.sample[:-1], self.sample[-1] * self.pack)

    @property
    def halvings(self) -> int:
        """The number of times a DCGAN halves the image: until a side is odd or 4 pixels are left (64 -> 4, 28 -> 7, 8 -> 4)."""
        (height, width), times = self.sample[:2], 0
        while height % 2 == 0 and width % 2 == 0 and min(height, width) > 4:
            height, width, times = height // 2, width // 2, times + 1
        return times


def _layer_arguments(a: Architecture, backend: Backend, rng: np.random.Generator, dtype: Any) -> dict[str, Any]:
    """Return the arguments that every layer with weights is made with."""
    init = a.init or ("dcgan_normal" if a.arch == "dcgan" else "")
    return {"backend": backend, "rng": rng, "dtype": dtype, **({"init": INITS[init]} if init else {})}


def generator(
    a: Architecture, backend: Backend | str | None = None, rng: np.random.Generator | int | None = None, dtype: Any = np.float32
) -> Sequential:
    """Return an untrained G: noise (m, z) -> samples (m, *sample). backend: also by name. rng: also a seed."""
    backend, rng = backend_of(backend), generator_of(rng, "generator")
    made = _layer_arguments(a, backend, rng, dtype)
    layers = _mlp_generator(a, made) if a.arch == "mlp" else _dcgan_generator(a, made)
    return Sequential(*([Signs(a.signs)] if a.signs else []), *layers)


def discriminator(
    a: Architecture, backend: Backend | str | None = None, rng: np.random.Generator | int | None = None, dtype: Any = np.float32,
    draws: Draws | None = None,
) -> Sequential:
    """Return an untrained D: samples (m, *judged) -> logits (m, 1), whose sigmoid is the paper's D(x).

    draws: the source of dropout's masks; without it they come from `rng`.
    """
    backend, rng = backend_of(backend), generator_of(rng, "discriminator")
    made = _layer_arguments(a, backend, rng, dtype)
    layers = _mlp_discriminator(a, made, draws or Draws(rng)) if a.arch == "mlp" else _dcgan_discriminator(a, made)
    return Sequential(*(_spectral(layers, rng) if a.spectral else layers))


def _spectral(layers: list[Layer], rng: np.random.Generator) -> list[Layer]:
    """Return the layers with every linear and convolutional one inside a SpectralNorm."""
    return [SpectralNorm(layer, rng) if isinstance(layer, (Linear, Conv2d)) else layer for layer in layers]


def _mlp_widths(a: Architecture) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the widths of an MLP's G, from noise to sample, and of its D, from what its first linear layer sees to the logit."""
    return (a.z, *a.hidden, math.prod(a.sample)), (math.prod(a.judged) + a.fourier, *(a.hidden_d or reversed(a.hidden)), 1)


def _mlp_weights(a: Architecture) -> tuple[int, int]:
    of_g, of_d = _mlp_widths(a)
    normal = 2 * sum(a.hidden) if a.batch_norm else 0
    *hidden, last = ((n + 1) * m for n, m in pairwise(of_d))
    return sum((n + 1) * m for n, m in pairwise(of_g)) + normal, sum(hidden) * (a.maxout or 1) + last


def _mlp_generator(a: Architecture, made: dict[str, Any]) -> list[Layer]:
    """Return the layers of an MLP's G; with batch normalisation, ReLU comes after it."""
    (*widths, size), _ = _mlp_widths(a)
    layers: list[Layer] = []
    for n, m in pairwise(widths):
        norm = BatchNorm(m, backend=made["backend"], dtype=made["dtype"], **RELU)
        layers += [Linear(n, m, **made), norm] if a.batch_norm else [Linear(n, m, **RELU, **made)]
    layers.append(Linear(widths[-1], size, act="tanh" if a.bounded else "linear", **made))
    return layers if len(a.sample) == 1 else [*layers, Reshape(*a.sample)]


def _mlp_discriminator(a: Architecture, made: dict[str, Any], draws: Draws) -> list[Layer]:
    """Return the layers of an MLP's D: leaky ReLU or maxout, each with dropout if it is in use, behind Fourier features."""
    _, (*widths, _one) = _mlp_widths(a)
    layers: list[Layer] = []
    if a.fourier:
        layers.append(FourierFeatures(math.prod(a.judged), a.fourier, a.frequency, backend=made["backend"], rng=made["rng"],
                                      dtype=made["dtype"]))
    for n, m in pairwise(widths):
        layers.append(Maxout(n, m, a.maxout, **made) if a.maxout else Linear(n, m, **LEAKY, **made))
        layers += [Dropout(a.dropout, draws)] if a.dropout else []
    layers.append(Linear(widths[-1], 1, **made))
    return layers if len(a.sample) == 1 else [Flatten(), *layers]


def dcgan_channels(a: Architecture) -> tuple[tuple[int, int], list[int]]:
    """Return the sides of a DCGAN's smallest feature map, and the channels of its maps from there outwards."""
    height, width, _ = a.sample
    smallest = height >> a.halvings, width >> a.halvings
    return smallest, [a.width << i for i in reversed(range(a.halvings))]


def _dcgan_weights(a: Architecture) -> tuple[int, int]:
    (height, width), channels = dcgan_channels(a)
    flat, between = height * width * channels[0], 16 * sum(n * m for n, m in pairwise(channels))
    of_g = a.z * flat + flat + between + 16 * channels[-1] * a.sample[2] + a.sample[2] + 2 * sum(channels)
    of_d = 16 * a.judged[2] * channels[-1] + channels[-1] + between + sum(channels[:-1]) * (1 if a.spectral else 2) + flat + 1
    return of_g, of_d


def _dcgan_generator(a: Architecture, made: dict[str, Any]) -> list[Layer]:
    """Return a DCGAN's G: project and reshape, then 4x4 stride-2 transposed convolutions. Radford et al. 2016, section 3."""
    (height, width), channels = dcgan_channels(a)
    norm = {"backend": made["backend"], "dtype": made["dtype"], **RELU}
    # a batch normalisation subtracts the bias of the layer before it with the mean, so convolutions before one have none
    layers: list[Layer] = [
        Linear(a.z, height * width * channels[0], **made), Reshape(height, width, channels[0]), BatchNorm(channels[0], **norm)
    ]
    for c_in, c_out in pairwise(channels):
        layers += [ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False, **made), BatchNorm(c_out, **norm)]
    last = ConvTranspose2d(channels[-1], a.sample[2], 4, 2, 1, act="tanh" if a.bounded else "linear", **made)
    return [*layers, last]


def _dcgan_discriminator(a: Architecture, made: dict[str, Any]) -> list[Layer]:
    """Return a DCGAN's D: 4x4 stride-2 convolutions, batch normalisation from the second on, one logit. Radford et al. 2016."""
    (height, width), channels = dcgan_channels(a)
    channels = channels[::-1]
    norm = {"backend": made["backend"], "dtype": made["dtype"], **LEAKY}
    layers: list[Layer] = [Conv2d(a.judged[2], channels[0], 4, 2, 1, **LEAKY, **made)]
    for c_in, c_out in pairwise(channels):
        if a.spectral:  # in the place of batch normalisation; Miyato et al. 2018, section 4
            layers.append(Conv2d(c_in, c_out, 4, 2, 1, **LEAKY, **made))
            continue
        layers += [Conv2d(c_in, c_out, 4, 2, 1, bias=False, **made), BatchNorm(c_out, **norm)]
    return [*layers, Flatten(), Linear(height * width * channels[-1], 1, **made)]

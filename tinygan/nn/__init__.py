"""Layers, initialisations, and the generators and discriminators built of them."""

from typing import NoReturn

from tinygan.engine.elsewhere import MODULE, missing_attribute

from .architectures import Architecture, discriminator, generator
from .flat import Flat
from .gan_layers import Dropout, FourierFeatures, Maxout, Signs, SpectralNorm
from .init import INITS, Init, dcgan_normal, glorot_uniform, he_normal, lecun_uniform
from .layers import (
    Activation,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    count_parameters,
)
from .summary import summary

__all__ = [
    "INITS",
    "Activation",
    "Architecture",
    "BatchNorm",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flat",
    "Flatten",
    "FourierFeatures",
    "Init",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "ReLU",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Signs",
    "SpectralNorm",
    "Tanh",
    "count_parameters",
    "dcgan_normal",
    "discriminator",
    "generator",
    "glorot_uniform",
    "he_normal",
    "lecun_uniform",
    "summary",
]


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(missing_attribute(__name__, name, __all__, MODULE))

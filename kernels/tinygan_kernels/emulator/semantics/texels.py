"""The elements of textures and surfaces: channel formats, and what a stored element is as a number.

Sources: CUDA Runtime API, cudaChannelFormatDesc and cudaTextureDesc; CUDA C++ Programming Guide, "Texture and Surface Memory";
for sRGB, IEC 61966-2-1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIGNED, UNSIGNED, FLOAT = 0, 1, 2
"""Kinds of channels: the values of cudaChannelFormatKind."""
_LETTER = {SIGNED: "i", UNSIGNED: "u", FLOAT: "f"}
_WORD = {SIGNED: "signed integers", UNSIGNED: "unsigned integers", FLOAT: "floats"}


class Format(NamedTuple):
    """The format of an element: how many channels it has, their bits and their kind."""

    bits: int
    channels: int
    kind: int

    @property
    def code(self) -> str:
        """NumPy's name of a channel's type: u1, i2, f4."""
        return f"{_LETTER[self.kind]}{self.bits // 8}"

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.channels * self.bits // 8

    def __str__(self) -> str:
        return f"{self.channels} x {self.bits}-bit {_WORD[self.kind]}"


def format_of(x: int, y: int, z: int, w: int, kind: int) -> Format:
    """Return the format that a cudaChannelFormatDesc describes: the bits of each channel, and the kind of all.

    Raises ValueError for a format that CUDA arrays and textures do not have.
    """
    bits = [x, y, z, w]
    channels = sum(b > 0 for b in bits)
    if kind not in _LETTER:
        raise ValueError(f"a channel format of kind {kind} is not supported: signed (0), unsigned (1) and float (2) are")
    if channels not in (1, 2, 4) or bits != [x] * channels + [0] * (4 - channels):
        raise ValueError(f"a channel format has 1, 2 or 4 channels of the same number of bits, not {tuple(bits)}")
    if x not in ((16, 32) if kind == FLOAT else (8, 16, 32)):
        raise ValueError(f"a channel of {_WORD[kind]} has {'16 or 32' if kind == FLOAT else '8, 16 or 32'} bits, not {x}")
    return Format(x, channels, kind)


def normalized(raw: np.ndarray, texel: Format) -> np.ndarray:
    """Return integers of 8 or 16 bits as float64 from 0 to 1, those with a sign from -1 to 1 (where the least two both are -1)."""
    most = (1 << texel.bits - (texel.kind == SIGNED)) - 1
    return np.maximum(raw / np.float64(most), -1.0)


def linear_of_srgb(colour: np.ndarray) -> np.ndarray:
    """Return linear intensities of sRGB colours (elements, channels); a fourth channel, alpha, stays as it is."""
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    light[:, 3:] = colour[:, 3:]
    return light


def four_channels(values: np.ndarray) -> np.ndarray:
    """Return elements (n, channels) with four channels: those that a format lacks are 0, the last 1."""
    full = np.zeros((len(values), 4), values.dtype)
    full[:, 3] = 1
    full[:, : values.shape[1]] = values
    return full

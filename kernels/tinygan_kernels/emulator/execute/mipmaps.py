"""Fetches from mipmapped textures: from which levels, and with which weights. (PTX ISA, tex, "Mipmaps")

The level of detail is what `.level` gives, or what the gradients of `.grad` say: the logarithm to base 2 of the longer of the two
steps, in elements of the largest level. The texture adds its bias, and keeps it within its clamps. With a point filter the nearest
level is fetched (of two the smaller one), with a linear one the two around it, weighted in steps of 1/256. NVIDIA's guide and PTX
leave the formula of the gradients and the rounding open; here they are those of Direct3D 11. `.base` is the largest level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .texture_objects import LINEAR, Texture

Sample = Callable[[Texture, np.ndarray], np.ndarray]


def gradient_level(texture: Texture, steps: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the level of detail of gradients. steps: dPdx and dPdy, each one vector (lanes) for each axis, in normalized units."""
    sizes = (texture.resource.width, texture.resource.rows, texture.resource.planes)
    lengths = [np.sqrt(sum((np.asarray(d, "f8") * s) ** 2 for d, s in zip(step, sizes, strict=False))) for step in steps]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(np.maximum(*lengths))


def chosen(texture: Texture, detail: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (level, weight) for each lane, once for a point filter and twice for a linear one. detail: the level asked for."""
    how, last = texture.how, len(texture.levels) - 1
    with np.errstate(invalid="ignore"):
        wanted = np.asarray(detail, "f8") + how.bias
    wanted = np.clip(np.nan_to_num(wanted, nan=0.0, posinf=1e3, neginf=-1e3), how.least, max(how.least, how.most))
    wanted = np.clip(wanted, 0, last)
    if how.between != LINEAR:
        return [(np.floor(wanted + 0.5).astype("i8"), np.ones(wanted.shape))]
    lower = np.floor(wanted)
    weight = np.floor((wanted - lower) * 256 + 0.5) / 256
    return [(lower.astype("i8"), 1 - weight), (np.minimum(lower + 1, last).astype("i8"), weight)]


def blended(texture: Texture, detail: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the four channels of a fetch for each lane, (lanes, 4).

    sample: returns what a texture of one level gives to the lanes that a mask (lanes) marks.
    """
    total: np.ndarray | None = None
    for level, weight in chosen(texture, detail):
        for number in np.unique(level[weight > 0]).tolist():
            some = (level == number) & (weight > 0)
            part = sample(texture.levels[number], some)
            if total is None:
                total = np.zeros((len(level), 4), "f8" if texture.as_float else part.dtype)
            if texture.as_float:
                total[some] += weight[some, None] * part
            else:
                total[some] = part
    return total if total is not None else np.zeros((len(detail), 4))

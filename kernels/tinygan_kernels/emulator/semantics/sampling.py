"""How a texture turns coordinates into elements and weights. (CUDA C++ Programming Guide, "Texture Fetching")

Element i covers the coordinates from i to before i + 1. Normalized coordinates are multiplied by the size first. Point sampling
takes element floor(x). Linear filtering takes, along each axis, elements i = floor(x - 1/2) and i + 1 with the weights 1 - a and a,
where a is the fraction of x - 1/2 as a fixed-point number with 8 bits behind the point: here rounded to the nearest, as 1 is said
to be a value of it. A coordinate that is no number counts as 0, which the guide leaves open.
"""

from __future__ import annotations

import numpy as np

WRAP, CLAMP, MIRROR, BORDER = 0, 1, 2, 3
"""Address modes: the values of cudaTextureAddressMode."""
OUTSIDE = -1
"""The index of an element outside of the texture, in the place of which its border colour is taken."""
_FAR = float(1 << 40)
Tap = tuple[np.ndarray, np.ndarray | float]
"""Along one axis, an element for each coordinate (OUTSIDE: none) and its weight."""


def effective_mode(mode: int, is_normalized: bool) -> int:
    """Return the address mode that holds: of coordinates that are not normalized, those that repeat a texture become CLAMP."""
    return mode if is_normalized or mode in (CLAMP, BORDER) else CLAMP


def taps(x: np.ndarray, size: int, mode: int, is_normalized: bool, linear: bool) -> list[Tap]:
    """Return the elements, along an axis of `size`, that are fetched for coordinates `x` (float32 or integer), with weights."""
    at = in_elements(x, size, mode, is_normalized)
    if not linear:
        return [(addressed(np.floor(at), size, mode), 1.0)]
    at = at - 0.5
    first = np.floor(at)
    weight = np.floor((at - first) * 256 + 0.5) / 256
    return [(addressed(first, size, mode), 1 - weight), (addressed(first + 1, size, mode), weight)]


def in_elements(x: np.ndarray, size: int, mode: int, is_normalized: bool) -> np.ndarray:
    """Return coordinates in units of elements, as float64; those of WRAP and MIRROR are brought into the texture."""
    x = np.asarray(x, "f8")
    if is_normalized:
        with np.errstate(invalid="ignore"):
            if mode == WRAP:
                x = x - np.floor(x)
            elif mode == MIRROR:
                turn = x - 2 * np.floor(x / 2)
                x = np.where(turn < 1, turn, 2 - turn)
        x = x * size if mode != WRAP else np.minimum(x * size, np.nextafter(size, 0))  # just below 0 is the end, not the beginning
    return np.clip(np.nan_to_num(x, nan=0.0, posinf=_FAR, neginf=-_FAR), -_FAR, _FAR)


def addressed(index: np.ndarray, size: int, mode: int) -> np.ndarray:
    """Return whole numbers as indices of elements, those outside by the address mode: OUTSIDE for BORDER."""
    index = index.astype("i8")
    if mode == WRAP:
        return index % size
    if mode == BORDER:
        return np.where((index >= 0) & (index < size), index, OUTSIDE)
    return np.clip(index, 0, size - 1)  # what MIRROR leaves is at most one element outside, whose mirror image is the last one


def face_of(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (face, s, t) of directions into a cubemap: its face of six, and the normalized coordinates there.

    The guide's table ("Cubemap Textures") leaves open which face has an edge: z before y before x, as in Direct3D.
    """
    x, y, z = (np.nan_to_num(np.asarray(v, "f8"), nan=0.0) for v in (x, y, z))
    ax, ay, az = np.abs(x), np.abs(y), np.abs(z)
    on_z = (az >= ax) & (az >= ay)
    on_y = ~on_z & (ay >= ax)
    by_axis = [on_z, on_y]
    face = np.select(by_axis, [np.where(z < 0, 5, 4), np.where(y < 0, 3, 2)], np.where(x < 0, 1, 0))
    major = np.select(by_axis, [az, ay], ax)
    s = np.select(by_axis, [np.where(z < 0, -x, x), x], np.where(x < 0, z, -z))
    t = np.select(by_axis, [-y, np.where(y < 0, -z, z)], -y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return face, (s / major + 1) / 2, (t / major + 1) / 2

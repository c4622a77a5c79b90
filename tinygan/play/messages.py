"""The messages between the page and the game: a frame as one binary message, all else as JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DTYPES = {"float32": "f4", "uint8": "u1"}


def packed_frame(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a frame as bytes: the length of its header (4 bytes, little-endian), the header (JSON), and the arrays.

    The header gets "arrays": for each its name, dtype ("f4" or "u1"), shape, and the byte at which it begins, a multiple of 4
    counted from the end of the header.
    """
    parts, places, at = [], [], 0
    for name, array in arrays.items():
        kept = np.ascontiguousarray(array, np.uint8 if array.dtype == np.uint8 else np.float32)
        content = kept.astype(kept.dtype.newbyteorder("<")).tobytes()
        content += b"\0" * (-len(content) % 4)
        places.append([name, DTYPES[kept.dtype.name], list(kept.shape), at])
        parts.append(content)
        at += len(content)
    text = as_json({**header, "arrays": places}).encode()
    text += b" " * (-len(text) % 4)
    return b"".join((len(text).to_bytes(4, "little"), text, *parts))


def unpacked_frame(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a frame, as the page does."""
    start = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:start])
    arrays = {}
    for name, dtype, shape, at in header.pop("arrays"):
        count = math.prod(shape)
        arrays[name] = np.frombuffer(message, f"<{dtype}", count, start + at).reshape(shape)
    return header, arrays


def as_json(value: Any) -> str:
    """Return a value as JSON; a number that is not finite, which JSON has not, becomes null."""
    return json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def as_base64(message: bytes) -> str:
    """Return bytes as base64 text, as the exported page holds them."""
    return base64.b64encode(message).decode()

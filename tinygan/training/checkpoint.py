"""Checkpoints: one file holds all of a run, arrays as safetensors, everything else as JSON in its header. No pickle is used.

The file is written beside its place, flushed to the disk, and renamed over the earlier one, which is there until that moment.
The header has a SHA-256 of the contents, so that a damaged file is refused and not trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.atomic_files import write_atomically

FORMAT = "tinygan-1"
CHECKPOINT = "checkpoint.safetensors"  # the name of the file in a run's folder


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read. The message is one line."""


def save(path: Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
    """Write arrays (bool, integers, float16 to float64, complex64) and state (JSON types) to the file `path`.

    Arrays come back in native byte order and C order. Raises CheckpointError.
    """
    from safetensors.numpy import save as to_bytes

    packed = {name: _plain(array) for name, array in arrays.items()}
    text = json.dumps(state, sort_keys=True)
    header = {"format": FORMAT, "state": text, "sha256": _digest(packed, text)}
    try:
        write_atomically(path, to_bytes(packed, metadata=header))
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; the checkpoint before it is untouched") from error


def _plain(array: np.ndarray) -> np.ndarray:
    """Return the array in C order and native bytes, as safetensors stores it."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")  # np.ascontiguousarray would give a 0-d one an axis


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, state) as saved. Raises CheckpointError for a missing, truncated, damaged or foreign file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a checkpoint, or a damaged one: {' '.join(str(error).split())}") from error
    if header.get("format") != FORMAT or not {"state", "sha256"} <= set(header):
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of tinygan ({FORMAT})")
    if _digest(arrays, header["state"]) != header["sha256"]:
        raise CheckpointError(f"{path} is damaged: its contents do not match their checksum")
    return arrays, json.loads(header["state"])


def read_run(out: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the (arrays, state) that the run in the folder `out` saved last. Raises CheckpointError, also if there is none."""
    if not (Path(out) / CHECKPOINT).exists():
        raise CheckpointError(f"there is no run in {out}: it has no {CHECKPOINT}")
    return load(Path(out) / CHECKPOINT)


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

"""Checkpoints: one file holds all of a run, arrays as safetensors, everything else as JSON in its header. No pickle is used.

The file is written beside its place, flushed to the disk, and renamed over the earlier one, which is there until that moment.
The header has a SHA-256 of the contents, so that a damaged file is refused and not trained on. Equal contents give equal bytes, so
that `sha256sum` tells whether two runs are the same.

A checksum vouches for the file, and not for its author. So nothing in the state is believed: its size and depth are limited here,
before it is parsed, and what it says is checked in state.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.atomic_files import write_atomically
from tinygan.options import NamesOptions

VERSION = 1  # of the format; raised where older code would misread what is written, and not for an option or a field that was added
FORMAT = f"tinygan-{VERSION}"
CHECKPOINT = "checkpoint.safetensors"  # the name of the file in a run's folder
MOST_TEXT = 64 << 20  # bytes of the state; a safetensors header as a whole ends at 100 MB
MOST_DEPTH = 200  # levels of nested lists and dictionaries in the state


class CheckpointError(NamesOptions, ValueError):
    """A checkpoint cannot be written or read. The message is one line."""


def save(path: Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
    """Write arrays (bool, integers, float16 to float64, complex64) and state (JSON types) to the file `path`.

    Arrays come back in native byte order and C order. Raises CheckpointError, also for a state past MOST_TEXT or MOST_DEPTH.
    """
    from safetensors.numpy import save as to_bytes

    packed = {name: _plain(array) for name, array in arrays.items()}
    text = json.dumps(state, sort_keys=True)
    if problem := _too_much(text):
        raise CheckpointError(f"cannot write {path}: the run's state {problem}")
    header = {"format": FORMAT, "state": text, "sha256": digest(packed, text)}
    try:
        write_atomically(path, _in_order(to_bytes(packed, metadata=header)))
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; the checkpoint before it is untouched") from error


def _plain(array: np.ndarray) -> np.ndarray:
    """Return the array in C order and native bytes, as safetensors stores it."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")  # np.ascontiguousarray would give a 0-d one an axis


def _in_order(file: bytes) -> bytes:
    """Return a safetensors file with the keys of its header sorted: the library writes metadata in an order of chance."""
    end = 8 + int.from_bytes(file[:8], "little")
    text = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(file)[end:]))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, state) as saved. The state is a dict of whatever the file says: state.py checks what is in it.

    Raises CheckpointError for a missing, truncated, damaged or foreign file, and for one of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            _check_format(path, header)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except MemoryError as error:
        raise CheckpointError(f"{path} holds more than fits into this machine's memory") from error
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not a checkpoint, or a damaged one: {' '.join(str(error).split())}") from error
    if digest(arrays, header["state"]) != header["sha256"]:
        raise CheckpointError(f"{path} is damaged: its contents do not match their checksum")
    return arrays, _parsed(path, header["state"])


def _check_format(path: Path, header: Mapping[str, str]) -> None:
    """Raise CheckpointError for a file that is no checkpoint of tinygan, or one of a newer format."""
    version = re.fullmatch(r"tinygan-([1-9]\d{0,8})", header.get("format", ""))
    if version and int(version[1]) > VERSION:
        raise CheckpointError(f"{path} was written by a newer version of tinygan: its format is {version[1]}, and this version "
                              f"reads {VERSION} and older ones; update tinygan to use it")
    if not version or not {"state", "sha256"} <= set(header):
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of tinygan ({FORMAT})")


def _parsed(path: Path, text: str) -> dict[str, Any]:
    """Return the state of a checkpoint. Raises CheckpointError for what is no JSON object, too long or too deep."""
    if problem := _too_much(text):
        raise CheckpointError(f"{path}: its state {problem}")
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its state is no JSON ({' '.join(str(error).split())})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: its state is no record, but a {type(state).__name__}")
    return state


def _too_much(text: str) -> str | None:
    """Say in what a text of JSON passes the limits; None where it does not. The text is not parsed."""
    if len(text) > MOST_TEXT:
        return f"has {len(text):,} bytes, at most {MOST_TEXT:,} are read"
    if depth_of(text) > MOST_DEPTH:
        return f"is nested more than {MOST_DEPTH} levels deep"
    return None


def depth_of(text: str) -> int:
    """Return how many levels of lists and objects a text of JSON opens inside one another. Brackets inside strings do not count."""
    deepest = depth = 0
    for found in re.finditer(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', text, re.DOTALL):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest


def read_run(run: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the (arrays, state) of a run: what it saved last in its folder, or what a checkpoint file holds.

    Raises CheckpointError, also if there is none.
    """
    return load(checkpoint_of(Path(run)))


def checkpoint_of(run: Path) -> Path:
    """Return the checkpoint file of a run that is named by its folder or by the file itself. Raises CheckpointError for neither."""
    if run.is_file():
        return run
    if not (run / CHECKPOINT).exists():
        raise CheckpointError(f"there is no run in {run}: it has no {CHECKPOINT}")
    return run / CHECKPOINT


def folder_of(run: Path) -> Path:
    """Return the folder of a run that is named by it or by the checkpoint file in it. Raises CheckpointError for another file."""
    if not run.is_file():
        return run
    if run.name != CHECKPOINT:
        raise CheckpointError(f"{run} is a file; a run goes on in a folder: copy it to a folder of its own as {CHECKPOINT}")
    return run.parent


def digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Return the SHA-256 of a checkpoint's contents, in hexadecimal digits: of the state's text and of the arrays by name."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()

"""Checkpoints whose contents were changed and signed anew: their checksums are right, whatever they say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT


def contents(run: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the state of a run's folder as its file has them; nothing is checked."""
    with safe_open(Path(run) / CHECKPOINT, framework="numpy") as file:
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["state"])


def sign(run: Path, arrays: dict[str, np.ndarray], state: Any, form: str = checkpoint.FORMAT) -> None:
    """Write a run's checkpoint with a right checksum. state: any value, or a text, which need not be JSON."""
    text = state if isinstance(state, str) else json.dumps(state, sort_keys=True)
    header = {"format": form, "state": text, "sha256": checkpoint.digest(arrays, text)}
    (Path(run) / CHECKPOINT).write_bytes(save(arrays, metadata=header))

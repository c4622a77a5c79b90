"""Samples from the generator that a run has reached, without the run's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tinygan_kernels import Backend

from tinygan.data.kinds import codec_from_json
from tinygan.data.units import Codec
from tinygan.engine.tensor import wrap
from tinygan.nn.architectures import generator
from tinygan.nn.layers import Sequential

from .checkpoint import CheckpointError, read_run
from .config import Config


@dataclass(frozen=True)
class Trained:
    """G of a run, without its data: the average of G if the run kept one."""

    config: Config
    codec: Codec
    G: Sequential
    step: int

    @property
    def backend(self) -> Backend:
        return next(iter(self.G.parameters().values())).backend

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n samples (n, *shape), float32, as G gives them; `codec.decode` turns them into user units."""
        backend = self.backend
        z = rng.standard_normal((n, self.config.z), np.float32)
        parts = [self.G(wrap(backend.asarray(part), backend)).numpy() for part in np.array_split(z, max(1, -(-n // 256)))]
        return np.concatenate(parts)


def load_generator(out: Path, backend: Backend) -> Trained:
    """Load the generator that the run in `out` has reached. Raises CheckpointError."""
    arrays, state = read_run(out)
    config, codec = Config.from_json(state["config"]), codec_from_json(state["codec"])
    G = generator(config.architecture(codec), backend, np.random.default_rng(0))
    source = "average" if config.ema else "G"
    for name, tensor in (G.parameters() | G.buffers()).items():
        stored = arrays.get(f"{source}.{name}")
        if stored is None or stored.shape != tensor.shape:
            raise CheckpointError(f"the checkpoint in {out} has no {source}.{name} of shape {tensor.shape}")
        tensor.array[...] = backend.asarray(stored)
    G.eval()
    return Trained(config, codec, G, state["step"])

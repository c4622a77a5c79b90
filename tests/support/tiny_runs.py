"""Tiny runs, which tests make by the hundred, and a comparison of two of them to the last bit."""

from functools import cache

import numpy as np
import pytest
from tinygan_kernels import load as load_backend

from tinygan.data.datasets import Dataset, load
from tinygan.data.kinds import Images
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT, CheckpointError
from tinygan.training.config import Config, read_config
from tinygan.training.folder import CONFIG, METRICS
from tinygan.training.run import Run

TINY = {"steps": 12, "batch": 6, "hidden": (7, 5), "z": 3, "width": 2, "save_every": 5, "backend": "reference", "ema": 0.9}
backend = cache(load_backend)


@cache
def dataset(name: str) -> Dataset:
    """Return a named set, or "pictures": 20 of 12x12, which a DCGAN halves twice; an epoch is no whole number of batches of 6."""
    if name != "pictures":
        return load(name)
    pixels = np.random.default_rng(7).integers(0, 256, (20, 12, 12, 1))
    codec = Images((12, 12, 1))
    return Dataset(name, codec, codec.encode(pixels))


def start(out, data="pictures", **options) -> Run:
    config = Config(data=data, **{**TINY, **options})
    return Run(config, dataset(data), backend(config.backend), out)


def resume(out, data="pictures", **given) -> Run:
    return Run.resume(dataset(data), backend(read_config(out).backend), out, given)


def after(steps):
    """Return a `stopping` for Run.train that is True once, after this many more steps."""
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) == 0


def everything(out):
    """Return all that a run leaves behind, to the bit: arrays, state, metrics, configuration."""
    arrays, state = checkpoint.load(out / CHECKPOINT)
    packed = {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}
    return packed, state, (out / METRICS).read_bytes(), (out / CONFIG).read_bytes()


def assert_same_runs(out, other):
    for found, wanted in zip(everything(out), everything(other), strict=True):
        assert found == wanted


def refusal(call, *args, error=CheckpointError, **options) -> str:
    """Return the message of the error that `call` raises, checked to be one line."""
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert str(caught.value) and len(str(caught.value).splitlines()) == 1
    return str(caught.value)

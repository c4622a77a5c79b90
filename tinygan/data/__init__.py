"""Data of every kind: `load` reads them, a `Dataset` holds them, and its codec maps them to what networks see and back."""

from .batches import Dataset, Sampler
from .datasets import NAMES, known_data, known_outputs, load
from .kinds import KINDS, DataOptions, codec_from_json
from .units import Codec, DataError

__all__ = [
    "KINDS",
    "NAMES",
    "Codec",
    "DataError",
    "DataOptions",
    "Dataset",
    "Sampler",
    "codec_from_json",
    "known_data",
    "known_outputs",
    "load",
]

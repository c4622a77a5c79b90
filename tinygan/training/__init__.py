"""Runs: their options, their loop, their checkpoints, and the samples of a trained G."""

from .checkpoint import CheckpointError
from .config import Config, defaults, read_config, with_defaults
from .presets import PRESETS, Preset, PresetError, options_of_preset
from .run import Run
from .samples import Trained, load_generator

__all__ = [
    "PRESETS", "CheckpointError", "Config", "Preset", "PresetError", "Run", "Trained", "defaults", "load_generator",
    "options_of_preset", "read_config", "with_defaults",
]

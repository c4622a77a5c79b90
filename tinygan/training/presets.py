"""Presets: named sets of options for `tinygan train DATA --preset NAME`. Some are a single remedy, some the set-up of a paper.

A preset holds the options that differ from the defaults of its data set; options on the command line come on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygan.options import OptionError

MIXTURES = ("ring", "grid")


class PresetError(OptionError):
    """--preset names no preset, or one for other data. The message is one line."""


@dataclass(frozen=True)
class Preset:
    """A named set of options.

    about: a line for `tinygan presets`; options: fields of training.Config by name; data: the data sets it is for, empty for any;
    by_data: options for one data set alone, which come on top of `options`.
    """

    about: str
    options: dict[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    by_data: dict[str, dict[str, Any]] = field(default_factory=dict)


# PacGAN's set-up for mixtures (Lin et al. 2018, appendix B, and its published code): z of 2, G with batch normalisation, D of
# maxout units, weights N(0, 0.02^2), both players moving at once by Adam 1e-4 with beta1 0.8, 100 packs a batch, no average of G.
# There it runs for 400 epochs of 1,000 batches on 100,000 samples; here for a twentieth of them (ring) and a fifth (grid), on fresh
# samples. On grid fewer are not enough for packs of 4: after 20,000 steps G's samples still lie evenly between the modes, too
# (docs/results.md, section 6). Networks see the grid in its own units, as there: at a quarter of that size, which is the default
# here, a step of Adam is four times as large against the width of a mode.
PACGAN: dict[str, Any] = {
    "steps": 20_000, "batch": 100, "z": 2, "hidden": (400, 400, 400, 400), "hidden_d": (200, 200, 200), "maxout": 5,
    "batch_norm": True, "init": "dcgan_normal", "objective": "nonsaturating", "update": "simultaneous",
    "lr_d": 1e-4, "lr_g": 1e-4, "beta1": 0.8, "beta2": 0.999, "r1": 0.0, "ema": 0.0, "decay": 0.0,
}
PACGAN_OF_GRID: dict[str, Any] = {"scale": 1.0, "steps": 80_000}
PLAIN: dict[str, Any] = {"r1": 0.0}
# For modes as wide as the data's; docs/game.md, "Right widths", has the reasons, those for the options of grid too.
DENSITY: dict[str, Any] = {
    "steps": 20_000, "fourier": 64, "frequency": 60.0, "signs": 12, "r1": 0.1, "r2": 0.1, "penalty_fall": 40.0, "beta2": 0.999,
    "lr_d": 1e-3, "lr_g": 1e-3, "decay": 0.8, "decay_power": 3.0,
}
DENSITY_OF_GRID: dict[str, Any] = {"steps": 36_000, "fourier": 128, "frequency": 100.0, "lr_g": 5e-4, "decay_power": 2.5}

# Every preset by the name that `--preset` takes.
PRESETS: dict[str, Preset] = {
    "best": Preset("the settings that reached the numbers in docs/results.md; also what runs without --preset"),
    "density": Preset("for modes as wide as the data's: Fourier features, signs in z, R1 and R2 that fall", DENSITY, MIXTURES,
                      {"grid": DENSITY_OF_GRID}),
    "vanilla": Preset("the 2014 paper's game and nothing else: no R1, no average of G", {**PLAIN, "ema": 0.0}),
    "pacgan-gan": Preset("a vanilla GAN in PacGAN's own set-up, whose collapse is in its table", PACGAN, MIXTURES,
                         {"grid": PACGAN_OF_GRID}),
    "pacgan2": Preset("the same set-up, D judging packs of 2", {**PACGAN, "pack": 2, "batch": 200}, MIXTURES,
                      {"grid": PACGAN_OF_GRID}),
    "pacgan4": Preset("the same set-up, D judging packs of 4", {**PACGAN, "pack": 4, "batch": 400}, MIXTURES,
                      {"grid": PACGAN_OF_GRID}),
    "minimax": Preset("G descends V itself", {**PLAIN, "objective": "minimax"}),
    "r2": Preset("the penalty at generated samples in the place of R1", {**PLAIN, "r2": 0.1}),
    "wgan-gp": Preset("the Wasserstein game with its penalty, k = 5", {**PLAIN, "objective": "wasserstein", "gp": 10.0, "k": 5}),
    "sngan": Preset("the hinge game with spectral normalisation", {**PLAIN, "objective": "hinge", "spectral": True}),
    "lsgan": Preset("the least-squares game", {**PLAIN, "objective": "least-squares"}),
    "noise": Preset("instance noise of std 0.1, falling to 0", {**PLAIN, "noise": 0.1}),
    "smooth": Preset("one-sided label smoothing, real labels at 0.9", {**PLAIN, "smooth": 0.1}),
    "pack": Preset("D judges packs of 2", {**PLAIN, "pack": 2}),
    "unroll": Preset("G looks 3 steps of D ahead, of 0.01 each", {**PLAIN, "unroll": 3, "unroll_rate": 0.01}),
    "ttur": Preset("D's rate four times G's", {**PLAIN, "lr_d": 2e-3, "lr_g": 5e-4}),
}


def options_of_preset(name: str, data: str) -> dict[str, Any]:
    """Return the options of the preset `name`, for the data `data`. Raises PresetError."""
    preset = PRESETS.get(name)
    if preset is None:
        raise PresetError(f"--preset is {name!r}, it has to be one of {', '.join(PRESETS)}")
    if preset.data and data not in preset.data:
        raise PresetError(f"--preset {name} is for {' and '.join(preset.data)}, not for {data}")
    return {**preset.options, **preset.by_data.get(data, {})}

"""The names that `fit` knows its options by, and those that other libraries have for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tinygan.data import DataOptions
from tinygan.nn.architectures import NetworkOptions
from tinygan.options import options_of
from tinygan.training.config import Config

# what other libraries call an option: their name, and what to write here
ELSEWHERE = {
    "lr": "lr_d and lr_g", "learning_rate": "lr_d and lr_g", "batch_size": "batch", "epochs": "steps", "n_steps": "steps",
    "iterations": "steps", "latent_dim": "z", "z_dim": "z", "nz": "z", "noise_dim": "z", "verbose": "progress", "loss": "objective",
    "callbacks": "callback", "random_state": "seed", "n_critic": "k", "betas": "beta1 and beta2", "device": "backend",
    "gamma": "r1", "optimizer": "optim_d and optim_g", "optimiser": "optim_d and optim_g", "out_dir": "out", "emulate": "backend",
}


def check_names(given: Iterable[str], own: Iterable[str]) -> None:
    """Raise TypeError for an option that `fit` does not have; the message names the nearest one. own: the arguments of `fit`."""
    built = set(options_of(NetworkOptions)) - {"z"}
    known = [*own, *(name for name in options_of(Config) if name not in built | NOT_HERE)]
    for name in given:
        if name in built:
            raise TypeError(f"{name} is an option of networks that tinygan builds, and fit is given G and D; leave it out, and "
                            f"build them as you want them")
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        meant = ELSEWHERE.get(name) or (close[0] if close else "")
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
        raise TypeError(f"fit has no option {name!r}; {hint}")


NOT_HERE = {"data", "emulate", *options_of(DataOptions)}  # of the run's options: those that say what a command line reads and where


"""Measure the digits of a run: `python -m benchmarks.quality.digits [runs/digits] [--json FILE]`

Precision, recall, density and coverage (k = 5 nearest neighbours, 1,797 generated against the 1,797 real ones, raw pixels), the
confidence of a logistic regression on them against its confidence on held-out real digits, and the share of the rarest class.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tinygan_kernels import load

from benchmarks.speed.timing import stamp
from tinygan.data import load as load_data
from tinygan.measure.metrics import class_balance, neighbours
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.samples import load_generator


def measure(run: Path, seed: int) -> dict[str, float]:
    """Return the numbers of one run; seed decides the noise that its samples are made from."""
    digits, trained = load_data("digits"), load_generator(run, load("cpu"))
    real = digits.x.reshape(len(digits.x), -1)
    fake = trained.encoded(len(real), np.random.default_rng(seed)).reshape(len(real), -1)
    balance = class_balance(real, digits.labels, fake)
    return {
        **asdict(neighbours(real, fake)), "confidence": balance.confidence, "real_confidence": balance.real_confidence,
        "rarest_class": balance.rarest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/digits"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    try:
        numbers = measure(args.run, args.seed)
    except CheckpointError as error:
        parser.error(f"{error}; `make train` makes one in runs/digits")
    for name, value in numbers.items():
        print(f"{name:16s} {value:.3f}")
    if args.json:
        args.json.write_text(json.dumps({**numbers, "stamp": stamp()}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Measure how much of V comes from data that D has learnt by heart: `python -m benchmarks.quality.by_heart [--steps 6000]`

A run on 1,400 of the digits, with the defaults for all of them. At several steps V of D and of G in play is computed twice, with
the same generated samples: on digits that D was trained on, and on the 397 that it never saw. Where the first is above -log 4 and
the second is not, D recognises the digits that it has seen, and tells others from generated ones no better than chance: V no
longer says how far p_g is from p_data.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from tinygan_kernels import load

from tinygan.data import load as load_data
from tinygan.engine.tensor import wrap
from tinygan.game.objectives import LOG4, value
from tinygan.measure.samples import fake_samples
from tinygan.training.config import Config, with_defaults
from tinygan.training.run import Run

KEPT = 1400  # digits to train on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    digits, backend = load_data("digits"), load("cpu")
    order = np.random.default_rng(args.seed).permutation(len(digits.x))
    seen, held_out = (np.ascontiguousarray(digits.x[part]) for part in (order[:KEPT], order[KEPT:]))
    config = Config(data="digits", **with_defaults(digits, {"steps": args.steps, "seed": args.seed}))
    run = Run(config, replace(digits, x=seen, labels=digits.labels[order[:KEPT]]), backend, None)
    due = {int(share * args.steps) // 10 * 10 for share in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)}

    def on_reading(reading: dict[str, float]) -> None:
        if reading["step"] not in due:
            return
        fake = fake_samples(run, len(held_out), np.random.default_rng(1), average=False)
        judged = [run.game.D(wrap(x, backend)) for x in (seen[: len(held_out)], held_out, fake)]
        on_seen, on_held_out = (float(value(real, judged[2])) for real in judged[:2])
        print(f"step {int(reading['step']):6,}: V {on_seen:.3f} on digits that D has seen, {on_held_out:.3f} on others; "
              f"-log 4 is {-LOG4:.3f}", flush=True)

    run.train(on_reading)


if __name__ == "__main__":
    main()

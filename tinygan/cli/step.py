"""`tinygan step`: one training step, taken apart."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tinygan.data import DataOptions, known_data
from tinygan.options import OptionError, options_of, require_effect
from tinygan.training.config import Config

from .console import err, load_backend, out, require_data, tell
from .flags import takes_options

EXAMPLES = (
    "Examples:  tinygan step ring   |   tinygan step ring --after 500 --by-hand   |   "
    "tinygan step digits --arch dcgan --objective hinge"
)


@takes_options(Config)
def step(
    *,
    data: Annotated[str, typer.Argument(metavar="DATA", help=f"{known_data()}.", show_default=False)],
    given: dict[str, Any],
    preset: Annotated[str | None, typer.Option("--preset", help="A named set of options; others come on top.",
                                               show_default=False)] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="How many steps are made before the one that is told.")] = 0,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="Compute the numbers with NumPy alone too, beside the engine's: of "
                                                            "multilayer perceptrons.")] = False,
) -> int:
    """Tell one training step move by move: what is drawn, judged and moved, each number beside its formula.

    The step is that of a run with these options and this seed, on the same data and noise; nothing is saved.
    """
    from tinygan.data import load as load_data
    from tinygan.training.config import with_defaults
    from tinygan.training.presets import options_of_preset
    from tinygan.training.run import Run
    from tinygan.walkthrough.runs import explain_next

    require_data(data, "a step of a run that begins anew: tinygan step {data}")
    typed, given = tuple(given), {**(options_of_preset(preset, data) if preset else {}), **given}
    dataset = load_data(data, say=lambda line: tell(err, line), **{name: given.get(name) for name in options_of(DataOptions)})
    config = Config(data=data, **with_defaults(dataset, given))
    require_effect(config, typed)
    if after >= config.steps:
        raise OptionError(f"--after is {after}, and a run of these options makes {config.steps:,} steps; the last is told by "
                          f"--after {config.steps - 1}")
    run = Run(config, dataset, load_backend(config.backend, config.emulate), None)
    while run.step < after:
        run.make_step()
        run.step += 1
    tell(out, f"{data}, step {run.step + 1:,} of {config.steps:,}, batches of {config.batch}")
    tell(out, str(explain_next(run, by_hand)))
    return 0

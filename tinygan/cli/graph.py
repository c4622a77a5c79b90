"""`tinygan graph`: what D ascends and what G descends in a run, as graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from tinygan.options import OptionError

from .console import RunPlace, load_backend, out, tell

if TYPE_CHECKING:
    from tinygan.drawing import Graph
    from tinygan.engine import Tensor
    from tinygan.game import Game

EXAMPLES = (
    "Examples:  tinygan graph runs/ring   |   tinygan graph runs/digits --of r1 --depth 1   |   "
    "tinygan graph runs/ring --of d --node 7"
)
TITLES = {
    "d": "what D ascends: the goal of its move, less the penalties", "g": "what G descends in its move",
    "r1": "R1, the penalty on the slope of D at the data: a derivative that is differentiated again",
}


def graph(
    run_folder: RunPlace,
    of: Annotated[str, typer.Option("--of", help="d, g or r1: D's goal, G's loss, the penalty on D's slope. Default: d and g.",
                                    show_default=False)] = "",
    depth: Annotated[int | None, typer.Option("--depth", min=0, help="Levels of layers to open, 0 for none. Default: as many as "
                                                                     "stay readable.", show_default=False)] = None,
    node: Annotated[int | None, typer.Option("--node", min=1, help="Tell all of one node: its formula, source lines, kernels, and "
                                                                   "the verdict on its VJP.", show_default=False)] = None,
    constants: Annotated[bool, typer.Option("--constants", help="Show tensors that no gradient flows to, too.")] = False,
    save: Annotated[Path | None, typer.Option("--save", help="Write a drawing instead: FILE.svg, .html or .txt.",
                                              show_default=False)] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=4096, help="Samples that the step is computed on.")] = 16,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which samples.")] = 0,
) -> int:
    """Show the graph of a run's game, forward and backward: ops, shapes, values, and the cotangents that flow back.

    The run's own data, networks and options are used, and nothing is changed. Drawings need igraph: pip install "igraph>=1.0".
    """
    if of not in ("", *TITLES):
        raise OptionError(f"--of is {of!r}, it has to be d, g or r1")
    if not of and (save or node):
        raise OptionError(f"{'--save' if save else '--node'} is for one graph; say which by --of d, --of g or --of r1")
    drawn = {name: _drawn(run_folder, name, batch, seed) for name in ([of] if of else ["d", "g"])}
    for name, found in drawn.items():
        shown = (found if depth is None else found.opened(depth)).with_constants(constants)
        if node is not None:
            _tell_node(shown, node)
        elif save is not None:
            tell(out, f"{TITLES[name]}: {len(shown)} nodes, in {_saved(shown, save)}")
        else:
            tell(out, f"{TITLES[name]}\n{shown}\n")
    return 0


def _saved(shown: Graph, path: Path) -> Path:
    try:
        return shown.save(path)
    except (ValueError, ImportError) as error:
        raise OptionError(str(error)) from error


def _tell_node(shown: Graph, number: int) -> None:
    """Print all that is known of a node, and the verdict on its VJP."""
    try:
        found = shown.node(number)
    except LookupError as error:
        raise OptionError(f"--node: {error.args[0]}") from error
    tell(out, found.describe())
    if not found.tensor.parents:
        return
    for order in (1, 2):
        try:
            verdict = str(found.check(order))
        except ValueError as error:  # a kink, or an op that cannot be run again
            verdict = f"not checked: {error}"
        tell(out, f"gradcheck: {verdict}")


def _drawn(run_folder: Path, of: str, batch: int, seed: int) -> Graph:
    """Draw one part of a run's game, on a batch of its data and of noise."""
    from tinygan.drawing import draw
    from tinygan.engine.tensor import Tensor

    game, x, z = _game_of(run_folder, batch, seed)
    like = next(iter(game.D.parameters().values()))
    x, z = (Tensor(a, like.backend, dtype=like.dtype) for a in (x, z))
    return draw(_parts(game, x, z)[of], names={"D": game.D, "G": game.G, "x": x, "z": z})


def _parts(game: Game, x: Tensor, z: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return what can be drawn, each as a function that computes it by the very moves of the game."""
    from tinygan.engine import stop
    from tinygan.game import gradient_penalty

    def of_d() -> Tensor:
        return game.judged(x, stop(game.G(z))).goal

    def of_g() -> Tensor:
        with game.answered(z, x if game.g_needs_data else None) as seen:
            return seen.loss

    return {"d": of_d, "g": of_g, "r1": lambda: gradient_penalty(game.D, x, game.r1 or 1.0)}


def _game_of(run_folder: Path, batch: int, seed: int) -> tuple[Game, Any, Any]:
    """Return a run's game, a batch of its data (m, ...) and of noise (m, z). Raises CheckpointError, DataError, OptionError."""
    from tinygan.training.checkpoint import folder_of
    from tinygan.training.run import Run
    from tinygan.training.state import read_state

    from .evaluate import own_data

    state = read_state(run_folder)[1]
    config, rng = state.config, np.random.default_rng(seed)
    run = Run.resume(own_data(run_folder, state), load_backend(config.backend, config.emulate), folder_of(run_folder), {})
    if batch % config.pack:
        raise OptionError(f"--batch is {batch}, and D of this run judges {config.pack} samples together; give a multiple of that")
    x = run.dataset.sampler(batch, rng).next()
    return run.game, x, rng.standard_normal((batch, config.z)).astype(np.float32)

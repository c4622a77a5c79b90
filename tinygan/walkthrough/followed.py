"""The moves of a watched step once more, by NumPy alone: from the parameters, batches and optimisers' states before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinygan.engine.tensor import Tensor
from tinygan.game.penalties import R1, R2
from tinygan.nn.layers import Flatten, Linear, Reshape
from tinygan.nn.tree import Layer, Sequential
from tinygan.optim import Optimiser

from . import by_hand
from .by_hand import Array, Dense, NotByHand, Slopes
from .watched import Arrays, DownNote, Moved, UpNote, WatchedGame


@dataclass(frozen=True)
class ByHand:
    """A move by hand: numbers by the keys of the account's lines, the gradients and the parameters after it by name."""

    numbers: Mapping[str, float]
    slopes: Arrays
    after: Arrays


def refuse(game: WatchedGame) -> None:
    """Raise NotByHand, in one line, for a game with a part that is not written out in NumPy."""
    rem = game.remedies
    more = {"instance noise": rem.noise, "the penalty between real and fake": rem.gp, "unrolled steps": rem.unroll,
            "packing": rem.pack > 1}
    odd = [name for name, on in more.items() if on]
    odd += [type(p).__name__ for p in game.penalties if type(p) not in (R1, R2)]
    if odd:
        raise NotByHand(f"{', '.join(odd)} would need more than the formulas of a multilayer perceptron")
    for network in (game.D, game.G):
        _net(network, {name: t.numpy() for name, t in network.parameters().items()})
    for optimiser in (game.optim_d, game.optim_g):
        if optimiser.kernel not in by_hand.STEPS:
            raise NotByHand(f"the optimiser {type(optimiser).__name__} is not written out")


def up(game: WatchedGame, note: UpNote) -> ByHand:
    """Compute an ascent of D by hand."""
    G, D, smooth = _net(game.G, note.other), _net(game.D, note.d.before), game.remedies.smooth
    x, fake = _double(note.x), by_hand.forward(G, _double(note.z))[0]
    value, goal, found, r, f = _goal_of_d(game, D, x, fake, smooth)
    slopes = _named(game.D, found)
    after = _moved(game.optim_d, note.d, slopes, +1)
    value_after, goal_after, *_ = _goal_of_d(game, _net(game.D, after), x, fake, smooth)
    numbers = {"mean G(z)": fake.mean(), **_judged(game, r, f), "value": value, "goal": goal, "value after": value_after,
               "goal after": goal_after, **{f"{type(p).__name__}": v for p, v in _penalties(game, D, x, fake)},
               **_of_theta(note.d, slopes, after)}
    return ByHand({key: float(v) for key, v in numbers.items()}, slopes, after)


def down(game: WatchedGame, note: DownNote) -> ByHand:
    """Compute a descent of G by hand."""
    D, z = _net(game.D, note.other), _double(note.z)
    x = None if note.x is None else _double(note.x)
    loss, found, fake, f = _loss_of_g(game, D, _net(game.G, note.g.before), x, z)
    slopes = _named(game.G, found)
    after = _moved(game.optim_g, note.g, slopes, -1)
    # a D that moved at the same time judges from its new place
    d_now = _net(game.D, {name: t.numpy() for name, t in game.D.parameters().items()})
    loss_after, *_ = _loss_of_g(game, d_now, _net(game.G, after), x, z)
    numbers = {"mean G(z)": fake.mean(), "mean s_fake": f.mean(), "loss": loss, "loss after": loss_after,
               **({"mean D(G(z))": by_hand.sigmoid(f).mean()} if _is_probability(game) else {}), **_of_theta(note.g, slopes, after)}
    return ByHand({key: float(v) for key, v in numbers.items()}, slopes, after)


# ---- the parts ----------------------------------------------------------------------------------------------------------------


def _is_probability(game: WatchedGame) -> bool:
    return game.objective in ("minimax", "nonsaturating")


def _judged(game: WatchedGame, r: Array, f: Array) -> dict[str, float]:
    means = {"mean s_real": r.mean(), "mean s_fake": f.mean()}
    if _is_probability(game):
        means |= {"mean D(x)": by_hand.sigmoid(r).mean(), "mean D(G(z))": by_hand.sigmoid(f).mean()}
    return means


def _penalties(game: WatchedGame, D: by_hand.Net, x: Array, fake: Array) -> list[tuple[R1 | R2, float]]:
    return [(p, by_hand.squared_slope(D, x if p.at == "real" else fake, p.weight * game.penalty_share)[0]) for p in _known(game)]


def _known(game: WatchedGame) -> list[R1 | R2]:
    return [p for p in game.all_penalties() if isinstance(p, (R1, R2))]


def _goal_of_d(
    game: WatchedGame, D: by_hand.Net, x: Array, fake: Array, smooth: float
) -> tuple[float, float, Slopes, Array, Array]:
    """Return the game's value, D's goal, the goal's derivatives in D's layers, and the logits of data and fakes."""
    r, f = by_hand.forward(D, x)[0], by_hand.forward(D, fake)[0]
    value, g_real, g_fake = by_hand.goal(game.objective, r, f, smooth)
    found = _sum(by_hand.backward(D, x, g_real)[0], by_hand.backward(D, fake, g_fake)[0])
    goal = value
    for p in _known(game):
        penalty, slopes = by_hand.squared_slope(D, x if p.at == "real" else fake, p.weight * game.penalty_share)
        goal, found = goal - penalty, _sum(found, [(-dw, -db) for dw, db in slopes])
    return value, goal, found, r, f


def _loss_of_g(
    game: WatchedGame, D: by_hand.Net, G: by_hand.Net, x: Array | None, z: Array
) -> tuple[float, Slopes, Array, Array]:
    """Return G's loss, its derivatives in G's layers, the fakes and their logits. The way back leads through D, which is held."""
    fake = by_hand.forward(G, z)[0]
    f = by_hand.forward(D, fake)[0]
    loss, g = by_hand.loss(game.objective, None if x is None else by_hand.forward(D, x)[0], f)
    return loss, by_hand.backward(G, z, by_hand.backward(D, fake, g)[1])[0], fake, f


def _of_theta(moved: Moved, slopes: Arrays, after: Arrays) -> dict[str, float]:
    """Return the norms of gradient and parameters, and the elements that differ most from the engine's, by the lines' keys."""
    numbers = {"|g|": _norm(slopes), "|theta| after": _norm(after), "first order": sum(
        float((slopes[n] * (after[n] - moved.before[n].astype(np.float64))).sum()) for n in slopes)}
    for key, mine, theirs in (("g", slopes, moved.slopes), ("theta after", after, moved.after)):
        name, index = farthest(mine, theirs)
        numbers[f"{key} where it differs most"] = mine[name][index]
    return numbers


def farthest(mine: Arrays, theirs: Arrays) -> tuple[str, tuple[int, ...]]:
    """Return where two sets of arrays differ most: the name and the index."""
    worst = max(mine, key=lambda name: float(np.abs(mine[name] - theirs[name]).max()))
    difference = np.abs(mine[worst] - theirs[worst])
    return worst, tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))


def _norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum(float((a.astype(np.float64) ** 2).sum()) for a in arrays.values())))


def _sum(a: Slopes, b: Slopes) -> Slopes:
    return [(w + v, c + d) for (w, c), (v, d) in zip(a, b, strict=True)]


def _double(x: Tensor) -> Array:
    return x.numpy().astype(np.float64)


def _linears(network: Layer) -> list[tuple[str, Linear]]:
    """Return the linear layers of a multilayer perceptron with the beginnings of their parameters' names. Raises NotByHand."""
    if isinstance(network, Linear):
        return [("", network)]
    found: list[tuple[str, Linear]] = []
    for i, layer in enumerate(network.layers if isinstance(network, Sequential) else [network]):
        if isinstance(layer, Linear):
            found.append((f"{i}.", layer))
        elif not isinstance(layer, (Flatten, Reshape)):
            raise NotByHand(f"the layer {type(layer).__name__} is not written out; linear layers with their activations are")
    return found


def _net(network: Layer, theta: Arrays) -> by_hand.Net:
    found = _linears(network)
    missing = [f"{name}{part}" for name, _ in found for part in "wb" if f"{name}{part}" not in theta]
    if missing:
        raise NotByHand(f"the parameter {missing[0]} is held, or shared with another layer")
    wide = {name: a.astype(np.float64) for name, a in theta.items()}
    return [Dense(wide[f"{name}w"], wide[f"{name}b"], layer.act, layer.slope) for name, layer in found]


def _named(network: Layer, slopes: Slopes) -> Arrays:
    return {f"{name}{part}": array for (name, _), pair in zip(_linears(network), slopes, strict=True)
            for part, array in zip("wb", pair, strict=True)}


def _moved(optimiser: Optimiser, moved: Moved, slopes: Arrays, sign: int) -> Arrays:
    """Return the parameters after a step of the optimiser, each with its part of the optimiser's flat states."""
    after, start = {}, 0
    for name, tensor in optimiser.flat.parameters.items():
        part = slice(start, start + tensor.size)
        start += tensor.size
        states = {key: a.astype(np.float64) if not a.ndim else a[part].reshape(tensor.shape).astype(np.float64)
                  for key, a in moved.states.items()}
        theta = moved.before[name].astype(np.float64)
        after[name] = by_hand.STEPS[optimiser.kernel](theta, slopes[name], sign, optimiser.rate, states, **optimiser.constants)
    return after

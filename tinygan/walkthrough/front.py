"""`explain`: one step of a game, played by its real moves and told from the notes of a watched game."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.engine.conversion import described, whole_number
from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Game
from tinygan.game.objectives import OBJECTIVES, levels
from tinygan.game.readings import Logits
from tinygan.optim import Optimiser

from . import followed
from .account import Account, Line, Move
from .by_hand import NotByHand
from .followed import ByHand
from .formulas import LOSSES, PENALTIES, goal_formula, step_formula
from .watched import DownNote, Moved, UpNote, WatchedGame, put_back, watch

NOT_COMPUTED: Mapping[str, float] = {}


def explain(
    game: Game, x: Any, z: Any, *, k: int = 1, simultaneous: bool = False, by_hand: bool = False, keep: bool = False
) -> Account:
    """Play one step of the game and give an account of it, move by move, each number beside its formula.

    x: data (m, ...), or a list of batches: one for each of D's k ascents, and one for G's move where that looks at data. z: noise
    (m, n_z), or a list: one for each ascent, then one for G. A single batch serves every move. simultaneous: both players move at
    once. by_hand: NumPy computes the numbers too, without the engine, where both networks are multilayer perceptrons. keep: the
    game keeps what the step did; otherwise all is put back, bit for bit. The step itself is `alternating_step` or
    `simultaneous_step`.

    Raises TypeError for what is no game and no batch, ValueError for too few batches.
    """
    if not isinstance(game, Game):
        raise TypeError(f"explain: game is {described(game)}, it has to be a Game: Game(D, G, SGD(D, 0.1), SGD(G, 0.1))")
    k = whole_number(k, "explain: k", 1)
    if simultaneous and k != 1:
        raise ValueError(f"explain: k is {k}, but players that move simultaneously take one step each")
    xs = _batches(x, 1 if simultaneous else k + game.g_needs_data, "x")
    zs = _batches(z, 1 if simultaneous else k + 1, "z")
    with ExitStack() as held:
        if not keep:
            held.enter_context(put_back(game))
        return step_and_account(game, xs, zs, k, simultaneous, by_hand)[0]


def step_and_account(
    game: Game, xs: Sequence[Any], zs: Sequence[Any], k: int, simultaneous: bool, by_hand: bool
) -> tuple[Account, Logits]:
    """Play one step by the game's own function, and return its account and its logits. The game keeps what the step did."""
    watched, of_x, of_z = watch(game), iter(xs), iter(zs)
    if simultaneous:
        logits = watched.simultaneous_step(next(of_x), next(of_z))
    else:
        logits = watched.alternating_step(lambda: next(of_x), lambda: next(of_z), k)
    same = len({id(z) for z in zs}) < len(zs)
    return _account(watched, logits, simultaneous, by_hand, same), logits


def _batches(given: Any, count: int, name: str) -> list[Any]:
    """Return the batches of all moves. Raises TypeError, ValueError."""
    if isinstance(given, (list, tuple)) and all(isinstance(one, (Tensor, np.ndarray)) for one in given):
        if len(given) != count:
            raise ValueError(f"explain: {name} has {len(given)} batches, and this step takes {count}")
        return list(given)
    if not isinstance(given, (Tensor, np.ndarray)):
        raise TypeError(f"explain: {name} is {described(given)}, it has to be a batch, a tensor or an array, or a list of batches")
    return [given] * count


# ---- the account --------------------------------------------------------------------------------------------------------------


def _account(game: WatchedGame, logits: Logits, simultaneous: bool, by_hand: bool, same: bool) -> Account:
    why, hands_up, hands_down = "", [None] * len(game.ups), [None] * len(game.downs)
    if by_hand:
        try:
            followed.refuse(game)
            hands_up = [followed.up(game, note) for note in game.ups]  # type: ignore[misc]
            hands_down = [followed.down(game, note) for note in game.downs]  # type: ignore[misc]
        except NotByHand as error:
            why = str(error)
    moves: list[Move] = []
    for i, (note, hand) in enumerate(zip(game.ups, hands_up, strict=True)):
        which = f", ascent {i + 1} of {len(game.ups)}" if len(game.ups) > 1 else ""
        moves += _moves_of_d(game, note, hand, which, simultaneous)
    for note_g, hand_g in zip(game.downs, hands_down, strict=True):
        moves.append(_move_of_g(game, note_g, hand_g, simultaneous, same))
    moves.append(_sums(game, logits))
    order = "both players move at once" if simultaneous else "D moves first, then G (Algorithm 1)"
    title = f"One step of the {game.objective} game, {order}. {OBJECTIVES[game.objective].source}."
    return Account(title, tuple(moves), why)


def _moves_of_d(game: WatchedGame, note: UpNote, hand: ByHand | None, which: str, simultaneous: bool) -> list[Move]:
    lines = _lines(hand)
    stopped = ("G(z) keeps its graph: one forward pass serves both players" if simultaneous else
               "stop(G(z)): the fakes are held, so that no gradient of D's goal reaches theta_g")
    judged, after = note.seen, note.seen_after
    assert after is not None
    objective = OBJECTIVES[game.objective]
    name = "V" if objective.ascends_v else objective.goal_name
    rise = float(after.goal) - float(judged.goal)
    r, f = judged.real.s, judged.fake.s
    penalties = [lines(type(p).__name__, f"{PENALTIES.get(type(p).__name__, 'as the penalty computes it')}, weight "
                       f"{p.weight * game.penalty_share:g}", float(value)) for p, value in judged.penalties]
    less = "".join(f" - {type(p).__name__}" for p, _ in judged.penalties)
    probabilities = [lines("mean D(x)", "mean sigmoid(s_real)", _sigmoid(r).mean()),
                     lines("mean D(G(z))", "mean sigmoid(s_fake)", _sigmoid(f).mean())] if objective.ascends_v else []
    return [
        Move(f"1. Draw z{which}", "a batch of noise, from N(0, 1) in a run", (), (
            lines("mean z", f"of z {note.z.shape}", note.z.numpy().mean()),)),
        Move(f"2. Make fakes{which}", _code(type(game.G).__call__), (stopped,), (
            lines("mean G(z)", f"of G(z) {note.fake.shape}", note.fake.numpy().mean()),)),
        Move(f"3. Take data{which}", "a batch of data", (), (lines("mean x", f"of x {note.x.shape}", note.x.numpy().mean()),)),
        Move(f"4. D judges both{which}", _code(Game.judged), _shown(game, note), (
            lines("mean s_real", "D's logits of x", r.numpy().mean()), lines("mean s_fake", "D's logits of G(z)", f.numpy().mean()),
            *probabilities, lines("value", f"{name} = {goal_formula(game.objective, game.remedies.smooth)}", float(judged.value)),
            *penalties, lines("goal", f"value{less}: what D ascends", float(judged.goal)))),
        Move(f"5. D moves up{which}", _code(Game.ascend_d), _held("D", note.d), (
            *_theta_lines(lines, game.optim_d, note.d, "+", hand),
            lines("goal after", "the goal on the same batches, D at its new place", float(after.goal)),
            lines("value after", f"{name} there", float(after.value)),
            Line("rise", "goal after - goal; of a small enough step it is the first order", rise))),
    ]


def _move_of_g(game: WatchedGame, note: DownNote, hand: ByHand | None, simultaneous: bool, same: bool) -> Move:
    lines = _lines(hand)
    after = note.seen_after
    assert after is not None
    objective, f = OBJECTIVES[game.objective], note.seen.s_fake
    remarks = ["the way back leads from the loss through D to G(z) and into theta_g; theta_d gets no gradient and stays",
               *_held("G", note.g)]
    if simultaneous:
        remarks[0] = "from the same forward pass as D's move: G answers to the D from before the step"
    elif same:
        remarks.insert(0, "the same z again: hand a list of batches for fresh ones")
    if game.remedies.unroll:
        rem = game.remedies
        remarks.append(f"D is {rem.unroll} unrolled steps of size {rem.unroll_rate:g} ahead, and G differentiates through them")
    if game.average is not None and game.ema:
        remarks.append(f"average <- {game.ema:g} average + {1 - game.ema:.3g} theta_g, the G that samples come from")
    d_of_f = [lines("mean D(G(z))", "mean sigmoid(s_fake)", _sigmoid(f).mean())] if objective.ascends_v else []
    fall = float(after.loss) - float(note.seen.loss)
    title = "6. G moves down, on the same z" if simultaneous else "6. Fresh z, G moves down"
    place = "the loss on the same z, G at its new place" + (", and D at its" if simultaneous else "")
    return Move(title, _code(Game.descend_g), tuple(remarks), (
        lines("mean G(z)", f"of G(z) {note.seen.fake.shape}", note.seen.fake.numpy().mean()),
        lines("mean s_fake", "D's logits of G(z)", f.numpy().mean()), *d_of_f,
        lines("loss", LOSSES.get(game.objective, "as the objective computes it"), float(note.seen.loss)),
        *_theta_lines(lines, game.optim_g, note.g, "-", hand),
        lines("loss after", place, float(after.loss)),
        Line("fall", "loss after - loss", fall),
    ))


def _sums(game: WatchedGame, logits: Logits) -> Move:
    """Return how the readings of the step, which training writes down, add up from the numbers above."""
    read, objective = logits.read(game.objective), OBJECTIVES[game.objective]
    goal = game.ups[-1].seen
    penalties = sum(float(value) for _, value in goal.penalties)
    name = "V" if objective.ascends_v else objective.goal_name
    rest = levels(game.objective, game.remedies.smooth)
    at_rest = "; ".join(f"{what} {level.label}" for what, level in (
        ("v", rest.get("v")), ("loss of D", rest.get("d_loss")), ("loss of G", rest.get("g_loss"))) if level)
    remarks = [f"at the equilibrium: {at_rest}"] if at_rest else []
    if objective.zero_sum and not game.remedies.smooth:
        remarks.append("a game of sum zero: what G can change of its loss is what D loses of its goal")
    return Move("The losses, and how they add up", _code(Logits.read), tuple(remarks), (
        Line("v", f"{name} of the last ascent, without penalties and smoothing", read.v),
        Line("penalties", "their sum, as D pays them", penalties),
        Line("loss of D", "-goal = -value + penalties", read.d_loss),
        Line("loss of G", "step 6, from before its update", read.g_loss),
        Line("sum", "loss of D + loss of G", read.d_loss + read.g_loss),
    ))


# ---- lines --------------------------------------------------------------------------------------------------------------------


def _lines(hand: ByHand | None) -> Callable[[str, str, Any], Line]:
    """Return a function that makes a line, with the number by hand where there is one of its key."""
    numbers = hand.numbers if hand else NOT_COMPUTED
    return lambda key, formula, value: Line(key, formula, float(value), numbers.get(key))


def _theta_lines(
    lines: Callable[[str, str, Any], Line], optimiser: Optimiser, moved: Moved, sign: str, hand: ByHand | None
) -> list[Line]:
    """Return the lines of a player's parameters: norms, one element followed through the step, and what first order says."""
    name = max(moved.slopes, key=lambda one: float(np.abs(moved.slopes[one]).max()))
    at = np.unravel_index(int(np.abs(moved.slopes[name]).argmax()), moved.slopes[name].shape)
    where = f"{name}[{', '.join(str(int(i)) for i in at)}]"
    formula = step_formula(optimiser.kernel, sign, optimiser.rate, optimiser.constants)
    states = "".join(f", {key} {float(a if not a.ndim else a[_flat(optimiser, name, at)]):.6g}" for key, a in moved.states.items())
    first = sum(float((moved.slopes[n].astype(np.float64) * (moved.after[n].astype(np.float64) - moved.before[n])).sum())
                for n in moved.slopes)
    found = [
        Line("|theta| before", f"{sum(a.size for a in moved.before.values()):,} numbers", _norm(moved.before.values())),
        lines("|g|", f"g = d {'goal' if sign == '+' else 'loss'} / d theta", _norm(moved.slopes.values())),
        Line(f"theta of {where}", f"where g is largest; before{states}", moved.before[name][at]),
        Line(f"g of {where}", "its gradient", moved.slopes[name][at]),
        Line(f"theta' of {where}", formula, moved.after[name][at]),
        lines("|theta| after", "all of theta, moved like this element", _norm(moved.after.values())),
        lines("first order", "<g, theta' - theta>", first),
    ]
    if hand:
        for key, mine, theirs in (("g", hand.slopes, moved.slopes), ("theta after", hand.after, moved.after)):
            odd, index = followed.farthest(mine, theirs)
            found.append(lines(f"{key} where it differs most", f"{odd}[{', '.join(map(str, index))}]", theirs[odd][index]))
    return found


def _flat(optimiser: Optimiser, name: str, at: Any) -> int:
    """Return the place of a parameter's element in the optimiser's flat buffer."""
    start = 0
    for one, tensor in optimiser.flat.parameters.items():
        if one == name:
            return start + int(np.ravel_multi_index(at, tensor.shape))
        start += tensor.size
    raise LookupError(name)


def _shown(game: WatchedGame, note: UpNote) -> tuple[str, ...]:
    """Say what D is shown besides the batches themselves."""
    rem = game.remedies
    said = [f"D sees noise of std {game.noise:g} on all samples"] if rem.noise else []
    said += [f"D judges {rem.pack} samples together: it is shown {note.seen.real.x.shape}"] if rem.pack > 1 else []
    places = sorted({p.at for p, _ in note.seen.penalties})
    if places:
        said.append(f"slopes ds/dx are taken at: {', '.join(places)}; differentiated again in theta_d, they move nothing else")
    return tuple(said)


def _held(player: str, moved: Moved) -> tuple[str, ...]:
    other = "G" if player == "D" else "D"
    return (f"{len(moved.slopes)} gradients, for {', '.join(list(moved.slopes)[:6])}{', ...' if len(moved.slopes) > 6 else ''}; "
            f"theta_{other.lower()} is held",)


def _norm(arrays: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum(float((a.astype(np.float64) ** 2).sum()) for a in arrays)))


def _sigmoid(s: Tensor) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -s.numpy().astype(np.float64)))


def _code(function: Callable[..., Any]) -> str:
    """Return where a function is defined, as "game/moves.py:151, Game.ascend_d"."""
    code = inspect.unwrap(function).__code__
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno}, {function.__qualname__}"

"""A game that makes another game's moves unchanged, and records what they compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygan.engine.tensor import Tensor
from tinygan.game.moves import Ascent, Descent, Game
from tinygan.game.readings import Logits
from tinygan.game.unrolled import kept_buffers
from tinygan.nn.sources import generators_of
from tinygan.nn.tree import Layer
from tinygan.optim import Optimiser

Arrays = dict[str, np.ndarray]


@dataclass
class Moved:
    """What a move did to one player: its parameters, optimiser's states and gradients by name, in copies."""

    before: Arrays = field(default_factory=dict)
    states: Arrays = field(default_factory=dict)
    slopes: Arrays = field(default_factory=dict)
    after: Arrays = field(default_factory=dict)


@dataclass
class UpNote:
    """One ascent of D.

    x, z: its batches. fake: G(z). seen, seen_after: what D judged, before the step and after it. other: G's parameters, unchanged.
    """

    x: Tensor
    z: Tensor
    fake: Tensor
    seen: Ascent
    d: Moved = field(default_factory=Moved)
    seen_after: Ascent | None = None
    other: Arrays = field(default_factory=dict)


@dataclass
class DownNote:
    """One descent of G.

    z: its noise. x: data, where its loss looks at them. seen, seen_after: its fakes and loss, before the step and after it.
    other: D's parameters, as they were when G's step began.
    """

    z: Tensor
    x: Tensor | None
    seen: Descent
    g: Moved = field(default_factory=Moved)
    seen_after: Descent | None = None
    other: Arrays = field(default_factory=dict)


class WatchedGame(Game):
    """A game that shares everything with another one, and keeps notes of its moves in `ups` and `downs`. See `watch`."""

    ups: list[UpNote]
    downs: list[DownNote]

    def __init__(self, game: Game) -> None:
        vars(self).update(vars(game))
        self.ups, self.downs = [], []
        self._slopes: list[tuple[tuple[str, ...], list[np.ndarray]]] = []
        self._seen: list[Ascent] = []
        self._answers: list[Descent] = []
        self._fakes: list[Tensor] = []

    # ---- the moves, looked at on their way ------------------------------------------------------------------------------------

    def judged(self, x: Tensor, fake: Tensor) -> Ascent:
        """Judge as the game does, and note it."""
        seen = super().judged(x, fake)
        self._seen.append(seen)
        self._fakes.append(fake)
        return seen

    def slopes(self, goal: Tensor, *players: str) -> list[Tensor]:
        """Compute gradients as the game does, and note copies of them."""
        found = super().slopes(goal, *players)
        self._slopes.append((players, [g.numpy().copy() for g in found]))
        return found

    @contextmanager
    def answered(self, z: Tensor, x: Tensor | None = None) -> Iterator[Descent]:
        """Compute G's loss as the game does, and note it."""
        with super().answered(z, x) as seen:
            self._answers.append(seen)
            yield seen

    def ascend_d(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Move D as the game does, and note what it did, and what D judges afterwards."""
        drawn, moved = self._generators(), self._before(self.D, self.optim_d)
        result = super().ascend_d(x, z)
        x, z = self._tensors(x, z)
        self._finish(moved, self.D, "D")
        note = UpNote(x, z, self._fakes[-1], self._seen[-1], moved, other=_copies(self.G))
        with self._aside(drawn):
            note.seen_after = super().judged(x, note.fake)
        self.ups.append(note)
        return result

    def descend_g(self, z: Tensor, x: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """Move G as the game does, and note what it did, and what its loss is afterwards."""
        drawn, moved = self._generators(), self._before(self.G, self.optim_g)
        held = _copies(self.D)
        result = super().descend_g(z, x)
        (z,) = self._tensors(z)
        self._finish(moved, self.G, "G")
        note = DownNote(z, None if x is None else self._tensors(x)[0], self._answers[-1], moved, other=held)
        with self._aside(drawn), super().answered(z, x) as after:
            note.seen_after = after
        self.downs.append(note)
        return result

    def simultaneous_step(self, x: Tensor, z: Tensor) -> Logits:
        """Move both players as the game does, and note what each did."""
        drawn = self._generators()
        d, g = self._before(self.D, self.optim_d), self._before(self.G, self.optim_g)
        result = super().simultaneous_step(x, z)
        x, z = self._tensors(x, z)
        self._finish(d, self.D, "D")
        self._finish(g, self.G, "G")
        seen, fake = self._seen[-1], self._fakes[-1]
        _, loss = result.losses(self.objective)
        up = UpNote(x, z, fake, seen, d, other=g.before)
        down = DownNote(z, x, Descent(fake, seen.real.s, seen.fake.s, loss), g, other=d.before)
        with self._aside(drawn):
            up.seen_after = super().judged(x, fake)
        with self._aside(drawn), super().answered(z, x) as after:
            down.seen_after = after
        self.ups.append(up)
        self.downs.append(down)
        return result

    # ---- copies, and looks that leave no trace ----------------------------------------------------------------------------------

    def _before(self, network: Layer, optimiser: Optimiser) -> Moved:
        for notes in (self._slopes, self._seen, self._answers, self._fakes):
            notes.clear()
        states = {name: np.array(optimiser.flat.backend.to_numpy(a)) for name, a in optimiser.states.items()}
        return Moved(_copies(network), states)

    def _finish(self, moved: Moved, network: Layer, player: str) -> None:
        """Put the gradients of one player and its parameters after the move into its note."""
        optimisers = {"D": self.optim_d, "G": self.optim_g}
        for players, found in self._slopes:
            names = [(one, name) for one in players for name in optimisers[one].flat.parameters]
            moved.slopes |= {name: g for (one, name), g in zip(names, found, strict=True) if one == player}
        moved.after = _copies(network)

    def _generators(self) -> list[tuple[np.random.Generator, Any]]:
        """Return the generators that a move may draw from, each with its state."""
        found = [*([self.draws.rng] if self.draws else []), *generators_of(self.D), *generators_of(self.G)]
        return [(rng, rng.bit_generator.state) for rng in found]

    @contextmanager
    def _aside(self, drawn: list[tuple[np.random.Generator, Any]]) -> Iterator[None]:
        """Draw as the move drew within the `with`, and leave generators and running statistics as they were before it."""
        now = self._generators()
        with kept_buffers(self.D), kept_buffers(self.G):
            try:
                for rng, state in drawn:
                    rng.bit_generator.state = state
                yield
            finally:
                for rng, state in now:
                    rng.bit_generator.state = state


def watch(game: Game) -> WatchedGame:
    """Return a watched game that makes the moves of `game`, those that a class of the user's own defines anew among them."""
    made: WatchedGame = type(f"Watched{type(game).__name__}", (WatchedGame, type(game)), {})(game)
    return made


def _copies(network: Layer) -> Arrays:
    return {name: t.numpy().copy() for name, t in network.parameters().items()}


@contextmanager
def put_back(game: Game) -> Iterator[None]:
    """Restore everything that a step changes after the `with`, bit for bit; arrays by launches, which a watching backend sees."""
    networks = [network for network in (game.D, game.G, game.average) if network is not None]
    tensors = list({id(t): t for n in networks for t in (*n.parameters().values(), *n.buffers().values())}.values())
    arrays = [*(t.array for t in tensors), *game.optim_d.states.values(), *game.optim_g.states.values()]
    kept = [array.copy() for array in arrays]
    generators = [*([game.draws.rng] if game.draws else []), *generators_of(game.D), *generators_of(game.G)]
    states = [rng.bit_generator.state for rng in generators]
    try:
        yield
    finally:
        for array, copy in zip(arrays, kept, strict=True):
            game.backend.launch("copy", (copy,), out=array)
        for tensor, array in zip(tensors, arrays, strict=False):
            if tensor.array is not array:
                tensor.array = array  # a buffer that the step exchanged, as for another number of samples
        for rng, state in zip(generators, states, strict=True):
            rng.bit_generator.state = state

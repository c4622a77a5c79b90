"""Steps that call a user's own code, replayed only as long as a replay does what the code does.

A replay runs the launches that were recorded, and no Python (engine/replay.py). It is right for tinygan's own layers. What a layer
or a penalty of the user's own does is not known beforehand: it may count its calls, draw random numbers, decide by the values
that it sees, or change an array by itself. Each of these would go wrong in silence. So, before such a step is replayed:

1. Three steps run eagerly. Meanwhile, what the code remembers in Python must not change (python_state.py), and it must
   not ask for the values of a tensor.
2. The step is recorded with all of memory holding NaN, then a large negative number, then a large positive one: whatever the
   code decides by values, it would now decide otherwise. Launches and constants have to be the same each time.
3. The last two of the eager steps are played once more, by replay: all that the run keeps has to come out the same, to the bit.

Later, at steps that double in number, a step is played both ways and compared. Where it differs, the run goes back to the last step
that was compared. Wherever one of these fails, the run goes on without replay, and says why in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from tinygan_kernels import Launch

from tinygan.engine.economies import memory_id
from tinygan.engine.randomness import recording
from tinygan.engine.replay import Recorder
from tinygan.engine.tensor import NotReplayable
from tinygan.game.moves import Logits

from . import python_state
from .moment import Moment, bits_of
from .run import Run

EAGER = 3  # steps before anything is replayed
FILLS = (np.nan, -1e30, 1e30)  # what memory holds while the step is recorded: whoever decides by values decides otherwise


class WatchedSteps:
    """Plays the steps of a run whose networks or penalties hold code that is not tinygan's; to be given to `Run.train`.

    own: the classes and functions that are not tinygan's. say: is told in one line why the run goes on without replay, which
    `reason` then holds. on_going_back: is called after the run has gone back to an earlier step.
    """

    def __init__(
        self, run: Run, own: Sequence[Any], say: Callable[[str], None], on_going_back: Callable[[], None] = lambda: None
    ) -> None:
        self.run, self.own, self.say, self.on_going_back = run, list(own), say, on_going_back
        self.reason: str | None = None
        self._first = run.step
        self._eager_steps: list[tuple[Moment, list[bytes]]] = []  # the moments after steps 1, 2 and 3, and the logits of each
        self._memories: list[python_state.Snapshot] = []
        self._launches = 0  # of an eager step
        self._verified: Moment | None = None
        self._next = self._first + 2 * EAGER
        run.eager = True

    def __call__(self) -> Logits:
        """Play the step whose number is run.step, and return its logits."""
        if self.reason is not None:
            return self.run.make_step()
        if self.run.step < self._first + EAGER:
            return self._try()
        if self.run.step == self._next:
            self._next = self._first + 2 * (self._next - self._first)
            return self._compare_again()
        return self.run.make_step()

    # ---- the first steps ------------------------------------------------------------------------------------------------------

    def _try(self) -> Logits:
        """Play one of the first steps eagerly; after the last of them, decide whether the others are replayed."""
        asked: list[str] = []
        counted: list[None] = []

        def count(launch: Launch, proceed: Callable[[], None]) -> None:
            counted.append(None)
            proceed()

        with _values_asked(self.run, asked), self.run.backend.watch(count):
            logits = self.run.make_step()
        self._launches = len(counted)
        self._eager_steps.append((Moment(self.run), _bytes_of(logits)))
        self._memories.append(self._remembered())
        if asked:
            self._give_up("it asks for the values of a tensor in the middle of a step")
        elif len(self._eager_steps) == EAGER:
            self._decide()
        return logits

    def _decide(self) -> None:
        path = python_state.changed(self._memories[-2], self._memories[-1])
        if path is not None:
            return self._give_up(f"{path} changes from step to step")
        after = self._eager_steps[-1][0]
        why = self._why_recordings_differ() or self._why_replay_differs()
        after.restore(self.run)
        if why is not None:
            return self._give_up(why)
        self.run.eager = False
        self._verified = after
        self._eager_steps.clear()
        return None

    def _remembered(self) -> python_state.Snapshot:
        players = self.run.players
        packages = {code.__module__.split(".")[0] for code in self.own}
        roots = [("G", players.G), ("D", players.D), *((f"penalties[{i}]", p) for i, p in enumerate(players.penalties))]
        return python_state.snapshot(roots, packages)

    def _why_recordings_differ(self) -> str | None:
        """Record the step with different contents of memory. Return a reason where it is not the same step each time."""
        start, seen = self._eager_steps[0][0], []
        for fill in FILLS:
            start.restore(self.run)
            try:
                seen.append(_recorded(self.run, fill, self._launches))
            except _Runaway:
                return "it makes more launches, or fewer, by the values that it sees"
            except Exception as error:  # the code is the user's, and the values are no run's
                return f"it fails where values are unusual ({type(error).__name__}: {error})"
            if len(seen[-1]) != self._launches:
                return "it makes more launches, or fewer, by the values that it sees"
        return None if seen[0] == seen[1] == seen[2] else "what it computes is decided in Python, by values or from step to step"

    def _why_replay_differs(self) -> str | None:
        """Play the last two eager steps by replay. Return a reason where anything comes out otherwise."""
        (start, _), *eager = self._eager_steps
        start.restore(self.run)
        self.run.forget_recording()
        self.run.eager = False
        try:
            for moment, logits in eager:
                self.run.step = moment.step
                found = _bytes_of(self.run.make_step())
                if found != logits or not moment.is_now(self.run):
                    return "a replay of its step does not do the same"
        except NotReplayable:
            return "a replay of its step does not do the same"
        finally:
            self.run.eager = True
        return None

    # ---- later ----------------------------------------------------------------------------------------------------------------

    def _compare_again(self) -> Logits:
        """Play the step eagerly and by replay; if they differ, go back to the last step at which they did not."""
        run, before = self.run, Moment(self.run)
        memory = self._remembered()
        run.eager = True
        logits = run.make_step()
        eager, wanted = Moment(run), _bytes_of(logits)
        path = python_state.changed(memory, self._remembered())
        before.restore(run)
        run.eager = False
        if path is None and _bytes_of(run.make_step()) == wanted and eager.is_now(run):
            eager.restore(run)
            self._verified = eager
            return logits
        self._give_up(f"{path} changes from step to step" if path else "a replay of its step no longer does the same")
        self._go_back()
        return run.make_step()

    def _go_back(self) -> None:
        run, step = self.run, self.run.step
        self._verified.restore(run)  # type: ignore[union-attr]  # called after a moment was verified
        run.step += 1  # a moment is taken within its step
        run.folder.cut_back(run.step)
        run.save()
        self.say(f"step {step:,}: back to step {run.step:,}, the last at which a replay was compared")
        self.on_going_back()

    def _give_up(self, reason: str) -> None:
        self.reason, self.run.eager = f"{_listed([code.__name__ for code in self.own])}: {reason}", True
        self._eager_steps.clear()
        self.say(f"steps run without replay, many times slower: {self.reason}. See docs/training.md#what-can-be-replayed")


class _Runaway(Exception):
    """More launches than the step has."""


def _recorded(run: Run, fill: float, most: int) -> list[tuple[Any, ...]]:
    """Record the step with all of memory holding `fill`; return what its launches do, in a form that can be compared."""
    backend = run.backend
    live = {memory_id(array): name for name, array in run.live_arrays().items()}
    inputs = run.fresh_inputs()
    recorder = Recorder(backend)
    for array in (*run.live_arrays().values(), *(t.array for t in inputs)):
        if array.ndim:  # the count of Adam's steps stays
            array[...] = fill
    with recording(run.sources) as drawn, recorder, np.errstate(all="ignore"):
        plain = backend.allocate

        def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
            array = plain(shape, dtype)
            array[...] = fill
            return array

        def count(launch: Any, proceed: Callable[[], None]) -> None:
            if len(recorder.launches) == most:
                raise _Runaway
            proceed()

        backend.allocate = allocate
        with _first_watcher(backend, count):
            run.play(*inputs)
    numbers = {memory_id(a): f"made {i}" for i, a in enumerate(recorder.allocated)} | live
    numbers |= {memory_id(t.array): f"input {i}" for i, t in enumerate(inputs)}
    numbers |= {memory_id(array): f"drawn {i}" for i, (array, _, _) in enumerate(drawn)}
    return [_told(launch, numbers, backend) for launch in recorder.launches]


@contextmanager
def _first_watcher(backend: Any, watcher: Callable[..., None]) -> Iterator[None]:
    backend.watchers.insert(0, watcher)
    try:
        yield
    finally:
        backend.watchers.remove(watcher)


def _told(launch: Any, numbers: dict[int, str], backend: Any) -> tuple[Any, ...]:
    """Return a launch as its kernel, its parameters, and its arrays: which each is, or, for a constant, what it holds."""
    arrays = [(a.shape, a.strides, numbers.get(memory_id(a)) or bits_of(backend.to_numpy(a)).tobytes())
              for a in (*launch.inputs, *launch.outputs)]
    return launch.kernel.name, repr(sorted(launch.params.items())), tuple(arrays)


@contextmanager
def _values_asked(run: Run, asked: list[str]) -> Iterator[None]:
    """Note in `asked` each time that somebody has a tensor of the run's backend turned into NumPy's numbers."""
    backend = run.backend
    plain = backend.to_numpy

    def to_numpy(array: Any) -> np.ndarray:
        asked.append("values")
        return plain(array)

    backend.to_numpy = to_numpy
    try:
        yield
    finally:
        backend.to_numpy = plain


def _bytes_of(logits: Logits) -> list[bytes]:
    return [t.numpy().tobytes() for t in logits.tensors]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"

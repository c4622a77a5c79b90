"""Random arrays that a step needs inside itself: dropout's masks, instance noise, the points between real and fake.

They are all drawn by a `Draws`, from one generator whose state is in the checkpoint. So whoever records a step's launches can
refill the very same arrays before running them again, in the order in which they were first drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FunctionType
from typing import Any

import numpy as np

from .conversion import described, whole_number
from .tensor import NotReplayable, Tensor, wrap

Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""A function (rng, shape) -> random values of that shape."""


def generator_of(rng: Any, what: str) -> np.random.Generator:
    """Return a generator as it is, and of a whole number the generator with this seed. Raises TypeError for anything else."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return np.random.default_rng(whole_number(rng, f"{what}: the seed", 0))
    raise TypeError(f"{what}: rng is {described(rng)}; randomness is an argument here: write rng=np.random.default_rng(0), "
                    "shared by all layers, or a seed such as rng=0")


Recorded = list[tuple[Any, Fill, np.random.Generator]]
"""Arrays that were drawn, in order, each with its fill and the generator that it came from."""


class Draws:
    """A source of random arrays: draws(fill, like, shape) is fill(rng, shape) as a constant of the dtype and backend of `like`.

    rng: a generator, or a seed. While `recorded` is a list, every array drawn is put there with its fill and generator; several
    sources may share one list. `refill` draws all of them anew, in place.
    """

    def __init__(self, rng: np.random.Generator | int) -> None:
        self.rng = generator_of(rng, "Draws")
        self.recorded: Recorded | None = None

    def __call__(self, fill: Fill, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        values = fill(self.rng, like.shape if shape is None else shape)
        array = like.backend.asarray(values, like.dtype)
        if self.recorded is not None:
            self.recorded.append((array, fill, self.rng))
        elif get_ident() in _unclaimed:
            _unclaimed[get_ident()].append((array, fill, self.rng))
        return wrap(array, like.backend)

    def refill(self) -> None:
        """Draw new values into every recorded array, as the function `refill` does."""
        refill(self.recorded or [])


def refill(recorded: Recorded) -> None:
    """Draw new values into every recorded array, from the same generators in the same order as an eager step takes them."""
    for array, fill, rng in recorded:
        array[...] = fill(rng, array.shape)


@contextmanager
def recording(sources: Iterable[Draws]) -> Iterator[Recorded]:
    """Yield a list in which all that the sources draw within the `with` is put, in order; afterwards they record no more."""
    recorded: Recorded = []
    held = list(sources)
    for source in held:
        source.recorded = recorded
    try:
        yield recorded
    finally:
        for source in held:
            source.recorded = None


class SharedGeneratorMoved(NotReplayable):
    """A generator that the whole process shares moved while a step was recorded: the step drew from it, or another thread did."""


_NUMPYS = np.random  # the generator that everyone shares, here only to see whether somebody draws from it
_unclaimed: dict[int, Recorded] = {}  # by thread, where what is drawn by sources that record for nobody else is put


@contextmanager
def recording_all(step: Callable[..., Any]) -> Iterator[Recorded]:
    """Yield a list in which all is put that this thread draws within the `with` by a `Draws` that records for nobody else.

    What the step draws past any `Draws`, from the generators of NumPy and Python or from one that it names, cannot be refilled and
    raises NotReplayable at the end; SharedGeneratorMoved where it is one of NumPy's or Python's, which other threads use too.
    """
    recorded = _unclaimed[get_ident()] = []
    try:
        with _claimed(step, recorded):
            yield recorded
    finally:
        del _unclaimed[get_ident()]


@contextmanager
def _claimed(step: Callable[..., Any], recorded: Recorded) -> Iterator[None]:
    """Raise NotReplayable where a generator has moved within the `with` that drew none of the recorded arrays."""
    generators = _generators_named(step)
    before = [_state(rng) for _, rng in generators]
    yield
    ours = {id(rng) for _, _, rng in recorded}
    moved = [(_is_shared(rng), name) for (name, rng), state in zip(generators, before, strict=True)
             if id(rng) not in ours and _state(rng) != state]
    if moved:  # a generator of the step itself comes first, as there is no doubt about who drew from it
        shared, name = min(moved)
        raise (SharedGeneratorMoved if shared else NotReplayable)(
            f"the step draws random numbers from {name}, and a replay would use the same ones each time; draw them by a "
            "tinygan.engine.Draws, which is refilled, pass them as an input, or run without replay")


_SHARED: list[tuple[str, Any]] = [("np.random", _NUMPYS), ("random", random)]


def _is_shared(rng: Any) -> bool:
    return any(rng is shared for _, shared in _SHARED)


def _generators_named(step: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Return the generators that NumPy and Python keep, and those among the variables of a step, each with its name.

    A step may have one of its own by the name of a shared one, so a name may come twice.
    """
    found = list(_SHARED)
    function = getattr(step, "__func__", step)
    if not isinstance(function, FunctionType):
        return found
    own = vars(step.__self__) if hasattr(getattr(step, "__self__", None), "__dict__") else {}  # type: ignore[attr-defined]
    enclosed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, value in [
        *((name, function.__globals__.get(name)) for name in function.__code__.co_names), *own.items(),
        *((name, cell.cell_contents) for name, cell in enclosed if _is_bound(cell)),
    ]:
        if isinstance(value, (np.random.Generator, _NUMPYS.RandomState, random.Random)):
            found.append((name, value))
    return found


def _is_bound(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _state(rng: Any) -> str:
    """Return the state of a generator in a form that can be compared."""
    if isinstance(rng, np.random.Generator):
        return repr(rng.bit_generator.state)
    return repr(rng.get_state() if hasattr(rng, "get_state") else rng.getstate())


def dropout_mask(p: float) -> Fill:
    """Return a fill that draws 1 / (1 - p) with probability 1 - p, else 0: scaled so that the mean of what it multiplies stays."""
    return lambda rng, shape: (rng.random(shape) >= p) / (1 - p)


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from N(0, 1), in float64."""
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from U[0, 1), in float64."""
    return rng.random(shape)

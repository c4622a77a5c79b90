"""Capture and replay: go through a step once, noting its launches without running them, then run the list, each time.

Every array computation passes one door (`Backend.launch`), so what a step does to memory is the list of its launches. Replaying the
list on the same buffers does the same work without building a graph, without allocating, without asking any op for its shape.

What may change from call to call has to live in arrays: inputs are copied into the recorded ones, and parameters, moments,
step counts, rates and running statistics are arrays that launches update in place. A step that decides in Python by the
values that it sees must not be captured, and one that draws random numbers has to refill them before each replay (see draws.py).
While somebody watches the backend, steps run as they stand, so that all their launches are seen.

The plan that is replayed does what was recorded, with five economies that change no bit of the result:
- a launch that depends on nothing that changes is not run again;
- a launch that an earlier one made needless, by doing the same to the same numbers, is left out;
- a copy that is the last to touch its source disappears: what it copied was made at the destination, or put there if it came from
  outside;
- a kernel that may overwrite its input does so where it is the last to read it;
- intermediate buffers whose lifetimes do not meet share memory, so that the working set stays in the cache.
A backend may run two launches in a row as one where that gives the same bits: a product and its bias, say, or batch normalisation
and its activation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tinygan_kernels import KERNELS, Backend, Launch

from .tensor import Tensor, stop, wrap

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class Replayed:
    """A step, called with arrays, that is recorded on its first call, and replayed in this and all others.

    step(*inputs: Tensor) -> sequence of Tensors. Calling with NumPy arrays copies them into the recorded inputs and gives the
    same output tensors each time, their values renewed. Inputs of other shapes or dtypes run the step as it stands, without
    replay, and `say` is told so once.
    """

    def __init__(
        self, step: Callable[..., Sequence[Tensor]], backend: Backend, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.step, self.backend, self.say = step, backend, say
        self.plan: Plan | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self._told = False

    def __call__(self, *arrays: np.ndarray) -> Sequence[Tensor]:
        if self.backend.watchers:
            return self._eager(arrays)
        if self.plan is None:
            self._capture(arrays)
        elif any(a.shape != t.shape or a.dtype != t.dtype for a, t in zip(arrays, self.inputs, strict=True)):
            self._tell(arrays)
            return self._eager(arrays)
        self.plan.run(arrays)
        return self.plan.outputs

    def _capture(self, arrays: Sequence[np.ndarray]) -> None:
        self.inputs = tuple(wrap(self.backend.asarray(a).copy(), self.backend) for a in arrays)
        recorder = Recorder(self.backend)
        with recorder:
            outputs = self.step(*self.inputs)
        self.plan = recorder.plan(outputs, self.inputs)
        self.inputs = self.plan.inputs

    def _tell(self, arrays: Sequence[np.ndarray]) -> None:
        if not self._told:
            self._told = True
            shapes = ", ".join(str(a.shape) for a in arrays)
            self.say(f"inputs of shapes {shapes} are not those that were captured; this step runs without replay")

    def _eager(self, arrays: Sequence[np.ndarray]) -> Sequence[Tensor]:
        return self.step(*(wrap(self.backend.asarray(a), self.backend) for a in arrays))


@dataclass
class Plan:
    """Launches in order, bound to their arrays, the tensors that they take the step's inputs from, which they may overwrite, and
    those that they leave its results in.

    Each of `calls` runs the launches of one of `groups`. `joined` is what `run` runs: the same, in as few calls as the backend can,
    after `copies` of the inputs from where `sources` are told, on a backend that has such.
    """

    launches: list[Launch]
    calls: list[Callable[[], None]]
    groups: list[tuple[Launch, ...]]
    outputs: tuple[Tensor, ...]
    buffer_bytes: int
    joined: Sequence[Callable[[], None]] = ()
    inputs: tuple[Tensor, ...] = ()
    copies: Sequence[Callable[[], None]] = ()
    sources: Sequence[Callable[[Any], None]] = ()

    def run(self, arrays: Sequence[Any]) -> None:
        """Run the step on these inputs, of the shapes and dtypes that were recorded."""
        if self.sources:
            arrays = [np.ascontiguousarray(array) for array in arrays]  # alive until the step is done
            for source, array in zip(self.sources, arrays, strict=True):
                source(array)
        else:
            for tensor, array in zip(self.inputs, arrays, strict=True):
                tensor.array[...] = tensor.backend.asarray(array)
        for call in self.joined:
            call()


class Recorder:
    """A context in which a backend notes launches without running them, and which buffers it allocated for them.

    Memory that nothing was written to yet costs an operating system nothing, so a recording is small, however large its buffers.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.launches: list[Launch] = []
        self.allocated: list[Any] = []

    def __enter__(self) -> Recorder:
        self._plain_allocate = self.backend.allocate
        self.backend.allocate = self._allocate
        self._watching = self.backend.watch(self._note)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watching.__exit__(*error)
        self.backend.allocate = self._plain_allocate

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        array = self._plain_allocate(shape, dtype)
        self.allocated.append(array)
        return array

    def _note(self, launch: Launch, proceed: Callable[[], None]) -> None:
        self.launches.append(launch)

    def plan(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor] = ()) -> Plan:
        """What to run from now on. Buffers allocated while recording are the plan's own, except those of `outputs`; so are those of
        `inputs`, which are to be filled before each run.

        What does not change from call to call is computed here. Launches are bound twice, as scratch memory grows to the largest
        that any of them needs the first time.
        """
        allocated = {_key(a) for a in self.allocated}
        launches, own = self.launches, self.backend.xp is np  # elsewhere the arrays' memory is not NumPy's to lay out
        if own:
            launches, instead = _without_repeats(launches, allocated)
            outputs = [wrap(instead[_key(t.array)], t.backend) if _key(t.array) in instead else t for t in outputs]
        constant, fixed = _constants(launches, allocated)
        for i in sorted(constant):
            launches[i].run()
        launches = [launch for i, launch in enumerate(launches) if i not in constant]
        size = 0
        if own:
            shown = {_key(t.array) for t in outputs}
            private = {_key(a) for a in self.allocated if a.size} - shown - fixed
            given = tuple(t.array for t in inputs)
            launches = _without_copies([_arrival(given), *launches], private | ({_key(a) for a in given} - shown))
            launches, size = _share_memory(_overwriting(launches, private), private, self.backend)
            arrival, *launches = launches
            inputs = [wrap(array, self.backend) for array in arrival.outputs]
        self.backend.bind_all(launches)
        calls, groups = map(list, zip(*self.backend.bind_all(launches), strict=True)) if launches else ([], [])
        refills = [self.backend.bind_refill(t.array) for t in inputs] if self.backend.bind_refill else []
        copies, sources = [call for call, _ in refills], [source for _, source in refills]
        # without their graph, which would keep every array of the recorded step alive
        results, joined = tuple(stop(t) for t in outputs), self.backend.join([*copies, *calls])
        return Plan(launches, calls, groups, results, size, joined, tuple(inputs), copies, sources)


# ---- memory: which launches touch which buffer ---------------------------------------------------------------------------------


def _root(array: Any) -> Any:
    """The array that owns the memory that `array` is a view of."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "dtype"):
        array = array.base
    return array


def _key(array: Any) -> int:
    return id(_root(array))


def _written(launch: Launch) -> set[int]:
    return {_key(a) for a in launch.outputs}


def _touched(launch: Launch) -> set[int]:
    return {_key(a) for a in (*launch.inputs, *launch.outputs)}


def _overwrites(launch: Launch) -> bool:
    """Whether the outputs' old values do not matter: nothing but a fill works in place without reading them."""
    return not launch.kernel.in_place or launch.kernel.name == "fill"


def _overlap(array: Any, launch: Launch) -> bool:
    return any(np.may_share_memory(array, other) for other in (*launch.inputs, *launch.outputs))


# ---- the five economies --------------------------------------------------------------------------------------------------------


def _constants(launches: Sequence[Launch], allocated: set[int]) -> tuple[set[int], set[int]]:
    """(indices of launches that do the same every time, keys of the buffers that they leave their results in)."""
    writers: dict[int, set[int]] = {}
    for i, launch in enumerate(launches):
        for key in _written(launch):
            writers.setdefault(key, set()).add(i)
    constant: set[int] = set()
    buffers: set[int] = set()
    for i, launch in enumerate(launches):
        sole = all(key in allocated and writers[key] == {i} for key in _written(launch))
        if sole and _overwrites(launch) and all(_key(a) in buffers for a in launch.inputs):
            constant.add(i)
            buffers |= _written(launch)
    return constant, buffers


def _without_repeats(launches: Sequence[Launch], allocated: set[int]) -> tuple[list[Launch], dict[int, Any]]:
    """The launches without those that repeat an earlier one: the same kernel on the same arrays, which nothing wrote to since.

    Also which array (by the key of the one that is gone) holds the result. Only results that are written once, whole, count.
    """
    writes = Counter(key for launch in launches for key in _written(launch))
    written_at: dict[int, int] = {}
    seen: dict[tuple, tuple[int, tuple[Any, ...]]] = {}
    instead: dict[int, Any] = {}
    kept: list[Launch] = []
    for i, launch in enumerate(launches):
        launch = replace(launch, inputs=tuple(_moved(a, instead) for a in launch.inputs))
        outputs = launch.outputs
        once = all(_key(a) in allocated and writes[_key(a)] == 1 and a.size == _root(a).size for a in outputs)
        if once and _overwrites(launch):
            sizes = [(a.shape, a.strides, a.dtype.str) for a in outputs]
            deed = (launch.kernel.name, repr(sorted(launch.params.items())), str(sizes), *map(_place, launch.inputs))
            at, earlier = seen.get(deed, (i, outputs))
            if at < i and all(written_at.get(_key(a), -1) < at for a in launch.inputs):
                instead |= {_key(mine): theirs for mine, theirs in zip(outputs, earlier, strict=True)}
                continue
            seen[deed] = (i, outputs)
        written_at |= dict.fromkeys(_written(launch), i)
        kept.append(launch)
    return kept, instead


def _place(array: Any) -> tuple[Any, ...]:
    """Where an array lies and how it is read."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _moved(array: Any, homes: Mapping[int, Any]) -> Any:
    """The same view of the memory that took the place of the array's own; the array itself where nothing did."""
    root = _root(array)
    if id(root) not in homes:
        return array
    inner = _place(array)[0] - _place(root)[0]
    home = homes[id(root)]
    return np.ndarray(array.shape, array.dtype, home.reshape(-1).view(np.uint8), inner, array.strides)


def _arrival(inputs: tuple[Any, ...]) -> Launch:
    """What happens before the first launch: the inputs are written."""
    return Launch(KERNELS["fill"], lambda *arrays: None, (), inputs, {})


def _without_copies(launches: Sequence[Launch], private: set[int]) -> list[Launch]:
    """Where a copy of all of a private buffer is the last to touch it, it lies at the copy's destination from the beginning."""
    kept, at = list(launches), 0
    while at < len(kept):
        if kept[at].kernel.name == "copy" and _may_move(kept, at, private):
            launch = kept.pop(at)
            kept = [_rehomed(other, {_key(launch.inputs[0]): launch.outputs[0]}) for other in kept]
        else:
            at += 1
    return kept


def _may_move(launches: Sequence[Launch], at: int, private: set[int]) -> bool:
    """Whether the source of the copy at index `at` could be its destination: nobody else uses that while the source lives."""
    source, destination = launches[at].inputs[0], launches[at].outputs[0]
    key = _key(source)
    whole = source.size == _root(source).size and source.flags.c_contiguous and destination.flags.c_contiguous
    alike = source.shape == destination.shape and source.dtype == destination.dtype
    if key not in private or key == _key(destination) or not (whole and alike):
        return False
    touching = [i for i, launch in enumerate(launches) if key in _touched(launch)]
    return touching[-1] == at and not any(_overlap(destination, launch) for launch in launches[touching[0] : at])


def _rehomed(launch: Launch, homes: Mapping[int, Any]) -> Launch:
    """The launch with its arrays moved to where `homes` says."""
    inputs, outputs = (tuple(_moved(a, homes) for a in arrays) for arrays in (launch.inputs, launch.outputs))
    return replace(launch, inputs=inputs, outputs=outputs)


def _overwriting(launches: Sequence[Launch], private: set[int]) -> list[Launch]:
    """The launches with an output in the place of the first input where the kernel may do that, and both are private and whole,
    the one not used before and the other not after.
    """
    kept = list(launches)
    uses: dict[int, list[int]] = {}
    for i, launch in enumerate(launches):
        for key in _touched(launch):
            uses.setdefault(key, []).append(i)
    for i in range(len(kept)):
        if not kept[i].kernel.overwrites:
            continue
        x, y = kept[i].inputs[0], kept[i].outputs[0]
        old, new = _key(x), _key(y)
        whole = x.shape == y.shape and all(a.size == _root(a).size and a.flags.c_contiguous for a in (x, y))
        alone = sum(_key(a) == old for a in (*kept[i].inputs, *kept[i].outputs)) == 1
        if whole and alone and old != new and {old, new} <= private and uses[old][-1] == i == uses[new][0]:
            homes = {new: _root(x)}
            for k in uses[new]:
                kept[k] = _rehomed(kept[k], homes)
            uses[old] += uses.pop(new)[1:]
    return kept


def _share_memory(launches: Sequence[Launch], private: set[int], backend: Backend) -> tuple[list[Launch], int]:
    """The launches with every private buffer moved into one pool, where buffers lie on top of each other if their lives do not
    meet: largest first, each at the lowest place that is free for as long as it lives. Returns the pool's bytes too.
    """
    lives: dict[int, list[int]] = {}
    roots: dict[int, Any] = {}
    for i, launch in enumerate(launches):
        for array in (*launch.inputs, *launch.outputs):
            if _key(array) in private:
                lives.setdefault(_key(array), []).append(i)
                roots[_key(array)] = _root(array)
    placed: list[tuple[int, int, int, int]] = []  # start, end (bytes), first, last (launch)
    offsets: dict[int, int] = {}
    for key in sorted(roots, key=lambda k: -roots[k].nbytes):
        size, first, last = -(-roots[key].nbytes // ALIGNMENT) * ALIGNMENT, lives[key][0], lives[key][-1]
        start = 0
        for low, high, born, died in sorted(placed):
            if born <= last and first <= died and low < start + size and start < high:
                start = high
        placed.append((start, start + size, first, last))
        offsets[key] = start
    pool = _aligned(max((end for _, end, _, _ in placed), default=0), backend)
    homes = {key: pool[start : start + roots[key].nbytes] for key, start in offsets.items()}
    return [_rehomed(launch, homes) for launch in launches], pool.size


def _aligned(size: int, backend: Backend) -> Any:
    raw = backend.empty((size + ALIGNMENT,), np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]

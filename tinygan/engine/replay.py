"""Capture and replay: go through a step once, noting its launches without running them, then run the list, each time.

Every array computation passes one door (`Backend.launch`), so what a step does to memory is the list of its launches. Replaying the
list on the same buffers does the same work without building a graph, without allocating, without asking any op for its shape.

What may change from call to call has to live in arrays: inputs are copied into the recorded ones, and parameters, moments,
step counts, rates and running statistics are arrays that launches update in place. A step that decides in Python by the
values that it sees cannot be captured and raises ValuesNotThere, and one that draws random numbers has to refill them before each
replay (randomness.py). While somebody watches the backend, steps run eagerly, so that all their launches are seen.

The plan that is replayed does what was recorded with fewer launches and less memory, and changes no bit of the result: see
economies.py. A backend may run two launches in a row as one where that gives the same bits: a product and its bias, say, or batch
normalisation and its activation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from tinygan_kernels import Backend, Launch
from tinygan_kernels.writes import Spans, Writes, merged

from .conversion import backend_of, described, real_array
from .economies import arrival_of, in_place, memory_id, share_memory, unchanging, without_copies, without_repeats
from .randomness import Recorded, SharedGeneratorMoved, recording_all, refill
from .settings import keepers
from .tensor import NotReplayable, Tensor, ValuesNotThere, stop, wrap


class Replayed:
    """A step that is called with arrays, recorded on its first call, and replayed then and on every later one.

    step(*inputs: Tensor) returns a sequence of Tensors. A call with arrays copies them into the recorded inputs and returns
    the same output tensors each time, with new values; lists and whole numbers count as float32. For inputs of other shapes or
    dtypes the step runs eagerly, without replay, and `say` is told so once. backend: one from `load`, or the name of one.

    What the step draws by a `Draws`, as dropout does, is drawn anew for each replay. A parameter that is given other values by
    `p.array = values` keeps its memory, which the recorded step reads. Other Python code of the step runs once, at the first call:
    a counter or a print there is not repeated. Raises NotReplayable where the step draws from other generators, or changes an array
    by Python instead of by a launch; TypeError, ValueError where it returns no tensors or is called with what are no arrays.

    Other threads may draw from the generators of `random` and `np.random` while the step is recorded, as servers do. Where there
    are other threads, that recording is used once and dropped, so that such a call returns tensors of its own, and the next call
    records anew; a step that draws itself is refused at the third recording.
    """

    RECORDINGS = 3  # after so many in a row in which a shared generator moved, it is the step that draws

    def __init__(
        self, step: Callable[..., Sequence[Tensor]], backend: Backend | str, say: Callable[[str], None] = lambda line: None
    ) -> None:
        if not callable(step):
            raise TypeError(f"Replayed: step is {described(step)}, it has to be a function of tensors that returns tensors")
        self.step, self.backend, self.say = step, backend_of(backend), say
        self.plan: Plan | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self._drawn: Recorded = []
        self._dropped = 0  # recordings that were used once, as another thread may have drawn from a shared generator
        self._used: set[int] = set()  # the memory that the plan uses, by its id
        self._told = False

    def __call__(self, *arrays: Any) -> Sequence[Tensor]:
        if self.backend.watchers:
            return self._eager(arrays)
        plan = self.plan
        if plan is None:
            arrays = self._checked(arrays)
            plan = self._capture(arrays)
        else:
            if len(arrays) != len(self.inputs) or not all(map(_same_kind, arrays, self.inputs)):
                arrays = self._checked(arrays)
                if not all(map(_same_kind, arrays, self.inputs)):
                    self._tell(arrays)
                    return self._eager(arrays)
            if self._drawn:
                refill(self._drawn)
        plan.run(arrays)
        return plan.outputs

    def keep(self, x: Tensor, array: Any) -> bool:
        """Write the values that x is to hold into its memory, if the recorded step uses that. Returns whether it was done."""
        old = x.array
        if array is old or memory_id(old) not in self._used or (array.shape, array.dtype) != (old.shape, old.dtype):
            return False
        old[...] = array
        return True

    def _capture(self, arrays: Sequence[Any]) -> Plan:
        self.inputs = tuple(wrap(self.backend.asarray(a).copy(), self.backend) for a in arrays)
        recorder, to_keep = Recorder(self.backend), True
        try:
            with recording_all(self.step) as drawn, recorder, recorder.read_only():
                outputs = _tensors_of(self.step(*self.inputs), self.backend)
        except SharedGeneratorMoved:
            self._dropped += 1
            if threading.active_count() == 1 or self._dropped == self.RECORDINGS:
                raise
            to_keep = False  # what it drew is right for this call, whoever else drew
        plan = recorder.plan(outputs, self.inputs)
        self.inputs = plan.inputs
        if not to_keep:
            return plan
        self.plan, self._drawn, self._dropped = plan, drawn, 0
        self._used = {memory_id(a) for launch in plan.launches for a in (*launch.inputs, *launch.outputs)}
        keepers.add(self)
        return plan

    def _checked(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Return the inputs of a call as arrays of floats. Raises TypeError, ValueError where they cannot be."""
        if self.plan is not None and len(arrays) != len(self.inputs):
            raise TypeError(f"the step was recorded with {len(self.inputs)} inputs, it is called with {len(arrays)}")
        for i, given in enumerate(arrays):
            if isinstance(given, Tensor) and given.tracked:
                raise TypeError(f"input {i} of the step is a tensor that gradients flow through, and a replay has no way back; "
                                "compute it within the step, or pass x.numpy()")
        return tuple(a.array if isinstance(a, Tensor) and a.backend is self.backend else
                     real_array(a.numpy() if isinstance(a, Tensor) else a, f"input {i} of the step") for i, a in enumerate(arrays))

    def _tell(self, arrays: Sequence[np.ndarray]) -> None:
        if not self._told:
            self._told = True
            shapes = ", ".join(str(a.shape) for a in arrays)
            self.say(f"inputs of shapes {shapes} are not those that were captured; this step runs without replay")

    def _eager(self, arrays: Sequence[Any]) -> Sequence[Tensor]:
        return _tensors_of(self.step(*(wrap(self.backend.asarray(a), self.backend) for a in self._checked(arrays))), self.backend)


def _same_kind(array: Any, recorded: Tensor) -> bool:
    """Return whether an input is an array of the shape and dtype that was recorded."""
    return not isinstance(array, Tensor) and (
        getattr(array, "shape", None) == recorded.array.shape and array.dtype == recorded.array.dtype)


def _tensors_of(outputs: Any, backend: Backend) -> Sequence[Tensor]:
    """Return what a step returned, if it is a sequence of tensors. Raises TypeError."""
    if isinstance(outputs, Tensor) or not isinstance(outputs, Sequence):
        what = "a Tensor" if isinstance(outputs, Tensor) else described(outputs)
        raise TypeError(f"the step returned {what}; it has to return its tensors in a tuple: return (loss,)")
    for i, output in enumerate(outputs):
        if not isinstance(output, Tensor) or output.backend is not backend:
            what = f"on the backend {output.backend!r}" if isinstance(output, Tensor) else described(output)
            raise TypeError(f"output {i} of the step is {what}; it has to be a Tensor on {backend!r}")
    return outputs


def is_recorded(backend: Backend) -> bool:
    """Return whether this thread is recording a step on the backend."""
    return any(isinstance(keeper, Recorder) and keeper.is_on(backend) for keeper in keepers)


def _views_deep(array: Any) -> int:
    """Return how many arrays lie between an array and its memory: it is a view of a view of ..."""
    depth = 0
    while getattr(array, "base", None) is not None:
        array, depth = array.base, depth + 1
    return depth


_ONLY_LAUNCHES = ("and a replay, which runs launches alone, would not do it again; update by an optimiser, or by "
                  "backend.launch(..., out=t.array)")


@dataclass
class Plan:
    """A recorded step, ready to run: its launches in order, bound to their arrays.

    inputs: the tensors from which the launches read the step's inputs, and which they may overwrite. outputs: the tensors with its
    results. calls: functions that run the launches, each call those of one of `groups`. joined: the calls that `run` makes, which
    do the same in as few calls as the backend can. buffer_bytes: the memory of the step's own buffers, 0 on a backend that lays out
    its own. copies: on a backend that binds them, the first of the joined calls, each of which copies one input. sources: for each
    of the copies, a function that is told the array to copy from. writes: where each run is noted, with the memory that it writes
    to, `written`: what was computed eagerly from a parameter or an output before is then known to be out of date.
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
    writes: Writes = field(default_factory=Writes)
    written: Spans = ()

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
        self.writes.note_spans(self.written, self.written)


class Recorder:
    """A context in which launches on a backend are noted and not run, and the buffers that it allocates for them are noted too.

    Memory that nothing was written to takes no room, so a recording is small, however large its buffers. What other threads
    launch in the meantime is none of the recording's: it runs as ever. Whoever asks for values of a tensor within the context gets
    ValuesNotThere: nothing has been computed, and what is decided by values now would be decided for every replay.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._thread = threading.get_ident()
        self.launches: list[Launch] = []
        self.allocated: list[Any] = []
        self._made: set[int] = set()  # the ids of what was allocated
        self._read: dict[int, tuple[Any, int]] = {}  # by id, what was there, as first read: array, checksum
        self._protecting = False

    def __enter__(self) -> Recorder:
        keepers.add(self)
        self._plain_allocate, self._plain_to_numpy = self.backend.allocate, self.backend.to_numpy
        self.backend.allocate, self.backend.to_numpy = self._allocate, self._to_numpy
        self._watching = self.backend.watch(self._note)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        keepers.discard(self)
        self._watching.__exit__(*error)
        self.backend.allocate, self.backend.to_numpy = self._plain_allocate, self._plain_to_numpy

    def _to_numpy(self, array: Any) -> np.ndarray:
        if threading.get_ident() == self._thread:
            raise ValuesNotThere("a step asks for a tensor's values, by numpy(), float(), a comparison or if, while it is recorded"
                                 " for replay; return the tensor and look at it outside, or run the step without replay")
        return self._plain_to_numpy(array)

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        array = self._plain_allocate(shape, dtype)
        if threading.get_ident() == self._thread:
            self.allocated.append(array)
            self._made.add(id(array))
        return array

    def _note(self, launch: Launch, proceed: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            self.launches.append(launch)
            self._look_at(launch)
        else:
            proceed()

    def is_on(self, backend: Backend) -> bool:
        """Return whether it records this backend in this thread."""
        return backend is self.backend and threading.get_ident() == self._thread

    def keep(self, x: Tensor, array: Any) -> bool:
        """Refuse that a tensor gets another array within the step: no launch does it, so no replay would."""
        if self.is_on(x.backend):
            raise NotReplayable(f"a step sets t.array while it is recorded for replay, {_ONLY_LAUNCHES}")
        return False

    def _look_at(self, launch: Launch) -> None:
        """Protect the arrays that were there before the step, in main memory, from when it first reads them."""
        if self._protecting:
            for array in launch.inputs:
                if id(array) not in self._read and array.flags.writeable and memory_id(array) not in self._made:
                    self._read[id(array)] = array, crc32(array.tobytes())
                    array.flags.writeable = False

    def _open(self, outputs: Sequence[Any]) -> None:
        """Let a launch write into its outputs, also where they are views of what is protected."""
        closed = {memory_id(array) for array in outputs if not array.flags.writeable}
        protected = [array for array, _ in self._read.values() if memory_id(array) in closed] if closed else []
        for array in sorted(protected, key=_views_deep):  # a view can be opened only after what it is a view of
            array.flags.writeable = True
        opened = set(map(memory_id, protected))
        for array in outputs:
            if memory_id(array) in opened:
                array.flags.writeable = True

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Raise NotReplayable where an array that the step reads is written to within the `with`, which no launch does: none runs.

        What is written past the array, through another view of its memory, is found by checksums, at the end.
        """
        self._protecting, plain = self.backend.xp is np, self.backend.launch

        def launch(name: str, inputs: Sequence[Any], out: Any = None, **rest: Any) -> Any:
            self._open(out if isinstance(out, tuple) else () if out is None else (out,))
            return plain(name, inputs, out, **rest)

        self.backend.launch = launch  # type: ignore[method-assign]
        try:
            yield
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise NotReplayable(f"a step writes by NumPy into an array ({error}) while it is recorded for replay, "
                                f"{_ONLY_LAUNCHES}") from error
        finally:
            del self.backend.launch
            self._open([array for array, _ in self._read.values()])
        for array, checksum in self._read.values():
            if crc32(array.tobytes()) != checksum:
                raise NotReplayable(f"a step writes by NumPy into an array, {array.dtype} of shape {array.shape}, while it is "
                                    f"recorded for replay, {_ONLY_LAUNCHES}")

    def plan(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor] = ()) -> Plan:
        """Return the plan to run from now on, after computing here what does not change from call to call.

        Buffers that were allocated while recording are the plan's own, except those of `outputs`; so are those of `inputs`, which
        each run fills. Launches are bound twice: the first time, scratch memory grows to the largest that any of them needs.
        """
        allocated = {memory_id(a) for a in self.allocated}
        launches, own = self.launches, self.backend.xp is np  # elsewhere the arrays' memory is not NumPy's to lay out
        if own:
            launches, instead = without_repeats(launches, allocated)
            outputs = [wrap(instead[memory_id(t.array)], t.backend) if memory_id(t.array) in instead else t for t in outputs]
        constant, fixed = unchanging(launches, allocated)
        for i in sorted(constant):
            launches[i].run()
        launches = [launch for i, launch in enumerate(launches) if i not in constant]
        size = 0
        if own:
            shown = {memory_id(t.array) for t in outputs}
            private = {memory_id(a) for a in self.allocated if a.size} - shown - fixed
            given = tuple(t.array for t in inputs)
            launches = without_copies([arrival_of(given), *launches], private | ({memory_id(a) for a in given} - shown))
            launches, size = share_memory(in_place(launches, private), private, self.backend)
            arrival, *launches = launches
            inputs = [wrap(array, self.backend) for array in arrival.outputs]
        self.backend.bind_all(launches)
        calls, groups = map(list, zip(*self.backend.bind_all(launches), strict=True)) if launches else ([], [])
        refills = [self.backend.bind_refill(t.array) for t in inputs] if self.backend.bind_refill else []
        copies, sources = [call for call, _ in refills], [source for _, source in refills]
        # without their graph, which would keep every array of the recorded step alive
        results, joined = tuple(stop(t) for t in outputs), self.backend.join([*copies, *calls])
        written = merged([*(t.array for t in inputs), *(array for launch in launches for array in launch.outputs)])
        return Plan(launches, calls, groups, results, size, joined, tuple(inputs), copies, sources, self.backend.writes, written)

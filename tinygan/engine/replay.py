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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

import numpy as np
from tinygan_kernels import Backend, Launch
from tinygan_kernels.writes import Spans, Writes, merged

from .economies import arrival_of, in_place, memory_id, share_memory, unchanging, without_copies, without_repeats
from .tensor import Tensor, ValuesNotThere, stop, wrap


class Replayed:
    """A step that is called with arrays, recorded on its first call, and replayed then and on every later one.

    step(*inputs: Tensor) returns a sequence of Tensors. A call with NumPy arrays copies them into the recorded inputs and returns
    the same output tensors each time, with new values. For inputs of other shapes or dtypes the step runs eagerly, without
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
        plan = self.plan
        if plan is None:
            plan = self._capture(arrays)
        elif any(a.shape != t.shape or a.dtype != t.dtype for a, t in zip(arrays, self.inputs, strict=True)):
            self._tell(arrays)
            return self._eager(arrays)
        plan.run(arrays)
        return plan.outputs

    def _capture(self, arrays: Sequence[np.ndarray]) -> Plan:
        self.inputs = tuple(wrap(self.backend.asarray(a).copy(), self.backend) for a in arrays)
        recorder = Recorder(self.backend)
        with recorder:
            outputs = self.step(*self.inputs)
        self.plan = plan = recorder.plan(outputs, self.inputs)
        self.inputs = plan.inputs
        return plan

    def _tell(self, arrays: Sequence[np.ndarray]) -> None:
        if not self._told:
            self._told = True
            shapes = ", ".join(str(a.shape) for a in arrays)
            self.say(f"inputs of shapes {shapes} are not those that were captured; this step runs without replay")

    def _eager(self, arrays: Sequence[np.ndarray]) -> Sequence[Tensor]:
        return self.step(*(wrap(self.backend.asarray(a), self.backend) for a in arrays))


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
        self._thread = get_ident()
        self.launches: list[Launch] = []
        self.allocated: list[Any] = []

    def __enter__(self) -> Recorder:
        self._plain_allocate, self._plain_to_numpy = self.backend.allocate, self.backend.to_numpy
        self.backend.allocate, self.backend.to_numpy = self._allocate, self._to_numpy
        self._watching = self.backend.watch(self._note)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watching.__exit__(*error)
        self.backend.allocate, self.backend.to_numpy = self._plain_allocate, self._plain_to_numpy

    def _to_numpy(self, array: Any) -> np.ndarray:
        if get_ident() == self._thread:
            raise ValuesNotThere("a step asks for a tensor's values, by numpy(), float(), a comparison or if, while it is recorded"
                                 " for replay; return the tensor and look at it outside, or run the step without replay")
        return self._plain_to_numpy(array)

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        array = self._plain_allocate(shape, dtype)
        if get_ident() == self._thread:
            self.allocated.append(array)
        return array

    def _note(self, launch: Launch, proceed: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            self.launches.append(launch)
        else:
            proceed()

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

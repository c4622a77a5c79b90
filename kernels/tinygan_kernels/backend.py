"""Backends, whose `launch` is the one door to the kernels of the contract: it checks the arguments, then runs the kernel.

Every launch is handed to the backend's watchers on its way: recorders, profilers, the NaN trap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .contract import KERNELS, Kernel, Version
from .shapes import ANY_SHAPE, DTYPES, ContractError, Shape
from .writes import Writes


@dataclass(frozen=True)
class Launch:
    """A kernel with its arrays and parameters. `run` may be called again: it reads what the same arrays then hold."""

    kernel: Kernel
    implementation: Callable[..., None]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    params: Mapping[str, Any]

    def run(self) -> None:
        """Compute the outputs."""
        self.implementation(*self.inputs, *self.outputs, **self.params)


Call = Callable[[], None]  # a launch that was bound: what its shapes decide was decided then
Watcher = Callable[[Launch, Call], None]  # watcher(launch, proceed); proceed() runs the launch
BindRefill = Callable[[Any], tuple[Call, Callable[[Any], None]]]


@dataclass(eq=False)
class Backend:
    """A place where kernels run: a name, an implementation of every kernel, and the array module (`xp`) of its memory.

    A backend is a value that is handed around; there is no current backend. `implementations[name]` is called as
    `f(*inputs, *outputs, **params)`. The functions `bind` and below make launches cheap that run many times.
    """

    name: str
    implementations: Mapping[str, Callable[..., None]]
    xp: Any = np
    versions: Sequence[Version] = ()
    to_numpy: Callable[[Any], np.ndarray] = np.asarray
    bind: Callable[[Launch], Call] = lambda launch: launch.run  # makes a launch a call without arguments
    bind_pair: Callable[[Launch, Launch], Call | None] = lambda first, second: None  # one call for both, None if there is none
    join: Callable[[Sequence[Call]], Sequence[Call]] = lambda calls: calls  # makes fewer calls that do the same
    bind_refill: BindRefill | None = None  # makes (a call that copies to the given array, a function that sets what it copies)
    shares: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)  # seconds that its threads ran; that others had their cores
    emulated: bool = False  # CUDA kernels executed on the CPU
    watchers: list[Watcher] = field(default_factory=list)
    writes: Writes = field(default_factory=Writes)  # notes of the launches that wrote into arrays which were there before

    def __post_init__(self) -> None:
        self.allocate: Callable[[Shape, Any], Any] = self.xp.empty  # a recorder may put a function of its own here

    def launch(self, name: str, inputs: Sequence[Any], out: Any = None, *, fresh: bool = False, **params: Any) -> Any:
        """Run one kernel and return its outputs; the one door for all array work.

        inputs: arrays of this backend, in the order of the contract. out: the output array (a tuple where the kernel has several);
        without it, new ones are allocated. The outputs are returned in the same form. A write into `out` is noted in `writes`,
        unless it is fresh: allocated by the caller, who has not shown it to anybody. params: as the contract lists them for the
        kernel. Raises ContractError where arrays or parameters are not what the contract says.
        """
        kernel = KERNELS.get(name)
        if kernel is None:
            raise ContractError(f"there is no kernel {name!r}; the contract has {', '.join(KERNELS)}")
        inputs = tuple(inputs)
        _check_inputs(kernel, inputs)
        checked = kernel.checked(params)
        shapes = kernel.rule(*[a.shape for a in inputs], **checked)
        outputs = self._allocate(kernel, shapes, inputs) if out is None else _given_outputs(kernel, shapes, inputs, out)
        implementation = self.implementations.get(name)
        if implementation is None:
            raise ContractError(f"the backend {self.name} has no implementation of {name}")
        self._run(Launch(kernel, implementation, inputs, outputs, checked), 0)
        if out is not None and not fresh:
            self.writes.note(outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _allocate(self, kernel: Kernel, shapes: tuple[Shape, ...], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if kernel.in_place or not inputs:
            raise ContractError(f"{kernel.name} works in place: pass out=({', '.join(kernel.outputs)})")
        return tuple(self.allocate(shape, inputs[0].dtype) for shape in shapes)

    def _run(self, launch: Launch, depth: int) -> None:
        """Run a launch inside the watchers from number `depth` on."""
        if depth == len(self.watchers):
            launch.run()
        else:
            self.watchers[depth](launch, lambda: self._run(launch, depth + 1))

    @contextmanager
    def watch(self, watcher: Watcher) -> Iterator[None]:
        """Hand every launch inside the `with` to `watcher(launch, proceed)`, which calls `proceed()` to run it.

        Recorders, profilers and the NaN trap are watchers; the first one installed is the outermost.
        """
        self.watchers.append(watcher)
        try:
            yield
        finally:
            self.watchers.remove(watcher)

    def bind_all(self, launches: Sequence[Launch]) -> list[tuple[Call, tuple[Launch, ...]]]:
        """Bind launches that will run many times in this order: return calls, each with the one or two launches that it runs."""
        calls: list[tuple[Call, tuple[Launch, ...]]] = []
        waiting = list(reversed(launches))
        while waiting:
            group: tuple[Launch, ...] = (waiting.pop(),)
            both = self.bind_pair(group[0], waiting[-1]) if waiting else None
            if both:
                group = (*group, waiting.pop())
            calls.append((both or self.bind(group[0]), group))
        return calls

    def empty(self, shape: Shape, dtype: Any) -> Any:
        """Return a new array with arbitrary contents."""
        return self.allocate(shape, dtype)

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """Return `values` as an array in this backend's memory, copied only where it has to be."""
        return self.xp.asarray(values, dtype=dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Backend:
        """Return the backend itself: a copy of what lives on it lives on it too."""
        return self

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"


def nan_trap(launch: Launch, proceed: Callable[[], None]) -> None:
    """Run a launch as a watcher does. Raises FloatingPointError if the kernel wrote a NaN though its inputs held none."""
    read = launch.inputs + (launch.outputs if launch.kernel.in_place else ())
    clean = not any(bool((a != a).any()) for a in read)
    proceed()
    for label, array in zip(launch.kernel.outputs, launch.outputs, strict=True):
        if clean and bool((array != array).any()):
            shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(launch.kernel.inputs, launch.inputs, strict=True))
            raise FloatingPointError(f"{launch.kernel.name} turned inputs without NaN ({shapes}) into NaN in {label}")


_FLOATS = frozenset(map(np.dtype, DTYPES))  # in this machine's byte order; a dtype's name would take most of a launch's checks

# ---- checks of a launch -------------------------------------------------------------------------------------------------------


def check(name: str, arrays: Sequence[Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a direct call of an implementation as `Backend.launch` would, and return its parameters, NumPy scalars as Python's.

    arrays: inputs, then outputs. Raises ContractError.
    """
    kernel = KERNELS[name]
    labels, count = (*kernel.inputs, *kernel.outputs), len(kernel.inputs)
    if len(arrays) != len(labels):
        raise ContractError(f"{name} takes {len(labels)} arrays ({', '.join(labels)}), got {len(arrays)}")
    inputs, outputs = tuple(arrays[:count]), tuple(arrays[count:])
    _check_inputs(kernel, inputs)
    params = kernel.checked(params)
    _given_outputs(kernel, kernel.rule(*[a.shape for a in inputs], **params), inputs, outputs)
    return params


def _check_inputs(kernel: Kernel, inputs: tuple[Any, ...]) -> None:
    """Refuse inputs that are too few or too many, or not arrays as the kernel takes them."""
    if len(inputs) != len(kernel.inputs):
        raise ContractError(f"{kernel.name} takes {len(kernel.inputs)} arrays ({', '.join(kernel.inputs)}), got {len(inputs)}")
    for label, array in zip(kernel.inputs, inputs, strict=True):
        _check_array(kernel, label, array, inputs[0])
        if not kernel.strided and not array.flags.c_contiguous:
            raise ContractError(
                f"{kernel.name}: {label} has strides {array.strides}, this kernel wants a C-contiguous array; copy it first"
            )


def _check_array(kernel: Kernel, label: str, array: Any, first: Any) -> None:
    """Refuse what is no array of float32 or float64, or of another dtype than `first`."""
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        raise ContractError(f"{kernel.name}: {label} is a {type(array).__name__}, it has to be an array")
    if dtype not in _FLOATS:
        raise ContractError(f"{kernel.name}: {label} is {dtype}, it has to be float32 or float64")
    if dtype is not first.dtype and dtype != first.dtype:
        raise ContractError(f"{kernel.name}: {label} is {dtype}, but {kernel.inputs[0]} is {first.dtype}; convert one of them")


def _given_outputs(kernel: Kernel, shapes: tuple[Shape, ...], inputs: tuple[Any, ...], out: Any) -> tuple[Any, ...]:
    """Return the outputs of a launch as a tuple, after checking their number, dtype, shape and memory."""
    outputs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    if len(outputs) != len(shapes):
        raise ContractError(f"{kernel.name} gives {len(shapes)} arrays ({', '.join(kernel.outputs)}), out has {len(outputs)}")
    for label, array, shape in zip(kernel.outputs, outputs, shapes, strict=True):
        _check_array(kernel, f"out {label}", array, inputs[0] if inputs else array)
        if array.shape != shape and shape != ANY_SHAPE:
            raise ContractError(f"{kernel.name}: out {label} has shape {array.shape}, it has to be {shape}")
        if not kernel.strided and not array.flags.c_contiguous:
            raise ContractError(f"{kernel.name}: out {label} has strides {array.strides}, it has to be C-contiguous")
        if not getattr(array.flags, "writeable", True):  # CuPy's arrays always are, and do not say so
            raise ContractError(f"{kernel.name}: out {label} is read-only; pass an array that can be written")
    if not kernel.strided:
        _refuse_overlap(kernel, outputs, inputs)
    return outputs


def _refuse_overlap(kernel: Kernel, outputs: tuple[Any, ...], inputs: tuple[Any, ...]) -> None:
    """Refuse outputs that overlap an input or each other: a product written over one of its factors would read its own output.

    The bounds of memory are compared, which is cheap, and exact for contiguous arrays.
    """
    arrays = dict(zip(kernel.inputs, inputs, strict=True))
    for label, array in zip(kernel.outputs, outputs, strict=True):
        for name, other in arrays.items():
            if isinstance(array, np.ndarray) and np.may_share_memory(array, other):
                same = array.ctypes.data == other.ctypes.data and array.shape == other.shape
                if not (kernel.overwrites and same and name == kernel.inputs[0]):
                    raise ContractError(f"{kernel.name}: out {label} overlaps {name}; give it memory of its own")
        arrays[f"out {label}"] = array

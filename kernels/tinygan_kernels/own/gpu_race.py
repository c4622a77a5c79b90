"""A kernel of one's own raced on a GPU against a version of the project's: what a race needs of CuPy.

    from tinygan_kernels.own import bench
    print(bench("mm.cu", "matmul", against=5, shape=(4096, 4096, 4096)))

No speed of it is quoted anywhere in this project: no GPU was at hand when it was written. It is tested with a device that is
played, and its use of CuPy with the emulator in CuPy's place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels import BackendError, load, why_unavailable
from tinygan_kernels.profiling.calls import KernelCall, call
from tinygan_kernels.shapes import ContractError

from . import triton_kernel
from .host import OwnHost
from .judge import KernelVerdict, checked_name, require_float32, verify
from .kernel_file import OPTIONS, OwnKernel, read
from .launch_line import Evaluated
from .race import RATE, RaceResult, Side, race, sizes_told

FLUSHED = 4  # times the size of the L2 cache that is written to push everything out of it
FLUSHES = 4  # how often that is done: a device that writes 3 TB/s is busy for 0.3 ms, and Python launches a kernel meanwhile
UNKNOWN_L2 = 64 << 20  # bytes, where the device does not tell


class CupyDevice:
    """The current GPU, by CuPy. cp: the module `cupy`."""

    def __init__(self, cp: Any) -> None:
        self.cp, self.name = cp, _name(cp)
        self._waste = cp.empty(FLUSHED * _l2_bytes(cp), cp.uint8)
        self._value = 0

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self.cp.empty(shape, self.cp.float32)

    def send(self, array: Any, values: np.ndarray) -> None:
        array.set(values)

    def fetch(self, array: Any) -> np.ndarray:
        return np.asarray(array.get())

    def flush(self) -> None:
        for _ in range(FLUSHES):
            self._value = (self._value + 1) % 256
            self._waste.fill(self._value)

    def synchronize(self) -> None:
        self.cp.cuda.runtime.deviceSynchronize()

    def milliseconds(self, call: Callable[[], None]) -> float:
        begun, ended = self.cp.cuda.Event(), self.cp.cuda.Event()
        begun.record()
        call()
        ended.record()
        ended.synchronize()
        return float(self.cp.cuda.get_elapsed_time(begun, ended))


def _name(cp: Any) -> str:
    """Return what the current GPU is called."""
    try:
        return cp.cuda.runtime.getDeviceProperties(cp.cuda.Device().id)["name"].decode()
    except AttributeError:  # the emulator in CuPy's place
        return "a device"


def _l2_bytes(cp: Any) -> int:
    """Return the size of the L2 cache."""
    try:
        return int(cp.cuda.Device().attributes["L2CacheSize"]) or UNKNOWN_L2
    except (AttributeError, KeyError):
        return UNKNOWN_L2


def bench(
    file: str | Path,
    as_: str,
    *,
    against: int | None = None,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
    rounds: int = 20,
) -> RaceResult:
    """Race a kernel of one's own on the current GPU against a version of `as_` on the backend cupy, by default its best.

    It is judged by `verify` in the emulator first: one that is right at the sizes of the race alone does not take part.

    against: that version's number. shape: the sizes, by default those of `profiling.calls`. rounds: how many pairs are timed. The
    other arguments are those of `verify`. Raises ContractError as `verify` does; BackendError where there is no GPU.
    """
    contract = checked_name(as_)
    made = call(as_, shape)
    own = read(file, launch, signature)
    require_float32(own)
    host = OwnHost(own, contract, params)
    made = made.with_params(host.fixed)
    if rounds < 1:
        raise ContractError(f"rounds is {rounds}, it has to be at least 1")
    if reason := why_unavailable("cupy"):
        without = "without one, `tinygan kernels profile --gpu` gives a modelled time"
        raise BackendError(f"a race needs a GPU: {reason.partition(', or emulate it')[0]}; {without}")
    verdict = verify(file, as_, launch=launch, signature=signature, params=params)
    if not verdict.ok:
        refused = {own.title: f"before the race, {_fault(verdict)}: see tinygan kernels verify"}
        return RaceResult("the emulator", as_, sizes_told(made), {own.title: ()}, refused)
    import cupy

    ladder = load("cupy", versions={as_: against} if against is not None else {})
    title = f"cupy {f'version {against}' if against is not None else 'best version'}"
    sides: dict[str, Side] = {
        own.title: own_side(host, made, cupy),
        title: lambda inputs, outputs: ladder.launch(as_, inputs, out=tuple(outputs), **made.params),
    }
    return race(sides, made, CupyDevice(cupy), rounds=rounds)


def _fault(verdict: KernelVerdict) -> str:
    """Return in a few words why a verdict is not "ok"."""
    if verdict.wrong:
        return f"{verdict.wrong} of {verdict.cases} cases are wrong"
    return f"the sanitizer found {verdict.findings[0]}" if verdict.findings else verdict.error


def own_side(host: OwnHost, made: KernelCall, cp: Any) -> Side:
    """Return a kernel of one's own as a competitor: compiled by CuPy, or Numba's, launched as its launch line says.

    Raises ContractError where a call of these shapes would need its inputs rearranged first, which is no part of the kernel.
    """
    arrays = made.zeros()
    for name, array in zip(host.kernel.inputs, arrays, strict=False):
        if name == "rate":  # which may be passed by value
            array[...] = RATE
    line, arguments = host.arguments_of(arrays, made.params)
    places = {a.__array_interface__["data"][0]: i for i, a in enumerate(arrays)}
    which = [places.get(a.__array_interface__["data"][0], -1) if isinstance(a, np.ndarray) else None for a in arguments]
    if -1 in which:
        raise ContractError(f"{host.own.title}: a race is on arrays as the contract has them, and this call would rearrange one")
    shapes = [a.shape if isinstance(a, np.ndarray) else () for a in arguments]
    start = _start(host.own, line, cp)

    def side(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        given = (*inputs, *outputs)
        start(tuple(given[i].reshape(s) if i is not None else a for a, i, s in zip(arguments, which, shapes, strict=True)))

    return side


def _start(own: OwnKernel, line: Evaluated, cp: Any) -> Callable[[tuple[Any, ...]], None]:
    """Return a function that launches a kernel with arguments. A grid without blocks is not launched."""
    if own.triton:
        return lambda arguments: triton_kernel.start_on_gpu(own.function, line, arguments)
    if not math.prod(line.grid):
        return lambda arguments: None
    start = _numba_start(own, line.shared) if own.numba else _cupy_start(own, line.shared, cp)
    return lambda arguments: start(line.grid, line.block, arguments)


def _cupy_start(own: OwnKernel, shared: int, cp: Any) -> Callable[..., None]:
    """Return a function that starts a kernel of CUDA C++ or PTX, compiled by CuPy."""
    assert own.path is not None
    if own.path.suffix == ".ptx":
        module = cp.RawModule(path=str(own.path))
        name = own.function.name
    else:
        entry = own.function.name
        names = (own.name,) if entry != own.name else ()
        module, name = cp.RawModule(code=own.text, options=OPTIONS, name_expressions=names), own.name
    function = module.get_function(name)
    return lambda grid, block, arguments: function((*grid, 1, 1)[:3], (*block, 1, 1)[:3], arguments, shared_mem=shared)


def _numba_start(own: OwnKernel, shared: int) -> Callable[..., None]:
    """Return a function that starts a Numba kernel on the default stream."""
    return lambda grid, block, arguments: own.function[tuple(grid), tuple(block), 0, shared](*arguments)



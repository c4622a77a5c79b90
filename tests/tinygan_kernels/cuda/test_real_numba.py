"""Numba CUDA itself, without a GPU: its types, its launch configuration and its conversion of arguments are given what the backend
gives them, and agree with what the emulator does in their place.

Device arrays are Numba's own, over memory of the host. The way ends where Numba asks for a context: at streams, at `as_cuda_array`,
and when a configured kernel is called, before it is compiled for the device.
"""

import warnings

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from numba import typeof
from numba.core import types
from numba.cuda.cudadrv import devicearray, driver
from numba.cuda.dispatcher import _Kernel
from numba.cuda.typing.typeof import typeof as typeof_cuda
from tinygan_kernels.cuda import numba_backend
from tinygan_kernels.cuda.device import NUMPY, CudaLaunch
from tinygan_kernels.emulator.host import numba_launch
from tinygan_kernels.verification import bounds
from tinygan_kernels.verification.cases import cases

LADDERS = numba_backend.LADDERS
ROWS = [(row, dtype) for row in LADDERS for dtype in row.dtypes]


class Recorder(numba_backend.NumbaDevice):
    """A device that keeps launches and starts none."""

    def __init__(self) -> None:
        super().__init__(NUMPY)
        self.launched: list[CudaLaunch] = []

    def start(self, launch: CudaLaunch) -> None:
        if all(argument.size for argument in launch.args):
            self.launched.append(launch)


def launches(row, dtype: str, most: int = 6) -> list[CudaLaunch]:
    """What a version launches on some hard cases of its kernel, from all of its list.

    Not those with an empty array, for which Numba asks the context for a pointer to nothing.
    """
    recorder = Recorder()

    def run(*arrays, **params):
        recorder.run(row.host(recorder, row, *arrays, **params))

    found = list(cases(row.kernel, np.dtype(dtype), (16,)))
    for case in found[:: -(len(found) // most)]:
        bounds.verify(run, row.kernel, case.inputs, case.states, **case.params)
    assert recorder.launched
    return recorder.launched


def on_device(array: np.ndarray) -> devicearray.DeviceNDArray:
    """Numba's device array over the memory of a NumPy array, with its strides."""
    pointer = driver.MemoryPointer(context=None, pointer=array.ctypes.data, size=array.nbytes, owner=array)
    return devicearray.DeviceNDArray(shape=array.shape, strides=array.strides, dtype=array.dtype, gpu_data=pointer)


class Converter:
    """Numba's conversion of arguments, which is a method of its compiled kernels and uses nothing else of them."""

    extensions = ()
    _prepare_args = _Kernel._prepare_args

    def __call__(self, argument) -> list:
        """What the driver would be given for an argument: plain numbers."""
        made, value = [], on_device(argument) if isinstance(argument, np.ndarray) else argument
        self._prepare_args(typeof_cuda(value), value, 0, [], made)
        return [getattr(number, "value", number) for number in made]


@pytest.mark.parametrize(("row", "dtype"), ROWS, ids=lambda v: v if isinstance(v, str) else f"{v.kernel}-{v.number}")
def test_numba_types_and_converts_every_argument_as_the_emulator_does(row, dtype):
    """So the emulator executes the specialisation that a GPU would, with the same numbers in its parameters."""
    convert = Converter()
    for launch in launches(row, dtype):
        for argument in launch.args:
            value = on_device(argument) if isinstance(argument, np.ndarray) else argument
            assert typeof_cuda(value) == typeof(argument)
            emulated = numba_launch._flatten(argument, [], "an argument")
            assert convert(argument) == [number.item() for number in emulated]


def test_the_conversion_tells_arguments_apart():
    a, convert = np.zeros((3, 4), np.float32), Converter()
    assert convert(a)[2:] == [12, 4, a.ctypes.data, 3, 4, 16, 4] and convert(a.T)[5:] == [4, 3, 4, 16]
    assert typeof_cuda(on_device(a)) != typeof_cuda(on_device(a.T)) != typeof_cuda(on_device(a.astype("f8").T))
    assert convert(np.float32(1.5)) == [1.5] and convert(np.int64(-3)) == [-3]
    with pytest.raises(NotImplementedError):
        convert("text")


@pytest.mark.parametrize("row", LADDERS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_numba_configures_every_launch_as_the_backend_gives_it(row, monkeypatch):
    """The backend's own function, with Numba's null stream for the handle that only a context gives."""
    gpu = numba_backend.OnGpu.__new__(numba_backend.OnGpu)
    monkeypatch.setattr(gpu, "_cuda", type("Streams", (), {"default_stream": staticmethod(lambda: 0)}), raising=False)
    for launch in launches(row, row.dtypes[0], most=2):
        configured = gpu._configure(launch.kernel, launch.blocks, launch.threads, 0)
        assert configured.griddim == (launch.blocks, 1, 1) and configured.blockdim == (*launch.threads, 1, 1)[:3]


def test_numbas_configuration_refuses_what_is_wrong():
    kernel = LADDERS[0].kernels[0]
    for wrong in ((1, (1, 1, 1, 1)), ((1, 1, 1, 1), 1), (1, "text"), (1,)):
        with warnings.catch_warnings(), pytest.raises((ValueError, TypeError)):
            warnings.simplefilter("ignore")  # of a small grid
            kernel[wrong]


def targets() -> tuple[int, int]:
    """The oldest and the newest architecture that this toolkit compiles for, from Turing on."""
    from cuda.bindings import nvrtc

    known = nvrtc.nvrtcGetSupportedArchs()[1]
    return min(arch for arch in known if arch >= 75), max(known)


@pytest.mark.parametrize("version", [("matmul", 1), ("bce_logits", 2)], ids=lambda v: f"{v[0]}-{v[1]}")
def test_kernels_are_typed_and_compiled_for_the_oldest_and_the_newest_target(version):
    """Two of them here; benchmarks/environments/toolkits.py compiles all of them, with every toolkit."""
    row = numba_backend.find(*version)
    for launch in launches(row, "float32", most=1):
        for target in targets():
            ptx, entry = numba_backend.compile_ptx(launch.kernel, launch.args, f"sm_{target}")
            assert f".target sm_{target}" in ptx and f".entry {entry}(" in ptx


def test_types_of_numpy_scalars_are_kept():
    """float32 must not become a double, nor an index an int32: the arithmetic would change with it."""
    assert typeof_cuda(np.float32(1)) == types.float32 and typeof_cuda(np.int64(1)) == types.int64

"""The array of `emulator.cupy`: a NumPy array with what CuPy's has besides, and NumPy's functions returning it."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.texture_objects import Bindless


class MemoryPointer(NamedTuple):
    """The memory of an array: `ptr`, the address of its first element."""

    ptr: int


class ndarray(np.ndarray):
    """A NumPy array that can stand for a CuPy array: `get`, `set`, `data.ptr`, `device`; a reduction to one value is an array."""

    def get(self, stream=None, order="C", out=None) -> np.ndarray:
        """Return a copy as a plain NumPy array. stream: taken, and without effect, as all is done in order."""
        if out is None:
            return np.array(self, order=order, subok=False)
        out[...] = np.asarray(self)
        return out

    def set(self, arr, stream=None) -> None:
        """Copy a NumPy array of the same shape and dtype into this one. Raises TypeError or ValueError for another."""
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype:
            raise TypeError(f"set takes a NumPy array of dtype {self.dtype}, not {getattr(arr, 'dtype', type(arr).__name__)}")
        if arr.shape != self.shape:
            raise ValueError(f"set takes an array of shape {self.shape}, not {arr.shape}")
        self[...] = arr

    @property
    def data(self) -> MemoryPointer:
        """The memory of the array, whose `ptr` a kernel may get as an integer."""
        return MemoryPointer(self.__array_interface__["data"][0])

    @property
    def device(self) -> int:
        """The number of the device, 0."""
        return 0

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return np.asarray(array).view(ndarray)

    def __getitem__(self, key):
        return wrapped(super().__getitem__(key))


def wrapped(value):
    """Return a value with the NumPy arrays and scalars in it, at any depth of tuples and lists, as arrays of this module."""
    if isinstance(value, (np.void, ndarray)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(ndarray)
    if isinstance(value, np.random.Generator):
        return Adapted(value, "random.Generator")
    if type(value) in (tuple, list):
        return type(value)(map(wrapped, value))
    return value


def _method(name: str):
    real = getattr(np.ndarray, name)

    @functools.wraps(real)
    def method(self, *args, **options):
        return wrapped(real(self, *args, **options))

    return method


for _name in ("all", "any", "argmax", "argmin", "dot", "max", "mean", "min", "prod", "ptp", "std", "sum", "trace", "var"):
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _method(_name))


def returning_arrays(value, name: str):
    """Return a function of NumPy's that returns arrays of this module; a class or a constant as it is; a module adapted."""
    if isinstance(value, ModuleType):
        return Adapted(value, name)
    if not callable(value) or isinstance(value, type):
        return value

    @functools.wraps(value)
    def function(*args, **options):
        return wrapped(value(*args, **options))

    return function


class Adapted:
    """A module of NumPy's (`linalg`, `random`, `fft`), or a generator, whose functions return arrays of `emulator.cupy`."""

    def __init__(self, module: ModuleType | np.random.Generator, name: str):
        self._module, self._name = module, name

    def __getattr__(self, name: str):
        if name.startswith("_") or not hasattr(self._module, name):
            raise AttributeError(f"emulator.cupy.{self._name} has no {name}: it has what NumPy has")
        return returning_arrays(getattr(self._module, name), f"{self._name}.{name}")


def plain(value, what: str) -> np.ndarray:
    """Return an argument of a kernel as an array. Raises EmulatorError for one that is neither an array nor a number."""
    if isinstance(value, Bindless):
        return np.asarray(np.uint64(value.ptr))
    if isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
        return np.asarray(value)
    raise EmulatorError(f"{what} is a {type(value).__name__}: arrays and numbers are taken")

"""The array of `emulator.cupy`: a NumPy array with what CuPy's has besides, and NumPy's functions returning it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import array_over
from tinygan_kernels.emulator.execute.texture_objects import Bindless
from tinygan_kernels.emulator.host.host_arrays import HostArray
from tinygan_kernels.emulator.host.script_order import ORDER
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, LEGACY

from .memory import MemoryPointer, UnownedMemory, note
from .recording import recorded
from .streams import get_current_stream, refuse


class ndarray(np.ndarray):
    """A NumPy array that can stand for a CuPy array: `get`, `set`, `data.ptr`, `device`; a reduction to one value is an array.

    memptr: memory that somebody allocated, a MemoryPointer or the bytes that `RawModule.get_global` returns; without it, the
    array is new, and nothing has written it. Raises ValueError where the memory is too small.
    """

    def __new__(cls, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is None:
            return super().__new__(cls, shape, dtype, strides=strides, order=order)
        if not isinstance(memptr, (MemoryPointer, np.ndarray)):
            raise TypeError(f"memptr is a MemoryPointer, not a {type(memptr).__name__}")
        memory = memptr.bytes() if isinstance(memptr, MemoryPointer) else np.asarray(memptr).view(np.uint8)
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if strides is None and wanted > memory.size:
            raise ValueError(f"an array of shape {shape} and dtype {np.dtype(dtype)} has {wanted} bytes, its memory {memory.size}")
        return super().__new__(cls, shape, dtype, memory, 0, strides, order)

    def get(self, stream=None, order="C", out=None, blocking=True) -> np.ndarray:
        """Return a copy as a NumPy array, which a stream makes (None: the current one). blocking: whether the host waits for it.

        out: the array that is written. Raises TypeError or ValueError for one of another dtype or shape.
        """
        refuse("ndarray.get, which waits for its values,")
        if out is not None:
            self._fits(out, "get")
        of = (stream or get_current_stream()).ptr
        copy = np.array(self, order=order, subok=False) if out is None else out
        if out is not None:
            np.ndarray.view(out, np.ndarray)[...] = np.asarray(self)
        elif not blocking and of not in (DEFAULT, LEGACY):
            copy = copy.view(HostArray)
        ORDER.touched(of, "ndarray.get", [self], [copy] * isinstance(copy, HostArray))
        if blocking:
            ORDER.host_waits(of)
        return copy

    def set(self, arr, stream=None) -> None:
        """Copy a NumPy array of the same shape and dtype into this one, in a stream (None: the current one).

        Raises TypeError or ValueError for another.
        """
        refuse("ndarray.set, which waits for the host,")
        self._fits(arr, "set")
        np.asarray(self)[...] = np.ndarray.view(arr, np.ndarray)
        taken = isinstance(arr, HostArray) and arr.strides == self.strides  # else the host makes a copy, which the stream takes
        ORDER.touched((stream or get_current_stream()).ptr, "ndarray.set", [arr] * taken, [self])

    def _fits(self, other, call: str) -> None:
        """Raise TypeError or ValueError where what `get` or `set` is given is no array of this dtype and shape."""
        if not isinstance(other, np.ndarray) or other.dtype != self.dtype:
            given = getattr(other, "dtype", type(other).__name__)
            raise TypeError(f"{call} takes a NumPy array of dtype {self.dtype}, not {given}")
        if other.shape != self.shape:
            raise ValueError(f"{call} takes an array of shape {self.shape}, not {other.shape}")

    @property
    def data(self) -> MemoryPointer:
        """The memory of the array, whose `ptr` a kernel may get as an integer."""
        at = self.__array_interface__["data"][0]
        return MemoryPointer(UnownedMemory(at, self.nbytes, self), 0)

    @property
    def device(self):
        """The device, number 0."""
        from .cuda import Device

        return Device(0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """How other libraries find the memory (version 3 of the interface that Numba's documentation defines).

        They wait for the current stream, as CuPy asks them to; the default stream is 1 there.
        """
        mine = self.__array_interface__
        known = {key: mine[key] for key in ("shape", "typestr", "data", "strides")}
        return known | {"version": 3, "stream": get_current_stream().ptr or LEGACY}

    def scatter_add(self, slices, value) -> None:
        """Add values at indices, each as often as its index is there."""
        np.add.at(self, slices, value)

    def scatter_max(self, slices, value) -> None:
        """Keep the larger of the element and each value at its index."""
        np.maximum.at(self, slices, value)

    def scatter_min(self, slices, value) -> None:
        """Keep the smaller of the element and each value at its index."""
        np.minimum.at(self, slices, value)

    def __array_finalize__(self, _model) -> None:
        note(self)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return np.asarray(array).view(ndarray)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        call, settings = getattr(ufunc, method), {name: _plain(value) for name, value in options.items()}
        if out is not None:
            settings["out"] = tuple(map(_plain, out))
        name = method if method == "at" else ufunc.__name__
        results = recorded(name, _wrapping(call), tuple(map(_plain, inputs)), settings, plain=True)
        if out is None or len(out) == 1:
            return results if out is None else out[0]
        return tuple(made if given is None else given for given, made in zip(out, results, strict=True))

    def __getitem__(self, key):
        return recorded("__getitem__", _item, (self, key), {}, method=True)


def _item(array: ndarray, key: Any) -> Any:
    """Return a part of an array. A single element is an array of no dimensions over its memory, as CuPy's is.

    An index that is an array of no dimensions gives a copy, as in CuPy: only the device knows which element that is.
    """
    parts = key if isinstance(key, tuple) else (key,)
    found = np.ndarray.__getitem__(array, key)
    if isinstance(found, np.generic) and not isinstance(found, np.void):
        found = np.ndarray.__getitem__(array, (*parts, Ellipsis))
    return wrapped(np.array(found) if any(isinstance(p, ndarray) and not p.ndim for p in parts) else found)


def _plain(value: Any) -> Any:
    """Return an array of this module as NumPy's, over the same memory; else the value."""
    return value.view(np.ndarray) if isinstance(value, ndarray) else value


def of_device(value: Any) -> Any:
    """Return what has the memory of another library's array (Numba's device arrays) as an array of this module; else the value.

    The host waits for the stream that the other library names, as the interface asks it to.
    """
    if isinstance(value, np.ndarray) or not hasattr(value, "__cuda_array_interface__"):
        return value
    interface = value.__cuda_array_interface__
    if interface.get("stream") is not None:
        ORDER.host_waits(int(interface["stream"]))
    return wrapped(array_over(interface, value))


def wrapped(value: Any) -> Any:
    """Return a value with the NumPy arrays and scalars in it, at any depth of tuples and lists, as arrays of this module."""
    if isinstance(value, (np.void, ndarray)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(ndarray)
    if isinstance(value, np.random.Generator):
        return Adapted(value, "random.Generator")
    if type(value) in (tuple, list):
        return type(value)(map(wrapped, value))
    if isinstance(value, tuple) and hasattr(value, "_make"):  # a named tuple, as linalg returns them
        return value._make(map(wrapped, value))
    return value


def _wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that returns what another does, as arrays of this module."""

    @functools.wraps(function)
    def returning(*args: Any, **options: Any) -> Any:
        return wrapped(function(*args, **options))

    return returning


def _method(name: str, host: bool) -> Callable[..., Any]:
    """Return an array's method that a graph may carry out. host: whether it returns values of Python's."""
    real = getattr(np.ndarray, name)
    called = real if host else _wrapping(real)

    @functools.wraps(real)
    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        return recorded(name, called, (self, *args), options, method=True)

    return method


_COMPUTING = (
    "__copy__", "__deepcopy__", "__setitem__", "all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "byteswap",
    "choose", "clip", "compress", "conj", "conjugate", "copy", "cumprod", "cumsum", "dot", "fill", "flatten", "max", "mean", "min",
    "nonzero", "partition", "prod", "ptp", "put", "ravel", "repeat", "reshape", "round", "searchsorted", "sort", "std", "sum",
    "take", "trace", "var",
)  # fmt: skip
_OF_HOST = ("__bool__", "__complex__", "__float__", "__index__", "__int__", "item", "tobytes", "tofile", "tolist")
for _name in (*_COMPUTING, *_OF_HOST):
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _method(_name, _name in _OF_HOST))


def returning_arrays(value, name: str):
    """Return a function of NumPy's that returns arrays of this module; a class or a constant as it is; a module adapted."""
    if isinstance(value, ModuleType):
        return Adapted(value, name)
    if not callable(value) or isinstance(value, type):
        return value

    called = _wrapping(value)

    @functools.wraps(value)
    def function(*args, **options):
        return recorded(name, called, args, options)

    for method in ("accumulate", "at", "outer", "reduce", "reduceat") if isinstance(value, np.ufunc) else ():
        setattr(function, method, returning_arrays(getattr(value, method), method))
    return function


class Adapted:
    """A module of NumPy's (`linalg`, `random`, `fft`), or a generator, whose functions return arrays of `emulator.cupy`."""

    def __init__(self, module: ModuleType | np.random.Generator, name: str):
        self._module, self._name = module, name

    def __dir__(self) -> list[str]:
        return list(getattr(self._module, "__all__", dir(self._module)))

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

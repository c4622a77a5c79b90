"""Pack a launch's arguments into the bytes of the kernel's .param space, checked against its declaration.

A NumPy scalar has to be of exactly the declared width and kind; anything else is refused, naming the argument. A Python number
becomes the declared type. CuPy turns a Python float into a double and a Python int into a 64-bit integer, whatever the kernel
declares: where that gives another value than here, a UserWarning says so.
"""

from __future__ import annotations

import warnings

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import GlobalMemory, unwritten_bytes
from tinygan_kernels.emulator.execute.texture_objects import Bindless
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Variable
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

from .tensor_maps import TensorMapArgument


def pack(kernel: TranslatedKernel, args: tuple, memory: GlobalMemory) -> None:
    """Write the arguments into the kernel's parameter buffer, and add arrays among them to what it may touch.

    Raises EmulatorError, naming the argument, for a wrong number, type or size.
    """
    declared = kernel.entry.params
    if len(args) != len(declared):
        raise EmulatorError(f"kernel {kernel.title} takes {len(declared)} arguments, {len(args)} were given")
    for i, (argument, variable) in enumerate(zip(args, declared, strict=True)):
        raw = _bytes_of(argument, variable, f"argument {i} of kernel {kernel.title}")
        start = kernel.params[variable.name]
        kernel.param_buffer[start : start + variable.size] = np.frombuffer(raw, np.uint8)
        by_value = _is_structure(variable) and not isinstance(argument, TensorMapArgument)
        array = argument.array if isinstance(argument, TensorMapArgument) else argument
        if isinstance(array, np.ndarray) and not by_value:
            memory.add(array, f"argument {i}", unwritten_bytes(array))


def as_now(kernel: TranslatedKernel, args: tuple) -> tuple:
    """Return the arguments, of which structures are copied, so that a later launch is given what they hold now."""
    kept = list(args)
    for i, (argument, variable) in enumerate(zip(args, kernel.entry.params, strict=False)):  # pack compares the numbers
        if isinstance(argument, np.void) or (type(argument) is np.ndarray and _is_structure(variable)):
            kept[i] = argument.copy()
    return tuple(kept)


def _is_pointer(variable: Variable) -> bool:
    """Return whether an array may be passed for the parameter."""
    return variable.size == 8 and variable.type in ("u64", "b64", "s64")


def _is_structure(variable: Variable) -> bool:
    """Return whether the parameter is an aggregate, which is passed by value."""
    return variable.size != WIDTH[variable.type]


def _bytes_of(argument, variable: Variable, what: str) -> bytes:
    """Return the bytes of one argument. `what` names it in errors."""
    if isinstance(argument, np.ndarray):
        if _is_structure(variable) and type(argument) is np.ndarray and argument.nbytes == variable.size:
            return argument.tobytes()  # as CuPy passes a structure: "a NumPy array of one element"
        if not _is_pointer(variable):
            raise EmulatorError(f"{what} is an array, but the kernel declares a {_describe(variable)} there")
        if argument.dtype.hasobject:
            raise EmulatorError(f"{what} is an array of Python objects: kernels work on numbers")
        return np.uint64(argument.__array_interface__["data"][0]).tobytes()
    if isinstance(argument, Bindless):
        if not _is_pointer(variable):
            raise EmulatorError(f"{what} is a {argument.what} object, but the kernel declares a {_describe(variable)} there")
        return np.uint64(argument.ptr).tobytes()
    if argument is None and _is_pointer(variable):
        return bytes(8)
    if isinstance(argument, TensorMapArgument):
        return _sized(argument.raw.tobytes(), variable, what, "a tensor map")
    if isinstance(argument, np.void):
        return _sized(argument.tobytes(), variable, what, "a structure")
    if isinstance(argument, (bool, int, float)) and not isinstance(argument, np.generic):
        return _python_number(argument, variable, what)
    if isinstance(argument, complex) and not isinstance(argument, np.generic) and variable.size in (8, 16):
        return _python_complex(argument, variable, what)
    if not isinstance(argument, np.generic):
        raise EmulatorError(
            f"{what} is a Python {type(argument).__name__}: give a number or a NumPy scalar (the kernel declares a "
            f"{_describe(variable)}: {_suggestion(variable)})"
        )
    return _scalar(argument, variable, what)


def _python_number(argument: bool | int | float, variable: Variable, what: str) -> bytes:
    """Return the bytes of a Python number as the declared type. Raises EmulatorError where it does not fit that type."""
    kind, size = variable.type[0], variable.size
    given = f"a Python {type(argument).__name__}"
    if size != WIDTH[variable.type] or kind not in "fusb":
        raise EmulatorError(f"{what} is {given}, but the kernel declares a {_describe(variable)}: {_suggestion(variable)}")
    if kind == "f":
        if size == 4 or not isinstance(argument, float):
            _warn_of_cupy(given, "double" if isinstance(argument, float) else "64-bit integer", variable, what)
        return np.dtype(f"f{size}").type(argument).tobytes()
    if isinstance(argument, float):
        raise EmulatorError(f"{what} is {given}, but the kernel declares a {_describe(variable)}: {_suggestion(variable)}")
    if not -(1 << 8 * size - 1) <= argument < 1 << 8 * size:
        raise EmulatorError(f"{what} is {argument}, which does not fit the {_describe(variable)} that the kernel declares")
    return (int(argument) & (1 << 8 * size) - 1).to_bytes(size, "little")


def _python_complex(argument: complex, variable: Variable, what: str) -> bytes:
    """Return the bytes of a Python complex number as complex<float> or complex<double>, whichever has the declared size."""
    if variable.size == 8:
        _warn_of_cupy("a Python complex", "complex<double>", variable, what)
    return np.dtype(f"c{variable.size}").type(argument).tobytes()


def _warn_of_cupy(given: str, passed: str, variable: Variable, what: str) -> None:
    """Warn that CuPy passes other bytes for a Python number than the kernel's type has."""
    warnings.warn(
        f"{what} is {given}, which becomes the {_describe(variable)} that the kernel declares; CuPy passes a {passed} in its "
        f"place, of which a GPU reads other bytes: {_suggestion(variable)}",
        UserWarning, stacklevel=7,
    )  # fmt: skip


def _scalar(argument: np.generic, variable: Variable, what: str) -> bytes:
    """Return the bytes of a NumPy scalar, which has to be of the declared kind and size."""
    code = argument.dtype
    given = f"a {code.name}"
    if variable.type[0] == "f" and code.kind != "f" and variable.size == WIDTH[variable.type]:
        raise EmulatorError(
            f"{what} is {given}, but the kernel declares a {_describe(variable)}: {_suggestion(variable)}"
        )
    if variable.type[0] in "us" and code.kind not in "iub":
        raise EmulatorError(
            f"{what} is {given}, but the kernel declares a {_describe(variable)}: {_suggestion(variable)}"
        )
    return _sized(argument.tobytes(), variable, what, given)


def _sized(raw: bytes, variable: Variable, what: str, given: str) -> bytes:
    """Return the bytes as they are, if they are as many as the parameter has."""
    if len(raw) != variable.size:
        raise EmulatorError(
            f"{what} is {given} of {len(raw)} bytes, but the kernel declares a {_describe(variable)} of "
            f"{variable.size} bytes: {_suggestion(variable)}"
        )
    return raw


def _describe(variable: Variable) -> str:
    """Describe the type of a parameter, for errors."""
    if _is_structure(variable):
        return f"structure of {variable.size} bytes"
    kind = {"f": "float", "u": "integer", "s": "integer", "b": "value"}[variable.type[0]]
    return f"{8 * variable.size}-bit {'integer or pointer' if variable.type == 'u64' else kind}"


def _suggestion(variable: Variable) -> str:
    """Say what to pass instead, for errors."""
    if _is_structure(variable):
        return "use np.complex64(...) or a NumPy structured scalar" if variable.size == 8 else "use a NumPy scalar of that size"
    size = 8 * variable.size
    if variable.type[0] == "f":
        return f"use np.float{size}(...)"
    return f"use np.int{size}(...)" + (" or an array" if _is_pointer(variable) else "")

"""Pack a launch's arguments into the bytes of the kernel's .param space, checked against its declaration.

CuPy turns a Python float into a double and a Python int into a 64-bit integer, whatever the kernel declares: the
classic trap. Here a scalar has to be a NumPy scalar of exactly the declared width and kind; anything else is refused,
naming the argument.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.execute.memory import GlobalMemory, unwritten_bytes
from tinygan_kernels.emulator.syntax.ptx import WIDTH, Variable
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel


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
        if isinstance(argument, np.ndarray):
            memory.add(argument, f"argument {i}", unwritten_bytes(argument))


def _is_pointer(variable: Variable) -> bool:
    """Return whether an array may be passed for the parameter."""
    return variable.size == 8 and variable.type in ("u64", "b64", "s64")


def _bytes_of(argument, variable: Variable, what: str) -> bytes:
    """Return the bytes of one argument. `what` names it in errors."""
    if isinstance(argument, np.ndarray):
        if not _is_pointer(variable):
            raise EmulatorError(f"{what} is an array, but the kernel declares a {_describe(variable)} there")
        if argument.dtype.hasobject:
            raise EmulatorError(f"{what} is an array of Python objects: kernels work on numbers")
        return np.uint64(argument.__array_interface__["data"][0]).tobytes()
    if argument is None and _is_pointer(variable):
        return bytes(8)
    if isinstance(argument, np.void):
        return _sized(argument.tobytes(), variable, what, "a structure")
    if not isinstance(argument, np.generic):
        raise EmulatorError(
            f"{what} is a Python {type(argument).__name__}: give a NumPy scalar (the kernel declares a "
            f"{_describe(variable)}: {_suggestion(variable)})"
        )
    return _scalar(argument, variable, what)


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
    if variable.size != WIDTH[variable.type]:
        return f"structure of {variable.size} bytes"
    kind = {"f": "float", "u": "integer", "s": "integer", "b": "value"}[variable.type[0]]
    return f"{8 * variable.size}-bit {'integer or pointer' if variable.type == 'u64' else kind}"


def _suggestion(variable: Variable) -> str:
    """Say what to pass instead, for errors."""
    if variable.size != WIDTH[variable.type]:
        return "use a NumPy structured scalar of that size"
    size = 8 * variable.size
    if variable.type[0] == "f":
        return f"use np.float{size}(...)"
    return f"use np.int{size}(...)" + (" or an array" if _is_pointer(variable) else "")

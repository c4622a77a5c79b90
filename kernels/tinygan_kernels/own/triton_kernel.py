"""Triton kernels of one's own: which a file has, what they take, and how they are launched, compiled and handed to a GPU.

Triton is imported where a file has imported it already, and nowhere else: it is an extra, [triton], and takes a while to load.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygan_kernels import BackendError, emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.host.triton_context import TritonLaunch, compiled_for
from tinygan_kernels.shapes import ContractError

from .launch_line import Evaluated, LaunchLine


def is_triton(value: Any) -> bool:
    """Return whether a value is a function decorated with `triton.jit`, perhaps with `triton.autotune` and such around it."""
    jit = sys.modules.get("triton.runtime.jit")
    return jit is not None and isinstance(value, jit.KernelInterface)


def require_compiled(kernel: Any, title: str) -> None:
    """Raise ContractError for a kernel that Triton would interpret, in NumPy, as its variable TRITON_INTERPRET asks for."""
    if type(_innermost(kernel)).__name__ == "InterpretedFunction":
        raise ContractError(f"{title}: TRITON_INTERPRET is set, so that Triton compiles nothing; take it out of the environment")


def _innermost(kernel: Any) -> Any:
    """Return the function itself of a kernel with `triton.autotune` or `triton.heuristics` around it."""
    while is_triton(kernel) and is_triton(getattr(kernel, "fn", None)):
        kernel = kernel.fn
    return kernel


def parameters_of(kernel: Any) -> tuple[str, ...]:
    """Return the names of a kernel's parameters, meta-parameters among them."""
    return tuple(_innermost(kernel).arg_names)


def require_arguments(kernel: Any, title: str, line: LaunchLine) -> None:
    """Raise ContractError where a launch line gives too many arguments, one twice, or none for a parameter that has no default."""
    names = parameters_of(kernel)
    given, named = names[: len(line.arguments)], [name for name, _ in line.keywords]
    declared = f"{title} takes ({', '.join(names)}), and {line.where}"
    if len(line.arguments) > len(names):
        raise ContractError(f"{declared} gives {len(line.arguments)} arguments ({', '.join(line.argument_texts)})")
    twice = [name for name in named if name in given or named.count(name) > 1]
    if twice:
        raise ContractError(f"{declared} gives {twice[0]} twice")
    chosen = _chosen_by_decorators(kernel)
    wanted = [p.name for p in _innermost(kernel).params if not p.has_default]
    missing = [name for name in wanted if name not in (*given, *named, *chosen)]
    if missing:
        raise ContractError(f"{declared} gives no {' and no '.join(missing)}")


def _chosen_by_decorators(kernel: Any) -> set[str]:
    """Return the parameters that configurations of `triton.autotune` and rules of `triton.heuristics` decide."""
    found: set[str] = set()
    while is_triton(kernel) and is_triton(getattr(kernel, "fn", None)):
        for configuration in getattr(kernel, "configs", ()):
            found |= set(configuration.kwargs)
        found |= set(getattr(kernel, "values", ()))
        kernel = kernel.fn
    return found


def launch(kernel: Any, line: Evaluated, arguments: Sequence[Any]) -> None:
    """Launch a kernel in the emulator, on NumPy arrays. Raises EmulatorError, also for what Triton itself refuses."""
    with _said_in_one_line(kernel), emulator.triton():
        _started(kernel, line, arguments)


def compiled(kernel: Any, line: Evaluated, arguments: Sequence[Any], capability: int) -> TritonLaunch:
    """Return the launch of a kernel, compiled for a compute capability and not run. Raises EmulatorError as `launch` does."""
    with _said_in_one_line(kernel), compiled_for(capability) as launches:
        _started(kernel, line, arguments)
    return launches[-1]


def start_on_gpu(kernel: Any, line: Evaluated, arguments: Sequence[Any]) -> None:
    """Launch a kernel on the current GPU, on CuPy's arrays, by Triton's own driver.

    Raises BackendError where that cannot be used.
    """
    try:
        _started(kernel, line, [_OfCupy(a) if hasattr(a, "__cuda_array_interface__") else a for a in arguments])
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"Triton cannot launch its kernels here: {_first_line(error)}") from None


def _started(kernel: Any, line: Evaluated, arguments: Sequence[Any]) -> None:
    """Launch a kernel in whatever Triton's driver is at present."""
    assert line.grid_of is not None
    grid_of = line.grid_of
    options = {name: value for name, value in line.named.items() if name not in parameters_of(kernel)}
    kernel[lambda meta: grid_of({**options, **meta})](*arguments, **line.named)


class _OfCupy:
    """An array of CuPy as Triton wants its arguments: with an address and a type."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype = array, np.dtype(array.dtype)

    def data_ptr(self) -> int:
        return int(self.array.__cuda_array_interface__["data"][0])


@contextmanager
def _said_in_one_line(kernel: Any) -> Iterator[None]:
    """Turn what Triton raises, whatever its class, into an EmulatorError of one line that names the line of the kernel."""
    try:
        yield
    except (EmulatorError, ContractError, BackendError):
        raise
    except Exception as error:  # Triton's compiler has many classes of errors, and user code runs in hooks
        raise EmulatorError(f"Triton cannot launch {_innermost(kernel).__name__}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """Return what Triton says to be wrong, with the line of the file."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    said = getattr(inner, "error_message", None) or _first_line(inner)
    text = " ".join(str(said).split())
    function, line = getattr(error, "src", None), getattr(getattr(error, "node", None), "lineno", 0)
    lines = function.split("\n") if isinstance(function, str) else []
    return f"{text}, at {lines[line - 1].strip()!r}" if 0 < line <= len(lines) else text


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'it gives no reason'}"

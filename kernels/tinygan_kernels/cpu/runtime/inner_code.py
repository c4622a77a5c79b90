"""The code of functions that only other compiled functions call: handed on to them as Numba wrote it, and compiled there.

Numba optimises each function, makes machine code of it, and then copies what it had before into every function that calls it,
where both are done again. A loop calls functions that call others, three or four deep, so most of the time of compiling it went
into machine code that nobody runs. Here an inner function stops where its code can be copied: one pass of LLVM over the whole loop
does the rest, and compiling a loop takes half the time.

This goes by the inside of Numba's compiler. `compiler_of_inner_functions` gives None where a future Numba looks otherwise; then
such functions are compiled as all others, with the same results.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

from numba.core import codegen, compiler

NEEDED = ("_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals", "get_pointer_to_function")
_NUMBERS = count(1)


class _WithoutAddresses:
    """Numba's code generator, as it is to an inner function: there is no machine code in which an address could be set."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Set nothing. An environment keeps the Python objects that a function uses, and Numba raises RuntimeError where there is
        none to read one from.
        """


def _library_class() -> type:
    """Return the class of the code of inner functions: LLVM's text, of which no machine code is made."""

    class InnerLibrary(codegen.JITCodeLibrary):
        @property
        def codegen(self) -> Any:
            return _WithoutAddresses(self._codegen)

        def _optimize_final_module(self) -> None:
            """Leave it to the function into which this one is copied."""

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            """Return 0, by which Numba knows that there is no function of that name to be called from Python."""
            self._ensure_finalized()
            return 0

    return InnerLibrary


@cache
def compiler_of_inner_functions() -> type | None:
    """Return the `pipeline_class` for `numba.njit` with which an inner function is compiled; None where this Numba has none."""
    base = getattr(codegen, "JITCodeLibrary", None)
    if base is None or not all(hasattr(base, name) for name in NEEDED) or not hasattr(compiler, "Compiler"):
        return None
    library_class = _library_class()

    class InnerCompiler(compiler.Compiler):
        def __init__(self, typing_context: Any, target_context: Any, library: Any, *rest: Any) -> None:
            if library is None:
                library = library_class(target_context.codegen(), f"inner function {next(_NUMBERS)}")
            super().__init__(typing_context, target_context, library, *rest)

    return InnerCompiler

"""The file of a kernel of one's own: CUDA C++ (.cu), PTX (.ptx), or Python with Numba CUDA or Triton (.py). `read` compiles it.

    own = read("mm.cu:mm")                      # FILE, or FILE:NAME where a file has several kernels
    own.line                                    # how it is launched: its launch line, parsed
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygan_kernels import emulator
from tinygan_kernels.extras import install
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.source_files import executed

from . import triton_kernel
from .launch_line import CUDA, NUMBA, TRITON, LaunchLine, example, kernel_in, lines_in, parse

SUFFIXES = (".cu", ".ptx", ".py")
OPTIONS = ("--std=c++17",)  # as the project's own kernels are compiled
DEBUG = ("-G",)  # NVRTC's option for debug information of variables, and code that keeps to the source's lines
_KERNEL = re.compile(
    r"__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\([^)]*\)\s*)?(?:void\s+)?(?:__launch_bounds__\s*\([^)]*\)\s*)?"
    r"(\w+)\s*\(([^)]*)\)"
)
_ENTRY = re.compile(r"\.entry\s+([\w$]+)")
_WANTED = {".cu": "no kernel (a __global__ function)", ".ptx": "no kernel (an .entry)",
           ".py": "no function decorated with @cuda.jit or @triton.jit"}  # fmt: skip
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


@dataclass(frozen=True, eq=False)
class OwnKernel:
    """A kernel of one's own, compiled or ready to be.

    name: what it is called; path: its file, None for one that was made in Python; text: its source, "" where it is not known.
    function: an emulator RawKernel, or a function decorated with `numba.cuda.jit` or `triton.jit`. line: how it is launched.
    """

    name: str
    path: Path | None
    text: str
    function: Any
    line: LaunchLine

    @property
    def language(self) -> str:
        """CUDA, NUMBA or TRITON of `launch_line`."""
        return language_of(self.function)

    @property
    def numba(self) -> bool:
        """Whether it is a Numba CUDA function, whose arguments have Numba's types."""
        return self.language == NUMBA

    @property
    def triton(self) -> bool:
        """Whether it is a Triton kernel, which is handed arrays as pointers to their first elements."""
        return self.language == TRITON

    @property
    def title(self) -> str:
        """What verdicts and tables call it."""
        return f"{self.path.name}:{self.name}" if self.path else self.name

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The parameters as the source declares them, such as "const float* a"; () where the source does not tell."""
        if self.numba:
            code = self.function.py_func.__code__
            return code.co_varnames[: code.co_argcount]
        if self.triton:
            return triton_kernel.parameters_of(self.function)
        declared = dict(_KERNEL.findall(_COMMENT.sub("", self.text))).get(self.name.partition("<")[0], "")
        found = tuple(" ".join(part.split()) for part in declared.split(",") if part.strip())
        return found if len(found) == len(self.function.translated.entry.params) else ()

    def require_arguments(self) -> None:
        """Raise ContractError where the launch line does not give the arguments that the kernel takes."""
        if self.triton:
            triton_kernel.require_arguments(self.function, self.title, self.line)
            return
        count = self.parameter_count
        if len(self.line.arguments) != count:
            declared = f" ({', '.join(self.parameters)})" if self.parameters else ""
            takes = f"{self.title} takes {count} argument{'' if count == 1 else 's'}{declared}"
            raise ContractError(f"{takes}, and {self.line.where} gives {len(self.line.arguments)} "
                                f"({', '.join(self.line.argument_texts)})")  # fmt: skip

    @property
    def parameter_count(self) -> int:
        """How many arguments a launch has to give; of a Triton kernel some may have defaults."""
        return len(self.function.translated.entry.params) if self.language == CUDA else len(self.parameters)


def language_of(kernel: Any) -> str:
    """Return the language of a compiled kernel: CUDA, NUMBA or TRITON of `launch_line`."""
    if isinstance(kernel, emulator.RawKernel):
        return CUDA
    return TRITON if triton_kernel.is_triton(kernel) else NUMBA


def split_name(given: str) -> tuple[Path, str]:
    """Return (path, kernel name or "") of FILE or FILE:NAME."""
    path, colon, name = given.rpartition(":")
    if colon and re.fullmatch(r"[A-Za-z_]\w*(<.*>)?", name) and path.endswith(SUFFIXES):
        return Path(path), name
    return Path(given), ""


def read(given: str | Path, launch: str = "", signature: str = "", *, debug: bool = False) -> OwnKernel:
    """Read and compile FILE or FILE:NAME.

    launch: a launch line's text instead of the one in the file; signature: the arguments, where they come in another order than
    in the launch line; debug: compile CUDA C++ for a debugger, without optimisation. A Python file is executed. Raises OSError for
    a file that cannot be read; ContractError for one that is no kernel's, that does not compile, that has no kernel of that name,
    that does not say how it is launched, or that needs Numba CUDA or Triton where these are not installed.
    """
    path, name = split_name(str(given))
    if path.suffix not in SUFFIXES:
        raise ContractError(f"{path}: a kernel's file is CUDA C++ (.cu), PTX (.ptx) or Python with Numba CUDA or Triton (.py)")
    text = _text_of(path)
    python = path.suffix == ".py"
    there = _python_kernels(path, text) if python else dict.fromkeys(_names_in(path, text))
    if not there and (python or "__global__" not in text):
        raise ContractError(f"{path}: there is {_WANTED[path.suffix]} in it")
    line = _line_of(path, text, name, launch, there)
    if signature:
        line = line.with_signature(signature)
    if not python:
        return OwnKernel(line.kernel, path, text, _compiled(path, text, line.kernel, list(there), OPTIONS + DEBUG * debug), line)
    if line.kernel not in there:
        raise _no_kernel(path, line.kernel, list(there))
    return OwnKernel(line.kernel, path, text, there[line.kernel], line)


def _no_kernel(path: Path, name: str, there: list[str]) -> ContractError:
    return ContractError(f"{path}: there is no kernel {name!r} in it; it has {', '.join(there) or 'none'}")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ContractError(f"{path}: it is not text in UTF-8") from None


def _names_in(path: Path, text: str) -> list[str]:
    """Return the names of the kernels that CUDA C++ or PTX declares."""
    plain = _COMMENT.sub("", text)
    return list(dict.fromkeys(_ENTRY.findall(plain) if path.suffix == ".ptx" else (n for n, _ in _KERNEL.findall(plain))))


def _line_of(path: Path, text: str, name: str, launch: str, there: Mapping[str, Any]) -> LaunchLine:
    """Return the launch line that is meant. Raises ContractError where there is none, or where several kernels have one."""
    if launch:
        line = parse(launch, f"the launch {launch!r}", _language(path, launch, there))
        if name and line.kernel != name:
            raise ContractError(f"the launch {launch!r} is of {line.kernel}, and {path}:{name} was asked for")
        return line
    lines = [parse(found, f"{path.name}:{number}", _language(path, found, there)) for number, found in lines_in(text).items()]
    fitting = [line for line in lines if name in ("", line.kernel, line.kernel.partition("<")[0])]
    if not fitting:
        if name and name.partition("<")[0] not in there:
            raise _no_kernel(path, name, list(there))
        missing = name or next(iter(there), "mm")
        language = language_of(there[missing.partition("<")[0]]) if path.suffix == ".py" else CUDA
        model = f"{'#' if path.suffix == '.py' else '//'} launch: {example(language).replace('mm', missing, 1)}"
        raise ContractError(f"{path}: no line says how {missing} is launched; write one such as '{model}', or give --launch")
    if len(fitting) > 1:
        several = ", ".join(line.kernel for line in fitting)
        if len({line.kernel for line in fitting}) == 1:
            places = " and ".join(line.where for line in fitting)
            raise ContractError(f"{path}: {fitting[0].kernel} has several launch lines ({places}); leave one, or give --launch")
        raise ContractError(f"{path}: several launch lines fit ({several}); say which kernel is meant: {path}:{fitting[0].kernel}")
    return fitting[0]


def _language(path: Path, launch: str, there: Mapping[str, Any]) -> str:
    """Return the language of the kernel that a launch line launches; of one that the file does not have, the likely one."""
    if path.suffix != ".py":
        return CUDA
    kernels = list(there.values())
    return language_of(there.get(kernel_in(launch), kernels[0])) if kernels else NUMBA


# ---- CUDA C++ and PTX ------------------------------------------------------------------------------------------------------------


def _compiled(path: Path, text: str, name: str, there: list[str], options: tuple[str, ...]) -> Any:
    """Return a kernel of CUDA C++ or PTX, compiled and translated. Raises ContractError where that fails."""
    try:
        return _called(name, _function_of(path, text, name, there, options))
    except emulator.EmulatorError as error:
        raise ContractError(f"{path}: {one_line(str(error))}") from None


def _function_of(path: Path, text: str, name: str, there: list[str], options: tuple[str, ...]) -> Any:
    """Return the function of a kernel: under its own name, if it is declared extern "C", or under C++'s name for it."""
    if "<" not in name or path.suffix == ".ptx":
        module = emulator.RawModule(code=text, options=options, filename=path.name)
        if name in module.module.functions:
            return module.get_function(name)
        if path.suffix == ".ptx" or name not in there:  # what macros declare is not among `there`
            declared = [n for n, f in module.module.functions.items() if f.is_entry and not n.startswith("_Z")]
            raise _no_kernel(path, name, list(dict.fromkeys([*there, *declared])))
    elif name.partition("<")[0] not in there:
        raise _no_kernel(path, name, there)
    return emulator.RawModule(code=text, options=options, filename=path.name, name_expressions=(name,)).get_function(name)


def _called(name: str, function: Any) -> Any:
    """Return a kernel that reports call by the name in its source, where C++ has given it a mangled one."""
    function.translated = replace(function.translated, title=name)
    return function


def one_line(message: str) -> str:
    """Return an error in one line: of a compiler's log the first error, and how many more there are."""
    first, *log = [line.strip() for line in message.splitlines() if line.strip()]
    if first.startswith("Numba cannot compile"):
        return _numbas_reason(first, log)
    errors = [line for line in log if "error" in line]
    others = sum(": error" in line for line in errors) - 1
    if "instance of function template" in "".join(errors[:1]):
        return f"{first} a kernel that is a template is launched by its full name, such as add<float><<<grid, block>>>(a, b, y, n)"
    more = f" (and {others} more error{'s' if others > 1 else ''})" if others > 0 else ""
    return " ".join([first, *errors[:1]]) + more


def _numbas_reason(first: str, log: list[str]) -> str:
    """Return what Numba says to be wrong, with the line of the source, out of an error of many lines."""
    head = first.partition(" for (")[0]
    reason = next((line for line in log if not line.startswith(("Failed in", "File ", "<source"))), "it gives no reason")
    line = next((match[1] for text in log if (match := re.match(r'File ".*", line (\d+)', text))), "")
    return f"{head}: {reason}{f', in line {line}' if line else ''}"


# ---- Python ----------------------------------------------------------------------------------------------------------------------


def _python_kernels(path: Path, text: str) -> dict[str, Any]:
    """Return the functions decorated with `cuda.jit` or `triton.jit` of a Python file, by name.

    The file is executed, as an import does; where it imports Triton, with the emulator in the place of Triton's GPU. Raises
    ContractError where Numba CUDA or Triton is not installed and where the file cannot be executed.
    """
    of_triton = re.search(r"^\s*(?:import|from)\s+triton\b", text, re.MULTILINE) is not None
    if of_triton and find_spec("triton") is None:
        raise ContractError(f"{path}: Triton kernels need Triton: {install('triton')}")
    try:
        from numba.cuda.dispatcher import CUDADispatcher
    except ImportError:
        raise ContractError(f"{path}: Python kernels need Numba CUDA: {install('emulator')}") from None
    with emulator.triton() if of_triton else nullcontext():
        module = _executed(path)
    found = {name: value for name, value in vars(module).items() if isinstance(value, CUDADispatcher)}
    kernels = {name: kernel for name, kernel in found.items() if not kernel.targetoptions.get("device")}
    for name, value in vars(module).items():
        if triton_kernel.is_triton(value):
            triton_kernel.require_compiled(value, f"{path}:{name}")
            kernels[name] = value
    return kernels


def _executed(path: Path) -> ModuleType:
    """Execute a Python file as a module of its own name. Raises ContractError, with the line, for whatever goes wrong in it."""
    try:
        return executed(path, f"own_kernel_{path.stem}", listed=True)
    except (Exception, SystemExit) as error:
        own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else own[-1] if own else None
        where = f"{path}:{line}" if line else f"{path}"
        raise ContractError(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from None

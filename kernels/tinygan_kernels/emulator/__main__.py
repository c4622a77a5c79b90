"""`python -m tinygan_kernels.emulator FILE ...`: run a CUDA C++ program, or a Python script with Numba, CuPy or Triton kernels."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from tinygan_kernels.emulator import EmulatorError, checks, numba, triton
from tinygan_kernels.emulator.cupy.importing import stand_in
from tinygan_kernels.emulator.errors import KernelAssertion
from tinygan_kernels.emulator.program.process import HostFault
from tinygan_kernels.emulator.program.program import Program
from tinygan_kernels.emulator.sanitizer.findings import SanitizerError

CPLUSPLUS = (".cu", ".cpp", ".cc", ".cxx", ".c")
READER_GONE = 128 + 13
"""The exit code of a program that SIGPIPE ended, as a shell gives it."""
IMPORTS_TRITON = rb"^\s*(from\s+triton\b|import\s+([\w., \t]*,\s*)?triton\b)"
EPILOG = """file.cu: its main() runs on this machine, its kernels on the emulator. The exit code is main's; 1 after a finding of the
sanitizer in a kernel or a wrong access in host code, which end the program; 2 where the file cannot be run. script.py: runs as in
Python, in `emulator.numba()` and, where it imports Triton, `emulator.triton()`, with emulator.cupy in the place of CuPy.
docs/emulator.md says what both can use."""


def main(arguments: list[str] | None = None) -> None:
    """Run a CUDA C++ file with a main(), or a Python script. Exits with 2 where there is nothing to run."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygan_kernels.emulator", epilog=EPILOG,
        description="Run a CUDA program on the emulator, without a GPU: a CUDA C++ file, or a Python script whose kernels are "
        "Numba's, CuPy's or Triton's.",
    )  # fmt: skip
    parser.add_argument("--no-checks", action="store_true", help="run several times faster, without the sanitizer")
    of_nvcc = parser.add_argument_group("options of nvcc, for file.cu")
    of_nvcc.add_argument("-D", action="append", default=[], metavar="NAME=VALUE", help="define a macro")
    of_nvcc.add_argument("-I", action="append", default=[], metavar="FOLDER", help="look for headers there too")
    of_nvcc.add_argument("-std", metavar="c++17", help="the version of C++")
    of_nvcc.add_argument("-arch", metavar="sm_80", help="the architecture that kernels are compiled for (sm_80)")
    of_nvcc.add_argument("-use_fast_math", "--use_fast_math", action="store_true", help="approximate functions in kernels")
    parser.add_argument("file", help="the program: file.cu or script.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program gets as its arguments")
    given = parser.parse_args(arguments)
    if not Path(given.file).is_file():
        parser.error(f"there is no script or program {given.file}")
    if Path(given.file).suffix == ".cuh":
        parser.error(f"{given.file} is a header: a .cu file with a main() can be run")
    if Path(given.file).suffix in CPLUSPLUS:
        _run_program(parser, given)
    else:
        _run_script(parser, given)


def _run_program(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Run a CUDA C++ file, and exit with its code."""
    options = [f"-D{d}" for d in given.D] + [f"-I{folder}" for folder in given.I]
    options += [f"-std={given.std}"] * bool(given.std) + [f"-arch={given.arch}"] * bool(given.arch)
    options += ["--use_fast_math"] * given.use_fast_math
    try:
        with checks(not given.no_checks):
            code = Program(given.file, tuple(options)).run(given.arguments)
    except (HostFault, KernelAssertion, SanitizerError) as error:
        sys.stdout.flush()
        lines = error.findings if isinstance(error, SanitizerError) else [error]
        sys.exit("\n".join(map(str, lines)))
    except EmulatorError as error:
        _refuse(parser, error)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # whoever read the output has gone, as in `... program.cu | head`
        code = READER_GONE
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
    if code == READER_GONE:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still has to write at its end
    sys.exit(code)


def _run_script(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Run a Python script as Python does, inside of `emulator.numba()`, and with `emulator.cupy` in the place of CuPy.

    A script that imports Triton runs in `emulator.triton()` too.
    """
    sys.argv = [given.file, *given.arguments]
    sys.path.insert(0, str(Path(given.file).resolve().parent))
    uses_triton = re.search(IMPORTS_TRITON, Path(given.file).read_bytes(), re.MULTILINE) is not None
    stand_in()
    try:
        with numba(), triton() if uses_triton else nullcontext(), checks(not given.no_checks):
            runpy.run_path(given.file, run_name="__main__")
    except EmulatorError as error:
        if _of_script(error, given.file):
            raise
        _refuse(parser, error)


def _refuse(parser: argparse.ArgumentParser, error: EmulatorError) -> NoReturn:
    """Say why a file cannot be run, and exit with 2."""
    sys.stdout.flush()
    print(f"{parser.prog}: error: {error}", file=sys.stderr)
    sys.exit(2)


def _of_script(error: BaseException, script: str) -> bool:
    """Return whether an exception passed through the script: then it is shown with its traceback."""
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename in (script, str(Path(script).resolve())):
            return True
        at = at.tb_next
    return False


if __name__ == "__main__":
    main()

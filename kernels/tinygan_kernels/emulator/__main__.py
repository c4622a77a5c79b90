"""`python -m tinygan_kernels.emulator script.py ...`: run a Python script whose Numba CUDA or CuPy kernels need no GPU."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from tinygan_kernels.emulator import EmulatorError, checks, cupy, numba


def main(arguments: list[str] | None = None) -> None:
    """Run a script as Python does, inside of `emulator.numba()`, and with `emulator.cupy` in the place of CuPy.

    Exits with 2 where there is nothing to run.
    """
    what = "Run a Python script on the emulator: its Numba CUDA and CuPy kernels need no GPU."
    parser = argparse.ArgumentParser(prog="python -m tinygan_kernels.emulator", description=what)
    parser.add_argument("--no-checks", action="store_true", help="run several times faster, without the sanitizer")
    parser.add_argument("script", help="the Python script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script gets as its arguments")
    given = parser.parse_args(arguments)
    script = Path(given.script)
    if script.suffix in (".cu", ".cuh", ".cpp"):
        parser.error(f"{script} is CUDA C++, of which the emulator runs kernels, not main(): launch them from Python with "
                     "emulator.RawKernel(code, name)(grid, block, args)")  # fmt: skip
    if not script.is_file():
        parser.error(f"there is no script {script}")
    sys.argv = [given.script, *given.arguments]
    sys.path.insert(0, str(script.resolve().parent))
    sys.modules |= {"cupy": cupy, "cupy.cuda": cupy.cuda}
    try:
        with numba(), checks(not given.no_checks):
            runpy.run_path(given.script, run_name="__main__")
    except EmulatorError as error:
        if _of_script(error, given.script):
            raise
        parser.error(str(error))


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

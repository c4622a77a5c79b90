"""Find where NumPy 1 computes in another precision than NumPy 2: tests with a setting with which NumPy 1.26 tells every place.

NumPy 1 looks at the values of scalars and of arrays without dimensions, NumPy 2 only at their types (NEP 50, "Promotion rules for
Python scalars"). So float32 numbers plus a float64 array without dimensions are float32 in NumPy 1 and float64 in NumPy 2. With
NPY_PROMOTION_STATE=weak_and_warn NumPy 1.26 follows NumPy 2 (but in `np.where`), and warns wherever its own result would have been
another. A place at which NumPy 1 has fewer digits, or numbers of another kind, is an error here: results would depend on the
version. One at which it has more is not, as what a kernel returns is rounded into its output.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STATE = {"NPY_PROMOTION_STATE": "weak_and_warn"}
WARNING = "result dtype changed due to the removal of value-based promotion from NumPy. Changed from "
MORE_DIGITS = ("float64 to float32", "complex128 to complex64")
IGNORED = (
    *(word for change in MORE_DIGITS for word in ("-W", f"ignore:{WARNING}{change}.:UserWarning")),
    "-W", f"ignore:{WARNING}float32 to float64.:UserWarning:matplotlib.colors",  # a matter of Matplotlib's alone
)
KERNELS, ENGINE = "tests/tinygan_kernels", "tests/tinygan"
# The formulas of every kernel, what judges them and their hard cases.
SMALL = (f"{KERNELS}/test_reference.py", f"{KERNELS}/verification/test_verify.py", "-k", "not cpu and not another_memory")
# These, and what is built on them: ops and their derivatives, numbers of NumPy and of Python, layers, optimisers, losses, measures.
ALL = (
    *SMALL[:2], f"{KERNELS}/test_contract.py", f"{KERNELS}/test_parameters.py", f"{ENGINE}/engine", f"{ENGINE}/nn",
    f"{ENGINE}/test_optim.py", f"{ENGINE}/game", f"{ENGINE}/measure", "-k", "not cpu",
)  # fmt: skip
# Two additions that the sweep has to tell apart: NumPy 1 gives float32 and NumPy 2 float64, and the other way round.
FEWER, MORE = "numpy.ones(2, 'f4') + numpy.array(1.0)", "numpy.float32(1) + 1.5"


def sees(python: Path | str, variables: Mapping[str, str]) -> bool:
    """Return whether the NumPy of that Python tells of FEWER and the options ignore MORE: NumPy 1.26 does, NumPy 2 does not."""
    codes = []
    for addition in (MORE, FEWER):
        command = [str(python), "-W", "error", *IGNORED, "-c", f"import numpy; {addition}"]
        done = subprocess.run(command, env={**variables, **STATE}, capture_output=True, text=True, check=False)
        codes.append((done.returncode, WARNING in done.stderr))
    return codes == [(0, False), (1, True)]


def sweep(python: Path | str, variables: Mapping[str, str], root: Path, tests: Sequence[str] = SMALL) -> int:
    """Run tests with that Python and the setting. Returns pytest's exit code; 1, and prints why, where `sees` is False."""
    if not sees(python, variables):
        print("where NumPy 1 and 2 compute in different precisions was NOT looked for: this NumPy does not tell; 1.26 does")
        return 1
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *IGNORED, *tests]
    return subprocess.run(command, cwd=root, env={**variables, **STATE}, check=False).returncode

"""Why tests of Numba CUDA do not pass on the emulator: the classes of reasons, and which test has which."""

from __future__ import annotations

import re
from typing import NamedTuple


class Reason(NamedTuple):
    """A reason: the tests that it is of, a pattern that their ids match in whole, and what it is, in a sentence."""

    name: str
    tests: str
    sentence: str


REASONS = (
    Reason(
        "cuda.core",
        r"cudadrv/test_cuda_driver.py::TestCudaDriver::test_cuda_(core_.*|driver_(basic|occupancy|stream_operations))"
        r"|cudadrv/test_(events|context_stack).py::.*(cuda_core_stream|attached_non_primary)"
        r"|cudadrv/test_module_callbacks.py::TestModuleCallbacks::test_(decldevice_arg|jitarg)"
        r"|nrt/test_nrt.py::TestNrtLinking::test_nrt_detect_linked_ptx_file",
        "The test calls NVIDIA's driver library itself, through cuda.core or cuda.bindings, and not through Numba.",
    ),
    Reason(
        "start of the driver", r"cudadrv/test_init.py::.*(failure_error|failure_raising)",
        "The test looks at the message of a driver library that is found and does not start; there is none to be found.",
    ),
    Reason(
        "registers", r"cudapy/test_dispatcher.py::.*regs_per_thread.*|cudadrv/test_linker.py::.*set_registers_no_max",
        "The test asks how many registers ptxas gave a kernel; the emulator runs PTX, in which registers are not yet allotted.",
    ),
    Reason(
        "warnings of NVRTC", r"cudadrv/test_linker.py::TestLinker::test_linking_cu_log_warning",
        "The test wants the compiler's warnings about linked CUDA C++ as a Python warning; the emulator tells of errors alone.",
    ),
    Reason(
        "memory of other processes", r"cudapy/test_ipc.py::.*",
        "The test shares device memory between processes (IPC), which the emulated device does not offer.",
    ),
    Reason(
        "LTO with source lines",
        r"cudapy/test_(intrinsics.py::.*test_h\w+_ptx|inspect.py::.*lto_asm|bfloat16_bindings.py::.*_in_lto)",
        "The test looks at what link-time optimisation makes; the emulator asks Numba for source lines, which that link refuses.",
    ),
    Reason(
        "a fault in the test", r"cudapy/test_dispatcher.py::TestDispatcher::test_dispatcher_cpointer_arguments",
        "The test's kernel reads and writes 16 elements of arrays of 10: the sanitizer is right.",
    ),
)
OTHER = "not known"


def reason_of(test: str) -> str:
    """Return the name of the reason for which a test is known not to pass, OTHER for a test that is not known."""
    return next((reason.name for reason in REASONS if re.fullmatch(reason.tests, test)), OTHER)

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
        "memory of other processes", r"cudapy/test_ipc.py::.*",
        "The test shares device memory between processes (IPC), which the emulated device does not offer.",
    ),
    Reason(
        "two stamps of one source", r"cudapy/test_caching.py::CUDAAndCPUCachingTest::.*",
        "Numba and numba-cuda share an index of compiled functions, stamped by one with the hash of the source, by the other with "
        "its time: each throws away what the other has kept, on a GPU too.",
    ),
    Reason(
        "too large", r"cudapy/test_intrinsics.py::.*issue_9229|doc_examples/test_random.py::.*ex_3d_grid",
        "The test's grid has 5.7 billion threads, or its array 450 million elements: no work for an emulator.",
    ),
    Reason(
        "a fault in the test",
        r"cudapy/test_dispatcher.py::TestDispatcher::test_dispatcher_cpointer_arguments"
        r"|cudapy/test_localmem.py::TestCudaLocalMem::test_struct_model_type_arr",
        "The test's kernel reads and writes 16 elements of arrays of 10, or 10 of arrays of 1: the sanitizer is right.",
    ),
)
OTHER = "not known"


def reason_of(test: str) -> str:
    """Return the name of the reason for which a test is known not to pass, OTHER for a test that is not known."""
    return next((reason.name for reason in REASONS if re.fullmatch(reason.tests, test)), OTHER)

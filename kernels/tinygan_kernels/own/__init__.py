"""Kernels of one's own: judged by the contract, profiled beside the ladder's rungs, explained in pictures. No GPU is needed.

    from tinygan_kernels.own import verify
    print(verify("mm.cu", as_="matmul"))       # a file in CUDA C++, PTX or Python, with a launch line in it

`tinygan kernels verify mm.cu --as matmul` is the same on the command line, and the section "Your own kernel" of docs/kernels.md
takes a product from wrong to right with it. Python files have kernels of Numba CUDA or Triton. In reading order: launch_line,
triton_kernel, kernel_file, host, diagnosis, judge, profiles, subjects, accesses, explain, pictures, traced, page; race, gpu_race.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "KernelExplanation": "explain",
    "KernelVerdict": "judge",
    "OwnKernel": "kernel_file",
    "bench": "gpu_race",
    "explain_line": "explain",
    "explained": "explain",
    "ladder_subject": "subjects",
    "own_subject": "subjects",
    "page_of": "page",
    "traced": "traced",
    "profile": "profiles",
    "read": "kernel_file",
    "verify": "judge",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

"""The error of CUDA's runtime, under CuPy's name."""

from __future__ import annotations


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA returns an error: its name and its text."""

    def __init__(self, status: int, text: str = "cudaErrorInvalidDevice: invalid device ordinal"):
        super().__init__(text)
        self.status = status

"""Put the emulator into every Python that a test of Numba CUDA starts: the suite's children have this folder on PYTHONPATH."""

import os

if "NUMBA_SUITE_LOG" in os.environ and "NUMBA_ENABLE_CUDASIM" not in os.environ:
    from tinygan_kernels import emulator

    _entered = emulator.numba()
    _entered.__enter__()

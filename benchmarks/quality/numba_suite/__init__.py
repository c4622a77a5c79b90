"""Numba CUDA's own tests, as they are installed, run on the emulator in the place of a GPU."""

"""The same kernels, written in Python for Numba CUDA."""

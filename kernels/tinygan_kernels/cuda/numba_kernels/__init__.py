"""The CUDA kernels written in Python for Numba, and the host code that launches them."""

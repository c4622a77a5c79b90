"""The two CUDA backends: kernels in CUDA C++ (cpp/) and in Numba CUDA (numba_kernels/), on a GPU or executed by the emulator."""

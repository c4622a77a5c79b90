"""The CUDA C++ kernels (*.cu) and the host code that launches them."""

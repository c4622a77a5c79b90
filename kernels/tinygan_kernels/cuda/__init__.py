"""CUDA C++ sources, one file an op, versions in order. Data for `tinygan_kernels.cuda_cpp`, no Python here."""

"""Run CUDA C++ programs whole: the code of the host compiled to this machine, kernels emulated."""

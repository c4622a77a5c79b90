"""Profiles of CUDA kernels: counters, the work that a launch has to do, rooflines and machine code."""

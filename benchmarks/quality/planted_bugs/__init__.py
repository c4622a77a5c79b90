"""CUDA kernels with one planted bug each, and their right twins: what does the emulator's sanitizer catch, and does it ever cry wolf?"""

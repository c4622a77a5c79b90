"""CUDA kernels with one planted bug each, and their right twins: what the emulator's sanitizer catches and where it errs."""

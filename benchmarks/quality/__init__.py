"""Benchmarks of the quality of samples."""

"""Faults planted by hand, each of which a test has to notice; `python -m benchmarks.quality.planted` tries them."""

"""Checks while a kernel runs: bounds, uninitialised reads, races, barriers."""

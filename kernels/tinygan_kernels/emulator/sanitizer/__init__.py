"""Checks of a running kernel for uninitialised reads and races, and the findings that all checks report."""

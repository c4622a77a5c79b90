"""Measurements: each script prints what the README quotes."""

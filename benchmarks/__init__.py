"""Measurements: of speed, of quality, and the scripts that write them into the documentation."""

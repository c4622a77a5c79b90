"""Runs: their options, their loop, their checkpoints, and the samples of a trained G."""

"""Convolutions on the CPU: the ladder (`choice`) and its ways: im2col, direct, Winograd."""

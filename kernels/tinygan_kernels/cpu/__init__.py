"""The CPU backend: compiled loops, matrix products and convolutions, and the runtime that shares them out among threads."""

"""The CPU backend: compiled loops, matrix products and convolutions, and the runtime that shares their parts among threads."""

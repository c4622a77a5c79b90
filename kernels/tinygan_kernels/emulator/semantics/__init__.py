"""The meaning of PTX instructions, as pure functions of NumPy vectors (one element per thread)."""

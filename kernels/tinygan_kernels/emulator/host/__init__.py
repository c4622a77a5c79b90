"""The host's side of a launch: compiling, modules and arguments, as CuPy and Numba have them."""

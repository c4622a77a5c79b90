"""The host's side of a launch: compiling, modules, arguments, launching, as CuPy and Numba have them."""

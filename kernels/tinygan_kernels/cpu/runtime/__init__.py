"""The runtime of compiled loops: stages, their arguments, the team of threads, the compiler and its cache."""

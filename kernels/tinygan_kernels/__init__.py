"""Arrays in, arrays out: the kernels of tinygan, on every backend. Knows nothing of gradients."""

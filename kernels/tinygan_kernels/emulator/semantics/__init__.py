"""What the instructions mean, as pure functions of NumPy arrays."""

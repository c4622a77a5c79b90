"""Functions with right and wrong gradients, as people write them, and the table of which planted mistake is named how."""

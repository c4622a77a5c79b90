"""From PTX instructions to Python source text that works on vectors of lanes."""

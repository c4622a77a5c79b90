"""The translation of PTX into Python source that works on vectors of lanes (threads)."""

"""Matrix products on the CPU: the ladder (`choice`) and its ways: plain loops, register tiles, tiles that leave zeros out."""

"""`python -m tinygan`, the same as `tinygan`."""

from .cli import main

main()

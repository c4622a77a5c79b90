"""`python -m tinygan`, the same as `tinygan`."""

from tinygan.cli.main import main

main()

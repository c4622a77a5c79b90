"""The scripts that write numbers, excerpts, figures and docstrings into docs/ and the README."""

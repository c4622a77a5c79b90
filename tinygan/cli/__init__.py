"""The command line: a module for each command, and main.py, which puts them together."""

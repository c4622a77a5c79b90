"""The optional dependencies (the extras of setup.py), and the one place that says how to install them."""

EXTRAS = ("emulator", "gpu", "inspect", "peers", "test")


def install(extra: str) -> str:
    """Return the shell command that installs an extra, to be typed in the checkout, as the package is on no index."""
    if extra not in EXTRAS:
        raise ValueError(f"there is no extra {extra!r}; setup.py has {', '.join(EXTRAS)}")
    return f"pip install -e '.[{extra}]'"

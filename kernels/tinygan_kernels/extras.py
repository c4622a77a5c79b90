"""The optional dependencies (the extras of setup.py), and the one place that says how to install them."""

EXTRAS = (
    "derive", "draw", "emulator", "emulator-cuda12", "gpu-cuda12", "gpu-cuda13", "inspect", "mutation", "notebooks", "peers",
    "play", "test", "test-cuda12", "triton",
)
CUDA_MAJORS = (12, 13)  # which of them fits depends on the driver, so there is no extra that is just `gpu`


def install(extra: str) -> str:
    """Return the shell command that installs an extra, to be typed in the checkout, as the package is on no index."""
    if extra == "gpu":
        raise ValueError("there is no extra 'gpu': it is gpu-cuda12 or gpu-cuda13, by the driver (tinygan kernels doctor)")
    if extra not in EXTRAS:
        raise ValueError(f"there is no extra {extra!r}; setup.py has {', '.join(EXTRAS)}")
    return f"pip install -e '.[{extra}]'"


def install_gpu(cuda: int = 0) -> str:
    """Return the command that installs what a GPU needs, for a CUDA major version; where it is not known (0), how to choose."""
    if cuda:
        return install(f"gpu-cuda{cuda}")
    return f"{install('gpu-cuda13')} with driver 580 or newer, {install('gpu-cuda12')} with driver 525 or newer"

"""Arrays in, arrays out: the kernels of tinygan on every backend. Knows nothing of gradients and never imports tinygan.

    from tinygan_kernels import load
    cpu = load("cpu")
    c = cpu.launch("matmul", (a, b), trans_b=True)
"""

from __future__ import annotations

from .contract import KERNELS, Backend, ContractError, Kernel, Launch, Version, nan_trap

__all__ = [
    "KERNELS",
    "Backend",
    "BackendError",
    "ContractError",
    "Kernel",
    "Launch",
    "Version",
    "load",
    "names",
    "nan_trap",
    "why_unavailable",
]


class BackendError(ValueError):
    """A backend that does not exist or cannot run here. The message is one line and says what to do."""


def names() -> tuple[str, ...]:
    """Every backend that tinygan has, available here or not; the default, `cpu`, among them."""
    return ("reference", "cpu")


def why_unavailable(name: str) -> str | None:
    """Why backend `name` cannot run on this machine and what would help, in one line; None if it can. Raises BackendError."""
    if name not in names():
        raise BackendError(f"there is no backend {name!r}; tinygan has {', '.join(names())}")
    return None


def load(name: str = "cpu") -> Backend:
    """A new backend value. Imports what it needs only now. Raises BackendError where it cannot run."""
    reason = why_unavailable(name)
    if reason is not None:
        raise BackendError(f"backend {name!r} is not available: {reason}")
    if name == "reference":
        from .reference import backend
    else:
        from .cpu import backend
    return backend()

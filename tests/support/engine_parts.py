"""What the tests of the engine share: tensors of float64, and a count of what passes the door."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tinygan_kernels import Backend, Launch, load

from tinygan import Tensor

REFERENCE = load("reference")


def leaf(values, backend: Backend = REFERENCE) -> Tensor:
    """Return a float64 tensor that requires a gradient."""
    return Tensor(np.array(values, np.float64), backend, requires_grad=True)


def constant(values, backend: Backend = REFERENCE) -> Tensor:
    return Tensor(np.array(values, np.float64), backend)


@contextmanager
def launches(backend: Backend = REFERENCE) -> Iterator[list[Launch]]:
    """Collect every launch made inside the `with`, in order."""
    seen: list[Launch] = []

    def watcher(launch, proceed):
        seen.append(launch)
        proceed()

    with backend.watch(watcher):
        yield seen


def names(seen: list[Launch]) -> list[str]:
    return [launch.kernel.name for launch in seen]

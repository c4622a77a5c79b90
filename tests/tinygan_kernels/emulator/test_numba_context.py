"""What emulator.numba() replaces in Numba is put back, also where it cannot replace all of it."""

from pathlib import Path

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.host import numba_context

OTHER = "this numba-cuda has other internals than those that emulator.numba() replaces"
pytestmark = pytest.mark.skipif(not numba_context.numba_is_replaceable(), reason=OTHER)


@cuda.jit
def double(x):
    x[cuda.grid(1)] *= 2


def test_numba_is_as_it_was_where_something_cannot_be_replaced(monkeypatch):
    """As with another version of numba-cuda: then it is an error of one line, and the next block works."""
    monkeypatch.setattr(numba_context._Device, "_of_finalizers", lambda self: [(Path, "of_another_version", None)])
    for _ in range(2):
        with pytest.raises(EmulatorError, match="of_another_version"), emulator.numba():
            pass
    monkeypatch.undo()
    x = np.ones(4, np.float32)
    with emulator.numba():
        double[1, 4](x)
    np.testing.assert_array_equal(x, 2)

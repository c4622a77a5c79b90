"""Arrays that are reached through addresses are looked for in the whole process, whatever else lives in it."""

import weakref

import numpy as np
from tinygan_kernels.emulator.host.pointers import live_arrays


class Anything:
    """Something that a weak proxy can stand for."""


def test_a_weak_proxy_of_something_that_is_gone_is_passed_over():
    """isinstance of such a proxy raises ReferenceError, for whatever class one asks."""
    held = [weakref.proxy(Anything())]
    array = np.arange(5.0)
    assert any(found is array for found in live_arrays()) and len(held) == 1


def test_a_view_is_replaced_by_the_array_behind_it():
    views = [np.arange(12.0).reshape(3, 4)[1:].T]
    found = [a for a in live_arrays() if a is views[0].base or a is views[0]]
    assert [a.size for a in found] == [12]

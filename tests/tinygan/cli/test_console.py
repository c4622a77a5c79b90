"""What commands share: the backend that they load, and what it says while it compiles."""

import pytest
from numba.core import event

from tinygan.cli import console


@pytest.fixture
def fresh(monkeypatch):
    """Make this process one that has loaded no backend yet; the listeners that the test adds leave with it."""
    console._announce_compilation.cache_clear()
    added, register = [], event.register
    monkeypatch.setattr(event, "register", lambda kind, listener: (added.append((kind, listener)), register(kind, listener)))
    yield added
    for kind, listener in added:
        event.unregister(kind, listener)
    console._announce_compilation.cache_clear()


def test_compiling_is_announced_once_in_a_process_however_many_backends_it_loads(fresh, capsys):
    for name in ("reference", "cpu", "cpu", "cpu"):
        console.load_backend(name)
    assert len(fresh) == 1 and capsys.readouterr().err == ""
    for _ in range(2):
        with event.trigger_event("numba:compile"):
            pass
        console.load_backend("cpu")
    said = capsys.readouterr().err
    assert said.startswith("tinygan: compiling the CPU kernels") and said.count("compiling") == 1

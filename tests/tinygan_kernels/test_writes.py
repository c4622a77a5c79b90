"""Notes of writes: by addresses, so that overlapping views count and neighbours do not."""

import numpy as np
import pytest
from tinygan_kernels import load, writes
from tinygan_kernels.writes import Writes, merged, span

BUFFER = np.zeros((6, 8))
VIEWS = {
    "all": BUFFER, "rows": BUFFER[2:4], "backwards": BUFFER[4:1:-1], "transposed": BUFFER.T[1:3], "steps": BUFFER[1::2, ::-3],
    "one number": BUFFER[3, 3, ...], "repeated": np.broadcast_to(BUFFER[0], (3, 8)), "reversed number": BUFFER[::-1, ::-1][:1, :1],
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_span_of_a_view_is_from_its_first_to_its_last_element(name):
    view, start = VIEWS[name], BUFFER.ctypes.data
    numbers = np.arange(BUFFER.size).reshape(BUFFER.shape)
    held = np.ndarray(view.shape, view.dtype, BUFFER, view.ctypes.data - start, view.strides)
    assert np.shares_memory(held, view)
    places = np.ndarray(view.shape, np.int64, numbers, view.ctypes.data - start, view.strides)
    assert span(view) == (start + 8 * int(places.min()), start + 8 * int(places.max()) + 8)


def test_nothing_lies_nowhere():
    start, stop = span(BUFFER[2:2])
    assert start == stop


def test_a_write_counts_for_views_that_overlap_it_and_from_then_on():
    notes = Writes()
    when = notes.now
    assert not notes.since(BUFFER, when)
    notes.note([BUFFER[2:4]])
    assert notes.since(BUFFER, when) and notes.since(BUFFER[3], when) and notes.since(BUFFER[:, 0], when)
    assert not notes.since(BUFFER[:2], when) and not notes.since(BUFFER[4:], when) and not notes.since(BUFFER[2:2], when)
    later = notes.now
    assert not notes.since(BUFFER, later)
    notes.note([BUFFER[5]])
    assert notes.since(BUFFER, later) and not notes.since(BUFFER[2:4], later) and notes.since(BUFFER[2:4], when)
    notes.note([BUFFER[2:4]])
    assert notes.since(BUFFER[2:4], later), "a second write into the same place"
    assert notes.tick() == notes.now == notes.latest + 1


def test_the_place_that_was_written_least_recently_is_forgotten(monkeypatch):
    monkeypatch.setattr(writes, "REMEMBERED", 2)
    notes = Writes()
    for row in (0, 1, 0, 2):
        notes.note([BUFFER[row]])
    assert [notes.since(BUFFER[row], 0) for row in (0, 1, 2)] == [True, False, True]


def test_memory_is_merged():
    start = BUFFER.ctypes.data
    assert merged([BUFFER[5], BUFFER[0], BUFFER[1:3], BUFFER[2]]) == ((start, start + 3 * 64), (start + 5 * 64, start + 6 * 64))
    assert merged([]) == ()


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_the_door_notes_writes_into_what_was_there_before(name):
    backend = load(name)
    x, old = np.ones(3), np.zeros(3)
    before = backend.writes.now
    backend.launch("neg", (x,))
    backend.launch("neg", (x,), out=np.empty(3), fresh=True)
    assert backend.writes.now == before
    backend.launch("neg", (x,), out=old)
    assert backend.writes.since(old, before) and not backend.writes.since(x, before)
    before = backend.writes.now
    theta, velocity = np.ones(3), np.zeros(3)
    backend.launch("momentum", (x, np.array(0.1)), out=(theta, velocity), sign=-1, mu=0.9)
    assert backend.writes.since(theta, before) and backend.writes.since(velocity, before)

"""The order between streams: what the vector clocks say is what a list of all predecessors says."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.memory import Memory
from tinygan_kernels.emulator.sanitizer import streams as module
from tinygan_kernels.emulator.sanitizer.streams import DEFAULT, HOST, LEGACY, Streams, Use, use_of, uses_of

ONE, OTHER, APART = 0x1010, 0x1020, 0x1030


class Predecessors:
    """The same order, as sets of all work that comes before the next of each stream and of the host."""

    def __init__(self):
        self.before = {s: set() for s in (HOST, DEFAULT, ONE, OTHER, APART)}
        self.events, self.work = {}, []

    def begin(self, stream):
        mine = self.before[stream]
        mine |= self.before[HOST]
        if stream == DEFAULT:
            mine |= self.before[ONE] | self.before[OTHER]
        elif stream != APART:
            mine |= self.before[DEFAULT]

    def use(self, stream, touched, writes):
        others = [self.work[i] for i in range(len(self.work)) if i not in self.before[stream]]
        met = [other for other, wrote in others if (writes or wrote) and other & touched]
        self.before[stream].add(len(self.work))
        self.work.append((touched, writes))
        return bool(met)


def made():
    streams = Streams()
    for stream in (ONE, OTHER, APART):
        streams.made(stream, apart=stream == APART)
    return streams


class Draws:
    """Choices by a generator of random numbers."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def choice(self, options):
        return options[int(self.generator.integers(len(options)))]

    def chance(self, probability):
        return self.generator.random() < probability


def random_step(draw, streams, plain):
    """Do the same in both; return what each says of a race, if it was a piece of work."""
    stream = draw.choice((DEFAULT, ONE, OTHER, APART))
    match draw.choice("uuuuuuurrwweshd"):
        case "u":
            start, size, unit = draw.choice(range(0, 24, 4)), draw.choice((4, 8, 12)), draw.choice((1, 4))
            marks = draw.choice((None, np.array([draw.chance(0.6) for _ in range(size // unit)])))
            writes = draw.chance(0.4)
            use = Use(start, start + size, writes, "x", marks, unit)
            touched = {start + int(i) for i in np.flatnonzero(use.touched(start, start + size))}
            plain.begin(stream)
            said = streams.use(streams.begin(LEGACY if stream == DEFAULT else stream), "it", [use])
            return bool(said), plain.use(stream, touched, writes)
        case "r":
            event = draw.choice(range(3))
            plain.begin(stream)
            plain.events[event] = set(plain.before[stream])
            streams.recorded(event, stream)
        case "w":
            event = draw.choice(range(3))
            plain.begin(stream)
            plain.before[stream] |= plain.events.get(event, set())
            streams.waits(stream, event)
        case "e":
            event = draw.choice(range(3))
            plain.before[HOST] |= plain.events.get(event, set())
            streams.host_waits(event=event)
        case "s":
            plain.begin(stream)
            plain.before[HOST] |= plain.before[stream]
            streams.host_waits(stream)
        case "d" if draw.chance(0.2):
            plain.before[HOST] |= set(range(len(plain.work)))
            streams.host_waits()
    return None


def test_races_are_found_as_by_a_list_of_all_predecessors():
    found = []
    for seed in range(150):
        draw, streams, plain = Draws(seed), made(), Predecessors()
        for step in range(40):
            said = random_step(draw, streams, plain)
            assert said is None or said[0] == said[1], (seed, step)
            found += [said[1]] if said else []
    assert 500 < sum(found) < len(found) - 500


def test_the_host_sees_what_is_in_use_by_the_byte():
    streams = made()
    streams.use(streams.begin(ONE), "the copy", [Use(100, 108, False, "x"), Use(120, 128, True, "x", np.array([True, False]), 4)])
    assert streams.in_use(100, 4, writes=True).by == "the copy"
    assert streams.in_use(100, 4, writes=False) is None
    assert streams.in_use(120, 1, writes=False) and streams.in_use(124, 4, writes=True) is None
    assert streams.free_around(110, 4, 90, 200, writes=True) == (108, 120)
    assert streams.free_around(110, 4, 90, 200, writes=False) == (90, 120)
    assert streams.free_around(124, 4, 90, 200, writes=True) == (124, 128)
    streams.host_waits(OTHER)
    assert streams.in_use(120, 1, writes=False)
    streams.host_waits(ONE)
    assert not streams.uses


def test_a_race_is_told_with_both_sides():
    streams, name = made(), "16 bytes of cudaMalloc at a.cu:1"
    assert not streams.use(streams.begin(ONE), "kernel f (launched at a.cu:3)", [Use(0, 4, True, name)])
    assert streams.use(streams.begin(OTHER), "the cudaMemcpyAsync at a.cu:4", [Use(0, 8, False, name)]) == (
        f"the cudaMemcpyAsync at a.cu:4 reads {name}, which kernel f (launched at a.cu:3) writes in another stream, with nothing "
        "that orders the two (cudaStreamWaitEvent)"
    )


def test_forgotten_memory_is_in_no_race_and_old_uses_are_given_up(monkeypatch):
    monkeypatch.setattr(module, "MOST_USES", 3)
    streams = made()
    for start in range(0, 40, 10):
        streams.use(streams.begin(ONE), "it", [Use(start, start + 10, True, "x")])
    assert [u.start for u in streams.uses] == [10, 20, 30]
    streams.forget(25, 31)
    assert [u.start for u in streams.uses] == [10]


def test_what_a_launch_touched_comes_from_the_records_of_the_racecheck():
    memory = Memory(np.zeros(40, np.uint8), 1000, "x")
    assert uses_of([memory]) == []
    zeros = np.zeros(11, "i8")
    writer, reader = zeros.copy(), zeros.copy()
    writer[[2, 4]] = 7
    reader[9] = 7
    memory.races = SimpleNamespace(size=11, granule=4, writer=writer, readers=[None, reader, None, None])
    read, write = uses_of([memory])
    assert (write.start, write.end, write.writes, write.marks.tolist(), write.unit) == (1008, 1020, True, [True, False, True], 4)
    assert (read.start, read.end, read.writes, read.name) == (1036, 1040, False, "x")
    memory.heap = object()
    assert uses_of([memory]) == []


def test_two_atomic_uses_do_not_race_and_hide_no_plain_one():
    streams = made()
    plain, atomic = (lambda at=at: Use(0, 8, True, "x", atomic=at) for at in (False, True))
    assert not streams.use(streams.begin(ONE), "it", [plain()])
    assert not streams.use(streams.begin(ONE), "it", [atomic()])
    assert streams.use(streams.begin(OTHER), "it", [atomic()]), "the plain one before is kept beside the atomic one"
    streams.host_waits()
    assert not streams.use(streams.begin(ONE), "it", [atomic()]) and not streams.use(streams.begin(OTHER), "it", [atomic()])
    assert streams.use(streams.begin(APART), "it", [Use(4, 6, False, "x")])


def test_streams_that_are_destroyed_are_forgotten_once_the_host_has_waited():
    streams = made()
    streams.use(streams.begin(ONE), "it", [Use(0, 4, True, "x")])
    streams.recorded(7, ONE)
    streams.ended(ONE)
    streams.ended(7)
    assert ONE in streams.known and not streams.events
    assert streams.use(streams.begin(OTHER), "it", [Use(0, 4, True, "x")]), "its work goes on"
    streams.recorded(8, OTHER)
    streams.host_waits()
    assert ONE not in streams.known and not any(ONE in times for times in (*streams.known.values(), *streams.events.values()))
    streams.ended(APART)
    streams.ended(DEFAULT)
    assert streams.several and APART not in streams.known and DEFAULT in streams.known and APART not in streams.apart
    streams.ended(OTHER)
    assert not streams.several


def test_a_use_of_an_array_has_its_bytes_alone():
    whole = np.zeros((4, 6), "i2")
    address = whole.ctypes.data
    for part, writes in ((whole, True), (whole.T, False), (whole[1:3], True), (whole[::2, 1::3], False), (whole[::-1, 2], True),
                         (np.broadcast_to(whole[:, :1], (4, 5)), False)):  # fmt: skip
        use = use_of(part, writes, "x")
        bits = np.zeros(whole.nbytes, bool)
        bits[use.start - address : use.end - address] = use.touched(use.start, use.end)
        expected = np.zeros((4, 6), bool)
        inside = (part.__array_interface__["data"][0] - address) // 2
        strides = [s // 2 for s in part.strides]
        for index in np.ndindex(part.shape):
            expected.reshape(-1)[inside + sum(i * s for i, s in zip(index, strides, strict=True))] = True
        assert (bits.reshape(4, 6, 2) == expected[..., None]).all() and use.writes == writes
    assert use_of(whole[:0], True, "x") is None

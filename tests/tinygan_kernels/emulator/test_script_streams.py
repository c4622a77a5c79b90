"""Races between the streams of a script: what orders CuPy's and Numba's work, and what is silent although it looks like a race.

The bugs themselves are in benchmarks/quality/planted_bugs/scripts.py, each with a twin.
"""

import gc
import threading

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError
from tinygan_kernels.emulator import cupy as cp
from tinygan_kernels.emulator.host.script_order import ORDER
from tinygan_kernels.emulator.sanitizer.streams import Streams, use_of

SOURCE = """extern "C" __global__ void add(float* x, float a) { x[threadIdx.x] += a; }
extern "C" __global__ void count(int* n) { atomicAdd(n, 1); }
__device__ int total;
extern "C" __global__ void store(int a) { total = a; }"""
MODULE = cp.RawModule(code=SOURCE)
ADD, COUNT, STORE = map(MODULE.get_function, ("add", "count", "store"))


@cuda.jit
def nadd(x, a):
    i = cuda.grid(1)
    if i < x.size:
        x[i] += a


def add(x, a=1):
    ADD((1,), (x.size,), (x, np.float32(a)))


@pytest.fixture(autouse=True)
def done_before():
    """What an earlier test has left to streams is done, and streams of its own are gone."""
    gc.collect()
    cp.cuda.Device().synchronize()


@pytest.fixture
def two():
    return cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)


def zeros(count=64):
    made = cp.zeros(count, "f4")
    cp.cuda.Device().synchronize()
    return made


def test_a_race_names_both_kernels_their_lines_and_streams_and_what_to_add(two):
    first, then, x = *two, zeros()
    made_at = ORDER.places[first.ptr]
    assert made_at.startswith("test_script_streams.py:")
    with first:
        add(x)
    with then, pytest.raises(SanitizerError) as told:
        add(x)
    (found,) = told.value.findings
    here = f"test_script_streams.py:{add.__code__.co_firstlineno + 1}"
    assert found.tool == "racecheck" and found.source == here and found.kernel == "kernel add"
    earlier, later = (f"the {which} stream (made at {made_at})" for which in ("earlier", "later"))
    assert str(found) == (
        f"racecheck: kernel add writes argument 0 in {later}, which kernel add at {here} writes in {earlier}, with nothing that "
        f"orders the two: let {later} wait for an event that is recorded in {earlier} after that, {here}"
    ), "the function add has no variable for the streams"


def test_streams_are_called_by_the_variables_of_the_script():
    s, streams, x = cp.cuda.Stream(non_blocking=True), [cp.cuda.Stream(non_blocking=True)], zeros()
    with s:
        x += 1
    named = r"cupy.add writes .* in stream streams\[0\] \(made .* in stream s \(made at "
    with streams[0], pytest.raises(SanitizerError, match=named):
        x += 1
    with pytest.raises(SanitizerError, match=r"ndarray.get reads an array of float32 \(64,\) in the default stream, which "):
        x.get()


def test_other_bytes_and_reads_alone_are_no_race(two):
    x, y = zeros(), zeros()
    with two[0]:
        add(x[:32])
        x[32:40] = 7
        y[::2] = 1
    with two[1]:
        add(x[40:])
        y[1::2] = y[1::2] * 2
        with pytest.raises(SanitizerError, match="setitem"):
            x[39:41] = 0
    cp.cuda.Device().synchronize()
    with two[0]:
        first = x + y
    with two[1]:
        then = x - y
    cp.cuda.Device().synchronize()
    assert (first - then == 2 * y).all()


def test_atomics_of_two_streams_do_not_race_and_a_plain_copy_races_with_them(two):
    n = cp.zeros(1, "i4")
    cp.cuda.Device().synchronize()
    for stream in two:
        with stream:
            COUNT((1,), (64,), (n,))
    with pytest.raises(SanitizerError, match="kernel count at"):
        n.get(stream=two[1])
    cp.cuda.Device().synchronize()
    assert n.get() == 128


def test_variables_of_a_module_race_too(two):
    with two[0]:
        STORE((1,), (1,), (np.int32(1),))
    with two[1], pytest.raises(SanitizerError, match="writes total in"):
        STORE((1,), (1,), (np.int32(2),))


ORDERED = {
    "an event": lambda s, t: t.wait_event(s.record()),
    "an event through a third stream": lambda s, t: (third := cp.cuda.Stream(True), third.wait_event(s.record()),
                                                     t.wait_event(third.record())),
    "a stream that is done": lambda s, t: s.done,
    "an event that is done": lambda s, t: s.record().done,
    "the device": lambda s, t: cp.cuda.Device().synchronize(),
    "the runtime": lambda s, t: cp.cuda.runtime.streamSynchronize(s.ptr),
    "a function of the host": lambda s, t: s.launch_host_func(lambda _: None, None),
    "a callback": lambda s, t: s.add_callback(lambda *_: None, None),
    "Numba's synchronize": lambda s, t: cuda.external_stream(s.ptr).synchronize(),
    "Numba's event": lambda s, t: (e := cuda.event(), e.record(cuda.external_stream(s.ptr)), e.wait(cuda.external_stream(t.ptr))),
}  # fmt: skip


@pytest.mark.parametrize("way", ORDERED)
def test_what_orders_two_streams(way, two):
    x = zeros()
    with emulator.numba():
        with two[0]:
            add(x)
        ORDERED[way](*two)
        with two[1]:
            add(x)
        with pytest.raises(SanitizerError):
            x.get()


def test_the_default_stream_orders_streams_that_block():
    s, t, x = cp.cuda.Stream(), cp.cuda.Stream(), zeros()
    with s:
        add(x)
    with cp.cuda.Stream.null:
        add(x)
    with t:
        add(x)
    with s, pytest.raises(SanitizerError):
        add(x)


def test_what_the_default_stream_was_given_before_a_stream_was_made_counts_as_done():
    kept, x = cp.cuda.Stream(), cp.zeros(64, "f4")
    s, y = cp.cuda.Stream(non_blocking=True), cp.zeros(64, "f4")
    with s:
        add(x)
        with pytest.raises(SanitizerError, match=f"cupy.zeros at {ORDER.places[s.ptr]} writes in the default stream"):
            add(y)
    del kept


def test_each_thread_has_a_default_stream_of_its_own(monkeypatch):
    monkeypatch.setenv("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    x, told = zeros(), []

    def work():
        try:
            assert cp.cuda.get_current_stream() is cp.cuda.Stream.ptds
            add(x)
        except SanitizerError as error:
            told.append(str(error))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(told) == 1 and "writes argument 0 in this thread's default stream, which" in told[0]
    assert "let this thread's default stream wait for an event that is recorded in another thread's default stream" in told[0]


# ---- memory -------------------------------------------------------------------------------------------------------------------


def test_memory_that_is_used_again_is_another_arrays(two):
    """An array is freed, and NumPy gives its memory to an array of the other stream: CuPy's pool would not."""
    for _ in range(20):
        for stream in two:
            with stream:
                x = cp.ones(100)
                y = x * 2 + cp.arange(100)
                x[:50] = y[50:]
                del x, y


def test_a_block_of_the_pool_stays_its_streams(two):
    """Of the blocks that are free another is given, if there is one, and none to other streams and sizes."""
    with two[0]:
        free, x = cp.ones(64, "f4"), cp.ones(64, "f4")
    two[1].wait_event(two[0].record())
    with two[1]:
        add(x)
    del free, x
    with two[1]:
        cp.zeros(64, "f4")
    with two[0]:
        kept = [cp.zeros(256, "f4"), cp.zeros(64, "f4")]
        with pytest.raises(SanitizerError, match="whose block CuPy's memory pool gives out again, writes in "):
            cp.zeros(100, "f4")
    del kept


def test_arrays_from_before_the_first_stream_belong_to_no_streams_blocks(monkeypatch):
    monkeypatch.setattr(ORDER, "streams", Streams())
    monkeypatch.setattr(ORDER, "alive", set())
    x = cp.ones(64, "f4")
    s, t = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    with s:
        view = x[1:]
        add(view)
    del x, view
    with t:
        cp.zeros(64, "f4")
    with s:
        cp.zeros(64, "f4")


def test_the_host_sees_the_bytes_that_a_copy_may_still_write(two):
    x, h = zeros(), cp.cupyx.zeros_pinned(128, "f4")
    x.get(stream=two[0], out=h[:64], blocking=False)
    assert h[64:].sum() == 0 and h[100] == 0 and h[[70, 80]].tolist() == [0, 0], "the other half"
    touches = (lambda: h[3], lambda: h[[3, 70]], lambda: h + 1, lambda: h.sum(), lambda: h.tolist(), lambda: h.__setitem__(5, 1))
    for touch in touches:
        with pytest.raises(SanitizerError, match="has not waited for it: synchronize stream"):
            touch()
        touch()  # it is told once
        x.get(stream=two[0], out=h[:64], blocking=False)
    two[0].synchronize()
    h[5] = 1
    assert h.sum() == 1 and np.asarray(h).sum() == 1 and type(h + h) is np.ndarray
    h += 1
    assert h.sum() == 129 and h.max() == h[5] == 2 and h[:2].tolist() == [1, 1] and "2." in repr(h)


def test_nothing_is_said_without_the_sanitizer(two):
    x = zeros()
    with emulator.checks(False):
        for stream in two:
            with stream:
                add(x)
        x.get()
    x.get()


def test_streams_and_events_that_are_gone_are_forgotten():
    x, before = zeros(), len(ORDER.streams.known)
    for _ in range(5):
        s = cp.cuda.Stream(non_blocking=True)
        with s:
            add(x)
            s.record()
        s.synchronize()
        del s
    cp.cuda.Device().synchronize()
    assert len(ORDER.streams.known) == before and not ORDER.streams.events


# ---- Numba --------------------------------------------------------------------------------------------------------------------


def test_numbas_streams_and_arrays_of_the_host():
    with emulator.numba():
        s, t, h = cuda.stream(), cuda.stream(), np.zeros(64, "f4")
        d = cuda.to_device(h, stream=s)
        nadd[1, 64, s](d, 1)
        nadd[1, 64, t](h, 1)
        with pytest.raises(SanitizerError, match=r"kernel nadd writes argument 0 in stream t \(made at .* in stream s "):
            nadd[1, 64, t](d, 1)
        nadd[1, 64](d, 1)
        nadd[1, 64, t](d, 1)
        happened = []
        t.add_callback(lambda *_: happened.append(1))
        nadd[1, 64, s](d, 1)
        nadd[1, 64, s](h, 1)  # which waits, as Numba copies h back
        nadd[1, 64, t](d, 1)
        with t.auto_synchronize():
            found = d.copy_to_host(stream=t)
        assert found.sum() == 64 * 6 and (h == 2).all() and happened == [1]


def test_a_library_waits_for_the_stream_of_the_arrays_that_it_takes(two):
    x = zeros()
    with emulator.numba():
        with two[0]:
            add(x)
            nadd[1, 64](x, 1)
        s = cuda.stream()
        d = cuda.to_device(np.zeros(64, "f4"), stream=s)
        with two[1]:
            assert cp.asarray(d).sum() == 0
        cuda.synchronize()
        assert x.tolist() == [2] * 64


def test_numbas_kernels_are_refused_where_cupy_captures_the_stream(two):
    x = zeros()
    with emulator.numba(), two[0]:
        d, given = cuda.to_device(np.zeros(64, "f4")), cuda.external_stream(two[0].ptr)
        two[0].begin_capture()
        add(x)
        with pytest.raises(EmulatorError, match="kernel nadd of Numba is launched in a stream that is being captured"):
            nadd[1, 64, given](d, 1)
        two[0].end_capture().launch()
        nadd[1, 64, given](d, 1)
        two[0].synchronize()
        assert x.tolist() == d.copy_to_host().tolist() == [1] * 64


def test_blocks_that_the_pool_gives_back_are_waited_for_and_given_out_no_more(two):
    for of, freed in ((None, two[0]), (two[0], two[0]), (two[1], two[0])):
        with freed:
            x = cp.zeros(64, "f4")
        two[1].wait_event(freed.record())
        with two[1]:
            add(x)
        del x
        cp.get_default_memory_pool().free_all_blocks(of)
        with freed:
            if of is two[1]:
                with pytest.raises(SanitizerError, match="memory pool gives out again"):
                    cp.zeros(64, "f4")
            else:
                cp.zeros(64, "f4")
        cp.cuda.Device().synchronize()


def test_a_function_that_looks_at_a_shape_alone_reads_nothing(two):
    x = cp.zeros((8, 8), "f4")
    cp.cuda.Device().synchronize()
    with two[0]:
        x += 1
    with two[1]:
        assert len(cp.tril_indices_from(x)) == len(cp.triu_indices_from(x)) == len(cp.diag_indices_from(x)) == 2


@pytest.mark.parametrize("write", [lambda h: h.fill(1), lambda h: h.sort(), lambda h: h.partition(3)])
def test_methods_that_write_pinned_memory_are_writes_of_the_host(two, write):
    h, x = cp.cupyx.zeros_pinned(64, "f4"), zeros()
    x.set(h, stream=two[0])
    with pytest.raises(SanitizerError, match="the host writes"):
        write(h)


def test_columns_are_marked_by_elements_and_not_by_bytes_and_old_marks_are_dropped(monkeypatch):
    x = np.zeros((32, 16), "f4")
    columns = [use_of(x[:, i], True, "x") for i in range(3)]
    assert [use.unit for use in columns] == [4] * 3 and columns[0].marks.size == 31 * 16 + 1
    assert [columns[0].meets(use) for use in columns] == [True, False, False]
    assert columns[1].meets(use_of(x[5:6, :2].reshape(-1), True, "x")) and columns[1].meets(use_of(x.view("i2")[:, 3], False, "x"))
    assert not columns[1].meets(use_of(x.view("i2")[:, 4], False, "x")) and columns[1].meets(use_of(x[::-1, 1], False, "x"))
    assert not columns[0].covers(columns[1]) and columns[0].covers(use_of(x[1:, 0], True, "x"))
    streams, columns = Streams(), [use_of(x[:, i], True, "x") for i in range(16)]
    monkeypatch.setattr("tinygan_kernels.emulator.sanitizer.streams.MOST_MARKS", 62)
    for column in columns:
        streams.meeting(streams.begin(0), "", [column])
    assert streams.uses == columns[13:], "of 497 marks each"
    assert use_of(np.zeros((2, 63), "f4")[:, 0], True, "x") is None

"""emulator.cupy: graphs of what a stream is given while it is captured, by the behaviour that CuPy and CUDA document."""

import copy
import gc
import threading

import numpy as np
import pytest
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator import cupy as cp
from tinygan_kernels.emulator.cupy import streams

ADD = 'extern "C" __global__ void add(float* x, float a) { x[threadIdx.x] += a; }'
CUDARuntimeError = cp.cuda.runtime.CUDARuntimeError


def captured(work, stream=None):
    """Return the graph of what `work` gives a stream."""
    stream = stream or cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        assert stream.is_capturing()
        work()
        graph = stream.end_capture()
    assert not stream.is_capturing() and isinstance(graph, cp.cuda.Graph)
    return graph


def test_kernels_are_done_by_each_launch_and_not_before():
    x, number = cp.zeros(4, "f4"), np.array(2, "f4")
    kernel = cp.RawKernel(ADD, "add")
    twice = cp.ElementwiseKernel("float32 x", "float32 y", "y = 2 * x", "twice")
    total = cp.ReductionKernel("float32 x", "float32 y", "x", "a + b", "y = a", "0", "total")
    made = {}

    def work():
        kernel((1,), (4,), (x, number[()]))
        made["y"] = twice(x)
        made["sum"] = total(x, keepdims=True)
        total(x, out=made.setdefault("out", cp.zeros((), "f4")))

    graph = captured(work)
    number[...] = 7  # an argument is what it was when it was given
    assert x.tolist() == [0] * 4
    for launch in (1, 2, 3):
        graph.launch()
        assert x.tolist() == [2 * launch] * 4 and made["y"].tolist() == [4 * launch] * 4
        assert made["sum"].tolist() == [8 * launch] and made["out"] == 8 * launch
    x[...] = 100
    graph.upload()
    graph.launch(cp.cuda.Stream())
    assert made["y"].tolist() == [204] * 4, "it reads the memory as it is then"


def test_structures_are_what_they_were_when_they_were_given():
    """Whether they are given as a NumPy scalar or as an array."""
    source = 'struct S { float a, b; }; extern "C" __global__ void k(float* x, S s) { x[0] = s.a; x[1] = s.b; }'
    kernel, x, given = cp.RawKernel(source, "k"), cp.zeros(4, "f4"), np.array([3, 4], "f4")

    def work():
        kernel((1,), (1,), (x, given))
        kernel((1,), (1,), (x[2:], given.view("f4,f4")[0]))

    graph = captured(work)
    given[...] = 7
    graph.launch()
    assert x.tolist() == [3, 4, 3, 4]


def test_functions_of_arrays_are_computed_again_into_the_same_arrays():
    a, b, out = cp.arange(6, dtype="f4").reshape(2, 3), cp.ones(3, "f4"), cp.zeros((2, 3), "f4")
    made = {}

    def work():
        made["fresh"] = cp.zeros(3)
        made["fresh"] += 1
        made["sum"], made["max"] = a.sum(axis=0), cp.max(a)
        made["all"] = (a * b + 1).T
        made["stack"] = cp.concatenate([a[0], b])
        made["picked"], made["view"] = a[cp.array([1, 0])], a[1, 1:]
        made["norm"] = cp.linalg.norm(a)
        made["sorted"] = cp.sort(a[::-1], axis=0)
        a[0, 0] = 50
        cp.add(a, b, out)
        b[...] += 1
        cp.copyto(out[0], b)
        a[1].sort()
        out.sum(0, None, made.setdefault("total", cp.zeros(3, "f4")))
        cp.add.at(b, cp.array([0, 0]), 10)

    graph = captured(work)
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]] and b.tolist() == [1, 1, 1] and not out.any() and made["fresh"].tolist() == [0] * 3
    for launch in range(2):
        before, weights = a.get(), b.get()
        graph.launch()
        want = before.copy()
        want[0, 0] = 50
        assert (made["sum"] == before.sum(axis=0)).all() and made["max"] == before.max()
        assert (made["all"] == (before * weights + 1).T).all()
        assert (made["stack"] == np.concatenate([before[0], weights])).all()
        assert (made["picked"] == before[[1, 0]]).all() and made["norm"] == pytest.approx(np.linalg.norm(before))
        assert (made["sorted"] == np.sort(before[::-1], axis=0)).all()
        assert (out[0] == weights + 1).all() and (out[1] == want[1] + weights).all()
        assert (made["total"] == out.get().sum(axis=0)).all() and b.tolist() == (weights + 1 + np.array([20, 0, 0])).tolist()
        assert (a == np.stack([want[0], np.sort(want[1])])).all() and np.shares_memory(made["view"], a)
        assert made["fresh"].tolist() == [1] * 3, "it begins with zeros in each launch"
        a[...] = np.random.default_rng(launch).permutation(6).reshape(2, 3)


def test_copies_parts_and_what_is_written_in_place_are_those_of_each_launch():
    x, y, z, at, out = cp.arange(6.0).reshape(2, 3), cp.ones(2), cp.ones(1, "i4"), cp.array(1), cp.zeros((4, 3))
    made = {}

    def work():
        assert cp.ndim(x) == 2 and cp.shape(x) == (2, 3) and cp.result_type(x, "f4") == "f8" and cp.broadcast_shapes(3, (2, 1))
        made["order"], made["type"], made["same"] = cp.ascontiguousarray(x.T), cp.asarray(x, dtype="f4"), cp.asarray(x)
        made["copy"], made["deep"], made["row"] = copy.copy(x), copy.deepcopy(x), x[at]
        made["kept"] = x.compress([False, True, True], 1)
        cp.concatenate((x, x), 0, out)
        assert cp.nan_to_num(y, False) is y
        assert z.byteswap(True) is z

    graph = captured(work)
    assert y.tolist() == [1, 1] and z.tolist() == [1] and not out.any()
    for launch in range(2):
        x[...], y[...], at[...] = cp.arange(6.0).reshape(2, 3) + 10 * launch + 100, np.nan, 1 - launch
        now = x.get()
        graph.launch()
        for name, want in {"order": now.T, "type": now, "same": now, "copy": now, "deep": now, "row": now[1 - launch],
                           "kept": now[:, 1:]}.items():  # fmt: skip
            assert (made[name] == want).all(), (launch, name)
        assert (out == np.concatenate((now, now))).all() and y.tolist() == [0, 0] and z.tolist() == [1 if launch else 1 << 24]
    assert np.shares_memory(made["same"], x) and made["type"].dtype == np.float32


def test_other_threads_and_streams_do_their_work_meanwhile():
    x, y, stream = cp.zeros(4), cp.zeros(4), cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        thread = threading.Thread(target=lambda: y.__iadd__(1))
        thread.start()
        thread.join()
        assert np.asarray(y).tolist() == [1] * 4, "the current stream of another thread is another one"
        x += 1
        graph = stream.end_capture()
    x += 10
    graph.launch()
    assert x.tolist() == [11] * 4
    nested = captured(lambda: (graph.launch(), graph.launch()))
    nested.launch()
    assert x.tolist() == [13] * 4


def test_events_join_streams_and_a_stream_that_is_not_joined_is_told():
    x, other, event, back = cp.zeros(2), cp.cuda.Stream(non_blocking=True), cp.cuda.Event(), cp.cuda.Event()

    def fork(joins):
        stream = cp.cuda.get_current_stream()
        event.record()
        other.wait_event(event)
        with other:
            x[...] += 3
            back.record()
        if joins:
            stream.wait_event(back)
        x[...] *= 2

    graph = captured(lambda: fork(True))
    graph.launch()
    assert x.tolist() == [6, 6]
    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureUnjoined") as told:
        captured(lambda: fork(False))
    assert told.value.status == 904 and x.tolist() == [6, 6]
    x += 1
    assert x.tolist() == [7, 7], "nothing is captured any more"


def test_copies_and_functions_of_the_host_are_captured_in_their_streams():
    memory, source, told = cp.cuda.alloc(8), np.arange(8, dtype="u1"), []
    target = np.zeros(8, "u1")

    def work():
        stream = cp.cuda.get_current_stream()
        memory.copy_from_host_async(source.ctypes.data, 8)
        (memory + 2).memset_async(9, 2, stream)
        cp.cuda.runtime.memcpyAsync(target.ctypes.data, memory.ptr, 8, cp.cuda.runtime.memcpyDefault, stream.ptr)
        stream.launch_host_func(told.append, "called")

    graph = captured(work)
    assert not target.any() and told == []
    graph.launch()
    assert target.tolist() == [0, 1, 9, 9, 4, 5, 6, 7] and told == ["called"]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda x, s: x.get(), 900), (lambda x, s: x.set(np.zeros(3)), 900), (lambda x, s: float(x[0]), 900),
        (lambda x, s: s.synchronize(), 900), (lambda x, s: cp.cuda.Device().synchronize(), 900), (lambda x, s: s.done, 900),
        (lambda x, s: cp.cuda.runtime.memset(x.data.ptr, 0, 8), 900), (lambda x, s: x.data.memset(0, 8), 900),
        (lambda x, s: s.add_callback(print, None), 900), (lambda x, s: cp.nonzero(x), 900), (lambda x, s: x[x > 0], 900),
        (lambda x, s: x[: cp.array(2)], 900),
        (lambda x, s: cp.unique(x), 900), (lambda x, s: cp.allclose(x, x), 900), (lambda x, s: x.tolist(), 900),
        (lambda x, s: cp.random.rand(3), 900), (lambda x, s: s.record().synchronize(), 900),
        (lambda x, s: cp.cuda.runtime.streamSynchronize(s.ptr), 900),
    ],
)  # fmt: skip
def test_what_waits_ends_a_capture(call, status):
    """The line says what cannot be called; end_capture says that something was, and all goes on as before."""
    x, stream = cp.ones(3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(CUDARuntimeError, match="cannot be called while a stream is being captured") as told:
            call(x, stream)
        assert told.value.status == status
        with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated") as told:
            stream.end_capture()
        assert told.value.status == 901
    assert x.get().tolist() == [1] * 3 and not stream.is_capturing()


def test_the_default_stream_is_not_captured_and_waits_for_a_stream_that_is():
    stream, x = cp.cuda.Stream(), cp.zeros(2)
    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureUnsupported"):
        cp.cuda.Stream.null.begin_capture()
    with pytest.raises(CUDARuntimeError, match="cudaErrorInvalidValue"):
        stream.begin_capture(mode=5)
    with pytest.raises(CUDARuntimeError, match="the stream is not being captured"):
        stream.end_capture()
    stream.begin_capture(cp.cuda.runtime.streamCaptureModeGlobal)
    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureImplicit"):
        cp.RawKernel(ADD, "add")((1,), (2,), (cp.zeros(2, "f4"), np.float32(1)))
    with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        stream.end_capture()
    with cp.cuda.Stream(non_blocking=True) as free:
        free.begin_capture()
        with cp.cuda.Stream.null:
            x += 1  # which does not wait for a stream that is non_blocking
        free.end_capture()
    assert x.tolist() == [1, 1]


def test_a_capture_that_an_error_leaves_open_ends_with_its_stream():
    """Else nothing that waits could be called any more, by whoever has no name for the stream."""
    x, free = cp.zeros(2), cp.cuda.Stream(non_blocking=True)

    def fails():
        with cp.cuda.Stream() as stream:
            stream.begin_capture()
            x[...] += 1
            raise KeyError("in a capture")

    with free:
        free.begin_capture()
        with pytest.raises(KeyError) as told:
            fails()
        del told
        gc.collect()
        x[...] += 2
        free.end_capture().launch()
    assert x.get(free).tolist() == [2, 2] and not streams._captured and not streams._graphs.captures


def test_a_wrong_launch_is_refused_when_it_is_given():
    stream, x = cp.cuda.Stream(non_blocking=True), cp.zeros(2, "f4")
    with stream:
        stream.begin_capture()
        with pytest.raises(EmulatorError, match="threads"):
            cp.RawKernel(ADD, "add")((1,), (2000,), (x, np.float32(1)))
        cp.RawKernel(ADD, "add")((1,), (2,), (x, np.float32(1)))
        graph = stream.end_capture()
    graph.launch()
    assert x.tolist() == [1, 1]

"""Ways in which work reaches a stream of a script: out of order each is one finding, and in order none."""

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import cupy as cp

TWO = np.float32(2)
ADD = cp.RawKernel('extern "C" __global__ void add(float* x, float a) { x[threadIdx.x] += a; }', "add")
TWICE = cp.ElementwiseKernel("float32 x", "float32 y", "y = 2 * x", "twice")
TOTAL = cp.ReductionKernel("float32 x", "float32 y", "x", "a + b", "y = a", "0", "total")


@cuda.jit
def nadd(x, a):
    i = cuda.grid(1)
    if i < x.size:
        x[i] += a


class Two:
    """Two streams of CuPy's, `s` and `t`, and two arrays. right: whether `order` lets t wait for s, and s.synchronize is called."""

    def __init__(self, right):
        self.right = right
        self.s, self.t = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
        self.x, self.y = cp.zeros(64, "f4"), cp.zeros(64, "f4")
        cp.cuda.Device().synchronize()

    def order(self):
        if self.right:
            self.t.wait_event(self.s.record())

    def wait(self):
        if self.right:
            self.s.synchronize()

    def pair(self, first, then):
        """Do one thing with s as the current stream and then another with t."""
        with self.s:
            first(self.x, self.y)
        self.order()
        with self.t:
            then(self.x, self.y)

    def host(self, then):
        """Let s write x, and then do something in the default stream."""
        with self.s:
            self.x += 1
        self.wait()
        then(self.x)


def a_stream_as_an_argument(two):
    ADD((1,), (64,), (two.x, TWO), stream=two.s)
    two.order()
    ADD((1,), (64,), (two.x, TWO), stream=two.t)


def an_elementwise_kernel(two):
    y = TWICE(two.x, stream=two.s)
    two.order()
    TWICE(y, stream=two.t)


def an_input_that_is_broadcast(two):
    one = two.x[:1]
    TWICE(one, two.y, stream=two.s)
    two.order()
    with two.t:
        one[0] = 3


def an_output_with_gaps(two):
    TWICE(two.x[:32], two.y[::2], stream=two.s)
    two.order()
    with two.t:
        two.y[2] = 3


def a_reduction(two):
    with two.s:
        two.x += 1
    two.order()
    TOTAL(two.x, stream=two.t)


def the_stream_of_use(two):
    two.s.use()
    two.x += 1
    two.order()
    two.t.use()
    two.x += 1
    cp.cuda.Stream.null.use()


def copies_by_pointers(two):
    two.x.data.copy_from_device_async(two.y.data, 256, two.s)
    two.order()
    two.x.data.memset_async(0, 256, two.t)


def memset_of_the_runtime(two):
    cp.cuda.runtime.memsetAsync(two.x.data.ptr, 0, 256, two.s.ptr)
    two.order()
    with two.t:
        two.x += 1


def a_pinned_buffer_between_two_copies(two):
    memory = cp.cuda.alloc_pinned_memory(256)
    host = np.frombuffer(memory, "f4", 64)
    two.x.data.copy_to_host_async(host.ctypes.data, 256, two.s)
    two.order()
    two.y.data.copy_from_host_async(host.ctypes.data, 256, two.t)


def a_graph_in_two_streams(two):
    with two.s:
        two.s.begin_capture()
        two.x += 1
        graph = two.s.end_capture()
    graph.launch(two.s)
    two.order()
    graph.launch(two.t)


def the_default_stream_that_is_waited_for(two):
    with two.s:
        two.x += 1
    (two.s if two.right else cp.cuda.Stream.null).synchronize()
    two.x.get()


def numbas_kernel_on_cupys_memory(two):
    d = cuda.to_device(np.zeros(64, "f4"))
    x = cp.asarray(d)
    with two.s:
        x += 1
    if two.right:
        two.s.synchronize()
    nadd[1, 64](d, 1)


def a_copy_to_the_device_that_blocks(two):
    with two.s:
        made = cp.asarray(np.ones(64, "f4"), blocking=two.right)
    with two.t:
        made += 1


def a_pinned_array_with_gaps(two):
    h = cp.cupyx.zeros_pinned((64, 2), "f4")
    two.x.set(h[:, 0] if two.right else h.reshape(-1)[:64], stream=two.s)
    h[0, 0] = 1


def a_pinned_array_as_indices(two):
    h, y = cp.cupyx.zeros_pinned(64, "i8"), cp.empty(64, "i8")
    y.set(h, stream=two.s)
    np.add.at(*((np.zeros(1), h) if two.right else (h, np.zeros(1, "i8"))), 1)


def a_pinned_array_as_a_mask(two):
    h, y = cp.cupyx.zeros_pinned(64, "?"), cp.empty(64, "?")
    y.get(two.s, out=h, blocking=False)
    two.wait()
    np.add(np.ones(64), 1, where=h, out=np.zeros(64))


def a_pinned_array_that_is_converted(two):
    h = cp.cupyx.zeros_pinned((8, 8), "f4")
    two.x.get(two.s, out=h.reshape(64), blocking=False)
    two.wait()
    h.astype("f8")


def numbas_kernel_on_a_pinned_array(two):
    h = cp.cupyx.zeros_pinned(64, "f4")
    nadd[1, 64, 0 if two.right else cuda.external_stream(two.s.ptr)](h, 1)
    h.sum()


OF_CUPY = {
    "copyto": lambda two: two.pair(lambda x, y: cp.copyto(x, y), lambda x, y: y.fill(3)),
    "fill and sort": lambda two: two.pair(lambda x, y: x.fill(3), lambda x, y: x.sort()),
    "out": lambda two: two.pair(lambda x, y: cp.add(x, 1, out=y), lambda x, y: y.sum()),
    "a product": lambda two: two.pair(lambda x, y: x.reshape(8, 8) @ x.reshape(8, 8), lambda x, y: x.__setitem__(3, 1)),
    "a conversion": lambda two: two.pair(lambda x, y: x.astype("f8"), lambda x, y: x.__iadd__(1)),
    "an element": lambda two: two.host(lambda x: float(x[3])),
    "printing": lambda two: two.host(repr),
    "asnumpy": lambda two: two.host(cp.asnumpy),
    **{f.__name__.replace("_", " "): f for f in (
        a_stream_as_an_argument, an_elementwise_kernel, an_input_that_is_broadcast, an_output_with_gaps, a_reduction,
        the_stream_of_use, copies_by_pointers, memset_of_the_runtime, a_pinned_buffer_between_two_copies, a_graph_in_two_streams,
        the_default_stream_that_is_waited_for, numbas_kernel_on_cupys_memory, a_copy_to_the_device_that_blocks,
        a_pinned_array_with_gaps, a_pinned_array_as_indices, a_pinned_array_as_a_mask, a_pinned_array_that_is_converted,
        numbas_kernel_on_a_pinned_array,
    )},
}  # fmt: skip


def found(way, given):
    """Return what is found of a way of work that is out of order, and of the same in order."""
    said = []
    for right in (False, True):
        with emulator.numba(), emulator.sanitize() as findings:
            way(given(right))
            cp.cuda.Device().synchronize()
        said.append(list(map(str, findings)))
    return said


@pytest.mark.parametrize("way", OF_CUPY)
def test_ways_of_cupys(way):
    wrong, right = found(OF_CUPY[way], Two)
    assert len(wrong) == 1 and not right


class OfNumba:
    """Two streams of Numba's, a device array, and whether the host waits for the first stream."""

    def __init__(self, right):
        self.right, self.s, self.t = right, cuda.stream(), cuda.stream()
        self.d = cuda.to_device(np.zeros(64, "f4"))

    def wait(self):
        if self.right:
            self.s.synchronize()


def numba_copies_on_the_device(two):
    e = cuda.to_device(np.ones(64, "f4"))
    two.d.copy_to_device(e, stream=two.s)
    two.wait()
    nadd[1, 64, two.t](two.d, 1)


def numba_forall(two):
    nadd.forall(64, stream=two.s)(two.d, 1)
    nadd.forall(64, stream=two.s if two.right else two.t)(two.d, 1)


def numba_mapped_memory(two):
    m = cuda.mapped_array(64, "f4")
    m[:] = 0
    nadd[1, 64, two.s](m, 1)
    two.wait()
    m += 1


def numba_pinned_arguments(two):
    p = cuda.pinned_array(64, "f4")
    p[:] = 0
    nadd[1, 64, two.s](p, 1)
    two.wait()
    p.sum()


def numba_copies_to_pinned_memory(two):
    p = cuda.pinned_array(64, "f4")
    two.d.copy_to_host(p, stream=two.s)
    two.wait()
    p[5]


WAYS = (numba_copies_on_the_device, numba_forall, numba_mapped_memory, numba_pinned_arguments, numba_copies_to_pinned_memory)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_ways_of_numbas(way):
    wrong, right = found(way, OfNumba)
    assert len(wrong) == 1 and not right


def test_numbas_default_stream_may_be_the_threads(monkeypatch):
    def way(two):
        monkeypatch.setenv("CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM", "0" if two.right else "1")
        nadd[1, 64, two.s](two.d, 1)
        nadd[1, 64](two.d, 1)

    wrong, right = found(way, OfNumba)
    assert len(wrong) == 1 and not right


def test_arrays_of_the_host_do_what_numpys_do():
    """Those that are watched: in products, conversions, fields, by masks and without a dimension."""
    h = cp.cupyx.zeros_pinned((4, 4))
    h[1, ..., 2] = 5
    h[[0, 2], 1] = 1
    h[h > 4] = 7
    h[None, 0] = 2
    h[()] += 1
    expected = np.array([[3, 3, 3, 3], [1, 1, 8, 1], [1, 2, 1, 1], [1, 1, 1, 1]])
    assert (h == expected).all() and (h @ h == expected @ expected).all() and (h.T.astype("i4") == expected.T).all()
    assert np.add.reduce(h, axis=1, keepdims=True).shape == (4, 1) and 8 in h and [row[0] for row in h] == [3, 1, 1, 1]
    np.add.at(h, (0, [0, 0]), 1)
    assert h[0, 0] == 5 and f"{h[0, 0]:.1f}" == "5.0" and np.modf(h)[1].max() == h.max() == 8
    fields = cp.cupyx.zeros_pinned(3, "i4,f4")
    fields["f0"] = 3
    assert fields["f0"].sum() == 9 and fields[1]["f0"] == 3 and fields[["f0"]][0][0] == 3


def test_arrays_of_the_host_are_shown_and_pickled_as_numpys_and_have_fields_without_a_dimension():
    two, h, point = Two(True), cp.cupyx.zeros_pinned(64, "f4"), cp.cupyx.zeros_pinned((), "i4,f4")
    two.x.get(two.s, out=h, blocking=False)
    point["f0"] = 3
    assert point["f0"] == 3
    two.s.synchronize()
    assert h.__reduce_ex__(2)[1][0] is np.ndarray and repr(h) == repr(np.zeros(64, "f4"))
    assert h.sum(where=cp.cupyx.zeros_pinned(64, "?")) == 0

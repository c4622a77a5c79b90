"""A recorded step as a CUDA graph: captured once without being run, launched as often as the step is, its memory its own. CuPy is
played by NumPy and the emulator, with streams that note what they are given while they capture."""

import contextlib
import functools
import sys
import types
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.cuda import cpp_backend, graph

from tinygan import Tensor
from tinygan.engine import ops
from tinygan.engine.replay import Replayed

GPU_MISSING = cpp_backend.why_unavailable()
compiles = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="needs Numba CUDA: pip install -e '.[emulator]'")


class Cuda:
    """A stand-in for CUDA's streams, memory pools and graphs; every launch ends in `do`."""

    def __init__(self):
        self.current, self.allocator, self.launched, self.noted = None, None, 0, None
        outer = self

        class Stream:
            def __init__(self, non_blocking=False):
                assert not non_blocking, "inputs arrive in the default stream, which such a stream does not wait for"

            def __enter__(self):
                self.before, outer.current = outer.current, self

            def __exit__(self, *error):
                outer.current = self.before

            def begin_capture(self):
                assert outer.noted is None
                outer.noted = []

            def end_capture(self):
                done, outer.noted = outer.noted, None
                return Graph(done)

        class Graph:
            def __init__(self, done):
                self.done = done

            def launch(self, stream):
                assert isinstance(stream, Stream) and outer.noted is None
                outer.launched += 1
                for call in self.done:
                    call()

        class MemoryPool:
            def __init__(self):
                self.blocks = 0

            def malloc(self, size):
                assert outer.noted is None or self.blocks, "taken from the driver during capture"
                self.blocks += 1

        self.Stream, self.MemoryPool = Stream, MemoryPool
        self.Device = lambda: types.SimpleNamespace(compute_capability="80")

    @contextlib.contextmanager
    def using_allocator(self, allocator):
        before, self.allocator = self.allocator, allocator
        yield
        self.allocator = before

    def do(self, call):
        if self.noted is not None and self.current is not None:
            self.noted.append(call)
        else:
            call()


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for CuPy: NumPy, whose functions with `out=` and whose kernels go through the stream."""
    made, cuda = types.ModuleType("cupy"), Cuda()
    made.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})

    def in_the_stream(function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            return cuda.do(lambda: function(*args, **kwargs)) if "out" in kwargs else function(*args, **kwargs)

        return run

    for name in ("add", "subtract", "multiply", "divide", "tanh", "negative", "sum", "mean"):
        setattr(made, name, in_the_stream(getattr(np, name)))
    made.copyto = lambda y, x: cuda.do(lambda: np.copyto(y, x))

    def module(**options):
        compiled = emulator.RawModule(**options)

        def function(name):
            kernel = compiled.get_function(name)
            return lambda grid, block, args: cuda.do(lambda: kernel(grid, block, args))

        return types.SimpleNamespace(get_function=function)

    made.RawModule, made.asnumpy, made.cuda = module, np.asarray, cuda
    monkeypatch.setitem(sys.modules, "cupy", made)
    return made


def test_captured_once_and_launched_each_time_with_what_is_in_memory_then(cupy):
    x, y, ran = np.zeros(3), np.zeros(3), []

    def double():
        cupy.cuda.allocator(8)  # what a reduction borrows
        ran.append(cupy.cuda.noted is not None)
        cupy.multiply(x, 2, out=y)

    (step,) = graph.joiner(cupy)([double, lambda: cupy.add(y, 1, out=y)])
    for number in range(5):
        x[:] = number
        y[:] = np.nan
        step()
        np.testing.assert_array_equal(y, 2 * x + 1)
        assert cupy.cuda.launched == number
    assert ran == [False, True], "Python goes through the calls twice: once to run them, once to capture them"
    assert cupy.cuda.current is cupy.cuda.allocator is None


def test_what_cannot_be_captured_runs_one_by_one_and_is_told(cupy):
    y = np.zeros(3)

    def reads_a_value_back():
        if cupy.cuda.noted is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    (step,) = graph.joiner(cupy)([lambda: cupy.add(y, 1, out=y), reads_a_value_back])
    step()
    with pytest.warns(RuntimeWarning, match="could not be captured as a CUDA graph .*Unsupported.*one by one"):
        step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step()
    np.testing.assert_array_equal(y, 3)
    assert (cupy.cuda.launched, cupy.cuda.noted, cupy.cuda.current) == (0, None, None)


def test_nothing_to_do_is_no_graph(cupy):
    assert graph.joiner(cupy)([]) == []


def recorded_step(backend):
    rng = np.random.default_rng(0)
    w, b = (Tensor(backend.asarray(rng.standard_normal(shape).astype(np.float32)), backend) for shape in ((5, 7), (7,)))
    return lambda x: (ops.linear(x, w, b, act="leaky_relu", slope=0.2), ops.tanh(ops.neg(x)))


def check_replay(backend):
    step = recorded_step(backend)
    replayed = Replayed(step, backend)
    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal((6, 5)).astype(np.float32)
        eager = step(Tensor(backend.asarray(x), backend))
        for one, other in zip(replayed(x), eager, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert [type(call) for call in replayed.plan.joined] == [graph.Captured]


@compiles
def test_a_recorded_step_is_one_graph(cupy):
    check_replay(cpp_backend.backend())
    assert cupy.cuda.launched == 3


@pytest.mark.gpu
@pytest.mark.skipif(GPU_MISSING is not None, reason=str(GPU_MISSING))
def test_a_recorded_step_is_one_graph_on_a_gpu():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_replay(cpp_backend.backend())

"""emulator.cupy: pointers, pools and pinned memory, what the runtime says of the device, random numbers."""

import gc
import threading
import types
import weakref

import numpy as np
import pytest
from tinygan_kernels.emulator import cupy as cp


def test_arrays_lie_over_memory_that_was_allocated():
    memory = cp.cuda.alloc(64)
    x = cp.ndarray((2, 4), cp.float32, memory)
    x[...] = np.arange(8).reshape(2, 4)
    last = cp.ndarray(2, "f4", memptr=memory + 24)
    assert last.tolist() == [6, 7] and last.data.ptr == memory.ptr + 24 == x.data.ptr + 24
    columns = cp.ndarray((4, 2), "f4", memory, strides=(4, 16))
    assert (columns == x.T).all() and not columns.flags.c_contiguous
    (memory + 4).memset(0, 4)
    assert x[0].tolist() == [0, 0, 2, 3]
    other = cp.zeros(8, "f4")
    other.data.copy_from_device(memory, 32)
    assert (other.reshape(2, 4) == x).all()
    host = np.full(8, 5, "f4")
    memory.copy_from_host(host.ctypes.data, 16)
    memory.copy_to_host(host.ctypes.data + 16, 16)
    assert x.tolist() == [[5] * 4, [4, 5, 6, 7]] and host.tolist() == [5] * 8
    cp.cuda.runtime.memcpy(other.data.ptr, x.data.ptr, 32, cp.cuda.runtime.memcpyDeviceToDevice)
    assert (other.reshape(2, 4) == x).all()
    with pytest.raises(ValueError, match="has 128 bytes, its memory 64"):
        cp.ndarray(32, "f4", memory)
    with pytest.raises(TypeError, match="memptr is a MemoryPointer, not a int"):
        cp.ndarray(2, "f4", 1234)
    assert cp.ndarray((0, 3)).shape == (0, 3) and cp.zeros(0).data.mem.size == 0
    host = np.zeros(4, "u1")
    (memory + 1).memset(-1, 2)
    memory.copy_to_host(host.ctypes.data, 4)
    assert host[1:3].tolist() == [255, 255]


def test_pointers_outside_of_their_memory_and_null_pointers_are_refused():
    memory, runtime = cp.cuda.alloc(64), cp.cuda.runtime
    for wrong, message in (
        (lambda: (memory - 4).memset(0, 4), "a pointer is -4 bytes after the beginning of an allocation of 64"),
        (lambda: cp.ndarray(1, "u1", memory + 65), "a pointer is 65 bytes after"),
        (lambda: memory.memset(0, -1), "-1 bytes are wanted"),
        (lambda: (memory + 60).memset(0, 5), "5 bytes are wanted, and the allocation has 4"),
        (lambda: memory.copy_from_host(0, 4), "at the address 0x0"), (lambda: memory.copy_to_host(None, 4), "at the address 0x0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            wrong()
    for wrong, status in (
        (lambda: runtime.memcpy(0, memory.ptr, 4, 4), 1), (lambda: runtime.memcpy(memory.ptr, 0, 4, 4), 1),
        (lambda: runtime.memset(0, 0, 4), 1), (lambda: runtime.memcpy(memory.ptr, memory.ptr + 8, 4, 5), 21),
    ):  # fmt: skip
        with pytest.raises(runtime.CUDARuntimeError) as told:
            wrong()
        assert told.value.status == status


def test_memory_of_others_lives_as_long_as_an_array_lies_over_it():
    class Owner:
        def __init__(self):
            self.array = np.arange(6, dtype="i4")[::-1]
            interface = self.array.__array_interface__
            kept = {key: interface[key] for key in ("shape", "typestr", "data", "strides")}
            self.__cuda_array_interface__ = {**kept, "version": 3}

    def over(owner):
        first = owner.array.base.ctypes.data
        return cp.ndarray(6, "i4", cp.cuda.MemoryPointer(cp.cuda.UnownedMemory(first, 24, owner), 0))

    for make, values in ((cp.asarray, [5, 4, 3, 2, 1, 0]), (over, [0, 1, 2, 3, 4, 5])):
        owner = Owner()
        gone, array = weakref.ref(owner), make(owner)
        del owner
        gc.collect()
        assert gone() is not None and array.tolist() == values
        del array
        gc.collect()
        assert gone() is None


def test_a_kernel_reads_a_constant_that_was_set_through_an_array():
    code = 'extern "C" { __constant__ float c[4]; __global__ void k(float* y) { y[threadIdx.x] = c[threadIdx.x] + 1; } }'
    module = cp.RawModule(code=code)
    cp.ndarray(4, "f4", module.get_global("c"))[...] = cp.arange(4, dtype="f4")
    y = cp.zeros(4, "f4")
    module.get_function("k")((1,), (4,), (y,))
    assert y.tolist() == [1, 2, 3, 4]


def test_another_librarys_device_array_is_the_same_memory():
    class Foreign:
        def __init__(self, array):
            self.array = array
            self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}

    real = np.arange(12, dtype="i4").reshape(3, 4)
    for given in (real, real[:, 1:3], real[1:1]):
        found = cp.asarray(Foreign(given))
        assert found.shape == given.shape and (found == given).all()
        found += 100
        assert (found == given).all(), "it is no copy"
        assert cp.array(Foreign(given)).data.ptr != given.ctypes.data or not given.size
    mine = cp.array(real)
    interface = mine.__cuda_array_interface__
    assert interface["data"][0] == mine.data.ptr and interface["shape"] == (3, 4) and interface["typestr"] == "<i4"


def test_pools_count_what_is_held_and_keep_to_their_limit():
    pool = cp.get_default_memory_pool()
    gc.collect()
    before = pool.used_bytes()
    held = cp.cuda.MemoryPool().malloc(1000)
    assert pool.used_bytes() == before + 1000 == pool.total_bytes() and pool.free_bytes() == 0
    del held
    assert pool.used_bytes() == before
    array = cp.ndarray(250, "f4", cp.cuda.alloc(1000))
    assert pool.used_bytes() == before + 1000, "the array holds it"
    del array
    assert pool.used_bytes() == before
    pool.set_limit(size=before + 100)
    try:
        with pytest.raises(MemoryError, match="Out of memory allocating 101 bytes"):
            cp.cuda.alloc(101)
    finally:
        pool.set_limit()
    assert pool.get_limit() == 0 and cp.cuda.alloc(101).mem.size == 101
    for wrong in ({"size": 1, "fraction": 0.5}, {"size": -1}, {"fraction": 1.5}):
        with pytest.raises(ValueError, match="fraction"):
            pool.set_limit(**wrong)
    small = cp.cuda.MemoryPool()
    small.set_limit(size=before + 100)
    assert small.get_limit() == before + 100
    with pytest.raises(MemoryError, match="Out of memory allocating 101 bytes"):
        small.malloc(101)
    asked = []
    with cp.cuda.using_allocator(lambda size: asked.append(size) or cp.cuda.malloc_managed(size)):
        cp.cuda.alloc(7)
    cp.cuda.alloc(8)
    assert asked == [7]
    pool.free_all_blocks()
    cp.get_default_pinned_memory_pool().free_all_blocks()
    pinned = cp.cuda.alloc_pinned_memory(80)
    array = np.frombuffer(pinned, np.float64, 10)
    array[...] = 3
    assert pinned.ptr == array.ctypes.data and cp.asarray(array).sum() == 30


def test_free_memory_follows_arrays_and_allocations():
    """Views of one memory count once, memory of others does not count, and what is gone is free again."""
    gc.collect()
    free, total = cp.cuda.runtime.memGetInfo()
    used = cp.get_default_memory_pool().used_bytes()
    assert free == total - used == cp.cuda.Device().mem_info[0]
    foreign = np.frombuffer(bytearray(800), "f8")
    owner = types.SimpleNamespace(__cuda_array_interface__={**foreign.__array_interface__, "version": 3})
    held = [cp.zeros((100, 10)), cp.cuda.alloc(500), cp.asarray(owner)]
    held += [held[0][::2].T, held[0].reshape(-1), cp.ndarray(5, "f4", held[1])]
    assert cp.cuda.runtime.memGetInfo() == (free - 8500, total) and cp.get_default_memory_pool().used_bytes() == used + 8500
    del held[:2]
    assert cp.cuda.runtime.memGetInfo()[0] == free - 8500, "views hold it"
    del held[1], held[-1]
    assert cp.cuda.runtime.memGetInfo()[0] == free - 8000
    del held
    assert cp.cuda.runtime.memGetInfo()[0] == free
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match=f"allocating {total:,} bytes"):
        kept = cp.cuda.alloc(8)
        cp.cuda.memory.malloc(total)
    del kept


def test_the_current_stream_and_the_allocator_are_those_of_the_thread():
    seen, stream = [], cp.cuda.Stream()

    def look():
        seen.append((cp.cuda.get_current_stream(), cp.cuda.get_allocator()))
        cp.cuda.Stream().use()

    ordinary = cp.cuda.get_allocator()
    with stream, cp.cuda.using_allocator(cp.cuda.malloc_managed):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert cp.cuda.get_current_stream() is stream and cp.cuda.get_allocator() is cp.cuda.malloc_managed
        with pytest.raises(ValueError, match="inside of using_allocator"):
            cp.cuda.set_allocator(None)
    assert seen == [(cp.cuda.Stream.null, ordinary)] and cp.cuda.get_current_stream() is cp.cuda.Stream.null


def test_what_the_device_says_of_itself():
    properties = cp.cuda.runtime.getDeviceProperties(0)
    assert properties["warpSize"] == 32 and properties["major"] == 8 and properties["maxThreadsDim"] == (1024, 1024, 64)
    attributes = cp.cuda.Device(0).attributes
    assert attributes["MaxThreadsPerBlock"] == 1024 and attributes["MultiProcessorCount"] == properties["multiProcessorCount"]
    assert cp.cuda.Device() == cp.cuda.Device(0) and cp.zeros(1).device == cp.cuda.Device(0) and cp.cuda.get_device_id() == 0
    for wrong in (lambda: cp.cuda.runtime.setDevice(1), cp.cuda.Device(1).use, lambda: cp.cuda.runtime.getDeviceProperties(2)):
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidDevice: invalid device ordinal"):
            wrong()
    with pytest.raises(AttributeError, match=r"emulator\.cupy\.cuda has no nonsense"):
        cp.cuda.nonsense  # noqa: B018


def test_streams_know_which_is_current_and_call_functions_of_the_host():
    assert cp.cuda.get_current_stream() is cp.cuda.Stream.null
    told = []
    with cp.cuda.Stream(non_blocking=True) as outer:
        with cp.cuda.ExternalStream(outer.ptr) as inner:
            assert cp.cuda.get_current_stream() is inner and inner.ptr == outer.ptr != 0
        assert cp.cuda.get_current_stream() is outer
        outer.launch_host_func(told.append, 1)
        outer.add_callback(lambda *given: told.append(given), 2)
    assert told == [1, (outer, 0, 2)] and cp.cuda.get_current_stream() is cp.cuda.Stream.null


def test_random_numbers_have_the_dtype_that_is_asked_for_and_follow_the_seed():
    for module in (cp.random, cp.random.RandomState(1)):
        module.seed(3)
        first = module.normal(1, 2, (2, 3), dtype=cp.float32)
        module.seed(3)
        assert (module.normal(1, 2, (2, 3)).astype("f4") == first).all()
        assert isinstance(first, cp.ndarray) and first.dtype == np.float32 and module.rand(2, dtype="f4").dtype == np.float32
        assert module.randint(0, 9, size=4, dtype="i4").dtype == np.int32 and module.rand(2).dtype == np.float64
        with pytest.raises(TypeError, match="draws float32 or float64, not int32"):
            module.uniform(0, 1, 2, dtype="i4")
    state = cp.random.RandomState(1)
    state._state = types.SimpleNamespace(rand=lambda n: np.full(n, 1 - 2.0**-53))
    assert (state.rand(3, dtype="f4") < 1).all() and (state.rand(3) == 1 - 2.0**-53).all()
    drawn = cp.random.Generator(cp.random.XORWOW(1)).random(5)
    assert isinstance(drawn, cp.ndarray) and (drawn == cp.random.Generator(cp.random.XORWOW(1)).random(5)).all()

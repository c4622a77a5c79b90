"""Calls through pointers, virtual functions, recursion, and the heap of malloc and new."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")

from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError, UnsupportedInstruction, execute
from tinygan_kernels.emulator.execute.heap import SIZE, Heap
from tinygan_kernels.emulator.execute.memory import GlobalMemory

SOURCE = r"""
typedef float (*Function)(float, int);
__device__ __noinline__ float twice(float x, int n) { return 2 * x + n; }
__device__ __noinline__ float power(float x, int n) {        // loops of any length, an array in local memory
    float products[9];
    products[0] = 1;
    for (int i = 0; i < n; i++) products[i + 1] = products[i] * x;
    return products[n];
}
__device__ __noinline__ int of_another_type(int n) { return -n; }
__device__ Function table[3] = {twice, power, nullptr};
__device__ int (*other)(int) = of_another_type;

extern "C" __global__ void pointers(float* out, const int* which, const int* n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    Function function = table[which[i]];
    out[i] = function(i % 7, n[i]) + function(1.5f, 1) + other(i);
}
extern "C" __global__ void misused(float* out) { out[0] = ((Function)other)(1, 2); }

struct Shape {
    float scale;
    __device__ Shape(float s) : scale(s) {}
    __device__ virtual float area() const = 0;
    __device__ virtual float twice() const { return 2 * area(); }        // calls another virtual function
    __device__ virtual ~Shape() {}
};
struct Square : Shape {
    __device__ Square(float s) : Shape(s) {}
    __device__ float area() const override { return scale * scale; }
};
struct Disc : Shape {
    int* counter;
    __device__ Disc(float s, int* c) : Shape(s), counter(c) {}
    __device__ float area() const override { return 3 * scale * scale; }
    __device__ float twice() const override { return -1; }
    __device__ ~Disc() override { atomicAdd(counter, 1); }
};
extern "C" __global__ void shapes(float* out, int* destroyed, int n) {
    int i = threadIdx.x;
    Shape* shape = i % 3 ? (Shape*)new Square(i) : new Disc(i, destroyed);
    out[i] = shape->area() + 1000 * shape->twice();
    delete shape;
}

__device__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__device__ bool odd(int n);
__device__ __noinline__ bool even(int n) { return n == 0 || odd(n - 1); }
__device__ __noinline__ bool odd(int n) { return n != 0 && even(n - 1); }
__device__ __noinline__ int helper(int n) { return n * n; }
extern "C" __global__ void numbers(int* fib, int* parity) {
    int i = threadIdx.x;
    fib[i] = fibonacci(i % 11) + helper(i);
    parity[i] = even(i) + 2 * odd(i);
}
__device__ __noinline__ int walk(int depth, int* above, int position) {      // changes its caller's array
    int own[4];
    for (int i = 0; i < 4; i++) own[i] = 10 * depth + i;
    int below = depth ? walk(depth - 1, own, position) : 0;
    if (above) above[position] += own[(position + 1) & 3];
    return own[position] + 1000 * below;
}
extern "C" __global__ void frames(int* out) { out[threadIdx.x] = walk(threadIdx.x % 3, nullptr, threadIdx.x & 3); }
__device__ __noinline__ void sort(int* a, int low, int high) {
    if (low >= high) return;
    int pivot = a[high], i = low;
    for (int j = low; j < high; j++)
        if (a[j] < pivot) { int t = a[i]; a[i] = a[j]; a[j] = t; i++; }
    int t = a[i]; a[i] = a[high]; a[high] = t;
    sort(a, low, i - 1);
    sort(a, i + 1, high);
}
extern "C" __global__ void sorted(int* a, int n) { sort(a + threadIdx.x * n, 0, n - 1); }
__device__ __noinline__ unsigned endless(unsigned n, unsigned end) {
    return n == end ? 1 : endless(n + 1, end) ^ endless(n + 3, end);
}
__device__ __noinline__ int large(int n, int* a) {
    int own[256];
    own[n & 255] = own[0] = own[1] = n;
    return n ? large(n - 1, own) + own[1] + a[0] : 0;
}
extern "C" __global__ void too_deep(int* out) { out[0] = endless(1, out[0]); }
extern "C" __global__ void too_large(int* out) { int a[4] = {}; out[0] = large(out[0], a); }
"""


@pytest.fixture(scope="module")
def module():
    return emulator.RawModule(code=SOURCE, filename="calls.cu")


def test_pointers_to_functions(module):
    """Lanes of a warp call different functions; results, loops and local arrays of both stay apart."""
    rng = np.random.default_rng(0)
    i, which, n = np.arange(96), rng.integers(0, 2, 96).astype("i4"), rng.integers(0, 9, 96).astype("i4")
    out = np.zeros(96, "f4")
    with emulator.count() as counts:
        module.get_function("pointers")((2,), (48,), (out, which, n))
    x = (i % 7).astype("f8")
    want = np.where(which == 0, 2 * x + n + 4, x**n + 1.5) - i
    assert (out == want).all()
    assert counts["smsp__sass_branch_targets_threads_divergent.sum"] > 0


def test_a_pointer_to_no_function_is_named(module):
    out, n = np.zeros(32, "f4"), np.zeros(32, "i4")
    null = np.where(np.arange(32) == 5, 2, 0).astype("i4")
    with pytest.raises(EmulatorError, match=r"pointer to no function \(0x0\) in pointers at calls.cu:17 .*thread \(5, 0, 0\)"):
        module.get_function("pointers")((1,), (32,), (out, null, n))
    with pytest.raises(EmulatorError, match=r"a pointer to .*of_another_type.*, whose parameters or results are not"):
        module.get_function("misused")((1,), (1,), (out,))


def test_virtual_functions_of_objects_on_the_heap(module):
    out, destroyed, i = np.zeros(40, "f4"), np.zeros(1, "i4"), np.arange(40, dtype="f4")
    module.get_function("shapes")((1,), (40,), (out, destroyed, np.int32(0)))
    assert (out == np.where(i % 3, i * i * 2001, 3 * i * i - 1000)).all()
    assert destroyed[0] == 14, "delete runs the destructor of the object's own class"


def test_recursion(module):
    fib, parity, i = np.zeros(64, "i4"), np.zeros(64, "i4"), np.arange(64)
    module.get_function("numbers")((1,), (64,), (fib, parity))
    numbers = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert (fib == np.array(numbers)[i % 11] + i * i).all()
    assert (parity == 1 + i % 2).all(), "functions that call each other"


def walked(depth: int, position: int) -> tuple[int, int]:
    """Return (result of walk, what it adds to its caller's array)."""
    own = [10 * depth + i for i in range(4)]
    below = 0
    if depth:
        below, more = walked(depth - 1, position)
        own[position] += more
    return own[position] + 1000 * below, own[(position + 1) & 3]


def test_every_call_has_its_own_variables(module):
    out = np.zeros(32, "i4")
    module.get_function("frames")((1,), (32,), (out,))
    assert out.tolist() == [walked(i % 3, i & 3)[0] for i in range(32)]


def test_sorting_by_recursion_to_different_depths(module):
    a = np.random.default_rng(1).integers(-99, 99, (33, 20)).astype("i4")
    want = np.sort(a, axis=1)
    module.get_function("sorted")((1,), (33,), (a, np.int32(20)))
    assert (a == want).all()


def test_recursion_without_an_end(module):
    with pytest.raises(EmulatorError, match=r"recursion: more than 4096 calls are open at once in too_deep at calls.cu:\d+"):
        module.get_function("too_deep")((1,), (1,), (np.zeros(1, "i4"),))
    out = np.full(1, 5, "i4")
    module.get_function("too_large")((1,), (1,), (out,))
    with pytest.raises(EmulatorError, match=r"stack overflow: the variables of open calls take more than 16384 bytes a thread"):
        module.get_function("too_large")((1,), (1,), (np.full(1, 50, "i4"),))


GUARDED = """.version 8.0
.target sm_80
.address_size 64
.func (.param .b32 r) f(.param .b32 a) { .reg .b32 %x; ld.param.u32 %x, [a]; add.u32 %x, %x, 7; st.param.b32 [r], %x; ret; }
.visible .entry k(.param .u64 p) { .reg .b32 %r<3>; .reg .b64 %q<2>; .reg .pred %p; .param .b32 a; .param .b32 r;
mov.u32 %r0, %tid.x; ld.param.u64 %q0, [p]; mad.wide.u32 %q1, %r0, 4, %q0; setp.gt.u32 %p, %r0, 3;
st.param.b32 [r], %r0; st.param.b32 [a], %r0; @!%p call (r), f, (a); ld.param.b32 %r1, [r]; st.global.u32 [%q1], %r1; ret; }"""


def test_a_call_with_a_guard():
    out = np.zeros(8, "u4")
    emulator.RawModule(code=GUARDED).get_function("k")((1,), (8,), (out,))
    assert out.tolist() == [7, 8, 9, 10, 4, 5, 6, 7]


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ("(%r0)", UnsupportedInstruction, "arguments and results of a call have to be .param variables, at line 7 of the PTX"),
    ("(7)", UnsupportedInstruction, "have to be .param variables"),
    ("(a, a)", EmulatorError, "not PTX: call cannot have the operands"), ("(b)", EmulatorError, "not PTX: call cannot have"),
])  # fmt: skip
def test_arguments_that_a_call_cannot_have(arguments, error, message):
    with pytest.raises(error, match=message):
        emulator.RawModule(code=GUARDED.replace("f, (a);", f"f, {arguments};")).get_function("k")


# -- the heap -----------------------------------------------------------------------------------------------------------
HEAP = r"""
struct Node { int value; Node* next; };
__device__ int* kept[64];
extern "C" __global__ void lists(int* out, int n) {
    Node* head = nullptr;
    for (int i = 0; i < n + threadIdx.x % 5; i++) head = new Node{i * (int)threadIdx.x, head};
    int sum = 0;
    while (head) { Node* next = head->next; sum += head->value; delete head; head = next; }
    out[threadIdx.x] = sum;
}
extern "C" __global__ void make(int n) { kept[threadIdx.x] = (int*)malloc(n * sizeof(int)); }
extern "C" __global__ void fill(int n) { for (int i = 0; i < n; i++) kept[threadIdx.x][i] = i + threadIdx.x; }
extern "C" __global__ void read(int* out, int i) { out[threadIdx.x] = kept[threadIdx.x][i]; }
extern "C" __global__ void crossed(int* out) { out[threadIdx.x] = kept[0][0]; kept[0][0] = threadIdx.x; }
extern "C" __global__ void release(int offset) { free(kept[threadIdx.x] + offset); }
extern "C" __global__ void all(int* out) { int n = 0; while (void* p = malloc(1 << 20)) { kept[n++] = (int*)p; } *out = n; }
"""


@pytest.fixture(scope="module")
def heap():
    return emulator.RawModule(code=HEAP, filename="heap.cu")


def launch(heap, name: str, threads: int, *arguments) -> None:
    heap.get_function(name)((1,), (threads,), arguments)


def test_lists_of_nodes(heap):
    out, i = np.zeros(48, "i4"), np.arange(48)
    launch(heap, "lists", 48, out, np.int32(4))
    count = 4 + i % 5
    assert (out == i * count * (count - 1) // 2).all()


def test_what_the_sanitizer_sees_of_the_heap(heap):
    """Blocks live from one launch to the next. Their ends, their end of life and what nothing has written are known."""
    out = np.zeros(8, "i4")
    launch(heap, "make", 8, np.int32(5))
    with pytest.raises(SanitizerError, match="initcheck: read of uninitialised global memory"):
        launch(heap, "read", 8, out, np.int32(2))
    launch(heap, "fill", 8, np.int32(5))
    launch(heap, "read", 8, out, np.int32(4))
    assert out.tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    with pytest.raises(SanitizerError, match="out-of-bounds read of 4 bytes; 0 bytes after the end of a block of 20"):
        launch(heap, "read", 8, out, np.int32(5))
    with pytest.raises(SanitizerError, match="racecheck: global-memory race"):
        launch(heap, "crossed", 8, out)
    with pytest.raises(SanitizerError, match=r"free of an address that malloc did not return .* heap.cu:15 .*\(8 times\)"):
        launch(heap, "release", 8, np.int32(1))
    launch(heap, "release", 8, np.int32(0))
    with pytest.raises(SanitizerError, match="double free of a block"):
        launch(heap, "release", 8, np.int32(0))
    with pytest.raises(SanitizerError, match="in a block that was freed, 16 bytes from its beginning, of 20 bytes"):
        launch(heap, "read", 8, out, np.int32(4))
    with emulator.checks(False), pytest.raises(SanitizerError, match="in a block that was freed"):
        launch(heap, "read", 8, out, np.int32(4))


def test_a_full_heap_gives_null_and_freed_blocks_are_used_again(heap):
    out = np.zeros(1, "i4")
    for _ in range(2):
        launch(heap, "all", 1, out)
        assert out[0] == 7, "of 8 MiB, blocks of 1 MiB with what is around them"
        launch(heap, "release", 7, np.int32(0))


def test_pieces_of_freed_blocks_grow_again():
    """A block that was used for a smaller one has its whole room back; when all is free, the heap is whole again."""
    heap, memory = Heap(), GlobalMemory()
    whole = heap.attach(memory)
    held, *blocks = iter(lambda: heap.take(1 << 20, whole), 0)
    for size in (1 << 20) - 16, 1 << 20:
        assert [heap.give_back(address) for address in blocks] == [""] * len(blocks)
        assert sorted(heap.take(size, whole) for _ in blocks) == blocks
    assert heap.take(SIZE // 2, whole) == 0
    for address in (held, *blocks):
        heap.give_back(address)
    large = heap.take(SIZE // 2, whole)
    assert large and heap.allocated.sum() == SIZE // 2
    assert heap.describe(large + SIZE // 2 - 2) == f"across the end of a block of {SIZE // 2} bytes from malloc"


def test_other_orders_of_a_launch_begin_with_the_same_heap(heap):
    """A race makes the launch run again: then it frees and allocates the same blocks again, and nothing is left of that."""
    code = HEAP + """
extern "C" __global__ void raced(int* out) {
    free(kept[threadIdx.x]);
    kept[threadIdx.x] = (int*)malloc(16);
    out[0] = threadIdx.x;
}"""
    module = emulator.RawModule(code=code, filename="raced.cu")
    launch(module, "make", 4, np.int32(5))
    blocks = len(execute.heap.HEAP.live)
    for wanted in (None, True):
        with emulator.sanitize(schedules=wanted) as findings:
            launch(module, "raced", 4, np.zeros(1, "i4"))
        assert [f.tool for f in findings] == ["racecheck"] and findings[0].schedules
        assert not any("fails" in result for _, result in findings[0].schedules)
        assert len(execute.heap.HEAP.live) == blocks
    launch(module, "release", 4, np.int32(0))

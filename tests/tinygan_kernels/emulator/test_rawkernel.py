"""RawKernel and RawModule as CuPy has them: constructors, Python numbers, arrays that a kernel would misread, names, pointers."""

import warnings

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, RawKernel, RawModule
from tinygan_kernels.emulator.host.kernel_names import plain_name
from tinygan_kernels.emulator.host.signature import pointees

K = 'extern "C" __global__ void '
SCALE = K + "scale(float* x, float a, int n) { int i = threadIdx.x; if (i < n) x[i] *= a; }"


def run(code, *args, name="k", block=1, **options):
    RawKernel(code, name, **options)((1,), (block,), args)


# ---- CuPy's constructors --------------------------------------------------------------------------------------------


def test_a_kernel_of_code_and_name_is_compiled_at_its_first_call():
    x = np.arange(4, dtype="f4")
    kernel = RawKernel(SCALE, "scale", ("-DUNUSED=1",), "nvcc", enable_cooperative_groups=True, jitify=True)
    kernel((1,), (4,), (x, np.float32(3), np.int32(4)), shared_mem=0, stream=None)
    assert x.tolist() == [0, 3, 6, 9]
    wrong = RawKernel("__global__ void k() { nonsense }", "k")  # not compiled yet
    with pytest.raises(emulator.CompilationError, match="does not compile"):
        wrong.compile()


def test_a_name_with_template_arguments_is_instantiated():
    x = np.ones(2, "i4")
    run("template <typename T, int N> __global__ void add(T* x) { x[threadIdx.x] += N; }", x, name="add<int, 7>", block=2)
    assert x.tolist() == [8, 8]


def test_attributes():
    code = "__constant__ float c[4];" + K + """__launch_bounds__(64) k(float* x) {
  __shared__ float s[8]; s[threadIdx.x % 8] = c[0]; __syncthreads(); x[0] = s[7 - threadIdx.x % 8]; }"""
    kernel = RawKernel(code, "k")
    memory = {"shared_size_bytes": 32, "local_size_bytes": 0, "const_size_bytes": 16}
    assert kernel.attributes == {**memory, "max_threads_per_block": 64}
    assert (kernel.name, kernel.code, kernel.options, kernel.backend, kernel.file_path) == ("k", code, (), "nvrtc", None)


def test_a_module_from_a_file_of_ptx(tmp_path):
    text = RawModule(code=SCALE).ptx
    (tmp_path / "a.ptx").write_text(text)
    (tmp_path / "a.cubin").write_bytes(b"\x7fELF\0\0\0binary")
    x = np.ones(2, "f4")
    RawModule(path=str(tmp_path / "a.ptx")).get_function("scale")((1,), (2,), (x, np.float32(5), np.int32(1)))
    assert x.tolist() == [5, 1]
    for given, message in [
        ({"path": str(tmp_path / "a.cubin")}, "holds no PTX"),
        ({"path": str(tmp_path / "b")}, "cannot read"),
        ({"path": "x", "code": "y"}, "not both"),
        ({"code": SCALE, "backend": "hip"}, "nvrtc, nvcc"),
    ]:
        with pytest.raises(EmulatorError, match=message):
            RawModule(**given)
    with pytest.raises(EmulatorError, match="as strings"):
        RawKernel(SCALE, None)


# ---- Python numbers -------------------------------------------------------------------------------------------------


def test_python_numbers_become_the_declared_type():
    x, out = np.ones(4, "f4"), np.zeros(8, "f8")
    with pytest.warns(UserWarning, match="argument 1 of kernel scale is a Python float.*CuPy passes a double.*np.float32"):
        RawKernel(SCALE, "scale")((1,), (4,), (x, 0.1, 3))
    assert x.tolist() == [np.float32(0.1)] * 3 + [1]
    code = K + """k(double* o, double d, char c, unsigned char u, short s, unsigned w, long long l, bool b) {
  o[0] = d; o[1] = c; o[2] = u; o[3] = s; o[4] = w; o[5] = l; o[6] = b; }"""
    run(code, out, 0.1, -3, 200, -1000, 2**32 - 1, -(2**40), True)
    assert out.tolist() == [0.1, -3, 200, -1000, 2**32 - 1, -(2**40), 1, 0]


def test_a_python_complex_number_has_the_size_that_is_declared():
    code = "#include <cuComplex.h>\n" + K + "k(double* o, cuFloatComplex a, cuDoubleComplex b) { o[0] = a.y; o[1] = b.y; }"
    out = np.zeros(2)
    with pytest.warns(UserWarning, match="np.complex64"):
        run(code, out, 1 + 0.1j, 2 + 0.3j)
    assert out.tolist() == [np.float32(0.1), 0.3]


# ---- arrays that a kernel would misread -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter, dtype",
    [("float* x", "f8"), ("const float* __restrict__ x", "f8"), ("double* x", "f4"), ("float* x", "i4"), ("int* x", "i8"),
     ("unsigned int* x", "f4"), ("float x[]", "f8"), ("float4* x", "f8"), ("float* x", ">f4"), ("long long* x", "i4"),
     ("bool* x", "f4"), ("cuFloatComplex* x", "c16"), ("float* const x", "c16"), ("std::uint16_t* x", "i4")],
)  # fmt: skip
def test_an_array_of_another_type_is_refused(parameter, dtype):
    code = "#include <cuComplex.h>\n#include <cstdint>\n" + K + f"k({parameter}) {{ }}"
    with pytest.raises(EmulatorError, match=r"argument 0 of kernel k is an array of .*, but the kernel declares .*\*"):
        run(code, np.zeros(8, dtype))
    with emulator.checks(False):
        run(code, np.zeros(8, dtype))


@pytest.mark.parametrize(
    "parameter, dtype",
    [("float* x", "f4"), ("const unsigned *x", "i4"), ("float2* x", "f4"), ("float2* x", "c8"), ("cuFloatComplex* x", "f4"),
     ("char* x", "f8"), ("unsigned char* x", "f4"), ("void* x", "f8"), ("bool* x", "?"), ("bool* x", "u1"), ("T* x", "f8"),
     ("float* x", [("a", "f4"), ("b", "i4")]), ("float** x", "u8"), ("uint64_t* x", "i8"), ("size_t* x", "u8")],
)  # fmt: skip
def test_an_array_that_may_be_meant_is_taken(parameter, dtype):
    code = "#include <cuComplex.h>\n#include <stdint.h>\ntypedef float T;\n" + K + f"k({parameter}, int n) {{ }}"
    run(code, np.zeros(8, dtype), 3)


@pytest.mark.parametrize(
    "view, message",
    [(lambda x: x.T, "transposed"), (lambda x: x[:, ::2], "view with gaps"), (lambda x: x[::-1], "view with gaps"),
     (lambda x: np.broadcast_to(x[0], (3, 8)), "broadcast"), (lambda x: np.asfortranarray(x), "transposed")],
)  # fmt: skip
def test_an_array_in_another_order_is_refused(view, message):
    x = view(np.zeros((6, 8), "f4"))
    with pytest.raises(EmulatorError, match=f"argument 0 of kernel k .*{message}.*np.ascontiguousarray"):
        run(K + "k(const float* x, int n) { }", x, 7)


def test_a_view_whose_strides_are_passed_is_taken():
    x = np.zeros((6, 8), "f4")
    run(K + "k(float* x, int rows, int columns, int pitch) { x[pitch] = 1; }", x[:, 2:5], 6, 3, 8)
    assert x[1, 2] == 1 and x.sum() == 1
    run(K + "k(float* x, int increment) { x[increment] = 2; }", x.reshape(-1)[::3], 3)
    assert x[0, 3] == 2


def test_the_types_of_pointers_are_read_from_the_source():
    source = """// __global__ void k(int* wrong);
template <class T> __global__ void __launch_bounds__(256, 2) k(/* in */ const float *__restrict__ x,
    double y[4], T* t, int n = (3, 4), thrust::complex<float>* z, unsigned long long* u) { }
__global__ void other(float* a); __global__ void other(double* a);"""
    found = pointees(source, "k")
    assert [p and (p.kinds, p.size) for p in found] == [("f", 4), ("f", 8), None, None, ("c", 4), ("iu", 8)]
    assert pointees(source, "other") == () and pointees(source, "missing") == ()


# ---- names ----------------------------------------------------------------------------------------------------------


def test_a_kernel_without_extern_c_is_taken_by_its_plain_name():
    x = np.zeros(1, "f4")
    with pytest.warns(UserWarning, match=r'kernel k is declared without extern "C", so that its name is _Z1kPf'):
        run("__global__ void k(float* x) { x[0] = 1; }", x)
    with pytest.warns(UserWarning, match="_ZN5outer5inner1kEPf"):
        run("namespace outer { namespace inner { __global__ void k(float* x) { x[0] += 1; } } }", x)
    assert x[0] == 2
    with pytest.raises(EmulatorError, match=r"2 kernels of the module are named k: _Z1kP[fi], _Z1kP[fi]"):
        run("__global__ void k(float* x) { } __global__ void k(int* x) { }", x)
    with pytest.raises(EmulatorError, match=r"no kernel named 'q' in the module; its kernels: k \(_Z1kPf\)"):
        run("__global__ void k(float* x) { }", x, name="q")
    with pytest.raises(EmulatorError, match="its kernels: none; a template becomes a kernel only where name_expressions"):
        run("template <class T> __global__ void k(T* x) { }", x)


def test_plain_names():
    mangled = ("k", "_Z1kPf", "_Z10long_name_v", "_ZN1a2bbI3FooEEvPT_", "_ZL1kv")
    assert [plain_name(n) for n in mangled] == ["k", "k", "long_name_", "bb", "k"]


# ---- pointers inside arguments --------------------------------------------------------------------------------------


def test_arrays_are_reached_through_tables_structs_and_integers():
    a, b, out = np.full(4, 3, "f4"), np.full(4, 5, "f4"), np.zeros(4, "f4")
    table = np.array([a.ctypes.data, b[1:].ctypes.data], np.uint64)
    run(K + "k(float* o, float** p) { o[0] = p[0][3] + p[1][2]; p[1][0] = 9; }", out, table)
    assert out[0] == 8 and b.tolist() == [5, 9, 5, 5]
    struct = np.array((a.ctypes.data, 4), np.dtype([("p", "u8"), ("n", "i4")], align=True))[()]
    run("struct S { float* p; int n; };" + K + "k(float* o, S s) { o[1] = s.p[s.n - 1]; }", out, struct)
    run(K + "k(float* o, float* p) { o[2] = p[0]; }", out, a.ctypes.data)
    assert out.tolist() == [8, 3, 3, 0]


def test_a_structure_is_a_numpy_array_of_one_element_as_in_cupy():
    """Or numbers of as many bytes: CuPy's example of double3 passes `a.view(double3)`, of shape (1,)."""
    source = "struct S { double x, y; int n; }; " + K + "k(double* out, S s) { out[0] = s.x; out[1] = s.y; out[2] = s.n; }"
    layout = np.dtype([("x", "f8"), ("y", "f8"), ("n", "i4")], align=True)
    out = np.zeros(3)
    given = np.array([(1.5, 2.5, 7)], layout)
    run(source, out, given)
    assert out.tolist() == [1.5, 2.5, 7]
    run(source, out, given[0])
    run(source, out, np.frombuffer(given.tobytes(), "f8"))
    assert out.tolist() == [1.5, 2.5, 7]
    with pytest.raises(EmulatorError, match="argument 1 of kernel k is an array, but the kernel declares a structure of 24 bytes"):
        run(source, out, np.zeros(2, layout))
    with pytest.raises(EmulatorError, match="argument 1 of kernel k is an array, but"):
        run(source, out, emulator.cupy.zeros(24, "u1"))  # of the device: a pointer


def test_pointers_lead_on_through_structures_in_memory():
    """A linked list: each node holds the address of the next."""
    node = np.dtype([("next", "u8"), ("value", "i8")])
    last, out = np.array([(0, 30)], node), np.zeros(1, "i8")
    middle = np.array([(last.ctypes.data, 20)], node)
    first = np.array([(middle.ctypes.data, 10)], node)
    code = "struct N { N* next; long long value; };" + K + "k(long long* o, N* n) { for (; n; n = n->next) *o += n->value; }"
    run(code, out, first)
    assert out[0] == 60


def test_an_array_whose_address_was_not_handed_over_stays_out_of_reach():
    memory = np.zeros(4096, "f4")
    x, neighbour = memory[:4].copy(), memory[:4].copy()
    distance = (neighbour.ctypes.data - x.ctypes.data) // 4
    with pytest.raises(emulator.SanitizerError, match="out-of-bounds write"):
        run(K + "k(float* x, long long i) { x[i] = 1; }", x, distance)
    assert not neighbour.any()
    with pytest.raises(emulator.SanitizerError, match=f"{4 * 4096 - 4} bytes|across|after the end of"):  # beyond one that was
        run(K + "k(float** p) { p[0][4096] = 1; }", np.array([memory.ctypes.data], "u8"))


def test_an_address_of_nothing_is_reported():
    with pytest.raises(emulator.SanitizerError, match="out-of-bounds read"):
        run(K + "k(float* o, float* p) { o[0] = *p; }", np.zeros(1, "f4"), 0x123456789A0)


# ---- printf ---------------------------------------------------------------------------------------------------------


def test_printf_takes_its_width_from_an_argument_and_returns_how_many_it_has(capsys):
    out = np.zeros(3, "i4")
    run(K + r'k(int* o) { o[0] = printf("[%*d|%-*d|%.*f|%5s]\n", 4, 42, 3, 7, 2, 3.14159, "ab"); o[1] = printf("none\n"); }', out)
    assert capsys.readouterr().out == "[  42|7  |3.14|   ab]\nnone\n" and out.tolist() == [7, 0, 0]
    with pytest.raises(EmulatorError, match="a width of more than 65536"):
        run(K + r'k() { printf("%999999999d", 1); }')


def test_nothing_is_warned_of_without_need():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(SCALE, np.ones(2, "f4"), np.float32(2), 2, name="scale", block=2)

"""CUDA C++ and PTX as others write them: headers of the C library, WARP_SZ, and files of which one kernel is not supported."""

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import RawKernel, RawModule, SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.host import headers, nvrtc

K = 'extern "C" __global__ void '
EVERY = "".join(f"#include <{name}>\n" for name in headers.HEADERS)


def values(body: str, head: str = "", options=()) -> list[float]:
    """Return what a kernel with this body writes into the doubles d."""
    d = np.zeros(8)
    RawKernel(f"{head}\n{K}k(double* d) {{ {body} }}", "k", options)((1,), (1,), (d,))
    return d.tolist()


def test_every_header_compiles_beside_every_other_and_twice():
    code = EVERY + EVERY + "#include <cuda_fp16.h>\n#include <cooperative_groups.h>\n#include <cuda/std/cstdint>\n"
    code += "using namespace std;\n"
    code += K + "k(float* x, uint32_t n) { x[0] = sqrt(x[0]) + pow(x[0], 2.f) + max(1, 2) + min(x[0], 1.f) + fabs(x[1]) + n; }"
    assert ".entry k(" in RawModule(code=code).ptx


def test_compiling_changes_no_bytes_of_pythons_own():
    """The log of a compilation without messages is one byte, a zero; written into b" " * 1, it made a zero of every b" "."""
    _, log = nvrtc.compile_with_log.__wrapped__(f"{K}k() {{}}")
    every = bytes(range(256))  # a slice of length 1 is the one object that Python has for that byte
    assert log == "" and all(every[i : i + 1][0] == i for i in every)


def test_macros_have_the_values_of_the_c_library():
    f, d, i = np.finfo("f4"), np.finfo("f8"), np.iinfo("i8")
    body = "d[0] = INFINITY; d[1] = M_PI; d[2] = FLT_MAX; d[3] = DBL_EPSILON; d[4] = INT_MAX; d[5] = UINT_MAX; d[6] = FLT_MIN;"
    body += "d[7] = NAN;"
    head = "#include <math.h>\n#include <cfloat>\n#include <limits.h>"
    *known, nan = values(body, head)
    assert known == [np.inf, np.pi, float(f.max), float(d.eps), 2**31 - 1, 2**32 - 1, float(f.tiny)] and nan != nan
    body = "d[0] = LLONG_MIN; d[1] = INT64_MAX; d[2] = SIZE_MAX; d[3] = CHAR_BIT; d[4] = INT16_MIN;"
    of_integers = values(body, "#include <climits>\n#include <cstdint>")
    assert of_integers[:5] == [float(i.min), float(i.max), 2.0**64, 8, -(2**15)]


def test_names_in_std():
    head = "#include <cmath>\n#include <type_traits>\n#include <limits>\n#include <algorithm>\n#include <utility>\n"
    head += "using namespace std;"
    body = """d[0] = std::sqrt(2.0f); d[1] = std::is_same<int, int>::value; d[2] = std::numeric_limits<float>::max();
d[3] = std::min(3, 4); std::pair<int, float> p(1, 2.5f); d[4] = p.second; d[5] = is_floating_point_v<double>; d[6] = abs(-2.5f);"""
    assert values(body, head)[:7] == [float(np.sqrt(np.float32(2))), 1, float(np.finfo("f4").max), 3, 2.5, 1, 2.5]


def test_what_newer_versions_of_c_plus_plus_have_in_std():
    """The result of each is one that it would not have without its argument."""
    names = ("array", "bit", "bitset", "concepts", "functional", "iterator", "numeric", "optional", "span", "tuple", "variant")
    head = "".join(f"#include <{name}>\n" for name in names)
    head += """
__device__ std::optional<int> odd(int i) { if (i % 2) return i; return std::nullopt; }
__device__ int total(std::span<const int> s) { return std::accumulate(s.begin(), s.end(), 0); }
struct Twice { __device__ double operator()(int i) { return 2 * i; } __device__ double operator()(float f) { return f; } };
template <std::integral T> __device__ int kind(T) { return 1; }
template <std::floating_point T> __device__ int kind(T) { return 2; }
"""
    body = """d[0] = odd(3).value_or(-1) * 100 + odd(4).value_or(-1);
std::array<int, 4> a{3, 1, 4, 1};
d[1] = total(std::span<const int>(a.data(), 3)) + std::distance(std::begin(a), std::end(a));
std::variant<int, float> v = 2.5f;
d[2] = std::visit(Twice(), v); v = 7; d[2] += std::visit(Twice(), v) * v.index() + std::get<int>(v);
d[3] = std::popcount(0xffu) + std::countl_zero(1u) + std::bit_cast<int>(1.0f);
std::bitset<70> bits; bits.set(69); bits.set(3);
d[4] = bits.count() + 10 * bits.test(69);
auto [first, second] = std::make_tuple(2, 0.5);
d[5] = first + second; d[6] = kind(3) + 10 * kind(3.0f); d[7] = std::gcd(12, 18) + std::plus<>()(1, 2.5);"""
    assert values(body, head, ("-std=c++20",)) == [299, 12, 9.5, 8 + 31 + 0x3F800000, 12, 2.5, 21, 9.5]


def test_names_that_nvcc_knows_need_no_header():
    assert values("uint32_t a = 3; d[0] = a + INFINITY; d[1] = M_PI; d[2] = std::abs(-2.f);")[:3] == [np.inf, np.pi, 2]
    assert values("const double M_PI = 3; d[0] = M_PI;")[0] == 3, "a name of the user's own stays theirs"
    with pytest.raises(emulator.CompilationError, match='"INFINTY" is undefined'):
        values("d[0] = INFINTY;")


def test_an_assertion_obeys_ndebug():
    head = "#define NDEBUG\n#include <assert.h>"
    assert values("assert(d[0] > 1); d[0] = 5;", head)[0] == 5
    with pytest.raises(emulator.KernelAssertion):
        values("assert(d[0] > 1); d[0] = 5;", "#include <cassert>")


def test_headers_cost_the_others_nothing():
    plain = nvrtc.compile_ptx(K + "k(float* x) { x[0] = 1; }")[0]
    included = nvrtc.compile_ptx(K + "k(float* x) { x[0] = 1; }", ("--pre-include=math.h", "--pre-include=vector"))[0]
    assert [line for line in plain.splitlines() if ".loc" not in line][:12] == [
        line for line in included.splitlines() if ".loc" not in line][:12]  # fmt: skip


# ---- the size of a warp ---------------------------------------------------------------------------------------------


def test_warp_size_in_cuda_and_numba():
    out = np.zeros(64, "i4")
    code = K + "k(int* o) { o[threadIdx.x] = threadIdx.x / warpSize + 100 * (threadIdx.x % warpSize); }"
    RawKernel(code, "k")((1,), (64,), (out,))
    assert (out == np.arange(64) // 32 + 100 * (np.arange(64) % 32)).all()

    @cuda.jit
    def kernel(o):
        o[cuda.threadIdx.x] = cuda.warpsize

    emulator.launch(kernel, 1, 4, four := np.zeros(4, "i4"))
    assert four.tolist() == [32] * 4


def test_warp_size_as_operand_and_initial_value():
    text = """.version 8.0
.target sm_80
.address_size 64
.global .u32 size = WARP_SZ;
.visible .entry k(.param .u64 p) { .reg .b32 %r<4>; .reg .b64 %d<2>;
ld.param.u64 %d1, [p]; ld.global.u32 %r1, [size]; add.u32 %r2, %r1, WARP_SZ; st.global.u32 [%d1], %r2; ret; }"""
    out = np.zeros(1, "i4")
    RawModule(code=text).get_function("k")((1,), (1,), (out,))
    assert out[0] == 64


# ---- what is not supported concerns the kernels that use it ---------------------------------------------------------

MIXED = K + """good(float* o) { o[0] = 1; }
extern "C" __global__ void moved(int* o) { asm("multimem.red.global.add.u32 [%0], %1;" :: "l"(o), "r"(1)); }
extern "C" __global__ void shifted(int* o) { asm("vshl.u32.u32.u32.clamp %0, %1, %1;" : "=r"(o[0]) : "r"(o[1])); }
"""


def test_a_kernel_runs_beside_kernels_that_are_not_supported():
    module, out = RawModule(code=MIXED), np.zeros(1, "f4")
    module.get_function("good")((1,), (1,), (out,))
    assert out[0] == 1
    for name, message in [("moved", r"multimem\.red\.\S+ at PTX line \d+ of kernel moved .*no such instruction"),
                          ("shifted", r"vshl\.u32\.u32\.u32\.clamp at PTX line")]:  # fmt: skip
        with pytest.raises(UnsupportedInstruction, match=message):
            module.get_function(name)


@pytest.mark.parametrize(
    "body, message",
    [
        (".reg .v4 .f32 %v; mov.u32 %r0, 1; { ret; }", "vector registers .* of the PTX, in odd"),
        (".shared .b32 a<4>; ret;", "parameterised variable"),
        ("ld.global.u32 %r0, [%r0, {%r0, %r0}];", "address of several parts"),
        ("call takes, (%r0); ret;", "arguments and results of a call have to be .param variables, at line"),
        ("mov.u32 %r0, table; ret;", "table holds the address of odd"),
    ],
)
def test_declarations_that_are_not_supported(body, message):
    module = RawModule(code=f""".version 8.0
.target sm_80
.address_size 64
.global .texref picture;
.global .u64 table[1] = {{odd}};
.func takes(.reg .b32 %a) {{ ret; }}
.visible .entry odd() {{ .reg .b32 %r<3>;
{body}
}}
.visible .entry plain(.param .u64 p) {{ .reg .b64 %d<2>; ld.param.u64 %d1, [p]; st.global.u32 [%d1], 7; ret; }}""")
    out = np.zeros(1, "i4")
    module.get_function("plain")((1,), (1,), (out,))
    assert out[0] == 7
    with pytest.raises(UnsupportedInstruction, match=message):
        module.get_function("odd")


def test_code_of_headers_belongs_to_the_line_that_called_it_through_several_of_them():
    """NVRTC's tex2D is inlined in two steps, each in its own header's lines."""
    code = K + "k(float* o, cudaTextureObject_t t) {\n  int i = threadIdx.x;\n  o[i] = tex2D<float>(t, i + 0.5f, 0.5f);\n}"
    with pytest.raises(SanitizerError, match=r"no handle of a texture object by thread .* in k, kernel\.cu:3 "):
        RawModule(code=code).get_function("k")((1,), (1,), (np.zeros(1, "f4"), np.uint64(0)))


def test_alignment_of_is_among_the_type_traits():
    """Thrust's headers of CUDA 12.6, which cub includes, have it from there."""
    code = '#include <type_traits>\nextern "C" __global__ void k(int* y) { *y = std::alignment_of<double>::value; }'
    y = np.zeros(1, np.int32)
    emulator.RawModule(code=code).get_function("k")((1,), (1,), (y,))
    assert y[0] == 8

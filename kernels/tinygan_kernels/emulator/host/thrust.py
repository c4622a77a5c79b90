"""Thrust inside of kernels: NVIDIA's own headers, as one thread runs them (`thrust::seq`), its tuples and its complex numbers.

NVRTC refuses some of them, as they also declare functions of the host: those are taken for functions of the device here, and what
they want of the C++ library (streams, errors) is declared, so that it compiles as long as no kernel uses it. Vectors are host code.
"""

from __future__ import annotations

import re

OPTIONS = ("-DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP", "-DCCCL_DISABLE_NVRTC_COMPATIBILITY_CHECK",
           "--device-as-default-execution-space", "--pre-include=thrust_in_kernels.h")  # fmt: skip
"""What NVRTC needs besides for a source that includes Thrust. Its system "cpp" is the one in which the calling thread does all."""
POLICIES = """#pragma once
#include <thrust/system/cpp/execution_policy.h>
THRUST_NAMESPACE_BEGIN
namespace cuda {
struct host_par : thrust::system::cpp::detail::par_t {
    constexpr const host_par& on(cudaStream_t) const { return *this; }
};
static const host_par par, par_nosync;
}
THRUST_NAMESPACE_END
"""
"""The execution policies of Thrust's system "cuda", which do here what those of "cpp" do."""
_BEFORE = """#pragma once
#undef __host__
#define __host__
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <iterator>
namespace std {
using ::ptrdiff_t; using ::size_t;
typedef decltype(nullptr) nullptr_t;
template <class C> struct char_traits;
template <class C, class T = char_traits<C>> class basic_ostream;
template <class C, class T = char_traits<C>> class basic_istream;
typedef basic_ostream<char> ostream;
template <class T> struct allocator { typedef T value_type; };
template <class A> struct allocator_traits {};
struct exception {};
struct bad_alloc : exception {};
struct runtime_error : exception { runtime_error(const char*) {} };
}
#include <thrust/detail/config.h>
THRUST_NAMESPACE_BEGIN
namespace detail {  // which the Thrust of CUDA 12 names without having declared it for NVRTC
template <class A, template <class> class B, class... D> struct execute_with_allocator_and_dependencies;
}
THRUST_NAMESPACE_END
#define _CCCL_NVTX_RANGE_SCOPE(name)
#define _CCCL_NVTX_RANGE_SCOPE_IF(condition, name)
"""
_COMPLEX = """#pragma once
#include <thrust/complex.h>
using thrust::complex;
using thrust::conj;
using thrust::polar;
using thrust::proj;
using thrust::norm;
using thrust::arg;
"""
"""What CuPy's <cupy/complex.cuh> declares."""
_WARNING = re.compile(r"\s*(.+?)\(\d+\): (?:warning|remark)\b")
_OF_HOSTS = (
    "device_vector.h", "host_vector.h", "universal_vector.h", "system_error.h", "system/system_error.h", "system/error_code.h",
)  # fmt: skip


def included_by(code: str) -> bool:
    """Return whether a source includes a header of Thrust's, or CuPy's complex numbers, which are Thrust's."""
    return re.search(r'^[ \t]*#[ \t]*include[ \t]*[<"](thrust/|cupy/complex)', code, re.MULTILINE) is not None


def own_messages(log: str, filename: str) -> str:
    """Return a log of NVRTC's without its warnings of headers, of which Thrust's give dozens; errors and a user's own ones stay."""
    messages = re.split(r"\n\s*\n", log)
    kept = [m for m in messages if not (found := _WARNING.match(m)) or found[1] == filename]
    told = any(_WARNING.match(m) for m in kept)
    return "\n\n".join(m for m in kept if told or not m.startswith("Remark: The warnings can be suppressed"))


def headers() -> tuple[tuple[str, str], ...]:
    """Return the headers, (name that #include says, text), that stand in the place of Thrust's or beside them."""
    texts = {f"thrust/{name}": "#pragma once\n" for name in _OF_HOSTS}
    texts |= {"thrust_in_kernels.h": _BEFORE, "cupy/complex.cuh": _COMPLEX, "thrust/system/cuda/execution_policy.h": POLICIES}
    return tuple(sorted(texts.items()))

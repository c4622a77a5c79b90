"""Headers of the C and C++ library for kernels, which NVRTC does not bring.

NVRTC declares the functions themselves (sqrt, printf, memcpy, assert and so on), so a header here adds only names that it lacks:
macros, integer types, the members of `std`. What has more to it (type_traits, tuple) comes from libcu++, NVIDIA's library. Headers
that only host code can use (iostream, vector) are empty: a file that includes them compiles as long as its kernels use nothing of
theirs.
"""

from __future__ import annotations

import re

from . import driver_header

_MATH = """#pragma once
#define HUGE_VALF __builtin_bit_cast(float, 0x7f800000u)
#define HUGE_VAL __builtin_bit_cast(double, 0x7ff0000000000000ull)
#define INFINITY HUGE_VALF
#define NAN __builtin_bit_cast(float, 0x7fc00000u)
#define M_E 2.7182818284590452354
#define M_LOG2E 1.4426950408889634074
#define M_LOG10E 0.43429448190325182765
#define M_LN2 0.69314718055994530942
#define M_LN10 2.30258509299404568402
#define M_PI 3.14159265358979323846
#define M_PI_2 1.57079632679489661923
#define M_PI_4 0.78539816339744830962
#define M_1_PI 0.31830988618379067154
#define M_2_PI 0.63661977236758134308
#define M_2_SQRTPI 1.12837916709551257390
#define M_SQRT2 1.41421356237309504880
#define M_SQRT1_2 0.70710678118654752440
"""

_STDINT = """#pragma once
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INT64_C(c) c##LL
#define UINT64_C(c) c##ULL
typedef int64_t intptr_t;
typedef uint64_t uintptr_t;
typedef int64_t intmax_t;
typedef uint64_t uintmax_t;
typedef int8_t int_least8_t;
typedef int16_t int_least16_t;
typedef int32_t int_least32_t;
typedef int64_t int_least64_t;
typedef uint8_t uint_least8_t;
typedef uint16_t uint_least16_t;
typedef uint32_t uint_least32_t;
typedef uint64_t uint_least64_t;
#define INT8_MAX 127
#define INT16_MAX 32767
#define INT32_MAX 2147483647
#define INT64_MAX INT64_C(9223372036854775807)
#define INT8_MIN (-128)
#define INT16_MIN (-32767 - 1)
#define INT32_MIN (-2147483647 - 1)
#define INT64_MIN (-INT64_MAX - 1)
#define UINT8_MAX 255
#define UINT16_MAX 65535
#define UINT32_MAX 4294967295U
#define UINT64_MAX UINT64_C(18446744073709551615)
#define INTPTR_MAX INT64_MAX
#define INTPTR_MIN INT64_MIN
#define UINTPTR_MAX UINT64_MAX
#define SIZE_MAX UINT64_MAX
"""

_INTTYPES = "#pragma once\n#include <stdint.h>\n" + "".join(
    f'#define PRI{kind}{bits} "{length}{kind}"\n#define SCN{kind}{bits} "{scanned}{kind}"\n'
    for bits, length, scanned in (("8", "", "hh"), ("16", "", "h"), ("32", "", ""), ("64", "ll", "ll"), ("PTR", "ll", "ll"))
    for kind in "diuxX"
)

_FLOAT = """#pragma once
#define FLT_RADIX 2
#define FLT_MANT_DIG 24
#define FLT_DIG 6
#define FLT_MIN_EXP (-125)
#define FLT_MAX_EXP 128
#define FLT_MAX 3.40282346638528859812e+38F
#define FLT_MIN 1.17549435082228750797e-38F
#define FLT_TRUE_MIN 1.40129846432481707092e-45F
#define FLT_EPSILON 1.19209289550781250000e-7F
#define DBL_MANT_DIG 53
#define DBL_DIG 15
#define DBL_MIN_EXP (-1021)
#define DBL_MAX_EXP 1024
#define DBL_MAX 1.79769313486231570815e+308
#define DBL_MIN 2.22507385850720138309e-308
#define DBL_TRUE_MIN 4.94065645841246544177e-324
#define DBL_EPSILON 2.22044604925031308085e-16
"""

_LIMITS = """#pragma once
#define CHAR_BIT 8
#define SCHAR_MIN (-128)
#define SCHAR_MAX 127
#define UCHAR_MAX 255
#define CHAR_MIN ((char)-1 < 0 ? SCHAR_MIN : 0)
#define CHAR_MAX ((char)-1 < 0 ? SCHAR_MAX : UCHAR_MAX)
#define SHRT_MIN (-32767 - 1)
#define SHRT_MAX 32767
#define USHRT_MAX 65535
#define INT_MIN (-2147483647 - 1)
#define INT_MAX 2147483647
#define UINT_MAX 4294967295U
#ifdef _WIN32
#define LONG_MAX 2147483647L
#define ULONG_MAX 4294967295UL
#else
#define LONG_MAX 9223372036854775807L
#define ULONG_MAX 18446744073709551615UL
#endif
#define LONG_MIN (-LONG_MAX - 1L)
#define LLONG_MAX 9223372036854775807LL
#define LLONG_MIN (-LLONG_MAX - 1LL)
#define ULLONG_MAX 18446744073709551615ULL
"""

_IN_STD = {
    "cmath": "abs acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma "
    "fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nanf nearbyint "
    "nextafter pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc isnan isinf isfinite signbit",
    "cstdint": "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t uintmax_t",
    "cstdio": "printf",
    "cstdlib": "abs labs llabs malloc free size_t",
    "cstring": "memcpy memset size_t",
    "cstddef": "size_t ptrdiff_t",
    "ctime": "clock",
}
"""Names that a header <c...> of C++ declares in `std`, all of them global names of NVRTC's or of the C header."""

_LIBCUXX = {
    "type_traits": "integral_constant true_type false_type bool_constant is_void is_integral is_floating_point is_array is_pointer "
    "is_enum is_union is_class is_function is_reference is_arithmetic is_fundamental is_const is_volatile is_trivially_copyable "
    "is_signed is_unsigned is_same is_base_of is_convertible is_constructible is_empty is_lvalue_reference is_rvalue_reference "
    "alignment_of remove_const remove_volatile remove_cv remove_reference remove_pointer remove_extent add_const add_pointer "
    "add_lvalue_reference add_rvalue_reference make_signed make_unsigned decay enable_if conditional common_type underlying_type "
    "remove_const_t remove_cv_t remove_reference_t remove_pointer_t remove_extent_t add_const_t add_pointer_t make_signed_t "
    "make_unsigned_t decay_t enable_if_t conditional_t common_type_t underlying_type_t is_void_v is_integral_v "
    "is_floating_point_v is_pointer_v is_arithmetic_v is_const_v is_signed_v is_unsigned_v is_same_v is_base_of_v "
    "is_convertible_v is_trivially_copyable_v is_class_v is_enum_v is_reference_v void_t conjunction_v disjunction_v negation_v",
    "limits": "numeric_limits",
    "utility": "pair make_pair move forward swap declval exchange integer_sequence index_sequence make_index_sequence "
    "make_integer_sequence index_sequence_for",
    "tuple": "tuple make_tuple get tie forward_as_tuple tuple_cat apply",
    "array": "array get",
    "functional": "plus minus multiplies divides modulus negate less less_equal greater greater_equal equal_to not_equal_to "
    "logical_and logical_or logical_not bit_and bit_or bit_xor",
    "complex": "complex real imag arg norm conj polar",
    "algorithm": "min max minmax clamp swap fill fill_n copy copy_n equal find find_if count count_if reverse rotate lower_bound "
    "upper_bound binary_search min_element max_element all_of any_of none_of transform for_each",
    "numeric": "accumulate inner_product iota partial_sum adjacent_difference reduce transform_reduce exclusive_scan "
    "inclusive_scan gcd lcm midpoint",
    "iterator": "begin end size data advance distance next prev reverse_iterator make_reverse_iterator "
    "input_iterator_tag output_iterator_tag forward_iterator_tag bidirectional_iterator_tag random_access_iterator_tag",
    "optional": "optional nullopt nullopt_t make_optional in_place",
    "variant": "variant monostate get get_if visit holds_alternative variant_size_v in_place_type in_place_index",
    "span": "span dynamic_extent",
    "bit": "bit_cast popcount countl_zero countl_one countr_zero countr_one rotl rotr has_single_bit bit_ceil bit_floor bit_width",
    "bitset": "bitset",
    "concepts": "same_as derived_from convertible_to integral signed_integral unsigned_integral floating_point",
}
"""Headers of C++ that libcu++ has as <cuda/std/...>, and what of them is declared in `std` too. A using-directive would be shorter,
but made sqrt(x) ambiguous after `using namespace std`, as cuda::std has a sqrt of its own."""
_ALGORITHM = """#pragma once
#if !__has_include(<cuda/std/algorithm>) && __has_include(<cuda/std/__algorithm/adjacent_find.h>)
#include <cuda/std/utility>
#include <cuda/std/detail/libcxx/include/algorithm>
#else
#include <cuda/std/algorithm>
#endif
"""
"""libcu++'s algorithms: <cuda/std/algorithm> came with CUDA 13.2, a header inside of libcu++ has the same from CUDA 12.6 on."""
_HOST_ONLY = (
    "iostream", "ostream", "istream", "sstream", "fstream", "iomanip", "string", "vector", "map", "set", "unordered_map",
    "unordered_set", "initializer_list", "list", "deque", "queue", "stack", "memory", "random", "chrono", "thread",
    "mutex", "atomic", "stdexcept", "exception", "cstdarg", "stdarg.h", "errno.h", "cerrno", "cuda_profiler_api.h", "unistd.h",
    "sys/time.h", "new", "typeinfo", "locale", "regex",
)  # fmt: skip


_CUB = (
    ("block", "adjacent_difference discontinuity exchange histogram load merge_sort radix_rank radix_sort reduce run_length_decode "
     "scan shuffle store"),
    ("warp", "exchange load merge_sort reduce scan store"),
    ("thread", "load operators reduce scan search store"),
)  # fmt: skip
"""Headers of cub for code inside of kernels. Its own cub/cub.cuh includes its launches from the host too, and NVRTC has none."""


def _std(names: str, origin: str = "::") -> str:
    """Return a declaration of names in `std`, which stand in another namespace."""
    return "namespace std { " + " ".join(f"using {origin}{name};" for name in names.split()) + " }\n"


def _plus(name: str) -> str:
    """Return the header <cname>: the C header, with the names that C++ wants in `std`."""
    return f"#pragma once\n#include <{name[1:]}.h>\n" + _std(_IN_STD.get(name, ""))


def _place(name: str) -> str:
    """Return the header by which a header of C++ is found in libcu++."""
    return "libcuxx_algorithm.h" if name == "algorithm" else f"cuda/std/{name}"


def _of_libcuxx(name: str, names: str) -> str:
    """Return a header of C++ that takes its names from libcu++, or nothing where an older one lacks what is host code too."""
    text = f"#include <{_place(name)}>\n{_std(names, 'cuda::std::')}"
    if name == "iterator":  # a template of its own, for which a source may have specialisations
        text += "namespace std { template <class I> struct iterator_traits : cuda::std::iterator_traits<I> {}; }\n"
    return f"#pragma once\n#if __has_include(<cuda/std/{name}>)\n{text}#endif\n" if name == "numeric" else f"#pragma once\n{text}"


HEADERS: dict[str, str] = {
    "math.h": _MATH,
    "stdint.h": _STDINT,
    "inttypes.h": _INTTYPES,
    "float.h": _FLOAT,
    "limits.h": _LIMITS,
    "cuda.h": "#pragma once\n#include <cuda_runtime_api.h>\n#define CUDA_VERSION CUDART_VERSION\n" + driver_header.TEXT,
    "cudaTypedefs.h": driver_header.TYPEDEFS,
    "assert.h": "#ifdef NDEBUG\n#undef assert\n#define assert(condition) ((void)0)\n#endif\n",
    "stdlib.h": "#pragma once\n#define EXIT_SUCCESS 0\n#define EXIT_FAILURE 1\n#define RAND_MAX 2147483647\n",
    **dict.fromkeys(("stdio.h", "string.h", "stddef.h", "stdbool.h", "time.h"), "#pragma once\n"),
    **{name: _plus(name) for name in ("cmath", "cstdint", "cfloat", "climits", "cstdio", "cstdlib", "cstring", "cstddef", "ctime")},
    "cinttypes": "#pragma once\n#include <cstdint>\n#include <inttypes.h>\n",
    "libcuxx_algorithm.h": _ALGORITHM,
    **{name: _of_libcuxx(name, names) for name, names in _LIBCUXX.items()},
    "cub/cub.cuh": "#pragma once\n" + "".join(
        f"#include <cub/{kind}/{kind}_{name}.cuh>\n" for kind, names in _CUB for name in names.split()
    ),
    **dict.fromkeys(_HOST_ONLY, "#pragma once\n"),
}  # fmt: skip
HEADERS["cassert"] = HEADERS["assert.h"]
"""{name that #include says: text}."""

INCLUDED_BY_NVCC = ("cmath", "cstdint", "cfloat", "climits", "cstdlib", "cstring")
"""Headers of which nvcc declares much without an #include, as it compiles with the host's compiler and its library."""


def names_that_nvcc_knows(log: str) -> bool:
    """Return whether a compiler's log misses a name that nvcc knows without an #include: INFINITY, M_PI, uint32_t, std::sqrt."""
    missed = re.findall(r'identifier "(\w+)" is undefined', log)
    of_std = re.findall(r'namespace "std" has no member "(\w+)"', log)
    text = _MATH + _STDINT + _FLOAT + _LIMITS
    return any(re.search(rf"(#define|typedef [\w ]+) {name}\b", text) for name in missed) or any(
        name in names.split() for name in of_std for names in _IN_STD.values()
    )

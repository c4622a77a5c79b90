// What Thrust finds before its first header: its algorithms run as host code, one thread, over memory that kernels reach too.
#pragma once
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
namespace std {
using ::ptrdiff_t;
using ::size_t;
typedef decltype(nullptr) nullptr_t;
template <class C, class T = char_traits<C>> class basic_istream;  // of which random engines can be read; it is only declared
}
#include <device_scope.h>
// Every algorithm begins with a range for NVIDIA's profilers, which has a name and an end.
#define _CCCL_NVTX_RANGE_SCOPE(name) HOST_DEVICE_SCOPE
#define _CCCL_NVTX_RANGE_SCOPE_IF(condition, name) HOST_DEVICE_SCOPE

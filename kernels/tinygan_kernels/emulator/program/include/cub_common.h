// What cub's device-wide algorithms (cub_device.h) share: how a call begins, and the types of what they compute.
#pragma once
#include <cub/util_type.cuh>
#include <cuda/std/functional>
#include <cuda/std/iterator>
#include <cuda/std/limits>
#include <device_scope.h>
#include <utility>
#include <vector>
extern "C" {
cudaError_t host_cudaNotCaptured(cudaStream_t stream);  // an error where a graph is made of what the stream is given
cudaError_t host_cudaTemporaryStorage(void* storage, size_t bytes, size_t needed);  // an error where it is too small
}
namespace cub {
// Returns true where a call only asks for the size of its temporary storage.
inline bool host_asks(void* storage, size_t& bytes) {
    if (storage == nullptr) bytes = 256;
    return storage == nullptr;
}
#define HOST_STORAGE \
    if (host_asks(storage, bytes)) return cudaSuccess; \
    if (host_cudaTemporaryStorage(storage, bytes, 256) != cudaSuccess) return cudaErrorInvalidValue;
#define HOST_BEGIN \
    HOST_STORAGE \
    HOST_BEGIN_AT_ONCE
// For algorithms that need no temporary storage.
#define HOST_BEGIN_AT_ONCE \
    if (host_cudaNotCaptured(stream) != cudaSuccess) return cudaErrorStreamCaptureUnsupported; \
    HOST_DEVICE_SCOPE
// Every algorithm is a function of its own: put into the two places that call it, it would take twice as long to compile.
#define HOST_ALGORITHM static __noinline__ cudaError_t
// A parameter of a template that keeps numbers out: of two forms of an algorithm, one has an iterator where the other has a number.
#define HOST_NO_NUMBER(T) cuda::std::enable_if_t<!cuda::std::is_integral<T>::value, int> = 0
template <class I> using host_value = cuda::std::decay_t<decltype(*cuda::std::declval<I&>())>;
template <class F, class T, class I>
using host_total = cuda::std::decay_t<decltype(cuda::std::declval<F&>()(cuda::std::declval<T>(), *cuda::std::declval<I&>()))>;
struct host_sum { template <class T, class U> auto operator()(T a, U b) const { return a + b; } };
struct host_least { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct host_greatest { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct host_difference { template <class T, class U> auto operator()(T a, U b) const { return a - b; } };
struct host_same { template <class T, class U> bool operator()(const T& a, const U& b) const { return a == b; } };
struct host_before { template <class T, class U> bool operator()(const T& a, const U& b) const { return a < b; } };
// What an output iterator takes; for one that does not say it (void), what the input has.
template <class O, class I>
using host_output_value = cuda::std::conditional_t<cuda::std::is_void<typename cuda::std::iterator_traits<O>::value_type>::value,
                                                   host_value<I>, typename cuda::std::iterator_traits<O>::value_type>;
template <class T> constexpr T host_most() { return cuda::std::numeric_limits<T>::max(); }
template <class T> constexpr T host_lowest() { return cuda::std::numeric_limits<T>::lowest(); }
}  // namespace cub

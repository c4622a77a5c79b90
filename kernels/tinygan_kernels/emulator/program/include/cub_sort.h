// Sorts of cub's: by the bits of keys or by a comparison, of all elements or of segments; and merges. All of them are stable here.
#pragma once
#include <algorithm>
#include <cub_common.h>
namespace cub {
// The bits of a key from `begin` to `end`, as a number whose order is that of the keys.
template <class K> inline unsigned long long host_digits(K key, int begin, int end) {
    static_assert(sizeof(K) <= 8, "keys of at most 8 bytes are sorted by their bits here: sort larger ones by DeviceMergeSort");
    unsigned long long bits = 0;
    memcpy(&bits, &key, sizeof(K));
    constexpr bool real = !cuda::std::is_integral<K>::value;
    constexpr unsigned long long top = 1ull << (8 * sizeof(K) - 1), all = top | (top - 1);
    if (real && bits == top) bits = 0;  // -0.0 and 0.0 are equal
    if (real) bits = (bits & top ? ~bits : bits | top) & all;
    else if (cuda::std::is_signed<K>::value) bits ^= top;
    int width = end - begin;
    return bits >> begin & (width >= 64 ? ~0ull : (1ull << width) - 1);
}
// Returns the order of elements by these numbers, one function for all types of keys, as it takes long to compile.
__noinline__ inline std::vector<long> host_order(const std::vector<unsigned long long>& digits, bool down) {
    std::vector<long> order;
    for (long i = 0; i < (long)digits.size(); i++) order.push_back(i);
    const unsigned long long* d = digits.data();
    std::stable_sort(order.begin(), order.end(), [=](long a, long b) { return down ? d[b] < d[a] : d[a] < d[b]; });
    return order;
}
template <class T> __noinline__ void host_permute(const T* in, T* out, long first, const std::vector<long>& order) {
    std::vector<T> kept(in + first, in + first + order.size());
    for (long i = 0; i < (long)order.size(); i++) out[first + i] = kept[order[i]];
}
// Sorts keys, and values with them where there are any (a null pointer says that there are none).
template <class K, class V>
__noinline__ void host_sort(const K* keys, K* sorted, const V* values, V* moved, long first, long last, int begin, int end, bool down) {
    std::vector<unsigned long long> digits;
    for (long i = first; i < last; i++) digits.push_back(host_digits(keys[i], begin, end));
    const std::vector<long> order = host_order(digits, down);
    host_permute(keys, sorted, first, order);
    if (values) host_permute(values, moved, first, order);
}
// A sort has four forms: of keys, or of pairs of a key and a value, each from one array into another or in a DoubleBuffer.
// HOST_WHERE: the parameters that say which elements make a segment; HOST_HOW: those that say by which bits; HOST_EACH: a loop over
// the segments, from `first` to `last`.
#define HOST_SORT(keys_name, pairs_name, down) \
    template <class K HOST_TYPES> \
    HOST_ALGORITHM keys_name(void* storage, size_t& bytes, const K* in, K* out, long n HOST_WHERE HOST_HOW, \
                                 cudaStream_t stream = 0) { \
        HOST_BEGIN \
        HOST_EACH host_sort(in, out, (const char*)nullptr, (char*)nullptr, first, last, begin, end, down); \
        return cudaSuccess; \
    } \
    template <class K HOST_TYPES> \
    HOST_ALGORITHM keys_name(void* storage, size_t& bytes, DoubleBuffer<K>& keys, long n HOST_WHERE HOST_HOW, \
                                 cudaStream_t stream = 0) { \
        HOST_BEGIN \
        HOST_EACH host_sort(keys.Current(), keys.Alternate(), (const char*)nullptr, (char*)nullptr, first, last, begin, end, down); \
        keys.selector ^= 1; \
        return cudaSuccess; \
    } \
    template <class K, class V HOST_TYPES> \
    HOST_ALGORITHM pairs_name(void* storage, size_t& bytes, const K* in, K* out, const V* values, V* moved, long n HOST_WHERE \
                                  HOST_HOW, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        HOST_EACH host_sort(in, out, values, moved, first, last, begin, end, down); \
        return cudaSuccess; \
    } \
    template <class K, class V HOST_TYPES> \
    HOST_ALGORITHM pairs_name(void* storage, size_t& bytes, DoubleBuffer<K>& keys, DoubleBuffer<V>& values, long n HOST_WHERE \
                                  HOST_HOW, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        HOST_EACH \
        host_sort(keys.Current(), keys.Alternate(), values.Current(), values.Alternate(), first, last, begin, end, down); \
        keys.selector ^= 1; \
        values.selector ^= 1; \
        return cudaSuccess; \
    }
#define HOST_TYPES
#define HOST_WHERE
#define HOST_HOW , int begin = 0, int end = 8 * sizeof(K)
#define HOST_EACH const long first = 0, last = n;
struct DeviceRadixSort {
    HOST_SORT(SortKeys, SortPairs, false)
    HOST_SORT(SortKeysDescending, SortPairsDescending, true)
};
#undef HOST_TYPES
#undef HOST_WHERE
#undef HOST_EACH
#define HOST_TYPES , class B, class E
#define HOST_WHERE , long segments, B begins, E ends
#define HOST_EACH for (long s = 0, first, last; s < segments && (first = begins[s], last = ends[s], true); s++)
struct DeviceSegmentedRadixSort {
    HOST_SORT(SortKeys, SortPairs, false)
    HOST_SORT(SortKeysDescending, SortPairsDescending, true)
};
#undef HOST_HOW
#undef HOST_EACH
#define HOST_HOW
#define HOST_EACH \
    const int begin = 0, end = 8 * sizeof(K); \
    for (long s = 0, first, last; s < segments && (first = begins[s], last = ends[s], true); s++)
struct DeviceSegmentedSort {
    HOST_SORT(SortKeys, SortPairs, false)
    HOST_SORT(SortKeysDescending, SortPairsDescending, true)
    HOST_SORT(StableSortKeys, StableSortPairs, false)
    HOST_SORT(StableSortKeysDescending, StableSortPairsDescending, true)
};
#undef HOST_TYPES
#undef HOST_WHERE
#undef HOST_HOW
#undef HOST_EACH
#undef HOST_SORT

class DeviceMergeSort {
    template <class I, class J, class K, class V, class F> static void sort(I in, J values, K keys, V moved, long n, F less) {
        std::vector<host_value<I>> k;
        std::vector<host_value<J>> v;
        std::vector<long> order;
        for (long i = 0; i < n; i++) {
            k.push_back(in[i]);
            v.push_back(values[i]);
            order.push_back(i);
        }
        const host_value<I>* at = k.data();
        std::stable_sort(order.begin(), order.end(), [=](long a, long b) { return less(at[a], at[b]); });
        for (long i = 0; i < n; i++) {
            keys[i] = k[order[i]];
            moved[i] = v[order[i]];
        }
    }
    struct nothing {  // in the place of values, where there are none
        char kept;
        char& operator[](long) { return kept; }
        char& operator*() { return kept; }
    };

public:
#define HOST_MERGE_SORT(stable) \
    template <class K, class F> \
    HOST_ALGORITHM stable##SortKeys(void* storage, size_t& bytes, K keys, long n, F less, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        sort(keys, nothing(), keys, nothing(), n, less); \
        return cudaSuccess; \
    } \
    template <class I, class K, class F> \
    HOST_ALGORITHM stable##SortKeysCopy(void* storage, size_t& bytes, I in, K keys, long n, F less, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        sort(in, nothing(), keys, nothing(), n, less); \
        return cudaSuccess; \
    } \
    template <class K, class V, class F> \
    HOST_ALGORITHM stable##SortPairs(void* storage, size_t& bytes, K keys, V values, long n, F less, cudaStream_t stream = 0) { \
        HOST_BEGIN \
        sort(keys, values, keys, values, n, less); \
        return cudaSuccess; \
    }
    HOST_MERGE_SORT()
    HOST_MERGE_SORT(Stable)
#undef HOST_MERGE_SORT
    template <class I, class J, class K, class V, class F>
    HOST_ALGORITHM SortPairsCopy(void* storage, size_t& bytes, I in, J values, K keys, V moved, long n, F less,
                                     cudaStream_t stream = 0) {
        HOST_BEGIN
        sort(in, values, keys, moved, n, less);
        return cudaSuccess;
    }
};

struct DeviceMerge {  // of two sorted ranges; of equal elements, those of the first come first
    template <class I, class J, class O, class F = host_before>
    HOST_ALGORITHM MergeKeys(void* storage, size_t& bytes, I a, long n, J b, long m, O out, F less = F(),
                                 cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = 0, j = 0; i + j < n + m;) {
            bool second = i == n || (j < m && less(b[j], a[i]));
            long k = i + j;
            if (second) out[k] = b[j++];
            else out[k] = a[i++];
        }
        return cudaSuccess;
    }
    template <class I, class S, class J, class T, class O, class U, class F = host_before>
    HOST_ALGORITHM MergePairs(void* storage, size_t& bytes, I a, S of_a, long n, J b, T of_b, long m, O out, U of_out,
                                  F less = F(),
                                  cudaStream_t stream = 0) {
        HOST_BEGIN
        for (long i = 0, j = 0; i + j < n + m;) {
            bool second = i == n || (j < m && less(b[j], a[i]));
            long k = i + j;
            if (second) out[k] = b[j], of_out[k] = of_b[j++];
            else out[k] = a[i], of_out[k] = of_a[i++];
        }
        return cudaSuccess;
    }
};
}  // namespace cub

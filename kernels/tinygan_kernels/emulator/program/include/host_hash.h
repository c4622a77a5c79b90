// The table behind std::unordered_map and std::unordered_set. Elements come in the order in which those of the GNU library come: its
// sizes of tables, its hashes and its chain through all elements, as its documentation and its programs' output show them.
#pragma once
#include <host_constexpr.h>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
namespace std {
// A. Appleby's MurmurHash64A, with the seed of the GNU library
__noinline__ inline size_t host_hash_bytes(const void* bytes, size_t size) {
    const unsigned long long mul = 0xc6a4a7935bd1e995ull;
    const unsigned char* p = (const unsigned char*)bytes;
    unsigned long long hash = 0xc70f6907ull ^ size * mul;
    for (; size >= 8; size -= 8, p += 8) {
        unsigned long long word = 0;
        for (int i = 7; i >= 0; i--) word = word << 8 | p[i];
        word *= mul;
        hash = (hash ^ (word ^ word >> 47) * mul) * mul;
    }
    if (size) {
        unsigned long long word = 0;
        for (int i = (int)size - 1; i >= 0; i--) word = word << 8 | p[i];
        hash = (hash ^ word) * mul;
    }
    hash = (hash ^ hash >> 47) * mul;
    return hash ^ hash >> 47;
}
template <class T> struct hash {
    size_t operator()(T v) const { return (size_t)v; }
};
template <> struct hash<string> {
    size_t operator()(const string& s) const { return host_hash_bytes(s.data(), s.size()); }
};
template <> struct hash<float> {
    size_t operator()(float v) const { return v != 0 ? host_hash_bytes(&v, 4) : 0; }
};
template <> struct hash<double> {
    size_t operator()(double v) const { return v != 0 ? host_hash_bytes(&v, 8) : 0; }
};
__noinline__ inline size_t host_table_size(size_t least) {
    static const unsigned sizes[] = {
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 103, 109, 113, 127, 137, 139,
        149, 157, 167, 179, 193, 199, 211, 227, 241, 257, 277, 293, 313, 337, 359, 383, 409, 439, 467, 503, 541, 577, 619, 661, 709, 761,
        823, 887, 953, 1031, 1109, 1193, 1289, 1381, 1493, 1613, 1741, 1879, 2029, 2179, 2357, 2549, 2753, 2971, 3209, 3469, 3739, 4027,
        4349, 4703, 5087, 5503, 5953, 6427, 6949, 7517, 8123, 8783, 9497, 10273, 11113, 12011, 12983, 14033, 15173, 16411, 17749, 19183,
        20753, 22447, 24281, 26267, 28411, 30727, 33223, 35933, 38873, 42043, 45481, 49201, 53201, 57557, 62233, 67307, 72817, 78779,
        85229, 92203, 99733, 107897, 116731, 126271, 136607, 147793, 159871, 172933, 187091, 202409, 218971, 236897, 256279, 277261,
        299951, 324503, 351061, 379787, 410857, 444487, 480881, 520241, 562841, 608903, 658753, 712697, 771049, 834181, 902483, 976369,
        1056323, 1142821, 1236397, 1337629, 1447153, 1565659, 1693859, 1832561, 1982627, 2144977, 2320627, 2510653, 2716249, 2938679,
        3179303, 3439651, 3721303, 4026031, 4355707, 4712381, 5098259, 5515729, 5967347, 6456007, 6984629, 7556579, 8175383, 8844859,
        9569143, 10352717, 11200489, 12117689, 13109983, 14183539, 15345007, 16601593, 17961079, 19431899, 21023161, 22744717, 24607243,
        26622317, 28802401, 31160981, 33712729, 36473443, 39460231, 42691603,
    };
    for (unsigned size : sizes) if (size >= least) return size;
    return least | 1;
}
template <class V> struct host_hash_node {
    host_hash_node* next = nullptr;
    size_t hash = 0;
    V value;
    template <class... A> explicit host_hash_node(A&&... a) : value(cuda::std::forward<A>(a)...) {}
};
template <class V, class R> struct host_hash_iterator {
    typedef V value_type;
    typedef R& reference;
    typedef R* pointer;
    typedef ptrdiff_t difference_type;
    typedef cuda::std::forward_iterator_tag iterator_category;
    host_hash_node<V>* node = nullptr;
    host_hash_iterator() {}
    host_hash_iterator(host_hash_node<V>* n) : node(n) {}
    operator host_hash_iterator<V, const V>() const { return {node}; }
    R& operator*() const { return node->value; }
    R* operator->() const { return &node->value; }
    host_hash_iterator& operator++() { node = node->next; return *this; }
    host_hash_iterator operator++(int) { host_hash_iterator before = *this; ++*this; return before; }
};
template <class V, class A, class B> bool operator==(const host_hash_iterator<V, A>& a, const host_hash_iterator<V, B>& b) { return a.node == b.node; }
template <class V, class A, class B> bool operator!=(const host_hash_iterator<V, A>& a, const host_hash_iterator<V, B>& b) { return a.node != b.node; }

template <class V, class K, class Key, class H, class E, class R> class host_hash_table {
    typedef host_hash_node<V> node;
    struct place { node* before; bool head; };  // of a bucket: the node before its first; head: that is the head of the chain
    node* first_ = nullptr;
    place* buckets_ = nullptr;
    size_t count_ = 1, size_ = 0, full_at_ = 0;
    H hash_;
    E equal_;
    float load_ = 1.0f;

    node*& after(const place& p) { return p.head ? first_ : p.before->next; }
    static bool used(const place& p) { return p.head || p.before; }
    static place* fresh(size_t n) {
        place* made = (place*)malloc(n * sizeof(place));
        for (size_t i = 0; i < n; i++) made[i] = place{nullptr, false};
        return made;
    }
    size_t sized(size_t least) {  // for `least` buckets; notes how many elements fit
        size_t n = host_table_size(least);
        full_at_ = (size_t)(n * (double)load_);
        return n;
    }
    void chain(node* n) {  // put a node in front of those of its bucket, or of all
        place& p = buckets_[n->hash % count_];
        if (used(p)) {
            n->next = after(p);
            after(p) = n;
            return;
        }
        n->next = first_;
        first_ = n;
        if (n->next) buckets_[n->next->hash % count_] = place{n, false};
        p = place{nullptr, true};
    }
    void resize(size_t n) {
        node* at = first_;
        free(buckets_);
        buckets_ = fresh(n);
        count_ = n;
        first_ = nullptr;
        while (at) {
            node* next = at->next;
            chain(at);
            at = next;
        }
    }
    node* find_node(const K& key, size_t hash) const {
        if (!buckets_) return nullptr;
        const place& p = buckets_[hash % count_];
        if (!used(p)) return nullptr;
        for (node* n = p.head ? first_ : p.before->next; n && n->hash % count_ == hash % count_; n = n->next) {
            if (n->hash == hash && equal_(key, Key::of(n->value))) return n;
        }
        return nullptr;
    }

public:
    typedef K key_type;
    typedef V value_type;
    typedef size_t size_type;
    typedef ptrdiff_t difference_type;
    typedef H hasher;
    typedef E key_equal;
    typedef host_hash_iterator<V, R> iterator;
    typedef host_hash_iterator<V, const V> const_iterator;

    HOST_CONSTEXPR host_hash_table() {}
    host_hash_table(const host_hash_table& other) : hash_(other.hash_), equal_(other.equal_) { *this = other; }
    host_hash_table(host_hash_table&& other) { swap(other); }
    ~host_hash_table() { clear(); free(buckets_); }
    host_hash_table& operator=(const host_hash_table& other) {
        if (this == &other) return *this;
        clear();
        if (other.buckets_) resize(other.count_);
        full_at_ = other.full_at_;
        load_ = other.load_;
        node* last = nullptr;
        for (node* n = other.first_; n; n = n->next) {  // in the same order
            node* copy = new node(n->value);
            copy->hash = n->hash;
            if (!used(buckets_[n->hash % count_])) buckets_[n->hash % count_] = place{last, last == nullptr};
            if (last) last->next = copy;
            else first_ = copy;
            last = copy;
            size_++;
        }
        return *this;
    }
    host_hash_table& operator=(host_hash_table&& other) {
        host_hash_table moved(cuda::std::move(other));
        swap(moved);
        return *this;
    }
    void swap(host_hash_table& other) {
        cuda::std::swap(first_, other.first_);
        cuda::std::swap(buckets_, other.buckets_);
        cuda::std::swap(count_, other.count_);
        cuda::std::swap(size_, other.size_);
        cuda::std::swap(full_at_, other.full_at_);
        cuda::std::swap(load_, other.load_);
    }
    void clear() {
        while (first_) {
            node* next = first_->next;
            delete first_;
            first_ = next;
        }
        size_ = 0;
        if (buckets_) for (size_t i = 0; i < count_; i++) buckets_[i] = place{nullptr, false};
    }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    size_t bucket_count() const { return count_; }
    size_t bucket(const K& key) const { return hash_(key) % count_; }
    float load_factor() const { return (float)size_ / (float)count_; }
    float max_load_factor() const { return load_; }
    void max_load_factor(float load) { load_ = load; full_at_ = (size_t)(count_ * (double)load); }
    void rehash(size_t n) {
        size_t needed = (size_t)(size_ / (double)load_) + (size_ ? 1 : 0);
        size_t made = sized(n > needed ? n : needed);
        if (made != count_ || !buckets_) resize(made);
    }
    void reserve(size_t n) {
        double least = n / (double)load_;
        rehash((size_t)least + ((double)(size_t)least < least));
    }
    iterator begin() { return {first_}; }
    iterator end() { return {nullptr}; }
    const_iterator begin() const { return {first_}; }
    const_iterator end() const { return {nullptr}; }
    const_iterator cbegin() const { return {first_}; }
    const_iterator cend() const { return {nullptr}; }

protected:
    node* with(const K& key) const { return find_node(key, hash_(key)); }
    cuda::std::pair<iterator, bool> put(node* n) {
        n->hash = hash_(Key::of(n->value));
        if (node* found = find_node(Key::of(n->value), n->hash)) {
            delete n;
            return {iterator(found), false};
        }
        if (size_ + 1 > full_at_) {
            size_t least = size_ + 1 > (full_at_ ? 0 : 11) ? size_ + 1 : 11;
            double buckets = least / (double)load_;
            if (buckets >= (double)count_) resize(sized((size_t)buckets + 1 > 2 * count_ ? (size_t)buckets + 1 : 2 * count_));
            else full_at_ = (size_t)(count_ * (double)load_);
        }
        if (!buckets_) buckets_ = fresh(count_);
        chain(n);
        size_++;
        return {iterator(n), true};
    }

public:
    cuda::std::pair<iterator, bool> insert(const V& v) { return put(new node(v)); }
    cuda::std::pair<iterator, bool> insert(V&& v) { return put(new node(cuda::std::move(v))); }
    template <class I, class = decltype(*cuda::std::declval<I&>())> void insert(I first, I last) { for (; first != last; ++first) insert(V(*first)); }
    void insert(std::initializer_list<V> items) { for (const V& v : items) insert(v); }
    template <class... A> cuda::std::pair<iterator, bool> emplace(A&&... a) { return put(new node(cuda::std::forward<A>(a)...)); }
    iterator erase(const_iterator at) {
        node *n = at.node, *next = n->next;
        size_t bucket = n->hash % count_;
        place& p = buckets_[bucket];
        node** link = &after(p);
        node* before = p.before;
        while (*link != n) {
            before = *link;
            link = &(*link)->next;
        }
        bool first = link == &after(p), alone = first && (!next || next->hash % count_ != bucket);
        *link = next;
        if (next && next->hash % count_ != bucket) buckets_[next->hash % count_] = first && p.head ? place{nullptr, true} : place{before, false};
        if (alone) p = place{nullptr, false};
        delete n;
        size_--;
        return {next};
    }
    size_t erase(const K& key) {
        node* n = with(key);
        if (n) erase(const_iterator(n));
        return n != nullptr;
    }
    iterator find(const K& key) { return {with(key)}; }
    const_iterator find(const K& key) const { return {with(key)}; }
    size_t count(const K& key) const { return with(key) != nullptr; }
    bool contains(const K& key) const { return with(key) != nullptr; }
};
template <class K, class T> struct host_key_of {
    static const K& of(const cuda::std::pair<const K, T>& v) { return v.first; }
    static const K& of(const K& v) { return v; }
};
template <class K> struct host_itself_of {
    static const K& of(const K& v) { return v; }
};
}  // namespace std

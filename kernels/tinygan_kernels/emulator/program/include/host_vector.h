// std::vector of C++, which grows as that of the GNU library; operator[] is checked by the emulator, which knows the memory behind it.
#pragma once
#include <host_constexpr.h>
#include <algorithm>
#include <cuda/std/initializer_list>
#include <stdio.h>
#include <stdlib.h>
namespace std {
template <class T> struct allocator {
    typedef T value_type;
    typedef T* pointer;
    typedef const T* const_pointer;
    typedef T& reference;
    typedef const T& const_reference;
    typedef size_t size_type;
    typedef ptrdiff_t difference_type;
    template <class U> struct rebind { typedef allocator<U> other; };
    constexpr allocator() {}
    template <class U> constexpr allocator(const allocator<U>&) {}
    T* allocate(size_t n) { return (T*)malloc(n * sizeof(T)); }
    void deallocate(T* pointer, size_t) { free(pointer); }
};
template <class T, class U> constexpr bool operator==(const allocator<T>&, const allocator<U>&) { return true; }
template <class T, class U> constexpr bool operator!=(const allocator<T>&, const allocator<U>&) { return false; }
template <class T, class A = allocator<T>> class vector {
    T* first_ = nullptr;
    size_t size_ = 0, room_ = 0;

    void give_back() { if (first_) A().deallocate(first_, room_); }
    __noinline__ void move_to(T* fresh, size_t room) {
        for (size_t i = 0; i < size_; i++) {
            new (fresh + i) T(cuda::std::move(first_[i]));
            first_[i].~T();
        }
        give_back();
        first_ = fresh;
        room_ = room;
    }
    void grow(size_t room) { if (room > room_) move_to(A().allocate(room), room); }
    void grow_for(size_t n) {  // for n elements; twice as many as before, where more than one comes
        if (n > room_) grow(n > 2 * size_ ? n : 2 * size_);
    }
    void destroy_from(size_t n) {
        for (size_t i = n; i < size_; i++) first_[i].~T();
        size_ = n;
    }
    template <class I> void grow_for_all(I first, I last) {
        typedef typename std::iterator_traits<I>::iterator_category kind;
        if constexpr (cuda::std::is_base_of<cuda::std::forward_iterator_tag, kind>::value) grow_for(size_ + (size_t)cuda::std::distance(first, last));
    }

public:
    typedef T value_type;
    typedef A allocator_type;
    typedef T* iterator;
    typedef const T* const_iterator;
    typedef T& reference;
    typedef const T& const_reference;
    typedef size_t size_type;
    typedef ptrdiff_t difference_type;

    HOST_CONSTEXPR vector() {}
    explicit vector(size_t n) { resize(n); }
    vector(size_t n, const T& value) { assign(n, value); }
    vector(std::initializer_list<T> items) { *this = items; }
    template <class I, class = decltype(*cuda::std::declval<I&>())> vector(I first, I last) { assign(first, last); }
    vector(const vector& other) { *this = other; }
    vector(vector&& other) { swap(other); }
    __noinline__ ~vector() {
        clear();
        give_back();
    }
    __noinline__ vector& operator=(const vector& other) {
        if (this == &other) return *this;
        clear();
        grow(other.size_);
        for (size_t i = 0; i < other.size_; i++) push_back(other.first_[i]);
        return *this;
    }
    vector& operator=(vector&& other) {
        vector moved(cuda::std::move(other));
        swap(moved);
        return *this;
    }
    vector& operator=(std::initializer_list<T> items) {
        clear();
        grow(items.size());
        for (const T& item : items) push_back(item);
        return *this;
    }
    void swap(vector& other) {
        T* first = first_; first_ = other.first_; other.first_ = first;
        size_t size = size_; size_ = other.size_; other.size_ = size;
        size_t room = room_; room_ = other.room_; other.room_ = room;
    }
    __noinline__ void assign(size_t n, const T& value) {
        T copy(value);  // which may lie in this vector
        clear();
        grow(n);
        for (size_t i = 0; i < n; i++) push_back(copy);
    }
    template <class I, class = decltype(*cuda::std::declval<I&>())> void assign(I first, I last) {
        clear();
        grow_for_all(first, last);
        for (; first != last; ++first) push_back(*first);
    }
    void reserve(size_t n) { grow(n); }
    __noinline__ void resize(size_t n) {
        grow_for(n);
        for (; size_ < n; size_++) new (first_ + size_) T();
        destroy_from(n);
    }
    void resize(size_t n, const T& value) {
        T copy(value);  // which may lie in this vector
        grow_for(n);
        while (size_ < n) push_back(copy);
        destroy_from(n);
    }
    void shrink_to_fit() { if (size_ < room_) move_to(size_ ? A().allocate(size_) : nullptr, size_); }
    void clear() { destroy_from(0); }
    void push_back(const T& value) { emplace_back(value); }
    void push_back(T&& value) { emplace_back(cuda::std::move(value)); }
    template <class... B> T& emplace_back(B&&... b) {
        if (size_ < room_) return *new (first_ + size_++) T(cuda::std::forward<B>(b)...);
        return *grow_with(cuda::std::forward<B>(b)...);
    }
    template <class... B> __noinline__ T* grow_with(B&&... b) {
        size_t room = room_ ? 2 * room_ : 1;
        T* fresh = A().allocate(room);
        new (fresh + size_) T(cuda::std::forward<B>(b)...);  // before the others move, as it may be made of one of them
        move_to(fresh, room);
        return first_ + size_++;
    }
    void pop_back() { first_[--size_].~T(); }
    T* insert(const T* at, const T& value) {
        size_t i = at - first_;
        push_back(value);
        for (size_t j = size_ - 1; j > i; j--) cuda::std::swap(first_[j], first_[j - 1]);
        return first_ + i;
    }
    template <class I, class = decltype(*cuda::std::declval<I&>())> void insert(const T* at, I first, I last) {
        size_t i = at - first_;
        grow_for_all(first, last);
        for (; first != last; ++first) insert(first_ + i++, *first);
    }
    T* erase(const T* at) { return erase(at, at + 1); }
    T* erase(const T* from, const T* to) {
        size_t i = from - first_, n = to - from;
        if (n == 0) return first_ + i;
        for (size_t j = i; j + n < size_; j++) first_[j] = cuda::std::move(first_[j + n]);
        destroy_from(size_ - n);
        return first_ + i;
    }
    T& at(size_t i);
    cuda::std::reverse_iterator<T*> rbegin() { return cuda::std::reverse_iterator<T*>(end()); }
    cuda::std::reverse_iterator<T*> rend() { return cuda::std::reverse_iterator<T*>(begin()); }
    cuda::std::reverse_iterator<const T*> rbegin() const { return cuda::std::reverse_iterator<const T*>(end()); }
    cuda::std::reverse_iterator<const T*> rend() const { return cuda::std::reverse_iterator<const T*>(begin()); }
    template <class... B> T* emplace(const T* at, B&&... b) { return insert(at, T(cuda::std::forward<B>(b)...)); }
    T* insert(const T* at, size_t n, const T& value) {
        size_t i = at - first_;
        for (T copy(value); n > 0; n--) insert(first_ + i, copy);
        return first_ + i;
    }
    T* insert(const T* at, std::initializer_list<T> items) {
        size_t i = at - first_;
        insert(at, items.begin(), items.end());
        return first_ + i;
    }
    void assign(std::initializer_list<T> items) { *this = items; }
    const T& at(size_t i) const { return const_cast<vector*>(this)->at(i); }
    T& operator[](size_t i) { return first_[i]; }
    const T& operator[](size_t i) const { return first_[i]; }
    T& front() { return first_[0]; }
    const T& front() const { return first_[0]; }
    T& back() { return first_[size_ - 1]; }
    const T& back() const { return first_[size_ - 1]; }
    T* data() { return first_; }
    const T* data() const { return first_; }
    T* begin() { return first_; }
    T* end() { return first_ + size_; }
    const T* begin() const { return first_; }
    const T* end() const { return first_ + size_; }
    const T* cbegin() const { return first_; }
    const T* cend() const { return first_ + size_; }
    size_t size() const { return size_; }
    size_t capacity() const { return room_; }
    bool empty() const { return size_ == 0; }
};
template <class T, class A> bool operator==(const vector<T, A>& a, const vector<T, A>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++) if (!(a[i] == b[i])) return false;
    return true;
}
template <class T, class A> bool operator!=(const vector<T, A>& a, const vector<T, A>& b) { return !(a == b); }
}  // namespace std

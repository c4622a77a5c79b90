// std::string of C++.
#pragma once
#include <host_vector.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
namespace std {
class string;
string operator+(const string& a, const string& b);
void host_outside(const char* function, size_t at, size_t size);  // throws, in <stdexcept>
class string {
    vector<char> text_;  // with the zero at its end

public:
    static const size_t npos = (size_t)-1;
    __noinline__ string() { text_.push_back(0); }
    string(const string& other) : text_(other.text_) {}
    __noinline__ string(string&& other) : string() { text_.swap(other.text_); }
    string& operator=(const string& other) { text_ = other.text_; return *this; }
    __noinline__ string& operator=(string&& other) {
        if (this == &other) return *this;
        text_.swap(other.text_);
        other.clear();
        return *this;
    }
    string(const char* s) : string(s, ::strlen(s)) {}
    __noinline__ string(const char* s, size_t n) {
        for (size_t i = 0; i < n; i++) text_.push_back(s[i]);
        text_.push_back(0);
    }
    __noinline__ string(size_t n, char c) {
        text_.assign(n, c);
        text_.push_back(0);
    }
    template <class I, class = decltype(*cuda::std::declval<I&>())> string(I first, I last) {
        for (; first != last; ++first) text_.push_back(*first);
        text_.push_back(0);
    }
    string(std::initializer_list<char> items) : string(items.begin(), items.size()) {}
    typedef char value_type;
    typedef char* iterator;
    typedef const char* const_iterator;
    typedef size_t size_type;
    const char* c_str() const { return text_.data(); }
    const char* data() const { return text_.data(); }
    size_t size() const { return text_.size() - 1; }
    size_t length() const { return size(); }
    bool empty() const { return size() == 0; }
    __noinline__ void clear() { text_.assign(1, 0); }
    char& operator[](size_t i) { return text_[i]; }
    const char& operator[](size_t i) const { return text_[i]; }
    char* begin() { return text_.begin(); }
    char* end() { return text_.end() - 1; }
    const char* begin() const { return text_.begin(); }
    const char* end() const { return text_.end() - 1; }
    char& back() { return text_[size() - 1]; }
    __noinline__ void push_back(char c) {
        text_.back() = c;
        text_.push_back(0);
    }
    char& front() { return text_[0]; }
    const char& front() const { return text_[0]; }
    const char& back() const { return text_[size() - 1]; }
    char& at(size_t i);
    const char& at(size_t i) const { return const_cast<string*>(this)->at(i); }
    char* data() { return text_.data(); }
    const char* cbegin() const { return begin(); }
    const char* cend() const { return end(); }
    cuda::std::reverse_iterator<char*> rbegin() { return cuda::std::reverse_iterator<char*>(end()); }
    cuda::std::reverse_iterator<char*> rend() { return cuda::std::reverse_iterator<char*>(begin()); }
    cuda::std::reverse_iterator<const char*> rbegin() const { return cuda::std::reverse_iterator<const char*>(end()); }
    cuda::std::reverse_iterator<const char*> rend() const { return cuda::std::reverse_iterator<const char*>(begin()); }
    void reserve(size_t n) { text_.reserve(n + 1); }
    size_t capacity() const { return text_.capacity() - 1; }
    void shrink_to_fit() {}
    void swap(string& other) { text_.swap(other.text_); }
    __noinline__ void pop_back() {
        text_.pop_back();
        text_.back() = 0;
    }
    __noinline__ void resize(size_t n, char c = 0) {
        while (size() < n) push_back(c);
        while (size() > n) pop_back();
    }
    string& assign(const string& other) { return *this = other; }
    string& assign(size_t n, char c) { return *this = string(n, c); }
    string& append(size_t n, char c) { return *this += string(n, c); }
    string& append(const char* s, size_t n) { return *this += string(s, n); }
    template <class I, class = decltype(*cuda::std::declval<I&>())> string& append(I first, I last) {
        for (; first != last; ++first) push_back(*first);
        return *this;
    }
    string& insert(size_t at, const string& part) { return *this = substr(0, at) + part + substr(at); }
    string& insert(size_t at, size_t n, char c) { return insert(at, string(n, c)); }
    string& erase(size_t from = 0, size_t n = npos) { return replace(from, n, string()); }
    char* erase(const char* at) {
        size_t i = at - begin();
        erase(i, 1);
        return begin() + i;
    }
    char* erase(const char* from, const char* to) {
        size_t i = from - begin();
        erase(i, to - from);
        return begin() + i;
    }
    __noinline__ string& replace(size_t from, size_t n, const string& part) {
        if (from > size()) host_outside("basic_string::replace", from, size());
        size_t most = size() - from;
        return *this = substr(0, from) + part + substr(from + (n < most ? n : most));
    }
    string& append(const string& other) { return *this += other; }
    __noinline__ string& operator+=(const string& other) {
        size_t n = other.size();
        for (size_t i = 0; i < n; i++) push_back(other[i]);
        return *this;
    }
    string& operator+=(char c) {
        push_back(c);
        return *this;
    }
    __noinline__ string substr(size_t from, size_t n = npos) const {
        if (from > size()) host_outside("basic_string::substr", from, size());
        size_t most = size() - from;
        return string(c_str() + from, n < most ? n : most);
    }
    __noinline__ size_t find(const string& part, size_t from = 0) const {
        for (size_t i = from; i <= size() && part.size() <= size() - i; i++) if (!::memcmp(c_str() + i, part.c_str(), part.size())) return i;
        return npos;
    }
    size_t find(char c, size_t from = 0) const { return find(string(1, c), from); }
    __noinline__ size_t rfind(const string& part) const {
        for (size_t i = size() + 1; i > 0; i--) {
            if (i - 1 + part.size() <= size() && !::memcmp(c_str() + i - 1, part.c_str(), part.size())) return i - 1;
        }
        return npos;
    }
    __noinline__ size_t host_find(const string& set, size_t from, bool in, bool backward) const {
        for (size_t k = from; k < size(); k += backward ? -1 : 1) {
            bool found = false;
            for (size_t j = 0; j < set.size(); j++) found = found || set[j] == (*this)[k];
            if (found == in) return k;
        }
        return npos;
    }
    size_t find_first_of(const string& set, size_t from = 0) const { return host_find(set, from, true, false); }
    size_t find_first_not_of(const string& set, size_t from = 0) const { return host_find(set, from, false, false); }
    size_t find_last_of(const string& set) const { return host_find(set, size() - 1, true, true); }
    size_t find_last_not_of(const string& set) const { return host_find(set, size() - 1, false, true); }
    size_t find_first_of(char c, size_t from = 0) const { return find(c, from); }
    size_t find_last_of(char c) const { return rfind(c); }
    bool starts_with(const string& part) const { return size() >= part.size() && substr(0, part.size()).compare(part) == 0; }
    bool ends_with(const string& part) const { return size() >= part.size() && substr(size() - part.size()).compare(part) == 0; }
    __noinline__ size_t rfind(char c) const {
        for (size_t i = size(); i > 0; i--) if (text_[i - 1] == c) return i - 1;
        return npos;
    }
    __noinline__ int compare(const string& other) const {
        size_t least = size() < other.size() ? size() : other.size();
        for (size_t i = 0; i < least; i++) {
            int a = (unsigned char)(*this)[i], b = (unsigned char)other[i];
            if (a != b) return a - b;
        }
        return (int)(size() - other.size());
    }
    int compare(size_t from, size_t n, const string& other) const { return substr(from, n).compare(other); }
};
__noinline__ inline string operator+(const string& a, const string& b) { string c = a; return c += b; }
__noinline__ inline string operator+(const string& a, char b) { string c = a; return c += b; }
__noinline__ inline bool operator==(const string& a, const string& b) { return a.compare(b) == 0; }
__noinline__ inline bool operator!=(const string& a, const string& b) { return a.compare(b) != 0; }
__noinline__ inline bool operator<(const string& a, const string& b) { return a.compare(b) < 0; }
__noinline__ inline bool operator>(const string& a, const string& b) { return a.compare(b) > 0; }
__noinline__ inline bool operator<=(const string& a, const string& b) { return a.compare(b) <= 0; }
__noinline__ inline bool operator>=(const string& a, const string& b) { return a.compare(b) >= 0; }
__noinline__ inline string operator+(char a, const string& b) { string c(1, a); return c += b; }
template <class T> __noinline__ inline string host_formatted(const char* format, T value) {
    char text[400];
    ::snprintf(text, 400, format, value);
    return string(text);
}
__noinline__ inline string to_string(int v) { return host_formatted("%d", v); }
__noinline__ inline string to_string(unsigned v) { return host_formatted("%u", v); }
__noinline__ inline string to_string(long v) { return host_formatted("%ld", v); }
__noinline__ inline string to_string(unsigned long v) { return host_formatted("%lu", v); }
__noinline__ inline string to_string(long long v) { return host_formatted("%lld", v); }
__noinline__ inline string to_string(unsigned long long v) { return host_formatted("%llu", v); }
__noinline__ inline string to_string(float v) { return host_formatted("%f", (double)v); }
__noinline__ inline string to_string(double v) { return host_formatted("%f", v); }
}  // namespace std

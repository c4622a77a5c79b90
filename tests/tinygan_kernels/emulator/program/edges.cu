// Edges of the C++ library: what is left of what was moved, orders of constructors and of equals, defaults. Its output is that of
// g++ 12: g++ -x c++ -std=c++17 -w edges.cu && ./a.out > edges.txt
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>
using namespace std;
struct Told {
    int n;
    Told(int n) : n(n) { printf("+%d ", n); }
    Told(const Told& o) : n(o.n) { printf("c%d ", n); }
    Told(Told&& o) noexcept : n(o.n) { o.n = -1; printf("m%d ", n); }
    Told& operator=(const Told& o) { n = o.n; printf("=%d ", n); return *this; }
    ~Told() { printf("-%d ", n); }
};
struct Base { virtual ~Base() {} };
struct Derived : Base {};
struct Job { int key; int id; bool operator<(const Job& o) const { return key < o.key; } };
static int by_key(const void* a, const void* b) { return ((const Job*)a)->key - ((const Job*)b)->key; }
template <class T> struct Counting {
    typedef T value_type;
    Counting() {}
    template <class U> Counting(const Counting<U>&) {}
    T* allocate(size_t n) { printf("a%zu ", n); return (T*)malloc(n * sizeof(T)); }
    void deallocate(T* p, size_t n) { printf("d%zu ", n); free(p); }
};
template <class T, class U> bool operator==(const Counting<T>&, const Counting<U>&) { return true; }
template <class T, class U> bool operator!=(const Counting<T>&, const Counting<U>&) { return false; }
int main() {
    {   // moved from
        vector<int> a = {1, 2, 3}, b = {4}; b = std::move(a); printf("%zu %zu ", a.size(), b.size());
        string s = "a rather long text that is kept on the heap", t = "another rather long text, kept there too"; t = std::move(s); printf("%zu %zu ", s.size(), t.size());
        string u(std::move(t)); printf("%zu %d ", t.size(), t.empty()); t += "x"; t.push_back('y'); printf("%s ", t.c_str());
        deque<int> d = {1}, e = {2, 3}; e = std::move(d); printf("%zu ", d.size());
        list<int> l = {1}, m = {2, 3}; m = std::move(l); printf("%zu ", l.size());
        map<int, int> p = {{1, 2}}, q = {{3, 4}, {5, 6}}; q = std::move(p); printf("%zu ", p.size());
        unordered_map<int, int> h = {{1, 2}}, i = {{3, 4}, {5, 6}}; i = std::move(h); printf("%zu ", h.size());
        function<int()> f = [] { return 1; }, g = [] { return 2; }; g = std::move(f); printf("%d\n", (bool)f);
    }
    {   // order of constructors, room
        { vector<Told> v; v.emplace_back(1); v.emplace_back(2); v.emplace_back(3); printf("| "); v.erase(v.begin(), v.begin() + 1); printf("| "); }
        printf("\n");
        { list<Told> v; v.emplace_back(1); v.emplace_back(2); deque<Told> d; d.emplace_back(3); d.emplace_back(4); }
        printf("\n");
        vector<int> v; for (int i = 0; i < 9; i++) { v.push_back(i); printf("%zu ", v.capacity()); }
        v.resize(17); printf("%zu ", v.capacity()); v.resize(100); printf("%zu ", v.capacity()); v.shrink_to_fit(); printf("%zu ", v.capacity());
        vector<int> w(v.begin(), v.begin() + 7), x = {1, 2, 3}; printf("%zu %zu ", w.capacity(), x.capacity());
        x.insert(x.end(), w.begin(), w.end()); printf("%zu ", x.capacity());
        x.resize(40, x[1]); printf("%d ", x[39]); x.assign(60, x[2]); printf("%d\n", x[59]);
        vector<float, Counting<float>> c; for (int i = 0; i < 5; i++) c.push_back(i); printf("%g\n", c[4]);
    }
    printf("\n");
    {   // deque: elements stay
        deque<int> d; d.push_back(5); int& first = d.front(); for (int i = 0; i < 5000; i++) { d.push_back(i); d.push_front(-i); } printf("%d ", first);
        long sum = 0; int k = 0; while (d.size() > 1) { sum += (k % 3 ? d.front() : d.back()) * (k % 7); if (k++ % 3) d.pop_front(); else d.pop_back(); } printf("%ld %d ", sum, d[0]);
        queue<int> q; for (int i = 0; i < 10000; i++) { q.push(i); if (i % 3) q.pop(); } printf("%d %d %zu ", q.front(), q.back(), q.size());
        deque<int> e; for (int i = 0; i < 3000; i++) e.push_front(i * 7919 % 3001); sort(e.begin(), e.end()); printf("%d %d %d\n", e[0], e[1500], e[2999]);
    }
    {   // equal elements
        priority_queue<Job> pq; vector<Job> v; mt19937 g(3);
        for (int i = 0; i < 60; i++) { Job j{(int)(g() % 5), i}; pq.push(j); v.push_back(j); }
        for (int i = 0; i < 30; i++) { printf("%d ", pq.top().id); pq.pop(); if (i % 3 == 0) pq.push({i % 4, 100 + i}); } printf("\n");
        priority_queue<Job> all(v.begin(), v.end()); while (!all.empty()) { printf("%d ", all.top().id); all.pop(); } printf("\n");
        vector<Job> a = v; partial_sort(a.begin(), a.begin() + 20, a.end()); for (auto& j : a) printf("%d ", j.id); printf("\n");
        a = v; make_heap(a.begin(), a.end()); for (auto& j : a) printf("%d ", j.id); sort_heap(a.begin(), a.end()); for (auto& j : a) printf("%d ", j.id); printf("\n");
        a = v; nth_element(a.begin(), a.begin() + 30, a.end()); for (auto& j : a) printf("%d ", j.id); printf("\n");
        a = v; qsort(a.data(), a.size(), sizeof(Job), by_key); for (auto& j : a) printf("%d ", j.id); printf("\n");
        a = v; partition(a.begin(), a.end(), [](const Job& j) { return j.key > 2; }); for (auto& j : a) printf("%d ", j.id); printf("\n");
        a = v; rotate(a.begin(), a.begin() + 13, a.end()); auto mm = minmax_element(a.begin(), a.end()); printf("%d %d\n", mm.first->id, mm.second->id);
    }
    {   // random
        mt19937 g(1); mt19937_64 g64(1); uniform_int_distribution<unsigned> u; uniform_int_distribution<uint64_t> w; uniform_int_distribution<int> i; uniform_int_distribution<short> h; uniform_int_distribution<unsigned short> us; uniform_int_distribution<long> l;
        for (int k = 0; k < 3; k++) printf("%u %u %lu %lu %d %d %u %ld ", u(g), u(g64), (unsigned long)w(g), (unsigned long)w(g64), i(g), h(g), us(g), l(g)); printf("\n");
    }
    {   // owners
        unique_ptr<int, void (*)(int*)> a(nullptr, [](int*) { printf("first "); }); a = unique_ptr<int, void (*)(int*)>(new int(3), [](int* p) { printf("second "); delete p; }); a.reset();
        auto d = make_shared<Derived>(); shared_ptr<Base> b = std::move(d); printf("%d %ld ", d == nullptr, b.use_count());
        unique_ptr<int, function<void(int*)>> own(new int(4), [](int* p) { printf("gone%d ", *p); delete p; }); { shared_ptr<int> s(std::move(own)); printf("%ld ", s.use_count()); }
        unique_ptr<int> none; shared_ptr<int> empty(std::move(none)); printf("%ld\n", empty.use_count());
    }
    {   // time
        using namespace chrono; typedef duration<long long, ratio<1, 30>> frames;
        printf("%lld %lld %lld %lld\n", (long long)duration_cast<milliseconds>(frames(7)).count(), (long long)duration_cast<frames>(milliseconds(-1234)).count(), (long long)duration_cast<seconds>(nanoseconds(9000000000000000000)).count(), (long long)duration_cast<nanoseconds>(hours(2000000)).count());
    }
    {   // tables
        mt19937 g(5); unordered_set<int> s; unordered_map<string, int> m; for (int i = 0; i < 300; i++) { int k = g() % 200; if (g() % 3) { s.insert(k); m[to_string(k)]++; } else { s.erase(k); m.erase(to_string(k)); } }
        unordered_set<int> t; t.insert(s.begin(), s.end()); unordered_set<int> u(t), w; w = u; for (auto* x : {&s, &t, &u, &w}) { long h = 0; for (int k : *x) h = h * 31 + k; printf("%ld %zu ", h, x->bucket_count()); }
        unordered_map<int, int> loose; loose.max_load_factor(20); for (int i = 0; i < 15; i++) loose[i * 37] = i; auto copy = loose; for (auto& p : copy) printf("%d ", p.first); for (auto& p : m) printf("%s%d ", p.first.c_str(), p.second); printf("\n");
    }
}

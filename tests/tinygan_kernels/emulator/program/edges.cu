// Edges of the C++ library: what is left of what was moved, orders of constructors and of equals, defaults. Its output is that of
// g++ 12: g++ -x c++ -std=c++17 -w edges.cu && ./a.out > edges.txt
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>
using namespace std;
struct Told {
    int n;
    Told(int n) : n(n) { printf("+%d ", n); }
    Told(Told&& o) noexcept : n(o.n) { o.n = -1; printf("m%d ", n); }
    ~Told() { printf("-%d ", n); }
};
struct Base { virtual ~Base() {} };
struct Derived : Base {};
struct Job { int key, id; bool operator<(const Job& o) const { return key < o.key; } };
int by_key(const void* a, const void* b) { return ((const Job*)a)->key - ((const Job*)b)->key; }
int main() {
    vector<int> v = {1, 2, 3}, w = {4};
    w = std::move(v);
    string s = "a rather long text that is kept on the heap", t = "another one, kept there too";
    t = std::move(s);
    string moved(std::move(t));
    t += "x";
    printf("%zu %zu %zu %s\n", v.size(), w.size(), s.size(), t.c_str());
    { vector<Told> told; told.emplace_back(1); told.emplace_back(2); told.emplace_back(3); }
    for (int i = 0; i < 5; i++) { v.push_back(i); printf("%zu ", v.capacity()); }
    v.resize(9, v[3]);
    printf("%zu %zu %d\n", v.capacity(), w.capacity(), v[8]);
    deque<int> d = {5};  // whose elements stay where they are
    int& first = d.front();
    for (int i = 0; i < 3000; i++) { d.push_back(i); d.push_front(-i); }
    printf("%d ", first);
    long sum = 0;
    for (int i = 0; d.size() > 1; i++) {
        sum += (i % 3 ? d.front() : d.back()) * (i % 7);
        if (i % 3) d.pop_front(); else d.pop_back();
    }
    printf("%ld %d\n", sum, d[0]);
    priority_queue<Job> jobs;
    vector<Job> all;
    for (int i = 0; i < 20; i++) { jobs.push({i * 7 % 3, i}); all.push_back({i * 7 % 3, i}); }
    for (; !jobs.empty(); jobs.pop()) printf("%d ", jobs.top().id);
    qsort(all.data(), all.size(), sizeof(Job), by_key);
    for (Job& job : all) printf("%d ", job.id);
    mt19937 g(1);
    uniform_int_distribution<unsigned> whole;
    unsigned drawn = whole(g);
    printf("\n%u ", drawn);
    auto derived = make_shared<Derived>();
    shared_ptr<Base> base = std::move(derived);
    unique_ptr<int, void (*)(int*)> own(nullptr, [](int*) { printf("wrong "); });
    own = unique_ptr<int, void (*)(int*)>(new int(3), [](int* p) { printf("right "); delete p; });
    own.reset();
    typedef chrono::duration<long long, ratio<1, 30>> frames;
    printf("%d %ld %lld\n", derived == nullptr, base.use_count(), (long long)chrono::duration_cast<chrono::milliseconds>(frames(7)).count());
}

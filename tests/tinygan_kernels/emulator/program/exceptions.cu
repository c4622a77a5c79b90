// Exceptions of C++: which clause takes what, what is destroyed on the way and in which order, what variables hold in a clause. Its
// output is that of g++ 12: g++ -x c++ -std=c++17 -w exceptions.cu && ./a.out > exceptions.txt. With an argument it ends by one.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>
struct Told {
    int n;
    Told(int n) : n(n) { printf("+%d ", n); }
    Told(const Told& o) : n(o.n + 100) { printf("c%d ", n); }
    ~Told() { printf("-%d ", n); }
};
struct Failing {  // its constructor throws after two of its parts are there
    Told a;
    std::string text;
    Told b;
    Failing(int n) : a(n), text("a text that is long enough for the heap"), b(n + 1) {
        Told local(n + 2);
        if (n > 50) throw n;
        printf("made ");
    }
    ~Failing() { printf("~Failing "); }
};
struct Base { Told own; Base(int n) : own(n) {} virtual ~Base() { printf("~Base "); } };
struct Derived : Base {
    Told more;
    Derived(int n) : Base(n), more(n + 1) { if (n == 9) throw std::logic_error("no nine"); }
    ~Derived() override { printf("~Derived "); }
};
struct Tree { std::unique_ptr<Tree> left; Told own; Tree(int n) : own(n) { if (n) left.reset(new Tree(n - 1)); else throw 'x'; } };
struct Whole { int n; Whole(const Whole&) = delete; ~Whole() { printf("~Whole%d ", n); } };  // aggregates
struct alignas(16) Copied { int n; ~Copied() { printf("~Copied%d ", n); } };
struct Outside { int n; ~Outside(); };
Outside::~Outside() { printf("~Outside%d ", n); }
struct Tag {};
struct Heir : Told { Told more{7}; using Told::Told; };
struct Plain {  // whose copies are the compiler's own
    int n;
    Plain(int n) : n(n) { printf("+%d ", n); }
    ~Plain() { printf("-%d ", n); }
};
template <class T> class Boxed : Tag {
    T value_;

public:
    explicit Boxed(T value) : value_(value) {}
    Boxed(const Boxed&) = default;
    ~Boxed() { printf("~%d ", (int)value_); }
};
int taken(Plain p) { throw p.n; }
int calm(int n) noexcept {  // an exception that stays inside is an ordinary one
    try { if (n > 1) throw n; } catch (int k) { return -k; }
    if (n < 0) throw std::domain_error("below zero");
    return n;
}
struct Quiet {
    int n;
    Quiet(int n) noexcept(sizeof(int) == 4) : n{calm(n)} {}
    Quiet(const Quiet&) noexcept = default;
    int twice() const noexcept(false) { throw n; }
    ~Quiet() { try { throw n; } catch (int k) { printf("~Quiet%d ", k); } }
};
int at_once(const std::vector<int>& v) {  // what only the value that is returned changes
    size_t at = 0;
    try { return v.at(v[at++]); } catch (const std::out_of_range&) { return -(int)at; }
}
class Error : public std::runtime_error {
    int code_;

public:
    Error(const std::string& what, int code) : std::runtime_error("Error: " + what), code_(code) {}
    int code() const { return code_; }
};
struct Tagged { int tag = 3; virtual ~Tagged() {} };
struct Both : Error, Tagged { Both() : Error("both", 8) { tag = 4; } };
enum class Kind : int { one, two };
Told make(int n) {
    Told made(n);
    if (n > 20) throw std::range_error("in make");
    return made;
}
int chosen(int n) { return n > 0 ? n : throw std::invalid_argument("not above zero"); }
int depth(int n) {
    Told t(n);
    if (n == 0) throw Error("deep", 5);
    return depth(n - 1) + 1;
}
int returning(int n) {
    for (int i = 0; i < 5; i++) {
        Told t(i);
        try {
            if (i == n) return i * 10;
            if (i == n + 1) break;
            if (i % 2) continue;
            throw i;
        } catch (int k) {
            printf("k%d ", k);
            if (k == 4) return -4;
        }
    }
    return -1;
}
void nested() {
    try {
        Told outer(1);
        try {
            Told inner(2);
            throw std::out_of_range("first");
        } catch (const std::out_of_range& e) {
            Told in_clause(3);
            printf("[%s] ", e.what());
            try { throw 5; } catch (int i) { printf("[%d] ", i); }
            throw;
        }
    } catch (std::logic_error& e) {
        printf("[again %s]\n", e.what());
    }
}
#define EXPECT(call) try { call; printf("nothing\n"); } \
    catch (const std::exception& e) { printf("<%s>\n", e.what()); }
template <class T> T checked(const std::vector<T>& v, size_t i) {
    try {
        return v.at(i);
    } catch (const std::out_of_range& e) {
        printf("%s | ", e.what());
        return T();
    }
}
struct Guard { std::function<void()> f; ~Guard() { f(); } };
void never() noexcept(false);
int main(int argc, char** argv) {
    int count = 0, r = -1;
    float sum = 0;
    try { for (int i = 0; i < 10; i++) { count++; sum += 0.5f; if (i == 6) throw Error("seventh", i); } } catch (const Error& e) {
        printf("%d %g %s %d\n", count, sum, e.what(), e.code());
    }
    try { r = chosen(3); r = chosen(-1); } catch (std::exception& e) { printf("%d %s\n", r, e.what()); }
    try { Failing f(1); printf("| "); Failing g(51); } catch (int n) { printf("%d\n", n); }
    try { Derived d(9); } catch (const std::exception& e) { printf("%s\n", e.what()); }
    try { auto p = std::make_unique<Derived>(7); Told after(8); throw Kind::two; } catch (Kind k) { printf("%d\n", (int)k); }
    try { Whole w{1}; Copied a{2}, b = a; b.n = 3; Outside o{4}; Heir h(5); throw 1; } catch (int) { printf("\n"); }
    try { std::optional<Told> t; t.emplace(6); t = std::nullopt; t.emplace(8); throw 1; } catch (int) { printf("%d\n", at_once({9})); }
    try { Tree t(3); } catch (char c) { printf("%c\n", c); }
    try { Told a = make(1); Told b = make(21); } catch (const std::runtime_error& e) { printf("%s\n", e.what()); }
    try { depth(3); } catch (Error e) { printf("%d\n", e.code()); }
    for (int n = 0; n < 5; n++) printf("= %d\n", returning(n));
    nested();
    try { throw Both(); } catch (std::exception& e) { printf("%d %d\n", dynamic_cast<Tagged&>(e).tag, dynamic_cast<std::logic_error*>(&e) != nullptr); }
    try { Tagged t; printf("%d", dynamic_cast<Both&>(t).tag); } catch (const std::bad_cast& e) { printf("%s\n", e.what()); }
    try { try { throw Both(); } catch (int) { printf("wrong"); } } catch (Tagged& t) { printf("tag %d\n", t.tag); }
    try { throw Both(); } catch (const std::exception& e) { printf("%s\n", e.what()); } catch (...) { printf("wrong"); }
    try { throw "a text"; } catch (const char* s) { printf("%s\n", s); }
    try { throw 2.5; } catch (float) { printf("wrong"); } catch (double d) { printf("%g\n", d); }
    try { throw std::string("text"); } catch (const std::string& s) { printf("%s\n", s.c_str()); }
    Derived* object = new Derived(1);
    try { throw object; } catch (Base* b) { printf("%d\n", b->own.n); delete b; printf("\n"); }
    try { throw 1u; } catch (int) { printf("wrong"); } catch (...) { printf("anything\n"); }
    EXPECT(std::vector<int>(3).at(7))
    EXPECT(std::stoi("words"))
    EXPECT(std::string("abc").substr(5))
    EXPECT(std::function<void()>()())
    EXPECT(throw std::bad_alloc())
    EXPECT(std::string("abc").at(3))
    EXPECT(throw std::length_error(std::string("of ") + "a text"))
    printf("%d\n", checked(std::vector<int>{1, 2}, 5) + checked(std::vector<int>{1, 2}, 1));
    auto f = [&](int n) { Told t(n); if (n > 2) throw n; return n; };
    int (*p)(int) = chosen;
    std::function<int(int)> g = f;
    try { count = f(1) + g(2); count = g(3) + 1000; } catch (int n) { printf("%d %d\n", n, count); }
    try { count = p(5); count = p(0); } catch (...) { printf("%d\n", count); }
    {
        std::string log;
        try {
            Guard last{[&] { log += "last "; }};
            std::vector<Told> v;
            v.reserve(3);
            v.emplace_back(1);
            v.push_back(Told(2));
            Told array[2] = {3, 4};
            std::pair<Told, std::string> two(5, "a text that is long enough for the heap");
            throw log.size();
        } catch (size_t n) { log += "clause"; }
        printf("%s\n", log.c_str());
    }
    try {
        std::shared_ptr<FILE> file(nullptr, [](FILE*) { printf("closed "); });
        std::unique_ptr<int, void (*)(int*)> own(new int(4), [](int* i) { printf("freed %d ", *i); delete i; });
        throw std::underflow_error("under");
    } catch (std::exception& e) { printf("%s\n", e.what()); }
    long total = 0;
    for (int i = 0; i < 2000; i++) {
        try { std::string s = "abc"; if (i % 3 == 0) throw i; total += s.size(); } catch (int k) { total += k; }
    }
    printf("%ld\n", total);
    std::exception_ptr kept;
    try { throw Error("kept", 11); } catch (...) { kept = std::current_exception(); }
    try { if (kept) std::rethrow_exception(kept); } catch (const Error& e) { printf("%s %d\n", e.what(), e.code()); }
    try { Plain a(1), b = a; Boxed<int> c(7), d(c); b.n = 2; taken(b); } catch (int n) { printf("%d\n", n); }
    try { Quiet q(3), r = q; printf("%d %d ", calm(1), noexcept(calm(1))); r.twice(); } catch (int n) { printf("%d\n", n); }
    if (argc > 2) {
        fflush(stdout);
        try { Quiet q(-1); } catch (...) { printf("wrong"); }
    }
    if (argc > 1) {
        fflush(stdout);
        try { Told not_destroyed(1); throw Error("nobody takes it", 1); } catch (int) { printf("wrong"); }
    }
}

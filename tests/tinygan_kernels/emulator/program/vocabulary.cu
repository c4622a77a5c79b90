// Parts of the C++ library beyond containers: optional, variant, any, string_view, span, bind, shared_ptr of anything, strtok, getopt. Its output
// is that of g++ 12: g++ -x c++ -std=c++17 -w vocabulary.cu && ./a.out > vocabulary.txt
#include <any>
#include <cstdio>
#include <cstring>
#include <functional>
#include <getopt.h>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <strings.h>
#include <numeric>
#include <algorithm>
using namespace std::placeholders;
struct Told {
    int n;
    Told(int n) : n(n) { printf("+%d ", n); }
    Told(const Told& o) : n(o.n + 100) { printf("c%d ", n); }
    Told(Told&& o) noexcept : n(o.n) { o.n = 0; printf("m%d ", n); }
    Told& operator=(const Told& o) { n = o.n; printf("=%d ", n); return *this; }
    ~Told() { printf("-%d ", n); }
    int plus(int k) const { return n + k; }
};
struct Node : std::enable_shared_from_this<Node> { int v = 3; std::shared_ptr<Node> self() { return shared_from_this(); } };
std::optional<int> parsed(const char* s) { int v = atoi(s); if (v > 0) return v; return std::nullopt; }
std::string_view trimmed(std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return s;
}
template <class... Ts> struct overloaded : Ts... { using Ts::operator()...; };
template <class... Ts> overloaded(Ts...) -> overloaded<Ts...>;
int three(int a, int b, int c) { return 100 * a + 10 * b + c; }
int main() {
    std::optional<int> a = parsed("12"), b = parsed("x");
    printf("%d %d %d %d %d\n", *a, b.has_value(), b.value_or(7), a == 12, a > b);
    { std::optional<Told> t; t.emplace(1); std::optional<Told> u = t; t = std::nullopt; t = Told(2); u.swap(t); printf("%d %d ", t->n, u->n); }
    printf("\n");
    std::variant<int, double, std::string> v = 3;
    auto say = overloaded{[](int i) { printf("int %d\n", i); }, [](double d) { printf("double %g\n", d); }, [](const std::string& s) { printf("text %s\n", s.c_str()); }};
    std::visit(say, v);
    v = 2.5;
    std::visit(say, v);
    v = "text";
    std::visit(say, v);
    printf("%zu %d %s %d\n", v.index(), std::holds_alternative<double>(v), std::get<std::string>(v).c_str(), std::get_if<int>(&v) == nullptr);
    auto w = v;
    w = 4;
    printf("%d %d\n", v == w, std::visit([](const auto& x) { return (int)sizeof(x); }, w));
    std::vector<std::variant<int, float>> numbers = {1, 2.5f, 3};
    double sum = 0;
    for (auto& n : numbers) std::visit([&](auto x) { sum += x; }, n);
    printf("%g\n", sum);
    std::any any = 5;
    printf("%d ", std::any_cast<int>(any));
    any = std::string("any text");
    printf("%s %d %d\n", std::any_cast<std::string&>(any).c_str(), std::any_cast<int>(&any) == nullptr, any.has_value());
    std::string_view view = trimmed("  some words here ");
    std::cout << '[' << view << "] " << view.size() << ' ' << view.find("words") << ' ' << view.substr(5, 5) << ' ' << (view == "some") << ' ' << std::string(view.substr(0, 4)) << '\n';
    std::string owner = "key=value";
    std::string_view key = std::string_view(owner).substr(0, owner.find('='));
    std::cout << key << ' ' << (key < "kez") << ' ' << (key == "key") << std::endl;
    auto f = std::bind(three, _2, 5, _1);
    auto g = std::bind(&Told::plus, Told(40), _1);
    std::function<int(int)> h = std::bind(three, 1, _1, 3);
    int counter = 0;
    auto count = std::bind([](int& c, int n) { c += n; }, std::ref(counter), _1);
    count(4);
    printf("%d %d %d %d\n", f(1, 2), g(2), h(9), counter);
    std::shared_ptr<void> anything(new int(9), [](void* p) { printf("freed %d\n", *(int*)p); delete (int*)p; });
    std::shared_ptr<void> other = std::make_shared<Told>(6);
    printf("%ld %d\n", anything.use_count(), ((Told*)other.get())->n);
    other.reset();
    anything = nullptr;
    auto node = std::make_shared<Node>();
    auto self = node->self();
    printf("%ld %d\n", node.use_count(), self == node);
    std::unique_ptr<FILE, int (*)(FILE*)> file(fopen("/dev/null", "r"), &fclose);
    printf("%d\n", (bool)file);
    char line[] = "a,b;;c";
    for (char* word = strtok(line, ",;"); word; word = strtok(nullptr, ",;")) printf("<%s>", word);
    char buffer[20] = "ab";
    strncat(buffer, "cdef", 2);
    printf(" %s %zu %zu %s %d %d\n", buffer, strspn("aab", "a"), strcspn("aab", "b"), strpbrk("hello", "lo"), strcasecmp("AbC", "aBc"), strncasecmp("abX", "ABy", 2));
    char words[][10] = {"program", "file1", "-n", "7", "-vx3", "file2", "--size", "12", "--fast", "--size=5", "file3", "--", "-n"}, *args[13];
    for (int i = 0; i < 13; i++) args[i] = words[i];
    static option longs[] = {{"size", required_argument, nullptr, 's'}, {"fast", no_argument, nullptr, 'f'}, {nullptr, 0, nullptr, 0}};
    for (int c; (c = getopt_long(13, args, "n:vx::", longs, nullptr)) != -1;) printf("%c%s ", c, optarg ? optarg : "");
    for (int i = optind; i < 13; i++) printf("%s ", args[i]);
    printf("%d\n", optind);
    std::ios::sync_with_stdio(false);
    std::cin.tie(nullptr);
    std::cout.setf(std::ios::fixed, std::ios::floatfield);
    std::cout.precision(3);
    std::cout << 3.14159 << ' ' << std::setw(8) << 2.5 << '|' << std::left << std::setw(6) << 7 << '|' << std::boolalpha << true << ' ' << std::hex << 255 << '\n';
    std::vector<int> all(5);
    std::iota(all.begin(), all.end(), 1);
    std::cout << std::dec << std::accumulate(all.begin(), all.end(), 0, std::plus<>()) << ' ' << std::inner_product(all.begin(), all.end(), all.begin(), 0) << '\n';
}

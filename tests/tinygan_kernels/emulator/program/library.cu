// What a program's host code computes and prints. library.txt is what it prints when g++ compiles it:
// cp library.cu library.cpp && g++ -O1 -std=c++17 -ffp-contract=off -w library.cpp && ./a.out foo > library.txt
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cmath>
#include <cstdint>
#include <climits>
#include <iostream>
#include <iomanip>
#include <vector>
#include <string>
#include <random>
#include <algorithm>
#include <numeric>
#include <memory>
struct P { double x; int n; char c; };
struct Shape { virtual double area() const = 0; virtual ~Shape() {} };
struct Sq : Shape { double a; Sq(double a) : a(a) {} double area() const override { return a*a; } };
struct Ci : Shape { double r; Ci(double r) : r(r) {} double area() const override { return 3.0*r*r; } };
static int cmp(const void* a, const void* b) { int x=*(const int*)a, y=*(const int*)b; return (x>y)-(x<y); }
long fib(int n) { return n < 2 ? n : fib(n-1) + fib(n-2); }
uint64_t mulhi(uint64_t a, uint64_t b) { return (uint64_t)(((unsigned __int128)a * b) >> 64); }
template<class T> void ints(T a, T b) {
  printf("%lld %lld %lld %lld %lld %lld\n", (long long)(a+b), (long long)(a-b), (long long)(a*b), (long long)(b?a/b:0), (long long)(b?a%b:0), (long long)(a^b));
  printf("%lld %lld %d %d %d\n", (long long)(T)(a<<3), (long long)(T)(a>>2), a<b, a<=b, a==b);
}
P make(int n) { P p; p.x = n*1.5; p.n = n; p.c = 'a'+n; return p; }
double sum(P p, int k) { return p.x + p.n + p.c + k; }
int sw(int k) { switch (k) { case 0: return 5; case 1: return 7; case 2: return -3; case 3: return 11; case 4: return 99; case 5: return 8; default: return 0; } }
int main(int argc, char** argv) {
  ints<int>(-17, 5); ints<unsigned>(0xfffffff0u, 7); ints<int8_t>(-100, 3); ints<uint8_t>(200, 9); ints<short>(-30000, 7); ints<long long>(-123456789012345LL, 1000003); ints<unsigned long long>(0xfedcba9876543210ULL, 12345);
  printf("%llu %ld\n", (unsigned long long)mulhi(0xfedcba9876543210ULL, 0x123456789abcdefULL), fib(20));
  float f[] = {0.f, -0.f, 1.5f, -2.5f, 3.7f, 1e10f, -1e-40f, INFINITY};
  for (float v : f) printf("%g %d %g %g %g %g %a\n", v, (int)(std::isfinite(v) && fabsf(v) < 1e9f ? v : 0), floorf(v), ceilf(v), roundf(v), truncf(v), (double)v);
  double d[] = {0.1, 2.0, 10.0, 0.5};
  for (double v : d) printf("%.10f %.10f %.10f %.10f %.10f %.10f %.10f\n", sqrt(v), exp(v), log(v), sin(v), cos(v), pow(v, 1.7), atan2(v, 2.0));
  printf("%.6f %.6f %.6f %.6f\n", expf(1.5f), logf(2.5f), sinf(0.3f), fmodf(7.5f, 2.f));
  for (int i = 0; i < 5; i++) printf("%d ", rand()); printf("\n"); srand(42); for (int i = 0; i < 5; i++) printf("%d ", rand() % 100); printf("\n");
  int a[20]; for (int i = 0; i < 20; i++) a[i] = rand() % 1000; qsort(a, 20, sizeof(int), cmp); for (int i = 0; i < 20; i++) printf("%d ", a[i]); printf("\n");
  P p = make(3); printf("%f %d %c %f\n", p.x, p.n, p.c, sum(p, 10));
  std::unique_ptr<Shape> s[2] = {std::unique_ptr<Shape>(new Sq(3)), std::unique_ptr<Shape>(new Ci(2))};
  for (auto& q : s) std::cout << q->area() << " "; std::cout << std::endl;
  for (int i = -1; i < 8; i++) printf("%d ", sw(i)); printf("\n");
  char buf[64]; int n = snprintf(buf, 10, "%s-%05d", "hello", 42); printf("[%s] %d %zu %s\n", buf, n, strlen(buf), strchr(buf, 'l'));
  printf("%5.2f|%-8s|%+d|%08x|%e|%c|%%|%p\n", 3.14159, "ab", 7, 0xbeef, 12345.678, 'z', (void*)0x1000);
  printf("%d %ld %f %d\n", atoi("  -42x"), strtol("0x1f", 0, 0), atof("2.5e3"), strcmp("abc", "abd") < 0);
  int i1; float f1; char w[20]; int k = sscanf("12 3.5 word", "%d %f %s", &i1, &f1, w); printf("%d %d %f %s\n", k, i1, f1, w);
  std::mt19937 g(7); std::mt19937_64 g64(7); printf("%u %llu\n", (unsigned)g(), (unsigned long long)g64());
  std::uniform_real_distribution<double> ur(0, 1); std::uniform_int_distribution<int> ui(1, 6); std::normal_distribution<float> nf(0, 1); std::bernoulli_distribution bd(0.3); std::default_random_engine e(3); std::uniform_real_distribution<float> uf(-1, 1); std::uniform_int_distribution<long long> ul(0, 1000000000000LL);
  double r1 = ur(g); int r2 = ui(g); float r3 = nf(g); int r4 = bd(g); float r5 = uf(e); float r6 = nf(e); long long r7 = ul(g);
  printf("%.17g %d %.9g %d %.9g %.9g %lld\n", r1, r2, r3, r4, r5, r6, r7);
  for (int i = 0; i < 10; i++) { int z = ui(g); std::cout << z; z = ui(e); std::cout << z << " "; } std::cout << "\n";
  std::vector<std::string> v = {"pear", "apple", "fig"}; v.push_back(std::string("kiwi") + '!'); std::sort(v.begin(), v.end()); for (auto& x : v) std::cout << x << ","; std::cout << v.size() << "\n";
  std::vector<std::vector<int>> vv(3, std::vector<int>(4, 2)); vv[1][2] = 9; int t = 0; for (auto& r : vv) t += std::accumulate(r.begin(), r.end(), 0); std::cout << t << "\n";
  std::cout << 1.0/3 << " " << 1e10 << " " << 1e-5f << " " << 100000.0 << " " << 1234567.0 << " " << (short)5 << " " << 'c' << " " << true << " " << -7L << std::endl;
  std::cout << std::fixed << std::setprecision(2) << 3.14159 << " " << std::setw(10) << 2.5 << "|" << std::left << std::setw(6) << 42 << "|" << std::setfill('*') << std::right << std::setw(6) << 42 << " " << std::hex << 255 << std::dec << std::scientific << " " << 1234.5 << "\n";
  std::string q = "hello world"; std::cout << q.substr(6) << q.find("wor") << q.length() << (q.find("xyz") == std::string::npos) << "\n";
  auto it = std::max_element(a, a + 20); std::cout << *it << " " << (it - a) << "\n";
  printf("%d args %s\n", argc - 1, argc > 1 ? argv[1] : "none");
  printf("%u %u %d\n", UINT_MAX, (unsigned)INT_MAX + 1u, (int)(char)200);
  long double ld = 1.5; printf("%f\n", (double)(ld * 2));
  fprintf(stderr, "to stderr %d\n", 3);
  return 3;
}

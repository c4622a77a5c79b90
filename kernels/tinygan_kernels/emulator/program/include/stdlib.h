// Functions of C's <stdlib.h>. rand() gives the numbers of the GNU C library, so that a program prints what it prints on Linux.
#pragma once
#include <ctype.h>
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#define RAND_MAX 2147483647
extern "C" {
void* calloc(size_t count, size_t size);
void* realloc(void* pointer, size_t size);
void exit(int code);
void abort();
const char* getenv(const char* name);
double host_number(const char* text, int* length);
}
__noinline__ inline int posix_memalign(void** pointer, size_t, size_t size) { *pointer = malloc(size); return 0; }
__noinline__ inline void* aligned_alloc(size_t, size_t size) { return malloc(size); }

struct host_random { int table[34]; int at; bool seeded; };
__noinline__ inline host_random* host_random_state() {
    static host_random state;
    return &state;
}
// The additive feedback generator of degree 31, r[i] = r[i - 3] + r[i - 31] (P. Selinger, "The GLIBC random number generator", 2007)
__noinline__ inline void srand(unsigned seed) {
    host_random* s = host_random_state();
    int* r = s->table;
    r[0] = seed == 0 ? 1 : (int)seed;
    for (int i = 1; i < 31; i++) {
        long long word = 16807LL * r[i - 1] % 2147483647;
        r[i] = (int)(word < 0 ? word + 2147483647 : word);
    }
    s->at = 3;
    s->seeded = true;
    for (int i = 0; i < 310; i++) {
        int at = s->at;
        r[at] = (int)((unsigned)r[at] + (unsigned)r[(at + 28) % 31]);
        s->at = (at + 1) % 31;
    }
}
__noinline__ inline int rand() {
    host_random* s = host_random_state();
    if (!s->seeded) srand(1);
    int at = s->at;
    s->table[at] = (int)((unsigned)s->table[at] + (unsigned)s->table[(at + 28) % 31]);
    s->at = (at + 1) % 31;
    return (int)((unsigned)s->table[at] >> 1);
}
__noinline__ inline long random() { return rand(); }
__noinline__ inline void srandom(unsigned seed) { srand(seed); }

// The linear congruential generator X = 25214903917 X + 11 modulo 2^48 that POSIX prescribes (IEEE Std 1003.1, drand48). Until it is
// seeded it begins at 0, as that of the GNU C library does.
__noinline__ inline unsigned long long* host_48_bits() {
    static unsigned long long state = 0;
    return &state;
}
__noinline__ inline unsigned long long host_next_48(unsigned long long* state) {
    return *state = (25214903917ull * *state + 11) & ((1ull << 48) - 1);
}
__noinline__ inline void srand48(long seed) { *host_48_bits() = (unsigned long long)(unsigned)seed << 16 | 0x330E; }
__noinline__ inline double drand48() { return (double)host_next_48(host_48_bits()) / (double)(1ull << 48); }
__noinline__ inline long lrand48() { return (long)(host_next_48(host_48_bits()) >> 17); }
__noinline__ inline long mrand48() { return (long)(int)(host_next_48(host_48_bits()) >> 16); }
__noinline__ inline unsigned long long host_48_of(unsigned short state[3]) {
    unsigned long long x = (unsigned long long)state[2] << 32 | (unsigned long long)state[1] << 16 | state[0];
    host_next_48(&x);
    for (int i = 0; i < 3; i++) state[i] = (unsigned short)(x >> 16 * i);
    return x;
}
__noinline__ inline double erand48(unsigned short state[3]) { return (double)host_48_of(state) / (double)(1ull << 48); }
__noinline__ inline long nrand48(unsigned short state[3]) { return (long)(host_48_of(state) >> 17); }
__noinline__ inline long jrand48(unsigned short state[3]) { return (long)(int)(host_48_of(state) >> 16); }

// The size of the whole number at the beginning of a text, its sign, and whether it is too large for 64 bits.
__noinline__ inline unsigned long long host_strtoull(const char* text, char** end, int base, bool* negative, bool* large) {
    const char* s = text;
    while (isspace(*s)) s++;
    *negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && isxdigit(s[2])) { s += 2; base = 16; }
    if (base == 0) base = *s == '0' ? 8 : 10;
    const char* first = s;
    unsigned long long value = 0;
    for (;; s++) {
        int digit = isdigit(*s) ? *s - '0' : isalpha(*s) ? tolower(*s) - 'a' + 10 : 99;
        if (digit >= base) break;
        *large = *large || value > (~0ull - digit) / base;
        value = value * base + digit;
    }
    if (end) *end = (char*)(s == first ? text : s);
    return value;
}
__noinline__ inline long long strtoll(const char* text, char** end, int base) {
    bool negative = false, large = false;
    unsigned long long value = host_strtoull(text, end, base, &negative, &large), most = (1ull << 63) - !negative;
    if (large || value > most) value = most;
    return negative ? (long long)(0 - value) : (long long)value;
}
__noinline__ inline long strtol(const char* text, char** end, int base) { return (long)strtoll(text, end, base); }
__noinline__ inline unsigned long long strtoull(const char* text, char** end, int base) {
    bool negative = false, large = false;
    unsigned long long value = host_strtoull(text, end, base, &negative, &large);
    return large ? ~0ull : negative ? 0 - value : value;
}
__noinline__ inline unsigned long strtoul(const char* text, char** end, int base) { return (unsigned long)strtoull(text, end, base); }
__noinline__ inline int atoi(const char* text) { return (int)strtol(text, nullptr, 10); }
__noinline__ inline long atol(const char* text) { return strtol(text, nullptr, 10); }
__noinline__ inline long long atoll(const char* text) { return strtoll(text, nullptr, 10); }
__noinline__ inline double strtod(const char* text, char** end) {
    int length = 0;
    double value = host_number(text, &length);
    if (end) *end = (char*)text + length;
    return value;
}
__noinline__ inline float strtof(const char* text, char** end) { return (float)strtod(text, end); }
__noinline__ inline double atof(const char* text) { return strtod(text, nullptr); }

// Merge sort, which keeps the order of equals, as that of the GNU C library does
__noinline__ inline void qsort(void* items, size_t count, size_t size, int (*compare)(const void*, const void*)) {
    char* room = (char*)malloc(count * size);
    auto copy = [=](char* to, const char* from) { for (size_t b = 0; b < size; b++) to[b] = from[b]; };
    char *from = (char*)items, *to = room;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t first = 0; first < count; first += 2 * run) {
            size_t middle = first + run < count ? first + run : count, end = first + 2 * run < count ? first + 2 * run : count;
            for (size_t i = first, left = first, right = middle; i < end; i++) {
                bool of_right = left == middle || (right < end && compare(from + left * size, from + right * size) > 0);
                copy(to + i * size, from + (of_right ? right++ : left++) * size);
            }
        }
        char* swapped = from;
        from = to;
        to = swapped;
    }
    if (from == room) for (size_t i = 0; i < count; i++) copy((char*)items + i * size, room + i * size);
    free(room);
}

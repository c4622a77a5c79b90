// Functions of C's <string.h>, in C: an access outside of an array is found in them as in any other code.
#pragma once
extern "C" const char* strerror(int number);
__noinline__ inline void* host_memcpy(void* to, const void* from, size_t n) {
    for (size_t i = 0; i < n; i++) ((char*)to)[i] = ((const char*)from)[i];
    return to;
}
__noinline__ inline void* memmove(void* to, const void* from, size_t n) {
    if ((char*)to <= (const char*)from) return host_memcpy(to, from, n);
    for (size_t i = n; i > 0; i--) ((char*)to)[i - 1] = ((const char*)from)[i - 1];
    return to;
}
__noinline__ inline int memcmp(const void* a, const void* b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int difference = ((const unsigned char*)a)[i] - ((const unsigned char*)b)[i];
        if (difference) return difference;
    }
    return 0;
}
__noinline__ inline size_t strlen(const char* s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
__noinline__ inline int strncmp(const char* a, const char* b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int difference = (unsigned char)a[i] - (unsigned char)b[i];
        if (difference || !a[i]) return difference;
    }
    return 0;
}
__noinline__ inline int strcmp(const char* a, const char* b) { return strncmp(a, b, (size_t)-1); }
__noinline__ inline char* strcpy(char* to, const char* from) {
    size_t i = 0;
    do to[i] = from[i];
    while (from[i++]);
    return to;
}
__noinline__ inline char* strncpy(char* to, const char* from, size_t n) {
    size_t i = 0;
    for (; i < n && from[i]; i++) to[i] = from[i];
    for (; i < n; i++) to[i] = 0;
    return to;
}
__noinline__ inline char* strcat(char* to, const char* from) {
    strcpy(to + strlen(to), from);
    return to;
}
__noinline__ inline char* strchr(const char* s, int c) {
    for (;; s++) {
        if (*s == (char)c) return (char*)s;
        if (!*s) return nullptr;
    }
}
__noinline__ inline char* strrchr(const char* s, int c) {
    const char* found = nullptr;
    for (;; s++) {
        if (*s == (char)c) found = s;
        if (!*s) return (char*)found;
    }
}
__noinline__ inline char* strstr(const char* s, const char* part) {
    size_t n = strlen(part);
    for (;; s++) {
        if (strncmp(s, part, n) == 0) return (char*)s;
        if (!*s) return nullptr;
    }
}
__noinline__ inline char* strncat(char* to, const char* from, size_t n) {
    char* end = to + strlen(to);
    size_t i = 0;
    for (; i < n && from[i]; i++) end[i] = from[i];
    end[i] = 0;
    return to;
}
__noinline__ inline void* memchr(const void* bytes, int c, size_t n) {
    for (size_t i = 0; i < n; i++) if (((const unsigned char*)bytes)[i] == (unsigned char)c) return (char*)bytes + i;
    return nullptr;
}
__noinline__ inline size_t strspn(const char* s, const char* set) {
    size_t n = 0;
    while (s[n] && strchr(set, s[n])) n++;
    return n;
}
__noinline__ inline size_t strcspn(const char* s, const char* set) {
    size_t n = 0;
    while (s[n] && !strchr(set, s[n])) n++;
    return n;
}
__noinline__ inline char* strpbrk(const char* s, const char* set) {
    s += strcspn(s, set);
    return *s ? (char*)s : nullptr;
}
__noinline__ inline char* strtok_r(char* s, const char* set, char** rest) {
    if (!s) s = *rest;
    s += strspn(s, set);
    char* end = s + strcspn(s, set);
    *rest = *end ? end + 1 : end;
    if (!*s) return nullptr;
    *end = 0;
    return s;
}
__noinline__ inline char* strtok(char* s, const char* set) {
    static char* rest;
    return strtok_r(s, set, &rest);
}
__noinline__ inline char* strdup(const char* s) { return strcpy((char*)malloc(strlen(s) + 1), s); }
__noinline__ inline int strncasecmp(const char* a, const char* b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int x = (unsigned char)a[i], y = (unsigned char)b[i];
        x += x >= 'A' && x <= 'Z' ? 32 : 0;
        y += y >= 'A' && y <= 'Z' ? 32 : 0;
        if (x != y || !x) return x - y;
    }
    return 0;
}
__noinline__ inline int strcasecmp(const char* a, const char* b) { return strncasecmp(a, b, (size_t)-1); }

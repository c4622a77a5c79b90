// Functions of C's <string.h>, in C: an access outside of an array is found in them as in any other code.
#pragma once
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

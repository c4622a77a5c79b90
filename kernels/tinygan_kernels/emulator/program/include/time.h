// Time, as C's <time.h> and POSIX have it.
#pragma once
#if __has_include(<cuda/std/ctime>)
#include <cuda/std/ctime>  // which declares some of it from CUDA 13 on
#endif
#ifndef TIME_UTC
typedef long long int time_t;
struct timespec { time_t tv_sec; long tv_nsec; };
#endif
#define CLOCKS_PER_SEC 1000000L
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
struct timeval { time_t tv_sec; long tv_usec; };
extern "C" long long host_nanoseconds(int clock);  // 0: since 1970; 1: since some moment; 2: of the processor
inline time_t time(time_t* t) {
    time_t now = (time_t)(host_nanoseconds(0) / 1000000000);
    if (t) *t = now;
    return now;
}
inline clock_t host_clock() { return (clock_t)(host_nanoseconds(2) / 1000); }
inline double difftime(time_t end, time_t start) { return (double)(end - start); }
inline int clock_gettime(int clock, struct timespec* t) {
    long long now = host_nanoseconds(clock);
    t->tv_sec = now / 1000000000;
    t->tv_nsec = now % 1000000000;
    return 0;
}
inline int gettimeofday(struct timeval* t, void*) {
    long long now = host_nanoseconds(0);
    t->tv_sec = now / 1000000000;
    t->tv_usec = now % 1000000000 / 1000;
    return 0;
}
#if HOST_CODE  // in kernels clock() is a register of the device
#define clock host_clock
#endif

// Threads of the host run one after the other, so one that waits for another would do so for ever: it ends the program instead.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#define HOST_ONE_AFTER_THE_OTHER "in the emulator threads of the host run one after the other, each when it is made\n"
extern "C" long host_spin_budget();  // of program/waiting.py
__noinline__ inline void host_waits_for_ever() {
    fprintf(stderr, "a thread waits for another one: " HOST_ONE_AFTER_THE_OTHER);
    abort();
}
__noinline__ inline void host_spins_for_ever(long reads) {
    fprintf(stderr, "a thread waits for another one: it has looked at atomic variables %ld times, which nothing has changed meanwhile "
                    "(emulator.spin_budget(...) allows more): " HOST_ONE_AFTER_THE_OTHER, reads);
    abort();
}
// How often an atomic variable was read since one was changed: a loop that waits for a change only reads
inline long& host_reads() { static long number; return number; }
inline void host_changes() { host_reads() = 0; }
inline void host_reads_again(long weight = 1) {
    static long most;
    if (!most) most = host_spin_budget();
    if ((host_reads() += weight) > most) host_spins_for_ever(most);
}

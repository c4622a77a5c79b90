// Threads of the host run one after the other, so one that waits for another would do so for ever: it ends the program instead.
#pragma once
#include <stdio.h>
#include <stdlib.h>
__noinline__ inline void host_waits_for_ever() {
    fprintf(stderr, "a thread waits for another one: in the emulator threads of the host run one after the other, each when it is made\n");
    abort();
}
// How often an atomic variable was read since one was changed: a loop that waits for a change only reads
inline long& host_reads() { static long number; return number; }
inline void host_changes() { host_reads() = 0; }
inline void host_reads_again(long weight = 1) { if ((host_reads() += weight) > 1L << 28) host_waits_for_ever(); }

// What `throw` and `catch` of a program become: an exception ends the program with its text.
#pragma once
#include <stdexcept>
inline const char* host_what(const std::exception* error) { return error->what(); }
inline const char* host_what(const void*) { return nullptr; }
struct host_thrower {
    template <class T> void operator=(const T& thrown) const {
        fprintf(stderr, "terminate called after throwing an exception (the emulator catches none)\n");
        const char* what = host_what(&thrown);
        if (what) fprintf(stderr, "  what():  %s\n", what);
        abort();
    }
};
struct host_no_exception {
    template <class T> operator T&() const { return *(T*)nullptr; }
};

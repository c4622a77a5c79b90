// What `throw` and `catch` of a program become: an exception ends the program with its text.
#pragma once
#include <stdexcept>
struct host_thrower {
    void operator=(const std::exception& error) const {
        fprintf(stderr, "terminate called after throwing an exception (the emulator catches none)\n  what():  %s\n", error.what());
        abort();
    }
    template <class T> void operator=(const T&) const {
        fprintf(stderr, "terminate called after throwing an exception (the emulator catches none)\n");
        abort();
    }
};
struct host_no_exception {
    template <class T> operator T&() const { return *(T*)nullptr; }
};

// Exceptions of C++, as calls into which program/exceptions.py rewrites `throw`, `try` and `catch`. What is thrown, how a clause finds
// what it takes, and what happens where nothing takes it. In a program without a `catch` (no HOST_CATCHES) every exception ends it.
#pragma once
#include <cuda/std/type_traits>
#include <cuda/std/utility>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
namespace std { class exception; }
const char* host_what(const std::exception* error);
inline const char* host_what(const void*) { return nullptr; }

template <class... B> struct host_list {};
template <class T> __noinline__ inline const char* host_name() { return __PRETTY_FUNCTION__; }
// A class names its bases as host_bases, and itself as host_self, so that a class which inherits the names is not taken for it.
template <class T, class = void> struct host_bases_of { typedef host_list<> type; };
template <class T>
struct host_bases_of<T, cuda::std::enable_if_t<cuda::std::is_same<typename T::host_self, T>::value>> { typedef typename T::host_bases type; };

// The part of an object that is of the class with this name: itself or a base; null where there is none.
template <class T> __noinline__ inline void* host_part(void* object, const char* name);
template <class T> inline void* host_part_in(T*, const char*, host_list<>) { return nullptr; }
template <class T, class B, class... C> inline void* host_part_in(T* object, const char* name, host_list<B, C...>) {
    void* found = host_part<B>((void*)static_cast<B*>(object), name);
    return found ? found : host_part_in(object, name, host_list<C...>());
}
template <class T> __noinline__ inline void* host_part(void* object, const char* name) {
    if (strcmp(host_name<T>(), name) == 0) return object;
    if constexpr (cuda::std::is_class<T>::value) return host_part_in((T*)object, name, typename host_bases_of<T>::type());
    else return nullptr;
}

struct host_thrown {  // an exception that is under way, or is being handled
    void* object;
    const char* name;
    const char* pointed;  // where it is a pointer: the name of the class behind it
    const char* (*what)(void* object);
    void* (*part)(void* object, const char* name);
    void (*destroy)(void* object);
    long owners;  // its way or its clause, and each std::exception_ptr
    void* pointer;  // what a pointer was converted to
};
template <class T> inline const char* host_what_of(void* object) { return host_what((T*)object); }
template <class T> inline void* host_part_behind(void* object, const char* name) {
    return host_part<cuda::std::remove_const_t<cuda::std::remove_pointer_t<T>>>(*(void**)object, name);
}
template <class T> inline void host_destroy(void* object) { ((T*)object)->~T(); }

// The exception, as the type of a clause; null where that does not take it.
template <class C> __noinline__ inline void* host_taken(host_thrown* thrown) {
    typedef cuda::std::remove_cv_t<cuda::std::remove_reference_t<C>> T;
    if constexpr (cuda::std::is_pointer<T>::value) {
        typedef cuda::std::remove_cv_t<cuda::std::remove_pointer_t<T>> behind;
        if (!thrown->pointed) return nullptr;
        if (cuda::std::is_void<behind>::value) return thrown->object;
        thrown->pointer = thrown->part(thrown->object, host_name<behind>());
        return thrown->pointer ? &thrown->pointer : nullptr;
    } else return thrown->pointed ? nullptr : thrown->part(thrown->object, host_name<T>());
}
struct host_any_exception {};
template <> inline void* host_taken<host_any_exception>(host_thrown* thrown) { return thrown->object; }
template <class... C> struct host_catches {
    __noinline__ static int which(host_thrown* thrown) {
        int number = 0, found = 0;
        ((number++, found = found == 0 && host_taken<C>(thrown) ? number : found), ...);
        return found;
    }
};

struct host_anything {  // what `throw` stands for in an expression: it is never read
    template <class T> operator T() const { return *(T*)nullptr; }
};

// -- what happens to it ----------------------------------------------------------------------------------------------------------
__noinline__ inline void host_print_name(const char* name) {
    const char* from = strstr(name, "T = ");
    from = from ? from + 4 : name;
    size_t size = strlen(from);
    if (size && from[size - 1] == ']') size--;
    char text[300];
    if (size > 299) size = 299;
    memcpy(text, from, size);
    text[size] = 0;
    fprintf(stderr, "%s", strcmp(text, "const char *") == 0 ? "char const*" : text);
}
struct host_ending { void (*handler)(); };
__noinline__ inline host_ending* host_how_to_end() { static host_ending ending; return &ending; }
__noinline__ inline void host_terminate(host_thrown* thrown) {
    if (host_how_to_end()->handler) host_how_to_end()->handler();
    if (!thrown) fprintf(stderr, "terminate called without an active exception\n");
    else {
        fprintf(stderr, "terminate called after throwing an instance of '");
        host_print_name(thrown->name);
        fprintf(stderr, "'\n");
        const char* what = thrown->what(thrown->object);
        if (what) fprintf(stderr, "  what():  %s\n", what);
    }
    abort();
}
__noinline__ inline void host_release(host_thrown* thrown) {
    if (--thrown->owners) return;
    if (thrown->destroy) thrown->destroy(thrown->object);
    free(thrown->object);
    free(thrown);
}
#ifdef HOST_CATCHES
struct host_made { void* object; void (*destroy)(void*); };  // an object of a function that has not ended
struct host_handler { size_t frame; int (*which)(host_thrown*); long made, site; };
struct host_unwinding {
    long made, handlers;  // how many objects there are, and how many `try` are being executed
    size_t frame;         // where an exception is handled: the frame of its function, the clause, and the `try`
    long clause, made_before, site;
    host_made* objects;
    host_handler* tries;
    host_thrown *caught, *handled;  // on its way to its clause; by the innermost clause that is being executed
};
extern "C" {
host_unwinding* host_unwinding_state();
int host_try(void* seen, int (*which)(host_thrown*));  // written by program/unwinding.py
void host_leave_try();                                 // too
void host_object(void* object, void (*destroy)(void*));     // a local object without a constructor is there
void host_no_object(void* object, void (*destroy)(void*));  // and is gone
void host_unwind();                                    // leaves functions up to the one that handles the exception
}
struct host_try_end { ~host_try_end() { host_leave_try(); } };
__noinline__ inline int host_never_leaves(host_thrown* thrown) { host_terminate(thrown); return 0; }
__noinline__ inline void host_begin_noexcept() {
    host_unwinding* state = host_unwinding_state();
    host_handler* entry = &state->tries[state->handlers++];
    entry->which = &host_never_leaves;
    entry->made = state->made;
}
__noinline__ inline host_anything host_raise(host_thrown* thrown) {
    host_unwinding* state = host_unwinding_state();
    for (long i = state->handlers; i-- > 0;) {
        host_handler* tried = &state->tries[i];
        int clause = tried->which(thrown);
        if (!clause) continue;
        long before = tried->made;
        size_t frame = tried->frame;
        long site = tried->site;
        while (state->made > before) {
            host_made* last = &state->objects[--state->made];
            if (last->destroy) last->destroy(last->object);
        }
        state->handlers = i;
        state->frame = frame;
        state->clause = clause;
        state->made_before = before;
        state->site = site;
        state->caught = thrown;
        host_unwind();
        return host_anything();
    }
    host_terminate(thrown);
    return host_anything();
}
__noinline__ inline host_anything host_throw_again() {
    host_thrown* thrown = host_unwinding_state()->handled;
    if (!thrown) host_terminate(nullptr);
    thrown->owners++;
    return host_raise(thrown);
}
class host_handling {  // what a clause has while it is being executed
    host_thrown *thrown_, *before_;

public:
    __noinline__ host_handling() : thrown_(host_unwinding_state()->caught), before_(host_unwinding_state()->handled) {
        host_unwinding_state()->handled = thrown_;
    }
    __noinline__ ~host_handling() {
        host_unwinding_state()->handled = before_;
        host_release(thrown_);
    }
};
// A class with a destructor and constructors has this as a base, which makes the copy of plain members a call, too
template <class Tag> struct host_copied {
    constexpr host_copied() {}
    __noinline__ host_copied(const host_copied&) {}
    host_copied& operator=(const host_copied&) = default;
};
// A class with a destructor and no constructor has this as its last member
template <class T> struct host_mark {
    __noinline__ host_mark(T* object) { host_object(object, &host_destroy<T>); }
    __noinline__ host_mark(const host_mark&) {}  // makes the copy of an object a constructor's call, which is noted
    host_mark& operator=(const host_mark&) = default;
};
template <class T> __noinline__ inline void host_unmark(T* object) { host_no_object(object, &host_destroy<T>); }
template <class C> inline C host_caught() { return *(cuda::std::remove_reference_t<C>*)host_taken<C>(host_unwinding_state()->handled); }
inline host_thrown* host_handled() { return host_unwinding_state()->handled; }
#else
inline host_thrown* host_handled() { return nullptr; }
inline host_anything host_raise(host_thrown* thrown) { host_terminate(thrown); return host_anything(); }
inline host_anything host_throw_again() { host_terminate(nullptr); return host_anything(); }
#endif
// What the body of a function begins with which lets no exception pass. It has no constructor, so that it is no object of the list.
template <bool> struct host_no_exceptions {
    static void begin() {}
};
#if defined(HOST_CATCHES) && defined(HOST_CODE)
template <> struct host_no_exceptions<true> {
    static void begin() { host_begin_noexcept(); }
    ~host_no_exceptions() { host_leave_try(); }
};
#endif
template <class T> inline host_thrown* host_thrown_of() {
    host_thrown* thrown = (host_thrown*)malloc(sizeof(host_thrown));
    thrown->object = malloc(sizeof(T));
    thrown->name = host_name<T>();
    thrown->what = &host_what_of<T>;
    if constexpr (cuda::std::is_pointer<T>::value) {
        thrown->pointed = host_name<cuda::std::remove_cv_t<cuda::std::remove_pointer_t<T>>>();
        thrown->part = &host_part_behind<T>;
    } else {
        thrown->pointed = nullptr;
        thrown->part = &host_part<T>;
    }
    thrown->destroy = &host_destroy<T>;
    thrown->owners = 1;
    return thrown;
}
template <class F> __noinline__ inline host_anything host_throw(F value) {
    typedef cuda::std::decay_t<decltype(value())> T;
    host_thrown* thrown = host_thrown_of<T>();
    new (thrown->object) T(value());
    return host_raise(thrown);
}
#include <stdexcept>

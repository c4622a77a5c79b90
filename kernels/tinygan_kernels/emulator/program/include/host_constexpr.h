// HOST_CONSTEXPR: constexpr, but in programs with a `catch`, where a constructor that is evaluated when the program is compiled would
// not be seen to make an object (program/unwinding.py).
#pragma once
#ifdef HOST_CATCHES
#define HOST_CONSTEXPR
#else
#define HOST_CONSTEXPR constexpr
#endif

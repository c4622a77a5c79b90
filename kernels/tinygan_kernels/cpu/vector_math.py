"""exp, log, log1p and tanh for float32 that the compiler turns into vector instructions: short polynomials without branches.

The C library's functions take one number at a time. These are within 4 ulp (tests/tinygan_kernels/cpu/test_vector_math.py measures
it), inside the bound for elementary functions of `verification.bounds`. float64, which is for checking derivatives, goes to the C
library.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tinygan_kernels.cpu.runtime.jit import OPTIONS

REAL = np.float32
LOG2_E = REAL(1.4426950408889634)
LN2_HIGH, LN2_LOW = REAL(0.693359375), REAL(-2.12194440e-4)  # their sum is ln 2; times a whole number, the first is exact
SMALLEST, LARGEST = REAL(-87.3), REAL(88)  # the range in which 2^n and e^x are normal float32 numbers
TAYLOR_EXP = tuple(REAL(1 / f) for f in (5040, 720, 120, 24, 6, 2))  # (e^r - 1 - r) / r^2, highest power first: 1/7! ... 1/2!
ATANH = tuple(REAL(1 / k) for k in (17, 15, 13, 11, 9, 7, 5, 3))  # the series of atanh(s)/s - 1 in s^2, highest power first
LOG_ATANH = tuple(REAL(1 / k) for k in (9, 7, 5, 3))  # its first terms, enough for a smaller s
ROOT_2 = REAL(2**0.5)
LN2 = REAL(0.6931471805599453)
FAR_OUT = REAL(-20)  # the -2|x| below which tanh(x) is 1 or -1 in float32


def exp(x):
    """Return e^x, x clipped to SMALLEST..LARGEST. e^x = 2^n e^r with n whole and |r| <= ln(2)/2."""
    return np.exp(x)


def log(x):
    """Return ln x for a positive normal number x = m 2^e, m between 1/sqrt(2) and sqrt(2).

    ln x = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1).
    """
    return np.log(x)


def log1p(x):
    """Return ln(1 + x) for 0 <= x <= 1, as 2 atanh(s), s = x / (2 + x) <= 1/3, from its series."""
    return np.log1p(x)


def tanh(x):
    """Return tanh x: -d / (2 + d) with the sign of x, d = e^-2|x| - 1."""
    return np.tanh(x)


@register_jitable(**OPTIONS)
def _split(x):
    """Return (q, 2^n) with e^x = (1 + q) 2^n. Near 0, n is 0 and all digits of q are kept."""
    n = np.floor(x * LOG2_E + REAL(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = TAYLOR_EXP[0]
    for i in range(1, 6):
        p = p * r + TAYLOR_EXP[i]
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # made of its exponent's bits
    return p * r * r + r, power


def _exp_32(x):
    q, power = _split(min(max(x, SMALLEST), LARGEST) if x == x else x)
    return (q + REAL(1)) * power


def _log_32(x):
    bits = REAL(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)  # the digits of x with an exponent of 0
    e = REAL(np.int32(bits >> np.int32(23)) - np.int32(127))
    e, m = (e + REAL(1), m * REAL(0.5)) if m > ROOT_2 else (e, m)
    s = (m - REAL(1)) / (m + REAL(1))
    square, p = s * s, LOG_ATANH[0]
    for i in range(1, 4):
        p = p * square + LOG_ATANH[i]
    return e * LN2 + REAL(2) * (s + s * square * p)


def _log1p_32(x):
    s = x / (REAL(2) + x)
    square, p = s * s, ATANH[0]
    for i in range(1, 8):
        p = p * square + ATANH[i]
    return REAL(2) * (s + s * square * p)


def _tanh_32(x):
    y = REAL(-2) * abs(x)
    y = FAR_OUT if y < FAR_OUT else y  # not max, which would lose a NaN
    q, power = _split(y)
    less = q * power + (power - REAL(1))  # e^y - 1
    return np.copysign(less / (REAL(2) + less), x)


def _chosen(in_single: object, otherwise: object):
    """Return what `overload` asks for: the implementation for float32, or another one."""
    return lambda x: in_single if x == types.float32 else otherwise


overload(exp, jit_options=OPTIONS)(_chosen(_exp_32, lambda x: np.exp(x)))
overload(log, jit_options=OPTIONS)(_chosen(_log_32, lambda x: np.log(x)))
overload(log1p, jit_options=OPTIONS)(_chosen(_log1p_32, lambda x: np.log1p(x)))
overload(tanh, jit_options=OPTIONS)(_chosen(_tanh_32, lambda x: np.tanh(x)))

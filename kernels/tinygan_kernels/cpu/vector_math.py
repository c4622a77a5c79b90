"""exp, log, log1p and tanh that Numba's compiler turns into vector instructions: short polynomials, no branches, for float32.

The C library's functions are called for one number at a time. These are within 4 ulp (tests/test_elementary.py measures it), and
inside `tolerance`'s bound for elementary functions. float64, which is for checking derivatives, goes to the C library.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tinygan_kernels.cpu.runtime.jit import OPTIONS

REAL = np.float32
LOG2_E = REAL(1.4426950408889634)
LN2_HIGH, LN2_LOW = REAL(0.693359375), REAL(-2.12194440e-4)  # their sum is ln 2; times a whole number, the first is exact
SMALLEST, LARGEST = REAL(-87.3), REAL(88)  # beyond, 2^n or e^x is no normal float32, and this one is taken
TAYLOR_EXP = tuple(REAL(1 / f) for f in (5040, 720, 120, 24, 6, 2))  # of (e^r - 1 - r) / r^2, highest power first: 1/7! ... 1/2!
ATANH = tuple(REAL(1 / k) for k in (17, 15, 13, 11, 9, 7, 5, 3))  # of atanh(s)/s - 1 in s^2
LOG_ATANH = tuple(REAL(1 / k) for k in (9, 7, 5, 3))  # the same, for a smaller s
ROOT_2 = REAL(2**0.5)
LN2 = REAL(0.6931471805599453)
FAR_OUT = REAL(-20)  # of -2|x|, beyond which tanh is 1 in float32


def exp(x):
    """e^x for SMALLEST <= x <= LARGEST, beyond them what it is there. e^x = 2^n e^r with n whole and |r| <= ln(2)/2."""
    return np.exp(x)


def log(x):
    """ln x for a positive normal number m 2^e, m between 1/sqrt(2) and sqrt(2): e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1)."""
    return np.log(x)


def log1p(x):
    """ln(1 + x) for 0 <= x <= 1: 2 atanh(s), s = x / (2 + x) <= 1/3, from its series."""
    return np.log1p(x)


def tanh(x):
    """-d / (2 + d) with the sign of x, d = e^-2|x| - 1."""
    return np.tanh(x)


@register_jitable(**OPTIONS)
def _split(x):
    """(q, 2^n), e^x = (1 + q) 2^n; near 0 n is 0, and all digits of q are kept."""
    n = np.floor(x * LOG2_E + REAL(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = TAYLOR_EXP[0]
    for i in range(1, 6):
        p = p * r + TAYLOR_EXP[i]
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # by its exponent's bits
    return p * r * r + r, power


def _exp_32(x):
    q, power = _split(min(max(x, SMALLEST), LARGEST) if x == x else x)
    return (q + REAL(1)) * power


def _log_32(x):
    bits = REAL(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)  # x's digits, with an exponent of 0
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
    return lambda x: in_single if x == types.float32 else otherwise


overload(exp, jit_options=OPTIONS)(_chosen(_exp_32, lambda x: np.exp(x)))
overload(log, jit_options=OPTIONS)(_chosen(_log_32, lambda x: np.log(x)))
overload(log1p, jit_options=OPTIONS)(_chosen(_log1p_32, lambda x: np.log1p(x)))
overload(tanh, jit_options=OPTIONS)(_chosen(_tanh_32, lambda x: np.tanh(x)))

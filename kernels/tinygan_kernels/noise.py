"""Standard normal numbers out of a generator's random bits, all lanes of a register at once (Box and Muller 1958).

    u in (0, 1), v in [0, 1)   ->   sqrt(-2 ln u) cos(2 pi v)   and   sqrt(-2 ln u) sin(2 pi v),   independent and N(0, 1)

NumPy's ziggurat takes some ten nanoseconds a number, as it branches at each; this takes about four, most of them for the bits. A
pair takes two 32-bit words, 31 bits of one for u and 24 of the other for v, so no number is beyond sqrt(2 ln 2^32) = 6.66, which a
normal one is once in 4 10^10.
"""

from __future__ import annotations

import numpy as np

from . import elementary
from .program import Loop, Work, span

REAL = np.float32
HALF_PI = REAL(np.pi / 2)
SIN = tuple(REAL(c) for c in (1 / 362880, -1 / 5040, 1 / 120, -1 / 6))  # of sin(x)/x - 1 in x^2, highest power first
COS = tuple(REAL(c) for c in (-1 / 3628800, 1 / 40320, -1 / 720, 1 / 24, -1 / 2))  # of cos(x) - 1 in x^2


@Loop
def _box_muller(lengths, turns, first, second, part, parts):
    """lengths, turns (n,) 32-bit words of random bits -> first, second (n,) float32"""
    start, stop = span(first.size, parts, part)
    u, v, one, other = lengths[start:stop], turns[start:stop], first[start:stop], second[start:stop]
    for i in range(one.size):
        share = (REAL(u[i] & np.int32(0x7FFFFFFF)) + REAL(0.5)) * REAL(2.0**-31)
        length = np.sqrt(REAL(-2) * elementary.log(share))
        turn = REAL(v[i] & np.int32(0xFFFFFF)) * REAL(2.0**-22)  # in quarters of a circle
        quarter = np.floor(turn + REAL(0.5))
        angle = (turn - quarter) * HALF_PI  # between -pi/4 and pi/4
        square, s, c = angle * angle, SIN[0], COS[0]
        for k in range(1, 4):
            s = s * square + SIN[k]
        for k in range(1, 5):
            c = c * square + COS[k]
        s, c, q = angle + angle * square * s, REAL(1) + square * c, np.int32(quarter)
        x, y = (s, c) if q & 1 else (c, s)
        one[i] = -length * x if (q + 1) & 2 else length * x
        other[i] = -length * y if q & 2 else length * y


class Normals:
    """One array, C-contiguous float32 or float64, to be filled with N(0, 1) again and again: normals(rng) does so, from rng's bits,
    and returns it. float64 comes from NumPy. Raises ValueError for another array.
    """

    def __init__(self, out: np.ndarray) -> None:
        if out.dtype not in (np.float32, np.float64) or not out.flags.c_contiguous:
            raise ValueError(f"normal numbers fill C-contiguous arrays of float32 or float64, not {out.dtype}, {out.strides}")
        self.out, half = out, -(-out.size // 2)
        self._bits = np.empty(half, np.uint64)
        # the second number of an odd array's last pair has no place in it
        self._numbers = out.reshape(-1) if out.size % 2 == 0 else np.empty(2 * half, np.float32)
        self._work: Work | None = None

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        if self.out.dtype == np.float64:
            return rng.standard_normal(out=self.out)
        half = self._bits.size
        if self._work is None:
            lengths, turns = self._bits.view(np.int32).reshape(2, half)
            self._work = Work([_box_muller.over(self.out.size, lengths, turns, self._numbers[:half], self._numbers[half:])])
        self._bits[...] = rng.bit_generator.random_raw(half)
        self._work()
        if self.out.size % 2:
            self.out.reshape(-1)[...] = self._numbers[:-1]
        return self.out

"""Standard normal random numbers, all lanes of a register at once: counters become random bits, bits become numbers.

Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") scrambles a counter under a key in ten rounds of
two multiplications. No number depends on the one before, so any part of an array can be filled on its own. Box and Muller 1958 turn
two uniform numbers into two normal ones:

    u in (0, 1), v in [0, 1)   ->   sqrt(-2 ln u) cos(2 pi v)   and   sqrt(-2 ln u) sin(2 pi v),   independent and N(0, 1)

NumPy's ziggurat algorithm branches at each number, which vector instructions cannot. A pair takes two 32-bit words, 31 bits of one
for u and 24 of the other for v, so no number is beyond sqrt(2 ln 2^32) = 6.66; a true normal one would be once in 4 10^10.
"""

from __future__ import annotations

import numpy as np

from tinygan_kernels.cpu import vector_math
from tinygan_kernels.cpu.runtime.stages import ParallelLoop, Pipeline, share, span

REAL, BITS = np.float32, np.uint64
HALF_PI = REAL(np.pi / 2)
# the series of sin(x)/x - 1 and of cos(x) - 1 in x^2, highest power first
SIN = tuple(REAL(c) for c in (1 / 362880, -1 / 5040, 1 / 120, -1 / 6))
COS = tuple(REAL(c) for c in (-1 / 3628800, 1 / 40320, -1 / 720, 1 / 24, -1 / 2))
LOW, HALF = BITS(0xFFFFFFFF), BITS(32)
FACTORS = BITS(0xD2511F53), BITS(0xCD9E8D57)
STEPS = BITS(0x9E3779B9), BITS(0xBB67AE85)  # added to the key from round to round
ROUNDS = 10


@ParallelLoop
def philox(key, words, part, parts):
    """Fill words (4, n) with 32 random bits each: column i comes from the counter (i, 0, key[1]) under the key key[0]."""
    start, stop = share(words.shape[1], parts, part)
    a, b, c, d = words[0, start:stop], words[1, start:stop], words[2, start:stop], words[3, start:stop]
    for i in range(a.size):
        c0, c1, c2, c3, k0, k1 = BITS(start + i), BITS(0), key[1] & LOW, key[1] >> HALF, key[0] & LOW, key[0] >> HALF
        for _ in range(ROUNDS):
            p, q = FACTORS[0] * c0, FACTORS[1] * c2
            c0, c1, c2, c3 = (q >> HALF) ^ c1 ^ k0, q & LOW, (p >> HALF) ^ c3 ^ k1, p & LOW
            k0, k1 = (k0 + STEPS[0]) & LOW, (k1 + STEPS[1]) & LOW
        a[i], b[i], c[i], d[i] = np.int32(c0), np.int32(c1), np.int32(c2), np.int32(c3)


@ParallelLoop
def box_muller(lengths, turns, first, second, part, parts):
    """Turn 32-bit words of random bits, lengths and turns (n,), into normal numbers, first and second (n,) float32."""
    start, stop = span(first.size, parts, part)
    u, v, one, other = lengths[start:stop], turns[start:stop], first[start:stop], second[start:stop]
    for i in range(one.size):
        of_1 = (REAL(u[i] & np.int32(0x7FFFFFFF)) + REAL(0.5)) * REAL(2.0**-31)
        length = np.sqrt(REAL(-2) * vector_math.log(of_1))
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
    """Fills one array, C-contiguous float32 or float64, with N(0, 1) again and again: normals(rng) does so and returns it.

    Each call draws a key for Philox from rng. In float64 the numbers come from NumPy. Raises ValueError for any other array.
    """

    def __init__(self, out: np.ndarray) -> None:
        if out.dtype not in (np.float32, np.float64) or not out.flags.c_contiguous:
            raise ValueError(f"normal numbers fill C-contiguous arrays of float32 or float64, not {out.dtype}, {out.strides}")
        self.out, self._work = out, None
        if out.dtype == np.float32:
            quarter = -(-out.size // 4)
            self._key, words = np.empty(2, np.uint64), np.empty((4, quarter), np.int32)
            # numbers are made four at a time: an array of another length is filled from a longer one
            self._numbers = out.reshape(-1) if out.size % 4 == 0 else np.empty(4 * quarter, np.float32)
            pairs = *words.reshape(2, -1), *self._numbers.reshape(2, -1)
            self._work = Pipeline([philox.over(out.size, self._key, words), box_muller.over(out.size, *pairs)])

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        if self._work is None:
            return rng.standard_normal(out=self.out)
        self._key[...] = rng.bit_generator.random_raw(2)
        self._work()
        if self.out.size % 4:
            self.out.reshape(-1)[...] = self._numbers[: self.out.size]
        return self.out

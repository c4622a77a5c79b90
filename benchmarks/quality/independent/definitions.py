"""The measures as their papers define them, in loops over single samples; slow, and exact wherever a number can be.

Nothing here shares code with tinygan/measure/, nor its shape: points are tuples of integers, which nothing rounds, distances are
compared as squares, and what needs a logarithm or a root is summed without rounding by `math.fsum`.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np

Point = tuple[int, ...]


def integers_together(*arrays: np.ndarray) -> list[list[Point]]:
    """Return the points (n, f) of every array as integers, in one unit that all of them are multiples of: a float is a fraction."""
    ratios = [[[float(x).as_integer_ratio() for x in row] for row in np.atleast_2d(array).tolist()] for array in arrays]
    unit = max(below for points in ratios for point in points for _, below in point)  # all of them are powers of 2
    return [[tuple(above * (unit // below) for above, below in point) for point in points] for points in ratios]


def integers_of(points: np.ndarray, unit: float) -> list[Point]:
    """Return points (n, f), all of them multiples of `unit`, as integers. Raises ValueError where one is no multiple."""
    whole = np.asarray(points, np.float64) / unit
    if not (whole == np.round(whole)).all():
        raise ValueError(f"points are not all multiples of {unit}")
    return [tuple(int(x) for x in row) for row in whole]


def squared(a: Point, b: Point) -> int:
    """Return the squared distance of two points."""
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


# ---- mixtures -------------------------------------------------------------------------------------------------------------------


def nearest(sample: Point, points: Sequence[Point]) -> int:
    """Return the number of the nearest point; of equally near ones the first."""
    return min(range(len(points)), key=lambda i: squared(sample, points[i]))


def coverage(samples: np.ndarray, centres: np.ndarray, std: float) -> dict[str, float]:
    """Return the modes, the share of high quality and the reverse KL divergence as Lin et al. 2018 count them.

    A sample is of high quality within 3 std of its nearest mode; a mode counts if one of those is there; their shares of the modes
    are compared with equal ones.
    """
    exact, modes, ((width,),) = integers_together(samples, centres, np.array(std))
    found = [k for sample, k in ((s, nearest(s, modes)) for s in exact) if squared(sample, modes[k]) <= (3 * width) ** 2]
    counts = Counter(found)
    shares = [count / len(found) for count in counts.values()]
    return {"modes": len(counts), "hq": len(found) / len(samples),
            "reverse_kl": math.fsum(p * math.log(p * len(modes)) for p in shares) if found else math.inf}


def quarter(dx: int, dy: int) -> int:
    """Return in which quarter of the plane an offset lies: each has the axis that it begins with, anticlockwise from dx > 0."""
    if dx > 0 and dy >= 0:
        return 0
    if dx <= 0 and dy > 0:
        return 1
    if dx < 0 and dy <= 0:
        return 2
    return 3 if dy < 0 else 0  # an offset of nothing at all has the angle 0


def cells(samples: np.ndarray, centres: np.ndarray, std: float, shells: int = 6) -> list[float]:
    """Return the share of samples in each cell: of each centre `shells` rings of equal probability, in quarters."""
    from scipy.stats import chi2

    exact, modes, ((width,),) = integers_together(samples, centres, np.array(std))
    gaussian, counts = chi2(2), Counter[tuple[int, int, int]]()
    for sample in exact:
        k = nearest(sample, modes)
        dx, dy = (x - c for x, c in zip(sample, modes[k], strict=True))
        inside = gaussian.cdf((dx * dx + dy * dy) / (width * width))
        counts[k, min(int(inside * shells), shells - 1), quarter(dx, dy)] += 1
    return [counts[k, ring, part] / len(samples) for k in range(len(modes)) for ring in range(shells) for part in range(4)]


# ---- balls of nearest neighbours ------------------------------------------------------------------------------------------------


def balls(real: Sequence[Point], fake: Sequence[Point], k: int, closed: bool = True) -> dict[str, float]:
    """Return precision, recall (Kynkaanniemi et al. 2019, eq. 1 and 2), density and coverage (Naeem et al. 2020, eq. 3 and 4).

    closed: a ball has its own surface, as in the code of the first paper, whose sign is <=; that of the second paper's is <.
    """
    within = operator.le if closed else operator.lt
    def reach(points: Sequence[Point], i: int) -> int:
        return sorted(squared(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_reach, fake_reach = ([reach(points, i) for i in range(len(points))] for points in (real, fake))
    gaps = [[squared(x, y) for y in fake] for x in real]
    inside = [[within(gap, r) for gap in row] for row, r in zip(gaps, real_reach, strict=True)]
    return {
        "precision": sum(any(row[j] for row in inside) for j in range(len(fake))) / len(fake),
        "recall": sum(any(map(within, row, fake_reach)) for row in gaps) / len(real),
        "density": sum(map(sum, inside)) / (k * len(fake)),
        "coverage": sum(any(row) for row in inside) / len(real),
    }


# ---- two samples ----------------------------------------------------------------------------------------------------------------


def mmd(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    """Return the unbiased estimate of MMD^2 of Gretton et al. 2012, eq. 3, with the kernel exp(-|a - b|^2 / (2 bandwidth^2))."""
    def kernel(a: Sequence[float], b: Sequence[float]) -> float:
        return math.exp(-(math.dist(a, b) ** 2) / (2 * bandwidth**2))

    def within(points: list[list[float]]) -> float:
        return 2 * math.fsum(kernel(a, b) for a, b in combinations(points, 2)) / (len(points) * (len(points) - 1))

    first, second = x.tolist(), y.tolist()
    return within(first) + within(second) - 2 * math.fsum(kernel(a, b) for a in first for b in second) / (len(first) * len(second))


def chance_of_sum(counts: Sequence[int], chosen: int, least: int) -> Fraction:
    """Return how probable it is that `chosen` of the counts, drawn without replacement, sum to `least` or more; exactly.

    ways[c][s] is the number of ways to choose c of the counts gone through so far with the sum s.
    """
    ways = [Counter[int]() for _ in range(chosen + 1)]
    ways[0][0] = 1
    for count in counts:
        for c in range(chosen, 0, -1):
            for total, number in ways[c - 1].items():
                ways[c][total + count] += number
    return Fraction(sum(number for total, number in ways[chosen].items() if total >= least), math.comb(len(counts), chosen))


def repeats(batch: Sequence[Point], tolerance: int) -> bool:
    """Tell whether two points of a batch are at most `tolerance` apart."""
    return any(squared(a, b) <= tolerance**2 for a, b in combinations(batch, 2))


def parzen(
    fake: np.ndarray, valid: np.ndarray, test: np.ndarray, widths: Sequence[float]
) -> tuple[float, list[float]]:
    """Return the width that is best on validation, and log of the mean over fakes of N(point; fake, width^2) at every test point.

    Goodfellow et al. 2014, section 5, which took it from Breuleux et al. 2011.
    """
    d = fake.shape[1]
    def log_density(squares: list[float], width: float) -> float:
        nearest = min(squares)  # its kernel is taken out of the sum, which would be 0 in floats where all of them are far
        terms = math.fsum(math.exp((nearest - square) / (2 * width**2)) for square in squares)
        return math.log(terms / len(fake)) - nearest / (2 * width**2) - d * math.log(width * math.sqrt(2 * math.pi))

    made = fake.tolist()
    of_valid, of_test = ([[math.dist(x, y) ** 2 for y in made] for x in points.tolist()] for points in (valid, test))
    best = max(widths, key=lambda width: math.fsum(log_density(squares, width) for squares in of_valid))
    return best, [log_density(squares, best) for squares in of_test]


# ---- D beside D* ----------------------------------------------------------------------------------------------------------------


def distance_to_d_star(
    judge: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, centres: np.ndarray, std: float
) -> float:
    """Return E |D - D*| under (p + q) / 2 on squares with sides of half a std, D* = p / (p + q) of Goodfellow et al. 2014, Prop. 1.

    The squares are those within 5 std of a centre's own, and those that have a sample. judge: an array (1, 2) -> D of that point.
    """
    side = std / 2
    def below(edge: float, mean: float) -> float:
        return math.erfc((mean - edge) / (std * math.sqrt(2))) / 2

    def square(point: Sequence[float]) -> tuple[int, int]:
        return math.floor(point[0] / side), math.floor(point[1] / side)

    q = Counter(square(s) for s in samples.tolist())
    near = [(i, j) for i in range(-10, 11) for j in range(-10, 11)]
    places = {(x + i, y + j) for x, y in map(square, centres.tolist()) for i, j in near} | q.keys()
    terms = []
    for i, j in places:
        p = math.fsum(
            (below((i + 1) * side, x) - below(i * side, x))
            * (below((j + 1) * side, y) - below(j * side, y)) for x, y in centres) / len(centres)
        of_g = q[i, j] / len(samples)
        d_star = p / (p + of_g) if p + of_g else 0.5
        terms.append(abs(float(judge(np.array([[(i + 0.5) * side, (j + 0.5) * side]]))[0]) - d_star) * (p + of_g) / 2)
    return math.fsum(terms)

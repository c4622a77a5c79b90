"""Measures of a game: distances between densities, D at its optimum, the quality of samples, alarms, reports and pictures."""

from .alarms import Alarms, diagnose
from .best_d import retrained_value
from .densities import jsd, optimal
from .metrics import (
    against_optimum,
    class_balance,
    collapse_signs,
    frechet_distance,
    memorisation,
    mixture_coverage,
    mixture_jsd,
    neighbours,
    parzen,
)
from .pictures import draw_against_optimum, draw_curves, draw_samples
from .report import Measurement, d_against_optimum, quality_report

__all__ = [
    "Alarms",
    "Measurement",
    "against_optimum",
    "class_balance",
    "collapse_signs",
    "d_against_optimum",
    "diagnose",
    "draw_against_optimum",
    "draw_curves",
    "draw_samples",
    "frechet_distance",
    "jsd",
    "memorisation",
    "mixture_coverage",
    "mixture_jsd",
    "neighbours",
    "optimal",
    "parzen",
    "quality_report",
    "retrained_value",
]

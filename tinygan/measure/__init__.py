"""Measures of a game: distances between densities, D at its optimum, the quality of samples, alarms, reports and pictures."""

from .alarms import Alarms, diagnose
from .best_d import retrained_value
from .birthday import Birthday, birthday_test
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
from .mixture_quality import MixtureQuality, ModeShapes, exact_samples, mixture_quality, mixture_test, mode_shapes
from .pictures import draw_against_optimum, draw_curves, draw_samples
from .report import Measurement, d_against_optimum, quality_report
from .sample_quality import MemorisationTest, SampleQuality, memorisation_test, sample_quality
from .two_sample import TwoSampleTest, View, two_sample_test

__all__ = [
    "Alarms",
    "Birthday",
    "Measurement",
    "MemorisationTest",
    "MixtureQuality",
    "ModeShapes",
    "SampleQuality",
    "TwoSampleTest",
    "View",
    "against_optimum",
    "birthday_test",
    "class_balance",
    "collapse_signs",
    "d_against_optimum",
    "diagnose",
    "draw_against_optimum",
    "draw_curves",
    "draw_samples",
    "exact_samples",
    "frechet_distance",
    "jsd",
    "memorisation",
    "memorisation_test",
    "mixture_coverage",
    "mixture_jsd",
    "mixture_quality",
    "mixture_test",
    "mode_shapes",
    "neighbours",
    "optimal",
    "parzen",
    "quality_report",
    "retrained_value",
    "sample_quality",
    "two_sample_test",
]

"""What a run ends with, made quickly: for tests of commands which look neither at the numbers nor at the pictures.

A run on a mixture ends with D against D* on 100,000 samples of G and with 25,000 samples against the density, which takes seconds;
two or three pictures take most of one. tests/tinygan/measure/test_report.py ends a run with all of that.
"""

import base64
import sys

from matplotlib.figure import Figure

from tinygan.measure import report
from tinygan.measure.mixture_quality import mixture_quality

AGAINST_D = 2100  # more than D judges at once, so that its parts are put together here too
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==")
d_against_optimum, parzen = report.d_against_optimum, report.parzen


def measure_less(patch):
    """Let the measures of samples take fewer of them, for the time of a pytest.MonkeyPatch."""
    patch.setattr(report, "d_against_optimum", lambda run: d_against_optimum(run, AGAINST_D))
    patch.setattr(report, "parzen", lambda fake, cut, rest: parzen(fake[:50], cut[:9], rest[:50]))
    patch.setattr(report, "MOST_COMPARED", 60)
    patch.setattr(report, "SAMPLES", 500)
    patch.setattr(sys.modules[mixture_quality.__module__], "TESTED", 100)  # `measure` has a function by the name of the module


def draw_one_pixel(patch):
    """Let every figure be put together as it is, and then be stored as a picture of one pixel instead of being drawn."""
    patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(PNG))


def end_quickly(patch):
    """Let runs end with both."""
    measure_less(patch)
    draw_one_pixel(patch)

"""Remedies: what the literature adds to the game so that it converges. Penalties on D's slope, noise, packing, unrolled steps of D.

Each remedy works by itself; `Remedies` says which of them a game uses. Penalties are subtracted from what D ascends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinygan.engine.randomness import Draws
from tinygan.options import Options, option

from .penalties import R2, Penalty, WassersteinPenalty

FALL = (0.3, 0.8)  # shares of a run: between them the weights of penalties fall


@dataclass(frozen=True, kw_only=True)
class Remedies(Options):
    """The remedies that a game uses; each is off at its default. Raises OptionError for one out of range.

    r2      gamma of R2, the penalty (gamma / 2) E |grad_x s|^2 at the fakes (Mescheder et al. 2018, section 4.1)
    gp      lambda of lambda E (|grad_x s| - 1)^2 between real and fake points (Gulrajani et al. 2017, eq. 3)
    penalty_fall  the factor by which the weights of all penalties, R1 too, fall in a run (see `penalty_share`)
    smooth  real samples are labelled 1 - smooth, fakes stay at 0 (Salimans et al. 2016, section 3.4)
    noise   std of Gaussian noise on all that D sees, at the run's start; it falls linearly to 0 (Sonderby et al. 2017, section 4)
    pack    samples that D judges together (Lin et al. 2018, section 3)
    unroll  ascent steps of D that G looks ahead, and differentiates through; `unroll_rate` is their size (Metz et al. 2017, eq. 10)
    """

    title = "Remedies"

    r2: float = option(0.0, help="Weight gamma of R2, the same penalty at generated samples.", at_least=0, at_most=1e38,
                       neutral=0.0)
    gp: float = option(0.0, help="Weight lambda of the penalty between real and generated; its paper has 10.", at_least=0,
                       at_most=1e38, neutral=0.0)
    penalty_fall: float = option(1.0, help="By which factor --r1, --r2 and --gp fall in the middle of the run.", at_least=1,
                                 at_most=1e12, neutral=1.0, only_with=("r1", "r2", "gp"))
    smooth: float = option(0.0, help="One-sided label smoothing: real labels become 1 minus this.", at_least=0, below=0.5,
                           neutral=0.0)
    noise: float = option(0.0, help="Instance noise: std at the start, falling to 0.", at_least=0, at_most=1e38,
                         neutral=0.0)
    pack: int = option(1, help="PacGAN: how many samples D judges together.", at_least=1, at_most=1000, neutral=1)
    unroll: int = option(0, help="Ascent steps of D that G looks ahead; at most 1000.", at_least=0, at_most=1000, neutral=0)
    unroll_rate: float = option(0.1, help="Size of those steps.", at_least=0, at_most=1e38, neutral=0.1, only_with=("unroll",))

    def penalty_share(self, done: float) -> float:
        """Return the share that is left of the penalties' weights when the share `done`, in [0, 1], of the run is over.

        It is 1 up to FALL[0] of the run and 1 / penalty_fall from FALL[1] on, and falls geometrically in between.
        """
        begins, ends = FALL
        return self.penalty_fall ** -min(max((done - begins) / (ends - begins), 0.0), 1.0)

    @property
    def falling_penalties(self) -> bool:
        """True where the weights of penalties change in the course of a run."""
        return self.penalty_fall != 1

    @property
    def needs_draws(self) -> bool:
        """True where a step draws random numbers besides its batch and its noise z."""
        return bool(self.gp or self.noise)

    def penalties(self, draws: Draws | None) -> Iterator[Penalty]:
        """Yield the penalties that are switched on. draws: for the Wasserstein penalty's random points."""
        if self.r2:
            yield R2(self.r2)
        if self.gp:
            yield WassersteinPenalty(self.gp, draws)  # type: ignore[arg-type]  # there are draws, as needs_draws says

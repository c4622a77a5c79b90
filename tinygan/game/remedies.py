"""What the literature adds to the game so that it converges: penalties on D's slope, noise, packing, unrolled steps of D.

Each is small and on its own; `Remedies` says which of them a game uses. Penalties are subtracted from what D ascends.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedies:
    """Each is off at its default. Raises ValueError for one out of range.

    r2      gamma of R2, the penalty (gamma / 2) E |grad_x s|^2 at the fakes (Mescheder et al. 2018, section 4.1)
    gp      lambda of lambda E (|grad_x s| - 1)^2 between real and fake points (Gulrajani et al. 2017, eq. 3)
    smooth  real samples are labelled 1 - smooth, fakes stay at 0 (Salimans et al. 2016, section 3.4)
    noise   std of Gaussian noise on all that D sees, at the run's start; it falls linearly to 0 (Sonderby et al. 2017, section 4)
    pack    samples that D judges together (Lin et al. 2018, section 3)
    unroll  ascent steps of D that G looks ahead, and differentiates through; `unroll_rate` is their size (Metz et al. 2017, eq. 10)
    """

    r2: float = 0.0
    gp: float = 0.0
    smooth: float = 0.0
    noise: float = 0.0
    pack: int = 1
    unroll: int = 0
    unroll_rate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("r2", "gp", "noise", "unroll_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, it has to be at least 0")
        if not 0 <= self.smooth < 0.5:
            raise ValueError(f"smooth is {self.smooth}, it has to be at least 0 and below 0.5 (real labels become 1 - smooth)")
        if self.pack < 1 or self.unroll < 0:
            raise ValueError(f"pack has to be at least 1 and unroll at least 0, they are {self.pack} and {self.unroll}")

    @property
    def draws(self) -> bool:
        """Whether a step draws random numbers besides its batch and its noise z."""
        return bool(self.gp or self.noise)

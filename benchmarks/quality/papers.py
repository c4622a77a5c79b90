"""Each remedy as its paper sets it: the weights, Adam's numbers and the steps of D, with where they stand.

These are rows of the table of remedies beside those of its own plain game; networks, data, batch and length stay the table's. Not
all of a paper's set-up is there, then: the papers trained on images for much longer, or on a mixture of another width. Packing has
a table of its own ("pacgan"). The papers of instance noise (Sonderby et al. 2017; Arjovsky and Bottou 2017) give no settings for
data such as these, and that of the minimax game (Goodfellow et al. 2014) has no Adam, so these two have no such row.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class PaperSettings(NamedTuple):
    """The settings of a paper: what the row goes by, the paper and where it, or its authors' code, has them, and the options."""

    label: str
    source: str
    options: dict[str, Any]


def _adam(lr_d: float, lr_g: float, beta1: float, beta2: float) -> dict[str, Any]:
    return {"lr_d": lr_d, "lr_g": lr_g, "beta1": beta1, "beta2": beta2}


# By the preset of the remedy, whose options they come on top of.
PAPERS: dict[str, PaperSettings] = {
    "vanilla": PaperSettings("none, DCGAN's Adam", "Radford et al. 2016, section 4", _adam(2e-4, 2e-4, 0.5, 0.999)),
    # the code has RMSprop, which is Adam without a mean of the gradients, but for the size of the first steps
    "best": PaperSettings("R1, its paper's settings", "Mescheder et al. 2018; LMescheder/GAN_stability, configs/default.yaml",
                          {"r1": 10.0, **_adam(1e-4, 1e-4, 0.0, 0.99)}),
    "r2": PaperSettings("R2, its paper's settings", "as R1, whose weight section 4.1 gives to R2",
                        {"r2": 10.0, **_adam(1e-4, 1e-4, 0.0, 0.99)}),
    "wgan-gp": PaperSettings("wgan-gp, its paper's Adam", "Gulrajani et al. 2017, Algorithm 1", _adam(1e-4, 1e-4, 0.0, 0.9)),
    "sngan": PaperSettings("sngan, its paper's settings",
                           "Miyato et al. 2018; pfnet-research/sngan_projection, configs/sn_cifar10_unconditional.yml",
                           {"k": 5, **_adam(2e-4, 2e-4, 0.0, 0.9)}),
    "lsgan": PaperSettings("lsgan, its paper's settings",
                           "Mao et al. 2017; xudonmao/LSGAN, stability_comparison/mixture_gaussian/ls.py",
                           _adam(1e-4, 1e-3, 0.5, 0.999)),
    "smooth": PaperSettings("smooth, its paper's settings", "Salimans et al. 2016; openai/improved-gan, imagenet/train_imagenet.py",
                            {"smooth": 0.25, **_adam(4e-4, 4e-4, 0.5, 0.999)}),
    # the steps that G looks ahead are Adam's there and plain ones here, so their size stays the table's
    "unroll": PaperSettings("unroll, its paper's settings", "Metz et al. 2017; poolio/unrolled_gan, the notebook",
                            {"unroll": 5, **_adam(1e-4, 1e-3, 0.5, 0.999)}),
    # one step of D for each of G, in the place of five, is what the two rates are for there
    "ttur": PaperSettings("ttur, its paper's rates", "Heusel et al. 2017; bioinf-jku/TTUR, WGAN_GP/gan_64x64_FID.py",
                          {"objective": "wasserstein", "gp": 10.0, **_adam(1e-4, 3e-4, 0.0, 0.9)}),
}

"""The theory of GANs as claims that are computed and judged."""

"""tinygan: a GAN from scratch, down to the kernels."""

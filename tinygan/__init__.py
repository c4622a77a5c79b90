"""tinygan: a generator, a discriminator and the game between them, on an autodiff engine written from scratch."""

from . import ops  # noqa: F401  binds + * @ and the methods onto Tensor
from .tensor import Tensor, grad, gradients, stop

__all__ = ["Tensor", "__version__", "grad", "gradients", "stop"]
__version__ = "0.1.0"

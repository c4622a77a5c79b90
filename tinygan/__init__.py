"""tinygan: a generator, a discriminator and the game between them, on an autodiff engine written from scratch."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygan_kernels import load

from tinygan.engine import ops  # binds + * @ and the methods onto Tensor
from tinygan.engine.changes import detect_changes
from tinygan.engine.elsewhere import MODULE, missing_attribute
from tinygan.engine.functional import grad
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.tensor import ChangedArray, Tensor, gradients, stop
from tinygan.engine.transforms import hessian, hvp, jacobian, jvp, linearize, vjp
from tinygan.version import __version__

if TYPE_CHECKING:
    from tinygan.derive import assert_gradients, check_derivation
    from tinygan.drawing import draw
    from tinygan.fitting import fit
    from tinygan.training import load_generator
    from tinygan.walkthrough import explain

__all__ = [
    "ChangedArray", "Tensor", "__version__", "assert_gradients", "check_derivation", "detect_changes", "draw", "explain", "fit",
    "game", "grad", "gradcheck", "gradients", "hessian", "hvp", "jacobian", "jvp", "linearize", "load", "load_generator", "nn",
    "ops", "optim", "stop", "vjp",
]

# `from tinygan.ops import relu` and `from tinygan.gradcheck import gradcheck` find them where they stood before there were rooms
sys.modules |= {f"{__name__}.{short}": sys.modules[f"{__name__}.engine.{short}"] for short in ("ops", "gradcheck")}


# by name, each with the package that it comes from
_FUNCTIONS = {
    "assert_gradients": "derive", "check_derivation": "derive", "draw": "drawing", "explain": "walkthrough",
    "fit": "fitting", "load_generator": "training",
}


def __getattr__(name: str) -> Any:
    """Import `game`, `nn`, `optim` and the functions of other packages at their first use, so that `import tinygan` stays quick."""
    if name in ("game", "nn", "optim"):
        return import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(missing_attribute(__name__, name, __all__, MODULE))


def __dir__() -> list[str]:
    return sorted(__all__)

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
from tinygan.version import __version__

if TYPE_CHECKING:
    from tinygan.drawing import draw
    from tinygan.fitting import fit
    from tinygan.training import load_generator

__all__ = [
    "ChangedArray", "Tensor", "__version__", "detect_changes", "draw", "fit", "game", "grad", "gradcheck", "gradients", "load",
    "load_generator", "nn", "ops", "optim", "stop",
]

# `from tinygan.ops import relu` and `from tinygan.gradcheck import gradcheck` find them where they stood before there were rooms
sys.modules |= {f"{__name__}.{short}": sys.modules[f"{__name__}.engine.{short}"] for short in ("ops", "gradcheck")}


_FUNCTIONS = {"draw": "drawing", "fit": "fitting", "load_generator": "training"}  # each with its package


def __getattr__(name: str) -> Any:
    """Import `game`, `nn`, `optim`, `draw`, `fit` and `load_generator` at their first use, so that `import tinygan` stays quick."""
    if name in ("game", "nn", "optim"):
        return import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(missing_attribute(__name__, name, __all__, MODULE))


def __dir__() -> list[str]:
    return sorted(__all__)

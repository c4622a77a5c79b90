"""`import cupy` and `import cupyx`, answered by `emulator.cupy`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Finder(MetaPathFinder, Loader):
    """Finds the submodules of `cupy` and `cupyx`: what an attribute of that name is."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        parent, _, name = fullname.rpartition(".")
        if not fullname.startswith(("cupy.", "cupyx.")) or parent not in sys.modules:
            return None
        try:
            getattr(sys.modules[parent], name)
        except (AttributeError, ImportError):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        parent, _, name = spec.name.rpartition(".")
        made = _Named(spec.name)
        value = getattr(sys.modules[parent], name)
        public = [each for each in dir(value) if not each.startswith("_")]
        made.__dict__.update(_value=value, __all__=list(getattr(value, "__all__", public)))  # for `from cupy.linalg import *`
        return made

    def exec_module(self, module: ModuleType) -> None: ...


class _Named(ModuleType):
    """A module that has what a value has."""

    _value: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_value"], name)


def stand_in() -> None:
    """Let `import cupy` and `import cupyx`, from here on, give `emulator.cupy` and its `cupyx`."""
    from tinygan_kernels.emulator import cupy

    sys.modules |= {"cupy": cupy, "cupyx": cupy.cupyx, "cupy.cuda": cupy.cuda, "cupy.random": cupy.random, **cupy.cuda.submodules()}
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

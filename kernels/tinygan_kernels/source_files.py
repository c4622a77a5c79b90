"""Python files of a user, executed from their text alone."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType


class _FromText(SourceFileLoader):
    """A loader that neither reads nor writes bytecode.

    Python takes bytecode for that of a file with the same size and time of change, in whole seconds: of two versions that are saved
    within a second, the first would be executed twice.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def executed(path: Path, name: str, listed: bool = False) -> ModuleType:
    """Execute a Python file, whatever its suffix, and return its module, called `name`. Raises whatever the file raises.

    listed: whether the module is entered in sys.modules, which dataclasses that it defines want.
    """
    spec = spec_from_loader(name, _FromText(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    if listed:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module

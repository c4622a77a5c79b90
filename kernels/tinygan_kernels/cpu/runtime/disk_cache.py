"""Numba's disk cache of compiled code, and remedies for four faults of it.

1. Numba notices a change only in the file in which a compiled function stands, but a loop here calls functions from several files.
   So the cache of each function is told to watch all files from which loops are made: an edit of any of them is compiled anew.
2. Numba keeps one file for each variant of a function (its argument types), and numbers these files 1, 2, 3 in the order in which
   they are compiled. Two processes that compile different variants at the same time can both write number 1, and a third process
   then loads the code of the wrong variant. So the name of a file here holds a hash of its variant.
3. Numba trusts its files. One that is damaged, by a full disk or a power cut, ends every run in an exception, or in a crash inside
   the code that it holds. So each file here ends in a checksum of all before it, and what does not fit is compiled and written
   anew.
4. Numba raises an exception where its files cannot be read, or where there is no folder to keep them in. Compiled code works
   without being kept, so here that costs time and nothing else.

The user is told of the last two by a RuntimeWarning, once in a process. The folder itself is trusted: whoever can write to it can
have code run, as with the folders that Python's own modules lie in. So it is not taken from a file of settings in the working
directory, in which Numba looks for one (.numba_config.yaml).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile

PACKAGE = Path(__file__).parents[2]  # tinygan_kernels
SEAL = hashlib.sha256().digest_size  # bytes of the checksum at a file's end
NEEDED = ("_load_index", "_load_data", "_open_for_write", "_data_path")  # methods of Numba's that the remedies rest on

for _name in ("CACHE_DIR", "CACHE_LOCATOR_CLASSES"):  # both decide whose files are loaded as code
    if getattr(numba.config, _name, "") and f"NUMBA_{_name}" not in os.environ:
        setattr(numba.config, _name, "")


@lru_cache
def stamp() -> tuple[float, int]:
    """Return (time of the latest change, total size in bytes) of the files from which loops are made: those in cpu/, and the
    modules beside it.
    """
    found = [path.stat() for path in (*PACKAGE.glob("*.py"), *(PACKAGE / "cpu").rglob("*.py"))]
    return max(s.st_mtime for s in found), sum(s.st_size for s in found)


class Damaged(OSError):
    """A file's contents do not fit its checksum."""


class SealedFiles(IndexDataCacheFile):
    """The files of one function's cache: an index, and the machine code of each variant, each with its checksum at the end."""

    def __init__(self, cache_path: str, filename_base: str) -> None:
        super().__init__(cache_path=cache_path, filename_base=f"{filename_base}.sealed", source_stamp=stamp())
        self._stem = self._data_name_pattern.removesuffix(".{number:d}.nbc")

    def save(self, key: Any, data: Any) -> None:
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        self._data_name_pattern = f"{self._stem}.{name}.{{number:d}}.nbc"
        super().save(key, data)

    def _load_index(self) -> dict[Any, str]:
        try:
            check_seal(Path(self._index_path))
            return super()._load_index()
        except FileNotFoundError:
            return {}
        except Exception as error:  # unpickling may raise anything
            tell_damaged(self._cache_path, error)
            return {}

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        try:
            check_seal(path)
            return super()._load_data(name)
        except FileNotFoundError:  # it is compiled again, as Numba does
            raise
        except Exception as error:
            tell_damaged(self._cache_path, error)
            raise Damaged(errno.EIO, str(error)) from error  # for which Numba compiles anew

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        yield content
        sealed = content.getvalue()
        sealed += hashlib.sha256(sealed).digest()
        if os.path.isdir(filepath):  # which no file can replace; what it holds stays, beside it
            os.rename(filepath, f"{filepath}.aside.{uuid.uuid4().hex[:16]}")
        with super()._open_for_write(filepath) as file:
            file.write(sealed)


def check_seal(path: Path) -> None:
    """Raise Damaged unless a file ends in the checksum of what is before it; OSError where it cannot be read."""
    content = path.read_bytes()
    if hashlib.sha256(content[:-SEAL]).digest() != content[-SEAL:]:
        raise Damaged(errno.EIO, f"{path.name} does not fit its checksum")


def mend(function_cache: Any) -> None:
    """Apply the remedies to the cache of a function. Leave it as it is if a future Numba keeps its cache in another way."""
    implementation = getattr(function_cache, "_impl", None)
    if not all(hasattr(IndexDataCacheFile, name) for name in NEEDED) or not hasattr(implementation, "filename_base"):
        return
    function_cache._cache_file = SealedFiles(function_cache.cache_path, implementation.filename_base)
    load, save = function_cache.load_overload, function_cache.save_overload

    def load_or_compile(signature: Any, target: Any) -> Any:
        try:
            return load(signature, target)
        except Exception as error:  # whatever a file that Numba cannot make sense of leads to
            tell_damaged(function_cache.cache_path, error)
            return None

    def save_if_possible(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except OSError as error:
            tell_unsaved(f"in {function_cache.cache_path} ({error.strerror or error})")

    function_cache.load_overload, function_cache.save_overload = load_or_compile, save_if_possible


def enable(enable_caching: Callable[[], None]) -> None:
    """Call a function of Numba's that gives a compiled function its cache; go on without where no folder can be had for it."""
    try:
        enable_caching()
    except (RuntimeError, OSError) as error:
        tell_unsaved(f"on disk ({error})")


# ---- what the user is told ------------------------------------------------------------------------------------------------------


_SAID: set[str] = set()  # the kinds of lines that this process has said


def _say(kind: str, line: str) -> None:
    if kind not in _SAID:
        _SAID.add(kind)
        warnings.warn(" ".join(line.split()), RuntimeWarning, stacklevel=2)


def tell_damaged(folder: str, error: Exception) -> None:
    """Say that code on disk is damaged and compiled anew, the first time in a process."""
    _say("damaged", f"compiled code in {folder} is damaged and is compiled anew: "
                    f"{getattr(error, 'strerror', None) or str(error) or type(error).__name__}")


def tell_unsaved(where: str) -> None:
    """Say that compiled code is not kept on disk, the first time in a process."""
    _say("unsaved", f"compiled code cannot be kept {where}, so every process compiles it again; NUMBA_CACHE_DIR=FOLDER names "
                    f"another place for it")

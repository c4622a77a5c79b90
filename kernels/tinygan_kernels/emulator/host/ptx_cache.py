"""PTX that NVRTC made, kept on disk: code with NVIDIA's headers takes seconds to compile, and milliseconds to read.

A file holds the PTX of one compilation. Its name is a hash of all that the PTX depends on: source, options, NVRTC's version, the
toolkit's folders of headers and their version, the headers that the emulator brings. The machine code of programs' host code is
kept in the same way (`program/machine_code.py`). Files are written whole under another name
and then renamed, so that processes do not disturb one another; one that does not fit its checksum is compiled anew. They lie in
`NUMBA_CACHE_DIR`, where that is set, else in `__pycache__` beside this file, as Numba's do. Where neither can be written, nothing
is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from . import headers, toolkit

MOST_FILES = 500
LONG = 4096
"""Characters of code from which on it is kept although it includes nothing: NVRTC takes a second for kernels of that length."""
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b[ \t]*(.*)", re.MULTILINE)
_OF_FILES = re.compile(r"(-I|--include-path|-include|--pre-include|-isystem)")


def folder() -> Path:
    """Return the folder that the files lie in, which need not exist."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return (Path(named) if named else Path(__file__).parent / "__pycache__") / "ptx"


def key(
    code: str, options: tuple[str, ...], given: list[str], names: tuple, filename: str, version: tuple, more: dict | None = None
) -> str | None:
    """Return the name of a compilation's file; None for one that is not kept.

    options: those of the caller; given: all that NVRTC gets, with the toolkit's folders; more: {name: text} of headers besides the
    emulator's. Short code without an #include compiles in no time, and a header from a folder of the user's own may change unseen:
    neither is kept.
    """
    folders = [Path(option.split("=", 1)[1]) for option in given if option.startswith("--include-path=")]
    included, more = _INCLUDE.findall(code), more or {}
    options = tuple(o for o in options if o.removeprefix("--pre-include=") not in more)
    if not included and len(code) < LONG:
        return None
    if any(map(_OF_FILES.match, options)) or not all(_is_known(name, folders, more) for name in included):
        return None
    toolkits = [(str(f), toolkit.headers_version(f), f.stat().st_mtime_ns) for f in folders if f.is_dir()]
    parts = [code, given, names, filename, version, toolkits, headers.HEADERS, more]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _is_known(included: str, folders: list[Path], more: dict) -> bool:
    """Return whether what stands behind an #include is a header of the toolkit's or of the emulator's."""
    if quoted := re.match(r'"([^"]+)"', included):
        return quoted[1] in more
    match = re.match(r"<([^>]+)>", included)
    return match is not None and (match[1] in headers.HEADERS or match[1] in more or any((f / match[1]).is_file() for f in folders))


def load(name: str) -> tuple[str, dict[str, str]] | None:
    """Return (PTX, mangled names) of an earlier compilation, None where there is none that is whole."""
    content = read(name)
    return None if content is None else tuple(json.loads(content))


def store(name: str, ptx: str, lowered: dict[str, str]) -> None:
    """Keep a compilation, if there is room for it."""
    write(name, json.dumps([ptx, lowered]).encode())


def read(name: str) -> bytes | None:
    """Return what a file holds, None where there is none that is whole."""
    try:
        seal, _, content = (folder() / name).read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if seal == _seal(content) else None


def write(name: str, content: bytes) -> None:
    """Keep a file, if there is room for it; the oldest make way where there are too many."""
    path = folder() / name
    unfinished = path.with_name(f"{name}.{uuid.uuid4().hex[:16]}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(_seal(content) + b"\n" + content)
        os.replace(unfinished, path)
        _make_room()
    except OSError:
        with suppress(OSError):
            unfinished.unlink()


def _make_room() -> None:
    """Delete the oldest files where there are too many."""
    files = list(folder().iterdir())
    if len(files) > MOST_FILES:
        for path in sorted(files, key=lambda f: f.stat().st_mtime_ns)[: len(files) - MOST_FILES * 3 // 4]:
            path.unlink(missing_ok=True)


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()

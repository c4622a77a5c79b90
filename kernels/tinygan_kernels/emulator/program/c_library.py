"""The functions of the C library that need the system: output, files, the heap, time, the end of the program.

What needs none of it (strings, rand, qsort) is written in C, in `include/`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from tinygan_kernels.emulator.execute.printing import formatted

from .memory import HOST, NOWHERE
from .process import Ended, HostFault, Process

_STREAMS = {1: "stdin", 2: "stdout", 3: "stderr"}
_NUMBER = re.compile(r"\s*([-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf(?:inity)?|nan))", re.IGNORECASE)
_SCAN = re.compile(r"%(?P<drop>\*?)(?P<width>\d*)(?P<length>hh|h|ll|l|z|L)?(?P<kind>[diuxfgeEGscn%])")
_PIECE = {
    "d": r"[-+]?\d+",
    "i": r"[-+]?(?:0[xX][0-9a-fA-F]+|\d+)",
    "u": r"\d+",
    "x": r"(?:0[xX])?[0-9a-fA-F]+",
    "s": r"\S+",
    "f": r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:inf|nan)",
}


class CLibrary:
    """The functions, over a process. Where the next text goes is set by `output`, which every fprintf and snprintf calls first."""

    def __init__(self, process: Process):
        self.process = process
        self.files: dict[int, BinaryIO] = {}
        self.ends: set[int] = set()  # files at whose end something was read
        self.next_file = 4096
        self.target: tuple[int, int, int] = (0, 0, 0)  # file, or buffer and its size

    def functions(self) -> dict[str, int]:
        """Return {name: address} of them all."""
        table: dict[str, tuple[Callable[..., Any], str, str]] = {
            "vprintf": (self.vprintf, "pp", "i"),
            "__assertfail": (self.assertfail, "ppipl", "v"),
            "malloc": (self.malloc, "p", "p"),
            "calloc": (self.calloc, "pp", "p"),
            "realloc": (self.realloc, "pp", "p"),
            "free": (self.free, "p", "v"),
            "exit": (self.exit, "i", "v"),
            "abort": (self.abort, "", "v"),
            "getenv": (self.getenv, "p", "p"),
            "host_number": (self.number, "pp", "d"),
            "host_output": (self.output, "ppp", "v"),
            "host_scan": (self.scan, "pppp", "i"),
            "host_put": (self.put, "pp", "v"),
            "host_nanoseconds": (self.nanoseconds, "i", "l"),
            "fopen": (self.fopen, "pp", "p"),
            "fclose": (self.fclose, "p", "i"),
            "fflush": (self.fflush, "p", "i"),
            "fread": (self.fread, "pppp", "p"),
            "fwrite": (self.fwrite, "pppp", "p"),
            "fseek": (self.fseek, "pli", "i"),
            "ftell": (self.ftell, "p", "l"),
            "feof": (self.feof, "p", "i"),
            "fgetc": (self.fgetc, "p", "i"),
            "fgets": (self.fgets, "pip", "p"),
            "remove": (self.remove, "p", "i"),
        }
        return {name: self.process.callback(*entry) for name, entry in table.items()}

    # -- output -------------------------------------------------------------------------------------------------------------
    def output(self, file: int, buffer: int, size: int) -> None:
        self.target = file, buffer, size

    def vprintf(self, text: int, values: int) -> int:
        """Format and print; return the number of characters, as the host's printf does."""
        process = self.process
        made, _ = formatted(process.text(text), values, process.bytes, process.text, "the host")
        (file, buffer, size), self.target = self.target, (0, 0, 0)
        if buffer or size:
            return self._into(buffer, size, made)
        self._write(file or 2, made)
        return len(made.encode())

    def _into(self, buffer: int, size: int, text: str) -> int:
        raw = text.encode()
        part = raw[: max(min(size - 1, len(raw)), 0)]
        if size:
            self.process.bytes(buffer, len(part) + 1, writes=True)[...] = np.frombuffer(part + b"\0", np.uint8)
        return len(raw)

    def _write(self, file: int, text: str) -> None:
        if file in (2, 3):
            stream = getattr(sys, _STREAMS[file])
            if file == 3:
                sys.stdout.flush()
            stream.write(text)
        else:
            self._file(file).write(text.encode())

    def put(self, text: int, file: int) -> None:
        self._write(file, self.process.text(text))

    def assertfail(self, message: int, file: int, line: int, function: int, _size: int) -> None:
        text, name, where = (self.process.text(p) for p in (message, file, function))
        self._write(3, f"{name}:{line}: {where}: Assertion `{text}' failed.\n")
        self.abort()

    # -- the heap -----------------------------------------------------------------------------------------------------------
    def malloc(self, size: int) -> int:
        process = self.process
        if size > 1 << 40:
            return 0
        return process.memory.allocate(size, HOST, f"{size} bytes that the host allocated at {process.place()}").base

    def calloc(self, count: int, size: int) -> int:
        base = self.malloc(count * size)
        if base and count * size:
            self.process.bytes(base, count * size, writes=True)[...] = 0
        return base

    def realloc(self, pointer: int, size: int) -> int:
        base = self.malloc(size)
        if pointer:
            before = self.process.memory.at(pointer)
            kept = min(before.size if before else 0, size)
            self.process.bytes(base, kept, writes=True)[...] = self.process.bytes(pointer, kept)
            self.free(pointer)
        return base

    def free(self, pointer: int) -> None:
        if pointer == 0:
            return
        process, region = self.process, self.process.memory.at(pointer) or NOWHERE
        wrong = ""
        if region.base != pointer:
            wrong = "is no address that malloc or new returned"
        elif region.freed:
            wrong = f"was freed before, at {region.freed}: {region.name}"
        elif region.kind != HOST:
            wrong = f"is {region.name}: that is what cudaFree or cudaFreeHost is for"
        elif "allocated at" not in region.name:
            wrong = f"is {region.name}"
        if wrong:
            raise HostFault(f"memcheck: the address that host code frees {wrong}; {process.place()}")
        process.memory.free(region, process.place())
        process.forget_ranges()

    # -- the end ------------------------------------------------------------------------------------------------------------
    def exit(self, code: int) -> None:
        self.process.code = code & 255
        raise Ended

    def abort(self) -> None:
        self._write(3, "Aborted\n")
        self.exit(134)

    # -- time, environment, numbers -------------------------------------------------------------------------------------------
    def nanoseconds(self, clock: int) -> int:
        return {0: time.time_ns, 1: time.perf_counter_ns}.get(clock, time.process_time_ns)()

    def getenv(self, name: int) -> int:
        value = os.environ.get(self.process.text(name))
        return 0 if value is None else self.process.constant_text(value)

    def number(self, text: int, length: int) -> float:
        match = _NUMBER.match(self.process.text(text))
        self.process.store(length, "i4", match.end() if match else 0)
        if not match:
            return 0.0
        return float(int(match[1], 16)) if "x" in match[1].lower() else float(match[1])

    def scan(self, file: int, text: int, form: int, targets: int) -> int:
        """Read numbers and words, as scanf does; return how many, -1 at the end of the text."""
        process = self.process
        given = process.text(text) if text else self._rest(file)
        pattern, done, at = process.text(form), 0, 0
        position = taken = 0
        while at < len(pattern):
            spec = _SCAN.match(pattern, at)
            if spec is None or spec["kind"] == "%":
                if pattern[at].isspace():
                    position = len(given) - len(given[position:].lstrip())
                elif given[position : position + 1] == pattern[at]:
                    position += 1
                else:
                    break
                at += 1 if spec is None else 2
                continue
            at = spec.end()
            found, position = self._piece(spec, given, position)
            if found is None:
                done = done or (-1 if position >= len(given) else 0)
                break
            if not spec["drop"]:
                self._put_piece(spec, found, int(process.load(targets + 8 * taken, "u8")))
                taken, done = taken + 1, done + 1
        if not text:
            self._seek_back(file, len(given) - position)
        return done

    def _piece(self, spec: re.Match, text: str, position: int) -> tuple[str | None, int]:
        kind = spec["kind"]
        if kind != "c":
            position = len(text) - len(text[position:].lstrip())
        most = int(spec["width"]) if spec["width"] else (1 if kind == "c" else len(text))
        part = text[position : position + most]
        found = re.match("." if kind == "c" else _PIECE["f" if kind in "fgeEG" else kind], part, re.IGNORECASE | re.DOTALL)
        return (found[0], position + found.end()) if found else (None, position)

    def _put_piece(self, spec: re.Match, found: str, target: int) -> None:
        kind, length = spec["kind"], spec["length"] or ""
        if kind in "sc":
            raw = found.encode() + (b"\0" if kind == "s" else b"")
            self.process.bytes(target, len(raw), writes=True)[...] = np.frombuffer(raw, np.uint8)
        elif kind in "fgeEG":
            self.process.store(target, "f8" if length == "l" else "f4", float(found))
        else:
            size = {"hh": 1, "h": 2, "l": 8, "ll": 8, "z": 8}.get(length, 4)
            value = int(found, 16 if kind == "x" else 0 if kind == "i" else 10)
            self.process.bytes(target, size, writes=True)[...] = np.frombuffer(
                (value & (1 << 8 * size) - 1).to_bytes(size, "little"), np.uint8
            )

    # -- files ----------------------------------------------------------------------------------------------------------------
    def _file(self, handle: int) -> BinaryIO:
        if handle == 1:
            return sys.stdin.buffer
        if handle not in self.files:
            raise HostFault(f"host code uses a FILE* that is {'null' if handle == 0 else 'no open file'}; {self.process.place()}")
        return self.files[handle]

    def fopen(self, name: int, mode: int) -> int:
        kind = self.process.text(mode).replace("b", "").replace("t", "")
        try:
            file: BinaryIO = open(self.process.text(name), kind + "b")  # type: ignore[assignment]  # noqa: SIM115 - the program closes it
        except (OSError, ValueError):
            return 0
        self.next_file += 16
        self.files[self.next_file] = file
        return self.next_file

    def fclose(self, handle: int) -> int:
        self._file(handle).close()
        self.files.pop(handle, None)
        return 0

    def fflush(self, handle: int) -> int:
        (sys.stdout if handle in (0, 2, 3) else self._file(handle)).flush()
        return 0

    def fread(self, to: int, size: int, count: int, handle: int) -> int:
        raw = self._file(handle).read(size * count)
        self.process.bytes(to, len(raw), writes=True)[...] = np.frombuffer(raw, np.uint8)
        if len(raw) < size * count:
            self.ends.add(handle)
        return len(raw) // size if size else 0

    def fwrite(self, source: int, size: int, count: int, handle: int) -> int:
        raw = self.process.bytes(source, size * count).tobytes()
        if handle in (2, 3):
            self._write(handle, raw.decode("utf-8", "replace"))
        else:
            self._file(handle).write(raw)
        return count

    def fseek(self, handle: int, offset: int, start: int) -> int:
        self._file(handle).seek(offset, start)
        self.ends.discard(handle)
        return 0

    def ftell(self, handle: int) -> int:
        return self._file(handle).tell()

    def feof(self, handle: int) -> int:
        return int(handle in self.ends)

    def fgetc(self, handle: int) -> int:
        raw = self._file(handle).read(1)
        if not raw:
            self.ends.add(handle)
        return raw[0] if raw else -1

    def fgets(self, to: int, size: int, handle: int) -> int:
        raw = self._file(handle).readline(max(size - 1, 0))
        if not raw:
            self.ends.add(handle)
            return 0
        self.process.bytes(to, len(raw) + 1, writes=True)[...] = np.frombuffer(raw + b"\0", np.uint8)
        return to

    def remove(self, name: int) -> int:
        try:
            os.remove(self.process.text(name))
        except OSError:
            return -1
        return 0

    def _rest(self, handle: int) -> str:
        return self._file(handle).readline().decode("utf-8", "replace") if handle == 1 else self._file(handle).read().decode()

    def _seek_back(self, handle: int, unread: int) -> None:
        if handle != 1 and unread:
            self._file(handle).seek(-unread, 1)

    def close(self) -> None:
        """Close the files that the program left open."""
        for file in self.files.values():
            file.close()

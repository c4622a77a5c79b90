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
from .scanf import CONVERSION, ScannedText

LINE = 4096
"""Bytes that scanf reads of a long line at once."""
_MEMORY = 4
"""The number that stands for a text in memory, in the place of a file. (HOST_MEMORY of include/stdio.h)"""
_STREAMS = {1: "stdin", 2: "stdout", 3: "stderr"}
_NUMBER = re.compile(
    r"\s*([-+]?(?:0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[-+]?\d+)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|inf(?:inity)?|nan))",
    re.IGNORECASE,
)


def _or(failed: int, function: Callable[..., int]) -> Callable[..., int]:
    """Return a function that returns `failed` where the system refuses, as to read from a file that is open for writing."""

    def called(*given: int) -> int:
        try:
            return function(*given)
        except OSError:
            return failed

    return called


class _Typed:
    """Standard input, of which scanf can put back what it read and did not use."""

    def __init__(self) -> None:
        self.rest, self.last = b"", b""  # what is to be read, and what was read last

    def read(self, size: int) -> bytes:
        if len(self.rest) < size:
            self.rest += self._source().read(size - len(self.rest))
        return self._taken(size)

    def readline(self, most: int = -1) -> bytes:
        if b"\n" not in self.rest:
            self.rest += self._source().readline()
        end = self.rest.find(b"\n") + 1 or len(self.rest)
        return self._taken(end if most < 0 else min(end, most))

    def seek(self, offset: int, start: int) -> None:
        if start != 1 or not -len(self.last) <= offset <= 0:
            raise OSError("standard input cannot be read again")
        self.rest = self.last[len(self.last) + offset :] + self.rest
        self.last = b""

    def _source(self) -> BinaryIO:
        sys.stdout.flush()  # a question that the program has printed
        return sys.stdin.buffer

    def _taken(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        self.last = taken or self.last
        return taken


class CLibrary:
    """The functions, over a process. Where the next text goes is set by `output`, which every fprintf and snprintf calls first."""

    def __init__(self, process: Process):
        self.process = process
        self.files: dict[int, BinaryIO] = {}
        self.ends: set[int] = set()  # files at whose end something was read
        self.next_file = 4096
        self.target: tuple[int, int, int] | None = None  # file, or buffer and its size
        self.typed = _Typed()

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
            "strerror": (lambda number: self.process.constant_text(os.strerror(number)), "i", "p"),
            "host_number": (self.number, "pp", "d"),
            "host_output": (self.output, "ppp", "v"),
            "host_scan": (_or(-1, self.scan), "pppp", "i"),
            "host_put": (self.put, "pp", "v"),
            "host_nanoseconds": (self.nanoseconds, "i", "l"),
            "fopen": (self.fopen, "pp", "p"),
            "fclose": (_or(-1, self.fclose), "p", "i"),
            "fflush": (_or(-1, self.fflush), "p", "i"),
            "fread": (_or(0, self.fread), "pppp", "p"),
            "fwrite": (_or(0, self.fwrite), "pppp", "p"),
            "fseek": (_or(-1, self.fseek), "pli", "i"),
            "ftell": (_or(-1, self.ftell), "p", "l"),
            "feof": (self.feof, "p", "i"),
            "fgetc": (_or(-1, self.fgetc), "p", "i"),
            "fgets": (_or(0, self.fgets), "pip", "p"),
            "remove": (self.remove, "p", "i"),
        }
        return {name: self.process.callback(*entry) for name, entry in table.items()}

    # -- output -------------------------------------------------------------------------------------------------------------
    def output(self, file: int, buffer: int, size: int) -> None:
        self.target = file, buffer, size

    def vprintf(self, text: int, values: int) -> int:
        """Format and print; return the number of characters, as the host's printf does."""
        made, _ = formatted(self._letters(text), values, self.process.bytes, self._letters, "the host")
        raw = made.encode("latin-1")
        (file, buffer, size), self.target = self.target or (2, 0, 0), None
        if file == _MEMORY:
            return self._into(buffer, size, raw)
        return len(raw) if self._write(file, raw) else -1

    def _letters(self, address: int) -> str:
        """Return a text with one character for each byte, as C counts them."""
        return self.process.raw_text(address).decode("latin-1")

    def _into(self, buffer: int, size: int, raw: bytes) -> int:
        part = raw[: max(min(size - 1, len(raw)), 0)]
        if size:
            self.process.bytes(buffer, len(part) + 1, writes=True)[...] = np.frombuffer(part + b"\0", np.uint8)
        return len(raw)

    def _write(self, file: int, raw: bytes) -> bool:
        """Write to a file; return whether that could be done."""
        if file not in (2, 3):
            return _or(-1, lambda: self._file(file).write(raw))() >= 0
        stream = getattr(sys, _STREAMS[file])
        if file == 3:
            sys.stdout.flush()
        binary = None if raw.isascii() else getattr(stream, "buffer", None)
        if binary is None:
            stream.write(raw.decode("utf-8", "replace"))
        else:  # bytes that need not be a text, or a part of one
            stream.flush()
            binary.write(raw)
        return True

    def put(self, text: int, file: int) -> None:
        self._write(file, self.process.raw_text(text))

    def assertfail(self, message: int, file: int, line: int, function: int, _size: int) -> None:
        text, name, where = (self.process.text(p) for p in (message, file, function))
        self._write(3, f"{name}:{line}: {where}: Assertion `{text}' failed.\n".encode())
        self.abort()

    # -- the heap -----------------------------------------------------------------------------------------------------------
    def malloc(self, size: int) -> int:
        process = self.process
        if size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            return 0
        try:
            return process.memory.allocate(size, HOST, f"{size} bytes that the host allocated at {process.place()}").base
        except MemoryError:
            return 0

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
        self._write(3, b"Aborted\n")
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
        return float.fromhex(match[1]) if "x" in match[1].lower() else float(match[1])

    def scan(self, file: int, text: int, form: int, targets: int) -> int:
        """Read numbers and words, as scanf does; return how many, -1 at the end of the text."""
        process = self.process
        given = ScannedText(lambda: b"" if text else self._line(file), process.text(text).encode() if text else b"")
        pattern, done, at, taken = process.text(form), 0, 0, 0
        while at < len(pattern):
            spec = CONVERSION.match(pattern, at)
            if spec is None or spec["kind"] == "%":
                if pattern[at].isspace():
                    given.skip_space()
                elif not given.skip(pattern[at]):
                    break
                at += 1 if spec is None else 2
                continue
            at = spec.end()
            found = given.piece(spec)
            if found is None:
                done = done or (-1 if given.ended() else 0)
                break
            if not spec["drop"]:
                self._put_piece(spec, found, int(process.load(targets + 8 * taken, "u8")))
                taken, done = taken + 1, done + (spec["kind"] != "n")
        if not text and given.rest():
            self._file(file).seek(-len(given.rest()), 1)
        return done

    def _put_piece(self, spec: re.Match, found: str, target: int) -> None:
        kind, length = spec["kind"][0], spec["length"] or ""
        if kind in "sc[":
            raw = found.encode("latin-1") + (b"" if kind == "c" else b"\0")
            self.process.bytes(target, len(raw), writes=True)[...] = np.frombuffer(raw, np.uint8)
        elif kind in "fgeEG":
            self.process.store(target, "f8" if length in ("l", "L") else "f4", float(found))
        else:
            size = {"hh": 1, "h": 2, "l": 8, "ll": 8, "z": 8, "j": 8, "t": 8}.get(length, 4)
            digits = found.lstrip("+-").lower()
            base = 16 if kind in "xX" or digits.startswith("0x") else 8 if kind == "i" and digits.startswith("0") else 10
            raw = (int(found, base) & (1 << 8 * size) - 1).to_bytes(size, "little")
            self.process.bytes(target, size, writes=True)[...] = np.frombuffer(raw, np.uint8)

    def _line(self, handle: int) -> bytes:
        """Return the next line of a file that scanf reads, or a piece of it; b"" at its end, which feof then tells."""
        raw = self._file(handle).readline(LINE)
        if not raw:
            self.ends.add(handle)
        return bytes(raw)

    # -- files ----------------------------------------------------------------------------------------------------------------
    def _file(self, handle: int) -> Any:
        if handle == 1:
            return self.typed
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
        return count if self._write(handle, raw) and size else 0

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
        if len(raw) < size - 1 and not raw.endswith(b"\n"):
            self.ends.add(handle)
        if not raw:
            return 0
        self.process.bytes(to, len(raw) + 1, writes=True)[...] = np.frombuffer(raw + b"\0", np.uint8)
        return to

    def remove(self, name: int) -> int:
        try:
            os.remove(self.process.text(name))
        except OSError:
            return -1
        return 0

    def close(self) -> None:
        """Close the files that the program left open."""
        for file in self.files.values():
            file.close()

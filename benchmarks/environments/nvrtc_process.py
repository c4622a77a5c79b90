"""One NVRTC in a process of its own: it reads a job as JSON from stdin and prints a line of JSON for each compilation.

The library is loaded by its path through ctypes, and this file imports the standard library alone: two versions of NVRTC in one
process would mix. The job is

    {"library": path, "sources": {name: text}, "forms": {"ptx": [options], "cubin": [options]}, "oldest": 70}

where "{arch}" in an option stands for the number of each architecture that this NVRTC offers from `oldest` on; "archs", if it is
there, names some of them. The first line printed is {"version": "12.0", "archs": [70, ...]}; every other is of one compilation.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any


class Nvrtc:
    """The functions of one libnvrtc that are needed here (NVRTC documentation, "User Interface")."""

    def __init__(self, path: Path) -> None:
        for builtins in sorted(path.parent.glob("libnvrtc-builtins.so*")):  # else another toolkit's could be found
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self.nvrtc = ctypes.CDLL(str(path))
        self.nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function. Raises RuntimeError with NVRTC's name of the error."""
        code = getattr(self.nvrtc, function)(*arguments)
        if code:
            raise RuntimeError(f"{function}: {self.nvrtc.nvrtcGetErrorString(code).decode()}")

    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def architectures(self) -> list[int]:
        """Return the numbers of the architectures for which this NVRTC compiles."""
        count = ctypes.c_int()
        self.call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self.call("nvrtcGetSupportedArchs", numbers)
        return list(numbers)

    def compiled(self, source: str, options: list[str], form: str) -> tuple[bool, str, str]:
        """Compile a source to a form, "ptx" or "cubin". Returns whether that went well, the log, and the PTX."""
        program = ctypes.c_void_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        try:
            given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            code = self.nvrtc.nvrtcCompileProgram(program, len(options), given)
            log = self.text(program, "ProgramLog")
            if code:
                return False, log or self.nvrtc.nvrtcGetErrorString(code).decode(), ""
            if form == "cubin":
                size = ctypes.c_size_t()
                self.call("nvrtcGetCUBINSize", program, ctypes.byref(size))
                return size.value > 0, log if size.value else "the cubin is empty", ""
            return True, log, self.text(program, "PTX")
        finally:
            self.nvrtc.nvrtcDestroyProgram(ctypes.byref(program))

    def text(self, program: ctypes.c_void_p, what: str) -> str:
        """Return a program's "ProgramLog" or "PTX"."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()


def main() -> None:
    job = json.load(sys.stdin)
    nvrtc = Nvrtc(Path(job["library"]))
    archs = [number for number in nvrtc.architectures() if number >= job["oldest"]]
    print(json.dumps({"version": nvrtc.version(), "archs": archs}), flush=True)
    for name, text in job["sources"].items():
        for arch in archs:
            for form, options in job["forms"].items() if arch in job.get("archs", archs) else ():
                ok, log, ptx = nvrtc.compiled(text, [option.replace("{arch}", str(arch)) for option in options], form)
                print(json.dumps({"source": name, "arch": arch, "form": form, "ok": ok, "log": log, "ptx": ptx}), flush=True)


if __name__ == "__main__":
    main()

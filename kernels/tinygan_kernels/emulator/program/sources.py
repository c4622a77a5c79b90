"""The source of a program before NVRTC compiles it: the headers that it includes, and what NVRTC has to see in another form."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from tinygan_kernels.emulator.host.headers import HEADERS

_ALSO_CALLED = {
    "iomanip": "iostream",
    "bits/stdc++.h": "host_everything.h",
    "ostream": "iostream",
    "exception": "stdexcept",
    "sys/time.h": "time.h",
    "strings.h": "string.h",
    "unistd.h": "getopt.h",
    "ios": "iostream",
    "memory.h": "string.h",
}
_OF_THE_CPU = ("xmmintrin.h", "emmintrin.h", "pmmintrin.h", "smmintrin.h", "nmmintrin.h", "immintrin.h", "x86intrin.h")
"""Headers of instructions of x86: there, and empty, as programs include them for an allocation or for nothing."""
_OF_LIBRARIES = ("cublas.h", "cublas_v2.h", "cublasLt.h", "cudnn.h", "cufft.h", "cusparse.h", "cusolverDn.h", "nccl.h")
"""Headers of libraries that run on GPUs alone: empty too, so that a program may include them beside kernels of its own."""
_IN_STD = {
    "cstdio": "printf fprintf snprintf sprintf sscanf puts putchar fopen fclose fflush fread fwrite fgets fputs remove FILE",
    "cstdlib": "malloc calloc realloc free exit abort getenv rand srand atoi atol atof strtol strtod strtof qsort abs labs size_t",
    "cstring": "memcpy memset memmove memcmp strlen strcmp strncmp strcpy strncpy strcat strchr strrchr strstr "
    "strtok strerror strncat memchr strspn strcspn strpbrk size_t",
    "ctime": "time clock difftime time_t clock_t",
    "cctype": "isdigit isalpha isalnum isspace isupper islower tolower toupper",
}
"""Headers <c...> of C++, and what they declare in `std` of the C header's names."""
_CUB_DEVICE = {
    "cub_elementwise.h": "adjacent_difference copy for memcpy transform",
    "cub_find.h": "find topk",
    "cub_histogram.h": "histogram",
    "cub_reduce.h": "reduce segmented_reduce",
    "cub_scan.h": "scan",
    "cub_select.h": "partition run_length_encode select",
    "cub_sort.h": "merge merge_sort radix_sort segmented_radix_sort segmented_sort",
}
"""Headers of cub's device-wide algorithms, whose launches NVRTC cannot compile, by the header of `include/` that has them."""
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


@cache
def program_headers() -> dict[str, str]:
    """Return the headers of the host, {name that #include says: text}."""
    folder = files(__package__).joinpath("include")
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    texts |= {name: f"#pragma once\n#include <{real}>\n" for name, real in _ALSO_CALLED.items()}
    for name, members in _IN_STD.items():
        using = " ".join(f"using ::{member};" for member in members.split())
        texts[name] = f"#pragma once\n#include <{name[1:]}.h>\nnamespace std {{ {using} }}\n"
    texts |= dict.fromkeys((*_OF_THE_CPU, *_OF_LIBRARIES), "#pragma once\n")
    texts["cub/util_allocator.cuh"] = "#pragma once\n#include <cub_elementwise.h>\n"
    for header, names in _CUB_DEVICE.items():
        texts |= {f"cub/device/device_{name}.cuh": f"#pragma once\n#include <{header}>\n" for name in names.split()}
    return texts | {"cub/cub.cuh": HEADERS["cub/cub.cuh"] + "#include <cub_device.h>\n"}


_WITH_CUDA_RUNTIME = {
    "stdlib.h": f"{_IN_STD['cstdlib']} drand48 srand48 lrand48 mrand48 random srandom atoll strtoll strtoull "
    "EXIT_SUCCESS EXIT_FAILURE RAND_MAX",
    "string.h": _IN_STD["cstring"],
    "time.h": _IN_STD["ctime"],
}
"""The headers of C that nvcc's cuda_runtime.h includes, with the names that make a program need one. (<math.h> is there always.)"""
_OF_NVRTC = {"malloc", "free", "abs", "labs", "memcpy", "memset", "size_t"}


def headers_of_the_runtime(*texts: str) -> list[str]:
    """Return the headers of C that a program need not include itself, as far as it uses names of theirs."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return [name for name, members in _WITH_CUDA_RUNTIME.items() if words & (set(members.split()) - _OF_NVRTC)]


def headers_beside(path: Path, source: str) -> dict[str, str] | None:
    """Return the files that a source includes as "name", {name: text}, with those that they include.

    None where one name means two files, or one is not there: then the compiler has to look.
    """
    found: dict[str, Path] = {}
    work = [(path, source)]
    while work:
        origin, text = work.pop()
        for name in re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', text, re.MULTILINE):
            file = (origin.parent / name).resolve()
            if name in found and found[name] != file:
                return None
            if name not in found and file.is_file():
                found[name] = file
                work.append((file, file.read_text(encoding="utf-8", errors="replace")))
            elif name not in found and name not in HEADERS and name not in program_headers():
                return None
    return {name: file.read_text(encoding="utf-8", errors="replace") for name, file in found.items()}


def of_no_architecture(source: str) -> str:
    """Return a source as the compiler of the host sees it, for which __CUDA_ARCH__ is not defined. NVRTC always defines it."""
    return re.sub(r"\b__CUDA_ARCH__\b", "HOST_HAS_NO_CUDA_ARCH", source)


def plain_lambdas(source: str) -> str:
    """Return a source without `__device__` behind a lambda's [...], as in nvcc's extended lambdas: here every one is a device's."""
    return re.sub(r"(\[[^\[\]]*\])(?:\s*\b__(?:host|device)__\b)+(?=\s*[({])", r"\1", source)


def blanked(source: str) -> str:
    """Return a source with spaces in the place of its comments and texts."""
    return _COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source)


def statement_with(source: str, name: str) -> str:
    """Return the part of a source around the first declaration of a name, from the end of what stands before it."""
    for match in re.finditer(rf"(?<!\w){re.escape(name)}\s*(\[|=|;|,|{{)", source):
        start = max(source.rfind(c, 0, match.start()) for c in ";{}")
        head = re.sub(r"^\s*#[^\n]*", "", source[start + 1 : match.start()], flags=re.MULTILINE)
        first = re.search(r"\w\s*[\s*&]\s*$", head) and not re.search(r"\breturn\s*$", head)
        if first or re.search(r"\b__(device|constant|managed)__\b.*,[\s*]*$", head, re.DOTALL):
            return head + source[match.start() : match.end()]
    return ""

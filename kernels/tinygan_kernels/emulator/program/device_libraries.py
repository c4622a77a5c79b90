"""Thrust in host code: NVIDIA's own headers, whose algorithms run there as one thread over the device's memory.

They are those of its system "cpp", a few of them changed where NVRTC cannot compile them.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tinygan_kernels.emulator.host import nvrtc, toolkit
from tinygan_kernels.emulator.host.thrust import POLICIES

from .exceptions import without_clauses

THRUST = ("-DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP", "-DCCCL_DISABLE_NVRTC_COMPATIBILITY_CHECK",
          "--pre-include=thrust_program.h")  # fmt: skip
"""Options with which NVRTC compiles a program that includes Thrust."""
_MEMORY = """#include <thrust/mr/memory_resource.h>
struct host_device_memory : thrust::mr::memory_resource<> {
    void* do_allocate(size_t bytes, size_t) override {
        void* pointer = nullptr;
        host_cudaMalloc(&pointer, bytes);
        return pointer;
    }
    void do_deallocate(void* pointer, size_t, size_t) override { host_cudaFree(pointer); }
};
struct host_managed_memory : thrust::mr::memory_resource<> {
    void* do_allocate(size_t bytes, size_t) override {
        void* pointer = nullptr;
        host_cudaMallocManaged(&pointer, bytes);
        return pointer;
    }
    void do_deallocate(void* pointer, size_t, size_t) override { host_cudaFree(pointer); }
};
THRUST_NAMESPACE_BEGIN
"""


def uses_thrust(*sources: str) -> bool:
    """Return whether a source includes a header of Thrust."""
    return any(re.search(r'^[ \t]*#[ \t]*include[ \t]*[<"]thrust/', text, re.MULTILINE) for text in sources)


def of_thrust(file: str) -> bool:
    """Return whether a file, as the PTX names it, is a header of Thrust's."""
    return "/thrust/" in file or file.startswith("thrust/")


@cache
def thrust_headers() -> dict[str, str]:
    """Return the headers of Thrust that have to be changed, {name that #include says: text}; none where Thrust is not installed."""
    folders = map(Path, toolkit.header_folders(nvrtc.version()))
    root = next((folder for folder in folders if (folder / "thrust").is_dir()), None)
    if root is None:
        return {}
    changed = {}
    for path in (root / "thrust").rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith("thrust/system/cuda"):
            text = path.read_text(errors="replace")
            fresh = _changed(name, text)
            if fresh != text:
                changed[name] = fresh
    return changed | {"thrust/system/cuda/execution_policy.h": POLICIES}


def _changed(name: str, text: str) -> str:
    """Return a header of Thrust's as NVRTC can compile it for the host."""
    text = without_clauses(text)
    if name == "thrust/system/cpp/memory_resource.h":
        text = text.replace("THRUST_NAMESPACE_BEGIN\n", _MEMORY, 1)
        text = text.replace("::mr::new_delete_resource", "::host_memory_of_device", 1)
        text = text.replace("::mr::new_delete_resource", "::host_memory_of_both", 1)
        text = re.sub(r"(\w+::)+host_memory_of_device", "::host_device_memory", text)
        text = re.sub(r"(\w+::)+host_memory_of_both", "::host_managed_memory", text)
    if name == "thrust/system/detail/error_category.inl":  # NVRTC makes no object when a function is first called
        text = text.replace("static const std::string", "const std::string")
        text = re.sub(
            r"static const (detail::\w+) result;(\s*)return result;",
            r"alignas(\1) static char room[sizeof(\1)]; static bool made; if (!made) new (room) \1(); "
            r"made = true;\2return *(\1*)room;",
            text,
        )
    if name == "thrust/execution_policy.h":
        text += "#include <thrust/system/cuda/execution_policy.h>\n"
    return re.sub(
        r"static MR resource;\s*return &resource;",
        "alignas(MR) static char room[sizeof(MR)]; static bool made; if (!made) new (room) MR(); made = true; return (MR*)room;",
        text,
    )

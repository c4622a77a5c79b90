"""Which CUDA toolkit the compiler is of: its headers, and what to install where it is too old for something.

NVRTC, the headers that kernels include and Numba CUDA come in packages of their own, and other packages choose their versions too
(PyTorch pins one), so what is installed need not fit together.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

# The first CUDA version whose NVRTC compiles for an architecture, where that is not the oldest supported one, and the last.
FIRST_WITH = {
    100: (12, 8), 101: (12, 8), 120: (12, 8), 103: (12, 9), 121: (12, 9), 88: (13, 0), 110: (13, 0), 107: (13, 4),
}  # fmt: skip
LAST_WITH = {**dict.fromkeys((50, 52, 53, 60, 61, 62, 70, 72), (12, 9)), 101: (12, 9)}
# CUDA versions from which on there are headers, under this name or, as the algorithms, under another one (headers.py)
HEADER_SINCE = {"cuda_fp4.h": (12, 8), "cuda_fp6.h": (12, 8), "cuda/std/algorithm": (12, 6), "cuda/std/numeric": (12, 6)}
CCCL_SINCE = (12, 4)  # NVIDIA's packages of 12.0 and 12.1 have an empty one in its place
CCCL_ADVISED = (12, 6)  # the first tried that has the algorithms, of which <algorithm> and <vector> of host code are made
REMOVED_WITH_13 = {
    "cub": {
        "TransformInputIterator": "thrust::transform_iterator", "CountingInputIterator": "thrust::counting_iterator",
        "ConstantInputIterator": "thrust::constant_iterator", "DiscardOutputIterator": "thrust::discard_iterator",
        "Sum": "cuda::std::plus<>", "Min": "cuda::minimum<>", "Max": "cuda::maximum<>", "Difference": "cuda::std::minus<>",
        "Equality": "cuda::std::equal_to<>", "Inequality": "cuda::std::not_equal_to<>",
    },
    "thrust": {
        "unary_function": "nothing (functors need no base class)", "binary_function": "nothing (functors need no base class)",
        "identity": "cuda::std::identity",
        "optional": "cuda::std::optional", "void_t": "cuda::std::void_t",
    },
}  # fmt: skip
"""Names of CUDA 12's cub and Thrust that CUDA 13 lacks, and what takes their places."""
PROPERTIES_UNTIL_13 = {
    "clockRate": "ClockRate", "memoryClockRate": "MemoryClockRate", "computeMode": "ComputeMode", "deviceOverlap": "GpuOverlap",
    "kernelExecTimeoutEnabled": "KernelExecTimeout", "singleToDoublePrecisionPerfRatio": "SingleToDoublePrecisionPerfRatio",
    "maxTexture1DLinear": "MaxTexture1DLinearWidth",
}  # fmt: skip
"""Members of cudaDeviceProp that CUDA 13 has not, and the attributes (cudaDevAttr...) that tell the same."""
_DRIVER = r"CU[a-z]\w+|cu(?:Init|Device|Ctx|Module|Mem|Launch|Func|Stream|Event|Link|Get|Driver|Graph|Array|Pointer|Library)\w*"
ABSENT = {
    "regex": "search texts by std::string's find and substr, or by sscanf",
    "filesystem": "open files by fopen or std::fstream; whether there is one is what fopen says",
}
"""Parts of the C++ library that host code does not have, and what takes their places."""
_CCCL = ("cuda/", "cub/", "thrust/", "nv/")
_IN_OTHER_FOLDERS = ("crt/mma.h", "curand_kernel.h")  # headers that kernels include, from packages which may have their own folder

Version = tuple[int, int]


def dotted(version: Version) -> str:
    """Return a version as NVIDIA writes it: 12.0."""
    return f"{version[0]}.{version[1]}"


def header_folders(version: Version, roots: list[Path] | None = None) -> list[str]:
    """Return the folders of headers for this compiler: cuda_fp16.h and the like, libcu++ and cub beside it, crt/mma.h, cuRAND.

    roots: where packages have their `nvidia` folders, by default those of this Python. Headers of the compiler's own major
    version come first: where both CUDA 12's and 13's are installed, the others may not even compile.
    """
    if roots is None:
        spec = find_spec("nvidia")
        roots = [Path(p) for p in spec.submodule_search_locations] if spec and spec.submodule_search_locations else []
    found = [header.parent for root in roots for header in sorted(root.glob("*/include/cuda_fp16.h"))]
    found.sort(key=lambda folder: (headers_version(folder) or (0, 0))[0] != version[0])
    folders = [each for folder in found for each in (folder, folder / "cccl", folder.parents[1] / "cuda_cccl" / "include")]
    more = [folder for header in _IN_OTHER_FOLDERS for folder in _folders_with(header, roots, found)]
    return [str(folder) for folder in dict.fromkeys([*folders, *more]) if folder.is_dir()]


def _folders_with(header: str, roots: list[Path], found: list[Path]) -> list[Path]:
    """Return the folders of packages that have a header beside no cuda_fp16.h; none where one of `found` has it already.

    CUDA 12 has such headers in folders of their own (cuda_nvcc, curand), CUDA 13 in packages that share a folder with the others.
    """
    if any((folder / header).is_file() for folder in found):
        return []
    depth = header.count("/")
    return [path.parents[depth] for root in roots for path in sorted(root.glob(f"*/include/{header}"))]


def headers_version(folder: Path) -> Version | None:
    """Return the CUDA version of a folder of headers, as its cuda_runtime_api.h states it; None if there is none."""
    header = folder / "cuda_runtime_api.h"
    stated = re.search(r"#define\s+CUDART_VERSION\s+(\d+)", header.read_text(errors="replace")) if header.exists() else None
    return (int(stated[1]) // 1000, int(stated[1]) % 1000 // 10) if stated else None


def advice(version: Version, offered: list[int], options: list[str], log: str) -> str:
    """Return a sentence on why NVRTC of this version refuses code, if the toolkit is the reason; "" otherwise.

    offered: the architectures that it compiles for; options: those that it was given; log: what it said.
    """
    for option in options:
        architecture = re.fullmatch(r"(?:--gpu-architecture|-arch)=(?:compute|sm|lto)_(\d+)([af]?)", option)
        if architecture and "gpu-architecture" in log:
            return on_architecture(version, offered, int(architecture[1]), architecture[2])
    if "nvrtc: error:" in log:
        return f"NVRTC {dotted(version)} does not take one of the options {' '.join(_plain(options))}; a newer one may"
    for name, instead in ABSENT.items():
        if re.search(rf'namespace "std" has no (?:actual )?member "{name}', log) or f'cannot open source file "{name}"' in log:
            return f"std::{name} is not there: {instead}"
    missing = re.search(r'cannot open source file "([^"]+)"', log)
    if missing:
        return _on_header(version, missing[1])
    if "__cluster_dims__ is not supported" in log or re.search(r'has no member "(cluster_group|this_cluster)"', log):
        return "clusters need architecture 90: -arch=sm_90 for a program, --gpu-architecture=compute_90 in the options of a kernel"
    for space, name in re.findall(r'namespace "(cub|thrust)" has no (?:actual )?member(?: class)? "(\w+)"', log):
        if version >= (13, 0) and name in REMOVED_WITH_13[space]:
            instead = REMOVED_WITH_13[space][name]
            return f"{space}::{name} was in CUDA 12; CUDA 13 has {instead} in its place (the extra emulator-cuda12 brings CUDA 12)"
    for name in re.findall(r'class "cudaDeviceProp" has no member "(\w+)"', log):
        if name in PROPERTIES_UNTIL_13:
            instead = f"cudaDeviceGetAttribute(&value, cudaDevAttr{PROPERTIES_UNTIL_13[name]}, device)"
            return f"cudaDeviceProp::{name} was in CUDA 12; CUDA 13 has {instead} (the extra emulator-cuda12 brings CUDA 12)"
    if re.search(r"error: (texture|surface) is not a template", log):
        return (
            "references of textures and surfaces (texture<float, 2> t;) ended with CUDA 11; texture objects took their place: "
            "cudaCreateTextureObject, and a cudaTextureObject_t as an argument of the kernel"
        )
    if re.search(r'namespace "cub" has no member "Device\w+"|Including <cub/device/', log):
        return "cub's algorithms of a whole device are for programs (.cu files with a main); docs/emulator.md lists them"
    if re.search(r'identifier "curand(Create|Set|Generate|Destroy)\w+" is undefined', log):
        return "cuRAND's functions of the host are for programs (.cu files with a main) that include curand.h"
    library = r"cublas|CUBLAS_|cudnn|CUDNN_|cufft|CUFFT_|cusparse|CUSPARSE_|cusolver|CUSOLVER_|nccl|NCCL_"
    if called := re.search(rf'identifier "((?:{library})\w+)" is undefined', log):
        return f"{called[1]} is of a library of NVIDIA's that runs on GPUs alone: the emulator has no place for it"
    if driver := re.search(rf'identifier "({_DRIVER})" is undefined', log):
        return (
            f"{driver[1]} is of CUDA's driver API, of which programs have cuTensorMapEncode alone here: use the runtime's "
            "functions (cudaMalloc, cudaLaunchKernel); emulator.RawModule(path=...) in Python launches kernels of a file of PTX"
        )
    if "<typeinfo> must be included" in log or '"type_info" is not allowed' in log:
        return "typeid is not there: give classes a virtual function that returns a name, and compare types by std::is_same"
    foreign = sorted({headers for path in re.findall(r"^(\S+)\(\d+\): (?:catastrophic )?error", log, re.MULTILINE)
                      if (headers := headers_version(Path(path).parent)) and headers != version})  # fmt: skip
    if not foreign and version < (13, 0) and re.search(r"^\S*\bthrust/\S+\(\d+\): error", log, re.MULTILINE):
        return "Thrust's algorithms compile with CUDA 13 here; of CUDA 12's, tuples, complex numbers and random engines do"
    if foreign:
        return (
            f"the errors are in headers of CUDA {dotted(foreign[0])}, while the compiler is NVRTC {dotted(version)}; "
            f"headers that fit it: {install('cudart', version)}"
        )
    return ""


def on_architecture(version: Version, offered: list[int], number: int, suffix: str = "") -> str:
    """Return a sentence on why NVRTC of this version, which offers these architectures, does not compile for another."""
    name, here = f"{number}{suffix}", f"the one that is installed is {dotted(version)}"
    if number in LAST_WITH and version > LAST_WITH[number]:
        return f"architecture {name} needs NVRTC {dotted(LAST_WITH[number])} or older, {here}"
    since = max(FIRST_WITH.get(number, (0, 0)), (12, 9) if suffix == "f" else (0, 0))
    if version < since:
        return f"architecture {name} needs NVRTC {dotted(since)} or newer, {here}: {install('nvrtc', since)}"
    return f"NVRTC {dotted(version)} does not know architecture {name}; it offers {', '.join(map(str, offered))}"


def _on_header(version: Version, header: str) -> str:
    since = HEADER_SINCE.get(header)
    if since and version < since:
        parts = "nvrtc,cudart,cccl" if header.startswith(_CCCL) else "nvrtc,cudart"
        return f"{header} needs CUDA {dotted(since)} or newer, this is {dotted(version)}: {install(parts, since)}"
    if header.startswith("crt/"):
        return f"{header} is in another package: {install('crt' if version[0] > 12 else 'nvcc', version)}"
    if header.startswith(_CCCL) and version < CCCL_SINCE:
        later = install("nvrtc,cccl", CCCL_ADVISED)
        return f"{header} is not in the packages of CUDA {dotted(version)}, but in later ones: {later}"
    if header.startswith(_CCCL):
        return f"{header} is of the CUDA Core Compute Libraries: {install('cccl', version)}"
    if re.match(r"(\./)?curand\w*\.h$", header):
        return f"{header} is of cuRAND: {install('curand', version)}"
    if re.match(r"(cublas|cudnn|cufft|cusparse|cusolver|nccl)\w*\.h$", header):
        return f"{header} is of a library of NVIDIA's that runs on GPUs alone: the emulator has no place for it"
    if re.match(r"(helper|exception|nvrtc_helper)\w*\.h$", header):
        return f"{header} is of NVIDIA's cuda-samples: give the folder that has it (Common) with -I"
    if re.match(r"(mpi|nvml|GL/\w+|GLFW/\w+)\.h$", header):
        return f"{header} is of a library that is not there: host code here has the C and C++ library and CUDA's runtime"
    if re.match(r"(cuda|cooperative_groups|mma|math_constants|vector_types)\w*\.h$", header):
        return f"{header} is in a package of headers: {install('cudart', version)}"
    return ""


def library_file(name: str, version: Version) -> Path | None:
    """Return a library of NVIDIA's (`curand`) beside the headers for this compiler; None where it is not installed."""
    for folder in map(Path, header_folders(version)):
        for pattern in (f"lib/lib{name}.so.*", f"bin/{name}64_*.dll", f"bin/x86_64/{name}64_*.dll"):
            if found := sorted(folder.parent.glob(pattern)):
                return found[-1]
    return None


def install(parts: str, version: Version) -> str:
    """Return the command that installs parts of the toolkit of a version."""
    return f"pip install 'cuda-toolkit[{parts}]=={dotted(version)}.*'"


def _plain(options: list[str]) -> list[str]:
    return [option for option in options if not option.startswith("--include-path")]

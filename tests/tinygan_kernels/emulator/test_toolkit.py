"""The CUDA toolkit that the emulator finds: which headers it takes, and what it says where the toolkit is too old, or too new."""

import json
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.emulator import EmulatorError, RawModule
from tinygan_kernels.emulator.host import nvrtc, toolkit

RECORD = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "toolkits.json"
KERNEL = 'extern "C" __global__ void k(float* x) { x[0] = 1; }'
OFFERED = {
    **{version: [70, 72, 75, 80, 86, 87, 89, 90] for version in ((12, 0), (12, 4))},
    (13, 5): [75, 80, 86, 87, 88, 89, 90, 100, 103, 107, 110, 120, 121],
}


def headers(root: Path, package: str, version: int) -> Path:
    folder = root / package / "include"
    folder.mkdir(parents=True)
    (folder / "cuda_fp16.h").touch()
    (folder / "cuda_runtime_api.h").write_text(f"/* ... */\n#define CUDART_VERSION  {version}\n")
    return folder


def test_headers_of_the_compilers_own_major_version_come_first(tmp_path):
    """As beside PyTorch: two toolkits in one environment, in NVIDIA's two ways to name folders."""
    newer, older = headers(tmp_path, "cu13", 13050), headers(tmp_path, "cuda_runtime", 12080)
    (newer / "cccl").mkdir()
    (tmp_path / "cuda_cccl" / "include").mkdir(parents=True)
    cccl = str(tmp_path / "cuda_cccl" / "include")
    assert toolkit.headers_version(newer) == (13, 5) and toolkit.headers_version(older) == (12, 8)
    assert toolkit.headers_version(tmp_path) is None
    assert toolkit.header_folders((13, 0), [tmp_path]) == [str(newer), str(newer / "cccl"), cccl, str(older)]
    assert toolkit.header_folders((12, 0), [tmp_path]) == [str(older), cccl, str(newer), str(newer / "cccl")]


def test_the_headers_behind_mma_h_and_those_of_curand_are_found_in_packages_of_their_own(tmp_path):
    """CUDA 12 has crt/mma.h in nvidia/cuda_nvcc/include, CUDA 13 beside the other headers."""
    runtime, compiler = headers(tmp_path, "cuda_runtime", 12090), tmp_path / "cuda_nvcc" / "include"
    (compiler / "crt").mkdir(parents=True)
    (compiler / "crt" / "mma.h").touch()
    assert toolkit.header_folders((12, 9), [tmp_path]) == [str(runtime), str(compiler)]
    (runtime / "crt").mkdir()
    (runtime / "crt" / "mma.h").touch()
    assert toolkit.header_folders((12, 9), [tmp_path]) == [str(runtime)]
    (tmp_path / "curand" / "include").mkdir(parents=True)
    (tmp_path / "curand" / "include" / "curand_kernel.h").touch()
    assert toolkit.header_folders((12, 9), [tmp_path]) == [str(runtime), str(tmp_path / "curand" / "include")], "cuRAND's too"


def advice(version, option, log):
    return toolkit.advice(version, OFFERED[version], [option, "--include-path=/a"], log)


@pytest.mark.parametrize("version, option, log, sentence", [
    ((12, 0), "-arch=compute_120", "nvrtc: error: invalid value for --gpu-architecture (-arch)",
     "architecture 120 needs NVRTC 12.8 or newer, the one that is installed is 12.0: pip install 'cuda-toolkit[nvrtc]==12.8.*'"),
    ((12, 0), "--gpu-architecture=compute_90f", "nvrtc: error: invalid value for --gpu-architecture (-arch)",
     "architecture 90f needs NVRTC 12.9 or newer, the one that is installed is 12.0: pip install 'cuda-toolkit[nvrtc]==12.9.*'"),
    ((13, 5), "--gpu-architecture=sm_70", "nvrtc: error: invalid value for --gpu-architecture (-arch)",
     "architecture 70 needs NVRTC 12.9 or older, the one that is installed is 13.5"),
    ((12, 0), "--gpu-architecture=compute_140", "nvrtc: error: invalid value for --gpu-architecture (-arch)",
     "NVRTC 12.0 does not know architecture 140; it offers 70, 72, 75, 80, 86, 87, 89, 90"),
    ((12, 0), "--std=c++23", "nvrtc: error: invalid value for --std (-std)",
     "NVRTC 12.0 does not take one of the options --std=c++23; a newer one may"),
    ((12, 0), "-dw", 'k.cu(1): catastrophic error: cannot open source file "cuda_fp4.h"',
     "cuda_fp4.h needs CUDA 12.8 or newer, this is 12.0: pip install 'cuda-toolkit[nvrtc,cudart]==12.8.*'"),
    ((12, 0), "-dw", 'k.cu(1): catastrophic error: cannot open source file "cuda_fp16.h"',
     "cuda_fp16.h is in a package of headers: pip install 'cuda-toolkit[cudart]==12.0.*'"),
    ((13, 5), "-dw", 'mma.h(55): catastrophic error: cannot open source file "crt/mma.h"',
     "crt/mma.h is in another package: pip install 'cuda-toolkit[crt]==13.5.*'"),
    ((12, 0), "-dw", 'mma.h(55): catastrophic error: cannot open source file "crt/mma.h"',
     "crt/mma.h is in another package: pip install 'cuda-toolkit[nvcc]==12.0.*'"),
    ((12, 0), "-dw", 'k.cu(1): catastrophic error: cannot open source file "cuda/std/complex"',
     "cuda/std/complex is not in the packages of CUDA 12.0, but in later ones: pip install 'cuda-toolkit[nvrtc,cccl]==12.6.*'"),
    ((12, 4), "-dw", 'libcuxx_algorithm.h(6): catastrophic error: cannot open source file "cuda/std/algorithm"',
     "cuda/std/algorithm needs CUDA 12.6 or newer, this is 12.4: pip install 'cuda-toolkit[nvrtc,cudart,cccl]==12.6.*'"),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "cub/cub.cuh"',
     "cub/cub.cuh is of the CUDA Core Compute Libraries: pip install 'cuda-toolkit[cccl]==13.5.*'"),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "curand_kernel.h"',
     "curand_kernel.h is of cuRAND: pip install 'cuda-toolkit[curand]==13.5.*'"),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "cublas_v2.h"',
     "cublas_v2.h is of a library of NVIDIA's that runs on GPUs alone: the emulator has no place for it"),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "mine.h"', ""),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "helper_cuda.h"',
     "helper_cuda.h is of NVIDIA's cuda-samples: give the folder that has it (Common) with -I"),
    ((13, 5), "-dw", 'k.cu(1): catastrophic error: cannot open source file "mpi.h"',
     "mpi.h is of a library that is not there: host code here has the C and C++ library and CUDA's runtime"),
    ((13, 5), "-dw", 'k.cu(4): error: class "cudaDeviceProp" has no member "deviceOverlap"',
     "cudaDeviceProp::deviceOverlap was in CUDA 12; CUDA 13 has cudaDeviceGetAttribute(&value, cudaDevAttrGpuOverlap, device) "
     "(the extra emulator-cuda12 brings CUDA 12)"),
    ((13, 5), "-dw", 'k.cu(4): error: class "cudaDeviceProp" has no member "clockrate"', ""),
    ((13, 5), "-dw", "k.cu(2): error: texture is not a template",
     "references of textures and surfaces (texture<float, 2> t;) ended with CUDA 11; texture objects took their place: "
     "cudaCreateTextureObject, and a cudaTextureObject_t as an argument of the kernel"),
    ((13, 5), "-dw", 'k.cu(4): error: identifier "cuInit" is undefined',
     "cuInit is of CUDA's driver API, of which programs have cuTensorMapEncode alone here: use the runtime's functions "
     "(cudaMalloc, cudaLaunchKernel); emulator.RawModule(path=...) in Python launches kernels of a file of PTX"),
    ((13, 5), "-dw", 'k.cu(4): error: identifier "cublasHandle_t" is undefined',
     "cublasHandle_t is of a library of NVIDIA's that runs on GPUs alone: the emulator has no place for it"),
    ((13, 5), "-dw", 'k.cu(4): error: identifier "cudaMaloc" is undefined', ""),
    ((13, 5), "-dw", 'k.cu(4): error: identifier "curandCreateGenerator" is undefined',
     "cuRAND's functions of the host are for programs (.cu files with a main) that include curand.h"),
    ((13, 5), "-dw", "k.cu(4): error: __cluster_dims__ is not supported for this GPU architecture",
     "clusters need architecture 90: -arch=sm_90 for a program, --gpu-architecture=compute_90 in the options of a kernel"),
    ((13, 5), "-dw", 'k.cu(4): error: namespace "cub" has no member "DeviceTopK"',
     "cub's algorithms of a whole device are for programs (.cu files with a main); docs/emulator.md lists them"),
    ((13, 5), "-dw", 'k.cu(4): error: namespace "cub" has no member "CountingInputIterator"',
     "cub::CountingInputIterator was in CUDA 12; CUDA 13 has thrust::counting_iterator in its place "
     "(the extra emulator-cuda12 brings CUDA 12)"),
    ((13, 5), "-dw", 'k.cu(4): error: namespace "cub" has no member "Summ"', ""),
    ((12, 4), "-dw", "thrust/detail/allocator/temporary_allocator.inl(66): error: device code does not support exception handling",
     "Thrust's algorithms compile with CUDA 13 here; of CUDA 12's, tuples, complex numbers and random engines do"),
    ((13, 5), "-dw", "thrust/zip_function.h(148): error: no instance of overloaded function", ""),
    ((12, 4), "-dw", 'k.cu(4): error: namespace "thrust" has no member "identity"', ""),
    ((13, 5), "-dw", 'kernel.cu(1): error: identifier "y" is undefined', ""),
])  # fmt: skip
def test_one_sentence_says_what_the_toolkit_lacks(version, option, log, sentence):
    assert advice(version, option, log) == sentence


def test_errors_in_headers_of_another_toolkit_are_recognised(tmp_path):
    newer = headers(tmp_path, "cu13", 13050)
    log = f"{newer}/cuda_fp8.hpp(2430): error: this declaration has no storage class or type specifier\n"
    assert advice((12, 0), "-dw", log) == (
        "the errors are in headers of CUDA 13.5, while the compiler is NVRTC 12.0; "
        "headers that fit it: pip install 'cuda-toolkit[cudart]==12.0.*'"
    )
    assert not advice((13, 5), "-dw", log), "its own headers"


@pytest.mark.parametrize("code, options, message", [
    (KERNEL, ("--gpu-architecture=compute_999",), r"does not compile: NVRTC [\d.]+ does not know architecture 999; it offers .*90"),
    (KERNEL, ("--nonsense",), r"does not compile: NVRTC [\d.]+ does not take one of the options --nonsense"),
    (f"#include <cuda_fpx.h>\n{KERNEL}", (), r"does not compile: cuda_fpx.h is in a package of headers: pip install"),
    ("__global__ void k(float* x) { x[0] = y; }", (), r"does not compile:\nkernel.cu\(1\): error: identifier \"y\""),
])  # fmt: skip
def test_the_emulator_passes_the_sentence_on(code, options, message):
    with pytest.raises(EmulatorError, match=message):
        RawModule(code=code, options=options)


def test_which_toolkit_brought_and_dropped_which_architecture_is_as_it_was_tried():
    rows = list(json.loads(RECORD.read_text())["toolkits"].values())
    here = {"version": toolkit.dotted(nvrtc.version()), "archs": [number for number in nvrtc.architectures() if number >= 70]}
    every = {number for row in rows for number in row["archs"]}
    assert {70, 90, 120} <= every
    for row in (*rows, here):
        version = tuple(map(int, row["version"].split(".")))
        for number in every:
            expected = toolkit.FIRST_WITH.get(number, (0, 0)) <= version <= toolkit.LAST_WITH.get(number, (99, 0))
            assert (number in row["archs"]) is expected, (row["version"], number)

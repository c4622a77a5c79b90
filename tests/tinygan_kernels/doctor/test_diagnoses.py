"""The doctor's rules: each fault planted, alone, in what fits together otherwise."""

from dataclasses import replace

import pytest
from tinygan_kernels.doctor.diagnoses import NOTE, OK, PROBLEM, diagnose, summary
from tinygan_kernels.doctor.driver import Driver, Gpu
from tinygan_kernels.doctor.installed import Compiler, Cupy, Installed, NumbaCuda, Package

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
NVRTC = Compiler((13, 0), ARCHITECTURES, "ENVIRONMENT/nvidia/cu13/lib/libnvrtc.so.13")
NVRTC_12 = Compiler((12, 9), (50, 60, 70, *ARCHITECTURES))
DRIVER = Driver("580.65.06", (13, 0), (Gpu("NVIDIA H100", 90),))
DRIVER_12 = Driver("550.54.14", (12, 4), (Gpu("NVIDIA A100", 80),))
CUPY = Cupy(Package("cupy-cuda13x", "14.2.0", 13), (), (13, 0), NVRTC, devices=1)
CUPY_12 = Cupy(Package("cupy-cuda12x", "14.2.0", 12), (), (12, 9), NVRTC_12, devices=1)
NUMBA = NumbaCuda(Package("numba-cuda", "0.30.4"), Package("cuda-bindings", "13.0.1", 13), NVRTC, "", (13, 0))
NUMBA_12 = NumbaCuda(Package("numba-cuda", "0.30.4"), Package("cuda-bindings", "12.9.4", 12), NVRTC_12, "", (12, 9))
WHOLE = Installed(DRIVER, CUPY, NUMBA)
WHOLE_12 = Installed(DRIVER_12, CUPY_12, NUMBA_12)
NO_GPU = Installed(Driver(problem="nvidia-smi is not on the PATH, so there is no NVIDIA driver"), Cupy(), NUMBA)


def problems(found):
    return [f"{finding.topic}: {finding.line}" for finding in diagnose(found) if finding.state == PROBLEM]


FITTING = {"13": WHOLE, "12": WHOLE_12, "no GPU": NO_GPU, "12 on 13": Installed(DRIVER, CUPY_12, NUMBA_12)}


@pytest.mark.parametrize("found", FITTING.values(), ids=FITTING)
def test_what_fits_together_has_no_problem(found):
    findings = diagnose(found)
    assert problems(found) == [] and summary(findings) == "no problem found"
    assert {finding.topic for finding in findings} >= {"driver", "CuPy", "Numba CUDA", "NVRTC of Numba CUDA and the emulator"}


def with_gpu(capability, found=WHOLE):
    return replace(found, driver=replace(found.driver, gpus=(Gpu("a GPU", capability),)))


PLANTED = {
    "driver older than every toolkit": (
        replace(WHOLE_12, driver=Driver("470.82.01", (11, 4), (Gpu("Tesla T4", 75),))), ["driver", "CuPy", "Numba CUDA"],
        ["driver: driver 470.82.01 runs CUDA 11.4 at most; install driver 525 or newer"]),
    "driver older than CuPy's toolkit": (
        replace(WHOLE_12, cupy=replace(CUPY, devices=0)), ["CuPy", "CuPy", "CuPy and Numba CUDA"],
        ["cupy-cuda13x 14.2.0 is made for CUDA 13, the driver 550.54.14 runs CUDA 12.4 at most",
         "pip uninstall -y cupy-cuda13x, then pip install -e '.[gpu-cuda12]'; or update the driver to 580 or newer"]),
    "driver older than Numba's toolkit": (
        replace(WHOLE_12, numba_cuda=NUMBA), ["Numba CUDA", "CuPy and Numba CUDA"],
        ["cuda-bindings 13.0.1 is for CUDA 13, the driver 550.54.14 runs CUDA 12.4 at most; run: pip install -e '.[gpu-cuda12]'"]),
    "CuPy of another CUDA version than Numba CUDA": (
        replace(WHOLE, cupy=CUPY_12), ["CuPy and Numba CUDA"],
        ["cupy-cuda12x 14.2.0 is made for CUDA 12, cuda-bindings 13.0.1 for CUDA 13",
         "pip uninstall -y cupy-cuda12x, then pip install -e '.[gpu-cuda13]'"]),
    "the same without a GPU": (
        replace(NO_GPU, cupy=replace(CUPY_12, devices=0)), ["CuPy and Numba CUDA"], ["pip uninstall -y cupy-cuda12x"]),
    "two CuPys": (
        replace(WHOLE, cupy=replace(CUPY_12, others=(CUPY.package,))), ["CuPy"],
        ["cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0 are installed over each other",
         "pip uninstall -y cupy-cuda12x cupy-cuda13x, then pip install -e '.[gpu-cuda13]'"]),
    "CuPy that cannot be imported": (
        replace(WHOLE, cupy=Cupy(CUPY.package, problem="ImportError: libfoo.so")), ["CuPy"],
        ["cupy-cuda13x 14.2.0 cannot be imported (ImportError: libfoo.so); run: pip uninstall -y cupy-cuda13x"]),
    "no CuPy beside a GPU": (
        replace(WHOLE, cupy=Cupy()), ["CuPy"], ["not installed", "pip install -e '.[gpu-cuda13]'"]),
    "no CuPy beside an older driver": (
        replace(WHOLE_12, cupy=Cupy()), ["CuPy"], ["pip install -e '.[gpu-cuda12]'"]),
    "CuPy without NVRTC": (
        replace(WHOLE, cupy=replace(CUPY, nvrtc=Compiler(problem="libnvrtc.so.13: cannot open"))), ["NVRTC of CuPy"],
        ["not found (libnvrtc.so.13: cannot open); run: pip install -e '.[gpu-cuda13]'"]),
    "CuPy 13, which does not look into wheels": (
        replace(NO_GPU, cupy=replace(CUPY, package=Package("cupy-cuda13x", "13.6.0", 13), nvrtc=Compiler(problem="none"))),
        ["NVRTC of CuPy"],
        ["CuPy 14 or newer finds the one that NVIDIA's wheels bring: pip install -e '.[gpu-cuda13]'"]),
    "CuPy that sees no GPU": (
        replace(WHOLE, cupy=replace(CUPY, devices=0, no_devices="CUDARuntimeError: cudaErrorNoDevice")), ["CuPy"],
        ["sees no GPU (CUDARuntimeError: cudaErrorNoDevice)"]),
    "no Numba CUDA": (
        replace(WHOLE, numba_cuda=NumbaCuda()), ["Numba CUDA"], ["not installed", "pip install -e '.[gpu-cuda13]'"]),
    "Numba CUDA without bindings": (
        replace(NO_GPU, numba_cuda=NumbaCuda(NUMBA.package, problem="cuda-bindings are not installed")), ["Numba CUDA"],
        ["cuda-bindings are not installed; run: pip install -e '.[emulator]'"]),
    "the emulator without NVRTC": (
        replace(NO_GPU, numba_cuda=replace(NUMBA, nvrtc=Compiler(problem="DynamicLibNotFoundError"))),
        ["NVRTC of Numba CUDA and the emulator"], ["not found (DynamicLibNotFoundError); run: pip install -e '.[emulator]'"]),
    "the emulator of CUDA 12 without NVRTC": (
        replace(NO_GPU, numba_cuda=replace(NUMBA_12, nvrtc=Compiler(problem="none"))),
        ["NVRTC of Numba CUDA and the emulator"], ["pip install -e '.[emulator-cuda12]'"]),
    "no NVVM": (
        replace(WHOLE, numba_cuda=replace(NUMBA, nvvm_problem="libnvvm.so.4")), ["NVVM"], ["cannot compile (libnvvm.so.4)"]),
    "no linker": (
        replace(WHOLE, numba_cuda=replace(NUMBA, linker_problem="libnvJitLink")), ["nvJitLink"], ["not found (libnvJitLink)"]),
    "a linker older than the compiler": (
        replace(WHOLE, numba_cuda=replace(NUMBA, nvrtc=replace(NVRTC, version=(13, 2)))), ["nvJitLink"],
        ["version 13.0 cannot link the PTX of NVRTC 13.2; run: pip install --upgrade nvidia-nvjitlink"]),
    "a GPU newer than the toolkit": (
        with_gpu(130), ["NVRTC of CuPy", "NVRTC of Numba CUDA and the emulator"],
        ["compiles for sm_75 to sm_120, a GPU is sm_130; a newer toolkit does; run: pip install --upgrade nvidia-cuda-nvrtc"]),
    "a GPU newer than CUDA 12 of a new driver": (
        with_gpu(110, Installed(DRIVER, CUPY_12, NUMBA_12)), ["NVRTC of CuPy", "NVRTC of Numba CUDA and the emulator"],
        ["a newer toolkit does; run: pip install -e '.[gpu-cuda13]'"]),
    "a GPU older than the toolkit": (
        with_gpu(70), ["NVRTC of CuPy", "NVRTC of Numba CUDA and the emulator"],
        ["a GPU is sm_70; an older toolkit does; run: pip install -e '.[gpu-cuda12]'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_no_other(name):
    found, topics, words = PLANTED[name]
    lines = problems(found)
    assert [line.split(":")[0] for line in lines] == topics
    for word in words:
        assert any(word in line for line in lines), (word, lines)
    count = summary(diagnose(found))
    assert count == f"{len(topics)} problem{'s' if len(topics) > 1 else ''} found"


def test_a_gpu_of_a_generation_runs_code_for_an_older_one_of_it():
    """sm_87 is not in the list, and runs what was compiled for sm_86."""
    assert problems(with_gpu(87)) == []


def test_what_is_no_problem_is_a_note():
    newer = replace(WHOLE_12, torch=Package("torch", "2.14.1", 13), toolkit="12.6")
    states = {(finding.topic, finding.state) for finding in diagnose(newer)}
    assert {("PyTorch", NOTE), ("CUDA toolkit", OK), ("NVRTC of CuPy", NOTE)} <= states
    assert not any(state == PROBLEM for _, state in states)


def test_without_anything_the_doctor_only_notes():
    nothing = Installed(NO_GPU.driver)
    assert [finding.state for finding in diagnose(nothing)] == [NOTE, NOTE, NOTE]
    assert "pip install -e '.[emulator]'" in str(diagnose(nothing)[2])


BESIDE = [(12, 12, "-cuda12"), (13, 0, ""), (12, 0, "-cuda12"), (12, 13, ""), (0, 0, "")]


@pytest.mark.parametrize(("torch", "cupy", "extra"), BESIDE)
def test_the_emulator_is_to_be_of_one_cuda_version_with_what_is_there(torch, cupy, extra):
    made = Cupy(Package("cupy", "14.2.0", cupy), nvrtc=NVRTC) if cupy else Cupy()
    found = replace(NO_GPU, numba_cuda=NumbaCuda(), cupy=made, torch=Package("torch", "2.9.0", torch))
    (line,) = [str(finding) for finding in diagnose(found) if finding.topic == "Numba CUDA"]
    assert line.startswith(NOTE) and line.endswith(f"pip install -e '.[emulator{extra}]'")


@pytest.mark.parametrize("name", PLANTED)
def test_every_finding_is_one_line(name):
    for finding in diagnose(PLANTED[name][0]):
        assert "\n" not in str(finding) and len(str(finding)) > 15

"""The rules: what of the installed packages does not fit together, or not to the driver, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tinygan_kernels.extras import CUDA_MAJORS, install, install_gpu

from .driver import FIRST_BRANCH, Driver, Version
from .installed import Compiler, Cupy, Installed, NumbaCuda

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(NamedTuple):
    """One line of the doctor's. state: ok; note, if something is missing that one may do without; problem, with what to do."""

    topic: str
    state: str
    line: str

    def __str__(self) -> str:
        return f"{self.state:8s} {self.topic}: {self.line}"


def diagnose(found: Installed) -> list[Finding]:
    """Return a finding for each thing that was looked at, in the order in which one would mend them."""
    return [*_driver(found.driver), *_cupy(found), *_numba_cuda(found), *_together(found), *_others(found)]


def summary(findings: list[Finding]) -> str:
    """Return how many problems there are, in one sentence."""
    count = sum(finding.state == PROBLEM for finding in findings)
    return "no problem found" if not count else f"{count} problem{'s' if count > 1 else ''} found"


def dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _driver(driver: Driver) -> Iterator[Finding]:
    if not driver.version:
        yield Finding("driver", NOTE, f"{driver.problem}; without a GPU the CUDA kernels run in the emulator (--emulate)")
        return
    if not driver.fitting_cuda():
        yield Finding("driver", PROBLEM, f"driver {driver.version} runs CUDA {dotted(driver.cuda)} at most; install driver "
                                         f"{FIRST_BRANCH[12]} or newer")  # fmt: skip
    else:
        yield Finding("driver", OK, f"{driver.version}, runs CUDA up to {dotted(driver.cuda)}")
    for gpu in driver.gpus:
        capability = f"compute capability {gpu.capability // 10}.{gpu.capability % 10}" if gpu.capability else "not said"
        yield Finding("GPU", OK, f"{gpu.name}, {capability}")


# ---- CuPy -----------------------------------------------------------------------------------------------------------------------


def _cupy(found: Installed) -> Iterator[Finding]:
    cupy, driver = found.cupy, found.driver
    if cupy.package is None:
        state, wanted = (PROBLEM, install_gpu(driver.fitting_cuda())) if driver.version else (NOTE, install_gpu())
        yield Finding("CuPy", state, f"not installed; a GPU is used through it: {wanted}")
        return
    yield from _cupy_package(cupy, driver)
    if not cupy.problem:
        yield from _compiler("CuPy", cupy.nvrtc, driver, _how_to_get_nvrtc(cupy))
        if driver.version and not cupy.devices:
            yield Finding("CuPy", PROBLEM, f"sees no GPU ({cupy.no_devices or 'CUDA_VISIBLE_DEVICES hides it'}); "
                                           f"update the driver, or unset CUDA_VISIBLE_DEVICES")  # fmt: skip


def _cupy_package(cupy: Cupy, driver: Driver) -> Iterator[Finding]:
    """Judge the package: one alone, of the driver's CUDA version, which can be imported."""
    package, everything = cupy.package, (cupy.package, *cupy.others)
    names, fitting = " ".join(each.name for each in everything), driver.fitting_cuda()
    if cupy.others:
        listed = " and ".join(map(str, everything))
        yield Finding("CuPy", PROBLEM, f"{listed} are installed over each other; run: pip uninstall -y {names}, "
                                       f"then {install_gpu(fitting)}")  # fmt: skip
    elif driver.version and package.cuda > driver.cuda[0] and package.cuda in CUDA_MAJORS:
        newer = FIRST_BRANCH[package.cuda]
        instead = f"run: pip uninstall -y {names}, then {install_gpu(fitting)}; or update" if fitting else "update"
        yield Finding("CuPy", PROBLEM, f"{package} is made for CUDA {package.cuda}, the driver {driver.version} runs CUDA "
                                       f"{dotted(driver.cuda)} at most; {instead} the driver to {newer} or newer")  # fmt: skip
    elif cupy.problem:
        again = install_gpu(fitting or package.cuda)
        yield Finding("CuPy", PROBLEM, f"{package} cannot be imported ({cupy.problem}); run: pip uninstall -y {names}, "
                                       f"then {again}")  # fmt: skip
    else:
        yield Finding("CuPy", OK, f"{package}, made with CUDA {dotted(cupy.runtime)}")


def _how_to_get_nvrtc(cupy: Cupy) -> str:
    """Return what makes CuPy find NVRTC. Up to version 13 it does not look into NVIDIA's wheels, where the extras put it."""
    cuda = cupy.package.cuda or max(CUDA_MAJORS)
    if int(cupy.package.version.split(".")[0]) < 14:
        return f"CuPy 14 or newer finds the one that NVIDIA's wheels bring: {install_gpu(cuda)}"
    return f"run: {install_gpu(cuda)}"


# ---- compilers ------------------------------------------------------------------------------------------------------------------


def _compiler(who: str, nvrtc: Compiler, driver: Driver, how: str) -> Iterator[Finding]:
    """Judge the NVRTC that a package loads: whether it is there, and compiles for the GPUs."""
    topic = f"NVRTC of {who}"
    if nvrtc.problem:
        yield Finding(topic, PROBLEM, f"not found ({nvrtc.problem}); {how}")
        return
    unable = [gpu for gpu in driver.gpus if gpu.capability and nvrtc.architectures and not _compiles(nvrtc, gpu.capability)]
    for gpu in unable:
        yield Finding(topic, PROBLEM, f"version {dotted(nvrtc.version)} compiles for sm_{min(nvrtc.architectures)} to "
                                      f"sm_{max(nvrtc.architectures)}, {gpu.name} is sm_{gpu.capability}; "
                                      f"{_for_architecture(nvrtc, gpu.capability, driver)}")  # fmt: skip
    if not unable:
        place = f", {nvrtc.path}" if nvrtc.path else ""
        yield Finding(topic, OK, f"version {dotted(nvrtc.version)}{place}")
    major = driver.cuda[0]
    if driver.version and nvrtc.version[0] == major and nvrtc.version > driver.cuda:
        yield Finding(topic, NOTE, f"is newer than the driver's CUDA {dotted(driver.cuda)}, which works within a major version")


def _compiles(nvrtc: Compiler, capability: int) -> bool:
    """Whether code for a GPU can be compiled: machine code runs on newer GPUs of its generation (same major number)."""
    return any(arch <= capability and arch // 10 == capability // 10 for arch in nvrtc.architectures)


def _for_architecture(nvrtc: Compiler, capability: int, driver: Driver) -> str:
    """Return what to do where NVRTC does not compile for a GPU, which is older or newer than it knows."""
    if capability < min(nvrtc.architectures):
        return f"an older toolkit does; run: {install_gpu(12)}"
    fitting = driver.fitting_cuda() or nvrtc.version[0]
    if fitting > nvrtc.version[0]:
        return f"a newer toolkit does; run: {install_gpu(fitting)}"
    wheel = "nvidia-cuda-nvrtc-cu12" if nvrtc.version[0] == 12 else "nvidia-cuda-nvrtc"
    return f"a newer toolkit does; run: pip install --upgrade {wheel}, or update the driver"


def _numba_cuda(found: Installed) -> Iterator[Finding]:
    numba, driver = found.numba_cuda, found.driver
    wanted = install_gpu(driver.fitting_cuda()) if driver.version else install(_emulator_beside(found))
    if numba.package is None:
        state = PROBLEM if driver.version else NOTE
        yield Finding("Numba CUDA", state, f"not installed; the emulator and the backend numba-cuda need it: {wanted}")
        return
    if numba.problem or numba.bindings is None:
        yield Finding("Numba CUDA", PROBLEM, f"{numba.package}: {numba.problem}; run: {wanted}")
        return
    cuda = numba.bindings.cuda
    if driver.version and cuda > driver.cuda[0]:
        yield Finding("Numba CUDA", PROBLEM, f"{numba.bindings} is for CUDA {cuda}, the driver {driver.version} runs CUDA "
                                             f"{dotted(driver.cuda)} at most; run: {wanted}")  # fmt: skip
    else:
        yield Finding("Numba CUDA", OK, f"{numba.package} with {numba.bindings}")
    brings = install("emulator" if cuda == 13 else "emulator-cuda12")
    yield from _compiler("Numba CUDA and the emulator", numba.nvrtc, driver, f"run: {brings}")
    yield from _numba_libraries(numba, brings)


def _emulator_beside(found: Installed) -> str:
    """Return the extra of the emulator that is of one CUDA version with what else is installed."""
    others = [package.cuda for package in (found.cupy.package, found.torch) if package is not None]
    return "emulator-cuda12" if 12 in others and 13 not in others else "emulator"


def _numba_libraries(numba: NumbaCuda, brings: str) -> Iterator[Finding]:
    """Judge what turns Numba's and NVRTC's code into machine code: NVVM and the linker."""
    if numba.nvvm_problem:
        yield Finding("NVVM", PROBLEM, f"not found, so Numba CUDA cannot compile ({numba.nvvm_problem}); run: {brings}")
    if numba.linker_problem:
        yield Finding("nvJitLink", PROBLEM, f"not found ({numba.linker_problem}); run: {brings}")
    elif numba.linker < numba.nvrtc.version:
        wheel = "nvidia-nvjitlink-cu12" if numba.linker[0] == 12 else "nvidia-nvjitlink"
        yield Finding("nvJitLink", PROBLEM, f"version {dotted(numba.linker)} cannot link the PTX of NVRTC "
                                            f"{dotted(numba.nvrtc.version)}; run: pip install --upgrade {wheel}")  # fmt: skip
    else:
        yield Finding("nvJitLink", OK, f"version {dotted(numba.linker)}")


# ---- what is beside each other --------------------------------------------------------------------------------------------------


def _together(found: Installed) -> Iterator[Finding]:
    """Judge whether CuPy and Numba CUDA are of one CUDA major version, and so use one toolkit."""
    cupy, bindings = found.cupy.package, found.numba_cuda.bindings
    if cupy is None or bindings is None or not cupy.cuda or cupy.cuda == bindings.cuda or found.cupy.others:
        return
    cuda = found.driver.fitting_cuda() or max(CUDA_MAJORS)
    yield Finding("CuPy and Numba CUDA", PROBLEM, f"{cupy} is made for CUDA {cupy.cuda}, {bindings} for CUDA {bindings.cuda}; "
                                                  f"run: pip uninstall -y {cupy.name}, then {install_gpu(cuda)}")  # fmt: skip


def _others(found: Installed) -> Iterator[Finding]:
    """Tell what else brings CUDA."""
    torch, bindings = found.torch, found.numba_cuda.bindings
    if torch is not None and torch.cuda:
        same = bindings is None or bindings.cuda == torch.cuda
        yield Finding("PyTorch", OK if same else NOTE, f"{torch}, CUDA {torch.cuda}" + ("" if same else ", beside another toolkit"))
    if found.toolkit:
        yield Finding("CUDA toolkit", OK, f"nvcc {found.toolkit}")

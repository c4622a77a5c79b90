"""What a CUDA backend says it lacks: one line that says what to do, whatever is wrong with what is installed."""

import importlib.util
import sys
import types

import pytest
from tinygan_kernels.cuda import device
from tinygan_kernels.cuda.device import NO_GPU, missing_requirement
from tinygan_kernels.doctor.driver import Driver, Gpu


class CUDARuntimeError(RuntimeError):
    """The name of CuPy's error."""


def cupy(devices=1, nvrtc=(13, 0)):
    """A module as CuPy is one, as far as a backend asks before it is used; an exception is raised in place of an answer."""

    def answer(value):
        if isinstance(value, Exception):
            raise value
        return value

    runtime = types.SimpleNamespace(getDeviceCount=lambda: answer(devices), CUDARuntimeError=CUDARuntimeError)
    made = types.ModuleType("cupy")
    made.cuda = types.SimpleNamespace(runtime=runtime, nvrtc=types.SimpleNamespace(getVersion=lambda: answer(nvrtc)))
    return made


@pytest.fixture
def install(monkeypatch):
    """Return a function that installs, or takes away, the packages that are asked for, and a driver."""

    def packages(cupy=None, numba=True, driver=None):
        have = {"cupy": cupy, "numba_cuda": numba or None}
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: have[name] if name in have else find(name))
        monkeypatch.setattr(device, "find_driver", lambda: driver or Driver(problem="no nvidia-smi"))
        if cupy is not None:
            monkeypatch.setitem(sys.modules, "cupy", cupy)

    return packages


def test_nothing_is_missing(install):
    install(cupy())
    assert missing_requirement(emulate=False, numba=True) is None
    install(None)
    assert missing_requirement(emulate=True, numba=False) is None


@pytest.mark.parametrize(("cuda", "extra"), [((12, 4), "gpu-cuda12"), ((13, 0), "gpu-cuda13")])
def test_the_extra_that_fits_the_driver_is_named(install, cuda, extra):
    driver = Driver("1.0", cuda, (Gpu("a GPU", 80),))
    install(None, driver=driver)
    assert f"CuPy is not installed; run: pip install -e '.[{extra}]', or" in missing_requirement(emulate=False, numba=False)
    install(None, numba=False, driver=driver)
    assert missing_requirement(emulate=False, numba=True).endswith(f"run: pip install -e '.[{extra}]'")
    assert missing_requirement(emulate=True, numba=True).endswith("run: pip install -e '.[emulator]'")


def test_without_a_driver_both_extras_are_named(install):
    install(None)
    said = missing_requirement(emulate=False, numba=False)
    assert "gpu-cuda13" in said and "gpu-cuda12" in said and "\n" not in said


@pytest.mark.parametrize("found", [cupy(devices=0), cupy(devices=CUDARuntimeError("cudaErrorInsufficientDriver"))])
def test_no_gpu(install, found):
    install(found)
    assert missing_requirement(emulate=False, numba=False) == NO_GPU


@pytest.mark.parametrize("broken", [types.ModuleType("cupy"), cupy(nvrtc=RuntimeError("CuPy failed to load libnvrtc.so.13"))])
def test_a_cupy_that_does_not_work_is_a_sentence_and_no_traceback(install, broken):
    """A folder that an old version left behind has no `cuda`; NVRTC is found only when it is asked for."""
    install(broken)
    said = missing_requirement(emulate=False, numba=False)
    assert said.startswith("CuPy ") and "tinygan kernels doctor" in said and "\n" not in said


def test_a_cupy_that_cannot_be_imported_is_a_sentence(install, monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcublas.so.13')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    install(None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert "cannot be imported (ImportError)" in missing_requirement(emulate=False, numba=False)

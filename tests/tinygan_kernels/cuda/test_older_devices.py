"""Devices that are too old for some versions: a sentence refuses these, and the ladder falls back to the best that runs."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import KERNELS, ContractError
from tinygan_kernels.cuda import cpp_backend, numba_backend
from tinygan_kernels.cuda.ladder import Ladders, dotted
from tinygan_kernels.verification import bounds, verify
from tinygan_kernels.verification.cases import cases

BOTH = pytest.mark.parametrize("module, name", [(cpp_backend, "cupy"), (numba_backend, "numba-cuda")])


def device_of(module, capability):
    return module.emulated(capability) if module is cpp_backend else module.Emulated(capability)


def ladders(module, name, needing=()):
    """The backend's ladders, in which the matmul versions with these numbers need compute capability 8.0."""
    rows = [dataclasses.replace(r, capability=80) if r.kernel == "matmul" and r.number in needing else r for r in module.LADDERS]
    return Ladders(name, "a language", tuple(rows))


def best(made, capability, kernel="matmul"):
    return {dtype: choice.rung.number for dtype, choice in made.choose(capability=capability)[kernel].items()}


def test_the_tensor_cores_of_version_6_are_refused_in_a_sentence_and_version_5_runs():
    made = ladders(cpp_backend, "cupy")
    device = device_of(cpp_backend, 75)
    with pytest.raises(ContractError) as error:
        made.on(device, {"matmul": 6}, emulated=True)
    assert str(error.value) == (
        "cupy: matmul version 6 (tensor cores: operands rounded to TF32) needs compute capability 8.0, this GPU has 7.5; "
        "ask for no version of matmul, and version 5 runs"
    )
    assert made.on(device_of(cpp_backend, 80), {"matmul": 6}, emulated=True)
    backend = made.on(device, None, emulated=True)
    assert [v.number for v in backend.versions if v.kernel == "matmul"] == [1, 2, 3, 4, 5]
    assert {v.kernel for v in backend.versions} == set(KERNELS)


@BOTH
def test_the_best_version_that_the_device_can_run_is_chosen_for_each_dtype(module, name):
    top = max(row.number for row in module.LADDERS if row.kernel == "matmul" and not row.rule)
    newer = ladders(module, name, needing=(top,))
    assert best(newer, 80)["float32"] == top
    older = best(newer, 75)
    assert older["float32"] == top - 1 and set(older) == {"float32", "float64"}
    assert best(ladders(module, name, needing=(top, top - 1)), 79)["float32"] == top - 2


@BOTH
def test_what_falls_back_computes_the_product_and_launches_the_older_version(module, name):
    """On an emulated device of compute capability 7.5, whose code is compiled for that."""
    top = max(row.number for row in module.LADDERS if row.kernel == "matmul" and not row.rule)
    device = device_of(module, 75)
    started = []
    start = device.start
    device.start = lambda launch: (started.append(launch.kernel), start(launch))
    backend = ladders(module, name, needing=(top,)).on(device, None, emulated=True)
    case = next(c for c in cases("matmul", "float32") if min(a.size for a in c.inputs) > 100)
    assert bounds.verify(backend.implementations["matmul"], "matmul", case.inputs, case.states, **case.params) <= 1
    expected = module.find("matmul", top - 1).entries[0]
    (kernel,) = set(started)
    if module is cpp_backend:
        assert kernel.name.startswith(expected.split("_{")[0])
    else:
        assert kernel.py_func.__name__ == expected


def test_code_for_an_older_device_is_compiled_for_it():
    """Version 5 copies by cp.async from sm_80 on, and by plain loads before."""
    for capability, asynchronous in ((75, False), (80, True)):
        device = device_of(cpp_backend, capability)
        backend = cpp_backend._LADDERS.on(device, {"matmul": 5}, emulated=True)
        a, b = np.ones((130, 20), "f4"), np.ones((20, 7), "f4")
        assert np.array_equal(backend.launch("matmul", (a, b)), np.full((130, 7), 20, "f4"))
        ptx = device._modules["matmul"].ptx
        assert f".target sm_{capability}" in ptx and ("cp.async" in ptx) is asynchronous


def test_the_first_version_of_a_ladder_has_to_run_everywhere():
    """So there always is a version to fall back to."""
    rows = tuple(dataclasses.replace(row, capability=80) for row in numba_backend.LADDERS if row.kernel == "bias_act")
    with pytest.raises(ValueError, match="bias_act version 1 has to run everywhere"):
        Ladders("numba-cuda", "Numba", rows)


def test_verification_leaves_out_what_the_gpu_cannot_run_and_says_so(monkeypatch):
    monkeypatch.setattr(verify, "load", lambda *_: cpp_backend._LADDERS.on(device_of(cpp_backend, 75), None, emulated=True))
    (line,) = verify.left_out("cupy", emulate=True)
    assert line.startswith("left out cupy: matmul version 6 (tensor cores") and "needs compute capability 8.0" in line
    assert verify.left_out("cupy", emulate=True, kernels=["adam"]) == verify.left_out("cpu") == []


def test_every_row_that_needs_a_capability_says_one_that_exists():
    assert {row.capability for row in (*cpp_backend.LADDERS, *numba_backend.LADDERS)} == {0, 80}
    assert [dotted(number) for number in (75, 80, 103, 120)] == ["7.5", "8.0", "10.3", "12.0"]

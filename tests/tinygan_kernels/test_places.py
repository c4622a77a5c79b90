"""Every kernel of the contract stands in every place that a kernel needs. A failure names the file to open.

The recipe "A kernel to the contract" in CONTRIBUTING.md lists the places; tests/test_contributing_kernel.py forgets each in turn.
"""

import numpy as np
import pytest
import tinygan_kernels
from tinygan_kernels import KERNELS, reference
from tinygan_kernels.cuda import array_kernels
from tinygan_kernels.profiling.calls import PROFILED
from tinygan_kernels.verification import bounds
from tinygan_kernels.verification.cases import cases


def ordinary(kernel):
    """Return a hard case of the kernel that is not empty."""
    return next(case for case in cases(kernel) if all(a.size for a in (*case.inputs, *case.states)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_reference_says_what_the_kernel_means(kernel):
    assert callable(getattr(reference, kernel, None)), f"kernels/tinygan_kernels/reference.py defines no function {kernel}"


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_has_hard_cases(kernel):
    assert ordinary(kernel).kernel == kernel  # cases.py says itself which table has no line


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if KERNELS[kernel].inputs])
def test_the_kernel_has_a_bound(kernel):
    case = ordinary(kernel)
    exact = [np.asarray(a, np.float64) for a in (*case.inputs, *case.states)]
    expected = getattr(reference, kernel)(*exact, **case.params)
    outputs = expected if isinstance(expected, tuple) else (expected,)
    assert len(bounds.bound(kernel, exact, outputs, np.float32, **case.params)) == len(outputs)  # bounds.py names its table


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_cpu_computes_the_kernel(kernel):
    case = ordinary(kernel)
    out = tuple(s.copy() for s in case.states) or None
    tinygan_kernels.load("cpu").launch(kernel, case.inputs, out=out, **case.params)  # cpu/bindings.py names its table


@pytest.mark.parametrize("backend", tinygan_kernels.CUDA_BACKENDS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_both_cuda_backends_compute_the_kernel(kernel, backend):
    """Both CUDA backends compute every kernel, by a version of their own or by functions of the array module."""
    own = {version.kernel for version in tinygan_kernels.ladder(backend)}
    assert kernel in own | set(array_kernels.implementations(np)), (
        f"kernels/tinygan_kernels/cuda/array_kernels.py has no method {kernel}, and the ladder of {backend} no version"
    )


def test_every_kernel_written_in_cuda_can_be_profiled():
    own = {version.kernel for backend in tinygan_kernels.CUDA_BACKENDS for version in tinygan_kernels.ladder(backend)}
    missing = own - set(PROFILED)
    assert own and not missing, f"kernels/tinygan_kernels/profiling/calls.py: PROFILED has no line for {sorted(missing)}"


def test_a_kernel_that_a_backend_lacks_is_refused_by_name():
    backend = tinygan_kernels.load("cpu")
    backend.implementations = {}
    with pytest.raises(tinygan_kernels.ContractError, match=r"^the backend cpu has no implementation of neg$"):
        backend.launch("neg", (np.zeros(2),))


@pytest.mark.parametrize("function", [lambda: list(cases("fused")), lambda: bounds.bound("fused", (), (), np.float32)])
def test_only_elementwise_kernels_have_cases_and_a_bound_by_default(function, monkeypatch):
    """Silently, it would be judged on elementwise shapes, by the bound of an elementary function."""
    monkeypatch.setitem(KERNELS, "fused", KERNELS["bias_act"])
    with pytest.raises(LookupError, match=r"^verification/(cases|bounds).py: _(MAKERS|RULES) has no .* for fused"):
        function()


def test_an_elementwise_kernel_with_parameters_needs_values_for_them(monkeypatch):
    monkeypatch.setitem(KERNELS, "elu", KERNELS["leaky_relu"])
    with pytest.raises(LookupError, match=r"^verification/cases.py: _PARAMS has no values for the parameters of elu$"):
        list(cases("elu"))


def test_a_kernel_without_a_reference_is_named(monkeypatch):
    monkeypatch.setitem(KERNELS, "fused", KERNELS["bias_act"])
    with pytest.raises(LookupError, match=r"^reference.py defines no function fused, which the contract has$"):
        tinygan_kernels.load("reference")

"""Verification on trial: right implementations pass on every case, and each kind of wrong one fails with its own verdict."""

import dataclasses

import numpy as np
import pytest
from tinygan_kernels import KERNELS, BackendError, ContractError, Version, load, reference
from tinygan_kernels.verification import verify
from tinygan_kernels.verification.cases import Case, cases, edges

FLOAT32 = np.dtype("float32")


def _verdict(kernel: str, implementation, chosen=None) -> verify.VersionVerdict:
    backend = load("reference")
    backend.implementations = {**backend.implementations, kernel: implementation}
    found = cases(kernel, FLOAT32, (16,)) if chosen is None else chosen
    return verify.verify_version(backend, Version(kernel, 1, "planted"), "float32", found, emulate=False)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_every_kernel_of_a_right_backend_passes(backend):
    verdicts = list(verify.verdicts(backend, dtypes=["float32"], tiles=(16,)))
    assert {verdict.kernel for verdict in verdicts} == set(KERNELS)
    assert not [str(verdict) for verdict in verdicts if not verdict.ok]


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_has_empty_ragged_and_many_cases_that_the_contract_allows(kernel):
    found = list(cases(kernel, FLOAT32))
    assert len(found) >= 3 and len({case.label for case in found}) == len(found)
    sizes = {array.size for case in found for array in (*case.inputs, *case.states)}
    assert max(sizes) > 30
    if kernel not in ("max", "bce_logits", "batch_norm", "batch_norm_grad"):  # those have no value on nothing
        assert 0 in sizes
    for case in found:
        KERNELS[kernel].shapes(*[array.shape for array in case.inputs], **case.params)
        assert all(isinstance(array, np.ndarray) and array.dtype == FLOAT32 for array in (*case.inputs, *case.states))


def test_cases_are_the_same_every_time_and_follow_the_dtype():
    first, again = (list(cases("conv2d", FLOAT32)) for _ in range(2))
    for one, two in zip(first, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.inputs, two.inputs, strict=True))
    wide = next(cases("conv2d", "float64"))
    assert wide.inputs[0].dtype == np.float64 and np.array_equal(wide.inputs[0].astype("f4"), first[0].inputs[0])
    assert edges(16) == (0, 1, 15, 16, 17, 35)


def _matmul(a, b, trans_a, trans_b):
    return reference.matmul(a, b, trans_a, trans_b)


def zero(a, b, c, trans_a=False, trans_b=False):
    c[...] = 0


def unwritten(a, b, c, trans_a=False, trans_b=False):
    c[: c.shape[0] // 2] = _matmul(a, b, trans_a, trans_b)[: c.shape[0] // 2]


def a_little_off(a, b, c, trans_a=False, trans_b=False):
    c[...] = _matmul(a, b, trans_a, trans_b) * np.float32(1.001)


def last_term_missing(a, b, c, trans_a=False, trans_b=False):
    a, b = (a.T if trans_a else a), (b.T if trans_b else b)
    c[...] = a[:, :-1] @ b[:-1]


def infinite(a, b, c, trans_a=False, trans_b=False):
    c[...] = _matmul(a, b, trans_a, trans_b)
    c[c == c.max(initial=-np.inf)] = np.inf


def overwrites_an_input(a, b, c, trans_a=False, trans_b=False):
    c[...] = _matmul(a, b, trans_a, trans_b)
    a[...] = 0


@pytest.mark.parametrize("planted", [zero, unwritten, a_little_off, last_term_missing, infinite, overwrites_an_input])
def test_a_wrong_product_is_caught(planted):
    verdict = _verdict("matmul", planted)
    assert not verdict.ok and verdict.worst > 1 and verdict.worst_case and not verdict.error
    assert str(verdict).startswith("WRONG reference matmul 1 float32")


def test_a_product_that_forgets_a_transpose_is_caught():
    """An exception catches it if the shapes do not fit then, and the numbers catch it if they happen to fit."""

    def forgets(a, b, c, trans_a=False, trans_b=False):
        c[...] = _matmul(a, b, trans_a, False)

    square = [case for case in cases("matmul", FLOAT32, (16,)) if case.inputs[0].shape == case.inputs[1].shape == (16, 16)]
    assert [case.params["trans_b"] for case in square] == [True]
    assert _verdict("matmul", forgets, square).worst > 1
    assert "ValueError" in _verdict("matmul", forgets).error


def test_an_exception_names_the_case_and_stops_the_version():
    def fails(x, y):
        raise RuntimeError("out of\nluck")

    verdict = _verdict("neg", fails)
    assert verdict.error == "(): RuntimeError: out of luck" and verdict.cases == 1 and not verdict.ok
    assert "\n" not in str(verdict)


def test_adjoints_that_miss_pixels_which_no_output_saw_are_caught():
    """With stride 3 some pixels have gradient zero: they have to be written all the same."""

    def adds_only(g, w, dx, **params):
        exact = reference.conv2d_dx(g, w, **params)
        np.copyto(dx, exact, where=exact != 0)

    assert _verdict("conv2d_dx", adds_only).worst == float("inf")


@pytest.mark.parametrize("planted, ok", [
    (lambda y, value: y.fill(value), True),
    (lambda y, value: y.fill(value * 1.0000002), False),
    (lambda y, value: y.reshape(-1)[1:].fill(value), False),
])  # fmt: skip
def test_fill_is_judged_exactly(planted, ok):
    assert _verdict("fill", planted).ok is ok


def test_findings_alone_make_a_verdict_wrong():
    verdict = _verdict("neg", lambda x, y: np.negative(x, out=y))
    assert verdict.ok and str(verdict).startswith("ok    reference neg 1 float32: 7 cases, at most 0.00 of the bound")
    found = dataclasses.replace(verdict, findings=("racecheck: somewhere",))
    assert not found.ok and str(found).endswith("; racecheck: somewhere")


def test_arrays_of_another_memory_are_sent_and_fetched():
    """The implementation is given the backend's arrays, as on a GPU, and what it wrote, in place too, comes back to be judged."""
    backend = load("cpu")
    sent = []

    class Elsewhere:
        def __init__(self, values):
            self.values = np.array(values)
            sent.append(self)

    backend.xp = object()
    backend.asarray, backend.to_numpy = Elsewhere, lambda far: far.values
    real = backend.implementations["sgd"]
    backend.implementations = {"sgd": lambda *far, **params: real(*[f.values for f in far], **params)}
    verdict = verify.verify_version(backend, Version("sgd", 1, ""), "float32", cases("sgd"), emulate=False)
    assert verdict.ok and verdict.cases == 6 and len(sent) == 18


def test_a_version_is_judged_by_its_own_rule():
    """Rounding to TF32 breaks the bound of float32 products and keeps the one of TF32."""

    def tf32(x):
        return ((x.view("u4") + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view("f4")

    def rounded(a, b, c, trans_a=False, trans_b=False):
        c[...] = _matmul(tf32(a), tf32(b), trans_a, trans_b)

    a = np.random.default_rng(3).standard_normal((2, 33, 33)).astype("f4")
    case = Case("matmul", "square", (a[0], a[1]))
    assert verify.measure(rounded, case) > 1
    assert 0 < verify.measure(rounded, case, "matmul_tf32") <= 1


def test_what_does_not_exist_is_refused():
    with pytest.raises(ContractError, match="there is no kernel 'matmull'"):
        next(verify.verdicts("cpu", kernels=["matmull"]))
    with pytest.raises(BackendError, match="nothing to emulate"):
        next(verify.verdicts("cpu", emulate=True))
    with pytest.raises(BackendError, match="there is no backend 'gpu'"):
        next(verify.verdicts("gpu"))

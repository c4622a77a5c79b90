"""A fuzzer of `Backend.launch`: each launch gives a right result, or the one stated error, ContractError, and nothing else happens.

Kernels, shapes with sides of 0, 1 and around a tile, permuted, negative, gapped and zero strides, outputs over inputs, wrong
dtypes, wrong parameters, NaN and extremes are drawn at random. Results are judged as `kernels verify` judges them.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tinygan_kernels import KERNELS, ContractError, load
from tinygan_kernels.verification.cases import Case, cases
from tinygan_kernels.verification.extreme_judges import worst_error
from tinygan_kernels.verification.extremes import extreme_cases, values

BACKENDS = ("cpu", "cpu", "cpu", "reference")
SIDES = (0, 1, 2, 3, 15, 16, 17)
LEAST_WORK = 1 << 15  # numbers of a case above which it is not drawn: the fuzzer is for many small launches
WRONG_PARAMETERS: tuple[Any, ...] = (
    None, "x", -1, 0, 10**30, 1.5, float("nan"), float("inf"), True, (), (0, 0), (7,), [0], np.float32(2), np.int64(1), 1j, b"",
)  # fmt: skip


def attack(rng: np.random.Generator, count: int) -> int:
    """Try `count` launches. Returns how many were tried. Raises AssertionError, with the launch, at the first that is wrong."""
    backends = [load(name) for name in BACKENDS]
    if importlib.util.find_spec("numba_cuda") or importlib.util.find_spec("cuda"):
        backends.append(load("cupy", emulate=True))
    known: dict[tuple[str, str], list[Case]] = {}
    for _ in range(count):
        backend = backends[rng.integers(len(backends))]
        kernel, dtype = str(rng.choice(list(KERNELS))), str(rng.choice(["float32", "float64"]))
        if backend.emulated and not KERNELS[kernel].elementwise and rng.random() < 0.9:
            backend = backends[0]
        one_launch(rng, backend, _drawn(rng, kernel, dtype, known))
    return count


def _drawn(rng: np.random.Generator, kernel: str, dtype: str, known: dict[tuple[str, str], list[Case]]) -> Case:
    """Draw a case: one of the hard cases, or an elementwise one of drawn shapes, with drawn values."""
    if KERNELS[kernel].elementwise and not KERNELS[kernel].in_place and rng.random() < 0.7:
        template = next(iter(extreme_cases(kernel, dtype)))
        shape = tuple(int(n) for n in rng.choice(SIDES, rng.integers(0, 4)))
        made = []
        for at, a in enumerate(template.inputs):
            part = tuple(1 if rng.random() < 0.2 else n for n in shape)
            part = part[int(rng.integers(0, len(shape) + 1)) if rng.random() < 0.3 else 0 :]
            made.append(rng.choice(_permitted(a), part if at else shape).astype(dtype))
        return Case(kernel, "drawn", tuple(made), (), dict(template.params))
    if (kernel, dtype) not in known:
        found = [*cases(kernel, dtype, (16,)), *extreme_cases(kernel, dtype)]
        known[kernel, dtype] = [case for case in found if case.size < LEAST_WORK]
    return known[kernel, dtype][rng.integers(len(known[kernel, dtype]))]


def _permitted(a: np.ndarray) -> np.ndarray:
    return np.unique(a) if a.size else a


def _arranged(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """Return the same numbers in another memory layout."""
    way = rng.integers(6)
    if a.ndim == 0 or way == 0:
        return a.copy()
    if way == 1:
        return np.ascontiguousarray(a.T).T
    if way == 2:
        return np.flip(np.flip(a).copy())
    if way == 3 and a.shape[0]:
        return np.broadcast_to(a[:1], a.shape)
    gapped = np.full((*a.shape[:-1], 2 * a.shape[-1] + 1), np.nan, a.dtype)
    gapped[..., 1::2] = a
    return gapped[..., 1::2]


def one_launch(rng: np.random.Generator, backend: Any, case: Case) -> None:
    """Launch a case, with one thing about it spoilt now and then. Raises AssertionError where what comes out is not right."""
    kernel = KERNELS[case.kernel]
    inputs = [_arranged(rng, a) if kernel.strided or rng.random() < 0.1 else a.copy() for a in case.inputs]
    states, params = [a.copy() for a in case.states], dict(case.params)
    spoilt = rng.random()
    if spoilt < 0.1 and params:
        params[str(rng.choice(list(params)))] = WRONG_PARAMETERS[rng.integers(len(WRONG_PARAMETERS))]
    elif spoilt < 0.15 and inputs:
        at = int(rng.integers(len(inputs)))
        with np.errstate(all="ignore"):
            inputs[at] = [*map(inputs[at].astype, ("f2", ">f4", "i8")), inputs[at].tolist(), inputs[at][None],
                          inputs[at].reshape(-1), None][rng.integers(7)]
    out: Any = None
    if states:
        out = tuple(states)
    elif rng.random() < 0.5:
        out = _output(rng, case, inputs)
    before = [np.array(a) if isinstance(a, np.ndarray) else a for a in inputs]
    told = f"{backend.name} {case.kernel} {case.label}: {[_told(a) for a in inputs]} out {_told(out)} {params}"
    try:
        with np.errstate(all="ignore"):
            made = backend.launch(case.kernel, inputs, out, **params)
    except ContractError as error:
        assert "\n" not in str(error) and str(error), told
        return
    except Exception as error:
        raise AssertionError(f"{told}: {type(error).__name__}: {error}") from error
    outputs = made if isinstance(made, tuple) else (made,)
    now = replace(case, inputs=tuple(before), states=case.states, params=params)
    worst = worst_error(now, tuple(np.array(o) for o in outputs))
    assert worst <= 1, f"{told}: {worst:.3g} of the bound"


def _told(a: Any) -> str:
    if isinstance(a, tuple):
        return f"({', '.join(map(_told, a))})"
    return f"{a.dtype}{a.shape} strides {a.strides}" if isinstance(a, np.ndarray) else type(a).__name__


def _output(rng: np.random.Generator, case: Case, inputs: list[Any]) -> Any:
    """Return an output: new, with other strides, of a wrong kind, over an input, or overlapping one."""
    kernel = KERNELS[case.kernel]
    dtype = case.inputs[0].dtype
    made = [np.full(s, 7, dtype) for s in kernel.shapes(*[a.shape for a in case.inputs], **case.params)]
    way, first = rng.integers(8), inputs[0]
    if way == 0:
        made[0] = made[0].astype("f8" if dtype == np.float32 else "f4")
    elif way == 1:
        made[0] = np.full((*made[0].shape, 2), 7, dtype)
    elif way == 2:
        made[0].setflags(write=False)
    elif way == 3 and made[0].ndim:
        made[0] = np.full((*made[0].shape[:-1], 2 * made[0].shape[-1]), 7, dtype)[..., ::2]
    elif way in (4, 5) and isinstance(first, np.ndarray) and first.flags.writeable and first.shape == made[0].shape:
        made[0] = first if way == 4 or not first.ndim else first[::-1]
    elif way == 6 and isinstance(first, np.ndarray) and first.ndim == 1 and first.dtype == dtype and first.shape == made[0].shape:
        memory = np.zeros(first.size + 3, dtype)
        memory[: first.size] = first
        inputs[0], made[0] = memory[: first.size], memory[3:]
    return tuple(made) if len(made) > 1 else made[0]


@pytest.mark.long
def test_launches_are_right_or_refused():
    assert attack(np.random.default_rng(16), 80) == 80


def test_a_kernel_that_is_wrong_in_the_last_element_is_caught():
    backend = load("reference")
    right = backend.implementations["add"]

    def wrong(a, b, y):
        right(a, b, y)
        if y.size > 16:
            y.flat[-1] += 1

    backend.implementations = {**backend.implementations, "add": wrong}
    one = np.arange(20, dtype=np.float32)
    with pytest.raises(AssertionError, match=r"reference add planted: .* of the bound"):
        for seed in range(20):
            one_launch(np.random.default_rng(seed), backend, Case("add", "planted", (one, one), (), {}))


def test_a_kernel_that_raises_another_error_is_caught():
    backend = load("reference")

    def wrong(x, y):
        raise ZeroDivisionError("planted")

    backend.implementations = {**backend.implementations, "neg": wrong}
    one = values(np.float32)
    with pytest.raises(AssertionError, match="ZeroDivisionError: planted"):
        for seed in range(20):
            one_launch(np.random.default_rng(seed), backend, Case("neg", "planted", (one,), (), {}))

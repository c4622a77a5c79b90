"""The extremes on trial: right implementations pass, each kind of wrong one fails, and a result may not depend on its place."""

import numpy as np
import pytest
from strategies import DTYPES
from tinygan_kernels import KERNELS, reference
from tinygan_kernels.cpu import updates
from tinygan_kernels.cpu.runtime.stages import Pipeline
from tinygan_kernels.verification.extreme_judges import judged
from tinygan_kernels.verification.extremes import MOVABLE, extreme_cases, values

RIGHT = reference.backend().implementations


def worst(kernel, implementation, dtype=np.float32, only=""):
    return max(judged(implementation, case) for case in extreme_cases(kernel, dtype) if only in case.label)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reference_is_right_at_extremes(dtype):
    """The other backends are verified where their other hard cases are (test_verify.py, and the tests of each backend)."""
    wrong = [case.label for kernel in KERNELS for case in extreme_cases(kernel, dtype) if judged(RIGHT[kernel], case) > 1]
    assert not wrong


def test_the_values_are_the_extremes():
    for dtype in DTYPES:
        found, info = values(dtype), np.finfo(dtype)
        for wanted in (0, info.smallest_subnormal, info.tiny, info.max, np.inf):
            assert (found == wanted).any() and (found == -wanted).any()
        assert np.isnan(found).any() and np.signbit(found[found == 0]).tolist() == [False, True]


def test_every_kernel_has_cases_with_an_infinity_and_elementwise_ones_move():
    for kernel in KERNELS:
        found = list(extreme_cases(kernel, np.float32))
        numbers = [*(a for case in found for a in (*case.inputs, *case.states)), *(case.params.get("value", 0) for case in found)]
        assert any(np.isinf(a).any() for a in numbers), kernel
        assert any(case.check == "places" for case in found) == (kernel in MOVABLE)


def spoilt(kernel, change):
    """Return the right implementation with `change(outputs, inputs)` applied behind it."""

    def wrong(*arrays, **params):
        with np.errstate(all="ignore"):
            RIGHT[kernel](*arrays, **params)
            count = len(KERNELS[kernel].inputs)
            change(arrays[count:], arrays[:count])

    return wrong


def clamp(outputs, _):
    np.copyto(outputs[0], np.clip(outputs[0], -3e38, 3e38))


def lose_nan(outputs, _):
    np.copyto(outputs[0], np.nan_to_num(outputs[0], nan=0.0, posinf=np.inf, neginf=-np.inf))


def flush(outputs, inputs):
    """Treat subnormal inputs as zeros where that shows: their reciprocal is infinite."""
    outputs[0][np.abs(inputs[0]) < 1.1e-38] = np.inf


def positive_zero(outputs, _):
    outputs[0][outputs[0] == 0] = 0.0


def depends_on_the_place(outputs, _):
    y = outputs[0].reshape(-1)
    last = np.arange(15, y.size, 16)  # of each register
    last = last[np.isfinite(y[last])]
    y[last] = np.nextafter(y[last], np.float32(0))


@pytest.mark.parametrize("kernel,change", [
    ("add", clamp), ("exp", clamp), ("sum", clamp), ("matmul", clamp), ("conv2d", clamp), ("sgd", clamp), ("bias_act", clamp),
    ("mul", lose_nan), ("maximum", lose_nan), ("max", lose_nan), ("softplus", lose_nan), ("conv2d_dw", lose_nan),
    ("batch_norm", lose_nan), ("bce_logits", lose_nan), ("adam", lose_nan), ("momentum", lose_nan), ("ema", lose_nan),
    ("neg", positive_zero), ("copy", positive_zero), ("leaky_relu", positive_zero), ("mul", positive_zero),
    ("exp", depends_on_the_place), ("tanh", depends_on_the_place), ("adam", depends_on_the_place), ("ema", depends_on_the_place),
], ids=lambda value: getattr(value, "__name__", value))  # fmt: skip
def test_a_planted_fault_is_caught(kernel, change):
    assert worst(kernel, spoilt(kernel, change)) == np.inf


def test_subnormal_numbers_that_are_flushed_are_caught():
    wrong = spoilt("power", flush)
    assert worst("power", wrong, only="exponent -1") == np.inf


def test_a_place_that_changes_the_bits_is_caught_by_the_cases_of_places_alone():
    """The change is one unit in the last place, which every bound allows."""
    wrong = spoilt("ema", depends_on_the_place)
    assert worst("ema", wrong, only="extremes") <= 1 and worst("ema", wrong, only="other places") == np.inf


def test_adam_with_a_clamped_root_is_caught():
    """The fault that the registers of AVX-512 had: an infinite v counted as 3e38."""

    def wrong(g, rate, theta, m, v, t, *, sign, beta1, beta2, eps):
        with np.errstate(all="ignore"):
            before = theta.copy()
            RIGHT["adam"](g, rate, theta, m, v, t, sign=sign, beta1=beta1, beta2=beta2, eps=eps)
            root = np.sqrt(np.minimum(v / v.dtype.type(1 - beta2 ** float(t)), v.dtype.type(3e38))) + v.dtype.type(eps)
            theta[...] = before + sign * rate * m / v.dtype.type(1 - beta1 ** float(t)) / root

    assert worst("adam", wrong, only="extremes") == np.inf


# ---- Adam in one array of many ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_adam_gives_each_parameter_the_same_bits_in_every_place_and_part(parts, dtype):
    rng = np.random.default_rng(0)
    g = np.concatenate([values(dtype), rng.standard_normal(23).astype(dtype)])

    def thetas(g):
        theta, m, v, t = np.full_like(g, 0.25), np.zeros_like(g), np.zeros_like(g), np.ones((), dtype)
        Pipeline([updates.adam.stage(parts, g, np.asarray(1e-3, dtype), -1, 0.5, 0.999, 1e-8, theta, m, v, t)])()
        return theta

    alone = np.concatenate([thetas(g[i : i + 1]) for i in range(g.size)])
    for before in (0, 1, 15, 16):
        padded = np.concatenate([rng.standard_normal(before).astype(dtype), g])
        np.testing.assert_array_equal(thetas(padded)[before:], alone)

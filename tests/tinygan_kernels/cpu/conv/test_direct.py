"""Convolutions by tiles on the padded image: every shape that goes this way inside its bound, memory around them untouched, the
same bits whatever the number of threads, and the choice of who goes this way."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal
from tinygan_kernels import load
from tinygan_kernels.backend import Launch
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.cpu import memory as scratch
from tinygan_kernels.cpu.conv import choice, direct
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.shapes import conv_size
from tinygan_kernels.verification import bounds

KINDS = ("conv2d", "conv2d_dx", "conv2d_dw")
FORMS = [  # images, side, channels in and out, filter, stride, pad
    (3, 28, 1, 64, 4, 2, 1), (2, 64, 3, 64, 4, 2, 1), (5, 9, 3, 40, 4, 2, 1), (1, 12, 2, 16, 3, 1, 1), (2, 12, 2, 17, 3, 1, 0),
    (4, 11, 4, 33, 5, 2, 2), (2, 13, 5, 48, 2, 3, 0), (19, 8, 1, 32, 3, 1, 2), (1, 30, 1, 128, 1, 1, 0), (2, 10, 3, 64, 4, 2, 3),
]  # fmt: skip


def placed(array):
    """(the same array in the midst of memory full of NaN; that memory)"""
    memory = np.full(array.size + 256, np.nan, array.dtype)
    view = memory[128 : 128 + array.size].reshape(array.shape)
    view[...] = array
    return view, memory


def launch_of(kind, form, dtype, seed=0):
    """(inputs, shape of the output, its parameters) of one of the three kernels."""
    n, side, c_in, c_out, k, stride, pad = form
    out = conv_size(side, k, stride, pad)
    rng = np.random.default_rng(seed)
    x, w, g = (normal(rng, s, dtype) for s in ((n, side, side, c_in), (k, k, c_in, c_out), (n, out, out, c_out)))
    window = {"stride": stride, "pad": pad}
    return {
        "conv2d": ((x, w), g.shape, window),
        "conv2d_dx": ((g, w), x.shape, {**window, "height": side, "width": side}),
        "conv2d_dw": ((x, g), w.shape, {**window, "kh": k, "kw": k}),
    }[kind]


def call_of(kind, form, dtype, seed=0):
    """(inputs, parameters, output, memory around it, the direct call or None)"""
    inputs, shape, params = launch_of(kind, form, dtype, seed)
    inputs = [placed(a)[0] for a in inputs]
    out, memory = placed(np.full(shape, np.nan, dtype))
    found = choice.Convolution(kind, *inputs, out, params["stride"], params["pad"], scratch.Scratch().take)
    rung = choice.RUNGS[1]
    return inputs, params, out, memory, rung.bind(found) if rung.suits(found) else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_is_inside_its_bound_and_writes_nowhere_else(kind, form, dtype):
    inputs, params, out, memory, call = call_of(kind, form, dtype)
    if call is None:
        pytest.skip("no tile fits this shape on this machine's registers; the backend unrolls patches")

    def implementation(*arrays, **_):
        call()
        arrays[-1][...] = out

    assert bounds.verify(implementation, kind, inputs, **params) <= 1
    assert np.isnan(memory[:128]).all() and np.isnan(memory[128 + out.size :]).all()


def test_no_kind_is_skipped_throughout():
    """The forms above reach each of the three kernels with tiles of the machine."""
    for kind in KINDS:
        assert sum(call_of(kind, form, np.dtype(np.float32))[-1] is not None for form in FORMS) >= 3, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_call_reads_its_arrays_anew_and_may_share_scratch(kind):
    """Two calls of different shapes in turn, over the same scratch memory: each as if it ran alone."""
    backend = load("cpu")
    bound = []
    for form in FORMS[:3]:
        inputs, shape, params = launch_of(kind, form, np.float32)
        out = np.empty(shape, np.float32)
        launch = Launch(KERNELS[kind], backend.implementations[kind], inputs, (out,), params)
        bound.append((inputs, params, out, backend.bind(launch)))
    for factor in (1, -2):
        for inputs, params, out, call in bound:
            inputs[0][...] *= factor
            call()
            np.testing.assert_array_equal(out, load("cpu").launch(kind, inputs, **params))


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(kind):
    results, before = [], numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        try:
            numba.set_num_threads(threads)
            *_, out, _, call = call_of(kind, (19, 12, 3, 64, 4, 2, 1), np.dtype(np.float32))
            call()
            results.append(out.copy())
        finally:
            numba.set_num_threads(before)
    np.testing.assert_array_equal(*results)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS), n=st.sampled_from((1, 2, 17)), side=st.integers(3, 13), c_in=st.sampled_from((1, 2, 3, 5)),
    c_out=st.sampled_from((15, 16, 17, 31, 32, 63, 64, 65)), k=st.integers(1, 5), stride=st.integers(1, 3), pad=st.integers(0, 2),
)
def test_the_backend_on_sizes_around_a_register(kind, n, side, c_in, c_out, k, stride, pad):
    if conv_size(side, k, stride, pad) < 1:
        return
    inputs, _, params = launch_of(kind, (n, side, c_in, c_out, k, stride, pad), np.float32)
    backend = load("cpu")
    assert bounds.verify(lambda *a, **p: backend.launch(kind, a[:2], out=a[2], **p), kind, inputs, **params) <= 1


def test_who_goes_this_way():
    most = direct.FEW_REGISTERS * simd.lanes(4) // 4
    assert direct.pays((4, 4, 1, 64), 4) and direct.pays((4, 4, most, 64), 4)
    assert not direct.pays((4, 4, most + 1, 64), 4) and not direct.pays((4, 0, 3, 64), 4) and not direct.pays((0, 4, 3, 64), 4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_tile_fits_is_left_to_others(kind):
    """The direct convolution declines fewer output channels than a register holds, and batches of no image."""
    if kind != "conv2d_dx":
        assert call_of(kind, (2, 8, 3, simd.lanes(4) - 1, 3, 1, 1), np.dtype(np.float32))[-1] is None
    assert call_of(kind, (0, 8, 3, 64, 3, 1, 1), np.dtype(np.float32))[-1] is None


@pytest.mark.parametrize("height,width", [(0, 3), (3, 0), (0, 0)])
def test_images_without_pixels(height, width):
    """Where the filters see padding alone, y and dw are 0 and dx has no elements."""
    x, w = np.ones((2, height, width, 3), np.float32), np.ones((3, 3, 3, 64), np.float32)
    backend, window = load("cpu"), {"stride": 1, "pad": 3}
    y = backend.launch("conv2d", (x, w), **window)
    assert (y == 0).all() and y.shape[1:3] == (height + 4, width + 4)
    assert backend.launch("conv2d_dx", (y, w), **window, height=height, width=width).shape == x.shape
    assert (backend.launch("conv2d_dw", (x, y + 1), **window, kh=3, kw=3) == 0).all()

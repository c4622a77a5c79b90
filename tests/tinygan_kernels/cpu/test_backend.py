"""The CPU backend against the reference, for every kernel, both precisions and the hard cases; then what is its own: chunks of
images, scratch memory kept between calls, Numba loops over views, and the announcement of compilation."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core import event
from strategies import DTYPES, LAYOUTS, arranged, convolutions, generators, inputs_for, normal
from tinygan_kernels import KERNELS, load, reference
from tinygan_kernels.backend import Launch
from tinygan_kernels.cpu import backend as cpu
from tinygan_kernels.cpu.conv import im2col
from tinygan_kernels.cpu.memory import Scratch
from tinygan_kernels.cpu.runtime import stages
from tinygan_kernels.verification import bounds

BACKEND = load("cpu")
CONVOLUTIONS = ("conv2d", "conv2d_dx", "conv2d_dw")
STRIDED = [name for name, kernel in KERNELS.items() if kernel.strided]


def through_the_door(kernel, backend=BACKEND):
    """The implementation that bounds.verify calls, launched as a user would, into the poisoned outputs."""
    count = len(KERNELS[kernel].inputs)

    def implementation(*arrays, **params):
        backend.launch(kernel, arrays[:count], out=arrays[count:], **params)

    return implementation


def copied(arrays):
    return tuple(a.copy() for a in arrays)


# ---- against the reference ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_kernel_against_the_reference(kernel, dtype, data):
    inputs, states, params = data.draw(inputs_for(kernel, dtype))
    assert bounds.verify(through_the_door(kernel), kernel, inputs, states, **params) <= 1


@pytest.mark.parametrize("layout", LAYOUTS[:-1])
@pytest.mark.parametrize("kernel", STRIDED)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_strided_kernels_write_into_any_layout(kernel, layout, data):
    inputs, states, params = data.draw(inputs_for(kernel, np.float32))

    def implementation(*arrays, **params):
        *given_, out = arrays
        view = arranged(out, layout)
        BACKEND.launch(kernel, given_, out=view, **params)
        out[...] = view

    assert bounds.verify(implementation, kernel, inputs, states, **params) <= 1


EMPTY = [
    ("matmul", [(3, 0), (0, 4)], {}), ("matmul", [(0, 3), (3, 4)], {}), ("matmul", [(2, 3), (3, 0)], {}),
    *[("conv2d", [(n, 3, 3, c_in), (2, 2, c_in, c_out)], {"stride": 1, "pad": 1})
      for n, c_in, c_out in ((0, 2, 2), (2, 0, 2), (2, 2, 0))],
    *[("conv2d_dx", [(n, 4, 4, c_out), (2, 2, c_in, c_out)], {"stride": 1, "pad": 1, "height": 3, "width": 3})
      for n, c_in, c_out in ((0, 2, 2), (2, 0, 2), (2, 2, 0))],
    *[("conv2d_dw", [(n, 3, 3, c_in), (n, 4, 4, c_out)], {"stride": 1, "pad": 1, "kh": 2, "kw": 2})
      for n, c_in, c_out in ((0, 2, 2), (2, 0, 2), (2, 2, 0))],
    ("conv2d", [(2, 0, 3, 2), (2, 2, 2, 3)], {"stride": 1, "pad": 1}),
    ("batch_norm", [(4, 0), (0,), (0,)], {"eps": 1e-5}),
    ("batch_norm_grad", [(4, 0), (4, 0), (0,), (0,), (0,)], {}),
    *[("bias_act", [shape, shape[-1:]], {"act": act}) for shape in ((4, 0), (0, 4)) for act in ("leaky_relu", "sigmoid")],
    *[("bias_act_grad", [shape, shape], {"act": act}) for shape in ((4, 0), (0, 4)) for act in ("leaky_relu", "sigmoid")],
    ("sum", [(0, 3)], {"axes": (0,)}), ("max", [(0, 3)], {"axes": (1,)}),
]


@pytest.mark.parametrize("kernel,shapes,params", EMPTY)
def test_sides_of_length_zero(kernel, shapes, params):
    """A sum of no terms is 0, not the poison; an output of no elements is still written into."""
    inputs = [np.ones(shape, np.float32) for shape in shapes]
    assert bounds.verify(through_the_door(kernel), kernel, inputs, **params) <= 1


LARGE = {
    "matmul": ([(300, 700), (700, 130)], {}),
    "conv2d": ([(12, 20, 20, 24), (5, 5, 24, 16)], {"stride": 1, "pad": 2}),  # several chunks of PATCH_BYTES
    "conv2d_dx": ([(12, 20, 20, 16), (5, 5, 24, 16)], {"stride": 1, "pad": 2, "height": 20, "width": 20}),
    "conv2d_dw": ([(12, 20, 20, 24), (12, 20, 20, 16)], {"stride": 1, "pad": 2, "kh": 5, "kw": 5}),
    "sum": ([(3000, 70)], {"axes": (0,)}),
    "bce_logits": ([(5000,)] * 2, {}),
    "batch_norm": ([(3000, 7), (7,), (7,)], {"eps": 1e-5}),
}


@pytest.mark.parametrize("kernel", LARGE)
def test_sizes_of_real_networks(kernel):
    shapes, params = LARGE[kernel]
    rng = np.random.default_rng(1)
    inputs = [normal(rng, shape, np.float32) for shape in shapes]
    if kernel == "bce_logits":
        inputs[1] = np.abs(inputs[1]) % 1
    assert bounds.verify(through_the_door(kernel), kernel, inputs, **params) <= 1


@pytest.mark.parametrize("kernel", STRIDED)
def test_nan_goes_through_every_strided_kernel(kernel):
    """A kernel that turns NaN into a number hides where a run went wrong; only comparisons answer."""
    count = len(KERNELS[kernel].inputs)
    params = {"leaky_relu": {"slope": 0.2}, "leaky_relu_grad": {"slope": 0.2}, "power": {"exponent": 2}}.get(kernel, {})
    params = {"axes": (0,)} if kernel in ("sum", "max") else params
    for at in range(count):
        # x only chooses between g and slope g, and c = 1 between a and b; 1 to the power of anything is 1, says IEEE 754
        if kernel == "equal" or (kernel, at) in (("leaky_relu_grad", 1), ("where", 0), ("where", 2), ("pow", 1)):
            continue
        inputs = [np.ones(3, np.float32) for _ in range(count)]
        inputs[at][1] = np.nan
        assert np.isnan(BACKEND.launch(kernel, inputs, **params)).any()


# ---- convolution: chunks and scratch memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("patch_bytes", [1, 1000, 5000])
@pytest.mark.parametrize("kernel", CONVOLUTIONS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_size_of_chunks_does_not_show(kernel, patch_bytes, data):
    inputs, _, params = data.draw(inputs_for(kernel, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col, "PATCH_BYTES", patch_bytes)
        assert bounds.verify(through_the_door(kernel), kernel, inputs, **params) <= 1


@settings(max_examples=200, deadline=None)
@given(n=st.integers(0, 40), rows=st.integers(0, 30), patch=st.integers(0, 30), size=st.sampled_from((1, 4 << 5, 4 << 20)))
def test_chunks_cover_every_image_once_and_keep_to_their_size(n, rows, patch, size):
    with pytest.MonkeyPatch.context() as monkey:
        monkey.setattr(im2col, "PATCH_BYTES", size)
        chunks = im2col.chunks(n, rows, patch, np.dtype(np.float32))
    assert [i for start, stop in chunks for i in range(start, stop)] == list(range(n))
    assert all(stop - start == 1 or (stop - start) * rows * patch * 4 <= size for start, stop in chunks)


def with_its_scratch():
    """(a CPU backend, the scratch memory that it works in)"""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "Scratch", lambda: made.append(Scratch()) or made[-1])
        return cpu.backend(), made[0]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_scratch_memory_that_was_used_before_does_not_show(data):
    """One backend for a row of convolutions of all kinds, sizes and precisions; each as a fresh backend gives it, bit for bit."""
    used, scratch = with_its_scratch()
    for _ in range(4):
        kernel, dtype = data.draw(st.sampled_from(CONVOLUTIONS)), data.draw(st.sampled_from(DTYPES))
        inputs, _, params = data.draw(inputs_for(kernel, dtype))
        expected = load("cpu").launch(kernel, inputs, **params)
        np.testing.assert_array_equal(used.launch(kernel, inputs, **params), expected)
        for memory in scratch._kept.values():
            memory[...] = 0xFF  # NaN, read as either dtype


def test_scratch_memory_is_kept_and_not_shared_between_backends():
    x, w = np.ones((2, 6, 6, 3), np.float32), np.ones((3, 3, 3, 2), np.float32)
    first, second = with_its_scratch(), with_its_scratch()
    scratches = []
    for backend, scratch in (first, first, second):
        backend.launch("conv2d", (x, w), stride=1, pad=1)
        scratches.append(next(memory for use, memory in scratch._kept.items() if use in ("cols", "padded")))
    assert scratches[0] is scratches[1] and not np.may_share_memory(scratches[0], scratches[2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", [(5, 4, 4, 6, 40), (1, 3, 2, 1, 1), (0, 4, 4, 3, 5), (3, 2, 2, 0, 4), (64, 4, 4, 33, 1)], ids=str)
def test_filters_as_large_as_the_image(form, dtype):
    n, kh, kw, c, c_out = form
    rng = np.random.default_rng(0)
    x, w, g = (normal(rng, shape, dtype) for shape in ((n, kh, kw, c), (kh, kw, c, c_out), (n, 1, 1, c_out)))
    window = {"stride": 2, "pad": 0}
    sizes = {"conv2d": {}, "conv2d_dx": {"height": kh, "width": kw}, "conv2d_dw": {"kh": kh, "kw": kw}}
    for kernel, inputs in (("conv2d", (x, w)), ("conv2d_dx", (g, w)), ("conv2d_dw", (x, g))):
        assert bounds.verify(through_the_door(kernel), kernel, inputs, **window, **sizes[kernel]) <= 1, kernel


@settings(max_examples=25, deadline=None)
@given(form=convolutions(), rng=generators())
def test_convolutions_of_whole_numbers_are_exact_and_adjoint(form, rng):
    """<conv(x, w), g> = <x, conv_dx(g, w)> = <w, conv_dw(x, g)>: in whole numbers no rounding can excuse a difference."""
    x_shape, w_shape, y_shape, stride, pad = form
    x, w, g = (rng.integers(-4, 5, shape).astype(np.float64) for shape in (x_shape, w_shape, y_shape))
    window = {"stride": stride, "pad": pad}
    y = BACKEND.launch("conv2d", (x, w), **window)
    dx = BACKEND.launch("conv2d_dx", (g, w), **window, height=x_shape[1], width=x_shape[2])
    dw = BACKEND.launch("conv2d_dw", (x, g), **window, kh=w_shape[0], kw=w_shape[1])
    assert np.vdot(y, g) == np.vdot(x, dx) == np.vdot(w, dw)
    np.testing.assert_array_equal(y, reference.conv2d(x, w, stride, pad))


@settings(max_examples=15, deadline=None)
@given(form=convolutions(), rng=generators())
def test_col2im_is_the_adjoint_of_im2col(form, rng):
    (n, height, width, c), (kh, kw, _, _), (_, oh, ow, _), stride, pad = form
    x = rng.integers(-4, 5, (n, height, width, c)).astype(np.float32)
    cols, dx = np.full((n * oh * ow, kh * kw * c), np.nan, np.float32), np.full_like(x, np.nan)
    im2col.im2col(x, kh, kw, stride, pad, oh, ow, cols)
    g = rng.integers(-4, 5, cols.shape).astype(np.float32)
    im2col.col2im(g, kh, kw, stride, pad, oh, ow, dx)
    assert np.vdot(cols, g) == np.vdot(x, dx)


# ---- shared memory ------------------------------------------------------------------------------------------------------------

IN_PLACE = [name for name in STRIDED if name not in ("sum", "max", "fill")]
PARAMS = {"leaky_relu": {"slope": 0.2}, "leaky_relu_grad": {"slope": 0.2}, "power": {"exponent": -0.5}}


def overlapping(kernel, shift):
    """A launch whose output is its first input, moved along by `shift` elements; (result, expected)."""
    memory = np.random.default_rng(0).random(40).astype(np.float32) + np.float32(0.5)
    x, rest = memory[2:34], [np.full(32, 0.7, np.float32)] * (len(KERNELS[kernel].inputs) - 1)
    expected = BACKEND.launch(kernel, (x.copy(), *rest), **PARAMS.get(kernel, {}))
    y = memory[2 + shift : 34 + shift]
    return BACKEND.launch(kernel, (x, *rest), out=y, **PARAMS.get(kernel, {})), expected


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("kernel", IN_PLACE)
def test_elementwise_kernels_read_before_they_write(kernel, shift):
    y, expected = overlapping(kernel, shift)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("kernel", IN_PLACE)
def test_a_reversed_view_as_output(kernel):
    x = np.random.default_rng(0).random(32).astype(np.float32) + np.float32(0.5)
    rest = [np.full(32, 0.7, np.float32)] * (len(KERNELS[kernel].inputs) - 1)
    expected = BACKEND.launch(kernel, (x.copy(), *rest), **PARAMS.get(kernel, {}))
    np.testing.assert_array_equal(BACKEND.launch(kernel, (x, *rest), out=x[::-1], **PARAMS.get(kernel, {})), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ["max", "sum"])
def test_a_reversed_view_as_input_of_a_reduction(kernel, dtype):
    """NumPy 1.26 gives a wrong maximum of a reversed view where it writes into an array that it is handed."""
    for n in (1, 2, 3, 5, 8, 31):
        x = np.random.default_rng(n).integers(-99, 99, (67, n)).astype(dtype)
        for view in (x[:, ::-1], x[::-1], x[::-1, ::-1], x.T[::-1]):
            for axes in ((0,), (1,), (0, 1)):
                expected = getattr(np, kernel)(np.ascontiguousarray(view), axis=axes)
                np.testing.assert_array_equal(BACKEND.launch(kernel, (view,), axes=axes), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", IN_PLACE)
def test_neighbours_in_memory_give_the_bits_that_arrays_far_apart_give(kernel, dtype):
    """NumPy 1 computes powers, exp and log by another function where the output begins at the end of the input, or the reverse."""
    n = 1000
    memory = np.empty(3 * n, dtype)
    before, x, behind = memory[:n], memory[n : 2 * n], memory[2 * n :]
    x[...] = np.random.default_rng(0).random(n) * 3 + 0.01
    rest = [np.full(n, 0.7, dtype)] * (len(KERNELS[kernel].inputs) - 1)
    exponents = [{"exponent": e} for e in (1, 3, 0.5, -1.5, 2, -1)]
    for params in exponents if kernel == "power" else [PARAMS.get(kernel, {})]:
        apart = BACKEND.launch(kernel, (x.copy(), *rest), **params).tobytes()
        for y in (before, behind):
            BACKEND.launch(kernel, (x, *rest), out=y, **params)
            assert y.tobytes() == apart, params


def launched(kernel, inputs, outputs, **params):
    return Launch(KERNELS[kernel], BACKEND.implementations[kernel], inputs, outputs, params)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(50, 1), (50, 3), (7, 9, 16), (300, 70)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_and_its_activation_as_one(dtype, shape, slope):
    """To the bit what the two launches give, and their gradients; where dgamma and dbeta go, the slopes still lie that are read."""
    rng, channels = np.random.default_rng(0), shape[-1]
    x, g, gamma, beta = (normal(rng, size, dtype) for size in (shape, shape, channels, channels))
    (h, mean, inv_std), eps = BACKEND.launch("batch_norm", (x, gamma, beta), eps=1e-5), {"eps": 1e-5}
    y = BACKEND.launch("leaky_relu", (h,), slope=slope)
    found = np.full_like(x, np.nan), np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    both = launched("batch_norm", (x, gamma, beta), found, **eps), launched("leaky_relu", found[:1], found[:1], slope=slope)
    BACKEND.bind_pair(*both)()
    for one, other in zip(found, (y, mean, inv_std), strict=True):
        np.testing.assert_array_equal(one, other)

    masked = BACKEND.launch("leaky_relu_grad", (g, y), slope=slope)
    wanted = BACKEND.launch("batch_norm_grad", (masked, x, gamma, mean, inv_std))
    for over_g in (False, True):
        slopes, cotangent = y.copy(), g.copy()
        out = cotangent if over_g else np.full_like(x, np.nan)
        found = out, slopes.reshape(-1)[:channels], slopes.reshape(-1)[channels : 2 * channels]
        first = launched("leaky_relu_grad", (cotangent, slopes), (out,), slope=slope)
        BACKEND.bind_pair(first, launched("batch_norm_grad", (out, x, gamma, mean, inv_std), found))()
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_pairs_that_keep_what_lies_between_stay_two():
    x, gamma = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    h, y, m, s = np.empty_like(x), np.empty_like(x), np.empty_like(gamma), np.empty_like(gamma)
    norm = launched("batch_norm", (x, gamma, gamma), (h, m, s), eps=1e-5)
    assert BACKEND.bind_pair(norm, launched("leaky_relu", (h,), (y,), slope=0.2)) is None  # h is wanted
    assert BACKEND.bind_pair(norm, launched("tanh", (h,), (h,))) is None
    assert BACKEND.bind_pair(norm, launched("leaky_relu", (h,), (h,), slope=0.2)) is not None
    spread = launched("leaky_relu_grad", (x, gamma), (h,), slope=0.2)  # one slope for each channel
    assert BACKEND.bind_pair(spread, launched("batch_norm_grad", (h, x, gamma, m, s), (h, m.copy(), s.copy()))) is None


@pytest.mark.parametrize("act", ["linear", "leaky_relu", "tanh", "sigmoid"])
def test_fused_kernels_over_their_first_input(act):
    rng = np.random.default_rng(0)
    x, b, g = (normal(rng, shape, np.float32) for shape in ((9, 5), (5,), (9, 5)))
    y = BACKEND.launch("bias_act", (x.copy(), b), act=act, slope=0.2)
    over = x.copy()
    np.testing.assert_array_equal(BACKEND.launch("bias_act", (over, b), out=over, act=act, slope=0.2), y)
    dx, db = BACKEND.launch("bias_act_grad", (g, y), act=act, slope=0.2)
    over, db_again = g.copy(), np.full(5, np.nan, np.float32)
    BACKEND.launch("bias_act_grad", (over, y), out=(over, db_again), act=act, slope=0.2)
    np.testing.assert_array_equal(over, dx)
    np.testing.assert_array_equal(db_again, db)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_read_only_inputs_are_taken_and_left_as_they_were(kernel, data):
    inputs, states, params = data.draw(inputs_for(kernel, np.float32))
    before = copied(inputs)
    for array in inputs:
        array.flags.writeable = False
    BACKEND.launch(kernel, inputs, out=copied(states) or None, **params)
    for array, then in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, then)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_the_same_launch_gives_the_same_bits(kernel, data):
    inputs, states, params = data.draw(inputs_for(kernel, np.float32))
    results = []
    for _ in range(2):
        result = load("cpu").launch(kernel, inputs, out=copied(states) or None, **params)
        results.append(result if isinstance(result, tuple) else (result,))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


# ---- a training step of updates -----------------------------------------------------------------------------------------------


def test_many_steps_of_adam_stay_with_the_reference():
    """Fifty steps of Adam stay with the reference: the error of a wrong t, or of a state that is not kept, would grow."""
    rng = np.random.default_rng(0)
    theta = normal(rng, 33)
    ours = [theta.copy(), np.zeros(33), np.zeros(33), np.zeros(())]
    theirs = [theta.copy(), np.zeros(33), np.zeros(33), np.zeros(())]
    constants = {"sign": -1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}
    for _ in range(50):
        g, rate = normal(rng, 33), np.asarray(1e-2)
        BACKEND.launch("adam", (g, rate), out=ours, **constants)
        theirs = list(reference.adam(g, rate, *theirs, **constants))
    assert ours[3] == 50
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_the_rate_is_read_anew_at_every_run():
    """The learning rate is an array so that a recorded step follows its schedule."""
    launches, theta, rate = [], np.zeros(3), np.asarray(0.5)
    backend = load("cpu")
    with backend.watch(lambda launch, proceed: (launches.append(launch), proceed())):
        backend.launch("sgd", (np.ones(3), rate), out=theta, sign=-1)
    rate[...] = 0.25
    launches[0].run()
    assert theta.tolist() == [-0.75] * 3


# ---- versions and compilation -------------------------------------------------------------------------------------------------


def test_titles_say_how_each_kernel_is_made():
    titles = {row.kernel: row.title for row in BACKEND.versions}
    assert titles["adam"] == "compiled loops"
    for name in STRIDED:
        params = {"sum": {"axes": (0,)}, "max": {"axes": (1,)}, "fill": {"value": 1.0}, "power": {"exponent": 2}}.get(name, {})
        params = params or ({"slope": 0.2} if name.startswith("leaky") else {})
        inputs = tuple(np.ones((4, 4)) for _ in KERNELS[name].inputs)
        shapes = KERNELS[name].shapes(*[a.shape for a in inputs], **params)
        outputs = (np.ones((4, 4)),) if name == "fill" else tuple(np.empty(shape) for shape in shapes)
        made = BACKEND.bind(Launch(KERNELS[name], None, inputs, outputs, params))
        assert (titles[name] == "NumPy") == (not isinstance(made, stages.Pipeline)) or name == "tanh"  # in float64 NumPy's


@pytest.fixture
def heard(monkeypatch):
    """Collect what announce_compilation says; its listener is removed after the test."""
    said, registered, real = [], [], event.register
    with monkeypatch.context() as patch:
        patch.setattr(event, "register", lambda kind, listener: (registered.append((kind, listener)), real(kind, listener)))
        cpu.announce_compilation(said.append)
    yield said
    assert registered
    for kind, listener in registered:
        event.unregister(kind, listener)


def test_compilation_is_announced_once_and_calls_without_it_are_not(heard):
    f, g = numba.njit(lambda x: x + 1), numba.njit(lambda x: x + 2)
    assert heard == []
    assert (f(1), f(2), g(1)) == (2, 3, 3)
    assert len(heard) == 1 and heard[0].startswith("compiling the CPU kernels") and "\n" not in heard[0]


def test_what_is_compiled_is_cached_on_disk(tmp_path):
    """The first process announces that it compiles; the next finds the code on disk and says nothing.

    Compiled products must not contain addresses of code, which differ from process to process: the cache would be useless or wrong.
    The products are by a few terms, by tiles alone and in a team, and in a stack.
    """
    program = (
        "import numpy as np; from tinygan_kernels import load; from tinygan_kernels.cpu import backend\n"
        "from tinygan_kernels.cpu.matmul import choice\n"
        "backend.announce_compilation(print)\n"
        "load('cpu').launch('sgd', (np.ones(3), np.ones(())), out=np.ones(3), sign=1)\n"
        "for k in (3, 40, 96):\n"
        "    a, b, c = (np.ones((k, k), np.float32) for _ in range(3))\n"
        "    choice.bind_product(a, b, c)(); assert (c == k).all()\n"
        "c = np.empty((2, 8, 8), np.float32)\n"
        "choice.bind_products(np.ones_like(c), np.ones_like(c), c)(); assert (c == 8).all()"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True) for _ in range(2)]
    assert [done.stderr for done in runs] == ["", ""]
    assert runs[0].stdout.count("compiling the CPU kernels") == 1 and runs[1].stdout == ""

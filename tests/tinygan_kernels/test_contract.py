"""The door of a backend: which launches it refuses and in which words, what it passes to implementations and to watchers, and that
a launch can be run again. Parameters have a file of their own, test_parameters.py."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tinygan_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, inputs_for
from tinygan_kernels import KERNELS, Backend, ContractError, Launch, load, nan_trap
from tinygan_kernels.shapes import conv_size, normal_axes

REFERENCE = load("reference")
BACKENDS = {"reference": REFERENCE, "cpu": load("cpu")}


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def refusal(kernel, inputs, backend=REFERENCE, **rest) -> str:
    """The sentence with which the door refuses a launch, checked to be one line; nothing may have been written."""
    out = rest.get("out")
    before = [a.copy() for a in (out if isinstance(out, tuple) else (out,)) if isinstance(a, np.ndarray)]
    with pytest.raises(ContractError) as caught:
        backend.launch(kernel, inputs, **rest)
    after = [a for a in (out if isinstance(out, tuple) else (out,)) if isinstance(a, np.ndarray)]
    for now, then in zip(after, before, strict=True):
        np.testing.assert_array_equal(now, then)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence


# ---- refusals -----------------------------------------------------------------------------------------------------------------


def test_an_unknown_kernel_is_answered_with_the_list():
    sentence = refusal("convolve", (zeros(2),))
    assert "'convolve'" in sentence and all(name in sentence for name in KERNELS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_wrong_number_of_inputs_is_refused_with_their_names(kernel):
    entry = KERNELS[kernel]
    for count in {len(entry.inputs) + 1, max(len(entry.inputs) - 1, 0)} - {len(entry.inputs)}:
        sentence = refusal(kernel, (zeros(2, 2),) * count, out=zeros(2, 2))
        assert f"{kernel} takes {len(entry.inputs)} arrays ({', '.join(entry.inputs)}), got {count}" in sentence


SLOTS = [(kernel, i) for kernel in KERNELS for i in range(len(KERNELS[kernel].inputs))]


@pytest.mark.parametrize("kernel,i", SLOTS)
@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64", "bool", ">f4", ">f8"])
def test_a_foreign_dtype_is_refused_by_the_name_of_the_argument(kernel, i, dtype):
    arrays = [zeros(2, 2) for _ in KERNELS[kernel].inputs]
    arrays[i] = arrays[i].astype(dtype)
    sentence = refusal(kernel, arrays)
    if i:
        assert re.match(rf"{kernel}: {KERNELS[kernel].inputs[i]} is {arrays[i].dtype}, it has to be float32 or float64$", sentence)
    else:
        assert sentence.startswith(f"{kernel}: {KERNELS[kernel].inputs[0]} is {arrays[0].dtype}, it has to be")


@pytest.mark.parametrize("kernel,i", [slot for slot in SLOTS if slot[1]])
def test_mixed_precision_is_refused_by_the_name_of_the_argument(kernel, i):
    arrays = [zeros(2, 2) for _ in KERNELS[kernel].inputs]
    arrays[i] = zeros(2, 2, dtype=np.float64)
    sentence = refusal(kernel, arrays)
    assert sentence.startswith(f"{kernel}: {KERNELS[kernel].inputs[i]} is float64, but {KERNELS[kernel].inputs[0]} is float32")


@pytest.mark.parametrize("value", [1.0, [1.0, 2.0], None, "x"])
def test_what_is_no_array_is_refused(value):
    assert f"b is a {type(value).__name__}, it has to be an array" in refusal("add", (zeros(2), value))
    assert f"a is a {type(value).__name__}, it has to be an array" in refusal("add", (value, zeros(2)))


@pytest.mark.parametrize("kernel,i", [slot for slot in SLOTS if not KERNELS[slot[0]].strided])
def test_a_view_is_refused_where_the_kernel_wants_contiguous_memory(kernel, i):
    arrays = [zeros(4, 4, 4, 4) for _ in KERNELS[kernel].inputs]
    arrays[i] = arrays[i].T if i % 2 else arrays[i][:, ::2]
    assert f"{kernel}: {KERNELS[kernel].inputs[i]} has strides {arrays[i].strides}" in refusal(kernel, arrays)


IMAGE = {"stride": 1, "pad": 0}
MISFITS = [
    ("add", [(2, 3), (4,)], {}, "add: the shapes of a (2, 3) and b (4,) do not broadcast"),
    ("leaky_relu_grad", [(2,), (3,)], {"slope": 0.1}, "leaky_relu_grad: the shapes of g (2,) and x (3,) do not broadcast"),
    ("sum", [(2, 3)], {"axes": (2,)}, "sum: axis 2 is out of range for 2 dimensions"),
    ("sum", [(2, 3)], {"axes": (-3,)}, "sum: axis -3 is out of range"),
    ("sum", [(2, 3)], {"axes": (1, -1)}, "sum: axes (1, -1) name a dimension twice"),
    ("sum", [(2, 3)], {"axes": None}, "sum: axes is None, it has to be a tuple"),
    ("max", [(2, 3)], {"axes": 1}, "max: axes is 1, it has to be a tuple"),
    ("max", [(2, 3)], {"axes": (2,)}, "max: axis 2 is out of range"),
    ("max", [(3, 0)], {"axes": (1,)}, "max: x has shape (3, 0); there is no largest of no elements along axes (1,)"),
    ("matmul", [(2, 3), (4, 5)], {}, "matmul: the inner lengths of a (2, 3) and b (4, 5) differ, 3 and 4"),
    ("matmul", [(2, 3), (3, 5)], {"trans_a": True}, "a (2, 3) transposed and b (3, 5) differ, 2 and 3"),
    ("matmul", [(2, 3), (3, 5)], {"trans_b": True}, "a (2, 3) and b (3, 5) transposed differ, 3 and 5"),
    ("matmul", [(2,), (2, 3)], {}, "matmul: a has shape (2,), it has to have two dimensions"),
    ("matmul", [(3, 2), (1, 2, 3)], {}, "matmul: b has shape (1, 2, 3), it has to have two dimensions"),
    ("conv2d", [(5, 5, 2), (3, 3, 2, 1)], IMAGE, "conv2d: x has shape (5, 5, 2), it has to have four dimensions"),
    ("conv2d", [(1, 5, 5, 2), (3, 3, 2)], IMAGE, "conv2d: w has shape (3, 3, 2), it has to have four dimensions"),
    ("conv2d", [(1, 5, 5, 2), (3, 3, 4, 1)], IMAGE, "conv2d: x has 2 channels (last axis of (1, 5, 5, 2)), w wants 4"),
    ("conv2d", [(1, 2, 5, 2), (3, 3, 2, 1)], IMAGE, "conv2d: a 3x3 filter does not fit a 2x5 image padded by 0"),
    ("conv2d", [(1, 5, 5, 2), (0, 3, 2, 1)], IMAGE, "conv2d: the filter is 0x3, both sides have to be at least 1"),
    ("conv2d", [(1, 5, 5, 2), (3, 3, 2, 1)], {"stride": 0, "pad": 0}, "conv2d: stride is 0, it has to be a whole number"),
    ("conv2d", [(1, 5, 5, 2), (3, 3, 2, 1)], {"stride": 1.5, "pad": 0}, "conv2d: stride is 1.5, it has to be a whole number"),
    ("conv2d", [(1, 5, 5, 2), (3, 3, 2, 1)], {"stride": 1, "pad": -1}, "conv2d: pad is -1, it has to be a whole number"),
    ("conv2d_dx", [(1, 3, 3, 2), (3, 3, 4, 1)], {**IMAGE, "height": 5, "width": 5}, "conv2d_dx: g has 2 channels"),
    ("conv2d_dx", [(1, 3, 3, 1), (3, 3, 4, 1)], {**IMAGE, "height": 6, "width": 5}, "g is 3x3, but a 6x5 image gives 4x3"),
    ("conv2d_dx", [(1, 1, 1, 1), (1, 1, 4, 1)], {"stride": 1, "pad": 1, "height": -1, "width": -1}, "height is -1, it has to be"),
    ("conv2d_dw", [(2, 5, 5, 1), (3, 3, 3, 1)], {**IMAGE, "kh": 3, "kw": 3}, "conv2d_dw: x holds 2 images and g 3"),
    ("conv2d_dw", [(2, 5, 5, 1), (2, 3, 3, 1)], {**IMAGE, "kh": 3, "kw": 2}, "g is 3x3, but a 5x5 image gives 3x4"),
    ("bce_logits", [(3,), (3, 1)], {}, "bce_logits: s has shape (3,) and t (3, 1); they have to be the same"),
    ("bce_logits", [(0, 2), (0, 2)], {}, "bce_logits: s has shape (0, 2); the mean over no elements has no value"),
    ("batch_norm", [(3,), (3,), (3,)], {"eps": 1e-5}, "batch_norm: x has shape (3,), it has to have a batch axis"),
    ("batch_norm", [(0, 3), (3,), (3,)], {"eps": 1e-5}, "batch_norm: x has shape (0, 3); the mean over no elements"),
    ("batch_norm", [(4, 3), (4,), (3,)], {"eps": 1e-5}, "batch_norm: gamma has shape (4,), it has to be (3,)"),
    ("batch_norm", [(4, 3), (3,), (1,)], {"eps": 1e-5}, "batch_norm: beta has shape (1,), it has to be (3,)"),
    ("batch_norm", [(4, 3), (3,), (3,)], {"eps": 0.0}, "batch_norm: eps is 0.0, it has to be a positive number"),
    ("batch_norm_grad", [(4, 3), (4, 2), (2,), (2,), (2,)], {}, "batch_norm_grad: g has shape (4, 3) and x (4, 2)"),
    ("batch_norm_grad", [(4, 3), (4, 3), (3,), (1, 3), (3,)], {}, "batch_norm_grad: mean has shape (1, 3), it has to be (3,)"),
    ("bias_act", [(4, 3), (4,)], {"act": "tanh"}, "bias_act: b has shape (4,), it has to be the last axis of x (4, 3)"),
    ("bias_act", [(4, 3), (3,)], {"act": "gelu"}, "bias_act: act is 'gelu', it has to be one of linear, leaky_relu"),
    ("bias_act", [(4, 3), (3,)], {"act": "leaky_relu", "slope": -0.1}, "bias_act: slope is -0.1, it has to be a number between"),
    ("bias_act_grad", [(4, 3), (3, 4)], {"act": "tanh"}, "bias_act_grad: g has shape (4, 3) and y (3, 4)"),
]


@pytest.mark.parametrize("kernel,shapes,params,sentence", MISFITS)
def test_shapes_and_parameters_that_do_not_fit_are_refused(kernel, shapes, params, sentence):
    assert sentence in refusal(kernel, [zeros(*shape) for shape in shapes], **params)


@pytest.mark.parametrize("kernel,states,constants", [
    ("sgd", 1, {}), ("momentum", 2, {"mu": 0.9}), ("adam", 3, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-8}),
])
def test_updates_name_their_rate_sign_and_states(kernel, states, constants):
    given = {"out": (zeros(3),) * states, **constants}
    assert f"{kernel}: rate has shape (1,), it has to be 0-d" in refusal(kernel, (zeros(3), zeros(1)), sign=1, **given)
    assert f"{kernel}: sign is 0, it has to be +1 (ascend) or -1" in refusal(kernel, (zeros(3), zeros()), sign=0, **given)
    assert f"pass out=({', '.join(KERNELS[kernel].outputs)})" in refusal(kernel, (zeros(3), zeros()), sign=1, **constants)


@pytest.mark.parametrize("kernel", ["fill", "ema"])
def test_in_place_kernels_ask_for_their_output(kernel):
    params = {"value": 1.0} if kernel == "fill" else {"decay": 0.5}
    assert "works in place: pass out=(" in refusal(kernel, [zeros(2)] * len(KERNELS[kernel].inputs), **params)


# ---- outputs that are handed in -----------------------------------------------------------------------------------------------


def test_outputs_that_do_not_fit_are_refused():
    a, b = zeros(2, 3), zeros(3, 4)
    assert "matmul: out c has shape (4, 2), it has to be (2, 4)" in refusal("matmul", (a, b), out=zeros(4, 2))
    assert "matmul: out c is float64, but a is float32" in refusal("matmul", (a, b), out=zeros(2, 4, dtype=np.float64))
    assert "matmul: out c has strides" in refusal("matmul", (a, b), out=zeros(4, 2).T)
    assert "matmul gives 1 arrays (c), out has 2" in refusal("matmul", (a, b), out=(zeros(2, 4), zeros(2, 4)))
    assert "bce_logits gives 2 arrays (loss, ds), out has 1" in refusal("bce_logits", (zeros(3), zeros(3)), out=zeros(3))
    assert "out y is a list" in refusal("neg", (a,), out=([0.0],))
    assert "out y is int64" in refusal("fill", (), out=np.zeros(3, np.int64), value=1)


def test_a_read_only_output_is_refused():
    out = zeros(2, 2)
    out.flags.writeable = False
    for kernel, inputs in (("neg", (zeros(2, 2),)), ("sigmoid", (zeros(2, 2),)), ("matmul", (zeros(2, 2), zeros(2, 2)))):
        assert f"{kernel}: out {KERNELS[kernel].outputs[0]} is read-only" in refusal(kernel, inputs, out=out)


def test_an_output_that_overlaps_an_input_is_refused():
    memory = np.ones(20, np.float32)
    a, b = memory[:4].reshape(2, 2), zeros(2, 2)
    assert "matmul: out c overlaps a" in refusal("matmul", (a, b), out=a)
    assert "matmul: out c overlaps b" in refusal("matmul", (b, a), out=memory[3:7].reshape(2, 2))
    g, rate = memory[:6], np.ones((), np.float32)
    assert "sgd: out theta overlaps g" in refusal("sgd", (g, rate), out=g, sign=1)


def test_outputs_that_overlap_each_other_are_refused():
    shared, x = np.ones(3, np.float32), zeros(4, 3)
    out = (zeros(4, 3), shared, shared)
    assert "batch_norm: out inv_std overlaps out mean" in refusal("batch_norm", (x, zeros(3), zeros(3)), out=out, eps=1e-5)
    assert "momentum: out velocity overlaps out theta" in refusal(
        "momentum", (zeros(3), zeros()), out=(shared, shared), sign=1, mu=0.9)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
def test_only_the_first_input_of_the_fused_kernels_may_be_overwritten(backend):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert "bias_act: out y overlaps b" in refusal("bias_act", (x, x[0]), backend, out=x, act="linear")
    flat = x.reshape(-1)
    assert "bias_act: out y overlaps x" in refusal("bias_act", (flat[:3], zeros(3)), backend, out=flat[1:4], act="linear")
    assert "bias_act_grad: out dx overlaps y" in refusal("bias_act_grad", (zeros(2, 3), x), backend, out=(x, zeros(3)), act="tanh")
    backend.launch("bias_act", (x, np.float32([1, 2, 3])), out=x, act="linear")
    np.testing.assert_array_equal(x, [[1, 3, 5], [4, 6, 8]])


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if kernel.overwrites])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_kernels_that_may_overwrite_their_first_input_give_the_same_bits(backend, kernel, data):
    case = data.draw(inputs_for(kernel, data.draw(st.sampled_from(DTYPES))))
    apart = backend.launch(kernel, case.inputs, **case.params)
    apart = apart if isinstance(apart, tuple) else (apart,)
    first = np.array(case.inputs[0])
    if first.shape != apart[0].shape:
        return
    out = (first, *(np.full_like(a, np.nan) for a in apart[1:]))
    backend.launch(kernel, (first, *case.inputs[1:]), out=out if len(out) > 1 else first, **case.params)
    for over, expected in zip(out, apart, strict=True):
        np.testing.assert_array_equal(over, expected)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_poisoned_outputs_are_written_whole_and_given_back(backend, kernel, data):
    """A launch gives the same bits with and without out=; allocated outputs have the shapes and the dtype of the contract."""
    dtype = data.draw(st.sampled_from(DTYPES))
    case = data.draw(inputs_for(kernel, dtype))
    if KERNELS[kernel].in_place:
        out = tuple(s.copy() for s in case.states)
    else:
        fresh = backend.launch(kernel, case.inputs, **case.params)
        fresh = fresh if isinstance(fresh, tuple) else (fresh,)
        out = tuple(np.full_like(a, np.nan) for a in fresh)
    got = backend.launch(kernel, case.inputs, out=out, **case.params)
    for given_, returned in zip(out, got if isinstance(got, tuple) else (got,), strict=True):
        assert returned is given_ and not np.isnan(given_).any()
    if not KERNELS[kernel].in_place:
        shapes = KERNELS[kernel].shapes(*[a.shape for a in case.inputs], **case.params)
        assert [(a.shape, a.dtype) for a in fresh] == [(shape, dtype) for shape in shapes]
        assert all(a.flags.c_contiguous for a in fresh)
        for a, b in zip(fresh, out, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- watchers and replay ------------------------------------------------------------------------------------------------------


def noting(log, name):
    def watcher(launch, proceed):
        log.append(f"{name} before {launch.kernel.name}")
        proceed()
        log.append(f"{name} after {launch.kernel.name}")

    return watcher


def test_the_first_watcher_is_the_outermost_and_leaves_at_the_end():
    backend, log = load("reference"), []
    with backend.watch(noting(log, "outer")), backend.watch(noting(log, "inner")):
        backend.launch("neg", (zeros(2),))
    assert log == ["outer before neg", "inner before neg", "inner after neg", "outer after neg"]
    backend.launch("neg", (zeros(2),))
    assert len(log) == 4 and backend.watchers == []


def test_watchers_leave_after_an_error_and_belong_to_one_backend():
    backend, other, log = load("reference"), load("reference"), []
    with pytest.raises(ZeroDivisionError), backend.watch(noting(log, "a")):
        other.launch("neg", (zeros(2),))
        raise ZeroDivisionError
    assert backend.watchers == [] and log == []


def test_a_watcher_that_does_not_proceed_keeps_the_kernel_from_running():
    backend, out = load("reference"), np.full(2, 7, np.float32)
    with backend.watch(lambda launch, proceed: None):
        backend.launch("neg", (zeros(2),), out=out)
    np.testing.assert_array_equal(out, [7, 7])


def test_a_refused_launch_reaches_no_watcher():
    backend, log = load("reference"), []
    with backend.watch(noting(log, "w")):
        refusal("add", (zeros(2), zeros(3)), backend)
    assert log == []


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
def test_a_recorded_launch_runs_again_on_the_same_buffers(backend):
    launches: list[Launch] = []
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5, 5, 3), (3, 3, 3, 4)))
    with backend.watch(lambda launch, proceed: (launches.append(launch), proceed())):
        y = backend.launch("conv2d", (x, w), stride=2, pad=1)
        z = backend.launch("tanh", (y,))
    x[...] = rng.normal(size=x.shape)
    y[...] = z[...] = np.nan
    for launch in launches:
        launch.run()
    again = backend.launch("conv2d", (x, w), stride=2, pad=1)
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(z, backend.launch("tanh", (again,)))


def test_the_nan_trap_names_the_first_kernel_that_makes_a_nan():
    backend, log = load("reference"), []
    with np.errstate(all="ignore"), backend.watch(noting(log, "seen")), backend.watch(nan_trap):
        y = backend.launch("exp", (np.full(3, 100, np.float32),))
        with pytest.raises(FloatingPointError, match=r"^add turned inputs without NaN \(a \(3,\), b \(3,\)\) into NaN in y$"):
            backend.launch("add", (y, backend.launch("neg", (y,))))
    assert log[-1] == "seen before add"


def test_the_nan_trap_looks_at_every_output():
    backend = load("reference")
    implementations = {**backend.implementations, "bce_logits": lambda s, t, loss, ds: (loss.fill(0), ds.fill(np.nan))}
    broken = Backend("broken", implementations)
    with broken.watch(nan_trap), pytest.raises(FloatingPointError, match="NaN in ds"):
        broken.launch("bce_logits", (zeros(2), zeros(2)))


def test_the_nan_trap_lets_old_nans_and_infinities_pass():
    backend, nan = load("reference"), np.full(2, np.nan, np.float32)
    with backend.watch(nan_trap):
        backend.launch("neg", (nan,))
        backend.launch("neg", (np.full(2, np.inf, np.float32),))
        backend.launch("ema", (zeros(2),), out=nan, decay=0.5)  # the NaN was in the average already
        with pytest.raises(FloatingPointError, match="fill"):
            backend.launch("fill", (), out=zeros(2), value=np.nan)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_nan_trap_lets_every_sound_launch_pass(kernel, data):
    case = data.draw(inputs_for(kernel, data.draw(st.sampled_from(DTYPES))))
    backend = load("cpu")
    with backend.watch(nan_trap):
        backend.launch(kernel, case.inputs, out=tuple(s.copy() for s in case.states) or None, **case.params)


# ---- the package --------------------------------------------------------------------------------------------------------------


def test_normal_axes():
    assert normal_axes(None, 3) == (0, 1, 2) and normal_axes(-1, 3) == (2,) and normal_axes((2, -3), 3) == (0, 2)


@settings(deadline=None)
@given(*[st.integers(low, high) for low, high in ((0, 40), (1, 6), (1, 5), (0, 4))])
def test_conv_size_counts_the_places_where_the_filter_fits(size, k, stride, pad):
    places = [start for start in range(0, size + 2 * pad, stride) if start + k <= size + 2 * pad]
    if places:
        assert conv_size(size, k, stride, pad) == len(places)


@pytest.mark.parametrize("name", tinygan_kernels.names())
def test_every_name_loads_or_says_in_one_line_why_not(name):
    reason = tinygan_kernels.why_unavailable(name)
    if reason is None:
        backend = load(name)
        assert backend.name == name and set(backend.implementations) == set(KERNELS)
        assert {row.kernel for row in backend.versions} == set(KERNELS) and all(row.title for row in backend.versions)
    else:
        assert len(reason.splitlines()) == 1
        with pytest.raises(tinygan_kernels.BackendError) as caught:
            load(name)
        assert reason in caught.value.with_flags and "--emulate" not in str(caught.value)


def test_the_default_is_the_cpu_and_every_load_is_a_new_value():
    assert load().name == "cpu" and repr(load()) == "Backend('cpu')" and load() is not load()
    assert {"cpu", "reference"} <= set(tinygan_kernels.names())
    assert tinygan_kernels.why_unavailable("cpu") is None and tinygan_kernels.why_unavailable("reference") is None


@pytest.mark.parametrize("call", [load, tinygan_kernels.why_unavailable])
def test_an_unknown_backend_is_answered_with_the_list(call):
    with pytest.raises(tinygan_kernels.BackendError, match=r"^there is no backend 'gpu'; tinygan has reference, cpu"):
        call("gpu")


def test_asarray_copies_only_where_it_has_to():
    x = zeros(2)
    assert REFERENCE.asarray(x) is x and REFERENCE.asarray(x, np.float64).dtype == np.float64
    assert REFERENCE.empty((2, 3), np.float32).shape == (2, 3)


def test_the_kernels_import_no_gradients_and_the_reference_no_compiler():
    program = (
        "import sys, tinygan_kernels; tinygan_kernels.load('reference'); "
        "sys.exit(any(m == 'numba' or m.split('.')[0] == 'tinygan' for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_gapped_outputs_keep_what_lies_in_the_gaps():
    memory = np.full((3, 8), 5, np.float32)
    for backend in BACKENDS.values():
        for kernel in ("neg", "sigmoid", "copy"):
            backend.launch(kernel, (zeros(3, 4),), out=memory[:, ::2])
            np.testing.assert_array_equal(memory[:, 1::2], 5)

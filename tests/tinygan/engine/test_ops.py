"""Every op: gradients by gradcheck on both CPU backends, at kinks, at extremes and on nothing; what it records and moves."""

import gc
import weakref

import numba
import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, leaf, names
from tinygan_kernels import load

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.theory import gradient_cases
from tinygan.theory.gradient_cases import GAME_CASES, OP_CASES, run
from tinygan.theory.gradient_points import clearance

BACKENDS = {"reference": REFERENCE, "cpu": load("cpu")}
CASES = OP_CASES + GAME_CASES


@pytest.fixture(autouse=True)
def one_thread():
    """Run the ops in one thread: arrays of a dozen elements are not worth waking others, least of all beside other tests."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


# ---- gradients ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients_of_first_and_second_order(case):
    reports = run(case, REFERENCE, np.random.default_rng(7))
    assert [r.order for r in reports] == [1, 2]
    for report in reports:
        assert report.passed, str(report)


def derivatives(case, backend):
    """Return the value of a case's function, then its gradients and those of its VJP, each in the form in which nobody
    differentiates them again and in the form in which somebody does. The cotangents are random, the same for every backend.
    """
    rng = np.random.default_rng(7)
    f, inputs = case.build(rng, backend)
    for x in inputs:
        x.requires_grad = True
    y = f(*inputs)
    u = leaf(rng.standard_normal(y.shape), backend)
    plain, first = (gradients(y, inputs, u, create_graph, unused="zeros") for create_graph in (False, True))
    weighted = sum(ops.sum(g * constant(rng.standard_normal(g.shape), backend)) for g in first)
    second = [g for create_graph in (False, True) for g in gradients(weighted, [*inputs, u], None, create_graph, unused="zeros")]
    return [t.numpy() for t in (y, *plain, *first, *second)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cpu_has_the_derivatives_of_the_reference(case):
    """The reference's are compared with numeric ones above, so whatever the CPU computes otherwise is wrong."""
    for found, wanted in zip(derivatives(case, BACKENDS["cpu"]), derivatives(case, REFERENCE), strict=True):
        assert np.isfinite(wanted).all()
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12 * max(1.0, np.abs(wanted).max(initial=0.0)))


# public, and no op whose gradient can be checked; unbroadcast is checked through every op that broadcasts
NOT_CHECKED = {"sign", "launch", "as_tensor", "unbroadcast", "BackendMismatch"}


def check_cases(public, cases):
    """Compare the names of the ops with those of the gradient checks. Raises AssertionError, which says where to add what."""
    missing = sorted(set(public) - NOT_CHECKED - {case.op for case in cases})
    assert not missing, (f"no gradient check for {', '.join(missing)}: add a case whose name begins with it to "
                         f"{gradient_cases.__file__}, or, if it has no derivative, its name to NOT_CHECKED in {__file__}")
    unknown = sorted({case.op for case in cases} - set(public))
    assert not unknown, f"{gradient_cases.__file__} checks {', '.join(unknown)}, which no module in tinygan/engine/ops/ defines"
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), f"two cases in {gradient_cases.__file__} have one name"


def test_no_op_is_without_a_case():
    assert len(ops.__all__) > 40 and {"add", "sum", "reshape", "matmul", "bce_logits"} <= set(ops.__all__)
    check_cases(ops.__all__, OP_CASES)


@pytest.mark.parametrize(("public", "cases", "message"), [
    ([*ops.__all__, "cube"], OP_CASES, r"no gradient check for cube: add a case .* to .*theory/gradient_cases\.py"),
    ([name for name in ops.__all__ if name != "exp"], OP_CASES, "checks exp, which no module"),
    (ops.__all__, [*OP_CASES, OP_CASES[0]], "have one name"),
])
def test_an_op_without_a_case_is_found_and_the_message_says_where_it_goes(public, cases, message):
    with pytest.raises(AssertionError, match=message):
        check_cases(public, cases)


def test_clearance_is_the_distance_of_the_nearest_unit_to_its_kink():
    x, b = constant([[0.5, -2.0], [3.0, 0.25]]), constant([0.0, 1.0])
    assert clearance(ops.relu, [x]) == 0.25
    assert clearance(lambda x, b: ops.bias_act(x, b, "leaky_relu"), [x, b]) == 0.5
    assert clearance(ops.tanh, [x]) == np.inf
    assert clearance(ops.relu, [constant([-1.0, -2.0])]) == 0.0, "nothing behind this layer has a gradient"


def test_graphs_of_every_op_are_released_with_their_last_name():
    gc.disable()
    try:
        for case in OP_CASES:
            f, inputs = wanting_gradients(case)
            y = f(*inputs)
            parts = gradients(y, inputs, constant(np.ones(y.shape)), create_graph=True)
            dead = [weakref.ref(tensor) for tensor in (y, *parts) if all(tensor is not x for x in inputs)]
            del y, parts
            assert dead and all(ref() is None for ref in dead), case.name
    finally:
        gc.enable()


def wanting_gradients(case):
    f, inputs = case.build(np.random.default_rng(0), REFERENCE)
    for x in inputs:
        x.requires_grad = True
    return f, inputs


# ---- where there is no derivative, and at the ends of the number line -----------------------------------------------------------


def slope(f, *values):
    inputs = [leaf(v) for v in values]
    return [float(g) for g in gradients(f(*inputs), inputs)]


def test_kinks_take_the_documented_side():
    assert slope(ops.relu, 0.0) == [0.0]
    assert slope(lambda x: ops.leaky_relu(x, 0.3), 0.0) == [0.3]
    assert slope(ops.abs, 0.0) == [0.0]
    assert slope(ops.maximum, 2.0, 2.0) == [0.5, 0.5]
    assert slope(ops.sign, 3.0) == [0.0]


def test_the_largest_share_the_gradient_when_they_tie():
    x = leaf([[1.0, 3.0, 3.0], [5.0, 4.0, 4.0]])
    (g,) = gradients(ops.max(x, 1), [x], constant([1.0, 10.0]))
    np.testing.assert_array_equal(g.numpy(), [[0.0, 0.5, 0.5], [10.0, 0.0, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_and_their_gradients_are_finite_at_any_finite_logit(backend, dtype):
    s = Tensor(np.array([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype), BACKENDS[backend], requires_grad=True)
    losses = (lambda s: ops.bce_logits(s, 1.0), lambda s: ops.bce_logits(s, 0.0))
    for f in (ops.softplus, ops.log_sigmoid, ops.sigmoid, ops.tanh, *losses):
        (g,) = gradients(ops.sum(f(s)), [s], create_graph=True)
        (second,) = gradients(ops.sum(g * g), [s])
        assert np.isfinite(f(s).numpy()).all() and np.isfinite(g.numpy()).all() and np.isfinite(second.numpy()).all()


def test_log_sigmoid_keeps_its_digits_where_sigmoid_has_run_out_of_numbers():
    s = leaf([-1000.0, 800.0])
    y = ops.log_sigmoid(s)
    np.testing.assert_array_equal(y.numpy(), [-1000.0, 0.0])
    np.testing.assert_array_equal(gradients(ops.sum(y), [s])[0].numpy(), [1.0, 0.0])


def test_x_to_the_zero_is_one_with_slope_zero_even_at_zero():
    x = leaf([0.0, -2.0])
    y = x**0
    np.testing.assert_array_equal(y.numpy(), [1.0, 1.0])
    np.testing.assert_array_equal(gradients(ops.sum(y), [x])[0].numpy(), [0.0, 0.0])
    np.testing.assert_array_equal(gradients(ops.sum(x**1), [x])[0].numpy(), [1.0, 1.0])


EMPTY = {
    "add": lambda x: x + 1.0, "broadcast": lambda x: x + constant(np.ones((2, 1, 3))), "sum": lambda x: ops.sum(x, 1),
    "slice": lambda x: x[:, 1:], "transpose": lambda x: x.T, "reshape": lambda x: ops.reshape(x, (3, 0)), "relu": ops.relu,
    "pad": lambda x: ops.pad(x, [(1, 0), (0, 0)]), "concat": lambda x: ops.concat([x, x], 1), "inner": lambda x: x.T @ x,
    "linear": lambda x: ops.linear(x, constant(np.ones((3, 2))), constant([1.0, 2.0]), "tanh"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_has_a_gradient_of_its_own_shape(name):
    x = leaf(np.empty((0, 3)))
    y = EMPTY[name](x)
    assert gradients(y, [x], constant(np.ones(y.shape)))[0].shape == (0, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_saw_no_sample_have_gradient_zero(backend):
    b = BACKENDS[backend]
    x, w, bias = leaf(np.empty((0, 3)), b), leaf(np.ones((3, 2)), b), leaf(np.ones(2), b)
    y = ops.linear(x, w, bias, "leaky_relu", 0.2)
    for g, parameter in zip(gradients(y, [w, bias], constant(np.empty((0, 2)), b)), (w, bias), strict=True):
        np.testing.assert_array_equal(g.numpy(), np.zeros(parameter.shape))


# ---- what is recorded, and what is moved ----------------------------------------------------------------------------------------


def test_constants_leave_no_graph():
    for case in OP_CASES:
        f, inputs = case.build(np.random.default_rng(0), REFERENCE)
        assert f(*inputs).parents == (), case.name


def test_views_launch_nothing_and_share_memory():
    x = leaf(np.arange(24.0).reshape(4, 3, 2))
    views = {
        "reshape": lambda: ops.reshape(x, (2, 12)), "transpose": lambda: ops.transpose(x, (2, 0, 1)), "slice": lambda: x[::-2, 1:],
        "number": lambda: x[1, 2, 0], "broadcast": lambda: ops.broadcast_to(x, (5, 4, 3, 2)),
        "contiguous": lambda: ops.contiguous(x),
    }
    for name, view in views.items():
        with launches() as seen:
            y = view()
        assert seen == [] and np.shares_memory(y.numpy(), x.numpy()), name
    assert ops.contiguous(x) is x and ops.reshape(x, x.shape) is x and ops.broadcast_to(x, x.shape) is x


def test_matmul_takes_transposed_views_as_they_lie_and_copies_other_ones():
    a, b = leaf(np.ones((3, 2))), leaf(np.ones((4, 3)))
    with launches() as seen:
        y = a.T @ b.T
        gradients(y, [a, b], constant(np.ones((2, 4))))
    assert names(seen) == ["matmul"] * 3
    with launches() as seen:
        a[::-1] @ constant(np.ones((2, 2)))
    assert names(seen) == ["copy", "matmul"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ops_that_want_contiguous_memory_make_it_so(backend):
    """Parameters that are views, too: a bias may be a row of something larger."""
    b, rng = BACKENDS[backend], np.random.default_rng(0)
    x, w, u = (leaf(rng.standard_normal(shape), b) for shape in ((6, 4), (8, 3), (6, 5)))
    gamma = ops.transpose(u)[1, ::-2]  # (3,), a column from its end up
    steps = {
        "linear": lambda c: ops.linear(c(x[::2]), c(w[::2]), c(gamma), "tanh"),
        "bias_act": lambda c: ops.bias_act(c(ops.transpose(x[:3])), c(gamma), "sigmoid"),
        "batch_norm": lambda c: ops.batch_norm(c(ops.transpose(x[:3])), c(gamma), c(gamma))[0],
        "bce_logits": lambda c: ops.bce_logits(c(x[::2, ::-1]), c(w[:3, :1])),
        "conv2d": lambda c: ops.conv2d(c(ops.reshape(x, (1, 4, 6, 1))[:, ::2]), c(ops.reshape(u, (2, 5, 1, 3))[:, ::2]), 1, 1),
    }
    for name, step in steps.items():
        from_views, from_copies = step(lambda t: t), step(ops.contiguous)
        np.testing.assert_array_equal(from_views.numpy(), from_copies.numpy(), err_msg=name)
        weights = constant(rng.standard_normal(from_views.shape), b)
        found = [gradients(y, [x, w, u], weights, unused="zeros") for y in (from_views, from_copies)]
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)


def test_gradients_do_not_write_into_what_they_were_given():
    """A cotangent handed on as it is must not be changed by whoever receives it."""
    for case in OP_CASES:
        f, inputs = wanting_gradients(case)
        y = f(*inputs)
        u = constant(np.random.default_rng(1).standard_normal(y.shape))
        before = [t.numpy().copy() for t in (u, y, *inputs)]
        gradients(y, inputs, u)
        for t, values in zip((u, y, *inputs), before, strict=True):
            np.testing.assert_array_equal(t.numpy(), values, err_msg=case.name)


def test_one_launch_gives_the_fused_gradient():
    x, w, b = leaf(np.ones((2, 3))), leaf(np.ones((3, 4))), leaf(np.ones(4))
    y = ops.linear(x, w, b, "tanh")
    with launches() as seen:
        gradients(y, [x, w, b], constant(np.ones((2, 4))))
    assert names(seen) == ["bias_act_grad", "matmul", "matmul"]
    h = ops.batch_norm(x, leaf(np.ones(3)), leaf(np.ones(3)))[0]
    with launches() as seen:
        gradients(h, [x], constant(np.ones((2, 3))))
    assert names(seen) == ["batch_norm_grad"]


# ---- refusals -------------------------------------------------------------------------------------------------------------------

X = constant(np.ones((2, 3)))
REFUSED = {
    "mean of nothing": (lambda: ops.mean(constant(np.ones((0, 3))), 0), "no elements"),
    "var of nothing": (lambda: ops.var(constant(np.ones((0, 3)))), "no elements"),
    "max of nothing": (lambda: ops.max(constant(np.ones((2, 0))), 1), "no largest of no elements"),
    "bce of nothing": (lambda: ops.bce_logits(constant(np.ones((0, 1))), 1.0), "no elements"),
    "an axis twice": (lambda: ops.transpose(X, (0, 0)), r"\(0, 0\) is not an order of the 2 axes"),
    "an axis too many": (lambda: ops.sum(X, 2), "axis 2 is out of range for 2 dimensions"),
    "an axis named twice": (lambda: ops.sum(X, (0, -2)), "name a dimension twice"),
    "negative padding": (lambda: ops.pad(X, [(0, 0), (-1, 0)]), "non-negative"),
    "padding for too few axes": (lambda: ops.pad(X, [(0, 0)]), "one pair"),
    "concat of odd shapes": (lambda: ops.concat([X, constant(np.ones((2, 2)))]), "differ elsewhere than along axis 0"),
    "concat of nothing": (lambda: ops.concat([]), "no tensors"),
    "shapes that do not broadcast": (lambda: X + constant(np.ones(2)), "do not broadcast"),
    "inner lengths": (lambda: X @ X, "inner lengths"),
    "conv_transpose2d of a matrix": (lambda: ops.conv_transpose2d(X, X), "four dimensions"),
    "a negative slope": (lambda: ops.bias_act(X, X[0], "leaky_relu", -0.1), "between 0 and 1"),
    "an unknown activation": (lambda: ops.bias_act(X, X[0], "swish"), "one of linear"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [True, 1.0, "0", {0}, (slice(None), False), ([0, 1], True)])
def test_what_is_no_index_is_refused(index):
    with pytest.raises(TypeError, match=r"indexed by ints, slices, \.\.\., None and arrays|have to be whole numbers"):
        X[index]

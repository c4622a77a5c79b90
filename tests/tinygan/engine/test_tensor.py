"""Tensor and the reverse sweep: deep graphs, shared ones, what backward promises, and that nothing unneeded is computed."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, leaf, names
from tinygan_kernels import load

from tinygan import Tensor, grad, gradients, nn, stop
from tinygan.engine import ops

# ---- deep graphs ----------------------------------------------------------------------------------------------------------------

DEEP = """
import gc, threading
import numpy as np
from tinygan_kernels import load
from tinygan import Tensor, gradients

def chain():
    x = Tensor(np.array(0.5), load("reference"), requires_grad=True)
    y = x
    for _ in range(10_000):
        y = 1.0 - y * 0.9999
    y.backward()
    assert np.isclose(float(x.grad), 0.9999**10_000, rtol=1e-9), x.grad
    (g,) = gradients(y * y, [x], create_graph=True)
    (second,) = gradients(g, [x])
    assert np.isclose(float(second), 2 * 0.9999**20_000, rtol=1e-9), second
    del y, g, second
    print("released")

gc.disable()  # so that the chain is released link by link, here and now
threading.stack_size(256 * 1024)  # a recursion per link needs many times as much
thread = threading.Thread(target=chain)
thread.start()
thread.join()
"""


def test_twenty_thousand_ops_are_swept_twice_and_released_without_recursion():
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=3600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "released\n", "")


def test_a_graph_has_no_cycles_so_its_memory_goes_with_its_last_name():
    x = leaf([1.0, 2.0])
    gc.collect()
    gc.disable()
    try:
        y = ops.sum(ops.tanh(x * x))
        (g,) = gradients(y, [x], create_graph=True)
        dead = [weakref.ref(y), weakref.ref(y.parents[0]), weakref.ref(g), weakref.ref(g.parents[0])]
        del y, g
        assert [ref() for ref in dead] == [None] * 4
    finally:
        gc.enable()


def test_paths_that_double_at_every_level_cost_one_visit_each():
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y + y
    with launches() as seen:
        y.backward()
    assert float(x.grad) == 2.0**60
    assert len(seen) < 200


# ---- backward -------------------------------------------------------------------------------------------------------------------


def test_backward_twice_replaces_the_gradient_and_never_doubles_it():
    x = leaf([1.0, -2.0])
    y = ops.sum(x**3)
    y.backward()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 12.0])
    ops.sum(x * 5.0).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 5.0])


def test_backward_writes_to_the_leaves_it_reaches_and_to_no_other():
    x, w, elsewhere = leaf(2.0), leaf(3.0), leaf(4.0)
    middle = x * w
    (middle * middle).backward()
    assert float(x.grad) == 2 * 2 * 9 and float(w.grad) == 2 * 3 * 4
    assert elsewhere.grad is None and middle.grad is None
    (x * elsewhere).backward()
    assert float(elsewhere.grad) == 2 and float(x.grad) == 4
    assert float(w.grad) == 24, "a leaf that a second backward does not reach keeps what it had"


def test_gradients_of_backward_are_constants():
    x = leaf(2.0)
    (x**2).backward()
    assert not x.grad.tracked and x.grad.parents == ()


def test_backward_of_a_leaf_is_one():
    x = leaf(7.0)
    x.backward()
    assert float(x.grad) == 1.0


def test_backward_weighs_by_the_cotangent():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    ops.transpose(x).backward(constant([[1.0, 10.0], [100.0, 1000.0]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 100.0], [10.0, 1000.0]])


def test_backward_says_what_it_needs():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\); pass the cotangent, or reduce"):
        (x * 2.0).backward()
    with pytest.raises(ValueError, match=r"cotangent is float64 of shape \(3,\), output is float64 of shape \(2,\)"):
        (x * 2.0).backward(constant([1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="no leaf with requires_grad=True"):
        ops.sum(constant([1.0])).backward()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_any_tensor_of_one_element_is_a_single_number(shape):
    x = leaf(np.full(shape, 3.0))
    (x * x).backward()
    assert x.grad.shape == shape and x.grad.numpy().item() == 6.0


# ---- gradients with respect to anything -----------------------------------------------------------------------------------------


def test_what_the_output_does_not_depend_on_gets_zeros_of_its_own_shape_on_request():
    x, other = leaf([1.0, 2.0]), Tensor(np.ones((2, 3), np.float32), REFERENCE, requires_grad=True)
    gx, g_other = gradients(ops.sum(x * x), [x, other], unused="zeros")
    np.testing.assert_array_equal(gx.numpy(), [2.0, 4.0])
    np.testing.assert_array_equal(g_other.numpy(), np.zeros((2, 3)))
    assert g_other.dtype == np.float32


FORMS = {
    "a list": lambda a, b: [a, b], "a tuple": lambda a, b: (a, b), "a generator": lambda a, b: (t for t in (a, b)),
    "a dictionary": lambda a, b: {"a": a, "b": b}, "its values": lambda a, b: {"a": a, "b": b}.values(),
}


@pytest.mark.parametrize("form", FORMS)
def test_tensors_to_differentiate_by_may_come_in_any_order_that_is_one(form):
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([1.0, 2.0])
    ga, gb = gradients(ops.sum(a * a * b), FORMS[form](a, b))
    np.testing.assert_array_equal(ga.numpy(), 2 * a.numpy() * b.numpy())
    np.testing.assert_array_equal(gb.numpy(), (a.numpy() ** 2).sum(axis=0))


@pytest.mark.parametrize("value", [[[1.0, 2.0], [3.0, 4.0]], 3.0])
def test_a_single_tensor_to_differentiate_by_gives_a_list_of_one(value):
    w = leaf(value)
    (g,) = gradients(ops.sum(w * w), w)
    np.testing.assert_array_equal(g.numpy(), 2 * w.numpy())


W, X0 = leaf([1.0, 2.0]), constant([3.0, 4.0])
LOSS = ops.sum(W * W * X0)
NOT_TENSORS = {
    "a number": (3.0, "wrt is a float, it has to be a list of tensors"), "None": (None, "wrt is a NoneType"),
    "an array": (np.ones(2), "wrt is a ndarray"), "text": ("w", "wrt is a str"), "a set": ({W}, "wrt is a set"),
    "a list of names": (["w"], r"wrt\[0\] is a str, it has to be a Tensor"),
    "an array among them": ({"w": W, "b": np.ones(2)}, r"wrt\['b'\] is a ndarray"),
    "a layer": (nn.ReLU(), r"wrt is a ReLU, it has to be a list of tensors \(a layer's are layer.parameters\(\)\)"),
}


@pytest.mark.parametrize("name", NOT_TENSORS)
def test_what_is_no_tensor_cannot_be_differentiated_by(name):
    given, message = NOT_TENSORS[name]
    with pytest.raises(TypeError, match=message):
        gradients(LOSS, given)


def test_only_tensors_can_be_differentiated():
    with pytest.raises(TypeError, match="output is a float, it has to be a Tensor"):
        gradients(3.0, [W])


USELESS = {
    "a constant that was used": (X0, r"wrt\[1\], float64 of shape \(2,\), does not require a gradient"),
    "a leaf that was not": (leaf([5.0, 6.0, 7.0]), r"wrt\[1\], float64 of shape \(3,\), has no part in output"),
    "a result that was not": (W * 2.0, "has no part in output"),
    "the output of another op": (ops.exp(LOSS), "has no part in output"),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", USELESS)
def test_what_output_was_not_computed_from_is_an_error_and_no_zeros(name, create_graph):
    other, message = USELESS[name]
    with pytest.raises(ValueError, match=message):
        gradients(LOSS, [W, other], create_graph=create_graph)


def test_a_constant_has_no_gradient_on_request_either():
    """Only in part would its ways to the output be known: x * 2 keeps none."""
    with pytest.raises(ValueError, match="does not require a gradient"):
        gradients(LOSS, [X0], unused="zeros")
    with pytest.raises(ValueError, match="unused is 'none', it has to be 'error' or 'zeros'"):
        gradients(LOSS, [W], unused="none")


def test_a_way_that_was_cut_is_said():
    w = leaf([1.0, 2.0])
    for cut in (ops.sum(stop(w) * 2.0), ops.sum(ops.exp(constant(w.numpy())))):
        with pytest.raises(ValueError, match=r"computed from no tensor that requires a gradient, or the way was cut by stop\(\)"):
            gradients(cut, [w])


def test_where_the_derivative_is_zero_zeros_are_no_error():
    x = leaf([1.0, -2.0])
    np.testing.assert_array_equal(gradients(ops.sum(ops.sign(x)), [x])[0].numpy(), [0.0, 0.0])
    (g,) = gradients(ops.sum(3.0 * x), [x], create_graph=True)
    np.testing.assert_array_equal(gradients(ops.sum(g), [x])[0].numpy(), [0.0, 0.0])
    assert float(grad(grad(lambda t: 3.0 * t))(leaf(2.0))) == 0.0
    assert float(grad(grad(grad(lambda t: t * t)))(leaf(2.0))) == 0.0


def test_a_slope_that_does_not_depend_on_another_input_says_so():
    a, x = leaf(2.0), leaf(3.0)
    (slope,) = gradients(a * x, [x], create_graph=True)
    assert [float(g) for g in gradients(slope, [a, x])] == [1.0, 0.0]
    with pytest.raises(ValueError, match="has no part in output"):
        gradients(slope * 1.0, [leaf(1.0)])


# ---- gradients have memory of their own -------------------------------------------------------------------------------------

BOTH = {
    "added": lambda a, b: a + b, "subtracted": lambda a, b: a - b, "joined": lambda a, b: ops.concat([a, b]),
    "twice": lambda a, b: a + a + b, "reshaped": lambda a, b: ops.reshape(a, (2, 1)) + ops.reshape(b, (2, 1)),
    "summed": lambda a, b: ops.sum(a) + ops.sum(b), "repeated": lambda a, b: ops.broadcast_to(a, (3, 2)) + b,
    "transposed": lambda a, b: ops.transpose(ops.reshape(a, (1, 2))) + ops.transpose(ops.reshape(b, (1, 2))),
    "sliced": lambda a, b: a[::-1] + b[::-1], "itself": lambda a, b: a + 0.0 * b,
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_gradients_share_memory_with_nothing(name, create_graph, backend):
    backend = load(backend)
    a, b = leaf([1.0, 2.0], backend), leaf([3.0, 4.0], backend)
    y = BOTH[name](a, b)
    u = constant(np.ones(y.shape), backend)
    found = gradients(y, [a, b, a, y], u, create_graph=create_graph)
    arrays = [g.array for g in found]
    for i, array in enumerate(arrays):
        others = [*arrays[:i], *arrays[i + 1 :], u.array, a.array, b.array, y.array]
        assert array.flags.writeable and not any(np.may_share_memory(array, other) for other in others)
    before = [g.numpy().copy() for g in found]
    found[0].array /= 2
    np.testing.assert_array_equal(found[0].numpy(), before[0] / 2)
    for g, values in zip(found[1:], before[1:], strict=True):
        np.testing.assert_array_equal(g.numpy(), values)
    np.testing.assert_array_equal(u.numpy(), np.ones(y.shape))


def test_backward_gives_every_leaf_an_array_of_its_own():
    w, b = leaf([1.0, 1.0]), leaf([0.0, 0.0])
    ops.sum((w + b) * constant([3.0, 4.0])).backward()
    for p in (w, b):
        p.grad.array /= 2
    np.testing.assert_array_equal([w.grad.numpy(), b.grad.numpy()], [[1.5, 2.0]] * 2)
    x = leaf([1.0, 2.0, 3.0])
    ops.sum(x).backward()
    x.grad.array *= 0.5
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 0.5))


def test_a_fresh_gradient_is_not_copied():
    x, w, b = leaf(np.ones((2, 3))), leaf(np.ones((3, 4))), leaf(np.ones(4))
    y = ops.linear(x, w, b, "tanh")
    with launches() as seen:
        gradients(ops.sum(y * y), [x, w, b])
    assert "copy" not in names(seen)


def test_second_derivatives_flow_through_the_copies():
    """d/da of (a + b)^3 and d/db of it share the cotangent 3 (a + b)^2, and differentiate to 6 (a + b) each."""
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    first = gradients(ops.sum((a + b) ** 3), [a, b], create_graph=True)
    for g in first:
        for second in gradients(ops.sum(g), [a, b]):
            np.testing.assert_array_equal(second.numpy(), 6 * (a.numpy() + b.numpy()))


# ---- rows -----------------------------------------------------------------------------------------------------------------------


def test_rows_can_be_gone_through_and_a_number_has_none():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal([row.numpy() for row in x], x.numpy())
    np.testing.assert_array_equal(gradients(ops.sum(sum(row * row for row in x)), [x])[0].numpy(), 2 * x.numpy())
    assert float(sum(leaf([1.0, 2.0]))) == 3.0
    for nothing in (list, sum, tuple, iter, max):
        with pytest.raises(TypeError, match="a 0-d tensor is one number and has no rows"):
            nothing(leaf(3.0))


def test_shared_subexpressions_and_diamonds_add_up():
    x = leaf(3.0)
    assert float(gradients(x * x, [x])[0]) == 6.0
    a = x * x
    b, c = a * 2.0, a * x  # 2 x^2 and x^3 meet again in y = 2 x^5
    assert float(gradients(b * c, [x])[0]) == 10 * 3.0**4
    assert float(gradients(a + a * a + x, [x])[0]) == 2 * 3 + 4 * 27 + 1


def test_intermediate_tensors_inputs_and_the_output_itself_can_all_be_asked_for():
    x = leaf(3.0)
    h = x * 2.0
    y = h * h * x  # 4 x^3
    gx, gh, gy, gh_again = gradients(y, [x, h, y, h])
    assert [float(g) for g in (gx, gh, gy, gh_again)] == [12 * 9.0, 2 * 6 * 3.0, 1.0, 36.0]


def test_asking_for_an_intermediate_sees_all_paths_through_it_and_none_past_it():
    x = leaf(3.0)
    h = x * 1.0
    y = h * x
    assert float(gradients(y, [h])[0]) == 3.0, "x's own path is not h's"
    assert float(gradients(y, [x])[0]) == 6.0


def test_stop_keeps_the_values_and_ends_the_gradient():
    x = leaf([1.0, 2.0])
    held = stop(x * 3.0)
    assert not held.tracked
    (g,) = gradients(ops.sum(x * held), [x])
    np.testing.assert_array_equal(g.numpy(), [3.0, 6.0])
    assert stop(x).array is x.array


def test_nothing_is_recorded_of_constants():
    y = ops.sum(ops.tanh(constant([1.0]) * 2.0)) + 1.0
    assert y.parents == () and not y.tracked


# ---- gradients of gradients -----------------------------------------------------------------------------------------------------


def test_create_graph_gives_gradients_that_can_be_differentiated_without_end():
    x = leaf([2.0, -1.0])
    d = ops.sum(x**4)
    for expected in ([32.0, -4.0], [48.0, 12.0], [48.0, -24.0], [24.0, 24.0], [0.0, 0.0]):
        (d,) = gradients(ops.sum(d), [x], create_graph=True)
        np.testing.assert_allclose(d.numpy(), expected, rtol=1e-14)


def test_the_cotangent_can_be_differentiated_too():
    x, u = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    (g,) = gradients(x**2, [x], u, create_graph=True)  # 2 x u
    gx, gu = gradients(g, [x, u], constant([1.0, 100.0]))
    np.testing.assert_array_equal(gx.numpy(), [10.0, 1400.0])
    np.testing.assert_array_equal(gu.numpy(), [4.0, 600.0])
    assert not gradients(x**2, [x], u)[0].tracked, "without create_graph nothing is left behind, not even by way of u"


def test_a_mixed_second_derivative():
    x, w = leaf(2.0), leaf(3.0)
    (gx,) = gradients(x**2 * w**3, [x], create_graph=True)
    assert float(gradients(gx, [w])[0]) == 2 * 2 * 3 * 9


def test_functional_grad_nests_and_takes_constants():
    f = lambda x: x**3  # noqa: E731
    x = constant(2.0)
    assert [float(d(x)) for d in (grad(f), grad(grad(f)), grad(grad(grad(f))), grad(grad(grad(grad(f)))))] == [12.0, 12.0, 6.0, 0.0]
    assert not x.requires_grad and x.grad is None


def test_functional_grad_takes_the_argument_it_is_told():
    f = lambda a, b: a**2 * b  # noqa: E731
    assert float(grad(f)(constant(3.0), constant(5.0))) == 30.0
    assert float(grad(f, argnum=1)(constant(3.0), constant(5.0))) == 9.0
    assert float(grad(grad(f, argnum=1))(constant(3.0), constant(5.0))) == 6.0


def test_an_inner_grad_does_not_confuse_its_variable_with_the_outer_one():
    # d/dx [x d/dy (x + y)] at y = x: the inner derivative is 1, so 1; one that saw x as y would say 2
    f = lambda x: x * grad(lambda y: x + y)(x)  # noqa: E731
    assert float(grad(f)(constant(4.0))) == 1.0


def test_functional_grad_counts_arguments_from_the_end_and_takes_names():
    f = lambda x, y, scale=1.0: x * x * y * scale  # noqa: E731
    assert float(grad(f, argnum=-1)(constant(3.0), constant(5.0))) == 9.0
    assert float(grad(f, argnum=-2)(constant(3.0), constant(5.0))) == 30.0
    assert float(grad(f)(constant(3.0), y=constant(5.0), scale=2.0)) == 60.0
    assert float(grad(grad(f))(constant(3.0), y=constant(5.0))) == 10.0


@pytest.mark.parametrize(("call", "said"), [
    (lambda: grad(leaf(1.0)), r"f is a Tensor.*write gradients\(loss, \[x\]\)"), (lambda: grad(3.0), r"f is 3.0 \(float\)"),
    (lambda: grad(ops.sum, (0, 1)), r"argnum is \(0, 1\), it has to be one number.*gradients\(f\(a, b\), \[a, b\]\)"),
    (lambda: grad(ops.sum, 1.5), "argnum is 1.5"), (lambda: grad(ops.sum, 2)(leaf(1.0)), "there is no argument 2 among the 1"),
    (lambda: stop([leaf(1.0)]), r"stop: x is a list.*\[stop\(t\) for t in x\]"), (lambda: stop(np.ones(2)), "stop: x is array"),
])
def test_what_is_no_function_or_no_tensor_is_refused(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_an_outer_backward_goes_through_functional_grad():
    x = leaf(2.0)
    grad(lambda v: v**3)(x).backward()
    assert float(x.grad) == 12.0


# ---- backends and dtypes --------------------------------------------------------------------------------------------------------

BINARY = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "power": lambda a, b: a**b, "maximum": ops.maximum, "matmul": ops.matmul, "concat": lambda a, b: ops.concat([a, b]),
    "bce_logits": ops.bce_logits,
    "linear": lambda a, b: ops.linear(a, b, b[0]), "bias_act": lambda a, b: ops.bias_act(a, b[0]),
    "batch_norm": lambda a, b: ops.batch_norm(a, b[0], b[0]), "tanh_grad": ops.tanh_grad,
    "gradients": lambda a, b: gradients(ops.tanh(a), [a], b),
    "backward": lambda a, b: ops.transpose(a).backward(b),
}


@pytest.mark.parametrize("name", BINARY)
def test_mixing_backends_is_refused(name):
    a, b = leaf([[0.5, 0.25], [0.125, 1.0]]), leaf([[0.5, 0.25], [0.125, 1.0]], load("reference"))
    with pytest.raises(ops.BackendMismatch, match="different backends"):
        BINARY[name](a, b)


@pytest.mark.parametrize("name", BINARY)
def test_mixing_dtypes_is_refused(name):
    a = leaf([[0.5, 0.25], [0.125, 1.0]])
    b = Tensor(np.array([[0.5, 0.25], [0.125, 1.0]], np.float32), REFERENCE, requires_grad=True)
    with pytest.raises(ValueError, match="is float32"):
        BINARY[name](a, b)


@pytest.mark.parametrize(("data", "dtype"), [
    (3, "float32"), ([1.5, 2.5], "float32"), (np.arange(3), "float32"), (np.ones(2, np.float16), "float32"),
    (np.ones(2, bool), "float32"), (np.ones(2, np.float32), "float32"), (np.ones(2, np.float64), "float64"),
    (np.float64(2), "float64"),
])
def test_float32_and_float64_are_kept_and_all_else_becomes_float32(data, dtype):
    tensor = Tensor(data, REFERENCE)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_arrays_and_gradients_take_the_dtype_of_the_tensor(dtype):
    x = Tensor(np.array([1.0, 2.0], dtype), REFERENCE, requires_grad=True)
    with_numbers = (x * 2, 2 * x, 2.5 - x, 1 / x, x**2, x**0.5, 2**x, ops.mean(x), ops.var(x))
    for y in (*with_numbers, x * np.ones(2), np.ones(2) * x, x + np.arange(2)):
        assert y.dtype == dtype
        assert gradients(ops.sum(y), [x], create_graph=True)[0].dtype == dtype


def test_a_tensor_has_a_copy_of_what_it_was_given():
    data = np.ones(3)
    x = Tensor(data, REFERENCE, requires_grad=True)
    y = ops.sum(x * x * data)  # an operand is copied too
    data *= 5
    np.testing.assert_array_equal(x.numpy(), np.ones(3))
    np.testing.assert_array_equal(gradients(y, [x])[0].numpy(), np.full(3, 2.0))


def test_the_values_as_numpy_gives_them_are_read_only_and_show_later_changes():
    x = leaf([1.0, 2.0])
    values = x.numpy()
    with pytest.raises(ValueError, match="read-only"):
        values += 1
    x.array += 1
    np.testing.assert_array_equal(values, [2.0, 3.0])


# ---- no work that nobody asked for ----------------------------------------------------------------------------------------------


def test_parents_that_need_no_gradient_cost_nothing():
    x, w = leaf(np.ones((2, 3))), leaf(np.ones((3, 4)))
    y = x @ w
    u = constant(np.ones((2, 4)))
    with launches() as both:
        gradients(y, [x, w], u)
    with launches() as one:
        gradients(y, [w], u)
    assert names(both) == ["matmul", "matmul"] and names(one) == ["matmul"]


def test_constants_among_the_parents_cost_nothing():
    y = constant(np.ones((2, 3))) @ leaf(np.ones((3, 4)))
    with launches() as seen:
        y.backward(constant(np.ones((2, 4))))
    assert names(seen) == ["matmul"]


def test_the_sweep_stops_at_what_was_asked_for():
    x = leaf(np.ones((2, 2)))
    early = ops.exp(ops.exp(x))
    late = ops.tanh(early)
    with launches() as seen:
        gradients(late, [early], constant(np.ones((2, 2))))
    assert names(seen) == ["tanh_grad"]


def test_branches_that_lead_nowhere_are_not_entered():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = ops.sum(ops.tanh(w)) + ops.sum(ops.exp(ops.exp(x)))
    with launches() as seen:
        gradients(y, [w])
    assert "tanh_grad" in names(seen) and "mul" not in names(seen)


# ---- the small things a tensor can do -------------------------------------------------------------------------------------------


def test_a_tensor_tells_its_shape_and_turns_into_numbers():
    x = leaf([[1.0, 2.0, 3.0]])
    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 3), 2, 3, 1)
    assert leaf([[2.5]]).item() == 2.5
    for number, error in ((float, TypeError), (Tensor.item, ValueError)):  # the classes that NumPy's arrays raise
        with pytest.raises(error, match=r"shape \(1, 3\) is not one number"):
            number(x)
    with pytest.raises(TypeError, match="0-d"):
        len(leaf(1.0))
    assert repr(x) == "Tensor([[1. 2. 3.]], float64, reference, requires_grad)"

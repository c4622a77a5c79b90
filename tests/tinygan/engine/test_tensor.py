"""Tensor and the reverse sweep: deep graphs, shared ones, what backward promises, and that nothing unneeded is computed."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, leaf, names
from tinygan_kernels import load

from tinygan import Tensor, grad, gradients, stop
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
    for _ in range(25_000):
        y = 1.0 - y * 0.9999
    y.backward()
    assert np.isclose(float(x.grad), 0.9999**25_000, rtol=1e-9), x.grad
    (g,) = gradients(y * y, [x], create_graph=True)
    (second,) = gradients(g, [x])
    assert np.isclose(float(second), 2 * 0.9999**50_000, rtol=1e-9), second
    del y, g, second
    print("released")

gc.disable()  # so that the chain is released link by link, here and now
threading.stack_size(256 * 1024)  # a recursion per link needs a hundred times as much
thread = threading.Thread(target=chain)
thread.start()
thread.join()
"""


def test_fifty_thousand_ops_are_swept_twice_and_released_without_recursion():
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=120)
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
    with pytest.raises(ValueError, match=r"shape \(1, 3\) is not one number"):
        float(x)
    with pytest.raises(TypeError, match="0-d"):
        len(leaf(1.0))
    assert repr(x) == "Tensor([[1. 2. 3.]], float64, reference, requires_grad)"

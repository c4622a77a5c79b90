"""A change in place between forward pass and sweep is refused, or does not matter: no gradient is another function's."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, leaf, names
from tinygan_kernels import load

from tinygan import Tensor, gradients, nn, ops, optim, stop
from tinygan.engine import ChangedArray, Replayed, detect_changes
from tinygan.engine.tensor import record, wrap

CPU = load("cpu")


def network(backend=REFERENCE):
    made = {"backend": backend, "rng": np.random.default_rng(0), "dtype": np.float64}
    norm = nn.BatchNorm(3, backend=backend, dtype=np.float64)
    return nn.Sequential(nn.Linear(2, 3, act="tanh", **made), norm, nn.Linear(3, 1, **made))


# ---- what tinygan notes always --------------------------------------------------------------------------------------------------


def add_ten(x):
    x.array += 10


def new_array(x):
    x.array = x.array + 10


def kernel_into_it(x):
    x.backend.launch("fill", (), out=x.array, value=10.0)


def kernel_into_a_part(x):
    x.backend.launch("fill", (), out=x.array[1:], value=10.0)


def through_a_constant_that_shares_it(x):
    stop(x).array += 10


def through_a_view(x):
    x[:1].array += 10


CHANGES = [add_ten, new_array, kernel_into_it, kernel_into_a_part, through_a_constant_that_shares_it, through_a_view]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("backend", [REFERENCE, CPU], ids=["reference", "cpu"])
def test_an_input_that_was_changed_is_refused(change, backend):
    x = leaf([1.0, 2.0], backend)
    y = ops.sum(x * x)
    change(x)
    with pytest.raises(ChangedArray, match=r"mul: input 0, float64 of shape \(2,\), was changed in place"):
        y.backward()
    ops.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())


def test_a_result_that_was_changed_is_refused():
    x = leaf([1.0, 2.0])
    y = ops.exp(x)
    y.array *= 2
    with pytest.raises(ChangedArray, match="exp: its result"):
        y.backward(constant([1.0, 1.0]))


def test_neighbours_in_one_buffer_do_not_disturb_each_other():
    theta = np.arange(4.0)
    a, b = (wrap(part, REFERENCE) for part in (theta[:2], theta[2:]))
    a.requires_grad = b.requires_grad = True
    y = ops.sum(a * a)
    b.array += 1
    np.testing.assert_array_equal(gradients(y, [a])[0].numpy(), [0.0, 2.0])


def test_an_optimiser_that_moves_between_the_first_and_the_second_derivative_is_noticed():
    w = leaf([1.0, 2.0])
    sgd = optim.SGD({"w": w}, 0.1)
    y = ops.sum(w**3)
    (g,) = gradients(y, [w], create_graph=True)
    np.testing.assert_array_equal(gradients(ops.sum(g), [w])[0].numpy(), [6.0, 12.0])
    sgd.descend([g])
    for again in (lambda: gradients(ops.sum(g), [w]), lambda: gradients(y, [w])):
        with pytest.raises(ChangedArray, match="power: input 0"):
            again()


def test_an_optimiser_may_be_made_after_the_forward_pass():
    w = leaf([1.0, 2.0])
    y = ops.sum(w * w)
    optim.SGD({"w": w}, 0.1)
    np.testing.assert_array_equal(gradients(y, [w])[0].numpy(), [2.0, 4.0])


def test_two_forward_passes_before_their_sweeps_are_no_change():
    """Though batch normalisation writes its running estimates in each, and the gradients are gathered in a buffer."""
    D, rng = network(), np.random.default_rng(1)
    adam = optim.Adam(D.parameters(), 1e-3)
    one, other = (ops.mean(D(constant(rng.standard_normal((4, 2))))) for _ in range(2))
    g = gradients(one, D.parameters())
    gradients(other, D.parameters())
    adam.descend(g)
    with pytest.raises(ChangedArray):
        gradients(other, D.parameters())


def test_running_estimates_that_move_after_an_eval_pass_leave_its_gradient():
    """The pass keeps what it computed from them, not the estimates."""
    D, rng = network().eval(), np.random.default_rng(1)
    x = constant(rng.standard_normal((4, 2)))
    before = gradients(ops.mean(D(x)), D.parameters())
    y = ops.mean(D(x))
    D.train()(x)
    for one, other in zip(before, gradients(y, D.parameters()), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert any((one.numpy() != other.numpy()).any() for one, other in zip(
        before, gradients(ops.mean(D.eval()(x)), D.parameters()), strict=True)), "they did move"


def test_an_average_that_follows_is_noticed():
    average, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = ops.sum(average * average)
    REFERENCE.launch("ema", (w.array,), out=average.array, decay=0.5)
    with pytest.raises(ChangedArray):
        y.backward()


def test_a_replayed_step_is_noticed():
    w = leaf([1.0, 2.0], CPU)
    sgd = optim.SGD({"w": w}, 0.1)

    def step(x):
        y = ops.sum(w * x)
        sgd.descend(gradients(y, [w]))
        return (y,)

    replayed = Replayed(step, CPU)
    replayed(np.ones(2))
    y = ops.sum(w * w)
    (shown,) = replayed.plan.outputs
    z = shown * w
    replayed(np.ones(2))
    for stale in (y, ops.sum(z)):
        with pytest.raises(ChangedArray):
            gradients(stale, [w])
    np.testing.assert_array_equal(gradients(ops.sum(w * w), [w])[0].numpy(), 2 * w.numpy())


def test_only_what_the_sweep_needs_is_looked_at():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    other, y = ops.exp(x), ops.sum(w * 2.0)
    x.array += 1
    np.testing.assert_array_equal(gradients(y, [w])[0].numpy(), [2.0, 2.0])
    with pytest.raises(ChangedArray, match="exp: input 0"):
        ops.sum(other).backward()


def test_what_is_handed_in_is_copied_so_a_reused_buffer_changes_nothing():
    a = np.ones(3)
    t, factor = Tensor(a, CPU, requires_grad=True), np.full(3, 2.0)
    y = ops.sum(t * t * factor)
    a *= 5
    factor *= 7
    np.testing.assert_array_equal(gradients(y, [t])[0].numpy(), np.full(3, 4.0))


def test_a_leaf_that_came_late_is_refused_rather_than_counted_in_part():
    x, w = constant([1.0, 2.0]), leaf([3.0, 4.0])
    y = ops.sum(x * 2.0 + x * w)
    x.requires_grad = True
    with pytest.raises(ValueError, match="made to require a gradient after output had been computed from it"):
        gradients(y, [x])
    np.testing.assert_array_equal(gradients(y, [w])[0].numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(gradients(ops.sum(x * 2.0 + x * w), [x])[0].numpy(), [5.0, 6.0])


def test_notes_cost_no_launch():
    x = leaf([1.0, 2.0])
    with launches() as seen:
        y = ops.sum(x * x)
        add_ten(x)
        with pytest.raises(ChangedArray):
            y.backward()
    assert names(seen) == ["mul", "sum", "fill"]


# ---- what only checksums show ---------------------------------------------------------------------------------------------------


def behind_its_back(x):
    x.array[0] = 5.0


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("change", [*CHANGES, behind_its_back])
def test_with_checksums_every_change_is_refused(change, create_graph):
    x = leaf([1.0, 2.0])
    with detect_changes():
        y = ops.sum(x * x)
    change(x)
    with pytest.raises(ChangedArray, match="mul: input 0"):
        gradients(y, [x], create_graph=create_graph)


def test_with_checksums_a_changed_result_is_refused():
    x = leaf([1.0, 2.0])
    with detect_changes():
        y = ops.exp(x)
        z = ops.sum(y)
    y.array[0] = 3.0
    with pytest.raises(ChangedArray, match=r"sum: input 0"):
        gradients(z, [x])
    with pytest.raises(ChangedArray, match=r"exp: its result"):
        gradients(y, [x], constant([1.0, 1.0]))


def test_without_checksums_a_write_past_the_tensor_goes_unnoticed():
    """As the page says. Whoever makes this fail may take the sentence out of docs/autodiff.md."""
    x = leaf([1.0, 2.0])
    y = ops.sum(x * x)
    behind_its_back(x)
    np.testing.assert_array_equal(gradients(y, [x])[0].numpy(), [10.0, 4.0])


def test_checksums_leave_every_gradient_as_it_is():
    D, x = network(), constant(np.random.default_rng(1).standard_normal((4, 2)))
    plain = gradients(ops.mean(D(x) ** 2), D.parameters())
    with detect_changes():
        checked = gradients(ops.mean(D(x) ** 2), D.parameters(), create_graph=True)
    for one, other in zip(plain, checked, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
    y = ops.sum(D(x))
    assert y.vjps[0].__module__ == "tinygan.engine.ops.reductions", "the mode ends with its with"


def test_an_op_of_ones_own_is_named():
    def twice(x):
        return record(x.array * 2, (x,), (lambda g, y, x: g * 2.0,))

    x = leaf([1.0, 2.0])
    y = ops.sum(twice(x))
    add_ten(x)
    with pytest.raises(ChangedArray, match="twice: input 0"):
        y.backward()

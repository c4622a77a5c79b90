"""What a tensor becomes: numbers, text, NumPy arrays, copies; what it says of names and keywords that it does not have."""

import copy
import math
import operator
import subprocess
import sys

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf
from tinygan_kernels import load, shared

from tinygan import Tensor, grad, gradcheck, gradients, nn, ops, optim
from tinygan.engine import elsewhere

# ---- one number -----------------------------------------------------------------------------------------------------------------


def test_a_tensor_of_one_element_is_a_number_to_python():
    t = leaf([[2.75]])
    assert (float(t), int(t), round(t), round(t, 1), t.item(), t.tolist()) == (2.75, 2, 3, 2.8, 2.75, [[2.75]])
    assert (f"{t:.1f}", f"{t:6.2f}", f"{leaf(0.5):.0%}", math.floor(t), math.exp(leaf(0.0))) == ("2.8", "  2.75", "50%", 2, 1.0)
    assert f"{t}" == str(t) == repr(t)
    assert isinstance(leaf(2.0).tolist(), float) and isinstance(t.item(), float)


@pytest.mark.parametrize(("turn", "error"), [
    (float, TypeError), (int, TypeError), (round, TypeError),
    (bool, ValueError), (lambda t: f"{t:.2f}", ValueError), (lambda t: t.item(), ValueError),
])
@pytest.mark.parametrize("values", [[1.0, 2.0], []])
def test_a_tensor_of_several_or_no_elements_is_not(turn, error, values):
    """The classes are those that NumPy's arrays raise."""
    with pytest.raises(error, match=r"\((2|0),\)"):
        turn(leaf(values))


def test_the_truth_of_a_tensor_is_that_of_its_number():
    assert leaf(3.0) and leaf([[0.5]]) and not leaf(0.0) and not leaf([0.0])
    assert not leaf(1.0) - 1.0


# ---- many numbers ---------------------------------------------------------------------------------------------------------------


def test_rows_length_and_membership():
    t = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2 and [row.tolist() for row in t] == [[1, 2], [3, 4]] == [row.tolist() for row in reversed(t)][::-1]
    assert 3.0 in t and 5 not in t and None not in t and "3" not in t
    assert sum(leaf([1.0, 2.0, 4.0])).tolist() == 7.0
    x = leaf([1.0, 2.0])
    (g,) = gradients(sum(row * row for row in x), [x])
    assert g.tolist() == [2, 4]
    for of in (list, iter, len, sum):
        with pytest.raises(TypeError, match="0-d"):
            of(leaf(3.0))


COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
BESIDE = [2, 2.5, np.float32(2), np.array([1.0, 2.0, 3.0]), [3, 2, 1], leaf([2.0, 2.0, 2.0]), np.array([[2], [3]])]


@pytest.mark.parametrize("other", BESIDE)
def test_comparisons_are_arrays_of_bools(other):
    values = np.array([1.0, 2.0, 3.0])
    t, theirs = leaf(values), other.numpy() if isinstance(other, Tensor) else other
    for compare in COMPARISONS:
        for found, expected in ((compare(t, other), compare(values, theirs)), (compare(other, t), compare(theirs, values))):
            assert type(found) is np.ndarray and found.dtype == bool
            np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_tensor_is_equal_to_nothing_that_is_no_number_and_not_ordered_with_it():
    t = leaf([1.0, 2.0])
    for other in (None, "a", object(), {}):
        assert t != other and operator.eq(t, other) is False
        with pytest.raises(TypeError):
            t < other  # noqa: B015


def test_a_tensor_is_itself_in_sets_and_dictionaries():
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert len({a, b}) == 2 and {a: 1, b: 2}[b] == 2 and a in {a} and a in [a]


def test_changes_in_place_are_refused_or_mean_a_new_tensor():
    w, t = leaf([1.0, 2.0]), constant([1.0, 2.0])
    before = t
    t += w
    t *= 2
    assert t.tolist() == [4, 8] and before.tolist() == [1, 2]
    assert gradients(ops.sum(t), [w])[0].tolist() == [2, 2]
    for change in ("w += 1", "w -= t", "w *= 2", "w /= 2", "w **= 2", "w @= t"):
        with pytest.raises(TypeError, match=r"t\.array \+= u\.array"):
            in_place(change, w, t)
    with pytest.raises(TypeError, match="does not change in place"):
        t[0] = 1.0
    with pytest.raises(TypeError, match="does not change in place"):
        del t[0]
    assert w.tolist() == [1, 2] and (+w) is w


def in_place(change: str, w: Tensor, t: Tensor) -> None:
    """Do what the statement says, whose operator Python calls by its name."""
    name = {"+=": "iadd", "-=": "isub", "*=": "imul", "/=": "itruediv", "**=": "ipow", "@=": "imatmul"}[change.split()[1]]
    getattr(operator, name)(w, t)


@pytest.mark.parametrize("operation", [operator.floordiv, operator.mod, divmod])
def test_operators_that_jump_are_refused_with_what_to_write(operation):
    for a, b in ((leaf([7.0]), 2), (2, leaf([7.0])), (constant([7.0]), leaf([2.0]))):
        with pytest.raises(TypeError, match=r"no ops of tinygan's.*np\.mod\(t\.numpy\(\), u\)"):
            operation(a, b)


# ---- NumPy ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [leaf, constant, lambda v: leaf(v) * 1.0], ids=["a leaf", "a constant", "computed"])
def test_an_array_of_a_tensor_has_its_values(make):
    t = make([[1.5, 2.5]])
    for array, dtype in ((np.asarray(t), "f8"), (np.array(t), "f8"), (np.array(t, np.float32), "f4"),
                         (np.asarray(t, dtype=int), "i8")):
        assert type(array) is np.ndarray and array.dtype == dtype
        np.testing.assert_array_equal(array, np.array([[1.5, 2.5]]).astype(dtype))
    assert np.shares_memory(np.asarray(t), t.array) and not np.shares_memory(np.array(t), t.array)
    np.testing.assert_array_equal(np.array([t[0], t[0]]), [[1.5, 2.5]] * 2)
    assert not np.shares_memory(t.__array__(copy=True), t.array) and t.__array__(np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="only by a copy"):
        t.__array__(np.float32, copy=False)


UNARY = [np.exp, np.tanh, np.sqrt, np.log, np.abs, np.sign, np.negative, np.positive, np.square, np.reciprocal]


@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.__name__)
def test_numpys_functions_of_one_tensor_are_ops_with_a_gradient(function):
    x = leaf([0.5, 2.0])
    y = function(x)
    np.testing.assert_allclose(y.numpy(), function(x.numpy()), rtol=1e-14)
    (g,) = gradients(ops.sum(y), [x])
    h = 1e-6
    np.testing.assert_allclose(g.numpy(), (function(x.numpy() + h) - function(x.numpy() - h)) / (2 * h), rtol=1e-8, atol=1e-12)


BINARY = [np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.matmul]


@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.__name__)
def test_numpys_functions_of_two_keep_the_graph_on_either_side(function):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 1.5], [0.5, 3.0]])
    for y in (function(a, leaf(b)), function(leaf(a), leaf(b))):
        assert isinstance(y, Tensor) and y.tracked
        np.testing.assert_allclose(y.numpy(), function(a, b), rtol=1e-14)


def test_numpys_reductions_and_moves_keep_the_graph():
    a = np.arange(6.0).reshape(2, 3)
    t = leaf(a)
    for function, options in (
        (np.sum, {}), (np.mean, {"axis": 1}), (np.max, {"axis": 0, "keepdims": True}), (np.var, {"axis": np.int64(1)}),
        (np.transpose, {}), (np.transpose, {"axes": (1, 0)}), (np.broadcast_to, {"shape": (2, 2, 3)}),
    ):
        y = function(t, **options)
        assert isinstance(y, Tensor) and y.tracked, function
        np.testing.assert_allclose(y.numpy(), function(a, **options), rtol=1e-14)
    assert np.reshape(t, (3, 2)).tolist() == [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_array_equal(np.concatenate([t, a], axis=1).numpy(), np.concatenate([a, a], axis=1))
    with pytest.raises(TypeError, match="takes axis and keepdims, not ddof"):
        np.var(t, ddof=1)


LOST = {
    "np.arctan": np.arctan, "np.std": np.std, "np.cumsum": np.cumsum, "np.linalg.norm": np.linalg.norm, "np.median": np.median,
    "np.add.reduce": np.add.reduce, "np.hstack": lambda t: np.hstack([t, t]), "np.sort": np.sort,
    "np.exp": lambda t: np.exp(t, out=np.empty(2)),
}


@pytest.mark.parametrize("name", LOST)
def test_what_numpy_alone_can_compute_is_refused_in_a_graph_and_done_for_constants(name):
    with pytest.raises(TypeError, match=r"the graph|gradients flow|is no op of tinygan's; write"):
        LOST[name](leaf([1.0, 2.0]))
    found = LOST[name](constant([1.0, 2.0]))
    assert not isinstance(found, Tensor)
    np.testing.assert_array_equal(found, LOST[name](np.array([1.0, 2.0])))


def test_functions_that_only_look_take_every_tensor():
    t = leaf([[1.0, 2.0]])
    assert (np.shape(t), np.ndim(t), np.size(t), np.allclose(t, [[1, 2]]), np.array_equal(t, t)) == ((1, 2), 2, 2, True, True)
    np.testing.assert_allclose(t, [[1.0, 2.0]])


def test_an_array_takes_a_tensor_in_place_only_by_its_values():
    a = np.ones(2)
    a += constant([1.0, 2.0])
    assert a.tolist() == [2, 3]
    with pytest.raises(TypeError, match=r"a = a \+ t"):
        a += leaf([1.0, 2.0])
    with pytest.raises(TypeError, match="does not change in place"):
        np.exp(a, out=constant([1.0, 2.0]))


def test_matplotlib_draws_tensors():
    from matplotlib.figure import Figure
    (line,) = Figure().subplots().plot(leaf([0.0, 1.0]), leaf([3.0, 4.0]) * 2.0)
    np.testing.assert_array_equal(line.get_xydata(), [[0, 6], [1, 8]])


# ---- plain data in the place of tensors --------------------------------------------------------------------------------------


def test_ops_take_plain_data_like_the_tensor_beside_it_or_on_cpu():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    eye = np.eye(2, dtype=np.float32)
    for y in (ops.matmul([[1, 0], [0, 1]], w), ops.linear(eye, w, [0, 0]), ops.linear(x=eye, w=w, b=np.zeros(2))):
        assert (y.backend is REFERENCE, y.dtype, y.tolist()) == (True, np.float64, w.tolist())
    assert ops.exp([0, 1]).backend is shared("cpu") and ops.relu(-2).tolist() == 0.0
    assert ops.bce_logits([0.0], 1).dtype == np.float32
    assert ops.add(1, 2).tolist() == 3.0 and ops.power(2, 3).tolist() == 8.0
    with pytest.raises(TypeError, match="None"):
        ops.exp(None)
    with pytest.raises(TypeError, match="'x'"):
        ops.exp()


def test_grad_takes_numbers_and_arrays():
    assert grad(lambda x: x * x)(3.0).tolist() == 6.0
    assert grad(grad(lambda x: x**3))(2).tolist() == 12.0
    assert grad(lambda x: (x * x).sum())([1, 2]).tolist() == [2, 4]
    g = grad(lambda x, y: (x * y).sum())(np.ones(2), constant([3.0, 4.0]))
    assert (g.backend is REFERENCE, g.dtype, g.tolist()) == (True, np.float64, [3, 4])
    with pytest.raises(TypeError, match="no argument 1"):
        grad(lambda x: x, argnum=1)(3.0)


def test_two_backends_of_one_name_say_how_that_comes():
    with pytest.raises(ops.BackendMismatch, match="each `load` makes one of its own"):
        Tensor([1.0], load("reference")) + Tensor([1.0], load("reference"))
    with pytest.raises(ops.BackendMismatch, match=r"'cpu'.*'reference'\)$"):
        Tensor([1.0]) + Tensor([1.0], "reference")


# ---- copies ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy])
def test_a_copy_of_a_leaf_is_a_leaf_of_its_own(copied):
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    twin = copied(w)
    assert (twin.requires_grad, twin.dtype, twin.backend is REFERENCE) == (True, np.float64, True)
    assert twin.tolist() == [1, 2] and twin.grad.tolist() == [2, 4] and twin.grad is not w.grad
    twin.array[...] = 9.0
    assert w.tolist() == [1, 2] and not copied(constant([1.0])).requires_grad
    y = w * 2.0
    assert copy.copy(y) is y
    with pytest.raises(TypeError, match=r"stop\(t\)"):
        copy.deepcopy(y)


def test_one_tensor_in_two_places_stays_one():
    w = leaf([1.0])
    a, b = copy.deepcopy([w, w])
    assert a is b and a is not w


# ---- names of other libraries ---------------------------------------------------------------------------------------------------

TORCH = """
abs absolute acos add addmm all allclose amax amin any argmax argmin argsort backward bernoulli bool bmm cat chunk clamp
clip clone contiguous copy_ cos cpu cross cuda cumprod cumsum data data_ptr dequantize detach detach_ device diag dim
div dot double dtype eig element_size eq equal erf exp expand expand_as fill_ flatten flip float floor fmod gather ge
get_device grad grad_fn gt half index_select int inverse is_cuda is_leaf isnan item kthvalue le lerp log log10 log2
log_softmax logsumexp long lt masked_fill masked_select matmul max maximum mean median min minimum mm mul mul_
multinomial mv name names narrow ndim ndimension ne neg nelement new_ones new_zeros nonzero norm normal_ numel numpy
permute pin_memory pow prod qr reciprocal register_hook relu relu_ repeat requires_grad requires_grad_ reshape
reshape_as resize_ retain_grad roll round rsqrt scatter select shape sigmoid sign sin size softmax sort split sqrt
square squeeze std storage stride sub sub_ sum svd t tan tanh tile to tolist topk trace transpose tril triu type type_as
unbind uniform_ unsqueeze unique var view view_as where zero_ zero_grad
"""
MICROGRAD = ["data", "grad", "backward", "relu", "exp", "tanh", "zero_grad", "parameters"]
NAMES = sorted({*TORCH.split(), *MICROGRAD, *(name for name in dir(np.ndarray) if not name.startswith("_"))})


def test_every_method_name_of_other_libraries_works_or_is_answered():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    answered = 0
    for name in NAMES:
        if not hasattr(x, name):
            answer = "; write |; did you mean |: a tensor does not|, and no op"
            with pytest.raises(AttributeError, match=rf"^Tensor has no attribute '{name}'({answer})"):
                getattr(x, name)
            answered += 1
    assert answered > 100


SETTING = """
import copy
import numpy as np
from tinygan import Tensor, ops, stop
fresh = lambda: Tensor([[1.0, 2.0], [3.0, 4.0]], "reference", requires_grad=True)
n = 1
"""


def test_what_the_table_of_names_says_to_write_runs():
    rows = sorted({row for row in elsewhere.TENSOR.values() if not row.startswith("nothing")})
    assert len(rows) > 50
    program = SETTING + "".join(f"x, y = fresh(), fresh()\n{row}\n" for row in rows) + "print('done')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=3600)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_the_table_does_not_answer_for_names_that_exist():
    assert not [name for name in elsewhere.TENSOR if hasattr(Tensor, name)]


@pytest.mark.parametrize(("call", "said"), [
    (lambda x: x.sum(dim=0), "sum takes no dim; write axis"), (lambda x: x.mean(1, keepdim=True), "write keepdims"),
    (lambda x: ops.leaky_relu(x, negative_slope=0.1), "write slope"), (lambda x: ops.conv2d(x, x, padding=1), "write pad"),
    (lambda x: x.sum(axes=0), "write axis"), (lambda x: x.max(axsi=0), "did you mean axis"),
    (lambda x: x.sum(where=1), "it takes x, axis and"),
    (lambda x: x.sum().backward(retain_graph=True), "backward takes no retain_graph; leave it out: "),
    (lambda x: gradients(x.sum(), [x], retain_graph=True), "gradients takes no retain_graph; leave it out: the graph"),
    (lambda x: gradients(x.sum(), [x], allow_unused=True), "gradients takes no allow_unused; write unused"),
    (lambda x: gradients(outputs=x.sum(), inputs=[x]), "gradients takes no outputs; write output"),
    (lambda x: grad(ops.sum, argnums=0)(x), "grad takes no argnums; write argnum"),
    (lambda x: grad(ops.sum, has_aux=True), "grad takes no has_aux; write f so that it returns the loss alone"),
    (lambda x: Tensor(x.array, device="cuda"), "Tensor takes no device; write backend"),
    (lambda x: Tensor(x.array, dtyp=np.float32), "Tensor takes no dtyp; did you mean dtype"),
    (lambda x: Tensor(value=1.0), "Tensor takes no value; write data"),
    (lambda x: x.numpy(force=True), r"numpy takes no force; leave it out: x.numpy\(\) always gives the values"),
    (lambda x: gradcheck(ops.sum, x, atol=1e-6), "gradcheck takes no atol; it takes f, inputs, order,"),
    (lambda x: nn.summary(nn.ReLU(), input_size=(2,)), "summary takes no input_size; it takes layer and sample"),
    (lambda x: optim.SGD([x], 0.1, momentum=0.9), r"SGD takes no momentum; write optim\.Momentum\(parameters, rate, mu\)"),
    (lambda x: x.sum().backward(create_graph=True), r"write gradients\(loss, wrt, create_graph=True\)"),
])
def test_keywords_of_other_libraries_are_answered(call, said):
    with pytest.raises(TypeError, match=said):
        call(leaf([[1.0, 2.0]]))


@pytest.mark.parametrize(("name", "said"), [("matmull", "did you mean 'matmul'"), ("cat", r"write ops\.concat"),
                                            ("nonsense", "'nonsense'$")])
def test_ops_that_do_not_exist_are_answered(name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(ops, name)

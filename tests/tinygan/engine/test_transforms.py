"""jvp, vjp, jacobian, hessian, hvp, linearize: against NumPy's differences, against one another, and differentiated again."""

import numpy as np
import pytest
from engine_parts import leaf

from tinygan import Tensor, grad, gradcheck, hessian, hvp, jacobian, jvp, linearize, ops, vjp

X, T = np.array([0.3, -0.7, 1.1]), np.array([1.0, 2.0, -1.0])


def f(x):
    return ops.tanh(x) * ops.sum(x)


def s(x):
    return ops.sum(ops.exp(x) * ops.sum(x))


def numeric(x):
    y = np.tanh(x)
    return np.diag((1 - y**2) * x.sum()) + y[:, None]


def second(x):
    e = np.exp(x)
    return np.diag(e * x.sum()) + e[:, None] + e[None, :]


def test_first_derivatives_are_those_by_hand():
    J = numeric(X)
    assert np.allclose(jacobian(f)(leaf(X)).numpy(), J, rtol=1e-12)
    y, along = jvp(f, leaf(X), T)
    assert np.allclose(along.numpy(), J @ T, rtol=1e-12) and np.allclose(y.numpy(), np.tanh(X) * X.sum())
    assert np.allclose(vjp(f, leaf(X))[1](T)[0].numpy(), J.T @ T, rtol=1e-12)
    _, push = linearize(f, leaf(X))
    for row, one in zip(J.T, np.eye(3), strict=True):
        assert np.allclose(push(one).numpy(), row, rtol=1e-12)


def test_second_derivatives_are_those_by_hand():
    assert np.allclose(hessian(s)(leaf(X)).numpy(), second(X), rtol=1e-12)
    assert np.allclose(hvp(s, leaf(X), T)[0].numpy(), second(X) @ T, rtol=1e-12)


def test_several_arguments():
    a, b = np.array([2.0]), np.array([3.0])
    assert jvp(lambda a, b: a * b, [leaf(a), leaf(b)], [[1.0], [1.0]])[1].numpy() == [5.0]
    assert [float(h) for h in hvp(lambda a, b: ops.sum(a * a * b), [leaf(a), leaf(b)], [[1.0], [0.0]])] == [6.0, 4.0]
    assert jacobian(lambda a, b: a * b, 1)(leaf(a), leaf(b)).numpy() == [[2.0]]
    assert jvp(lambda a, b: a * 2.0, [leaf(a), leaf(b)], [[0.0], [1.0]])[1].numpy() == [0.0]  # b has no part


CLOSED = {
    "jvp": lambda x: jvp(f, x, T)[1], "vjp": lambda x: vjp(f, x)[1](T)[0], "jacobian": jacobian(f), "hessian": hessian(s),
    "hvp": lambda x: hvp(s, x, T)[0], "linearize": lambda x: linearize(f, x)[1](T),
    "jvp of jvp": lambda x: jvp(lambda x: jvp(f, x, T)[1], x, T)[1],
    "jvp of grad": lambda x: jvp(grad(s), x, T)[1], "grad of jvp": grad(lambda x: ops.sum(jvp(f, x, T)[1])),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", CLOSED)
def test_each_can_be_differentiated_again(name, order):
    report = gradcheck(CLOSED[name], leaf(X), order=order)
    assert report.passed, str(report)


def test_they_agree_with_one_another():
    H = jacobian(grad(s))(leaf(X)).numpy()
    assert np.array_equal(H, hessian(s)(leaf(X)).numpy())
    assert np.allclose(jvp(grad(s), leaf(X), T)[1].numpy(), hvp(s, leaf(X), T)[0].numpy(), rtol=1e-13)


def test_bad_input_is_told():
    x = leaf(X)
    with pytest.raises(TypeError, match=r"linearize: f is"):
        jvp(3, x, T)
    with pytest.raises(ValueError, match="the tangent has shape"):
        jvp(f, x, T[:2])
    with pytest.raises(ValueError, match="2 tangents for 1 arguments"):
        jvp(f, x, [T, T])
    with pytest.raises(ValueError, match="it has to return one number"):
        hvp(f, x, T)
    with pytest.raises(TypeError, match="f returned"):
        vjp(lambda x: x.numpy(), x)
    assert isinstance(vjp(f, x)[0], Tensor)


@pytest.mark.parametrize("call, message", [
    (lambda: jacobian(f, X), r"jacobian: argnum is array.*write jacobian\(f\)\(x\)"),
    (lambda: hessian(f, leaf(X)), r"hessian: argnum is a Tensor.*write hessian\(f\)\(x\)"),
    (lambda: jacobian(f, (0, 1)), r"jacobian: argnum is \(0, 1\)"), (lambda: hessian(f, 1.5), "hessian: argnum is 1.5"),
    (lambda: hessian(3), "hessian: f is 3"),
    (lambda: jacobian(f, 1)(X), "jacobian: there is no argument 1 among the 1"),
    (lambda: hessian(s, 1)(X), "hessian: there is no argument 1 among the 1"),
    (lambda: jacobian(f, -2)(X), "jacobian: there is no argument -2 among the 1"),
    (lambda: jacobian(f)(x=X), "jacobian: there is no argument 0 among the 0"),
])
def test_an_argument_that_there_is_not_is_told(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_negative_numbers_choose_arguments_from_the_end():
    product = lambda a, b: a * a * b  # noqa: E731
    assert float(jacobian(product, -1)(3.0, 5.0)) == 9 and float(jacobian(product, -2)(3.0, 5.0)) == 30
    assert float(hessian(product, -2)(3.0, 5.0)) == 10

"""What may be set on a tensor, and what is said of the rest: a wrong value is refused where it is set, not where it is used."""

import copy

import numpy as np
import pytest
from engine_parts import REFERENCE, leaf
from tinygan_kernels import load

from tinygan import Tensor, gradients

REFUSED = {
    "array: None": ("array", None, TypeError, "array is None, it has to be an array of float32 or float64"),
    "array: a list": ("array", [1.0, 2.0], TypeError, r"array is \[1.0, 2.0\] \(list\).*x.array\[...\] = values"),
    "array: a number": ("array", 3.0, TypeError, r"array is 3.0 \(float\)"),
    "array: a tensor": ("array", Tensor([1.0, 2.0]), TypeError, "array is Tensor"),
    "array: integers": ("array", np.ones(2, int), TypeError, "array is an array of int64"),
    "array: half": ("array", np.ones(2, np.float16), TypeError, "array is an array of float16"),
    "grad: a number": ("grad", 5, TypeError, r"grad is 5 \(int\), .*such as Tensor\(values, x.backend\), or None"),
    "grad: an array": ("grad", np.ones(2), TypeError, "it has to be a Tensor"),
    "grad: another shape": ("grad", leaf([1.0]), ValueError, r"grad has shape \(1,\) and the tensor \(2,\)"),
    "requires_grad: 1": ("requires_grad", 1, TypeError, r"requires_grad is 1 \(int\), it has to be True or False"),
    "requires_grad: text": ("requires_grad", "no", TypeError, "requires_grad is 'no'"),
    "requires_grad: None": ("requires_grad", None, TypeError, "requires_grad is None"),
    "backend: a name": ("backend", "cpu", AttributeError, r"stays what it was made with; write Tensor\(x.numpy\(\), 'cpu'\)"),
    "backend: a backend": ("backend", load("cpu"), AttributeError, "stays what it was made with"),
    "shape": ("shape", (2, 1), AttributeError, r"is not set; write y = x.reshape\(shape\)"),
    "dtype": ("dtype", np.float64, AttributeError, r"write Tensor\(x.numpy\(\), dtype=np.float64\)"),
    "T": ("T", np.ones(2), AttributeError, r"x.array\[...\] = values"),
    "PyTorch's data": ("data", np.ones(2), AttributeError, "no attribute 'data'; write x.array"),
    "misspelt": ("requires_gard", True, AttributeError, "did you mean 'requires_grad'"),
    "a name": ("label", "w", AttributeError, "no attribute 'label'"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("computed", [False, True], ids=["a leaf", "a result"])
def test_what_a_field_cannot_be_is_refused_and_changes_nothing(case, computed):
    name, value, error, said = REFUSED[case]
    w = leaf([1.0, 2.0])
    x = w * 2.0 if computed else w
    array, events = x.array, REFERENCE.writes.now
    with pytest.raises(error, match=said):
        setattr(x, name, value)
    assert (x.array is array, x.grad, x.backend is REFERENCE, x.requires_grad) == (True, None, True, not computed)
    assert REFERENCE.writes.now == events
    gradients(x.sum(), [w])


def test_what_a_field_can_be_is_set():
    x = leaf([1.0, 2.0])
    x.array = np.array([3.0, 4.0])
    x.array += 1
    x.grad = Tensor([1.0, 1.0], REFERENCE)
    x.grad = None
    x.requires_grad = False
    assert (x.tolist(), x.grad, x.tracked) == ([4.0, 5.0], None, False)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_number_that_numpy_makes_of_a_0d_array_is_an_array_again(backend):
    """NumPy gives a scalar for `x.array - 0.1` of a 0-d array, in float64 with NumPy 1; kernels take arrays."""
    x = Tensor(2.0, backend, requires_grad=True)
    number = x.array - 0.5
    x.array = number
    assert type(x.array) is np.ndarray and x.array.shape == () and x.dtype == number.dtype
    (x * x).backward()
    assert float(x.grad) == 3.0


def test_a_copy_has_a_gradient_of_its_own():
    x = leaf([1.0, 2.0])
    x.grad = Tensor([3.0, 4.0], REFERENCE)
    twin = copy.deepcopy(x)
    assert (twin.tolist(), twin.grad.tolist(), twin.requires_grad) == ([1.0, 2.0], [3.0, 4.0], True)
    twin.grad.array *= 2
    assert x.grad.tolist() == [3.0, 4.0]

"""What a tensor does as a holder of values: it becomes a number, a text, a NumPy array, a copy; and it says what it cannot become.

Nothing here is differentiated: a comparison, a copy, an array made from a tensor has no way back to what that was computed from.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from tinygan_kernels import Backend

from .elsewhere import missing_attribute
from .numpy_callers import check_caller

Self = TypeVar("Self", bound="Values")


class Values:
    """The part of Tensor that turns values into Python's and NumPy's objects."""

    __slots__ = ()

    array: Any
    backend: Backend
    requires_grad: bool
    grad: Any

    if TYPE_CHECKING:  # Tensor has them

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def ndim(self) -> int: ...
        @property
        def size(self) -> int: ...
        @property
        def tracked(self) -> bool: ...
        def numpy(self) -> np.ndarray: ...
        def __float__(self) -> float: ...

    # ---- one number -------------------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} is not one truth value; write (t != 0).any() or (t != 0).all()")
        return bool(float(self))

    def __int__(self) -> int:
        return int(float(self))

    def __round__(self, digits: int | None = None) -> float:
        return round(float(self), digits)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise ValueError(f"the format {spec!r} is for one number, and a tensor of shape {self.shape} has {self.size}; "
                             "format the elements of t.tolist(), or use np.array2string(t.numpy())")
        return format(float(self), spec)

    # ---- many numbers -----------------------------------------------------------------------------------------------------------

    def tolist(self) -> Any:
        """Return the values as nested lists of Python floats; of a 0-d tensor, one float."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values for NumPy: np.asarray(t) is t.numpy(), without a copy where the dtype is the tensor's.

        That holds for a tensor in a graph too: who asks for an array gets the values, and no gradient flows through them. It holds
        for lists, so np.array([t, u]) is values. Raises TypeError where a function of NumPy's would compute on the values of a
        tensor in a graph (numpy_callers.py), ValueError where a copy is forbidden and cannot be avoided.
        """
        if self.tracked:
            check_caller()
        values = self.numpy()
        if dtype is not None and np.dtype(dtype) != values.dtype:
            if copy is False:
                raise ValueError(f"a {values.dtype} tensor becomes an array of {np.dtype(dtype)} only by a copy")
            return values.astype(dtype)
        return values.copy() if copy else values

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self == value))

    def _compared(self, other: Any, compare: Callable[[Any, Any], Any]) -> Any:
        """Return an array of bools, element by element, masked as `other` is; NotImplemented for what is no number."""
        values = other if isinstance(other, np.ma.MaskedArray) else np.asarray(other)
        return compare(self.numpy(), values) if values.dtype.kind in "biuf" else NotImplemented

    def __eq__(self, other: object) -> Any:
        return self._compared(other, operator.eq)

    def __ne__(self, other: object) -> Any:
        return self._compared(other, operator.ne)

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return self._compared(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return self._compared(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, operator.ge)

    __hash__ = object.__hash__  # a tensor is itself in sets and dictionaries, whatever its values

    def __iter__(self: Self) -> Iterator[Self]:
        if not self.ndim:
            raise TypeError("a 0-d tensor is one number and has no rows to go through; float(t) gives the number")
        return (self[i] for i in range(self.shape[0]))  # type: ignore[index]

    # ---- changes in place, of which there are none ------------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError("a tensor does not change in place: build its values in NumPy before Tensor(values), join parts by "
                        "ops.concat, or write into t.array[...] where nothing has been computed from t yet")

    def __delitem__(self, index: Any) -> NoReturn:
        raise TypeError("a tensor does not change in place: join the parts that are to stay by ops.concat")

    def _in_place(self, other: Any) -> Any:
        """Let `t += u` mean t = t + u, but for a parameter, where that would leave the parameter itself as it was."""
        if self.requires_grad:
            raise TypeError("`t += u` and the like make a new tensor, so this one, which requires a gradient, would stay as it is: "
                            "to update it write t.array += u.array or use an optimiser; to compute, write y = t + u")
        return NotImplemented

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _in_place

    # ---- operators that have no gradient ----------------------------------------------------------------------------------------

    def _whole_quotient(self, other: Any) -> NoReturn:
        raise TypeError("t // u, t % u and divmod(t, u) are no ops of tinygan's, as they jump; for the values write "
                        "np.floor(t.numpy() / u) and np.mod(t.numpy(), u)")

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _whole_quotient

    # ---- copies -----------------------------------------------------------------------------------------------------------------

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """Return a leaf with the same values in memory of its own, on the same backend, with a copy of its `.grad`."""
        self._refuse_copy("copied")
        twin = memo[id(self)] = type(self)(self.array.copy(), self.backend, self.requires_grad)  # type: ignore[call-arg]
        twin.grad = copy.deepcopy(self.grad, memo)
        return twin

    def __copy__(self: Self) -> Self:
        """Return a copy of a leaf, and what was computed as it is: no op changes it."""
        return self if self.tracked and not self.requires_grad else copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a leaf as its values, the name of its backend and whether it requires a gradient."""
        self._refuse_copy("pickled")
        if self.backend.emulated:
            raise TypeError(f"a tensor on the emulated backend {self.backend.name!r} is not pickled; pickle t.numpy()")
        return type(self), (self.numpy(), self.backend.name, self.requires_grad)

    def _refuse_copy(self, done: str) -> None:
        if self.tracked and not self.requires_grad:
            raise TypeError(f"a tensor that was computed from others is not {done}, as a copy would be cut from them; "
                            "take stop(t), or copy what it was computed from")

    if not TYPE_CHECKING:  # a checker is to report a name that does not exist

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(missing_attribute("Tensor", name, dir(type(self))))

"""Which of NumPy's functions asks a tensor for its values, where NumPy has no hook that hands the function itself to the tensor.

np.exp(t) and np.mean(t) are ops (ops/numpy_calls.py), as NumPy asks t. Of a list of tensors, np.stack asks them too, but np.mean
makes an array of the list first, and an array is values: the mean would be cut from the graph without a word. The calling frames
tell such a function, which is written in Python, from a user or a plotting library that wants an array.
"""

from __future__ import annotations

import re
import sys
from types import FrameType

# Functions that only look at values, show them, or give what no gradient flows through: places, counts, truths, shapes.
LOOKING = frozenset(re.findall(r"\w+", """
    shape ndim size allclose isclose array_equal array_equiv array2string array_repr array_str save savetxt savez savez_compressed
    iscomplexobj isrealobj atleast_1d may_share_memory shares_memory result_type copy zeros_like ones_like empty_like argmax argmin
    argsort argwhere argpartition nonzero flatnonzero count_nonzero any all isin searchsorted digitize histogram histogram2d
    histogram_bin_edges
"""))
# The same where NumPy is given a list: what makes arrays, and what compares.
_BESIDES = frozenset(re.findall(r"\w+", """
    asarray array asanyarray asarray_chkfinite atleast_2d atleast_3d broadcast_arrays isscalar iterable
    __new__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
"""))


def check_caller() -> None:
    """Raise TypeError where one of NumPy's functions that compute is about to compute on the values of a tensor in a graph.

    To be called by the function that NumPy asks for an array.
    """
    frame: FrameType | None = sys._getframe(2)
    names: list[str] = []  # of NumPy's functions, the one that asks first
    module = ""
    while frame is not None and (frame.f_globals.get("__name__") or "").startswith("numpy."):
        module = frame.f_globals["__name__"]
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    if not names or names[-1] in LOOKING | _BESIDES or names[-1].startswith("assert_") or module.startswith("numpy.testing"):
        return
    name = names[-1]
    if module.startswith("numpy.ma"):
        if names[0] != "getdata":  # a masked array is made of the tensor, as an array is
            return
        raise TypeError("a masked array does not hold a tensor that gradients flow through; write "
                        "ops.where(~a.mask, t + a.filled(0), 0) and the like, or a + t.numpy() for the values")
    called = f"np.{name}" if not name.startswith("_") else "a function of NumPy's"
    raise TypeError(f"{called} is given tensors that gradients flow through in a way that would cut them from their graph; join a "
                    "list of them first, as in np.mean(ops.stack([x, y])), or for the values pass x.numpy() of each")

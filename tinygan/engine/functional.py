"""`grad`: the derivative of a function as a function, which can be differentiated again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from .conversion import described, whole_number
from .elsewhere import answers_keywords
from .tensor import Tensor, as_it_is, gradients, record, wrap


@answers_keywords
def grad(f: Callable[..., Tensor], argnum: int = 0) -> Callable[..., Tensor]:
    """Return the function that computes df/d(argument `argnum`), for an f that returns a single number. `grad(grad(f))` works.

    The function takes what f takes; arguments that are given by name are constants. Raises TypeError where f is no function or
    returns no Tensor, ValueError where what it returns was not computed from the argument.
    """
    if isinstance(f, Tensor) or not callable(f):
        write = "; write gradients(loss, [x]) for a tensor that is computed already" if isinstance(f, Tensor) else ""
        raise TypeError(f"grad: f is {described(f)}, it has to be a function that returns a Tensor{write}")
    argnum = argument_number("grad", argnum)

    def derivative(*args: Any, **named: Any) -> Tensor:
        x = _argument(args, argnum)
        # a node of its own, so that an outer grad sees x and an inner one does not see past it
        own = record(x.array, (x,), (as_it_is,)) if x.tracked else wrap(x.array, x.backend)
        own.requires_grad = not x.tracked
        output = f(*args[:argnum], own, *args[argnum + 1 if argnum != -1 else len(args) :], **named)
        return gradients(output, [own], create_graph=True)[0]

    return derivative


def _argument(args: Sequence[Any], argnum: int) -> Tensor:
    """Return the argument that f is differentiated in; a number or an array becomes a tensor like the first one beside it."""
    x, others = args[position("grad", argnum, len(args))], [a for a in args if isinstance(a, Tensor)]
    if isinstance(x, Tensor):
        return x
    return Tensor(x, others[0].backend, dtype=others[0].dtype) if others else Tensor(x)


def argument_number(what: str, argnum: Any) -> int:
    """Return argnum, by which `what` chooses one argument of a function, as an int; negative ones count from the end.

    Raises TypeError for what is no whole number.
    """
    if isinstance(argnum, (tuple, list)):
        raise TypeError(f"{what}: argnum is {argnum!r}, it has to be one number; for several arguments write "
                        "gradients(f(a, b), [a, b])")
    if isinstance(argnum, Tensor) or getattr(argnum, "shape", ()) != ():
        raise TypeError(f"{what}: argnum is {described(argnum)}, it has to be the number of an argument; {what}(f) returns a "
                        f"function: write {what}(f)(x)")
    return whole_number(argnum, f"{what}: argnum", -sys.maxsize)


def position(what: str, argnum: int, count: int) -> int:
    """Return which of `count` arguments argnum chooses. Raises TypeError where there is no such argument."""
    if not -count <= argnum < count:
        raise TypeError(f"{what}: there is no argument {argnum} among the {count} that f was called with")
    return argnum % count

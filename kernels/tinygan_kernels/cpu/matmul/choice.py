"""The ladder of matrix products on the CPU: the ways to compute C = A B, and the choice of one.

RUNGS is the table. `tinygan kernels list` prints it, `load("cpu", versions={"matmul": 2})` forces one of its rows, and `verify` and
the tests enter every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygan_kernels.cpu.ladder import Rung, choose
from tinygan_kernels.cpu.runtime.stages import Pipeline

from .jobs import TakeScratch, fresh_scratch, plan_of, tiled_products
from .skinny import few_terms_product, few_terms_suit, skinny_product
from .zero_skipping import WIDE, SkipZeros, lists_fit, may_pay, narrow, register_bytes


@dataclass(eq=False)
class Product:
    """One launch: C = A B or, with `add`, C += A B, with A or B transposed on request. C-contiguous arrays, any of them empty.

    bias (N,): C = v where v = A B + bias is positive, slope v elsewhere. take: scratch memory. look_for_zeros: A may have zeros,
    which need not be multiplied. version: the rung that is forced.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    trans_a: bool = False
    trans_b: bool = False
    add: bool = False
    bias: np.ndarray | None = None
    slope: float = 1.0
    take: TakeScratch = fresh_scratch
    look_for_zeros: bool = True
    version: int | None = None

    def __str__(self) -> str:
        flags = "".join(f", {flag}" for flag in ("trans_a", "trans_b") if getattr(self, flag))
        return f"matmul of a {self.a.shape} and b {self.b.shape}{flags} in {self.c.dtype}"

    @property
    def terms(self) -> int:
        """K, the length of each sum."""
        return self.a.shape[0 if self.trans_a else 1]

    @property
    def stack(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool, bool, bool]:
        """The first arguments of `tiled_products`: each matrix as a stack of one, and the three flags."""
        return self.a[None], self.b[None], self.c[None], self.trans_a, self.trans_b, self.add

    def most_parts_with_lists(self) -> int | None:
        """Return how many parts of C are each wide enough for listed tiles, where these are forced; None where they are not."""
        if self.version is None:
            return None
        return max(1, self.c.shape[1] * self.c.itemsize // (2 * (WIDE - 1) * register_bytes()))


def _always(product: Product) -> bool:
    return True


def _bind_loops(p: Product) -> Pipeline:
    return skinny_product(p.a, p.b, p.c, p.trans_a, p.trans_b, p.add)


def _tiles_suit(p: Product) -> bool:
    return plan_of(*p.stack) is not None


def _bind_tiles(p: Product) -> Pipeline:
    return tiled_products(*p.stack, p.bias, p.slope, p.take)


def _zeros_suit(p: Product) -> bool:
    return lists_fit(p.c.shape[1], p.c.itemsize) and plan_of(*p.stack, p.most_parts_with_lists()) is not None


def _zeros_pay(p: Product) -> bool:
    return p.look_for_zeros and may_pay(*p.c.shape, p.terms)


def _bind_zeros(p: Product) -> Pipeline:
    """Bind tiles that leave out A's zeros: where a sample of A, taken each time, says that it pays, or always if forced."""
    skip = SkipZeros.WHERE_IT_PAYS if p.version is None else SkipZeros.ALWAYS
    return tiled_products(*p.stack, p.bias, p.slope, p.take, skip, p.most_parts_with_lists())


def _few_terms_suit(p: Product) -> bool:
    return few_terms_suit(p.c.shape[1], p.terms, p.c.itemsize)


def _bind_few_terms(p: Product) -> Pipeline:
    return few_terms_product(p.a, p.b, p.c, p.trans_a, p.trans_b, p.add, p.bias, p.slope)


LOOPS = Rung(1, "plain loops along contiguous rows", _always, _always, _bind_loops)
RUNGS = (
    LOOPS,
    Rung(2, "register tiles in cache blocks", _tiles_suit, _always, _bind_tiles),
    Rung(3, "register tiles, A's zeros left out", _zeros_suit, _zeros_pay, _bind_zeros, lacks=narrow()),
    Rung(4, "a few multiples of B's rows", _few_terms_suit, _always, _bind_few_terms),
)


def suits(number: int, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any], dtype: Any) -> bool:
    """Return whether a rung can compute a product of inputs of these shapes (a, b), with the parameters of the contract."""
    a, b = (np.empty(shape, dtype) for shape in shapes)  # memory that is never touched
    m, n = a.shape[1 if params.get("trans_a") else 0], b.shape[0 if params.get("trans_b") else 1]
    return RUNGS[number - 1].suits(Product(a, b, np.empty((m, n), dtype), **params, version=number))


def bind_product(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    take: TakeScratch = fresh_scratch, look_for_zeros: bool = True, version: int | None = None,
) -> Pipeline:
    """Bind C = A B or C += A B, with A or B transposed on request. C-contiguous, (M, K) (K, N) (M, N); any of them may be empty.

    look_for_zeros: whether A may have zeros, which need not be multiplied. version: the rung to take; the best one if None. Raises
    ContractError where that rung does not suit the shapes.
    """
    product = Product(a, b, c, trans_a, trans_b, add, take=take, look_for_zeros=look_for_zeros, version=version)
    return choose(RUNGS, product).bind(product)


def bind_linear(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, bias: np.ndarray, slope: float, trans_a: bool = False, trans_b: bool = False,
    take: TakeScratch = fresh_scratch, version: int | None = None,
) -> Pipeline | None:
    """Bind C = v where v = A B + bias is positive, slope v elsewhere; None where the plain loops are taken, which have no epilogue.

    Raises ContractError as `bind_product` does.
    """
    product = Product(a, b, c, trans_a, trans_b, False, bias, slope, take, version=version)
    rung = choose(RUNGS, product)
    return None if rung is LOOPS else rung.bind(product)


def bind_products(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False, add: bool = False,
    take: TakeScratch = fresh_scratch,
) -> Pipeline:
    """Bind C[p] = A[p] B[p], or += that, for a stack of matrices (P, M, K) (P, K, N) (P, M, N)."""
    made = tiled_products(a, b, c, trans_a, trans_b, add, take=take)
    return made or Pipeline(s for p in range(len(c)) for s in skinny_product(a[p], b[p], c[p], trans_a, trans_b, add).stages)

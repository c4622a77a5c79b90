"""Describe a wrong output of a kernel: which elements are wrong, what they hold, and which mistake gives just these numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from tinygan_kernels import reference
from tinygan_kernels.contract import KERNELS
from tinygan_kernels.verification.bounds import bound
from tinygan_kernels.verification.cases import Case

ZERO = "they hold zeros"
TILES = (4, 8, 16, 32, 64, 128)


def diagnosis(case: Case, outputs: Sequence[np.ndarray], unwritten: Sequence[np.ndarray] = ()) -> list[str]:
    """Return sentences on what is wrong with the outputs of a case: one or two for each wrong output.

    outputs: what the kernel left, of outputs that held NaN before. unwritten: for each a mask of the elements that it did not
    write, where that is known.
    """
    if case.check == "places":  # the outputs are those of another arrangement of the elements
        return ["the value of an element depends on its place in the array"]
    if case.check != "bound":
        return _at_extremes(case, outputs)
    wide = np.float64 if outputs[0].dtype == np.float32 else np.longdouble
    exact = [np.array(a, wide) for a in (*case.inputs, *case.states)]
    with np.errstate(all="ignore"):
        right = getattr(reference, case.kernel)(*exact, **case.params)
    expected = [np.asarray(e) for e in (right if isinstance(right, tuple) else (right,))]
    allowed = bound(case.kernel, exact, expected, outputs[0].dtype, **case.params)
    untouched = unwritten or [np.zeros(found.shape, bool) for found in outputs]
    said = []
    for name, found, mask, wanted, limit in zip(
        KERNELS[case.kernel].outputs, outputs, untouched, expected, allowed, strict=True
    ):
        wrong = ~inside(found, wanted, limit)
        if not wrong.any():
            continue
        said.append(where_wrong(name, found, wanted, wrong))
        if mask[wrong].all():
            said.append(f"{name}: no thread has written these")
        else:
            said += _mistakes(case, name, found, wanted, limit, wrong)
    return said


def _at_extremes(case: Case, outputs: Sequence[np.ndarray]) -> list[str]:
    """Return a sentence on the first element that is not what the reference gives at infinities, NaN and the largest numbers."""
    with np.errstate(all="ignore"):
        right = getattr(reference, case.kernel)(*case.inputs, *case.states, **case.params)
    expected = right if isinstance(right, tuple) else (right,)
    for name, found, wanted in zip(KERNELS[case.kernel].outputs, outputs, expected, strict=True):
        wrong = ~np.asarray(np.isclose(found, wanted, rtol=1e-3, equal_nan=True))
        if wrong.any():
            return [where_wrong(name, found, np.asarray(wanted), wrong)]
    return []


def inside(found: np.ndarray, wanted: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return a mask of the elements that are inside their bound; a NaN is not, unless it is wanted."""
    with np.errstate(invalid="ignore"):
        near = np.abs(found.astype(wanted.dtype) - wanted) <= limit
    return np.asarray(near | (found == wanted) | (np.isnan(found) & np.isnan(wanted)))


def where_wrong(name: str, found: np.ndarray, wanted: np.ndarray, wrong: np.ndarray) -> str:
    """Return a sentence: how many elements are wrong, where they lie, and the first of them."""
    count = int(wrong.sum())
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    index = ", ".join(map(str, first))
    how_many = f"all {count}" if count == wrong.size and count > 1 else f"{count} of {wrong.size}"
    place = _place(wrong)
    element = f"{name}[{index}]" if first else name
    return (f"{name}: {how_many} elements are wrong{place}; {element} is {found[first]:.6g}, "
            f"and {float(wanted[first]):.6g} is right")  # fmt: skip


def _place(wrong: np.ndarray) -> str:
    """Say which rows, columns or indices all wrong elements lie in, where that is not everywhere."""
    parts, box = [], 1
    for axis, size in enumerate(wrong.shape):
        others = tuple(a for a in range(wrong.ndim) if a != axis)
        at = np.flatnonzero(wrong.any(axis=others))
        low, high = int(at[0]), int(at[-1])
        box *= high - low + 1
        if (low, high) != (0, size - 1):
            what = ("row", "column")[axis] if wrong.ndim == 2 else f"index {axis}:" if wrong.ndim > 1 else "index"
            several = what if ":" in what or low == high else what.replace("index", "indice") + "s"
            parts.append(f"{several} {low}" + (f" to {high}" if high > low else ""))
    if not parts:
        return ""
    return f", {'those of' if box == wrong.sum() else 'within'} {' and '.join(parts)}"


def _mistakes(
    case: Case, name: str, found: np.ndarray, wanted: np.ndarray, limit: np.ndarray, wrong: np.ndarray
) -> Iterator[str]:
    """Yield a sentence on the first mistake that explains all the wrong elements, if one does."""
    for what, value in _candidates(case, name, wanted):
        value = np.asarray(value)
        fits = value.shape == found.shape and inside(found, value, 2 * limit)[wrong].all()
        if fits and not inside(value, wanted, limit)[wrong].any():  # a candidate that equals what is right explains nothing
            yield f"{name}: {what}"
            return


def _candidates(case: Case, name: str, wanted: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (sentence, numbers) for the mistakes that are known, the likely ones first."""
    if case.kernel == "matmul":
        yield from _wrong_products(case)
        yield from _products_in_tf32(case)
    yield ZERO, np.zeros_like(wanted)
    for factor, what in ((2, "twice"), (0.5, "half of"), (-1, "the negative of")):
        yield f"they are {what} what is right", factor * wanted
    if wanted.ndim == 2 and wanted.shape[0] == wanted.shape[1]:
        yield "rows and columns of the output are swapped", wanted.T


def _wrong_products(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what usual mistakes in a product C = A B give."""
    a, b = (x.astype(np.float64 if x.dtype == np.float32 else np.longdouble) for x in case.inputs)
    a, b = (a.T if case.params.get("trans_a") else a), (b.T if case.params.get("trans_b") else b)
    (m, k), n = a.shape, b.shape[1]
    for tile in TILES:
        whole, start = k // tile * tile, max(0, (k - 1) // tile * tile)
        if whole and k % tile:
            rest = "the last term is" if k % tile == 1 else f"the last {k % tile} terms, less than a tile, are"
            yield f"the sum over k ends at {whole} of {k}: {rest} left out", a[:, :whole] @ b[:whole]
        if k > tile > 1:
            rest = "the last term" if k - start == 1 else f"the last {k - start} terms"
            yield f"only {rest} of {k} are in the sum: it begins anew with each tile", a[:, start:] @ b[start:]
            yield f"only the first {tile} terms of {k} are in the sum", a[:, :tile] @ b[:tile]
    if k > 1:
        yield f"the sum over k ends one term early, at {k - 1} of {k}", a[:, : k - 1] @ b[: k - 1]
    for turn_a, turn_b in product((False, True), repeat=2):  # memory read with the wrong pitch or along the wrong side
        if turn_a or turn_b:
            left, right = (_misread(a) if turn_a else a), (_misread(b) if turn_b else b)
            which = " and ".join(letter for letter, turn in (("A", turn_a), ("B", turn_b)) if turn)
            yield f"{which} read as if stored by columns", left @ right
    if m == k == n:
        yield "it is B A instead of A B", b @ a


def _products_in_tf32(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what tensor cores give whose operands keep 10 bits behind the point (TF32), cut off or rounded."""
    if case.inputs[0].dtype != np.float32:
        return
    for half in (0, 1 << 12):
        whole = [np.ascontiguousarray(x).view(np.uint32).astype(np.int64) for x in case.inputs]
        a, b = (((x + half) & ~0x1FFF).astype(np.uint32).view(np.float32).astype(np.float64) for x in whole)
        product = (a.T if case.params.get("trans_a") else a) @ (b.T if case.params.get("trans_b") else b)
        yield ("the operands are rounded to TF32, as on tensor cores: in Triton write tl.dot(..., input_precision=\"ieee\") for "
               "all digits of float32"), product  # fmt: skip


def _misread(matrix: np.ndarray) -> np.ndarray:
    """Return what one reads with row and column exchanged in the address: the memory of the matrix in column order."""
    return np.ascontiguousarray(matrix).reshape(matrix.shape[::-1]).T

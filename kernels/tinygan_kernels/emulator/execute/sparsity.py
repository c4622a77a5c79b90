"""The checks of what products have besides their matrices: metadata and selectors, of which PTX leaves some values undefined."""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics import block_scales, sparsity
from tinygan_kernels.emulator.semantics.warps import WARP
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access
from .lanes import Lanes


def check_metadata(
    access: Access, site: Site, words: np.ndarray, kind: str, depth: int, selector: int, ordered: bool, lanes: Lanes
) -> None:  # fmt: skip
    """Report codes of sparse matrices, in the warps that execute a product, that name no two elements of their chunk.

    words: the metadata of all lanes; kind: the type of A; depth: the k of the product. Raises EmulatorError with the checks off, as
    there is no right result.
    """
    found = sparsity.codes(np.broadcast_to(words, lanes.mask.shape).astype("u4"), kind, depth, selector)
    running: np.ndarray = np.asarray(lanes.mask.reshape(-1, WARP).any(axis=1))
    bad = np.logical_and(sparsity.wrong(found, kind, ordered), running[:, None, None])
    if not bad.any():
        return
    warp, row, number = (int(i[0]) for i in np.nonzero(bad))
    width = sparsity.chunk(kind)
    text = (
        f"metadata of a sparse product: the code {int(found[warp, row, number]):#06b} of row {row}, columns {width * number} to "
        f"{width * number + width - 1} of A is none that PTX defines for {kind}{' with ordered_metadata' if ordered else ''}"
    )
    _fault(access, site, text, warp * WARP + 4 * (row % 8), int(bad.sum()))


def check_selectors(
    access: Access, site: Site, which: str, count: int, byte: np.ndarray, thread: np.ndarray, lanes: Lanes
) -> None:  # fmt: skip
    """Report lanes whose byte-id or thread-id of the scales of A or B (which) has a value that PTX leaves undefined."""
    allowed = block_scales.selectors(which, count)
    for name, values, known in zip(("byte-id", "thread-id"), (byte, thread), allowed, strict=True):
        wide = np.broadcast_to(np.asarray(values), lanes.mask.shape)
        bad = lanes.mask & ~np.isin(wide, known)
        if bad.any():
            lane = int(np.flatnonzero(bad)[0])
            can = ", ".join(map(str, known))
            text = f"{name}-{which} of a product with scale_vec::{count}X is {int(wide[lane])}: it can be {can}"
            _fault(access, site, text, lane, int(bad.sum()))


def _fault(access: Access, site: Site, text: str, lane: int, count: int) -> None:
    """Report what has no right result. With the checks off, raise at once."""
    access.report.add("memcheck", text, site, access.machine, lane, count=count)
    if not access.check:
        access.report.deliver()
        raise EmulatorError(text)

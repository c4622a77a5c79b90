"""The check of a sparse product's metadata, of which PTX leaves some values undefined."""

from __future__ import annotations

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.semantics import sparsity
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
    access.report.add("memcheck", text, site, access.machine, warp * WARP + 4 * (row % 8), count=int(bad.sum()))
    if not access.check:
        access.report.deliver()
        raise EmulatorError(text)

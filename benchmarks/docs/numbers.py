"""Every number, excerpt and figure of docs/, made here: `python -m benchmarks.docs.numbers [--check] [--quick]`

A page has blocks between `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands there is what BLOCKS[PAGE][NAME]() returns.
--check writes nothing, and a page that would change is an error. --quick leaves out what takes longer than a few seconds (the SLOW
blocks and the figures).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tinygan_kernels.backend import Backend
from tinygan_kernels.cpu.ladder import choose
from tinygan_kernels.cpu.matmul import jobs, microkernel

from benchmarks.docs import (
    autodiff_page,
    derivations_page,
    emulator_page,
    figures,
    game_page,
    kernels_page,
    own_kernel_page,
    product_numbers,
    puzzles_page,
)
from benchmarks.docs.excerpts import excerpt, nested
from benchmarks.docs.game_page import claim
from benchmarks.docs.markdown import blocks, filled
from tinygan.engine import ops, tensor
from tinygan.game import moves, objectives, penalties
from tinygan.theory.value import gradients_by_hand
from tinygan.theory.vector_field import jacobian

DOCS = Path(__file__).resolve().parents[2] / "docs"
# blocks that take longer than a few seconds
SLOW = {"ladders", "claims", "k-steps", "collapse", "optimum", "constant-d", "mlp-rates", "parzen", "birthday", "supports",
        "own-wrong", "own-slow", "own-explained", "own-traced", "own-good", "seen", "trained"}
# blocks that show what is chosen for the registers of AVX-512, and are left as they are on other machines
MACHINES_OWN = set() if product_numbers.AVX_512 else {"route", "blocking"}

BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "game.md": {
        "value-code": lambda: excerpt(objectives.value),
        "finite": lambda: claim("finite-logits"),
        "value": lambda: claim("value"),
        "optimum": lambda: claim("optimal-d-1d") + "\n\n" + claim("optimal-d-2d"),
        "constant-d": lambda: claim("constant-d"),
        "hand-code": lambda: excerpt(gradients_by_hand),
        "gradients": lambda: claim("gradients"),
        "g-code": lambda: excerpt(objectives.minimax) + "\n\n" + excerpt(objectives.nonsaturating),
        "saturation": lambda: claim("saturation"),
        "directions": lambda: claim("directions"),
        "total-code": lambda: excerpt(objectives.total_loss),
        "total-loss": lambda: claim("total-loss"),
        "zero-sum": lambda: claim("zero-sum"),
        "steps-code": lambda: "\n\n".join(map(excerpt, (
            moves.Game.ascend_d, moves.Game.judged, moves.Game.descend_g, moves.Game.answered, moves.Game.alternating_step))),
        "k-steps": lambda: claim("k-steps"),
        "dirac": game_page.dirac_radii,
        "drift": lambda: claim("dirac-drift"),
        "nonsaturating": lambda: claim("dirac-nonsaturating") + "\n\n" + claim("dirac-circle"),
        "spectrum": game_page.dirac_spectrum,
        "critical": lambda: claim("r1-critical-step"),
        "mlp-rates": lambda: claim("mlp-rate") + "\n\n" + claim("mlp-critical-step"),
        "solvers": lambda: claim("solvers") + "\n\n" + claim("r3gan"),
        "r1-code": lambda: excerpt(penalties.squared_slope),
        "collapse": lambda: claim("collapse") + "\n\n" + claim("collapse-cures"),
        "parzen": lambda: claim("parzen-table") + "\n\n" + claim("parzen-likelihood"),
        "birthday": lambda: claim("birthday"),
        "supports": lambda: claim("perfect-d") + "\n\n" + claim("perfect-d-noise"),
        "claims": game_page.all_claims,
    },
    "autodiff.md": {
        "op-code": lambda: excerpt(ops.mul) + "\n\n" + excerpt(ops.matmul),
        "record-code": lambda: excerpt(tensor.record),
        "sweep-code": lambda: excerpt(tensor._sweep),
        "graph": autodiff_page.worked_graph,
        "by-hand": autodiff_page.worked_by_hand,
        "unbroadcast-code": lambda: excerpt(ops.unbroadcast),
        "second": autodiff_page.second_order,
        "jacobian-code": lambda: excerpt(jacobian),
        "hessian": autodiff_page.hessian,
        "counts": autodiff_page.gradcheck_counts,
    },
    "derivations.md": {
        "six": derivations_page.six_mistakes,
        "formulas": derivations_page.formulas,
        "lines": derivations_page.line_by_line,
        "planted": derivations_page.planted,
    },
    "kernels.md": {
        "own-wrong": own_kernel_page.wrong,
        "own-slow": own_kernel_page.slow,
        "own-explained": own_kernel_page.explained,
        "own-traced": own_kernel_page.traced,
        "own-good": own_kernel_page.good,
        "contract": kernels_page.contract,
        "bounds": kernels_page.bounds,
        "versions": kernels_page.versions,
        "small-product": product_numbers.small_product,
        "door-code": lambda: excerpt(Backend.launch, without_docstring=True),
        "choice-code": lambda: excerpt(choose, without_docstring=True),
        "route": product_numbers.route,
        "blocking": product_numbers.blocking,
        "block-code": lambda: excerpt(jobs._compute_block),
        "term-code": lambda: nested(microkernel.compute_tile, "multiplied", "term"),
        "ladders": kernels_page.ladders,
        "step": kernels_page.step_costs,
    },
    "emulator.md": emulator_page.BLOCKS,
    "puzzles.md": {"path": puzzles_page.path, "pictures": puzzles_page.pictures, "seen": puzzles_page.seen,
                   "trained": puzzles_page.trained},
}


def render(text: str, page: str, skip: set[str]) -> str:
    """Return the page with its blocks made anew, but for those in `skip`. Raises ValueError where page and script differ in blocks.
    """
    found = blocks(text)
    if sorted(found) != sorted(BLOCKS[page]):
        raise ValueError(f"{page} and the script differ in the blocks {sorted(set(found) ^ set(BLOCKS[page]))}")
    for name in found:
        if name not in skip | MACHINES_OWN:
            text = filled(text, name, BLOCKS[page][name]())
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    stale = []
    for page in BLOCKS:
        before = (DOCS / page).read_text()
        after = render(before, page, SLOW if args.quick else set())
        if after != before:
            stale.append(page)
            if not args.check:
                (DOCS / page).write_text(after)
    if not args.check and not args.quick:
        figures.draw(DOCS / "figures")
    print(f"{'stale' if args.check else 'changed'}: {', '.join(stale) or 'nothing'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

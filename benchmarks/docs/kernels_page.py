"""The numbers of docs/kernels.md: the contract, who implements it, bounds, what the emulator counts, one training step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tinygan_kernels import CUDA_BACKENDS, KERNELS, Launch, ladder, load, names
from tinygan_kernels.profiling import counts
from tinygan_kernels.profiling.work import flops, moved
from tinygan_kernels.verification import bounds as verification_bounds

from benchmarks.docs.markdown import table


def contract() -> str:
    """Return the table of all kernels: inputs, outputs, formula."""
    rows = [[f"`{k.name}`", ", ".join(k.inputs) or "nothing", ", ".join(k.outputs), f"`{k.formula}`"] for k in KERNELS.values()]
    return table(["kernel", "takes", "gives", "what it computes"], rows)


def versions() -> str:
    """Return the ladders: every kernel that has several versions on some backend, and below the table what the others are."""
    ladders = {name: load(name, emulate=name in CUDA_BACKENDS).versions for name in names()}
    titles = {(name, kernel): [f"{v.number} {v.title}" for v in rows if v.kernel == kernel]
              for name, rows in ladders.items() for kernel in KERNELS}
    several = [kernel for kernel in KERNELS if any(len(titles[name, kernel]) > 1 for name in ladders)]
    lines = [[f"`{kernel}`", *("; ".join(titles[name, kernel]) for name in ladders)] for kernel in several]
    single = [f"`{name}`: {_titles_of_others(rows, several)}" for name, rows in ladders.items()]
    return (f"{table(['kernel', *(f'`{name}`' for name in ladders)], lines)}\n\n"
            f"The other {len(KERNELS) - len(several)} kernels have one version on each backend. {'; '.join(single)}.")


def _titles_of_others(rows, several: list[str]) -> str:
    """Return the titles of the versions of kernels that have no ladder, each with how many kernels it is for."""
    others = [row.title for row in rows if row.kernel not in several]
    return ", ".join(f"{title} ({others.count(title)})" for title in dict.fromkeys(others))


def bounds() -> str:
    """Return the allowed error of one product in float32 at several lengths, and what an index error does."""
    rng, rows = np.random.default_rng(0), []
    for k in (16, 256, 4096):
        a, b = rng.standard_normal((4, k)), rng.standard_normal((k, 4))
        (allowed,) = verification_bounds.bound("matmul", (a, b), (a @ b,), np.float32)
        shifted = np.roll(a, 1, axis=1) @ b
        rows.append([str(k), f"{float(np.median(allowed)):.1e}", f"{float(np.median(np.abs(shifted - a @ b) / allowed)):.0e}"])
    return table(["K", "allowed error, float32 (median)", "a product one index off, in units of it"], rows)


def step_costs() -> str:
    """Return what one training step of the default digits run asks of the kernels."""
    from tinygan.data.datasets import load as load_data
    from tinygan.training.config import Config, defaults
    from tinygan.training.run import Run

    dataset, launches = load_data("digits"), []
    backend = load("cpu")
    run = Run(Config(data="digits", **defaults(dataset, None)), dataset, backend, Path("unused"))

    def note(launch: Launch, proceed: Callable[[], None]) -> None:
        launches.append(launch)
        proceed()

    with backend.watch(note):
        run.make_step()
    names_ = {launch.kernel.name for launch in launches}
    rows = []
    for name in names_:
        of = [launch for launch in launches if launch.kernel.name == name]
        rows.append((sum(map(flops, of)), sum(map(moved, of)), name, len(of)))
    rows.sort(reverse=True)
    shown = [[f"`{name}`", str(count), f"{fl / 1e6:.1f}", f"{mv / 1e6:.2f}"] for fl, mv, name, count in rows]
    return table(["kernel", "launches", "Mflop of products", "MB moved"], shown)


def ladders() -> str:
    """Return what the emulator counts for the product 256 x 256 x 256 on each rung of the CUDA backends."""
    rows = []
    for backend in CUDA_BACKENDS:
        for version in ladder(backend):
            if version.kernel != "matmul":
                continue
            total = counts.count("matmul", version.number, (256, 256, 256), backend).total
            sectors, requests = (total(f"l1tex__t_{what}_pipe_lsu_mem_global_op_ld.sum") for what in ("sectors", "requests"))
            conflicts = total("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum")
            rows.append([f"`{backend}` {version.number}", version.title, f"{total('smsp__inst_executed.sum') / 1e6:.2f} M",
                         f"{sectors / 1e6:.2f} M", f"{sectors / requests:.1f}", f"{conflicts:,.0f}"])
    head = ["rung", "what it does", "warp instructions (PTX)", "sectors loaded", "sectors a request", "bank conflicts"]
    return table(head, rows)

"""A program for processes that compile for other registers than this machine's: products and convolutions inside their bounds."""

PROGRAM = """
import numpy as np
from tinygan_kernels import load
from tinygan_kernels.verification import bounds

cpu, rng, window = load("cpu"), np.random.default_rng(0), {"stride": 2, "pad": 1}

def verified(name, shapes, rule="", zeros=0, **params):
    arrays = [(rng.standard_normal(shape) * (rng.random(shape) >= zeros)).astype(np.float32) for shape in shapes]
    return bounds.verify(lambda *a, **p: cpu.launch(name, a[:2], out=a[2], **p), name, arrays, rule=rule, **params) <= 1

for trans in ({}, {"trans_a": True}, {"trans_b": True}):
    for m, k, n in ((100, 90, 80), (37, 20, 19), (14, 300, 256), (60, 90, 256)):
        a, b = (k, m) if "trans_a" in trans else (m, k), (n, k) if "trans_b" in trans else (k, n)
        assert verified("matmul", (a, b), **trans), (m, k, n, trans)
        assert verified("matmul", (a, b), **trans, zeros=0.7), (m, k, n, trans)
for n, side, c, out, fast in ((3, 12, 3, 32, False), (32, 16, 32, 64, True)):
    x, w, y = (n, side, side, c), (4, 4, c, out), (n, side // 2, side // 2, out)
    rules = [f"{name}_winograd" if fast else "" for name in ("conv2d", "conv2d_dx", "conv2d_dw")]
    assert verified("conv2d", (x, w), rules[0], **window)
    assert verified("conv2d_dx", (y, w), rules[1], **window, height=side, width=side)
    assert verified("conv2d_dw", (x, y), rules[2], **window, kh=4, kw=4)
"""

"""Code for another processor than this machine's: compiled, run, verified, and kept apart from this machine's in Numba's cache."""

import os
import subprocess
import sys

import pytest
import verified_products
from llvmlite import binding

pytestmark = pytest.mark.skipif(
    not (binding.get_process_triple().startswith("x86_64") and binding.get_host_cpu_features().get("avx2")),
    reason="names processors of x86-64 with AVX2 and without, and this machine cannot run their code",
)

# Loops of each kind that names instructions: Adam's estimates of a root, a product in register tiles that may list the factors that
# are not 0, a rectifier; and 20 steps of a GAN, which the reference's have to be equal to up to rounding.
START = """
import numpy as np
from tinygan_kernels import load
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.verification import cases, verify

from tinygan import Tensor
from tinygan.game import Game
from tinygan.nn import Linear, Sequential
from tinygan.optim import SGD

names = elementwise.add.stage(1, *[np.zeros(4, np.float32)] * 3).names
print("width", simd.register_bytes(), "compiled", elementwise.add.compile(names))
cpu = load("cpu")
"""
KERNELS = """
wanted = {"adam": "(257,), sign -1", "matmul": "seven of ten", "leaky_relu": "(1025,)"}
for kernel, label in wanted.items():
    case = next(case for case in cases.cases(kernel, "float32", large=True) if label in case.label)
    share = verify.measure(cpu.implementations[kernel], case, "")
    print(kernel, "right" if share <= 1 else f"off by {share} bounds")
"""
STEPS = """
def trained(backend):
    rng = np.random.default_rng(0)
    made = {"backend": backend, "rng": rng, "dtype": np.float32}
    G = Sequential(Linear(2, 24, act="leaky_relu", **made), Linear(24, 1, **made))
    D = Sequential(Linear(1, 24, act="leaky_relu", slope=0.2, **made), Linear(24, 1, **made))
    game = Game(D, G, SGD(D.parameters(), 0.05), SGD(G.parameters(), 0.05))
    for step in range(20):
        x, z = (Tensor(rng.normal(3, 1, shape).astype(np.float32), backend) for shape in ((64, 1), (64, 2)))
        game.alternating_step(lambda: x, lambda: z)
    return np.concatenate([theta.numpy().ravel() for net in (D, G) for theta in net.parameters().values()])

ours, meant = trained(cpu), trained(load("reference"))
print("20 steps", "right" if np.abs(ours - meant).max() < 2e-4 else f"off by {np.abs(ours - meant).max()}")
"""


def trial(cache, *parts, **settings) -> list[str]:
    """Return the lines that START and these parts print in a process of its own, with Numba's cache in a folder and these settings
    of Numba.
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": "1", **settings}
    command = [sys.executable, "-c", START + "".join(parts)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.long
def test_code_for_other_processors_is_right_and_is_not_taken_for_this_ones(tmp_path):
    """generic has registers of 16 bytes, and haswell, without the features of this machine, of 32. All three share a cache.

    Products and convolutions of many shapes are computed with the wider ones, the steps of a GAN with the narrower ones alone: they
    take a dozen loops, which are compiled anew each time.
    """
    right = [f"{name} right" for name in ("adam", "matmul", "leaky_relu", "20 steps")]
    generic, haswell = {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
    assert trial(tmp_path, KERNELS, STEPS, **generic) == ["width 16 compiled True", *right]
    assert trial(tmp_path, KERNELS, verified_products.PROGRAM, **haswell) == ["width 32 compiled True", *right[:3]]
    assert trial(tmp_path, **generic) == ["width 16 compiled False"], "what is compiled for a processor is found again"

"""Two packages from one checkout: `tinygan` (gradients and the game) and `tinygan_kernels` (arrays in, arrays out)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Numba CUDA brings NVIDIA's compilers as wheels, of one CUDA major version. CuPy before 14 does not look for them there.
# mma.h includes crt/mma.h, which CUDA 12 has among nvcc's headers, and numba-cuda[cu13] lacks; curand_kernel.h is cuRAND's.
# numba-cuda before 0.26 is built otherwise inside than what `emulator.numba()` puts an emulated device into.
CUDA_12 = ["numba-cuda[cu12]>=0.26", "cuda-toolkit[curand]>=12"]
CUDA_13 = ["numba-cuda[cu13]>=0.26", "cuda-toolkit[crt,curand]>=13"]
DRAWING = ["igraph>=1.0"]  # lays graphs out in layers; under the GPL, so it is nothing that everyone installs
FORMULAS = ["sympy>=1.12"]
PLAY = ["starlette>=0.40", "uvicorn>=0.35", "websockets>=13"]  # uvicorn from there on runs on what websockets has now
TESTS = [*DRAWING, *FORMULAS, *PLAY, "pytest>=8", "hypothesis>=6.100", "pytest-xdist>=3.5"]
NOTEBOOKS = ["ipykernel>=6.29", "nbclient>=0.10"]  # run the notebooks of docs/; who reads them wants a page to open them in too
TOOLS = ["ruff>=0.6", "mypy>=1.15", "uv>=0.9"]

setup(
    name="tinygan",
    version=re.search(r'__version__ = "(.+)"', Path(__file__).with_name("tinygan").joinpath("version.py").read_text())[1],
    description="How a GAN really works, down to the kernels: autodiff, the minimax game and its kernels, from scratch",
    license="MIT",
    python_requires=">=3.10",
    packages=[*find_packages(include=["tinygan", "tinygan.*"]), *find_packages("kernels")],
    package_dir={"tinygan": "tinygan", "tinygan_kernels": "kernels/tinygan_kernels"},
    package_data={
        "tinygan": ["py.typed"], "tinygan.engine.ops": ["*.pyi"], "tinygan.play": ["page/*"], "tinygan_kernels": ["py.typed"],
        "tinygan_kernels.cuda.cpp": ["*.cu", "*.cuh"], "tinygan_kernels.own": ["page_files/*"],
        "tinygan_kernels.emulator.program": ["include/*"],
    },
    install_requires=[
        "numpy>=1.26",
        "numba>=0.60",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "threadpoolctl>=3.1",  # which scikit-learn needs too
        "safetensors>=0.7",  # the first that stores complex numbers, which checkpoints may hold
        "matplotlib>=3.8",
        "pillow>=10",
        "typer>=0.15.4",  # earlier ones take any Click, and fail with those from 8.2 on
        "rich>=13",
    ],
    extras_require={
        "derive": FORMULAS,
        "draw": DRAWING,
        "emulator": CUDA_13,
        "emulator-cuda12": CUDA_12,  # beside packages that pin CUDA 12
        "gpu-cuda12": ["cupy-cuda12x>=14", *CUDA_12],  # drivers from 525 on
        "gpu-cuda13": ["cupy-cuda13x>=14", *CUDA_13],  # drivers from 580 on, GPUs from Turing on
        "inspect": ["cuxray", "nvidia-cuda-cuobjdump", "nvidia-cuda-nvdisasm"],
        "mutation": ["mutmut>=3.8"],
        "notebooks": [*NOTEBOOKS, "jupyterlab>=4", *DRAWING, *CUDA_13],
        "peers": ["torch", "jax"],
        "play": PLAY,
        "triton": ["triton>=3.3; sys_platform == 'linux'", *CUDA_13],
        "test": [*TESTS, *NOTEBOOKS, *TOOLS, *CUDA_13],
        "test-cuda12": [*TESTS, *NOTEBOOKS, *TOOLS, *CUDA_12],
    },
    entry_points={"console_scripts": ["tinygan = tinygan.cli.main:main"]},
)

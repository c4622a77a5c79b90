# The two commands: `make train` and `make test`. Everything is installed into .venv, nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help train test lint bench docs gpu gpu-checks clean
help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

train: .venv/.core  ## train a GAN on real handwritten digits; pictures, numbers and a checkpoint land in runs/digits/
	$(BIN)/tinygan train digits --out runs/digits

test: .venv/.test lint  ## verify every kernel and every gradient, and the whole project around them
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/.test  ## ruff, as strict as CI
	$(BIN)/ruff check .

bench: .venv/.peers  ## time training steps and kernels against PyTorch and JAX, and rewrite docs/results.md from what was measured
	$(BIN)/python -m benchmarks.speed.gan_step --peers torch,torch-compile,jax --scaling --json benchmarks/results/gan_step.json
	$(BIN)/python -m benchmarks.speed.kernels --json benchmarks/results/kernels.json
	$(BIN)/python -m benchmarks.docs.results

docs: .venv/.test  ## rewrite the numbers, excerpts, figures and tables of docs/ from the code and the measurements
	$(BIN)/python -m benchmarks.docs.numbers
	$(BIN)/python -m benchmarks.docs.results
	$(BIN)/python -m benchmarks.docs.api

gpu: .venv/.core  ## on a machine with an NVIDIA GPU: its tests, every kernel verified on it, matmul timed against cuBLAS
	@if nvidia-smi -L >/dev/null 2>&1; then $(MAKE) --no-print-directory gpu-checks; else \
	echo "no NVIDIA GPU was found (nvidia-smi lists none), so there is nothing to run; --emulate executes the CUDA kernels without one"; fi

gpu-checks: .venv/.gpu
	$(BIN)/python -m pytest -m gpu
	$(BIN)/tinygan kernels verify --backend cupy
	$(BIN)/tinygan kernels verify --backend numba-cuda
	$(BIN)/python -m benchmarks.speed.gpu_matmul --json benchmarks/results/gpu_matmul.json

clean:  ## remove the virtual environment, runs/ stays
	rm -rf .venv *.egg-info

.venv/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "tinygan needs Python 3.10 or newer, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.core: .venv/.pip setup.py
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.test: .venv/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

.venv/.gpu: .venv/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[gpu]'
	@touch $@

.venv/.peers: .venv/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[peers]' || echo "the peers cannot be installed here; tinygan is timed alone"
	@touch $@

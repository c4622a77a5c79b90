# The two commands: `make train` and `make test`. Everything is installed into .venv; outside this folder only a cache of `make toolkits`.
PYTHON ?= python3
BIN := .venv/bin
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "tinygan needs Python 3.10 or newer, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'

.PHONY: help train test lint lowest fuzz mutation portable bench notebooks docs versions beside toolkits gpu gpu-checks clean
help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

train: .venv/.core  ## train a GAN on real handwritten digits; pictures, numbers and a checkpoint land in runs/digits/
	$(BIN)/tinygan train digits --out runs/digits

LINT = { $(BIN)/ruff check . && $(BIN)/mypy; }
LOWEST = $(BIN)/python -m benchmarks.environments.versions --lowest
# These two go side by side, as much of each keeps one core busy. The tests run whatever the two find.
test: .venv/.test  ## verify every kernel and every gradient, and the whole project, after `make lint` and `make lowest`
	$(LINT) & lint=$$!; $(LOWEST); lowest=$$?; wait $$lint; lint=$$?; \
	$(BIN)/python -m pytest -n 2 --dist worksteal && exit $$((lint | lowest))

lint: .venv/.test  ## ruff and mypy, as strict as CI
	$(LINT)

lowest: .venv/.test  ## run a small part of the tests with the lowest versions that setup.py allows
	$(LOWEST)

MINUTES ?= 5
fuzz: .venv/.test  ## run the fuzzers of tests/attack with fresh seeds for MINUTES=5
	$(BIN)/python -m tests.attack --minutes $(MINUTES)

mutation: .venv/.mutation  ## change the code a thousandfold, by mutmut and by hand, and see that tests notice; hours
	$(BIN)/python -m benchmarks.quality.mutation; status=$$?; $(BIN)/python -m benchmarks.quality.planted && \
	$(BIN)/python -m benchmarks.docs.results && exit $$status

portable: .venv/.test  ## verify the kernels and train on an emulated 64-bit ARM processor; hours, and Debian's packages are fetched
	$(BIN)/python -m benchmarks.environments.portable_arm

bench: .venv/.peers  ## time training steps and kernels against PyTorch and JAX, and rewrite docs/results.md from what was measured
	$(BIN)/python -m benchmarks.speed.gan_step --peers torch,torch-compile,torch-bfloat16,jax --scaling --json benchmarks/results/gan_step.json
	$(BIN)/python -m benchmarks.speed.kernels --json benchmarks/results/kernels.json
	$(BIN)/python -m benchmarks.docs.results

notebooks: .venv/.notebooks  ## open the notebooks of docs/notebooks in JupyterLab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/docs/notebooks

docs: .venv/.test  ## rewrite the numbers, excerpts, figures and tables of docs/ from the code and the measurements
	$(BIN)/python -m benchmarks.docs.numbers
	$(BIN)/python -m benchmarks.docs.results
	$(BIN)/python -m benchmarks.docs.api
	$(BIN)/python -m benchmarks.docs.notebooks

versions: .venv/.test  ## run tests with the lowest, between and newest versions on every Python, and the kernels for other CPUs
	$(BIN)/python -m benchmarks.environments.versions; status=$$?; $(BIN)/python -m benchmarks.docs.results && exit $$status

beside: .venv/.test  ## run the CUDA tests beside PyTorch, CuPy and CUDA 12, in environments made for it in .cache/
	$(BIN)/python -m benchmarks.environments.beside; status=$$?; $(BIN)/python -m benchmarks.docs.results && exit $$status

toolkits: .venv/.test  ## compile the CUDA kernels with every CUDA toolkit from 12.0 on, fetched into ~/.cache/tinygan; an hour
	nice $(BIN)/python -m benchmarks.environments.toolkits --json benchmarks/results/toolkits.json; status=$$?; \
	$(BIN)/python -m benchmarks.docs.results && exit $$status

# Which CUDA packages fit is asked of the driver; `make gpu CUDA=12` overrides it. Each major version has an environment of its own.
gpu:  ## on a machine with an NVIDIA GPU: doctor, tests, verification, times beside cuBLAS's, all of it in gpu-report.md
	@$(CHECK_PYTHON)
	@cuda="$(CUDA)"; if [ -z "$$cuda" ]; then cuda=$$($(PYTHON) kernels/tinygan_kernels/doctor/driver.py); case $$? in 0) ;; \
	1) echo "there is nothing to run without a GPU; --emulate executes the CUDA kernels without one"; exit 0;; *) exit 1;; esac; fi; \
	$(MAKE) --no-print-directory gpu-checks CUDA=$$cuda

gpu-checks: .venv-cuda$(CUDA)/.made
	.venv-cuda$(CUDA)/bin/python -m benchmarks.environments.gpu_report

TESTS_12 := test-cuda12
TESTS_13 := test
.venv-cuda%/.made: setup.py
	$(if $(TESTS_$*),,$(error CUDA is 12 or 13, not $*))
	$(PYTHON) -m venv --clear .venv-cuda$*
	.venv-cuda$*/bin/pip install --quiet --disable-pip-version-check -e '.[$(TESTS_$*),gpu-cuda$*]'
	@touch $@

clean:  ## remove the virtual environments, runs/ stays
	rm -rf .venv .venv-cuda* .cache *.egg-info

.venv/.pip:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.core: .venv/.pip setup.py
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

# By uv, which takes a few seconds where pip takes half a minute; by pip, where uv cannot, or where pip is told of a proxy, or of an
# index that is to be asked instead of the usual one, of which uv knows nothing. uv itself is never built, and asked for twice at
# most, so that pip has its turn soon where there is no network. Compiled on all cores, but for what nobody imports: the packages'
# own tests, and mypy, which is machine code.
OWN_INDEX = $(BIN)/pip config list | grep -Eq '\.(index-url|no-index|proxy)='
BY_UV = ! $(OWN_INDEX) && $(BIN)/pip install --quiet --disable-pip-version-check --retries 1 --only-binary uv 'uv>=0.9' && \
	UV_NATIVE_TLS=1 UV_CONSTRAINT="$${PIP_CONSTRAINT:-$$($(BIN)/pip config get global.constraint 2> /dev/null)}" \
	$(BIN)/uv pip install --quiet --python $(BIN)/python
.venv/.test: .venv/.pip setup.py
	@{ $(BY_UV) -e '.[test]'; } || $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e '.[test]'
	@$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/site-packages/(.*/tests|mypyc?)/' \
	$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || true
	@touch .venv/.core $@

.venv/.notebooks: .venv/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[notebooks]'
	@touch $@

.venv/.mutation: .venv/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[mutation]'
	@touch $@

.venv/.peers: .venv/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[peers]' || echo "the peers cannot be installed here; tinygan is timed alone"
	@touch $@

# The workshop. `make` alone says what there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ORACLE := $(VENV)/.oracle
PEERS  := $(VENV)/.peers
NODE   := $(VENV)/.node
DIST   := $(VENV)/.dist
LOWEST := $(VENV)/lowest
# Interpreters that the wheel is tried in.
PYTHONS ?= $(PYTHON)
OUT    ?= out/demo
# Releases of ONNX Runtime that compiled files are tried in, beside the one installed.
EARLIER := 1.27.0 1.29.0 1.30.0
TESTS  ?= -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check bench bench-gpu torture dist test-lowest audit clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create the environment in .venv

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test,check]'
	@touch $@

# grad-cam asks for opencv-python-headless, whose files would overwrite those of opencv-contrib-python-headless.
$(ORACLE): $(READY)
	$(BIN)/python -m pip install --quiet -e '.[oracle,browser,server,ann,cluster]'
	$(BIN)/python -m pip install --quiet --no-deps grad-cam==1.5.7 ttach==0.0.3
	for release in $(EARLIER); do \
	  $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/runtimes/$$release onnxruntime==$$release || exit 1; \
	done
	@touch $@

# The packages of the examples in JavaScript; onnxruntime-node's own script would ask another host for CUDA.
$(NODE): $(READY) examples/deploy/node/package.json examples/deploy/web/package.json
	for folder in node web; do \
	  npm --prefix examples/deploy/$$folder install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error || exit 1; \
	done
	@touch $@

$(PEERS): $(ORACLE)
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	@touch $@

demo: $(READY)  ## the main job on example pictures
	$(BIN)/python examples/demo.py $(OUT)

test: $(READY)  ## the quick tests: no network, no GPU, no real data needed
	$(BIN)/python -m pytest $(TESTS)

test-all: $(ORACLE) $(NODE)  ## everything a machine without a GPU can test
	$(BIN)/python -m pytest $(TESTS) -m 'not torture and not gpu'

check: $(READY)  ## lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_floors.py

bench: $(PEERS)  ## peers and us side by side, and the pipeline against its parts
	$(BIN)/python benchmarks/run_all.py

bench-gpu: $(READY)  ## the factorization on a CUDA device, beside what its memory allows
	$(BIN)/python benchmarks/gpu.py

torture: $(ORACLE)  ## the long tier, before a release; DFF_ONNX_TORTURE_PART=1/10 runs the first tenth of it
	$(BIN)/python -m pytest $(TESTS) -m 'torture or same'

$(DIST): $(READY)
	$(BIN)/python -m pip install --quiet -e '.[dist]'
	@touch $@

dist: $(DIST)  ## wheel and sdist, and the main job with the wheel alone; PYTHONS="python3.12 python3.13" for others
	$(BIN)/python .ci/dist.py $(PYTHONS)

test-lowest: $(DIST)  ## the quick tests with the lowest releases that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --extra test --resolution lowest-direct --python $(BIN)/python --quiet --no-header --no-annotate --output-file $(VENV)/lowest.txt
	$(BIN)/python -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet -r $(VENV)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps -e .
	PATH="$(CURDIR)/$(LOWEST)/bin:$$PATH" $(LOWEST)/bin/python -m pytest $(TESTS)

audit: $(DIST)  ## known vulnerabilities of what a user would get; asks a server on the network
	$(BIN)/python -m pip_audit --strict .

clean:  ## remove the environment, caches and outputs
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf examples/deploy/*/node_modules examples/deploy/*/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The one front door. `make demo` shows the main job, `make test` proves it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes
export PYTHONPATH := operator
COMPILE = $(VENV)/lock/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help dev demo run test test-fast mutants lint fix generate bench apiserver lock image clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What the operator and the demo need.
$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "MeshCA needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	@touch $@

# And what its developers need.
$(VENV)/.dev: requirements-dev.txt | $(VENV)/.run
	$(PIP) -r requirements-dev.txt
	@touch $@

dev: $(VENV)/.dev ## Make the virtual environment in .venv

demo: $(VENV)/.run ## One renewal and one root rotation under real mTLS load, in about a minute (KEEP=1 leaves it running; ADOPT=1: a mesh that runs is taken over)
	$(BIN)/python -m demo

run: $(VENV)/.run ## Run the operator against $KUBECONFIG
	$(BIN)/python -m meshca run --metrics-address 127.0.0.1:8080

# Meshes under load have the machine to themselves; whatever else there is shares its cores. (PYTEST=… runs what it names instead.)
test: $(VENV)/.dev ## Every test, on a real kube-apiserver (what they need is fetched or built once, outside the tree)
ifdef PYTEST
	$(BIN)/python -m pytest $(PYTEST)
else
	$(BIN)/python -m pytest --numprocesses 2 tests --ignore tests/demo --ignore tests/istio --ignore tests/e2e
	$(BIN)/python -m pytest tests/demo tests/istio
	$(BIN)/python -m pytest tests/e2e
endif

test-fast: $(VENV)/.dev ## The tests that need no API server
	$(BIN)/python -m pytest tests/core tests/pki $(PYTEST)

mutants: $(VENV)/.dev ## Break core/ in many ways, one after the other: the quick tests must catch each (MUTANTS=word: some)
	$(BIN)/python -m tools.mutants $(MUTANTS)

lint: $(VENV)/.dev ## Style, types, layers, manifests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck -x kind/*.sh .ci/run

fix: $(VENV)/.dev ## Put style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

generate: $(VENV)/.dev ## Write anew what is made from something else: deploy/, the chart's README, dashboard, docs/metrics.md
	$(BIN)/python -m tools.manifests
	$(BIN)/python -m tools.chart_readme
	$(BIN)/python -m tools.metrics_page
	$(BIN)/python -m tools.dashboard

bench: $(VENV)/.dev ## Speed on a real kube-apiserver, at 1 and at 1,000 MeshCAs
	$(BIN)/python -m tests.bench $(BENCH)

apiserver: $(VENV)/.dev ## Run a real kube-apiserver by hand until Ctrl-C; prints its KUBECONFIG
	$(BIN)/python -m testkit.apiserver --kubeconfig apiserver.kubeconfig

lock: $(VENV)/.dev ## Pin every dependency with hashes
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv==0.13.8
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) pyproject.toml -o requirements.txt
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

image: ## Build the container image
	docker build --tag meshca:dev .

clean: ## Remove what was made here
	rm -rf $(VENV) .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
